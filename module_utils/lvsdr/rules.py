# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules of nftables of a director, made from the same resolved services as its IPVS table. Pure.

Source of the words: nft(8) of nftables 1.0.6.
"""

import re

from . import places, vrrp
from .hosts import facts_of, host_address, own_addresses
from .model import DAEMON_DEFAULTS, DIRECTORS
from .resolve import director_vips
from .text import with_digest

HEAD = """\
# Managed by lvsdr. VRRP and connection sync have no authentication: they are let in from the other directors alone, and VRRP from this
# link alone, where no router has counted its TTL down. Who stands between could take the VIPs away, or fill the connection table.
#
# A check goes to a VIP through one real server and is answered from the VIP. The active director holds that VIP itself, and its kernel
# drops what comes from one of its own addresses unless accept_local says otherwise. These rules let in the answers to checks and nothing
# else: no host of the link can pass for this director.
"""
# Tables of earlier versions.
FORMER = ("ip lvsdr",)
# What the rules have dropped, by the names of their counters.
COUNTERS = ("strange_vrrp", "strange_sync")


def render(services, director, inventory, interface):
    """The text of the rules' file of a director.

    The table is replaced as a whole, and has a comment by which in_force.py knows it.
    """
    facts = facts_of(inventory, director)
    vips = ", ".join(vip for vip in director_vips(services) if ":" not in vip)
    own = ", ".join(own_addresses(facts))
    answers = [
        "        ip saddr { %s } ip daddr { %s } tcp flags & (syn | ack) != syn accept" % (vips, own),
        "        ip saddr { %s } ip daddr { %s } meta l4proto udp accept" % (vips, own),
    ]
    peers = {family: ", ".join(_peers(director, inventory, family)) for family in (4, 6)}
    lines = [
        *(line for table in FORMER for line in ("table " + table, "delete table " + table)),
        "table %s" % places.RULES_TABLE,
        "delete table %s" % places.RULES_TABLE,
        "table %s {" % places.RULES_TABLE,
        '    comment "lvsdr @DIGEST@"',
        *("    counter %s {\n    }" % name for name in COUNTERS),
        "    chain vrrp {",
        *(['        iifname "%s" ip ttl 255 ip saddr { %s } accept' % (interface, peers[4])] if peers[4] else []),
        # To the group directors speak from link-local addresses, which nothing tells beforehand.
        *(['        iifname "%s" ip6 hoplimit 255 ip6 saddr { %s, fe80::/10 } accept' % (interface, peers[6])] if peers[6] else []),
        # On another link somebody else may have instances of his own.
        '        iifname != "%s" ip daddr %s accept' % (interface, vrrp.GROUPS[4]),
        '        iifname != "%s" ip6 daddr %s accept' % (interface, vrrp.GROUPS[6]),
        "        counter name %s drop" % COUNTERS[0],
        "    }",
        "    chain sync {",
        *(["        ip saddr { %s } accept" % peers[4]] if peers[4] else []),
        "        counter name %s drop" % COUNTERS[1],
        "    }",
        "    chain prerouting {",
        "        type filter hook prerouting priority raw; policy accept;",
        "        meta l4proto %d jump vrrp" % vrrp.PROTOCOL,
        '        iifname "%s" ip daddr %s udp dport %d jump sync' % (interface, DAEMON_DEFAULTS["group"], DAEMON_DEFAULTS["port"]),
        '        iifname != "%s" accept' % interface,
        *(answers if vips and own else []),
        "        meta nfproto ipv4 fib saddr type local counter drop",
        "    }",
        "}",
    ]
    return with_digest(HEAD + "\n".join(lines) + "\n")


def counts(text):
    """{name of a counter: packets} in what `nft list counters` says."""
    return {name: int(packets) for name, packets in re.findall(r"counter (\w+) \{\s*packets (\d+)", text)}


def _peers(director, inventory, family):
    """The addresses that the other directors' packets come from: VRRP from the declared one, sync from the first one of the interface."""
    out = set()
    for host in inventory["groups"].get(DIRECTORS, []):
        if host != director:
            out.add(host_address(inventory["hosts"].get(host, {}), family))
            out.update(own_addresses(facts_of(inventory, host)) if family == 4 else ())
    return sorted(out - {None})
