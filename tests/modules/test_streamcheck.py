"""lvsdr-streamcheck against real servers on 127.0.0.1, good ones and such as have one trouble each; and the daemon as systemd runs it."""

import asyncio
import base64
import contextlib
import gc
import gzip
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from ansible.module_utils.lvsdr.agent import looks, runner, server
from ansible.module_utils.lvsdr.agent import server as agent_server
from ansible.module_utils.lvsdr.checks import certificates, protocols, verdicts
from ansible.module_utils.lvsdr.checks.matching import Lane, Matcher, Slow
from ansible.module_utils.lvsdr.checks.outcomes import Trouble, Unable, Unknown
from ansible.module_utils.lvsdr.checks.sockets import SO_MARK, Place, tls
from ansible.module_utils.lvsdr.streams.m3u8 import Segment
from fakes import program
from fakes.tls import authority, self_signed

OUT = str(verdicts.OUT)
# Of one server all fail when it fails.
OUT_TOGETHER = {"when_all_fail": "out"}


def playlist(first, count=3, target=1, end=False):
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:%d" % target, "#EXT-X-MEDIA-SEQUENCE:%d" % first]
    for number in range(first, first + count):
        lines += ["#EXTINF:1,", "/seg/%d.ts" % number]
    return "\n".join(lines + ["#EXT-X-ENDLIST"] * end) + "\n"


class Server:
    """An HTTP server whose pages are functions of what was asked, and a server that answers any bytes with others."""

    def __init__(self, pages=None, talk=None, tls=None, **more):
        self.pages, self.talk, self.tls, self.asked, self.more = pages, talk, tls, [], more

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        return Place("127.0.0.1", self.server.sockets[0].getsockname()[1], **{"secure": self.tls is not None, **self.more})

    async def __aexit__(self, *_error):
        self.server.close()

    async def _serve(self, reader, writer):
        try:
            if self.talk:
                await self.talk(reader, writer)
            else:
                path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
                self.asked.append(path)
                body = self.pages.get(path)
                body = body() if callable(body) else body
                if isinstance(body, bytes):  # an answer with its head
                    writer.write(body)
                else:
                    head = b"404 Not Found" if body is None else b"200 OK"
                    writer.write(b"HTTP/1.1 " + head + b"\r\n\r\n" + (body or "").encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        writer.close()


def check(kind, server, times=(0,), **options):
    """What the check says at these times: words where it is good, a Trouble where not."""

    async def run():
        said, one = [], looks.KINDS[kind](options)
        async with server as place:
            for now in times:
                try:
                    said.append(await asyncio.wait_for(one(place, now), 3))
                except (Trouble, Unknown) as words:
                    said.append(words)
        return said

    return asyncio.run(run())


def hls(pages, times=(0,)):
    server = Server({**{"/seg/%d.ts" % number: "x" for number in range(20)}, **pages})
    return [str(words) for words in check("hls", server, times, path="/live.m3u8")], server


def moving(*pages):
    left = list(pages)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_hls_that_moves():
    said, server = hls({"/live.m3u8": moving(playlist(1), playlist(1), playlist(2), playlist(3))}, (0, 1, 2, 3))
    assert said == ["segment 3", "segment 3", "segment 4", "segment 5"]
    assert [path for path in server.asked if "seg" in path] == ["/seg/3.ts", "/seg/4.ts", "/seg/5.ts"], "each once"


def test_hls_of_a_master_playlist():
    master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/variant.m3u8?a=1\n"
    assert hls({"/live.m3u8": master, "/variant.m3u8?a=1": playlist(4)})[0] == ["segment 6"]


def test_hls_that_stands_still():
    said, _server = hls({"/live.m3u8": moving(playlist(1), playlist(2))}, (0, 1, 3, 3.1))
    assert said[:3] == ["segment 3", "segment 4", "segment 4"]
    assert said[3] == "the playlist has not changed for 2 s (new segments are due every 1 s)"


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ({"/live.m3u8": playlist(1, end=True)}, "has ended (EXT-X-ENDLIST)"),
        ({"/live.m3u8": playlist(1, 0)}, "has no segment"),
        ({"/live.m3u8": playlist(30)}, "/seg/32.ts: 404 Not Found"),
        ({"/live.m3u8": playlist(1), "/seg/1.ts": "", "/seg/2.ts": "", "/seg/3.ts": ""}, "/seg/3.ts: it is empty"),
        ({"/live.m3u8": "<html>"}, "is not an HLS playlist"),
        ({}, "/live.m3u8: 404 Not Found"),
    ],
)
def test_hls_with_a_trouble(pages, words):
    said, _server = hls(pages)
    assert words in said[0]


def test_hls_that_goes_back():
    """A packager that was restarted does not take its servers out; one that goes back and forth plays for nobody."""
    said, _server = hls({"/live.m3u8": moving(playlist(9), playlist(5), playlist(6), playlist(2))}, (0, 1, 2, 3))
    assert said[1:] == ["the playlist went back from 12 to 8", "segment 8", "the playlist went back from 9 to 5 once more"]


def test_older_copies():
    """As caches of one origin hold them: players wait for the next one. It is progress that counts."""
    ends = (5, 4, 6, 5, 7)
    assert hls({"/live.m3u8": moving(*[playlist(end) for end in ends])}, range(5))[0] == ["segment %d" % (end + 2) for end in ends]
    said, _server = hls({"/live.m3u8": moving(*[playlist(end) for end in (5, 4, 5, 4)])}, range(4))
    assert "has not changed for 3 s" in said[-1], "two copies that are both dead"
    said, _server = hls({"/live.m3u8": moving(*[playlist(1, count) for count in (9, 2, 3, 4, 5)])}, range(0, 10, 2))
    assert said[2:] == ["segment 3", "segment 4", "segment 5"], "a packager of whole events was restarted"


def answering(*answers, **more):
    async def talk(reader, writer):
        for answer in answers:
            await reader.read(4096)
            writer.write(answer)
            await writer.drain()

    return Server(talk=talk, **more)


