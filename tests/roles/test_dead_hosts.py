"""A host that does not answer is a row and not the end; --limit does no half of what takes two."""

import re

import pytest
from fleet import SERVICE, VIP, in_force, state
from test_changes import LIVE, good, weights

# Nobody listens on that port.
DEAD = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_common_args": "-o ConnectTimeout=5"}
SECOND = [SERVICE, {**SERVICE, "name": "second", "addresses": ["192.0.2.101"]}]


def not_rolled_out(server, service, said):
    """Whether the end of a run names a server that no viewer is sent to yet."""
    return re.search(r"- %s [^\[]*\(%s\) \[server-not-rolled-out\]" % (server, service), said)


def test_a_dead_server_of_a_fleet_that_runs(running):
    """The others are rolled out, it keeps its place in the tables, and the run ends with its name and not with 0."""
    running.inventory(services=SECOND, hosts={"server2": DEAD})
    done = running.play()
    assert done.returncode != 0 and "The rollout is not finished: - server2 did not answer [host-did-not-answer]" in done.said
    assert "Run it again when they answer [run-not-finished]" in done.said
    for director in ("director1", "director2"):
        assert set(weights(running, director)) == {"192.0.2.21", "192.0.2.22"}
        # On the new VIP nobody may be sent to it yet.
        assert set(weights(running, director, "tcp 192.0.2.101:80")) == {"192.0.2.21"}
        assert not in_force(running.machines[director])
    assert not_rolled_out("server2", "second", done.said)
    running.inventory(services=SECOND)
    good(running.play())
    assert set(weights(running, "director1", "tcp 192.0.2.101:80")) == {"192.0.2.21", "192.0.2.22"}


def test_a_host_that_answers_and_cannot_be_read(running):
    """It is not dead, so nobody knows what a rollout would meet there: nothing is begun."""
    before = {name: state(machine) for name, machine in running.machines.items()}
    running.inventory(services=SECOND, hosts={"server2": {"ansible_python_interpreter": "/bin/false"}})
    done = running.play()
    assert done.returncode != 0 and "[host-unread]" in done.said
    assert "- hosts[server2]: " in done.said and "and nothing was changed" in done.said
    assert {name: state(machine) for name, machine in running.machines.items()} == before


def test_a_dead_server_of_a_first_rollout(fleet, reference):
    fleet.inventory(hosts={"server2": DEAD})
    done = fleet.play()
    assert done.returncode != 0 and not_rolled_out("server2", "live", done.said)
    assert set(weights(fleet, "director1")) == {"192.0.2.21"}
    assert "192.0.2.22" not in fleet.machines["director1"].read("/etc/keepalived/keepalived.conf").replace("192.0.2.22 ", "")
    fleet.inventory()
    good(fleet.play())
    assert {name: state(machine) for name, machine in fleet.machines.items()} == reference


def test_a_dead_director(running):
    before = state(running.machines["director2"])
    running.inventory(services=SECOND, hosts={"director2": DEAD})
    done = running.play()
    assert done.returncode != 0 and "director2 did not answer [host-did-not-answer]" in done.said
    assert weights(running, "director1", "tcp 192.0.2.101:80") and not in_force(running.machines["director1"])
    for server in ("server1", "server2"):
        assert "192.0.2.101/32" in state(running.machines[server])["addresses"]
    assert state(running.machines["director2"]) == before


@pytest.mark.parametrize(
    ("hosts", "options"), [({"director2": DEAD}, ()), ({}, ("--limit", "director1,web")), ({}, ("--limit", "director2"))]
)
def test_what_directors_say_changes_on_all_or_on_none(running, hosts, options):
    """Each would be deaf to the other, and both would hold the VIPs."""
    before = {name: state(machine) for name, machine in running.machines.items()}
    running.inventory(hosts=hosts, director_advertisement_interval=2)
    done = running.play("site.yml", *options)
    missing = "director1" if "director2" in options else "director2"
    assert done.returncode != 0 and "not in this run: %s. " % missing in done.said
    assert "[vrrp-change-needs-all]" in done.said and "and nothing was changed" in done.said
    assert {name: state(machine) for name, machine in running.machines.items()} == before


