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
  - What would change is computed first. Every operation shows whether it keeps, drains or cuts running connections, in check mode as well.
  - Running connections are the active ones of TCP and SCTP. The kernel counts every UDP flow as inactive, so of UDP services and firewall
    marks the inactive ones count as well.
  - Services are changed in place and never deleted and added again, so running connections stay.
  - Where another program changes the table between the plan and its application, it is read and planned again, once.
options:
  timeouts:
    description: Seconds after which an idle connection is forgotten, for all services together. What is left out stays as it is.
    type: raw
    suboptions:
      tcp:
        description: Established TCP connections, 1 to 2147483. The kernel begins with 900.
        type: int
      tcp_fin:
        description: TCP connections after a FIN. The kernel begins with 120.
        type: int
      udp:
        description: UDP. The kernel begins with 300.
        type: int
  sync_daemons:
    description:
      - The connection sync daemons that are to run, at most one of each C(sync_daemons[].state); others are stopped. An empty list stops
        both.
      - They are left alone unless this is given. On lvsdr's directors they are keepalived's.
      - A daemon that differs is stopped and started again; connections go on meanwhile.
    type: raw
    suboptions:
      state:
        description: V(master) sends connections to the others, V(backup) receives them. Both may run on one host.
        type: str
        choices: [master, backup]
        required: true
      interface:
        description: Interface on which they are sent or awaited. It has to be up, with an address of the group's family.
        type: str
        required: true
      id:
        description: A backup accepts the messages of its own id, 0 to 255; with 0 it accepts all.
        type: int
        default: 0
      maxlen:
        description: Longest message in bytes, from 1024 for a backup and 1 for a master to 65487. Fits the interface's MTU by default.
        type: int
      group:
        description: Multicast group, IPv4 or IPv6. The kernel's own is 224.0.0.81.
        type: str
      port:
        description: UDP port, 8848 by default.
        type: int
      ttl:
        description: Time to live, 1 by default.
        type: int
  zero_counters:
    description:
      - Set the counters of the declared services and their destinations to 0, or of all where none is declared. Always a change.
    type: bool
    default: false
  state:
    description:
      - V(merged) adds and changes, and removes only services with C(services[].state=absent).
      - V(replaced) also removes destinations that are not named, and services on a declared VIP that are not. Other VIPs are left alone.
      - V(overridden) makes this the whole table.
      - V(deleted) removes the named services.
      - V(gathered) only reads, and returns the table in RV(gathered) in the words of these options.
      - V(rendered) touches no kernel and returns the declared services, timeouts and daemons in RV(rendered) as text for C(ipvsadm -R).
      - V(parsed) touches no kernel and returns the content of O(running_config), in RV(parsed) in the words of these options, and as an
        inventory in RV(inventory).
    type: str
    choices: [merged, replaced, overridden, deleted, gathered, rendered, parsed]
    default: replaced
  running_config:
    description: For O(state=parsed), what C(ipvsadm -Sn) printed, or a script of ipvsadm commands that adds services and servers.
    type: str
  allow:
    description: Kinds of operations that may happen. A plan with any other is refused before anything changes.
    type: list
    elements: str
    choices: [add, change, remove]
    default: [add, change, remove]
  max_cut_connections:
    description: Refuse a plan that would cut more running connections than this, 0 or more. No limit by default.
    type: int
  sysctls:
    description:
      - Settings under C(/proc/sys/net/ipv4/vs/), name to value, in force before the table changes, and read back.
      - They last until the next boot; the director role has them set at boot.
    type: dict
    default: {}
extends_documentation_fragment: ipvs_services
attributes:
  check_mode:
    description: The plan is the same as without check mode.
    support: full
  diff_mode:
    description: Before and after of the services that change, as C(ipvsadm -Sn) prints them.
    support: full
notes:
  - A destination whose forwarding is V(local) has no option in ipvsadm, which prints it as C(-g). Texts have C(--local) instead, and
    O(state=rendered) refuses it.
  - Needs root and a kernel with IPVS. The module ip_vs is loaded by the kernel itself at the first request.
  - Source of the interface is include/uapi/linux/ip_vs.h of the kernel.
