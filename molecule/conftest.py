"""Hosts of the lab for the verifier, reached as its own ssh_config says."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import testinfra

PROJECT = Path(__file__).parents[1]
SSH_CONFIG = "/var/lib/lvsdr-lab/ssh_config"
DIRECTORS = ("director1", "director2")
REAL_SERVERS = ("streaming1", "streaming2", "streaming3")
VIP, VIP6 = "198.51.100.100", "2001:db8:100::100"


@pytest.fixture(scope="session")
def lab():
    """Looks up a host of the lab by name."""
    found = {}

    def host(name):
        if name not in found:
            found[name] = testinfra.get_host("ssh://%s?ssh_config=%s&controlpersist=600&timeout=60" % (name, SSH_CONFIG))
        return found[name]

    return host


@pytest.fixture(scope="session")
def ansible():
    """Runs one module on a host and returns its result."""

    def run(host, module, **arguments):
        done = subprocess.run(
            ["ansible", "-i", "inventories/lab", host, "-m", module, "-a", json.dumps(arguments)],
            capture_output=True, text=True, env=ansible_environment(), cwd=PROJECT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert "=> {" in done.stdout, done.stdout + done.stderr
        result = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("=> {") + 3 :])[0]
        assert done.returncode == 0, result.get("msg", done.stdout)
        return result

    return run


def ansible_environment():
    """That of a shell in which an operator stands in the project, for output that is read by a test."""
    environment = dict(os.environ, ANSIBLE_CONFIG=str(PROJECT / "ansible.cfg"), ANSIBLE_CALLBACK_RESULT_FORMAT="json", ANSIBLE_NOCOLOR="1")
    environment.pop("ANSIBLE_FORCE_COLOR", None)
    return environment


def playbook(name, *more, inventory="inventories/lab", strategy=None):
    """Runs a playbook on the lab, as an operator would. strategy: of Mitogen."""
    environment = dict(ansible_environment(), ANSIBLE_CALLBACK_RESULT_FORMAT="yaml")
    if strategy:
        import ansible_mitogen

        # Mitogen starts a Python before it says that it is connected, and an emulated director takes its time.
        environment.update(
            ANSIBLE_TIMEOUT="120", ANSIBLE_STRATEGY=strategy, ANSIBLE_STRATEGY_PLUGINS=ansible_mitogen.__path__[0] + "/plugins/strategy"
        )
    return subprocess.run(
        ["ansible-playbook", "-i", inventory, *more, name],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, cwd=PROJECT,
    )  # fmt: skip


def why(done):
    """What a failed playbook printed of the tasks that failed, and its end."""
    lines = done.stdout.splitlines()
    failed = [index for index, line in enumerate(lines) if line.startswith(("fatal: ", "failed: "))]
    shown = ["\n".join(lines[max(index - 2, 0) : index + 15]) for index in failed[:5]]
    return "\n…\n".join([*shown, "\n".join(lines[-12:]), done.stderr[-500:]])


def ssh(host, command, check=True, address=None):
    """Output of a command. An ssh whose host goes away leaves a shared stdin non-blocking, which Ansible refuses: each has its own."""
    options = ["-o", "ServerAliveInterval=5", "-o", "ConnectTimeout=10"] + (["-o", "HostName=" + address] if address else [])
    done = subprocess.run(
        ["ssh", "-F", SSH_CONFIG, *options, host, command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 or not check, (command, done.stdout, done.stderr)
    return done.stdout


def reboot(host, seconds=180):
    """Reboots a host in order and waits until it answers again."""
    # A container shares the machine's boot id: its first process tells one boot from the next.
    boot = "cut -d' ' -f22 /proc/1/stat"
    before = ssh(host, boot)
    # A moment later: the connection it is asked for on would hang, because its end never hears of it.
    ssh(host, "systemd-run --quiet sh -c 'sleep 0.5; systemctl reboot'")
    deadline = time.monotonic() + seconds
    now = before
    while now in ("", before):
        assert time.monotonic() < deadline, "%s did not come back; pid 1 began at %s, and now %r" % (host, before, now)
        time.sleep(1)
        now = ssh(host, boot, check=False)


@pytest.fixture(scope="session")
def active(lab):
    """Name of the director that holds the VIP."""
    holders = [name for name in DIRECTORS if VIP in lab(name).check_output("ip -br -4 address show eth0")]
    assert len(holders) == 1
    return holders[0]
