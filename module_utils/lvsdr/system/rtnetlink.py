# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Links, addresses, routes and rules of this host: pyroute2's IPRoute, behind types and errors of our own. IO.

Nothing else in the house imports pyroute2, and this file only when a socket is opened: the import takes longer than most modules do.
It keeps to what 0.7.2 (Debian 12), 0.7.7 (Debian 13) and 0.9.7 have in common, which tests/releases compares.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import ipaddress
import os
import socket
import sys
import time
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.lvsdr.addresses import AF
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.system import messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ansible.module_utils.lvsdr.errors import Line

# linux/netlink.h
REQUEST, ACK, EXCL, CREATE, DUMP, DUMP_INTERRUPTED = 0x1, 0x4, 0x200, 0x400, 0x300, 0x10
SOL_NETLINK, GET_STRICT_CHECK = 270, 12
# linux/rtnetlink.h
NEW_ADDRESS, DEL_ADDRESS, DEL_ROUTE, GET_ROUTE = 20, 21, 25, 26
LOCAL, CLONED, NOWHERE = 2, 0x200, 255
# linux/if.h, if_addr.h, fib_rules.h
UP, NO_ARP = 0x1, 0x80
NO_DAD, FOREVER = 0x02, 0xFFFFFFFF
TO_TABLE, INVERTED = 1, 0x2
# How often a dump is asked for again that others changed meanwhile.
TRIES = 10
# Seconds in which the kernel makes the route of an address.
LOCAL_WITHIN = 10

# What `ip` calls them without its files in /etc/iproute2; others are numbers, which it takes as well.
SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
TABLES = {253: "default", 254: "main", 255: "local"}
PROTOCOLS = {
    1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt", 11: "zebra", 12: "bird", 13: "dnrouted", 14: "xorp",
    15: "ntk", 16: "dhcp", 18: "keepalived", 42: "babel", 186: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
}  # fmt: skip
TYPES = {
    1: "ether", 24: "ieee1394", 32: "infiniband", 512: "ppp", 768: "ipip", 769: "tunnel6", 772: "loopback", 776: "sit", 778: "gre",
    801: "ieee802.11", 823: "gre6", 824: "netlink", 65534: "none",
}  # fmt: skip


USUAL_MTU = 1500  # of Ethernet


class Link(NamedTuple):
    """An interface. below: the index of the link that it is stacked on or that is its other end; elsewhere: that one is in another
    namespace, where the index means nothing here. master: the index of the bridge or bond that it is a port of."""

    ifindex: int
    name: str
    type: str = "ether"
    mac: str = ""
    flags: int = UP
    kind: str | None = None
    below: int | None = None
    elsewhere: bool = False
    master: int | None = None
    mtu: int = USUAL_MTU


class Address(NamedTuple):
    """An address on a link. peer: the other end of a point-to-point address, whose prefix length it then is."""

    ifindex: int
    text: str
    length: int
    scope: str
    peer: str | None


class LocalRoute(NamedTuple):
    """A route of type local: the host owns its target."""

    target: str
    device: str
    table: str = "main"
    protocol: str = "boot"
    metric: int = 0

    def words(self) -> str:
        """As `ip route` has it: ``local 192.0.2.100/32 dev lo table local proto boot``."""
        words = "local %s dev %s table %s proto %s" % self[:4]
        return words + (" metric %d" % self.metric if self.metric else "")

    @classmethod
    def read(cls, words: str) -> LocalRoute:
        _local, target, *rest = words.split()
        found = dict(zip(rest[::2], rest[1::2]))
        return cls(target, found["dev"], found["table"], found["proto"], int(found.get("metric", 0)))


def missing() -> Line | None:
    """What to say where Python has no pyroute2.

    Asked of the path alone: under Mitogen an import would fetch it from the controller, file by file and in each run.
    """
    if PathFinder.find_spec("pyroute2") is not None:
        return None
    return messages.PYROUTE2_MISSING(python=sys.executable)


@contextlib.contextmanager
def opened() -> Iterator[Rtnetlink]:
    """A socket of rtnetlink. LvsError where pyroute2 is missing; those of its methods raise it for what the kernel refuses."""
    line = missing()
    if line:
        raise LvsError(line)
    import pyroute2

    try:
        route = pyroute2.IPRoute()
    except OSError as error:
        raise LvsError(_refused("a socket of rtnetlink", error))
    with route:
        yield Rtnetlink(route, pyroute2.NetlinkError)


