"""vrrp_audit's question to keepalived, by signal; what it hears is shown in tests/netns."""

import json
import shutil
import subprocess

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible.modules import vrrp_audit
from said import id_of


@pytest.fixture
def process(tmp_path, monkeypatch):
    """Starts a program under a name, and writes its number into the PID file."""
    started = []
    monkeypatch.setattr(vrrp_audit, "PID_FILE", str(tmp_path / "keepalived.pid"))

    def process(name):
        program = shutil.copy(shutil.which("sleep"), tmp_path / name)
        started.append(subprocess.Popen([program, "300"]))
        (tmp_path / "keepalived.pid").write_text("%d\n" % started[-1].pid)
        return started[-1]

    yield process
    for one in started:
        one.kill()
        one.wait()


def test_keepalived_is_asked(process):
    asked = process("keepalived")
    assert vrrp_audit.running() == asked.pid


def test_nobody_else_is(process):
    """SIGUSR1 ends a program that does not expect it."""
    other = process("database")
    assert vrrp_audit.running() is None
    assert other.poll() is None


@pytest.mark.parametrize("text", ["", "0", "-1", "999999999", "keepalived", "1\n2"])
def test_a_pid_file_that_names_nobody(tmp_path, monkeypatch, text):
    (tmp_path / "keepalived.pid").write_text(text)
    monkeypatch.setattr(vrrp_audit, "PID_FILE", str(tmp_path / "keepalived.pid"))
    assert vrrp_audit.running() is None


def test_a_process_that_has_ended(process):
    ended = process("keepalived")
    ended.kill()
    ended.wait()
    assert vrrp_audit.running() is None


def test_what_does_not_run_gets_no_signal(process, monkeypatch, capsys):
    """main() as a whole, without a link."""
    process("database")
    monkeypatch.setattr(vrrp_audit, "listen", lambda names, duration: [])
    with patch_module_args({"interface": "eth0"}), pytest.raises(SystemExit):
        vrrp_audit.main()
    result = json.loads(capsys.readouterr().out)
    assert result["running"] is False and result["states"] == {}


def test_what_runs_does(process, monkeypatch, capsys):
    asked = process("keepalived")
    monkeypatch.setattr(vrrp_audit, "listen", lambda names, duration: [])
    monkeypatch.setattr(vrrp_audit, "states", lambda pid: {"lvsdr": "MASTER"} if pid == asked.pid else None)
    with patch_module_args({"interface": "eth0"}), pytest.raises(SystemExit):
        vrrp_audit.main()
    result = json.loads(capsys.readouterr().out)
    assert result["running"] is True and result["states"] == {"lvsdr": "MASTER"}


LINKS = [
    {"name": "lo", "mac": "", "type": "loopback", "addresses": ["127.0.0.1/8"]},
    {"name": "eth0", "mac": "02:00:00:00:00:01", "type": "ether", "addresses": ["198.51.100.11/24"]},
    {"name": "eth1", "mac": "02:00:00:00:00:02", "type": "ether", "addresses": ["192.0.2.11/24", "192.0.2.100/32", "2001:db8::11/64"]},
]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"interface": "eth7", "vips": ["192.0.2.100"]}, ["eth7"]),
        ({"vips": ["192.0.2.100"]}, ["eth1"]),
        ({"vips": ["2001:db8::100", "192.0.2.100", "198.51.100.100"]}, ["eth1", "eth0"]),
    ],
)
def test_the_interface_is_found_by_the_vips(process, monkeypatch, capsys, options, names):
    heard = []
    monkeypatch.setattr(vrrp_audit, "interfaces", lambda: LINKS)
    monkeypatch.setattr(vrrp_audit, "listen", lambda names, duration: heard.append((names, duration)) or [])
    with patch_module_args({**options, "duration": 1}), pytest.raises(SystemExit):
        vrrp_audit.main()
    assert json.loads(capsys.readouterr().out)["heard"] == [] and heard == [(names, 1.0)]


@pytest.mark.parametrize(
    ("options", "words", "id"),
    [
        ({}, "interface", "interface-or-vips-required"),
        ({"vips": ["203.0.113.1"]}, "203.0.113.1", "no-interface-in-subnet"),
        ({"vips": ["x"]}, "vips[0]: ", "not-an-address"),
        ({"interface": "eth0", "duration": -1}, "duration: must be between 0 and 3600 seconds", "out-of-range"),
        ({"interface": "eth0", "seconds": 1}, "seconds: was renamed to duration", "renamed-option"),
    ],
)
def test_wrong_options(monkeypatch, capsys, options, words, id):
    monkeypatch.setattr(vrrp_audit, "interfaces", lambda: LINKS)
    with patch_module_args(options), pytest.raises(SystemExit):
        vrrp_audit.main()
    result = json.loads(capsys.readouterr().out)
    assert result["failed"] and words in result["msg"] and id_of(result["msg"]) == id
