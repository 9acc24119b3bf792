# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a real server sends to viewers, which no director sees in direct routing: counters of nftables, and who may read them. Pure.

A counter counts packets as they leave the IP layer. Those of TCP are large, and are cut into segments behind that, so the headers of all
but the first segment are not among its bytes; console/collect.py adds them.

Sources: nft(8) of 1.0.6, systemd.socket(5).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.errors import Problems
from ansible.module_utils.lvsdr.reader import Reader
from ansible.module_utils.lvsdr.routes import messages
from ansible.module_utils.lvsdr.text import with_digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

SOCKET_NAME, READER_NAME = "lvsdr-egress.socket", "lvsdr-egress@.service"
RULES = "/etc/lvsdr/egress.nft"
RULES_TABLE = "inet lvsdr_egress"
COUNTER = "[A-Za-z][A-Za-z0-9_]{0,99}"


class Counter(NamedTuple):
    """The bytes from a VIP and one of its ports, or a range of them."""

    name: str
    vip: str
    protocol: str
    first: int
    last: int

    def rule(self, sources: Collection[str]) -> str:
        """What directors are answered are health checks, and none of them is a viewer."""
        checks = ", ".join(sorted(source for source in sources if (":" in source) == (":" in self.vip)))
        port = str(self.first) if self.first == self.last else "%d-%d" % (self.first, self.last)
        word = "ip6" if ":" in self.vip else "ip"
        others = " %s daddr != { %s }" % (word, checks) if checks else ""
        return '        %s saddr %s%s %s sport %s counter name "%s"' % (word, self.vip, others, self.protocol, port, self.name)


OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "vip": {"type": "str", "required": True},
    "protocol": {"type": "str", "choices": ["tcp", "udp", "sctp"], "default": "tcp"},
    "first": {"type": "int", "required": True},
    "last": {"type": "int"},
}


def read_counters(items: Iterable[dict[str, Any]], sources: Iterable[Any] = ()) -> tuple[list[Counter], list[str]]:
    """The options of the module egress_counters, checked."""
    problems, out = Problems(), []
    for index, item in enumerate(items):
        reader = Reader(problems, "counters[%d]" % index, item)
        name = item.get("name")
        if not isinstance(name, str) or not re.fullmatch(COUNTER, name):
            reader.wrong("name", messages.COUNTER_NAME_UNUSABLE(value=repr(name)))
        _family, vip = reader.address("vip")
        protocol = reader.choice("protocol", "tcp", ("tcp", "udp", "sctp"))
        first = reader.integer("first", 1, 1, 65535)
        last = reader.integer("last", first, 1, 65535) if item.get("last") is not None else first
        if last < first:
            reader.wrong("last", messages.PORTS_REVERSED(first=first, last=last))
        if vip is not None:
            out.append(Counter(str(name), vip, protocol, first, last))
    found = [Reader(problems, "sources[%d]" % index, {"": value}).address("") for index, value in enumerate(sources)]
    problems.raise_if_any("The counters can't be used")
    return out, [address for _family, address in found if address is not None]


def rules(counters: Collection[Counter], sources: Collection[str]) -> str:
    """The text of the nftables rules. sources: the directors' addresses, who alone may read the counters over the network."""
    guard = []
    for word, colon in (("ip", False), ("ip6", True)):
        allowed = ", ".join(sorted(source for source in sources if (":" in source) == colon))
        whose = "%s saddr != { %s } " % (word, allowed) if allowed else ""
        guard.append(
            '        iifname != "lo" meta nfproto ipv%d tcp dport %d %scounter drop' % (6 if colon else 4, places.EGRESS_PORT, whose)
        )
    lines = [
        "# Managed by lvsdr (egress_counters): what this host sends to viewers, by service. Directors alone may read it.",
        "table %s" % RULES_TABLE,
        "delete table %s" % RULES_TABLE,
        "table %s {" % RULES_TABLE,
        '    comment "lvsdr @DIGEST@"',
        *("    counter %s {\n    }" % name for name in dict.fromkeys(one.name for one in counters)),
        "    chain guard {",
        "        type filter hook input priority filter; policy accept;",
        *guard,
        "    }",
        "    chain sent {",
        "        type filter hook output priority filter; policy accept;",
        *(one.rule(sources) for one in counters),
        "    }",
        "}",
    ]
    return with_digest("\n".join(lines) + "\n")


def socket_unit(nft: str) -> str:
    """The socket that answers who asks with the counters, as JSON; the rules come first, so nobody else ever reads it."""
    return """\
# Managed by lvsdr (egress_counters).
[Unit]
Description=What this host sends to viewers, for the directors
DefaultDependencies=no
Before=sockets.target shutdown.target
Conflicts=shutdown.target
# Which flushes all rules when it starts.
After=local-fs.target nftables.service

[Socket]
ExecStartPre=%s -f %s
ListenStream=%d
Accept=yes
MaxConnections=8
# Many questions in a row must not end it.
TriggerLimitIntervalSec=0

[Install]
WantedBy=sockets.target
""" % (nft, RULES, places.EGRESS_PORT)


def reader_unit(nft: str) -> str:
    """What runs for each who asks."""
    return """\
# Managed by lvsdr (egress_counters).
[Unit]
Description=What this host sends to viewers
CollectMode=inactive-or-failed

[Service]
ExecStart=-%s -j list counters table %s
StandardOutput=socket
RuntimeMaxSec=10
# systemd's own line at each start tells nobody anything.
LogLevelMax=warning
DynamicUser=yes
AmbientCapabilities=CAP_NET_ADMIN
CapabilityBoundingSet=CAP_NET_ADMIN
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_NETLINK AF_UNIX
MemoryMax=64M
""" % (nft, RULES_TABLE)
