"""Spares, hosts that join and leave, and upgrades: what they change and leave alone, and runs that end in the middle."""

import json
import subprocess

import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.system import processes
from fleet import SERVICE, VIP, end_after_each_step, in_force, state
from test_changes import connections, good, weights

SPARE = {"server2": {"real_server_state": "spare"}}
DIRECTORS = ("director1", "director2")
FIRST, SECOND = "192.0.2.21", "192.0.2.22"


def files(fleet, name, folder=places.DRAINED):
    return fleet.machines[name].inside("ls", folder).split()


def journal(fleet):
    return [json.loads(line) for line in (fleet.folder / "journal.jsonl").read_text().splitlines()]


@pytest.fixture
def spared(fleet):
    """A fleet of which server2 is a spare."""
    fleet.inventory(hosts=SPARE)
    good(fleet.play())
    fleet.activate()
    fleet.follow()
    good(fleet.play("playbooks/status.yml"))
    return fleet


def scale(fleet, servers, *more, **options):
    return fleet.play("playbooks/scale.yml", "-e", "service=live", "-e", "servers=%s" % servers, *more, **options)


def test_a_spare_is_parked_woken_and_left_so_by_a_rollout(spared):
    assert all(weights(spared, name) == {FIRST: 1, SECOND: 0} for name in DIRECTORS)
    assert "spare, parked" in spared.play("playbooks/status.yml").said
    before = {name: spared.machines[name].calls() for name in DIRECTORS}
    done = good(scale(spared, 2))
    assert "woken: server2; parked: none" in done.said
    assert {name: spared.machines[name].calls() for name in DIRECTORS} == before, "no reload"
    for name in DIRECTORS:
        assert files(spared, name) == files(spared, name, places.DRAINED_KEPT) == []
    good(spared.play())
    assert all(weights(spared, name) == {FIRST: 1, SECOND: 1} for name in DIRECTORS)
    assert "spare, awake" in spared.play("playbooks/status.yml").said
    done = good(scale(spared, 2))
    assert "woken: none; parked: none" in done.said and "changed: [" not in done.stdout
    good(scale(spared, 1))
    assert files(spared, "director1") == files(spared, "director2") == [places.spare_file("server2")]
    lines = [(one["verb"], one["what"], one["event"]) for one in journal(spared) if one["verb"] == "scale"]
    assert lines == [("scale", "live %d" % number, event) for number in (2, 2, 1) for event in ("begun", "ended")]
    assert "scale live 1" in spared.play("playbooks/history.yml").said


REFUSED = [
    ("-e service=live -e servers=3", "scale-out-of-range"),
    ("-e service=live -e servers=x", "scale-not-a-number"),
    ("-e service=live", "scale-what"),
    ("-e service=live -e servers=2 --limit director1", "limit-not-possible"),
]


def test_no_run_begins_beside_another(spared):
    """A process that still runs, as the journal names those of ansible-playbook."""
    before = [state(machine) for machine in spared.machines.values()]
    other = subprocess.Popen(["sleep", "600"])
    try:
        line = next(one for one in journal(spared) if one["event"] == "begun")
        line.update(run="another", verb="drain", what="server1", process=processes.identity(other.pid))
        with open(spared.folder / "journal.jsonl", "a") as f:
            f.write(json.dumps(line) + "\n")
        for refused in (spared.play(), scale(spared, 2), spared.play("playbooks/drain.yml", "-e", "drain_servers=server2")):
            assert refused.returncode != 0 and "drain server1, which" in refused.said and "[run-in-progress]" in refused.said
        assert [state(machine) for machine in spared.machines.values()] == before
        assert "refused beside another run" in spared.play("playbooks/history.yml").said
        good(spared.play(check=True))
        good(spared.play("playbooks/undrain.yml", "-e", "drain_servers=server1"))
        good(scale(spared, 2, "-e", "run_beside=true"))
    finally:
        other.kill()
        other.wait()
    # Nobody waits for what gives servers back.
    assert not any("fleet" in one for one in journal(spared) if one["verb"] == "undrain")
    good(scale(spared, 1))


