"""What layer-7 proxies cost beside direct routing and NAT: prints the table of docs/modes.md, and writes build/bench-proxies-modes.json.

`make bench` runs it in a guest that counts instructions, as bench.py. nginx on each server has a long segment and a short playlist.
HAProxy, and the WAF beside it, have the files that lvsdr renders, on a director (one tier) or on two servers behind direct routing (two
tiers).
What the guest computes for a way above the straight one is what that way costs on directors and proxies together; the time that viewers
compute themselves, which is decryption, is left out.
"""

import datetime
import json
import os
import socket
import ssl
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import bench
import net
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.inventory import resolve
from ansible.module_utils.lvsdr.proxies import haproxy, waf
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from net import DIRECTORS, SERVERS, inside
from test_modes import VIP, Fleet

ROUNDS, SIZE, REQUESTS, CONNECTIONS = 3, 96_000_000, 600, 200
NAME, PORT = "live.example.com", 80
FOLDER = Path(tempfile.mkdtemp())
SERVER = """daemon on; pid {folder}/{name}.pid; error_log /dev/null; worker_processes 1;
events {{ worker_connections 200; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000;
  server {{ listen {port}; listen {other}; root {folder}/www; }} }}
"""


class Straight(bench.Route):
    """No director: viewers ask the servers' own addresses."""

    def target(self):
        return net.address(SERVERS["server1"]), net.OTHER_PORT

    tls = False


class Ipvs(bench.Ipvs):
    tls = False

    def target(self):
        return VIP[4], PORT


class Proxied(Fleet):
    """mode: proxy, on the directors or in two tiers."""

    def __init__(self, tiers, application="http", tls=False, firewall=False):
        self.tiers, self.tls, self.pids = tiers, tls, []
        more = {"application": application, "real_server_port": net.OTHER_PORT, "ports": [443 if tls else PORT]}
        more["proxies"], more["real_servers"] = ("directors", "web") if tiers == 1 else ("edges", "origins")
        more.update(
            {"tls": {"certificates": [str(FOLDER / "live.pem")]}} if tls else {}, **({"waf": {"mode": "block"}} if firewall else {})
        )
        super().__init__("proxy", **more)

    def inventory(self):
        made = super().inventory()
        made["groups"].update(edges=["server1", "server2"], origins=["server3"])
        return made

    def roll_out(self, **variables):
        self.service = {name: value for name, value in self.service.items() if self.tiers == 2 or name != "scheduler"}
        super().roll_out(**variables)
        resolved = resolve.resolve([self.service], self.inventory())
        for host in ["director1"] if self.tiers == 1 else ["server1", "server2"]:
            self.run(resolved, host)
        if self.tiers == 2:
            for server in ("server1", "server2"):
                self.set_weight(server, 10)

    def run(self, resolved, host):
        """HAProxy and the WAF of a host, each with the paths of its own that a host has."""
        own = Path(tempfile.mkdtemp(prefix="proxy-", dir="/run"))
        own.chmod(0o755)
        for folder in ("cache", "chroot"):
            (own / folder).mkdir()
        names = {"HAPROXY_SOCKET": "admin.sock", "HAPROXY_CHROOT": "chroot", "WAF_CONF": "nginx.conf", "WAF_RULES": "rules.conf",
                 "WAF_LOG": "waf.json", "WAF_INSPECTED": "inspected.sock", "WAF_RUN": "", "WAF_CACHE": "cache"}  # fmt: skip
        for name, file in names.items():
            setattr(places, name, str(own / file))
        (own / "haproxy.cfg").write_text(haproxy.render(resolved, host))
        if waf.files(resolved, host):
            (own / "rules.conf").write_text(waf.rules(resolved, host))
            (own / "nginx.conf").write_text(waf.nginx_conf())
            start(host, "nginx", "-q", "-c", str(own / "nginx.conf"))
            self.pids.append(own / "nginx.pid")
        start(host, "haproxy", "-D", "-p", str(own / "haproxy.pid"), "-f", str(own / "haproxy.cfg"))
        self.pids.append(own / "haproxy.pid")

    def target(self):
        return VIP[4], 443 if self.tls else PORT

    def end(self):
        for path in self.pids:
            pid = int(path.read_text())
            os.kill(pid, 15)
            while os.path.exists("/proc/%d" % pid):
                time.sleep(0.05)


TCP = "one tier, `application: tcp`"
WAYS = {
    "none": lambda: Straight("none"),
    "`dr`": lambda: Ipvs("dr"),
    "`nat`": lambda: Ipvs("nat", real_server_port=net.OTHER_PORT),
    TCP: lambda: Proxied(1, "tcp"),
    "one tier": lambda: Proxied(1),
    "one tier, TLS": lambda: Proxied(1, tls=True),
    "one tier, WAF": lambda: Proxied(1, firewall=True),
    "one tier, TLS and WAF": lambda: Proxied(1, tls=True, firewall=True),
    "two tiers": lambda: Proxied(2),
    "two tiers, TLS": lambda: Proxied(2, tls=True),
    "two tiers, TLS and WAF": lambda: Proxied(2, tls=True, firewall=True),
}


def certificate():
    """A PEM of a certificate and its RSA key of 2,048 bits."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)]), datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - datetime.timedelta(1), now + datetime.timedelta(30))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False).sign(key, hashes.SHA256())
    plain = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    return (made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(serialization.Encoding.PEM, *plain)).decode()


def start(name, *command):
    """A daemon, which keeps what it writes to."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["ip", "netns", "exec", name, *command], check=True, **quiet)


