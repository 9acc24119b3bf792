"""Role director with the console, and real servers that count: what is written, what a second run does, and what a click leaves."""

import json
import time

import pytest
from ansible.module_utils.lvsdr import notes, places
from ansible.module_utils.lvsdr.checks.verdicts import OUT
from ansible.module_utils.lvsdr.routes import egress
from fleet import end_after_each_step
from test_changes import good
from test_operations import DIRECTORS, files

ON = {"director_console": True, "director_console_install": False}
FOLDERS = (places.DRAINED, places.DRAINED_KEPT)


def units(machine):
    return {name.partition(".")[0]: unit for name, unit in machine.units().items()}


def test_it_comes_and_goes(fleet):
    fleet.inventory(**ON)
    good(fleet.play())
    for name in DIRECTORS:
        machine = fleet.machines[name]
        assert machine.read(places.CONSOLE_CONF) and "console" in machine.inside("nft", "list", "table", *places.RULES_TABLE.split())
        assert {"lvsdr-console", "lvsdr-console-helper"} <= {unit for unit, state in units(machine).items() if state["active"]}
    for name in ("server1", "server2"):
        table = fleet.machines[name].inside("nft", "list", "table", *egress.RULES_TABLE.split())
        assert "192.0.2.11" in table and 'counter name "s_live_' in table
        assert fleet.machines[name].read("/etc/systemd/system/" + egress.SOCKET_NAME)
    done = good(fleet.play())
    assert done.stdout.count("changed=0") == 4, done.stdout[-2500:]
    # Somebody flushes the rules of a server: the next run loads them again.
    fleet.machines["server1"].inside("nft", "delete", "table", *egress.RULES_TABLE.split())
    good(fleet.play())
    assert "s_live_" in fleet.machines["server1"].inside("nft", "list", "table", *egress.RULES_TABLE.split())
    fleet.inventory()
    good(fleet.play())
    for name in DIRECTORS:
        assert not any(units(fleet.machines[name])[unit]["active"] for unit in ("lvsdr-console", "lvsdr-console-helper"))
        assert "console" not in fleet.machines[name].inside("nft", "list", "table", *places.RULES_TABLE.split())
    for name in ("server1", "server2"):
        machine = fleet.machines[name]
        assert "lvsdr_egress" not in machine.inside("nft", "list", "tables")
        assert machine.read(egress.RULES) is None and machine.read("/etc/systemd/system/" + egress.SOCKET_NAME) is None
    assert good(fleet.play()).stdout.count("changed=0") == 4


@pytest.mark.long
def test_a_rollout_that_ended_after_each_step_of_a_real_server(fleet):
    good(fleet.play())
    fleet.inventory(**ON)
    end_after_each_step(lambda **options: fleet.play("site.yml", "--tags", "real_server", **options))
    assert "s_live_" in fleet.machines["server2"].inside("nft", "list", "table", *egress.RULES_TABLE.split())
    assert "changed: [" not in good(fleet.play("site.yml", "--tags", "real_server")).stdout


def test_a_click_is_undone_by_a_rollout_that_names_it(fleet):
    fleet.inventory(**ON)
    good(fleet.play())
    fleet.activate()
    name = places.drain_file("server2")
    for director in DIRECTORS:
        for folder in FOLDERS:
            fleet.machines[director].write("%s/%s" % (folder, name), notes.text(OUT, "anna", "kernel upgrade"))
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = {"at": at, "run": "console-" + director, "on": director, "verb": "drain", "what": "server2",
                "by": "anna", "reason": "kernel upgrade", "event": "ended", "result": "done"}  # fmt: skip
        fleet.machines[director].write(places.CONSOLE_JOURNAL, json.dumps(line) + "\n")
    # Runs about something else leave it, and what it says.
    good(fleet.play("playbooks/drain.yml", "-e", "drain_servers=server2", "-e", "preflight_allow_drained=true"))
    said = good(fleet.play("playbooks/history.yml", "-e", "director_console_actions=true")).said
    assert said.count("done (kernel upgrade)") == 1, "both directors wrote one click down"
    assert "anna: kernel upgrade" in fleet.machines["director1"].read("%s/%s" % (places.DRAINED_KEPT, name))
    done = good(fleet.play())
    assert "remove %s/%s" % (places.DRAINED, name) in done.said
    assert all(files(fleet, director, folder) == [] for director in DIRECTORS for folder in FOLDERS)


def test_a_drain_says_who_and_why(fleet):
    good(fleet.play())
    fleet.activate()
    good(fleet.play("playbooks/drain.yml", "-e", "drain_servers=server2", "-e", "drain_why='a new disk'"))
    text = fleet.machines["director1"].read("%s/%s" % (places.DRAINED, places.drain_file("server2")))
    assert notes.read(text)["why"] == "a new disk"


def test_a_report_is_a_page(fleet):
    good(fleet.play())
    fleet.activate()
    path = fleet.folder / "lvsdr.html"
    good(fleet.play("playbooks/report.yml", "-e", "report_path=%s" % path))
    html = path.read_text()
    assert "server1" in html and "director1" in html and "<script" not in html


def test_actions_need_a_key(fleet):
    fleet.inventory(director_console_actions=True, **ON)
    done = fleet.play()
    assert done.returncode != 0 and "[console-key-missing]" in done.said
    fleet.inventory(director_console_actions=True, director_console_key_file="/etc/lvsdr/console.key", **ON)
    done = fleet.play()
    assert done.returncode != 0 and "[file-unreadable]" in done.said
    for director in DIRECTORS:
        fleet.machines[director].write("/etc/lvsdr/console.key", "0" * 64)
    done = fleet.play()
    assert done.returncode != 0 and "[file-world-readable]" in done.said
    for director in DIRECTORS:
        fleet.machines[director].inside("chmod", "600", "/etc/lvsdr/console.key")
    good(fleet.play())
    text = fleet.machines["director1"].read(places.CONSOLE_UNIT)
    assert "LoadCredential=console-key:/etc/lvsdr/console.key" in text
