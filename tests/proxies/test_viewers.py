"""What viewers get of a proxy: HTTP/2, their own address told to real servers, WebSocket and RTMP that outlive a reload."""

import shutil
import socket
import subprocess
import threading
import time

import pytest
from conftest import NAME, certificate, eventually, free_port


def running(proxy, **more):
    proxy.service.update(more)
    for name in proxy.members:
        proxy.origin(name)
    proxy.start()
    eventually(lambda: proxy.get()[0] == 200)


def running_tls(proxy, own):
    for name in proxy.members:
        proxy.origin(name)
    proxy.start()
    eventually(lambda: proxy.get(tls=own)[0] == 200)


def test_real_servers_are_told_the_viewer_and_not_what_it_says(proxy):
    running(proxy)
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as sock:
        sock.sendall(
            b"GET /told HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.66\r\nX-Forwarded-Proto: gopher\r\nConnection: close\r\n\r\n"
        )
        while sock.recv(65536):
            pass
    (found,) = [headers for origin in proxy.origins.values() for path, headers in origin.seen if path == "/told"]
    headers = {name.lower(): value for name, value in found.items()}
    assert headers["x-forwarded-for"] == "127.0.0.1" and headers["x-forwarded-proto"] == "http"


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize("http2", [True, False])
def test_versions_of_http_and_tls(proxy, http2):
    path, own = certificate(proxy.folder)
    proxy.service["tls"] = {"certificates": [str(path)], "http2": http2, "least": "1.3"}
    proxy.origin("origin1")
    proxy.start()

    def curl(*more):
        command = ["curl", "-s", "--cacert", str(own), "--resolve", "%s:%d:127.0.0.1" % (NAME, proxy.port), "-o", "/dev/null"]
        done = subprocess.run([*command, *more, "https://%s:%d/" % (NAME, proxy.port)], capture_output=True, text=True)
        return done.returncode, done.stdout

    eventually(lambda: curl("-w", "%{http_code} %{http_version}") == (0, "200 2" if http2 else "200 1.1"))
    assert curl("--tls-max", "1.2")[0] == 35, "the handshake is refused"


def test_http_3(proxy):
    """A viewer comes by HTTP/2, is told of HTTP/3, and comes by it. HAProxy 2.6 has none, and preflight refuses it there."""
    path, own = certificate(proxy.folder)
    proxy.service["tls"] = {"certificates": [str(path)], "http3": True}
    proxy.port = 844
    proxy.service["ports"] = [proxy.port]
    if proxy.version == "2.6":
        assert not proxy.accepts(proxy.text())[0]
        return
    proxy.origin("origin1")
    proxy.start()
    url = "https://%s:%d/" % (NAME, proxy.port)
    # Debian 13's curl speaks it.
    curl = ["-s", "--cacert", str(own), "--resolve", "%s:%d:127.0.0.1" % (NAME, proxy.port), "-D", "-", "-w", "%{http_version}"]
    inside = [*proxy.command[:-2], proxy.command[-2].replace(" haproxy ", " curl "), "curl", *curl]

    def fetch(*more):
        return subprocess.run([*inside, *more, url], capture_output=True, text=True).stdout

    assert eventually(lambda: fetch()).endswith("origin12") and 'alt-svc: h3=":%d"' % proxy.port in fetch()
    assert fetch("--http3-only").endswith("origin13")
    # A reload ends no download of HTTP/3, on a port below 1024 neither.
    paced = subprocess.Popen([*inside, "--http3-only", "-m", "30", url + "paced?100"], stdout=subprocess.PIPE, text=True)
    eventually(lambda: proxy.servers()["origin1"].connections)
    proxy.service["balance"] = "leastconn"
    assert proxy.bring()["reload"]
    proxy.reload()
    assert len(paced.communicate(timeout=40)[0]) >= 100 * 1024 and paced.returncode == 0


def test_plain_http_is_redirected(proxy):
    path, own = certificate(proxy.folder)
    proxy.service["tls"] = {"certificates": [str(path)]}
    plain = free_port()
    common = {"mode": "proxy", "proxies": "edges", "addresses": ["127.0.0.1"]}
    proxy.beside = [{**common, "name": "plain", "ports": [plain], "redirect": proxy.port}]
    running_tls(proxy, own)

    def ask(text):
        with socket.create_connection(("127.0.0.1", plain), 10) as sock:
            sock.sendall(text.replace("\n", "\r\n").encode())
            answer = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
        lines = answer.splitlines()
        return lines[0].split()[1], {one.lower().partition(": ")[0]: one.partition(": ")[2] for one in lines[1:]}.get("location")

    there = "https://%s:%d" % (NAME, proxy.port)
    end = "\nConnection: close\n\n"
    assert ask("GET /live.m3u8?a=b%%20c HTTP/1.1\nHost: %s:%d%s" % (NAME, plain, end)) == ("301", there + "/live.m3u8?a=b%20c")
    assert ask("HEAD / HTTP/1.1\nHost: %s%s" % (NAME, end)) == ("301", there + "/")
    assert ask("PUT /seg1.ts HTTP/1.1\nHost: %s\nContent-Length: 0%s" % (NAME, end)) == ("308", there + "/seg1.ts")
    assert ask("GET http://b.example.com/x HTTP/1.1\nHost: b.example.com" + end) == ("301", "https://b.example.com:%d/x" % proxy.port)
    assert ask("GET / HTTP/1.1\nHost: [2001:db8::1]:80" + end) == ("301", "https://[2001:db8::1]:%d/" % proxy.port)
    assert ask("GET / HTTP/1.0\n\n") == ("400", None)
    assert ask("GET / HTTP/1.1\nHost:" + end) == ("400", None)
    # As a player has it, and on the usual port.
    proxy.beside[0]["redirect"] = 443
    proxy.beside.append({**common, "name": "other", "ports": [443], "real_servers": "origins", "tls": proxy.service["tls"]})
    assert "redirect prefix https://%[req.hdr(host),host_only] code" in proxy.text()
    assert proxy.accepts(proxy.text())[0]
    command = ["curl", "-sL", "--cacert", str(own), "--resolve", "%s:%d:127.0.0.1" % (NAME, proxy.port)]
    command += ["--resolve", "%s:%d:127.0.0.1" % (NAME, plain), "http://%s:%d/" % (NAME, plain)]
    assert subprocess.run(command, capture_output=True, text=True).stdout.startswith("origin")


