"""What real servers count: read from anything that they send, as many bytes as a viewer's link carries, and rates of it."""

import json

import pytest
from ansible.module_utils.lvsdr.console import collect
from hypothesis import given
from hypothesis import strategies as st
from looks import config


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


def test_rates():
    egress = collect.Egress({**config()})
    egress.take("edge1", {"s_live_0": 1000}, 10.0)
    assert egress.now["edge1"] == {"s_live_0": (1000, 0.0)}
    egress.take("edge1", {"s_live_0": 6000}, 20.0)
    assert egress.now["edge1"] == {"s_live_0": (6000, 500.0)}
    # A counter that began again has no rate, and goes on from there.
    egress.take("edge1", {"s_live_0": 100}, 30.0)
    assert egress.now["edge1"] == {"s_live_0": (100, 0.0)}
    egress.take("edge1", {"s_live_0": 300}, 31.0)
    assert egress.now["edge1"] == {"s_live_0": (300, 200.0)}
