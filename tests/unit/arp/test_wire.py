"""What is kept of a link's answers, with frames of our own and a clock that stops until they are read."""

import ipaddress
import types

import pytest
from ansible.module_utils.lvsdr.arp import audit, packets, wire

VIP = "192.0.2.100"
FLOOD = 100_000


def said(operation, number):
    """An ARP reply (2), or a request (1), of the number-th made-up host, which gives the VIP as its own."""
    mac = b"\x06" + number.to_bytes(5, "big")
    sender = mac + ipaddress.ip_address(VIP).packed
    return b"\xff" * 6 + mac + bytes.fromhex("08060001080006040000")[:-2] + operation.to_bytes(2, "big") + sender + bytes(10)


@pytest.mark.parametrize("operation", [1, 2])
def test_a_flood_is_linear_and_small(monkeypatch, operation):
    """Each frame is read once and compared by its hash; the first answers are kept."""
    frames, read, compared = iter(range(FLOOD)), [], []

    class Mac(str):
        def __eq__(self, other):
            compared.append(self)
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    class Socket:
        def recv(self, _size):
            read.append(next(frames))
            return said(operation, read[-1])

    monkeypatch.setattr(wire, "time", types.SimpleNamespace(monotonic=lambda: len(read)))
    monkeypatch.setattr(wire.select, "select", lambda socks, *_others: (socks, [], []))
    monkeypatch.setattr(packets, "mac_text", lambda data, text=packets.mac_text: Mac(text(data)))
    found, claims = {VIP: {}}, {VIP: {}}
    wire._collect({"eth0": Socket()}, {VIP: ({"name": "eth0", "mac": "x"}, "")}, found, claims, FLOOD)
    assert len(read) == FLOOD
    kept = list((claims if operation == 1 else found)[VIP])
    assert kept == [packets.mac_text(b"\x06" + number.to_bytes(5, "big")) for number in range(audit.MOST_MACS)]
    assert len(compared) < 3 * FLOOD
