#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what the checks before a rollout need to know of a host."""

DOCUMENTATION = r"""
---
module: lvs_preflight
short_description: Read what a rollout needs to know of a host
description:
  - Returns the host's interfaces, addresses and programs, and what is missing for its part. Touches nothing.
  - What follows from it for the whole inventory is computed on the controller by the filter C(lvs_preflight), which names all errors
    at once.
options:
  commands:
    description: Programs to look for.
    type: list
    elements: str
    default: []
  files:
    description: Files whose content is asked for.
    type: list
    elements: str
    default: []
  services:
    description: Services (systemd units) whose state is asked for.
    type: list
    elements: str
    default: []
  folders:
    description: Folders whose entries are asked for.
    type: list
    elements: str
    default: []
  versions:
    description: Programs whose version is asked for, with C(--version).
    type: list
    elements: str
    default: []
  scripts:
    description: Programs that checks run here. Each has to be there, executable, and writable by nobody but root.
    type: list
    elements: str
    default: []
  kernel_modules:
    description: Kernel modules that the host must be able to load.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Nothing is ever changed.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
author: the lvsdr authors
"""

EXAMPLES = r"""
- name: Read the directors
  lvs_preflight:
    commands: [keepalived]
    files: [/etc/keepalived/keepalived.conf]
    services: [keepalived]
    kernel_modules: [ip_vs, ip_vs_mh]
  register: lvs_preflight
"""

RETURN = r"""
interfaces:
  description: The interfaces in the kernel's order.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: Name., type: str}
    mac: {description: Link-layer address., type: str}
    type: {description: "The kernel's link type, such as C(ether) or C(loopback).", type: str}
    arp: {description: Whether it speaks ARP., type: bool}
    up: {description: Whether it is up., type: bool}
    addresses: {description: Addresses with prefix lengths., type: list, elements: str}
    scopes: {description: The scope of each address., type: dict}
    arp_filters: {description: "On a bridge, what may keep ARP from passing it.", type: list, elements: str}
arp_rules:
  description: Rules of this host's packet filter that may drop ARP it receives or sends.
  returned: always
  type: list
  elements: str
cloud:
  description: The cloud that this host is a guest of, as its DMI data say, or null.
  returned: always
  type: str
  sample: Amazon EC2
commands:
  description: Path of each program looked for, or null.
  returned: always
  type: dict
files:
  description: SHA-256 of each file, or null where it is missing. A role leaves out a task whose file is as declared already.
  returned: always
  type: dict
folders:
  description: Names of the entries of each folder, sorted; none where it is missing.
  returned: always
  type: dict
versions:
  description: The first line that each program says of its version, or null where it is missing.
  returned: always
  type: dict
  sample: {keepalived: "Keepalived v2.2.7 (01/16,2022)"}
services:
  description: Whether each service is running and starts at boot.
  returned: always
  type: dict
problems:
  description: What stands in the way on this host, in sentences.
  returned: always
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.lvsdr import host
from ..module_utils.lvsdr.errors import LvsError


def main():
    module = AnsibleModule(
        argument_spec={
            "commands": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "list", "elements": "str", "default": []},
            "services": {"type": "list", "elements": "str", "default": []},
            "folders": {"type": "list", "elements": "str", "default": []},
            "versions": {"type": "list", "elements": "str", "default": []},
            "scripts": {"type": "list", "elements": "str", "default": []},
            "kernel_modules": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        host.check_names(**module.params)
        interfaces = host.interfaces()
        arp_rules = host.add_arp_filters(interfaces)
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    problems = []
    if os.geteuid() != 0:
        problems.append("tasks run as an ordinary user; set `become: true` or connect as root")
    if not os.path.isdir("/run/systemd/system"):
        problems.append("systemd does not run here; lvsdr starts its services with it")
    missing = [name for name in module.params["kernel_modules"] if not host.has_module(name)]
    if missing:
        problems.append(
            "the kernel (%s) has no module %s; install a kernel image that ships IPVS" % (os.uname().release, ", ".join(missing))
        )
    problems += host.script_problems(module.params["scripts"])
    module.exit_json(
        changed=False,
        interfaces=interfaces,
        arp_rules=arp_rules,
        cloud=host.cloud(),
        commands={name: host.find_command(name) for name in module.params["commands"]},
        files={path: host.fingerprint(path) for path in module.params["files"]},
        folders={path: host.entries(path) for path in module.params["folders"]},
        versions={name: host.version(name) for name in module.params["versions"]},
        services=host.service_states(module.params["services"]),
        problems=problems,
    )


if __name__ == "__main__":
    main()
