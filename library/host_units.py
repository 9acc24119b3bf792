#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs systemd units with the files that are on disk, whoever wrote them and whenever."""

DOCUMENTATION = r"""
---
module: host_units
short_description: Systemd units that run with the files that are on disk
description:
  - A file on disk is not a configuration in force. Each unit gets a drop-in that copies the files it reads, whenever it reads them, to
    C(/run/lvsdr/in_force/UNIT); a unit whose files differ from these copies is reloaded or restarted.
  - So it does not matter whether this run wrote the file, or one that ended before it could reload, or a person by hand, or whether the
    unit was restarted in between. Nothing is reloaded whose files are in force.
options:
  units:
    description: The units, in the order in which they are acted on.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the unit, without C(.service).
        type: str
        required: true
      state:
        description: Whether it runs now.
        type: str
        choices: [started, stopped]
        default: started
      enabled:
        description: Whether it starts at boot. By default as O(units[].state); one that is stopped and enabled is left as it was.
        type: bool
      restart_on:
        description: Files that it reads only when it starts, such as its own unit file.
        type: list
        elements: path
        default: []
      reload_on:
        description: Files that it reads again when it is reloaded.
        type: list
        elements: path
        default: []
      workers:
        description:
          - Whether its main process starts others whenever it has read its files, as nginx does.
          - A reload after which it starts none within twenty seconds fails. For systemd it would be a success.
        type: bool
        default: false
  digests:
    description:
      - SHA-256 of files as they are declared, path to digest.
      - In check mode these count in the place of the files, which were not written.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Returns what would be done with the files as O(digests) has them.
    support: full
  diff_mode:
    description: There is no text to show.
    support: none
notes:
  - Needs root and systemd.
seealso:
  - module: host_files
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: nginx serves what its file says
  host_units:
    units:
      - name: nginx
        reload_on: [/etc/nginx/nginx.conf]
        workers: true
"""

RETURN = r"""
steps:
  description: What was done, in order, or in check mode would be.
  returned: always
  type: list
  elements: str
  sample: [drop-in nginx, daemon-reload, reload nginx]
applied:
  description: Where a step failed, what was done before. A second run does the rest.
  returned: on failure
  type: list
  elements: str
not_applied:
  description: What was not.
  returned: on failure
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr import options
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.system import commands, in_force

UNIT = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
    "enabled": {"type": "bool"},
    "restart_on": {"type": "list", "elements": "path", "default": []},
    "reload_on": {"type": "list", "elements": "path", "default": []},
    "workers": {"type": "bool", "default": False},
}


def main():
    module = options.begin(
        AnsibleModule,
        argument_spec={
            "units": {"type": "list", "elements": "dict", "required": True, "options": UNIT},
            "digests": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    try:
        commands.check_names(units=[unit["name"] for unit in module.params["units"]])
        result = in_force.apply_units(module.params["units"], module.params["digests"], module.check_mode)
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
