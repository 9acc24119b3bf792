"""What a row of results means for a server's weight."""

import math

import pytest
from ansible.module_utils.lvsdr.checks.verdicts import DOWN, OUT, RAMP_FROM, UNKNOWN, UP, Load, Together, Verdict, offset, shares
from hypothesis import given
from hypothesis import strategies as st


def after(results, **options):
    verdict = Verdict(**options)
    for now, good in enumerate(results):
        verdict.add(good, "why", now)
    return verdict


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ([], UNKNOWN), ([True], UP), ([False], UNKNOWN), ([False, False], DOWN), ([True, False], UP), ([True, False, False], DOWN),
        ([True, False, True, False], UP), ([False, False, True, True], DOWN), ([False, False, True, True, True], UP),
        ([False, False, True, True, False, True], DOWN),
    ],
)  # fmt: skip
def test_rows(results, state):
    assert after([*results], fall=2, rise=3).state == state


def test_a_change_is_told_once():
    verdict = Verdict()
    assert [verdict.add(good, str(now), now) for now, good in enumerate([True, True, False, False, True, True, True])] == [
        True, False, True, False, False, True, False,
    ]  # fmt: skip


def test_a_server_that_comes_back_begins_small():
    verdict = after([True, False, True, True], slow_start=100)
    assert [round(verdict.share(3 + seconds), 2) for seconds in (0, 5, 50, 99, 100, 1000)] == [RAMP_FROM, RAMP_FROM, 0.5, 0.99, 1, 1]
    assert after([True], slow_start=100).share(0) == 1, "the checker begins, not the server"
    assert Verdict(slow_start=100).share(0) == 1


def test_the_floor_keeps_those_that_went_last():
    def fleet(*ends):
        """Servers that went down at these times; None for one that is up."""
        return {"s%d" % number: after([True] if end is None else [True] * end + [False]) for number, end in enumerate(ends)}

    assert shares(fleet(3, 1, None, 2), 0.5, 9) == {"s0": 1, "s1": 0, "s2": 1, "s3": 0}
    assert shares(fleet(3, 1, 4, 2), 0.75, 9) == {"s0": 1, "s1": 0, "s2": 1, "s3": 1}
    assert shares(fleet(3, 1, None, 2), 0, 9) == {"s0": 0, "s1": 0, "s2": 1, "s3": 0}
    assert shares(fleet(3, 1), 1, 9) == {"s0": 1, "s1": 1}
    assert shares({}, 1, 9) == {}
    hundred = {str(number): after([True, False]) for number in range(100)}
    assert sum(shares(hundred, 0.07, 9).values()) == 7, "which a computer takes for a little more than 7"


@given(st.lists(st.lists(st.booleans(), max_size=8), max_size=8), st.floats(0, 1))
def test_the_floor_holds(rows, floor):
    verdicts = {str(number): after(row, slow_start=5) for number, row in enumerate(rows)}
    found = shares(verdicts, floor, 9)
    assert sum(share > 0 for share in found.values()) >= min(len(rows), math.ceil(round(floor * len(rows), 9)))
    assert all(found[name] > 0 for name, verdict in verdicts.items() if verdict.state != DOWN)


@given(st.integers(1, 2**31 - 1), st.floats(0, 1))
def test_the_number_for_keepalived(weight, share):
    left = weight + offset(weight, share)
    assert left <= 0 if share == 0 else 1 <= left <= weight
    assert (offset(weight, 1.0), offset(weight, 0.0)) == (0, OUT)


def heard(*lines, **options):
    load = Load(**options)
    shares = []
    for line in lines:
        load.hear(line)
        shares.append(round(load.share, 3))
    return shares


@pytest.mark.parametrize(
    ("lines", "shares"),
    [
        (["75%"], [0.75]),
        (["100%", "50%", "50%", "50%"], [1, 0.75, 0.625, 0.625]),
        (["50%", "52%", "45%"], [0.5, 0.5, 0.5]),
        (["50%", "0%", "80%"], [0.5, 0, 0.4]),
        (["50%", "100%"], [0.5, 1]),
        (["drain", "75%", "ready"], [0, 0, 0.75]),
        (["up", "maint", "up 40%"], [1, 0, 0.4]),
        (["down # the disk is full", "75% up"], [0, 0.75]),
        (["stopped,maxconn:30", "failed"], [0, 0]),
        (["300%"], [1]),
        (["drain", "", "", "ready"], [0, 0, 0, 1]),
        (["drain", "", "", ""], [0, 0, 0, 1]),
        (["drain", "", "drain", "", ""], [0, 0, 0, 0, 0]),
        (["nonsense", "%", "-5%", "5.5%"], [1, 1, 1, 1]),
        (["20%", "20%", "fail", "fail", "fail"], [0.2, 0.2, 0, 0, 0]),
        (["FAIL", "Ready", "DRAIN#x"], [0, 1, 0]),
        (["drain", "nonsense", "nonsense", "nonsense", "nonsense"], [0, 0, 0, 0, 0]),
        (["50%", "# only words", "\t", "50%"], [0.5, 0.5, 0.5, 0.5]),
        (["up\t30%\r"], [0.3]),
    ],
)  # fmt: skip
def test_what_an_agent_says(lines, shares):
    assert heard(*lines) == shares


