"""VRRP on the wire, and what keepalived says of itself."""

import struct

import pytest
from ansible.module_utils.lvsdr.arp import packets
from ansible.module_utils.lvsdr.directors import vrrp
from ansible.module_utils.lvsdr.fleet import report
from ansible.module_utils.lvsdr.inventory import resolve
from hypothesis import given
from hypothesis import strategies as st
from said import id_of

from inventories import inventory, service

# What keepalived 2.2.7 wrote on SIGUSR1, without what lies between.
DUMP = """------< Global definitions >------
 Router ID = director1
------< VRRP Topology >------
 VRRP Instance = lvsdr
   VRRP Version = 2
   State = MASTER
   Wantstate = MASTER
 VRRP Instance = radio
   VRRP Version = 2
   State = FAULT
------< Interfaces >------
 Name = lo
  State = UP, RUNNING, no broadcast, loopback, no multicast
"""


def test_advertisements():
    two = struct.pack("!BBBBBBH", 0x21, 51, 150, 2, 0, 1, 0)
    assert vrrp.parse(two + bytes(16)) == (2, 51, 150, 2, 1.0)
    three = struct.pack("!BBBBHH", 0x31, 52, 100, 1, 25, 0)
    assert vrrp.parse(three) == (3, 52, 100, 1, 0.25)


def test_what_carries_it():
    four = b"\x46" + bytes(8) + bytes([112]) + bytes(2) + bytes([192, 0, 2, 11]) + bytes(8)
    assert vrrp.received(four + b"x") == ("192.0.2.11", b"x")
    six = b"\x60" + bytes(5) + bytes([112, 255]) + bytes.fromhex("20010db8000000000000000000000011") + bytes(16)
    assert vrrp.received(six + b"y") == ("2001:db8::11", b"y")
    for packet in (four[:9] + b"\x06" + four[10:], six[:6] + b"\x3a" + six[7:], b"", four[:19]):
        assert vrrp.received(packet) is None


def test_an_advertisement_of_our_own():
    """As others read it, with a checksum that is right (over all of it 0, RFC 1071)."""
    four = vrrp.advertisement(4, 255, 1)
    assert vrrp.parse(four) == (2, 255, 1, 1, 1.0) and packets.checksum(four) == 0
    assert vrrp.parse(vrrp.advertisement(6, 7, 255, [bytes(16), bytes(16)])) == (3, 7, 255, 2, 1.0)


@given(st.binary(max_size=60))
def test_anything_else_is_none(data):
    found = vrrp.parse((vrrp.received(data) or ("", b""))[1])
    assert found is None or found.version in (2, 3)
    found = vrrp.parse(data)
    assert found is None or found.version in (2, 3)


def test_states():
    assert vrrp.states(DUMP) == {"lvsdr": "MASTER", "radio": "FAULT"}
    assert vrrp.states("") == {}


@pytest.mark.parametrize(
    ("states", "source", "said"),
    [
        ({"lvsdr": "BACKUP"}, "192.0.2.12", []),
        ({"lvsdr": "MASTER"}, "fe80::12", []),
        ({"lvsdr": "FAULT"}, "192.0.2.12", [("vrrp-state", "instance lvsdr", "FAULT")]),
        ({}, "192.0.2.12", [("vrrp-instance-missing", "instance lvsdr")]),
        ({"lvsdr": "BACKUP"}, "192.0.2.77", [("vrrp-router-id-shared", "router id 51 ", "instance lvsdr", "from 192.0.2.77")]),
    ],
)
def test_what_is_wrong(states, source, said):
    made = inventory(with_facts=True)
    made["hosts"]["director2"]["facts"]["interfaces"][1]["addresses"].append("fe80::12/64")
    heard = [{"source": source, "virtual_router_id": 51, "priority": 100}, {"source": "192.0.2.88", "virtual_router_id": 99, "priority": 1}]
    found = report.vrrp_wrong({"director1": {"states": states, "heard": heard}}, resolve.resolve([service()], made).services, made)
    assert [id_of(line) for line in found] == [name for name, *_words in said]
    for line, (_name, *words) in zip(found, said):
        assert line.startswith("director1 ") and [word for word in words if word not in line] == []


def test_a_director_without_keepalived_is_told_once():
    made = inventory(with_facts=True)
    found = {"director1": {"running": False, "states": {}, "heard": []}}
    (line,) = report.vrrp_wrong(found, resolve.resolve([service()], made).services, made)
    assert id_of(line) == "keepalived-not-running" and line.startswith("director1 ")
