# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which servers are drained, which wait for a check, and which are left. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.directors import messages
from ansible.module_utils.lvsdr.errors import listed
from ansible.module_utils.lvsdr.inventory.views import somebody_serves
from ansible.module_utils.lvsdr.ipvs.describe import held_destinations
from ansible.module_utils.lvsdr.ipvs.plan import live
from ansible.module_utils.lvsdr.places import drain_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ansible.module_utils.lvsdr.inventory.types import VirtualService


def drained(services: Iterable[VirtualService]) -> list[str]:
    """The names of the files in places.DRAINED that have to be there, sorted."""
    return sorted({drain_file(host) for service in services for host in service.drained if service.health_check})


def empty_without(services: Iterable[VirtualService], hosts: Collection[str], drained_files: Collection[str] = ()) -> list[str]:
    """A line for each service that would have no real server left without these hosts. drained_files: names of files that drain."""
    out, going, files = [], set(hosts), set(drained_files)
    for service in services:
        if service.absent or service.sorry or going.isdisjoint(service.hosts):
            continue
        gone = going | {host for host in service.hosts if drain_file(host) in files}
        if not somebody_serves(service, gone):
            out.append(str(messages.NO_SERVER_LEFT(service=service.name, vip=service.vips[0])))
    return out


def not_drainable(services: Iterable[VirtualService], hosts: Sequence[str]) -> list[str]:
    """A line for each host that can't be drained by a file."""
    out = [] if hosts else [messages.NO_SERVER_NAMED()]
    serves: dict[str, list[VirtualService]] = {}
    for service in services:
        for host in service.hosts:
            serves.setdefault(host, []).append(service)
    for host in hosts:
        without = [service.name for service in serves.get(host, ()) if not service.health_check]
        if host not in serves:
            out.append(messages.NOT_A_REAL_SERVER(host=host, names=listed(serves)))
        elif without:
            out.append(messages.DRAIN_NEEDS_CHECK(host=host, services=", ".join(without)))
    return [str(line) for line in out]


def connections(services: Iterable[VirtualService], hosts: Collection[str], info: dict[str, Any]) -> int:
    """How many connections a director counts to hosts in the services, without those of checks. info: what ipvs_info returned.

    plan.live decides which of them are running.
    """
    total, found, those = 0, held_destinations(info), set(hosts)
    for service in services:
        for server in service.real_servers:
            there = found.get((service.table_key, server.address))
            if server.host in those and there:
                total += live(service.options.get("protocol"), (there["active"], there["inactive"]))
    return total


def waiting(services: Sequence[VirtualService], infos: dict[str, dict[str, Any]]) -> list[str]:
    """``["director: real server of service", …]`` whose weight is 0 though its check may raise it: it is down, or was not checked yet.

    infos: {director: what ipvs_info returned of it}.
    """
    out = []
    for director, info in sorted(infos.items()):
        found = held_destinations(info)
        for service in services:
            for server in service.real_servers:
                there = found.get((service.table_key, server.address), {"weight": 0})
                if server.checked and not server.drained and not there["weight"]:
                    out.append("%s: %s of %s" % (director, server.host, service.name))
    return out
