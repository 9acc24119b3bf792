"""The collection, installed into an environment of its own, deploys the lab from nothing, with a service of each mode.

A rollout verifies itself: it plays each stream through its VIP. A second run changes nothing.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import PROJECT, VIP, ssh, why

RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.M)


def rollout(*more):
    """{host: (changed, unreachable, failed)} of lvsdr.streaming.site on the lab."""
    inventories = ["-i", str(PROJECT / "inventories" / "lab"), "-i", str(Path(__file__).parents[1] / "inventory")]
    command = ["tools/collection", "run", *inventories, "-e", "ansible_pipelining=true", *more]
    environment = dict(os.environ, ANSIBLE_NOCOLOR="1")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=PROJECT, env=environment)
    assert done.returncode == 0, why(done)
    print(why(done))
    return {name: tuple(map(int, numbers)) for name, _ok, *numbers in RECAP.findall(done.stdout)}, done.stdout


@pytest.fixture(scope="module", autouse=True)
def tarball():
    subprocess.run(["tools/collection", "build"], check=True, stdin=subprocess.DEVNULL, cwd=PROJECT)


def test_it_deploys_the_lab():
    hosts, _out = rollout("lvsdr.streaming.site")
    for host in ("director1", "director2", "streaming1", "streaming2", "streaming3", "origin"):
        changed, unreachable, failed = hosts[host]
        assert changed and not unreachable and not failed
    assert VIP in ssh("director1", "ipvsadm -Ln")
    runs = ssh("director1", "systemctl show -p ExecStart --value lvsdr-streamcheck")
    assert "ansible_collections.lvsdr.streaming.plugins.module_utils.lvsdr.agent.runner" in runs


def test_a_second_run_changes_nothing():
    hosts, out = rollout("lvsdr.streaming.site")
    assert {changed for changed, _unreachable, _failed in hosts.values()} == {0}
    assert "Nothing: all hosts are as declared" in out


def test_another_playbook():
    _hosts, out = rollout("lvsdr.streaming.status")
    assert "streaming1" in out and "weight" in out
