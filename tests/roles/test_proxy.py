"""Role proxy_server with HAProxy itself: what is written, what is exchanged while it runs, and what reloads it."""

import json
import re

import pytest
from ansible.module_utils.lvsdr import places
from fleet import VIP, end_after_each_step, in_force
from test_changes import good

PEM = "/etc/ssl/private/live.pem"
PROXIES = ("server1", "server2")
SERVICE = {
    "name": "live", "mode": "proxy", "proxies": "web", "addresses": [VIP], "ports": [443], "real_servers": "backends",
    "tls": {"certificates": [PEM]}, "health_check": {"type": "hls", "path": "/live/index.m3u8"}, "scheduler": "mh",
    "scheduler_flags": ["mh-port"],
}  # fmt: skip
BACKENDS = {"backend%d" % number: {"ansible_host": "192.0.2.%d" % (30 + number), "real_server_weight": 10} for number in (1, 2)}
MORE = {**BACKENDS, "backend3": {"ansible_host": "192.0.2.33", "real_server_weight": 10}}
ASK = (
    "import socket; s = socket.socket(socket.AF_UNIX); s.connect('%s'); s.sendall(b'%%s\\n'); print(s.makefile().read())"
    % places.HAPROXY_SOCKET
)


def declare(fleet, backends=None, **changes):
    fleet.inventory(
        services=[{**SERVICE, **changes}], others={"backends": backends or BACKENDS}, proxy_server_packages=[],
    )  # fmt: skip


def certify(fleet, name):
    """The same certificate on both proxies, with this name."""
    path = fleet.folder / "live"
    fleet.machines["server1"].inside(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=" + name, "-keyout", "%s.key" % path,
        "-out", "%s.crt" % path,
    )  # fmt: skip
    text = path.with_suffix(".crt").read_text() + path.with_suffix(".key").read_text()
    for machine in PROXIES:
        fleet.machines[machine].write(PEM, text)
        fleet.machines[machine].inside("chmod", "600", PEM)
    return text


def ask(fleet, name, command):
    return fleet.machines[name].inside("python3", "-c", ASK % command)


def haproxy(fleet, name):
    return fleet.machines[name].units()["haproxy"]


@pytest.fixture
def proxied(fleet):
    certify(fleet, "live.example.com")
    declare(fleet)
    done = good(fleet.play())
    fleet.first = done
    return fleet


def test_it_is_rolled_out_and_a_second_run_changes_nothing(proxied):
    for name in PROXIES:
        machine = proxied.machines[name]
        assert re.search(r"server backend2 192\.0\.2\.32:80 id \d+ weight 1 check ", machine.read(places.HAPROXY_CFG))
        assert {"haproxy", "lvsdr-streamcheck"} <= {unit for unit, state in machine.units().items() if state["active"]}
        checked = json.loads(machine.read(places.STREAMCHECK_CONF))
        assert [one["name"] for one in checked["services"][0]["servers"]] == ["backend1", "backend2"] and checked["agent_port"]
        assert "+/bin/cp -r" in machine.read(places.STREAMCHECK_UNIT)
        assert VIP + "/32" in machine.inside("ip", "address", "show", "dev", "lo")
        assert "backend2" in ask(proxied, name, "show servers state") and in_force(machine) == []
    conf = proxied.machines["director1"].read(places.KEEPALIVED_CONF)
    assert "virtual_server %s 443" % VIP in conf and "backend" not in conf
    done = good(proxied.play())
    assert done.stdout.count("changed=0") == 4, done.stdout[-3000:]


def test_servers_and_certificates_are_exchanged_while_it_runs(proxied):
    before = {name: haproxy(proxied, name).get("reloads", 0) for name in PROXIES}
    declare(proxied, MORE)
    planned = proxied.play(check=True)
    assert "live/backend3 192.0.2.33:80 weight 1\n" in planned.stdout and "backend3" not in ask(proxied, "server1", "show servers state")
    good(proxied.play())
    assert all("backend3" in ask(proxied, name, "show servers state") for name in PROXIES)
    assert good(proxied.play()).stdout.count("changed=0") == 4
    text = certify(proxied, "new.example.com")
    done = good(proxied.play("site.yml", "-v", "--diff"))
    assert "/CN=new.example.com" in ask(proxied, "server1", "show ssl cert " + PEM)
    assert text.partition("BEGIN PRIVATE KEY-----")[2][:60].strip() not in done.stdout and "PRIVATE" not in done.stdout
    declare(proxied)
    good(proxied.play())
    assert "backend3" not in ask(proxied, "server2", "show servers state")
    assert {name: haproxy(proxied, name).get("reloads", 0) for name in PROXIES} == before
    assert all(in_force(proxied.machines[name]) == [] for name in PROXIES)


