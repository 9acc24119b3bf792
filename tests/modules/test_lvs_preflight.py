"""main() of lvs_preflight, with programs of our own in the place of systemctl and nft, and once with those of this machine."""

import hashlib
import json
import os
import subprocess
import sys
import time
from importlib.machinery import PathFinder
from types import SimpleNamespace

import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.checks import status
from ansible.module_utils.lvsdr.system import commands, files, links, rtnetlink
from ansible.module_utils.testing import patch_module_args
from ansible.modules import lvs_preflight
from said import id_of, path_and_id


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program on the PATH that prints a text."""
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path, os.environ["PATH"]))

    def program(name, prints="", status=0):
        (tmp_path / (name + ".out")).write_text(prints)
        (tmp_path / name).write_text("#!/bin/sh\ncat '%s'\nexit %d\n" % (tmp_path / (name + ".out"), status))
        (tmp_path / name).chmod(0o755)
        return str(tmp_path / name)

    return program


@pytest.fixture
def run(capsys):
    """Runs the module and returns its result."""

    def run(**options):
        with patch_module_args(options), pytest.raises(SystemExit) as ended:
            lvs_preflight.main()
        result = json.loads(capsys.readouterr().out)
        assert ended.value.code == (1 if result.get("failed") else 0)
        assert "exception" not in result and "Traceback" not in json.dumps(result)
        return result

    return run


@pytest.fixture
def ready(monkeypatch):
    """A host where nothing stands in the way; takes what is to be wrong."""

    def ready(user=0, systemd=True):
        isdir = os.path.isdir
        monkeypatch.setattr(lvs_preflight.os, "geteuid", lambda: user)
        monkeypatch.setattr(
            lvs_preflight.os.path, "isdir", lambda path: {"/run/systemd/system": systemd, "/sys/module/ip_vs": True}.get(path, isdir(path))
        )

    ready()
    return ready


def test_without_pyroute2(run, monkeypatch, tmp_path):
    """A plain result that says what to install, and nothing half-read."""
    nowhere = SimpleNamespace(find_spec=lambda name: PathFinder.find_spec(name, [str(tmp_path)]))
    monkeypatch.setattr(rtnetlink, "PathFinder", nowhere)
    result = run(director=True, commands=["keepalived"])
    assert not result.get("failed") and set(result) - {"msg", "invocation", "warnings"} == {"changed", "lacks"}
    assert result["changed"] is False
    assert id_of(result["lacks"]) == "pyroute2-missing" and result["lacks"].startswith(sys.executable + " has no pyroute2")


def test_check_mode_reads_too(ready, run):
    assert run(_ansible_check_mode=True)["interfaces"]


def test_programs_and_files(ready, run, program, tmp_path, monkeypatch):
    path = program("keepalived")
    (tmp_path / "there.conf").write_bytes(b"x\xff\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b").write_text("x")
    files = [str(tmp_path / "there.conf"), str(tmp_path / "none.conf"), str(tmp_path)]
    monkeypatch.setattr(places, "FILES", files)
    monkeypatch.setattr(places, "FOLDERS", [str(tmp_path / "folder"), str(tmp_path / "none")])
    result = run(commands=["keepalived", "no-such-program"])
    assert result["commands"] == {"keepalived": path, "no-such-program": None}
    assert result["seen"]["files"] == {files[0]: hashlib.sha256(b"x\xff\n").hexdigest(), files[1]: None, files[2]: None}
    folder = {"b": hashlib.sha256(b"x").hexdigest()}
    assert result["seen"]["folders"] == {str(tmp_path / "folder"): folder, str(tmp_path / "none"): None}


@pytest.mark.parametrize(("state", "copy", "running"), [
    ("active", None, "on disk"), ("active", "has been read", "has been read"), ("inactive", "has been read", None),
])  # fmt: skip
def test_what_keepalived_runs_with(ready, run, program, tmp_path, monkeypatch, state, copy, running):
    """The copy that its unit made; one that an older lvsdr has started left none."""
    conf = tmp_path / "keepalived.conf"
    conf.write_text("on disk")
    monkeypatch.setattr(places, "KEEPALIVED_CONF", str(conf))
    monkeypatch.setattr(places, "IN_FORCE", str(tmp_path / "in_force"))
    if copy:
        place = tmp_path / "in_force" / "keepalived" / str(conf).lstrip("/")
        place.parent.mkdir(parents=True)
        place.write_text(copy)
    program("systemctl", "\n\n".join(["LoadState=loaded\nActiveState=%s\nUnitFileState=enabled" % state] * len(places.UNITS)))
    result = run(director=True)
    assert result["keepalived"] == {"file": "on disk", "running": running}
    assert result["ipvs"] == [] or os.path.exists("/proc/net/ip_vs"), "a question would load the module"


def test_accounts_of_checks(ready, run):
    (line,) = run(accounts=["root", "nosuchuser", "nosuchuser"])["problems"]
    assert "a check runs its program as nosuchuser, and there is no such account" in line and id_of(line) == "account-missing"


def test_files_that_the_inventory_names(ready, run, tmp_path):
    secret, public = tmp_path / "login", tmp_path / "ca.pem"
    for path in (secret, public):
        path.write_text("x")
    secret.chmod(0o640)
    public.chmod(0o644)
    files = [{"path": str(secret), "readers": "root"}, {"path": str(public), "readers": "all"}, {"path": str(secret)}]
    assert run(files=files)["problems"] == []
    secret.chmod(0o644)
    public.chmod(0o600)
    problems = run(files=[*files, {"path": "/nonexistent"}, {"path": str(tmp_path)}])["problems"]
    assert [(line.split(" ")[0].rstrip(","), id_of(line)) for line in problems] == [
        (str(secret), "file-world-readable"),
        (str(public), "file-not-for-streamcheck"),
        ("/nonexistent", "file-unreadable"),
        (str(tmp_path), "not-a-file"),
    ]
    assert "`chmod o= %s`" % secret in problems[0] and "`chmod a+r %s`" % public in problems[1]
    assert "(No such file or directory)" in problems[2]


LISTENING = """
import socket, sys, time
address, kind, only = sys.argv[1:]
six = ":" in address
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
if six: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only == "only")
s.bind((address, 0))
if kind == "tcp": s.listen()
print(s.getsockname()[1], flush=True); time.sleep(600)
"""


@pytest.mark.parametrize(
    ("there", "kind", "only", "wanted", "taken"),
    [
        ("127.0.0.1", "tcp", "", "127.0.0.1", True),
        ("127.0.0.1", "tcp", "", "127.0.0.2", False),
        ("127.0.0.1", "tcp", "", "0.0.0.0", True),
        # A VIP that this host does not hold yet.
        ("0.0.0.0", "tcp", "", "198.51.100.100", True),
        ("0.0.0.0", "tcp", "", "2001:db8::100", False),
        ("::", "tcp", "", "198.51.100.100", True),
        ("::", "tcp", "only", "198.51.100.100", False),
        ("::", "tcp", "only", "2001:db8::100", True),
        ("127.0.0.1", "udp", "", "127.0.0.1", True),
    ],
)
def test_ports_that_another_program_has(ready, run, there, kind, only, wanted, taken):
    if ":" in there + wanted and not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("this kernel has no IPv6")
    process = subprocess.Popen([sys.executable, "-c", LISTENING, there, kind, only], stdout=subprocess.PIPE, text=True)
    try:
        item = {"what": "HAProxy", "address": wanted, "port": int(process.stdout.readline()), "protocol": kind}
        problems = run(ports=[{**item, "programs": ["haproxy"]}])["problems"]
        assert [id_of(line) for line in problems] == ["port-taken"] * taken
        assert all("HAProxy needs %s " % kind in line and "(process %d)" % process.pid in line for line in problems)
        # The one that may have it, known by its command line.
        assert run(ports=[{**item, "programs": ["haproxy", sys.executable]}])["problems"] == []
        exact = run(ports=[{**item, "programs": [sys.executable], "exact": True}])["problems"]
        assert [id_of(line) for line in exact] == ["port-stays"] * (taken and there != wanted and (":" in there) == (":" in wanted))
        other = {"tcp": "udp", "udp": "tcp"}[kind]
        assert run(ports=[{**item, "protocol": other, "programs": ["haproxy"]}])["problems"] == []
    finally:
        process.kill()
        process.communicate()


def test_scripts_of_checks(ready, run, tmp_path):
    """A good one is root's, all the way up; what is wrong is named with its path."""
    assert run(scripts=["/bin/sh", "/bin/sh"])["problems"] == []
    script = tmp_path / "check"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o666)
    problems = run(scripts=[str(script)])["problems"]
    (executable,) = [line for line in problems if id_of(line) == "script-not-executable"]
    assert "`chmod 755 %s`" % script in executable
    assert [line for line in problems if id_of(line) == "script-unsafe" and "`chmod go-w %s`" % script in line]
    # A good file in a folder where another user may replace it.
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    inside = folder / "check"
    inside.write_text("#!/bin/sh\n")
    inside.chmod(0o755)

    def unsafe():
        words = "check script %s: %s is writable by others than root;" % (inside, folder)
        return [id_of(line) for line in run(scripts=[str(inside)])["problems"] if line.startswith(words)]

    assert unsafe() == []
    folder.chmod(0o777)
    assert unsafe() == ["script-unsafe"]
    (line,) = run(scripts=[str(tmp_path / "none")])["problems"]
    assert str(tmp_path / "none") in line and "(No such file or directory)" in line and id_of(line) == "script-missing"
    (line, *_others) = run(scripts=[str(tmp_path)])["problems"]
    assert id_of(line) == "script-not-executable", "a folder is not a script"


