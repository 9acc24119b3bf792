#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sends the answers of a NAT server through the director."""

DOCUMENTATION = r"""
---
module: return_path
short_description: Send the answers of a service through a gateway, and nothing else
description:
  - A director that translates addresses has to see the answers of the real server, to translate them back. This module adds a rule for the
    source address and port of each service, which leads to a routing table with nothing but a default route through the gateway that moves
    between the directors.
  - The host's own default route stays, for its own connections. Viewers in the host's own subnet are answered through the director, too,
    because that table knows no link.
  - Rules and routes carry the number 76 as their routing protocol, by which they are found again. A systemd unit makes them at boot, and
    again after networking, systemd-networkd or NetworkManager was restarted; systemd-networkd is told to leave them alone.
options:
  paths:
    description: The services whose answers go through a gateway.
    type: list
    elements: dict
    required: true
    suboptions:
      address:
        description: The source address of the answers, this host's own.
        type: str
        required: true
      gateway:
        description: The address that they go through, on a link of this host.
        type: str
        required: true
      protocol:
        description: Transport protocol.
        type: str
        choices: [tcp, udp, sctp]
        default: tcp
      first:
        description: The port that the program listens on, or the first one of a range.
        type: int
        required: true
      last:
        description: The last port of a range. O(paths[].first) by default.
        type: int
  purge:
    description: Remove what an earlier run added and that is not named now. Without it that is returned as RV(stale).
    type: bool
    default: true
  persist:
    description: Install the systemd unit C(lvsdr-return-path.service), and tell systemd-networkd, so that it lasts.
    type: bool
    default: true
attributes:
  check_mode:
    description: The plan is the same as without check mode.
    support: full
  diff_mode:
    description: Rules and routes, as the commands that make them.
    support: full
notes:
  - Needs root, systemd and pyroute2, and Linux 4.17 or later, whose rules know ports and owners.
  - Sources are ip-rule(8), ip-route(8), rtnetlink(7) and networkd.conf(5).
seealso:
  - module: real_server_vip
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Answer viewers of port 8080 through the director
  return_path:
    paths:
      - {address: 198.51.100.21, first: 8080, gateway: 198.51.100.110}

- name: Answer all of them directly again
  return_path:
    paths: []
"""

RETURN = r"""
steps:
  description: What was done, or in check mode would be, in order, as the commands that do the same.
  returned: always
  type: list
  elements: str
  sample: [ip -4 rule add priority 7600 from 198.51.100.21 ipproto 6 sport 8080 lookup 174 protocol 76]
stale:
  description: Rules of earlier runs that are not wanted now and were left because of O(purge=false).
  returned: always
  type: list
  elements: dict
  contains:
    address: {description: The source address., type: str}
    protocol: {description: The number of the transport protocol., type: int}
    first: {description: The first port., type: int}
    last: {description: The last port., type: int}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.routes import host, plan


def main():
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "dict", "required": True, "options": plan.OPTIONS},
            "purge": {"type": "bool", "default": True},
            "persist": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        paths = plan.read_paths(module.params["paths"])
        result = host.converge(paths, module.params["purge"], module.params["persist"], module.check_mode)
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
