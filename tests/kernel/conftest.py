"""The kernel tier: root and a kernel with IPVS. It empties the table, so it belongs into a guest (tests/kernel/run)."""

import subprocess

import house as house
import pytest


def ipvsadm(*arguments, stdin=None):
    return subprocess.run(["ipvsadm", *arguments], input=stdin, capture_output=True, text=True, check=True).stdout


@pytest.fixture(autouse=True)
def empty_table():
    ipvsadm("-C")
    yield
    ipvsadm("-C")
