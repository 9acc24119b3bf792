# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which real servers of proxies can be drained by a file, and what is left on them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.inventory.hosts import facts_of
from ansible.module_utils.lvsdr.proxies import messages

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ansible.module_utils.lvsdr.inventory.types import Inventory, ProxyService, Resolved


def behind(resolved: Resolved) -> list[str]:
    """The names of the real servers of proxies, without sorry servers."""
    return list(dict.fromkeys(server.host for service in resolved.proxies for server in service.servers if not server.fallback))


def refused(resolved: Resolved, inventory: Inventory, names: Collection[str]) -> list[str]:
    """A line for each reason why these real servers can't be drained: nothing would read the file, or nobody would be left."""
    out = []
    for service in resolved.proxies:
        serving = [server for server in service.servers if not server.fallback and server.weight]
        going = [server.host for server in serving if server.host in names]
        if not going or service.absent:
            continue
        files = _files(service, inventory)
        left = [one for one in serving if one.host not in names and not one.drained and files.isdisjoint(one.weight_files)]
        if not service.checks:
            out.append(messages.ORIGIN_NEEDS_CHECK(hosts=", ".join(going), service=service.name))
        elif not left and not any(server.fallback for server in service.servers):
            out.append(messages.NO_ORIGIN_LEFT(service=service.name))
    return [str(line) for line in out]


def _files(service: ProxyService, inventory: Inventory) -> set[str]:
    """The files that drain on any of its proxies, when they were read."""
    seen = (facts_of(inventory, host).get("seen") or {} for host in service.hosts)
    return {name for one in seen for name in one.get("folders", {}).get(places.DRAINED_KEPT) or ()}


def connections(names: Collection[str], found: Iterable[Mapping[str, Any]]) -> int:
    """How many connections proxies have to these real servers. found: what haproxy_info returned."""
    held = (servers for one in found for servers in one.get("servers", {}).values())
    return sum(server["connections"] for servers in held for name, server in servers.items() if name in names)
