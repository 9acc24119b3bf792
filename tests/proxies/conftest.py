"""A proxy on this machine: HAProxy of Debian 12 and of Debian 13 with what lvsdr renders for it, lvsdr-streamcheck beside it, and real
servers that a test can freeze or end. Everything is on loopback.

HAProxy of Debian 12 is the machine's own; that of Debian 13 is in the lab's root file system.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.inventory.resolve import resolve
from ansible.module_utils.lvsdr.proxies import backend, cli, haproxy, runtime, streamchecks
from ansible.module_utils.lvsdr.system import in_force
from fakes import program
from firewall import INSIDE, eventually, free_port, whole_answer

COMMANDS = {
    "2.6": ["/usr/sbin/haproxy"],
    "3.0": [*INSIDE, "haproxy"],
}
NAME = "live.example.com"


class Origin:
    """A real server: its playlist gets a segment each second, and /paced sends a kilobyte every 50 ms."""

    def __init__(self, name, address, port):
        self.name, self.frozen, self.seen, self.began = name, None, [], time.monotonic()
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                origin.seen.append((self.path, dict(self.headers)))
                if self.headers.get("Upgrade"):
                    self.echo()
                elif self.path == "/live.m3u8":
                    self.whole(origin.playlist())
                elif self.path.startswith("/paced"):
                    self.paced(int(self.path.partition("?")[2] or 60))
                else:
                    self.whole(origin.name.encode())

            def do_POST(self):
                self.body = b""
                if self.headers.get("Transfer-Encoding"):
                    size = int(self.rfile.readline(), 16)
                    while size:
                        self.body += self.rfile.read(size)
                        self.rfile.readline()
                        size = int(self.rfile.readline(), 16)
                    self.rfile.readline()
                self.body += self.rfile.read(int(self.headers.get("Content-Length", 0)))
                origin.seen.append((self.path, dict(self.headers)))
                self.whole(b"%d" % len(self.body))

            do_PUT = do_PATCH = do_DELETE = do_POST

            def whole(self, body):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Server-Name", origin.name)
                self.end_headers()
                self.wfile.write(body)

            def echo(self):
                """A connection in both directions, as a WebSocket is one, until it is closed."""
                self.send_response(101)
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "Upgrade")
                key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
                self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
                self.end_headers()
                self.close_connection = True
                while True:
                    more = self.connection.recv(4096)
                    if not more:
                        return
                    self.connection.sendall(more)

            def paced(self, times):
                self.send_response(200)
                self.send_header("Content-Length", str(1024 * times))
                self.end_headers()
                for _ in range(times):
                    self.wfile.write(b"x" * 1024)
                    time.sleep(0.05)

            def log_message(self, *_args):
                pass

        self.server = http.server.ThreadingHTTPServer((address, port), Handler)
        self.server.daemon_threads = True
        # HAProxy's checks hang up silently.
        self.server.handle_error = lambda *_of: None
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def playlist(self):
        first = int(self.frozen or time.monotonic() - self.began) + 1000
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:%d" % first]
        for number in range(first, first + 4):
            lines += ["#EXTINF:1.0,", "segment%d.ts" % number]
        return ("\n".join(lines) + "\n").encode()

    def freeze(self):
        self.frozen = time.monotonic() - self.began

    def thaw(self):
        self.frozen = None

    def end(self):
        self.server.shutdown()
        self.server.server_close()


def certificate(folder, name=NAME, days=30, file="live.pem"):
    """A PEM file with a certificate and its key; returns (path, path of the certificate alone)."""
    own, key, both = folder / (file + ".crt"), folder / (file + ".key"), folder / file
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days), "-subj", "/CN=" + name,
         "-addext", "subjectAltName=DNS:" + name, "-keyout", str(key), "-out", str(own)],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_text(own.read_text() + key.read_text())
    both.chmod(0o600)
    return both, own


class Proxy:
    """One proxy of a service, and three real servers."""

    def __init__(self, version, folder):
        self.version, self.command, self.folder = version, COMMANDS[version], folder
        self.port, self.origin_port, self.agent_port = free_port(), free_port("127.0.1.1"), free_port()
        self.socket, self.cfg = str(folder / "admin.sock"), folder / "haproxy.cfg"
        self.origins, self.processes, self.checker, self.haproxy = {}, [], None, None
        self.service = {
            "name": "live", "mode": "proxy", "proxies": "edges", "addresses": ["127.0.0.1"], "ports": [self.port],
            "real_servers": "origins", "real_server_port": self.origin_port, "health_check": None,
        }  # fmt: skip
        self.hosts = {"origin%d" % n: {"ansible_host": "127.0.1.%d" % n, "real_server_weight": 10} for n in (1, 2, 3)}
        self.members = ["origin1", "origin2", "origin3"]
        self.beside = []  # other services

    def origin(self, name):
        self.origins[name] = Origin(name, self.hosts[name]["ansible_host"], self.origin_port)
        return self.origins[name]

    def resolved(self):
        hosts = {
            "director1": {"ansible_host": "127.0.9.1"},
            "edge1": {"ansible_host": "127.0.2.1", "real_server_address6": "2001:db8::21"},
            **self.hosts,
        }
        groups = {"all": list(hosts), "directors": ["director1"], "edges": ["edge1"], "origins": self.members}
        declared = {name: value for name, value in self.service.items() if value is not None}
        return resolve([declared, *self.beside], {"groups": groups, "hosts": hosts})

    def text(self):
        return haproxy.render(self.resolved(), "edge1")

    def write(self):
        self.cfg.write_text(self.text())

    def accepts(self, text):
        """(whether, what it says)"""
        path = self.folder / "trial.cfg"
        path.write_text(text)
        done = subprocess.run([*self.command, "-c", "-f", str(path)], capture_output=True, text=True)
        return done.returncode == 0, done.stdout + done.stderr

    def start(self):
        self.write()
        command = [*self.command, "-W", "-S", str(self.folder / "master.sock"), "-f", str(self.cfg)]
        with open(self.folder / "haproxy.log", "w") as log:
            self.haproxy = subprocess.Popen(command, stderr=log, start_new_session=True)
        self.took()
        eventually(lambda: cli.runs(self.socket), "HAProxy answers: see %s/haproxy.log" % self.folder)
        # Its main process heeds signals once it answers itself, which is what systemd waits for as well.
        eventually(self.heeds, "its main process answers: see %s/haproxy.log" % self.folder)

    def heeds(self):
        # It answers, and leaves the connection open.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(self.folder / "master.sock"))
            sock.sendall(b"show proc\n")
            return b"worker" in sock.recv(65536)

    def took(self):
        """What the unit's drop-in does whenever HAProxy reads its file."""
        copy = Path(in_force.copy_of("haproxy", str(self.cfg)))
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(self.cfg.read_text())

    def reload(self):
        before = self.info("Pid")
        self.took()
        self.haproxy.send_signal(signal.SIGUSR2)
        eventually(lambda: self.info("Pid") not in ("", before), "another process answers")

    def info(self, name):
        with contextlib.suppress(Exception):
            for line in cli.ask(self.socket, "show info").splitlines():
                if line.startswith(name + ": "):
                    return line.partition(": ")[2]
        return ""

    def check(self):
        """Starts lvsdr-streamcheck, or gives it its configuration again."""
        config = streamchecks.streamchecks(self.resolved(), "edge1", metrics_port=0)
        config.update(folder=str(self.folder / "track"))
        for service in config["services"]:
            for server in service["servers"]:
                server["weight_files"] = [str(self.folder / "drained" / name.rpartition("/")[2]) for name in server["weight_files"]]
        (self.folder / "streamcheck.json").write_text(json.dumps(config))
        if self.checker:
            self.checker.send_signal(signal.SIGHUP)
            return
        for name in ("track", "drained"):
            (self.folder / name).mkdir(exist_ok=True)
        environment = dict(os.environ, PYTHONPATH=program.install(self.folder / "program"))
        environment.pop("NOTIFY_SOCKET", None)
        self.checker = subprocess.Popen([*program.COMMAND, str(self.folder / "streamcheck.json")], env=environment)

    def bring(self, check=False):
        """haproxy_backend with the file as it is declared now, written first."""
        if not check:
            self.write()
        return backend.bring(self.text(), str(self.cfg), self.socket, "haproxy", check)

    def servers(self):
        return runtime.held(cli.ask(self.socket, "show servers state"), cli.ask(self.socket, "show stat")).get("live", {})

    def status(self, name):
        """(status, weight) as HAProxy prints them: ``("UP", 100)``."""
        lines = cli.ask(self.socket, "show stat").lstrip("# ").splitlines()
        heads = lines[0].split(",")
        for line in lines[1:]:
            row = dict(zip(heads, line.split(",")))
            if (row["pxname"], row["svname"]) == ("live", name):
                return row["status"], int(row["weight"])
        return None, None

    def get(self, path="/", timeout=10, tls=None):
        """(status, body) of a request of its own; tls: the file of the certificate that is trusted."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        with sock:
            if tls:
                sock = ssl.create_default_context(cafile=str(tls)).wrap_socket(sock, server_hostname=NAME)
            sock.sendall(b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (path.encode(), NAME.encode()))
            return whole_answer(sock)

    def who(self, count=30):
        """The real servers that answered so many requests."""
        return {self.get()[1].decode() for _ in range(count)}

    def end(self):
        for process in (self.checker, self.haproxy):
            if process:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for origin in self.origins.values():
            origin.end()


@pytest.fixture(params=list(COMMANDS))
def proxy(request, tmp_path, monkeypatch):
    made = Proxy(request.param, tmp_path)
    monkeypatch.setattr(places, "HAPROXY_SOCKET", made.socket)
    monkeypatch.setattr(places, "HAPROXY_METRICS_PORT", free_port())
    monkeypatch.setattr(places, "AGENT_PORT", made.agent_port)
    monkeypatch.setattr(places, "IN_FORCE", str(tmp_path / "in_force"))
    yield made
    made.end()
