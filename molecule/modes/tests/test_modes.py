"""A service of each mode on the lab: what is on servers and directors, what outlives a boot and a failover, and that nothing is left."""

import json
import time
from pathlib import Path

import yaml
from conftest import DIRECTORS, PROJECT, REAL_SERVERS, playbook, reboot, ssh, why

INVENTORY = Path(__file__).parents[1] / "inventory"
NAT, NAT6, SNAT, TOGETHER = "198.51.100.103", "2001:db8:100::103", "198.51.100.104", "198.51.100.105"
GATEWAY, GATEWAY6 = "198.51.100.110", "2001:db8:100::110"


def rules(host):
    """The rules of lvsdr on a real server, of both families."""
    text = ssh(host, "ip -4 rule; ip -6 rule")
    return [line for line in text.splitlines() if "proto 76" in line or "lookup" in line and "sport" in line]


def fetch(url, where="viewer"):
    return ssh(where, "curl -s -o /dev/null -m 20 -w '%%{http_code}' '%s'" % url, check=False)


def holder(address):
    found = [name for name in DIRECTORS if " %s/" % address in ssh(name, "ip -o address show")]
    assert len(found) == 1, (address, found)
    return found[0]


def test_nat_servers_answer_through_the_gateway():
    for host in REAL_SERVERS:
        assert len(rules(host)) == 2, "one of each family"
        assert "default via 198.51.100.1 " in ssh(host, "ip route"), "its own default route stays"
        assert ssh(host, "systemctl is-enabled lvsdr-return-path").strip() == "enabled"
        assert NAT not in ssh(host, "ip -o address show") and SNAT not in ssh(host, "ip -o address show")
        assert TOGETHER in ssh(host, "ip -o address show dev lo")
    assert holder(GATEWAY) == holder(NAT) == holder(GATEWAY6)


def test_each_is_served(ansible):
    for url in ("http://%s:8081/healthz" % NAT, "http://[%s]:8081/healthz" % NAT6, "http://%s:8082/healthz" % SNAT,
                "http://%s/healthz" % TOGETHER):  # fmt: skip
        assert fetch(url) == "200", url
    # A host in the servers' own subnet is a viewer as well.
    assert fetch("http://%s:8081/healthz" % NAT, "origin") == "200"
    (marked,) = ansible("director1", "ipvs_info", counters=False)["marks"].values()
    assert sorted(marked) == ["%s tcp 443" % TOGETHER, "%s tcp 80" % TOGETHER]
    tracked = ssh(holder(SNAT), "cat /proc/sys/net/ipv4/vs/conntrack").strip()
    assert tracked == "1"


def test_a_return_path_outlives_a_boot_and_a_network_manager():
    before = rules("streaming1")
    reboot("streaming1")
    deadline = time.monotonic() + 120
    while rules("streaming1") != before:
        assert time.monotonic() < deadline, rules("streaming1")
        time.sleep(2)
    ssh("streaming1", "ip rule flush protocol 76; ip -6 rule flush protocol 76; systemctl try-restart systemd-networkd networking; true")
    ssh("streaming1", "systemctl restart lvsdr-return-path")
    assert rules("streaming1") == before


def test_the_gateway_moves_with_the_vips():
    active = holder(NAT)
    other = next(name for name in DIRECTORS if name != active)
    ssh(active, "systemctl stop keepalived")
    try:
        deadline = time.monotonic() + 120
        while " %s/" % NAT not in ssh(other, "ip -o address show"):
            assert time.monotonic() < deadline
            time.sleep(1)
        assert holder(GATEWAY) == holder(GATEWAY6) == other
        deadline = time.monotonic() + 120
        while fetch("http://%s:8081/healthz" % NAT) != "200" or fetch("http://%s:8082/healthz" % SNAT) != "200":
            assert time.monotonic() < deadline
            time.sleep(1)
    finally:
        ssh(active, "systemctl start keepalived")


def test_tunnel_endpoints_on_a_kernel_that_has_them(ansible):
    """A director's kernel has tunnel devices: what the module does there lasts, and goes without a trace."""
    gue, gre = {"type": "gue", "port": 6080, "address": "198.51.100.12"}, {"type": "gre", "address": "2001:db8:100::12"}

    def changes(*endpoints):
        return ansible("director2", "tunnel_endpoint", endpoints=endpoints, sources=["198.51.100.12"], vips=["198.51.100.199"])["changed"]

    assert changes(gue, gre) and not changes(gue, gre)
    shown = "ip -br link show type %s; ip fou show; nft list table inet lvsdr_tunnel"
    text = ssh("director2", shown % "ipip")
    assert "lvsdr-ipip" in text and "port 6080 gue" in text and "udp dport 6080" in text
    assert "lvsdr-ip6gre" in ssh("director2", "ip -br link show type ip6gre")
    ssh("director2", "ip link del lvsdr-ipip; nft delete table inet lvsdr_tunnel; ip fou del port 6080; systemctl restart lvsdr-tunnel")
    assert ssh("director2", shown % "ipip") == text
    assert not changes(gue, gre)
    assert changes() and not changes()
    left = ssh("director2", "ip -br link; ip fou show; nft list tables; ls /etc/systemd/system /etc/lvsdr")
    assert "lvsdr-ip" not in left and "6080" not in left and "lvsdr_tunnel" not in left and "tunnel" not in left


def test_nothing_is_left_of_what_is_retired():
    services = yaml.safe_load((INVENTORY / "group_vars" / "all.yml").read_text())["virtual_services"]
    retired = [one if one["name"] == "http" else {**one, "state": "absent"} for one in services]
    path = PROJECT / "build" / "retired.json"
    # The last connections of NAT are remembered for two minutes after their end.
    path.write_text(json.dumps({"virtual_services": retired, "director_drain_seconds": 3, "director_max_cut_connections": 10000}))
    done = playbook("site.yml", "-e", "@%s" % path)
    assert done.returncode == 0, why(done)
    for host in REAL_SERVERS:
        assert rules(host) == []
        assert TOGETHER not in ssh(host, "ip -o address show") and "lvsdr-return-path" not in ssh(host, "ls /etc/systemd/system")
    for host in DIRECTORS:
        assert GATEWAY not in ssh(host, "ip -o address show")
        assert "snat4" not in ssh(host, "nft list table inet lvsdr") and "services4" not in ssh(host, "nft list table inet lvsdr")
    done = playbook("site.yml", "-e", "@%s" % path)
    assert done.returncode == 0 and "Nothing: all hosts are as declared" in done.stdout, why(done)
