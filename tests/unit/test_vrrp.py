"""VRRP on the wire, and what keepalived says of itself."""

import struct

import pytest
from ansible.module_utils.lvsdr import fleet, resolve, vrrp
from hypothesis import given
from hypothesis import strategies as st

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
    assert vrrp.payload(b"\x46" + bytes(23) + two) == two


@given(st.binary(max_size=40))
def test_anything_else_is_none(data):
    found = vrrp.parse(vrrp.payload(data))
    assert found is None or found.version in (2, 3)


def test_states():
    assert vrrp.states(DUMP) == {"lvsdr": "MASTER", "radio": "FAULT"}
    assert vrrp.states("") == {}


@pytest.mark.parametrize(
    ("states", "source", "words"),
    [
        ({"lvsdr": "BACKUP"}, "192.0.2.12", []),
        ({"lvsdr": "MASTER"}, "fe80::12", []),
        ({"lvsdr": "FAULT"}, "192.0.2.12", ["director1 could not take over: its VRRP instance lvsdr is in state FAULT; see"]),
        ({}, "192.0.2.12", ["director1 could not take over: its VRRP instance lvsdr is unknown to keepalived; see"]),
        ({"lvsdr": "BACKUP"}, "192.0.2.77", ["director1 hears router id 51 (instance lvsdr) from 192.0.2.77 too, which is no director of"]),
    ],
)
def test_what_is_wrong(states, source, words):
    made = inventory(with_facts=True)
    made["hosts"]["director2"]["facts"]["interfaces"][1]["addresses"].append("fe80::12/64")
    heard = [{"source": source, "virtual_router_id": 51, "priority": 100}, {"source": "192.0.2.88", "virtual_router_id": 99, "priority": 1}]
    found = fleet.vrrp_wrong({"director1": {"states": states, "heard": heard}}, resolve.resolve([service()], made), made)
    assert len(found) == len(words) and all(line.startswith(word) for line, word in zip(found, words))
