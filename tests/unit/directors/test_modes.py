"""What the modes of services ask of directors: nftables, settings of the kernel, and keepalived's addresses."""

import pytest
from ansible.module_utils.lvsdr.directors import forwarding, holders, keepalived, keepalived_conf, nftables, streamchecks
from ansible.module_utils.lvsdr.fleet import report
from ansible.module_utils.lvsdr.inventory import ports, resolve

from inventories import GATEWAYS, GONE, VIP, VIP6, facts, interface, inventory, service

BOTH = [VIP, VIP6]
INNER = interface("eth1", "198.51.100.11/24", "2001:db8:5::11/64")
TWO_ARM = {"director1": {"facts": facts(11, INNER)}}
SERVERS = {
    name: {"ansible_host": "198.51.100.2%d" % number, "real_server_address6": "2001:db8:5::2%d" % number}
    for number, name in ((1, "server1"), (2, "server2"))
}


def resolved(*services, **options):
    made = inventory(**{"with_facts": True, **options})
    return resolve.resolve(list(services), made), made


def rules(*services, **options):
    found, made = resolved(*services, **options)
    return nftables.render(found, "director1", made, "eth0")


def settings(*services, **options):
    found, made = resolved(*services, **options)
    return forwarding.settings(found.services, "eth0", made["hosts"]["director1"]["facts"])


def test_direct_routing_forwards_nothing():
    assert settings(service(addresses=BOTH)) == {"net/ipv4/conf/eth0/arp_ignore": 1, "net/ipv4/conf/eth0/accept_local": 1}
    for word in ("snat", "redirects", "notrack", "services4"):
        assert word not in rules(service(addresses=BOTH))


@pytest.mark.parametrize(
    ("everywhere", "own", "wanted"), [("0", "0", None), ("1", "0", 2), ("0", "1", 2), ("0", "2", 2), ("1", "2", 2), ("2", "0", None)]
)
def test_strict_filtering_is_loosened_where_checks_are_answered(everywhere, own, wanted):
    seen = {"sysctls": {"net/ipv4/conf/all/rp_filter": everywhere, "net/ipv4/conf/eth0/rp_filter": own}}
    found = settings(service(), hosts={"director1": {"facts": {**facts(11), "seen": seen}}})
    assert found.get("net/ipv4/conf/eth0/rp_filter") == wanted


def test_nat_forwards_and_redirects_nobody():
    gateway = "198.51.100.110"
    found = settings(service(mode="nat", nat_gateway=gateway), hosts={**TWO_ARM, **SERVERS})
    assert found == {
        "net/ipv4/conf/eth0/arp_ignore": 1, "net/ipv4/conf/eth0/accept_local": 1, "net/ipv4/conf/all/send_redirects": 0,
        "net/ipv4/conf/eth0/send_redirects": 0, "net/ipv4/conf/eth1/send_redirects": 0, "net/ipv4/ip_forward": 1,
    }  # fmt: skip
    assert "nd-redirect" not in rules(service(mode="nat"))
    assert "icmpv6 type nd-redirect drop" in rules(service(addresses=[VIP6], mode="nat"))


@pytest.mark.parametrize(("value", "wanted"), [("1", 2), ("2", 2), ("0", None)])
def test_a_director_that_forwards_keeps_its_router(value, wanted):
    """accept_ra comes before forwarding, which forgets the router; where it is off, it stays off."""
    seen = {"sysctls": {"net/ipv6/conf/eth0/accept_ra": value}}
    found = settings(service(addresses=[VIP6], mode="nat"), hosts={"director1": {"facts": {**facts(11), "seen": seen}}})
    assert found.get("net/ipv6/conf/eth0/accept_ra") == wanted
    names = list(found)
    assert wanted is None or names.index("net/ipv6/conf/eth0/accept_ra") < names.index("net/ipv6/conf/all/forwarding")


