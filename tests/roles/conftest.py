"""The tier of roles and playbooks: real Ansible on hosts of namespaces. It needs root, and leaves no namespace behind."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "netns"))
sys.path.insert(0, str(Path(__file__).parent))

from links import PREFIX, remove_all, run


@pytest.fixture(scope="session", autouse=True)
def nothing_left():
    if os.geteuid() != 0:
        pytest.exit("namespaces need root: run `make roles` as root", returncode=1)
    remove_all()
    yield
    remove_all()


@pytest.fixture(scope="session")
def machines(tmp_path_factory):
    """One fleet for all tests; `fleet` gives each test new machines of it."""
    from fleet import Fleet

    run("ip", "netns", "add", PREFIX + "switch")
    run("ip", "-n", PREFIX + "switch", "link", "add", "switch", "type", "bridge", "mcast_snooping", "0")
    run("ip", "-n", PREFIX + "switch", "link", "set", "switch", "up")
    made = Fleet(tmp_path_factory.mktemp("fleet"))
    yield made
    made.end()


@pytest.fixture
def fleet(machines):
    machines.wipe()
    machines.inventory()
    return machines
