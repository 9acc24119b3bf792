"""What is declared, read into tuples and written back.

Wrong values are in tests/modules/test_ipvs_table.py, where an operator meets them.
"""

import ipaddress
import socket

import pytest
from ansible.module_utils.lvsdr import addresses, reader
from ansible.module_utils.lvsdr.errors import LvsError, Problems
from ansible.module_utils.lvsdr.ipvs import declare, describe, types
from ansible.module_utils.lvsdr.ipvs.types import Destination, Service
from fakes.tables import entries
from hypothesis import given, settings
from hypothesis import strategies as st
from said import path_and_id

VIP, VIP6, ONE = "198.51.100.100", "2001:db8:100::100", "192.0.2.21"


def read(**declared):
    """The Wanted of one declared service."""
    return next(iter(declare.read_services([declared]).values()))


def problems(*declared):
    with pytest.raises(LvsError) as caught:
        declare.read_services(list(declared))
    return caught.value.details["problems"]


def test_what_is_left_out():
    wanted = read(address=VIP, port=80, destinations=[{"address": ONE}])
    assert wanted.service == Service(4, "tcp", VIP, 80, "wlc", (), 0, "255.255.255.255", "")
    assert wanted.destinations == {(ONE, 80): Destination(4, ONE, 80, "dr", 1, 0, 0, ())}
    assert (wanted.checked, wanted.absent) == (set(), False)


def test_none_is_left_out_too():
    # A template that gives null for what it does not know declares nothing.
    plain = read(address=VIP, port=80, destinations=[{"address": ONE}])
    nothing = {"protocol": None, "scheduler": None, "scheduler_flags": None, "one_packet": None, "persistence": None, "state": None}
    assert plain == read(address=VIP, port=80, firewall_mark=None, destinations=[{"address": ONE, "port": None, "weight": None}], **nothing)
    assert read(address=VIP, port=80, destinations=None).destinations == {}
    with pytest.raises(LvsError) as caught:
        declare.read_services(None)
    assert [path_and_id(line) for line in caught.value.details["problems"]] == [("services", "not-a-list")]


def test_all_that_can_be_declared_of_a_service():
    wanted = read(
        name="voice", address=VIP6.upper(), protocol="udp", port="5060", scheduler="sh", scheduler_flags=["sh-port", "sh-fallback"],
        one_packet="yes", persistence={"timeout": 60, "netmask": "/64", "engine": "sip"}, state="absent",
    )  # fmt: skip
    assert wanted.service == Service(6, "udp", VIP6, 5060, "sh", ("ops", "sh-fallback", "sh-port"), 60, "64", "sip")
    assert wanted.absent


def test_all_that_can_be_declared_of_a_destination():
    tunnel = {"type": "gue", "port": 6080, "checksum": "csum"}
    wanted = read(
        address=VIP, port=80,
        destinations=[{"address": "2001:DB8::0021", "forward": "tunnel", "weight": 0, "upper_threshold": 9, "lower_threshold": 9,
                       "tunnel": tunnel, "health_checked": True}],
    )  # fmt: skip
    assert wanted.destinations == {("2001:db8::21", 80): Destination(6, "2001:db8::21", 80, "tunnel", 0, 9, 9, ("gue", 6080, "csum"))}
    assert wanted.checked == {("2001:db8::21", 80)}


# Addresses that no host has on every link.
NO_HOSTS = ("0.0.0.0/8", "255.255.255.255/32", "fe80::/10", "::ffff:0:0/96")


@given(
    st.one_of(
        st.ip_addresses().map(str),
        st.text(max_size=20),
        st.sampled_from(
            [
                "::",
                "224.0.0.1",
                "fe80::1%lo",
                "010.0.0.1",
                "1.2.3",
                "0.0.0.1",
                "255.255.255.255",
                "::ffff:192.0.2.1",
                "febf::1",
                "fec0::1",
                "1\0",
            ]
        ),
    )
)
def test_addresses_are_those_of_the_standard_library(text):
    """Python's ipaddress is the judge; the text is the one that netlink's answers are written in."""
    try:
        expected = ipaddress.ip_address(text.strip())
    except ValueError:
        expected = None
    if expected and (expected.is_multicast or expected.is_unspecified or "%" in text):
        expected = None
    if expected and any(
        expected in ipaddress.ip_network(network) for network in NO_HOSTS if expected.version == (6 if ":" in network else 4)
    ):
        expected = None
    if expected is None:
        with pytest.raises(ValueError):
            addresses.parse_address(text)
        return
    family, canonical = addresses.parse_address(text)
    assert (family, ipaddress.ip_address(canonical)) == (expected.version, expected)
    assert canonical == socket.inet_ntop(addresses.AF[family], expected.packed)


@given(
    st.one_of(st.integers(-2, 40), st.ip_addresses(v=4), st.integers(0, 32).map(lambda n: ipaddress.ip_network("0.0.0.0/%d" % n).netmask))
)
def test_netmasks_are_those_of_the_standard_library(value):
    try:
        expected = str(ipaddress.ip_network("0.0.0.0/%s" % value).netmask)
    except ValueError:
        with pytest.raises(ValueError):
            addresses.ipv4_netmask(str(value))
    else:
        assert addresses.ipv4_netmask(str(value)) == expected


