"""The unit of lvsdr-streamcheck: what it may do, as systemd reads it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import jinja2
import pytest
from ansible.module_utils.lvsdr import places

TEMPLATE = Path(__file__).parents[2] / "roles/director/templates/lvsdr-streamcheck.service.j2"


@pytest.fixture
def unit(tmp_path):
    """Path of the rendered unit."""
    environment = jinja2.Environment()
    environment.filters.update(lvs_place=lambda name: getattr(places, name), dirname=os.path.dirname)
    path = tmp_path / "lvsdr-streamcheck.service"
    path.write_text(environment.from_string(TEMPLATE.read_text()).render())
    return path


def test_what_it_may_do(unit):
    lines = unit.read_text().splitlines()
    # What it needs: a mark on its sockets takes this capability.
    assert "AmbientCapabilities=CAP_NET_RAW" in lines and "CapabilityBoundingSet=CAP_NET_RAW" in lines
    for line in (
        "MemoryMax=256M", "TasksMax=64", "UMask=0077", "ProtectClock=yes", "ProtectHostname=yes", "ProtectKernelLogs=yes",
        "ProtectProc=invisible", "RestrictRealtime=yes", "RestrictSUIDSGID=yes", "SystemCallErrorNumber=EPERM",
    ):  # fmt: skip
        assert line in lines
    # The second line takes out of what the first one allows.
    filters = [line for line in lines if line.startswith("SystemCallFilter=")]
    assert filters == ["SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this machine has no systemd-analyze")
def test_systemd_knows_all_of_it(unit):
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert unit.name not in done.stdout + done.stderr
    done = subprocess.run(["systemd-analyze", "--offline=true", "--no-pager", "security", str(unit)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this systemd can't judge a unit that is not loaded")
    exposure = re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)
    assert float(exposure.group(1)) <= 1.6, done.stdout
