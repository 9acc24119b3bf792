"""The WAF with real requests: attacks are found, players are let through, and viewers notice nothing of what happens to it."""

import json
import re
import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote

import attacks
import pytest
import yaml
from ansible.module_utils.lvsdr.inventory import waf_option
from ansible.module_utils.lvsdr.proxies import cli, findings
from conftest import NAME
from firewall import TRIXIE, Waf, eventually, whole_answer

PLAYERS = json.loads((Path(__file__).parent / "players.json").read_text())
RULES = "usr/share/modsecurity-crs/rules"
USUAL = "Host: %s\r\nUser-Agent: Lavf/59.27.100\r\nAccept: */*\r\n" % NAME


@pytest.fixture
def guarded(proxy, monkeypatch):
    """A proxy whose requests are judged, as ``begin`` says."""
    waf = Waf(proxy.version, monkeypatch)
    proxy.waf = waf

    def begin(**options):
        proxy.service["waf"] = options
        for name in proxy.members:
            proxy.origin(name)
        waf.start(proxy.resolved())
        proxy.start()
        judges(proxy)
        return proxy

    proxy.begin = begin
    yield proxy
    waf.end()


def judges(proxy):
    def up():
        rows = [line.split(",") for line in cli.ask(proxy.socket, "show stat").splitlines()]
        return any(row[0] == "lvsdr-waf-live" and row[1] == "waf" and row[17] == "UP" and row[36] == "L4OK" for row in rows)

    eventually(up, "HAProxy has asked nginx")


def send(proxy, raw):
    """(status, body) of a request on a connection of its own; status 0 where there was none."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as sock:
        sock.sendall(raw if isinstance(raw, bytes) else raw.encode("latin-1"))
        return whole_answer(sock)


def request(line, headers=(), body="", usual=USUAL):
    length = ("Content-Length: %d" % len(body),) if body else ()
    return "%s HTTP/1.1\r\n%sConnection: close\r\n%s\r\n%s" % (line, usual, "".join("%s\r\n" % one for one in (*headers, *length)), body)


def carried(letter, payload, tag):
    """An attack as a request; tag: found again in the log."""
    target, quoted = "/live/index.m3u8?t=%s" % tag, quote(payload, safe="")
    if letter == "q":
        return request("GET %s&q=%s" % (target, quoted))
    if letter == "f":
        return request("POST " + target, ("Content-Type: application/x-www-form-urlencoded",), "q=" + quoted)
    if letter == "j":
        return request("POST " + target, ("Content-Type: application/json",), json.dumps({"q": payload}))
    if letter == "c":
        return request("GET " + target, ("Cookie: c=" + quoted,))
    return request("GET " + target, usual=USUAL.replace("Lavf/59.27.100", payload))


def all_attacks():
    """(rule, request, tag)"""
    number = 0
    for rule, letters, payload in attacks.PAYLOADS:
        for letter in letters:
            number += 1
            yield rule, carried(letter, payload, "n%05d" % number), "n%05d" % number
    for rule, line, headers, body in attacks.REQUESTS:
        number += 1
        method, target = line.split(" ", 1)
        target += ("&" if "?" in target else "?") + "t=n%05d" % number
        yield rule, request("%s %s" % (method, target), headers, body), "n%05d" % number


def test_every_attack_is_refused_and_written_down_with_its_rule(guarded):
    proxy, wrong, families = guarded.begin(mode="block"), [], set()
    several = list(all_attacks())
    status = {tag: send(proxy, raw)[0] for _rule, raw, tag in several}
    eventually(lambda: proxy.waf.rules_of(several[-1][2]), "the last one is in the log")
    found = proxy.waf.rules_by_tag(r"t=(n\d{5})")
    for rule, raw, tag in several:
        families.add(rule // 1000)
        if status[tag] != 403 or rule not in found.get(tag, ()):
            wrong.append((rule, raw.split(" HTTP")[0], status[tag], found.get(tag)))
    assert wrong == []
    assert len(several) >= 400 and families >= {913, 920, 921, 930, 931, 932, 933, 934, 941, 942, 943, 944}
    assert not any("t=n" in path for origin in proxy.origins.values() for path, _headers in origin.seen)


def test_to_detect_is_the_default_and_refuses_nothing(guarded):
    proxy = guarded.begin()
    several = [one for one in all_attacks() if one[1].split()[0] in ("GET", "POST")][::7]
    assert {send(proxy, raw)[0] for _rule, raw, _tag in several} == {200}
    eventually(lambda: proxy.waf.rules_of(several[-1][2]), "the last one is in the log")
    found = proxy.waf.rules_by_tag(r"t=(n\d{5})")
    assert all(rule in found[tag] for rule, _raw, tag in several)
    assert all(one["refused"] == 0 and one["service"] == "live" for one in proxy.waf.found())
    assert any("t=n" in path for origin in proxy.origins.values() for path, _headers in origin.seen)


def replayed(one, number):
    """A recorded request with other numbers, of a viewer's hour."""
    target = re.sub(r"(?<=[a-z_=])\d{2,5}(?=[.&]|$)", lambda found: str(int(found[0]) + number).zfill(len(found[0])), one["target"])
    headers, body = "", one["body"].replace("\n", "\r\n").replace("\r\r\n", "\r\n")
    for name, value in one["headers"]:
        if name not in ("Connection", "Content-Length", "Expect"):
            headers += "%s: %s\r\n" % (name, value)
    if "Transfer-Encoding" in headers:
        body = "%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else "0\r\n\r\n"
    elif body or one["method"] in ("POST", "PUT", "PATCH"):
        headers += "Content-Length: %d\r\n" % len(body)
    return ("%s %s HTTP/1.1\r\n%sConnection: keep-alive\r\n\r\n%s" % (one["method"], target, headers, body)).encode()