def test_snat_alone_turns_tracking_on():
    declared = {"conntrack": 0, "sloppy_tcp": 1}
    assert forwarding.ipvs_settings(resolved(service(mode="nat"))[0].services, declared) == declared
    assert forwarding.ipvs_settings(resolved(service(mode="snat"))[0].services, declared) == {"conntrack": 1, "sloppy_tcp": 1}
    assert forwarding.ipvs_settings(resolved(service(mode="snat", state="absent"))[0].services, declared) == declared


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mode": "nat", "protocol": "udp"}, True),
        ({"mode": "nat", "ports": ["554/tcp", "6970-7170/udp"]}, True),
        ({"mode": "nat", "ports": ["80/tcp", "443/tcp"]}, False),
        ({"mode": "nat"}, False),
        ({"protocol": "udp"}, False),
        ({"mode": "nat", "protocol": "udp", "state": "absent"}, False),
    ],
)
def test_nat_of_udp_is_told_with_the_first_packet(options, told):
    """What a viewer sends once, and then only receives, outlives a failover; who has declared something else has that."""
    services = resolved(service(**options))[0].services
    first = {"sync_threshold": "3 0", "sync_refresh_period": 10}
    assert forwarding.ipvs_settings(services, {"sloppy_tcp": 1}) == {**(first if told else {}), "sloppy_tcp": 1}
    assert forwarding.ipvs_settings(services, {"sync_threshold": "3 50"})["sync_threshold"] == "3 50"


def test_snat_is_by_the_original_tuple_and_from_the_link_of_the_servers():
    text = rules(service(mode="snat", real_server_port=8080), hosts={**TWO_ARM, **SERVERS})
    assert "elements = { %s . tcp . 80 }" % VIP in text
    assert (
        'oifname "eth1" meta l4proto { tcp, udp, sctp } ct original ip daddr . ip protocol . ct original proto-dst @snat4 '
        "counter snat ip to 198.51.100.11" in text
    )
    assert "notrack" not in text, "there is nothing beside it"


def test_the_source_of_servers_behind_a_router_is_the_directors_own_address():
    text = rules(service(mode="snat"), hosts=SERVERS)
    assert "oifname" not in text[text.index("chain snat4") :] and "snat ip to 192.0.2.11" in text


def test_beside_snat_nothing_else_is_tracked():
    text = rules(
        service(mode="snat"), service(name="direct", ports=[81]),
        service(name="nat", ports=[82], mode="nat", real_server_port=8082), service(name="gone", ports=[83], state="absent"),
    )  # fmt: skip
    chain = text[text.index("chain untracked4") :]
    assert (
        "ip daddr . ip protocol . th dport @untracked4 notrack" in chain
        and "fib daddr type != local ip saddr . ip protocol . th sport @answers4 notrack" in chain
    )
    assert "elements = { %s . tcp . 81, %s . tcp . 82 }" % (VIP, VIP) in text
    assert "elements = { 192.0.2.21 . tcp . 8082, 192.0.2.22 . tcp . 8082 }" in text


def test_several_ports_have_one_mark():
    camera = service(name="camera", addresses=BOTH, ports=["554/tcp", "6970-7170/udp"])
    found, made = resolved(camera)
    mark = ports.mark_of("camera")
    assert [one.key for one in found.services] == [(4, "fwmark", "", mark), (6, "fwmark", "", mark)]
    assert all(one.options["scheduler"] == "mh" and one.options["scheduler_flags"] == ["mh-fallback"] for one in found.services)
    text = nftables.render(found, "director1", made, "eth0")
    assert "elements = { %s . tcp . 554 : 0x%x, %s . udp . 6970-7170 : 0x%x }" % (VIP, mark, VIP, mark) in text
    assert "meta mark 0 meta mark set ip6 daddr . ip6 nexthdr . th dport map @services6" in text
    assert "services4" not in rules(service(ports=GONE, firewall_mark=5)), "a mark that others set"
    assert "virtual_server fwmark %d {" % mark in keepalived.render(found, "director1", made)


def test_persistence_of_several_ports_is_by_64():
    found, _made = resolved(service(addresses=BOTH, ports=[80, 443], scheduler="wlc", persistence=300))
    assert [one.options["persistence"] for one in found.services] == [{"timeout": 300}, {"timeout": 300, "netmask": "64"}]


