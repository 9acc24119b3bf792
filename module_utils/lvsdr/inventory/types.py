# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What virtual_services becomes: services with their servers, the paths of their checks, and the plain data of both. Pure.

Ansible carries plain data alone from task to task: to_data makes it, and from_data makes the types of it again. What is left out there has
its default, because Ansible looks at each value of it, of hundreds of servers and many times in a run.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.inventory import modes, paths
from ansible.module_utils.lvsdr.ipvs import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    # As ipvs/types.py and ipvs/describe.py make them.
    ServiceKey = tuple[int, str, str, int]
    TableKey = tuple[Any, ...]


class _Read(TypedDict, total=False):
    # Whether the hosts have been read (the default), and the names of all variables that lvsdr reads.
    read: bool
    names: list[str]
    # What is wrong with files on the controller, as sentences.
    here: list[str]


class Inventory(_Read):
    """What an operator wrote of hosts, and what was read from them; resolve.py and hosts.py say what is in it."""

    groups: dict[str, list[str]]
    hosts: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class RealServer:
    """A host that serves a service: one of its real servers, or the sorry server."""

    host: str
    address: str
    # As declared; 0 where the host is drained and no health check owns the weight.
    weight: int
    # None where it is the service's.
    port: int | None = None
    # Whether a health check owns its weight.
    checked: bool = False
    drained: bool = False
    # Whether it takes viewers only while it is awake.
    spare: bool = False
    # Whether it is the sorry server, which serves when checks have taken all others out.
    fallback: bool = False

    @property
    def weight_files(self) -> tuple[str, ...]:
        """Names of the files in places.DRAINED of which each takes its weight."""
        return (places.drain_file(self.host), *([places.spare_file(self.host)] if self.spare else []))

    def destination(self, forward: str, tunnel: dict[str, Any] | None = None) -> dict[str, Any]:
        """It in the words of ipvs_table's options."""
        out: dict[str, Any] = {"address": self.address, "forward": forward, "weight": self.weight}
        if self.port is not None:
            out["port"] = self.port
        if tunnel:
            out["tunnel"] = tunnel
        if self.checked:
            out["health_checked"] = True
        if self.fallback:
            out["sorry_server"] = True
        return out


@dataclass(frozen=True)
class Leaving:
    """What directors hold of a service and the inventory does not declare: it stays with weight 0 while it has connections (leaving.py)."""

    # In the words of ipvs_table's options.
    destination: dict[str, Any]
    # The host that has the address, as far as the inventory knows.
    host: str | None
    # The running ones, of the director that counts most.
    connections: int

    @property
    def address(self) -> str:
        address: str = self.destination["address"]
        return address


@dataclass(frozen=True)
class VirtualService:
    """A service on its VIPs. One that is absent has no servers."""

    name: str
    mode: str
    family: int
    vips: tuple[str, ...]
    # The VRRP instance of its VIPs.
    instance: str
    # In the words of ipvs_table's options, every value normalised, without destinations.
    options: dict[str, Any]
    # In the order of the declaration, the sorry server last.
    servers: tuple[RealServer, ...] = ()
    health_check: dict[str, Any] | None = None
    stream: dict[str, Any] | None = None
    # ipvs/types.py; None where its declaration has errors and preflight reads on.
    key: ServiceKey | None = None
    absent: bool = False
    leaving: tuple[Leaving, ...] = ()
    # Whether it is there for nothing but what leaves it.
    retiring: bool = False
    # As read_scale makes it.
    scale: dict[str, Any] | None = None
    # In virtual_services, where the name does not stand for it in a path (paths.py).
    index: int | None = None
    # What NAT servers answer through: it moves with the VIPs.
    gateway: str | None = None
    # One of modes.RETURN_PATHS.
    return_path: str = "rule"
    # As of modes.Way.
    tunnel: dict[str, Any] | None = None
    # (protocol, first, last) of each, where several are one firewall-mark service.
    ports: tuple[tuple[str, int, int], ...] = ()
    # Beside health_check; a server has to pass all of them.
    more_checks: tuple[dict[str, Any], ...] = ()
    # Whether its servers are proxies (proxy_option.py).
    proxied: bool = False

    @property
    def checks(self) -> tuple[dict[str, Any], ...]:
        return (self.health_check, *self.more_checks) if self.health_check else ()

    @property
    def balanced(self) -> bool:
        """Whether IPVS has it, and not a proxy on the director itself."""
        return self.mode != modes.PROXY

    @property
    def path(self) -> str:
        """Where it is declared, for errors: ``virtual_services[live]``."""
        return paths.of_service(self.name if self.index is None else self.index)

    @property
    def real_servers(self) -> tuple[RealServer, ...]:
        """The servers without the sorry server."""
        return tuple(server for server in self.servers if not server.fallback)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of the real servers."""
        return tuple(server.host for server in self.servers if not server.fallback)

    @property
    def members(self) -> tuple[str, ...]:
        """The hosts of all servers, the sorry server's last."""
        return tuple(server.host for server in self.servers)

    @property
    def sorry(self) -> str | None:
        """The host of the sorry server."""
        return next((server.host for server in self.servers if server.fallback), None)

    @property
    def drained(self) -> tuple[str, ...]:
        return tuple(server.host for server in self.servers if server.drained)

    @property
    def table_key(self) -> TableKey:
        """What tells it from others in the table of a director."""
        key: TableKey = describe.table_key(self.options)
        return key

    def table(self) -> dict[str, Any]:
        """It in the words of ipvs_table's options."""
        forward = modes.FORWARDS.get(self.mode, self.mode)  # what leaves may be local
        destinations = [server.destination(forward, self.tunnel) for server in self.servers] + [one.destination for one in self.leaving]
        return {**self.options, "destinations": destinations}

    def port_of(self, server: RealServer) -> int:
        """The port of a server; 0 where a firewall mark leaves it to the packets."""
        port: int = self.options.get("port", 0) if server.port is None else server.port
        return port

    def viewer_ports(self) -> tuple[tuple[str, int, int], ...]:
        """(protocol, first, last) of what viewers send to each VIP; nothing for a firewall mark that others set."""
        if self.ports or self.options.get("port") is None:
            return self.ports
        port = self.options["port"]
        return ((self.options.get("protocol", "tcp"), port or 1, port or 65535),)

    def server_ports(self, server: RealServer) -> tuple[tuple[str, int, int], ...]:
        """The same of what a server of NAT or SNAT is sent, and answers from."""
        port = self.port_of(server)
        return self.ports or ((self.options["protocol"], port, port),)

    def check_name(self, index: int) -> str:
        """What lvsdr-streamcheck calls a check: the first one as the service."""
        return self.name if not index else "%s, check %d" % (self.name, index + 1)

    def track_file(self, host: str, index: int = 0) -> str:
        """Name of the track file of a real server's check. index: of the check."""
        return places.track_file({"name": self.check_name(index), "vips": self.vips}, host)


