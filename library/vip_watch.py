#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks the link again and again which hosts answer for VIPs, and returns every sample."""

DOCUMENTATION = r"""
---
module: vip_watch
short_description: Watch which host owns a VIP
description:
  - For a number of seconds it asks the link for the owners of VIPs, by ARP and neighbour solicitations, and returns for each sample
    B(every) MAC that answered.
  - A VIP has one owner at every moment; for the time of a failover it has none; two at once are a split brain or a leak.
requirements: [pyroute2 (python3-pyroute2)]
options:
  vips:
    description: The addresses to ask for.
    type: list
    elements: str
    required: true
  interface:
    description: Interface to ask on. By default the one whose subnet holds the VIP.
    type: str
  duration:
    description: Seconds to watch in all.
    type: float
    default: 20
  every:
    description: Seconds of one sample. Answers that take longer count for the next one.
    type: float
    default: 0.3
attributes:
  check_mode:
    description: Nothing is changed; the questions are asked in check mode too.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
notes:
  - Needs root and no tool but Python. Run it on a host of the VIPs' link that holds none of them, such as their router.
seealso:
  - module: arp_audit
  - module: viewer_watch
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Watch for half a minute, in the background
  vip_watch:
    vips: [198.51.100.100]
    duration: 30
  delegate_to: router
  async: 90
  poll: 0
"""

RETURN = r"""
samples:
  description: For each VIP the samples, each with its time in seconds since the first one and the MACs that answered.
  returned: success
  type: dict
  sample: {"198.51.100.100": [[0.0, ["02:00:00:00:00:0b"]], [0.3, []]]}
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr import options
from ansible.module_utils.lvsdr.arp import audit, wire
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.system import commands
from ansible.module_utils.lvsdr.system.links import interfaces


def main():
    module = options.begin(
        AnsibleModule,
        renamed={"seconds": "duration"},
        argument_spec={
            "vips": {"type": "list", "elements": "str", "required": True},
            "interface": {"type": "str"},
            "duration": {"type": "float", "default": 20},
            "every": {"type": "float", "default": 0.3},
        },
        supports_check_mode=True,
    )
    duration, every = module.params["duration"], module.params["every"]
    try:
        commands.check_names(interface=[module.params["interface"]] if module.params["interface"] is not None else [])
        options.in_range(module.params, every=(0.1, 60, " seconds"))
        options.in_range(module.params, duration=(every, 86400, " seconds"))
        vips = audit.check_audit(module.params["vips"])
        links = interfaces()
        samples = {vip: [] for _family, vip in vips}
        begin = time.monotonic()
        while time.monotonic() - begin < duration:
            at = round(time.monotonic() - begin, 2)
            for vip, (_interface, macs, _claims) in wire.ask(vips, links, module.params["interface"], every, rounds=1).items():
                samples[vip].append([at, macs])
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(changed=False, samples=samples)


if __name__ == "__main__":
    main()
