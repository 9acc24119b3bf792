"""Kernel settings, with a directory in the place of /proc/sys."""

import pytest
from ansible.module_utils.lvsdr.errors import LvsError, Problems
from ansible.module_utils.lvsdr.system import sysctl
from said import path_and_id


@pytest.fixture(autouse=True)
def proc(monkeypatch, tmp_path):
    """/proc/sys/net/ipv4/vs with a few settings."""
    directory = tmp_path / "net" / "ipv4" / "vs"
    directory.mkdir(parents=True)
    for name, value in {"conntrack": "0\n", "sync_threshold": "3\t50\n", "sync_ports": "1\n"}.items():
        (directory / name).write_text(value)
    monkeypatch.setattr(sysctl, "ROOT", str(tmp_path))
    return directory


def test_names_have_slashes_and_dots_stay_dots():
    assert sysctl.path_of("net/ipv4/conf/eth0.100/arp_ignore").endswith("/net/ipv4/conf/eth0.100/arp_ignore")


def test_read():
    assert sysctl.read("net/ipv4/vs/conntrack") == "0"
    assert sysctl.read("net/ipv4/vs/no_such") is None
    with pytest.raises(LvsError, match="net/ipv4/vs") as caught:
        sysctl.read("net/ipv4/vs")
    assert caught.value.line.id == "sysctl-unreadable"


@pytest.mark.parametrize("value", [1, "1"])
def test_write(proc, value):
    sysctl.write("net/ipv4/vs/conntrack", value)
    assert (proc / "conntrack").read_text() == "1"


def test_what_the_kernel_reads_back_with_tabs_was_kept(proc, monkeypatch):
    monkeypatch.setattr(sysctl, "read", lambda _name: "3\t60")
    sysctl.write("net/ipv4/vs/sync_threshold", "3 60")
    assert (proc / "sync_threshold").read_text() == "3 60"
    with pytest.raises(LvsError, match="3 61 but reads 3\t60") as caught:
        sysctl.write("net/ipv4/vs/sync_threshold", "3 61")
    assert caught.value.line.id == "sysctl-not-kept"


@pytest.mark.parametrize("kept", ["1", "", None, "77"])
def test_a_value_that_the_kernel_drops_in_silence_is_an_error(monkeypatch, kept):
    monkeypatch.setattr(sysctl, "read", lambda _name: kept)
    with pytest.raises(LvsError, match="net/ipv4/vs/sync_ports was set to 7 but reads %s;" % kept) as caught:
        sysctl.write("net/ipv4/vs/sync_ports", 7)
    assert caught.value.line.id == "sysctl-not-kept"


def test_what_cannot_be_written_is_said():
    with pytest.raises(LvsError, match="net/ipv6/none/x") as caught:
        sysctl.write("net/ipv6/none/x", 1)
    assert caught.value.line.id == "sysctl-unknown"
    with pytest.raises(LvsError, match="net/ipv4/vs to 1 ") as caught:
        sysctl.write("net/ipv4/vs", 1)
    assert caught.value.line.id == "sysctl-not-set"


def differing(wanted):
    """(what differs, the problems) of settings under net/ipv4/vs."""
    problems = Problems()
    return sysctl.differing("net/ipv4/vs/", wanted, "sysctls", problems), problems.found


def test_differing():
    wanted = {"sync_threshold": "3 50", "sync_ports": 2, "conntrack": True}
    assert differing(wanted) == ({"conntrack": ("0", "1"), "sync_ports": ("1", "2")}, [])
    assert differing({"conntrack": False, "sync_ports": "1", "sync_threshold": " 3  50 "}) == ({}, [])
    assert differing({}) == differing(None) == ({}, [])
    # Twice the same number is another setting than the number.
    assert differing({"sync_threshold": "3"}) == ({"sync_threshold": ("3\t50", "3")}, [])


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_written(proc):
    found, problems = differing({"b": 1, "conntrack": 1, "../ipv4/x": 1, "sync_ports": [1], "sync_threshold": " "})
    assert found == {"conntrack": ("0", "1")}
    assert [path_and_id(line) for line in problems] == [
        ("sysctls.../ipv4/x", "sysctl-unknown"),
        ("sysctls.b", "sysctl-unknown"),
        ("sysctls.sync_ports", "not-a-setting"),
        ("sysctls.sync_threshold", "not-a-setting"),
    ]
    assert "net/ipv4/vs/../ipv4/x" in problems[0] and "[1]" in problems[2]
    assert (proc / "conntrack").read_text() == "0\n"


def test_exists():
    assert sysctl.exists("net/ipv4/vs/") and not sysctl.exists("net/ipv4/none/")


@pytest.mark.parametrize(
    ("name", "now", "wanted", "same"),
    [
        ("drop_entry", "2", 1, True), ("secure_tcp", "1", "2", True), ("drop_packet", "1", 1, True), ("drop_entry", "0", 1, False),
        ("drop_packet", "3", 2, False), ("secure_tcp", "2", 0, False), ("conntrack", "1", 2, False),
    ],
)  # fmt: skip
def test_a_mode_in_which_the_kernel_moves_by_itself(proc, monkeypatch, name, now, wanted, same):
    """1 and 2 are one automatic mode: under pressure a declared 1 reads 2, and is as declared."""
    (proc / name).write_text(now + "\n")
    found, problems = differing({name: wanted})
    assert (found, problems) == ({} if same else {name: (now, str(wanted))}, [])
    monkeypatch.setattr(sysctl, "read", lambda _name: now)
    if same:
        sysctl.write("net/ipv4/vs/" + name, wanted)
    else:
        with pytest.raises(LvsError, match="%s but reads %s" % (wanted, now)) as caught:
            sysctl.write("net/ipv4/vs/" + name, wanted)
        assert caught.value.line.id == "sysctl-not-kept"
