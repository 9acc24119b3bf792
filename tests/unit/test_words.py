"""tools/words finds the phrases that it lists, wherever in a text they are, and nothing in plain English."""

import pytest
from tool import tool

words = tool("words")


def found(text):
    return [(line, phrase) for line, phrase, _better, _reason in words.findings(text)]


# Planted, each with the part of it that is reported.
PLANTED = [
    ("a list is needed, and %r is none", ", and %r is none"),
    ("1 to 5 are possible", "are possible"),
    ("one of dr, nat is possible", "one of dr, nat is possible"),
    ("UDP port, 8848 unless said.", "unless said"),
    ("tcp 80 stands there twice", "stands there twice"),
    ("can begin anew", "anew"),
    ("out of service for good:", "for good"),
    ("to whoever comes", "whoever comes"),
    ("lost. See that it runs", ". See that"),
    ("keepalived goes by its own", "goes by its"),
    ("takes its connections along", "takes its connections along"),
    ("'x' is no host of the inventory", "is no host"),
    ("%s is none of true, false", "is none of"),
    ("the sender of an own request", "an own request"),
    ("players get over it", "get over"),
    ("three advertisements without a word", "without a word"),
    ("as they stand there", "as they stand there"),
    ("checks take the way that viewers take", "the way that viewers"),
    ("the first variant that can be had", "be had"),
    ("waits so many seconds", "so many seconds"),
    ("a playlist that stands still", "stands still"),
    ("somebody accepts a connection", "somebody accepts"),
    ("the kernel takes no such flag", "takes no such"),
    ("and have it made an inventory", "have it made"),
    ("streams go on as if nothing were", "as if nothing were"),
]
PLAIN = """
There is no host of that name. It is no longer there. The director goes by itself. One of several is possible only here.
A director of its own. A program that has gone is not a director. Players recover from it. The default port is 8848. None of the others is.
This happens for good reason. Other answers are no more use than that.
"""


@pytest.mark.parametrize("text, phrase", PLANTED)
def test_a_planted_phrase_is_found(text, phrase):
    assert (1, phrase) in found(text)


def test_a_phrase_over_the_end_of_a_line_is_found():
    assert found("# It holds\n# the VIP unless\n# said.\n") == [(2, "unless said")]


def test_plain_english_is_left_alone():
    assert found(PLAIN) == []


def test_a_marked_line_is_left_out():
    assert found("can begin anew  # %s" % words.ALLOW) == []


def test_every_pattern_finds_something_that_is_planted():
    assert [pattern.pattern for pattern, *_ in words.PATTERNS if not any(pattern.search(text + " ") for text, _ in PLANTED)] == []