usual = st.fixed_dictionaries(
    {"address": st.sampled_from([ONE, " %s\n" % ONE, "2001:DB8::21", "server1", "", None, 5, "0.0.0.0", [ONE]])},
    optional={
        "port": st.sampled_from([80, "80", 8080, 0, -1, 65536, True, None, [], 80.0]),
        "forward": st.sampled_from(["dr", "nat", "local", "tunnel", "DR", None, [], 5]),
        "weight": st.sampled_from([0, 1, "7", -1, types.MAX_WEIGHT, types.MAX_WEIGHT + 1, True, None, 1.0, {}]),
        "health_checked": st.sampled_from([True, False, "yes", None, 1, "perhaps"]),
        "upper_threshold": st.just(5), "tunnel": st.just({}), "wieght": st.just(5),
    },
)  # fmt: skip
HOME = [{"address": VIP, "port": 80}, {"address": VIP6, "port": 80}, {"firewall_mark": 5}, {"firewall_mark": 5, "family": "ipv6"}]


@settings(max_examples=500)
@given(st.lists(usual, max_size=3), st.sampled_from(HOME))
def test_the_short_way_reads_what_the_long_way_reads(items, home):
    """Most destinations take a shorter way through the reader, for speed; what it takes, it takes as the long way does."""
    service = read(**home).service
    found = declare._plain_destinations(items, service)
    slow = Problems()
    expected = declare._read_destinations(reader.Reader(slow, "services[0]", {}), items, service)
    if found is not None:
        assert not slow.found and found == expected


def test_what_is_usual_takes_the_short_way():
    service = read(**HOME[0]).service
    for item in ({"address": ONE}, {"address": ONE, "port": 80, "forward": "dr", "weight": 5, "health_checked": True}):
        assert declare._plain_destinations([item, {"address": "192.0.2.99"}], service)


def test_a_family_of_its_own_needs_a_tunnel():
    for home, address in ((HOME[0], "2001:db8::21"), (HOME[1], ONE), (HOME[2], "2001:db8::21"), (HOME[3], ONE)):
        (line,) = problems({**home, "destinations": [{"address": address}]})
        assert path_and_id(line) == ("services[0].destinations[0].address", "destination-family-differs")
        read(**home, destinations=[{"address": address, "forward": "tunnel"}])


@pytest.mark.parametrize(
    ("persistence", "expected"),
    [
        (False, (0, "255.255.255.255")),
        (True, (300, "255.255.255.255")),
        ({}, (300, "255.255.255.255")),
        (1, (1, "255.255.255.255")),
        ("2678400", (2678400, "255.255.255.255")),
        ({"timeout": 5, "netmask": 24}, (5, "255.255.255.0")),
        ({"timeout": 5, "netmask": "255.255.240.0"}, (5, "255.255.240.0")),
        ({"netmask": "/8"}, (300, "255.0.0.0")),
    ],
)
def test_persistence(persistence, expected):
    service = read(address=VIP, port=80, persistence=persistence).service
    assert (service.persistence, service.netmask) == expected


def test_a_firewall_mark():
    declared = {"firewall_mark": 4294967295, "destinations": [{"address": ONE}, {"address": "192.0.2.22", "port": 80, "forward": "nat"}]}
    wanted = declare.read_services([declared])
    assert list(wanted) == [(4, "fwmark", "", 4294967295)]
    assert list(wanted[4, "fwmark", "", 4294967295].destinations) == [(ONE, 0), ("192.0.2.22", 80)]
    assert read(firewall_mark=5, family="ipv6").service.netmask == "128"


def test_the_same_port_in_two_protocols_and_families_is_two_services():
    declared = [{"address": a, "protocol": p, "port": 80} for a in (VIP, VIP6) for p in ("tcp", "udp", "sctp")]
    declared += [{"firewall_mark": 80}, {"firewall_mark": 80, "family": "ipv6"}]
    assert len(declare.read_services(declared)) == 8


def test_the_same_server_on_two_ports_is_two_destinations():
    found = read(address=VIP, port=80, destinations=[{"address": ONE, "port": p, "forward": "nat"} for p in (80, 81)])
    assert list(found.destinations) == [(ONE, 80), (ONE, 81)]


def test_limits_are_inclusive():
    ends = {"weight": 2147483647, "upper_threshold": 4294967295, "lower_threshold": 4294967295}
    wanted = read(address=VIP, port=65535, persistence=2678400, destinations=[{"address": ONE, **ends}])
    assert wanted.destinations[ONE, 65535] == Destination(4, ONE, 65535, "dr", 2147483647, 4294967295, 4294967295, ())
    assert read(firewall_mark=1).service.port == 1
    assert read(address=VIP, port=0, persistence=1).service.port == 0
    # A service that goes needs no reason to be.
    assert read(address=VIP, port=0, state="absent").absent


