# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which director holds which VIP, and on which interface. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.inventory.hosts import on_links
from ansible.module_utils.lvsdr.inventory.views import director_vips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible.module_utils.lvsdr.inventory.types import VirtualService


def interface_of(services: Sequence[VirtualService], facts: dict[str, Any]) -> str:
    """The interface of a director whose subnet holds the first VIP, a retired one where no other is left."""
    for vip in director_vips(services) or [vip for service in services for vip in service.vips]:
        for interface in facts.get("interfaces", ()):
            for text in interface["addresses"]:
                network = ipaddress.ip_interface(text).network
                if interface["name"] != "lo" and network.num_addresses > 1 and ipaddress.ip_address(vip) in network:
                    name: str = interface["name"]
                    return name
    raise LvsError("No interface of this director has a subnet that holds a VIP", "set director_interface")


def holds_vip(services: Sequence[VirtualService], facts: dict[str, Any]) -> bool:
    """Whether a director is the active one: it holds a VIP outside lo."""
    return not {str(address.ip) for address in on_links(facts)}.isdisjoint(director_vips(services))


def holders(vip: str, facts_by_director: dict[str, dict[str, Any]]) -> list[str]:
    """The directors that hold a VIP."""
    return [director for director, facts in sorted(facts_by_director.items()) if vip in {str(address.ip) for address in on_links(facts)}]


def held_wrongly(services: Sequence[VirtualService], facts_by_director: dict[str, dict[str, Any]]) -> list[str]:
    """A sentence for each VIP that not exactly one director holds. facts_by_director: {director: facts}, read just now."""
    out = []
    for vip in director_vips(services):
        found = holders(vip, facts_by_director)
        if len(found) > 1:
            out.append(
                "%s hold %s at once (split brain): they do not hear each other's advertisements; see that VRRP (IP protocol 112) passes "
                "between them, and `journalctl -u keepalived` on both" % (" and ".join(found), vip)
            )
        elif not found:
            out.append("no director holds %s; see `journalctl -u keepalived`" % vip)
    return out
