"""README's support matrix names what the lab's root file systems have."""

from tool import tool

check = tool("release-check")


def test_hosts_are_as_the_matrix_says():
    assert list(check.host_faults()) == []


def test_a_keepalived_that_no_test_runs(monkeypatch):
    cell = check.cell
    monkeypatch.setattr(check, "cell", lambda label: cell(label).replace("2.3.3", "2.3.4"))
    assert any("Debian 13 (keepalived 2.3.3)" in line for line in check.host_faults())
