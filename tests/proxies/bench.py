"""What a proxy costs: CPU time of HAProxy for each gigabyte and each thousand requests, with and without TLS, as ratios of one run.

`make bench` runs it and writes build/bench-proxies.json; docs/proxy.md has its table. Viewers, HAProxy and an nginx that it asks are on
this machine, on loopback, so only HAProxy's own CPU time counts. What a director does before it is in docs/modes.md.
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
from ansible.module_utils.lvsdr import places  # noqa: E402

ROUNDS, BIG, REQUESTS, HANDSHAKES = 3, 400_000_000, 5000, 500
NGINX = """daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 1000; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000;
  server {{ listen 127.0.1.1:{port} backlog=1000; root {folder}/www; }} }}
"""


def cpu(pid):
    """Seconds that all threads of a process have worked."""
    threads = Path("/proc/%s/task" % pid).glob("*/schedstat")
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


def measure(proxy, tls):
    """{what: CPU seconds of HAProxy} of one round."""
    pid, out = proxy.info("Pid"), {}
    viewer = Viewer(proxy.port, tls)
    begin = cpu(pid)
    assert viewer.get(b"/big") == BIG
    out["a gigabyte"] = (cpu(pid) - begin) * 1e9 / BIG
    begin = cpu(pid)
    for _ in range(REQUESTS):
        viewer.get(b"/small")
    out["1,000 requests, one connection"] = (cpu(pid) - begin) * 1000 / REQUESTS
    viewer.close()
    begin = cpu(pid)
    for _ in range(HANDSHAKES):
        viewer = Viewer(proxy.port, tls)
        viewer.get(b"/small")
        viewer.close()
    out["1,000 requests, a connection each"] = (cpu(pid) - begin) * 1000 / HANDSHAKES
    return out


def main():
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "www").mkdir()
        (folder / "www/big").write_bytes(os.urandom(1 << 20) * (BIG // (1 << 20) + 1))
        os.truncate(folder / "www/big", BIG)
        (folder / "www/small").write_bytes(b"x" * 500)
        for mode in (folder, folder / "www"):
            mode.chmod(0o755)
        for tls in (False, True):
            own = folder / str(tls)
            own.mkdir()
            proxy = conftest.Proxy("2.6", own)
            places.HAPROXY_SOCKET, places.HAPROXY_METRICS_PORT = proxy.socket, conftest.free_port()
            places.IN_FORCE = str(own / "in_force")
            proxy.members, path, certificate = ["origin1"], None, None
            if tls:
                path, certificate = conftest.certificate(own)
                proxy.service["tls"] = {"certificates": [str(path)]}
            (own / "nginx.conf").write_text(NGINX.format(folder=folder, port=proxy.origin_port))
            nginx = subprocess.Popen(["nginx", "-c", str(own / "nginx.conf")], stderr=subprocess.DEVNULL)
            try:
                proxy.start()
                while proxy.get("/small", tls=certificate)[0] != 200:
                    time.sleep(0.1)
                rounds = [measure(proxy, certificate) for _ in range(ROUNDS)]
                found["TLS" if tls else "HTTP"] = {what: statistics.median(one[what] for one in rounds) for what in rounds[0]}
            finally:
                proxy.end()
                nginx.terminate()
                nginx.wait()
    show(found)


def show(found):
    """A table in Markdown."""
    (ROOT / "build/bench-proxies.json").write_text(json.dumps(found, indent=1) + "\n")
    print("| CPU time of HAProxy, HTTP is 1 | HTTP | TLS | for HTTP |\n|---|---|---|---|")
    for what, seconds in found["HTTP"].items():
        print("| %s | 1 | %.1f | %.2f s |" % (what, found["TLS"][what] / seconds, seconds))


if __name__ == "__main__":
    main()
