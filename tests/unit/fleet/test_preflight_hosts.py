"""What preflight finds in an inventory beside its hosts: links, addresses, and what is there already."""

import re

import pytest
from ansible.module_utils.lvsdr.fleet import preflight
from said import path_and_id

from inventories import GONE, VIP, VIP6, facts, interface, inventory, service

BOTH = [VIP, VIP6]
MARK = {"ports": GONE, "firewall_mark": 5}


def found_by_preflight(*services, **options):
    return preflight.preflight(list(services), inventory(with_facts=True, **options))


OTHER = interface("eth0", "198.51.100.12/24", "2001:db8:5::12/64", mac="02:00:00:00:00:12")
APART = {"director2": {"facts": {"interfaces": [OTHER]}, "ansible_host": "198.51.100.12", "real_server_address6": GONE}}

LIVE = "virtual_services[live]"
# Changes to the service, to hosts and to groups; then of the only error its path, its id, and what else has to be in it.
PREFLIGHT = {
    "no directors": ({}, {}, {"directors": GONE}, "groups[directors]", "directors-missing"),
    "empty directors": ({}, {}, {"directors": []}, "groups[directors]", "directors-empty"),
    "VIP in no subnet": (
        {"addresses": ["198.51.100.7"]}, {}, {"directors": ["director1"]},
        LIVE + ".addresses", "vip-outside-subnets", "VIP 198.51.100.7 ", "director1 (192.0.2.0/24)",
    ),
    "VIP of a family without subnet": (
        {"addresses": [VIP6]}, {"director1": {"facts": {"interfaces": [interface("eth0", "192.0.2.11/24", "2001:db8::11/128")]}}},
        {"directors": ["director1"], "web": []},
        LIVE + ".addresses", "vip-outside-subnets", "VIP 2001:db8::100 ", "none of IPv6",
    ),
    "VIP is a server's address": (
        {"addresses": ["192.0.2.22"]}, {}, {}, LIVE + ".addresses", "vip-is-host-address", "VIP 192.0.2.22 ", "server2's own",
    ),
    "VIP is a director's second address": (
        {}, {"director1": {"facts": facts(11, interface("eth1", VIP + "/25"))}}, {},
        LIVE + ".addresses", "vip-is-host-address", "VIP 192.0.2.100 ", "director1's own",
    ),
    "two hosts, one address": (
        {}, {"director2": {"real_server_address": "192.0.2.11", "facts": GONE}}, {},
        "hosts[director2]", "address-shared", "192.0.2.11", "director1",
    ),
    "real server on another link": (
        {}, {"server2": {"ansible_host": "198.51.100.22", "facts": GONE}}, {"directors": ["director1"]},
        LIVE, "server-off-link", "director director1 ", "server2 (198.51.100.22)", "192.0.2.0/24",
    ),
    "VIP on a server's card": (
        {}, {"server1": {"facts": facts(21, interface("eth1", VIP + "/32")), "real_server_misplaced": "refuse"}}, {},
        "hosts[server1]", None, "is on eth1, where this host answers ARP for it", "`ip address del 192.0.2.100/32 dev eth1`",
    ),
    "VIP in a local route": (
        {}, {"server1": {"facts": facts(21, {**interface("br0"), "local_routes": ["local 192.0.2.100/32 dev br0 table main proto static"]}),
                         "real_server_misplaced": "refuse"}}, {},
        "hosts[server1]", None, "is local to this host by a route",
        "`ip route del local 192.0.2.100/32 dev br0 table main proto static`",
    ),
    "VIP with a peer": (
        {}, {"server1": {"facts": facts(21, {**interface("eth1", VIP + "/32"), "peers": {VIP + "/32": ["192.0.2.99"]}, "up": False}),
                         "real_server_misplaced": "refuse"}}, {},
        "hosts[server1]", None, "as soon as that interface is up", "`ip address del 192.0.2.100 peer 192.0.2.99/32 dev eth1`",
    ),
    "checks over two links": (
        {"health_check": {}},
        {"director1": {"ansible_host": "203.0.113.11", "facts": facts(11, interface("eth1", "203.0.113.11/24"))}},
        {"web": ["server1"], "directors": ["director1"]},
        LIVE + ".health_check", "check-path-off-link", "server1 (192.0.2.21)", "director1 (203.0.113.11)", "VIP 192.0.2.100",
    ),
    "cloud": (
        {}, {name: {"facts": {**facts(number), "cloud": "Amazon EC2"}} for name, number in (("director1", 11), ("server1", 21))}, {},
        "virtual_services", "cloud-network", "director1, server1 run in Amazon EC2",
    ),
    "bridge that filters": (
        {}, {"server1": {"facts": {**facts(21), "interfaces": [
            {**interface("br0", "192.0.2.21/24"), "arp_filters": ["its port eth0 suppresses ARP (neigh_suppress)"]}]}}}, {},
        LIVE, "bridge-drops-arp", "real server server1", "br0", "its port eth0 suppresses ARP (neigh_suppress)",
    ),
    "director that filters": (
        {}, {"director2": {"facts": {**facts(12), "arp_rules": ["a rule of nftables' chain arp filter input drops ARP"]}}}, {},
        "hosts[director2]", "director-drops-arp", "a rule of nftables' chain arp filter input drops ARP",
    ),
    "host that is not ready": (
        {}, {"server1": {"facts": {**facts(21), "problems": ["systemd does not run here; get one [no-systemd]"]}}}, {},
        "hosts[server1]", "no-systemd", "systemd does not run here; get one",
    ),
    "host that could not be read": ({}, {"server1": {"facts": GONE, "unread": "Python is missing"}}, {},
                                    "hosts[server1]", "host-unread", "Python is missing"),
    "VIP of a mark is a server's address, written otherwise": (
        {**MARK, "addresses": ["2001:DB8::22"]}, {}, {}, LIVE + ".addresses", "vip-is-host-address", "VIP 2001:db8::22 ", "server2's own",
    ),
    "error of the declaration": ({"mode": "DR"}, {}, {}, LIVE + ".mode", "unknown-value", "'DR'"),
}  # fmt: skip