SDP = b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\n\r\n"
OK = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("kind", "answers", "words"),
    [
        ("rtmp", [b"\3" + bytes(3072)], "handshake to S2"),
        ("rtmp", [b"\6" + bytes(3072)], "answered with version 6"),
        ("rtmp", [b"\3" + bytes(99)], "ends after 100 of 3073 bytes"),
        ("rtsp", [SDP], "described"),
        ("rtsp", [OK.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nv=0\r\n")], "described"),
        ("rtsp", [b"RTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\n" + SDP], "described"),
        ("rtsp", [OK], "DESCRIBE /live: no SDP"),
        ("rtsp", [b"RTSP/1.0 404 Not Found\r\n\r\n"], "DESCRIBE /live: RTSP/1.0 404 Not Found"),
        ("rtsp", [b"HTTP/1.1 400 Bad Request\r\n\r\n"], "DESCRIBE /live: RTSP/1.0 400 Bad Request"),
        ("rtsp", [b"x"], "DESCRIBE /live: the answer is not RTSP"),
        ("rtsp", [b"RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n"], "it asks for a login; declare login_file"),
        ("rtsp", [b"RTSP/1.0 302 Moved\r\nLocation: rtsp://other/live\r\n\r\n"], "it is redirected"),
    ],
)
def test_handshakes(kind, answers, words):
    (said,) = check(kind, answering(*answers), path="/live")
    assert words in str(said)


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ({"/live": "x" * 2000}, "bytes flow"),
        ({"/live": b"ICY 200 OK\r\nicy-name: one\r\n\r\n" + bytes(2000)}, "bytes flow"),
        ({"/live": ""}, "mount /live: no data"),
        ({}, "/live: 404 Not Found"),
    ],
)
def test_icecast(pages, words):
    (said,) = check("icecast", Server(pages), path="/live")
    assert words in str(said)


# --- what keepalived could check, too ---


URL = {"path": "/a", "status": "200"}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (URL, "200 OK"),
        ({**URL, "match": "o+k"}, "200 OK"),
        ({**URL, "match": "^ko"}, "/a: the body has no ^ko"),
        ({**URL, "status": "500-599"}, "/a: 200 OK"),
        ({**URL, "path": "/b"}, "/b: 404 Not Found"),
        ({**URL, "path": "/b", "status": "400-404"}, "404 Not Found"),
    ],
)
def test_http(url, words):
    (said,) = check("http", Server({"/a": "took"}), urls=[url])
    assert str(said) == words


def test_an_expression_that_never_ends_is_unknown():
    """A player would not stop for it. The next search goes on, in another process."""
    matcher = Matcher()

    async def run():
        said = []
        for pattern, text in (
            ("o+k", b"took"),
            ("(a+)+$", b"a" * 60 + b"b"),
            ("o+k", b"took"),
            ("(a+)+$", b"a" * 60 + b"b"),
            ("x", b"took"),
        ):
            for _attempt in range(100):
                try:
                    said.append(await matcher.search(pattern, text))
                    break
                except Slow as slow:
                    if "being started" not in str(slow):
                        said.append(str(slow))
                        break
        return said

    slow = "the search for (a+)+$ took more than 0.5 s"
    assert asyncio.run(run()) == [True, slow, True, slow, False]


def test_the_programs_that_search_have_ended_when_the_matcher_is_closed():
    """Also the one whose end somebody waits for who is cancelled twice. asyncio complains in the log where the loop closes before."""
    matcher, lanes = Matcher(), 0

    async def run():
        nonlocal lanes
        while True:
            with contextlib.suppress(Slow):
                await matcher.search("x", b"x")
                break
        search = asyncio.create_task(matcher.search("(a+)+$", b"a" * 60 + b"b"))
        await asyncio.sleep(0.1)
        search.cancel()
        for _turn in range(20):
            await asyncio.sleep(0)
            search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
        lanes = len(matcher._quick._all)
        await matcher.close()
        assert not matcher._quick._all and not matcher._slow._all

    asyncio.run(run())
    assert lanes == 1, "nobody had waited for its end"


def test_no_check_waits_for_the_program_that_searches(monkeypatch):
    """On a slow machine it takes longer to start than a check may take."""
    starts = []

    async def slowly(self):
        starts.append(1)
        await asyncio.sleep(30)

    monkeypatch.setattr(Lane, "_start", slowly)
    matcher = Matcher()

    async def run():
        for _look in range(2):
            with pytest.raises(Slow, match="is being started"):
                await asyncio.wait_for(matcher.search("x", b"x"), 2)

    asyncio.run(run())
    assert len(starts) == 1


def test_every_url_counts_and_has_its_host_name():
    heads = []

    async def talk(reader, writer):
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 %s\r\n\r\n" % (b"200 OK" if len(heads) < 2 else b"503 Busy"))

    (said,) = check("http", Server(talk=talk), urls=[{**URL, "host": "one.example.com"}, {**URL, "path": "/second"}])
    assert str(said) == "/second: 503 Busy"
    assert "Host: one.example.com" in heads[0] and "Host: 127.0.0.1" in heads[1]


def test_https(tmp_path):
    """With a certificate of its own making, as a server behind a VIP may have it; and without TLS at all."""
    context = self_signed(tmp_path)
    (said,) = check("https", Server({"/a": "ok"}, tls=context), urls=[URL])
    assert said == "200 OK"
    (said,) = check("https", answering(b"HTTP/1.1 400 Bad Request\r\n\r\n", secure=True), urls=[URL])
    assert isinstance(said, Trouble) and "TLS failed with 127.0.0.1 port" in str(said)


def test_tcp():
    (said,) = check("tcp", Server({}))
    assert said == "connected"


