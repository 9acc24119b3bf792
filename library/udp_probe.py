#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a UDP service replies from its VIP, as a viewer sees it."""

DOCUMENTATION = r"""
---
module: udp_probe
short_description: Check from a viewer that a UDP service replies from its VIP
description:
  - A UDP program that is bound to C(0.0.0.0) answers from the server's own address, which in direct routing is not the VIP. The viewer
    takes that for another host's packet and drops it, while server and director show nothing unusual.
  - This module sends the first packet of a protocol to each VIP, from a new port each time so that a director schedules each, and fails
    if a reply comes from another address, or if there is none.
options:
  vips:
    description: The VIPs.
    type: list
    elements: str
    required: true
  port:
    description: The service's port, from 1 to 65535.
    type: int
    required: true
  type:
    description:
      - What to ask. V(srt) is the caller's first handshake (draft-sharabayko-srt-01), V(dns) a question for name servers (RFC 1035), and
        V(payload) sends O(payload), to which any answer will do.
    type: str
    choices: [srt, dns, payload]
    default: srt
  payload:
    description: Hex digits of the packet to send, with O(type=payload).
    type: str
  query:
    description: The name that a DNS question is about.
    type: str
    default: "."
  count:
    description: How often to ask each VIP. With round robin each real server is met when it is as large as the number of servers.
    type: int
    default: 6
  timeout:
    description: Seconds to wait for a reply to each question. All questions to a VIP are sent at once.
    type: float
    default: 2
  host_by_address:
    description: Addresses of hosts, each with the host's name, for the messages.
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
- name: SRT replies from the VIP
  udp_probe:
    vips: [198.51.100.100]
    port: 9000
  delegate_to: viewer
"""

RETURN = r"""
results:
  description: One for each VIP, in their order.
  returned: always
  type: list
  elements: dict
  contains:
    vip: {description: The VIP., type: str}
    answers: {description: How many replies came from each address., type: dict, sample: {198.51.100.100: 6}}
    unanswered: {description: How many questions had no reply., type: int}
    strangers:
      description: Addresses other than the VIP that replied, with the host's name where O(host_by_address) has it.
      type: list
      elements: str
problems:
  description: A sentence for each VIP that did not reply, or that another address replied for.
  returned: always
  type: list
  elements: str
"""

import select
import socket
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr import options
from ansible.module_utils.lvsdr.addresses import AF, endpoint, not_an_address, parse_address
from ansible.module_utils.lvsdr.errors import LvsError, Problems, named
from ansible.module_utils.lvsdr.streams import messages, packets


def ask(family, vip, port, data, type, count, timeout):
    """([address of each reply that fits], number of questions without one)."""
    socks, found = [], []
    try:
        for _number in range(count):
            sock = socket.socket(AF[family], socket.SOCK_DGRAM)
            socks.append(sock)
            # Not connected: the kernel would drop the very replies that are looked for.
            sock.sendto(data, (vip, port))
        deadline, waiting = time.monotonic() + timeout, set(socks)
        while waiting and deadline > time.monotonic():
            for sock in select.select(list(waiting), [], [], deadline - time.monotonic())[0]:
                answer, sender = sock.recvfrom(2048)
                if packets.fits(type, answer):
                    found.append(parse_address(sender[0])[1])
                    waiting.discard(sock)
        return found, len(waiting)
    except OSError as error:
        raise LvsError(messages.UDP_NOT_SENT(service="udp %s" % endpoint(vip, port), why=error.strerror or error))
    finally:
        for sock in socks:
            sock.close()


def read_vips(vips):
    """[(family, text)]; LvsError with all that is wrong."""
    problems, out = Problems(), []
    for index, vip in enumerate(vips):
        try:
            out.append(parse_address(vip))
        except ValueError as why:
            problems.add("vips[%d]" % index, not_an_address(vip, why))
    problems.raise_if_any("The options can't be used")
    return out


def judge(vip, found, unanswered, p):
    """(one of the results, a sentence or None)."""
    names = {address: named(name) for address, name in p["host_by_address"].items()}
    strangers = ["%s (%s)" % (address, names[address]) if address in names else address for address in sorted(set(found) - {vip})]
    answers = {address: found.count(address) for address in sorted(set(found))}
    service, problem = "udp %s" % endpoint(vip, p["port"]), None
    if strangers:
        problem = str(messages.UDP_ANSWERED_ELSEWHERE(service=service, addresses=" and ".join(strangers)))
    elif not found:
        problem = str(messages.UDP_UNANSWERED(service=service, seconds="%g" % p["timeout"]))
    return {"vip": vip, "answers": answers, "unanswered": unanswered, "strangers": strangers}, problem


def main():
    module = options.begin(
        AnsibleModule,
        renamed={"vip": "vips", "kind": "type", "name": "query", "names": "host_by_address"},
        argument_spec={
            "vips": {"type": "list", "elements": "str", "required": True},
            "port": {"type": "int", "required": True},
            "type": {"type": "str", "choices": list(packets.TYPES), "default": "srt"},
            "payload": {"type": "str"},
            "query": {"type": "str", "default": "."},
            "count": {"type": "int", "default": 6},
            "timeout": {"type": "float", "default": 2},
            "host_by_address": {"type": "dict", "default": {}},
        },
        required_if=[("type", "payload", ("payload",))],
        supports_check_mode=True,
    )
    p = module.params
    results, problems = [], []
    try:
        options.in_range(p, port=(1, 65535, ""), count=(1, 500, ""), timeout=(0.1, 60, " seconds"))
        vips = read_vips(p["vips"])
        data = packets.question(p["type"], p["payload"], p["query"])
        for family, vip in vips:
            result, problem = judge(vip, *ask(family, vip, p["port"], data, p["type"], p["count"], p["timeout"]), p)
            results.append(result)
            problems += [problem] if problem else []
    except LvsError as error:
        module.fail_json(msg=str(error), **{"results": results, "problems": problems, **error.details})
    if problems:
        module.fail_json(msg="\n".join(problems), results=results, problems=problems)
    module.exit_json(changed=False, results=results, problems=problems)


if __name__ == "__main__":
    main()
