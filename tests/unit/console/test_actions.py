"""What the console may do, what it says before, and what it refuses; and the notes that it leaves."""

import pytest
from ansible.module_utils.lvsdr import notes
from ansible.module_utils.lvsdr.console import actions
from hypothesis import given
from hypothesis import strategies as st
from looks import config, look, server

NOTE = {"who": "", "why": "", "since": 0}


def ids(found):
    return [line.rpartition("[")[2].rstrip("]") for line in found["refused"]]


def test_a_drain_says_what_it_does():
    made = config()
    found = actions.plan(made, look(made, active=True), "drain", "edge1")
    assert found["refused"] == [] and (found["name"], found["write"]) == ("drained-edge1", True)
    assert found["says"] == ["edge1 of live: its 4 running connections go on, and it gets no new ones; 2 of 2 servers stay in service"]


@pytest.mark.parametrize(
    "verb, host, changes, held, wanted",
    [
        ("drain", "nobody", {}, {}, ["not-a-server"]),
        ("drain", "edge1", {"fallback": True}, {}, ["not-a-server"]),
        ("wake", "edge1", {}, {}, ["not-a-spare"]),
        ("park", "edge1", {}, {}, ["not-a-spare"]),
        ("drain", "edge1", {"drained": True}, {}, ["inventory-drains"]),
        ("undrain", "edge1", {"drained": True}, {}, ["inventory-drains"]),
        ("undrain", "edge1", {}, {}, ["nothing-to-do"]),
        ("drain", "edge1", {}, {"files": {"drained-edge1": NOTE}}, ["nothing-to-do"]),
        ("wake", "edge1", {"spare": True}, {}, ["nothing-to-do"]),
        ("drain", "edge1", {}, {"weights": {"edge2": 0, "edge3": 0}}, ["last-server"]),
        ("park", "edge1", {"spare": True}, {"weights": {"edge2": 0, "edge3": 0}}, ["last-server"]),
        ("drain", "edge1", {}, {"weights": {"edge2": 0}, "floor": 0.9}, ["under-floor"]),
        ("undrain", "edge1", {}, {"files": {"drained-edge1": NOTE}}, []),
        ("wake", "edge1", {"spare": True}, {"files": {"spare-edge1": NOTE}}, []),
        ("park", "edge1", {"spare": True}, {}, []),
        # One that serves nobody anyway may go.
        ("drain", "edge1", {}, {"weights": {"edge1": 0}}, []),
    ],
)
def test_what_is_refused(verb, host, changes, held, wanted):
    made, held = config(), dict(held)
    made["services"][0]["servers"][0] = server("edge1", **changes)
    made["services"][0]["floor"] = held.pop("floor", 0.5)
    assert ids(actions.plan(made, look(made, active=True, **held), verb, host)) == wanted


def test_only_a_check_owns_a_weight():
    made = config()
    made["services"][0]["checked"] = False
    assert ids(actions.plan(made, look(made), "drain", "edge1")) == ["no-check-owns-weight"]


def test_a_sorry_server_answers_for_the_last_one():
    made = config()
    made["services"][0]["servers"].append(server("sorry", fallback=True))
    made["services"][0]["floor"] = 0
    assert ids(actions.plan(made, look(made, weights={"edge2": 0, "edge3": 0}), "drain", "edge1")) == []


@given(st.sets(st.sampled_from(["edge1", "edge2", "edge3"])), st.floats(0, 1), st.sampled_from(["edge1", "edge2", "edge3"]))
def test_no_click_goes_below_the_floor(down, floor, host):
    made = config()
    made["services"][0]["floor"] = floor
    held = look(made, active=True, weights=dict.fromkeys(down, 0))
    found = actions.plan(made, held, "drain", host)
    left = {"edge1", "edge2", "edge3"} - down - {host}
    if not found["refused"] and host not in down:
        assert left and len(left) >= actions.least(floor, 2)


GOOD = {"verb": "drain", "host": "edge1", "who": "anna", "why": "kernel upgrade"}


def test_a_request_is_four_lines_of_text():
    assert actions.wrong(GOOD) == []
    for name in GOOD:
        for value in (None, 1, [], "a\nb", "\x1b[31m"):
            assert actions.wrong({**GOOD, name: value})
    for other in (None, [], "x", {}, {**GOOD, "why": "x"}, {**GOOD, "why": "x" * 201}, {**GOOD, "who": " "}, {**GOOD, "verb": "reboot"}):
        assert actions.wrong(other)


def test_a_signature_is_of_one_key_sender_request_and_moment():
    ends = ("director1", "director2")
    good = actions.signed("k" * 32, ends, GOOD, 100, "1")
    others = [
        actions.signed("j" * 32, ends, GOOD, 100, "1"), actions.signed("k" * 32, ends, {**GOOD, "host": "edge2"}, 100, "1"),
        actions.signed("k" * 32, ends, GOOD, 101, "1"), actions.signed("k" * 32, ends, GOOD, 100, "2"),
        actions.signed("k" * 32, ends[::-1], GOOD, 100, "1"),
    ]  # fmt: skip
    assert good == actions.signed("k" * 32, ends, dict(reversed(GOOD.items())), 100, "1") and good not in others


@given(st.text(max_size=60), st.text(max_size=300))
def test_a_note_is_read_as_it_was_written(who, why):
    text = notes.text(-5, who, why)
    number, _end, rest = text.partition("\n")
    # keepalived reads the number, and the note is one line.
    assert number == "-5" and rest.count("\n") <= 1 and len(text) < 400
    found = notes.read(text)
    assert found["who"].isprintable() and found["why"].isprintable()
    if who and who.isprintable() and ":" not in who and who == who.strip() and why.isprintable() and why == why.strip():
        assert found["who"] == (who if len(who) <= notes.LONGEST_WHO else who[: notes.LONGEST_WHO - 1] + "…")


def test_a_file_without_a_note():
    assert notes.read("-2147483647\n") == {"who": "", "why": ""} == notes.read("") == notes.read("-5")
    assert notes.text(-5) == "-5\n"
