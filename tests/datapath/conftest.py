"""The data-path tier: real IPVS, real packets, no Ansible. It belongs into a guest (tests/kernel/run datapath)."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "kernel"))
import house as house
import net

# (host, command) that tell where packets have gone; what tells most is last, since a log may be cut.
STATE = [
    ("director1", "dmesg"),
    ("director1", "nstat -asz"),
    ("director1", "cat /proc/net/stat/nf_conntrack"),
    ("director1", "sysctl net.ipv4.vs net.ipv4.ip_forward"),
    ("director1", "ip -brief address"),
    ("director1", "ip neigh"),
    ("server1", "ip route show table all"),
    ("server1", "ip neigh"),
    ("server1", "nstat -as"),
    ("viewer", "nstat -as"),
    ("director1", "ipvsadm -Lcn"),
    ("router", "ip neigh show to 198.51.100.0/24"),
    ("router", "ip neigh show to 2001:db8:100::/64"),
    ("server1", "ss -tan"),
    ("director1", "head -n 8 /proc/net/nf_conntrack"),
    ("director1", "nft list table inet lvsdr"),
    ("director1", "ipvsadm -Ln --stats"),
]
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
        for host, command in STATE:
            done = subprocess.run(["ip", "netns", "exec", host, *command.split()], capture_output=True, text=True)
            report.sections.append(("%s: %s" % (host, command), "\n".join((done.stdout + done.stderr).splitlines()[-LINES:])))