def test_other_changes_reload_it_and_a_drain_is_a_file(proxied):
    before = haproxy(proxied, "server1").get("reloads", 0)
    declare(proxied, balance="leastconn")
    good(proxied.play())
    assert haproxy(proxied, "server1")["reloads"] == before + 1 and haproxy(proxied, "server1")["starts"] == 1
    declare(proxied, {**BACKENDS, "backend1": {**BACKENDS["backend1"], "real_server_state": "drained"}}, balance="leastconn")
    good(proxied.play())
    name = places.drain_file("backend1")
    assert all(proxied.machines["server1"].read("%s/%s" % (folder, name)) for folder in (places.DRAINED, places.DRAINED_KEPT))
    declare(proxied, balance="leastconn")
    good(proxied.play())
    assert proxied.machines["server1"].read("%s/%s" % (places.DRAINED, name)) is None
    assert haproxy(proxied, "server1")["reloads"] == before + 1
    assert good(proxied.play()).stdout.count("changed=0") == 4


def test_a_run_that_ended_after_each_step(fleet):
    certify(fleet, "live.example.com")
    declare(fleet)
    end_after_each_step(fleet.play)
    assert all(in_force(fleet.machines[name]) == [] and haproxy(fleet, name)["active"] for name in PROXIES)
    declare(fleet, MORE, balance="leastconn")
    end_after_each_step(fleet.play)
    for name in PROXIES:
        assert in_force(fleet.machines[name]) == [] and "backend3" in ask(fleet, name, "show servers state")
    assert good(fleet.play()).stdout.count("changed=0") == 4


def test_what_can_not_be_is_refused_before_a_write(fleet):
    declare(fleet)
    for name in PROXIES:
        fleet.machines[name].inside("rm", "-f", PEM)
    done = fleet.play()
    assert done.returncode != 0 and "[file-unreadable]" in done.said and PEM in done.said
    certify(fleet, "live.example.com")
    for name in PROXIES:
        fleet.machines[name].write(PEM, "rubbish")
        fleet.machines[name].inside("chmod", "600", PEM)
    done = fleet.play()
    assert done.returncode != 0 and "[certificate-refused]" in done.said
    assert fleet.machines["server1"].read(places.HAPROXY_CFG) is None
    assert not haproxy(fleet, "server1")["active"]


def test_one_that_is_absent_ends_after_the_directors(proxied):
    """Viewers are sent there until the directors have changed, so the proxies go with the next run."""
    declare(proxied, state="absent")
    good(proxied.play())
    assert haproxy(proxied, "server1")["active"] and "frontend live" in proxied.machines["server1"].read(places.HAPROXY_CFG)
    assert VIP not in proxied.machines["director1"].read(places.KEEPALIVED_CONF)
    good(proxied.play())
    assert not haproxy(proxied, "server1")["active"] and not proxied.machines["server1"].units()["lvsdr-streamcheck"]["active"]


def test_status_shows_what_the_proxies_hold(proxied):
    proxied.activate()
    said = good(proxied.play("playbooks/status.yml")).stdout
    row = next(line for line in said.splitlines() if "backend1" in line).split()
    # Nothing listens there, so HAProxy finds out in a few seconds.
    assert row[:2] == ["live", "backend1"] and row[2] in ("up", "down") and "missing" not in row, row
    assert PEM in said and "CN=live.example.com" in said


def test_a_real_server_of_proxies_is_drained_and_undrained(proxied):
    proxied.activate()
    name = places.drain_file("backend1")
    done = good(proxied.play("playbooks/drain.yml", "-e", "drain_servers=backend1", "-e", "drain_why='a new disk'"))
    assert "0 connections of proxies are left on backend1" in done.said
    for proxy in PROXIES:
        assert "a new disk" in proxied.machines[proxy].read("%s/%s" % (places.DRAINED, name))
    assert proxied.machines["director1"].read("%s/%s" % (places.DRAINED, name)) is None
    done = proxied.play("playbooks/drain.yml", "-e", "drain_servers=backend2")
    assert done.returncode != 0 and "[no-origin-left]" in done.said
    good(proxied.play("playbooks/undrain.yml", "-e", "drain_servers=backend1"))
    assert all(proxied.machines[proxy].read("%s/%s" % (places.DRAINED, name)) is None for proxy in PROXIES)


def test_a_certificate_of_the_controller_is_put_there(fleet):
    text = certify(fleet, "live.example.com")
    for name in PROXIES:
        fleet.machines[name].inside("rm", "-f", PEM)
    here = fleet.folder / "mine.pem"
    here.write_text("rubbish")
    here.chmod(0o600)
    declare(fleet, tls={"certificates": [{"controller": str(here)}]})
    done = fleet.play()
    assert done.returncode != 0 and "[certificate-refused]" in done.said
    here.write_text(text)
    good(fleet.play(check=True))
    done = good(fleet.play("site.yml", "-v", "--diff"))
    there = fleet.machines["server2"].inside("sh", "-c", "ls %s/*-mine.pem" % places.HAPROXY_CERTIFICATES).strip()
    assert fleet.machines["server2"].read(there) == text and "PRIVATE" not in done.stdout
    assert fleet.machines["server2"].inside("stat", "-c", "%a", there).strip() == "600"
    assert good(fleet.play()).stdout.count("changed=0") == 4
    here.write_text(certify(fleet, "new.example.com"))
    done = good(fleet.play("site.yml", "-v", "--diff"))
    assert "/CN=new.example.com" in ask(fleet, "server2", "show ssl cert " + there) and "PRIVATE" not in done.stdout
