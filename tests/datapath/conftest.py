"""The data-path tier: real IPVS, real packets, no Ansible. It belongs into a guest (tests/kernel/run datapath)."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "kernel"))
import house as house
import net


@pytest.fixture(scope="session", autouse=True)
def wires():
    net.build()
    net.Servers()
