#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The documentation of the action plugin plugins/action/lvs_rehearse.py, where Ansible looks for it."""

DOCUMENTATION = r"""
---
module: lvs_rehearse
short_description: Break one thing after another while viewers watch
description:
  - Stops programs, powers hosts off, and drains a server, one after the other, while viewers watch a stream through the VIP. Each fault
    is repaired before the next, whatever came of it; a host that was powered off is powered on at the end.
  - It runs on the controller and runs modules on the hosts itself. Use it as C(playbooks/rehearse.yml) does.
  - What it does, and what viewers noticed of it, is displayed while it runs.
options:
  services:
    description: C(lvs.services) of M(lvs_resolve), after the hosts have been read.
    type: dict
    required: true
  inventory:
    description: C(lvs.inventory) of M(lvs_resolve).
    type: dict
    required: true
  service:
    description: Name of the service that is watched, and one of whose real servers is among what fails. By default the first one with
      C(stream).
    type: str
  only:
    description: Names of the faults to make. All by default.
    type: list
    elements: str
  seconds:
    description: How long viewers watch each fault. A drain is watched for at least 60 s, and a fault that takes long to make is
      watched again, and longer.
    type: int
    default: 25
  boot_seconds:
    description: How long they watch a director that comes back.
    type: int
    default: 90
  confirmed:
    description: Do not ask whether it may be done to hosts that are not the lab's.
    type: bool
    default: false
  table:
    description: Where the table is written, as JSON, after each fault. Relative to the current directory. Its folder is made.
    type: path
    default: build/rehearsal.json
attributes:
  check_mode:
    description: A rehearsal can only be done; it is refused.
    support: none
  diff_mode:
    description: There is nothing to show.
    support: none
notes:
  - Of a host it reads C(rehearse_power_off), C(rehearse_power_on), C(rehearse_download) (of the first of group viewers),
    C(streaming_server_kind) and C(lab_kind). Commands that change the power are run on the controller, in the current directory, and are
    never shown.
seealso:
  - module: viewer_watch
  - module: vip_watch
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Kill keepalived on the active director, and nothing else
  lvs_rehearse:
    services: "{{ lvs.services }}"
    inventory: "{{ lvs.inventory }}"
    only: [keepalived killed]
"""

RETURN = r"""
rehearsal:
  description: A row for each fault that was made, as in the table.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "dict", "required": True},
            "inventory": {"type": "dict", "required": True},
            "service": {"type": "str"},
            "only": {"type": "list", "elements": "str"},
            "seconds": {"type": "int", "default": 25},
            "boot_seconds": {"type": "int", "default": 90},
            "confirmed": {"type": "bool", "default": False},
            "table": {"type": "path", "default": "build/rehearsal.json"},
        }
    )
    module.fail_json(msg="lvs_rehearse is an action: set action_plugins to the folder plugins/action of lvsdr in ansible.cfg")


if __name__ == "__main__":
    main()