seealso:
  - module: ipvs_info
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Two servers behind a VIP by direct routing
  ipvs_table:
    services:
      - address: 198.51.100.100
        port: 80
        scheduler: mh
        scheduler_flags: [mh-port, mh-fallback]
        destinations:
          - {address: 198.51.100.21, weight: 10}
          - {address: 198.51.100.22, weight: 10}

- name: Refuse to interrupt any viewer
  ipvs_table:
    services: "{{ services }}"
    max_cut_connections: 0

- name: Report what would change, and how many connections it would cut
  ipvs_table:
    services: "{{ services }}"
    max_cut_connections: 0
  check_mode: true
  register: plan

- name: Print it
  ansible.builtin.debug:
    msg: "{{ plan.operations }}"

# Before, the kernel holds
#   -A -t 198.51.100.100:80 -s rr
#   -a -t 198.51.100.100:80 -r 198.51.100.21:80 -g -w 1
# and this changes the scheduler in place, adds one server and reports "cuts 3 active connections" for the other:
- name: Exchange a server
  ipvs_table:
    state: replaced
    services:
      - address: 198.51.100.100
        port: 80
        scheduler: wlc
        destinations:
          - {address: 198.51.100.22, weight: 10}

- name: Read the table in the words of the options
  ipvs_table:
    state: gathered
  register: now

- name: From ipvsadm to an inventory
  ipvs_table:
    state: parsed
    running_config: |
      -A -t 198.51.100.100:80 -s wlc
      -a -t 198.51.100.100:80 -r 198.51.100.21:80 -g -w 5
  delegate_to: localhost
  register: old

- name: Write it down, and fill in the directors
  ansible.builtin.copy:
    content: "{{ old.inventory | to_nice_yaml(sort_keys=false) }}"
    dest: inventories/mine/hosts.yml
    mode: "0644"
  delegate_to: localhost

- name: Keep idle viewers for an hour
  ipvs_table:
    timeouts: {tcp: 3600}

- name: Retire a VIP
  ipvs_table:
    services:
      - {address: 198.51.100.100, port: 80, state: absent}
"""

RETURN = r"""
before:
  description: The services that the plan concerns as they were, in the words of the options.
  returned: when a table is declared
  type: list
  elements: dict
after:
  description: The same services after it, without those that went. In check mode what they would be.
  returned: when a table is declared
  type: list
  elements: dict
operations:
  description:
    - What was done, or in check mode would be, in order. Each line is the ipvsadm command that does the same, and after it what this does
      to running connections.
  returned: when a table is declared
  type: list
  elements: str
  sample:
    - "ipvsadm -E -t 198.51.100.100:80 -s wlc  # keeps connections"
    - "ipvsadm -e -t 198.51.100.100:80 -r 198.51.100.21:80 -g -w 0  # drains 3 active connections"
    - "ipvsadm -d -t 198.51.100.100:80 -r 198.51.100.22:80  # cuts 4 active connections"
effects:
  description: The same in numbers, for C(keeps), C(drains) and C(cuts).
  returned: when a table is declared
  type: dict
  sample:
    keeps: {operations: 1, connections: 0}
    drains: {operations: 1, connections: 3}
    cuts: {operations: 1, connections: 4}
refuses_newcomers:
  description:
    - Declared services whose scheduler refuses new connections that another destination could serve, by the reason. Each is also a warning.
    - The module declares what it is given; lvsdr's inventories always set C(mh-fallback) and C(sh-fallback).
  returned: when a table is declared
  type: dict
  sample:
    ? "scheduler mh without mh-fallback refuses new connections that hash to a destination of weight 0, such as a drained or failed one\
      \ [scheduler-refuses-newcomers]"
    : ["tcp 198.51.100.100:80"]
foreign:
  description: Services in the table after that are not declared, and were left alone.
  returned: when a table is declared
  type: list
  elements: str