class Rtnetlink:
    """What lvsdr asks the kernel, and what it changes. ``route`` is pyroute2's IPRoute: what has no method here is done inside told()."""

    def __init__(self, route: Any, refusal: type[Exception]) -> None:
        self.route, self._refusal = route, refusal

    @contextlib.contextmanager
    def told(self, attempt: str) -> Iterator[None]:
        """LvsError for what the kernel refuses meanwhile. attempt: what the operator calls it, such as "`ip address add …`"."""
        try:
            yield
        except (self._refusal, OSError) as error:
            raise LvsError(_refused(attempt, error))

    def links(self) -> list[Link]:
        """All interfaces in the kernel's order."""
        return [_link(message) for message in self.dump("reading the interfaces", lambda: self.route.link("dump"))]

    def addresses(self) -> list[Address]:
        return [_address(message) for message in self.dump("reading the addresses", lambda: self.route.addr("dump"))]

    def local_routes(self, links: Iterable[Link]) -> list[LocalRoute]:
        """Those that somebody added: the kernel makes one of its own for each address. A default route is not among them."""
        found = [route for family in AF.values() for route in self._local_routes(family, links)]
        return [route for route in found if route.protocol != "kernel"]

    def wait_until_local(self, device: str, address: str) -> None:
        """Until what is sent to an address of this link arrives here; LvsError where it does not.

        The kernel answers when it has an IPv6 address, and makes its route later, in a work queue (addrconf.c, addrconf_dad_start).
        """
        if ":" not in address:
            return
        links, end = self.links(), time.monotonic() + LOCAL_WITHIN
        while not any((one.target, one.device) == (address + "/128", device) for one in self._local_routes(AF[6], links)):
            if time.monotonic() > end:
                raise LvsError(messages.ADDRESS_WITHOUT_ROUTE(address=address, device=device, seconds=LOCAL_WITHIN))
            time.sleep(0.001)

    def _local_routes(self, family: int, links: Iterable[Link]) -> list[LocalRoute]:
        names = {link.ifindex: link.name for link in links}
        # The kernel then looks at the type that is asked for, and sends no others: a router may have a million.
        with contextlib.suppress(OSError):  # before 4.20
            self.route.setsockopt(SOL_NETLINK, GET_STRICT_CHECK, 1)
        found = self.dump("reading the routes", functools.partial(self._send, GET_ROUTE, DUMP, family=family, type=LOCAL))
        with contextlib.suppress(OSError):
            self.route.setsockopt(SOL_NETLINK, GET_STRICT_CHECK, 0)
        return [
            _local_route(route, names) for route in found if route["type"] == LOCAL and route["dst_len"] and not route["flags"] & CLONED
        ]

    def tables_without_condition(self, version: int) -> set[str]:
        """The routing tables that a rule without any condition names (ip-rule(8)). version: 4 or 6."""
        family = AF[version]
        rules = self.dump("reading the rules", lambda: self.route.rule("dump", family=family))
        return {_table(rule, "FRA_TABLE") for rule in rules if rule["family"] == family and _without_condition(rule)}

    def add_address(self, device: str, address: str, length: int, quiet: bool = False) -> None:
        """quiet: without duplicate address detection, and never chosen as the source of a connection (IPv6)."""
        with self.told("`ip address add %s/%d dev %s%s`" % (address, length, device, " nodad preferred_lft 0" if quiet else "")):
            more: list[tuple[str, Any]] = []
            if quiet:
                # A message of our own because of this: 0.7.2's IPRoute.addr forgets preferred_lft.
                more = [("IFA_FLAGS", NO_DAD), ("IFA_CACHEINFO", {"ifa_preferred": 0, "ifa_valid": FOREVER})]
            self._change_address(NEW_ADDRESS, ACK | CREATE | EXCL, device, length, address, address, more)

    def remove_address(self, device: str, address: str, length: int, peer: str | None = None) -> None:
        words = "%s peer %s" % (address, peer) if peer else address
        with self.told("`ip address del %s/%d dev %s`" % (words, length, device)):
            self._change_address(DEL_ADDRESS, ACK, device, length, address, peer or address, [])

    def remove_local_route(self, route: LocalRoute) -> None:
        with self.told("`ip route del %s`" % route.words()):
            address, _slash, length = route.target.partition("/")
            family, table = AF[ipaddress.ip_address(address).version], _number(TABLES, route.table)
            attributes = [("RTA_DST", address), ("RTA_OIF", _ifindex(route.device)), ("RTA_TABLE", table)]
            attributes += [("RTA_PRIORITY", route.metric)] if route.metric else []
            self._send(
                DEL_ROUTE, ACK, attributes, family=family, dst_len=int(length), type=LOCAL, proto=_number(PROTOCOLS, route.protocol),
                # The field is a byte; whatever scope it has, for IPv4.
                table=table if table < 256 else 0, scope=NOWHERE if family == socket.AF_INET else 0,
            )  # fmt: skip

    def _change_address(self, kind: int, flags: int, device: str, length: int, local: str, other: str, more: list[tuple[str, Any]]) -> None:
        family = AF[ipaddress.ip_address(local).version]
        attributes = [("IFA_LOCAL", local), ("IFA_ADDRESS", other), *more]
        self._send(kind, flags, attributes, family=family, prefixlen=length, index=_ifindex(device))

    def _send(self, kind: int, flags: int, attributes: Sequence[tuple[str, Any]] = (), **fields: int) -> list[Any]:
        """The replies to a message. As a batch of one: with 0.9.7 IPRoute.nlm_request raises KeyError."""
        message = self.route.marshal.msg_map[kind]()
        message["header"]["type"], message["header"]["flags"] = kind, REQUEST | flags
        message["attrs"] = list(attributes)
        for name, value in fields.items():
            message[name] = value
        return list(self.route.nlm_request_batch([message]))

    def dump(self, attempt: str, ask: Callable[[], Iterable[Any]]) -> list[Any]:
        """The messages of a dump, asked for again where somebody changed meanwhile what it lists."""
        for _again in range(TRIES):
            with self.told(attempt):
                try:
                    found = list(ask())
                except self._refusal as error:
                    # 0.7 raises it, 0.9 leaves it to us.
                    if type(error).__name__ != "NetlinkDumpInterrupted":
                        raise
                    continue
            if not any(message["header"]["flags"] & DUMP_INTERRUPTED for message in found):
                return found
        raise LvsError(messages.NETWORK_CHANGES(attempt=attempt, times=TRIES))