def test_addresses_are_compared_in_one_spelling():
    (line,) = problems({"address": "2001:db8:0::1", "port": 80}, {"address": "2001:DB8::0001", "port": 80})
    assert path_and_id(line) == ("services[1]", "declared-twice")
    assert "tcp [2001:db8::1]:80 " in line and " services[0]" in line
    (line,) = problems({"address": VIP, "port": 80, "destinations": [{"address": ONE}, {"address": " %s " % ONE}]})
    assert path_and_id(line) == ("services[0].destinations[1]", "listed-twice") and "destination 192.0.2.21:80 " in line


def test_an_error_names_the_value_and_the_choices():
    (line,) = problems({"address": VIP, "port": 80, "scheduler": "mh", "scheduler_flags": ["sh-port"]})
    assert path_and_id(line) == ("services[0].scheduler_flags", "scheduler-flag-unknown")
    assert "'sh-port'" in line and "scheduler mh" in line and "mh-fallback, mh-port" in line
    (line,) = problems({"address": VIP, "port": 8080, "destinations": [{"address": ONE, "port": 80}]})
    assert path_and_id(line) == ("services[0].destinations[0].port", "destination-port-differs")
    assert "80 differs" in line and "8080, or use nat" in line
    (line,) = problems({"address": VIP, "port": 80, "protocol": "icmp"})
    assert path_and_id(line) == ("services[0].protocol", "unknown-value") and "'icmp'" in line and "tcp, udp, sctp" in line
    tunnel = {"address": ONE, "forward": "tunnel", "tunnel": {"type": "gre", "checksum": "remcsum"}}
    (line,) = problems({"address": VIP, "port": 80, "destinations": [tunnel]})
    assert "remcsum" in line and "none, csum [" in line


def test_errors_are_counted_and_reported_once():
    with pytest.raises(LvsError) as caught:
        declare.read_services([{"port": 80}, {"address": VIP}])
    heading, *lines = str(caught.value).splitlines()
    assert heading == "The declared table can't be used: 2 errors, and nothing was changed"
    assert [path_and_id(line) for line in lines] == [
        ("services[0].address", "address-missing"),
        ("services[1].port", "service-port-missing"),
    ]


# Any JSON, under names that mean something. Left out are values of which is known that they end in another error
# than ours (a list or dictionary where a choice belongs, more than one minus sign).
NAMES = st.sampled_from((*declare.SERVICE_OPTIONS, *declare.DESTINATION_OPTIONS, "timeout", "netmask", "engine", "type", "checksum", "x"))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 70000), st.floats(), st.sampled_from((VIP, VIP6, ONE, "udp", "mh", "tunnel", "gue", "-1", ""))
)
CHOICES = ("protocol", "family", "scheduler", "state", "forward", "type", "checksum", "engine")


def plain_choices(item):
    return {name: None if name in CHOICES and isinstance(value, (list, dict)) else value for name, value in item.items()}


JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=5).map(plain_choices)),
    max_leaves=12,
)
DECLARED = st.dictionaries(NAMES, JSON, max_size=9).map(plain_choices)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(DECLARED, DECLARED, SCALARS), max_size=3))
def test_no_input_gives_another_error_than_ours(declared):
    try:
        wanted = declare.read_services(declared)
    except LvsError as error:
        assert all(line.startswith("services[") for line in error.details["problems"])
    else:
        assert len(wanted) == len(declared)


@settings(max_examples=200, deadline=None)
@given(entries())
def test_what_is_gathered_can_be_declared(entry):
    wanted = declare.read_services([describe.service_as_dict(entry)])[types.service_key(entry.service)]
    assert wanted.service == entry.service
    assert wanted.destinations == entry.destinations


def test_destinations_are_gathered_in_the_order_of_their_numbers():
    found = {(address, 80): Destination(4, address, 80, "dr", 1, 0, 0, ()) for address in ("192.0.2.10", "192.0.2.9", "192.0.2.100")}
    service = read(address=VIP, port=80).service
    gathered = describe.service_as_dict(types.Entry(service, found, {}))
    assert [item["address"] for item in gathered["destinations"]] == ["192.0.2.9", "192.0.2.10", "192.0.2.100"]
    assert sorted([("2001:db8::1", 1), ("192.0.2.1", 2), ("192.0.2.1", 1)], key=types.address_order)[0] == ("192.0.2.1", 1)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ((4, "tcp", VIP, 80), "tcp 198.51.100.100:80"),
        ((6, "sctp", VIP6, 80), "sctp [2001:db8:100::100]:80"),
        ((4, "fwmark", "", 5), "fwmark 5"),
        ((6, "fwmark", "", 5), "fwmark 5 (IPv6)"),
    ],
)
def test_names(key, name):
    assert types.service_name(key) == name


def test_a_key_is_a_tuple_and_nothing_more():
    """Ansible warns of a class of its own that gets into its variables, and a service's key does."""
    (wanted,) = declare.read_services([{"address": VIP, "port": 80, "destinations": [{"address": "192.0.2.9"}]}]).values()
    keys = types.service_key(wanted.service), types.destination_key(*wanted.destinations.values())
    assert keys == ((4, "tcp", VIP, 80), ("192.0.2.9", 80)) and {type(key) for key in keys} == {tuple}
