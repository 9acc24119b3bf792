"""Writes tests/proxies/players.json: what real players and encoders ask a server for. Run by hand where one of them changes.

    python tests/proxies/record.py

ffmpeg, VLC (packages vlc-bin, vlc-plugin-base), and hls.js and dash.js in Chromium play a live stream of this machine: HLS, LL-HLS, DASH, a
file with ranges, signed URLs, CMCD in the query and in headers. ffmpeg puts HLS and DASH as an encoder does, and Chromium asks for WHIP and
WHEP with the offer of a real connection. Kept is each kind of request once: numbers in targets are replaced in the test.
"""

import contextlib
import http.server
import json
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "build" / "players" / "node_modules"
SCRIPTS = {"/hls.js": "hls.js/dist/hls.min.js", "/dash.js": "dashjs/dist/modern/umd/dash.all.min.js"}
HOST = "live.example.com"
SIGNED = "Policy=eyJTdGF0ZW1lbnQiOlt7IlJlc291cmNlIjoiaHR0cCovLyoifV19&Signature=Q0xPVUQtc2lnbmF0dXJl~aGVyZQ__&Key-Pair-Id=K2JCJMDEHXQW5F"
PART, PARTS = 0.5, 4
INPUT = ["-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=24", "-f", "lavfi", "-i", "sine"]
CODEC = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "12", "-c:a", "aac"]
PAGE = "<!doctype html><script src=/hls.js></script><script src=/dash.js></script><video id=v muted></video>"
HLS = "url => { window.hls = new Hls(%s); hls.loadSource(url); hls.attachMedia(v); v.play().catch(() => 0); }"
DASH = "url => { window.d = dashjs.MediaPlayer().create(); d.updateSettings(%s); d.initialize(v, url, true); }"
WEBRTC = """async url => {
  const pc = new RTCPeerConnection(); pc.addTransceiver('video', {direction: 'recvonly'});
  pc.addTransceiver('audio', {direction: 'recvonly'});
  const offer = await pc.createOffer(); await pc.setLocalDescription(offer);
  const headers = {'Content-Type': 'application/sdp', Authorization: 'Bearer eyJhbGciOiJIUzI1NiJ9.e30.x'};
  await fetch(url, {method: 'POST', headers, body: offer.sdp});
  const frag = 'a=ice-ufrag:EsAw\\r\\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\\r\\nm=audio 9 UDP/TLS/RTP/SAVPF 0\\r\\na=mid:0\\r\\n' +
    'a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\\r\\na=end-of-candidates\\r\\n';
  await fetch(url + '/1', {method: 'PATCH', headers: {'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '"1"'}, body: frag});
  await fetch(url + '/1', {method: 'DELETE'});
}"""


