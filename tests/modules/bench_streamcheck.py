"""What lvsdr-streamcheck costs: 300 HLS checks, each every 5 seconds, against a server on this machine. Run by `make bench`.

CPU time of its process as the kernel counts it, so that other work on this machine does not matter; the server is a process of its own.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHECKS, INTERVAL, SECONDS = 300, 5, 30
MODULE_UTILS = Path(__file__).parents[2] / "module_utils"


class Live(BaseHTTPRequestHandler):
    """A playlist that moves every two seconds, and its segments."""

    def do_GET(self):
        first = int(time.time() / 2)
        body = "x" * 1000
        if self.path.endswith(".m3u8"):
            segments = "".join("#EXTINF:2,\n/%d.ts\n" % number for number in range(first, first + 6))
            body = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n%s" % (first, segments)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_args):
        pass


def serve(ready):
    class Server(ThreadingHTTPServer):
        request_queue_size = 512

    server = Server(("127.0.0.1", 0), Live)
    ready.put(server.server_port)
    server.serve_forever()


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    ready = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(ready,), daemon=True)
    server.start()
    port = ready.get()
    with tempfile.TemporaryDirectory() as folder:
        check = {"type": "hls", "path": "/live.m3u8", "interval": INTERVAL, "timeout": 4, "fall": 1, "rise": 2}
        servers = [{"name": "s%d" % n, "address": "127.0.0.1", "port": port, "weight": 10, "file": "s%d" % n} for n in range(10)]
        services = [{"name": "live%d" % n, "vip": "192.0.2.%d" % n, "check": check, "servers": servers} for n in range(CHECKS // 10)]
        for service in services:
            service["servers"] = [dict(one, file=service["name"] + one["file"]) for one in servers]
        config = Path(folder) / "config.json"
        config.write_text(json.dumps({"folder": folder, "metrics_port": 0, "services": services}))
        command = [sys.executable, "-m", "lvsdr.streamcheck", str(config)]
        process = subprocess.Popen(command, env=dict(os.environ, PYTHONPATH=str(MODULE_UTILS)), stdout=subprocess.DEVNULL)
        try:
            time.sleep(2 * INTERVAL)
            begin, used = time.monotonic(), cpu_seconds(process.pid)
            time.sleep(SECONDS)
            share = (cpu_seconds(process.pid) - used) / (time.monotonic() - begin)
            states = {one["state"] for one in json.loads((Path(folder) / "status.json").read_text())["checks"]}
            assert states == {"up"}, states
        finally:
            process.terminate()
            process.wait()
    print(json.dumps({"streamcheck_300_checks_each_5s_share_of_a_core": round(share, 3)}))


if __name__ == "__main__":
    main()
