"""What a real server counts of what it sends, beside what a viewer's link carries; and who may ask for it."""

import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.console import collect
from ansible.module_utils.lvsdr.routes import egress
from links import VIP, VIP6

SERVE = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2]))); s.listen(); print("ready", flush=True)
while True:
    c, _ = s.accept()
    c.sendall(bytes(int(sys.argv[3]))); c.close()
"""
FETCH = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
n = 0
while True:
    data = s.recv(1 << 16)
    if not data: break
    n += len(data)
print(n)
"""
# Bytes of IP packets from an address and port, as the link carries them, until standard input ends.
CAPTURE = """
import select, socket, struct, sys
source, port = socket.inet_pton(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, sys.argv[1]), int(sys.argv[2])
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86dd if len(source) == 16 else 0x0800))
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
s.bind(("eth0", 0)); print("ready", flush=True)
total = packets = longest = 0
while True:
    ready, _, _ = select.select([s, sys.stdin], [], [])
    if s in ready:
        data, (_name, _protocol, kind, *_rest) = s.recvfrom(1 << 16)
        head = data[8:24] if len(source) == 16 else data[12:16]
        at = 40 if len(source) == 16 else 4 * (data[0] & 15)
        if kind == 0 and head == source and struct.unpack_from("!H", data, at)[0] == port:
            total += len(data); packets += 1; longest = max(longest, len(data))
    elif sys.stdin in ready:
        break
print(total, packets, longest)
"""
AMOUNT = 4 << 20


@contextmanager
def running(host, code, *words):
    command = ["ip", "netns", "exec", host.namespace, sys.executable, "-c", code, *map(str, words)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def counting(link, tmp_path):
    """(server, viewer, director) with VIPs on the server, whose rules count two services."""
    server, viewer, director = link("server", 21), link("viewer", 30), link("director", 11)
    for vip in (VIP, VIP6):
        server.hold(vip)
        viewer.ip("route", "add", vip, "via", server.address6 if ":" in vip else server.address, "dev", "eth0")
    for host in (server, viewer, director):
        host.run("ethtool", "-K", "eth0", "tso", "off", "gso", "off", "gro", "off", "tx", "off")
    options = [
        {"name": "s_http", "vip": VIP, "first": 80}, {"name": "s_http", "vip": VIP6, "first": 80},
        {"name": "s_radio", "vip": VIP, "first": 8000, "last": 8010},
    ]  # fmt: skip
    counters, sources = egress.read_counters(options, [director.address, director.address6])
    path = tmp_path / "egress.nft"
    path.write_text(egress.rules(counters, sources))
    server.run("nft", "-f", str(path))
    return server, viewer, director


def counted(server):
    """{name: (bytes, packets)}"""
    return collect.counters(server.run("nft", "-j", "list", "counters", "table", *egress.RULES_TABLE.split()).encode())


def carried(server, viewer, vip, port):
    """(bytes that the viewer's link carried from there, bytes that the server counted meanwhile), of one download."""
    before = counted(server)
    with running(server, SERVE, vip, port, AMOUNT), running(viewer, CAPTURE, vip, port) as capture:
        assert int(viewer.run(sys.executable, "-c", FETCH, vip, str(port))) == AMOUNT
        time.sleep(0.5)
        out, _error = capture.communicate("", timeout=30)
    total, _packets, longest = map(int, out.split())
    assert total > AMOUNT and longest <= 1500, "these are packets of the link"
    header = 72 if ":" in vip else 52
    own = sum(collect.on_wire(*now, header) - collect.on_wire(*before[name], header) for name, now in counted(server).items())
    return total, own


@pytest.mark.parametrize("vip, port, name", [(VIP, 80, "s_http"), (VIP6, 80, "s_http"), (VIP, 8007, "s_radio")])
def test_the_counter_is_what_the_link_carries(counting, vip, port, name):
    server, viewer, _director = counting
    before = counted(server)
    total, own = carried(server, viewer, vip, port)
    assert own == pytest.approx(total, rel=0.02)
    changed = {one for one, count in counted(server).items() if count != before[one]}
    assert changed == {name}


def test_other_ports_and_addresses_are_not_counted(counting):
    server, viewer, _director = counting
    for address, port in ((VIP, 8011), (server.address, 80)):
        assert carried(server, viewer, address, port)[1] == 0


def test_answers_to_checks_are_not_counted(counting):
    """A director that asks through the VIP is not a viewer."""
    server, _viewer, director = counting
    director.ip("route", "add", VIP, "via", server.address, "dev", "eth0")
    assert carried(server, director, VIP, 80)[1] == 0


def test_directors_alone_may_read(counting):
    server, viewer, director = counting
    with running(server, SERVE, "0.0.0.0", places.EGRESS_PORT, 10):
        assert int(director.run(sys.executable, "-c", FETCH, server.address, str(places.EGRESS_PORT))) == 10
        asked = FETCH.replace(", 20)", ", 2)")
        # VIPs are of this host, too.
        for address in (server.address, VIP):
            command = "%s -c '%s' %s %d || echo refused" % (sys.executable, asked, address, places.EGRESS_PORT)
            assert viewer.run("sh", "-c", command, check=False).strip() == "refused"


def test_the_table_says_which_file_it_is(counting):
    server, _viewer, _director = counting
    assert 'comment "lvsdr ' in server.run("nft", "list", "table", *egress.RULES_TABLE.split())


@pytest.mark.parametrize(
    "options, sources",
    [
        ([{"name": "", "vip": VIP, "first": 80}], []),
        ([{"name": "x;", "vip": VIP, "first": 80}], []),
        ([{"name": "x", "vip": "nowhere", "first": 80}], []),
        ([{"name": "x", "vip": VIP, "first": 0}], []),
        ([{"name": "x", "vip": VIP, "first": 80, "last": 79}], []),
        ([{"name": "x", "vip": VIP, "first": 80, "protocol": "icmp"}], []),
        ([{"name": "x", "vip": VIP, "first": 80}], ["nowhere"]),
    ],
)
def test_what_is_refused(options, sources):
    from ansible.module_utils.lvsdr.errors import LvsError

    with pytest.raises(LvsError):
        egress.read_counters(options, sources)
