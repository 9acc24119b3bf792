"""Checks without a socket and without a loop: bytes in, a verdict out, wherever the bytes end."""

import contextlib

import h11
import pytest
from ansible.module_utils.lvsdr.checks import outcomes, protocols
from ansible.module_utils.lvsdr.checks.live import Hls
from ansible.module_utils.lvsdr.checks.outcomes import Trouble, Unable, Unknown
from ansible.module_utils.lvsdr.streams import http

HANDSHAKE = bytes([3]) + bytes(2 * protocols.RTMP_BLOCK)
SDP = b"v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\n"


class Bytes:
    """An outcomes.Peer that answers with these bytes. What it was asked is in ``asked``."""

    port, host, secure = 80, "live.example.com", False

    def __init__(self, data=b"", status=200, headers=(), pages=None, broken=None):
        self.data, self.status, self.headers, self.pages, self.broken, self.asked = data, status, headers, pages or {}, broken, []

    def answer(self, *asked):
        self.asked.append(asked)
        if self.broken:
            raise self.broken
        return self.data

    def base(self, scheme="http"):
        return "%s://%s" % (scheme or "http", self.host)

    def is_own(self, url):
        return url.startswith(self.base())

    def at(self, host):
        self.asked.append(("at", host))
        return self

    @contextlib.contextmanager
    def in_a_row(self):
        yield self

    async def reach(self):
        self.answer("reach")

    async def ask(self, question):
        return self.answer("ask", question)

    async def exchange(self, data, size):
        return self.answer("exchange", len(data), size)[:size]

    async def line(self, longest):
        return self.answer("line")[:longest].partition(b"\n")[0]

    async def rtsp(self, method, url, fields, limit):
        return h11.Response(status_code=self.status, headers=list(self.headers), reason=b"Words"), self.answer(method, url, list(fields))

    async def get(self, url, limit=outcomes.PLAYLIST_BYTES, enough=None, byte_range=None, ok=(200, 299), redirects=5):
        path = url.replace(self.base(), "")
        body = self.pages.get(path, self.data)
        self.answer("get", path)
        if not ok[0] <= self.status <= ok[1]:
            raise Trouble("%s: %d" % (path, self.status), "status %d" % self.status)
        return http.Answer(self.base() + path, self.status, "Words", {}, len(body), body[:limit])


def run(made):
    """What a coroutine returns that waits for nothing; it has no loop to wait with."""
    with contextlib.closing(made), pytest.raises(StopIteration) as ended:
        made.send(None)
    return ended.value.value


def test_no_check_knows_sockets():
    """What a check sees of a server is its Peer."""
    for module in (protocols, outcomes):
        assert not {"socket", "ssl", "asyncio", "sockets"} & set(vars(module)), module


def test_tcp():
    peer = Bytes()
    assert run(protocols.Tcp({})(peer, 0)) == "connected" and peer.asked == [("reach",)]
    with pytest.raises(Trouble, match="refused"):
        run(protocols.Tcp({})(Bytes(broken=Trouble("refused")), 0))


def test_a_handshake_of_rtmp_wherever_it_ends():
    peer = Bytes(HANDSHAKE + b"more")
    assert run(protocols.Rtmp({})(peer, 0)) == "handshake to S2" and peer.asked == [("exchange", 1537, 3073)]
    for size in (0, 1, 2, 1536, 1537, 3071, 3072):
        with pytest.raises(Trouble, match="ends after %d of 3073 bytes" % size):
            run(protocols.Rtmp({})(Bytes(HANDSHAKE[:size]), 0))
    with pytest.raises(Trouble, match="version 72"):
        run(protocols.Rtmp({})(Bytes(b"HTTP" + HANDSHAKE), 0))


@pytest.mark.parametrize("reply", [None, "c0ffee"])
def test_udp(reply):
    check = protocols.Udp({"type": "udp", "payload": "00", "reply": reply})
    assert run(check(Bytes(b"\xc0\xff\xee"), 0)) == "answered"
    if reply:
        for data in (b"", b"\xc0\xff", b"\xc0\xff\xee\0"):
            with pytest.raises(Trouble, match="unexpected reply"):
                run(check(Bytes(data), 0))


def test_rtsp_by_its_description():
    check = protocols.Rtsp({"path": "/live"})
    peer = Bytes(SDP)
    assert run(check(peer, 0)) == "described"
    assert peer.asked[0][:2] == ("DESCRIBE", "rtsp://live.example.com/live")
    assert run(check(Bytes(b"", headers=[("Content-Type", "application/sdp")]), 0)) == "described"
    for data in (b"", b"v", b"v=", b"<html>"):
        with pytest.raises(Trouble, match="no SDP"):
            run(check(Bytes(data), 0))
    for status, kind in ((404, Trouble), (503, Trouble), (302, Unknown), (401, Unknown)):
        with pytest.raises(kind):
            run(check(Bytes(SDP, status=status), 0))
    with pytest.raises(Trouble, match="DESCRIBE /live: ends in its head"):
        run(check(Bytes(broken=http.Broken("ends in its head")), 0))


def test_icecast_by_its_bytes():
    assert run(protocols.Icecast({"path": "/mount"})(Bytes(b"x"), 0)) == "bytes flow"
    with pytest.raises(Trouble, match="no data"):
        run(protocols.Icecast({"path": "/mount"})(Bytes(b""), 0))


@pytest.mark.parametrize("data", [b"", b"up", b"up\n", b"75%\nmore", b"\xff\xfe\n", b"x" * 70000])
def test_an_agent_wherever_its_line_ends(data):
    line = data[: protocols.LINE_BYTES].partition(b"\n")[0]
    assert run(protocols.agent(Bytes(data))) == line.decode("ascii", "replace")
    for error in (Trouble("refused"), Unable("no socket")):
        assert run(protocols.agent(Bytes(data, broken=error))) == ""


def test_http_without_an_expression():
    check = protocols.Http({"urls": [{"path": "/a", "status": "200"}, {"path": "/b", "status": "200-299", "host": "b.example.com"}]})
    peer = Bytes(b"page")
    assert run(check(peer, 0)) == "200 Words" and peer.asked == [("get", "/a"), ("at", "b.example.com"), ("get", "/b")]
    with pytest.raises(Trouble) as caught:
        run(check(Bytes(b"page", status=404), 0))
    assert caught.value.kind == "status 404"


def test_a_live_playlist_moves_or_stands():
    def playlist(first):
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:%d" % first]
        return "\n".join(lines + ["#EXTINF:2,\n/%d.ts" % number for number in range(first, first + 4)]).encode()

    check = Hls({"path": "/live.m3u8"})
    assert run(check(Bytes(b"x", pages={"/live.m3u8": playlist(7)}), 0.0))
    assert run(check(Bytes(b"x", pages={"/live.m3u8": playlist(8)}), 2.0))
    with pytest.raises(Trouble, match="has not changed for"):
        run(check(Bytes(b"x", pages={"/live.m3u8": playlist(8)}), 60.0))
    whole = playlist(9)
    for end in range(len(b"#EXTM3U")):
        with pytest.raises(Trouble):
            run(Hls({"path": "/live.m3u8"})(Bytes(b"x", pages={"/live.m3u8": whole[:end]}), 0.0))