def watch(proxy, requests):
    """The statuses of all requests, on one connection."""
    out = []
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as sock, sock.makefile("rb") as file:
        for raw in requests:
            sock.sendall(raw)
            out.append(int(file.readline().split()[1]))
            length = 0
            while True:
                line = file.readline().strip().lower()
                if not line:
                    break
                if line.startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            file.read(length)
    return out


# A refresh of the playlist every six seconds.
HOUR = 600


def test_an_hour_of_all_players_and_encoders_passes(guarded):
    proxy = guarded.begin(mode="block", allow=["whep", "ingest"])
    by_player = {}
    for one in PLAYERS:
        by_player.setdefault(one["player"], []).append(one)
    assert {name.partition(",")[0] for name in by_player} == {"ffmpeg", "vlc", "hls.js", "dash.js", "chromium"}
    found = {}

    def viewer(name, kinds):
        found[name] = watch(proxy, [replayed(kinds[number % len(kinds)], number) for number in range(HOUR)])

    viewers = [threading.Thread(target=viewer, args=pair) for pair in by_player.items()]
    for thread in viewers:
        thread.start()
    for thread in viewers:
        thread.join()
    assert {name: set(statuses) for name, statuses in found.items()} == {name: {200} for name in by_player}
    assert sum(map(len, found.values())) == HOUR * len(by_player) and proxy.waf.found() == []


def test_whep_and_ingest_are_refused_where_nobody_allowed_them(guarded):
    proxy = guarded.begin(mode="block")
    for one in PLAYERS:
        allowed = "WH" not in one["player"] and "ingest" not in one["player"]
        assert watch(proxy, [replayed(one, 0)]) == [200 if allowed else 403], one


@pytest.mark.parametrize(
    "paranoia, refused", [(2, ()), (3, ("ffmpeg", "vlc", "chromium")), (4, ("ffmpeg", "vlc", "chromium", "hls.js", "dash.js"))]
)
def test_more_paranoia_refuses_players_as_the_warning_says(guarded, paranoia, refused):
    proxy = guarded.begin(mode="block", paranoia=paranoia, allow=["whep", "ingest"])
    found = {one["player"].partition(",")[0] for one in PLAYERS if watch(proxy, [replayed(one, 0)]) == [403]}
    assert found == set(refused) and bool(waf_option.breaks(paranoia)) == bool(refused)
    rules = {one["rule"] for one in proxy.waf.found()}
    assert all(int(number) in rules for number in re.findall(r"\d{6}", waf_option.breaks(paranoia)))


