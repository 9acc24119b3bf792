"""Which settings keep a real server silent for its VIP: every row of docs/arp-problem.md, as the wire shows it.

Two judges look at each row: the kernel of another host, which resolves the VIP as for any packet, and arp_audit.
"""

import pytest
from links import VIP, VIP6

# What is done to a fresh host, in order, and whether it then answers for the VIP.
ROWS = {
    "kernel defaults": (lambda server: server.hold(VIP), True),
    "only lo": (lambda server: (server.conf(lo_arp_ignore=1), server.hold(VIP)), True),
    "only default, with the interface there already": (lambda server: (server.conf(default_arp_ignore=1), server.hold(VIP)), True),
    "all": (lambda server: (server.conf(all_arp_ignore=1), server.hold(VIP)), False),
    "the receiving interface": (lambda server: (server.conf(eth0_arp_ignore=1), server.hold(VIP)), False),
    "all, VIP on the card": (lambda server: (server.conf(all_arp_ignore=1), server.hold(VIP, "eth0")), True),
    "all 2": (lambda server: (server.conf(all_arp_ignore=2), server.hold(VIP)), False),
    "all 3, scope host": (lambda server: (server.conf(all_arp_ignore=3), server.hold(VIP, "lo", "scope", "host")), False),
    "all 3, scope global": (lambda server: (server.conf(all_arp_ignore=3), server.hold(VIP, "lo", "scope", "global")), True),
    "all 8": (lambda server: (server.conf(all_arp_ignore=8), server.hold(VIP)), False),
    "all 1, the interface 3": (lambda server: (server.conf(all_arp_ignore=1, eth0_arp_ignore=3), server.hold(VIP)), True),
    "0, scope host": (lambda server: server.hold(VIP, "lo", "scope", "host"), True),
    "IPv6 on lo": (lambda server: server.hold(VIP6), False),
    "IPv6 on the card": (lambda server: server.hold(VIP6, "eth0"), True),
}


@pytest.mark.parametrize(("make", "answers"), ROWS.values(), ids=ROWS)
def test_who_answers(router, server, make, answers):
    make(server)
    vip = VIP6 if server.ip("address", "show", "to", VIP6) else VIP
    assert router.resolve(vip) == (server.mac if answers else None)
    (result,) = router.module("arp_audit", vips=[vip], timeout=0.4)["results"]
    assert result["macs"] == ([server.mac] if answers else [])


@pytest.mark.parametrize(("announce", "poisoned"), [(0, True), (1, True), (2, False)])
def test_what_the_server_itself_announces(link, router, server, announce, poisoned):
    """It asks for a neighbour from the VIP, as any answer to a viewer makes it do; the router had the director's MAC."""
    director = link("director", 11)
    director.hold(VIP, "eth0")
    server.conf(all_arp_ignore=1, all_arp_announce=announce)
    server.hold(VIP)
    assert router.resolve(VIP) == director.mac
    server.ip("neigh", "flush", "dev", "eth0")
    server.python(
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('%s', 0)); s.sendto(b'x', ('192.0.2.1', 9))" % VIP
    )
    assert server.resolve(router.address) == router.mac, "the server's question was answered"
    assert router.neighbour(VIP) == (server.mac if poisoned else director.mac)


@pytest.mark.parametrize(("length", "reached"), [(32, True), (24, False)])
def test_a_vip_with_the_subnets_prefix_cuts_the_server_off(router, server, length, reached):
    server.conf(all_arp_ignore=1, all_arp_announce=2)
    server.hold(VIP, length=length)
    assert router.reaches(server.address) is reached


@pytest.mark.parametrize(
    ("everywhere", "eth0", "reached"), [(1, 0, False), (0, 1, False), (1, 1, False), (1, 2, True), (2, 1, True), (0, 0, True)]
)
def test_strict_filtering_drops_what_comes_in_on_another_arm(link, router, everywhere, eth0, reached):
    """The way back to the router leads over eth1; the director passes packets on to eth0."""
    server = link("server", 21, 22)
    server.conf(all_rp_filter=everywhere, eth0_rp_filter=eth0, eth1_rp_filter=0)
    server.ip("route", "replace", "192.0.2.0/24", "dev", "eth1", "src", "192.0.2.22")
    server.conf(all_arp_ignore=1, all_arp_announce=2)
    server.hold(VIP)
    router.ip("neigh", "replace", VIP, "lladdr", server.macs[0], "dev", "eth0")
    assert router.reaches(VIP) is reached
