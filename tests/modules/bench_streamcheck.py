"""What lvsdr-streamcheck costs: 300 HLS checks each 5 seconds, without and with TLS, and 3,000, whether one of them comes late. Run by
`make bench`.

CPU time of its process as the kernel counts it, so that other work on this machine does not matter; the servers are processes of their own,
and do as little as they can. With names of benches as arguments it runs these alone.
"""

import asyncio
import json
import multiprocessing
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

INTERVAL, SECONDS, SERVERS = 5, 30, 2
# Of MemoryMax the checker should need less than this.
MEMORY = 100e6
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "kernel")]

import house as house
from fakes import program

# name: (checks, whether with TLS)
BENCHES = {"300": (300, False), "300_tls": (300, True), "3000": (3000, False)}


class Live(asyncio.Protocol):
    """A playlist that moves every two seconds, and its segments. It keeps a connection where the client does."""

    def connection_made(self, transport):
        self.transport, self.asked = transport, b""

    def data_received(self, data):
        self.asked += data
        while b"\r\n\r\n" in self.asked:
            head, _end, self.asked = self.asked.partition(b"\r\n\r\n")
            body = b"x" * 1000
            if b".m3u8 " in head:
                first = int(time.time() / 2)
                segments = b"".join(b"#EXTINF:2,\n/%d.ts\n" % number for number in range(first, first + 6))
                body = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n%s" % (first, segments)
            last = b"connection: close" in head.lower()
            said = b"Connection: close\r\n" if last else b""
            self.transport.write(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (said, len(body), body))
            if last:
                self.transport.close()


def serve(sock, certificate):
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)

    async def run():
        server = await asyncio.get_running_loop().create_server(Live, sock=sock, backlog=1024, ssl=context)
        await server.serve_forever()

    asyncio.run(run())


def certified(folder):
    """The path of a certificate with its key, of the kind that costs a server least."""
    path = Path(folder) / "certificate"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90", "-subj", "/CN=x",
         "-keyout", path, "-out", str(path) + ".pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + Path(str(path) + ".pem").read_text())
    return path


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory(pid):
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/%d/status" % pid).read_text())[1])


def configuration(folder, checks, port, tls):
    check = {"type": "hls", "path": "/live.m3u8", "interval": INTERVAL, "timeout": 4, "fall": 1, "rise": 2, "tls": tls}
    servers = [{"name": "s%d" % n, "address": "127.0.0.1", "port": port, "weight": 10} for n in range(10)]
    services = [
        {"name": "live%d" % n, "vip": "192.0.2.%d" % (n % 250), "check": check,
         "servers": [dict(one, file="live%d%s" % (n, one["name"])) for one in servers]}
        for n in range(checks // 10)
    ]  # fmt: skip
    return {"folder": folder, "metrics_port": 0, "services": services}


def watch(path, deadline):
    """(the last status, seconds between looks of each check, shortest first)."""
    seen, between = {}, []
    while time.monotonic() < deadline:
        status = json.loads(path.read_text())
        for one in status["checks"]:
            key, at = (one["service"], one["server"]), one["checked_at"]
            before = seen.get(key)
            if before and before != at:
                between.append(at - before)
            seen[key] = at
        time.sleep(0.5)
    return status, sorted(between)


def bench(folder, checks, tls):
    """{what: ratio}"""
    certificate = certified(folder) if tls else None
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as sock:
        servers = [multiprocessing.Process(target=serve, args=(sock, certificate), daemon=True) for _server in range(SERVERS)]
        for server in servers:
            server.start()
        port = sock.getsockname()[1]
    config = Path(folder) / "config.json"
    config.write_text(json.dumps(configuration(folder, checks, port, tls)))
    # PROFILE names a file for what cProfile finds.
    profile = ["-m", "cProfile", "-o", os.environ["PROFILE"]] if "PROFILE" in os.environ else []
    command = [program.COMMAND[0], *profile, *program.COMMAND[1:], str(config)]
    process = subprocess.Popen(
        command, env=dict(os.environ, PYTHONPATH=program.install(Path(folder) / "program")), stdout=subprocess.DEVNULL
    )
    try:
        time.sleep(2 * INTERVAL)
        begin, used = time.monotonic(), cpu_seconds(process.pid)
        status, between = watch(Path(folder) / "status.json", begin + SECONDS)
        share = (cpu_seconds(process.pid) - used) / (time.monotonic() - begin)
        states = {one["state"] for one in status["checks"]}
        assert states == {"up"}, states
        return {
            "share_of_a_core": round(share, 3),
            "longest_of_%d_intervals" % len(between): round(between[-1] / INTERVAL, 3),
            "99th_centile_of_intervals": round(between[len(between) * 99 // 100] / INTERVAL, 3),
            "share_of_100_MB": round(peak_memory(process.pid) / MEMORY, 3),
        }
    finally:
        process.terminate()
        process.wait()
        for server in servers:
            server.terminate()
            server.join()


def main():
    out = {}
    for name in sys.argv[1:] or BENCHES:
        with tempfile.TemporaryDirectory() as folder:
            out["streamcheck_%s_checks_each_5s" % name] = bench(folder, *BENCHES[name])
    print(json.dumps(out))


if __name__ == "__main__":
    main()
