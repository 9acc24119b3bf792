# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the options of ipvs_table to the types of an IPVS table, with every error of them. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import messages as common
from ansible.module_utils.lvsdr.addresses import endpoint, ipv4_netmask, multicast_address, parse_address_text
from ansible.module_utils.lvsdr.errors import Problems, shown
from ansible.module_utils.lvsdr.ipvs import messages
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

    # As in Wanted: destinations, checked, sorry_servers.
    Destinations = tuple[dict[DestinationKey, Destination], set[DestinationKey], dict[DestinationKey, Destination]]


def read_netmask(reader: Reader, field: str, family: int, value: object) -> str:
    """The netmask of a persistent service, by which clients are grouped, as the kernel shows it."""
    try:
        text = plain_text(value).strip().lstrip("/")
        if family == 4:
            return ipv4_netmask(text)
        if not 1 <= (whole_number(text) or 0) <= 128:
            raise ValueError
        return str(whole_number(text))
    except ValueError:
        message = messages.NOT_A_NETMASK if family == 4 else messages.NOT_A_PREFIX_LENGTH
        reader.wrong(field, message(value=shown(value)))
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
            message = messages.SCHEDULER_FLAG_UNKNOWN if possible else messages.SCHEDULER_WITHOUT_FLAGS
            reader.wrong("scheduler_flags", message(scheduler=scheduler, flag=shown(flag), names=", ".join(possible)))
    flags: set[str] = {flag for flag in declared if flag in possible}
    if reader.boolean("one_packet"):
        # The kernel accepts it for TCP silently, and then every segment of a connection is scheduled by itself.
        if protocol in ("tcp", "sctp"):
            reader.wrong("one_packet", messages.ONE_PACKET_NEEDS_UDP(protocol=protocol))
        flags.add("ops")
    return tuple(sorted(flags))


# By the type of the tunnel.
TUNNEL_CHECKSUMS = {"ipip": ("none",), "gue": ("none", "csum", "remcsum"), "gre": ("none", "csum")}


def read_tunnel(reader: Reader, forward: str) -> tuple[()] | tuple[str, int, str]:
    value = reader.get("tunnel")
    if forward != "tunnel":
        if value is not None:
            reader.wrong("tunnel", messages.TUNNEL_NEEDS_FORWARD())
        return ()
    if not isinstance(value, (dict, type(None))):
        reader.wrong("tunnel", common.NOT_A_DICTIONARY(value=shown(value)))
        value = None
    inner = reader.inner("tunnel", value or {})
    inner.known(("type", "port", "checksum"))
    kind = inner.choice("type", "ipip", TUNNELS)
    port = inner.integer("port", 0, 0, 65535)
    if kind == "gue" and not port:
        inner.wrong("port", messages.TUNNEL_PORT_MISSING())
    if kind != "gue" and port:
        inner.wrong("port", messages.TUNNEL_PORT_NEEDS_GUE())
    checksum = inner.choice("checksum", "none", TUNNEL_CHECKSUMS["gue"])
    if checksum not in TUNNEL_CHECKSUMS[kind]:
        choices = ", ".join(TUNNEL_CHECKSUMS[kind])
        inner.wrong("checksum", messages.TUNNEL_CHECKSUM_UNSUPPORTED(checksum=checksum, kind=kind, choices=choices))
    return (kind, port, checksum)


SERVICE_OPTIONS = (
    "name", "address", "protocol", "port", "firewall_mark", "family", "scheduler", "scheduler_flags", "one_packet", "persistence",
    "destinations", "state",
)  # fmt: skip
DESTINATION_OPTIONS = (
    "address", "port", "forward", "weight", "upper_threshold", "lower_threshold", "tunnel", "health_checked", "sorry_server",
)  # fmt: skip
RENAMED_OPTIONS = {"fallback": "sorry_server"}


