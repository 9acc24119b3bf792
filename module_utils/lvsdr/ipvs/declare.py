# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the options of ipvs_table to the types of an IPVS table, with every error of them. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import endpoint, ipv4_netmask, multicast_address, parse_address_text
from ansible.module_utils.lvsdr.errors import Problems, shown
from ansible.module_utils.lvsdr.ipvs.types import (
    DAEMON_STATES,
    FORWARDS,
    MAX_PERSISTENCE,
    MAX_TIMEOUT,
    MAX_WEIGHT,
    PROTOCOLS,
    SCHEDULER_FLAGS,
    SCHEDULERS,
    TUNNELS,
    Daemon,
    Declaration,
    Destination,
    Service,
    Timeouts,
    Wanted,
    default_netmask,
    default_port,
    destination_key,
    service_key,
    service_name,
)
from ansible.module_utils.lvsdr.reader import INTERFACE, Reader
from ansible.module_utils.lvsdr.text import plain_text, whole_number

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.ipvs.types import DestinationKey, ServiceKey

    # As in Wanted: destinations, checked, fallbacks.
    Destinations = tuple[dict[DestinationKey, Destination], set[DestinationKey], dict[DestinationKey, Destination]]


def read_netmask(reader: Reader, field: str, family: int, value: object) -> str:
    """The netmask of a persistent service, by which clients are taken together, as the kernel shows it."""
    try:
        text = plain_text(value).strip().lstrip("/")
        if family == 4:
            return ipv4_netmask(text)
        if not 1 <= (whole_number(text) or 0) <= 128:
            raise ValueError
        return str(whole_number(text))
    except ValueError:
        reader.wrong(field, "%s is not a %s" % (shown(value), "netmask" if family == 4 else "prefix length from 1 to 128"))
        return default_netmask(family)


def read_persistence(reader: Reader, family: int) -> tuple[int, str, str]:
    """(seconds, netmask, engine) from ``persistence: {timeout, netmask, engine}``, or from a bare number of seconds."""
    value = reader.get("persistence")
    if value is None or value is False:
        return 0, default_netmask(family), ""
    if not isinstance(value, dict):
        value = {} if value is True else {"timeout": value}
    inner = reader.inner("persistence", value)
    inner.known(("timeout", "netmask", "engine"))
    seconds = inner.integer("timeout", 300, 1, MAX_PERSISTENCE, " seconds")
    netmask = read_netmask(inner, "netmask", family, inner.get("netmask", default_netmask(family)))
    engine = inner.choice("engine", "", ("", "sip"))
    return seconds, netmask, engine


def read_flags(reader: Reader, scheduler: str, protocol: str) -> tuple[str, ...]:
    declared = reader.list("scheduler_flags")
    possible = SCHEDULER_FLAGS.get(scheduler, ())
    for flag in declared:
        if flag not in possible:
            what = "it takes %s" % ", ".join(possible) if possible else "it takes none"
            reader.wrong("scheduler_flags", "%s is no flag of scheduler %s; %s" % (shown(flag), scheduler, what))
    flags: set[str] = {flag for flag in declared if flag in possible}
    if reader.boolean("one_packet"):
        # The kernel takes it for TCP without a word, and then every segment of a connection is scheduled by itself.
        if protocol in ("tcp", "sctp"):
            reader.wrong("one_packet", "one-packet scheduling is for UDP; on %s it would tear connections apart" % protocol)
        flags.add("ops")
    return tuple(sorted(flags))


def read_tunnel(reader: Reader, forward: str) -> tuple[()] | tuple[str, int, str]:
    value = reader.get("tunnel")
    if forward != "tunnel":
        if value is not None:
            reader.wrong("tunnel", "is for destinations with forward: tunnel")
        return ()
    if not isinstance(value, (dict, type(None))):
        reader.wrong("tunnel", "a dictionary is needed, not %s" % shown(value))
        value = None
    inner = reader.inner("tunnel", value or {})
    inner.known(("type", "port", "checksum"))
    kind = inner.choice("type", "ipip", TUNNELS)
    port = inner.integer("port", 0, 0, 65535)
    if kind == "gue" and not port:
        inner.wrong("port", "a GUE tunnel needs the UDP port it goes to")
    if kind != "gue" and port:
        inner.wrong("port", "is for GUE tunnels")
    checksum = inner.choice("checksum", "none", ("none", "csum", "remcsum"))
    if (kind == "ipip" and checksum != "none") or (kind == "gre" and checksum == "remcsum"):
        inner.wrong("checksum", "%s is not possible with %s" % (checksum, kind))
    return (kind, port, checksum)