def test_a_line_that_is_not_understood_is_said_once():
    load = Load()
    assert [load.hear(line) for line in ("up", "overload", "overload", "75%", "over\x1bload", "overload")] == [
        False, True, False, False, True, True,
    ]  # fmt: skip


def test_what_is_not_understood_says_nothing_against_a_server():
    verdict = after([True, None, None, None])
    assert verdict.state == UP
    assert after([None]).state == UNKNOWN and after([None]).share(0) == 1
    # Nor does it keep one out that was out for another reason.
    down = after([True, False, None], rise=2)
    assert down.state == DOWN
    assert down.add(None, "odd", 9) and down.state == UNKNOWN and down.share(9) == 1
    assert after([True, False, None, False, None], rise=2).state == DOWN, "not in a row"


def together(*results, **options):
    """(Together, verdicts) after these results of three servers, one a second: each {name: True, or the kind of a trouble}."""
    found, both = {name: Verdict(rise=1) for name in "abc"}, Together(5, **options)
    for now, looks in enumerate(results):
        for name, result in looks.items():
            found[name].add(result is True, "why", now, None if result is True else result)
        both.look(list(found.values()), now)
    return both, found


GOOD = dict.fromkeys("abc", True)


@pytest.mark.parametrize(
    ("results", "kept"),
    [
        ([GOOD, dict.fromkeys("abc", "still")], True),
        ([GOOD, {"a": "still"}, {"b": "still"}, {"c": "still"}], True),
        ([dict.fromkeys("abc", "still")], True),
        ([GOOD, {"a": "still"}], False),
        ([GOOD, {"a": "still", "b": "still", "c": "tls"}], False),
        ([GOOD, {"a": "still", "b": "still"}, *[{}] * 6, {"c": "still"}], False),
        ([GOOD, dict.fromkeys("abc", "still"), {"a": True}], True),
        ([GOOD, dict.fromkeys("abc", "still"), GOOD], False),
        ([GOOD, dict.fromkeys("abc", "still"), {"a": True}, *[{}] * 7], False),
        ([GOOD, dict.fromkeys("abc", "still"), {"a": True}, {"a": "other"}, *[{}] * 9], True),
    ],
)
def test_all_at_once_is_no_servers_fault(results, kept):
    both, found = together(*results)
    assert both.kept == kept
    after_all = shares(found, 0, len(results), kept=both.kept)
    assert (
        all(share == 1 for share in after_all.values())
        if kept
        else set(after_all.values()) == {0.0 if verdict.state == DOWN else 1.0 for verdict in found.values()}
    )


def test_all_at_once_where_they_are_to_go():
    both, found = together(GOOD, dict.fromkeys("abc", "still"), keep=False)
    assert both.failed and not both.kept and set(shares(found, 0, 1, kept=both.kept).values()) == {0}


def test_who_was_kept_in_does_not_come_back_slowly():
    found = [Verdict(rise=1, slow_start=60) for _number in range(2)]
    both = Together(5)
    for now, good in enumerate((True, False, True)):
        for verdict in found:
            verdict.add(good, "why", now, "still")
            both.look(found, now)
    assert [verdict.share(2) for verdict in found] == [1, 1]


def test_smoothing_and_steps():
    assert heard("100%", "50%", "50%", smoothing=1, step=0) == [1, 0.5, 0.5]
    assert heard("100%", "80%", "60%", "55%", smoothing=1, step=0.3) == [1, 1, 0.6, 0.6]
    assert heard("50%", "95%", "100%", smoothing=1, step=0.1) == [0.5, 0.95, 1], "all of it is said at once"


@given(st.lists(st.one_of(st.text(max_size=12), st.sampled_from(["50%", "drain", "up", "0%", "100%"]))))
def test_no_line_of_an_agent_leads_astray(lines):
    assert all(0 <= share <= 1 for share in heard(*lines))


def test_a_server_that_wants_none_is_no_server_to_count():
    """Of two with a floor of a half one is drained by itself: the other stays in whatever the check says."""
    verdicts = {name: after([True, False]) for name in ("a", "b")}
    assert shares(verdicts, 0.5, 10, {"a": 0.0, "b": 1.0}) == {"a": 0, "b": 1}
    assert shares(verdicts, 0, 10, {"a": 0.0}) == {"a": 0, "b": 0}
    assert shares({"a": after([True])}, 0, 10, {"a": 0.25}) == {"a": 0.25}


def test_a_checker_that_takes_over_goes_on_with_a_slow_start():
    """A reload in the middle of it neither ends the ramp nor forgets when a server went down."""
    former = after([True, False, True, True], slow_start=100)
    verdict = Verdict(slow_start=100)
    verdict.take_over(former)
    assert verdict.share(3 + 50) == former.share(3 + 50) == 0.5
    down = Verdict()
    down.take_over(after([True, False]))
    assert shares({"s0": down, "s1": after([True, False])}, 0.5, 9) == {"s0": 1, "s1": 0}
