"""The bytes, against bytes made by hand from include/uapi/linux/ip_vs.h, and against the in-memory kernel's own reading of them."""

import struct
import sys

import pytest
from ansible.module_utils.lvsdr import addresses
from ansible.module_utils.lvsdr.ipvs import codec, types
from ansible.module_utils.lvsdr.ipvs.types import Destination, Service
from fakes import kernel as fake
from fakes.tables import destinations, services
from hypothesis import assume, given, settings
from hypothesis import strategies as st

# Netlink speaks the host's byte order, and the golden bytes are those of a little-endian one.
little = pytest.mark.skipif(sys.byteorder == "big", reason="golden bytes are little-endian")

WEB = Service(4, "tcp", "198.51.100.100", 80, "wlc", (), 0, "255.255.255.255", "")
WEB6 = Service(6, "udp", "2001:db8::64", 5060, "sh", ("ops", "sh-port"), 300, "64", "sip")
MARK = Service(6, "fwmark", "", 0x01020304, "mh", ("mh-fallback",), 0, "128", "")
ONE = Destination(4, "192.0.2.21", 8080, "nat", 10, 100, 50, ())
GUE = Destination(6, "2001:db8::15", 80, "tunnel", 1, 0, 0, ("gue", 6080, "remcsum"))

AF4, AF6 = "0600 0100 0200 0000", "0600 0100 0a00 0000"
WEB_KEY = AF4 + "0600 0200 0600 0000  1400 0300 c6336464 00000000 00000000 00000000  0600 0400 0050 0000"
ADDRESS_OF_ONE = "1400 0100 c0000215 00000000 00000000 00000000  0600 0200 1f90 0000  0600 0b00 0200 0000"

GOLDEN = {
    "family": (
        codec.get_family_message(1),
        "20000000 1000 0500 01000000 00000000 03 01 0000  0900 0200 49505653 00 000000",
    ),
    "a message": (codec.message(27, codec.DEL_SERVICE, b"abcd", 5, 258), "18000000 1b00 0500 02010000 00000000 03 01 0000 61626364"),
    "key": (codec.encode_service_key(types.service_key(WEB)), "3000 0100" + WEB_KEY),
    "key of a firewall mark": (codec.encode_service_key(types.service_key(MARK)), "1400 0100" + AF6 + "0800 0500 04030201"),
    "service": (
        codec.encode_service(WEB),
        "5400 0100" + WEB_KEY + "0800 0600 776c6300  0c00 0700 00000000 ffffffff  0800 0800 00000000  0800 0900 ffffffff",
    ),
    "service with all": (
        codec.encode_service(WEB6),
        "5c00 0100" + AF6 + "0600 0200 1100 0000  1400 0300 20010db8 00000000 00000000 00000064  0600 0400 13c4 0000"
        "0700 0600 736800 00  0c00 0700 15000000 ffffffff  0800 0800 2c010000  0800 0900 40000000  0800 0b00 73697000",
    ),
    "service of a firewall mark": (
        codec.encode_service(MARK),
        "3800 0100" + AF6 + "0800 0500 04030201  0700 0600 6d6800 00  0c00 0700 08000000 ffffffff  0800 0800 00000000  0800 0900 80000000",
    ),
    "netmask": (
        codec.encode_service(WEB._replace(persistence=1, netmask="255.255.240.0"))[-36:],
        "0800 0600 776c6300  0c00 0700 01000000 ffffffff  0800 0800 01000000  0800 0900 fffff000",
    ),
    "destination": (
        codec.encode_destination(ONE),
        "4800 0200" + ADDRESS_OF_ONE + "0800 0300 00000000  0800 0400 0a000000  0800 0500 64000000  0800 0600 32000000",
    ),
    "destination's key": (codec.encode_destination_key(ONE), "2800 0200" + ADDRESS_OF_ONE),
    "tunnel": (
        codec.encode_destination(GUE),
        "6000 0200 1400 0100 20010db8 00000000 00000000 00000015  0600 0200 0050 0000  0600 0b00 0a00 0000"
        "0800 0300 02000000  0800 0400 01000000  0800 0500 00000000  0800 0600 00000000"
        "0500 0d00 01 000000  0600 0e00 17c0 0000  0600 0f00 0200 0000",
    ),
    "timeouts": (codec.encode_timeouts(types.Timeouts(900, 120, 300)), "0800 0400 84030000  0800 0500 78000000  0800 0600 2c010000"),
}


