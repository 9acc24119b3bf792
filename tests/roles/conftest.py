"""The tier of roles and playbooks: real Ansible on hosts of namespaces. It needs root, and leaves no namespace behind."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "netns"))
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from links import make_switch, remove_all


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

    make_switch()
    made = Fleet(tmp_path_factory.mktemp("fleet"))
    yield made
    made.end()


@pytest.fixture
def fleet(machines):
    """New machines, on which nothing has been rolled out."""
    machines.wipe()
    machines.inventory()
    return machines


@pytest.fixture(scope="session")
def rolled_out(machines):
    """What a rollout of the usual inventory leaves on each machine, from one that nobody disturbed."""
    from fleet import in_force, state

    machines.wipe()
    machines.inventory()
    done = machines.play()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert not [problem for machine in machines.machines.values() for problem in in_force(machine)]
    return {name: (machine.save(), state(machine)) for name, machine in machines.machines.items()}


@pytest.fixture
def reference(rolled_out):
    """The state of each machine after a rollout."""
    return {name: found for name, (_saved, found) in rolled_out.items()}


@pytest.fixture
def running(rolled_out, fleet):
    """Machines that serve, with director1 active."""
    for name, (saved, _state) in rolled_out.items():
        fleet.machines[name].restore(saved)
        fleet.machines[name].forget_calls()
    fleet.activate()
    return fleet
