# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The interfaces of a host, and what is known of the network behind them."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.system import rtnetlink, sysctl

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible.module_utils.lvsdr.system.rtnetlink import Address, Link, Rtnetlink


def interfaces() -> list[dict[str, Any]]:
    """``[{"name", "mac", "type", "arp", "up", "addresses": ["a/p"], "scopes": {"a/p": scope}}]``; type is the kernel's link type, such as
    ether or loopback. Whatever its scope or state, an address is among them, but for those that every link may have (_of_every_link).

    Only where there are such: ``peers`` {"a/p": [the other end, or None, of each such address]}, ``local_routes``, what `ip route` has of
    routes that make an address local without being on an interface, ``unasked``, true where no frame of another host arrives, and
    ``mtu``, of an Ethernet interface where it is not 1500.
    """
    with rtnetlink.opened() as kernel:
        links = kernel.links()
        return described(links, kernel.addresses(), _local_routes(kernel, links))


def described(links: Sequence[Link], addresses: Iterable[Address], routes: dict[str, list[str]]) -> list[dict[str, Any]]:
    """What interfaces() returns, of what the kernel has."""
    asked = asked_links(links)
    scopes: dict[int, dict[str, str]] = {link.ifindex: {} for link in links}
    peers: dict[int, dict[str, list[str | None]]] = {link.ifindex: {} for link in links}
    for one in addresses:
        # Its link may have come meanwhile.
        if one.ifindex in scopes and not _of_every_link(one.text, one.length):
            text = "%s/%d" % (one.text, one.length)
            scopes[one.ifindex][text] = one.scope
            peers[one.ifindex].setdefault(text, []).append(one.peer)
    out = []
    for link in links:
        found = {
            "name": link.name,
            "mac": link.mac,
            "type": link.type,
            "arp": not link.flags & rtnetlink.NO_ARP,
            "up": bool(link.flags & rtnetlink.UP),
            "addresses": list(scopes[link.ifindex]),
            "scopes": scopes[link.ifindex],
        }
        if any(peer for ends in peers[link.ifindex].values() for peer in ends):
            found["peers"] = peers[link.ifindex]
        if link.name in routes:
            found["local_routes"] = routes[link.name]
        if not asked[link.name]:
            found["unasked"] = True
        if link.type == "ether" and link.mtu != rtnetlink.USUAL_MTU:
            found["mtu"] = link.mtu
        out.append(found)
    return out


# Kinds of interfaces, as the kernel calls them: those that lead nowhere, those that have only what their ports have, and those on another.
NOWHERE = ("dummy", "ifb", "nlmon")
WITH_PORTS = ("bridge", "bond", "team")
STACKED = ("vlan", "macvlan", "macvtap", "ipvlan")


def asked_links(links: Sequence[Link]) -> dict[str, bool]:
    """{interface: whether a frame of another host can arrive there}.

    A pair of veth whose two ends are on this host leads from the host to itself, unless its other end is a port of something that leads on.
    What is not known is asked: a false alarm is better than a leak.
    """
    known = {link.ifindex: link for link in links}
    ports: dict[int | None, list[int]] = {}
    for link in links:
        ports.setdefault(link.master, []).append(link.ifindex)

    def asked(index: int, behind: frozenset[int]) -> bool:
        link = known[index]
        if link.kind in NOWHERE:
            return False
        if link.kind in WITH_PORTS:
            return any(asked(port, behind | {index}) for port in ports.get(index, ()) if port not in behind)
        # The other end, or what is below, may be in another namespace.
        other = link.below
        if other is None or link.elsewhere or other not in known:
            return True
        if link.kind in STACKED:
            return asked(other, behind | {index})
        if link.kind != "veth":
            return True
        master = known[other].master
        if any(one.below == other and not one.elsewhere and one.ifindex != index for one in links):
            return True  # something is stacked on the other end
        return master in known and master not in behind and asked(master, behind | {index, other})

    return {link.name: asked(link.ifindex, frozenset()) for link in links}


def _of_every_link(address: str, length: int) -> bool:
    """Whether an address is one that a link gives itself: of fe80::/10, or of 169.254.0.0/16 with its prefix. None is a VIP."""
    parsed = ipaddress.ip_address(address)
    return parsed.is_link_local and (parsed.version == 6 or length < 32)


# Those that are asked for every packet; others are where a rule says so.
LOCAL_TABLES = ("local", "main", "default")


def _local_routes(kernel: Rtnetlink, links: Iterable[Link]) -> dict[str, list[str]]:
    """{interface: ["local 192.0.2.100/32 dev lo table local proto boot"]} of the routes that were added by hand (ip-route(8), type local).

    The host owns what such a route leads to as well, and may answer for it.
    """
    out: dict[str, list[str]] = {}
    for route in kernel.local_routes(links):
        # Another table is that of a transparent proxy, whose rule asks for a mark.
        if route.table in LOCAL_TABLES or route.table in kernel.tables_without_condition(6 if ":" in route.target else 4):
            out.setdefault(route.device, []).append(route.words())
    return out


# Words in /sys/class/dmi/id by which a guest knows the cloud it runs in, as cloud-init's ds-identify has them. In all of these networks a
# packet whose addresses are not the port's own is dropped, unless that was arranged otherwise.
CLOUDS = (
    ("sys_vendor", "Amazon EC2", "Amazon EC2"),
    ("sys_vendor", "Google", "Google Compute Engine"),
    ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "Microsoft Azure"),
    ("chassis_asset_tag", "OracleCloud.com", "Oracle Cloud"),
    ("sys_vendor", "Alibaba Cloud", "Alibaba Cloud"),
    ("sys_vendor", "Hetzner", "Hetzner Cloud"),
    ("product_name", "OpenStack Nova", "OpenStack"),
    ("product_name", "OpenStack Compute", "OpenStack"),
)


def cloud(folder: str = "/sys/class/dmi/id") -> str | None:
    """Name of the cloud that this host is a guest of, or None. A container's network is its host's affair."""
    # Written by systemd as a container's first process (CONTAINER_INTERFACE).
    if os.path.exists("/run/systemd/container"):
        return None
    for name, text, title in CLOUDS:
        if sysctl.read_file(os.path.join(folder, name)) == text:
            return title
    return None
