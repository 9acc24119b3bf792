"""The unit of lvsdr-streamcheck: what it may do, as it is written; tests/releases has systemd read it."""

import os
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
    path.write_text(environment.from_string(TEMPLATE.read_text()).render(login_files={"login-1": "/etc/lvsdr/a"}))
    return path


def test_what_it_may_do(unit):
    lines = unit.read_text().splitlines()
    assert "LoadCredential=login-1:/etc/lvsdr/a" in lines
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
