"""What a program is bound to, and what follows for a service."""

import pytest
from ansible.module_utils.lvsdr.checks import listeners
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.streams import packets
from hypothesis import given
from hypothesis import strategies as st
from said import path_and_id

from inventories import VIP, VIP6

OWN, OWN6 = "192.0.2.21", "2001:db8::21"
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def test_the_kernels_files():
    """As a little-endian host prints them."""
    tcp = HEAD + (
        "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"
        "   1: 150200C0:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0\n"
        "   2: 150200C0:0050 090200C0:C350 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0\n"
    )
    assert listeners.parse("tcp", tcp) == [(("0.0.0.0", 80), 1), ((OWN, 8080), 2)]
    tcp6 = HEAD + "   0: B80D0120000000000000000021000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 1 1\n"
    assert listeners.parse("tcp", tcp6) == [((OWN6, 80), 1)]
    udp = HEAD + (
        "  10: 640200C0:2328 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4 2 0 0\n"
        "  11: 150200C0:2329 090200C0:C350 01 00000000:00000000 00:00000000 00000000     0        0 5 2 0 0\n"
    )
    assert listeners.parse("udp", udp) == [((VIP, 9000), 4)]


def service(**changes):
    return {"name": "live", "protocol": "tcp", "port": 80, "vip": VIP, "own": OWN, **changes}


REFUSED = "Connection refused"
FINE = {"vip": None, "own": None}


