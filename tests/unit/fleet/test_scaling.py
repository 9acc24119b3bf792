"""How many servers a load needs: each rule by examples, the promises for any values, and whole days with noise."""

import json
import math
import sys

import loads
import pytest
from ansible.module_utils.lvsdr.fleet import scaling
from ansible.module_utils.lvsdr.fleet.scaling import LONGEST_PAUSE, Measured, State, decide
from hypothesis import given
from hypothesis import strategies as st

from inventories import anything

DAYS = 3 * 24 * 3600
NOTHING = (None, math.nan, math.inf, -math.inf, -1.0, -math.nan, 10**400)


def options(**changes):
    return {"min": 2, "max": 10, "connections": 800, "egress_mbit": None, "busy": None, "down_after": 600, "step": 60, **changes}


def measured(connections=None, awake=5, serving=None, **more):
    return Measured(connections, more.get("egress_mbit"), more.get("busy"), awake if serving is None else serving, awake)


def wanted(look, **changes):
    return decide(options(**changes), look, State(), 1000.0).wanted


def follow(seen, awake=5, every=60, state=None, **changes):
    """How many are awake after each look, of a fleet that does as it is told. seen: connections, or what of Measured is not as usual."""
    out, state, now = [], state or State(), 1e9
    for one in seen:
        one = one if isinstance(one, dict) else {"connections": one}
        now += one.pop("later", every)
        decision = decide(options(**changes), measured(**{"awake": awake, **one}), state, now)
        state, awake = decision.state, decision.wanted
        out.append(awake)
    return out


def parked_after(seen, **more):
    """Looks until the first server was parked, or None."""
    found = follow(seen, **more)
    return next((number for number, awake in enumerate(found) if awake < more.get("awake", 5)), None)


# --- up -----------------------------------------------------------------------------------------------------------------------------------

BUSY, EGRESS = {"connections": None, "busy": 70}, {"egress_mbit": 900}


@pytest.mark.parametrize(
    ("look", "changes", "servers"),
    [
        (measured(3150, 4), {}, 4), (measured(3200, 4), {}, 4), (measured(3201, 4), {}, 5), (measured(7900, 2), {}, 10),
        (measured(8001, 4), {}, 10), (measured(2.1, 2), {"connections": 0.7}, 3), (measured(1e300, 4), {"connections": 1e-300}, 10),
        (measured(3150, 4, egress_mbit=4501), EGRESS, 6), (measured(3300, 4, egress_mbit=2000), EGRESS, 5),
        (measured(3150, 4, egress_mbit=4501), {}, 4),
        (measured(busy=70, awake=4), BUSY, 4), (measured(busy=85, awake=4), BUSY, 5), (measured(busy=300, awake=4), BUSY, 10),
        (measured(100, 1), {}, 2), (measured(None, 1), {}, 2), (measured(None, 12), {}, 10), (measured(7900, 12), {}, 10),
        (measured(100, 0), {"min": 0}, 1), (measured(0, -3), {"min": 0}, 0), (measured(9000, 12, 6), {}, 10),
    ],
)  # fmt: skip
def test_a_load_needs_servers_at_once(look, changes, servers):
    assert wanted(look, **changes) == servers


@pytest.mark.parametrize(
    ("look", "servers"),
    [
        (measured(3150, 5, 3), 6),  # 4 have to serve, and 2 do not
        (measured(4000, 5, 3), 7),
        (measured(2000, 5, 3), 5),  # 3 are enough
        (measured(7000, 9, 6), 10),
        (measured(0, 5, 0), 7),  # whose viewers are gone, and come back
        (measured(900, 2, 1), 3),
        (measured(3150, 5, 9), 5), (measured(3150, 5, -9), 9),
    ],
)  # fmt: skip
def test_each_one_that_is_down_is_replaced(look, servers):
    assert wanted(look) == servers


def test_busyness_is_of_those_that_serve():
    assert wanted(measured(busy=100, awake=6, serving=4), **BUSY) == 8  # 400 % in all are 6 servers of 70 %, and 2 are down


# --- down ---------------------------------------------------------------------------------------------------------------------------------


def test_one_is_parked_after_a_quiet_time_and_then_one_a_step():
    assert follow([100] * 14) == [5] * 10 + [4, 3, 2, 2]
    assert follow([100] * 14, step=120) == [5] * 10 + [4, 4, 3, 3]
    assert follow([100] * 4, down_after=0) == [4, 3, 2, 2]
    assert follow([100] * 4, down_after=0, step=0, every=1) == [4, 3, 2, 2]


