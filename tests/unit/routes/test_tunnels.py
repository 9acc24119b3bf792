"""Where tunnels of directors end: devices, the guard, and the longest segment."""

import pytest
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.routes import tunnels
from said import path_and_id

SERVER, SERVER6 = "198.51.100.21", "2001:db8::21"
IPIP, GUE6 = {"address": SERVER}, {"type": "gue", "address": SERVER6, "port": 6080}


def test_devices_and_ports_of_endpoints():
    ends, sources, vips = tunnels.read_endpoints([IPIP, GUE6], ["198.51.100.11", "2001:DB8::11"], ["198.51.100.100"])
    assert tunnels.devices(ends) == [("ipip", SERVER), ("ip6tnl", SERVER6)] and tunnels.ports(ends) == [(6080, 6)]
    assert tunnels.modules(ends) == ["fou6", "ip6_tunnel", "ipip"]
    assert sources == ["198.51.100.11", "2001:db8::11"] and vips == ["198.51.100.100"]
    starts = tunnels.commands(ends, "ip", "nft", "modprobe")
    assert starts[:3] == ["modprobe -a fou6 ip6_tunnel ipip", "nft -f /etc/lvsdr/tunnel.nft", "-ip -6 fou add port 6080 gue"]
    assert "ip address replace 198.51.100.21/32 dev lvsdr-ipip" in starts and "ip link set lvsdr-ip6tnl up" in starts


def test_the_guard_lets_the_directors_in_and_the_clamp_is_what_is_left():
    ends, sources, vips = tunnels.read_endpoints([IPIP, GUE6], ["198.51.100.11", "2001:db8::11"], ["198.51.100.100", "2001:db8::100"])
    text = tunnels.rules(ends, sources, vips, {SERVER: 1500, SERVER6: 9000})
    assert "ip daddr 198.51.100.21 ip saddr != { 198.51.100.11 } meta l4proto { 4, 41 } counter drop" in text
    assert "ip6 daddr 2001:db8::21 ip6 saddr != { 2001:db8::11 } udp dport 6080 counter drop" in text
    assert "ip saddr { 198.51.100.100 } tcp flags & (syn | ack) == (syn | ack) tcp option maxseg size set 1440" in text
    assert "maxseg size set %d" % (9000 - 40 - 12 - 40 - 20) in text


def test_without_a_director_nobody_is_let_in():
    ends, _sources, _vips = tunnels.read_endpoints([IPIP])
    assert "ip daddr 198.51.100.21 meta l4proto { 4, 41 } counter drop" in tunnels.rules(ends, [], [], {SERVER: 1500})


@pytest.mark.parametrize(("kind", "four", "six"), [("ipip", 1440, 1400), ("gue", 1428, 1388), ("gre", 1436, 1396)])
def test_the_longest_segment(kind, four, six):
    assert (tunnels.segment_size(kind, 4, 1500), tunnels.segment_size(kind, 6, 1500)) == (four, six)


def test_every_endpoint_that_is_none_is_named():
    with pytest.raises(LvsError) as caught:
        tunnels.read_endpoints([{"type": "vxlan", "address": "x"}, {"type": "gue", "address": SERVER, "port": 0}], ["y"])
    found = [path_and_id(line) for line in caught.value.details["problems"]]
    assert found == [
        ("endpoints[0].type", "unknown-value"), ("endpoints[0].address", "not-an-address"), ("endpoints[1].port", "out-of-range"),
        ("sources[0]", "not-an-address"),
    ]  # fmt: skip
