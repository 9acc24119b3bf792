# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which director holds which VIP, and on which interface. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.directors import messages
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.inventory.hosts import on_links
from ansible.module_utils.lvsdr.inventory.views import director_vips, moving

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible.module_utils.lvsdr.inventory.types import VirtualService


def interface_of(services: Sequence[VirtualService], facts: dict[str, Any]) -> str:
    """The interface of a director whose subnet holds the first VIP, a retired one where no other is left."""
    for vip in director_vips(services) or [vip for service in services for vip in service.vips]:
        name = link_of(vip, facts)
        if name:
            return name
    raise LvsError(messages.VIP_INTERFACE_MISSING())


def link_of(address: str, facts: dict[str, Any]) -> str | None:
    """The interface of a host in whose subnet an address is, or None."""
    for interface in facts.get("interfaces", ()):
        for text in interface["addresses"]:
            network = ipaddress.ip_interface(text).network
            if interface["name"] != "lo" and network.num_addresses > 1 and ipaddress.ip_address(address) in network:
                name: str = interface["name"]
                return name
    return None


def holds_vip(services: Sequence[VirtualService], facts: dict[str, Any]) -> bool:
    """Whether a director is the active one: it holds a VIP outside lo."""
    return not {str(address.ip) for address in on_links(facts)}.isdisjoint(director_vips(services))


def holders(vip: str, facts_by_director: dict[str, dict[str, Any]]) -> list[str]:
    """The directors that hold a VIP."""
    return [director for director, facts in sorted(facts_by_director.items()) if vip in {str(address.ip) for address in on_links(facts)}]


def held_wrongly(services: Sequence[VirtualService], facts_by_director: dict[str, dict[str, Any]]) -> list[str]:
    """A line for each VIP, and each gateway of NAT, that not exactly one director holds. facts_by_director: {director: facts}, read just
    now."""
    out = []
    for vip in moving(services):
        found = holders(vip, facts_by_director)
        if len(found) > 1:
            out.append(str(messages.SPLIT_BRAIN(directors=" and ".join(found), vip=vip)))
        elif not found:
            out.append(str(messages.VIP_NOT_HELD(vip=vip)))
    return out


def preempt_delay(services: Iterable[VirtualService]) -> int:
    """Seconds that keepalived waits before it takes VIPs from a director of a lower priority, also from one that has lowered it (vrrp.c).

    A director that starts takes its VIPs back once each of its checks has had a result: until then its servers have weight 0, and newcomers
    would be refused. keepalived spreads first checks over an interval (check_api.c, warmup).
    """
    checks = [check for service in services if not service.absent for check in service.checks]
    longest = max((check["interval"] + check["timeout"] for check in checks), default=0)
    return min(60, longest + 1) if checks else 0
