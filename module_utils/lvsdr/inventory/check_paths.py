# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The services that carry health checks to one real server each. Pure."""

import ipaddress
import zlib

from ansible.module_utils.lvsdr.errors import Problems
from ansible.module_utils.lvsdr.inventory.instances import INSTANCE
from ansible.module_utils.lvsdr.ipvs.declare import read_service
from ansible.module_utils.lvsdr.ipvs.describe import wanted_as_dict
from ansible.module_utils.lvsdr.ipvs.types import service_key
from ansible.module_utils.lvsdr.reader import Reader

# Firewall marks of checks begin with this; the rest is made of the real server's address, so that a mark stays when other servers change.
CHECK_MARKS = 0x4C000000


def is_check_mark(mark):
    return mark is not None and mark >= 0 and mark & ~0xFFFFFF == CHECK_MARKS


def check_source(mark, family):
    """The address that IPVS takes a check with this mark to come from: ``0.x.y.z`` or ``ff00::xx:yyzz``, the low 24 bits.

    No client has such an address: the kernel drops what comes from 0.0.0.0/8 (route.c, ip_route_input_slow) and from multicast addresses
    (ip6_input.c, ip6_rcv_core), of which ff00::/16 is reserved (RFC 4291, 2.7).
    """
    number = mark & ~CHECK_MARKS
    return str(ipaddress.IPv4Address(number) if family == 4 else ipaddress.IPv6Address((0xFF00 << 112) + number))


def services_of_checks(services):
    """For each real server that is checked through the direct-routing path a firewall-mark service of its own, with it as the only
    destination. A check's socket with that mark connects to the VIP, and IPVS sends it to just that server: addressed to the VIP, in a
    frame to its MAC, as a viewer's packets are.

    Before marks IPVS looks for a connection that it remembers, by protocol, addresses and ports (ip_vs_core.c, ip_vs_in). The rules of
    the director (nftables.py) give the checks of each server a client address of their own for it, so that it finds none of another
    server. One packet: UDP is not remembered at all (ip_vs_schedule heeds the flag for UDP alone).
    """
    servers, marks = {}, {service["key"][3] for service in services if service["key"] and service["key"][1] == "fwmark"}
    for service in services:
        if service["health_check"] and service["health_check"]["target"] == "vip" and not service["absent"]:
            for destination, host in zip(service["table"]["destinations"], service["hosts"]):
                if destination.get("health_checked"):
                    servers.setdefault((service["family"], destination["address"]), host)
    out = []
    for (family, address), host in sorted(servers.items()):
        mark = CHECK_MARKS | zlib.crc32(address.encode()) & 0xFFFFFF
        while mark in marks or mark == CHECK_MARKS:
            mark = CHECK_MARKS | (mark + 1) & 0xFFFFFF
        marks.add(mark)
        table = {
            "firewall_mark": mark, "family": "ipv%d" % family, "scheduler": "rr", "one_packet": True,
            "destinations": [{"address": address, "forward": "dr", "weight": 1}],
        }  # fmt: skip
        wanted = read_service(Reader(Problems(), "", table))
        out.append(
            {
                "name": "checks of %s" % host, "mode": "dr", "family": family, "health_check": None, "stream": None, "vips": [],
                "table": wanted_as_dict(wanted), "hosts": [host], "absent": False, "key": service_key(wanted.service), "checks": True,
                "drained": [], "sorry": None, "instance": INSTANCE,
            }
        )  # fmt: skip
    return out


def check_marks(services):
    """{(family, address): mark} of the real servers that are checked through the direct-routing path."""
    return {
        (service["family"], service["table"]["destinations"][0]["address"]): service["table"]["firewall_mark"]
        for service in services
        if service.get("checks")
    }
