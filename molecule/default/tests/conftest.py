"""Hosts of the lab for the verifier, reached as its own ssh_config says."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import testinfra

PROJECT = Path(__file__).parents[3]
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
        environment = dict(os.environ, ANSIBLE_CONFIG=str(PROJECT / "ansible.cfg"), ANSIBLE_CALLBACK_RESULT_FORMAT="json")
        environment["ANSIBLE_NOCOLOR"] = "1"
        environment.pop("ANSIBLE_FORCE_COLOR", None)
        done = subprocess.run(
            ["ansible", "-i", "inventories/lab", host, "-m", module, "-a", json.dumps(arguments)],
            capture_output=True, text=True, env=environment, cwd=PROJECT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert "=> {" in done.stdout, done.stdout + done.stderr
        result = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("=> {") + 3 :])[0]
        assert done.returncode == 0, result.get("msg", done.stdout)
        return result

    return run


@pytest.fixture(scope="session")
def active(lab):
    """Name of the director that holds the VIP."""
    holders = [name for name in DIRECTORS if VIP in lab(name).check_output("ip -br -4 address show eth0")]
    assert len(holders) == 1
    return holders[0]