def test_directors_alone_send_nobody_to_a_new_server(fleet):
    fleet.inventory(web=["server1"])
    good(fleet.play())
    fleet.activate()
    fleet.inventory()
    for options in (("--limit", "directors"), ("--tags", "director")):
        done = fleet.play("site.yml", *options)
        assert done.returncode != 0 and not_rolled_out("server2", "live", done.said)
        assert set(weights(fleet, "director1")) == {"192.0.2.21"}
    good(fleet.play())
    assert set(weights(fleet, "director1")) == {"192.0.2.21", "192.0.2.22"}


@pytest.mark.parametrize("dead", ["server2", "director2"])
def test_status_audit_and_drain_go_on(running, dead):
    running.inventory(hosts={dead: DEAD})
    done = running.play("playbooks/status.yml")
    assert "%s did not answer [host-did-not-answer]" % dead in done.said and "weight 0, 0 active" in done.said
    audit = running.play("playbooks/audit.yml")
    assert audit.returncode != 0 and "not reached" in audit.said and "server1" in audit.said
    done = running.play("playbooks/drain.yml", "-e", "drain_servers=server1", "-e", "drain_seconds=5")
    assert done.returncode != 0 and "This is not finished: - %s did not answer [host-did-not-answer]" % dead in done.said
    assert running.machines["director1"].inside("ls", "/run/lvsdr/drained").startswith("drained-server1")


def test_check_mode_with_a_dead_host(running):
    running.inventory(services=SECOND, hosts={"server2": DEAD})
    before = {name: state(machine) for name, machine in running.machines.items()}
    done = running.play(check=True)
    assert done.returncode != 0 and "server2 did not answer [host-did-not-answer]" in done.said
    assert "+virtual_server 192.0.2.101 80 {" in done.stdout, "the others are gone through"
    assert {name: state(machine) for name, machine in running.machines.items()} == before


def test_the_last_word_of_a_rollout(running):
    running.inventory(services=SECOND)
    done = good(running.play())
    assert re.search(r"director1 +0 +0 +0 +write /etc/keepalived/keepalived.conf", done.said)
    assert re.search(r"server1 +- +- +- +ip address add 192.0.2.101/32 dev lo", done.said)
    assert "skipping: [" not in done.stdout
    assert "Nothing: all hosts are as declared" in good(running.play()).said


# --- errors that come first -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "hosts", "pattern"),
    [
        (
            {}, {"server1": {"real_server_wieght": 10}},
            r"hosts\[server1\]\.real_server_wieght: [^[]*did you mean real_server_weight\? \[unknown-variable\]",
        ),
        ({}, {"server1": {"real_server_sate": "drained"}}, r"did you mean real_server_state\? \[unknown-variable\]"),
        ({}, {"director1": {"director_prioriti": 150}}, r"did you mean director_priority\? \[unknown-variable\]"),
        ({}, {"server1": {"streaming_server_kind": "egde"}}, r"hosts\[server1\]\.streaming_server_kind: 'egde' [^[]*\[unknown-value\]"),
        (
            {"director_sysctls": {"contrack": 0}}, {},
            r"hosts\[director1\]\.director_sysctls\.contrack: [^[]*did you mean conntrack\? \[ipvs-setting-unknown\]",
        ),
        ({"verify_attempts": "many"}, {}, r"\.verify_attempts: .*\[invalid-variable\]"),
        ({}, {"director1": {"director_priority": "{{ nowhere }}"}}, r"hosts\[director1\]\.director_priority: .*\[template-fails\]"),
        ({}, {"director2": {"director_unicast": False}}, r"hosts\[director2\]\.director_unicast: is off[^[]*\[directors-differ\]"),
        (
            {"web": ["server1", "director2"]}, {},
            r"virtual_services\[live\]\.real_servers: director2 is a director; [^[]*\[director-is-server\]",
        ),
        ({"directors": []}, {}, r"groups\[directors\]: [^[]*\[directors-empty\]"),
        ({"services": []}, {}, r"virtual_services: [^[]*\[\][^[]*\[no-virtual-services\]"),
        (
            {}, dict.fromkeys(("server1", "server2"), {"real_server_state": "drained"}),
            r"virtual_services\[live\]: [^[]*\[servers-all-drained\]",
        ),
    ],
)  # fmt: skip
def test_what_the_inventory_alone_tells_comes_before_any_host_is_asked(fleet, changes, hosts, pattern):
    hosts = {name: {**DEAD, **hosts.get(name, {})} for name in fleet.machines}
    fleet.inventory(**{"hosts": hosts, **changes})
    done = fleet.play()
    assert done.returncode != 0 and re.search(pattern, done.said) and "and nothing was changed" in done.said
    assert "UNREACHABLE" not in done.stdout


