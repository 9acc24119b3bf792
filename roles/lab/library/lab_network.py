#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's wires: one network namespace with a bridge for each network."""

DOCUMENTATION = r"""
---
module: lab_network
short_description: The networks of the lvsdr lab
description:
  - Keeps one network namespace with a bridge for each network. No route leads out of it, so that no packet of the lab can leave the
    machine.
requirements: [pyroute2 (python3-pyroute2)]
options:
  namespace:
    description: Name of the network namespace.
    type: str
    default: lvsdr
  networks:
    description: The bridges.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the bridge.
        type: str
        required: true
      addresses:
        description: Addresses of the bridge itself, from which this machine reaches the hosts.
        type: list
        elements: str
        default: []
  state:
    description: V(absent) removes the namespace with everything in it.
    type: str
    choices: [present, absent]
    default: present
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: The wires of the lab
  lab_network:
    networks:
      - name: service
        addresses: [198.51.100.254/24]
"""

RETURN = r""" # """

import hashlib
import os

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.lab_machine import routing

try:
    from pyroute2 import NetlinkError, netns
except ImportError:
    NetlinkError = netns = None

NODAD = 0x02


def main():
    network = {
        "name": {"type": "str", "required": True},
        "addresses": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(
        argument_spec={
            "namespace": {"type": "str", "default": "lvsdr"},
            "networks": {"type": "list", "elements": "dict", "options": network, "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    if netns is None:
        module.fail_json(msg=missing_required_lib("pyroute2"))
    namespace = module.params["namespace"]
    there = os.path.exists("/run/netns/" + namespace)
    try:
        if module.params["state"] == "absent":
            if there and not module.check_mode:
                netns.remove(namespace)
            module.exit_json(changed=there)
        if not there and module.check_mode:
            module.exit_json(changed=True)
        if not there:
            netns.create(namespace)
        with routing(namespace) as route:
            route.link("set", index=1, state="up")
            missing = [network for network in module.params["networks"] if not route.link_lookup(ifname=network["name"])]
            for network in [] if module.check_mode else missing:
                make_bridge(module, route, namespace, **network)
    except (NetlinkError, OSError) as error:
        module.fail_json(msg="the networks of the lab can't be made: %s" % error)
    module.exit_json(changed=not there or bool(missing))


def make_bridge(module, route, namespace, name, addresses):
    # Without a MAC of its own a bridge takes the lowest of its ports', and changes it when a host is plugged in or out.
    mac = "02:" + ":".join("%02x" % byte for byte in hashlib.sha256(name.encode()).digest()[:5])
    route.link("add", ifname=name, kind="bridge", address=mac, br_forward_delay=0, br_mcast_snooping=0)
    module.run_command(
        ["nsenter", "--net=/run/netns/" + namespace, "ethtool", "-K", name, "tso", "off", "gso", "off", "gro", "off"], check_rc=True
    )
    (index,) = route.link_lookup(ifname=name)
    for text in addresses:
        address, _slash, length = text.partition("/")
        more = {"flags": NODAD} if ":" in address else {}
        route.addr("add", index=index, address=address, prefixlen=int(length), **more)
    route.link("set", index=index, state="up")


if __name__ == "__main__":
    main()
