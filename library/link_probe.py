#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sends directors what only another director may send."""

DOCUMENTATION = r"""
---
module: link_probe
short_description: Send directors VRRP and connection sync that come from no director
description:
  - Sends each director one VRRP advertisement with TTL 255, and to the link one message of the connection sync, which names no connection.
  - Directors have to drop both. Their counters show it (C(nft list counters table inet lvsdr)); from here nothing is seen of it.
  - The advertisement has a router id that no instance has, so nothing happens even where it gets in.
options:
  directors:
    description: Addresses of the directors, on a link of this host.
    type: list
    elements: str
    required: true
  interface:
    description: This host's interface on that link.
    type: str
    required: true
  virtual_router_id:
    description: Router id of the advertisement, from 1 to 255.
    type: int
    required: true
  priority:
    description: Its priority, from 1 to 255.
    type: int
    default: 255
attributes:
  check_mode:
    description: Nothing is changed; the packets are sent in check mode too.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
notes:
  - Needs root.
  - Sources are RFC 3768, RFC 5798 and net/netfilter/ipvs/ip_vs_sync.c.
seealso:
  - module: vrrp_audit
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Pass for a director
  link_probe:
    directors: [192.0.2.11, 192.0.2.12]
    interface: eth0
    virtual_router_id: 255
"""

RETURN = r"""
sent:
  description: How many packets were sent.
  returned: success
  type: int
"""

import socket

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr import addresses, messages
from ansible.module_utils.lvsdr.arp import messages as arp
from ansible.module_utils.lvsdr.directors import vrrp
from ansible.module_utils.lvsdr.errors import LvsError, Problems
from ansible.module_utils.lvsdr.ipvs import types
from ansible.module_utils.lvsdr.system import messages as system


def send(directors, interface, virtual_router_id, priority):
    """The number of packets that went out."""
    sent = 0
    try:
        for family, address in directors:
            with socket.socket(addresses.AF[family], socket.SOCK_RAW, vrrp.PROTOCOL) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
                if family == 4:
                    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
                else:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
                    # The kernel puts in the checksum, which covers its choice of a source (RFC 3542, 3.1).
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, 6)
                sock.sendto(vrrp.advertisement(family, virtual_router_id, priority), (address, 0))
                sent += 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            sock.sendto(vrrp.EMPTY_SYNC, (types.DAEMON_DEFAULTS["group"], types.DAEMON_DEFAULTS["port"]))
            sent += 1
    except PermissionError:
        raise LvsError(system.ROOT_REQUIRED(what="sending VRRP"))
    except OSError as error:
        raise LvsError(arp.VRRP_SEND_FAILED(interface=interface, why=error.strerror or error))
    return sent


def main():
    module = AnsibleModule(
        argument_spec={
            "directors": {"type": "list", "elements": "str", "required": True},
            "interface": {"type": "str", "required": True},
            "virtual_router_id": {"type": "int", "required": True},
            "priority": {"type": "int", "default": 255},
        },
        supports_check_mode=True,
    )
    options, problems, directors = module.params, Problems(), []
    for index, address in enumerate(options["directors"]):
        try:
            directors.append(addresses.parse_address(address))
        except ValueError as why:
            problems.add("directors[%d]" % index, addresses.not_an_address(address, why))
    for name in ("virtual_router_id", "priority"):
        if not 1 <= options[name] <= 255:
            problems.add(name, messages.OUT_OF_RANGE(low=1, high=255, unit="", value=options[name]))
    try:
        problems.raise_if_any("Nothing was sent")
        sent = send(directors, options["interface"], options["virtual_router_id"], options["priority"])
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(changed=False, sent=sent)


if __name__ == "__main__":
    main()
