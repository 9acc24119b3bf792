"""The units of lvsdr-streamcheck, the console, the WAF and real servers, judged by systemd of each release (252 and 257)."""

import os
import re
from pathlib import Path

import jinja2
import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.routes import egress, lasting, plan, tunnels

TEMPLATE = Path(__file__).parents[2] / "roles/director/templates/lvsdr-streamcheck.service.j2"
PATH = "/run/lvsdr-streamcheck.service"


@pytest.mark.parametrize("on_proxy", [False, True])
def test_systemd_knows_all_of_it(release, on_proxy):
    environment = jinja2.Environment()
    environment.filters.update(lvs_place=lambda name: getattr(places, name), dirname=os.path.dirname)
    release.run(
        "sh",
        "-c",
        "cat >" + PATH,
        stdin=environment.from_string(TEMPLATE.read_text()).render(login_files={"login-1": "/etc/hostname"}, on_proxy=on_proxy),
    )
    _status, said = release.run("systemd-analyze", "verify", "--man=no", PATH)
    assert not [line for line in said.splitlines() if "lvsdr-streamcheck" in line], said
    _status, said = release.run("systemd-analyze", "--offline=true", "--no-pager", "security", PATH)
    exposure = re.search(r"exposure level for .*: ([0-9.]+)", said)
    assert exposure and float(exposure.group(1)) <= 1.6, said


@pytest.mark.parametrize("name, most", [("lvsdr-console", 1.6), ("lvsdr-console-helper", 4.0)])
def test_the_units_of_the_console(release, name, most):
    environment = jinja2.Environment()
    environment.filters.update(lvs_place=lambda one: getattr(places, one), bool=bool)
    template = (TEMPLATE.parent / (name + ".service.j2")).read_text()
    text = environment.from_string(template).render(director_console_actions=True, director_console_key_file="/etc/hostname")
    path = "/run/%s.service" % name
    release.run("sh", "-c", "cat >" + path, stdin=text)
    _status, said = release.run("systemd-analyze", "verify", "--man=no", path)
    assert not [line for line in said.splitlines() if name in line], said
    _status, said = release.run("systemd-analyze", "--offline=true", "--no-pager", "security", path)
    exposure = re.search(r"exposure level for .*: ([0-9.]+)", said)
    assert exposure and float(exposure.group(1)) <= most, said


def test_the_unit_of_the_waf(release):
    """Its commands are shell, and systemd has variables of its own."""
    environment = jinja2.Environment()
    environment.filters.update(lvs_place=lambda one: getattr(places, one), dirname=os.path.dirname, basename=os.path.basename)
    template = (TEMPLATE.parents[2] / "proxy_server/templates/lvsdr-waf.service.j2").read_text()
    release.run("sh", "-c", "cat >/run/lvsdr-waf.service", stdin=environment.from_string(template).render())
    _status, said = release.run("systemd-analyze", "verify", "--man=no", "/run/lvsdr-waf.service")
    assert not [line for line in said.splitlines() if "lvsdr-waf" in line], said
    _status, said = release.run("systemd-analyze", "--offline=true", "--no-pager", "security", "/run/lvsdr-waf.service")
    exposure = re.search(r"exposure level for .*: ([0-9.]+)", said)
    assert exposure and float(exposure.group(1)) <= 4.5, said


def test_the_socket_of_the_counters(release):
    for name, text in (
        (egress.READER_NAME, egress.reader_unit("/usr/sbin/nft")),
        (egress.SOCKET_NAME, egress.socket_unit("/usr/sbin/nft")),
    ):
        release.run("sh", "-c", "cat >/run/" + name, stdin=text)
    _status, said = release.run("systemd-analyze", "verify", "--man=no", "/run/" + egress.SOCKET_NAME)
    assert not [line for line in said.splitlines() if "lvsdr-egress" in line], said


def test_the_units_of_real_servers(release):
    paths = plan.read_paths([{"address": "192.0.2.21", "gateway": "192.0.2.110", "first": 8080}])
    ends = tunnels.read_endpoints([{"type": "gue", "address": "192.0.2.21"}])[0]
    for name, starts in (
        (plan.UNIT_NAME, plan.commands(*plan.wanted(paths))),
        (tunnels.UNIT_NAME, tunnels.commands(ends, "/usr/sbin/ip", "/usr/sbin/nft", "/usr/sbin/modprobe")),
    ):
        release.run("sh", "-c", "cat >/run/" + name, stdin=lasting.unit_text("x", "y", starts))
        _status, said = release.run("systemd-analyze", "verify", "--man=no", "/run/" + name)
        assert not [line for line in said.splitlines() if name in line], said


def test_it_can_refuse(release):
    release.run("sh", "-c", "cat >" + PATH, stdin="[Service]\nExecStart=/bin/true\nProtectEverything=yes\n")
    assert "ProtectEverything" in release.run("systemd-analyze", "verify", "--man=no", PATH)[1]
