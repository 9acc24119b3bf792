"""The data-path tier: real IPVS, real packets, no Ansible. It belongs into a guest (tests/kernel/run datapath)."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "kernel"))
import house as house
import net

# What tells where packets have gone, by kind of host.
STATE = {
    "director1": ("ip -brief address", "ip neigh", "ipvsadm -Ln --stats", "ipvsadm -Lcn", "nft list table inet lvsdr", "nstat -sz",
                  "head -n 20 /proc/net/nf_conntrack"),
    "router": ("ip neigh", "nstat -s"),
    "server1": ("ip -brief address", "ip rule", "ip route show table all", "ip neigh", "nstat -s"),
    "viewer": ("ip neigh", "nstat -s"),
}  # fmt: skip
LINES = 40


@pytest.fixture(scope="session", autouse=True)
def wires():
    net.build()
    net.Servers()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that fails shows the state of the hosts at that moment: it may not fail again."""
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        for host, commands in STATE.items():
            for command in commands:
                done = subprocess.run(["ip", "netns", "exec", host, *command.split()], capture_output=True, text=True)
                report.sections.append(("%s: %s" % (host, command), "\n".join((done.stdout + done.stderr).splitlines()[:LINES])))