def test_cmcd_is_let_through_and_what_only_looks_like_it_is_not(guarded):
    proxy = guarded.begin(mode="block")
    good, bad = quote('cid="live one",ot=m'), quote('cid="<script>alert(1)</script>"')
    assert send(proxy, request("GET /live.m3u8?CMCD=" + good))[0] == 200
    form = ("Content-Type: application/x-www-form-urlencoded",)
    for raw in (
        request("GET /live.m3u8?CMCD=" + bad), request("GET /live.m3u8?CMCD=%s&CMCD=%s" % (good, bad)),
        request("GET /live.m3u8?CMCD=%s&cmcd=%s" % (good, bad)), request("GET /live.m3u8?cmcd=%s&CMCD=%s" % (bad, good)),
        request("POST /live.m3u8?CMCD=" + good, form, "CMCD=" + bad), request("GET /live.m3u8?CMCD=%s" % good, form, "CMCD=" + bad),
    ):  # fmt: skip
        assert send(proxy, raw)[0] == 403, raw


@pytest.mark.parametrize("name", ["q", "filter[name]", "a.b-c$0"])
def test_what_the_report_proposes_lets_it_through_and_nothing_else(guarded, name):
    proxy = guarded.begin(mode="block")
    attack, name_there = quote("1' or '1'='1", safe=""), quote(name, safe="")
    assert send(proxy, request("GET /search/a?%s=%s" % (name_there, attack)))[0] == 403
    found = eventually(proxy.waf.found, "it is written")
    lines = findings.report(found)
    assert {(one["service"], one["target"], one["path"], one["viewers"], one["refused"]) for one in found} == {
        ("live", "ARGS:" + name, "/search/", 1, one["requests"]) for one in found
    }
    proposed = yaml.safe_load("\n".join(lines[lines.index("live:") :]))["live"]["waf"]["exclude"]
    assert proposed and all(set(one) == {"rule", "path", "target"} for one in proposed)
    proxy.service["waf"]["exclude"] = proposed
    proxy.waf.write(proxy.resolved())
    proxy.waf.run("ExecReload")
    let = request("GET /search/a?%s=%s" % (name_there, attack))
    eventually(lambda: send(proxy, let)[0] == 200, "the exclusion is in force")
    for other in ("/search/a?p=", "/a?%s=" % name_there, "/search/a?x%s=" % name_there):
        assert send(proxy, request("GET " + other + attack))[0] == 403, other
    proxy.service["waf"]["exclude"] = [{"rule": one["rule"]} for one in proposed]
    proxy.waf.write(proxy.resolved())
    proxy.waf.run("ExecReload")
    eventually(lambda: send(proxy, request("GET /a?p=" + attack))[0] == 200, "without a path and a target it is off everywhere")


def test_segments_do_not_pass_it_but_what_could_be_an_attack_does(guarded):
    proxy = guarded.begin(mode="block")

    def judged(target):
        before = passed(proxy)
        send(proxy, request("GET " + target))
        return passed(proxy) - before

    assert judged("/live/a/segment-1.ts") == judged("/v.1/init_a.m4s?Signature=a~b_c-d&x=1") == judged("/a.mp4?") == 0
    for target in ("/live/index.m3u8", "/a.ts?q=%27", "/a/../b.ts", "/a%2f.ts", "/a.ts/b", "/a.php", "/a'.ts", "/a.ts?q=<x>"):
        assert judged(target) == 1, target
    assert send(proxy, request("GET /a.ts?q=" + quote("<script>alert(1)</script>")))[0] == 403


def passed(proxy):
    """How many requests HAProxy has sent to nginx."""
    rows = [line.split(",") for line in cli.ask(proxy.socket, "show stat").splitlines()]
    return next(int(row[7]) for row in rows if row[:2] == ["lvsdr-waf-live", "BACKEND"])


