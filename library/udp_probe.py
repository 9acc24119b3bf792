#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a UDP service's answers come from the VIP, as a viewer sees them."""

DOCUMENTATION = r"""
---
module: udp_probe
short_description: See from a viewer that a UDP service answers, and from its VIP
description:
  - A UDP program that is bound to C(0.0.0.0) answers from the server's own address, which in direct routing is not the VIP. The viewer
    takes that for a stranger's packet and drops it, while server and director show nothing unusual.
  - This module sends the first packet of a protocol to the VIP, from a new port each time so that a director schedules each, and fails
    where an answer comes from anywhere else, or none at all.
options:
  vip:
    description: The VIP.
    type: str
    required: true
  port:
    description: The service's port, from 1 to 65535.
    type: int
    required: true
  kind:
    description:
      - What to ask. V(srt) is the caller's first handshake (draft-sharabayko-srt-01), V(dns) a question for name servers (RFC 1035), and
        V(payload) sends O(payload), to which any answer will do.
    type: str
    choices: [srt, dns, payload]
    default: srt
  payload:
    description: Hex digits of the packet to send, with O(kind=payload).
    type: str
  name:
    description: The name that a DNS question is about.
    type: str
    default: "."
  count:
    description: How often to ask. With round robin each real server is met when it is as large as the number of servers.
    type: int
    default: 6
  timeout:
    description: Seconds to wait for an answer to each. All are asked at once.
    type: float
    default: 2
  names:
    description: Names of hosts by address, for the messages.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Nothing is ever changed, and the service is asked in check mode as well.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
notes:
  - Run it on a viewer. A director can't test a VIP that it holds, and a real server reaches itself.
seealso:
  - module: listener_check
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: SRT answers from the VIP
  udp_probe:
    vip: 198.51.100.100
    port: 9000
  delegate_to: viewer
"""

RETURN = r"""
answers:
  description: How many answers came from each address.
  returned: always
  type: dict
  sample: {198.51.100.100: 6}
unanswered:
  description: How many questions had no answer.
  returned: always
  type: int
strangers:
  description: Addresses other than the VIP that answered, with their names where O(names) has them.
  returned: always
  type: list
  elements: str
"""

import select
import socket
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr import options
from ansible.module_utils.lvsdr.addresses import AF, endpoint, parse_address
from ansible.module_utils.lvsdr.errors import LvsError, named, shown
from ansible.module_utils.lvsdr.streams import packets

REMEDIES = (
    "viewers drop what does not come from the address they asked. Bind the program to the VIP, or let it answer from the address that was "
    "asked (IP_PKTINFO; libsrt has it when it was built with ENABLE_PKTINFO)"
)


def ask(family, vip, port, data, kind, count, timeout):
    """([address of each answer that fits], number of questions without one)."""
    socks, found = [], []
    try:
        for _number in range(count):
            sock = socket.socket(AF[family], socket.SOCK_DGRAM)
            socks.append(sock)
            # Not connected: the kernel would drop the very answers that are looked for.
            sock.sendto(data, (vip, port))
        deadline, waiting = time.monotonic() + timeout, set(socks)
        while waiting and deadline > time.monotonic():
            for sock in select.select(list(waiting), [], [], deadline - time.monotonic())[0]:
                answer, sender = sock.recvfrom(2048)
                if packets.fits(kind, answer):
                    found.append(parse_address(sender[0])[1])
                    waiting.discard(sock)
        return found, len(waiting)
    except OSError as error:
        raise LvsError("%s can't be asked (%s)" % (endpoint(vip, port), error.strerror or error), "see this host's routes")
    finally:
        for sock in socks:
            sock.close()


def main():
    module = options.begin(
        AnsibleModule,
        argument_spec={
            "vip": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "kind": {"type": "str", "choices": list(packets.KINDS), "default": "srt"},
            "payload": {"type": "str"},
            "name": {"type": "str", "default": "."},
            "count": {"type": "int", "default": 6},
            "timeout": {"type": "float", "default": 2},
            "names": {"type": "dict", "default": {}},
        },
        required_if=[("kind", "payload", ("payload",))],
        supports_check_mode=True,
    )
    p = module.params
    for name, low, high in (("port", 1, 65535), ("count", 1, 500), ("timeout", 0.1, 60)):
        if not low <= p[name] <= high:
            module.fail_json(msg="%s: %g is out of range; give %g to %g" % (name, p[name], low, high))
    try:
        family, vip = parse_address(p["vip"])
    except ValueError:
        module.fail_json(msg="vip: %s is not an IPv4 or IPv6 host address" % shown(p["vip"]))
    try:
        found, unanswered = ask(
            family, vip, p["port"], packets.question(p["kind"], p["payload"], p["name"]), p["kind"], p["count"], p["timeout"]
        )
    except LvsError as error:
        module.fail_json(msg=str(error))
    names = {address: named(name) for address, name in p["names"].items()}
    strangers = ["%s (%s)" % (address, names[address]) if address in names else address for address in sorted(set(found) - {vip})]
    result = {
        "changed": False,
        "answers": {address: found.count(address) for address in sorted(set(found))},
        "unanswered": unanswered,
        "strangers": strangers,
    }
    where = "udp " + endpoint(vip, p["port"])
    if strangers:
        module.fail_json(msg="%s is answered from %s: %s" % (where, " and ".join(strangers), REMEDIES), **result)
    if not found:
        module.fail_json(
            msg="Nobody answers on %s within %g s; see that the program runs and speaks this protocol. A packet filter on the way may also "
            "have dropped answers that came from a server's own address: listener_check on the servers tells what they are bound to"
            % (where, p["timeout"]),
            **result
        )  # fmt: skip
    module.exit_json(**result)


if __name__ == "__main__":
    main()
