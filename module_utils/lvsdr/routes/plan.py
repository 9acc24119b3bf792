# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which rules and routes bring the answers of a NAT server to the director, and in which order they come and go. Pure.

The server's own default route stays as it is. A rule for the source address and port of a service leads to a routing table of its own with
nothing but a default route through the gateway. That table knows no link, so viewers of the server's own subnet are answered through the
director as well.

Source: ip-rule(8), ip-route(8).
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.lvsdr.errors import Problems
from ansible.module_utils.lvsdr.reader import Reader
from ansible.module_utils.lvsdr.routes import messages

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# By this number of a routing protocol (rtnetlink(7), rtm_protocol) the kernel knows whose a rule or a route is: no record is needed.
OURS = 76
# Before the rule of the main table, 32766.
PRIORITY = 7600
# A number of one byte, so that every program can show it; these are nobody's by default (rt_tables of iproute2).
FIRST_TABLE, TABLES = 150, 100
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
UNIT_NAME = "lvsdr-return-path.service"
# systemd-networkd removes at its start what it has not made itself (networkd.conf(5)).
NETWORKD_CONF = "/etc/systemd/networkd.conf.d/zz-lvsdr.conf"
NETWORKD_TEXT = "# Managed by lvsdr (return_path).\n[Network]\nManageForeignRoutingPolicyRules=no\nManageForeignRoutes=no\n"


class Route(NamedTuple):
    """The only route of a table: everything goes through the gateway."""

    gateway: str
    table: int

    def words(self, verb: str) -> list[str]:
        """Behind `ip`."""
        family = "-6" if ":" in self.gateway else "-4"
        return [family, "route", verb, "default", "via", self.gateway, "table", str(self.table), "proto", str(OURS)]


class Rule(NamedTuple):
    """Answers of a service look up the table. The protocol is a number: its name needs /etc/protocols, which a small host lacks."""

    address: str
    protocol: int
    first: int
    last: int
    table: int

    def words(self, verb: str) -> list[str]:
        """Behind `ip`."""
        ports = str(self.first) if self.first == self.last else "%d-%d" % (self.first, self.last)
        return [
            "-6" if ":" in self.address else "-4", "rule", verb, "priority", str(PRIORITY), "from", self.address, "ipproto",
            str(self.protocol), "sport", ports, "lookup", str(self.table), "protocol", str(OURS),
        ]  # fmt: skip


class ReturnPath(NamedTuple):
    """The answers of a program on these ports go through a gateway."""

    address: str
    gateway: str
    protocol: str
    first: int
    last: int


OPTIONS: dict[str, Any] = {
    "address": {"type": "str", "required": True},
    "gateway": {"type": "str", "required": True},
    "protocol": {"type": "str", "choices": list(PROTOCOLS), "default": "tcp"},
    "first": {"type": "int", "required": True},
    "last": {"type": "int"},
}


def read_paths(items: Iterable[dict[str, Any]]) -> list[ReturnPath]:
    """The options of the module return_path, checked."""
    problems, out = Problems(), []
    for index, item in enumerate(items):
        reader = Reader(problems, "paths[%d]" % index, item)
        family, address = reader.address("address")
        of_gateway, gateway = reader.address("gateway")
        first = reader.integer("first", 1, 1, 65535)
        last = reader.integer("last", first, 1, 65535)
        protocol = reader.choice("protocol", "tcp", PROTOCOLS)
        if last < first:
            reader.wrong("last", messages.PORTS_REVERSED(first=first, last=last))
        if address is None or gateway is None:
            continue
        if family != of_gateway:
            reader.wrong("gateway", messages.FAMILIES_DIFFER(gateway=gateway, address=address))
        out.append(ReturnPath(address, gateway, protocol, first, last))
    problems.raise_if_any("The return paths can't be used")
    return out


def tables_of(gateways: Iterable[str]) -> dict[str, int]:
    """{gateway: number of its routing table}, which stays when others come and go, unless two have the same."""
    out: dict[str, int] = {}
    for gateway in sorted(set(gateways)):
        number = zlib.crc32(gateway.encode())
        while FIRST_TABLE + number % TABLES in out.values():
            number += 1
        out[gateway] = FIRST_TABLE + number % TABLES
    return out


def wanted(paths: Collection[ReturnPath]) -> tuple[list[Route], list[Rule]]:
    tables = tables_of(path.gateway for path in paths)
    routes = [Route(gateway, table) for gateway, table in tables.items()]
    rules = [Rule(path.address, PROTOCOLS[path.protocol], path.first, path.last, tables[path.gateway]) for path in paths]
    return routes, list(dict.fromkeys(rules))


def steps(
    want: tuple[list[Route], list[Rule]], there: tuple[Collection[Route], Collection[Rule]], purge: bool
) -> list[tuple[str, Route | Rule]]:
    """[("add" or "del", Route or Rule)] in order: a table has its route before a rule leads there, and keeps it as long as one does.

    there: those that are lvsdr's. Without purge what is not wanted stays.
    """
    routes, rules = want
    held_routes, held_rules = there
    stale = [rule for rule in sorted(held_rules) if rule not in rules] if purge else []
    out: list[tuple[str, Route | Rule]] = [("add", route) for route in routes if route not in held_routes]
    out += [("add", rule) for rule in rules if rule not in held_rules]
    out += [("del", rule) for rule in stale]
    used = {rule.table for rule in [*rules, *(rule for rule in held_rules if rule not in stale)]}
    return out + [("del", route) for route in sorted(held_routes) if route.table not in used]


def kept(want: tuple[list[Route], list[Rule]], there: tuple[Collection[Route], Collection[Rule]]) -> tuple[list[Route], list[Rule]]:
    """What a host has once it has all that is wanted and has lost nothing."""
    routes, rules = want
    more = [rule for rule in sorted(there[1]) if rule not in rules]
    tables = {route.table for route in routes}
    return [*routes, *(route for route in sorted(there[0]) if route.table not in tables)], [*rules, *more]


def commands(routes: Iterable[Route], rules: Iterable[Rule], ip: str = "/usr/sbin/ip") -> list[str]:
    """What the unit runs at boot, as ExecStart has it."""
    out = ["%s %s" % (ip, " ".join(route.words("replace"))) for route in routes]
    # A rule that is there is refused, and there is no verb that does not mind.
    return out + ["-%s %s" % (ip, " ".join(rule.words("add"))) for rule in rules]
