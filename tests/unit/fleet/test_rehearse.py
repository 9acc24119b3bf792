"""A rehearsal against a fleet in memory: every fault, and every step of it that may fail."""

import dataclasses

import pytest
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import faults, rehearse
from ansible.module_utils.lvsdr.fleet import scene as scenes
from ansible.module_utils.lvsdr.inventory import resolve
from said import id_of

from inventories import GONE, VIP, facts, interface, inventory, service

DIRECTORS, SERVER, VIEWER, ROUTER = ("director1", "director2"), "server1", "viewer", "router"
NAMES = (
    "nginx stopped", "live playlist frozen", "server drained", "server powered off", "keepalived killed", "keepalived restarted",
    "director powered off", "director back",
)  # fmt: skip
WATCHED = {
    "finished": True, "asked": [[0, True], [1, True]], "downloads": [{"bytes": 1, "cuts": [], "wrong_blocks": 0, "longest_pause": 0}],
    "players": [{"bytes": 1, "segments": 3}],
}  # fmt: skip
BAD = {"failed": True, "msg": "it is said why"}
POWER = {"rehearse_power_off": "power off '{{ x }}'", "rehearse_power_on": "power on secret"}


def scene(only=None, power=POWER, check_mode=False, confirmed=True, groups=None, variables=None, watched=None, more=(), **declared):
    made = inventory(groups={"viewers": [VIEWER], "routers": [ROUTER], **(groups or {})}, with_facts=True)
    check = {"type": "hls", "path": "/live/index.m3u8"}
    resolved = resolve.resolve([service(**{"stream": "/live/index.m3u8", "health_check": check, **declared}), *more], made)
    of_hosts = {host: dict(power) for host in (*DIRECTORS, "server1", "server2")}
    of_hosts[VIEWER] = {"rehearse_download": "/vod/long.bin"}
    of_hosts[SERVER]["streaming_server_kind"] = "edge"
    for host, more in (variables or {}).items():
        of_hosts[host].update(more)
    options = {
        "service": watched, "only": only, "seconds": 25, "boot_seconds": 90, "confirmed": confirmed, "check_mode": check_mode,
        "player": ["ansible-playbook"], "playbooks": "/here/playbooks", "folder": "/here",
    }  # fmt: skip
    return scenes.read(resolved, made, of_hosts, options)


class Fleet:
    """Hosts that answer as real ones do. wrong(step): an answer in the place of theirs, or None."""

    def __init__(self, wrong=lambda step: None, typed="yes", slow=1):
        self.wrong, self.typed = wrong, typed
        self.off, self.jobs, self.steps, self.tables = set(), 0, [], []
        # What a command on a host or from here takes, in seconds.
        self.now, self.slow = 0.0, slow

    def answer(self, step):
        self.steps.append(step)
        found = self.wrong(step)
        if found is not None:
            return found
        if isinstance(step, rehearse.Write):
            self.tables.append([row["fault"] for row in step.rows])
        if isinstance(step, rehearse.Ask):
            return {"user_input": self.typed}
        if isinstance(step, rehearse.Clock):
            return {"now": self.now}
        return self.run(step) if isinstance(step, rehearse.Run) else {}

    def run(self, step):
        assert step.host not in self.off, "%s has no power: %s" % (step.host, step)
        words = step.args.get("argv", [])
        self.now += self.slow if words else 0
        if words[:1] == ["power"]:
            host = step.says.split()[-1]
            (self.off.add if words[1] == "off" else self.off.discard)(host)
        if step.background:
            self.jobs += 1
            return {"ansible_job_id": "job%d" % self.jobs}
        if step.module == "ipvs_info":
            destinations = [{"address": "192.0.2.%d" % n, "port": 80, "weight": 1} for n in (21, 22)]
            own = {"protocol": "tcp", "address": VIP, "port": 80, "destinations": destinations}
            return {"text": "-A -t %s:80\n" % VIP, "services": [own], "sync_daemons": []}
        if step.module == "lvs_preflight":
            active = next(director for director in DIRECTORS if director not in self.off)
            return facts(11, *([interface("eth1", VIP + "/32")] if step.host == active else []))
        return {**WATCHED, "samples": {VIP: [[0, ["02:00:00:00:00:11"]]]}} if step.host in (VIEWER, ROUTER) else {"rc": 0}

    def rehearse(self, of):
        """The rows, or the LvsError that it ended with."""
        steps, answer = rehearse.rehearse(of), None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value
            except LvsError as error:
                return error
            answer = self.answer(step)

    def commands(self):
        """What was done to hosts: (host, words of the command)."""
        return [(step.host, step.args["argv"]) for step in self.steps if isinstance(step, rehearse.Run) and "argv" in step.args]

    def told(self):
        return [line for step in self.steps if isinstance(step, rehearse.Say) for line in step.lines]


