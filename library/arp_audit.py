#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks the link which hosts answer for a VIP and returns all of them."""

DOCUMENTATION = r"""
---
module: arp_audit
short_description: Find every host that answers ARP for a VIP
description:
  - Sends ARP requests (neighbour solicitations for IPv6) for VIPs and returns B(every) MAC that answered, not just the first.
  - A healthy VIP has one owner, the active director. A second answer is a leak, and that host hijacks the service.
  - It also listens for ARP requests that name a VIP as their sender without coming from its owner. They poison the neighbours' caches.
  - A host does not receive its own answers. Where this one has the VIP on the network card that it asks on, that counts as an answer; what
    it would answer for a VIP on lo, or on another interface, only another host receives.
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
  timeout:
    description: Seconds in which a host has to answer. Requests go out three times within it.
    type: float
    default: 2.0
  duration:
    description:
      - Seconds in all, by default O(timeout). After O(timeout) it only listens for requests that name a VIP as their sender, which a
        quiet host sends only now and then.
    type: float
  host_by_mac:
    description: MAC addresses of further hosts, each with its name, for the messages.
    type: dict
    default: {}
  owners:
    description: MAC addresses that may answer, each with the name of its host. Any other is a leak. If empty, any single owner is accepted.
    type: dict
    default: {}
  strict:
    description: Fail unless every VIP has one owner.
    type: bool
    default: false
attributes:
  check_mode:
    description: Nothing is changed; the questions are asked in check mode too.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
notes:
  - Needs root and no tool but Python.
  - Sources are RFC 826, RFC 5227 and RFC 4861.
seealso:
  - module: real_server_vip
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Which host answers for the VIP?
  arp_audit:
    vips: [198.51.100.100]
    strict: true
"""

RETURN = r"""
results:
  description: One for each VIP, in their order.
  returned: always
  type: list
  elements: dict
  contains:
    vip: {description: The VIP., type: str}
    interface: {description: The interface on which it was asked for., type: str}
    macs: {description: Every MAC that answered., type: list, elements: str}
    claims: {description: Every MAC that named the VIP as the sender of a request of its own., type: list, elements: str}
    verdict: {description: "C(one owner), C(leak) or C(nobody).", type: str}
    text: {description: The verdict in a sentence., type: str}
clean:
  description: Whether every VIP has one owner.
  returned: always
  type: bool
problems:
  description: The sentence of each VIP that does not have one owner.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr import options
from ansible.module_utils.lvsdr.arp import audit, wire
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.system import commands
from ansible.module_utils.lvsdr.system.links import interfaces


def main():
    module = options.begin(
        AnsibleModule,
        renamed={"watch": "duration", "names": "host_by_mac"},
        argument_spec={
            "vips": {"type": "list", "elements": "str", "required": True},
            "interface": {"type": "str"},
            "timeout": {"type": "float", "default": 2.0},
            "duration": {"type": "float"},
            "host_by_mac": {"type": "dict", "default": {}},
            "owners": {"type": "dict", "default": {}},
            "strict": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    p = module.params
    try:
        commands.check_names(interface=[p["interface"]] if p["interface"] is not None else [])
        options.in_range(p, timeout=(0.1, 300, " seconds"))
        options.in_range(p, duration=(p["timeout"], 86400, " seconds"))
        vips = audit.check_audit(p["vips"])
        links = interfaces()
        answers = wire.ask(vips, links, p["interface"], p["timeout"], p["duration"])
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    results = []
    for _family, vip in vips:
        interface, macs, claims = answers[vip]
        own = audit.holder(vip, links, interface)
        verdict, text = audit.verdict(vip, macs, p["owners"], claims, p["host_by_mac"], own)
        results.append({"vip": vip, "interface": interface, "macs": macs, "claims": claims, "verdict": verdict, "text": text})
    problems = [result["text"] for result in results if result["verdict"] != "one owner"]
    found = {"results": results, "problems": problems}
    if problems and p["strict"]:
        head = "%d of %d VIPs do not have one owner" % (len(problems), len(results))
        module.fail_json(msg="\n".join([head, *("  - " + line for line in problems)]), **found)
    module.exit_json(changed=False, clean=not problems, **found)


if __name__ == "__main__":
    main()
