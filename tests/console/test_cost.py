"""What the console takes from a director: memory, and nothing of its health checks. Its share of a core is in `make bench`."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import cost
import fleet
from fakes import hostile, program

MOST_MEMORY = 60e6


def test_memory_with_300_servers_and_a_page(pair, open_page):
    directors = pair(300)
    loop = cost.counting(directors[0])
    page = open_page(directors[0])
    fleet.eventually(lambda: directors[0].server("edge300")["sent"], 90)
    for _time in range(5):
        urllib.request.urlopen(directors[0].url + "/metrics", timeout=10).read()
    taken = cost.memory(directors)
    assert page.inner_text("#live") == "live"
    loop.call_soon_threadsafe(loop.stop)
    print({name: "%.0f MB" % cost.mb(size) for name, size in taken.items()})
    assert sum(taken.values()) < MOST_MEMORY, taken


def test_health_checks_do_not_notice(pair, tmp_path):
    """lvsdr-streamcheck looks at healthy servers all the while somebody does to the console what can be done."""
    one, _other = pair(300)
    servers = subprocess.Popen(["python3", hostile.__file__, "healthy"], stdout=subprocess.PIPE, text=True)
    ports = json.loads(servers.stdout.readline())
    check = {**hostile.HLS, "interval": 1, "timeout": 2, "fall": 1, "rise": 1}
    listed = [{"name": name, "address": "127.0.0.1", "port": port, "weight": 10, "file": name} for name, port in ports.items()]
    folder = tmp_path / "checks"
    folder.mkdir()
    services = [{"name": "healthy", "vip": "192.0.2.100", "check": check, "servers": listed}]
    (tmp_path / "streamcheck.json").write_text(json.dumps({"folder": str(folder), "metrics_port": 0, "services": services}))
    environment = dict(os.environ, PYTHONPATH=program.install(tmp_path / "streamcheck"))
    daemon = subprocess.Popen(
        [*program.COMMAND, str(tmp_path / "streamcheck.json")], env=environment, cwd="/", stderr=subprocess.PIPE, text=True
    )
    over = threading.Event()
    attackers = [threading.Thread(target=attack, args=(one, over), daemon=True) for attack in (flood, scrape)]
    try:
        path = folder / "status.json"
        fleet.eventually(lambda: path.exists() and {row["state"] for row in json.loads(path.read_text())["checks"]} == {"up"}, 60)
        for attacker in attackers:
            attacker.start()
        end, states, looks = time.monotonic() + 15, set(), set()
        while time.monotonic() < end:
            rows = json.loads(path.read_text())["checks"]
            states |= {row["state"] for row in rows}
            looks |= {(row["server"], row["checked_at"]) for row in rows}
            time.sleep(0.2)
        assert states == {"up"}
        assert len(looks) > 5 * len(ports), "they are looked at as before: %d looks" % len(looks)
    finally:
        over.set()
        for attacker in attackers:
            attacker.join(30)
        for process in (daemon, servers):
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    assert "is down" not in daemon.stderr.read() and one.console.poll() is None


def flood(director, over):
    """Connections that say nothing, half a request, and pages that are asked for and not read."""
    while not over.is_set():
        sockets = []
        for number in range(150):
            sock = socket.socket()
            sock.settimeout(2)
            try:
                sock.connect(("127.0.0.1", director.port))
                sock.send([b"", b"GET / HTTP/1.1\r\nHost: loc", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"][number % 3])
            except OSError:
                pass
            sockets.append(sock)
        over.wait(0.5)
        for sock in sockets:
            sock.close()


def scrape(director, over):
    while not over.is_set():
        try:
            urllib.request.urlopen(director.url + "/metrics", timeout=5).read()
        except (urllib.error.URLError, OSError):
            over.wait(0.1)
