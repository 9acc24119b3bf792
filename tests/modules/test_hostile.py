"""lvsdr-streamcheck, the real daemon, between healthy servers and one of each kind that is after it: each hurts itself alone.

It runs for 30 s; LVSDR_HOSTILE_SECONDS says for how long else.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from fakes import hostile, program

SECONDS = float(os.environ.get("LVSDR_HOSTILE_SECONDS", 30))
INTERVAL, TIMEOUT = 1, 2
MOST_MEMORY, MOST_BUSY = 100e6, 0.5
# A look of a healthy server is a playlist and a segment. The rest is what the others may take of its time.
LOOK, LATE = 2 * hostile.PAUSE, 0.3
STARVED = 0.25
LINE = re.compile("<[3457]>.*")


def served(which):
    """(process, {name: port}) of the servers."""
    process = subprocess.Popen([sys.executable, hostile.__file__, which], stdout=subprocess.PIPE, text=True)
    return process, json.loads(process.stdout.readline())


def configuration(folder, healthy, hostile_ports):
    def service(name, check, ports):
        check = {"interval": INTERVAL, "timeout": TIMEOUT, "fall": 1, "rise": 1, **check}
        servers = [
            {"name": one, "address": "127.0.0.1", "port": port, "weight": 10, "file": "%s-%s" % (name, one)} for one, port in ports.items()
        ]
        if "agent" in check:
            check["agent"] = {**check["agent"], "port": servers[0]["port"]}
            servers[0]["agent"] = "127.0.0.1"
        return {"name": name, "vip": "192.0.2.100", "check": check, "servers": servers}

    services = [service("healthy", hostile.HLS, healthy), service("pages", hostile.http("status: ok"), dict(list(healthy.items())[:3]))]
    services += [service(name, hostile.hostile()[name][0], {"server": port}) for name, port in hostile_ports.items()]
    return {"folder": str(folder), "metrics_port": 0, "services": services}


def cpu_seconds(pid):
    fields = Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waited(pid):
    """Seconds in which a process could have run and had no core."""
    return int(Path("/proc/%d/schedstat" % pid).read_text().split()[1]) / 1e9


def shown(values):
    return "%d looks take %.3f s too long at the median, %.3f at the 99th centile, %.3f at most" % (
        len(values), values[len(values) // 2], values[len(values) * 99 // 100], values[-1])  # fmt: skip


def peak_memory(pid):
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/%d/status" % pid).read_text())[1])


@pytest.fixture
def run(tmp_path):
    """Of the daemon between them all: (status files one after the other, the log, seconds that a look takes too long which somebody else
    has at one of the healthy servers meanwhile, bytes of memory at its peak, its share of a core, and of the time in which it waits for
    one)."""
    processes = []

    def watch(process, port, deadline):
        seen, usual, path = [], [], tmp_path / "status.json"
        while time.monotonic() < deadline:
            assert process.poll() is None, "the daemon ended"
            if path.exists():
                status = json.loads(path.read_text())
                if not seen or status["at"] != seen[-1]["at"]:
                    seen.append(status)
            begin = time.monotonic()
            for file in ("live.m3u8", "1.ts"):
                with urllib.request.urlopen("http://127.0.0.1:%d/%s" % (port, file)) as answer:
                    answer.read()
            usual.append(time.monotonic() - begin - LOOK)
        return seen, sorted(usual)

    try:
        ports = []
        for which in ("healthy", "hostile"):
            process, found = served(which)
            processes.append(process)
            ports.append(found)
        (tmp_path / "config.json").write_text(json.dumps(configuration(tmp_path, *ports)))
        with open(tmp_path / "log", "wb") as log:
            environment = dict(os.environ, PYTHONPATH=program.install(tmp_path / "program"))
            command = [*program.COMMAND, str(tmp_path / "config.json")]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        processes.append(process)
        seen, usual = watch(process, ports[0]["server0"], time.monotonic() + SECONDS)
        memory, busy = peak_memory(process.pid), (cpu_seconds(process.pid) / SECONDS, waited(process.pid) / SECONDS)
        process.terminate()
        assert process.wait(10) == 0
        yield seen, (tmp_path / "log").read_bytes().decode("utf-8", "surrogateescape"), usual, memory, busy
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def test_each_hurts_itself_alone(run):
    seen, log, usual, memory, (busy, starved) = run
    lines = log.split("\n")[:-1]
    good = [one for status in seen for one in status["checks"] if one["service"] in ("healthy", "pages")]
    others = [one for one in seen[-1]["checks"] if one["service"] not in ("healthy", "pages")]
    looks = {(one["server"], one["checked_at"]): one["seconds"] for one in good if one["service"] == "healthy" and one["seconds"]}
    taken = sorted(seconds - LOOK for seconds in looks.values())
    print("\nthe daemon's: %s\nanother's: %s" % (shown(taken), shown(usual)))
    print("memory %.1f MB, %.2f of a core, %.2f waiting for one, %d lines of the log" % (memory / 1e6, busy, starved, len(lines)))
    for one in others:
        print("%-18s %-8s %s" % (one["service"], one["state"], one["why"]))

    # Each line is the daemon's own, as a whole.
    assert [line for line in lines if not LINE.fullmatch(line) or not line.isprintable()] == []
    assert all(word.isprintable() for status in seen for one in status["checks"] for word in (one["why"], one["agent"], one["warning"]))
    # A state that changes is said each time: not so often that a server could fill the journal.
    assert len(lines) < 5 * len(seen[-1]["checks"]) + SECONDS / 2, log

    assert [one for one in good if one["state"] == "down"] == []
    assert [line for line in lines if re.search(r"(healthy|pages) on .* is down", line)] == []
    assert memory < MOST_MEMORY and busy < MOST_BUSY

    # All of them have been looked at; a good word of one of them may only be where nothing is wrong.
    assert all(one["checked_at"] for one in others)
    assert {one["service"] for one in others} == set(hostile.hostile())

    # How long looks take says something of the daemon only while it gets a core when it wants one.
    if starved > STARVED:
        return
    assert {one["state"] for one in seen[-1]["checks"] if one in good} == {"up"}
    # Before the first search no expression is known to be slow.
    for status in [status for status in seen if status["at"] - seen[0]["at"] > 10]:
        mine = [one for one in status["checks"] if one["service"] in ("healthy", "pages")]
        assert {one["why"] for one in mine if one["why"].startswith("not understood")} == set()
        late = [one for one in mine if status["at"] - one["checked_at"] > 2 * INTERVAL + TIMEOUT]
        assert late == [], "they are looked at all the time"
    # Nobody waited for the loop. What other work on this machine takes is not the daemon's, but takes its time from another as well.
    for centile in (50, 90, 99):
        assert taken[len(taken) * centile // 100] < usual[len(usual) * centile // 100] + LATE, centile
