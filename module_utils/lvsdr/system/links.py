# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The interfaces of a host, as iproute2 reports them, and what is known of the network behind them."""

from __future__ import annotations

import ipaddress
import json
import os
from typing import Any

from ansible.module_utils.lvsdr.system import sysctl
from ansible.module_utils.lvsdr.system.commands import run


def interfaces() -> list[dict[str, Any]]:
    """``[{"name", "mac", "type", "arp", "up", "addresses": ["a/p"], "scopes": {"a/p": scope}}]``; type is the kernel's link type, such as
    ether or loopback. Whatever its scope or state, an address is among them, but for those that every link may have (_of_every_link).

    Only where there are such: ``peers`` {"a/p": [the other end, or None, of each such address]}, ``local_routes``, what `ip route` has of
    routes that make an address local without being on an interface, and ``unasked``, true where no frame of another host arrives.
    """
    out, links = [], json.loads(run("ip", "-j", "address", "show") or "[]")
    routes, asked = _local_routes(), _asked(json.loads(run("ip", "-j", "-d", "link", "show") or "[]"))
    for link in links:
        if "ifname" not in link:
            continue
        scopes: dict[str, str] = {}
        peers: dict[str, list[str | None]] = {}
        for info in link.get("addr_info", []):
            if "local" in info and not _of_every_link(info["local"], info["prefixlen"]):
                text = "%s/%d" % (info["local"], info["prefixlen"])
                scopes[text] = info.get("scope", "global")
                peers.setdefault(text, []).append(info.get("address"))
        found = {
            "name": link["ifname"],
            "mac": link.get("address", ""),
            "type": link.get("link_type", ""),
            "arp": "NOARP" not in link.get("flags", []),
            "up": "UP" in link.get("flags", []),
            "addresses": list(scopes),
            "scopes": scopes,
        }
        if any(peer for ends in peers.values() for peer in ends):
            found["peers"] = peers
        if link["ifname"] in routes:
            found["local_routes"] = routes[link["ifname"]]
        if not asked.get(link["ifname"], True):  # it may have come meanwhile
            found["unasked"] = True
        out.append(found)
    return out


# Kinds of interfaces, as `ip -d` calls them: those that lead nowhere, those that have only what their ports have, and those on another one.
NOWHERE = ("dummy", "ifb", "nlmon")
WITH_PORTS = ("bridge", "bond", "team")
STACKED = ("vlan", "macvlan", "macvtap", "ipvlan")


def _asked(links: list[dict[str, Any]]) -> dict[str, bool]:
    """{interface: whether a frame of another host can arrive there}. links: what `ip -j -d link show` prints.

    A pair of veth whose two ends are on this host leads from the host to itself, unless its other end is a port of something that leads on.
    What is not known is asked: a false alarm is better than a leak.
    """
    known = {link["ifname"]: link for link in links if "ifname" in link}
    ports: dict[str | None, list[str]] = {}
    for name, link in known.items():
        ports.setdefault(link.get("master"), []).append(name)

    def asked(name: str, behind: frozenset[str]) -> bool:
        link = known[name]
        kind = (link.get("linkinfo") or {}).get("info_kind")
        other: Any = link.get("link")
        if kind in NOWHERE:
            return False
        if kind in WITH_PORTS:
            return any(asked(port, behind | {name}) for port in ports.get(name, ()) if port not in behind)
        # The other end, or what is below, may be in another namespace: `ip` then gives its number alone, or says which.
        if other not in known or "link_netnsid" in link:
            return True
        if kind in STACKED:
            return asked(other, behind | {name})
        if kind != "veth":
            return True
        master: Any = known[other].get("master")
        if any(one.get("link") == other and one["ifname"] != name for one in known.values()):
            return True  # something is stacked on the other end
        return master in known and master not in behind and asked(master, behind | {name, other})

    return {name: asked(name, frozenset()) for name in known}


def _of_every_link(address: str, length: int) -> bool:
    """Whether an address is one that a link gives itself: of fe80::/10, or of 169.254.0.0/16 with its prefix. None is a VIP."""
    parsed = ipaddress.ip_address(address)
    return parsed.is_link_local and (parsed.version == 6 or length < 32)


# Those that are asked for every packet; others are where a rule says so.
LOCAL_TABLES = ("local", "main", "default")


def _tables_of_rules(family: str) -> set[str | None]:
    """The routing tables that a rule without any condition names (ip-rule(8))."""
    rules = json.loads(run("ip", family, "-j", "rule", "show") or "[]")
    return {rule.get("table") for rule in rules if rule.get("src") == "all" and rule.keys() <= {"priority", "src", "table", "protocol"}}


def _local_routes() -> dict[str, list[str]]:
    """{interface: ["local 192.0.2.100/32 dev lo table local proto boot"]} of the routes that were added by hand (ip-route(8), type local).

    The kernel adds one for each address. The host owns what such a route leads to as well, and may answer for it.
    """
    out: dict[str, list[str]] = {}
    for route in json.loads(run("ip", "-j", "route", "show", "table", "all", "type", "local") or "[]"):
        target, table = route.get("dst", "default"), route.get("table", "main")
        if route.get("type") != "local" or route.get("protocol") == "kernel" or target == "default":
            continue
        if table not in LOCAL_TABLES and table not in _tables_of_rules("-6" if ":" in target else "-4"):
            continue  # as of a transparent proxy, whose rule asks for a mark
        if "/" not in target:
            target += "/%d" % ipaddress.ip_address(target).max_prefixlen
        words = "local %s dev %s table %s proto %s" % (target, route.get("dev", "lo"), table, route.get("protocol", "boot"))
        out.setdefault(route.get("dev", "lo"), []).append(words + (" metric %d" % route["metric"] if route.get("metric") else ""))
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