@pytest.mark.parametrize(
    ("changes", "answers", "bound", "id", "words"),
    [
        ({}, FINE, ["0.0.0.0"], None, ""),
        ({}, FINE, ["::"], None, ""),
        ({}, FINE, [VIP, OWN], None, ""),
        # A connection that succeeds is proof: what the packet filter passes on has no socket here.
        ({}, FINE, [], None, ""),
        ({}, FINE, [OWN], None, ""),
        ({"vip": VIP6, "own": OWN6}, FINE, ["0.0.0.0"], None, ""),
        ({}, {"vip": None, "own": REFUSED}, [], "half-published", " to 192.0.2.21:80 (Connection refused), "),
        ({}, {"vip": REFUSED, "own": None}, [], "half-published", " to 192.0.2.100:80 (Connection refused), "),
        ({"protocol": "udp", "type": "srt"}, {"vip": None}, [], None, ""),
        ({"protocol": "udp", "type": "srt"}, {"vip": None}, [OWN], None, ""),
        ({"protocol": "udp"}, {"vip": None}, [], None, ""),
        ({"protocol": "udp"}, {"vip": REFUSED}, [], "missing", "udp port 80"),
        ({"protocol": "udp"}, {"vip": REFUSED}, [OWN], "not-on-vip", "192.0.2.21:80 only; bind to 0.0.0.0 or the VIP"),
        ({}, {"vip": REFUSED, "own": None}, [OWN], "not-on-vip", "live: tcp 192.0.2.100:80: listens on 192.0.2.21:80 only;"),
        ({}, {"vip": REFUSED, "own": REFUSED}, ["127.0.0.1"], "not-on-vip", "127.0.0.1:80 only; bind to 0.0.0.0 or the VIP"),
        ({}, {"vip": None, "own": REFUSED}, [VIP], "not-on-own-address", "192.0.2.100:80 only, "),
        ({}, {"vip": REFUSED, "own": REFUSED}, [], "missing", "tcp port 80"),
        ({}, {"vip": "no answer within 2 s", "own": None}, ["0.0.0.0"], "refuses", "192.0.2.100:80 (no answer within 2 s)"),
        ({}, {"vip": REFUSED, "own": REFUSED}, ["::"], "refuses", "a program listens on [::]:80"),  # for IPv6 alone
        ({"vip": VIP6, "own": OWN6}, {"vip": REFUSED, "own": REFUSED}, ["0.0.0.0"], "missing", "live: tcp [2001:db8::100]:80: "),
        ({"vip": VIP6, "own": OWN6}, {"vip": REFUSED, "own": None}, [OWN6], "not-on-vip", "[2001:db8::21]:80 only; bind to [::] or"),
        ({"protocol": "udp"}, {}, ["0.0.0.0"], None, ""),
        ({"protocol": "udp"}, {}, [VIP], None, ""),
        ({"protocol": "udp"}, {}, [OWN], "not-on-vip", "live: udp 192.0.2.100:80: listens on 192.0.2.21:80 only;"),
        ({"protocol": "udp"}, {}, [], "missing", "udp port 80"),
        ({"protocol": "udp", "type": "srt"}, {"vip": None}, [VIP], None, ""),
        ({"protocol": "udp", "type": "srt"}, {"vip": "no reply within 2 s"}, ["0.0.0.0"], "silent",
         "(no reply within 2 s); check that it speaks srt"),
    ],
)  # fmt: skip
def test_what_is_wrong(changes, answers, bound, id, words):
    found = listeners.judge(service(**changes), answers, {(address, 80) for address in bound} | {("192.0.2.9", 81)})
    assert (found and found.id) == (id and "listener-" + id)
    assert words in (found.text if found else "")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[2J", "\ud800"])
def test_a_name_that_can_name_nothing_is_refused(name):
    with pytest.raises(LvsError) as caught:
        listeners.read_services([service(name=name)])
    assert [path_and_id(line) for line in caught.value.details["problems"]] == [("services[0].name", "listener-name-invalid")]
    assert str(caught.value).replace("\n", "").isprintable()


def test_a_long_name_does_not_fill_the_screen():
    found = listeners.judge(service(name="x" * 5000), {"vip": REFUSED, "own": REFUSED}, set())
    assert len(found.text) < 300 and found.id == "listener-missing" and "tcp port 80" in found.text


def test_bad_services_are_named():
    with pytest.raises(LvsError) as caught:
        listeners.read_services(
            [
                service(vip="x"),
                service(port=0),
                service(own=OWN6),
                service(protocol="sctp"),
                service(type="srt"),
                service(protocol="udp", type="payload"),
                service(name="http\n  - all is well"),
                service(name="\ud800"),
                service(protocol="udp", type="dns", query="a..b"),
            ]
        )
    assert [path_and_id(line) for line in caught.value.details["problems"]] == [
        ("services[0].vip", "not-an-address"),
        ("services[1].port", "out-of-range"),
        ("services[2].own", "listener-other-family"),
        ("services[3].protocol", "unknown-value"),
        ("services[4].type", "listener-type-of-tcp"),
        ("services[5].payload", "payload-invalid"),
        ("services[6].name", "listener-name-invalid"),
        ("services[7].name", "listener-name-invalid"),
        ("services[8].query", "dns-name-invalid"),
    ]
    assert "\n" not in "".join(caught.value.details["problems"])


# --- packets ------------------------------------------------------------------------------------------------------------------------


def test_the_packets():
    """Byte by byte; tests/netns/test_listeners.py shows that a real SRT listener answers the first."""
    assert packets.srt_induction().hex() == (
        "80000000" "00000000" "00000000" "00000000" "00000004" "00000002" "00000000" "000005dc" "00002000" "00000001" "00001d5a" "00000000"
        + "0" * 32
    )  # fmt: skip
    assert packets.dns_question(".").hex() == "1d5a01000001000000000000" "0000020001"  # fmt: skip
    assert packets.dns_question("example.com.")[12:].hex() == "076578616d706c6503636f6d00" "00020001"  # fmt: skip
    assert packets.question("payload", "0x0d 0A") == b"\r\n"


@pytest.mark.parametrize(
    ("make", "value", "id"),
    [
        *((packets.read_hex, value, "payload-invalid") for value in ("xyz", "", "0d" * 1401)),
        *((packets.dns_question, value, "dns-name-invalid") for value in ("a" * 64, "ü", "a..b", ".a")),
    ],
)
def test_what_can_not_be_sent_is_named(make, value, id):
    with pytest.raises(LvsError) as caught:
        make(value)
    assert caught.value.line.id == id


@given(st.binary(max_size=80))
def test_any_answer_fits_or_not(data):
    for type in packets.TYPES:
        assert packets.fits(type, data) in (True, False)
    assert not packets.fits("srt", data[:63]) and not packets.fits("dns", data[:11])
