"""The kernel tier: root and a kernel with IPVS. It empties the table, so it belongs into a guest (tests/kernel/run)."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "module_utils"))


def ipvsadm(*arguments, stdin=None):
    return subprocess.run(["ipvsadm", *arguments], input=stdin, capture_output=True, text=True, check=True).stdout


@pytest.fixture(autouse=True)
def empty_table():
    ipvsadm("-C")
    yield
    ipvsadm("-C")
