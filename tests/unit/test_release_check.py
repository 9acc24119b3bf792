"""tools/release-check finds what must not be tagged. What it says of hosts is in tests/releases, where the lab's root file systems are."""

import pytest
from tool import tool

check = tool("release-check")


def test_the_controller_is_as_the_matrix_says():
    assert list(check.controller_faults()) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "fault"),
    [
        ("README.md", "2.20 and 2.21", "2.20 and 2.22", "names ansible-core 2.19, 2.20, 2.22"),
        ("README.md", "Mitogen 0.3", "Mitogen 0.2", "must name Mitogen"),
        ("collection/meta/runtime.yml", "<2.22.0", "<2.30.0", "requires_ansible must be"),
        ("requirements-newest.txt", "~=2.21.0", "~=2.22.0", "requirements*.txt 2.19, 2.20, 2.22"),
    ],
)
def test_a_matrix_that_nothing_tests(monkeypatch, path, old, new, fault):
    text = check.text
    assert old in text(path)
    monkeypatch.setattr(check, "text", lambda name: text(name).replace(old, new) if name == path else text(name))
    assert any(fault in line for line in check.controller_faults())


def test_a_version_that_the_changelog_does_not_have():
    found = list(check.version_faults("99.0.0"))
    assert any("the newest release is" in line for line in found) and any("run `make collection`" in line for line in found)
    assert any("must be MAJOR.MINOR.PATCH" in line for line in check.version_faults("1.0"))


def test_a_fragment_that_is_left_over(monkeypatch, tmp_path):
    for name in ("CHANGELOG.md",):
        (tmp_path / name).write_text("edited by hand\n")
    (tmp_path / "changelogs" / "fragments").mkdir(parents=True)
    (tmp_path / "changelogs" / "fragments" / "later.yml").write_text("---\nbugfixes: [later]\n")
    for name in ("config.yaml", "changelog.yaml"):
        (tmp_path / "changelogs" / name).write_text((check.ROOT / "changelogs" / name).read_text())
    monkeypatch.setattr(check, "ROOT", tmp_path)
    found = list(check.changelog_faults())
    assert "changelogs/fragments/later.yml: it belongs to no release yet; run `antsibull-changelog release`" in found
    assert any(line.startswith("CHANGELOG.md: it is not what") for line in found)
