"""vrrp_audit on a real link receives every advertisement, of both families, and never its own."""

import subprocess
import sys
import time

import pytest
from links import VIP
from said import id_of

SEND = """
import socket, struct, sys, time
family, group, data = sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3])
sock = socket.socket(getattr(socket, family), socket.SOCK_RAW, 112)
index = socket.if_nametoindex("eth0")
if family == "AF_INET":
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", bytes(4), bytes(4), index))
else:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
for _number in range(20):
    sock.sendto(data, (group, 0))
    time.sleep(0.1)
"""
TWO, THREE = "213396020001" + "0000" + "00" * 8, "313464010019" + "0000" + "00" * 16


def test_both_families_and_versions(router, server):
    senders = [
        subprocess.Popen(["ip", "netns", "exec", server.namespace, sys.executable, "-c", SEND, family, group, data])
        for family, group, data in (("AF_INET", "224.0.0.18", TWO), ("AF_INET6", "ff02::12", THREE), ("AF_INET", router.address, TWO))
    ]
    heard = router.module("vrrp_audit", interface="eth0", duration=1.5)["heard"]
    for sender in senders:
        assert sender.wait(20) == 0
    four = [one for one in heard if one["source"] == server.address]
    six = [one for one in heard if ":" in one["source"]]
    assert four == [{"source": server.address, "version": 2, "virtual_router_id": 51, "priority": 150, "interval": 1.0}]
    assert [(one["version"], one["virtual_router_id"], one["priority"], one["interval"]) for one in six] == [(3, 52, 100, 0.25)]
    assert len(heard) == 2


def test_nobody(router):
    begin = time.monotonic()
    result = router.module("vrrp_audit", vips=[VIP], duration=0.3)
    assert result["heard"] == [] and time.monotonic() - begin < 20


@pytest.mark.parametrize(
    ("options", "words", "id"),
    [
        ({"interface": "eth9"}, "eth9 failed (no interface with this name)", "vrrp-listen-failed"),
        ({"interface": "eth0", "duration": -1}, "duration: ", "out-of-range"),
        ({}, "vips", "interface-or-vips-required"),
    ],
)
def test_wrong_values(router, options, words, id):
    result = router.module("vrrp_audit", **options)
    assert result["failed"] and words in result["msg"] and id_of(result["msg"]) == id
