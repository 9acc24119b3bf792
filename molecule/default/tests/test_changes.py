"""Changes of a pair that serves: never two owners of a VIP, no connection cut, and what is left is said."""

import contextlib
import json
import subprocess
import time

import pytest
import yaml
from conftest import DIRECTORS, PROJECT, REAL_SERVERS, SSH_CONFIG, VIP, VIP6, playbook, reboot, ssh, why

# Six rollouts of emulated directors take a quarter of an hour.
pytestmark = pytest.mark.long
MORE, LONG = "198.51.100.103", "/vod/long.bin"
LAB = PROJECT / "inventories/lab"


def services():
    return yaml.safe_load((LAB / "group_vars/all.yml").read_text())["virtual_services"]


def site(*more, **variables):
    """site.yml with other variables; its output."""
    return playbook("site.yml", "-e", json.dumps(variables), *more)


@pytest.fixture(scope="module", autouse=True)
def as_declared():
    yield
    done = playbook("site.yml")
    assert done.returncode == 0, why(done)


# Asks who has the VIPs, every 0.1 s until its file is gone. With nothing of lvsdr: it is what the product is judged by.
SAMPLER = """
import json, os, socket, struct, time
vips, mac = %r, bytes.fromhex(open("/sys/class/net/eth0/address").read().replace(":", ""))
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
sock.bind(("eth0", 0x0806))
open("/run/sampling", "w").close()
samples = {vip: [] for vip in vips}
while os.path.exists("/run/sampling"):
    for vip in vips:
        ask = struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + mac + socket.inet_aton("198.51.100.1") + bytes(6) + socket.inet_aton(vip)
        sock.send(b"\\xff" * 6 + mac + ask)
    found, end = {vip: set() for vip in vips}, time.monotonic() + 0.1
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            frame = sock.recv(2048)
        except TimeoutError:
            break
        vip = socket.inet_ntoa(frame[28:32])
        if frame[20:22] == b"\\0\\2" and vip in found:
            found[vip].add(frame[22:28].hex(":"))
    for vip in vips:
        samples[vip].append(sorted(found[vip]))
print(json.dumps(samples))
"""


@contextlib.contextmanager
def sampled(*vips):
    """The MACs that answer for the VIPs in each 0.1 s, as the router sees it: {VIP: [[MAC, ...], ...]}, complete when it is over."""
    watching = subprocess.Popen(
        ["ssh", "-F", SSH_CONFIG, "router", "python3 -c '%s'" % (SAMPLER % (vips,)).replace("'", "'\"'\"'")],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    samples = {}
    try:
        deadline = time.monotonic() + 30
        while ssh("router", "test -e /run/sampling || echo not yet").strip():
            assert time.monotonic() < deadline and watching.poll() is None
            time.sleep(0.2)
        yield samples
    finally:
        ssh("router", "rm -f /run/sampling")
        output, _errors = watching.communicate(timeout=60)
    samples.update(json.loads(output))


def owners(samples):
    """{VIP: {"most": most owners in a sample, "samples", "nobody": samples without one}}."""
    return {vip: {"most": max(map(len, one)), "samples": len(one), "nobody": sum(not macs for macs in one)} for vip, one in samples.items()}


def recap(done):
    return {line.split()[0]: line for line in done.stdout[done.stdout.index("PLAY RECAP") :].splitlines()[1:] if line}


def test_a_pair_that_serves_changes():
    """One rollout after the other, each with several changes, and one owner of each VIP all the while: a VIP comes, by Mitogen's strategy;
    the first one goes, so that the other is the pair's only IPv4 VIP, and directors change what they say to each other, while who stands by
    is silent; and all of it goes back, with settings as YAML spells them."""
    declared = services()
    more = {**declared[0], "name": "more", "addresses": [MORE], "health_check": {"type": "tcp"}, "stream": None}
    with sampled(VIP, MORE) as samples:
        wanted = json.dumps({"virtual_services": [*declared, more]})
        changed, unchanged = (playbook("site.yml", "-e", wanted, strategy="mitogen_linear") for _run in range(2))
        for done in (changed, unchanged):
            assert done.returncode == 0, why(done)
        assert all("changed=0" not in recap(changed)[director] for director in DIRECTORS)
        assert recap(unchanged) and all("changed=0" in line for line in recap(unchanged).values())
        ssh("viewer", "curl -sf -m 5 -o /dev/null http://%s/healthz" % MORE)
        # Deleting the entry does not retire it: keepalived would cut its viewers.
        done = site()
        said = " ".join(done.stdout.split())
        assert done.returncode != 0 and "and nothing was changed" in said
        assert "tcp %s:80 is served by director1 and director2 " % MORE in said and "[service-undeclared]" in said
        without = [{**one, "addresses": [VIP6]} for one in declared] + [more]
        without += [{**one, "name": "old " + one["name"], "addresses": [VIP], "state": "absent"} for one in declared]
        # A part of a second needs another version of VRRP, so that changes as well, between keepalived 2.2 and 2.3.
        done = site(virtual_services=without, director_advertisement_interval=1.5, director_unicast=False)
        assert done.returncode == 0, why(done)
        assert ssh("viewer", "curl -s -m 3 -o /dev/null http://%s/healthz; echo $?" % VIP).strip() != "0"
        for director in DIRECTORS:
            text = ssh(director, "cat /run/lvsdr/in_force/keepalived/etc/keepalived/keepalived.conf")
            assert "version 3\n    advert_int 1.5\n" in text and "unicast_peer" not in text
        settings = {"conntrack": False, "conn_reuse_mode": "3", "sloppy_tcp": "yes"}
        done = site(virtual_services=[*declared, {**more, "state": "absent"}], director_sysctls=settings)
        assert done.returncode == 0, why(done)
    found = owners(samples)
    print(found)
    assert {vip: one["most"] for vip, one in found.items()} == {VIP: 1, MORE: 1}
    for server in REAL_SERVERS:
        assert MORE not in ssh(server, "ip -br address show lo") and VIP in ssh(server, "ip -br address show lo")


def test_a_boot_after_other_settings(active):
    """keepalived's unit starts with the settings of the last test."""
    (waiting,) = set(DIRECTORS) - {active}
    reboot(waiting, 400)
    deadline = time.monotonic() + 300
    while ssh(waiting, "systemctl is-active keepalived", check=False).strip() != "active":
        assert time.monotonic() < deadline, ssh(waiting, "journalctl -u keepalived -n 20")
        time.sleep(2)
    values = ssh(waiting, "cd /proc/sys/net/ipv4/vs; cat conntrack conn_reuse_mode sloppy_tcp").split()
    assert values == ["0", "3", "1"]
    assert "lvsdr" in ssh(waiting, "nft list table inet lvsdr")
    # The console comes back as well.
    while ssh(waiting, "systemctl is-active lvsdr-console", check=False).strip() != "active":
        assert time.monotonic() < deadline, ssh(waiting, "journalctl -u lvsdr-console -n 20")
        time.sleep(2)
