#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes all files of a host in one call, each checked before any is written."""

DOCUMENTATION = r"""
---
module: host_files
short_description: Files, folders, packet filter rules and kernel settings of a host, in one call
description:
  - Writes what differs, each file beside its place and then moved there. Where a file names a program that checks it, all are checked
    before the first one is written.
  - Rules of nftables and settings of the kernel are compared with what the kernel holds, not with the file, so a table that was
    flushed, or a setting that was changed, is put in force again.
  - What a running program has read of its files is up to M(host_units).
options:
  folders:
    description: Folders to make.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The folder.
        type: path
        required: true
      mode:
        description: Its permissions when it is made, octal.
        type: str
        default: "0755"
      files:
        description: All files that are to be in it, name to content. Others are removed, unless O(folders[].absent) is there. By default
          its files are left alone.
        type: dict
      absent:
        description: Names of files that are not to be in it. Files that are named nowhere are then left alone.
        type: list
        elements: str
  files:
    description: Files to write.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The file. Its folder is made where it is missing.
        type: path
        required: true
      content:
        description: The whole text.
        type: str
        required: true
      mode:
        description: Permissions of a file that is written, octal.
        type: str
        default: "0644"
      check:
        description: A program that reads the file before it is written.
        type: dict
        suboptions:
          command:
            description: The program and its arguments, C(%s) in the place of the file.
            type: list
            elements: str
            required: true
          ignore:
            description: Lines of its output that are not errors, as regular expressions. If only these are printed, any status is good.
            type: list
            elements: str
            default: []
  rules:
    description: Files of nftables rules that make one table each, in force now and kept for a boot.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The file.
        type: path
        required: true
      table:
        description: Family and name of its table, such as C(inet lvsdr).
        type: str
        required: true
      content:
        description: The rules. The table has a comment C(lvsdr DIGEST), by which it is known when it is in force (filter C(lvs_rules)).
        type: str
        required: true
  sysctls:
    description: Settings under C(/proc/sys), name with slashes to value, read back. They last until the next boot.
    type: dict
    default: {}
attributes:
  check_mode:
    description: What would be written is checked and shown, and nothing is written.
    support: full
  diff_mode:
    description: Before and after of each file and setting.
    support: full
seealso:
  - module: host_units
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: The configuration of nginx, which nginx has to accept
  host_files:
    files:
      - path: /etc/nginx/nginx.conf
        content: "{{ lookup('ansible.builtin.template', 'nginx.conf.j2') }}"
        check: {command: [nginx, -t, -q, -c, "%s"]}
"""

RETURN = r"""
steps:
  description: What was done, in order, or in check mode would be.
  returned: always
  type: list
  elements: str
  sample: [write /etc/keepalived/keepalived.conf, rules /etc/keepalived/lvsdr.nft, sysctl net/ipv4/conf/eth0/accept_local]
problems:
  description: What programs reported of files that they refuse. Nothing was written then.
  returned: on failure
  type: list
  elements: str
applied:
  description: Where something failed half-way, what was done. A second run does the rest.
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
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.system import in_force

CHECK = {"command": {"type": "list", "elements": "str", "required": True}, "ignore": {"type": "list", "elements": "str", "default": []}}
PATH = {"type": "path", "required": True}
TEXT = {"type": "str", "required": True}
FOLDER = {"path": PATH, "mode": {"type": "str", "default": "0755"}, "files": {"type": "dict"},
          "absent": {"type": "list", "elements": "str"}}  # fmt: skip
FILE = {"path": PATH, "content": TEXT, "mode": {"type": "str", "default": "0644"}, "check": {"type": "dict", "options": CHECK}}


def main():
    module = AnsibleModule(
        argument_spec={
            "folders": {"type": "list", "elements": "dict", "default": [], "options": FOLDER},
            "files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
            "rules": {
                "type": "list", "elements": "dict", "default": [], "options": {"path": PATH, "table": TEXT, "content": TEXT},
            },
            "sysctls": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )  # fmt: skip
    options = dict(module.params)
    try:
        result = in_force.apply_files(options, module.check_mode)
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    if not module._diff:
        del result["diff"]
    # The files themselves need not travel back.
    module.params.clear()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
