# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where tunnels of directors end: devices, who may send to them, and how long the packets may be that come through. Pure.

The director puts each packet into another one, to the real server's address. A device takes it out again, and the kernel delivers it to
the VIP on lo. The answer goes to the viewer directly.

Sources: ip-link(8), ip-fou(8), nft(8) of 1.0.6; net/netfilter/ipvs/ip_vs_xmit.c for what a director adds to a packet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.lvsdr.addresses import full_prefix
from ansible.module_utils.lvsdr.errors import Problems
from ansible.module_utils.lvsdr.reader import Reader
from ansible.module_utils.lvsdr.text import with_digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

UNIT_NAME = "lvsdr-tunnel.service"
RULES = "/etc/lvsdr/tunnel.nft"
RULES_TABLE = "inet lvsdr_tunnel"
# Names of devices begin so.
PREFIX = "lvsdr-"
TYPES = ("ipip", "gue", "gre")
# By type and family: the kind of the device that takes a packet out, and the kernel module that has it.
KINDS = {
    ("ipip", 4): ("ipip", "ipip"), ("ipip", 6): ("ip6tnl", "ip6_tunnel"),
    ("gue", 4): ("ipip", "ipip"), ("gue", 6): ("ip6tnl", "ip6_tunnel"),
    ("gre", 4): ("gre", "ip_gre"), ("gre", 6): ("ip6gre", "ip6_gre"),
}  # fmt: skip
# Numbers of the protocols of outer packets: those of GUE are UDP.
PROTOCOLS = {"ipip": (4, 41), "gre": (47,)}
HEADERS = {4: 20, 6: 40}
# What stands between the two IP headers: UDP and GUE are 12 bytes, GRE 4.
BETWEEN = {"ipip": 0, "gue": 12, "gre": 4}
TCP_HEADER = 20


class Endpoint(NamedTuple):
    """A tunnel of directors that ends at an address of this host."""

    type: str
    address: str
    port: int

    @property
    def family(self) -> int:
        return 6 if ":" in self.address else 4


class Device(NamedTuple):
    kind: str
    address: str

    @property
    def name(self) -> str:
        """A host has one address of a family for this."""
        return PREFIX + self.kind

    def commands(self) -> list[list[str]]:
        """What makes it, behind `ip`. The first is refused where it is there already.

        The address is the host's own once more: a device without any drops what comes from addresses that other devices lead to, unless
        rp_filter is 0 (fib_frontend.c, __fib_validate_source). IPv6 has no such check.
        """
        out = [["link", "add", self.name, "type", self.kind, "local", self.address]]
        if ":" not in self.address:
            out.append(["address", "replace", full_prefix(self.address), "dev", self.name])
        return [*out, ["link", "set", self.name, "up"]]


class Port(NamedTuple):
    """A UDP port whose packets hold others, in the form of GUE."""

    port: int
    family: int

    def commands(self) -> list[list[str]]:
        return [[*(["-6"] if self.family == 6 else []), "fou", "add", "port", str(self.port), "gue"]]


OPTIONS: dict[str, Any] = {
    "type": {"type": "str", "choices": list(TYPES), "default": "ipip"},
    "address": {"type": "str", "required": True},
    "port": {"type": "int"},
}


def read_endpoints(
    items: Iterable[dict[str, Any]], sources: Iterable[Any] = (), vips: Iterable[Any] = ()
) -> tuple[list[Endpoint], list[str], list[str]]:
    """The options of the module tunnel_endpoint, checked."""
    problems, out = Problems(), []
    for index, item in enumerate(items):
        reader = Reader(problems, "endpoints[%d]" % index, item)
        kind = reader.choice("type", "ipip", TYPES)
        _family, address = reader.address("address")
        port = reader.integer("port", 6080, 1, 65535) if kind == "gue" else 0
        if address is not None:
            out.append(Endpoint(kind, address, port))
    allowed, held = (_addresses(problems, name, values) for name, values in (("sources", sources), ("vips", vips)))
    problems.raise_if_any("The endpoints can't be used")
    return out, allowed, held