def test_what_scale_refuses(spared):
    for words, id_ in REFUSED:
        done = spared.play("playbooks/scale.yml", *words.split())
        assert done.returncode != 0 and "[%s]" % id_ in done.said and files(spared, "director1") == [places.spare_file("server2")]


def test_scale_in_check_mode(spared):
    done = good(scale(spared, 2, check=True))
    assert "changed: [director1]" in done.stdout and files(spared, "director1") == [places.spare_file("server2")]


@pytest.mark.long
def test_a_scale_that_ended_after_each_of_its_steps(spared):
    assert end_after_each_step(lambda **options: scale(spared, 2, **options)) >= 1
    assert all(files(spared, name) == [] for name in DIRECTORS)


@pytest.fixture
def single(fleet):
    """A fleet of server1 alone that serves."""
    fleet.inventory(web=["server1"])
    good(fleet.play())
    fleet.activate()
    fleet.follow()
    return fleet


def join(fleet, **options):
    return fleet.play("playbooks/join.yml", "-e", "host=server2", **options)


def joined(fleet):
    for name in DIRECTORS:
        assert weights(fleet, name) == {FIRST: 1, SECOND: 1} and files(fleet, name) == [] and not in_force(fleet.machines[name])
    assert VIP + "/32" in state(fleet.machines["server2"])["addresses"]


def test_a_host_joins_and_nobody_else_is_asked(single):
    single.inventory(hosts={"server1": {"ansible_python_interpreter": "/nowhere"}})
    done = good(join(single))
    joined(single)
    assert "[server1]" not in done.stdout
    single.inventory()
    assert good(single.play()).stdout.count("changed=0") == 4
    assert "changed: [" not in good(join(single)).stdout


@pytest.mark.long
def test_a_join_that_ended_after_each_of_its_steps(single):
    single.inventory()
    count = end_after_each_step(lambda **options: join(single, **options))
    joined(single)
    assert count >= 6, "one on the server, three on each director, and one on each to let viewers in"


def test_a_join_undrains_nobody_else(single):
    single.inventory()
    for name in DIRECTORS:
        for folder in (places.DRAINED, places.DRAINED_KEPT):
            single.machines[name].write("%s/%s" % (folder, places.drain_file("server1")), "-2147483647\n")
    good(join(single))
    assert all(files(single, name) == [places.drain_file("server1")] for name in DIRECTORS)


def leave(fleet, *more, **options):
    return fleet.play("playbooks/leave.yml", "-e", "host=server2", *more, **options)


@pytest.fixture
def two(fleet, running):
    running.follow()
    return running


def left(fleet):
    for name in DIRECTORS:
        assert weights(fleet, name) == {FIRST: 1} and not in_force(fleet.machines[name])
    cleaned = state(fleet.machines["server2"])
    assert cleaned["addresses"] == ["127.0.0.1/8", "::1/128"] and cleaned["settings"][:2] == ["0", "0"] and cleaned["units"] == {}


def test_a_host_leaves_and_nobody_else_is_asked(two):
    two.inventory(hosts={"server1": {"ansible_python_interpreter": "/nowhere"}})
    done = good(leave(two))
    left(two)
    assert "[server1]" not in done.stdout and "server2 has left. Take it out of web in the inventory" in done.said
    two.inventory(web=["server1"])
    assert good(two.play()).stdout.count("changed=0") == 3
    assert "changed: [" not in good(leave(two)).stdout


@pytest.mark.long
def test_a_host_with_viewers_leaves_when_they_have(two):
    good(two.play("playbooks/status.yml"))
    connections(two, SECOND, 3)
    two.inventory(director_drain_seconds=1)
    done = leave(two)
    assert done.returncode != 0 and "[leave-not-empty]" in done.said
    assert VIP + "/32" in state(two.machines["server2"])["addresses"]
    connections(two, SECOND, 0)
    good(leave(two))
    left(two)