def fault(name):
    return next(one for one in scene().faults if one.name == name)


def alone(name):
    """The faults to ask for so that one is made, and which of the hosts it is made on."""
    return ["director powered off", name] if name == "director back" else [name]


def test_all_of_it():
    fleet = Fleet()
    rows = fleet.rehearse(scene())
    assert [row["fault"] for row in rows] == list(NAMES) and not fleet.off
    assert [row["host"] for row in rows] == [SERVER] * 4 + ["director1"] * 4
    assert fleet.tables == [list(NAMES[:count]) for count in range(len(NAMES) + 1)], "the table is written after each"
    assert len([line for line in fleet.told() if line.startswith("fault ")]) == len(NAMES) + 1
    shell = ["sh", "-c"]
    assert fleet.commands()[:2] == [(SERVER, [*shell, "systemctl stop nginx"]), (SERVER, [*shell, "systemctl start nginx"])]
    assert fleet.commands()[4:8] == [
        ("localhost", ["ansible-playbook", "/here/playbooks/drain.yml", "-e", "drain_servers=server1", "-e", "drain_seconds=5"]),
        ("localhost", ["ansible-playbook", "/here/playbooks/undrain.yml", "-e", "drain_servers=server1"]),
        ("localhost", ["power", "off", "{{ x }}"]),
        ("localhost", ["power", "on", "secret"]),
    ]
    assert {step.args["chdir"] for step in fleet.steps if isinstance(step, rehearse.Run) and step.host == "localhost"} == {"/here"}
    assert fleet.commands()[-2:] == [("localhost", ["power", "off", "{{ x }}"]), ("localhost", ["power", "on", "secret"])]


def test_viewers_watch_from_before_it_until_after():
    fleet = Fleet()
    fleet.rehearse(scene(only=["server drained"]))
    runs = [step for step in fleet.steps if isinstance(step, rehearse.Run)]
    watches = [step for step in runs if step.module in ("viewer_watch", "vip_watch")]
    assert [(step.host, step.args["duration"], step.background) for step in watches] == [
        (VIEWER, 5, 0), (VIEWER, faults.DRAIN_SECONDS, 720), (ROUTER, faults.DRAIN_SECONDS, 720),
    ]  # fmt: skip
    assert watches[1].args["url"] == "http://192.0.2.100:80/live/index.m3u8"
    assert watches[1].args["download"] == "http://192.0.2.100:80/vod/long.bin"
    heard = [(step.args["jid"], step.args.get("mode")) for step in runs if step.module.endswith("async_status")]
    modules = [step.args.get("argv", [step.module])[-1].rpartition(".")[2] for step in runs]
    assert heard == [("job1", None), ("job1", "cleanup"), ("job2", None), ("job2", "cleanup")]
    assert modules.index("vip_watch") < modules.index("drain_seconds=5") < modules.index("async_status")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "director back"])
def test_on_a_slow_machine_viewers_watch_again_and_longer(name):
    """What is made when viewers have nearly gone shows nothing."""
    slow = 60
    fleet = Fleet(slow=slow)
    rows = fleet.rehearse(scene(only=[name]))
    assert [row["fault"] for row in rows] == [name] and not fleet.off
    watches = [step.args["duration"] for step in fleet.steps if isinstance(step, rehearse.Run) and step.module == "viewer_watch"][1:]
    assert watches == [fault(name).seconds, slow + fault(name).seconds]
    assert any(line.startswith("%s took %d s" % (name, slow)) for line in fleet.told())
    made = [index for index, step in enumerate(fleet.steps) if is_command(fault(name), "make")(step)]
    repaired = [index for index, step in enumerate(fleet.steps) if is_command(fault(name), "repair")(step)]
    assert len(made) == 2 and (name not in REPAIRED or made[0] < repaired[0] < made[1] < repaired[-1])


