"""What the console remembers: rates of half an hour, since when, what happened, and what has not lasted yet."""

from ansible.module_utils.lvsdr.console.memory import BUCKET, BUCKETS, DAY, LASTING, Memory
from looks import NOW, VIP, both, check, config, look, seen


def take(memory, made, looks, at):
    found = seen(made, looks, now=NOW + at)
    memory.take(found)
    return found


def test_a_bucket_is_an_average():
    memory, made = Memory(), config()
    for at in range(0, BUCKET + 2, 2):
        looks = both(made)
        looks["director1"]["services"]["tcp 192.0.2.100:80"]["destinations"]["192.0.2.21", 80]["counters"] = {"cps": at % 4, "inbps": 8}
        found = take(memory, made, looks, at)
    rows = found["services"][0]["servers"][0]["spark"]
    assert [len(row) for row in rows] == [BUCKETS] * 3
    assert 0.5 < rows[0][-1] < 1.5 and rows[1][-1] == 8 and rows[0][-2] == 0


def test_a_clock_that_jumps_takes_no_time():
    memory, made = Memory(), config()
    take(memory, made, both(made), 0)
    take(memory, made, both(made), 10 * 365 * DAY)
    take(memory, made, both(made), 0)
    found = take(memory, made, both(made), 4)
    assert len(found["services"][0]["servers"][0]["spark"][0]) == BUCKETS


def test_events_say_what_changed():
    memory, made = Memory(), config()
    take(memory, made, both(made), 0)
    assert list(memory.events) == []
    down = both(made, weights={"edge1": 0}, checks=[check("edge1", state="down", why="playlist frozen")])
    take(memory, made, down, 2)
    take(memory, made, both(made), 4)
    take(memory, made, {"director1": None, "director2": look(made, active=True)}, 6)
    words = [words for _at, words in memory.events]
    assert words[:2] == ["edge1 is out in live (192.0.2.100): playlist frozen", "edge1 takes viewers in live (192.0.2.100)"]
    assert "director1 does not answer" in words and "director2 has become the active director" in words
    assert memory.transitions["director2"] == 1
    found = take(memory, made, both(made), DAY + 100)
    assert all(at > NOW + 100 for at, _words in found["events"])


def test_since_when():
    memory, made = Memory(), config()
    take(memory, made, both(made), 0)
    down = both(made, weights={"edge1": 0}, checks=[])
    take(memory, made, down, 10)
    found = take(memory, made, down, 20)
    assert found["services"][0]["servers"][0]["since"] == NOW + 10
    # A drain knows it by itself, also of a time before this program.
    drained = both(made, files={"drained-edge1": {"who": "anna", "why": "x", "since": NOW - 500}})
    assert take(memory, made, drained, 22)["services"][0]["servers"][0]["since"] == NOW - 500


def test_directors_may_differ_for_a_moment():
    memory, made = Memory(), config()
    looks = {"director1": look(made, active=True), "director2": look(made, weights={"edge1": 0})}
    assert take(memory, made, looks, 0)["problems"] == []
    found = take(memory, made, looks, LASTING["parity"])
    assert [(one["kind"], one["since"]) for one in found["problems"]] == [("parity", NOW)]
    # With other weights it is the same problem.
    looks["director1"] = look(made, active=True, weights={"edge1": 7})
    assert [one["since"] for one in take(memory, made, looks, 11)["problems"]] == [NOW]
    take(memory, made, both(made), 12)
    assert take(memory, made, looks, 14)["problems"] == []


def test_a_hand_over_is_not_a_split_brain():
    """The other director's look is older than this one's, so both hold the VIP for a look."""
    memory, made = Memory(), config()
    take(memory, made, both(made), 0)
    looks = both(made)
    looks["director2"]["addresses"].append(VIP)
    assert take(memory, made, looks, 2)["problems"] == []
    after = {"director1": look(made), "director2": look(made, active=True)}
    assert take(memory, made, after, 4)["problems"] == []
    for at in range(6, 14, 2):
        found = take(memory, made, looks, at)
    assert [one["kind"] for one in found["problems"]] == ["split-brain"]


def test_a_clock_that_is_set_changes_nothing():
    memory, made = Memory(), config()
    looks = {"director1": look(made, active=True), "director2": None}

    def at(day, clock):
        found = seen(made, looks, now=NOW + day)
        memory.take(found, clock)
        return [one["kind"] for one in found["problems"]]

    assert at(0, 100.0) == [] and at(-3600, 110.0) == ["director-silent"] and at(DAY, 112.0) == ["director-silent"]


def test_a_director_that_is_silent_for_a_moment_makes_no_events_of_servers():
    memory, made = Memory(), config()
    take(memory, made, both(made), 0)
    since = take(memory, made, both(made), 2)["services"][0]["servers"][0]["since"]
    take(memory, made, {"director1": None, "director2": look(made)}, 4)
    found = take(memory, made, both(made), 6)
    assert [words for _at, words in memory.events if "edge" in words] == []
    assert found["services"][0]["servers"][0]["since"] == since


def test_a_server_that_is_gone_is_forgotten():
    memory, made = Memory(), config()
    take(memory, made, both(made), 0)
    made["services"][0]["servers"].pop()
    take(memory, made, both(made), 2)
    assert len(memory.series) == 2
