"""What the console of 300 servers takes: memory of both processes, and their share of a core; the servers' counters are read as well."""

import asyncio
import json
import os
import re
import threading
import time
import urllib.request
from pathlib import Path

import fleet


def memory(directors):
    """{program: bytes of its own, and its part of what it shares} of the first director."""
    one = directors[0]
    pids = {"console": one.console.pid, "helper": one.helper.pid}
    texts = {name: Path("/proc/%d/smaps_rollup" % pid).read_text() for name, pid in pids.items()}
    return {name: 1024 * int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1]) for name, text in texts.items()}


def cpu(director):
    """Seconds of a core that each program has used."""
    out = {}
    for name, process in (("console", director.console), ("helper", director.helper)):
        fields = Path("/proc/%d/stat" % process.pid).read_text().rpartition(")")[2].split()
        out[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return out


def share(director, seconds, scrapes=()):
    """{program: share of a core} for a while, in which metrics are scraped at these seconds."""
    before, begin = cpu(director), time.monotonic()
    for at in scrapes:
        time.sleep(max(0, begin + at - time.monotonic()))
        urllib.request.urlopen(director.url + "/metrics", timeout=10).read()
    time.sleep(max(0, begin + seconds - time.monotonic()))
    return {name: (used - before[name]) / seconds for name, used in cpu(director).items()}


def counting(director):
    """All real servers answer with their counters, in a thread of this process."""
    servers = {one["name"]: one["address"] for one in director.config["services"][0]["servers"]}
    counters = fleet.Counters(director.config["egress_port"], servers)
    row = {"counter": {"name": director.config["services"][0]["counter"], "bytes": 12_500_000, "packets": 8400}}
    counters.texts = dict.fromkeys(servers, json.dumps({"nftables": [row]}).encode())
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(counters.serve(), loop).result(30)
    return loop


def mb(size):
    return size / 1e6
