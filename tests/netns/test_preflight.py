"""What preflight can tell of a host whose network can't carry direct routing, on real bridges with real rules."""

import pytest

BRIDGE = "add table bridge t; add chain bridge t f { type filter hook forward priority 0; }; "


@pytest.fixture
def bridged(server):
    """A server whose own address is on a bridge."""
    server.ip("link", "add", "br0", "type", "bridge")
    server.ip("link", "set", "br0", "up")
    server.ip("address", "flush", "dev", "eth0")
    server.ip("link", "set", "eth0", "master", "br0")
    server.ip("address", "add", "192.0.2.21/24", "dev", "br0")
    return server


def filters(host):
    found = host.module("lvs_preflight")
    links = {link["name"]: link.get("arp_filters") for link in found["interfaces"]}
    return links, found["arp_rules"]


def test_a_bridge_without_a_filter(bridged):
    bridged.run("nft", BRIDGE + "add rule bridge t f ether type ip drop; add rule bridge t f ip saddr 203.0.113.9 drop")
    assert filters(bridged) == ({"lo": None, "eth0": None, "br0": []}, [])


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        (BRIDGE + "add rule bridge t f ether type arp drop", "a rule of nftables' chain bridge t f drops ARP"),
        (BRIDGE + "add rule bridge t f arp daddr ip 192.0.2.100 drop", "a rule of nftables' chain bridge t f drops ARP"),
        ("add table bridge t; add chain bridge t f { type filter hook forward priority 0; policy drop; }",
         "nftables' chain bridge t f drops what no rule accepts"),
    ],
)  # fmt: skip
def test_a_bridge_with_rules(bridged, rules, sentence):
    bridged.run("nft", rules)
    assert filters(bridged) == ({"lo": None, "eth0": None, "br0": [sentence]}, [])


def test_a_port_that_suppresses(bridged):
    bridged.ip("link", "set", "eth0", "type", "bridge_slave", "neigh_suppress", "on")
    assert filters(bridged)[0]["br0"] == ["its port eth0 suppresses ARP (neigh_suppress)"]


def test_rules_of_the_host_itself(server):
    server.run(
        "nft", "add table arp t; add chain arp t i { type filter hook input priority 0; }; add rule arp t i arp operation request drop"
    )
    assert filters(server) == ({"lo": None, "eth0": None}, ["a rule of nftables' chain arp t i drops ARP"])