@pytest.mark.parametrize(
    ("kind", "options", "answer", "words"),
    [
        ("udp", {"payload": "0d0a"}, b"x", "answered"),
        ("udp", {"payload": "0d0a", "reply": "78"}, b"x", "answered"),
        ("udp", {"payload": "0d0a", "reply": "79"}, b"x", "unexpected reply on port"),
        ("dns", {"query": "example.com"}, b"\x1d\x5a\x81\x80" + bytes(8), "answered"),
        ("dns", {"query": "example.com"}, b"nonsense", "unexpected reply on port"),
        ("srt", {}, b"\x80\0\0\0" + bytes(32) + b"\0\0\0\1" + bytes(24), "answered"),
        ("srt", {}, b"x", "unexpected reply on port"),
    ],
)
def test_udp(kind, options, answer, words):
    async def run():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            one = looks.KINDS[kind]({"type": kind, **options})
            asking = asyncio.ensure_future(one(Place("127.0.0.1", sock.getsockname()[1]), 0))
            await asyncio.sleep(0.05)
            question, where = sock.recvfrom(2048)
            assert question
            sock.sendto(answer, where)
            return (await asyncio.gather(asking, return_exceptions=True))[0]

    assert words in str(asyncio.run(run()))


def test_udp_where_nobody_listens():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(Trouble, match="no answer from 127.0.0.1 port %d .Connection refused." % port):
        asyncio.run(looks.KINDS["srt"]({"type": "srt"})(Place("127.0.0.1", port), 0))


# --- DASH ---


def manifest(end, kind="dynamic"):
    timeline = "" if end is None else '<S t="0" d="1000" r="%d"/>' % (end - 1)
    return (
        '<MPD type="%s"><Period><AdaptationSet><Representation id="1"><SegmentTemplate timescale="1000" media="/seg/$Number$.ts">'
        "<SegmentTimeline>%s</SegmentTimeline></SegmentTemplate></Representation></AdaptationSet></Period></MPD>" % (kind, timeline)
    )


def dash(pages, times=(0,)):
    server = Server({**{"/seg/%d.ts" % number: "x" for number in range(1, 20)}, **pages})
    return [str(words) for words in check("dash", server, times, path="/live.mpd")], server


def test_dash_that_moves():
    said, server = dash({"/live.mpd": moving(manifest(1), manifest(1), manifest(2))}, (0, 1, 2))
    assert said == ["1.ts", "1.ts", "2.ts"]
    assert [path for path in server.asked if "seg" in path] == ["/seg/1.ts", "/seg/2.ts"], "each once"


@pytest.mark.parametrize(
    ("pages", "times", "words"),
    [
        ([manifest(3), manifest(3)], (0, 2.5), "the manifest has not changed for 2 s (new segments are due every 1 s)"),
        ([manifest(3), manifest(2), manifest(3)], (0, 1, 2.5), "the manifest has not changed for 2 s"),
        ([manifest(3, "static")], (0,), "the live manifest has ended (type static)"),
        ([manifest(None)], (0,), "the manifest names no segment that can be looked at"),
        (["<MPD type='dynamic'/>"], (0,), "the manifest has no segment"),
        ([manifest(30)], (0,), "/seg/30.ts: 404 Not Found"),
        (["<html>"], (0,), "is not a DASH manifest"),
    ],
)
def test_dash_with_a_trouble(pages, times, words):
    said, _server = dash({"/live.mpd": moving(*pages)}, times)
    assert words in said[-1]


# --- as players ask ------------------------------------------------------------------------------------------------------------------


def answer(body, *fields, status="200 OK"):
    return ("HTTP/1.1 %s\r\n%s\r\n" % (status, "".join(field + "\r\n" for field in fields))).encode() + body


def chunked(text):
    return answer(b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text.encode()), "Transfer-Encoding: chunked")


def packed(text):
    return answer(gzip.compress(text.encode()), "Content-Encoding: gzip")


GAP = playlist(1).replace("#EXTINF:1,\n/seg/3.ts", "#EXT-X-GAP\n#EXTINF:1,\n/seg/gone.ts")
PARTS = '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-PART:DURATION=0.5,URI="/seg/1.ts"\n'
ELSEWHERE = playlist(1).replace("/seg/", "https://bucket.s3.example.net/seg/")
HERE = playlist(1).replace("/seg/", "http://live.example.com/seg/")
RANGES = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n#EXT-X-BYTERANGE:1@0\n/seg/1.ts\n"
MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/gone.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\n/b.m3u8\n"
FAR = answer(b"", "Location: https://other.example.com/live.m3u8", status="302 Found")


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ({"/live.m3u8": chunked(playlist(1))}, "segment 3"),
        ({"/live.m3u8": packed(playlist(1))}, "segment 3"),
        ({"/live.m3u8": answer(b"", "Location: /b/x.m3u8", status="302 Found"), "/b/x.m3u8": playlist(1)}, "segment 3"),
        ({"/live.m3u8": answer(b"", "Location: http://live.example.com/x", status="307 x"), "/x": playlist(1)}, "segment 3"),
        ({"/live.m3u8": FAR}, "led to another server, https://other.example.com"),
        ({"/live.m3u8": answer(b"", "Location: /live.m3u8", status="301 Moved")}, "redirects more than 5 times"),
        ({"/live.m3u8": playlist(1).replace("/seg/3.ts", "a 1.ts"), "/a%201.ts": "x"}, "segment 3"),
        ({"/live.m3u8": playlist(1).replace("/seg/3.ts", "/é.ts?a=b c"), "/%C3%A9.ts?a=b%20c": "x"}, "segment 3"),
        ({"/live.m3u8": ELSEWHERE}, "segment 3"),
        ({"/live.m3u8": HERE}, "segment 3"),
        ({"/live.m3u8": GAP}, "segment 3"),
        ({"/live.m3u8": playlist(1).replace("#EXTINF", "#EXT-X-GAP\n#EXTINF")}, "the playlist has no segment except gaps"),
        ({"/live.m3u8": PARTS}, "segment -1"),
        ({"/live.m3u8": RANGES}, "segment 0"),
        ({"/live.m3u8": playlist(30, 3).replace("/seg/30", "/seg/1").replace("/seg/31", "/seg/2")}, "segment 32"),
        ({"/live.m3u8": MASTER, "/b.m3u8": playlist(1)}, "segment 3"),
        ({"/live.m3u8": MASTER, "/gone.m3u8": playlist(90), "/b.m3u8": playlist(1)}, "segment 3"),
        ({"/live.m3u8": MASTER, "/gone.m3u8": playlist(1, end=True), "/b.m3u8": playlist(1)}, "has ended"),
        ({"/live.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttps://cdn.example.net/a.m3u8\n"}, "led to another server"),
        ({"/live.m3u8": "#EXTM3U\n" + "x" * (600 << 10)}, "longer than 524288 bytes, which is more than is read"),
    ],
)  # fmt: skip
def test_hls_as_players_ask(pages, words):
    server = Server({**{"/seg/%d.ts" % number: "x" for number in range(20)}, **pages}, host="live.example.com", names=("192.0.2.21",))
    (said,) = check("hls", server, path="/live.m3u8")
    assert words in str(said)
    assert "/seg/gone.ts" not in server.asked


