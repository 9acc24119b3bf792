"""What a browser of somebody else, a program on this host, or a host of the link may try: refused, and nothing else slows down."""

import http.client
import json
import socket
import subprocess
import sys
import time

import fleet
import pytest
from ansible.module_utils.lvsdr.console import actions, web

GOOD = {"verb": "drain", "host": "edge1", "who": "anna", "why": "kernel upgrade"}


def ask(director, method, target, body=b"", headers=None, port=None, source=None):
    """(status, headers, body) of one request, sent as it is."""
    usual = {"Host": "127.0.0.1:%d" % director.port, "Content-Type": "application/json", "X-Lvsdr-Console": "1"}
    sent = {**usual, **(headers or {})}
    where = ("127.0.0.1", director.port) if port is None else port
    connection = http.client.HTTPConnection(*where, timeout=20, source_address=source)
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


def drained(director):
    return list((director.folder / "drained").iterdir())


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Lvsdr-Console": None},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example:9180"},
        {"Host": None},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost@evil.example"},
    ],
)
def test_another_site_does_nothing(still, headers):
    one, _other = still
    status, _headers, body = ask(one, "POST", "/api/actions", json.dumps(GOOD).encode(), headers)
    assert status in (400, 403) and drained(one) == []


def test_the_page_itself_does_something(pair):
    """Without which the refusals above would say nothing."""
    one, _other = pair()
    same = {"Origin": "http://127.0.0.1:%d" % one.port, "Sec-Fetch-Site": "same-origin"}
    assert ask(one, "POST", "/api/actions", json.dumps(GOOD).encode(), same)[0] == 200 and len(drained(one)) == 1


def test_a_page_that_passes_for_this_host_reads_nothing(pair):
    """DNS rebinding: the browser of somebody with a tunnel to the console asks it under another name."""
    one, _other = pair(names=["lb.example.com"])
    assert ask(one, "GET", "/", headers={"Host": "evil.example:%d" % one.port})[0] == 403
    for name in ("lb.example.com", "localhost:1234", "[::1]:99"):
        assert ask(one, "GET", "/", headers={"Host": name})[0] == 200


def test_headers_of_each_answer(still):
    one, _other = still
    for target in ("/", "/api/state", "/metrics", "/nothing"):
        _status, headers, _body = ask(one, "GET", target)
        assert (
            headers["X-Content-Type-Options"] == "nosniff"
            and headers["Cache-Control"] == "no-store"
            and headers["X-Frame-Options"] == "DENY"
        )
        assert "Set-Cookie" not in headers and "Access-Control-Allow-Origin" not in headers
    policy = ask(one, "GET", "/")[1]["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy and "*" not in policy


@pytest.mark.parametrize(
    "target",
    ["/../../etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd", "/api/../../etc/passwd", "/%00", "/api/state/..", "/look", "/act"],
)
def test_path_tricks_lead_nowhere(still, target):
    one, _other = still
    status, _headers, body = ask(one, "GET", target)
    assert status in (400, 404, 405) and b"root:" not in body


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 4000, json.dumps({**GOOD, "host": "../../etc/cron.d/x"}).encode(),
     json.dumps({**GOOD, "host": {"a": 1}}).encode(), json.dumps({**GOOD, "verb": "__init__"}).encode(),
     json.dumps({"do": "look"}).encode()],
)  # fmt: skip
def test_odd_bodies_do_nothing(still, body):
    one, _other = still
    status, _headers, answer = ask(one, "POST", "/api/actions", body)
    assert (status in (400, 413) or json.loads(answer)["refused"]) and drained(one) == []
    assert ask(one, "GET", "/api/state")[0] == 200


def test_an_oversized_body_is_not_read(pair):
    one, _other = pair()
    assert ask(one, "POST", "/api/actions", b" " * 100_000)[0] in (400, 413)
    with socket.create_connection(("127.0.0.1", one.port), 10) as sock:
        head = "POST /api/actions HTTP/1.1\r\nHost: localhost\r\nX-Lvsdr-Console: 1\r\nContent-Type: application/json\r\n"
        sock.sendall(head.encode() + b"Content-Length: 9999999999\r\n\r\n")
        sock.settimeout(30)
        assert b" 4" in sock.recv(100)


def test_a_thousand_connections_and_slow_ones_hold_up_nobody(pair):
    """The other director still gets its look, and the page comes back by itself."""
    one, other = pair()
    slow = []
    try:
        for _number in range(1000):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", one.port))
            slow.append(sock)
        time.sleep(1)
        for sock in slow[:500]:
            try:
                sock.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ")
            except OSError:
                continue
        before = other.state()["at"]
        # Meanwhile the table is read as before, and the peer is served on its own port.
        fleet.eventually(lambda: other.state()["at"] > before + 3)
        assert all(director["answers"] for director in other.state()["directors"])
        fleet.eventually(lambda: ask(one, "GET", "/api/state")[0] == 200, web.PATIENCE + 30)
    finally:
        for sock in slow:
            sock.close()
    assert one.console.poll() is None and one.says() == ""


