"""The codec and the in-memory kernel, held against bytes that ipvsadm and a real kernel said to each other (tests/kernel/record.py)."""

import json
import sys
from pathlib import Path

import pytest
from ansible.module_utils.lvsdr.ipvs import codec, kernel, plan
from ansible.module_utils.lvsdr.ipvs.declare import read_services
from ansible.module_utils.lvsdr.ipvs.parse import parse
from ansible.module_utils.lvsdr.ipvs.table import converge
from ansible.module_utils.lvsdr.ipvs.types import Daemon, Entry, Timeouts, Wanted, destination_key, service_key
from fakes import kernel as fake

RECORD = json.loads((Path(__file__).parents[2] / "fixtures/netlink.json").read_text())
REQUESTS = [bytes.fromhex(change["request"]) for change in RECORD["changes"]]
QUESTIONS = [(bytes.fromhex(q["request"]), [bytes.fromhex(data) for data in q["answers"]]) for q in RECORD["questions"]]

pytestmark = pytest.mark.skipif(sys.byteorder != RECORD["byteorder"], reason="netlink speaks the host's byte order")


def command(request):
    return request[16]


def answers(number):
    """(request, datagram) of all questions with this command."""
    return [(request, data) for request, datagrams in QUESTIONS if command(request) == number for data in datagrams]


def rows(data):
    return [(data, start + 4, end) for _kind, _flags, _sequence, start, end in codec.messages(data)]


def recorded_table():
    """The table that the real kernel showed, by our decoding."""
    table = {}
    for _request, data in answers(codec.GET_SERVICE):
        for row in rows(data):
            service = codec.decode_service(*row)
            table[service_key(service)] = Entry(service, {}, {})
    for request, data in answers(codec.GET_DEST):
        entry = table[service_of(request)]
        for row in rows(data):
            destination, counts = codec.decode_destination(*row, entry.service.family)
            entry.destinations[destination_key(destination)] = destination
            entry.connections[destination_key(destination)] = counts
    return table


def service_of(request):
    """The key of the service that a request names."""
    service = fake.Kernel().parse_service(fake.split(request[20:])[fake.A_SERVICE], False)[0]
    family = 6 if service.family == fake.INET6 else 4
    if service.mark:
        return family, "fwmark", "", service.mark
    return family, fake.NAMES[service.protocol], service.address, service.port


def plain(table):
    return {key: Entry(entry.service, entry.destinations, {}) for key, entry in table.items()}


@pytest.fixture
def told():
    """An in-memory kernel that was told what ipvsadm told the real one."""
    there = fake.Kernel()
    there.interfaces["dummy0"] = True
    socket = there.connect()
    for request in REQUESTS:
        # The family's number is given out at run time; it is all that is changed. No answer but an error is awaited.
        socket.send(request[:4] + fake.FAMILY_ID.to_bytes(2, sys.byteorder) + request[6:])
        while socket.queue:
            data = socket.recv(1 << 16)
            assert int.from_bytes(data[16:20], sys.byteorder, signed=True) == 0, "the real kernel took it"
    return there


def test_the_record_holds_every_kind_of_change():
    assert {command(request) for request in REQUESTS} == {
        codec.NEW_SERVICE, codec.SET_SERVICE, codec.DEL_SERVICE, codec.NEW_DEST, codec.SET_DEST, codec.DEL_DEST, codec.NEW_DAEMON,
        codec.SET_CONFIG, codec.ZERO,
    }  # fmt: skip


def test_the_real_kernels_table_is_read_as_ipvsadm_prints_it():
    expected = {
        key: Entry(wanted.service, wanted.destinations, {}) for key, wanted in read_services(parse(RECORD["text"])["services"]).items()
    }
    found = plain(recorded_table())
    # ipvsadm leaves thresholds out when it saves.
    web = expected[4, "tcp", "198.51.100.100", 80].destinations
    web["198.51.100.22", 80] = web["198.51.100.22", 80]._replace(upper=100, lower=50)
    assert found == expected and len(found) == 8


def test_what_ipvsadm_says_and_what_we_say_is_the_same_to_a_kernel(told, monkeypatch):
    table = recorded_table()
    ours = fake.Kernel()
    monkeypatch.setattr(kernel, "connect", ours.connect)
    ipvs = kernel.Ipvs()
    want = {key: Wanted(entry.service, entry.destinations, set(), False) for key, entry in table.items()}
    assert ipvs.apply(plan.plan(want, {})) == []
    assert ours.services == told.services
    assert plain(ipvs.read()) == plain(table)


def test_the_in_memory_kernel_answers_with_the_real_ones_bytes(told):
    shown = sorted(data[start - 4 : end] for _request, datagram in answers(codec.GET_SERVICE) for data, start, end in rows(datagram))
    assert sorted(genl(row) for row in told.rows(fake.GET_SERVICE, {})) == shown
    for request, datagram in answers(codec.GET_DEST):
        shown = [data[start - 4 : end] for data, start, end in rows(datagram)]
        found = [genl(row) for row in told.rows(fake.GET_DEST, fake.split(request[20:]))]
        assert found == shown, "destinations newest first, too"


def genl(row):
    """An in-memory kernel's row as a message's payload, behind the nlmsghdr."""
    return bytes([row[0], 1, 0, 0]) + row[1]


def test_a_whole_datagram_is_read_as_its_messages_are():
    found = answers(codec.GET_DEST)
    assert len(found) > 3
    for _request, data in found:
        sequence = int.from_bytes(data[8:12], sys.byteorder)
        whole = codec.decode_destinations(data, sequence, RECORD["family"])
        assert whole == [codec.decode_destination(*row, 4) for row in rows(data)]
        # Another conversation's, another kind of message, one that was interrupted, one cut off: all are read one by one.
        assert codec.decode_destinations(data, sequence + 1, RECORD["family"]) is None
        assert codec.decode_destinations(data, sequence, RECORD["family"] + 1) is None
        assert codec.decode_destinations(data[:6] + b"\x12\0" + data[8:], sequence, RECORD["family"]) is None
        assert codec.decode_destinations(data[:-4], sequence, RECORD["family"]) is None
        moved = bytearray(data)
        moved[24 + 2] = 99  # the first attribute is another one
        assert codec.decode_destinations(bytes(moved), sequence, RECORD["family"]) is None


def test_daemons_and_timeouts_are_read():
    daemons = [codec.decode_daemon(*row) for _request, data in answers(codec.GET_DAEMON) for row in rows(data)]
    assert daemons == [
        Daemon("master", "dummy0", 7, 1400, "224.0.0.82", 8849, 3),
        Daemon("backup", "dummy0", 8, daemons[1].maxlen, "ff02::81", 8848, 1),
    ]
    ((_request, data),) = answers(codec.GET_CONFIG)
    assert codec.decode_timeouts(*rows(data)[0]) == Timeouts(800, 100, 200)


def test_our_settings_are_ipvsadms_to_a_kernel(told, monkeypatch):
    ours = fake.Kernel()
    ours.interfaces["dummy0"] = True
    monkeypatch.setattr(kernel, "connect", ours.connect)
    lines = [change["line"] for change in RECORD["changes"] if change["line"].startswith("--")]
    declared = parse("\n".join(lines))
    converge(**declared)
    assert (ours.timeouts, ours.daemons) == (told.timeouts, told.daemons)
