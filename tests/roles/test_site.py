"""site.yml on a fleet: idempotence, check mode, and runs that end anywhere, finished by the next."""

import re

import pytest
from fleet import SERVICE, VIP, end_after_each_step, in_force, state

UNITS = ("keepalived", "lvsdr-streamcheck")
# Results of one first rollout that change a host: the two servers, and three calls on each director.
STEPS = 8


def roll_out(fleet):
    """A rollout that comes to its end; what it printed."""
    done = fleet.play()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done


def all_in_force(fleet):
    return {name: problems for name, machine in fleet.machines.items() if (problems := in_force(machine))}


def test_a_second_run_changes_nothing(fleet, reference):
    first = roll_out(fleet)
    assert "changed=0" not in next(line for line in first.stdout.splitlines() if line.startswith("director1"))
    for machine in fleet.machines.values():
        machine.forget_calls()
    done = roll_out(fleet)
    recap = done.stdout[done.stdout.index("PLAY RECAP") :]
    assert recap.count("changed=0") == 4
    assert all(machine.calls() == [] for machine in fleet.machines.values())
    assert {name: state(machine) for name, machine in fleet.machines.items()} == reference


def test_module_calls_of_a_first_rollout(fleet):
    """A director takes eight at most, the one of preflight and that of a package manager included."""
    done = fleet.play("site.yml", "-v")
    calls = done.stdout.count("ok: [director1] =>") + done.stdout.count("changed: [director1] =>")
    assert done.returncode == 0 and 4 <= calls <= 8 + 6, "six of these are the controller's own: specs, groups and asserts"
    modules = [line for line in done.stdout.splitlines() if line.startswith("changed: [director1]")]
    assert len(modules) == 3


def test_module_calls_of_a_run_that_changes_nothing(running):
    """One of a real server, and two of a director; what Ansible does on the controller alone is shown in other words."""
    done = running.play("site.yml", "-v")
    assert done.returncode == 0, done.stdout[-3000:]
    tasks = {}
    for block in done.stdout.split("TASK [")[1:]:
        for host in ("server1", "server2", "director1", "director2"):
            if "ok: [%s] =>" % host in block or "changed: [%s] =>" % host in block:
                tasks.setdefault(host, []).append(block.partition("]")[0])
    read = "Read interfaces, programs, and what is in force"
    assert tasks["server1"] == tasks["server2"] == [read]
    assert [name for name in tasks["director2"] if "Sort" not in name and "Validating" not in name] == [
        read,
        "director : Declare the IPVS table",
    ]


def test_a_server_that_differs_is_rolled_out_and_the_others_are_not(running):
    """Whoever changed it: a setting, a VIP that is gone, a file that makes it last."""
    server = running.machines["server1"]
    for breaks in (
        "echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore",
        "ip address del %s/32 dev lo" % VIP,
        "rm /etc/sysctl.d/zz-lvsdr.conf",
    ):
        server.inside("sh", "-c", breaks)
        done = roll_out(running)
        assert "changed: [server1]" in done.stdout and "changed: [server2]" not in done.stdout, breaks
        assert "changed: [" not in roll_out(running).stdout


def test_what_would_undo_the_fix_is_said_in_each_run(running):
    """The file is somebody else's, so it stays, and so does the warning."""
    running.machines["server1"].inside("sh", "-c", "echo 'net.ipv4.conf.all.arp_ignore = 0' >>/etc/sysctl.conf")
    try:
        for _run in range(2):
            done = roll_out(running)
            said = " ".join((done.stdout + done.stderr).split())
            assert re.search("/etc/sysctl.conf:[0-9]+ sets net/ipv4/conf/all/arp_ignore = 0", said), said[-3000:]
            assert "changed: [" not in done.stdout
    finally:
        running.machines["server1"].inside("sed", "-i", "$d", "/etc/sysctl.conf")


def test_a_rollout_that_ended_after_each_of_its_steps(fleet, reference):
    """After each task that changed something: the next run does the next one, and the last one ends with everything in force."""
    assert end_after_each_step(fleet.play) >= STEPS / 2, "two hosts do the same step at the same time"
    assert not all_in_force(fleet)
    assert {name: state(machine) for name, machine in fleet.machines.items()} == reference