@little
@pytest.mark.parametrize("what", GOLDEN)
def test_what_is_written(what):
    written, golden = GOLDEN[what]
    assert written.hex() == bytes.fromhex(golden).hex()


# An answer has its attributes in another order, some twice as long, and some that nobody knows yet.
SERVICE_ANSWER = bytes.fromhex(
    "8c00 0180 0600 0100 0200 0000  0600 0200 1100 0000  1400 0300 c6336464 00000000 00000000 00000000  0600 0400 13c4 0000"
    "0700 0600 736800 00  0800 0b00 73697000  0c00 0700 0f000000 ffffffff  0800 0800 2c010000  0800 0900 ffffff00"
    "0800 6300 ffffffff  1400 0ac0 0800 0100 07000000 0800 0200 08000000  1400 0cc0 0400 0b00 0c00 0100 0900000000000001"
)
DESTINATION_ANSWER = bytes.fromhex(
    "8000 0280 0600 0b00 0200 0000  1400 0100 c0000215 00000000 00000000 00000000  0600 0200 1f90 0000"
    "0800 0300 02000000  0800 0400 0a000000  0500 0d00 01 000000  0600 0e00 17c0 0000  0600 0f00 0100 0000"
    "0800 0500 64000000  0800 0600 32000000  0800 0700 03000000  0800 0800 02000000  0800 0900 01000000"
    "0800 6300 ffffffff"
)


@little
def test_a_service_is_read():
    service = codec.decode_service(SERVICE_ANSWER, 0, len(SERVICE_ANSWER))
    counters = codec.decode_service_counters(SERVICE_ANSWER, 0, len(SERVICE_ANSWER))
    assert service == Service(4, "udp", "198.51.100.100", 5060, "sh", ("ops", "sh-fallback"), 300, "255.255.255.0", "sip")
    assert counters == {"conns": (1 << 56) + 9}, "the 64-bit counters are taken where there are any"
    small = SERVICE_ANSWER.replace(bytes.fromhex("14000cc0"), bytes.fromhex("140042c0"))
    assert codec.decode_service_counters(small, 0, len(small)) == {"conns": 7, "inpkts": 8}


@little
def test_a_timeout_without_persistence_is_none():
    # Flag 1 is cleared: what the kernel stores beside it has no effect.
    data = SERVICE_ANSWER.replace(bytes.fromhex("0c00 0700 0f000000"), bytes.fromhex("0c00 0700 0e000000"))
    assert codec.decode_service(data, 0, len(data)).persistence == 0


@little
def test_a_destination_is_read():
    data = b"\xff" * 12 + DESTINATION_ANSWER + b"\xff" * 12
    destination, connections = codec.decode_destination(data, 12, len(data) - 12, 6)
    assert destination == Destination(4, "192.0.2.21", 8080, "tunnel", 10, 100, 50, ("gue", 6080, "csum"))
    assert connections == (3, 2, 1)


@little
@pytest.mark.parametrize(
    ("bits", "forward"), [(0, "nat"), (1, "local"), (3, "dr"), (0x103, "dr"), (0xB, "dr"), (4, "bypass"), (7, "unknown")]
)
def test_forwarding_is_three_bits_and_only_a_tunnel_has_an_encapsulation(bits, forward):
    data = DESTINATION_ANSWER.replace(bytes.fromhex("0800 0300 02000000"), struct.pack("=HHI", 8, 3, bits))
    destination, _connections = codec.decode_destination(data, 0, len(data), 4)
    assert (destination.forward, destination.tunnel) == (forward, ())


