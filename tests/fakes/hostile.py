"""Servers for the stream checker, each kind on a port of its own: good ones that take their time, and such as are after the checker.

Run as a program with ``healthy`` or ``hostile`` and the folder of a TLS server's certificate; it prints the ports as JSON.
"""

import asyncio
import contextlib
import functools
import gzip
import itertools
import json
import sys
import time
import zlib

LIMIT = 512 << 10
# What a healthy server takes for each request.
PAUSE = 0.4
HEALTHY = 12
OK = b"HTTP/1.1 200 OK\r\n\r\n"
# As a terminal, a journal or a log file might obey them.
WICKED = (
    b"\x1b[2J", b"\x00", b"\x07", b"\n<0>injected", b"\r<0>injected", b"\r\n<0>injected", b"\x85<0>injected", b"\x9b31m", b"\x0b<0>more",
    b"\x0c<0>injected", b"\xe2\x80\xa8<0>injected", b"\xe2\x80\xae", b"%s%n", b"\xff\xfe", b"\x7f", b"\t<0>injected",
)  # fmt: skip


def playlist(segment="/%d.ts", more=""):
    """One that moves each second."""
    first = int(time.time())
    segments = "".join("#EXTINF:1,\n%s\n" % (segment % number) for number in range(first, first + 6))
    return ("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:%d\n%s%s" % (first, more, segments)).encode()


