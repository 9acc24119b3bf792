# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules that choose a routing table by address and port, and default routes of such tables. IO."""

from __future__ import annotations

import functools
import ipaddress
import socket
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import AF

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.system.rtnetlink import Rtnetlink


def _family(address: str) -> int:
    return int(AF[ipaddress.ip_address(address).version])


def read_rules(net: Rtnetlink, owner: int) -> set[tuple[str, int, int, int, int]]:
    """{(source address, protocol, first port, last port, table)} of the rules with that owner (FRA_PROTOCOL)."""
    out = set()
    for family in AF.values():
        for rule in net.dump("reading the rules", functools.partial(net.route.rule, "dump", family=int(family))):
            if rule["family"] == family and rule.get_attr("FRA_PROTOCOL") == owner and rule.get_attr("FRA_SPORT_RANGE"):
                first, _colon, last = rule.get_attr("FRA_SPORT_RANGE").partition(":")
                table = rule.get_attr("FRA_TABLE") or rule["table"]
                out.add((rule.get_attr("FRA_SRC"), rule.get_attr("FRA_IP_PROTO"), int(first), int(last), table))
    return out


def read_default_routes(net: Rtnetlink, tables: range) -> dict[tuple[int, int], tuple[str, int]]:
    """{(family, table): (gateway, owner)} of the default routes of these tables."""
    out = {}
    for family in AF.values():
        for route in net.dump("reading the routes", functools.partial(net.route.route, "dump", family=int(family))):
            table = route.get_attr("RTA_TABLE") or route["table"]
            if route["family"] == family and table in tables and not route["dst_len"]:
                out[int(family), table] = (route.get_attr("RTA_GATEWAY") or "", route["proto"])
    return out


def change_rule(net: Rtnetlink, verb: str, owner: int, priority: int, rule: tuple[str, int, int, int, int]) -> None:
    """verb: add or del."""
    address, protocol, first, last, table = rule
    with net.told("ip rule %s from %s ipproto %d sport %d-%d lookup %d" % (verb, address, protocol, first, last, table)):
        net.route.rule(
            verb, family=_family(address), src=address, ip_proto=protocol, sport_range="%d:%d" % (first, last), table=table,
            priority=priority, protocol=owner,
        )  # fmt: skip


def change_default_route(net: Rtnetlink, verb: str, owner: int, gateway: str, table: int) -> None:
    """verb: replace or del."""
    with net.told("ip route %s default via %s table %d" % (verb, gateway, table)):
        net.route.route(verb, family=_family(gateway), dst="default", gateway=gateway, table=table, proto=owner)


def way_to(net: Rtnetlink, target: str, source: str) -> tuple[str | None, int | None]:
    """(gateway, index of the interface) by which a packet with that source leaves for that target; (None, index) on a link of the host."""
    with net.told("ip route get %s from %s" % (target, source)):
        found: Any = list(net.route.route("get", dst=target, src=source, family=_family(target)))
    return found[0].get_attr("RTA_GATEWAY"), found[0].get_attr("RTA_OIF")


# By kind of the device, what its attributes are called (linux/if_tunnel.h).
LOCALS = {"ipip": "IFLA_IPIP_LOCAL", "ip6tnl": "IFLA_IP6TNL_LOCAL", "gre": "IFLA_GRE_LOCAL", "ip6gre": "IFLA_IP6GRE_LOCAL"}


def read_tunnels(net: Rtnetlink, prefix: str) -> list[tuple[str, str]]:
    """[(kind, local address)] of the tunnel devices whose names begin so."""
    out = []
    for link in net.dump("reading the interfaces", lambda: net.route.link("dump")):
        kind = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
        if link.get_attr("IFLA_IFNAME").startswith(prefix) and kind in LOCALS:
            out.append((kind, link.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", LOCALS[kind]) or ""))
    return out


def add_tunnel(net: Rtnetlink, name: str, kind: str, address: str) -> None:
    """A tunnel device that takes packets to that address from everywhere."""
    with net.told("ip link add %s type %s local %s" % (name, kind, address)):
        net.route.link("add", ifname=name, kind=kind, **{LOCALS[kind][len("IFLA_") :].lower(): address})


def set_up(net: Rtnetlink, name: str) -> None:
    with net.told("ip link set %s up" % name):
        net.route.link("set", index=socket.if_nametoindex(name), state="up")


def remove_link(net: Rtnetlink, name: str) -> None:
    with net.told("ip link del %s" % name):
        net.route.link("del", index=socket.if_nametoindex(name))
