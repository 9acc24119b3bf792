"""Checks believe what players believe: each case of tests/corpus, judged by its check and by what tests/oracle has seen players do.

Where one player plays it, the check says good. Where none does, it says bad. What differs stands in differences.yml, with a reason.
"""

import asyncio
import json

import corpus_checks
import pytest
import yaml
from fakes import corpus

PLAYED = json.loads(corpus.PLAYED.read_text())
DIFFERENCES = yaml.safe_load(corpus.DIFFERENCES.read_text()) or {}
PLAYABLE, SAID = corpus.cases("hls", "dash"), corpus.cases("icecast", "rtsp")


def expected(case):
    """The verdict that players give, and who plays it."""
    record = PLAYED[case.name]
    players = [player for player, plays in record.items() if plays is True]
    return (corpus_checks.GOOD if players else corpus_checks.BAD), players


@pytest.mark.parametrize("case", PLAYABLE, ids=repr)
def test_check_and_players(case):
    assert case.name in PLAYED, "nobody has played it yet; run `make oracle` with record=1"
    assert PLAYED[case.name]["text"] == case.digest, "it has changed since it was played; run `make oracle` with record=1"
    wanted, players = expected(case)
    verdict, words = asyncio.run(corpus_checks.judge(case))
    if case.name in DIFFERENCES:
        accepted = DIFFERENCES[case.name]["check"]
        assert accepted != wanted, "check and players no longer differ: take it out of differences.yml"
        wanted = accepted
    assert verdict == wanted, "%s; %s" % (words, "played by " + " and ".join(players) if players else "nobody plays it")


@pytest.mark.parametrize("case", SAID, ids=repr)
def test_check_and_answer(case):
    verdict, words = asyncio.run(corpus_checks.judge(case))
    assert verdict == case.options["expect"], words


@pytest.mark.parametrize("case", corpus.cases("agents"), ids=repr)
def test_agent(case):
    ((_status, _kind, body),) = case.pages.values()
    assert corpus_checks.hear(body[:-1].split("\n")) == pytest.approx(case.options["share"])


def test_lists_name_cases_that_exist():
    names = {case.name for case in PLAYABLE}
    assert set(PLAYED) == names
    assert set(DIFFERENCES) <= names


def test_differences_have_reasons():
    for name, difference in DIFFERENCES.items():
        assert set(difference) == {"check", "because"}, name
        assert difference["check"] in (corpus_checks.GOOD, corpus_checks.BAD, corpus_checks.UNKNOWN), name
        assert len(difference["because"]) > 20, name


def test_size_of_the_corpus():
    """So that a folder that is not found does not pass."""
    assert len(corpus.cases("hls", "dash", "icecast", "rtsp", "agents")) >= 150