def test_segments_that_are_missing():
    """Players recover from one, and from one that is listed before it is there; where none of the newest is there they stop."""
    there = {"/seg/%d.ts" % number: "x" for number in (1, 2, 3)}
    pages = {"/live.m3u8": moving(*[playlist(first, 6) for first in (1, 2, 3)]), **there, "/seg/4.ts": "x"}
    said = check("hls", Server(pages), (0, 1, 2), path="/live.m3u8")
    assert [str(words) for words in said[:2]] == ["segment 6", "segment 7"] and "/seg/8.ts: 404" in str(said[2])


def test_a_front_that_speaks_only_http_1_1():
    async def talk(reader, writer):
        line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]
        body = playlist(1).encode() if b".m3u8" in line else b"x"
        writer.write(answer(body) if line.endswith(b"HTTP/1.1") else answer(b"", status="426 Upgrade Required"))

    assert check("hls", Server(talk=talk), path="/live.m3u8") == ["segment 3"]


@pytest.fixture(scope="module")
def vouched(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("vouched"))


def test_tls_of_every_kind(vouched):
    (context, ca, _certificate), names = vouched, []
    context.sni_callback = lambda _object, name, _context: names.append(name)
    pages = {
        **{"/seg/%d.ts" % number: "x" for number in range(1, 9)},
        "/live.m3u8": playlist(1),
        "/live.mpd": manifest(3),
        "/mount": "x" * 2000,
    }
    more = {"host": "live.example.com", "verify": str(ca)}
    for kind, path, words in (("hls", "/live.m3u8", "segment 3"), ("dash", "/live.mpd", "3.ts"), ("icecast", "/mount", "bytes flow")):
        assert check(kind, Server(pages, tls=context, **more), path=path) == [words]
    assert check("rtsps", answering(SDP, tls=context, **more), path="/live") == ["described"]
    assert check("rtmps", answering(b"\3" + bytes(3072), tls=context, **more)) == ["handshake to S2"]
    assert set(names) == {"live.example.com"}
    (said,) = check("hls", Server(pages, tls=context, **{**more, "host": "other.example.com"}), path="/live.m3u8")
    assert isinstance(said, Trouble) and said.kind == "tls" and "its certificate can't be trusted: Hostname mismatch" in str(said)
    (said,) = check("hls", Server(pages, tls=context, **{**more, "verify": True}), path="/live.m3u8")
    assert "unable to get local issuer certificate" in str(said)
    assert check("hls", Server(pages, tls=context, host="other.example.com"), path="/live.m3u8") == ["segment 3"], "not looked at"
    (said,) = check("hls", Server(pages, tls=context, **{**more, "verify": "/nonexistent"}), path="/live.m3u8")
    assert isinstance(said, Unable), "what the director lacks is not a server's fault"


def test_the_end_of_a_certificate(vouched):
    der = ssl.PEM_cert_to_DER_cert(vouched[2].read_text())
    watch, now = certificates.Watch(14), time.time()
    assert watch.look([b"1", der], now) == "" and 364 < (watch.ends - now) / 86400 < 366
    assert watch.look([b"1", der], watch.ends - 10 * 86400).startswith("its certificate expires in 10 days, on 20")
    assert watch.warning and watch.look([b"1", der], watch.ends - 9 * 86400) == "", "said once"
    assert watch.look([b"1", der], watch.ends + 1) == "" and watch.warning.startswith("its certificate expired on 20")
    assert certificates.Watch().look([b"2", b"nonsense"], now) == ""


# --- RTSP with a login ---

CHALLENGE = b"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: %s\r\nContent-Length: 4\r\n\r\nnone"
DIGEST = b'Digest realm="cam", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c0"%s'


