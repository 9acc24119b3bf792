# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an IPVS table is: services, destinations, timeouts and connection sync daemons. Pure.

Everything here is plain data: comparing two services is comparing two tuples.

Sources: include/uapi/linux/ip_vs.h, net/netfilter/ipvs/ip_vs_ctl.c, ipvsadm(8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible.module_utils.lvsdr.addresses import address_number, endpoint
from ansible.module_utils.lvsdr.ipvs import messages

if TYPE_CHECKING:
    from collections.abc import Collection

    from ansible.module_utils.lvsdr.errors import Line

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos")
# What the three scheduler flag bits of a service mean depends on its scheduler (IP_VS_SVC_F_SCHED1 to 3).
SCHEDULER_FLAGS = {"sh": ("sh-fallback", "sh-port"), "mh": ("mh-fallback", "mh-port")}
# These keep a destination of weight 0 in their hash table and refuse the new connections that fall on it, unless the flag sends them on
# (ip_vs_mh.c, ip_vs_sh.c: ip_vs_*_get_fallback). dh has no such flag (ip_vs_dh.c).
FALLBACK_FLAGS = {"sh": "sh-fallback", "mh": "mh-fallback", "dh": None}
PROTOCOLS = ("tcp", "udp", "sctp")
FORWARDS = ("dr", "nat", "tunnel", "local")
TUNNELS = ("ipip", "gue", "gre")


MAX_WEIGHT = 2147483647  # a u32 that the kernel reads as a signed number
MAX_PERSISTENCE = 31 * 24 * 3600  # ipvsadm(8)'s own limit
MAX_TIMEOUT = 2147483  # the kernel's INT_MAX / HZ, with the highest HZ there is


DAEMON_STATES = ("master", "backup")
# What a daemon gets that was started without these options (IP_VS_SYNC_GROUP, IP_VS_SYNC_PORT, start_sync_thread).
DAEMON_DEFAULTS = {"group": "224.0.0.81", "port": 8848, "ttl": 1}

# What names a service: family, protocol, address, port. One of a firewall mark has the protocol "fwmark", the address "", and the mark as
# its port. Plain tuples: a class with names costs time 20,000 times a call, and Ansible warns of one that gets into its variables.
ServiceKey = tuple[int, str, str, int]
# What names a destination of a service: address, port.
DestinationKey = tuple[str, int]
# Connections as the kernel counts them: active, inactive, persistent.
Counts = tuple[int, int, int]


class Service(NamedTuple):
    family: int  # 4 or 6
    protocol: str  # one of PROTOCOLS, or "fwmark"
    address: str
    port: int
    scheduler: str
    flags: tuple[str, ...]  # scheduler flags and "ops", sorted
    persistence: int  # seconds, 0 for none
    netmask: str  # dotted for IPv4, a prefix length for IPv6
    engine: str  # "" or "sip"

    @property
    def mark(self) -> int:
        """The firewall mark of one with the protocol "fwmark"."""
        return self.port


class Destination(NamedTuple):
    family: int
    address: str
    port: int
    forward: str  # one of FORWARDS
    weight: int
    upper: int  # thresholds, 0 for none
    lower: int
    tunnel: tuple[()] | tuple[str, int, str]  # type, port and checksum, which is one of "none", "csum", "remcsum"


class Entry(NamedTuple):
    """A service as it is."""

    service: Service
    destinations: dict[DestinationKey, Destination]
    connections: dict[DestinationKey, Counts]


Table = dict[ServiceKey, Entry]


class Wanted(NamedTuple):
    """A declared service."""

    service: Service
    destinations: dict[DestinationKey, Destination]
    checked: set[DestinationKey]  # those whose weight a health check owns
    absent: bool
    # Destinations as well, but another program (keepalived) adds and removes them: they may be there or not.
    sorry_servers: dict[DestinationKey, Destination] = {}


class Timeouts(NamedTuple):
    """Seconds after which an idle connection is forgotten, for the whole table. 0 in a declaration keeps what is."""

    tcp: int
    tcp_fin: int
    udp: int


class Daemon(NamedTuple):
    """A connection sync daemon. None in a declaration leaves a value to the kernel (maxlen follows the MTU)."""

    state: str  # one of DAEMON_STATES
    interface: str
    id: int
    maxlen: int | None
    group: str | None
    port: int | None
    ttl: int | None


class Declaration(NamedTuple):
    """All that is declared."""

    services: dict[ServiceKey, Wanted]
    timeouts: Timeouts | None
    daemons: dict[str, Daemon] | None  # by state; None where they are left alone


def service_key(service: Service) -> ServiceKey:
    return service[:4]


def destination_key(destination: Destination) -> DestinationKey:
    return destination[1:3]


def service_name(key: ServiceKey) -> str:
    """How messages name a service: ``tcp 198.51.100.100:80`` or ``fwmark 5``."""
    family, protocol, address, port = key
    if protocol == "fwmark":
        return "fwmark %d%s" % (port, " (IPv6)" if family == 6 else "")
    return "%s %s" % (protocol, endpoint(address, port))


def default_netmask(family: int) -> str:
    return "255.255.255.255" if family == 4 else "128"


def newcomers_refused(scheduler: str, flags: Collection[str]) -> Line | None:
    """That a scheduler refuses new connections that another destination could serve, or None where it does not."""
    if scheduler == "ovf":
        # ip_vs_ovf.c: a destination is passed over once its active connections exceed its weight, the last one as well.
        return messages.SCHEDULER_REFUSES_WHEN_FULL()
    if scheduler not in FALLBACK_FLAGS or FALLBACK_FLAGS[scheduler] in flags:
        return None
    flag = FALLBACK_FLAGS[scheduler]
    return messages.SCHEDULER_REFUSES_NEWCOMERS(scheduler="%s without %s" % (scheduler, flag) if flag else scheduler)


def refuses_newcomers(scheduler: str, flags: Collection[str]) -> str | None:
    """The same without its id, for a sentence that quotes it."""
    line = newcomers_refused(scheduler, flags)
    return line.text if line else None


def default_port(service: Service) -> int:
    """A destination's port by default; a firewall-mark service has none, its packets keep theirs."""
    return 0 if service.protocol == "fwmark" else service.port


def address_order(key: DestinationKey) -> tuple[tuple[int, bytes], int]:
    """Sorts destinations as numbers."""
    address, port = key
    return address_number(address), port


def service_order(key: ServiceKey) -> tuple[str, tuple[int, bytes], int]:
    """Sorts services by protocol, then as numbers."""
    family, protocol, address, port = key
    return protocol, (family, b"") if protocol == "fwmark" else address_number(address), port