@pytest.mark.long
def test_a_leave_that_ended_after_each_of_its_steps(two):
    count = end_after_each_step(lambda **options: leave(two, **options))
    left(two)
    assert count >= 5, "three on each director, and one on the server"


def test_the_last_one_does_not_leave(single):
    good(single.play("playbooks/status.yml"))
    done = single.play("playbooks/leave.yml", "-e", "host=server1")
    assert done.returncode != 0 and weights(single, "director1") == {FIRST: 1} and "[nobody-else-serves]" in done.said


def test_hosts_that_cannot_join_or_leave(two):
    def left():
        """All but the weights, which keepalived gives meanwhile."""
        return {name: {**state(machine), "table": None} for name, machine in two.machines.items()}

    before = left()
    for playbook, words, id_ in (
        ("join", [], "join-no-host"), ("leave", [], "leave-no-host"), ("join", ["-e", "host=director1"], "join-not-declared"),
        ("leave", ["-e", "host=director1"], "leave-director"), ("join", ["-e", "host=nobody"], "join-not-declared"),
    ):  # fmt: skip
        done = two.play("playbooks/%s.yml" % playbook, *words)
        assert done.returncode != 0 and "[%s]" % id_ in done.said, (playbook, words)
    assert left() == before


@pytest.fixture
def tasks(two):
    """Writes tasks of an upgrade that leave a line on each host, and run a shell command first."""

    def write(command="true"):
        path = two.folder / "mine.yml"
        lines = ["- name: Mine", "  ansible.builtin.shell: %s" % json.dumps(command + " && echo $(hostname) >>/run/standin/upgraded")]
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def upgrade(fleet, path, *more, **options):
    return fleet.play("playbooks/upgrade.yml", "-e", "upgrade_tasks=%s" % path, "-e", "upgrade_drain_seconds=3", *more, **options)


def times(fleet, name):
    return len((fleet.machines[name].read("/run/standin/upgraded") or "").split())


def forget(fleet):
    for machine in fleet.machines.values():
        machine.inside("rm", "-f", "/run/standin/upgraded")
    (fleet.folder / "journal.jsonl").unlink(missing_ok=True)


def test_an_upgrade_goes_through_all_real_servers(two, tasks):
    forget(two)
    path = tasks('for d in director1; do true; done; test -z "$(ls /run/lvsdr 2>/dev/null | grep drained)"')
    good(upgrade(two, path))
    assert [times(two, name) for name in ("server1", "server2", "director1")] == [1, 1, 0]
    for name in DIRECTORS:
        assert weights(two, name) == {FIRST: 1, SECOND: 1} and files(two, name) == []
    events = [(one["event"], one.get("item")) for one in journal(two) if one["verb"] == "upgrade"]
    assert events == [
        ("begun", None), ("drained", "server1"), ("done", "server1"), ("drained", "server2"), ("done", "server2"), ("ended", None),
    ]  # fmt: skip
    good(upgrade(two, path))
    assert [times(two, name) for name in ("server1", "server2")] == [2, 2], "one that has ended begins again"


def test_a_broken_upgrade_stops_and_goes_on(two, tasks):
    forget(two)
    done = upgrade(two, tasks("ip address show dev eth0 | grep -q %s" % FIRST))
    assert done.returncode != 0 and "[upgrade-stopped]" in done.said and "Done before: server1; not begun: none" in done.said
    assert [times(two, name) for name in ("server1", "server2")] == [1, 0]
    for name in DIRECTORS:
        assert files(two, name) == [places.drain_file("server2")], "the fleet is whole without it"
    done = good(upgrade(two, tasks()))
    assert "done before by an upgrade that did not end: server1" in done.said
    assert [times(two, name) for name in ("server1", "server2")] == [1, 1] and files(two, "director1") == []