@little
def test_a_kernel_that_knows_ipip_alone_and_no_families():
    data = DESTINATION_ANSWER
    for old, new in (("0500 0d00", "0500 6400"), ("0600 0b00", "0600 6500")):
        data = data.replace(bytes.fromhex(old), bytes.fromhex(new))
    destination, _connections = codec.decode_destination(data, 0, len(data), 4)
    assert (destination.family, destination.tunnel) == (4, ("ipip", 0, "none"))


def through_the_kernel(service, destination=None):
    """What the in-memory kernel takes from our bytes, and what we read in its answer."""
    there = fake.Kernel()
    there.change(fake.NEW_SERVICE, fake.split(codec.encode_service(service)))
    key = codec.encode_service_key(types.service_key(service))
    if destination:
        there.change(fake.NEW_DEST, fake.split(key + codec.encode_destination(destination)))
        ((_command, row),) = there.rows(fake.GET_DEST, fake.split(key))
        return codec.decode_destination(row, 0, len(row), service.family)[0]
    ((_command, row),) = there.rows(fake.GET_SERVICE, {})
    return codec.decode_service(row, 0, len(row))


@settings(max_examples=100, deadline=None)
@given(services())
def test_a_service_comes_back_as_it_was_sent(service):
    data = codec.encode_service(service)
    assert codec.decode_service(data, 0, len(data)) == service
    assert through_the_kernel(service) == service


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_destination_comes_back_as_it_was_sent(data):
    service = data.draw(services())
    destination = data.draw(destinations(service))
    assert through_the_kernel(service, destination) == destination


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)),
    st.integers(0, 65535),
    st.integers(0, types.MAX_WEIGHT),
    st.integers(1, 2**32 - 1),
)
def test_any_address_and_number_comes_back(address, port, weight, threshold):
    try:
        family, text = addresses.parse_address(address)
    except ValueError:
        assume(False)
    # IPv4 written as IPv6 has two spellings, and nobody has such a server.
    assume(family == 4 or int(address) >> 48)
    service = WEB._replace(family=family, address=text, port=port, netmask=types.default_netmask(family))
    destination = Destination(family, text, port, "dr", weight, threshold, threshold - 1, ())
    assert through_the_kernel(service) == service
    assert through_the_kernel(service, destination) == destination


def test_messages_are_told_apart():
    data = codec.message(27, 1, b"abc", 2, 7) + b"\0" + codec.message(3, 0, b"", 2, 8) + b"\x04\0\0\0"
    assert list(codec.messages(data)) == [(27, 2, 7, 16, 23), (3, 2, 8, 40, 44)]


def test_attributes_are_found_past_their_padding_and_flags():
    data = bytes.fromhex("ff") * 3 + struct.pack("=HH5s3x", 9, 0x8001, b"abcde") + struct.pack("=HH", 4, 0x4002) + b"\0\0"
    found = codec.attributes(data, 3, len(data))
    assert found == {1: (7, 12), 2: (19, 19)}


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_garbage_is_walked_through_to_its_end(data):
    for _kind, _flags, _sequence, start, end in codec.messages(data):
        assert 16 <= start <= end
    assert all(4 <= start <= end for start, end in codec.attributes(data, 0, len(data)).values())


@settings(max_examples=100, deadline=None)
@given(services(), st.data())
def test_a_truncated_answer_has_whole_messages_first(service, data):
    one = codec.message(27, codec.NEW_SERVICE, codec.encode_service(service), 2, 1)
    cut = data.draw(st.integers(0, len(one) - 1))
    kind, flags, sequence, start, end = next(codec.messages(one + one[:cut]))
    assert codec.decode_service(one, start + 4, end) == service


def test_other_answers():
    timeouts = codec.encode_timeouts(types.Timeouts(1, 2, 3))
    assert codec.decode_timeouts(timeouts, 0, len(timeouts)) == (1, 2, 3)
    info = struct.pack("=HHIHHI", 8, 1, 0x010203, 8, 2, 4096)
    assert codec.decode_info(info, 0, len(info)) == {"version": "1.2.3", "connection_table_size": 4096}
