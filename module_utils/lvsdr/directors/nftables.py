# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules of nftables of a director, made from the same resolved services as its IPVS table. Pure.

Source of the words: nft(8) of nftables 1.0.6.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.directors import nftables_modes, vrrp
from ansible.module_utils.lvsdr.directors.keepalived import vrrp_family
from ansible.module_utils.lvsdr.errors import Problems
from ansible.module_utils.lvsdr.inventory import director_settings
from ansible.module_utils.lvsdr.inventory.check_paths import CHECK_MARKS, check_marks, check_source
from ansible.module_utils.lvsdr.inventory.hosts import facts_of, host_address, own_addresses
from ansible.module_utils.lvsdr.inventory.views import director_vips
from ansible.module_utils.lvsdr.ipvs.types import DAEMON_DEFAULTS
from ansible.module_utils.lvsdr.places import DIRECTORS
from ansible.module_utils.lvsdr.reader import Reader
from ansible.module_utils.lvsdr.text import with_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible.module_utils.lvsdr.inventory.types import CheckPath, Inventory, Resolved, VirtualService

HEAD = """\
# Managed by lvsdr. VRRP and connection sync have no authentication: they are let in from the other directors alone, and VRRP from this
# link alone, where no router has counted its TTL down. Who stands between could take the VIPs away, or fill the connection table.
#
# A check goes to a VIP through one real server and is answered from the VIP. The active director holds that VIP itself, and its kernel
# drops what comes from one of its own addresses unless accept_local says otherwise. These rules let in the answers to checks and nothing
# else: no host of the link can pass for this director.
#
# IPVS sends what belongs to a connection that it remembers to that connection's server, whatever its mark. So that a check never meets
# one of another server, IPVS sees the checks of each server come from an address of their own, which no client can have. Everybody else
# sees the director's address.
"""
# Tables of earlier versions.
FORMER = ("ip lvsdr",)
# What the rules have dropped, by the names of their counters.
COUNTERS = ("strange_vrrp", "strange_sync")


def render(resolved: Resolved, director: str, inventory: Inventory, interface: str) -> str:
    """The text of the rules' file of a director.

    The table is replaced as a whole, and has a comment by which system/in_force.py knows it.
    """
    facts = facts_of(inventory, director)
    vips = ", ".join(vip for vip in director_vips(resolved.services) if ":" not in vip)
    own = ", ".join(own_addresses(facts))
    answers = [
        "        ip saddr { %s } ip daddr { %s } tcp flags & (syn | ack) != syn accept" % (vips, own),
        "        ip saddr { %s } ip daddr { %s } meta l4proto udp accept" % (vips, own),
    ]
    peers = {family: ", ".join(_peers(director, inventory, family)) for family in (4, 6)}
    # To the group directors send from link-local addresses, which are not known beforehand.
    unicast = Reader(Problems(), "", inventory["hosts"].get(director, {})).boolean("director_unicast", True)
    near = ", fe80::/10" if vrrp_family(inventory) == 6 and not unicast else ""
    lines = [
        *(line for table in FORMER for line in ("table " + table, "delete table " + table)),
        *(line % places.RULES_TABLE for line in ("table %s", "delete table %s", "table %s {")),
        '    comment "lvsdr @DIGEST@"',
        *("    counter %s {\n    }" % name for name in COUNTERS),
        "    chain vrrp {",
        *(['        iifname "%s" ip ttl 255 ip saddr { %s } accept' % (interface, peers[4])] if peers[4] else []),
        *(['        iifname "%s" ip6 hoplimit 255 ip6 saddr { %s%s } accept' % (interface, peers[6], near)] if peers[6] else []),
        # On another link others may have instances of their own.
        '        iifname != "%s" ip daddr %s accept' % (interface, vrrp.GROUPS[4]),
        '        iifname != "%s" ip6 daddr %s accept' % (interface, vrrp.GROUPS[6]),
        "        counter name %s drop" % COUNTERS[0],
        "    }",
        "    chain sync {",
        *(["        ip saddr { %s } accept" % peers[4]] if peers[4] else []),
        "        counter name %s drop" % COUNTERS[1],
        "    }",
        *_console(director, inventory, peers),
        "    chain prerouting {",
        "        type filter hook prerouting priority raw; policy accept;",
        *_to_console(director, inventory),
        "        meta l4proto %d jump vrrp" % vrrp.PROTOCOL,
        '        iifname "%s" ip daddr %s udp dport %s jump sync' % (interface, DAEMON_DEFAULTS["group"], DAEMON_DEFAULTS["port"]),
        '        iifname != "%s" accept' % interface,
        *(answers if vips and own else []),
        "        meta nfproto ipv4 fib saddr type local counter drop",
        "    }",
        *_check_sources(resolved.checks, inventory["hosts"].get(director, {})),
        *_never_local(resolved.services),
        *nftables_modes.tables(resolved.services, inventory["hosts"].get(director, {})),
        "}",
    ]
    return with_digest(HEAD + "\n".join(lines) + "\n")


