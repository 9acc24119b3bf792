"""Role proxy_server with HAProxy itself: what is written, what is exchanged while it runs, and what reloads it."""

import contextlib
import json
import re
import subprocess
import sys
import time

import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.console import behind
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


def declare(fleet, backends=None, variables=None, beside=(), **changes):
    fleet.inventory(
        services=[{name: value for name, value in {**SERVICE, **changes}.items() if value is not None}, *beside],
        others={"backends": backends or BACKENDS}, proxy_server_packages=[], proxy_server_waf_packages=[], **(variables or {}),
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


REDIRECT = {"name": "plain", "mode": "proxy", "proxies": "web", "addresses": [VIP], "ports": [8080], "redirect": 443}
ASK_PLAIN = (
    "import http.client; c = http.client.HTTPConnection('%s', 8080, timeout=20); "
    "c.request('GET', '/a?b', headers={'Host': 'live.example.com'}); r = c.getresponse(); print(r.status, r.getheader('location'))" % VIP
)


@contextlib.contextmanager
def other_program(machine, port):
    """A program that listens on every address, as its pid. It has the name of one that stays when a playbook has ended."""
    code = "import socket, time; s = socket.create_server(('0.0.0.0', %d)); open('/proc/self/comm', 'w').write('nginx.real')" % port
    command = ["ip", "netns", "exec", machine.namespace, sys.executable, "-c", code + "; print('ready', flush=True); time.sleep(600)"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


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
    good(proxied.play("site.yml", "--tags", "proxy_server"))
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


@pytest.mark.long
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
    certify(fleet, "live.example.com")
    with other_program(fleet.machines["server2"], 443) as pid:
        done = fleet.play()
    assert "HAProxy, for service live, needs tcp %s:443, but nginx.real (process %d)" % (VIP, pid) in done.said
    assert done.returncode != 0 and "[port-taken]" in done.said
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


def test_a_spare_behind_proxies_is_parked_woken_and_left_so_by_a_rollout(proxied):
    proxied.activate()
    path = "%s/%s" % (places.DRAINED, places.spare_file("backend3"))

    def parked():
        return [proxied.machines[name].read(path) is not None for name in PROXIES]

    def scale(servers, *more, **options):
        return proxied.play("playbooks/scale.yml", "-e", "service=live", "-e", "servers=%d" % servers, *more, **options)

    declare(proxied, {**MORE, "backend3": {**MORE["backend3"], "real_server_state": "spare"}})
    good(proxied.play())
    assert parked() == [True, True] and "server backend3 " in proxied.machines["server1"].read(places.HAPROXY_CFG)
    assert good(proxied.play()).stdout.count("changed=0") == 4
    done = good(scale(3, check=True))
    assert "woken: backend3" in done.said and parked() == [True, True]
    done = good(scale(3))
    assert "live has 3 real servers in service, and had 2" in done.said and parked() == [False, False]
    # Nothing listens there.
    assert "server1: backend3 of live" in done.said
    good(proxied.play())
    assert parked() == [False, False]
    done = scale(4)
    assert done.returncode != 0 and "[scale-out-of-range]" in done.said
    # Nobody has parked proxies.
    done = proxied.play("playbooks/scale.yml", "-e", "service=live", "-e", "scale_proxies=3")
    assert done.returncode != 0 and "[scale-out-of-range]" in done.said
    done = good(scale(2))
    assert "parked: backend3" in done.said and parked() == [True, True]
    assert all(proxied.machines[name].read(path) is None for name in ("director1", "director2"))
    good(proxied.play("playbooks/status.yml"))
    declare(proxied, MORE)
    good(proxied.play())
    assert parked() == [False, False], "it has stopped being a spare"


TOLD = "import socket; print(socket.create_connection(('%s', %d), 10).makefile().readline())"


def test_consoles_ask_what_a_proxy_holds_and_nobody_else_does(proxied):
    on = {"director_console": True, "director_console_install": False}
    declare(proxied, variables=on, waf={"mode": "detect"})
    good(proxied.play())
    assert good(proxied.play()).stdout.count("changed=0") == 4
    conf = proxied.machines["director1"].read(places.CONSOLE_CONF)
    assert [(one["name"], one["address"]) for one in json.loads(conf)["proxies"]] == [
        (name, proxied.machines[name].address) for name in PROXIES
    ]
    proxy = proxied.machines["server1"]
    assert proxy.units()["lvsdr-proxy-info"]["active"] and in_force(proxy) == []
    program = "PYTHONPATH=%s setsid python3 -m %s >/dev/null 2>&1 & echo $!" % (places.STREAMCHECK_PROGRAM, places.PROXY_INFO_MODULE)
    pid = proxy.inside("sh", "-c", program).strip()
    try:
        ask_it = ["python3", "-c", TOLD % (proxy.address, places.PROXY_INFO_PORT)]
        deadline = time.monotonic() + 30
        while True:
            told = behind.decoded(proxied.machines["director1"].inside(*ask_it, check=False).encode())
            if told:
                break
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert set(told["servers"]["live"]) == {"backend1", "backend2"} and PEM in told["certificates"] and told["waf"] == []
        assert proxied.machines["server2"].inside(*ask_it, check=False).strip() == ""
    finally:
        proxy.inside("kill", pid)
    declare(proxied)
    good(proxied.play())
    assert not proxy.units()["lvsdr-proxy-info"]["active"] and "lvsdr-info" not in proxy.read(places.HAPROXY_CFG)


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


# --- the web application firewall ---------------------------------------------------------------------------------------------------------

ATTACK = ("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-A", "Lavf/59", "https://%s/search/a?q=%%3Cscript%%3E" % VIP)


def test_plain_http_is_redirected(proxied):
    declare(proxied, beside=[REDIRECT])
    good(proxied.play())
    for name in PROXIES:
        assert proxied.machines[name].inside("python3", "-c", ASK_PLAIN).strip() == "301 https://live.example.com/a?b"
    assert "virtual_server %s 8080" % VIP in proxied.machines["director1"].read(places.KEEPALIVED_CONF)
    assert good(proxied.play()).stdout.count("changed=0") == 4
    assert "backend2" in good(proxied.play("playbooks/status.yml")).said
    good(proxied.play("playbooks/drain.yml", "-e", "drain_servers=backend2"))
    good(proxied.play("playbooks/undrain.yml", "-e", "drain_servers=backend2"))
    # It goes as any other service: from the directors first.
    declare(proxied, beside=[{**REDIRECT, "state": "absent"}])
    good(proxied.play())
    assert "virtual_server %s 8080" % VIP not in proxied.machines["director1"].read(places.KEEPALIVED_CONF)
    good(proxied.play())
    assert "plain" not in proxied.machines["server1"].read(places.HAPROXY_CFG)


def judged(machine, wanted):
    """Asks until an attack is answered like this; HAProxy looks for nginx once a second."""
    deadline = time.monotonic() + 30
    while True:
        status = machine.inside(*ATTACK, check=False).strip()
        if status == wanted:
            return
        assert time.monotonic() < deadline, status
        time.sleep(0.2)


def test_a_waf_is_rolled_out_and_its_rules_change_without_a_refused_request(proxied):
    declare(proxied, waf={"mode": "block"})
    good(proxied.play())
    machine = proxied.machines["server1"]
    assert all(proxied.machines[name].units()["lvsdr-waf"]["active"] and in_force(proxied.machines[name]) == [] for name in PROXIES)
    judged(machine, "403")
    assert good(proxied.play()).stdout.count("changed=0") == 4
    before = haproxy(proxied, "server1").get("reloads", 0)
    found = good(proxied.play("playbooks/waf_report.yml")).said
    proposed = re.findall(r"- \{rule: (\d+), path: \\?\"/search/\\?\", target: \\?\"ARGS:q\\?\"\}", found)
    assert proposed, found
    declare(proxied, waf={"mode": "block", "exclude": [{"rule": int(rule), "path": "/search/", "target": "ARGS:q"} for rule in proposed]})
    good(proxied.play())
    # Nothing listens behind the proxy.
    judged(machine, "503")
    units = machine.units()
    assert (
        units["lvsdr-waf"]["reloads"] == 1 and units["lvsdr-waf"]["starts"] == 1 and haproxy(proxied, "server1").get("reloads", 0) == before
    )
    assert in_force(machine) == [] and good(proxied.play()).stdout.count("changed=0") == 4
    assert "judges on 2 of 2" in good(proxied.play("playbooks/status.yml")).stdout
    declare(proxied)
    good(proxied.play())
    assert not machine.units()["lvsdr-waf"]["active"] and "lvsdr-waf" not in machine.read(places.HAPROXY_CFG)
    assert good(proxied.play()).stdout.count("changed=0") == 4


@pytest.mark.long
def test_a_run_with_a_waf_that_ended_after_each_step(proxied):
    declare(proxied, waf={"mode": "block", "fail": "closed"})
    end_after_each_step(proxied.play)
    for name in PROXIES:
        assert in_force(proxied.machines[name]) == [] and proxied.machines[name].units()["lvsdr-waf"]["active"]
    judged(proxied.machines["server2"], "403")


def test_players_who_would_be_refused_are_a_warning(proxied):
    declare(proxied, waf={"paranoia": 3})
    # Ansible breaks its lines anywhere.
    assert "[paranoia-refuses-players]" in "".join(good(proxied.play("playbooks/preflight.yml")).stderr.split())


# --- one tier ----------------------------------------------------------------------------------------------------------------------------

DIRECTORS = ("director1", "director2")
ONE_TIER = {"proxies": "directors", "scheduler": None, "scheduler_flags": None}


@pytest.fixture
def one_tier(fleet):
    text = certify(fleet, "live.example.com")
    for name in DIRECTORS:
        fleet.machines[name].write(PEM, text)
        fleet.machines[name].inside("chmod", "600", PEM)
    declare(fleet, beside=[{**REDIRECT, "proxies": "directors"}], **ONE_TIER)
    return fleet


def test_proxies_on_directors(one_tier):
    fleet = one_tier
    done = good(fleet.play())
    for name in DIRECTORS:
        machine = fleet.machines[name]
        conf, units = machine.read(places.KEEPALIVED_CONF), machine.units()
        assert VIP + "/32 dev" in conf and "virtual_server" not in conf and "haproxy-stopped weight 0" in conf
        assert {"haproxy", "keepalived", "lvsdr-streamcheck"} <= {unit for unit, state in units.items() if state["active"]}
        checked = json.loads(machine.read(places.STREAMCHECK_CONF))
        assert checked["agent_port"] and [one["backend"] for one in checked["services"]] == ["live"]
        assert "backend2" in ask(fleet, name, "show servers state") and in_force(machine) == []
        assert "frontend plain from lvsdr" in machine.read(places.HAPROXY_CFG)
    assert fleet.machines["server1"].read(places.HAPROXY_CFG) is None, done.stdout[-2000:]
    assert good(fleet.play()).stdout.count("changed=0") == 2
    # A drain is a file there, which the director's own role leaves alone.
    drained = {**BACKENDS, "backend1": {**BACKENDS["backend1"], "real_server_state": "drained"}}
    declare(fleet, drained, **ONE_TIER)
    good(fleet.play())
    file = "%s/%s" % (places.DRAINED, places.drain_file("backend1"))
    assert all(fleet.machines[name].read(file) for name in DIRECTORS)
    assert good(fleet.play()).stdout.count("changed=0") == 2
    declare(fleet, **ONE_TIER)
    good(fleet.play())
    assert not any(fleet.machines[name].read(file) for name in DIRECTORS)
    good(fleet.play("playbooks/drain.yml", "-e", "drain_servers=backend2"))
    assert all(fleet.machines[name].read("%s/%s" % (places.DRAINED, places.drain_file("backend2"))) for name in DIRECTORS)
    assert "backend1" in good(fleet.play("playbooks/status.yml")).stdout


@pytest.mark.long
def test_one_tier_that_ended_after_each_step(one_tier):
    end_after_each_step(one_tier.play)
    assert all(in_force(one_tier.machines[name]) == [] and haproxy(one_tier, name)["active"] for name in DIRECTORS)


def test_a_director_that_is_no_proxy_any_more_ends_haproxy_after_ipvs_has_taken_over(one_tier):
    fleet = one_tier
    declare(fleet, **ONE_TIER, waf={})
    good(fleet.play())
    assert fleet.machines["director1"].units()["lvsdr-waf"]["active"]
    dr = {"name": "http", "addresses": [VIP], "ports": [80], "real_servers": "web", "health_check": {"type": "tcp"}}
    fleet.inventory(services=[dr], others={"backends": BACKENDS}, proxy_server_packages=[])
    good(fleet.play())
    for name in DIRECTORS:
        machine, units = fleet.machines[name], fleet.machines[name].units()
        assert "virtual_server %s 80" % VIP in machine.read(places.KEEPALIVED_CONF) and in_force(machine) == []
        assert not any(units[unit]["active"] or units[unit]["enabled"] for unit in ("haproxy", "lvsdr-waf")), units
        calls = machine.calls()
        assert calls.index("stop haproxy") > calls.index("reload keepalived")
    assert good(fleet.play()).stdout.count("changed=0") == 4


@pytest.mark.long
def test_a_host_that_left_the_proxies_is_retired(proxied):
    machine = proxied.machines["server2"]
    declare(proxied, state="absent")
    good(proxied.play())
    proxied.inventory(
        services=[{"name": "http", "addresses": [VIP], "ports": [80], "real_servers": "web"}], others={"backends": BACKENDS},
        web=("server1",),
    )  # fmt: skip
    good(proxied.play())
    done = good(proxied.play("playbooks/retire.yml", "-e", "host=server2"))
    assert not machine.units()["haproxy"]["active"] and not machine.units()["lvsdr-streamcheck"]["active"], done.said
