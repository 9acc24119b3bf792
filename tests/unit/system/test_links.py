"""What is made of the links, addresses and routes that the kernel has. tests/netns reads those of a real one."""

import pytest
from ansible.module_utils.lvsdr.system import links, rtnetlink
from ansible.module_utils.lvsdr.system.rtnetlink import Address, Link, LocalRoute

UP = rtnetlink.UP


def described(found, addresses=(), routes=None):
    return links.described(found, [Address(*one) for one in addresses], routes or {})


def test_addresses_belong_to_their_links():
    """Without link-local addresses: nobody declares those."""
    lo = Link(1, "lo", "loopback", "00:00:00:00:00:00")
    eth0 = Link(2, "eth0", mac="02:00:00:00:00:21")
    tun0 = Link(3, "tun0", "none", flags=rtnetlink.NO_ARP)
    addresses = [
        (1, "127.0.0.1", 8, "host", None), (2, "192.0.2.21", 24, "global", None), (3, "192.0.2.5", 32, "global", None),
        (1, "2001:db8::100", 128, "global", None), (2, "fe80::1", 64, "link", None), (9, "192.0.2.9", 24, "global", None),
    ]  # fmt: skip
    assert described([lo, eth0, tun0], addresses) == [
        {
            "name": "lo", "mac": "00:00:00:00:00:00", "type": "loopback", "arp": True, "up": True,
            "addresses": ["127.0.0.1/8", "2001:db8::100/128"], "scopes": {"127.0.0.1/8": "host", "2001:db8::100/128": "global"},
        },
        {"name": "eth0", "mac": "02:00:00:00:00:21", "type": "ether", "arp": True, "up": True, "addresses": ["192.0.2.21/24"],
         "scopes": {"192.0.2.21/24": "global"}},
        {"name": "tun0", "mac": "", "type": "none", "arp": False, "up": False, "addresses": ["192.0.2.5/32"],
         "scopes": {"192.0.2.5/32": "global"}},
    ]  # fmt: skip


def test_no_scope_hides_an_address():
    """What every link may have of its own accord is left out by its value, as no VIP is such an address."""
    (link,) = described(
        [Link(2, "eth0")],
        [
            (2, "192.0.2.100", 32, "link", None), (2, "192.0.2.101", 32, "global", "192.0.2.9"), (2, "192.0.2.101", 32, "77", None),
            (2, "169.254.7.7", 32, "link", None), (2, "169.254.8.8", 16, "global", None), (2, "2001:db8::100", 128, "global", None),
            (2, "fe80::1", 64, "global", None),
        ],
        {"eth0": ["local 192.0.2.102/32 dev eth0 table main proto static"]},
    )  # fmt: skip
    assert link["addresses"] == ["192.0.2.100/32", "192.0.2.101/32", "169.254.7.7/32", "2001:db8::100/128"]
    assert link["peers"]["192.0.2.101/32"] == ["192.0.2.9", None] and len(link["local_routes"]) == 1


NUMBERS = {
    name: number for number, name in enumerate(("eth0", "a", "b", "br0", "br1", "d0", "i0", "m0", "v5", "bond0", "ovs", "elsewhere"), 1)
}


def link(name, kind=None, below=None, master=None, elsewhere=False):
    return Link(NUMBERS[name], name, kind=kind, below=NUMBERS.get(below), master=NUMBERS.get(master), elsewhere=elsewhere)


def veth(name, peer, master=None, **more):
    return link(name, "veth", peer, master, **more)


CARD, PORT = link("eth0"), link("eth0", master="br0")
BR0, BR1 = link("br0", "bridge"), link("br1", "bridge")


@pytest.mark.parametrize(
    ("found", "unasked"),
    [
        ([CARD, link("d0", "dummy"), link("i0", "ifb")], {"d0", "i0"}),  # also with ARP switched on
        ([CARD, BR0, link("bond0", "bond"), link("br1", "team")], {"br0", "bond0", "br1"}),
        ([PORT, BR0], set()),
        ([CARD, link("d0", "dummy", master="br0"), BR0], {"d0", "br0"}),
        ([CARD, link("v5", "vlan", "eth0"), link("m0", "macvlan", "d0"), link("d0", "dummy")], {"m0", "d0"}),
        ([CARD, link("m0", "macvlan", "elsewhere", elsewhere=True)], set()),  # a container's, on a card of its host
        ([veth("a", "b"), veth("b", "a")], {"a", "b"}),
        ([veth("a", "elsewhere", elsewhere=True)], set()),
        ([veth("a", None)], set()),
        ([veth("a", "b", elsewhere=True), link("b", "dummy")], {"b"}),  # the number of a link in another namespace
        ([veth("a", "b"), veth("b", "a"), veth("m0", "b", elsewhere=True)], {"a", "b"}),
        ([veth("a", "b"), veth("b", "a", "br0"), BR0], {"a", "b", "br0"}),
        ([veth("a", "b"), veth("b", "a", "br0"), BR0, PORT], {"b"}),
        ([veth("a", "b", "br1"), veth("b", "a", "br0"), BR0, BR1], {"a", "b", "br0", "br1"}),
        ([veth("a", "b", "br1"), veth("b", "a", "br0"), BR0, PORT, BR1], {"b"}),
        ([veth("a", "b"), veth("b", "a"), link("m0", "macvlan", "b")], {"m0", "b"}),
        ([veth("a", "b"), veth("b", "a", "ovs"), link("ovs", "openvswitch")], {"b"}),
        ([link("v5", "tun"), link("m0", "vxlan", "eth0"), CARD, link("d0", "of another day")], set()),
    ],
)  # fmt: skip
def test_where_nobody_can_ask(found, unasked):
    """Only what certainly leads nowhere: the end of a pair that a bridge has as its port has no address that counts."""
    assert {name for name, asked in links.asked_links(found).items() if not asked} == unasked


@pytest.mark.parametrize(
    "route",
    [
        LocalRoute("192.0.2.100/32", "lo", "local"),
        LocalRoute("2001:db8::/64", "br0", "1000", "static", 1024),
        LocalRoute("192.0.2.0/25", "eth0", "main", "4"),
    ],
)
def test_the_words_of_a_route_are_read_again(route):
    assert LocalRoute.read(route.words()) == route