def test_a_machine_that_gets_slower_and_slower():
    fleet = Fleet()
    match = is_command(fault("nginx stopped"), "make")

    def wrong(step):
        if match(step):
            fleet.slow *= 40
        return None

    fleet.wrong = wrong
    error = str(fleet.rehearse(scene(only=["nginx stopped"])))
    assert id_of(error) == "rehearsal-watch-too-short"
    assert len(list(filter(match, fleet.steps))) == rehearse.MOST_ATTEMPTS
    assert is_command(fault("nginx stopped"), "repair")(fleet.steps[-1]) or not fleet.off


def is_command(one, way):
    """Tells the steps that make a fault from others; way: make or repair."""
    scripts = {"make": one.breaks, "repair": one.repairs}
    plays = {"make": one.plays, "repair": one.plays_back}
    power = {"make": one.power, "repair": "on" if one.power == "off" else ""}

    def match(step):
        words = step.args.get("argv", []) if isinstance(step, rehearse.Run) else []
        if scripts[way]:
            return words == ["sh", "-c", scripts[way]]
        if plays[way]:
            return words[1:2] == ["/here/playbooks/" + plays[way][0]]
        return words[:2] == ["power", power[way]]

    return match


def is_module(name, after=0):
    """Tells the steps that run a module, but for the first ones."""
    seen = []

    def match(step):
        if isinstance(step, rehearse.Run) and step.module.endswith(name):
            seen.append(step)
        return len(seen) > after and step is seen[-1]

    return match


REPAIRED = [name for name in NAMES if fault(name).repairs or fault(name).plays_back or fault(name).power == "off"]
FAILURES = {
    "it can't be made": lambda one: is_command(one, "make"),
    "nobody hears of viewers": lambda one: is_module("async_status"),
    "it can't be repaired": lambda one: is_command(one, "repair"),
    "all is not well afterwards": lambda one: is_module("ipvs_info", after=2),
    "nobody knows who holds the VIPs": lambda one: is_module("lvs_preflight", after=2),
    "the table can't be written": lambda one: lambda step: isinstance(step, rehearse.Write) and bool(step.rows),
}


@pytest.mark.parametrize("answer", [BAD, {"unreachable": True, "msg": "no route"}], ids=["fails", "unreachable"])
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("name", NAMES)
def test_what_was_begun_is_repaired(name, failure, answer):
    """And whoever was powered off has power at the end, or it was tried."""
    match = FAILURES[failure](fault(name))
    fleet = Fleet(lambda step: answer if match(step) else None)
    ended = fleet.rehearse(scene(only=alone(name)))
    begun = [index for index, step in enumerate(fleet.steps) if is_command(fault(name), "make")(step)]
    repaired = [index for index, step in enumerate(fleet.steps) if is_command(fault(name), "repair")(step)]
    if name in REPAIRED:
        assert begun and repaired and repaired[-1] > begun[-1]
    powers = [words[1] for _host, words in fleet.commands() if words[0] == "power"]
    assert not powers or powers[-1] == "on"
    tried_in_vain = failure in ("it can't be made", "it can't be repaired") and bool(fault(name).power)
    assert not fleet.off or tried_in_vain
    assert isinstance(ended, LvsError) or failure in ("it can't be repaired", "nobody knows who holds the VIPs")


@pytest.mark.parametrize("name", REPAIRED)
def test_a_fault_of_ours_is_no_reason_not_to_repair(name):
    """Such as an answer that nobody has thought of."""
    fleet = Fleet(lambda step: {"finished": True, "samples": {}} if is_module("async_status")(step) else None)
    with pytest.raises(KeyError):
        fleet.rehearse(scene(only=[name]))
    assert any(map(is_command(fault(name), "repair"), fleet.steps)) and not fleet.off


def test_both_reasons_are_told():
    one = fault("nginx stopped")
    fleet = Fleet(lambda step: BAD if is_command(one, "make")(step) or is_command(one, "repair")(step) else None)
    error = str(fleet.rehearse(scene(only=[one.name])))
    assert [id_of(line) for line in error.splitlines()] == ["rehearsal-step-failed"] * 2
    assert "Breaking it failed on server1: it is said why" in error and "Repairing it failed on server1: it is said why" in error


