#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Counts what a real server sends to viewers."""

DOCUMENTATION = r"""
---
module: egress_counters
short_description: Count what a real server sends to viewers
description:
  - In direct routing, and through tunnels, a real server answers viewers itself, so no director sees what it sends. This module counts it
    by service, in a table of nftables of its own.
  - A systemd socket on TCP port 9134 answers with the counters as JSON, which C(lvsdr-console) of the directors reads.
    The same table lets in the directors alone.
  - A counter begins at 0 again when its rules change, and at boot.
options:
  counters:
    description: What is counted. An empty list removes all that an earlier run made.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the counter. Several may have the same, which then has the sum.
        type: str
        required: true
      vip:
        description: The address that viewers are answered from.
        type: str
        required: true
      protocol:
        description: Transport protocol.
        type: str
        choices: [tcp, udp, sctp]
        default: tcp
      first:
        description: The first port.
        type: int
        required: true
      last:
        description: The last port. The first one by default.
        type: int
  sources:
    description: The addresses that directors ask from.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: The plan is the same as without check mode.
    support: full
  diff_mode:
    description: The rules before and after.
    support: full
notes:
  - Needs root, systemd and nftables.
  - TCP's data is counted before it is cut into segments, so the headers of all but the first segment are missing, up to 5 % of the bytes.
    The console adds them.
seealso:
  - module: real_server_vip
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Count what this host sends to viewers of live
  egress_counters:
    counters: [{name: live, vip: 198.51.100.100, first: 80}]
    sources: [198.51.100.11, 198.51.100.12]
"""

RETURN = r"""
steps:
  description: What was done, or in check mode would be, in order, as the commands that do the same.
  returned: always
  type: list
  elements: str
  sample: [/usr/sbin/nft -f /etc/lvsdr/egress.nft, systemctl enable lvsdr-egress.socket]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.routes import counting, egress


def main():
    module = AnsibleModule(
        argument_spec={
            "counters": {"type": "list", "elements": "dict", "required": True, "options": egress.OPTIONS},
            "sources": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        counters, sources = egress.read_counters(module.params["counters"], module.params["sources"])
        result = counting.converge(counters, sources, module.check_mode)
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
