"""What a director can carry in each mode, beside HAProxy: prints the tables of docs/modes.md, and writes build/bench-modes.json.

`make bench` runs it in a guest: all hosts are namespaces of one kernel, and each mode's hosts are made as a rollout makes them.
Viewers load the same bytes in turns, in each mode and straight from the servers through the same router. What the guest computes for a mode
above the direct way is what that mode costs, nearly all of it on the director; what passes the director's cards is counted there.
"""

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/kernel")]
import house as house
import net
import wires
from net import DIRECTORS, SERVERS, inside
from test_modes import THREE, VIP, Fleet, no_tunnels

# As an emulated guest's clock counts instructions, three rounds are enough. CONNECTIONS: at one time, on all servers.
ROUNDS, CONNECTIONS, MB = 3, 6, 1_000_000
# {what the table calls it: (offloads of all cards, GRO of the viewers' card, megabytes of one round)}
WIRES = {
    "1,500-byte packets": ("off", "off", 72),
    "1,500-byte packets, GRO at viewers": ("off", "on", 72),
    "offloads on": ("on", "on", 360),
}
HAPROXY = """
global
    nbthread 1
    maxconn 1000
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend live
    bind {vip}:80
    default_backend web
backend web
    balance roundrobin
"""


class Route(Fleet):
    """No director: viewers load from the servers' own addresses."""

    def roll_out(self):
        pass

    def hold(self, director):
        pass

    def targets(self):
        return [(net.address(SERVERS[name]), net.OTHER_PORT) for name in THREE]

    def end(self):
        pass


class Ipvs(Fleet):
    def targets(self):
        return [(VIP[4], 80)]

    def end(self):
        if self.mode == "tunnel":
            no_tunnels()


class Proxy(Route):
    """HAProxy on the active director."""

    def hold(self, director):
        net.hold(director, [VIP[4]])
        lines = ["    server %s %s:%d" % (name, net.address(SERVERS[name]), net.OTHER_PORT) for name in THREE]
        path = os.path.join(tempfile.mkdtemp(), "haproxy.cfg")
        Path(path).write_text(HAPROXY.format(vip=VIP[4]) + "\n".join(lines) + "\n")
        self.process = subprocess.Popen(["ip", "netns", "exec", director, "haproxy", "-db", "-f", path])
        deadline = time.monotonic() + 60
        while True:
            with inside("viewer"):
                sock = socket.socket()
            with sock, contextlib.suppress(OSError):
                sock.connect((VIP[4], 80))
                return
            assert time.monotonic() < deadline and self.process.poll() is None, "HAProxy does not listen"
            time.sleep(0.1)

    def targets(self):
        return [(VIP[4], 80)]

    def end(self):
        self.process.terminate()
        self.process.wait()


MODES = {
    "none": lambda: Route("none"),
    "dr": lambda: Ipvs("dr"),
    "tunnel": lambda: Ipvs("tunnel"),
    "nat": lambda: Ipvs("nat", real_server_port=net.OTHER_PORT),
    "snat": lambda: Ipvs("snat", real_server_port=net.OTHER_PORT),
    "haproxy": lambda: Proxy("haproxy"),
}
NAMES = {"haproxy": "HAProxy, `mode tcp`"}


def serve(name, path):
    """A server's process: sends as many bytes of the file, again and again, as the first line of a connection says."""
    listeners = []
    with inside(name):
        for port in (net.PORT, net.OTHER_PORT):
            listeners.append(socket.create_server(("0.0.0.0", port), backlog=100))
    long = os.path.getsize(path)

    def send(sock):
        with sock, open(path, "rb") as file, contextlib.suppress(OSError):
            left = int(sock.makefile().readline() or 0)
            while left:
                left -= os.sendfile(sock.fileno(), file.fileno(), (-left) % long, min(left, long - (-left) % long))

    def accept(listener):
        while True:
            threading.Thread(target=send, args=[listener.accept()[0]], daemon=True).start()

    threads = [threading.Thread(target=accept, args=[one]) for one in listeners]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def begin_servers():
    path = os.path.join(tempfile.mkdtemp(), "long.bin")
    Path(path).write_bytes(os.urandom(1 << 20) * 16)
    for name in THREE:
        if os.fork() == 0:
            try:
                serve(name, path)
            finally:
                os._exit(1)


def busy():
    """Seconds for which this guest's CPUs have worked. The kernel knows its idle time better than the time of each kind of work."""
    fields = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return time.monotonic() * os.cpu_count() - (fields[3] + fields[4]) / os.sysconf("SC_CLK_TCK")


def passed(name):
    """{what: how much} of a host's cards."""
    out = {}
    with wires.routing(name) as route:
        for link in route.get_links():
            if link.get_attr("IFLA_IFNAME").startswith("eth"):
                counted = link.get_attr("IFLA_STATS64")
                for what in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"):
                    out[what] = out.get(what, 0) + counted[what]
    return out