def _never_local(services: Sequence[VirtualService]) -> list[str]:
    """The chain that drops what IPVS did not take of a service's packets, right behind its last hook (ip_vs_core.c, ip_vs_ops4: 99).

    The VIP is local, so this host's own TCP would reset running connections while keepalived restarts: it removes its services first, and
    without one IPVS has no hooks (ip_vs_ctl.c, ip_vs_unregister_hooks). What is dropped is sent again, to the director that has taken over.
    """
    lines: dict[str, None] = {}
    for service in services:
        # Those of a service may be for this host itself where another program made it so.
        local = any(one.destination.get("forward") == "local" for one in service.leaving)
        for vip, protocol, first, last in nftables_modes.claimed(service) if service.balanced and not service.absent and not local else ():
            port = "%d" % first if first == last else "%d-%d" % (first, last)
            lines["        %s daddr %s %s dport %s counter drop" % ("ip6" if ":" in vip else "ip", vip, protocol, port)] = None
    head = ["    chain never_local {", "        type filter hook input priority 110; policy accept;"]
    return [*head, *lines, "    }"] if lines else []


def _console(director: str, inventory: Inventory, peers: dict[int, str]) -> list[str]:
    """The chain that lets in the other directors' consoles alone; none without a console."""
    if not director_settings.runs_console(inventory, director):
        return []
    return [
        "    chain console {",
        *(["        ip saddr { %s } accept" % peers[4]] if peers[4] else []),
        *(["        ip6 saddr { %s } accept" % peers[6]] if peers[6] else []),
        "        counter drop",
        "    }",
    ]


def _to_console(director: str, inventory: Inventory) -> list[str]:
    """The rules that send there what comes to the port, of the director's own addresses: a VIP may have a service of that port."""
    out = []
    for family, word in ((4, "ip"), (6, "ip6")):
        own = host_address(inventory["hosts"].get(director, {}), family)
        if own and director_settings.runs_console(inventory, director):
            out.append('        iifname != "lo" %s daddr %s tcp dport %d jump console' % (word, own, places.CONSOLE_PEER_PORT))
    return out


def _check_sources(checks: Iterable[CheckPath], variables: dict[str, Any]) -> list[str]:
    """The chains that change the source address of checks just before IPVS looks at them, and back after it; none where nothing needs it.

    IPVS takes a packet out of this hook at -98 (ip_vs_core.c, ip_vs_ops4) and sends it through the whole hook once more
    (ip_vs_xmit.c, ip_vs_send_or_cont). The first chain leaves it alone then, and the second one has it before any filter sees it.
    Checksums follow the address (nft_payload.c, nft_payload_l4csum_update). variables: of the director.
    """
    marks_of = check_marks(checks)
    there: list[str] = []
    back: list[str] = []
    for family, word, sources in ((4, "ip", "0.0.0.0/8"), (6, "ip6", "ff00::/104")):
        own = host_address(variables, family)
        marks = sorted(mark for (of, _address), mark in marks_of.items() if of == family)
        if own and marks:
            pairs = ", ".join("0x%x : %s" % (mark, check_source(mark, family)) for mark in marks)
            there.append("        %s saddr %s %s saddr set meta mark map { %s }" % (word, own, word, pairs))
            back.append("        %s saddr %s %s saddr set %s" % (word, sources, word, own))
    # What is forwarded comes through this hook, too, and leaves with the first rule.
    others = "        meta mark & 0xff000000 != 0x%x accept" % CHECK_MARKS
    out: list[str] = []
    for name, priority, lines in (("checks_to_ipvs", -99, there), ("checks_from_ipvs", -97, back)):
        if lines:
            head = ["    chain %s {" % name, "        type filter hook output priority %d; policy accept;" % priority, others]
            out += [*head, *lines, "    }"]
    return out


def counts(text: str) -> dict[str, int]:
    """{name of a counter: packets} in what `nft list counters` prints."""
    return {name: int(packets) for name, packets in re.findall(r"counter (\w+) \{\s*packets (\d+)", text)}


def _peers(director: str, inventory: Inventory, family: int) -> list[str]:
    """The addresses that the other directors' packets come from: VRRP from the declared one, sync from the first one of the interface."""
    out: set[str | None] = set()
    for host in inventory["groups"].get(DIRECTORS, []):
        if host != director:
            out.add(host_address(inventory["hosts"].get(host, {}), family))
            out.update(own_addresses(facts_of(inventory, host)) if family == 4 else ())
    return sorted(address for address in out if address is not None)