@pytest.mark.parametrize("stop_after", [pytest.param(1, marks=pytest.mark.long), 4])
def test_an_upgrade_that_ended_in_the_middle(two, tasks, stop_after):
    """After the drain on both directors, after the tasks, after the server came back."""
    forget(two)
    path = tasks()
    assert upgrade(two, path, stop_after=stop_after).returncode == 99
    good(upgrade(two, path))
    assert 2 <= times(two, "server1") + times(two, "server2") <= 3
    for name in DIRECTORS:
        assert weights(two, name) == {FIRST: 1, SECOND: 1} and files(two, name) == []


def test_an_upgrade_of_all_at_once_is_refused(two, tasks):
    forget(two)
    done = upgrade(two, tasks(), "-e", "upgrade_share=2")
    assert done.returncode != 0 and "[nobody-else-serves]" in done.said and times(two, "server1") == 0


def test_what_upgrade_refuses(two, tasks):
    forget(two)
    path = tasks()
    for words, id_ in (
        (["-e", "upgrade_tasks=/nowhere.yml"], "upgrade-tasks-missing"), ([], "upgrade-no-tasks"),
        (["-e", "upgrade_tasks=%s" % path, "-e", "upgrade_hosts=nobody"], "upgrade-host-unknown"),
        (["-e", "upgrade_tasks=%s" % path, "-e", "upgrade_share=0"], "upgrade-share-invalid"),
        (["-e", "upgrade_tasks=%s" % path, "-e", "journal_path=/proc/journal"], "journal-unwritable"),
    ):  # fmt: skip
        done = two.play("playbooks/upgrade.yml", *words)
        assert done.returncode != 0 and "[%s]" % id_ in done.said, words
    assert files(two, "director1") == [] and times(two, "server1") == 0


def test_an_upgrade_in_check_mode(two, tasks):
    forget(two)
    good(upgrade(two, tasks(), check=True))
    assert times(two, "server1") == 0 and files(two, "director1") == [] and not (two.folder / "journal.jsonl").exists()


def test_joins_and_leaves_in_check_mode(two):
    before = {name: {**state(machine), "table": None} for name, machine in two.machines.items()}
    good(leave(two, check=True))
    assert {name: {**state(machine), "table": None} for name, machine in two.machines.items()} == before
    assert not (two.folder / "journal.jsonl").exists() or journal(two)[-1]["verb"] != "leave"


def test_the_load_wakes_a_spare(spared):
    """It only says so until it is switched on. The counts are those of a table in memory."""

    def look(*more, **options):
        return good(spared.play("playbooks/autoscale.yml", "-e", "scale_state=%s" % (spared.folder / "scale.json"), *more, **options))

    service = {**SERVICE, "scale": {"connections": 5, "max": 9}}
    up = spared.folder / "up"
    spared.inventory(services=[service], hosts=SPARE, scale_up="sh -c 'echo $LVSDR_SERVICE $LVSDR_SERVERS >>%s'" % up)
    good(spared.play())
    connections(spared, FIRST, 8)
    assert "would wake: server2; park: none" in look().said and files(spared, "director1") == [places.spare_file("server2")]
    assert "wake: server2; park: none" in look("-e", "scale_switched_on=true").said
    assert all(files(spared, name) == [] for name in DIRECTORS) and not up.exists()
    connections(spared, FIRST, 40)
    look("-e", "scale_switched_on=true")
    look("-e", "scale_switched_on=true")
    assert up.read_text() == "live 6\n", "forty connections need eight, and it is called once"
    assert [one["what"] for one in journal(spared) if one["verb"] == "autoscale"] == ["+server2"] * 2


def test_who_was_drained_before_an_upgrade_is_drained_after_it(two, tasks):
    forget(two)
    good(two.play("playbooks/drain.yml", "-e", "drain_servers=server2"))
    done = upgrade(two, tasks())
    assert "drained before, and left so: server2" in done.said
    assert done.returncode != 0 and "[nobody-else-serves]" in done.said, "without server1, which is next"
    assert files(two, "director1") == [places.drain_file("server2")] and times(two, "server2") == 1