@pytest.mark.parametrize("row", PREFLIGHT.values(), ids=PREFLIGHT)
def test_preflight_names_what_is_wrong(row):
    changes, hosts, groups, path, said, *words = row
    (line,) = [text for text in found_by_preflight(service(**changes), hosts=hosts, groups=groups) if "'web' is empty" not in text]
    if said is None:  # the arp wing's sentence
        assert line.startswith(path + ": ")
    else:
        assert path_and_id(line) == (path, said)
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize("deaf", [{"arp": False}, {"unasked": True}])
def test_a_vip_where_nobody_can_ask_is_no_error(deaf):
    """On a dummy, or a bridge without ports: only the interface that is asked counts."""
    there = {"facts": facts(21, {**interface("vip0", VIP + "/32"), **deaf}), "real_server_misplaced": "refuse"}
    assert found_by_preflight(service(), hosts={"server1": there}) == []


def test_what_the_rollout_moves_is_no_error():
    """A VIP on a card beside the own address, and one that takes its subnet on lo; a service by NAT has nobody who moves it."""
    there = facts(21, interface("eth1", VIP6 + "/128"), lo=[VIP + "/24"])
    assert found_by_preflight(service(addresses=[VIP, VIP6]), hosts={"server1": {"facts": there}}) == []
    found = found_by_preflight(service(addresses=[VIP, VIP6]), hosts={"server1": {"facts": there, "real_server_misplaced": "refuse"}})
    assert found == found_by_preflight(service(addresses=[VIP, VIP6], mode="nat"), hosts={"server1": {"facts": there}})
    on_lo, on_card = found
    assert on_lo.startswith("hosts[server1]: ") and "`ip address del 192.0.2.100/24 dev lo`" in on_lo
    assert on_card.startswith("hosts[server1]: ") and "`ip address del 2001:db8::100/128 dev eth1`" in on_card


def test_preflight_finds_everything_at_once():
    found = found_by_preflight(
        service(addresses=[VIP, "203.0.113.7"], scheduler="fair"),
        hosts={
            **APART,
            "server1": {"real_server_port": 8080, "real_server_misplaced": "refuse", "facts": facts(21, interface("eth1", VIP + "/32"))},
        },
    )
    assert len(found) == 8
    for words in ("scheduler", "real_server_port", "192.0.2.100 is on eth1"):
        assert sum(words in line for line in found) == 1

    def directors(said):
        return sorted(re.search("director[12]", line)[0] for line in found if line.endswith("[%s]" % said))

    assert directors("vip-outside-subnets") == ["director1", "director2", "director2"]
    assert directors("server-off-link") == ["director2", "director2"]
    assert sum("203.0.113.7" in line for line in found) == 2