CHANGED = {**SERVICE, "scheduler": "wlc", "scheduler_flags": []}


@pytest.mark.long
def test_a_change_that_ended_after_each_of_its_steps(running):
    """Of a fleet that runs: what was written is put in force by the next run, which itself writes nothing."""
    running.inventory(services=[CHANGED], director_sysctls={"conntrack": True})
    assert end_after_each_step(running.play) >= 4
    assert not all_in_force(running)
    for director in ("director1", "director2"):
        machine = running.machines[director]
        assert "lvs_sched wlc" in machine.units()["keepalived"]["read"]["/etc/keepalived/keepalived.conf"]
        assert machine.units()["keepalived"]["starts"] == 1, "reloaded, never restarted"
        assert machine.table().services["tcp %s:80" % VIP].scheduler == "wlc"


@pytest.mark.parametrize(
    ("host", "verb"),
    # Nothing is started on a server: its unit is for the next boot.
    [
        pytest.param("director2", "daemon-reload", marks=pytest.mark.long),
        pytest.param("director2", "enable", marks=pytest.mark.long),
        ("director2", "start"),
        pytest.param("server1", "daemon-reload", marks=pytest.mark.long),
        ("server1", "enable"),
    ],
)
def test_a_command_that_failed_once(fleet, reference, host, verb):
    """A lost race, a full disk, a time limit: the run is red, and the next one finishes it."""
    fleet.machines[host].write("/run/standin/fail", verb)
    done = fleet.play()
    assert done.returncode != 0 and "%s was refused by the test" % verb in done.said
    roll_out(fleet)
    assert not all_in_force(fleet)
    assert {name: state(machine) for name, machine in fleet.machines.items()} == reference


def test_a_reload_that_failed_once(running):
    running.inventory(services=[CHANGED])
    running.machines["director1"].write("/run/standin/fail", "reload")
    done = running.play()
    assert done.returncode != 0 and "`journalctl -u keepalived`" in done.said and "[unit-step-failed]" in done.said
    roll_out(running)
    assert not all_in_force(running)


def test_a_table_that_is_refused_comes_before_any_reload(running):
    """keepalived would remove what the table may not lose."""
    running.inventory(services=[CHANGED], director_sysctls={"no_such_setting": 1})
    done = running.play()
    assert done.returncode != 0
    running.inventory(services=[CHANGED])
    roll_out(running)
    assert not all_in_force(running), "the file was written by the run that failed"


def test_a_keepalived_that_runs_and_is_not_enabled(running):
    for director in ("director1", "director2"):
        running.machines[director].inside("systemctl", "disable", "keepalived")
    running.inventory(services=[CHANGED])
    roll_out(running)
    assert not all_in_force(running)


def test_what_somebody_undid_is_put_in_force_again(running, reference):
    director = running.machines["director1"]
    director.inside("nft", "flush", "ruleset")
    director.inside("sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/eth0/accept_local")
    director.inside("systemctl", "stop", "lvsdr-streamcheck")
    running.machines["server1"].inside("systemctl", "disable", "lvsdr-vip")
    assert roll_out(running).stdout.count("changed=0") == 2
    assert not all_in_force(running)
    assert {name: state(machine) for name, machine in running.machines.items()} == reference


def test_a_restart_by_somebody_else_is_no_reason_to_reload(running):
    """Its unit has read the file, whoever started it."""
    director = running.machines["director1"]
    director.inside("systemctl", "restart", "keepalived")
    director.forget_calls()
    roll_out(running)
    assert director.calls() == []


@pytest.mark.parametrize("value", [False, True, "no", "yes", 0, "1"])
def test_settings_at_boot_are_those_of_now(fleet, value):
    """`conntrack: no` is 0 for the kernel, now and when keepalived starts."""
    fleet.inventory(director_sysctls={"conntrack": value})
    roll_out(fleet)
    wanted = "1" if value in (True, "yes", "1") else "0"
    for director in ("director1", "director2"):
        machine = fleet.machines[director]
        assert machine.read("/run/standin/net/ipv4/vs/conntrack").strip() == wanted
        machine.boot()
        assert machine.units()["keepalived"]["active"], "its unit would not start"
        assert "net/ipv4/vs/conntrack=%s" % wanted in machine.read("/run/standin/sysctls").replace('"', "")
        assert not in_force(machine)