SERVICE_OPTIONS = (
    "name", "address", "protocol", "port", "firewall_mark", "family", "scheduler", "scheduler_flags", "one_packet", "persistence",
    "destinations", "state",
)  # fmt: skip
DESTINATION_OPTIONS = (
    "address", "port", "forward", "weight", "upper_threshold", "lower_threshold", "tunnel", "health_checked", "fallback",
)  # fmt: skip


def read_service(reader: Reader, deleting: bool = False) -> Wanted:
    """The Wanted of one declared service; worth something only if no problem was found. deleting: it is named to be removed."""
    reader.known(SERVICE_OPTIONS)
    if not isinstance(reader.get("name", ""), str):
        reader.wrong("name", "%s is not text" % shown(reader.get("name")))
    mark = reader.get("firewall_mark")
    absent = reader.choice("state", "present", ("present", "absent")) == "absent" or deleting
    if mark is not None:
        for field in ("address", "port", "protocol"):
            if reader.get(field) is not None:
                reader.wrong(field, "a firewall-mark service has none; its packets are chosen by their mark")
        family = 6 if reader.choice("family", "ipv4", ("ipv4", "ipv6")) == "ipv6" else 4
        protocol, address = "fwmark", ""
        port = reader.integer("firewall_mark", 1, 1, 0xFFFFFFFF)
    else:
        read_family, read_address = reader.address("address")
        family, address = read_family or 4, read_address or ""
        protocol = reader.choice("protocol", "tcp", PROTOCOLS)
        if reader.get("port") is None:
            reader.wrong("port", "a port is missing; 0 stands for every port and needs persistence")
        port = reader.integer("port", 1, 0, 65535)
        if reader.get("family") is not None and reader.get("family") != "ipv%d" % family:
            reader.wrong("family", "%s is not the address's; only a firewall-mark service needs it" % shown(reader.get("family")))
    scheduler = reader.choice("scheduler", "wlc", SCHEDULERS)
    flags = read_flags(reader, scheduler, protocol)
    persistence, netmask, engine = read_persistence(reader, family)
    if protocol != "fwmark" and port == 0 and reader.get("port") is not None and not persistence and not absent:
        reader.wrong("port", "port 0 stands for every port and works only with persistence; add it, or name a port")
    if engine and protocol not in ("udp", "fwmark"):
        reader.wrong("persistence.engine", "sip reads the Call-ID of UDP packets; this service is %s" % protocol)
    service = Service(family, protocol, address, port, scheduler, flags, persistence, netmask, engine)
    items = reader.list("destinations")
    destinations, checked, fallbacks = _plain_destinations(items, service) or _read_destinations(reader, items, service)
    return Wanted(service, destinations, checked, absent, fallbacks)


def _read_destinations(reader: Reader, items: list[Any], service: Service) -> Destinations:
    destinations: dict[DestinationKey, Destination] = {}
    checked: set[DestinationKey] = set()
    fallbacks: dict[DestinationKey, Destination] = {}
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            reader.wrong("destinations[%d]" % index, "a dictionary is needed, not %s" % shown(item))
            continue
        inner = reader.inner("destinations[%d]" % index, item)
        fallback = inner.boolean("fallback")
        found = read_destination(inner, service)
        if found is None:
            continue
        destination, health_checked = found
        key = destination_key(destination)
        if key in destinations or key in fallbacks:
            reader.wrong("destinations[%d]" % index, "destination %s is in this service already; remove one" % endpoint(*key))
        if fallback:
            if health_checked:
                inner.wrong("fallback", "a fallback serves when checks have taken all others out; it has none itself")
            fallbacks[key] = destination
            continue
        destinations[key] = destination
        if health_checked:
            checked.add(key)
    return destinations, checked, fallbacks


