"""What the playbooks' text alone decides."""

from pathlib import Path

import pytest
import yaml
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
    assert text.count(given) == 1 and 'director_drained: "{{ lvs_services | lvs_drained }}"' in text.partition(given)[2][:300]
