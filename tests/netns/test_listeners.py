"""Programs that answer for a service in every way they can be bound, seen from the server and from a viewer on the link."""

import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from links import VIP, VIP6
from said import id_of

# A TCP listener, and UDP programs that answer each packet with another: the usual one, and one that answers from the address it was asked.
TCP = """
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.bind((sys.argv[1], 80)); s.listen(); print("ready", flush=True); time.sleep(60)
"""
UDP = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 9000)); print("ready", flush=True)
while True: s.sendto(b"answer", s.recvfrom(2048)[1])
"""
PKTINFO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
s.bind(("0.0.0.0", 9000)); print("ready", flush=True)
while True:
    data, notes, _flags, peer = s.recvmsg(2048, 64)
    index, asked, header = notes[0][2][:4], notes[0][2][8:12], notes[0][2][8:12]
    s.sendmsg([b"answer"], [(socket.IPPROTO_IP, 8, b"\\0" * 4 + asked + b"\\0" * 4)], 0, peer)
"""


@contextmanager
def running(host, *command):
    process = subprocess.Popen(["ip", "netns", "exec", host.namespace, *command], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def program(host, code, *arguments):
    with running(host, sys.executable, "-c", code, *arguments) as process:
        assert process.stdout.readline() == "ready\n"
        yield


@pytest.fixture
def served(router, server):
    """A server with both VIPs, to which the router sends what is for a VIP, as a director would."""
    server.conf(all_arp_ignore=1, all_arp_announce=2)
    for vip in (VIP, VIP6):
        server.hold(vip)
        router.ip("neigh", "replace", vip, "lladdr", server.mac, "dev", "eth0", "nud", "permanent")
    return server


def check(server, protocol="tcp", port=80):
    own = [(VIP, server.address), (VIP6, server.address6)]
    services = [{"name": "live", "protocol": protocol, "port": port, "vip": vip, "own": own} for vip, own in own]
    return server.module("listener_check", services=services, timeout=0.5)


@pytest.mark.parametrize(
    ("bound", "problems"),
    [
        ("::", []),
        ("0.0.0.0", [("missing", "live: tcp [2001:db8::100]:80: ")]),
        ("192.0.2.21", [("not-on-vip", "live: tcp 192.0.2.100:80: listens on 192.0.2.21:80 only;"), ("missing", "")]),
        (VIP, [("not-on-own-address", "listens on 192.0.2.100:80 only, "), ("missing", "")]),
        (VIP6, [("missing", ""), ("not-on-own-address", "listens on [2001:db8::100]:80 only, ")]),
    ],
)
def test_tcp(served, bound, problems):
    with program(served, TCP, bound):
        found = check(served)
    assert [id_of(line) for line in found["problems"]] == ["listener-" + id for id, _words in problems]
    assert bool(found.get("failed")) == bool(problems)
    assert all(words in line for (_id, words), line in zip(problems, found["problems"]))


def test_a_packet_filter_in_the_way(served):
    served.run("nft", "add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in ip daddr %s drop" % VIP)
    with program(served, TCP, "0.0.0.0"):
        problem = check(served)["problems"][0]
        assert "192.0.2.100:80 (no answer within 0.5 s)" in problem and id_of(problem) == "listener-refuses"


@pytest.fixture
def published(link, served):
    """A container behind the server, as runtimes make it: packets for a port of this host get another destination."""
    container = link("container", 41)
    container.ip("route", "add", "default", "via", served.address)
    served.sysctl("net/ipv4/ip_forward", 1)

    def published(protocol, port, *addresses):
        rules = ["add table ip t"]
        for chain, hook in (("p", "prerouting"), ("o", "output")):
            rules.append("add chain ip t %s { type nat hook %s priority -100; }" % (chain, hook))
            rules += ["add rule ip t %s ip daddr %s %s dport %d dnat to %s" % (chain, address, protocol, port, container.address)
                      for address in addresses]  # fmt: skip
        # The server and the container are on one link here, so the way back has to be by the server as well.
        rules += [
            "add chain ip t b { type nat hook postrouting priority 100; }",
            "add rule ip t b ip daddr %s masquerade" % container.address,
        ]
        served.run("nft", "; ".join(rules))
        return container

    return published


def test_a_published_port_of_a_container(router, served, published):
    """Connections succeed, for viewers too, and no socket of this host has the port."""
    container = published("tcp", 80, VIP, served.address)
    with program(container, TCP, "0.0.0.0"):
        found = check(served)
        assert [one["bound"] for one in found["listeners"]] == [[], []]
        assert [line.split(": ")[1] for line in found["problems"]] == ["tcp [2001:db8::100]:80"], "it is published for IPv4"
        code = "import socket; socket.create_connection(('%s', 80), 2)" % VIP
        router.python(code)
    assert [id_of(line) for line in check(served)["problems"]] == ["listener-missing"] * 2, "it ended"


def test_a_port_that_is_published_on_the_vip_alone(served, published):
    with program(published("tcp", 80, VIP), TCP, "0.0.0.0"):
        problem = check(served)["problems"][0]
    assert "192.0.2.21:80 (Connection refused)" in problem and id_of(problem) == "listener-half-published"


@pytest.mark.parametrize("question", [{}, {"type": "payload", "payload": "0d0a"}])
def test_a_published_udp_port(served, published, question):
    asked = {"name": "live", "protocol": "udp", "port": 9000, "vip": VIP, "own": served.address, **question}
    result = served.module("listener_check", services=[asked])
    (problem,) = result["problems"]
    assert "udp port 9000" in problem and id_of(problem) == "listener-missing" and problem in result["msg"]
    with program(published("udp", 9000, VIP), UDP, "0.0.0.0"):
        assert served.module("listener_check", services=[asked])["problems"] == []


@pytest.mark.parametrize(
    ("code", "bound", "vip", "good"),
    [
        (UDP, "0.0.0.0", VIP, False),
        (UDP, VIP, VIP, True),
        (PKTINFO, "0.0.0.0", VIP, True),
        (UDP, "::", VIP6, False),
        (UDP, VIP6, VIP6, True),
    ],
)
def test_where_udp_answers_come_from(router, served, code, bound, vip, good):
    """The server finds nothing wrong in any of these: only a viewer sees it."""
    own = served.address6 if ":" in vip else served.address
    with program(served, code, bound):
        services = [{"name": "live", "protocol": "udp", "port": 9000, "vip": vip, "own": own}]
        assert not served.module("listener_check", services=services).get("failed")
        question = {"type": "payload", "payload": "0d0a", "count": 3, "timeout": 1}
        seen = router.module("udp_probe", vips=[vip], port=9000, host_by_address={own: "server"}, **question)
    assert seen["results"][0]["answers"] == ({vip: 3} if good else {own: 3})
    assert bool(seen.get("failed")) is not good
    if not good:
        assert " %s (server), " % own in seen["msg"] and "IP_PKTINFO" in seen["msg"]
        assert [id_of(line) for line in seen["problems"]] == ["udp-answered-elsewhere"]


@pytest.mark.parametrize(("bound", "good"), [("0.0.0.0", False), (VIP, True)])
def test_a_real_srt_listener(router, served, bound, good):
    """Debian's libsrt, which answers from the server's own address unless it is bound to the VIP."""
    with running(served, "srt-live-transmit", "-q", "srt://%s:9000?mode=listener" % bound, "udp://127.0.0.1:9999"):
        deadline = time.monotonic() + 10
        while check(served, "udp", 9000)["listeners"][0]["bound"] != [bound]:
            assert time.monotonic() < deadline
        asked = {"name": "live", "protocol": "udp", "port": 9000, "vip": VIP, "own": served.address, "type": "srt"}
        assert served.module("listener_check", services=[asked])["problems"] == []
        (problem,) = served.module("listener_check", services=[{**asked, "type": "dns"}], timeout=0.5)["problems"]
        assert "(no reply within 0.5 s)" in problem and id_of(problem) == "listener-silent", "it speaks SRT alone"
        seen = router.module("udp_probe", vips=[VIP], port=9000, type="srt", count=2, timeout=2)
    assert seen["results"][0]["answers"] == ({VIP: 2} if good else {served.address: 2}) and bool(seen.get("failed")) is not good


def test_nobody_answers(router, served):
    seen = router.module("udp_probe", vips=[VIP, VIP6], port=9000, count=1, timeout=0.5)
    assert seen["failed"] and [(one["vip"], one["answers"], one["unanswered"]) for one in seen["results"]] == [(VIP, {}, 1), (VIP6, {}, 1)]
    assert "udp 192.0.2.100:9000 within 0.5 s" in seen["msg"] and "udp [2001:db8::100]:9000 " in seen["msg"]
    assert [id_of(line) for line in seen["problems"]] == ["udp-unanswered", "udp-unanswered"]
