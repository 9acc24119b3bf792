# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modes of services add to a director's nftables: the new source of SNAT, no redirects, the marks of several ports. Pure.

Sources: nft(8) of nftables 1.0.6; net/netfilter/ipvs/ip_vs_nfct.c.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.directors.holders import link_of
from ansible.module_utils.lvsdr.inventory.hosts import host_address
from ansible.module_utils.lvsdr.inventory.modes import TRANSLATED
from ansible.module_utils.lvsdr.places import MARK_MAPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible.module_utils.lvsdr.inventory.types import VirtualService

    # (address, protocol, first, last)
    Ports = tuple[str, str, int, int]

# By family: the word for the protocol, how the upper protocol is named, and the type of an address. `meta l4proto` in a look-up of
# intervals is refused by the kernel (6.12).
WORDS = {4: ("ip", "ip protocol", "ipv4_addr"), 6: ("ip6", "ip6 nexthdr", "ipv6_addr")}


def tables(services: Sequence[VirtualService], variables: dict[str, Any]) -> list[str]:
    """The lines of sets, maps and chains inside lvsdr's table. variables: of the director, with its facts."""
    services = [service for service in services if service.balanced and not service.absent]
    out: list[str] = []
    for family in (4, 6):
        of_family = [service for service in services if service.family == family]
        out += _marks(of_family, family) + _snat(of_family, family, variables)
    if any(service.family == 6 and service.mode in TRANSLATED for service in services):
        # IPv4 has a setting for that (forwarding.py).
        head = "        type filter hook output priority filter; policy accept;"
        out += ["    chain redirects {", head, "        icmpv6 type nd-redirect drop", "    }"]
    return out


def claimed(service: VirtualService) -> list[Ports]:
    """What viewers send to a service: each VIP with each of its ports."""
    return [(vip, *one) for vip in service.vips for one in service.viewer_ports()]


def _elements(ports: Iterable[Ports], more: str = "") -> str:
    return ", ".join(
        "%s . %s . %s%s" % (address, protocol, first if first == last else "%d-%d" % (first, last), more)
        for address, protocol, first, last in ports
    )


def _set(name: str, family: int, ports: Sequence[Ports]) -> list[str]:
    word = WORDS[family][2]
    flags = ["        flags interval"] if any(first != last for _address, _protocol, first, last in ports) else []
    kind = "        type %s . inet_proto . inet_service" % word
    return ["    set %s {" % name, kind, *flags, "        elements = { %s }" % _elements(ports), "    }"]


def _snat(services: Sequence[VirtualService], family: int, variables: dict[str, Any]) -> list[str]:
    """The source of what goes to servers of SNAT becomes an address of this director on their link; their answers come back to it.

    IPVS leaves the connection's original tuple as the viewer sent it, so the VIP and the port tell which packets are meant, and no mark is
    needed. Connections of all other services stay untracked, as they are without SNAT.
    """
    word, protocol, _type = WORDS[family]
    mine = [service for service in services if service.mode == "snat"]
    others = [service for service in services if service.mode != "snat"]
    tracked = [one for service in mine for one in claimed(service)]
    if not tracked:
        return []
    lines = _set("snat%d" % family, family, tracked)
    lines += ["    chain snat%d {" % family, "        type nat hook postrouting priority srcnat; policy accept;"]
    match = "meta l4proto { tcp, udp, sctp } ct original %s daddr . %s . ct original proto-dst @snat%d" % (word, protocol, family)
    for link, address in _sources(mine, family, variables):
        lines.append("        %s%s counter snat %s to %s" % ('oifname "%s" ' % link if link else "", match, word, address))
    lines.append("    }")
    requests = [one for service in others for one in claimed(service)]
    answers = [
        (server.address, *one)
        for service in others
        if service.mode == "nat"
        for server in service.servers
        for one in service.server_ports(server)
    ]
    rules = []
    for name, ports, side in (("untracked%d" % family, requests, "d"), ("answers%d" % family, list(dict.fromkeys(answers)), "s")):
        if ports:
            lines += _set(name, family, ports)
            # What a server answers to the director itself is SNAT's, whatever else comes from that port.
            whose = "fib daddr type != local " if side == "s" else ""
            rules.append("        %s%s %saddr . %s . th %sport @%s notrack" % (whose, word, side, protocol, side, name))
    if rules:
        lines += ["    chain untracked%d {" % family, "        type filter hook prerouting priority raw; policy accept;", *rules, "    }"]
    return lines


def _sources(services: Iterable[VirtualService], family: int, variables: dict[str, Any]) -> list[tuple[str | None, str]]:
    """[(interface, own address there)] through which servers are reached, and (None, own address) where a router is between."""
    facts: dict[str, Any] = variables.get("facts") or {}
    out: dict[str | None, str] = {}
    for service in services:
        for server in service.servers:
            link = link_of(server.address, facts)
            address = _own(link, server.address, facts) if link else host_address(variables, family)
            if address:
                out[link] = address
    return sorted(out.items(), key=lambda item: (item[0] is None, item[0] or ""))


def _own(link: str, neighbour: str, facts: dict[str, Any]) -> str | None:
    """The host's own address in the subnet of a neighbour."""
    for interface in facts["interfaces"]:
        for text in interface["addresses"] if interface["name"] == link else ():
            found = ipaddress.ip_interface(text)
            if found.network.num_addresses > 1 and ipaddress.ip_address(neighbour) in found.network:
                return str(found.ip)
    return None


def _marks(services: Iterable[VirtualService], family: int) -> list[str]:
    """The mark of each service of several ports is set before IPVS looks for the service."""
    pairs = [_elements(claimed(service), " : 0x%x" % service.options["firewall_mark"]) for service in services if service.ports]
    if not pairs:
        return []
    word, protocol, kind = WORDS[family]
    return [
        "    map %s {" % MARK_MAPS[family],
        "        type %s . inet_proto . inet_service : mark" % kind,
        "        flags interval",
        "        elements = { %s }" % ", ".join(pairs),
        "    }",
        "    chain marks%d {" % family,
        "        type filter hook prerouting priority mangle; policy accept;",
        "        meta mark 0 meta mark set %s daddr . %s . th dport map @%s" % (word, protocol, MARK_MAPS[family]),
        "    }",
    ]