class Origin(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder):
        self.folder, self.player, self.found, self.began = folder, "", {}, time.time()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def low_latency(self, query):
        """A playlist with parts, which waits for the part that it is asked for."""
        names = re.search(r"_HLS_msn=(\d+)(?:&_HLS_part=(\d+))?", query)
        wanted = (int(names[1]) * PARTS + int(names[2] or PARTS - 1) + 1) if names else 3 * PARTS
        while True:
            ready = len(list(self.folder.glob("part*.ts"))) - 1
            if ready >= wanted:
                break
            time.sleep(0.05)
        first = max(0, ready // PARTS - 6)
        lines = ["#EXTM3U", "#EXT-X-VERSION:9", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:%d" % first,
                 "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5", "#EXT-X-PART-INF:PART-TARGET=0.5"]  # fmt: skip
        for number in range(first * PARTS, ready):
            lines.append('#EXT-X-PART:DURATION=0.5,INDEPENDENT=YES,URI="part%05d.ts"' % number)
            if number % PARTS == PARTS - 1:
                lines += ["#EXTINF:2.0,", "whole%d.ts" % (number // PARTS)]
        return ("\n".join(lines) + "\n").encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            out = b""
            while True:
                size = int(self.rfile.readline(), 16)
                out += self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    return out
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self):
        target, _sep, query = self.path.partition("?")
        origin, body = self.server, self.body()
        if target not in (*SCRIPTS, "/", "/favicon.ico"):
            headers = [[name, value.replace("127.0.0.1:%d" % origin.server_port, HOST)] for name, value in self.headers.items()]
            kind = (origin.player, self.command, re.sub(r"\d+", "0", self.path))
            text = body.decode() if body[:1] and not re.search(rb"[^\t\r\n\x20-\x7e]", body) else ""
            origin.found.setdefault(
                kind, {"player": origin.player, "method": self.command, "target": self.path, "headers": headers, "body": text}
            )
        if self.command in ("PUT", "POST", "PATCH", "DELETE"):
            return self.reply(201, b"", {"Location": target + "/1"})
        if target == "/":
            return self.reply(200, PAGE.encode(), {"Content-Type": "text/html"})
        if target in SCRIPTS:
            return self.reply(200, (PACKAGES / SCRIPTS[target]).read_bytes(), {"Content-Type": "text/javascript"})
        if target == "/ll.m3u8":
            return self.reply(200, origin.low_latency(query))
        whole = re.fullmatch(r"/whole(\d+)\.ts", target)
        if whole:
            parts = (origin.folder / ("part%05d.ts" % (int(whole[1]) * PARTS + number)) for number in range(PARTS))
            return self.reply(200, b"".join(part.read_bytes() for part in parts))
        path = origin.folder / target.lstrip("/")
        if not path.is_file():
            return self.reply(404, b"")
        data = path.read_bytes()
        if target.endswith(".m3u8") and "Signature" in query:
            data = re.sub(rb"(?m)^(seg\S+)$", lambda found: found[1] + b"?" + query.encode(), data)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked:
            first, last = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
            return self.reply(206, data[first : last + 1], {"Content-Range": "bytes %d-%d/%d" % (first, last, len(data))})
        return self.reply(200, data)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_OPTIONS = answer

    def reply(self, status, body, headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Accept-Ranges": "bytes", **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(OSError):
                self.wfile.write(body)

    def log_message(self, *_args):
        pass


def run(*command, seconds=8):
    """A program that plays until it is stopped."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    if process.poll() is None:
        process.terminate()
        process.wait()


def play(origin, url):
    for name, path in (
        ("hls", "/live.m3u8"), ("signed hls", "/live.m3u8?" + SIGNED), ("low latency", "/ll.m3u8"), ("dash", "/live.mpd"),
        ("ranges", "/film.mp4"),
    ):  # fmt: skip
        origin.player = "ffmpeg, " + name
        run("ffmpeg", "-v", "error", "-nostdin", "-i", url + path, "-t", "6", "-f", "null", "-")
        origin.player = "vlc, " + name
        vlc = ["cvlc", "-q", "--intf", "dummy", "--vout", "dummy", "--aout", "dummy", "--run-time", "6", url + path, "vlc://quit"]
        run("setpriv", "--reuid=nobody", "--clear-groups", "env", "HOME=/tmp", *vlc, seconds=12)
    for name, muxer in (
        ("hls", ["-f", "hls", "-hls_time", "1", "-method", "PUT", url + "/ingest/a.m3u8"]),
        ("dash", ["-f", "dash", "-method", "PUT", "-http_persistent", "1", "-streaming", "1", url + "/ingest/a.mpd"]),
    ):
        origin.player = "ffmpeg, ingest of " + name
        run("ffmpeg", "-v", "error", "-nostdin", *INPUT, "-t", "4", *CODEC, *muxer)


def browse(origin, url):
    cmcd = "{cmcd: {sessionId: '6e2fb550-c457-11e9-bb97-0800200c9a66', contentId: 'live one', useHeaders: %s}%s}"
    dash_cmcd = "{streaming: {cmcd: {enabled: true, sid: '6e2fb550-c457-11e9-bb97-0800200c9a66', cid: 'live one', mode: 'query'}}}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        for name, script, path in (
            ("hls.js", HLS % "{}", "/live.m3u8"), ("hls.js, signed", HLS % "{}", "/live.m3u8?" + SIGNED),
            ("hls.js, low latency", HLS % "{lowLatencyMode: true}", "/ll.m3u8"),
            ("hls.js, CMCD in the query", HLS % (cmcd % ("false", "")), "/live.m3u8"),
            ("hls.js, low latency with CMCD in the query", HLS % (cmcd % ("false", ", lowLatencyMode: true")), "/ll.m3u8"),
            ("hls.js, CMCD in headers", HLS % (cmcd % ("true", "")), "/live.m3u8"),
            ("dash.js", DASH % "{}", "/live.mpd"), ("dash.js, CMCD in the query", DASH % dash_cmcd, "/live.mpd"),
            ("chromium, ranges", "url => { v.src = url; v.play().catch(() => 0); }", "/film.mp4"),
            ("chromium, WHEP", WEBRTC, "/live/whep"), ("chromium, WHIP", WEBRTC, "/live/whip"),
        ):  # fmt: skip
            origin.player = name
            page = browser.new_page()
            page.goto(url + "/")
            page.evaluate(script, url + path)
            page.wait_for_timeout(6000)
            page.close()
        browser.close()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        parts = ["-f", "segment", "-segment_time", str(PART), str(folder / "part%05d.ts")]
        hls = [
            "-f",
            "hls",
            "-hls_time",
            "1",
            "-hls_list_size",
            "6",
            "-hls_segment_filename",
            str(folder / "seg%05d.ts"),
            str(folder / "live.m3u8"),
        ]
        dash = ["-f", "dash", "-seg_duration", "1", "-window_size", "6", str(folder / "live.mpd")]
        encoders = [
            subprocess.Popen(["ffmpeg", "-v", "error", "-nostdin", *INPUT, *CODEC, *muxer], stderr=subprocess.DEVNULL)
            for muxer in (parts, hls, dash)
        ]
        run(
            "ffmpeg",
            "-v",
            "error",
            "-nostdin",
            *INPUT[1:],
            "-t",
            "20",
            *CODEC,
            "-movflags",
            "+faststart",
            str(folder / "film.mp4"),
            seconds=60,
        )
        time.sleep(8)
        origin = Origin(folder)
        url = "http://127.0.0.1:%d" % origin.server_port
        play(origin, url)
        browse(origin, url)
        for process in encoders:
            process.terminate()
            process.wait()
        out = sorted(origin.found.values(), key=lambda one: (one["player"], one["target"], one["method"]))
        (Path(__file__).parent / "players.json").write_text(json.dumps(out, indent=1) + "\n")
        print("%d requests of %d players" % (len(out), len({one["player"] for one in out})))


if __name__ == "__main__":
    main()