def test_several_certificates_are_chosen_by_name(proxy):
    first, own = certificate(proxy.folder)
    second, other = certificate(proxy.folder, "b.example.com", file="b.pem")
    proxy.service["tls"] = {"certificates": [str(first), str(second)]}
    proxy.origin("origin1")
    proxy.start()
    eventually(lambda: proxy.get(tls=own)[0] == 200)
    for name, wanted in ((NAME, NAME), ("b.example.com", "b.example.com"), ("c.example.com", NAME)):
        command = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % proxy.port, "-servername", name]
        shown = subprocess.run(command, input="", capture_output=True, text=True).stdout
        assert "CN = %s" % wanted in shown or "CN=%s" % wanted in shown


def test_a_reload_refuses_no_newcomer_and_ends_no_connection(proxy):
    """A publisher of RTMP, or a WebSocket, stays with the process of before, which ends with it."""
    echo = socket.create_server(("127.0.1.1", proxy.origin_port))

    def serve():
        while True:
            try:
                one = echo.accept()[0]
            except OSError:
                return
            threading.Thread(target=answer, args=(one,), daemon=True).start()

    def answer(one):
        with one:
            while data := one.recv(1024):
                one.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    proxy.members = ["origin1"]
    proxy.service.update(application="tcp", health_check=None)
    proxy.start()

    def round_trip(sock, data):
        sock.sendall(data)
        return sock.recv(1024) == data

    with socket.create_connection(("127.0.0.1", proxy.port), 10) as publisher:
        publisher.settimeout(10)
        assert round_trip(publisher, b"before")
        over, got = threading.Event(), []

        def newcomers():
            while not over.is_set():
                with socket.create_connection(("127.0.0.1", proxy.port), 5) as sock:
                    sock.settimeout(5)
                    got.append(round_trip(sock, b"new"))
                time.sleep(0.05)

        thread = threading.Thread(target=newcomers)
        thread.start()
        former = int(proxy.info("Pid"))
        proxy.service["balance"] = "leastconn"
        assert proxy.bring()["reload"]
        proxy.reload()
        time.sleep(2)
        assert round_trip(publisher, b"after")
        over.set()
        thread.join()
        assert len(got) > 20 and all(got)
    eventually(lambda: not alive(former), "the process of before ends with its last connection")
    echo.close()


def alive(pid):
    try:
        with open("/proc/%d/comm" % pid) as f:
            return f.read().strip() == "haproxy"
    except OSError:
        return False


def test_cookies_keep_a_viewer(proxy):
    running(proxy, sticky={"cookie": "LVSDR"})
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b""
        while more := sock.recv(65536):
            answer += more
    head, _sep, body = answer.partition(b"\r\n\r\n")
    cookie = next(line.partition(b": ")[2].partition(b";")[0] for line in head.split(b"\r\n") if line.lower().startswith(b"set-cookie"))
    again = set()
    for _ in range(9):
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nCookie: %s\r\nConnection: close\r\n\r\n" % cookie)
            answer = b""
            while more := sock.recv(65536):
                answer += more
        again.add(answer.partition(b"\r\n\r\n")[2])
    assert again == {body} and cookie.startswith(b"LVSDR=")


def test_a_path_stays_on_one_server_while_others_come_and_go(proxy):
    running(proxy, balance="uri")
    paths = ["/segment%d.ts" % number for number in range(60)]

    def where():
        return {path: proxy.get(path)[1] for path in paths}

    before = where()
    assert set(before.values()) == {name.encode() for name in proxy.members}
    proxy.members = ["origin1", "origin2"]
    proxy.bring()
    after = where()
    moved = [path for path in paths if before[path] != after[path]]
    assert {before[path] for path in moved} == {b"origin3"}, "only what was on the one that went"
    # Nor does another process, whose servers stand at other places of the file.
    proxy.members = ["origin2"]
    proxy.bring()
    proxy.members = ["origin1", "origin2"]
    proxy.bring()
    proxy.reload()
    eventually(lambda: where() == after)


def test_metrics_are_haproxys_own(proxy):
    from ansible.module_utils.lvsdr import places

    running(proxy)
    with socket.create_connection(("127.0.0.1", places.HAPROXY_METRICS_PORT), 10) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b""
        while more := sock.recv(65536):
            answer += more
    assert b'haproxy_server_status{proxy="live",server="origin1"' in answer
