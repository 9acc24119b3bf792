"""What the console of a director is given of proxies."""

import pytest
from ansible.module_utils.lvsdr.directors import console
from ansible.module_utils.lvsdr.inventory.resolve import resolve

from inventories import GONE, VIP, inventory

SETTINGS = {"port": 9180, "actions": False, "names": []}
SERVICE = {
    "name": "live", "mode": "proxy", "proxies": "edges", "addresses": [VIP], "ports": [443], "real_servers": "origins",
    "tls": {"certificates": ["/etc/live.pem"]}, "health_check": {"type": "hls", "path": "/live.m3u8"}, "waf": {"mode": "block"},
}  # fmt: skip
GROUPS = {"edges": ["edge1", "edge2"], "origins": ["origin1", "origin2"], "web": GONE}
V4 = {name: {"ansible_host": "192.0.2.%d" % n} for n, name in enumerate(("edge1", "edge2", "origin1", "origin2"), 31)}
ON = {"director_console": True}


def made(hosts=(), **changes):
    found = inventory({**V4, "director1": ON, "director2": ON, **dict(hosts)}, GROUPS)
    declared = {name: value for name, value in {**SERVICE, **changes}.items() if value is not None}
    return console.console(resolve([declared], found), "director1", found, SETTINGS), found


def test_two_tiers():
    config, found = made()
    (behind,) = config["behind"]
    assert (behind["name"], behind["backend"], behind["front"]) == ("live behind its proxies", "live", "live")
    assert behind["vips"] == [VIP] and behind["waf"] == {"mode": "block", "fail": "open", "backend": "lvsdr-waf-live"}
    assert config["proxies"][0] == {"name": "edge1", "address": "192.0.2.31", "from": "192.0.2.11"}
    # Those addresses alone, from which they ask.
    assert console.asking(found, "edge1") == ["192.0.2.11", "192.0.2.12"]


def test_a_proxy_without_the_directors_family():
    six = {name: {"real_server_address6": "2001:db8::%d" % n, "ansible_host": name} for name, n in (("edge1", 31), ("edge2", 32))}
    config, found = made({**six, "director1": {**ON, "real_server_address6": "2001:db8::11"}}, addresses=["2001:db8::100"])
    assert config["proxies"][0] == {"name": "edge1", "address": "2001:db8::31", "from": "2001:db8::11"}
    assert console.asking(found, "edge1") == ["2001:db8::11", "2001:db8::12"]


def test_directors_without_a_console_ask_nobody():
    _config, found = made({"director2": {}})
    assert console.asking(found, "edge1") == ["192.0.2.11"]


@pytest.mark.parametrize("check, watched", [(SERVICE["health_check"], True), (None, False)])
def test_one_tier_is_watched_by_the_directors_own_checker(check, watched):
    config, _found = made(proxies="directors", health_check=check)
    (behind,) = config["behind"]
    assert (behind["name"], behind["front"], config["watched"]) == ("live", "", watched) and config["services"] == []


def test_a_sorry_server_has_the_weight_that_haproxy_gives_it():
    config, _found = made({"sorry": {"ansible_host": "192.0.2.40", "real_server_weight": 10}}, sorry_server="sorry")
    (one,) = [one for one in config["behind"][0]["servers"] if one["fallback"]]
    assert one["weight"] == 1