def test_a_file_that_keepalived_refuses(running):
    """Nothing is written, and what ran goes on."""
    before = {name: state(machine) for name, machine in running.machines.items()}
    running.inventory(services=[{**SERVICE, "name": "REFUSED"}])
    done = running.play()
    assert done.returncode != 0
    assert "/etc/keepalived/keepalived.conf: keepalived refuses it: (Line 1) Unknown keyword 'REFUSED'" in done.said
    assert "quorum" not in done.said, "a warning of what is as it should be"
    for director in ("director1", "director2"):
        assert state(running.machines[director]) == before[director]


def test_servers_that_are_drained_outlive_a_boot(fleet):
    fleet.inventory(hosts={"server1": {"real_server_state": "drained"}})
    roll_out(fleet)
    director = fleet.machines["director1"]
    names = director.inside("ls", "/run/lvsdr/drained").split()
    assert len(names) == 1 and names == director.inside("ls", "/var/lib/lvsdr/drained").split()
    director.boot()
    assert names == director.inside("ls", "/run/lvsdr/drained").split()
    fleet.inventory()
    roll_out(fleet)
    assert director.inside("ls", "/run/lvsdr/drained", "/var/lib/lvsdr/drained").split() == [
        "/run/lvsdr/drained:",
        "/var/lib/lvsdr/drained:",
    ]


# --- check mode -----------------------------------------------------------------------------------------------------------------------


def test_check_mode_of_a_fresh_fleet(fleet):
    before = {name: state(machine) for name, machine in fleet.machines.items()}
    done = fleet.play(check=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert {name: state(machine) for name, machine in fleet.machines.items()} == before
    for words in ("+virtual_server 192.0.2.100 80 {", "+-A -t 192.0.2.100:80 -s mh", "+192.0.2.100/32 dev lo"):
        assert words in done.stdout


def test_check_mode_says_what_the_run_then_does(fleet):
    """Task by task, on a new fleet and on one that gets another server."""
    fleet.inventory(web=["server1"])
    for web in (["server1"], ["server1", "server2"]):
        fleet.inventory(web=web)
        would = fleet.play(check=True)
        assert would.returncode == 0, would.stdout[-3000:]
        does = roll_out(fleet)
        changes = [sorted(line for line in done.stdout.splitlines() if line.startswith("changed: [")) for done in (would, does)]
        assert changes[0] == changes[1] and changes[0]


# --- roles and templates that nothing else reads ----------------------------------------------------------------------------------------


def test_a_retired_vip_stays_on_servers_until_the_directors_have_changed(running):
    old = [{**SERVICE, "name": "old%d" % n, "addresses": [vip], "state": "absent"} for n, vip in enumerate((VIP, "2001:db8::100"))]
    running.inventory(services=[{**SERVICE, "addresses": ["192.0.2.101"]}, *old])
    # The servers' first turn, and no further.
    assert running.play(stop_after=2).returncode == 99
    for server in ("server1", "server2"):
        assert VIP + "/32" in state(running.machines[server])["addresses"]
    roll_out(running)
    for server in ("server1", "server2"):
        assert state(running.machines[server])["addresses"] == ["127.0.0.1/8", "192.0.2.101/32", "::1/128"]
    assert "192.0.2.100" not in running.machines["director1"].read("/etc/keepalived/keepalived.conf")


def test_nobody_passes_for_a_director(running):
    """The rules drop what claims to come from the director's own addresses, and let answers to checks in."""
    rules = running.machines["director1"].inside("nft", "list", "table", "inet", "lvsdr")
    assert "meta nfproto ipv4 fib saddr type local counter packets 0 bytes 0 drop" in rules
    assert "ip saddr 192.0.2.100 ip daddr 192.0.2.11 tcp flags != syn / syn,ack accept" in rules


def test_settings_of_vrrp_reach_the_file(fleet):
    fleet.inventory(director_preempt=False, director_advertisement_interval=0.5)
    roll_out(fleet)
    text = fleet.machines["director1"].read("/etc/keepalived/keepalived.conf")
    assert "    nopreempt\n" in text and "    version 3\n" in text and "    advert_int 0.5\n" in text
