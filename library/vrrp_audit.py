#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Listens for VRRP on a director's link and asks keepalived for the state of its instances."""

DOCUMENTATION = r"""
---
module: vrrp_audit
short_description: Listen for VRRP advertisements and report keepalived's state
description:
  - Listens for VRRP advertisements to this host or to the group, of both versions and families, and returns their senders.
  - Asks keepalived on this host for the state of each of its instances (by signal SIGUSR1, on which it writes its data to C(/tmp)).
  - Another host with the router id of a pair takes its VIPs or loses them to it; an instance in state FAULT can't take over.
requirements: [pyroute2 (python3-pyroute2)]
options:
  interface:
    description: Interface on which the VIPs are. By default the one whose subnet holds O(vips).
    type: str
  vips:
    description: The VIPs by whose subnets the interfaces are found. Required without O(interface).
    type: list
    elements: str
    default: []
  duration:
    description: Seconds to listen in all. Three advertisement intervals are enough for every sender.
    type: float
    default: 3.5
attributes:
  check_mode:
    description: Nothing is changed; it listens in check mode as well.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
notes:
  - Needs root. A host does not receive what it sends itself.
  - Sources are RFC 3768, RFC 5798 and keepalived(8).
seealso:
  - module: arp_audit
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Find other senders of VRRP
  vrrp_audit:
    vips: [198.51.100.100]
"""

RETURN = r"""
heard:
  description: The senders of advertisements, once for each router id.
  returned: success
  type: list
  elements: dict
  contains:
    source: {description: Address it came from., type: str}
    version: {description: 2 or 3., type: int}
    virtual_router_id: {description: Router id., type: int}
    priority: {description: Priority; 0 from one that stops., type: int}
    interval: {description: Seconds between two advertisements., type: float}
running:
  description: Whether keepalived runs here. A PID file that it has left behind does not count.
  returned: success
  type: bool
states:
  description: The state of each instance of keepalived here, such as C(MASTER), C(BACKUP) or C(FAULT). Empty where keepalived does not run.
  returned: success
  type: dict
  sample: {lvsdr: BACKUP}
"""

import os
import select
import signal
import socket
import struct
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr import options
from ansible.module_utils.lvsdr.arp import audit, messages, packets, wire
from ansible.module_utils.lvsdr.directors import vrrp
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.system import commands, files
from ansible.module_utils.lvsdr.system import messages as system
from ansible.module_utils.lvsdr.system.links import interfaces

# linux/if_packet.h
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_MR_MULTICAST = 0
PID_FILE = "/run/keepalived.pid"
DUMP = "/tmp/keepalived.data"


def where(interface, vips):
    """The interfaces to listen on."""
    if interface is not None:
        return [interface]
    if not vips:
        raise LvsError(messages.INTERFACE_OR_VIPS_REQUIRED())
    addresses, links = audit.check_audit(vips), interfaces()
    texts = [vip for _family, vip in addresses]
    return list(dict.fromkeys(wire.choose_interface(vip, links, texts)[0]["name"] for vip in texts))


def listen(names, duration):
    """[dict] of all that advertise on these interfaces within a number of seconds."""
    heard, sockets, name = {}, [], None
    try:
        for name in names:
            index = socket.if_nametoindex(name)
            # Before the packet filter, which drops what other hosts send.
            for ethertype, groups in ((packets.ETH_P_IP, b"\x01\0\x5e\0\0\x12"), (packets.ETH_P_IPV6, b"\x33\x33\0\0\0\x12")):
                sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ethertype))
                sockets.append(sock)
                sock.bind((name, ethertype))
                member = struct.pack("@iHH8s", index, PACKET_MR_MULTICAST, 6, groups)
                sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, member)
        until = time.monotonic() + duration
        while time.monotonic() < until:
            for sock in select.select(sockets, [], [], max(0, until - time.monotonic()))[0]:
                packet, place = sock.recvfrom(2048)
                source, data = (vrrp.received(packet) if place[2] != socket.PACKET_OUTGOING else None) or (None, b"")
                found = vrrp.parse(data)
                if found:
                    heard[source, found.virtual_router_id] = {
                        "source": source, "version": found.version, "virtual_router_id": found.virtual_router_id,
                        "priority": found.priority, "interval": found.interval,
                    }  # fmt: skip
    except PermissionError:
        raise LvsError(system.ROOT_REQUIRED(what="listening for VRRP"))
    except OSError as error:
        raise LvsError(messages.VRRP_LISTEN_FAILED(interface=name, why=error.strerror or error))
    finally:
        for sock in sockets:
            sock.close()
    return [heard[key] for key in sorted(heard)]


def running():
    """The process id of keepalived, or None. A PID file may be left over, and its number be another program's, which SIGUSR1 would end."""
    pid = (files.read_text(PID_FILE) or "").strip()
    if not pid.isdecimal():
        return None
    try:
        names = {(files.read_text("/proc/%s/comm" % pid) or "").strip(), os.path.basename(os.readlink("/proc/%s/exe" % pid)).split()[0]}
    except OSError:
        return None
    return int(pid) if "keepalived" in names else None


def states(pid):
    """{instance: state} as keepalived reports it; {} where it does not answer."""
    begin = time.time()
    try:
        os.kill(pid, signal.SIGUSR1)
    except OSError:
        return {}
    before, until = None, time.monotonic() + 20
    while time.monotonic() < until:
        time.sleep(0.2)
        try:
            status = os.lstat(DUMP)
            # Every user may write to /tmp; only root's own file counts, and only once it has stopped growing.
            if status.st_uid == 0 and status.st_mtime >= begin - 1 and status.st_size == before:
                with open(DUMP) as f:
                    return vrrp.states(f.read())
            before = status.st_size
        except OSError:
            before = None
    return {}


def main():
    module = options.begin(
        AnsibleModule,
        renamed={"seconds": "duration"},
        argument_spec={
            "interface": {"type": "str"},
            "vips": {"type": "list", "elements": "str", "default": []},
            "duration": {"type": "float", "default": 3.5},
        },
        supports_check_mode=True,
    )
    p = module.params
    try:
        commands.check_names(interface=[p["interface"]] if p["interface"] is not None else [])
        options.in_range(p, duration=(0, 3600, " seconds"))
        heard = listen(where(p["interface"], p["vips"]), p["duration"])
        pid = running()
        module.exit_json(changed=False, heard=heard, running=pid is not None, states=states(pid) if pid else {})
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)


if __name__ == "__main__":
    main()