def test_defaults():
    without = {name: value for name, value in options().items() if name not in ("down_after", "step")}
    state, found = State(), []
    for look in range(43):
        decision = decide(without, measured(100, 5 - len(found)), state, look * 30.0)
        state = decision.state
        found += [look * 30] * (decision.wanted < 5 - len(found))
    assert found == [scaling.DOWN_AFTER, scaling.DOWN_AFTER + scaling.STEP] == [1200, 1260]


@pytest.mark.parametrize(
    ("look", "changes", "parked"),
    [
        ({"connections": 2560}, {}, 10), ({"connections": 2561}, {}, None), ({"connections": 100}, {"min": 5}, None),
        ({"connections": 100, "egress_mbit": 2880}, EGRESS, 10), ({"connections": 100, "egress_mbit": 2881}, EGRESS, None),
        ({"busy": 44.8}, BUSY, 10), ({"busy": 44.9}, BUSY, None),  # five at 44.8 % are four at 56 %, which is 80 % of 70 %
    ],
)  # fmt: skip
def test_the_others_must_have_room_to_spare(look, changes, parked):
    assert parked_after([dict(look) for _ in range(30)], **changes) == parked


@pytest.mark.parametrize(
    "odd",
    [3000, 9000, None, math.nan, {"connections": 100, "serving": 4}, {"connections": 100, "later": LONGEST_PAUSE + 1}],
)
def test_a_short_peak_and_what_nobody_knows_begin_the_wait_again(odd):
    """Even just before its end."""
    before = [100] * 9
    found = follow([*before, odd if not isinstance(odd, dict) else dict(odd), *[100] * 12])
    assert len(set(found[9:19])) == 1 and min(found) < found[9], found
    assert follow([*before, 100, 100])[-1] == 4, "it would have been parked"


def test_each_number_of_servers_waits_for_itself():
    """4 are enough all the time, 3 only for the last 5 minutes when one is parked."""
    assert follow([2000] * 6 + [100] * 12) == [5] * 10 + [4] * 6 + [3, 2]
    # A server that was just woken has the whole wait before it.
    assert follow([100] * 8 + [4100] + [100] * 12, awake=5) == [5] * 8 + [6] * 11 + [5, 4]


def test_none_is_parked_on_partial_knowledge_but_some_may_be_woken():
    partly = {"connections": 100, "egress_mbit": None}
    assert parked_after([dict(partly) for _ in range(40)], **EGRESS) is None
    assert parked_after([{"connections": 100, "egress_mbit": 10} for _ in range(40)], **EGRESS) == 10
    assert wanted(measured(None, 4, egress_mbit=4501), **EGRESS) == 6


def test_nothing_measured_changes_nothing():
    for value in NOTHING:
        assert wanted(measured(value, 5, 0)) == 5
        assert set(follow([value] * 40)) == {5}
    assert set(follow([100] * 40, connections=None)) == {5}, "nothing is asked for"


def test_none_is_parked_while_one_is_down():
    assert parked_after([{"connections": 100, "serving": 4} for _ in range(40)]) is None


# --- the clock ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [-30, -DAYS, DAYS, LONGEST_PAUSE + 1])
def test_a_clock_that_was_set_begins_the_wait_again(later):
    assert parked_after([100] * 8 + [{"connections": 100, "later": later}] + [100] * 30) == 8 + 10
    # Every time, and in the middle of steps down.
    assert parked_after([{"connections": 100, "later": later} for _ in range(40)]) is None
    assert follow([100] * 12 + [{"connections": 100, "later": later}] + [100] * 10, min=1) == [5] * 10 + [4, 3] + [3] * 10 + [2]


def test_a_pause_does_not_forget_the_last_step_down():
    assert follow([100] * 7, down_after=0, step=3600, every=1000) == [4, 4, 4, 4, 3, 3, 3]
    # Nor does a clock that was set back let the next step come sooner.
    back = [100, {"connections": 100, "later": -DAYS}, *[100] * 8]
    assert follow(back, down_after=0, step=300) == [4] * 6 + [3] * 4


# --- what is said -------------------------------------------------------------------------------------------------------------------------

QUIET = State(999.0, None, {4: 600.0, 3: 760.0})


