"""What the playbooks' text alone decides."""

from pathlib import Path

import yaml

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


def test_commands_that_change_the_power_are_not_shown():
    """They may hold passwords (ipmitool -P); what they ended with is told by the task that follows."""
    found = tasks("playbooks/parts/rehearse_fault.yml")
    power = [index for index, task in enumerate(found) if "rehearse_power_" in str(task.get("ansible.builtin.command"))]
    assert len(power) == 2
    for index in power:
        task, following = found[index : index + 2]
        assert task["no_log"] is True and task["failed_when"] is False
        check = following["ansible.builtin.assert"]
        assert following["when"] == task["when"] and ".rc" in check["that"] and ".rc" in check["fail_msg"]
        assert "hostvars" not in str(check)
