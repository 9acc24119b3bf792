"""From what viewers noticed to a line of the rehearsal's table."""

import pytest
from ansible.module_utils.lvsdr.streams import rehearsal
from said import id_of

GOOD, BAD = True, False


@pytest.mark.parametrize(
    ("asked", "blackout", "failing"),
    [
        ([], 0, 0),
        ([[0, GOOD], [1, GOOD]], 0, 0),
        ([[0, GOOD], [1, BAD], [2, BAD], [4, GOOD]], 3000, 3000),
        # One of several servers is gone: some are served all the while.
        ([[0, GOOD], [1, BAD], [1.1, GOOD], [2, BAD], [2.1, GOOD], [3, GOOD]], 100, 1100),
        # It was not over when the watch was.
        ([[0, GOOD], [1, BAD], [2, BAD]], 1000, 1000),
        ([[0, BAD]], 0, 0),
        ([[1, BAD], [0, GOOD], [2, GOOD]], 1000, 1000),
    ],
)
def test_outages(asked, blackout, failing):
    assert rehearsal.outages(asked) == (blackout, failing)


NAMES = {"02:00:00:00:00:01": "director1", "02:00:00:00:00:02": "director2"}
ONE, TWO = NAMES


def test_spans():
    samples = [[0, [ONE]], [0.3, [ONE]], [0.6, []], [0.9, []], [1.2, [TWO, ONE]], [1.5, [TWO]], [1.8, ["02:ff"]]]
    found = rehearsal.spans(samples, NAMES)
    assert [(span["owners"], span["seconds"], span["samples"]) for span in found] == [
        (["director1"], 0.6, 2), ([], 0.6, 2), (["director1", "director2"], 0.3, 1), (["director2"], 0.3, 1), (["02:ff"], 0, 1),
    ]  # fmt: skip
    assert rehearsal.owner_words(found) == "director1, nobody 0.6 s, director1 and director2 at once 0.3 s, director2, 02:ff"
    assert rehearsal.spans([], NAMES) == []


def test_a_row():
    watched = {
        "asked": [[0, GOOD], [1, BAD], [3, GOOD]],
        "downloads": [
            {"bytes": 1, "cuts": ["after 5 bytes: reset"], "wrong_blocks": 1, "longest_pause": 2.5, "lost": None},
            {"bytes": 1, "cuts": ["after 9 bytes: reset"], "wrong_blocks": 0, "longest_pause": 0.1, "lost": "after 9 bytes: reset"},
        ],
        "players": [{"segments": 5, "stalls": 1, "jumps": 1}, {"lost": "cannot be loaded"}],
    }
    sampled = {"192.0.2.100": [[0, [ONE]], [1, [ONE, TWO]]], "2001:db8::100": [[0, [ONE]], [1, [ONE, TWO]]]}
    row = rehearsal.row(watched, "power off", "director1", sampled, NAMES, ["only on director1: -A"], {"director1": ["master"]})
    assert (row["blackout_ms"], row["failing_ms"], row["newcomers"], row["not_served"]) == (2000, 2000, 3, 1)
    assert (row["streams"], row["streams_lost"], row["connections_cut"], row["wrong_blocks"]) == (4, 2, 2, 1)
    assert (row["longest_pause_ms"], row["segments"], row["segments_late"], row["several_owners"]) == (2500, 5, 2, 2)
    assert row["differences"] and row["sync_daemons"]
    head, line, blank, *legend = rehearsal.table([row])
    assert blank == "" and [text.partition(":")[0] for text in legend] == list(rehearsal.COLUMNS[2:])
    assert head.split("  ")[0] == "fault" and "2 of 4" in line
    assert line.endswith("director1, director1 and director2 at once 0.0 s"), "the same for both VIPs, so once"


def test_without_downloads():
    row = rehearsal.row({"asked": [], "downloads": [], "players": []}, "x", "y", {}, NAMES, [], {})
    assert row["longest_pause_ms"] == row["streams"] == 0
    assert len(rehearsal.table([row])) == 2 + 1 + len(rehearsal.LEGEND)


WELL = {"bytes": 5, "cuts": [], "lost": None}


@pytest.mark.parametrize(("watched", "id", "words"), [
    ({}, None, ""),
    ({"asked": [[0, GOOD], [1, BAD]]}, "newcomers-not-served", "1 of 2 "),
    ({"downloads": [WELL, {"bytes": 0, "cuts": [], "lost": "after 0 bytes: the server answers 404"}]},
     "viewer-failed", "a download does not play: after 0 bytes: the server answers 404"),
    ({"downloads": [{**WELL, "cuts": ["after 9 bytes: reset"]}]}, "viewer-failed", "a download does not play: after 9 bytes: reset"),
    ({"downloads": [{**WELL, "bytes": 0}]}, "viewer-got-nothing", "a download "),
    ({"downloads": [{**WELL, "bytes": 0, "trouble": "after 0 bytes: 404"}]}, "viewer-got-nothing", ": after 0 bytes: 404"),
    ({"players": [{"lost": "http://x is not an HLS playlist"}]}, "viewer-failed", "a player does not play: http://x is not"),
    ({"players": [{"bytes": 0}]}, "viewer-got-nothing", "a player "),
])  # fmt: skip
def test_what_can_not_be_rehearsed_with(watched, id, words):
    """With nothing broken everything has to play, or the table would only show that there was nothing to watch."""
    lines = rehearsal.unplayable({"asked": [[0, GOOD]], "downloads": [WELL], "players": [{"bytes": 9}], **watched})
    assert [id_of(line) for line in lines] == ([id] if id else []) and all(words in line for line in lines)
