# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kernel's settings of a director: what answers to checks need, and what forwarding needs where servers answer through it. Pure.

Source: Documentation/networking/ip-sysctl.rst of the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.directors.holders import link_of
from ansible.module_utils.lvsdr.inventory.views import forwarded, gateways

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible.module_utils.lvsdr.inventory.types import VirtualService

RP_FILTER = "net/ipv4/conf/%s/rp_filter"
ACCEPT_RA = "net/ipv6/conf/%s/accept_ra"


def settings(services: Sequence[VirtualService], interface: str, facts: dict[str, Any]) -> dict[str, int]:
    """{name: value}, in the order in which they have to be set. interface: that of the VIPs; facts: what lvs_preflight read."""
    # Without an address there it answers no ARP, though it takes packets for the VIPs (keepalived.py, static_routes).
    out = {"net/ipv4/conf/%s/arp_ignore" % interface: 1, "net/ipv4/conf/%s/accept_local" % interface: 1}
    read = (facts.get("seen") or {}).get("sysctls") or {}
    if read.get(RP_FILTER % "all") == "1" or read.get(RP_FILTER % interface) in ("1", "2"):
        # A director that waits has the VIP's route on lo, so strict filtering drops the answers to its checks (fib_frontend.c,
        # __fib_validate_source). The larger of both values counts.
        out[RP_FILTER % interface] = 2
    families = forwarded(services)
    if 6 in families:
        # A host that forwards takes no router advertisements and drops its default route, unless this is 2; so this comes first
        # (addrconf.c, addrconf_fixup_forwarding).
        names = [ACCEPT_RA % link["name"] for link in facts.get("interfaces", ())]
        out.update({name: 2 for name in names if read.get(name) in ("1", "2")})
        out["net/ipv6/conf/all/forwarding"] = 1
    if 4 in families:
        # A director that sends a packet back on the link on which it came tells the sender of a shorter way, and the next one misses it.
        # The kernel redirects where conf/all or the interface says so. IPv6 has no such setting: nftables.py drops its redirects.
        links = dict.fromkeys(filter(None, [interface, *(link_of(one, facts) for one in gateways(services))]))
        out["net/ipv4/conf/all/send_redirects"] = 0
        out.update({"net/ipv4/conf/%s/send_redirects" % link: 0 for link in links})
        out["net/ipv4/ip_forward"] = 1
    return out


def ipvs_settings(services: Sequence[VirtualService], declared: dict[str, Any]) -> dict[str, Any]:
    """director_sysctls, with what modes need.

    SNAT: netfilter has to see IPVS' connections, to change their source.
    NAT of UDP: a viewer may send one packet and then only receive, as with RTP. By the kernel's own sync_threshold the other director hears
    of a connection with its third packet; without a period it hears with the first one, and again after sync_refresh_period seconds
    (ip_vs_sync.c, ip_vs_sync_conn_needed).
    """
    here = [service for service in services if not service.absent]
    needed: dict[str, Any] = {}
    if any(service.mode == "snat" for service in here):
        needed["conntrack"] = 1
    if any(service.mode == "nat" and any(protocol == "udp" for protocol, _first, _last in service.viewer_ports()) for service in here):
        declared = {"sync_threshold": "3 0", "sync_refresh_period": 10, **declared}
    return {**declared, **needed}
