"""main() of stream_probe against a real HTTP server on 127.0.0.1, each path of which is a stream with one trouble."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible.modules import stream_probe
from fakes.tls import NAME, authority, self_signed
from said import id_of

SEGMENT = b"x" * 1000
VOD = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n" + "".join(f"#EXTINF:2,\n/segment/{n}.ts\n" for n in range(20)) + "#EXT-X-ENDLIST\n"


def live(sequence, count=3, target=0, name="/segment/%d.ts"):
    # A target duration of 0 is lawful, and here it makes a player hurry.
    lines = ["#EXTM3U", f"#EXT-X-TARGETDURATION:{target}", f"#EXT-X-MEDIA-SEQUENCE:{sequence}"]
    for number in range(sequence, sequence + count):
        lines += ["#EXTINF:0.5,", name % number]
    return "\n".join(lines) + "\n"


def manifest(begin, kind="dynamic"):
    """A live DASH manifest of the last five segments of 0.5 s; of a recording ten."""
    end = int((time.time() - begin) / 0.5) + 8 if kind == "dynamic" else 10
    first = max(0, end - 5) if kind == "dynamic" else 0
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="%s" minimumUpdatePeriod="PT0.2S"><Period start="PT0S">'
        '<AdaptationSet mimeType="video/mp4"><Representation id="v"><SegmentTemplate timescale="2" media="/segment/$Time$.m4s" '
        'initialization="/segment/init.mp4"><SegmentTimeline><S t="%d" d="1" r="%d"/></SegmentTimeline></SegmentTemplate></Representation>'
        "</AdaptationSet></Period></MPD>" % (kind, first, end - first - 1)
    )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A body and its end are two segments on the wire, and Nagle would hold back the second.
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.connections += 1

    def log_message(self, *_args):
        pass

    def answer(self, body=b"", status=200, length=None, **headers):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("X-Served-By", f"server{len(self.server.asked) % 2}")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.hosts.append(self.headers["Host"])
        times = self.server.asked.count(self.path)
        kind = self.path.split("/")[1]
        if kind == "segment":
            self.answer(SEGMENT)
        elif kind == "vod":
            self.answer(VOD)
        elif kind == "live":
            self.answer(live(times))
        elif kind == "dash":
            self.answer(manifest(self.server.begin, "static" if "vod" in self.path else "dynamic"))
        elif kind == "ranges":
            self.answer(
                '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI="/segment/init"\n#EXTINF:2,\n#EXT-X-BYTERANGE:9@1\n/range\n#EXT-X-ENDLIST'
            )
        elif kind == "range":
            assert self.headers["Range"] == "bytes=1-9"
            self.answer(SEGMENT[:9], 206)
        elif kind == "stale":
            self.answer(live(1))
        elif kind == "restart":
            self.answer(live(500 if times == 1 else times))
        elif kind == "hiccup":
            self.answer(live(times)) if times != 2 else self.answer(status=502)
        elif kind == "master":
            self.answer("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/vod/x.m3u8\n")
        elif kind == "mirror":
            self.answer("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/mirror/x.m3u8\n")
        elif kind == "redirect":
            self.answer(status=302, Location="/vod/x.m3u8")
        elif kind == "loop":
            self.answer(status=302, Location="/loop")
        elif kind == "login":
            self.answer(status=301, Location="http://viewer:Hunter2@127.0.0.1/x")
        elif kind == "secret":
            self.answer(VOD.replace("/segment/", "http://viewer:Hunter2@127.0.0.1/segment/"))
        elif kind == "away":
            self.answer(status=301, Location="ftp://127.0.0.1/x")
        elif kind == "page":
            self.answer("<html>hello</html>")
        elif kind == "latin1":
            self.answer(b"#EXTM3U\n# caf\xe9\n")
        elif kind == "holes":
            self.answer(VOD.replace("/segment/1.ts", "/none.ts"))
        elif kind == "torn":
            self.answer(VOD.replace("/segment/", "/cut/"))
        elif kind == "cut":
            self.answer(SEGMENT, length=5000)
            self.close_connection = True
        elif kind == "once":
            self.answer(VOD.replace("/segment/1.ts", "/cutonce"))
        elif kind == "cutonce":
            self.answer(SEGMENT, length=5000 if times == 1 else None)
            self.close_connection = True
        elif kind == "drip":
            self.send_response(200)
            self.end_headers()
            try:
                while not self.server.over.wait(0.02):
                    self.wfile.write(b"#")
            except OSError:
                pass
            self.close_connection = True
        elif kind == "idle":
            # Ends the connection after the answer without having said so.
            self.answer(VOD.replace("/segment/", "/idle/") if times == 1 and self.path == "/idle/x.m3u8" else SEGMENT)
            self.close_connection = True
        elif kind == "huge":
            self.answer(b"#EXTM3U\n" + b"#" * (5 << 20))
        elif kind == "silence":
            self.close_connection = True
        elif kind == "noise":
            self.wfile.write(b"220 mail.example.com\r\n")
            self.close_connection = True
        else:
            self.answer("nothing here", 404)


@pytest.fixture
def server():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.asked, httpd.hosts, httpd.connections, httpd.over = [], [], 0, threading.Event()
    httpd.begin = time.time()
    httpd.url = f"http://127.0.0.1:{httpd.server_port}"
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield httpd
    httpd.over.set()
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def run(capsys):
    """Runs the module and returns its result."""

    def run(url, **options):
        with patch_module_args({"url": url, "timeout": 2, **options}), pytest.raises(SystemExit) as ended:
            stream_probe.main()
        result = json.loads(capsys.readouterr().out)
        assert ended.value.code == (1 if result.get("failed") else 0)
        assert "exception" not in result and "Traceback" not in json.dumps(result)
        return result

    return run


def test_a_recording_plays(server, run):
    result = run(server.url + "/vod/x.m3u8")
    assert not result.get("failed") and result["changed"] is False
    assert (result["segments"], result["bytes"], result["played_seconds"], result["target_duration"]) == (5, 5000, 10, 2)
    assert (result["stalls"], result["jumps"], result["reloads"], result["problems"]) == (0, 0, 0, [])
    assert result["startup_seconds"] < 2
    assert sum(result["servers"].values()) == 5
    assert server.connections == 6, "each request has a connection of its own"


def test_a_live_stream_plays(server, run):
    result = run(server.url + "/live/x.m3u8", duration=3)
    assert not result.get("failed"), result
    assert result["segments"] == 6
    assert result["reloads"] >= 2
    assert [p for p in server.asked if "segment" in p] == [f"/segment/{n}.ts" for n in range(1, 7)]


def test_check_mode_plays_too(server, run):
    assert run(server.url + "/vod/x.m3u8", segments=2, _ansible_check_mode=True)["segments"] == 2


@pytest.mark.parametrize("path", ["/master/x.m3u8", "/redirect/x.m3u8"])
def test_indirect_addresses(server, run, path):
    assert run(server.url + path, segments=2)["segments"] == 2


def test_byte_ranges_and_init_segments(server, run):
    assert run(server.url + "/ranges/x.m3u8")["bytes"] == 1009


def test_keepalive_is_one_connection(server, run):
    assert run(server.url + "/vod/x.m3u8", keepalive=True)["segments"] == 5
    assert server.connections == 1


def test_an_idle_connection_may_end(server, run):
    result = run(server.url + "/idle/x.m3u8", keepalive=True, segments=3)
    assert (result["segments"], result["problems"]) == (3, [])


def test_another_place_to_connect_to(server, run):
    result = run(f"http://stream.invalid:{server.server_port}/vod/x.m3u8", connect_to="127.0.0.1", source="127.0.0.1", segments=1)
    assert result["segments"] == 1
    assert set(server.hosts) == {f"stream.invalid:{server.server_port}"}


@pytest.mark.parametrize(
    ("path", "id", "words"),
    [
        ("/none.m3u8", "playlist-not-served", "answers 404 Not Found"),
        ("/page", "playlist-invalid", "begins with '<html>hello</html>' and not with #EXTM3U"),
        ("/latin1", "playlist-invalid", "neither #EXT-X-TARGETDURATION nor variants"),
        ("/huge", "playlist-too-long", ""),
        ("/loop", "too-many-redirects", "5 times"),
        ("/away", "url-not-http", "'ftp://127.0.0.1/x'"),
        ("/mirror/x.m3u8", "master-playlist-nested", ""),
        ("/silence", "url-not-loaded", "ended the connection without an answer"),
        ("/noise", "url-not-loaded", "the answer is not HTTP"),
        ("/cut", "url-not-loaded", "it broke off with 4000 bytes missing"),
    ],
)
def test_what_cannot_be_played_is_said_in_one_sentence(server, run, path, id, words):
    result = run(server.url + path)
    assert result["failed"] and words in result["msg"] and id_of(result["msg"]) == id
    assert "\n" not in result["msg"]
    assert (result["segments"], result["startup_seconds"], result["problems"]) == (0, None, [])


@pytest.mark.parametrize(
    ("url", "options", "id", "words"),
    [
        ("rtmp://host/live", {}, "url-not-http", ""),
        ("nonsense", {}, "url-not-http", ""),
        ("http://[::1/x", {}, "url-invalid", ""),
        ("http://host:99999/x", {}, "url-invalid", ""),
        ("http://" + "ä" * 99 + "/x", {}, "url-invalid", ""),
        ("http://ho st/x", {"connect_to": "127.0.0.1"}, "url-invalid", "'ho st' is not a valid label"),
        ("http://%s.example/x" % ("a" * 64), {}, "url-invalid", "has a label of 64 characters"),
        ("http://%s/x" % ".".join(["a" * 49] * 6), {}, "url-invalid", "has 299 characters"),
        ("http://a..b/x", {}, "url-invalid", "has an empty label"),
        ("http://.b/x", {}, "url-invalid", "has an empty label"),
        ("http://[2001:db8::g]/x", {}, "url-invalid", ""),
        ("http://a\ud800b/x", {}, "not-utf-8", "character 9"),
        ("http://127.0.0.1:1/x\ny", {}, "url-invalid", "it has a control character"),
        ("http://h/\ud800", {}, "not-utf-8", "character 10"),
        ("http://127.0.0.1:1/x", {"connect_to": "a" * 64}, "host-invalid", "connect_to: '%s' " % ("a" * 64)),
        ("http://127.0.0.1:1/x", {"source": "a..b"}, "source-invalid", "source: 'a..b' "),
        ("http://127.0.0.1:1/x", {"max_stalls": -1}, "too-small", "max_stalls: must be at least 0, not -1"),
        ("http://127.0.0.1:1/x", {"min_segments": -1}, "too-small", "min_segments: "),
        ("http://127.0.0.1:1/x", {}, "url-not-loaded", ": Connection refused"),
        ("http://127.0.0.1:1/x", {"source": "192.0.2.1"}, "url-not-loaded", ""),
        ("http://127.0.0.1:1/x", {"duration": 0}, "out-of-range", "duration: "),
        ("http://127.0.0.1:1/x", {"duration": "nan"}, "out-of-range", "duration: "),
        ("http://127.0.0.1:1/x", {"timeout": -1}, "out-of-range", "timeout: "),
        ("http://127.0.0.1:1/x", {"segments": 0}, "too-small", "segments: must be at least 1, not 0"),
    ],
)
def test_wrong_values(run, url, options, id, words):
    result = run(url, **options)
    assert result["failed"] and words in result["msg"] and id_of(result["msg"]) == id
    assert "Error" not in result["msg"] and "codec" not in result["msg"], "Python's words help no operator"


@pytest.mark.parametrize(
    "url",
    [
        "http://viewer:Hunter2@127.0.0.1:1/x", "http://Hunter2@127.0.0.1:1/x", "http://viewer:Hunter2@h:99999/x", "http://viewer:Hun/ter2@h/x",
        "http://viewer:Hunter2@[::1/x", "ftp://viewer:Hunter2@h/x", "viewer:Hunter2@h/x", "http://viewer:Hun@ter2@h/@x", "HTTP://:Hunter2@h/",
    ],
)  # fmt: skip
def test_credentials_are_refused_and_not_repeated(run, url):
    result = run(url)
    said = json.dumps(result)
    assert result["failed"] and "unter2" not in said and "Hun" not in said and "ter2" not in said and "viewer" not in said
    assert id_of(result["msg"]) in ("url-invalid", "url-not-http", "url-with-login")


def test_credentials_in_what_a_server_names(server, run):
    for path in ("/login/x.m3u8", "/secret/x.m3u8"):
        result = run(server.url + path, duration=1, timeout=0.5)
        assert result["failed"] and "Hunter2" not in json.dumps(result), result
        assert "with a user or password" in json.dumps(result) and "[url-with-login]" in json.dumps(result)


def test_dash_plays(server, run):
    """The same player: of a live manifest the newest segments while it moves, of a recording from its beginning."""
    result = run(server.url + "/dash/live.mpd", duration=3)
    assert not result.get("failed") and (result["segments"], result["stalls"], result["jumps"], result["problems"]) == (6, 0, 0, []), result
    assert result["reloads"] > 0 and server.asked.count("/segment/init.mp4") == 1
    asked = [int(path.split("/")[2].split(".")[0]) for path in server.asked if path.endswith(".m4s")]
    assert asked == list(range(asked[0], asked[0] + 6)), "one after the other"
    result = run(server.url + "/dash/vod?x", duration=9)
    assert not result.get("failed") and (result["segments"], result["played_seconds"]) == (10, 5)


def test_a_name_through_an_address(server, run, tmp_path):
    """With the certificate of the name, of an authority that only a file tells."""
    context, ca, _certificate = authority(tmp_path)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = "https://%s:%d/vod/x.m3u8" % (NAME, server.server_port)
    result = run(url, connect_to="127.0.0.1", ca_path=str(ca))
    assert not result.get("failed") and result["segments"] == 5, result
    assert set(server.hosts) == {"%s:%d" % (NAME, server.server_port)}
    result = run(url, connect_to="127.0.0.1")
    assert result["failed"] and "its certificate is not valid here: unable to get local issuer certificate" in result["msg"]
    result = run(url.replace(NAME, "other.example.com"), connect_to="127.0.0.1", ca_path=str(ca))
    assert result["failed"] and "Hostname mismatch" in result["msg"]
    result = run(url, connect_to="127.0.0.1", ca_path=str(tmp_path / "none"))
    assert "none can't be read (No such file or directory)" in result["msg"] and id_of(result["msg"]) == "ca-unreadable"


def test_tls_that_is_none(server, run):
    result = run(server.url.replace("http:", "https:") + "/vod/x.m3u8")
    assert result["failed"] and id_of(result["msg"]) == "url-not-loaded"


def test_a_dripping_server_does_not_hold_us(server, run):
    began = time.monotonic()
    result = run(server.url + "/drip", timeout=0.3)
    assert " within 0.3 s" in result["msg"] and id_of(result["msg"]) == "url-timed-out"
    assert time.monotonic() - began < 2


def test_a_server_that_says_nothing_does_not_hold_us(run):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        result = run(f"http://127.0.0.1:{listener.getsockname()[1]}/x", timeout=0.3)
    assert " within 0.3 s" in result["msg"] and id_of(result["msg"]) == "url-timed-out"


def test_a_stale_stream(server, run):
    result = run(server.url + "/stale/x.m3u8")
    assert result["failed"] and server.url + "/stale/x.m3u8 is stale" in result["msg"] and id_of(result["msg"]) == "stream-stale"
    assert result["segments"] == 3, "the results are there in the failure as well"


def test_a_packager_that_began_anew(server, run):
    result = run(server.url + "/restart/x.m3u8", duration=2)
    assert result["failed"] and "jumped 1 times" in result["msg"] and id_of(result["msg"]) == "stream-interrupted"
    assert [id_of(line) for line in result["problems"]] == ["segments-renumbered"]
    assert "the last error was: the segment numbers" in result["msg"] and "segments-renumbered" not in result["msg"]
    assert not run(server.url + "/restart/y.m3u8", duration=2, max_stalls=1).get("failed")


def test_a_player_gets_over_a_failed_reload(server, run):
    result = run(server.url + "/hiccup/x.m3u8", duration=2.5)
    assert not result.get("failed")
    assert len(result["problems"]) == 1 and "502" in result["problems"][0]


def test_a_listed_segment_that_is_not_there(server, run):
    result = run(server.url + "/holes/x.m3u8", duration=6)
    assert result["failed"] and result["jumps"] == 1
    assert any("/none.ts answers 404" in line and id_of(line) == "segment-not-served" for line in result["problems"])
    assert id_of(result["problems"][-1]) == "segment-unavailable"


def test_a_torn_segment_is_loaded_again(server, run):
    result = run(server.url + "/once/x.m3u8", duration=6)
    assert not result.get("failed")
    assert (result["segments"], result["bytes"]) == (3, 3000)
    assert "broke off with 4000 bytes missing" in result["problems"][0] and id_of(result["problems"][0]) == "url-not-loaded"


def test_torn_segments_never_hang(server, run):
    result = run(server.url + "/torn/x.m3u8", duration=0.5, timeout=0.5)
    assert result["failed"] and "played 0.0 of 0.5 s within 2 s" in result["msg"] and id_of(result["msg"]) == "stream-incomplete"


def test_expected_servers(server, run):
    assert not run(server.url + "/vod/x.m3u8", expect_servers=["server0", "server1"], duration=8).get("failed")
    result = run(server.url + "/vod/x.m3u8", expect_servers=["server0", "server7"])
    assert result["failed"] and "no segment from server7" in result["msg"] and "server0" in result["msg"]
    assert id_of(result["msg"]) == "servers-sent-nothing"


def test_too_few_segments(server, run):
    result = run(server.url + "/vod/x.m3u8", duration=4, min_segments=3)
    assert result["failed"] and "2 segments" in result["msg"] and " 3 " in result["msg"] and id_of(result["msg"]) == "stream-too-short"


def test_certificates_are_looked_at(server, run, tmp_path):
    """One that nobody vouches for is refused unless it is said not to matter."""
    context = self_signed(tmp_path)
    # Each connection by itself: the listener of all paths speaks no TLS.
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                sock, _from = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(sock, server_side=True) as tls:
                    body = SEGMENT if b"/segment/" in tls.recv(4096) else VOD.encode()
                    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    try:
        url = "https://127.0.0.1:%d/vod/x.m3u8" % listener.getsockname()[1]
        result = run(url, duration=1)
        assert result["failed"] and "certificate" in result["msg"].lower(), result["msg"]
        result = run(url, duration=1, validate_certs=False)
        assert "certificate" not in result.get("msg", "").lower()
        assert not result.get("failed") and result["segments"] >= 1
    finally:
        listener.close()
