"""Which settings keep a real server silent for its VIP: every row of docs/arp-problem.md, as the wire shows it.

Two judges look at each row: the kernel of another host, which resolves the VIP as for any packet, and arp_audit. What real_server_vip
says of the host (state gathered) has to agree with them, and after it has done its work both hear nothing.
"""

import json

import pytest
import wires
from links import PREFIX, VIP, VIP6
from said import path_and_id


def own_interface(server, vip=VIP, *options):
    """The VIP on an interface that nobody can ask on: a bridge without ports, as a dummy would be."""
    server.ip("link", "add", "vip0", "type", "bridge")
    server.ip("link", "set", "vip0", "up")
    server.hold(vip, "vip0", *options)


def pair(server, *more):
    """The VIP on one end of a pair whose other end is on this host as well. more: what becomes of that end."""
    server.ip("link", "add", "vip0", "type", "veth", "peer", "name", "vip1")
    for words in (*more, ("vip1", "up"), ("vip0", "up")):
        server.ip("link", "set", *words)
    server.hold(VIP, "vip0")


def pair_with_a_bridge(server, *ports):
    server.ip("link", "add", "br0", "type", "bridge")
    server.ip("link", "set", "br0", "up")
    pair(server, ("vip1", "master", "br0"), *((port, "master", "br0") for port in ports))


def pair_to_the_link(server):
    """The other end is a port of the link's bridge: a card like any other."""
    wires.plug(server.namespace, "vip0", "vip1", "switch", PREFIX + "switch")
    wires.up(server.namespace, "vip0")
    server.hold(VIP, "vip0")


def card_that_is_down(server):
    server.ip("link", "add", "eth1", "type", "veth", "peer", "name", "end")
    server.hold(VIP, "eth1")


def without_arp(server, vip):
    """As a dummy is."""
    server.ip("link", "set", "eth0", "arp", "off")
    server.hold(vip, "eth0")


def with_peer(server, card):
    server.ip("address", "add", VIP, "peer", "192.0.2.99/32", "dev", card)


def route(server, target=VIP, *options):
    server.ip("route", "add", "local", target, "dev", "lo", *options)


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
    "all 1, VIP on the card with scope link": (
        lambda server: (server.conf(all_arp_ignore=1), server.hold(VIP, "eth0", "scope", "link")), True),
    "all 1, VIP on the card with scope host": (
        lambda server: (server.conf(all_arp_ignore=1), server.hold(VIP, "eth0", "scope", "host")), True),
    "all 1, VIP on the card with scope 77": (lambda server: (server.conf(all_arp_ignore=1), server.hold(VIP, "eth0", "scope", "77")), True),
    "all 1, VIP on the card with a peer": (lambda server: (server.conf(all_arp_ignore=1), with_peer(server, "eth0")), True),
    "all 1, VIP on lo with a peer": (lambda server: (server.conf(all_arp_ignore=1), with_peer(server, "lo")), False),
    "all 2, VIP on the card": (lambda server: (server.conf(all_arp_ignore=2), server.hold(VIP, "eth0")), True),
    "all 3, VIP on the card with scope host": (
        lambda server: (server.conf(all_arp_ignore=3), server.hold(VIP, "eth0", "scope", "host")), False),
    "all 3, VIP on the card with scope link": (
        lambda server: (server.conf(all_arp_ignore=3), server.hold(VIP, "eth0", "scope", "link")), True),
    "all 3, VIP on lo with scope link": (lambda server: (server.conf(all_arp_ignore=3), server.hold(VIP, "lo", "scope", "link")), True),
    "all 8, VIP on the card": (lambda server: (server.conf(all_arp_ignore=8), server.hold(VIP, "eth0")), False),
    "all 1, VIP on an interface of its own": (lambda server: (server.conf(all_arp_ignore=1), own_interface(server)), False),
    "the interface 1, VIP on an interface of its own": (lambda server: (server.conf(eth0_arp_ignore=1), own_interface(server)), False),
    "0, VIP on an interface of its own": (own_interface, True),
    "all 3, VIP on an interface of its own": (lambda server: (server.conf(all_arp_ignore=3), own_interface(server)), True),
    "all 3, VIP with scope host on an interface of its own": (
        lambda server: (server.conf(all_arp_ignore=3), own_interface(server, VIP, "scope", "host")), False),
    "all 1, VIP on an interface of its own and on the card": (
        lambda server: (server.conf(all_arp_ignore=1), own_interface(server), server.hold(VIP, "eth0")), True),
    "all 1, VIP on a pair within the host": (lambda server: (server.conf(all_arp_ignore=1), pair(server)), False),
    "0, VIP on a pair within the host": (pair, True),
    "all 1, VIP on a pair to a bridge of its own": (lambda server: (server.conf(all_arp_ignore=1), pair_with_a_bridge(server)), False),
    "all 1, VIP on a card that is down": (lambda server: (server.conf(all_arp_ignore=1), card_that_is_down(server)), False),
    "0, VIP on a card that is down": (card_that_is_down, True),
    "all 1, VIP in a local route": (lambda server: (server.conf(all_arp_ignore=1), route(server)), False),
    "0, VIP in a local route": (route, True),
    "all 3, VIP in a local route": (lambda server: (server.conf(all_arp_ignore=3), route(server)), False),
    "0, VIP in a local route of table main": (lambda server: route(server, VIP, "table", "main"), True),
    "all 1, VIP in a local route and on the card": (
        lambda server: (server.conf(all_arp_ignore=1), route(server), server.hold(VIP, "eth0")), True),
    "IPv6 on an interface of its own": (lambda server: own_interface(server, VIP6), False),
    "IPv6 in a local route": (lambda server: route(server, VIP6), False),
    "IPv6 on the card, deprecated": (lambda server: server.hold(VIP6, "eth0", "preferred_lft", "0"), True),
    "VIP on a card that speaks no ARP": (lambda server: without_arp(server, VIP), False),
    "IPv6 on a card that speaks no ARP": (lambda server: without_arp(server, VIP6), False),
    "IPv6 on a card that is down": (
        lambda server: (server.ip("link", "add", "eth1", "type", "veth", "peer", "name", "end"), server.hold(VIP6, "eth1")), False),
    "IPv6 on lo": (lambda server: server.hold(VIP6), False),
    "IPv6 on the card": (lambda server: server.hold(VIP6, "eth0"), True),
}  # fmt: skip