def test_programs_outside_of_a_users_path(ready, run, monkeypatch):
    path = commands.find_command("modprobe") or commands.find_command("sysctl")
    if not path:
        pytest.skip("this machine has neither modprobe nor sysctl")
    monkeypatch.setattr(commands.shutil, "which", lambda name, path=None: "/usr/sbin/" + name if path and "/usr/sbin" in path else None)
    assert run(commands=["modprobe"])["commands"] == {"modprobe": "/usr/sbin/modprobe"}


def test_units(ready, run, program):
    blocks = [
        "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no",
        "LoadState=loaded\nActiveState=reloading\nUnitFileState=disabled\nNeedDaemonReload=yes",
        "LoadState=loaded\nActiveState=activating\nUnitFileState=enabled\nNeedDaemonReload=no",
        *["LoadState=not-found\nActiveState=inactive\nUnitFileState=\nNeedDaemonReload=no"] * (len(places.UNITS) - 3),
    ]
    program("systemctl", "\n\n".join(blocks) + "\n", status=0)
    found = run()["seen"]["units"]
    assert list(found) == list(places.UNITS)
    assert [[unit[name] for name in ("loaded", "active", "enabled", "stale")] for unit in found.values()] == [
        [True, True, True, False], [True, True, False, True], [True, False, True, False],
        *[[False, False, False, False]] * (len(places.UNITS) - 3),
    ]  # fmt: skip
    # systemctl that fails, as where systemd does not run, prints nothing for it.
    program("systemctl", status=1)
    assert not any(unit["loaded"] or unit["active"] for unit in run()["seen"]["units"].values())