def test_the_gateway_is_in_the_instance_of_the_vips():
    found, made = resolved(service(mode="nat", nat_gateway="198.51.100.110"), hosts={**TWO_ARM, **SERVERS})
    text = keepalived.render(found, "director1", made)
    assert "        198.51.100.110/32 dev eth1 # gateway of NAT\n" in text
    assert "    track_interface {\n        eth1\n    }\n" in text
    ((_voice, vips),) = keepalived_conf.instances(text).values()
    assert vips == [VIP], "it is not a VIP, so it may change without being retired"
    one_arm = keepalived.render(*(lambda pair: (pair[0], "director1", pair[1]))(resolved(service(mode="nat"))))
    assert "%s/32 dev eth0 # gateway of NAT" % GATEWAYS[0] in one_arm and "track_interface" not in one_arm


def test_the_status_says_what_a_failover_cuts():
    services = resolved(service(mode="snat"), service(name="b", ports=[81]))[0].services
    held = {
        "address": VIP, "protocol": "tcp", "port": 80,
        "destinations": [{"address": "192.0.2.2%d" % number, "weight": 1, "active": number, "inactive": 5} for number in (1, 2)],
    }  # fmt: skip
    info = {"services": [held], "stream_checks": []}
    directors = {
        "director1": {"info": info, "active": True, "drained": []},
        "director2": {"info": {"services": [], "stream_checks": []}, "active": False, "drained": []},
    }
    assert "would cut the 3 active connections of live (%s)" % VIP in report.status(services, directors)[-1]
    assert "cut" not in "".join(report.status(services[1:], directors))


def test_a_gateway_that_nobody_holds():
    services = resolved(service(mode="nat"))[0].services
    held = {"director1": facts(11, interface("eth9", VIP + "/32")), "director2": facts(12)}
    (line,) = holders.held_wrongly(services, held)
    assert GATEWAYS[0] in line


@pytest.mark.parametrize(
    ("tunnel", "words"),
    [
        (None, "lvs_method TUN\n"),
        ({"type": "gue", "port": 6080}, "lvs_method TUN type gue port 6080\n"),
        ({"type": "gre", "checksum": "csum"}, "lvs_method TUN type gre csum\n"),
    ],
)
def test_tunnels_in_keepalived(tunnel, words):
    found, made = resolved(service(mode="tunnel", **({"tunnel": tunnel} if tunnel else {})))
    assert words in keepalived.render(found, "director1", made)
    (destination, _other) = found.services[0].table()["destinations"]
    assert destination.get("tunnel") == tunnel


def test_a_server_passes_all_of_several_checks():
    checks = [{"type": "rtmp", "port": 1935}, {"type": "hls", "path": "/x.m3u8", "port": 8080}, {"type": "tcp", "port": 22}]
    found, made = resolved(service(ports=[1935, 8080], checks=checks))
    (one,) = found.services
    text = keepalived.render(found, "director1", made)
    block = text[text.index("real_server 192.0.2.21") :].partition("real_server 192.0.2.22")[0]
    assert block.count("TCP_CHECK {") == 3 and [port in block for port in ("connect_port 1935", "connect_port 8080", "connect_port 22")]
    names = [one.track_file("server1", index) for index in (0, 1)]
    assert len(set(names)) == 2 and all("track_file %s\n" % name in block for name in names) and block.count("FILE_CHECK {") == 3
    configuration = streamchecks.streamchecks(found, "director1", made)["services"]
    assert [(item["name"], item["check"]["type"]) for item in configuration] == [("live", "rtmp"), ("live, check 2", "hls")]
    assert [item["servers"][0]["file"] for item in configuration] == names
    assert len(found.checks) == 2, "one path through the VIP to each server"


def test_checks_of_a_service_are_one_line_of_the_status():
    found, _made = resolved(service(checks=[{"type": "rtmp", "port": 1935}, {"type": "hls", "path": "/x.m3u8"}]))
    said = [
        {"service": name, "vip": VIP, "server": "server1", "state": state, "why": why, "kept": False, "warning": ""}
        for name, state, why in (("live", "up", "handshake"), ("live, check 2", "down", "404"))
    ]
    directors = {"director1": {"info": {"services": [], "stream_checks": said}, "active": True, "drained": []}}
    (line,) = [line for line in report.status(found.services, directors) if "server1" in line]
    assert line.endswith("up: handshake / down: 404")
    several, _made = resolved(service(ports=[80, "6970-7170/udp"]))
    assert "live (tcp 80, udp 6970-7170)" in "\n".join(report.status(several.services, directors))
