# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads a keepalived.conf, whoever wrote it: which services and VIPs it has, and what its VRRP instances send on the link. Pure.

Source: keepalived.conf(5), and v2.2.7 vrrp.c:vrrp_check_packet for what makes a director drop another one's advertisements.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.lvsdr.addresses import parse_address
from ansible.module_utils.lvsdr.inventory.hosts import facts_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible.module_utils.lvsdr.inventory.types import Inventory, TableKey

    # A line's words, and the lines of the block that it opens.
    Line = tuple[list[str], "Lines | None"]
    Lines = list[Line]


# What lvsdr writes behind an address that is a gateway of NAT and no VIP.
GATEWAY = "# gateway of NAT"


class Voice(NamedTuple):
    """What two directors have to agree on: otherwise each of them drops the other's advertisements and becomes the active one."""

    virtual_router_id: str
    version: str
    interval: float
    unicast: bool
    hop_limit: str
    addresses: tuple[str, ...]


def blocks(text: str) -> Lines:
    """The file as a tree: [([word, …], children or None), …]."""
    root: Lines = []
    stack = [root]
    for line in text.splitlines():
        line = re.split(r"[#!]", line, maxsplit=1)[0]
        for part in re.findall(r"[{}]|[^{}]+", line):
            words = part.split()
            if part == "{":
                children: Lines = []
                if stack[-1]:
                    stack[-1][-1] = (stack[-1][-1][0], children)
                else:
                    stack[-1].append(([], children))
                stack.append(children)
            elif part == "}":
                if len(stack) > 1:
                    stack.pop()
            elif words:
                stack[-1].append((words, None))
    return root


def _values(children: Lines | None) -> dict[str, list[str]]:
    """{keyword: its words} of the lines of a block; of a keyword that is repeated, the last."""
    return {words[0]: words[1:] for words, _children in children or () if words}


def virtual_servers(text: str) -> list[TableKey]:
    """[(firewall mark, family, address, protocol, port), …] of its services, as describe.table_key has them."""
    out: list[TableKey] = []
    for words, children in blocks(text):
        if words[:1] != ["virtual_server"] or len(words) < 3:
            continue
        values = _values(children)
        if words[1] == "fwmark":
            mark = int(words[2]) if words[2].isdigit() else None
            out.append((mark, "ipv6" if values.get("ip_family") == ["inet6"] else None, None, None, None))
            continue
        try:
            _family, address = parse_address(words[1])
            port = int(words[2])
        except ValueError:
            continue
        # Without a line for it keepalived takes UDP.
        out.append((None, None, address, (values.get("protocol") or ["UDP"])[0].lower(), port))
    return out


def instances(text: str) -> dict[str, tuple[Voice, list[str]]]:
    """{name: (Voice, [VIP, …])} of its VRRP instances. The VIPs are those of both lists, without what lvsdr advertises in their place and
    without gateways of NAT."""
    out = {}
    for words, children in blocks("\n".join(line for line in text.splitlines() if not line.endswith(GATEWAY))):
        if words[:1] != ["vrrp_instance"] or len(words) < 2:
            continue
        values = _values(children)
        lists = {words[0]: inner or [] for words, inner in children or () if words and inner is not None}
        advertised = _addresses(lists.get("virtual_ipaddress"))
        excluded = _addresses(lists.get("virtual_ipaddress_excluded"))
        voice = Voice(
            virtual_router_id=(values.get("virtual_router_id") or ["0"])[0],
            version=(values.get("version") or ["2"])[0],
            interval=float((values.get("advert_int") or ["1"])[0]),
            unicast="unicast_peer" in lists,
            hop_limit=_hop_limit(values, lists.get("unicast_peer") or ()),
            addresses=tuple(sorted(address for address, _interface in advertised)),
        )
        out[words[1]] = (voice, [address for address, interface in advertised + excluded if interface != "lo"])
    return out


def _hop_limit(values: dict[str, list[str]], peers: Iterable[Line]) -> str:
    """What advertisements are sent with: 255, except for unicast over IPv6, where unicast_ttl sets it (vrrp.c)."""
    over_ipv6 = any(":" in words[0] for words, _children in peers if words)
    return (values.get("unicast_ttl") or ["64"])[0] if over_ipv6 else "255"


def _addresses(children: Lines | None) -> list[tuple[str, str | None]]:
    """[(address, interface or None), …] of a list of addresses."""
    out = []
    for words, _children in children or ():
        try:
            address = parse_address(words[0].partition("/")[0])[1]
        except ValueError:
            continue
        out.append((address, words[words.index("dev") + 1] if "dev" in words[:-1] else None))
    return out


def disagreements(declared: str, in_force: str) -> list[str]:
    """What a director would send differently with a new file, in words: what makes directors drop each other's advertisements meanwhile.

    An instance that one of the two files lacks is not a disagreement: no other director sends, or expects, its advertisements.
    """
    before, after = instances(in_force), instances(declared)
    out = []
    for name in sorted(before.keys() & after.keys()):
        for field in Voice._fields:
            old, new = getattr(before[name][0], field), getattr(after[name][0], field)
            if old != new:
                out.append("%s of instance %s becomes %s (was %s)" % (field.replace("_", " "), name, _words(new), _words(old)))
    return out


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "%s" % value


def running(inventory: Inventory, director: str) -> str | None:
    """The keepalived.conf that a director's running keepalived has read, or None where none runs (lvs_preflight)."""
    running: str | None = (facts_of(inventory, director).get("keepalived") or {}).get("running")
    return running


def known(inventory: Inventory, director: str) -> str:
    """The keepalived.conf that runs on a director, or where none runs the one on its disk; empty where there is none."""
    facts: dict[str, str | None] = facts_of(inventory, director).get("keepalived") or {}
    return facts.get("running") or facts.get("file") or ""
