#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks the link who answers for a VIP and returns everyone."""

DOCUMENTATION = r"""
---
module: arp_audit
short_description: Find every host that answers ARP for a VIP
description:
  - Sends ARP requests (neighbour solicitations for IPv6) for VIPs and returns B(every) MAC that answered, not just the first.
  - A healthy VIP has one owner, the active director. A second answer is a leak, and that host takes the service away from the director.
  - It also listens for ARP requests that name a VIP as their sender without coming from its owner. They poison the neighbours' caches.
  - A host does not hear itself. Where this one has the VIP on the network card that it asks on, it counts as an answer; what it would say
    for a VIP on lo, or on an interface of its own, only another host hears.
options:
  vips:
    description: The addresses to ask for.
    type: list
    elements: str
    required: true
  interface:
    description: Interface to ask on. The one whose subnet holds the VIP unless said.
    type: str
  timeout:
    description: Seconds in which answers are collected. Requests go out three times within it.
    type: float
    default: 2.0
  watch:
    description: Seconds to listen on after that for requests that name a VIP as their sender. A quiet host sends one only now and then.
    type: float
    default: 0.0
  names:
    description: MAC addresses of further hosts, each with its name, for the messages.
    type: dict
    default: {}
  owners:
    description: MAC addresses that may answer, each with the name of its host. Anybody else is a leak. If empty, any single owner will do.
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
- name: Who answers for the VIP?
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
    interface: {description: Where it was asked for., type: str}
    macs: {description: Every MAC that answered., type: list, elements: str}
    claims: {description: Every MAC that named the VIP as the sender of a request of its own., type: list, elements: str}
    verdict: {description: "C(one owner), C(leak) or C(nobody).", type: str}
    text: {description: The verdict in a sentence., type: str}
clean:
  description: Whether every VIP has one owner.
  returned: always
  type: bool
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
        argument_spec={
            "vips": {"type": "list", "elements": "str", "required": True},
            "interface": {"type": "str"},
            "timeout": {"type": "float", "default": 2.0},
            "watch": {"type": "float", "default": 0.0},
            "names": {"type": "dict", "default": {}},
            "owners": {"type": "dict", "default": {}},
            "strict": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        commands.check_names(interface=[module.params["interface"]] if module.params["interface"] is not None else [])
        if not 0.1 <= module.params["timeout"] <= 300:
            raise LvsError("timeout: %s is out of range" % module.params["timeout"], "0.1 to 300 seconds are possible")
        if not 0 <= module.params["watch"] <= 86400:
            raise LvsError("watch: %s is out of range" % module.params["watch"], "0 to 86400 seconds are possible")
        vips = audit.check_audit(module.params["vips"])
        links = interfaces()
        answers = wire.ask(vips, links, module.params["interface"], module.params["timeout"], module.params["watch"])
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    results = []
    for _family, vip in vips:
        interface, macs, claims = answers[vip]
        own = audit.holder(vip, links, interface)
        verdict, text = audit.verdict(vip, macs, module.params["owners"], claims, module.params["names"], own)
        results.append({"vip": vip, "interface": interface, "macs": macs, "claims": claims, "verdict": verdict, "text": text})
    wrong = [result["text"] for result in results if result["verdict"] != "one owner"]
    if wrong and module.params["strict"]:
        module.fail_json(msg="The audit found %d of %d VIPs wrong: %s" % (len(wrong), len(results), "; ".join(wrong)), results=results)
    module.exit_json(changed=False, results=results, clean=not wrong)


if __name__ == "__main__":
    main()
