"""Kernel settings, with a directory in the place of /proc/sys."""

import pytest
from ansible.module_utils.lvsdr import sysctl
from ansible.module_utils.lvsdr.errors import LvsError


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
    with pytest.raises(LvsError, match="net/ipv4/vs can't be read"):
        sysctl.read("net/ipv4/vs")


@pytest.mark.parametrize("value", [1, "1"])
def test_write(proc, value):
    sysctl.write("net/ipv4/vs/conntrack", value)
    assert (proc / "conntrack").read_text() == "1"


def test_what_the_kernel_reads_back_with_tabs_was_kept(monkeypatch):
    monkeypatch.setattr(sysctl, "read", lambda _name: "3\t60")
    sysctl.write("net/ipv4/vs/sync_threshold", "3 60")


@pytest.mark.parametrize("kept", ["1", "", None, "77"])
def test_a_value_that_the_kernel_drops_in_silence_is_an_error(monkeypatch, kept):
    monkeypatch.setattr(sysctl, "read", lambda _name: kept)
    with pytest.raises(LvsError, match="net/ipv4/vs/sync_ports was set to 7 and reads %s: the value is out" % kept):
        sysctl.write("net/ipv4/vs/sync_ports", 7)


def test_what_cannot_be_written_is_said():
    with pytest.raises(LvsError, match="This kernel has no setting net/ipv6/none/x"):
        sysctl.write("net/ipv6/none/x", 1)
    with pytest.raises(LvsError, match="Setting net/ipv4/vs to 1 failed"):
        sysctl.write("net/ipv4/vs", 1)


def test_differing():
    wanted = {"sync_threshold": "3 50", "sync_ports": 2, "conntrack": True}
    assert sysctl.differing("net/ipv4/vs/", wanted) == {"conntrack": ("0", "1"), "sync_ports": ("1", "2")}
    assert sysctl.differing("net/ipv4/vs/", {"conntrack": False, "sync_ports": "1", "sync_threshold": " 3  50 "}) == {}
    assert sysctl.differing("net/ipv4/vs/", {}) == {}
    # Twice the same number is another setting than the number.
    assert sysctl.differing("net/ipv4/vs/", {"sync_threshold": "3"}) == {"sync_threshold": ("3\t50", "3")}


def test_all_unknown_names_are_told_at_once_and_nothing_is_written(proc):
    with pytest.raises(LvsError, match="no setting net/ipv4/vs/a, net/ipv4/vs/b: see that"):
        sysctl.differing("net/ipv4/vs/", {"b": 1, "conntrack": 1, "a": 1})
    assert (proc / "conntrack").read_text() == "0\n"
