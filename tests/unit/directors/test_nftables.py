"""The rules of nftables that give the checks of each server a source address of their own inside IPVS."""

import ipaddress

from ansible.module_utils.lvsdr.directors import nftables
from ansible.module_utils.lvsdr.inventory import check_paths, resolve
from hypothesis import given
from hypothesis import strategies as st

from inventories import VIP, VIP6, inventory, service

BOTH = [VIP, VIP6]


def rendered(*services, director="director1"):
    made = inventory(with_facts=True)
    found = resolve.resolve(list(services), made)
    return check_paths.check_marks(found.checks), nftables.render(found, director, made, "eth0")


@given(st.lists(st.integers(1, 0xFFFFFF), unique=True, min_size=2, max_size=2), st.sampled_from([4, 6]))
def test_each_mark_has_an_address_that_no_client_has(numbers, family):
    sources = {check_paths.check_source(check_paths.CHECK_MARKS | number, family) for number in numbers}
    assert len(sources) == 2
    nets = {4: ipaddress.ip_network("0.0.0.0/8"), 6: ipaddress.ip_network("ff00::/104")}
    assert all(ipaddress.ip_address(source) in nets[family] for source in sources) and "0.0.0.0" not in sources


def test_checks_change_their_address_around_ipvs():
    marks, text = rendered(service(addresses=BOTH, health_check={}))
    before, after = text[text.index("chain checks_to_ipvs") :].split("    chain checks_from_ipvs")
    # Just before and just behind IPVS, which is at -98.
    assert "hook output priority -99;" in before and "hook output priority -97;" in after
    for chain in (before, after):
        assert chain.index("meta mark & 0xff000000 != 0x4c000000 accept") < chain.index("saddr")
    for (family, address), mark in marks.items():
        word, own = ("ip", "192.0.2.11") if family == 4 else ("ip6", "2001:db8::11")
        (line,) = [line.strip() for line in before.splitlines() if " %s saddr" % word in line]
        assert line.startswith("%s saddr %s %s saddr set meta mark map {" % (word, own, word)), address
        assert "0x%x : %s" % (mark, check_paths.check_source(mark, family)) in line and line.count(" : ") == 2
    assert "        ip saddr 0.0.0.0/8 ip saddr set 192.0.2.11\n        ip6 saddr ff00::/104 ip6 saddr set 2001:db8::11\n" in after


def test_each_director_has_its_own_address():
    _marks, text = rendered(service(health_check={}), director="director2")
    assert "ip saddr 192.0.2.12 ip saddr set meta mark map" in text and "ip saddr set 192.0.2.12\n" in text and "ip6 saddr set" not in text


def test_only_checks_through_the_vip_need_it():
    for check in (None, {"target": "server"}):
        marks, text = rendered(service(health_check=check))
        assert not marks and "checks_" not in text


def test_what_ipvs_did_not_take_is_dropped():
    """Each VIP and port of a service, and nothing else that this host has on them."""
    _marks, text = rendered(service(addresses=BOTH), service(name="media", addresses=[VIP], ports=["554/tcp", "6970-7170/udp"]))
    (chain,) = [part.partition("    }\n")[0] for part in text.split("    chain never_local {\n")[1:]]
    # Behind IPVS' own hooks, of which the last one is at 99.
    assert chain.splitlines() == [
        "        type filter hook input priority 110; policy accept;",
        "        ip daddr %s tcp dport 80 counter drop" % VIP,
        "        ip6 daddr %s tcp dport 80 counter drop" % VIP6,
        "        ip daddr %s tcp dport 554 counter drop" % VIP,
        "        ip daddr %s udp dport 6970-7170 counter drop" % VIP,
    ]
    _marks, text = rendered(service(state="absent", real_servers=None))
    assert "never_local" not in text


def test_what_haproxy_takes_on_the_director_is_not_dropped():
    _marks, text = rendered(service(), service(name="web", mode="proxy", proxies="directors", ports=[8443]))
    assert "tcp dport 80 counter drop" in text and "dport 8443" not in text
    _marks, text = rendered(service(mode="proxy", proxies="directors"))
    assert "never_local" not in text and VIP in text
