#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The documentation of the action plugin plugins/action/lvs_resolve.py, where Ansible looks for it."""

DOCUMENTATION = r"""
---
module: lvs_resolve
short_description: Resolve virtual_services for all hosts at once
description:
  - Computes the services, what each host gets of them, and what differs, from C(virtual_services), the inventory, and what hosts
    registered as C(lvs_preflight) and C(__real_server_vip). It runs on the controller, once for all hosts, and asks none of them.
  - Run it with C(run_once), as C(playbooks/parts/resolve.yml) does.
options:
  preflight:
    description: Fail with every error that can be seen before anything is touched, and not only with those of the services.
    type: bool
    default: false
  postpone:
    description: Where a host lacks what it needs to be read, leave out O(preflight) and what was read, and only say which hosts these are.
    type: bool
    default: false
  only:
    description:
      - The real servers that this run is about. By default all are. What is returned of real servers is of these alone.
      - It holds for all later calls of the run.
    type: list
    elements: str
  without:
    description:
      - Hosts that are taken out of all groups, as if the inventory named them no more. What directors hold of them leaves.
      - It holds for all later calls of the run.
    type: list
    elements: str
attributes:
  check_mode:
    description: Nothing is ever changed.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Resolve the services
  lvs_resolve:
  run_once: true
  register: resolved
"""

RETURN = r"""
lvs:
  description: Plain data; module_utils/lvsdr/fleet/model.py says what is in it.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={
            "preflight": {"type": "bool", "default": False}, "postpone": {"type": "bool", "default": False},
            "only": {"type": "list", "elements": "str"}, "without": {"type": "list", "elements": "str"},
        },
        supports_check_mode=True,
    )  # fmt: skip
    module.fail_json(msg="lvs_resolve is an action: set action_plugins to the folder plugins/action of lvsdr in ansible.cfg")


if __name__ == "__main__":
    main()