PLAIN_OPTIONS = {"address", "port", "forward", "weight", "health_checked"}
PLAIN_FORWARDS = ("dr", "nat", "local")


def _plain_destinations(items: list[Any], service: Service) -> Destinations | None:
    """What _read_destinations gives where nothing is unusual or wrong in any item, at a tenth of its cost; None in all other cases.

    A table of 10,000 destinations is nearly all such items, and reading them would be half of a call.
    """
    destinations: dict[DestinationKey, Destination] = {}
    checked: set[DestinationKey] = set()
    new = tuple.__new__
    own_family, usual = service.family, default_port(service)
    try:
        for item in items:
            get = item.get
            weight, port, forward = get("weight", 1), get("port", usual), get("forward", "dr")
            family, address = parse_address_text(item["address"])
            key = (address, port)
            if (
                not item.keys() <= PLAIN_OPTIONS
                or family != own_family
                or type(weight) is not int
                or not 0 <= weight <= MAX_WEIGHT
                or type(port) is not int
                or (port != usual and (not (forward == "nat" or service.protocol == "fwmark") or not 0 <= port <= 65535))
                or forward not in PLAIN_FORWARDS
                or key in destinations
            ):
                return None
            if "health_checked" in item:
                if type(item["health_checked"]) is not bool:
                    return None
                if item["health_checked"]:
                    checked.add(key)
            # A namedtuple's own constructor takes three times as long.
            destinations[key] = new(Destination, (family, address, port, forward, weight, 0, 0, ()))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return destinations, checked, {}


def read_destination(reader: Reader, service: Service) -> tuple[Destination, bool] | None:
    reader.known(DESTINATION_OPTIONS)
    family, address = reader.address("address")
    forward = reader.choice("forward", "dr", FORWARDS)
    usual = default_port(service)
    port = reader.integer("port", usual, 0, 65535)
    # The kernel takes another port in silence and delivers to the service's all the same: only NAT rewrites packets. In a firewall-mark
    # service, which has none, ipvsadm keeps a destination's port, so that two ports are two destinations; packets keep theirs there, too.
    if forward != "nat" and port != usual and service.protocol != "fwmark":
        reader.wrong(
            "port",
            "%d differs from the service's %d, and forwarding by %s does not rewrite ports; "
            "let the server listen on %d, or use nat" % (port, usual, forward, usual),
        )
    weight = reader.integer("weight", 1, 0, MAX_WEIGHT)
    upper = reader.integer("upper_threshold", 0, 0, 0xFFFFFFFF)
    lower = reader.integer("lower_threshold", 0, 0, 0xFFFFFFFF)
    if lower > upper:
        reader.wrong("lower_threshold", "%d is above the upper threshold %d" % (lower, upper))
    tunnel = read_tunnel(reader, forward)
    if family and (service.address or service.protocol == "fwmark") and family != service.family and forward != "tunnel":
        reader.wrong("address", "%s is IPv%d and the service IPv%d; only a tunnel joins the two" % (address, family, service.family))
    health_checked = reader.boolean("health_checked")
    if family is None or address is None:
        return None
    return Destination(family, address, port, forward, weight, upper, lower, tunnel), health_checked


def read_services(data: Any, problems: Problems | None = None, deleting: bool = False) -> dict[ServiceKey, Wanted]:
    """The declared services (a list of dicts, see ipvs_table's options) as a dict of service key to Wanted; all absent with deleting.

    Every error goes to problems, with its path; without a list for them LvsError is raised with all at once.
    """
    found = Problems() if problems is None else problems
    wanted: dict[ServiceKey, Wanted] = {}
    root: dict[ServiceKey, str] = {}
    if not isinstance(data, (list, tuple)):
        found.add("services", "a list is needed, not %s; [] declares none" % shown(data))
    for index, item in enumerate(data if isinstance(data, (list, tuple)) else ()):
        path = "services[%d]" % index
        if not isinstance(item, dict):
            found.add(path, "a dictionary is needed, not %s" % shown(item))
            continue
        declared = read_service(Reader(found, path, item), deleting)
        key = service_key(declared.service)
        # One whose address can't be read has a line already.
        if (declared.service.address or declared.service.protocol == "fwmark") and key in wanted:
            found.add(path, "%s is declared already as %s; remove one" % (service_name(key), root[key]))
        wanted[key] = declared
        root[key] = path
    if problems is None:
        found.raise_if_any(UNUSABLE)
    return wanted