@pytest.mark.parametrize(
    ("trouble", "id"),
    [({"user": 1000}, "root-required"), ({"systemd": False}, "systemd-missing")],
)
def test_what_prevents_a_rollout(ready, run, trouble, id):
    ready(**trouble)
    assert [id_of(line) for line in run()["problems"]] == [id]


def test_all_problems_at_once(ready, run):
    ready(user=1000, systemd=False)
    result = run(kernel_modules=["ip_vs", "ip_vs_none", "../x"])
    assert [id_of(line) for line in result["problems"]] == ["root-required", "systemd-missing", "kernel-module-missing"]
    assert "(%s)" % os.uname().release in result["problems"][2] and " ip_vs_none, ../x;" in result["problems"][2]
    assert not result.get("failed"), "the controller names the errors of all hosts at once"


@pytest.mark.parametrize("name", ["systemctl", "nft", "modprobe"])
def test_a_program_that_does_not_end(ready, run, program, monkeypatch, name):
    """Neither it nor what it has started goes on, and what it would have told is not taken for nothing."""
    path = program(name)
    with open(path, "w") as f:
        f.write("#!/bin/sh\necho $$ > %s.pid\nsleep 300\n" % path)
    monkeypatch.setattr(commands, "SECONDS", 0.5)
    monkeypatch.setattr(commands, "SLOW", {"systemctl": 0.5})
    result = run(kernel_modules=["ip_vs_none"])
    assert result["failed"] and " within 0.5 s " in result["msg"] and id_of(result["msg"]) == "command-timed-out"
    assert result["msg"].startswith("`%s " % (path if name in ("nft", "modprobe") else name)) or "`%s " % name in result["msg"]
    with open(path + ".pid") as f:
        group = int(f.read())
    deadline = time.monotonic() + 5
    while any(fields_of(pid)[2:3] == [str(group)] for pid in os.listdir("/proc") if pid.isdigit()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def fields_of(pid):
    """State, parent, process group, … of a process that has not ended."""
    text = files.read_text("/proc/%s/stat" % pid) or ""
    fields = text.rpartition(")")[2].split()
    return [] if fields[:1] == ["Z"] else fields


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"commands": {"a": 1}}, "argument 'commands' is of type dict"),
        ({"director": {}}, "argument 'director' is of type dict"),
        ({"kernel_modules": {"a": 1}}, "argument 'kernel_modules' is of type dict"),
        ({"vip": []}, "Unsupported parameters"),
    ],
)
def test_wrong_arguments(ready, run, options, words):
    result = run(**options)
    assert result["failed"] and words in result["msg"]