@pytest.mark.parametrize(("make", "answers"), ROWS.values(), ids=ROWS)
def test_who_answers(router, server, tmp_path, make, answers):
    make(server)
    vip = VIP6 if VIP6 in server.ip("-6", "route", "show", "table", "all") else VIP
    assert router.resolve(vip) == (server.mac if answers else None)
    (result,) = router.module("arp_audit", vips=[vip], timeout=0.4)["results"]
    assert result["macs"] == ([server.mac] if answers else [])
    # The linter knows nothing of this row but what the host shows.
    gathered = server.module("real_server_vip", state="gathered")["gathered"]
    (said,) = gathered["vips"]
    assert said["vip"] == vip and vip in said["text"]
    if answers:
        assert said["works"] is False and ("answers for" in said["why"]), said
    else:
        # Silent when asked; that its own requests are clean is another matter, and the linter's next.
        assert said["works"] or "stays silent when asked" in said["why"], said
    fixed = server.module("real_server_vip", vips=[vip], persist=False, record_path=str(tmp_path / "record"))
    assert bool(fixed.get("failed")) == bool(gathered["problems"])
    if gathered["problems"]:
        assert gathered["problems"] == fixed["problems"]
        gathered = server.module("real_server_vip", state="gathered", misplaced="move")["gathered"]
        fixed = server.module("real_server_vip", vips=[vip], misplaced="move", persist=False, record_path=str(tmp_path / "record"))
    assert gathered["operations"] == [step["text"] for step in fixed["operations"]]
    assert router.resolve(vip, 0.5) is None
    (said,) = server.module("real_server_vip", state="gathered")["gathered"]["vips"]
    assert said["works"] is True, said


def test_a_pair_that_leads_to_the_link_is_a_card(router, server):
    """Though it has no other address: what counts is who can ask there."""
    server.conf(all_arp_ignore=1, all_arp_announce=2)
    pair_to_the_link(server)
    (result,) = router.module("arp_audit", vips=[VIP], timeout=0.4)["results"]
    assert result["macs"] == [json.loads(server.ip("-j", "link", "show", "vip0"))[0]["address"]]
    (said,) = server.module("real_server_vip", state="gathered")["gathered"]["vips"]
    assert said["works"] is False and "vip0 owns it, and answers for its own addresses" in said["why"]
    (line,) = server.module("real_server_vip", vips=[VIP], persist=False)["problems"]
    assert path_and_id(line) == ("vips[0]", "vip-on-interface") and "is on vip0" in line


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
    (said,) = server.module("real_server_vip", state="gathered")["gathered"]["vips"]
    assert said["works"] is not poisoned and ("poisons the neighbours' caches" in said["why"]) == poisoned


@pytest.mark.parametrize(("length", "reached"), [(32, True), (24, False)])
def test_a_vip_with_the_subnets_prefix_cuts_the_server_off(router, server, length, reached):
    server.conf(all_arp_ignore=1, all_arp_announce=2)
    server.hold(VIP, length=length)
    assert router.reaches(server.address) is reached
    (said,) = server.module("real_server_vip", state="gathered")["gathered"]["vips"]
    assert said["works"] is reached and (said["recipe"] == "VIP as /24 on lo") is not reached


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
    (said,) = server.module("real_server_vip", state="gathered")["gathered"]["vips"]
    # Where conf/all is strict, so is eth1: nothing was sent there.
    assert said["works"] is (reached and everywhere != 1) and ("strict rp_filter" in said["recipe"]) is not said["works"]