def test_an_operator_is_not_shut_out_for_longer_than_slow_ones_may_last(pair):
    one, _other = pair()
    with socket.create_connection(("127.0.0.1", one.port), 10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        sock.settimeout(web.PATIENCE + 20)
        begin = time.monotonic()
        try:
            assert sock.recv(1) == b""
        except ConnectionError:
            pass
        assert time.monotonic() - begin > web.PATIENCE - 2


def peer_request(director, body, source):
    port = (fleet.ADDRESSES[director.name], director.config["peer_port"])
    return ask(director, "POST", "/act", json.dumps(body).encode(), port=port, source=(source, 0))


def signed(request, at=None, nonce="n1", key=fleet.KEY, ends=("director2", "director1")):
    at = int(time.time()) if at is None else at
    return {**request, "at": at, "nonce": nonce, "signature": actions.signed(key, ends, request, at, nonce)}


def test_the_other_director_has_to_sign(pair):
    one, _other = pair()
    peer = fleet.ADDRESSES["director2"]
    bad = [
        GOOD, {**signed(GOOD), "host": "edge2"}, signed(GOOD, key="x" * 32), signed(GOOD, at=int(time.time()) - 60),
        {**signed(GOOD), "signature": "ä"}, {**signed(GOOD), "nonce": 5}, {**signed(GOOD), "at": "now"}, {**signed(GOOD), "at": True},
        # What this director sent to the other one itself.
        signed(GOOD, ends=("director1", "director2")),
    ]  # fmt: skip
    for body in bad:
        assert peer_request(one, body, peer)[0] == 403, body
    assert drained(one) == []
    good = signed(GOOD)
    assert peer_request(one, good, peer)[0] == 200 and len(drained(one)) == 1
    # The same once more, though it is fresh.
    assert peer_request(one, good, peer)[0] == 403


def test_other_hosts_do_not_get_that_far(pair):
    one, _other = pair()
    assert peer_request(one, signed(GOOD), "127.0.0.77")[0] == 403 and drained(one) == []
    port = (fleet.ADDRESSES["director1"], one.config["peer_port"])
    assert ask(one, "GET", "/look", port=port, source=("127.0.0.77", 0))[0] == 403


def test_a_peer_that_sends_rubbish_is_a_peer_that_does_not_answer(pair):
    one, other = pair()
    other.stop()
    server = socket.create_server((fleet.ADDRESSES["director2"], one.config["peer_port"]))
    server.settimeout(1)
    try:
        texts = [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull", b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 200_000, b"\xff" * 100,
                 b'HTTP/1.1 200 OK\r\n\r\n{"at": "x", "services": [{"key": 1}]}',
                 b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"]  # fmt: skip
        for text in texts * 2:
            try:
                sock, _address = server.accept()
            except TimeoutError:
                continue
            with sock:
                sock.settimeout(2)
                sock.recv(1000)
                sock.sendall(text)
        fleet.eventually(lambda: [one["kind"] for one in one.state()["problems"]] == ["director-silent"])
    finally:
        server.close()
    assert one.console.poll() is None


def test_the_helper_answers_the_console_alone(pair, tmp_path):
    """By the user of the socket's other end: the owner of the console's folder, and root."""
    one, _other = pair()
    script = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        's.sendall(b\'{"do": "look"}\\n\'); print(len(s.recv(100)))'
    )
    for folder in (one.folder, *one.folder.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", script, str(one.folder / "helper.sock")], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() in ("0", "") and "PermissionError" not in done.stderr, done.stderr
    assert json.loads(helper(one, {"do": "look"}))["config"]


def helper(director, request):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(director.folder / "helper.sock"))
        sock.sendall(request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n")
        return sock.makefile("rb").readline()


@pytest.mark.parametrize(
    "request_", [b"\n", b"null\n", b"[]\n", b"{\n", b"\xff\n", b"[" * 3000 + b"\n", b"x" * 5000 + b"\n", b'{"do": "exec"}\n']
)
def test_the_helper_does_three_things(still, request_):
    one, _other = still
    answer = helper(one, request_)
    assert answer == b"" or set(json.loads(answer)) & {"refused", "error"}
    assert json.loads(helper(one, {"do": "look"}))["config"], "it goes on"


def test_the_helper_decides_by_itself(pair):
    """A console that was taken over can do no more than an operator could."""
    one, _other = pair()
    for name in ("edge1", "edge2", "edge3"):
        helper(one, {"do": "act", **GOOD, "host": name})
    assert len(drained(one)) == 2, "the last server stays"
    answers = [json.loads(helper(one, {"do": "act", **GOOD, "verb": verb})) for verb in ("undrain", "drain") * 15]
    assert "[too-many-actions]" in answers[-1]["refused"][0]
    lines = [json.loads(line) for line in (one.folder / "journal.jsonl").read_text().splitlines()]
    assert "last-server" in lines[2]["result"]