def rtsp_server(challenge, good):
    """Answers with a challenge until it hears the login; good: says of an Authorization header whether it is right."""

    async def talk(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        said = [line.partition(": ")[2] for line in head.split("\r\n") if line.lower().startswith("authorization")]
        writer.write(SDP if said and good(said[0]) else CHALLENGE % challenge)

    return Server(talk=talk)


def digest_is_right(value):
    found = dict(re.findall(r'(\w+)="?([^",]*)"?', value))
    make = hashlib.sha256 if found.get("algorithm") == "SHA-256" else hashlib.md5
    first, second = (make(text.encode()).hexdigest() for text in ("viewer:cam:se:cret", "DESCRIBE:" + found["uri"]))
    middle = [found["nonce"], found["nc"], found["cnonce"], found["qop"]] if "qop" in found else [found["nonce"]]
    return make(":".join([first, *middle, second]).encode()).hexdigest() == found["response"]


@pytest.mark.parametrize(
    ("challenge", "good"),
    [
        (b'Basic realm="cam"', lambda value: base64.b64decode(value.partition(" ")[2]) == b"viewer:se:cret"),
        (DIGEST % b"", digest_is_right),
        (DIGEST % b', qop="auth,auth-int", opaque="x"', digest_is_right),
        (DIGEST % b', algorithm=SHA-256, qop="auth"', digest_is_right),
    ],
)
def test_rtsp_with_a_login(tmp_path, challenge, good):
    login = tmp_path / "login"
    login.write_text("viewer:se:cret\n")
    assert check("rtsp", rtsp_server(challenge, good), path="/cam", login_file=str(login)) == ["described"]
    login.write_text("viewer:wrong\n")
    (said,) = check("rtsp", rtsp_server(challenge, good), path="/cam", login_file=str(login))
    assert isinstance(said, Trouble) and "401 Unauthorized" in str(said) and "wrong" not in str(said)
    (said,) = check("rtsp", rtsp_server(challenge, good), path="/cam", login_file=str(tmp_path / "none"))
    assert isinstance(said, Unable)


# --- the daemon ---------------------------------------------------------------------------------------------------------------------


class Daemon:
    def __init__(self, folder):
        self.folder, self.config = folder, folder / "config.json"
        self.heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.heard.bind(str(folder / "notify"))
        self.heard.settimeout(20)

    def configure(self, port, metrics_port=0, **service):
        service = {
            "name": "live", "vip": "192.0.2.100", "floor": 0, "slow_start": 0,
            "check": {"type": "hls", "path": "/live.m3u8", "interval": 0.2, "timeout": 1, "fall": 1, "rise": 1, **OUT_TOGETHER},
            "servers": [{"name": "server1", "address": "127.0.0.1", "port": port, "weight": 10, "file": "track"}], **service,
        }  # fmt: skip
        self.config.write_text(json.dumps({"folder": str(self.folder), "metrics_port": metrics_port, "services": [service]}))

    def start(self, checks=1):
        environment = dict(
            os.environ,
            PYTHONPATH="%s:%s" % (program.install(self.folder / "program"), self.folder / "lib"),
            NOTIFY_SOCKET=str(self.folder / "notify"),
        )
        command = [*program.COMMAND, str(self.config)]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.heard.recv(100) == b"READY=1\nSTATUS=%d checks" % checks

    def hear_on(self):
        """The daemon waits for whoever is behind the socket, as it would for systemd, once its queue is full."""
        with contextlib.suppress(OSError):
            while True:
                self.heard.recv(100)

    def track(self):
        return (self.folder / "track").read_text().strip()

    def wait_for(self, number):
        deadline = time.monotonic() + 20
        while not (self.folder / "track").exists() or self.track() != number:
            assert time.monotonic() < deadline, (self.track(), (self.folder / "status.json").read_text())
            time.sleep(0.05)

    def status(self, state):
        """What the status file says of the one server, once it is in this state: it is written once a second."""
        deadline = time.monotonic() + 20
        while True:
            if (self.folder / "status.json").exists():
                (status,) = json.loads((self.folder / "status.json").read_text())["checks"]
                if status["state"] == state:
                    return status
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=20)
        return self.process.returncode, out


