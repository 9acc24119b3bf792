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

from ansible.module_utils.basic import AnsibleModule


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
    namespace = module.params["namespace"]
    there = os.path.exists("/run/netns/" + namespace)
    changed = False

    def run(*command):
        nonlocal changed
        changed = True
        if not module.check_mode:
            module.run_command(list(command), check_rc=True)

    if module.params["state"] == "absent":
        if there:
            run("ip", "netns", "del", namespace)
        module.exit_json(changed=changed)

    if not there:
        run("ip", "netns", "add", namespace)
        run("ip", "-n", namespace, "link", "set", "lo", "up")
    for network in module.params["networks"]:
        name = network["name"]
        rc = 1
        if there:
            rc, _out, _err = module.run_command(["ip", "-n", namespace, "link", "show", name])
        if rc == 0:
            continue
        # Without a MAC of its own a bridge takes the lowest of its ports', and changes it when a host is plugged in or out.
        mac = "02:" + ":".join("%02x" % byte for byte in hashlib.sha256(name.encode()).digest()[:5])
        run("ip", "-n", namespace, "link", "add", name, "address", mac, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        run("ip", "netns", "exec", namespace, "ethtool", "-K", name, "tso", "off", "gso", "off", "gro", "off")
        for address in network["addresses"]:
            run("ip", "-n", namespace, "address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
        run("ip", "-n", namespace, "link", "set", name, "up")
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