@dataclass(frozen=True)
class ProxyService:
    """What HAProxy does for a service on each of its proxies (proxy_option.py)."""

    name: str
    vips: tuple[str, ...]
    port: int
    # The hosts that run HAProxy for it.
    hosts: tuple[str, ...]
    # http or tcp.
    application: str = "http"
    # What HAProxy asks, the sorry server last.
    servers: tuple[RealServer, ...] = ()
    # Of its real servers, with every default.
    checks: tuple[dict[str, Any], ...] = ()
    # {"certificates": [path on the proxies], "least": version, "http2": bool, "http3": bool}
    tls: dict[str, Any] | None = None
    balance: str = "roundrobin"
    # {"cookie": name} or {"source": minutes}
    sticky: dict[str, Any] | None = None
    # Whether its real servers take PROXY protocol, version 2.
    proxy_protocol: bool = False
    # As read_waf makes it.
    waf: dict[str, Any] | None = None
    absent: bool = False
    # The port of the same VIPs to which every request is redirected, over TLS. There are no servers then.
    redirect: int | None = None

    @property
    def http3(self) -> bool:
        return bool(self.tls and self.tls["http3"])

    def check_name(self, index: int) -> str:
        """What lvsdr-streamcheck calls a check: the first one as the service."""
        return self.name if not index else "%s, check %d" % (self.name, index + 1)


@dataclass(frozen=True)
class CheckPath:
    """A firewall-mark service that takes the checks of one real server to it on the data path of viewers (check_paths.py)."""

    host: str
    family: int
    address: str
    mark: int

    @property
    def key(self) -> ServiceKey:
        return self.family, "fwmark", "", self.mark

    def table(self) -> dict[str, Any]:
        """It in the words of ipvs_table's options.

        One packet: UDP is not remembered at all (ip_vs_schedule heeds the flag for UDP alone).
        """
        return {
            "firewall_mark": self.mark, **({"family": "ipv6"} if self.family == 6 else {}), "scheduler": "rr", "one_packet": True,
            "destinations": [{"address": self.address, "forward": "dr", "weight": 1}],
        }  # fmt: skip


@dataclass(frozen=True)
class Resolved:
    """All that a director has in its table. keepalived.conf and the table are made from the same, so that they can't differ."""

    services: tuple[VirtualService, ...] = ()
    checks: tuple[CheckPath, ...] = ()
    proxies: tuple[ProxyService, ...] = ()

    def hosts(self) -> list[str]:
        """The names of all servers, in order, and of those that are checked though they serve nobody yet (rollout.ready)."""
        members = [host for service in self.services for host in service.members]
        return list(dict.fromkeys([*members, *(check.host for check in self.checks)]))

    def tables(self) -> list[dict[str, Any]]:
        """The ``services`` of ipvs_table."""
        return [*(service.table() for service in self.services), *(check.table() for check in self.checks)]


def _said(one: Any) -> dict[str, Any]:
    """The fields that are not their default."""
    values = ((field, getattr(one, field.name)) for field in dataclasses.fields(one))
    return {field.name: value for field, value in values if field.default is dataclasses.MISSING or value != field.default}


def to_data(resolved: Resolved) -> dict[str, Any]:
    """Plain data, as JSON carries it."""
    out = {"services": [_plain(one) for one in resolved.services], "checks": _said_all(resolved.checks)}
    return {**out, "proxies": [_plain(one) for one in resolved.proxies]} if resolved.proxies else out


def _plain(one: VirtualService | ProxyService) -> dict[str, Any]:
    lists: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(("vips", "key", "ports", "more_checks", "hosts", "checks"), list),
        **dict.fromkeys(("servers", "leaving"), _said_all),
    }
    return {name: lists[name](value) if name in lists else value for name, value in _said(one).items()}


def _said_all(items: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [_said(item) for item in items]


def from_data(data: dict[str, Any]) -> Resolved:
    """What to_data was given; nothing of nothing."""
    types: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(("vips", "key", "more_checks", "hosts", "checks"), tuple),
        "ports": lambda items: tuple(tuple(item) for item in items),
        "servers": lambda items: tuple(RealServer(**item) for item in items),
        "leaving": lambda items: tuple(Leaving(**item) for item in items),
    }

    def read(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: types[name](value) if name in types else value for name, value in item.items()} for item in items]

    return Resolved(
        tuple(VirtualService(**one) for one in read(data.get("services", []))),
        tuple(CheckPath(**one) for one in data.get("checks", ())),
        tuple(ProxyService(**one) for one in read(data.get("proxies", []))),
    )