def test_preflight_of_a_good_inventory_is_silent():
    """Also where the rollout was made already: VIPs on the active director and on lo of the real servers."""
    both = service(addresses=BOTH)
    assert found_by_preflight(both) == []
    after = {
        "director1": {"facts": facts(11, interface("eth1", VIP + "/32", VIP6 + "/128"))},
        "server1": {"facts": facts(21, lo=[VIP + "/32", VIP6 + "/128"])},
    }
    assert found_by_preflight(both, hosts=after) == []


def test_preflight_without_facts_says_nothing_about_links():
    assert preflight.preflight([service(addresses=["203.0.113.7"])], inventory()) == []


def test_only_direct_routing_needs_one_link():
    hosts = {"server2": {"ansible_host": "198.51.100.22", "facts": GONE}}
    assert found_by_preflight(service(mode="nat"), hosts=hosts) == found_by_preflight(service(mode="tunnel"), hosts=hosts) == []


def test_checks_over_two_links_of_the_servers_own_addresses():
    apart = {"director1": {"ansible_host": "203.0.113.11", "facts": facts(11, interface("eth1", "203.0.113.11/24"))}}
    alone = {"directors": ["director1"]}
    assert found_by_preflight(service(health_check={"target": "server"}), hosts=apart, groups=alone) == []
    (line,) = found_by_preflight(service(health_check={"target": "server"}), hosts=apart)
    assert path_and_id(line) == ("hosts[director1]", "vrrp-address-off-link")
    assert all(word in line for word in ("director1", "203.0.113.11", "eth0", "real_server_address "))
    apart["director1"]["real_server_address"] = "192.0.2.11"
    assert found_by_preflight(service(health_check={}), hosts=apart) == []


def test_a_cloud_that_lets_it_through():
    cloudy = {"facts": {**facts(21), "cloud": "OpenStack"}}
    assert found_by_preflight(service(), hosts={"server1": {**cloudy, "preflight_allow_cloud": True}}) == []
    assert found_by_preflight(service(mode="nat"), hosts={"server1": cloudy}) == []


def test_an_absent_vip_may_be_anywhere():
    assert found_by_preflight(service(addresses=["203.0.113.7"], state="absent")) == []


def test_a_subnet_is_more_than_one_address():
    """lo, a /32 and link-local addresses connect a host with nothing."""
    lonely = [interface("lo", "203.0.113.1/24"), interface("eth0", "203.0.113.7/32"), interface("eth1", "169.254.1.1/16")]
    for vip in ("203.0.113.7", "169.254.1.2"):
        found = found_by_preflight(
            service(addresses=[vip]), hosts={"director1": {"facts": {"interfaces": lonely}}}, groups={"directors": ["director1"]}
        )
        lines = [line for line in found if line.endswith("[vip-outside-subnets]")]
        assert len(lines) == 1 and "VIP %s " % vip in lines[0] and "director1 (it has none of IPv4)" in lines[0]


def test_preflight_compares_the_instances_of_directors():
    made = inventory(hosts={"director1": {"director_virtual_router_id": 7}})
    (line,) = preflight.preflight([service()], made)
    assert path_and_id(line) == ("hosts[director2].director_virtual_router_id", "vrrp-instance-differs")
    assert all(word in line for word in (" 51", " 7 ", "director1"))


NO_MAC = {"tunnel": ({"kind": "none"}, "Ethernet"), "NOARP": ({"arp": False}, "ARP turned off")}


@pytest.mark.parametrize("host", ["director2", "server1"])
@pytest.mark.parametrize("kind", NO_MAC)
def test_a_link_without_macs(host, kind):
    """Direct routing has nothing to rewrite there; a tunnel of IPVS's own does not mind."""
    options, words = NO_MAC[kind]
    number = {"director2": 12, "server1": 21}[host]
    made = facts(number)
    made["interfaces"][1].update(type=options.get("kind", "ether"), arp=options.get("arp", True))
    found = preflight.preflight([service()], inventory({host: {"facts": made}}, with_facts=True))
    name = ("director " if host == "director2" else "real server ") + host
    assert found and all(path_and_id(line) == (LIVE, "link-without-arp") for line in found)
    assert all(name + " " in line and "192.0.2.2" in line and "eth0, which " in line and words in line for line in found)
    assert preflight.preflight([service(mode="tunnel")], inventory({host: {"facts": made}}, with_facts=True)) == []
    # A second, ordinary card in the same subnet will do.
    made["interfaces"].append({**made["interfaces"][1], "name": "eth1", "type": "ether", "arp": True})
    assert preflight.preflight([service()], inventory({host: {"facts": made}}, with_facts=True)) == []
