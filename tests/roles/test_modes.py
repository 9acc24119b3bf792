"""Services of other modes than direct routing: what they leave on hosts, changes between modes, and runs that end in the middle."""

import pytest
from fleet import SERVICE, VIP, VIP6, in_force, state

GATEWAY, GATEWAY6 = "192.0.2.110", "2001:db8::110"
NAT = {**SERVICE, "mode": "nat", "nat_gateway": [GATEWAY, GATEWAY6]}
SNAT = {**SERVICE, "mode": "snat"}
PORTS = {**SERVICE, "ports": [80, "5004-5005/udp"], "scheduler_flags": [], "health_check": {"type": "tcp", "port": 80}}
SERVERS, DIRECTORS = ("server1", "server2"), ("director1", "director2")


def good(done):
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done


def rules(machine):
    text = machine.inside("sh", "-c", "ip -4 rule; ip -6 rule; ip -4 route show table all; ip -6 route show table all")
    return sorted(line.strip() for line in text.splitlines() if "sport 80" in line or "proto 76" in line)


def on_lo(machine):
    return {address for address in state(machine)["addresses"] if address in (VIP + "/32", VIP6 + "/128")}


def nothing_to_do(fleet):
    """A second run changes nothing, and all is in force."""
    assert good(fleet.play()).stdout.count("changed=0") == 4
    assert not [problem for machine in fleet.machines.values() for problem in in_force(machine)]


def is_nat(fleet):
    for name in SERVERS:
        machine = fleet.machines[name]
        assert len(rules(machine)) == 4 and on_lo(machine) == set(), rules(machine)
        unit = machine.units()["lvsdr-return-path"]
        assert unit["enabled"] and unit["active"]
    for name in DIRECTORS:
        machine = fleet.machines[name]
        text = machine.read("/etc/keepalived/keepalived.conf")
        assert "%s/32 dev eth0 # gateway of NAT" % GATEWAY in text and "%s/128 dev eth0 # gateway of NAT" % GATEWAY6 in text
        read = machine.inside("cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding",
                              "/proc/sys/net/ipv4/conf/all/send_redirects")  # fmt: skip
        assert read.split() == ["1", "1", "0"]
        assert " net/ipv4/ip_forward=1" in machine.read("/etc/systemd/system/keepalived.service.d/lvsdr.conf"), "at boot, too"


def is_direct(fleet):
    for name in SERVERS:
        assert rules(fleet.machines[name]) == [] and len(on_lo(fleet.machines[name])) == 2
        assert not fleet.machines[name].read("/etc/systemd/system/lvsdr-return-path.service")
    for name in DIRECTORS:
        assert GATEWAY not in fleet.machines[name].read("/etc/keepalived/keepalived.conf")


def test_nat_from_nothing(fleet):
    fleet.inventory(services=[NAT])
    good(fleet.play())
    is_nat(fleet)
    nothing_to_do(fleet)


def test_from_direct_routing_to_nat_and_back(running):
    running.inventory(services=[NAT])
    good(running.play())
    is_nat(running)
    nothing_to_do(running)
    running.inventory()
    good(running.play())
    is_direct(running)
    nothing_to_do(running)


@pytest.mark.parametrize("tasks", [pytest.param(2, marks=pytest.mark.long), 4, pytest.param(6, marks=pytest.mark.long)])
def test_a_change_of_mode_that_ended_in_the_middle(running, tasks):
    running.inventory(services=[NAT])
    running.play(stop_after=tasks)
    good(running.play())
    is_nat(running)
    nothing_to_do(running)


def test_snat_does_nothing_on_servers(fleet):
    fleet.inventory(services=[SNAT])
    good(fleet.play())
    for name in SERVERS:
        assert rules(fleet.machines[name]) == [] and on_lo(fleet.machines[name]) == set()
    for name in DIRECTORS:
        machine = fleet.machines[name]
        own = "192.0.2.11" if name == "director1" else "192.0.2.12"
        assert "snat ip to %s" % own in machine.inside("nft", "list", "table", "inet", "lvsdr")
        assert machine.read("/run/standin/net/ipv4/vs/conntrack").strip() == "1"
    nothing_to_do(fleet)


def test_several_ports(fleet):
    fleet.inventory(services=[PORTS])
    good(fleet.play())
    for name in DIRECTORS:
        machine = fleet.machines[name]
        assert [name for name in machine.table().services if name.startswith("fwmark")]
        assert "map services4" in machine.inside("nft", "list", "table", "inet", "lvsdr")
    assert all(len(on_lo(fleet.machines[name])) == 2 for name in SERVERS)
    nothing_to_do(fleet)


def test_a_retired_server_keeps_nothing_of_nat(fleet):
    fleet.inventory(services=[NAT])
    good(fleet.play())
    fleet.inventory(services=[NAT], web=["server1"])
    good(fleet.play())
    assert rules(fleet.machines["server2"]), "it is not in the inventory any more, and nobody touches it"
    good(fleet.play("playbooks/retire.yml", "-e", "host=server2"))
    assert rules(fleet.machines["server2"]) == [] and "lvsdr-return-path" not in str(state(fleet.machines["server2"]))


def test_an_interface_that_is_gone_at_boot_does_not_stop_keepalived(fleet):
    """A rollout keeps accept_ra of each interface that it finds."""
    director = fleet.machines["director1"]
    director.inside("ip", "link", "add", "gone0", "type", "veth", "peer", "name", "gone1")
    director.inside("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/gone0/accept_ra")
    fleet.inventory(services=[NAT])
    good(fleet.play())
    assert "net/ipv6/conf/gone0/accept_ra=2" in director.read("/etc/systemd/system/keepalived.service.d/lvsdr.conf")
    director.inside("ip", "link", "del", "gone0")
    director.boot()
    assert director.units()["keepalived"]["active"]
    assert not in_force(director)
