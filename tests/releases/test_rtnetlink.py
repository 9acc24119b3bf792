"""Our rtnetlink with the pyroute2 of Debian 12 and 13, beside this machine's: the same is read, changed and refused in one namespace."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
STEPS = TESTS / "netns" / "rtnetlink_steps.py"
VERSIONS = {"bookworm": "0.7.2", "trixie": "0.7.7"}
VIP, VIP6 = "192.0.2.100", "2001:db8::100"
# Links and routes of which a version may make something else; as in tests/netns, which compares them with what `ip` says.
MESSY = """
link add br0 type bridge
link set br0 up
link add link br0 m0 type macvlan
tuntap add t0 mode tun
address add 192.0.2.5/32 dev t0
address add 192.0.2.101 peer 192.0.2.9/32 dev br0
address add 192.0.2.103/32 dev br0 scope 77
address add 2001:db8::7 peer 2001:db8::9/128 dev br0 nodad
route add local 192.0.2.96/27 dev br0 table main proto static metric 7
route add local 192.0.2.112/32 dev lo table 1000 proto 77
-6 route add local 2001:db8:2::/64 dev lo
rule add priority 100 table 1000
rule add priority 102 fwmark 1 table 101
rule add priority 103 not from 192.0.2.7 table 102
rule add priority 104 table 103 suppress_prefixlength 0
"""


@pytest.fixture(scope="module")
def ours(release):
    """Calls rtnetlink_steps.py with the release's Python and pyroute2, or with this machine's in the same namespace."""
    packages = release.root / "tmp" / "packages"
    inside = ["nsenter", "--target", str(release.holder.pid), "--mount", "--net", "--"]
    script = "mkdir -p '%s/ansible' && cp -r '%s' '%s/ansible' && cp '%s' '%s'" % (
        packages, TESTS.parent / "module_utils", packages, STEPS, packages,
    )  # fmt: skip
    subprocess.run([*inside, "sh", "-c", script], check=True)
    for line in MESSY.strip().splitlines():
        subprocess.run([*inside, "ip", *line.split()], check=True)

    def ours(*steps, own=False):
        words = json.dumps(steps)
        if own:
            done = subprocess.run([*inside, sys.executable, STEPS, TESTS], input=words, capture_output=True, text=True, check=True)
            return json.loads(done.stdout)
        status, said = release.run("python3", "/tmp/packages/rtnetlink_steps.py", "/tmp/packages", stdin=words)
        assert status == 0, said
        return json.loads(said)

    return ours


def test_it_is_the_version_that_we_name(release):
    _status, said = release.run("python3", "-c", "import importlib.metadata as m; print(m.version('pyroute2'))")
    assert said.strip() == VERSIONS[release.name]


def test_all_read_the_same(ours):
    found = ours()
    assert found == ours(own=True)
    (br0,) = [link for link in found["interfaces"] if link["name"] == "br0"]
    assert br0["peers"]["192.0.2.101/32"] == ["192.0.2.9"] and br0["scopes"]["192.0.2.103/32"] == "77"
    assert br0["local_routes"] == ["local 192.0.2.96/27 dev br0 table main proto static metric 7"]
    assert "1000" in found["tables"][0] and not {"101", "102", "103"} & set(found["tables"][0])


CHANGES = [
    ["add_address", "lo", VIP, 32], ["add_address", "lo", VIP6, 128, True],
    ["remove_local_route", "local 192.0.2.112/32 dev lo table 1000 proto 77"],
    ["remove_address", "br0", "192.0.2.101", 32, "192.0.2.9"],
]  # fmt: skip


def test_one_changes_what_the_other_reads(ours, release):
    before = ours(own=True)
    changed = ours(*CHANGES)
    assert changed["said"] == [] and changed == ours(own=True)
    assert [one[1] for one in changed["addresses"] if one not in before["addresses"]] == [VIP, VIP6]
    _status, said = release.run("ip", "-o", "-6", "address", "show", "to", VIP6)
    assert "nodad" in said and "preferred_lft 0sec" in said
    # Both are refused the same, in the same words.
    again = [*CHANGES, ["add_address", "none0", VIP, 32]]
    refused = ours(*again)["said"]
    assert refused == ours(*again, own=True)["said"] and len(refused) == 5
    assert [line.partition(" failed with ")[2].split()[0] for line in refused] == ["EEXIST", "EEXIST", "ESRCH", "EADDRNOTAVAIL", "ENODEV"]
    assert ours(["remove_address", "lo", VIP, 32], ["remove_address", "lo", VIP6, 128])["said"] == []
