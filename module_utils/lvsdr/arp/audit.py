# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who answers for a VIP, and whether that is right. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import parse_address
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
    names: dict[str, str] | None = None,
    own: str | None = None,
) -> tuple[str, str]:
    """(verdict, sentence): ``one owner``, ``leak`` or ``nobody``.

    macs: all that answered. owners: {mac: name} of the hosts that may; empty where anybody may, as long as it is one. claims: all that
    named the VIP as the sender of a request of their own. names: {mac: name} of further hosts that are known. own: MAC of this host where
    it answers for the VIP itself, which it does not hear.
    """
    macs = [*([own] if own else []), *macs]
    known = {mac: named(name) for mac, name in {**(names or {}), **owners}.items()}

    def listed(found: list[str], joint: str = " and ") -> str:
        more = len(found) - NAMED_MACS
        words = joint.join("%s (%s)" % (mac, known[mac]) if mac in known else mac for mac in found[:NAMED_MACS])
        return words if more <= 0 else "%s and %s%d more" % (words, "at least " if len(found) >= MOST_MACS else "", more)

    strangers = [mac for mac in macs if owners and mac not in owners]
    if strangers:
        return "leak", "%s answers for %s and is no director: that host takes the service; deploy it with real_server_vip" % (
            listed(strangers),
            vip,
        )
    if len(macs) > 1:
        return "leak", "%d hosts answer for %s: %s; only the active director may" % (len(macs), vip, listed(macs, ", "))
    poisoners = [mac for mac in claims if mac not in (owners or macs)]
    if poisoners:
        return "leak", (
            "%s names %s as the sender of its ARP requests (arp_announce below 2), which poisons its neighbours' caches; "
            "deploy it with real_server_vip" % (listed(poisoners), vip)
        )
    if not macs:
        return "nobody", "nobody answers for %s; look whether keepalived runs on a director and holds it" % vip
    return "one owner", "%s answers for %s" % (listed(macs), vip)


def holder(vip: str, links: list[dict[str, Any]], interface: str) -> str | None:
    """MAC of this host's Ethernet link that was asked on, where it has the VIP itself; None where it has not.

    What another card of the host answers comes over the link, and is heard.
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
        except ValueError:
            problems.add("vips[%d]" % index, "%r is not an IPv4 or IPv6 host address" % (vip,))
    problems.raise_if_any("The audit can't be made")
    if not out:
        raise LvsError("There is no VIP to audit", "name at least one in `vips`")
    return out
