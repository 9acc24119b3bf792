#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a real server's programs answer on the VIP and on its own address."""

DOCUMENTATION = r"""
---
module: listener_check
short_description: Check that each service is reachable, on the VIP and on the server's own address
description:
  - In direct routing packets arrive for the VIP, and health checks may come for the server's own address. A program that is bound to one
    of the two leaves the other without an answer, and nothing reports why.
  - For TCP it connects to both from the server itself. For UDP it looks at what the program is bound to, and where O(services[].type) names
    its protocol, asks it on the VIP. Which address the answer comes from only a viewer can see, with M(udp_probe).
  - An answer is proof, also where no program is bound to the port, as with a container's published port, which the packet filter passes on.
    What is bound explains why there is no answer. A UDP program whose protocol is not named can't be asked. Where nothing is bound to its
    port on the VIP, it counts as reachable unless the kernel refuses a packet.
  - Fails with a sentence for each service that is not reachable.
options:
  services:
    description: The services of this real server.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: How messages name it.
        type: str
        required: true
      protocol:
        description: Its protocol.
        type: str
        choices: [tcp, udp]
        default: tcp
      port:
        description: Its port, from 1 to 65535.
        type: int
        required: true
      vip:
        description: The VIP, which this host holds on C(lo).
        type: str
        required: true
      own:
        description: An address of this host of the same family.
        type: str
        required: true
      type:
        description: What to ask a UDP program, as in M(udp_probe). By default it is not asked.
        type: str
        choices: [srt, dns, payload]
      payload:
        description: Hex digits of the packet to send, with O(services[].type=payload).
        type: str
      query:
        description: The name that a DNS question is about.
        type: str
  timeout:
    description: Seconds that one connection or question may take.
    type: float
    default: 2
attributes:
  check_mode:
    description: Nothing is ever changed.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
notes:
  - Needs no root. Sources are proc(5) and tcp(7).
seealso:
  - module: udp_probe
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Each service is reachable
  listener_check:
    services:
      - {name: http, port: 80, vip: 198.51.100.100, own: 198.51.100.21}
      - {name: srt, protocol: udp, port: 9000, vip: 198.51.100.100, own: 198.51.100.21, type: srt}
"""

RETURN = r"""
listeners:
  description: What the programs on each service's port are bound to; nothing where a rule of the packet filter passes packets on.
  returned: always
  type: list
  elements: dict
  sample: [{name: http, protocol: tcp, port: 80, vip: 198.51.100.100, bound: [0.0.0.0]}]
problems:
  description: A sentence for each service that is not reachable.
  returned: always
  type: list
  elements: str
  sample: ["http: tcp 198.51.100.100:80: listens on 198.51.100.21:80 only; bind to 0.0.0.0 or the VIP [listener-not-on-vip]"]
"""


from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr import options
from ansible.module_utils.lvsdr.checks import listeners, listening
from ansible.module_utils.lvsdr.errors import LvsError


def main():
    module = options.begin(
        AnsibleModule,
        renamed={"services.kind": "type"},
        argument_spec={
            "services": {"type": "list", "elements": "dict", "options": listeners.OPTIONS, "required": True},
            "timeout": {"type": "float", "default": 2},
        },
        supports_check_mode=True,
    )
    timeout = module.params["timeout"]
    try:
        options.in_range(module.params, timeout=(0.001, 60, " seconds"))
        services = listeners.read_services(module.params["services"])
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    result = {"changed": False, **listening.listen(services, timeout)}
    if result["problems"]:
        module.fail_json(msg="These services are not reachable:\n" + "\n".join("  - " + line for line in result["problems"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