def read_service(reader: Reader, deleting: bool = False) -> Wanted:
    """The Wanted of one declared service; worth something only if no problem was found. deleting: it is named to be removed."""
    reader.known(SERVICE_OPTIONS)
    if not isinstance(reader.get("name", ""), str):
        reader.wrong("name", common.NOT_TEXT(value=shown(reader.get("name"))))
    mark = reader.get("firewall_mark")
    absent = reader.choice("state", "present", ("present", "absent")) == "absent" or deleting
    if mark is not None:
        for field in ("address", "port", "protocol"):
            if reader.get(field) is not None:
                reader.wrong(field, messages.FIREWALL_MARK_EXCLUDES())
        family = 6 if reader.choice("family", "ipv4", ("ipv4", "ipv6")) == "ipv6" else 4
        protocol, address = "fwmark", ""
        port = reader.integer("firewall_mark", 1, 1, 0xFFFFFFFF)
    else:
        read_family, read_address = reader.address("address")
        family, address = read_family or 4, read_address or ""
        protocol = reader.choice("protocol", "tcp", PROTOCOLS)
        if reader.get("port") is None:
            reader.wrong("port", messages.SERVICE_PORT_MISSING())
        port = reader.integer("port", 1, 0, 65535)
        if reader.get("family") is not None and reader.get("family") != "ipv%d" % family:
            reader.wrong("family", messages.SERVICE_FAMILY_DIFFERS(value=shown(reader.get("family"))))
    scheduler = reader.choice("scheduler", "wlc", SCHEDULERS)
    flags = read_flags(reader, scheduler, protocol)
    persistence, netmask, engine = read_persistence(reader, family)
    if protocol != "fwmark" and port == 0 and reader.get("port") is not None and not persistence and not absent:
        reader.wrong("port", messages.PORT_ZERO_NEEDS_PERSISTENCE())
    if engine and protocol not in ("udp", "fwmark"):
        reader.wrong("persistence.engine", messages.SIP_NEEDS_UDP(protocol=protocol))
    service = Service(family, protocol, address, port, scheduler, flags, persistence, netmask, engine)
    items = reader.list("destinations")
    destinations, checked, sorry_servers = _plain_destinations(items, service) or _read_destinations(reader, items, service)
    return Wanted(service, destinations, checked, absent, sorry_servers)


def _read_destinations(reader: Reader, items: list[Any], service: Service) -> Destinations:
    destinations: dict[DestinationKey, Destination] = {}
    checked: set[DestinationKey] = set()
    sorry_servers: dict[DestinationKey, Destination] = {}
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            reader.wrong("destinations[%d]" % index, common.NOT_A_DICTIONARY(value=shown(item)))
            continue
        inner = reader.inner("destinations[%d]" % index, item)
        sorry_server = inner.boolean("sorry_server")
        found = read_destination(inner, service)
        if found is None:
            continue
        destination, health_checked = found
        key = destination_key(destination)
        if key in destinations or key in sorry_servers:
            reader.wrong("destinations[%d]" % index, common.LISTED_TWICE(what="destination %s" % endpoint(*key)))
        if sorry_server:
            if health_checked:
                inner.wrong("sorry_server", messages.SORRY_SERVER_CHECKED())
            sorry_servers[key] = destination
            continue
        destinations[key] = destination
        if health_checked:
            checked.add(key)
    return destinations, checked, sorry_servers


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
    reader.known(DESTINATION_OPTIONS, RENAMED_OPTIONS)
    family, address = reader.address("address")
    forward = reader.choice("forward", "dr", FORWARDS)
    usual = default_port(service)
    port = reader.integer("port", usual, 0, 65535)
    # The kernel accepts another port silently and delivers to the service's all the same: only NAT rewrites packets. In a firewall-mark
    # service, which has none, ipvsadm keeps a destination's port, so that two ports are two destinations; packets keep theirs as well.
    if forward != "nat" and port != usual and service.protocol != "fwmark":
        reader.wrong("port", messages.DESTINATION_PORT_DIFFERS(port=port, usual=usual, forward=forward))
    weight = reader.integer("weight", 1, 0, MAX_WEIGHT)
    upper = reader.integer("upper_threshold", 0, 0, 0xFFFFFFFF)
    lower = reader.integer("lower_threshold", 0, 0, 0xFFFFFFFF)
    if lower > upper:
        reader.wrong("lower_threshold", messages.LOWER_THRESHOLD_TOO_HIGH(upper=upper, lower=lower))
    tunnel = read_tunnel(reader, forward)
    if family and (service.address or service.protocol == "fwmark") and family != service.family and forward != "tunnel":
        reader.wrong("address", messages.DESTINATION_FAMILY_DIFFERS(address=address, family=family, of_service=service.family))
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
        found.add("services", common.NOT_A_LIST(value=shown(data)))
    for index, item in enumerate(data if isinstance(data, (list, tuple)) else ()):
        path = "services[%d]" % index
        if not isinstance(item, dict):
            found.add(path, common.NOT_A_DICTIONARY(value=shown(item)))
            continue
        declared = read_service(Reader(found, path, item), deleting)
        key = service_key(declared.service)
        # One whose address can't be read has a line already.
        if (declared.service.address or declared.service.protocol == "fwmark") and key in wanted:
            found.add(path, common.DECLARED_TWICE(what=service_name(key), by=root[key]))
        wanted[key] = declared
        root[key] = path
    if problems is None:
        found.raise_if_any(UNUSABLE)
    return wanted