sysctls:
  description: Settings that were changed, name to value before and after.
  returned: when a table is declared
  type: dict
timeouts:
  description: Timeouts C(before) and C(after).
  returned: when O(timeouts) is given
  type: dict
sync_daemons:
  description: Sync daemons C(before) and C(after).
  returned: when O(sync_daemons) is given
  type: dict
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
problems:
  description: Every wrong value with its path, such as C(services[3].destinations[0].port). Nothing was changed then.
  returned: on failure
  type: list
  elements: str
gathered:
  description: RV(gathered.services), RV(gathered.timeouts) and RV(gathered.sync_daemons), which can be given to the options of that name.
  returned: with O(state=gathered)
  type: dict
  contains:
    services: {description: The services., type: list, elements: dict}
    timeouts: {description: The timeouts., type: dict}
    sync_daemons: {description: The sync daemons., type: list, elements: dict}
rendered:
  description: Text for C(ipvsadm -R).
  returned: with O(state=rendered)
  type: str
parsed:
  description: RV(parsed.services) and, where the text sets them, RV(parsed.timeouts) and RV(parsed.sync_daemons).
  returned: with O(state=parsed)
  type: dict
  contains:
    services: {description: The services., type: list, elements: dict}
    timeouts: {description: The timeouts., type: dict}
    sync_daemons: {description: The sync daemons., type: list, elements: dict}
inventory:
  description: The parsed services as a YAML inventory for site.yml, with an empty group of directors to fill in.
  returned: with O(state=parsed)
  type: dict
not_in_inventory:
  description: Why a parsed service can't be written in the inventory.
  returned: with O(state=parsed)
  type: list
  elements: str
other_ports:
  description:
    - A sentence, also a warning, for each line with a port that counts as another one, because direct routing and tunnels have no ports of
      their own. C(ipvsadm) reads such a line in the same way; keepalived may have put it into the kernel.
  returned: with O(state=parsed)
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.ipvs import table
from ansible.module_utils.lvsdr.options import from_json


def main():
    module = AnsibleModule(
        argument_spec={
            # Values are checked in module_utils/lvsdr/ipvs/declare.py, all at once and with the path to each.
            "services": {"type": "raw", "default": []},
            "timeouts": {"type": "raw"},
            "sync_daemons": {"type": "raw"},
            "zero_counters": {"type": "bool", "default": False},
            "state": {
                "type": "str",
                "choices": ["merged", "replaced", "overridden", "deleted", "gathered", "rendered", "parsed"],
                "default": "replaced",
            },
            "allow": {"type": "list", "elements": "str", "choices": ["add", "change", "remove"], "default": ["add", "change", "remove"]},
            "max_cut_connections": {"type": "int"},
            "sysctls": {"type": "dict", "default": {}},
            "running_config": {"type": "str"},
        },
        required_if=[("state", "parsed", ("running_config",))],
        supports_check_mode=True,
    )
    options = dict(module.params)
    # AnsibleModule returns all options with the result; a large table would be sent back whole, at a third of a call's cost.
    del module.params["services"]
    state, running_config = options.pop("state"), options.pop("running_config")
    try:
        options["services"] = from_json("services", options["services"])
        declared = {name: options[name] for name in ("services", "timeouts", "sync_daemons")}
        if state == "gathered":
            result = {"gathered": table.gather()}
        elif state == "rendered":
            result = {"rendered": table.rendered(**declared)}
        elif state == "parsed":
            result = table.parsed(running_config)
        else:
            result = table.converge(state=state, check=module.check_mode, diff=module._diff, **options)
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    for sentence in result.get("other_ports", ()):
        module.warn(sentence)
    for reason, names in result.get("refuses_newcomers", {}).items():
        module.warn("%s: %s" % (", ".join(names[:5]) + (" and %d more" % (len(names) - 5) if len(names) > 5 else ""), reason))
    module.exit_json(**{"changed": False, **result})


if __name__ == "__main__":
    main()
