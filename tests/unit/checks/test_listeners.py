"""What a program is bound to, and what follows for a service."""

import pytest
from ansible.module_utils.lvsdr.checks import listeners
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.streams import packets
from hypothesis import given
from hypothesis import strategies as st

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
    assert listeners.parse("tcp", tcp) == {("0.0.0.0", 80), (OWN, 8080)}
    tcp6 = HEAD + "   0: B80D0120000000000000000021000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 1 1\n"
    assert listeners.parse("tcp", tcp6) == {(OWN6, 80)}
    udp = HEAD + (
        "  10: 640200C0:2328 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4 2 0 0\n"
        "  11: 150200C0:2329 090200C0:C350 01 00000000:00000000 00:00000000 00000000     0        0 5 2 0 0\n"
    )
    assert listeners.parse("udp", udp) == {(VIP, 9000)}


def service(**changes):
    return {"name": "live", "protocol": "tcp", "port": 80, "vip": VIP, "own": OWN, **changes}


REFUSED = "Connection refused"
FINE = {"vip": None, "own": None}


@pytest.mark.parametrize(
    ("changes", "answers", "bound", "words"),
    [
        ({}, FINE, ["0.0.0.0"], None),
        ({}, FINE, ["::"], None),
        ({}, FINE, [VIP, OWN], None),
        # A connection that succeeds is proof: what the packet filter passes on has no socket here.
        ({}, FINE, [], None),
        ({}, FINE, [OWN], None),
        ({"vip": VIP6, "own": OWN6}, FINE, ["0.0.0.0"], None),
        ({}, {"vip": None, "own": REFUSED}, [], ": a connection fails to 192.0.2.21:80 (Connection refused), and no program"),
        ({}, {"vip": REFUSED, "own": None}, [], ": a connection fails to 192.0.2.100:80 (Connection refused), and no program"),
        ({"protocol": "udp", "kind": "srt"}, {"vip": None}, [], None),
        ({"protocol": "udp", "kind": "srt"}, {"vip": None}, [OWN], None),
        ({"protocol": "udp"}, {"vip": None}, [], None),
        ({"protocol": "udp"}, {"vip": REFUSED}, [], "nothing listens on udp port 80"),
        ({"protocol": "udp"}, {"vip": REFUSED}, [OWN], "listens on 192.0.2.21:80 only; bind to 0.0.0.0 or the VIP"),
        ({}, {"vip": REFUSED, "own": None}, [OWN], "live: tcp 192.0.2.100:80: listens on 192.0.2.21:80 only; bind to 0.0.0.0 or the VIP"),
        ({}, {"vip": REFUSED, "own": REFUSED}, ["127.0.0.1"], "listens on 127.0.0.1:80 only; bind to 0.0.0.0 or the VIP"),
        ({}, {"vip": None, "own": REFUSED}, [VIP], "listens on 192.0.2.100:80 only, and checks of the server's own address fail; bind to"),
        ({}, {"vip": REFUSED, "own": REFUSED}, [], "nothing listens on tcp port 80; start the program"),
        ({}, {"vip": "no answer within 2 s", "own": None}, ["0.0.0.0"],
         "a program listens on 0.0.0.0:80, but a connection fails to 192.0.2.100:80 (no answer within 2 s); see this host's packet filter"),
        ({}, {"vip": REFUSED, "own": REFUSED}, ["::"], "a program listens on [::]:80, but a connection fails to"),  # for IPv6 alone
        ({"vip": VIP6, "own": OWN6}, {"vip": REFUSED, "own": REFUSED}, ["0.0.0.0"], "live: tcp [2001:db8::100]:80: nothing listens"),
        ({"vip": VIP6, "own": OWN6}, {"vip": REFUSED, "own": None}, [OWN6], "listens on [2001:db8::21]:80 only; bind to [::] or the VIP"),
        ({"protocol": "udp"}, {}, ["0.0.0.0"], None),
        ({"protocol": "udp"}, {}, [VIP], None),
        ({"protocol": "udp"}, {}, [OWN], "live: udp 192.0.2.100:80: listens on 192.0.2.21:80 only; bind to 0.0.0.0 or the VIP"),
        ({"protocol": "udp"}, {}, [], "nothing listens on udp port 80"),
        ({"protocol": "udp", "kind": "srt"}, {"vip": None}, [VIP], None),
        ({"protocol": "udp", "kind": "srt"}, {"vip": "nothing within 2 s"}, ["0.0.0.0"],
         "a program listens on 0.0.0.0:80, but does not answer (nothing within 2 s); see that it speaks srt, and this host's"),
    ],
)  # fmt: skip
def test_what_is_wrong(changes, answers, bound, words):
    said = listeners.judge(service(**changes), answers, {(address, 80) for address in bound} | {("192.0.2.9", 81)})
    assert (said is None) == (words is None) and (words or "") in (said or "")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[2J", "\ud800"])
def test_a_name_that_can_name_nothing_is_refused(name):
    with pytest.raises(LvsError, match=r"services\[0\].name: .* is not one line of printable text") as caught:
        listeners.read_services([service(name=name)])
    assert str(caught.value).replace("\n", "").isprintable()


def test_a_long_name_does_not_fill_the_screen():
    said = listeners.judge(service(name="x" * 5000), {"vip": REFUSED, "own": REFUSED}, set())
    assert len(said) < 300 and "nothing listens on tcp port 80" in said


def test_bad_services_are_named():
    with pytest.raises(LvsError) as caught:
        listeners.read_services(
            [
                service(vip="x"),
                service(port=0),
                service(own=OWN6),
                service(protocol="sctp"),
                service(kind="srt"),
                service(protocol="udp", kind="payload"),
                service(name="http\n  - all is well"),
                service(name="\ud800"),
                service(protocol="udp", kind="dns", query="a..b"),
            ]
        )
    assert [line.split(": ")[0] for line in caught.value.details["problems"]] == [
        "services[0].vip", "services[1].port", "services[2].own", "services[3].protocol", "services[4].kind",
        "services[5].payload", "services[6].name", "services[7].name", "services[8].query"]  # fmt: skip
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


@pytest.mark.parametrize("make", [lambda: packets.read_hex("xyz"), lambda: packets.read_hex(""), lambda: packets.read_hex("0d" * 1401),
                                  lambda: packets.dns_question("a" * 64), lambda: packets.dns_question("ü"),
                                  lambda: packets.dns_question("a..b"), lambda: packets.dns_question(".a")])  # fmt: skip
def test_what_can_not_be_sent_is_named(make):
    with pytest.raises(LvsError):
        make()


@given(st.binary(max_size=80))
def test_any_answer_fits_or_not(data):
    for kind in packets.KINDS:
        assert packets.fits(kind, data) in (True, False)
    assert not packets.fits("srt", data[:63]) and not packets.fits("dns", data[:11])