def generic(
    family: str, version: int, attributes: tuple[tuple[str, str], ...], command: int, flags: int, values: list[tuple[str, Any]]
) -> list[Any]:
    """The replies of a family of generic netlink that pyroute2 has no messages for. attributes: (name, type) of each, by its number.

    OSError or NetlinkError where the kernel refuses it, or has no such family because its module is not loaded.
    """
    from pyroute2.netlink import genlmsg
    from pyroute2.netlink.generic import GenericNetlinkSocket

    kind = type("Message", (genlmsg,), {"prefix": attributes[0][0].rpartition("_")[0] + "_", "nla_map": attributes})
    with GenericNetlinkSocket() as sock:
        sock.bind(family, kind)
        message = kind()
        message["cmd"], message["version"], message["attrs"] = command, version, values
        return list(sock.nlm_request(message, msg_type=sock.prid, msg_flags=flags))


def _refused(attempt: str, error: Exception) -> Line:
    number: Any = getattr(error, "code", None) or getattr(error, "errno", None) or 0
    why = os.strerror(number) if number else str(error)
    return messages.NETWORK_REFUSED(attempt=attempt, errno=errno.errorcode.get(number, str(number)), why=why)


def _ifindex(device: str) -> int:
    try:
        return socket.if_nametoindex(device)
    except OSError:  # without an errno
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from None


def _number(names: dict[int, str], text: str) -> int:
    """The number of a name, or of a number's own text."""
    return next((number for number, name in names.items() if name == text), None) or int(text)


def _link(message: Any) -> Link:
    return Link(
        message["index"],
        message.get_attr("IFLA_IFNAME"),
        TYPES.get(message["ifi_type"], str(message["ifi_type"])),
        message.get_attr("IFLA_ADDRESS") or "",
        message["flags"],
        message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND"),
        message.get_attr("IFLA_LINK") or None,
        message.get_attr("IFLA_LINK_NETNSID") is not None,
        message.get_attr("IFLA_MASTER") or None,
        message.get_attr("IFLA_MTU") or USUAL_MTU,
    )


def _address(message: Any) -> Address:
    """As `ip` reads it: without a local address the other one is meant, and with two that differ it is a peer's."""
    other = message.get_attr("IFA_ADDRESS")
    local = message.get_attr("IFA_LOCAL") or other
    scope = SCOPES.get(message["scope"], str(message["scope"]))
    return Address(message["index"], local, message["prefixlen"], scope, other if other != local else None)


def _table(message: Any, attribute: str) -> str:
    number = message.get_attr(attribute) or message["table"]
    return TABLES.get(number, str(number))


def _local_route(message: Any, names: dict[int, str]) -> LocalRoute:
    return LocalRoute(
        "%s/%d" % (message.get_attr("RTA_DST"), message["dst_len"]),
        names.get(message.get_attr("RTA_OIF"), "lo"),
        _table(message, "RTA_TABLE"),
        PROTOCOLS.get(message["proto"], str(message["proto"])),
        message.get_attr("RTA_PRIORITY") or 0,
    )


def _without_condition(rule: Any) -> bool:
    """Whether every packet is looked up in the rule's table."""
    if rule["action"] != TO_TABLE or rule["flags"] & INVERTED or rule["src_len"] or rule["dst_len"] or rule["tos"]:
        return False
    conditions = {name for name, _value in rule["attrs"]} - {"FRA_TABLE", "FRA_PRIORITY", "FRA_PROTOCOL"}
    # The kernel always sends this one, with all bits set where nobody asked for it.
    return conditions <= {"FRA_SUPPRESS_PREFIXLEN"} and rule.get_attr("FRA_SUPPRESS_PREFIXLEN") in (None, -1, 0xFFFFFFFF)