def test_what_the_hosts_tell(fleet):
    """And an address that only the facts have, where ansible_host is a name."""
    before = {name: state(machine) for name, machine in fleet.machines.items()}
    fleet.inventory(director_interface="eth9", director_sysctls={"sync_ports": 2}, hosts={"server1": {"real_server_address": "192.0.2.77"}})
    done = fleet.play()
    for words in (
        "hosts[director1].director_interface: director1 has no interface eth9; it has eth0 [interface-not-found]",
        "hosts[director1].director_sysctls.sync_ports: ",
        "[ipvs-setting-not-in-kernel]",
        "hosts[server1]: server1 does not have the address 192.0.2.77 (it has 192.0.2.21)",
        "[address-not-on-host]",
    ):
        assert words in done.said
    assert {name: state(machine) for name, machine in fleet.machines.items()} == before


def test_addresses_that_only_the_facts_have(fleet, reference):
    nobody = {"real_server_address": None, "real_server_address6": None, "ansible_host": "somewhere.example"}
    fleet.inventory(hosts=dict.fromkeys(fleet.machines, nobody))
    good(fleet.play())
    assert {name: state(machine) for name, machine in fleet.machines.items()} == reference
    fleet.activate()
    # Dead, it stays where it is.
    fleet.inventory(hosts={**dict.fromkeys(fleet.machines, nobody), "server2": {**nobody, **DEAD, "ansible_host": "localhost"}})
    fleet.play()
    assert set(weights(fleet, "director1", LIVE)) == {"192.0.2.21", "192.0.2.22"}


def test_the_last_vip_is_retired(running):
    running.inventory(services=[{**SERVICE, "state": "absent"}])
    good(running.play())
    assert weights(running, "director1") is None
    for server in ("server1", "server2"):
        assert VIP + "/32" not in state(running.machines[server])["addresses"]
    for name in ("director1", "director2"):
        running.machines[name].inside("ip", "address", "flush", "dev", "eth0", "to", VIP + "/32")
    assert good(running.play()).stdout.count("changed=0") == 4


def test_nobody_would_be_left(running):
    """One by one, too, because the first is drained already."""
    for servers in ("server1,server2", "server1"):
        done = running.play("playbooks/drain.yml", "-e", "drain_servers=" + servers, "-e", "drain_seconds=5")
        refused = "would be left to serve live (%s)" % VIP in done.said and "[no-server-left]" in done.said
        assert refused is ("," in servers) and (done.returncode != 0) is refused, done.stdout[-2000:]
    done = running.play("playbooks/drain.yml", "-e", "drain_servers=server2", "-e", "drain_seconds=5")
    assert done.returncode != 0 and "[no-server-left]" in done.said and "Nothing was changed" in done.said
    good(running.play("playbooks/drain.yml", "-e", "drain_servers=server2", "-e", "drain_seconds=5", "-e", "preflight_allow_drained=true"))
    good(running.play("playbooks/undrain.yml", "-e", "drain_servers=server1,server2"))


def test_an_origin_takes_no_part_in_a_drain(running):
    """It is read by a rollout alone; here nobody asks it."""
    running.inventory(web=["server1"], origins=["server2"], hosts={"server2": DEAD})
    good(running.play("playbooks/drain.yml"))
    running.inventory(web=["server1"], origins=["server2"], hosts={"server2": DEAD})
    done = running.play()
    assert done.returncode != 0 and "The rollout is not finished: - server2 did not answer [host-did-not-answer]" in done.said