def _addresses(problems: Problems, name: str, values: Iterable[Any]) -> list[str]:
    found = [Reader(problems, "%s[%d]" % (name, index), {"": value}).address("") for index, value in enumerate(values)]
    return [address for _family, address in found if address is not None]


def devices(endpoints: Iterable[Endpoint]) -> list[Device]:
    return list(dict.fromkeys(Device(KINDS[one.type, one.family][0], one.address) for one in endpoints))


def ports(endpoints: Iterable[Endpoint]) -> list[Port]:
    return list(dict.fromkeys(Port(one.port, one.family) for one in endpoints if one.type == "gue"))


def modules(endpoints: Iterable[Endpoint]) -> list[str]:
    """The kernel modules that are needed, sorted."""
    found = {KINDS[one.type, one.family][1] for one in endpoints}
    found |= {"fou" if one.family == 4 else "fou6" for one in endpoints if one.type == "gue"}
    return sorted(found)


def overhead(kind: str, family: int) -> int:
    """Bytes that a director adds to a packet."""
    return HEADERS[family] + BETWEEN[kind]


def segment_size(kind: str, family: int, mtu: int) -> int:
    """The longest TCP segment that fits through a tunnel over a link with that MTU (RFC 879)."""
    return mtu - overhead(kind, family) - HEADERS[family] - TCP_HEADER


def rules(endpoints: Collection[Endpoint], sources: Collection[str], vips: Collection[str], mtus: dict[str, int]) -> str:
    """The text of the nftables rules. sources: the directors' addresses; mtus: {address: MTU of its link}."""
    guard: list[str] = []
    clamp: list[str] = []
    for one in sorted(endpoints):
        word = "ip6" if one.family == 6 else "ip"
        allowed = ", ".join(sorted(source for source in sources if (":" in source) == (one.family == 6)))
        whose = "%s daddr %s %s" % (word, one.address, "%s saddr != { %s } " % (word, allowed) if allowed else "")
        if one.type == "gue":
            guard.append("        %sudp dport %d counter drop" % (whose, one.port))
        else:
            numbers = ", ".join(map(str, PROTOCOLS[one.type]))
            guard.append("        %smeta l4proto { %s } counter drop" % (whose, numbers))
    for family, word in ((4, "ip"), (6, "ip6")):
        mine = ", ".join(vip for vip in vips if (":" in vip) == (family == 6))
        sizes = [segment_size(one.type, one.family, mtus[one.address]) for one in endpoints if one.family == family]
        if mine and sizes:
            # Only what the viewer sends passes the tunnel, and the answer to its first packet says how long that may be. The rule never
            # makes it longer (nft_exthdr.c, nft_exthdr_tcp_set_eval).
            match = "%s saddr { %s } tcp flags & (syn | ack) == (syn | ack)" % (word, mine)
            clamp.append("        %s tcp option maxseg size set %d" % (match, min(sizes)))
    lines = [
        "# Managed by lvsdr (tunnel_endpoint): packets in tunnels come from the directors alone, and fit through them.",
        "table %s" % RULES_TABLE,
        "delete table %s" % RULES_TABLE,
        "table %s {" % RULES_TABLE,
        '    comment "lvsdr @DIGEST@"',
        "    chain guard {",
        "        type filter hook input priority filter; policy accept;",
        *guard,
        "    }",
        *(["    chain clamp {", "        type route hook output priority mangle; policy accept;", *clamp, "    }"] if clamp else []),
        "}",
    ]
    return with_digest("\n".join(lines) + "\n")


def commands(endpoints: Collection[Endpoint], ip: str, nft: str, modprobe: str) -> list[str]:
    """What the unit runs at boot, as ExecStart has it: nobody may send before the guard is there."""
    out = ["%s -a %s" % (modprobe, " ".join(modules(endpoints))), "%s -f %s" % (nft, RULES)]
    items: list[Device | Port] = [*ports(endpoints), *devices(endpoints)]
    for item in items:
        first, *others = (" ".join([ip, *words]) for words in item.commands())
        out += ["-" + first, *others]
    return out
