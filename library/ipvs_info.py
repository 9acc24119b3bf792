#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads the kernel's IPVS table, its connections and counters."""

DOCUMENTATION = r"""
---
module: ipvs_info
short_description: Read the IPVS table of a director
description:
  - Returns services, destinations, connections and counters of the kernel's IPVS table, and the state of its sync daemons. Changes nothing.
options:
  counters:
    description: Return counters and rates as well.
    type: bool
    default: true
  services:
    description: Services in the words of M(ipvs_table)'s option of that name, or as JSON text, to compare the table with. See RV(drift).
    type: raw
  state:
    description: As in M(ipvs_table). V(replaced) finds what does not belong on a declared VIP, V(merged) ignores it.
    type: str
    choices: [merged, replaced, overridden, deleted]
    default: replaced
attributes:
  check_mode:
    description: Nothing is ever changed.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
notes:
  - Needs root and a kernel with IPVS.
seealso:
  - module: ipvs_table
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Wait until a drained server has no active connections
  ipvs_info:
  register: ipvs
  until: ipvs.destinations['198.51.100.21'].active | default(0) == 0
  retries: 60
  delay: 10

- name: Wait until the table is as declared, and report what is missing
  ipvs_info:
    services: "{{ services }}"
  register: ipvs
  until: ipvs.drift | length == 0
  retries: 10
  delay: 3
"""

RETURN = r"""
services:
  description: The table in the words of ipvs_table's options, with the connections of each destination and, where asked for, counters.
  returned: always
  type: list
  elements: dict
  sample:
    - address: 198.51.100.100
      protocol: tcp
      port: 80
      scheduler: mh
      counters: {conns: 12, inpkts: 80, outpkts: 0, inbytes: 9000, outbytes: 0, cps: 0, inpps: 0, outpps: 0, inbps: 0, outbps: 0}
      destinations:
        - {address: 198.51.100.21, forward: dr, weight: 10, active: 3, inactive: 5, persistent: 0}
destinations:
  description: Connections of each real server over all services, by address.
  returned: always
  type: dict
  contains:
    active: {description: Active connections., type: int}
    inactive: {description: Inactive connections., type: int}
    weights: {description: Its weight in each service., type: dict}
drift:
  description: The operations that M(ipvs_table) would need, a line each as it returns them; none where the table is as declared.
  returned: with O(services)
  type: list
  elements: str
  sample: ["ipvsadm -E -t 198.51.100.100:80 -s mh  # keeps connections"]
marks:
  description: The VIPs, protocols and ports behind the firewall mark of each service of several ports, as lvsdr's nftables rules have them.
  returned: always
  type: dict
  sample: {"1291845633": [198.51.100.100 tcp 554, 198.51.100.100 udp 6970-7170]}
text:
  description: The table as C(ipvsadm -Sn) prints it.
  returned: always
  type: str
timeouts:
  description: Seconds after which an idle connection is forgotten, for C(tcp), C(tcp_fin) and C(udp).
  returned: always
  type: dict
sync_daemons:
  description: Connection sync daemons that run (C(state), C(interface), C(id), and more where the kernel reports it).
  returned: always
  type: list
  elements: dict
stream_checks:
  description:
    - What lvsdr-streamcheck on this director holds of each real server, from its status file; null where it does not run.
    - C(share) is the part of its weight that a server has, 0 to 1; C(why) is the last result in words; C(agent) is what the
      server last reported of its own load; C(drained) whether the inventory drains it; C(kept) whether it is down and stays in, because all
      servers of the service turned bad at once; C(warning) what is wrong with its certificate.
  returned: always
  type: list
  elements: dict
  sample:
    - {service: live, vip: 198.51.100.100, server: streaming1, state: down, share: 0.0, seconds: 0.012, checked_at: 1764000000.0,
       agent: "", drained: false, kept: false, warning: "",
       why: "the playlist has not changed for 5 s (target duration: 2 s)"}
weight_files:
  description: Names of the files on this director that each take a real server's weight, of those that are drained and of spares that are
    parked.
  returned: always
  type: list
  elements: str
weight_notes:
  description: What is known of each of these files, C(who) wrote it, C(why), and C(since) when, in seconds since 1970.
  returned: always
  type: dict
  sample: {drained-streaming4-1b2c3d4e: {who: anna, why: kernel upgrade, since: 1764000000.0}}
version:
  description: Version of IPVS and size of the connection table.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.checks import status
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.ipvs import table
from ansible.module_utils.lvsdr.options import from_json
from ansible.module_utils.lvsdr.system import files, nft_maps, weights


def main():
    module = AnsibleModule(
        argument_spec={
            "counters": {"type": "bool", "default": True},
            # Values are checked in module_utils/lvsdr/ipvs/declare.py, all at once and with the path to each.
            "services": {"type": "raw"},
            "state": {"type": "str", "choices": ["merged", "replaced", "overridden", "deleted"], "default": "replaced"},
        },
        supports_check_mode=True,
    )
    try:
        services = from_json("services", module.params["services"])
        result = table.describe_kernel(module.params["counters"], services, module.params["state"])
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    result.update(weight_files=files.names_in(places.DRAINED), weight_notes=weights.taken())
    module.exit_json(changed=False, stream_checks=status.stream_checks(), marks=marks(result["services"]), **result)


def marks(services):
    """{firewall mark: what gets it, in words} of the services of several ports, as lvsdr's rules in force have it."""
    families = {
        6 if service.get("family") == "ipv6" else 4
        for service in services
        if service.get("firewall_mark", 0) & ~0xFFFFFF == places.SERVICE_MARKS
    }
    out = {}
    for family in sorted(families):
        for key, mark in nft_maps.read(places.RULES_TABLE, places.MARK_MAPS[family]):
            out.setdefault(str(mark), []).append(" ".join(key))
    return out


if __name__ == "__main__":
    main()
