# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The services that carry health checks to one real server each. Pure."""

from __future__ import annotations

import ipaddress
import zlib
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.inventory.types import CheckPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible.module_utils.lvsdr.inventory.types import VirtualService

# Firewall marks of checks begin with this; the rest is made of the real server's address, so that a mark stays when other servers change.
CHECK_MARKS = 0x4C000000


def is_check_mark(mark: int | None) -> bool:
    return mark is not None and mark >= 0 and mark & ~0xFFFFFF == CHECK_MARKS


def check_source(mark: int, family: int) -> str:
    """The address that IPVS takes a check with this mark to come from: ``0.x.y.z`` or ``ff00::xx:yyzz``, the low 24 bits.

    No client has such an address: the kernel drops what comes from 0.0.0.0/8 (route.c, ip_route_input_slow) and from multicast addresses
    (ip6_input.c, ip6_rcv_core), of which ff00::/16 is reserved (RFC 4291, 2.7).
    """
    number = mark & ~CHECK_MARKS
    return str(ipaddress.IPv4Address(number) if family == 4 else ipaddress.IPv6Address((0xFF00 << 112) + number))


def paths_of(services: Sequence[VirtualService]) -> tuple[CheckPath, ...]:
    """For each real server that is checked through the direct-routing path a firewall-mark service of its own, with it as the only
    destination. A check's socket with that mark connects to the VIP, and IPVS sends it to just that server: addressed to the VIP, in a
    frame to its MAC, as a viewer's packets are.

    Before marks IPVS looks for a connection that it remembers, by protocol, addresses and ports (ip_vs_core.c, ip_vs_in). The rules of
    the director (nftables.py) give the checks of each server a client address of their own for it, so that it finds none of another
    server.
    """
    servers: dict[tuple[int, str], str] = {}
    for service in services:
        if any(check["target"] == "vip" for check in service.checks):
            for server in service.servers:
                if server.checked:
                    servers.setdefault((service.family, server.address), server.host)
    marks = {service.key[3] for service in services if service.key and service.key[1] == "fwmark"}
    out = []
    for (family, address), host in sorted(servers.items()):
        mark = CHECK_MARKS | zlib.crc32(address.encode()) & 0xFFFFFF
        while mark in marks or mark == CHECK_MARKS:
            mark = CHECK_MARKS | (mark + 1) & 0xFFFFFF
        marks.add(mark)
        out.append(CheckPath(host, family, address, mark))
    return tuple(out)


def still_used(
    services: Iterable[VirtualService], checks: Iterable[CheckPath], tables: Iterable[list[dict[str, Any]]]
) -> tuple[CheckPath, ...]:
    """The paths that directors have for servers which leave: keepalived checks them until it has read its new file.

    Without its path a check would go to the VIP as a viewer does, and be counted as a connection of whichever server gets it.
    """
    leaves = {one.address: one.host or one.address for service in services for one in service.leaving}
    declared = set(check_marks(checks))
    found: dict[tuple[int, str], CheckPath] = {}
    for table in tables:
        for there in table:
            mark, family = there.get("firewall_mark"), 6 if there.get("family") == "ipv6" else 4
            for one in there["destinations"] if is_check_mark(mark) else ():
                if one["address"] in leaves and (family, one["address"]) not in declared and mark is not None:
                    found[family, one["address"]] = CheckPath(leaves[one["address"]], family, one["address"], mark)
    return tuple(found[key] for key in sorted(found))


def check_marks(checks: Iterable[CheckPath]) -> dict[tuple[int, str], int]:
    """{(family, address): mark} of the real servers that are checked through the direct-routing path."""
    return {(one.family, one.address): one.mark for one in checks}
