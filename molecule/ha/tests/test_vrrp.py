"""Two instances, each director the active one of its VIP; and what verify hears on the link."""

import re
import time

from conftest import DIRECTORS, ssh
from scenario import run

VERIFY = "playbooks/verify.yml"
# An advertisement of version 2 with the lowest priority, to the group, as another pair would send it.
STRANGER = """
import socket, struct, time
data = struct.pack("!BBBBBBH", 0x21, %d, 1, 0, 0, 1, 0) + bytes(8)
total = sum(struct.unpack("!8H", data))
total = (total & 0xFFFF) + (total >> 16)
data = data[:6] + struct.pack("!H", ~total & 0xFFFF) + data[8:]
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("198.51.100.1"))
for _number in range(60):
    sock.sendto(data, ("224.0.0.18", 0))
    time.sleep(0.5)
"""
VIPS = {"198.51.100.100": "director1", "198.51.100.101": "director2", "198.51.100.102": "director1"}


def holders(lab):
    held = {director: lab(director).check_output("ip -br -4 address show eth0") for director in DIRECTORS}
    return {vip: " ".join(director for director in DIRECTORS if vip + "/32" in held[director]) for vip in VIPS}


def wait_until_elected(lab):
    """keepalived may just have been started, and an election takes its time on a slow machine."""
    deadline = time.monotonic() + 120
    while holders(lab) != VIPS:
        assert time.monotonic() < deadline, holders(lab)
        time.sleep(1)


def test_each_director_is_active_for_some(lab):
    wait_until_elected(lab)


def test_both_sync_daemons_run_on_both(ansible):
    for director in DIRECTORS:
        assert [daemon["state"] for daemon in ansible(director, "ipvs_info", counters=False)["sync_daemons"]] == ["master", "backup"]


def test_a_stranger_with_a_router_id_is_heard(ansible):
    ssh("router", "systemd-run --quiet --unit=stranger python3 -c '%s'" % (STRANGER % 99))
    try:
        heard = ansible("director2", "vrrp_audit", interface="eth0", duration=5)["heard"]
    finally:
        ssh("router", "systemctl stop stranger", check=False)
    assert {"source": "198.51.100.1", "version": 2, "virtual_router_id": 99, "priority": 1, "interval": 1.0} in heard


def test_verify_names_a_stranger_and_a_director_that_could_not_take_over():
    ssh("router", "systemd-run --quiet --unit=stranger python3 -c '%s'" % (STRANGER % 51).replace("range(60)", "range(400)"))
    ssh("director2", "systemctl stop keepalived")
    try:
        done = run(VERIFY)
    finally:
        ssh("director2", "systemctl start keepalived")
        ssh("router", "systemctl stop stranger", check=False)
    words = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert re.search(r"director2 [^\[]*\[keepalived-not-running\]", words), words[-2000:]
    assert re.search(r"director1 [^\[]*router id 51 \(instance lvsdr\) from 198\.51\.100\.1, [^\[]*\[vrrp-router-id-shared\]", words), (
        words[-2000:]
    )


# The one address that an instance advertises, the highest priority, to each director and to the group, as if from this link and routed.
FORGED = STRANGER.replace("1, 0, 0, 1, 0) + bytes(8)", "255, 1, 0, 1, 0) + bytes([169, 254, 112, 51]) + bytes(8)").replace("!8H", "!10H")
FORGED = FORGED.replace(
    '    sock.sendto(data, ("224.0.0.18", 0))\n',
    """
    for ttl in (255, 3):
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        for target in ("198.51.100.11", "198.51.100.12", "224.0.0.18"):
            sock.sendto(data, (target, 0))
""",
)


def test_a_forged_advertisement_takes_nothing(lab):
    """Twice a second for longer than a director waits for the other one; each packet is counted where it is dropped."""
    count = "nft list counter inet lvsdr strange_vrrp"
    wait_until_elected(lab)
    before = {director: lab(director).check_output(count) for director in DIRECTORS}
    since = {director: ssh(director, "date +%s").strip() for director in DIRECTORS}
    ssh("router", "systemd-run --quiet --unit=stranger python3 -c '%s'" % (FORGED % 51))
    try:
        for _number in range(10):
            assert holders(lab) == VIPS
            time.sleep(1)
    finally:
        ssh("router", "systemctl stop stranger", check=False)
    for director in DIRECTORS:
        assert lab(director).check_output(count) != before[director]
        assert "Entering BACKUP STATE" not in ssh(director, "journalctl -u keepalived --since @%s" % since[director])


def test_the_states_are_keepalived_s_own(ansible):
    wanted = {"director1": {"lvsdr": "MASTER", "radio": "BACKUP"}, "director2": {"lvsdr": "BACKUP", "radio": "MASTER"}}
    deadline = time.monotonic() + 60
    while True:
        found = {director: ansible(director, "vrrp_audit", interface="eth0", duration=0)["states"] for director in DIRECTORS}
        if found == wanted:
            return
        assert time.monotonic() < deadline, found
        time.sleep(2)
