"""The check of commit messages, tools/commits."""

import pytest
from tool import tool

commits = tool("commits")

BODY = "\n\nBecause a viewer would have noticed.\n"


@pytest.mark.parametrize("subject", ["ipvs: read a table in one go", "docs, lab: the second network"])
def test_a_good_message(subject):
    assert commits.faults(subject + BODY) == []
    assert commits.faults(subject + BODY + "# a comment of git's\n") == []


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("ipvs: " + "x" * 70 + BODY, "has 76 characters"),
        ("ipvs: one thing; docs: another" + BODY, "joins two changes"),
        ("Fix it" + BODY, "must begin with an area"),
        ("ipvs: a thing." + BODY, "full stop"),
        ("ipvs: a thing\nand more" + BODY, "second line must be empty"),
        ("ipvs: a thing\n", "a body is required"),
        ("", "a body is required"),
    ],
)
def test_a_bad_message(message, words):
    assert any(words in line for line in commits.faults(message))


def test_the_hook_refuses_a_bad_message(tmp_path, capsys):
    message = tmp_path / "message"
    message.write_text("Fix it\n")
    assert commits.main(["--message", str(message)]) == 1
    assert "must begin with an area" in capsys.readouterr().err
    message.write_text("ipvs: a thing" + BODY)
    assert commits.main(["--message", str(message)]) == 0