def test_what_a_failed_command_printed_is_told():
    printed = {"failed": True, "msg": "non-zero return code", "rc": 1, "stderr": "", "stdout": "line\n" * 99 + "the reason"}
    fleet = Fleet(lambda step: printed if is_command(fault("server drained"), "make")(step) else None)
    error = str(fleet.rehearse(scene(only=["server drained"])))
    assert "drain.yml failed" in error and error.endswith("the reason [rehearsal-step-failed]")
    assert error.count("line") < rehearse.LINES_TOLD + 1


@pytest.mark.parametrize("way", ["off", "on"])
def test_commands_that_change_the_power_are_not_shown(way):
    """They may hold passwords (ipmitool -P), and what they print may repeat them."""

    def wrong(step):
        failed = isinstance(step, rehearse.Run) and step.args.get("argv", [])[:2] == ["power", way]
        return {"failed": True, "rc": 7, "msg": "secret", "stdout": "secret", "cmd": ["secret"]} if failed else None

    fleet = Fleet(wrong)
    error = str(fleet.rehearse(scene(only=["server powered off"])))
    assert "rehearse_power_%s of server1 ended with status 7" % way in error and "secret" not in error
    assert error.count("ended with status") == 1, "it was tried twice, and is told once"
    power = [step for step in fleet.steps if isinstance(step, rehearse.Run) and step.args.get("argv", [])[:1] == ["power"]]
    assert power and all(step.hidden and "secret" not in step.says for step in power)
    assert not any(step.hidden for step in fleet.steps if isinstance(step, rehearse.Run) and step not in power)
    assert "secret" not in " ".join(fleet.told())


def test_a_command_that_is_none():
    with pytest.raises(LvsError) as raised:
        scene(power={**POWER, "rehearse_power_off": "power 'secret"})
    assert "rehearse_power_off of director1" in str(raised.value) and "secret" not in str(raised.value)


def test_a_director_that_stays_off_is_powered_on_at_the_end():
    fleet = Fleet()
    rows = fleet.rehearse(scene(only=["director powered off"]))
    assert [row["fault"] for row in rows] == ["director powered off"] and not fleet.off
    assert rows[0]["sync_daemons"].keys() == {"director2"}, "the other one alone is asked meanwhile"


@pytest.mark.parametrize(("options", "words", "message"), [
    ({"only": ["nginx", "server drained"]}, "nginx is not a fault; choose from: nginx stopped, live", "rehearsal-fault-unknown"),
    ({"only": [""]}, "an empty name", "rehearsal-fault-unknown"),
    ({"watched": "vod"}, "rehearse_service is 'vod', .* choose from: live; nothing", "rehearsal-service-unknown"),
    ({"check_mode": True}, "check mode", "rehearsal-in-check-mode"),
    ({"stream": GONE}, "a service with `stream`", "rehearsal-needs-watchers"),
    ({"groups": {"viewers": []}}, "group viewers", "rehearsal-needs-watchers"),
    ({"groups": {"routers": []}}, "group routers", "rehearsal-needs-watchers"),
])  # fmt: skip
def test_what_is_refused_before_the_first_step(options, words, message):
    with pytest.raises(LvsError, match=words) as raised:
        scene(**options)
    assert id_of(str(raised.value)) == message


@pytest.mark.parametrize(("watched", "url"), [(None, "http://192.0.2.100:80/live/index.m3u8"), ("vod", "http://192.0.2.100:8080/vod.mpd")])
def test_the_service_that_is_watched(watched, url):
    vod = service(name="vod", ports=[8080], stream="/vod.mpd")
    assert scene(watched=watched, more=[vod]).stream["url"] == url


def test_names_with_spaces_around_them():
    assert [one.name for one in scene(only=[" nginx stopped", "server drained "]).faults] == ["nginx stopped", "server drained"]


