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
  - Needs pyroute2 on the host. Where it is missing, the result says so, and is nothing else.
  - What follows from it for the whole inventory is computed on the controller by M(lvs_resolve), which names all errors
    at once.
requirements: [pyroute2 (python3-pyroute2)]
options:
  commands:
    description: Programs to look for.
    type: list
    elements: str
    default: []
  director:
    description: Also read the IPVS table and the configuration that keepalived runs with.
    type: bool
    default: false
  scripts:
    description: Programs that checks run here. Each has to be there, executable, and writable by root alone.
    type: list
    elements: str
    default: []
  accounts:
    description: Accounts that checks run programs as. Each has to exist.
    type: list
    elements: str
    default: []
  files:
    description: Files on this host that checks or programs need.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: The file., type: str, required: true}
      readers:
        description: Who may read it. V(root) alone, with its group, where it holds a secret; V(all) where a program needs it that is not
          root.
        type: str
        choices: [any, all, root]
        default: any
      names:
        description: Where it is given, the file has to be a certificate that is valid now, with its chain and its key, for these names.
        type: list
        elements: str
  ports:
    description: Where programs of lvsdr have to listen on this host. Another program there is a problem.
    type: list
    elements: dict
    default: []
    suboptions:
      what: {description: Which program needs it and what for., type: str, required: true}
      address: {description: The address., type: str, required: true}
      port: {description: The port., type: int, required: true}
      protocol: {description: Transport protocol., type: str, choices: [tcp, udp], default: tcp}
      programs: {description: Words by which a program that may is known., type: list, elements: str, required: true}
      exact: {description: Whether it can't change from or to a wildcard while it runs., type: bool, default: false}
  kernel_modules:
    description: Kernel modules that the host must be able to load.
    type: list
    elements: str
    default: []
  vips:
    description: The VIPs that this real server has to hold, as real_server_vip takes them. Without it the host is not a real server.
    type: list
    elements: str
  return_paths:
    description: As of return_path, its C(paths). Only with O(vips).
    type: list
    elements: dict
    default: []
    suboptions:
      address: {description: The source address of the answers., type: str, required: true}
      gateway: {description: The address that they go through., type: str, required: true}
      protocol: {description: Transport protocol., type: str, choices: [tcp, udp, sctp], default: tcp}
      first: {description: The first port., type: int, required: true}
      last: {description: The last port., type: int}
  endpoints:
    description: As of tunnel_endpoint. Only with O(vips).
    type: list
    elements: dict
    default: []
    suboptions:
      type: {description: Kind of tunnel., type: str, choices: [ipip, gue, gre], default: ipip}
      address: {description: Where they end., type: str, required: true}
      port: {description: UDP port of V(gue)., type: int}
  endpoint_sources:
    description: As of tunnel_endpoint, its C(sources).
    type: list
    elements: str
    default: []
  counters:
    description: As of egress_counters. Only with O(vips).
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name of the counter., type: str, required: true}
      vip: {description: The address that viewers are answered from., type: str, required: true}
      protocol: {description: Transport protocol., type: str, choices: [tcp, udp, sctp], default: tcp}
      first: {description: The first port., type: int, required: true}
      last: {description: The last port., type: int}
  counter_sources:
    description: As of egress_counters, its C(sources).
    type: list
    elements: str
    default: []
  replies:
    description: Addresses of this host from which programs answer viewers.
    type: list
    elements: str
    default: []
  misplaced:
    description: As of real_server_vip.
    type: str
    choices: [move, refuse]
    default: move
  listeners:
    description: The services for which programs of this real server have to answer, as listener_check takes them.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name of the service., type: str, required: true}
      protocol: {description: Transport protocol., type: str, choices: [tcp, udp], default: tcp}
      port: {description: Port., type: int, required: true}
      vip: {description: The VIP., type: str, required: true}
      own: {description: The host's own address., type: str, required: true}
      type: {description: What a UDP program is asked., type: str, choices: [srt, dns, payload]}
      payload: {description: Bytes of the question in hex., type: str}
      query: {description: A name to ask DNS for., type: str}
attributes:
  check_mode:
    description: Nothing is ever changed.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Read the directors
  lvs_preflight:
    commands: [keepalived]
    director: true
    kernel_modules: [ip_vs, ip_vs_mh]
  register: lvs_preflight
"""

RETURN = r"""
lacks:
  description: What has to be installed before this host can be read, in a sentence. Nothing else is returned then.
  returned: where Python has no pyroute2
  type: str
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
    addresses:
      description: Addresses with prefix lengths, whatever their scope or state, without link-local ones.
      type: list
      elements: str
    scopes: {description: The scope of each address., type: dict}
    peers:
      description: A list of the other ends of each address, null where one has none. Only on an interface with such an address.
      type: dict
    local_routes:
      description: Routes to this interface that make an address local though it is on none, as C(ip route) has them, if there are any.
      type: list
      elements: str
    unasked:
      description: True where no frame of another host arrives, as on a dummy, a bridge without ports or a pair of veth between the host and
        itself. No other host can ask for an address there.
      type: bool
    mtu: {description: "MTU of an Ethernet interface, where it is not 1500.", type: int}
    arp_filters: {description: "On a bridge, what may keep ARP from passing it.", type: list, elements: str}
arp_rules:
  description: Rules of this host's packet filter that may drop ARP it receives or sends.
  returned: always
  type: list
  elements: str
release:
  description: C(id) and C(version) of the distribution, such as V(debian) and V(12).
  returned: always
  type: dict
cloud:
  description: The cloud that this host is a guest of, by its DMI data, or null.
  returned: always
  type: str
  sample: Amazon EC2
commands:
  description: Path of each program looked for, or null.
  returned: always
  type: dict
seen:
  description:
    - What lvsdr's files are on this host, and what of them is in force, so that a role leaves out what is as declared already.
    - C(files) path to SHA-256, C(folders) path to the files in it, C(rules) table of nftables to its digest, C(sysctls) name to value,
      C(units) name to C(loaded), C(active), C(enabled), C(stale), and C(read), the SHA-256 of each file that the unit has read.
  returned: always
  type: dict
ipvs:
  description: The services of the IPVS table in the words of ipvs_table's options, destinations with their connections. None without one.
  returned: with O(director=true)
  type: list
  elements: dict
keepalived:
  description:
    - The text of keepalived.conf, C(file) as it is on disk, and C(running) as the running keepalived has read it; null without one.
  returned: with O(director=true)
  type: dict
settings:
  description: The names of IPVS' settings under C(/proc/sys/net/ipv4/vs). None before ip_vs is loaded.
  returned: with O(director=true)
  type: list
  elements: str
replies:
  description: The gateway by which an answer to a viewer far away leaves, for each of O(replies); null where there is none on the way.
  returned: always
  type: dict
  sample: {198.51.100.21: 198.51.100.1}
real_server:
  description:
    - Whether a rollout has anything to do on this real server. C(differs) whether real_server_vip, return_path,
      tunnel_endpoint or egress_counters would change something or fail,
      C(stale_paths) as return_path has them, C(devices) the kinds of its tunnel devices, C(stale) the VIPs that
      it holds by an earlier rollout and that are not among O(vips), C(unanswered) a sentence for each service for which nothing answers,
      C(conflicts) as of real_server_vip, also as warnings.
  returned: with O(vips)
  type: dict
spares:
  description: The names of the files that park spares, of those that lvsdr-streamcheck on this host knows.
  returned: always
  type: list
  elements: str
  sample: [spare-streaming4-1b2c3d4e]
problems:
  description: What prevents a rollout on this host, in sentences.
  returned: always
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr import options, places
from ansible.module_utils.lvsdr.arp import real_server, settings
from ansible.module_utils.lvsdr.arp.seen import add_arp_filters
from ansible.module_utils.lvsdr.checks import listeners, listening, ports
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.ipvs import table
from ansible.module_utils.lvsdr.routes import counting, egress, endpoints, tunnels
from ansible.module_utils.lvsdr.routes import host as routes
from ansible.module_utils.lvsdr.routes import plan as routes_plan
from ansible.module_utils.lvsdr.system import certificates, commands, files, in_force, links, messages, rtnetlink, sysctl, weights

# How long a program of this host itself may take to accept a connection.
LISTEN_SECONDS = 2


SPEC = {
    "commands": {"type": "list", "elements": "str", "default": []},
    "director": {"type": "bool", "default": False},
    "scripts": {"type": "list", "elements": "str", "default": []},
    "accounts": {"type": "list", "elements": "str", "default": []},
    "files": {"type": "list", "elements": "dict", "default": [], "options": files.OPTIONS},
    "ports": {"type": "list", "elements": "dict", "default": [], "options": ports.OPTIONS},
    "kernel_modules": {"type": "list", "elements": "str", "default": []},
    "vips": {"type": "list", "elements": "str"},
    "return_paths": {"type": "list", "elements": "dict", "default": [], "options": routes_plan.OPTIONS},
    "endpoints": {"type": "list", "elements": "dict", "default": [], "options": tunnels.OPTIONS},
    "endpoint_sources": {"type": "list", "elements": "str", "default": []},
    "counters": {"type": "list", "elements": "dict", "default": [], "options": egress.OPTIONS},
    "counter_sources": {"type": "list", "elements": "str", "default": []},
    "replies": {"type": "list", "elements": "str", "default": []},
    "misplaced": {"type": "str", "choices": ["move", "refuse"], "default": "move"},
    "listeners": {"type": "list", "elements": "dict", "default": [], "options": listeners.OPTIONS},
}


def main():
    module = options.begin(
        AnsibleModule,
        renamed={"listeners.kind": "type"},
        argument_spec=SPEC,
        supports_check_mode=True,
    )
    try:
        asked = {name: module.params[name] for name in ("commands", "scripts", "accounts", "kernel_modules")}
        commands.check_names(files=[one["path"] for one in module.params["files"]], **asked)
        lacks = rtnetlink.missing()
        if lacks:
            # No failure: a rollout installs it, and asks again.
            module.exit_json(changed=False, lacks=str(lacks), msg=str(lacks))
        interfaces = links.interfaces()
        arp_rules = add_arp_filters(interfaces)
        names = [*places.SYSCTLS, *(name % link["name"] for link in interfaces for name in places.SYSCTLS_OF_LINKS)]
        seen = in_force.look(places.FILES, places.FOLDERS, places.UNITS, [places.RULES_TABLE], names)
        more = _read_director(seen) if module.params["director"] else {}
        if module.params["vips"] is not None:
            more["real_server"] = _read_real_server(module.params, interfaces)
        replies = routes.ways(module.params["replies"]) if module.params["replies"] else {}
        missing = [name for name in module.params["kernel_modules"] if not commands.has_module(name)]
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    problems = _problems(module.params, missing)
    found = more.get("real_server") or {}
    for sentence in found.get("conflicts", ()) if not found.get("differs") else ():
        # Where something differs, real_server_vip is called and warns of it.
        if settings.must_be_removed(sentence):
            module.warn(sentence)
    module.exit_json(
        changed=False,
        interfaces=interfaces,
        arp_rules=arp_rules,
        cloud=links.cloud(),
        release=files.release(),
        commands={name: commands.find_command(name) for name in module.params["commands"]},
        seen=seen,
        replies=replies,
        spares=weights.spares(),
        problems=problems,
        **more,
    )


def _problems(params, missing):
    """What of this host stands in the way of a rollout, as sentences. missing: kernel modules."""
    problems = []
    if os.geteuid() != 0:
        problems.append(str(messages.ROOT_REQUIRED(what="a rollout")))
    if not os.path.isdir("/run/systemd/system"):
        problems.append(str(messages.SYSTEMD_MISSING()))
    if missing:
        problems.append(str(messages.KERNEL_MODULE_MISSING(release=os.uname().release, names=", ".join(missing))))
    problems += files.script_problems(params["scripts"]) + files.account_problems(params["accounts"])
    problems += files.file_problems(params["files"]) + certificates.file_problems(params["files"])
    problems += [str(line) for line in ports.taken(params["ports"])]
    return problems


def _read_real_server(params, interfaces):
    """What real_server_vip would do, and what listener_check would find."""
    try:
        move = params["misplaced"] == "move"
        plan = real_server.converge(params["vips"], purge=False, move=move, check=True, found=interfaces)
        ends = endpoints.converge(*tunnels.read_endpoints(params["endpoints"], params["endpoint_sources"], params["vips"]), check=True)
        back = routes.converge(routes_plan.read_paths(params["return_paths"]), purge=False, check=True)
        counts = counting.converge(*egress.read_counters(params["counters"], params["counter_sources"]), check=True)
        unanswered = listening.listen(listeners.read_services(params["listeners"]), LISTEN_SECONDS)["problems"]
    except (LvsError, OSError):
        # The modules report it themselves, when they are called.
        return {"differs": True, "stale": [], "stale_paths": [], "devices": [], "unanswered": [], "conflicts": []}
    differs, stale_paths = any(one["changed"] for one in (plan, back, ends, counts)), back["stale"]
    return {
        "differs": differs,
        "stale_paths": stale_paths,
        "devices": ends["held"],
        "stale": plan["stale"],
        "unanswered": unanswered,
        "conflicts": plan["conflicts"],
    }


def _read_director(seen):
    """The table and keepalived's text. A kernel without ip_vs has no table, and a question would load the module."""
    ipvs = []
    if os.path.exists("/proc/net/ip_vs"):
        ipvs = table.describe_kernel(counters=False)["services"]
    text = files.read_text(places.KEEPALIVED_CONF)
    running = None
    if seen["units"]["keepalived"]["active"]:
        # What an older lvsdr or another program has started has left no copy: then the file is the best that is known.
        running = files.read_text(in_force.copy_of("keepalived", places.KEEPALIVED_CONF)) or text
    folder = sysctl.path_of("net/ipv4/vs")
    return {
        "ipvs": ipvs,
        "keepalived": {"file": text, "running": running},
        "settings": sorted(os.listdir(folder)) if os.path.isdir(folder) else [],
    }


if __name__ == "__main__":
    main()
