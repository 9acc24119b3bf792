"""What the playbooks' text alone decides."""

from pathlib import Path

import pytest
import yaml
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.checks import verdicts
from ansible.module_utils.lvsdr.directors import drains
from ansible.module_utils.lvsdr.inventory import director_settings
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).parents[2]


def tasks(path):
    """Every task of a file, blocks taken apart."""
    out = []

    def take(items):
        for item in items:
            inner = [item[part] for part in ("block", "rescue", "always") if part in item]
            for part in inner:
                take(part)
            if not inner:
                out.append(item)

    take(yaml.safe_load((ROOT / path).read_text()))
    return out


@pytest.mark.parametrize("check_mode", [False, True])
def test_verify_fails_where_the_audit_finds_something_wrong(check_mode):
    """In check mode nothing was rolled out that could be right."""
    (audit,) = [task["arp_audit"] for task in tasks("roles/verify/tasks/audit.yml") if "arp_audit" in task]
    templar = Templar(loader=DataLoader(), variables={"ansible_check_mode": check_mode})
    strict = audit["strict"]
    assert (templar.template(trust_as_template(strict)) if isinstance(strict, str) else strict) is not check_mode


@pytest.mark.parametrize("path", ["playbooks/parts/directors.yml", "playbooks/parts/leave.yml"])
def test_a_drained_server_that_is_not_ready_has_its_file(path):
    """The services that a director gets have no such server, and the next rollout that finds it has to find it drained."""
    text = (ROOT / path).read_text()
    given = 'director_services: "{{ lvs.ready }}"'
    assert text.count(given) == 1 and 'director_drained: "{{ lvs_weight_files }}"' in text.partition(given)[2][:300]


def templated(text, **variables):
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text))


def test_the_servers_to_drain_are_a_list():
    text = yaml.safe_load((ROOT / "playbooks/vars/model.yml").read_text())["__drain_servers"]
    assert templated(text) == []
    for given in ("a, b,", ["a", "b"]):
        assert templated(text, drain_servers=given) == ["a", "b"]


def test_former_names_of_extra_variables_are_refused():
    """Without its servers drain.yml would finish what leaves, and an audit would be over before it has heard anything."""
    play = yaml.safe_load((ROOT / "playbooks/parts/drain.yml").read_text())[0]
    guard = play["tasks"][0]["vars"]
    renamed = templated(guard["__renamed"], servers="a")
    assert len(renamed) == 1 and "servers" in renamed[0] and "drain_servers" in renamed[0]
    assert templated(guard["__renamed"]) == []
    assert templated(guard["__wrong"], __renamed=renamed, __finish=True) == renamed
    (check,) = [task for task in tasks("playbooks/audit.yml") if "tasks" in task and "audit_watch_seconds" in str(task)]
    guard = check["tasks"][0]["ansible.builtin.assert"]
    assert guard["that"] == "audit_watch_seconds is not defined" and "audit_duration" in guard["fail_msg"]


def test_roles_and_program_have_the_same_numbers():
    defaults, own = (yaml.safe_load((ROOT / "roles/director" / name / "main.yml").read_text()) for name in ("defaults", "vars"))
    assert defaults["director_streamcheck_metrics_port"] == places.STREAMCHECK_PORT
    assert defaults["director_virtual_router_id"] == director_settings.VIRTUAL_ROUTER_ID
    assert defaults["director_priority"] == director_settings.PRIORITY
    (folder, _kept) = drains.weight_folders(["drained-a"], None, [])
    assert int(folder["files"]["drained-a"]) == verdicts.OUT and "absent" not in folder, "it is all that is in there"
    assert "__director_drain_number" not in own
