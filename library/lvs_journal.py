#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The documentation of the action plugin plugins/action/lvs_journal.py, where Ansible looks for it."""

DOCUMENTATION = r"""
---
module: lvs_journal
short_description: Write a line into the journal on the controller
description:
  - Appends a line of JSON to a file on the controller, with the time, the user and the controller's name. Nothing is connected to.
  - A journal that can't be written is a warning, and the playbook goes on, unless O(required) is set.
options:
  event:
    description: V(begun) and V(ended) for a whole run, V(drained) and V(done) for one host of it.
    type: str
    choices: [begun, drained, done, ended]
    required: true
  verb:
    description: What is done, such as C(scale).
    type: str
    required: true
  what:
    description: To what, such as C(live 5).
    type: str
    default: ""
  run:
    description: What the lines of one run have in common, C(lvs.run) of M(lvs_resolve).
    type: str
    required: true
  item:
    description: The host that is drained or done.
    type: str
  result:
    description: What a run came to, in words.
    type: str
  numbers:
    description: Servers and connections of each service, as the filter C(lvs_numbers) has them.
    type: dict
  fleet:
    description: The directors that a run is about, each with its address.
    type: list
    elements: str
  alone:
    description: With V(begun), fail where a run that was begun before for one of the same directors (O(fleet)), in the same journal and on
      this machine, still goes on. One whose process has ended does not count, nor does the process that has started this one.
    type: bool
    default: false
  since:
    description: With O(alone), fail also where such a run has written a line since then, in seconds since 1970. What was read before may
      not be true any more.
    type: float
  required:
    description: Fail where the journal can't be written, because a later run has to read it.
    type: bool
    default: false
  path:
    description: The file. Its folder is made.
    type: path
    default: /var/log/lvsdr/journal.jsonl
attributes:
  check_mode:
    description: Nothing is written.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Write down that it has begun
  lvs_journal:
    event: begun
    verb: scale
    what: live 5
    run: "{{ lvs.run }}"
"""

RETURN = r"""
path:
  description: The file.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={
            "event": {"type": "str", "choices": ["begun", "drained", "done", "ended"], "required": True},
            "verb": {"type": "str", "required": True},
            "what": {"type": "str", "default": ""},
            "run": {"type": "str", "required": True},
            "item": {"type": "str"},
            "result": {"type": "str"},
            "numbers": {"type": "dict"},
            "fleet": {"type": "list", "elements": "str"},
            "alone": {"type": "bool", "default": False},
            "since": {"type": "float"},
            "required": {"type": "bool", "default": False},
            "path": {"type": "path", "default": "/var/log/lvsdr/journal.jsonl"},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="lvs_journal is an action: set action_plugins to the folder plugins/action of lvsdr in ansible.cfg")


if __name__ == "__main__":
    main()