@pytest.mark.parametrize("typed", ["", "no", "Yes please"])
def test_nothing_is_touched_that_nobody_has_confirmed(typed):
    fleet = Fleet(typed=typed)
    assert id_of(str(fleet.rehearse(scene(confirmed=False)))) == "rehearsal-not-confirmed"
    (step,) = fleet.steps
    assert "These hosts are not the lab's" in step.prompt and all(name in step.prompt for name in NAMES)


def test_who_says_yes_and_who_need_not():
    fleet = Fleet()
    assert len(fleet.rehearse(scene(confirmed=False))) == len(NAMES) and isinstance(fleet.steps[0], rehearse.Ask)
    lab = {director: {"lab_kind": "guest"} for director in DIRECTORS}
    assert scene(confirmed=False, variables=lab).confirmed
    assert not scene(confirmed=False, variables={"director1": lab["director1"]}).confirmed, "all of them are the lab's"


@pytest.mark.parametrize("wrong", [
    lambda step: {"failed": True, "msg": "no h11"} if is_module("viewer_watch")(step) else None,
    lambda step: {**WATCHED, "asked": [[0, False]]} if is_module("viewer_watch")(step) else None,
    lambda step: BAD if is_module("ipvs_info")(step) else None,
    lambda step: facts(11) if is_module("lvs_preflight")(step) else None,
    lambda step: BAD if isinstance(step, rehearse.Write) else None,
], ids=["no viewer", "unplayable", "no weights", "nobody holds the VIP", "no table"])  # fmt: skip
def test_what_is_not_well_to_begin_with_is_not_broken(wrong):
    fleet = Fleet(wrong)
    error = fleet.rehearse(scene())
    assert isinstance(error, LvsError) and fleet.commands() == [] and fleet.tables == []


def test_a_watch_that_does_not_begin_breaks_nothing():
    fleet = Fleet(lambda step: BAD if is_module("vip_watch")(step) else None)
    assert "Watching failed on router" in str(fleet.rehearse(scene(only=["nginx stopped"])))
    assert fleet.commands() == []


def test_a_host_that_does_not_answer_for_a_moment():
    """Neither who watches nor a director that boots is given up at once."""
    times = dict.fromkeys(("ipvs_info", "async_status"), 3)

    def wrong(step):
        for module in times:
            if is_module(module)(step) and times[module]:
                times[module] -= 1
                return {"unreachable": True, "msg": "no route"}
        return None

    fleet = Fleet(wrong)
    assert len(fleet.rehearse(scene(only=["nginx stopped"]))) == 1
    waits = [step.seconds for step in fleet.steps if isinstance(step, rehearse.Wait)]
    assert waits.count(rehearse.SETTLE_EVERY) == 3 + 1 and waits.count(rehearse.HEAR_EVERY) == 3


@pytest.mark.parametrize(("module", "tries", "words"), [
    ("ipvs_info", rehearse.SETTLE_TRIES, "still have no weight: director1: no route"),
    ("async_status", 2 * 25 + 60, "Watching failed on viewer: no route"),
])  # fmt: skip
def test_nobody_is_waited_for_without_end(module, tries, words):
    after = 2 if module == "ipvs_info" else 0
    match = is_module(module, after)
    fleet = Fleet(lambda step: {"unreachable": True, "msg": "no route"} if match(step) else None)
    assert words in str(fleet.rehearse(scene(only=["nginx stopped"])))
    assert len(list(filter(is_module(module), fleet.steps))) == tries + after


@pytest.mark.parametrize(("options", "name", "words"), [
    ({"power": {}}, "server powered off", "left out: set rehearse_power_off and rehearse_power_on for server1"),
    ({"power": {"rehearse_power_on": "on"}}, "director powered off", "left out: set rehearse_power_off for director1"),
    ({}, "director back", "left out, because no director was powered off before"),
    ({"variables": {SERVER: {"streaming_server_kind": None}}}, "live playlist frozen", "left out on server1: its nginx is not of the role"),
])  # fmt: skip
def test_what_is_left_out_and_why(options, name, words):
    fleet = Fleet()
    assert fleet.rehearse(scene(only=[name], **options)) == [] and fleet.commands() == []
    assert any(words in line and line.startswith(name) for line in fleet.told())


def test_faults_are_values():
    with pytest.raises(dataclasses.FrozenInstanceError):
        fault("nginx stopped").breaks = "reboot"