class Viewer:
    """A connection over which files are read one after the other."""

    def __init__(self, fleet):
        with inside("viewer"):
            self.sock = socket.socket()
        self.sock.settimeout(120)
        self.sock.connect(fleet.target())
        if fleet.tls:
            self.sock = CONTEXT.wrap_socket(self.sock, server_hostname=NAME)
        self.room = bytearray(1 << 18)

    def get(self, path):
        self.sock.sendall(b"GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Lavf/59\r\nAccept: */*\r\n\r\n" % (path, NAME.encode()))
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.sock.recv(4096)
            assert head, "it was cut"
        head, _end, body = head.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        left = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) - len(body)
        while left:
            got = self.sock.recv_into(self.room, min(left, len(self.room)))
            assert got, "it was cut"
            left -= got


def once(fleet, path):
    viewer = Viewer(fleet)
    viewer.get(path)
    viewer.sock.close()


def worked(what):
    """(seconds that the guest has computed without what viewers did themselves, seconds) of a function."""
    viewers, begin, busy = os.times().user, time.monotonic(), bench.busy()
    what()
    return bench.busy() - busy - (os.times().user - viewers), time.monotonic() - begin


def measure(way):
    """{what: [seconds computed, seconds]} of a gigabyte and of a thousand requests."""
    fleet = WAYS[way]()
    try:
        deadline = time.monotonic() + 300
        while True:  # HAProxy looks for nginx and for servers once a second
            try:
                once(fleet, b"/small.m3u8")
                break
            except (OSError, AssertionError):
                assert time.monotonic() < deadline, way
                time.sleep(0.5)
        time.sleep(3)
        one = Viewer(fleet)
        one.get(b"/small.m3u8")
        found = {
            "a gigabyte of segments": (worked(lambda: one.get(b"/big.ts")), 1e9 / SIZE),
            "1,000 playlists, one connection": (worked(lambda: [one.get(b"/small.m3u8") for _ in range(REQUESTS)]), 1000 / REQUESTS),
        }
        one.sock.close()
        connections = worked(lambda: [once(fleet, b"/small.m3u8") for _ in range(CONNECTIONS)])
        found["1,000 playlists, a connection each"] = (connections, 1000 / CONNECTIONS)
    finally:
        fleet.end()
    return {what: [busy * times, seconds * times] for what, ((busy, seconds), times) in found.items()}


def main():
    global CONTEXT
    net.build()
    bench.offloads("off", "on")
    (FOLDER / "www").mkdir()
    FOLDER.chmod(0o755)
    (FOLDER / "www/big.ts").write_bytes(os.urandom(1 << 20) * (SIZE // (1 << 20) + 1))
    os.truncate(FOLDER / "www/big.ts", SIZE)
    (FOLDER / "www/small.m3u8").write_text("#EXTM3U\n" + "#EXTINF:2.0,\nsegment.ts\n" * 40)
    (FOLDER / "live.pem").write_text(certificate())
    CONTEXT = ssl.create_default_context(cafile=str(FOLDER / "live.pem"))
    for name in SERVERS:
        (FOLDER / (name + ".conf")).write_text(SERVER.format(folder=FOLDER, name=name, port=net.PORT, other=net.OTHER_PORT))
    for director in DIRECTORS:
        net.sysctl(director, "ipv4/ip_nonlocal_bind", 0)
    rounds = {way: [] for way in WAYS}
    for number in range(ROUNDS):
        for way in WAYS:
            # On a proxy of two tiers HAProxy has the port of the VIP.
            others = [name for name in SERVERS if not (way.startswith("two") and name in ("server1", "server2"))]
            for name in others:
                start(name, "nginx", "-q", "-c", str(FOLDER / (name + ".conf")))
            begin = time.monotonic()
            rounds[way].append(measure(way))
            for name in others:
                os.kill(int((FOLDER / (name + ".pid")).read_text()), 15)
                while (FOLDER / (name + ".pid")).exists():
                    time.sleep(0.05)
            print("# round %d, %s: %r (%.0f s)" % (number + 1, way, rounds[way][-1], time.monotonic() - begin), flush=True)
    (bench.ROOT / "build/bench-proxies-modes.json").write_text(json.dumps(rounds, indent=1) + "\n")
    show(rounds)


def show(rounds):
    """Tables in Markdown, of medians."""
    figures = list(rounds["none"][0])

    def cost(way, what):
        return [one[what][0] - none[what][0] for one, none in zip(rounds[way], rounds["none"])]

    def of_tcp(way, what):
        return "%.2g" % statistics.median(one / tcp for one, tcp in zip(cost(way, what), cost(TCP, what)))

    def speed(way, what):
        return "%.2f" % statistics.median(none[what][1] / one[what][1] for one, none in zip(rounds[way], rounds["none"]))

    for title, figure in {"CPU time, HAProxy in TCP mode is 1": of_tcp, "speed of the whole guest, without a director 1": speed}.items():
        print("\n| %s | %s |\n|%s" % (title, " | ".join(figures), "---|" * (len(figures) + 1)))
        for way in list(WAYS)[1:]:
            print("| %s | %s |" % (way, " | ".join(figure(way, what) for what in figures)))


if __name__ == "__main__":
    main()