UNUSABLE = "The declared table can't be used"


def read_timeouts(data: Any, problems: Problems, path: str = "timeouts") -> Timeouts | None:
    """``{tcp, tcp_fin, udp}`` in seconds, each left out where it stays as it is; a Timeouts, or None where nothing is declared."""
    if data is None:
        return None
    if not isinstance(data, dict):
        problems.add(path, common.NOT_A_DICTIONARY(value=shown(data)))
        return None
    reader = Reader(problems, path, data)
    reader.known(Timeouts._fields)
    return Timeouts(*(0 if reader.get(name) is None else reader.integer(name, 1, 1, MAX_TIMEOUT, " seconds") for name in Timeouts._fields))


def read_daemons(data: Any, problems: Problems) -> dict[str, Daemon] | None:
    """The sync daemons that are to run (a list of dicts, see ipvs_table's options): state to Daemon, or None where nothing is declared."""
    if data is None:
        return None
    if not isinstance(data, list):
        problems.add("sync_daemons", common.NOT_A_LIST(value=shown(data)))
        return None
    out: dict[str, Daemon] = {}
    for index, item in enumerate(data):
        path = "sync_daemons[%d]" % index
        if not isinstance(item, dict):
            problems.add(path, common.NOT_A_DICTIONARY(value=shown(item)))
            continue
        reader = Reader(problems, path, item)
        reader.known(Daemon._fields)
        if reader.get("state") is None:
            reader.wrong("state", messages.SYNC_DAEMON_STATE_MISSING())
        state = reader.choice("state", "master", DAEMON_STATES)
        if state in out and reader.get("state") is not None:
            reader.wrong("state", messages.SYNC_DAEMON_TWICE(state=state))
        out[state] = Daemon(state, *_read_daemon(reader, state))
    return out


def _read_daemon(reader: Reader, state: str) -> tuple[str, int, int | None, str | None, int | None, int | None]:
    interface = reader.get("interface")
    if not isinstance(interface, str) or not re.fullmatch(INTERFACE, interface):
        reader.wrong("interface", common.NOT_AN_INTERFACE(value=shown(interface)))
    number = reader.integer("id", 0, 0, 255)
    # A backup daemon's buffer is never smaller than this; the kernel would raise the value silently.
    low, high = 1024 if state == "backup" else 1, 65487 if ":" in str(reader.get("group")) else 65507
    maxlen = None if reader.get("maxlen") is None else reader.integer("maxlen", 1472, low, high, " bytes")
    group = reader.get("group")
    if group is not None:
        group = multicast_address(group)
        if group is None:
            reader.wrong("group", messages.NOT_A_MULTICAST_GROUP(value=shown(reader.get("group"))))
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
                    name = service_name(service_key(wanted.service))
                    problems.add("sync_daemons", messages.SYNC_NEEDS_ONE_FAMILY(service=name, address=destination.address))
    return declared
