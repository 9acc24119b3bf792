# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which hosts answer for a VIP, and whether that is right. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import not_an_address, parse_address
from ansible.module_utils.lvsdr.arp import messages
from ansible.module_utils.lvsdr.errors import LvsError, Problems, named

if TYPE_CHECKING:
    from collections.abc import Iterable

# So many MACs of one address are kept: more is a flood, and a leak in any case. A sentence names the first of them.
MOST_MACS, NAMED_MACS = 64, 8


def verdict(
    vip: str,
    macs: Iterable[str],
    owners: dict[str, str],
    claims: Iterable[str] = (),
    host_by_mac: dict[str, str] | None = None,
    own: str | None = None,
) -> tuple[str, str]:
    """(verdict, sentence): ``one owner``, ``leak`` or ``nobody``. A sentence about something wrong ends with its id.

    macs: all that answered. owners: {mac: name} of the hosts that may; empty where any single host may. claims: all that named the VIP as
    the sender of a request of their own. host_by_mac: names of further hosts. own: MAC of this host where it answers for the VIP itself,
    which it does not receive.
    """
    macs = [*([own] if own else []), *macs]
    known = {mac: named(name) for mac, name in {**(host_by_mac or {}), **owners}.items()}

    def listed(found: list[str], joint: str = " and ") -> str:
        more = len(found) - NAMED_MACS
        words = joint.join("%s (%s)" % (mac, known[mac]) if mac in known else mac for mac in found[:NAMED_MACS])
        return words if more <= 0 else "%s and %s%d more" % (words, "at least " if len(found) >= MOST_MACS else "", more)

    strangers = [mac for mac in macs if owners and mac not in owners]
    if strangers:
        return "leak", str(messages.VIP_HIJACKED(macs=listed(strangers), vip=vip))
    if len(macs) > 1:
        return "leak", str(messages.VIP_OF_SEVERAL_HOSTS(number=len(macs), vip=vip, macs=listed(macs, ", ")))
    poisoners = [mac for mac in claims if mac not in (owners or macs)]
    if poisoners:
        return "leak", str(messages.ARP_POISONING(macs=listed(poisoners), vip=vip))
    if not macs:
        return "nobody", str(messages.VIP_UNANSWERED(vip=vip))
    return "one owner", "%s answers for %s" % (listed(macs), vip)


def holder(vip: str, links: list[dict[str, Any]], interface: str) -> str | None:
    """MAC of this host's Ethernet link that was asked on, where it has the VIP itself; None where it has not.

    What another card of the host answers comes over the link, and is received.
    """
    for link in links:
        own = any(text.partition("/")[0] == vip for text in link["addresses"])
        if link["name"] == interface and link["type"] == "ether" and own:
            mac: str = link["mac"]
            return mac
    return None


def check_audit(vips: Iterable[object]) -> list[tuple[int, str]]:
    """The addresses to audit as (family, text); LvsError with all that is wrong."""
    problems, out = Problems(), []
    for index, vip in enumerate(vips):
        try:
            out.append(parse_address(vip))
        except ValueError as why:
            problems.add("vips[%d]" % index, not_an_address(vip, why))
    problems.raise_if_any("The audit can't be made")
    if not out:
        raise LvsError(messages.NO_VIPS())
    return out