UNUSABLE = "The declared table can't be used"


def read_timeouts(data: Any, problems: Problems, path: str = "timeouts") -> Timeouts | None:
    """``{tcp, tcp_fin, udp}`` in seconds, each left out where it stays as it is; a Timeouts, or None where nothing is said."""
    if data is None:
        return None
    if not isinstance(data, dict):
        problems.add(path, "a dictionary with tcp, tcp_fin or udp is needed, not %s" % shown(data))
        return None
    reader = Reader(problems, path, data)
    reader.known(Timeouts._fields)
    return Timeouts(*(0 if reader.get(name) is None else reader.integer(name, 1, 1, MAX_TIMEOUT, " seconds") for name in Timeouts._fields))


def read_daemons(data: Any, problems: Problems) -> dict[str, Daemon] | None:
    """The sync daemons that are to run (a list of dicts, see ipvs_table's options): state to Daemon, or None where nothing is said."""
    if data is None:
        return None
    if not isinstance(data, list):
        problems.add("sync_daemons", "a list is needed, not %s" % shown(data))
        return None
    out: dict[str, Daemon] = {}
    for index, item in enumerate(data):
        path = "sync_daemons[%d]" % index
        if not isinstance(item, dict):
            problems.add(path, "a dictionary is needed, not %s" % shown(item))
            continue
        reader = Reader(problems, path, item)
        reader.known(Daemon._fields)
        if reader.get("state") is None:
            reader.wrong("state", "is missing; master sends connections, backup takes them")
        state = reader.choice("state", "master", DAEMON_STATES)
        if state in out and reader.get("state") is not None:
            reader.wrong("state", "a %s daemon is declared already, and a kernel runs one of each; remove one" % state)
        out[state] = Daemon(state, *_read_daemon(reader, state))
    return out


def _read_daemon(reader: Reader, state: str) -> tuple[str, int, int | None, str | None, int | None, int | None]:
    interface = reader.get("interface")
    if not isinstance(interface, str) or not re.fullmatch(INTERFACE, interface):
        reader.wrong("interface", "%s is no name of an interface" % shown(interface))
    number = reader.integer("id", 0, 0, 255)
    # A backup daemon's buffer is never smaller than this; the kernel would raise the value without a word.
    low, high = 1024 if state == "backup" else 1, 65487 if ":" in str(reader.get("group")) else 65507
    maxlen = None if reader.get("maxlen") is None else reader.integer("maxlen", 1472, low, high, " bytes")
    group = reader.get("group")
    if group is not None:
        group = multicast_address(group)
        if group is None:
            reader.wrong("group", "%s is no multicast address; the kernel's own is 224.0.0.81" % shown(reader.get("group")))
    port = None if reader.get("port") is None else reader.integer("port", 8848, 1, 65535)
    ttl = None if reader.get("ttl") is None else reader.integer("ttl", 1, 1, 255)
    return interface, number, maxlen, group, port, ttl


def read_declaration(services: Any, timeouts: Any, sync_daemons: Any, problems: Problems, deleting: bool = False) -> Declaration:
    """The Declaration of ipvs_table's options; worth something only if no problem was found."""
    declared = Declaration(
        read_services(services, problems, deleting), read_timeouts(timeouts, problems), read_daemons(sync_daemons, problems)
    )
    # The sync protocol has one family for a connection (ip_vs_add_dest, start_sync_thread): the kernel refuses the two together.
    if declared.daemons:
        for wanted in declared.services.values():
            for destination in wanted.destinations.values():
                if destination.family != wanted.service.family and not wanted.absent:
                    problems.add(
                        "sync_daemons",
                        "connections of %s to %s, which is of the other family, can't be synchronised; leave one of the two out"
                        % (service_name(service_key(wanted.service)), destination.address),
                    )
    return declared