@pytest.fixture
def daemon(tmp_path):
    made = Daemon(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture
def web(tmp_path):
    """A folder that is served, and its port."""
    root = tmp_path / "web"
    (root / "seg").mkdir(parents=True)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(root), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while True:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield root, port
    process.kill()
    process.wait()


def test_the_daemon_takes_a_server_out_and_back_in(daemon, web):
    root, port = web
    for number in range(20):
        (root / "seg" / ("%d.ts" % number)).write_text("x")
    (root / "live.m3u8").write_text(playlist(1, end=True))
    daemon.configure(port)
    daemon.start()
    daemon.wait_for(OUT)
    assert daemon.heard.recv(100) == b"WATCHDOG=1"
    assert daemon.status("down")["why"] == "the live playlist has ended (EXT-X-ENDLIST)"
    (root / "live.m3u8").write_text(playlist(2, target=100))
    daemon.wait_for("0")
    # Another configuration goes on from there: what is down stays down.
    (root / "live.m3u8").write_text(playlist(3, end=True))
    daemon.wait_for(OUT)
    daemon.configure(port, servers=[{"name": "server1", "address": "127.0.0.1", "port": port, "weight": 20, "file": "track"}])
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for(OUT)
    daemon.config.write_text("{")
    daemon.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    code, out = daemon.end()
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "<4>live on server1 (192.0.2.100) is down: the live playlist has ended (EXT-X-ENDLIST)"
    assert [line for line in lines if "is up" in line][-1] == "<5>live on server1 (192.0.2.100) is up: segment 4"
    assert "can't be used" in lines[-1] and lines[-1].startswith("<3>")


def test_the_floor_and_the_ramp(daemon, web):
    """Of two servers that fail one stays in; both fine, the other comes back by and by."""
    root, port = web
    (root / "seg" / "3.ts").write_text("x")
    (root / "live.m3u8").write_text(playlist(1, end=True))
    server = {"address": "127.0.0.1", "port": port, "weight": 10}
    servers = [{**server, "name": name, "file": name} for name in ("server1", "server2")]
    daemon.configure(port, servers=servers, floor=0.5, slow_start=2)
    daemon.start(2)

    def numbers():
        return {(daemon.folder / name).read_text().strip() for name in ("server1", "server2") if (daemon.folder / name).exists()}

    deadline = time.monotonic() + 20
    while numbers() != {OUT, "0"}:
        assert time.monotonic() < deadline, numbers()
        time.sleep(0.05)
    (root / "live.m3u8").write_text(playlist(1, target=100))
    between = set()
    while numbers() != {"0"}:
        between |= numbers() - {"0", OUT}
        assert time.monotonic() < deadline, numbers()
        time.sleep(0.02)
    assert between and all(-10 < int(number) < 0 for number in between)


def test_a_server_says_how_much_it_wants(daemon, web):
    """An agent on the server's own address: a percentage, then drain, then it is gone, and full weight is back."""
    root, port = web
    said = ["50%\n"]

    def serve(sock):
        while True:
            try:
                other, _where = sock.accept()
            except OSError:
                return
            with other:
                if not said[0]:
                    continue
                other.sendall(said[0].encode())

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()
        check = {"type": "tcp", "interval": 0.2, "timeout": 1, "fall": 1, "rise": 1}
        check["agent"] = {"port": sock.getsockname()[1], "smoothing": 1, "step": 0.1}
        server = {"name": "server1", "address": "127.0.0.1", "port": port, "weight": 10, "file": "track", "agent": "127.0.0.1"}
        daemon.configure(port, check=check, servers=[server])
        daemon.start()
        daemon.wait_for("-5")
        assert daemon.status("up")["agent"] == "50%"
        said[0] = "drain # the disk is full\n"
        daemon.wait_for(OUT)
        said[0] = ""
        daemon.wait_for("0")
    code, out = daemon.end()
    assert "<5>live on server1 (192.0.2.100) wants 0 % of its weight: drain" in out.splitlines()
    assert "<5>live on server1 (192.0.2.100) wants 100 % of its weight: its agent is silent" in out.splitlines()


def test_a_reload_keeps_what_an_agent_said():
    """Else each rollout would send viewers to a server that wants none."""
    check = {"type": "tcp", "interval": 2, "timeout": 1, "fall": 3, "rise": 2, "agent": {"port": 3333, "smoothing": 0.5, "step": 0.1}}
    server = {"name": "server1", "address": "127.0.0.1", "port": 9, "weight": 10, "file": "track", "agent": "127.0.0.1"}
    service = {"name": "live", "vip": "192.0.2.100", "check": check, "servers": [server]}

    def made():
        return runner.Checker({"folder": "/nonexistent", "services": [service]})

    def only(checker):
        return checker.services[0].servers["server1"]

    former, checker = made(), made()
    only(former).load.hear("drain")
    only(former).verdict.add(True, "", 0)
    for _time in range(2):
        only(former).verdict.add(False, "", 1)
    checker.take_over(former)
    assert only(checker).load.share == 0 and only(checker).verdict.state == "up"
    assert only(checker).verdict.add(False, "", 2), "the third in a row, whoever saw the first two"


@pytest.mark.parametrize(
    "answer", ["<MPD type='dynamic'><Period><AdaptationSet><Representation/></AdaptationSet></Period></MPD>", "<MPD/>", "x"]
)
def test_an_odd_answer_is_one_servers_trouble(answer):
    said, _server = dash({"/live.mpd": answer})
    assert said[0]


def test_what_nobody_thought_of_is_one_servers_trouble(monkeypatch):
    async def odd(self, place, now):
        raise TypeError("odd")

    monkeypatch.setattr(protocols.Tcp, "__call__", odd)
    check = {"type": "tcp", "interval": 2, "timeout": 1, "fall": 1, "rise": 1}
    server = agent_server.Server(
        {"name": "live", "vip": "192.0.2.100", "check": check},
        {"name": "server1", "address": "127.0.0.1", "port": 9, "weight": 1, "file": "x"}, "/nonexistent",
    )  # fmt: skip
    assert asyncio.run(server.check()) == ("unknown", "not understood, so it does not count: TypeError('odd')", None)


def test_a_drained_server_has_no_share_and_its_file_what_it_begins_with_again(daemon, web):
    """Another file takes its weight, for keepalived, and does not count for the floor."""
    root, port = web
    server = {"address": "127.0.0.1", "port": port, "weight": 10}
    servers = [
        {**server, "name": "server1", "file": "track", "weight_files": [str(daemon.folder / "drain")]},
        {**server, "name": "server2", "file": "other"},
    ]
    check = {"type": "tcp", "interval": 0.2, "timeout": 1, "fall": 1, "rise": 1}
    daemon.configure(port, check=check, servers=servers, floor=1, slow_start=100)
    daemon.start(2)
    daemon.wait_for("0")
    (daemon.folder / "drain").touch()
    daemon.wait_for("-9")
    drained = next(one for one in json.loads((daemon.folder / "status.json").read_text())["checks"] if one["server"] == "server1")
    assert drained["drained"] and drained["share"] == 0
    deadline = time.monotonic() + 20
    while not (daemon.folder / "other").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (daemon.folder / "other").read_text().strip() == "0"


def test_what_the_director_lacks_is_no_servers_fault(daemon):
    """Its own address is not there yet, as at boot: nobody is taken out for it."""
    servers = [{"name": "server1", "address": "127.0.0.1", "port": 9, "weight": 10, "file": "track", "own": "192.0.2.11"}]
    daemon.configure(9, servers=servers)
    daemon.start()
    deadline = time.monotonic() + 20
    while daemon.status("unknown")["why"] == "not checked yet":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert daemon.status("unknown")["why"] == "this director can't ask from 192.0.2.11 (Cannot assign requested address)"
    assert daemon.track() == "0"


def test_many_checks_take_little_memory():
    """The unit has a limit. A context of TLS with the authorities' certificates takes a megabyte, and so does an hours-long playlist."""
    assert tls(False) is tls(False) and tls(False).get_ca_certs() == []
    held = []

    async def talk(reader, writer):
        if b"/seg/" in await reader.readuntil(b"\r\n\r\n"):
            held.append(sum(isinstance(thing, Segment) for thing in gc.get_objects()))
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nx")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + playlist(1, 1000).encode())

    assert check("hls", Server(talk=talk), path="/live.m3u8") == ["segment 1000"]
    assert held[0] < 1000, "no playlist is kept while its segment comes"


def test_a_configuration_that_is_none(tmp_path):
    done = subprocess.run(
        [*program.COMMAND, str(tmp_path / "none")],
        env=dict(os.environ, PYTHONPATH=program.install(tmp_path / "program")), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and "can't be used" in done.stderr and "Traceback" not in done.stderr


# --- what only a real socket, a real file or a real clock shows ---------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="marks need root")
def test_a_check_carries_the_mark_of_its_server(monkeypatch):
    """The mark takes it through the VIP to that server, and to no other."""
    marks = []

    async def run():
        async with Server({"/live.m3u8": "x"}) as place:
            place.mark = 0x4C000001
            connect = asyncio.get_running_loop().sock_connect

            async def seen(sock, address):
                marks.append(sock.getsockopt(socket.SOL_SOCKET, SO_MARK))
                await connect(sock, address)

            monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", seen)
            await place.get("/live.m3u8")
            with pytest.raises(Trouble):
                await Place("127.0.0.1", 9, mark=0x4C000002).ask(b"x")

    asyncio.run(run())
    assert marks == [0x4C000001, 0x4C000002]


def test_a_body_without_an_end_is_not_read_to_its_end():
    sent = []

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing() and len(sent) < 1000:
            writer.write(bytes(65536))
            await writer.drain()
            sent.append(65536)

    async def run():
        async with Server(talk=talk) as place:
            with pytest.raises(Unknown, match="longer than 100000 bytes"):
                await place.get("/x", limit=100_000)
            await asyncio.sleep(0.2)

    asyncio.run(run())
    # What the sockets of both sides hold on the way, and no more.
    assert sum(sent) < 100 * 65536


def one_server(folder, **more):
    return {
        "folder": str(folder), "services": [{
            "name": "live", "vip": "192.0.2.100", "floor": 0, "slow_start": 0,
            "check": {"type": "tcp", "interval": 1, "timeout": 1, "fall": 1, "rise": 1, **OUT_TOGETHER},
            "servers": [{"name": "server1", "address": "127.0.0.1", "port": 9, "weight": 10, "file": "track", **more}],
        }],
    }  # fmt: skip


def test_a_track_file_is_exchanged_and_never_half_written(tmp_path):
    """Who has it open, as keepalived for a moment, reads the old number whole."""
    (service,) = runner.Checker(one_server(tmp_path)).services
    service.servers["server1"].write(0.0)
    with open(tmp_path / "track") as before:
        service.servers["server1"].write(0.5)
        assert before.read() == OUT + "\n"
    assert (tmp_path / "track").read_text() == "-5\n" and not (tmp_path / "track.new").exists()


def test_the_file_of_a_server_that_left_goes(tmp_path):
    """Or it would hold down, or up, a later server of that name."""
    former = runner.Checker(one_server(tmp_path))
    former.services[0].servers["server1"].write(0.0)
    following = runner.Checker(one_server(tmp_path, name="server2", file="other"))
    following.take_over(former)
    assert not (tmp_path / "track").exists()


def saved(tmp_path, *results, ago=0.0, **check):
    """Two servers, of which the first had these results, saved this long ago; the first one as the next checker begins with it."""
    config = one_server(tmp_path)
    first = config["services"][0]["servers"][0]
    config["services"][0]["servers"].append({**first, "name": "server2", "file": "track2"})
    config["services"][0].update(slow_start=100)
    config["services"][0]["check"].update(check)
    former = runner.Checker(config)
    for result in results:
        former.services[0].servers["server1"].verdict.add(result, "why", time.monotonic() - 50, "stale")
    former.services[0].servers["server2"].verdict.add(True, "fine", time.monotonic() - 50)
    former.services[0].apply()
    former.save()
    path = tmp_path / runner.MEMORY
    path.write_text(json.dumps({**json.loads(path.read_text()), "at": time.time() - ago}))
    following = runner.Checker(config)
    following.recall()
    following.services[0].apply()
    assert not path.exists()
    return following.services[0].servers["server1"]


def test_a_restart_remembers_who_is_out_and_who_comes_back(tmp_path):
    """Else a server with a frozen playlist would get viewers until it has been seen to be frozen again."""
    out = saved(tmp_path, False)
    assert (out.verdict.state, out.verdict.why, out.verdict.kind, out.share) == ("down", "why", "stale", 0.0)
    assert (tmp_path / "track").read_text() == OUT + "\n" and (tmp_path / "track2").read_text() == "0\n"
    assert 49 < time.monotonic() - out.verdict.changed_at < 59
    back = saved(tmp_path, False, True)
    assert back.verdict.state == "up" and 0.49 < back.share < 0.6, "half of its slow start is over"
    assert saved(tmp_path, True).verdict.state == "unknown", "nothing is to be said of one that was always fine"
    assert saved(tmp_path, False, ago=runner.REMEMBERED + 1).verdict.state == "unknown"
    assert saved(tmp_path, False, ago=-5).verdict.state == "unknown", "the clock was set back"


def test_what_the_process_before_wrote_may_be_anything(tmp_path, capsys):
    checker = runner.Checker(one_server(tmp_path))
    one = {"service": "live", "vip": "192.0.2.100", "server": "server1", "state": "down", "why": "x", "kind": None, "since": 1}
    for text in ("", "[]", "{}", '{"at": "x"}', json.dumps({"at": time.time(), "checks": [{**one, "since": "x"}, 5]})):
        (tmp_path / runner.MEMORY).write_text(text)
        checker.recall()
    assert capsys.readouterr().out.count("can't be read") == 5
    for wrong in ({"state": "kept"}, {"server": "server9"}):
        (tmp_path / runner.MEMORY).write_text(json.dumps({"at": time.time(), "checks": [{**one, **wrong}]}))
        checker.recall()
    assert checker.services[0].servers["server1"].verdict.state == "unknown" and capsys.readouterr().out == ""


def test_where_all_fail_at_once_a_restart_remembers_nothing(tmp_path):
    checker = runner.Checker(one_server(tmp_path))
    (service,) = checker.services
    service.together.keep = True
    service.servers["server1"].verdict.add(False, "why", time.monotonic(), "stale")
    service.apply()
    assert service.together.kept
    checker.save()
    assert json.loads((tmp_path / runner.MEMORY).read_text())["checks"] == []


def test_a_daemon_that_is_restarted_has_its_files_before_it_is_ready(daemon):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        daemon.configure(closed.getsockname()[1])
    daemon.start()
    daemon.wait_for(OUT)
    assert daemon.end()[0] == 0
    daemon.heard.settimeout(0.2)
    daemon.hear_on()
    daemon.heard.settimeout(20)
    # As systemd does it when the unit stops.
    subprocess.run("rm -f %s/track %s/status.json" % (daemon.folder, daemon.folder), shell=True, check=True)
    config = json.loads(daemon.config.read_text())
    config["services"][0]["check"].update(interval=60)
    daemon.config.write_text(json.dumps(config))
    daemon.start()
    assert daemon.track() == OUT and daemon.status("down")["share"] == 0
    daemon.end()


def test_checks_are_spread_over_their_interval(tmp_path, monkeypatch):
    config = one_server(tmp_path)
    first = config["services"][0]["servers"][0]
    config["services"][0]["servers"] = [{**first, "name": "s%d" % number, "file": "t%d" % number} for number in range(50)]
    begun = []

    async def noted(server):
        begun.append(asyncio.get_running_loop().time())
        server.seconds = 0
        return looks.GOOD, "connected", None

    monkeypatch.setattr(server.Server, "check", noted)

    async def run():
        task = asyncio.ensure_future(runner.Checker(config).run())
        await asyncio.sleep(1.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert len(begun) >= 50 and sorted(begun)[40] - begun[0] > 0.4, "not all at once"


def test_a_check_never_falls_into_step(tmp_path, monkeypatch):
    """Checks that began together drift apart: the pauses between them are a little longer or shorter."""
    config = one_server(tmp_path)
    config["services"][0]["check"]["interval"] = 100
    pauses, sleep = [], asyncio.sleep

    async def noted(seconds):
        pauses.append(seconds)
        await sleep(0)

    async def good(server):
        server.seconds = 0
        return looks.GOOD, "connected", None

    monkeypatch.setattr(runner.asyncio, "sleep", noted)
    monkeypatch.setattr(server.Server, "check", good)

    async def run():
        task = asyncio.ensure_future(runner.Checker(config).run())
        while sum(seconds > 1 for seconds in pauses) < 50:  # those of 1 are between two looks at the ramps
            await sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    # The first one is the spread at the beginning.
    between = [seconds for seconds in pauses if seconds > 1][1:]
    assert all(94 < seconds < 106 for seconds in between) and max(between) - min(between) > 5


def test_the_status_is_exchanged_and_never_half_written(tmp_path):
    checker = runner.Checker(one_server(tmp_path))
    checker._write_status()
    with open(tmp_path / "status.json") as before:
        checker.services[0].servers["server1"].verdict.add(True, "connected", 0)
        checker._write_status()
        assert json.load(before)["checks"][0]["state"] == "unknown"
    assert json.loads((tmp_path / "status.json").read_text())["checks"][0]["state"] == "up"


def test_of_a_segment_the_beginning_is_enough():
    """It may be long, and a mount of Icecast has no end."""
    sent = []

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing() and len(sent) < 1000:
            writer.write(bytes(65536))
            await writer.drain()
            sent.append(65536)

    async def run():
        async with Server(talk=talk) as place:
            assert (await place.get("/x", limit=0, enough=1)).size
            await asyncio.sleep(0.2)

    asyncio.run(run())
    assert sum(sent) < 100 * 65536


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_a_reload_follows_the_port_of_the_metrics(daemon):
    one, two = free_port(), free_port()

    def said(port):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def reload(port):
        daemon.configure(1, metrics_port=port)
        daemon.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while [number for number in (one, two) if said(number)] != [number for number in (one, two) if number == port]:
            assert time.monotonic() < deadline, port
            time.sleep(0.05)
        assert daemon.status("down")["state"] == "down" and daemon.track() == OUT

    daemon.configure(1)
    daemon.start()
    threading.Thread(target=daemon.hear_on, daemon=True).start()
    daemon.wait_for(OUT)
    reload(one)
    deadline = time.monotonic() + 20
    while 'lvsdr_server_up{server="server1",service="live",vip="192.0.2.100"} 0.0' not in said(one):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    reload(two)
    reload(0)
    reload(one)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        daemon.configure(1, metrics_port=taken.getsockname()[1])
        daemon.process.send_signal(signal.SIGHUP)
        while said(one):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert daemon.status("down")
        reload(two)
    code, out = daemon.end()
    assert code == 0 and out.count("is down") == 1, "what was known of the server stayed known"
    assert [line for line in out.splitlines() if "metrics" in line] == ["<4>Continuing without metrics: [Errno 98] Address already in use"]


def test_a_director_without_prometheus_client_goes_on(daemon):
    (daemon.folder / "lib").mkdir()
    (daemon.folder / "lib" / "prometheus_client.py").write_text("raise ImportError('none here')")
    daemon.configure(1, metrics_port=free_port())
    daemon.start()
    daemon.wait_for(OUT)
    code, out = daemon.end()
    assert code == 0 and "<4>Continuing without metrics: none here" in out.splitlines()


def test_a_server_that_never_answers_costs_no_more_than_a_connection_may():
    """As one without power: nothing comes back for the first packet. Here the queue of a program that accepts nobody is full."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            sock = waiting.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        place = looks.place_of(dict(zip(("address", "port"), listener.getsockname())), {"type": "tcp", "timeout": 2})
        result, why, kind = asyncio.run(looks.look(protocols.Tcp({}), place, 0.0, 2))
    assert (result, kind) == (looks.BAD, "connection") and why.endswith("within 1.5 s")


def test_a_server_that_is_undrained_comes_back_slowly(tmp_path):
    options = {"name": "live", "vip": "192.0.2.100", "check": {
        "type": "tcp", "interval": 1, "timeout": 1, "fall": 1, "rise": 1}, "slow_start": 1000}  # fmt: skip
    drain, spare = tmp_path / "drained-a", tmp_path / "spare-a"
    one = server.Server(options, {
        "name": "a", "weight": 100, "file": "track", "address": "192.0.2.21", "port": 80, "agent": "192.0.2.21",
        "weight_files": [str(drain), str(spare)]}, str(tmp_path))  # fmt: skip
    one.judge(looks.GOOD, "fine", None)
    one.look_for_drain()
    assert one.verdict.share(time.monotonic()) == 1, "a checker that begins finds servers at their full weight"
    for path in (drain, spare):
        path.write_text("")
        one.look_for_drain()
        assert one.drained and one.wants() == 0
        path.unlink()
    one.look_for_drain()
    assert not one.drained and one.verdict.share(time.monotonic()) == verdicts.RAMP_FROM
