"""Plans of files and units: what differs between what is declared and what is in force, wherever the difference comes from."""

import pytest
from ansible.module_utils.lvsdr import places, text
from ansible.module_utils.lvsdr.directors import nftables
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.inventory.resolve import resolve
from ansible.module_utils.lvsdr.system import commands, in_force

from inventories import inventory, service

CONF, PROGRAM = "/etc/keepalived/keepalived.conf", "/usr/local/lib/x.py"
RULES = {
    "path": "/etc/keepalived/lvsdr.nft", "table": "ip lvsdr", "content": 'table ip lvsdr {\n    comment "lvsdr 0123456789abcdef"\n}\n',
}  # fmt: skip
FILES = {
    "folders": [{"path": "/run/x"}, {"path": "/run/drained", "files": {"a": "1\n"}}], "files": [{"path": CONF, "content": "new"}],
    "rules": [RULES], "sysctls": {"net/ipv4/conf/eth0/accept_local": True},
}  # fmt: skip
UNIT = {"name": "keepalived", "reload_on": [CONF], "restart_on": [PROGRAM]}


def seen(**changes):
    """A host on which all of it is in force."""
    digest = text.digest_of
    unit = {
        "loaded": True, "active": True, "enabled": True, "stale": False,
        "drop_in": digest(in_force.drop_in("keepalived", [PROGRAM], [CONF])), "read": {CONF: digest("new"), PROGRAM: digest("program")},
    }  # fmt: skip
    made = {
        "files": {CONF: digest("new"), RULES["path"]: digest(RULES["content"]), PROGRAM: digest("program")},
        "folders": {"/run/x": {}, "/run/drained": {"a": digest("1\n")}}, "rules": {"ip lvsdr": "0123456789abcdef"},
        "sysctls": {"net/ipv4/conf/eth0/accept_local": "1"}, "units": {"keepalived": unit},
    }  # fmt: skip
    for name, value in changes.items():
        if name in unit:
            unit[name] = value
        else:
            made[name] = {**made[name], **value}
    return made


def test_what_is_in_force_needs_nothing():
    assert in_force.plan_files(FILES, seen()) == [] and in_force.plan_units([UNIT], seen()) == []
    assert not in_force.differs(FILES, [UNIT], seen())
    assert in_force.differs(FILES, [UNIT], {}), "a host that nobody has looked at"


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"files": {CONF: None}}, [("write", CONF)]),
        ({"files": {CONF: text.digest_of("old")}}, [("write", CONF)]),
        ({"files": {RULES["path"]: None}}, [("write", RULES["path"])]),
        ({"rules": {"ip lvsdr": None}}, [("rules", RULES["path"])]),
        ({"rules": {"ip lvsdr": "fedcba9876543210"}}, [("rules", RULES["path"])]),
        ({"sysctls": {"net/ipv4/conf/eth0/accept_local": "0"}}, [("sysctl", "net/ipv4/conf/eth0/accept_local")]),
        ({"folders": {"/run/x": None}}, [("folder", "/run/x")]),
        ({"folders": {"/run/drained": None}}, [("folder", "/run/drained"), ("write", "/run/drained/a")]),
        ({"folders": {"/run/drained": {"a": "?", "b": "?"}}}, [("write", "/run/drained/a"), ("remove", "/run/drained/b")]),
        ({"folders": {"/run/x": {"somebody's": "?"}}}, []),
    ],
)
def test_files(changes, steps):
    assert in_force.plan_files(FILES, seen(**changes)) == steps
    assert in_force.differs(FILES, [UNIT], seen(**changes)) is bool(steps)


RELOAD, RESTART, START = ("reload", "keepalived"), ("restart", "keepalived"), ("start", "keepalived")
AGAIN = ("daemon-reload", "")


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"read": {}}, [RESTART]),  # it runs since before lvsdr, or /run was emptied
        ({"read": {CONF: text.digest_of("old"), PROGRAM: text.digest_of("program")}}, [RELOAD]),
        ({"read": {CONF: text.digest_of("new"), PROGRAM: text.digest_of("old")}}, [RESTART]),
        ({"read": {CONF: text.digest_of("old"), PROGRAM: text.digest_of("old")}}, [RESTART]),
        ({"active": False}, [START]),
        ({"active": False, "read": {}}, [START]),
        ({"enabled": False}, [("enable", "keepalived")]),
        ({"enabled": False, "active": False}, [("enable", "keepalived"), START]),
        ({"stale": True}, [AGAIN]),
        ({"drop_in": None}, [("drop-in", "keepalived"), AGAIN]),
        ({"loaded": False, "active": False, "enabled": False}, [AGAIN, ("enable", "keepalived"), START]),
    ],
)
def test_units(changes, steps):
    assert in_force.plan_units([UNIT], seen(**changes)) == steps
    assert in_force.differs(FILES, [UNIT], seen(**changes))


