# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the other real servers would carry a service without some of them, from the tables of the directors. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.checks.verdicts import rounded_up
from ansible.module_utils.lvsdr.directors import drains
from ansible.module_utils.lvsdr.fleet import messages
from ansible.module_utils.lvsdr.ipvs.describe import held_destinations

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ansible.module_utils.lvsdr.inventory.types import RealServer, VirtualService

# How many times its load a server may get while others are out, by default: with it half of a fleet may be.
MOST_GROWTH = 2.0


def serving(service: VirtualService, info: Mapping[str, Any]) -> dict[str, int]:
    """{real server: its declared weight} of those that a director sends viewers to. info: what ipvs_info returned of it.

    What it has of that weight at the moment, as in a slow start, says little of what it can carry.
    """
    found = held_destinations(dict(info))
    there = {server.host: found.get((service.table_key, server.address), {"weight": 0})["weight"] for server in service.real_servers}
    return {server.host: max(1, server.weight) for server in service.real_servers if there[server.host]}


def connections(service: VirtualService, info: Mapping[str, Any]) -> int:
    """The running connections of a service on a director."""
    return drains.running(service, service.servers, held_destinations(dict(info)))


def meant(service: VirtualService, info: Mapping[str, Any]) -> list[RealServer]:
    """The real servers that are to take viewers as far as operators decide it: neither drained nor parked."""
    files = set(info.get("weight_files") or ())
    return [one for one in service.real_servers if one.weight and not one.drained and files.isdisjoint(one.weight_files)]


def refused(
    services: Iterable[VirtualService],
    infos: Mapping[str, Mapping[str, Any]],
    hosts: Collection[str],
    growth: float = MOST_GROWTH,
) -> list[str]:
    """Why these real servers can't be taken out now, a line each; none where the others would carry their services.

    infos: {director: what ipvs_info returned}. growth: how many times its load each of the others may get.
    """
    lines: dict[str, None] = {}
    for service in services:
        if service.sorry in hosts and not service.absent:
            lines[str(messages.SORRY_SERVER_STAYS(service=service.name, host=service.sorry))] = None
    for info in infos.values():
        for service in services:
            now = serving(service, info)
            gone = sorted(set(now) & set(hosts))
            if gone and not service.absent:
                lines.update(dict.fromkeys(_lines(service, info, now, gone, growth)))
    return list(lines)


def _lines(service: VirtualService, info: Mapping[str, Any], now: Mapping[str, int], gone: Collection[str], growth: float) -> list[str]:
    name, hosts = service.name, " and ".join(gone)
    left = {host: weight for host, weight in now.items() if host not in gone}
    if not left:
        return [] if service.sorry else [str(messages.NOBODY_ELSE_SERVES(service=name, hosts=hosts))]
    # Of those that are then meant to take viewers: one that is drained does not count for the floor.
    counted = [server for server in meant(service, info) if server.host not in gone]
    least = rounded_up((service.health_check or {}).get("floor", 0) * len(counted))
    if len(left) < least:
        return [str(messages.BELOW_FLOOR(service=name, hosts=hosts, left=len(left), least=least))]
    times = sum(now.values()) / sum(left.values())
    if times > growth + 1e-9:
        return [str(messages.TOO_MUCH_FOR_OTHERS(service=name, hosts=hosts, times=times, most=growth))]
    each = (service.scale or {}).get("connections")
    count = connections(service, info)
    if each and count > each * len(left):
        return [str(messages.TOO_MANY_CONNECTIONS(service=name, hosts=hosts, count=count, left=len(left), each=each))]
    return []
