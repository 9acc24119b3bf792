"""What a proxy costs: CPU time for each gigabyte and each thousand requests, in TCP mode, with HTTP, TLS and a WAF, as ratios of one run.

`make bench` runs it and writes build/bench-proxies.json; docs/proxy.md has its table. Viewers, HAProxy and an nginx that it asks are on
this machine, on loopback, so only the CPU time of HAProxy and of the WAF's nginx counts. What a director does before it, and what HAProxy
in TCP mode costs beside NAT and direct routing, is in docs/modes.md.
"""

import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests/proxies"), str(ROOT / "tests")]
exec((ROOT / "tests" / "conftest.py").read_text(), {"__file__": str(ROOT / "tests" / "conftest.py")})
import conftest  # noqa: E402
import firewall  # noqa: E402
from _pytest.monkeypatch import MonkeyPatch  # noqa: E402
from ansible.module_utils.lvsdr import places  # noqa: E402

ROUNDS, BIG, REQUESTS, HANDSHAKES = 3, 400_000_000, 5000, 500
NGINX = """daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 1000; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000;
  server {{ listen 127.0.1.1:{port} backlog=1000; root {folder}/www; }} }}
"""


# {what the table calls it: (changes of the service, whether it has TLS)}
KINDS = {
    "TCP": ({"application": "tcp"}, False),
    "HTTP": ({}, False),
    "TLS": ({}, True),
    "HTTP, WAF": ({"waf": {"mode": "block"}}, False),
    "TLS, WAF": ({"waf": {"mode": "block"}}, True),
}


def cpu(pids):
    """Seconds that all threads of processes have worked."""
    threads = (one for pid in pids for one in Path("/proc/%s/task" % pid).glob("*/schedstat"))
    return sum(int(one.read_text().split()[0]) for one in threads) / 1e9


class Viewer:
    def __init__(self, port, tls):
        self.sock = socket.create_connection(("127.0.0.1", port))
        if tls:
            context = ssl.create_default_context(cafile=str(tls))
            self.sock = context.wrap_socket(self.sock, server_hostname=conftest.NAME)
        self.file = self.sock.makefile("rb")

    def get(self, path):
        """How many bytes came."""
        self.sock.sendall(b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path, conftest.NAME.encode()))
        length = 0
        while (line := self.file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        left = length
        while left:
            got = len(self.file.read(min(left, 1 << 20)))
            assert got, "it was cut"
            left -= got
        return length

    def close(self):
        self.file.close()
        self.sock.close()


def measure(proxy, waf, tls):
    """{what: CPU seconds of HAProxy and the WAF} of one round."""
    pids, out = [proxy.info("Pid")], {}
    if waf:
        main = waf.main()
        pids += Path("/proc/%d/task/%d/children" % (main, main)).read_text().split()
    viewer = Viewer(proxy.port, tls)
    begin = cpu(pids)
    assert viewer.get(b"/big.ts") == BIG
    out["a gigabyte of segments"] = (cpu(pids) - begin) * 1e9 / BIG
    begin = cpu(pids)
    for _ in range(REQUESTS):
        viewer.get(b"/small.m3u8")
    out["1,000 playlists, one connection"] = (cpu(pids) - begin) * 1000 / REQUESTS
    viewer.close()
    begin = cpu(pids)
    for _ in range(HANDSHAKES):
        viewer = Viewer(proxy.port, tls)
        viewer.get(b"/small.m3u8")
        viewer.close()
    out["1,000 playlists, a connection each"] = (cpu(pids) - begin) * 1000 / HANDSHAKES
    return out


def run(folder, kind, changes, tls):
    """The medians of a kind of proxy."""
    own = folder / kind.replace(", ", "-")
    own.mkdir()
    proxy = conftest.Proxy("2.6", own)
    places.HAPROXY_SOCKET, places.HAPROXY_METRICS_PORT = proxy.socket, conftest.free_port()
    places.IN_FORCE = str(own / "in_force")
    proxy.members, certificate = ["origin1"], None
    proxy.service.update(changes)
    if tls:
        path, certificate = conftest.certificate(own)
        proxy.service["tls"] = {"certificates": [str(path)]}
    (own / "nginx.conf").write_text(NGINX.format(folder=folder, port=proxy.origin_port))
    nginx = subprocess.Popen(["nginx", "-c", str(own / "nginx.conf")], stderr=subprocess.DEVNULL)
    waf = firewall.Waf("2.6", MonkeyPatch()) if "waf" in changes else None
    try:
        if waf:
            waf.start(proxy.resolved())
        proxy.start()
        while proxy.get("/small.m3u8", tls=certificate)[0] != 200:
            time.sleep(0.1)
        time.sleep(2)  # HAProxy looks for nginx once a second
        rounds = [measure(proxy, waf, certificate) for _ in range(ROUNDS)]
        return {what: statistics.median(one[what] for one in rounds) for what in rounds[0]}
    finally:
        proxy.end()
        nginx.terminate()
        nginx.wait()
        if waf:
            waf.end()


def main():
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "www").mkdir()
        (folder / "www/big.ts").write_bytes(os.urandom(1 << 20) * (BIG // (1 << 20) + 1))
        os.truncate(folder / "www/big.ts", BIG)
        (folder / "www/small.m3u8").write_bytes(b"x" * 500)
        for mode in (folder, folder / "www"):
            mode.chmod(0o755)
        for kind, (changes, tls) in KINDS.items():
            found[kind] = run(folder, kind, changes, tls)
    show(found)


def show(found):
    """A table in Markdown."""
    (ROOT / "build/bench-proxies.json").write_text(json.dumps(found, indent=1) + "\n")
    print("| CPU time, TCP is 1 | %s | of TCP |\n|---|%s" % (" | ".join(found), "---|" * (len(found) + 1)))
    for what, seconds in found["TCP"].items():
        print("| %s | %s | %.2f s |" % (what, " | ".join("%.2g" % (one[what] / seconds) for one in found.values()), seconds))


if __name__ == "__main__":
    main()