def load(targets, size):
    """All bytes of one round; what is wrong with one of the connections."""
    socks = []
    for number in range(CONNECTIONS):
        with inside("viewer"):
            sock = socket.socket()
        sock.setsockopt(socket.SOL_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        # A viewer is woken for many packets at once: what it costs is not of interest.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1 << 17)
        sock.bind((net.client(number), 0))
        sock.connect(targets[number % len(targets)])
        socks.append(sock)
    wrong = []

    def receive(sock):
        left, room = size, bytearray(1 << 20)
        sock.sendall(b"%d\n" % size)
        while left:
            # Without MSG_TRUNC the kernel would copy them.
            got = sock.recv_into(room, min(left, len(room)), socket.MSG_TRUNC | socket.MSG_WAITALL)
            if not got:
                wrong.append(left)
                return
            left -= got

    threads = [threading.Thread(target=receive, args=[sock]) for sock in socks]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for sock in socks:
        sock.close()
    assert not wrong, wrong


def offloads(setting, viewers):
    """tso, gso and gro of every card and every port of a bridge."""
    command = (
        "for card in $(ls /sys/class/net); do ethtool -K $card tso $1 gso $1 gro $2; done; ethtool -k $(ls /sys/class/net | grep eth0)"
    )
    for name in (None, "router", "viewer", *DIRECTORS, *SERVERS):
        inside_of = ["ip", "netns", "exec", name] if name else []
        gro = viewers if name == "viewer" else setting
        done = subprocess.run([*inside_of, "sh", "-c", command, "sh", setting, gro], capture_output=True, text=True)
        if name:
            found = dict(line.strip().split(": ")[:2] for line in done.stdout.splitlines() if ": " in line)
            expected = {"tcp-segmentation-offload": setting, "generic-segmentation-offload": setting, "generic-receive-offload": gro}
            assert {one: found[one].split()[0] for one in expected} == expected, (name, done.stdout, done.stderr)


def measure(mode, setting, megabytes):
    """What one round of a mode cost and moved, for each megabyte delivered."""
    fleet = MODES[mode]()
    try:
        if mode == "tunnel":
            offloads(*setting)  # of the new devices
        load(fleet.targets(), 100_000)  # neighbours, routes and code that is loaded
        time.sleep(0.5)
        size = megabytes * MB // CONNECTIONS
        before, begin, worked = {name: passed(name) for name in ("director1", "viewer")}, time.monotonic(), busy()
        load(fleet.targets(), size)
        worked, seconds, after = busy() - worked, time.monotonic() - begin, {name: passed(name) for name in before}
    finally:
        fleet.end()
    delivered = size * CONNECTIONS / MB
    out = {"busy": worked / delivered, "seconds": seconds / delivered}
    for name, counted in before.items():
        out.update({"%s_%s" % (name, what): (after[name][what] - counted[what]) / delivered for what in counted})
    return out


def main():
    net.build()
    begin_servers()
    found = {}
    for wire, (setting, viewers, megabytes) in WIRES.items():
        offloads(setting, viewers)
        rounds = found[wire] = {mode: [] for mode in MODES}
        for number in range(ROUNDS):
            for mode in MODES:
                begin = time.monotonic()
                one = measure(mode, (setting, viewers), megabytes)
                rounds[mode].append(one)
                took, text = time.monotonic() - begin, " ".join("%s %.4g" % item for item in one.items())
                print("# %s, round %d, %s: %s (%.0f s)" % (wire, number + 1, mode, text, took), flush=True)
    (ROOT / "build/bench-modes.json").write_text(json.dumps(found, indent=1) + "\n")
    show(found)


def show(found):
    """Tables in Markdown: the median of all rounds, and of what is computed for a mode the least and the most."""

    def carried(rounds, mode):
        cost = {name: [one["busy"] - none["busy"] for one, none in zip(rounds[name], rounds["none"])] for name in (mode, "nat")}
        ratios = sorted(nat / one for nat, one in zip(cost["nat"], cost[mode]))
        return "%.2g" % statistics.median(ratios) + ("" if mode == "nat" else " (%.2g to %.2g)" % (ratios[0], ratios[-1]))

    def median(rounds, mode, name):
        return statistics.median(one[name] for one in rounds[mode])

    def rounded(value):
        return "%.1f" % value if value < 100 else format(value, ",.0f")

    figures = {
        "what its CPU can carry, NAT is 1": carried,
        "bytes into the director for 1,000 delivered": lambda *one: rounded(median(*one, "director1_rx_bytes") * 1000 / MB),
        "packets into the director for 1 MB": lambda *one: rounded(median(*one, "director1_rx_packets")),
        "packets from viewers for 1 MB": lambda *one: rounded(median(*one, "viewer_tx_packets")),
        "bytes per second of the whole guest, without a director 1": lambda rounds, mode: (
            "%.2f" % (median(rounds, "none", "seconds") / median(rounds, mode, "seconds"))
        ),
    }
    for title, figure in figures.items():
        print("\n| %s | %s |\n|%s" % (title, " | ".join(found), "---|" * (len(found) + 1)))
        for mode in list(MODES)[1:]:
            print("| %s | %s |" % (NAMES.get(mode, "`%s`" % mode), " | ".join(figure(rounds, mode) for rounds in found.values())))


if __name__ == "__main__":
    main()