def test_strange_values(ready, run):
    """They are not there, and that is all."""
    result = run(commands=["../x", "a b"], kernel_modules=["a b"])
    assert set(result["commands"].values()) == {None}


@pytest.mark.parametrize("option", ["commands", "kernel_modules"])
@pytest.mark.parametrize("name", ["", "-x", "a\0b", "a\nb"])
def test_names_that_are_none(ready, run, option, name):
    """Neither an option of a program that is called with them, nor a traceback."""
    result = run(**{option: ["fine", name]})
    assert [path_and_id(line) for line in result["problems"]] == [("%s[1]" % option, "not-a-name")]
    assert repr(name) in result["problems"][0]


def test_the_former_name_of_an_option(ready, run):
    """AnsibleModule itself would only say that it does not know it."""
    listener = {"name": "srt", "protocol": "udp", "port": 9000, "vip": "192.0.2.100", "own": "192.0.2.21"}
    result = run(vips=[], listeners=[{**listener, "type": "srt"}, {**listener, "kind": "srt"}])
    assert [path_and_id(line) for line in result["problems"]] == [("listeners[1].kind", "renamed-option")]
    assert result["failed"] and "renamed to type" in result["problems"][0]


def test_this_machine(run):
    result = run(commands=["sh"])
    assert result["commands"]["sh"] and set(result["seen"]) == {"files", "folders", "rules", "sysctls", "units"}
    (lo,) = [link for link in result["interfaces"] if link["name"] == "lo"]
    assert lo["type"] == "loopback"
    for link in result["interfaces"]:
        assert set(link) - {"peers", "local_routes", "unasked", "mtu"} == {"name", "mac", "type", "arp", "up", "addresses", "scopes"}
        assert all("/" in address for address in link["addresses"])


@pytest.mark.parametrize(
    ("files", "cloud"),
    [
        ({"sys_vendor": "Amazon EC2\n", "product_name": "m7i.large\n"}, "Amazon EC2"),
        ({"sys_vendor": "Microsoft Corporation\n", "chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77\n"}, "Microsoft Azure"),
        ({"sys_vendor": "Microsoft Corporation\n", "product_name": "Virtual Machine\n"}, None),  # Hyper-V of one's own
        ({"sys_vendor": "OpenStack Foundation\n", "product_name": "OpenStack Nova\n"}, "OpenStack"),
        ({"sys_vendor": "QEMU\n"}, None),
        ({}, None),
    ],
)
def test_the_cloud_a_host_is_in(tmp_path, monkeypatch, files, cloud):
    monkeypatch.setattr(commands.os.path, "exists", lambda path: False)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert links.cloud(str(tmp_path)) == cloud
    monkeypatch.setattr(commands.os.path, "exists", lambda path: path == "/run/systemd/container")
    assert links.cloud(str(tmp_path)) is None, "a container's network is its host's affair"


def test_the_status_of_the_stream_checker(tmp_path, monkeypatch):
    path = tmp_path / "status.json"
    assert status.stream_checks(str(path)) is None
    path.write_text('{"at": 1000.0, "checks": [{"server": "server1"}]}')
    monkeypatch.setattr(status.time, "time", lambda: 1029.0)
    assert status.stream_checks(str(path)) == [{"server": "server1"}]
    monkeypatch.setattr(status.time, "time", lambda: 1031.0)
    assert status.stream_checks(str(path)) is None, "it hangs"
    path.write_text("{")
    assert status.stream_checks(str(path)) is None