@pytest.mark.parametrize(
    ("look", "changes", "state", "why"),
    [
        (measured(3150, 3), {}, State(), "3,150 connections need 4 servers of 800"),
        (measured(3150, 5, 3), {}, State(), "3,150 connections need 4 servers of 800, and 2 of 5 servers are down"),
        (measured(1e20, 1, 0), {}, State(), "1e+20 connections need more than 10 servers of 800, and 1 of 1 server is down; max is 10"),
        (measured(10, 1, egress_mbit=62.5), {"egress_mbit": 50}, State(), "62.5 Mbit/s need 2 servers of 50"),
        (measured(busy=85, awake=4), BUSY, State(), "busyness of 85 % on 4 servers needs 5 servers at 70 %"),
        (measured(3150, 5), {}, State(), "3,150 connections need 4 servers of 800, and 5 with room to spare"),
        (measured(3150, 10), {"min": 4, "max": 4}, State(), "10 servers are awake, and max is 4"),
        (measured(None, 1), {}, State(), "1 server is awake, and min is 2"),
        (measured(10, 1), {}, State(), "min is 2"), (measured(10, 2), {}, State(), "min is 2"),
        (measured(10, 2, 1), {}, State(), "min is 2, and 1 of 2 servers is down"),
        (measured(), {}, State(), "nothing could be measured: 5 servers stay awake"),
        (measured(10), {"egress_mbit": 9, "busy": 9}, State(), "egress_mbit and busy could not be measured: none is parked"),
        (measured(10, 5, 4), {}, State(), "1 of 5 servers is down: none is parked"),
        (measured(10), {}, QUIET, "4 servers have been enough for 400 of 600 s"),
        (measured(10), {"down_after": 400}, QUIET, "4 servers have been enough for 400 s"),
        (measured(10, 2), {"min": 1, "down_after": 300}, State(999.0, 990.0, {1: 700.0}), "the last server was parked 10 of 60 s ago"),
        (measured(10, 2), {"min": 1}, State(999.0, 990.0, {1: 700.0}), "1 server has been enough for 300 of 600 s"),
    ],
)  # fmt: skip
def test_why(look, changes, state, why):
    assert decide(options(**changes), look, state, 1000.0).why == why


# --- any values ---------------------------------------------------------------------------------------------------------------------------

any_number = st.one_of(st.sampled_from(NOTHING), st.floats(), st.floats(0, 1e4), st.integers(0, 10**4))
targets = st.one_of(st.none(), st.floats(0.001, 1e4), st.integers(1, 1000))
bounds = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)
any_options = st.builds(
    lambda both, **more: {"min": both[0], "max": both[1], **more},
    bounds, connections=targets, egress_mbit=targets, busy=targets, down_after=st.integers(0, 600), step=st.integers(0, 300),
)  # fmt: skip
any_count = st.one_of(st.integers(-2, 14), st.integers(-(2**63), 2**63))
any_measured = st.builds(Measured, any_number, any_number, any_number, any_count, any_count)
any_later = st.one_of(st.integers(0, 400), st.floats(-1e7, 1e7))
times = st.one_of(st.none(), st.floats(0, 1e10), st.integers(0, 10**10))


def servers_worth(given_options, look):
    """Each criterion that counts and was measured, as the number of servers that it is worth."""
    serving = max(0, min(look.serving, look.awake))
    values = {"connections": look.connections, "egress_mbit": look.egress_mbit, "busy": look.busy}
    for name, value in values.items():
        if given_options[name] is not None and value is not None and 0 <= value <= sys.float_info.max:
            yield value * (serving if name == "busy" else 1) / given_options[name]


@given(any_options, st.lists(st.tuples(any_measured, any_later), max_size=8), st.floats(0, 1e10))
def test_promises_for_any_values(chosen, seen, now):
    state = State()
    for look, later in seen:
        now += later
        decision = decide(chosen, look, state, now)
        awake, state = max(0, look.awake), decision.state
        assert chosen["min"] <= decision.wanted <= chosen["max"]
        assert decision.wanted >= min(awake, chosen["max"]) - 1, "one at a time"
        assert decision.why and decision.why.isprintable() and len(decision.why) < 150
        json.dumps(state.to_data(), allow_nan=False)
        worth = max(servers_worth(chosen, look), default=None)
        left = decision.wanted - (awake - max(0, min(look.serving, awake)))
        if worth is not None and decision.wanted < chosen["max"]:
            assert left >= max(worth - 1e-6, chosen["min"]), "enough"
        if worth is not None and decision.wanted > awake:
            assert left <= chosen["min"] or left - 1 < worth, "and no more"


some_options = st.builds(
    options, min=st.integers(0, 2), down_after=st.integers(0, 400), step=st.integers(0, 300), egress_mbit=st.sampled_from([None, 900])
)
some_connections = st.sampled_from([None, 0, 500, 900, 1500, 2500, 5000])
some_looks = st.tuples(
    some_connections, st.sampled_from([100, 100, 100, None]), st.sampled_from([0, 0, 0, 0, 1]), st.integers(1, LONGEST_PAUSE)
)