def test_a_unit_that_nothing_restarts():
    """keepalived: a stop deletes its services under running streams."""
    unit = {"name": "keepalived", "reload_on": [CONF]}
    there = seen(read={}, drop_in=text.digest_of(in_force.drop_in("keepalived", [], [CONF])))
    assert in_force.plan_units([unit], there) == [RELOAD]


def test_units_that_are_stopped():
    stopped = {"name": "keepalived", "state": "stopped"}
    assert in_force.plan_units([stopped], seen()) == [("stop", "keepalived"), ("disable", "keepalived")]
    assert in_force.plan_units([{**stopped, "enabled": True}], seen()) == [("stop", "keepalived")]
    assert in_force.plan_units([stopped], seen(active=False, enabled=False)) == []


def test_a_file_that_is_about_to_be_written_counts():
    declared = {"files": [{"path": CONF, "content": "newer"}]}
    assert in_force.plan_units([UNIT], seen(), {**seen()["files"], **in_force.digests(declared)}) == [RELOAD]


def test_the_drop_in_copies_before_a_start_and_at_a_reload():
    lines = in_force.drop_in("keepalived", [PROGRAM], [CONF]).splitlines()
    (start,) = [line for line in lines if line.startswith("ExecStartPre=+")]
    (reload,) = [line for line in lines if line.startswith("ExecReload=+")]
    assert PROGRAM in start and CONF in start and "rm -rf /run/lvsdr/in_force/keepalived;" in start
    assert CONF in reload and PROGRAM not in reload and "rm" not in reload
    assert "ExecReload" not in in_force.drop_in("x", [PROGRAM], [])
    assert in_force.copy_of("keepalived", CONF) == "%s/keepalived%s" % (places.IN_FORCE, CONF)


@pytest.mark.parametrize(
    ("status", "output", "ignore", "found"),
    [
        (0, "a warning", [], None), (5, "a warning", [], ["a warning"]), (5, "a warning\n\n", ["^a w"], None),
        (5, "a warning\nan error", ["^a w"], ["an error"]), (5, "", ["^a w"], []), (1, "", [], []), (-15, "", ["x"], None),
        (-11, "", ["x"], []),
    ],
)  # fmt: skip
def test_what_a_judge_says(status, output, ignore, found):
    assert in_force.complaints(status, output, ignore) == found


def test_rules_say_which_they_are():
    services = resolve([service()], inventory())
    one, other = (nftables.render(services, "director1", inventory(with_facts=True), interface) for interface in ("eth0", "eth1"))
    digests = [in_force.rules_digest(made) for made in (one, other)]
    assert len(set(digests)) == 2 and all(len(digest) == 16 for digest in digests)
    assert in_force.rules_digest("table ip lvsdr {\n}\n") == ""
    assert 'iifname != "eth1" accept\n' in other
    assert "ip daddr { 192.0.2.11 } meta l4proto udp accept\n        meta nfproto ipv4 fib saddr type local counter drop\n" in one


@pytest.mark.parametrize(
    ("value", "kernels"),
    [
        (False, "0"),
        (True, "1"),
        ("no", "0"),
        ("Yes", "1"),
        ("off", "0"),
        ("true", "1"),
        (0, "0"),
        (7, "7"),
        ("-1", "-1"),
        ("4096  87380", "4096 87380"),
    ],
)
def test_a_setting_as_the_kernel_takes_it(value, kernels):
    assert text.setting_text(value) == kernels == text.setting_text(value)


@pytest.mark.parametrize("value", [None, [], {}, 1.5, "", " ", "a\nb", "\x1b"])
def test_a_setting_that_is_none(value):
    with pytest.raises(LvsError):
        text.setting_text(value)


def test_a_judge_that_does_not_end(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "SECONDS", 0.3)
    path = tmp_path / "new.conf"
    wanted = {"files": [{"path": str(path), "content": "x", "check": {"command": ["sleep", "300"]}}]}
    with pytest.raises(LvsError, match="`sleep 300` did not end within 0.3 s") as caught:
        in_force.apply_files(wanted)
    assert caught.value.line.id == "command-timed-out"
    assert list(tmp_path.iterdir()) == []