def filled(head, unit, tail=b"", limit=LIMIT):
    """head, tail, and between them as often unit as there is room."""
    return head + unit * ((limit - len(head) - len(tail)) // len(unit)) + tail


def manifest(timeline=b"", periods=b"", head=b""):
    one = (
        b'<Period><AdaptationSet><SegmentTemplate media="/$Time$.m4s" timescale="1000"><SegmentTimeline>%s</SegmentTimeline>'
        b'</SegmentTemplate><Representation id="1"/></AdaptationSet></Period>'
    )
    return b'%s<MPD type="dynamic">%s%s</MPD>' % (head, periods, one % timeline)


BOMB = (
    '<?xml version="1.0"%s?><!DOCTYPE MPD [<!ENTITY a0 "ha">'
    + "".join('<!ENTITY a%d "%s">' % (level, "&a%d;" % (level - 1) * 10) for level in range(1, 12))
    + ']><MPD type="dynamic"><Period>&a11;</Period></MPD>'
)


def packed(mebibytes):
    """So many of zeros as gzip, without its end. After a full flush one block is as the other, so one is packed alone."""
    pack = zlib.compressobj(9, wbits=31)
    head = pack.compress(b"#") + pack.flush(zlib.Z_FULL_FLUSH)
    return head + (pack.compress(bytes(1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH)) * mebibytes


async def drip(writer, unit, pause=0.05):
    while not writer.is_closing():
        writer.write(unit)
        await writer.drain()
        await asyncio.sleep(pause)


async def flood(writer, unit):
    while not writer.is_closing():
        writer.write(unit)
        await writer.drain()


def page(*bodies, head=OK):
    """A server that says these by turns, whatever it is asked."""
    bodies = itertools.cycle(bodies)

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + next(bodies))

    return talk


def after(words, what, *how):
    """A server that says these words, and then drips or floods."""

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(words)
        await what(writer, *how)

    return talk


def at_once(what, *how):
    """A server that does not wait for a question."""

    async def talk(reader, writer):
        await what(writer, *how)

    return talk


async def silent(reader, writer):
    await reader.read()


async def close(reader, writer):
    writer.transport.abort()


async def say_goodbye(reader, writer):
    await reader.readuntil(b"\r\n\r\n")


def spelled(form):
    return [form % wicked for wicked in WICKED]


HLS = {"type": "hls", "path": "/live.m3u8"}
TLS = {**HLS, "tls": True}
DASH = {"type": "dash", "path": "/live.mpd"}
RTSP = {"type": "rtsp", "path": "/live"}
AGENT = {"type": "tcp", "agent": {"smoothing": 1, "step": 0.1}}
PAGE = {"path": "/", "status": "200"}
M3U = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
ENTRY = b"#EXTINF:1\na\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
PERIOD = b"<Period><AdaptationSet><Representation/></AdaptationSet></Period>"


def http(match):
    return {"type": "http", "urls": [{**PAGE, "match": match}]}


@functools.lru_cache(None)
def hostile():
    """{name: (options of the check, what the server does)}"""
    doubled = b"".join(b'#EXT-X-DEFINE:NAME="a%d",VALUE="%s"\n' % (level, b"{$a%d}" % (level - 1) * 10) for level in range(1, 12))
    doubled = b'#EXT-X-DEFINE:NAME="a0",VALUE="haha"\n' + doubled
    return {
        "long": (HLS, page(filled(M3U, ENTRY, limit=4 << 20))),
        "endless": (HLS, after(OK + M3U, drip, ENTRY)),
        "flood": (HLS, after(OK + M3U, flood, ENTRY * 1000)),
        "lines": (HLS, page(filled(M3U, b"\n", ENTRY))),
        "comments": (HLS, page(filled(M3U, b"#\n", ENTRY))),
        "addresses": (HLS, page(filled(M3U, b"a\n", ENTRY))),
        "segments": (HLS, page(filled(M3U, ENTRY))),
        "variants": (HLS, page(filled(b"#EXTM3U\n", b"#EXT-X-STREAM-INF\na\n"))),
        "attributes": (HLS, page(filled(M3U + b"#EXT-X-DEFINE:", b"A", b"\n" + ENTRY))),
        "defines": (HLS, page(M3U + doubled + b"#EXTINF:1\n{$a11}\n")),
        "bomb": (DASH, page((BOMB % "").encode())),
        "bomb16": (DASH, page((BOMB % ' encoding="UTF-16"').encode("utf-16"))),
        "bomb_late": (DASH, page(filled(b"<!--", b" ", b"-->" + (BOMB % "").partition("?>")[2].encode()))),
        "timeline": (DASH, page(manifest(b'<S d="1000"/>' * 40000)[:LIMIT])),
        "timeline_whole": (DASH, page(manifest(b'<S d="2"/>' * 51000))),
        "periods": (DASH, page(filled(b'<MPD type="dynamic">', PERIOD, b"</MPD>"))),
        "bases": (DASH, page(manifest(periods=b"<BaseURL/>" * 51000))),
        "nested": (DASH, page(filled(b'<MPD type="dynamic">', b"<a>"))),
        "backtracks": (http("(a+)+$"), page(b"a" * 65000 + b"b")),
        "backtracks2": (http("(a+)+$"), page(b"a" * 65000 + b"b")),
        "backtracks3": (http("(.*)*x.*y$"), page(b"x" * 65000)),
        "searches": (http("status.*ok"), page(b"status" * 10000)),
        "tls_silent": (TLS, silent),
        "tls_drips": (TLS, at_once(drip, b"\x16\x03\x03\x3f\xff" + bytes(3))),
        "tls_floods": (TLS, at_once(flood, b"\x15\x03\x03\x00\x02\x01\x5a" * 1000)),
        "head_drips": (HLS, after(b"HTTP/1.1 200 OK\r\n", drip, b"X-More: 1\r\n")),
        "head_floods": (HLS, after(b"HTTP/1.1 200 OK\r\n", flood, b"X-More: 1\r\n" * 1000)),
        "head_long": (HLS, page(b"", head=b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * (1 << 20) + b"\r\n\r\n")),
        "head_many": (HLS, page(b"", head=filled(b"HTTP/1.1 200 OK\r\n", b"a:\r\n", b"\r\n", limit=65000))),
        "head_hundreds": (HLS, after(b"", flood, b"HTTP/1.1 100 Continue\r\n\r\n" * 100)),
        "reasons": (HLS, page(*spelled(b"HTTP/1.1 500 a%sb\r\n\r\n"), head=b"")),
        "status_lines": (HLS, page(*spelled(b"HTTP/1.1 %s\r\n\r\n"), head=b"")),
        "redirects_wicked": (HLS, page(*spelled(b"HTTP/1.1 302 Found\r\nLocation: /a%sb\r\n\r\n"), head=b"")),
        "redirects_away": (HLS, page(*spelled(b"HTTP/1.1 302 Found\r\nLocation: http://a%sb/\r\n\r\n"), head=b"")),
        "first_lines": (HLS, page(*spelled(b"%s <html>"))),
        "segments_wicked": (HLS, page(*spelled(M3U + b"#EXTINF:1\n/a%sb\n"))),
        "manifests_wicked": (DASH, page(*spelled(b'<MPD type="a%sb"/>'))),
        "lengths": (RTSP, page(b"RTSP/1.0 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", head=b"")),
        "descriptions": (RTSP, page(*spelled(b"RTSP/1.0 500 a%sb\r\n\r\n"), head=b"")),
        "challenges": (RTSP, page(b"RTSP/1.0 401 No\r\nWWW-Authenticate: Digest " + b"a" * 60000 + b"\r\n\r\n", head=b"")),
        "agent_long": (AGENT, at_once(flood, b"x" * 65536)),
        "agent_wicked": (AGENT, at_once_by_turns(spelled(b"up%s 50%%\n") + spelled(b"%s\n") + spelled(b"drain # %s\n"))),
        "gzip": (HLS, page(packed(500), head=GZIP)),
        "gzip_tail": (HLS, after(GZIP + gzip.compress(b"#EXTM3U"), flood, bytes(65536))),
        "gzip_empty": (HLS, after(GZIP + packed(0), flood, b"\x00\x00\x00\xff\xff" * 10000)),
        "redirects": (HLS, page(b"", head=b"HTTP/1.1 302 Found\r\nLocation: /live.m3u8\r\n\r\n")),
        "redirects_long": (HLS, page(b"", head=b"HTTP/1.1 302 Found\r\nLocation: /" + b"x" * 60000 + b"\r\n\r\n")),
        "chunk_absurd": (HLS, page(b"", head=CHUNKED + b"FFFFFFFFFFFFFFFFFFFF\r\n" + b"x" * 100000)),
        "chunk_longer": (HLS, page(b"", head=CHUNKED + b"F" * 60000 + b"\r\n")),
        "chunk_negative": (HLS, page(b"", head=CHUNKED + b"-1\r\nx")),
        "chunk_tiny": (HLS, after(CHUNKED, flood, b"1\r\n#\r\n" * 10000)),
        "length_absurd": (HLS, page(b"x", head=b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n")),
        "closes": (HLS, close),
        "says_nothing": (HLS, say_goodbye),
        "talks_first": (HLS, at_once(flood, b"220 hello\r\n" * 1000)),
    }  # fmt: skip


def at_once_by_turns(lines):
    lines = itertools.cycle(lines)

    async def talk(reader, writer):
        writer.write(next(lines))

    return talk


async def live(reader, writer):
    """A healthy server."""
    path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
    await asyncio.sleep(PAUSE)
    writer.write(OK + (playlist() if path.endswith(b".m3u8") else b"status: ok"))


async def serve(kinds):
    ports = {}

    async def start(name, talk):
        async def guarded(reader, writer):
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await talk(reader, writer)
                if not writer.is_closing():
                    await writer.drain()
            writer.close()

        server = await asyncio.start_server(guarded, "127.0.0.1", 0)
        ports[name] = server.sockets[0].getsockname()[1]
        return server

    servers = [await start(name, talk) for name, talk in kinds.items()]
    print(json.dumps(ports), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main(which):
    if which == "healthy":
        kinds = {"server%d" % number: live for number in range(HEALTHY)}
    else:
        kinds = {name: talk for name, (_check, talk) in hostile().items()}
    asyncio.run(serve(kinds))


if __name__ == "__main__":
    main(sys.argv[1])
