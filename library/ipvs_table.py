#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Declares the services and destinations of the kernel's IPVS table."""

DOCUMENTATION = r"""
---
module: ipvs_table
short_description: Declare the IPVS table of a director
description:
  - Brings the virtual services and destinations of the kernel's IPVS table (Linux Virtual Server) to what is declared, over netlink and
    without ipvsadm.
  - What would change is computed first. Every operation says whether it keeps, drains or cuts running connections, in check mode as well.
  - Services are changed in place and never deleted and added again, so running connections stay.
options:
  services:
    description: The virtual services.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: A name for readers; the kernel has none.
        type: str
      address:
        description: The VIP, IPv4 or IPv6. Not with O(services[].firewall_mark).
        type: str
      protocol:
        description: Transport protocol, V(tcp) unless said.
        type: str
        choices: [tcp, udp, sctp]
      port:
        description: Port from 1 to 65535, or 0 for every port, which needs O(services[].persistence).
        type: int
      firewall_mark:
        description: Serve the packets that carry this mark (1 to 4294967295) instead of an address and port.
        type: int
      family:
        description: Family of a firewall-mark service.
        type: str
        choices: [ipv4, ipv6]
        default: ipv4
      scheduler:
        description: How a destination is chosen for a new connection. See ipvsadm(8).
        type: str
        choices: [rr, wrr, lc, wlc, lblc, lblcr, dh, sh, mh, sed, nq, fo, ovf, twos]
        default: wlc
      scheduler_flags:
        description: C(sh-fallback), C(sh-port), C(mh-fallback), C(mh-port), with the scheduler that they name.
        type: list
        elements: str
        default: []
      one_packet:
        description: Schedule each packet by itself. For UDP.
        type: bool
        default: false
      persistence:
        description: Send a client to the same destination again.
        type: dict
        suboptions:
          timeout:
            description: Seconds that a client is remembered, up to 2678400.
            type: int
            default: 300
          netmask:
            description: Netmask (IPv4) or prefix length (IPv6) by which clients are taken together. A single client unless said.
            type: str
          engine:
            description: Persistence engine. V(sip) goes by the Call-ID, for UDP.
            type: str
            choices: ["", sip]
            default: ""
      state:
        description: V(absent) removes the service. A VIP is retired this way.
        type: str
        choices: [present, absent]
        default: present
      destinations:
        description: The real servers.
        type: list
        elements: dict
        default: []
        suboptions:
          address:
            description: Address of the real server, of the service's family unless O(services[].destinations[].forward=tunnel).
            type: str
            required: true
          port:
            description: Port, the service's unless said. Only V(nat) can have another.
            type: int
          forward:
            description: Forwarding method, V(dr) for direct routing.
            type: str
            choices: [dr, nat, tunnel, local]
            default: dr
          weight:
            description: Share of new connections, 0 to 2147483647. 0 takes no new ones.
            type: int
            default: 1
          upper_threshold:
            description: Connections from which on no new ones are sent. 0 for no limit.
            type: int
            default: 0
          lower_threshold:
            description: Connections below which new ones are sent again after the upper threshold was reached.
            type: int
            default: 0
          tunnel:
            description: Encapsulation of a V(tunnel) destination.
            type: dict
            suboptions:
              type:
                description: Kind of tunnel.
                type: str
                choices: [ipip, gue, gre]
                default: ipip
              port:
                description: UDP port of a GUE tunnel.
                type: int
              checksum:
                description: Checksum in the tunnel's header.
                type: str
                choices: [none, csum, remcsum]
                default: none
          health_checked:
            description:
              - A health check (keepalived) owns the weight.
              - The destination is created with weight 0, and its weight is left alone from then on.
            type: bool
            default: false
  state:
    description:
      - V(merged) adds and changes, and removes only services that say O(services[].state=absent).
      - V(replaced) also removes destinations that are not named, and services on a declared VIP that are not. Other VIPs are left alone.
      - V(overridden) makes this the whole table.
      - V(deleted) removes the named services.
    type: str
    choices: [merged, replaced, overridden, deleted]
    default: replaced
  allow:
    description: Kinds of operations that may happen. A plan with any other is refused before anything changes.
    type: list
    elements: str
    choices: [add, change, remove]
    default: [add, change, remove]
  max_cut_connections:
    description: Refuse a plan that would cut more active connections than this. No limit unless said.
    type: int
  sysctls:
    description:
      - Settings under C(/proc/sys/net/ipv4/vs/), name to value, in force before the table changes, and read back.
      - They last until the next boot; the director role has them set at boot.
    type: dict
    default: {}
attributes:
  check_mode:
    description: The plan is the same as without check mode.
    support: full
  diff_mode:
    description: Before and after as C(ipvsadm -Sn) prints them.
    support: full
notes:
  - Needs root and a kernel with IPVS. The module ip_vs is loaded by the kernel itself at the first question.
  - Source of the interface is include/uapi/linux/ip_vs.h of the kernel.
seealso:
  - module: ipvs_info
author: the lvsdr authors
"""

EXAMPLES = r"""
- name: Two servers behind a VIP by direct routing
  ipvs_table:
    services:
      - address: 198.51.100.100
        port: 80
        scheduler: mh
        scheduler_flags: [mh-port]
        destinations:
          - {address: 198.51.100.21, weight: 10}
          - {address: 198.51.100.22, weight: 10}

- name: Refuse to interrupt anybody
  ipvs_table:
    services: "{{ services }}"
    max_cut_connections: 0

- name: Retire a VIP
  ipvs_table:
    services:
      - {address: 198.51.100.100, port: 80, state: absent}
"""

RETURN = r"""
before:
  description: The table before, in the words of the options.
  returned: always
  type: list
  elements: dict
after:
  description: The table after. In check mode what it would be.
  returned: always
  type: list
  elements: dict
operations:
  description: What was done, or in check mode would be, in order.
  returned: always
  type: list
  elements: dict
  contains:
    action: {description: "C(add-service), C(set-service), C(delete-service), or the same with C(destination).", type: str}
    service: {description: The service., type: str, sample: "tcp 198.51.100.100:80"}
    destination: {description: Address of the destination where it is about one., type: str}
    command: {description: The ipvsadm command that does the same., type: str}
    effect: {description: "C(keeps), C(drains) or C(cuts) connections.", type: str}
    connections: {description: How many active connections are drained or cut., type: int}
    text: {description: All of this in one line., type: str}
foreign:
  description: Services in the table after that are not declared, and were left alone.
  returned: always
  type: list
  elements: str
sysctls:
  description: Settings that were changed, name to value before and after.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.lvsdr import table
from ..module_utils.lvsdr.errors import LvsError


def main():
    module = AnsibleModule(
        argument_spec={
            # Values are judged in module_utils/lvsdr/model.py, all at once and with the path to each.
            "services": {"type": "list", "elements": "raw", "default": []},
            "state": {"type": "str", "choices": ["merged", "replaced", "overridden", "deleted"], "default": "replaced"},
            "allow": {"type": "list", "elements": "str", "choices": ["add", "change", "remove"], "default": ["add", "change", "remove"]},
            "max_cut_connections": {"type": "int"},
            "sysctls": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    try:
        result = table.converge(
            module.params["services"],
            state=module.params["state"],
            allow=module.params["allow"],
            max_cut_connections=module.params["max_cut_connections"],
            sysctls=module.params["sysctls"],
            check=module.check_mode,
        )
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