@given(some_options, st.lists(some_looks, min_size=5, max_size=60))
def test_each_one_that_is_parked_was_not_needed_for_the_whole_wait(chosen, seen):
    """Against the whole past, of which a state holds the least part."""
    state, awake, now, past, parked_at = State(), 6, 0, [], -math.inf
    for connections, egress, down, later in seen:
        now += later
        unknown = connections is None or (chosen["egress_mbit"] and egress is None) or down
        past.append((now, math.inf if unknown else connections / 800, awake))
        decision = decide(chosen, measured(connections, awake, awake - down, egress_mbit=egress), state, now)
        assert decision.wanted >= awake - 1
        if decision.wanted < awake:
            since = max((at for at, load, had in past if load > 0.8 * (awake - 1) or had < awake), default=-1)
            quiet = [at for at, _load, _had in past if at > since]
            assert now - quiet[0] >= chosen["down_after"] and now - parked_at >= chosen["step"]
            parked_at = now
        state, awake = decision.state, decision.wanted


@given(st.builds(State, times, times, st.dictionaries(st.integers(0, 50), st.floats(0, 1e10))))
def test_a_state_goes_through_json(state):
    assert State.from_data(json.loads(json.dumps(state.to_data()))) == state


part = st.one_of(anything, times)
waits = st.dictionaries(st.text("0123x", max_size=3), part)
almost = st.fixed_dictionaries({}, optional={"at": part, "parked_at": part, "enough": st.one_of(part, waits)})


@given(st.one_of(anything, almost))
def test_a_state_is_read_from_rubbish(data):
    state = State.from_data(data)
    assert State.from_data(json.loads(json.dumps(state.to_data(), allow_nan=False))) == state
    assert decide(options(), measured(100), state, 1e9).wanted in (4, 5)


@pytest.mark.parametrize(
    "change",
    [{"at": "1"}, {"at": math.nan}, {"at": math.inf}, {"at": 10**400}, {"parked_at": []}, {"enough": [4]}, {"enough": {"four": 1}},
     {"enough": {"4": None}}, {"enough": {"4": math.nan}}, {"enough": {"9" * 5000: 1}}, {"at": object()},
     {"enough": {None: 1}}, {"enough": {math.inf: 1}}],
)  # fmt: skip
def test_what_is_wrong_in_one_place_is_not_believed_in_another(change):
    good = {"at": 990, "parked_at": None, "enough": {"4": 0}}
    assert decide(options(), measured(100), State.from_data(good), 1000).wanted == 4
    assert State.from_data({**good, **change}) == State()
    for name in good:
        assert State.from_data({other: value for other, value in good.items() if other != name}) == State()


# --- days ---------------------------------------------------------------------------------------------------------------------------------

SEEDS = [None, *range(10)]  # None: without noise
# Football has a half-time, and a service of it a wait that is longer.
CURVES = {
    "match": (loads.MATCH, {"down_after": 1200}, {}),
    "evening with an outage": (loads.EVENING, {}, {"down": (150, 160, 2), "blind": (200, 205)}),
    "day and night": (loads.DAY, {}, {}),
}
# How often the number of servers turns without noise: up and down; up for the two that are down, and down; down, up and down.
TURNS = {"match": 1, "evening with an outage": 1, "day and night": 2}
# The share of the most servers that is awake on average, at most.
SAVED = {"match": 0.6, "evening with an outage": 0.8, "day and night": 0.6}


def lived(name, seed, **changes):
    curve, own, events = CURVES[name]
    noise = {} if seed is None else {"noise": 0.1, "seed": seed}
    return loads.live(curve, options(**{"max": 12, **own, **changes}), **noise, **events)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CURVES)
def test_servers_follow_a_day(name, seed):
    past = lived(name, seed)
    assert past.late == 0, "what is needed serves after one look and the time to wake"
    assert past.turns <= TURNS[name] and (past.turns == TURNS[name] or seed is not None)
    assert past.soonest_back > CURVES[name][1].get("down_after", 600), "no flapping: %s" % past.steps
    assert past.mean < SAVED[name] * max(past.awake), "servers are saved"


def test_what_happens_in_the_evening():
    """Two more within a minute when two fail, none for what is not measured, and they go 10 minutes after the others are back."""
    past = lived("evening with an outage", None)
    assert past.awake[149:152] == [6, 8, 8]
    assert past.awake[159:171] == [8] * 11 + [7]
    assert len(set(past.awake[171:240])) == 1


@pytest.mark.parametrize("seed", SEEDS[1:])
def test_a_wait_that_is_shorter_than_half_time_costs_flapping_but_no_viewers(seed):
    past = lived("match", seed, down_after=600)
    assert any(147 * 60 < second < 162 * 60 and more < 0 for second, more in past.steps)
    assert past.late == 0