def test_the_viewers_address_and_nothing_that_a_viewer_says_of_it_arrives(guarded):
    proxy = guarded.begin(mode="block", allow=["whep"])
    spoofed = ("X-Forwarded-For: 192.0.2.1", "lvsdr-service: other", "X-Forwarded-Proto: https")
    assert send(proxy, request("GET /live.m3u8", spoofed))[0] == 200
    _path, headers = next(one for origin in proxy.origins.values() for one in origin.seen)
    seen = {name.lower(): value for name, value in headers.items()}
    assert seen["x-forwarded-for"] == "127.0.0.1" and seen["x-forwarded-proto"] == "http" and seen["host"] == NAME
    assert "lvsdr-service" not in seen


def test_a_large_body_arrives_whole_and_secrets_are_not_in_the_log(guarded):
    proxy = guarded.begin()
    body = "x" * 300_000
    secret = ("Authorization: Bearer TOPSECRET", "Cookie: session=TOPSECRET", "Content-Type: application/octet-stream")
    assert send(proxy, request("POST /upload?q=<script>", secret, body)) == (200, b"300000")
    eventually(proxy.waf.found, "it is written")
    assert "TOPSECRET" not in proxy.waf.log.read_text()


FORM, JSON, PARTS = "application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=a"
UNREADABLE = {
    "JSON that Python reads": (JSON, '{"a": NaN, "q": "<script>alert(1)</script>"}'),
    "JSON with a comment": (JSON, '/**/{"q": "<script>alert(1)</script>"}'),
    "two boundaries": (
        "multipart/form-data; boundary=b; boundary=a",
        '--a\r\nContent-Disposition: form-data; name="q"\r\n\r\n<script>\r\n--a--\r\n',
    ),
    "XML that is not": ("application/xml", "<a><b></a><script>alert(1)</script>"),
    "padding before the attack": (FORM, "a=%s&q=%s" % ("x" * 131072, quote("<script>alert(1)</script>"))),
    "thousands of arguments": (FORM, "&".join("a%d=1" % number for number in range(14000))[:131000]),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_can_not_be_read_is_refused(guarded, name):
    proxy = guarded.begin(mode="block")
    kind, body = UNREADABLE[name]
    begin = time.monotonic()
    assert send(proxy, request("POST /live/api", ("Content-Type: " + kind,), body))[0] in (400, 403)
    assert time.monotonic() - begin < 10


def test_what_can_be_read_passes_and_more_than_the_limit_is_said(guarded):
    proxy = guarded.begin(mode="block")
    part = '--a\r\nContent-Disposition: form-data; name="q"\r\n\r\nhello\r\n--a--\r\n'
    for kind, body in (
        (JSON, '{"q": [1, "hello", null]}'),
        (PARTS, part),
        (FORM, "q=hello&p=1"),
        ("application/xml", "<a><b>hello</b></a>"),
    ):
        assert send(proxy, request("POST /live/api", ("Content-Type: " + kind,), body))[0] == 200, kind
    large = ("Content-Type: application/octet-stream", "Content-Length: %d" % (17 * 1024 * 1024))
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as sock:
        sock.sendall(request("POST /upload", large).encode())
        assert b" 413 " in sock.recv(4096)


def test_no_tunnel_but_that_of_a_websocket_passes(guarded):
    """Whoever speaks HTTP/2 behind an upgrade would be heard by nobody but the real server."""
    proxy = guarded.begin(mode="block")
    h2c = ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    for target in ("/live.m3u8", "/segment1.ts"):
        assert send(proxy, request("GET " + target, h2c, usual=USUAL + "Connection: Upgrade\r\n"))[0] == 200
    seen = [{name.lower() for name in headers} for origin in proxy.origins.values() for _path, headers in origin.seen]
    assert len(seen) == 2 and not any("upgrade" in names for names in seen)


def test_a_websocket_passes_it(guarded):
    proxy = guarded.begin(mode="block")
    upgrade = "GET /chat HTTP/1.1\r\n%sUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" % USUAL
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as sock:
        sock.sendall((upgrade + "Sec-WebSocket-Version: 13\r\n\r\n").encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += sock.recv(4096)
        assert b" 101 " in answer.splitlines()[0]
        # It outlives another nginx that takes over.
        proxy.waf.run("ExecReload")
        for _turn in range(5):
            sock.sendall(b"hello")
            assert sock.recv(4096) == b"hello"
            time.sleep(0.2)
        # The next one ends it, and comes into force.
        before = proxy.waf.main()
        proxy.waf.run("ExecReload")
        assert proxy.waf.main() != before and sock.recv(4096) == b""
    assert passed(proxy) == 1


class Newcomers:
    """20 requests a second on connections of their own, and what they were answered."""

    def __init__(self, proxy, target):
        self.proxy, self.target, self.statuses, self.going = proxy, target, [], True
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while self.going:
            try:
                self.statuses.append(send(self.proxy, request("GET " + self.target))[0])
            except OSError as error:
                self.statuses.append(str(error))
            time.sleep(0.05)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_error):
        self.going = False
        self.thread.join()


def memory(pid):
    """KiB of a process's own."""
    return int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/%d/status" % pid).read_text())[1])


def test_new_rules_come_into_force_under_viewers_and_cost_no_memory(guarded):
    proxy = guarded.begin(mode="block", fail="closed")
    first = memory(proxy.waf.main())
    with Newcomers(proxy, "/live.m3u8") as viewers:
        for turn in range(6):
            before = proxy.waf.main()
            proxy.service["waf"]["exclude"] = [{"rule": 942100, "path": "/turn%d" % turn}]
            proxy.waf.write(proxy.resolved())
            proxy.waf.run("ExecReload")
            assert proxy.waf.main() != before
            eventually(lambda pid=before: not Path("/proc/%d" % pid).exists(), "the one before ends")
    assert set(viewers.statuses) == {200} and len(viewers.statuses) > 20, viewers.statuses
    assert memory(proxy.waf.main()) < 1.2 * first


def test_rules_that_can_not_be_read_leave_the_former_ones_in_force(guarded):
    proxy = guarded.begin(mode="block")
    before = proxy.waf.main()
    (proxy.waf.folder / "rules.conf").write_text("SecRule nothing\n")
    with pytest.raises(Exception, match="returned non-zero"):
        proxy.waf.run("ExecReload")
    assert proxy.waf.main() == before and send(proxy, request("GET /?q=<script>alert(1)</script>"))[0] == 403


def test_without_it_viewers_go_on_where_it_fails_open(guarded):
    proxy = guarded.begin(mode="block", fail="open")
    with Newcomers(proxy, "/live.m3u8") as viewers:
        time.sleep(1)
        proxy.waf.kill()
        time.sleep(3)
        assert send(proxy, request("GET /?q=<script>alert(1)</script>"))[0] == 200
        proxy.waf.run("ExecStart")
        judges(proxy)
        eventually(lambda: send(proxy, request("GET /?q=<script>alert(1)</script>"))[0] == 403, "it judges again")
    assert set(viewers.statuses) == {200}, viewers.statuses


def test_without_it_nothing_passes_unseen_where_it_fails_closed(guarded):
    proxy = guarded.begin(mode="block", fail="closed")
    proxy.waf.kill()
    eventually(lambda: send(proxy, request("GET /live.m3u8"))[0] == 503, "it is refused")
    assert send(proxy, request("GET /segment1.ts"))[0] == 200
    seen = [path for origin in proxy.origins.values() for path, _headers in origin.seen]
    assert "/segment1.ts" in seen
    proxy.waf.run("ExecStart")
    eventually(lambda: send(proxy, request("GET /live.m3u8"))[0] == 200, "it judges again")


def test_the_rules_of_both_packages_are_the_ones_that_can_be_excluded():
    found = {}
    for root in (Path("/"), TRIXIE):
        for path in (root / RULES).glob("REQUEST-9*.conf"):
            family = int(path.name[8:11])
            text = path.read_text().replace("\\\n", " ")
            for line in text.splitlines() if family in waf_option.FAMILIES else ():
                number = re.match(r"SecRule\s.*\bid:(\d+)", line)
                if number and "skipAfter:END" not in line:
                    found.setdefault(root, set()).add(int(number[1]))
    assert set.union(*found.values()) == waf_option.RULES and len(found) == 2
