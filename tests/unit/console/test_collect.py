"""What real servers count: read from anything that they send, as many bytes as a viewer's link carries, and rates of it."""

import json

import pytest
from ansible.module_utils.lvsdr.console import collect, look, page
from ansible.module_utils.lvsdr.console.memory import Memory
from hypothesis import given
from hypothesis import strategies as st
from looks import check, config, seen


def answer(**counted):
    rows = [{"counter": {"name": name, "bytes": pair[0], "packets": pair[1], "table": "x"}} for name, pair in counted.items()]
    return json.dumps({"nftables": [{"metainfo": {"version": "1"}}, *rows]}).encode()


def test_counters_are_read():
    assert collect.counters(answer(a=(5, 1), b=(0, 0))) == {"a": (5, 1), "b": (0, 0)}


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff", b"{", b"[" * 100_000, b"{}", b'{"nftables": 5}', b'{"nftables": [5]}', b'{"nftables": [{"counter": []}]}',
     answer(a=("5", 1)), answer(a=(-1, 1)), answer(a=(1 << 64, 1)), answer(a=(1.5, 1)), answer(a=(None, None))],
)  # fmt: skip
def test_anything_may_come(text):
    assert collect.counters(text) == {}


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 30), st.sampled_from([0, 52, 72]))
def test_the_wire_never_carries_less_than_was_counted(count, packets, header):
    assert collect.on_wire(count, packets, header) >= count


@given(st.integers(1, 10_000), st.integers(1, 44), st.sampled_from([52, 72]))
def test_large_packets_count_as_their_segments(number, segments, header):
    data = segments * (collect.VIEWERS_MTU - header)
    assert collect.on_wire(number * (data + header), number, header) == number * (data + header * segments)
    assert collect.on_wire(number * header, number, header) == number * header, "packets without data"


def test_rates_and_totals():
    egress = collect.Egress({**config()})

    def take(count, packets, now):
        egress.take("edge1", {"s_live_0": (count, packets), "somebody_else": (1, 1)}, now)
        return egress.now["edge1"]

    assert take(1500, 1, 10.0) == {"s_live_0": (1500, 0.0)}
    assert take(1500 + 3000, 3, 20.0) == {"s_live_0": (4500, 300.0)}
    # One that began again has sent what it says.
    assert take(1500, 1, 30.0) == {"s_live_0": (6000, 150.0)}
    assert take(1500, 1, 31.0) == {"s_live_0": (6000, 0.0)}


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 20)), min_size=2, max_size=8))
def test_totals_never_fall(pairs):
    """Packets shorter than the usual headers, such as a RST, take nothing away from what was sent before."""
    egress, seen = collect.Egress({**config()}), 0
    for now, pair in enumerate(pairs):
        egress.take("edge1", {"s_live_0": pair}, float(now))
        total, rate = egress.now["edge1"]["s_live_0"]
        assert total >= seen and rate >= 0
        seen = total


GOOD = {
    "at": 1.0, "config": "d", "sync": ["master"], "files": {"drained-x": {"who": "a", "why": "", "since": None}},
    "checks": [check("edge1", certificate_ends=1893456000)],
    "checks_age": None, "addresses": ["192.0.2.1"], "keepalived": True,
    "services": [{"key": "tcp 192.0.2.100:80", "scheduler": "wrr", "counters": dict.fromkeys(look.COUNTERS, 0), "destinations": [
        {"address": "192.0.2.21", "port": 80, "weight": 1, "active": 0, "inactive": 0, "counters": dict.fromkeys(look.COUNTERS, 0)}]}],
}  # fmt: skip
OTHERS = (None, 5, "x", [], {}, [5], [None], [{}], {"a": 5}, {"a": {}}, True, 1.5, 1e300, "<meta http-equiv=refresh>")


def test_a_look_is_read():
    assert look.decoded(json.dumps(GOOD).encode())["services"]["tcp 192.0.2.100:80"]["destinations"]["192.0.2.21", 80]["weight"] == 1


def places_in(item, path=()):
    """The path to each value in nested data."""
    for key, value in item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ():
        yield (*path, key)
        yield from places_in(value, (*path, key))


def test_anything_else_in_a_look_is_refused_or_harmless():
    """The other director is known by its address alone. What is taken goes through the whole page."""
    made, count = config(), 0
    for path in places_in(GOOD):
        for other in OTHERS:
            planted = json.loads(json.dumps(GOOD))
            item = planted
            for key in path[:-1]:
                item = item[key]
            item[path[-1]] = other
            found = look.decoded(json.dumps(planted).encode())
            if found is not None:
                state = seen(made, {"director1": None, "director2": found})
                Memory().take(state)
                assert "<meta http-equiv=refresh" not in page.page(state).partition("<body>")[2], path
                count += 1
    assert 20 < count < len(OTHERS) * len(list(places_in(GOOD))) / 3, "most are refused"
