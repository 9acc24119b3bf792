# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules of nftables of a director, made from the same resolved services as its IPVS table. Pure.

Source of the words: nft(8) of nftables 1.0.6.
"""

from . import hosts, places, resolve
from .text import with_digest

HEAD = """\
# Managed by lvsdr. A check goes to a VIP through one real server and is answered from the VIP. The active director holds that VIP
# itself, and its kernel drops what comes from one of its own addresses unless accept_local says otherwise. These rules let in the
# answers to checks and nothing else: no host of the link can pass for this director.
"""


def render(services, interface, facts):
    """The text of the rules' file. facts: what lvs_preflight returned of the director.

    The table is replaced as a whole, and has a comment by which in_force.py knows it.
    """
    vips = ", ".join(vip for vip in resolve.director_vips(services) if ":" not in vip)
    own = ", ".join(hosts.own_addresses(facts))
    answers = [
        "        ip saddr { %s } ip daddr { %s } tcp flags & (syn | ack) != syn accept" % (vips, own),
        "        ip saddr { %s } ip daddr { %s } meta l4proto udp accept" % (vips, own),
    ]
    lines = [
        "table %s" % places.RULES_TABLE,
        "delete table %s" % places.RULES_TABLE,
        "table %s {" % places.RULES_TABLE,
        '    comment "lvsdr @DIGEST@"',
        "    chain prerouting {",
        "        type filter hook prerouting priority raw; policy accept;",
        '        iifname != "%s" accept' % interface,
        *(answers if vips and own else []),
        "        fib saddr type local counter drop",
        "    }",
        "}",
    ]
    return with_digest(HEAD + "\n".join(lines) + "\n")
