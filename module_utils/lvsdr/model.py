# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an IPVS table is: services, their destinations, and the checks that a declared table must pass.

A table is a dict of service key to Entry. A service key is ``(family, protocol, address, port)``, where a firewall-mark service has
the protocol ``fwmark``, the address ``""`` and the mark in the place of the port. A destination key is ``(address, port)``.
Everything here is plain data: comparing two services is comparing two tuples.

Sources: include/uapi/linux/ip_vs.h, net/netfilter/ipvs/ip_vs_ctl.c, ipvsadm(8).
"""

import functools
import re
import socket
from collections import namedtuple

from .errors import Problems, shown
from .text import did_you_mean

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos")
# What the three scheduler flag bits of a service mean depends on its scheduler (IP_VS_SVC_F_SCHED1 to 3).
SCHEDULER_FLAGS = {"sh": ("sh-fallback", "sh-port"), "mh": ("mh-fallback", "mh-port")}
# These keep a destination of weight 0 in their hash table and refuse the new connections that fall on it, unless the flag sends them on
# (ip_vs_mh.c, ip_vs_sh.c: ip_vs_*_get_fallback). dh has no such flag (ip_vs_dh.c).
FALLBACK_FLAGS = {"sh": "sh-fallback", "mh": "mh-fallback", "dh": None}
PROTOCOLS = ("tcp", "udp", "sctp")
FORWARDS = ("dr", "nat", "tunnel", "local")
TUNNELS = ("ipip", "gue", "gre")
# The inventory group of the directors has a fixed name.
DIRECTORS = "directors"
MAX_WEIGHT = 2147483647  # a u32 that the kernel takes for a signed number
MAX_PERSISTENCE = 31 * 24 * 3600  # ipvsadm(8)'s own limit
MAX_TIMEOUT = 2147483  # the kernel's INT_MAX / HZ, with the highest HZ there is
# IPVS' settings under /proc/sys/net/ipv4/vs (ip_vs_ctl.c, vs_vars; Linux 6.1 to 6.12): (lowest, highest, how many numbers), or None for
# text. In the last three the kernel itself changes between 1 and 2, one automatic mode, as its memory gets short (update_defense_level).
AUTOMATIC = ("drop_entry", "drop_packet", "secure_tcp")
ANY_INTEGER = (-(1 << 31), (1 << 31) - 1, 1)
SETTINGS = {
    **dict.fromkeys(
        (
            "amemthresh", "am_droprate", "backup_only", "cache_bypass", "conn_reuse_mode", "conntrack", "debug_level", "expire_nodest_conn",
            "expire_quiescent_template", "ignore_tunneled", "nat_icmp_send", "pmtu_disc", "run_estimation", "schedule_icmp", "sloppy_sctp",
            "sloppy_tcp", "snat_reroute", "sync_persist_mode", "sync_refresh_period", "sync_sock_size",
        ),
        ANY_INTEGER,
    ),
    "sync_qlen_max": (0, (1 << 63) - 1, 1), "sync_threshold": (0, (1 << 31) - 1, 2), "sync_retries": (0, 3, 1), "sync_version": (0, 1, 1),
    "sync_ports": (1, 64, 1), "est_nice": (-20, 19, 1), "est_cpulist": None, **dict.fromkeys(AUTOMATIC, (0, 3, 1)),
}  # fmt: skip
DAEMON_STATES = ("master", "backup")
# What a daemon gets that was started without a word about it (IP_VS_SYNC_GROUP, IP_VS_SYNC_PORT, start_sync_thread).
DAEMON_DEFAULTS = {"group": "224.0.0.81", "port": 8848, "ttl": 1}

# family 4 or 6; port is the firewall mark where protocol is "fwmark"; flags are scheduler flags and "ops", sorted;
# persistence in seconds, 0 for none; netmask is dotted for IPv4 and a prefix length for IPv6, as text; engine "" or "sip".
Service = namedtuple("Service", "family protocol address port scheduler flags persistence netmask engine")
# forward as in FORWARDS; thresholds 0 for none; tunnel is () or (type, port, checksum), checksum one of "none", "csum", "remcsum".
Destination = namedtuple("Destination", "family address port forward weight upper lower tunnel")
# destinations: key to Destination. connections: key to (active, inactive, persistent) as the kernel counts them.
Entry = namedtuple("Entry", "service destinations connections")
# One declared service: destinations as in Entry; checked holds the keys whose weight a health check owns; fallbacks are destinations too,
# but somebody else (keepalived) adds and removes them: they may be there or not.
Wanted = namedtuple("Wanted", "service destinations checked absent fallbacks", defaults=({},))
# Seconds after which an idle connection is forgotten, for the whole table. 0 in a wish keeps what is.
Timeouts = namedtuple("Timeouts", "tcp tcp_fin udp")
# A connection sync daemon. state is "master" or "backup"; None in a wish leaves a value to the kernel (maxlen follows the MTU).
Daemon = namedtuple("Daemon", "state interface id maxlen group port ttl")
# All that is declared: services as in read_services, a Timeouts or None, state to Daemon or None where the daemons are left alone.
Declaration = namedtuple("Declaration", "services timeouts daemons")


def service_key(service):
    return service[:4]


def destination_key(destination):
    return destination[1:3]


def endpoint(address, port):
    """``address:port`` as ipvsadm writes it, with brackets for IPv6."""
    return "[%s]:%d" % (address, port) if ":" in address else "%s:%d" % (address, port)


def service_name(key):
    """How messages name a service: ``tcp 198.51.100.100:80`` or ``fwmark 5``."""
    family, protocol, address, port = key
    if protocol == "fwmark":
        return "fwmark %d%s" % (port, " (IPv6)" if family == 6 else "")
    return "%s %s" % (protocol, endpoint(address, port))


def default_netmask(family):
    return "255.255.255.255" if family == 4 else "128"


AF = {4: socket.AF_INET, 6: socket.AF_INET6}
# A large table names the same few thousand addresses over and over.
CACHED = 1 << 16


def parse_address(value):
    """(family, canonical text) of an address; ValueError, which says why, where it is none that one host can have on any link."""
    return _parse_address(plain_text(value))


def plain_text(value):
    """The text of a value that is no list, dictionary or the like; "" of what can't be written."""
    try:
        return "" if isinstance(value, (bytes, dict, list, set, tuple)) else str(value)
    except ValueError:  # a number of thousands of digits
        return ""


@functools.lru_cache(CACHED)
def _parse_address(text):
    family = 6 if ":" in text else 4
    try:
        # The C library's rules, by which the kernel's answers are written too; it takes no zone and no leading zeros.
        packed = socket.inet_pton(AF[family], text.strip())
    except (OSError, ValueError):  # ValueError: NUL, or half of a surrogate pair
        raise ValueError("")
    reason = _no_host(family, packed)
    if reason:
        raise ValueError(reason)
    return family, socket.inet_ntop(AF[family], packed)


def _no_host(family, packed):
    """Why an address is none of one host on any link (RFC 6890, RFC 4291), or None."""
    if family == 4:
        if packed[0] >> 4 == 0xE:
            return "224.0.0.0/4 is multicast"
        if packed == b"\xff\xff\xff\xff":
            return "it is the broadcast address"
        return None if packed[0] else "0.0.0.0/8 is this network"
    if packed[0] == 0xFF:
        return "ff00::/8 is multicast"
    if packed[0] == 0xFE and packed[1] >> 6 == 2:
        return "fe80::/10 is of one link, and no table says which"
    if packed[:12] == b"\0" * 10 + b"\xff\xff":
        return "it is an IPv4 address in IPv6 notation; write it as IPv4"
    return None if any(packed) else "it is the unspecified address"


def not_an_address(value, why):
    """The sentence for a value that parse_address refuses with that reason."""
    return "%s is not an IPv4 or IPv6 host address%s" % (shown(value), ": %s" % why if str(why) else "")


@functools.lru_cache(CACHED)
def address_number(text):
    """Sorts addresses as numbers, so that .9 comes before .10, IPv4 first."""
    family = 6 if ":" in text else 4
    return family, socket.inet_pton(AF[family], text)


def whole_number(value):
    """The int that a value or its text stands for, or None. YAML gives both, and a template only text, at times with a line end."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -LARGEST < value < LARGEST else None
    # int() alone takes more than operators mean: 1_0, other scripts' digits, and 010, which YAML has as 8.
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?(0|[1-9][0-9]{0,19})", value.strip()) else None


LARGEST = 10**20  # holds every number of IPVS


class Reader:
    """Takes values out of one declared dict; what is wrong goes to the problems, with the path, and a harmless value comes back."""

    def __init__(self, problems, path, data):
        self.problems, self.path, self.data = problems, path, data

    def wrong(self, field, text):
        self.problems.add("%s.%s" % (self.path, field) if field else self.path, text)

    def get(self, field, default=None):
        value = self.data.get(field)
        return default if value is None else value

    def known(self, fields):
        for field in self.data:
            if field not in fields:
                # A key may be anything that YAML takes for one.
                name = field if isinstance(field, str) and field else shown(field)
                self.wrong(name, "no such option; these are: %s%s" % (", ".join(sorted(fields)), did_you_mean(field, fields)))

    def address(self, field, default=None):
        value = self.get(field, default)
        if value is None:
            self.wrong(field, "an address is missing")
            return None, None
        try:
            return parse_address(value)
        except ValueError as why:
            self.wrong(field, not_an_address(value, why))
            return None, None

    def integer(self, field, default, low, high, unit=""):
        value = self.get(field, default)
        number = whole_number(value)
        if number is None:
            self.wrong(field, "%s is not a whole number" % shown(value))
            return default
        if not low <= number <= high:
            self.wrong(field, "%d is out of range (%d to %d%s)" % (number, low, high, unit))
            return default
        return number

    def seconds(self, field, default, low, high):
        """Seconds in hundredths, as a float."""
        value = self.get(field, default)
        try:
            number = round(float(plain_text(value).strip()), 2)
        except (OverflowError, ValueError):
            number = None
        if number is None or isinstance(value, bool):
            self.wrong(field, "%s is not a number" % shown(value))
            return default
        if not low <= number <= high:
            self.wrong(field, "%s is out of range (%g to %g seconds)" % (shown(value), low, high))
            return default
        return number

    def fraction(self, field, default):
        """A share, from 0 to 1."""
        value = self.get(field, default)
        try:
            number = float(plain_text(value).strip())
        except ValueError:
            number = None
        if number is None or isinstance(value, bool) or not 0 <= number <= 1:
            self.wrong(field, "%s is not a share from 0 to 1" % shown(value))
            return default
        return number

    def choice(self, field, default, choices, hints=None):
        value = self.get(field, default)
        if not isinstance(value, str) or value not in choices:
            hint = (hints or {}).get(value) if isinstance(value, str) else None
            hint = hint or "one of %s is possible" % ", ".join(choices)
            self.wrong(field, "unknown value %s; %s" % (shown(value), hint))
            return default
        return value

    def boolean(self, field, default=False):
        value = self.get(field, default)
        if isinstance(value, str) and value.lower() in ("yes", "true", "on", "no", "false", "off"):
            return value.lower() in ("yes", "true", "on")
        if not isinstance(value, bool):
            self.wrong(field, "%s is neither true nor false" % shown(value))
            return default
        return value

    def list(self, field):
        value = self.get(field, [])
        if not isinstance(value, list):
            self.wrong(field, "a list is needed, not %s" % shown(value))
            return []
        return value

    def inner(self, field, data):
        """The reader of a dict inside this one."""
        return Reader(self.problems, "%s.%s" % (self.path, field), data)


def ipv4_netmask(text):
    """The dotted form of a netmask, a wildcard mask (0.0.0.255) or a prefix length; ValueError where it is none."""
    if "." not in text:
        length = whole_number(text)
        if length is None or not 0 <= length <= 32:
            raise ValueError
        bits = 0xFFFFFFFF ^ (0xFFFFFFFF >> length)
    else:
        try:
            bits = int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
        except (OSError, ValueError):
            raise ValueError
        hosts = bits ^ 0xFFFFFFFF
        # Ones and then zeros: the complement and one more is a power of two. For a wildcard mask it is the mask itself.
        if hosts & (hosts + 1):
            if bits & (bits + 1):
                raise ValueError
            bits = hosts
    return socket.inet_ntoa(bits.to_bytes(4, "big"))


def read_netmask(reader, field, family, value):
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


def read_persistence(reader, family):
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


def read_flags(reader, scheduler, protocol):
    flags = reader.list("scheduler_flags")
    possible = SCHEDULER_FLAGS.get(scheduler, ())
    for flag in flags:
        if flag not in possible:
            what = "it takes %s" % ", ".join(possible) if possible else "it takes none"
            reader.wrong("scheduler_flags", "%s is no flag of scheduler %s; %s" % (shown(flag), scheduler, what))
    flags = {flag for flag in flags if flag in possible}
    if reader.boolean("one_packet"):
        # The kernel takes it for TCP without a word, and then every segment of a connection is scheduled by itself.
        if protocol in ("tcp", "sctp"):
            reader.wrong("one_packet", "one-packet scheduling is for UDP; on %s it would tear connections apart" % protocol)
        flags.add("ops")
    return tuple(sorted(flags))


def refuses_newcomers(scheduler, flags):
    """Why a scheduler refuses new connections that another destination could serve, or None where it does not."""
    if scheduler == "ovf":
        # ip_vs_ovf.c: a destination is passed over once its active connections exceed its weight, the last one too.
        return "scheduler ovf takes a weight for the most connections of a destination, and refuses new ones once all are full"
    if scheduler not in FALLBACK_FLAGS or FALLBACK_FLAGS[scheduler] in flags:
        return None
    flag = FALLBACK_FLAGS[scheduler]
    return "scheduler %s%s refuses new connections that hash to a destination of weight 0, such as a drained or failed one" % (
        scheduler,
        " without %s" % flag if flag else "",
    )


def read_tunnel(reader, forward):
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


def read_service(reader, deleting=False):
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
        family, address = reader.address("address")
        protocol = reader.choice("protocol", "tcp", PROTOCOLS)
        if reader.get("port") is None:
            reader.wrong("port", "a port is missing; 0 stands for every port and needs persistence")
        port = reader.integer("port", 1, 0, 65535)
        if reader.get("family") is not None and reader.get("family") != "ipv%d" % (family or 4):
            reader.wrong("family", "%s is not the address's; only a firewall-mark service needs it" % shown(reader.get("family")))
    scheduler = reader.choice("scheduler", "wlc", SCHEDULERS)
    flags = read_flags(reader, scheduler, protocol)
    persistence, netmask, engine = read_persistence(reader, family or 4)
    if protocol != "fwmark" and port == 0 and reader.get("port") is not None and not persistence and not absent:
        reader.wrong("port", "port 0 stands for every port and works only with persistence; add it, or name a port")
    if engine and protocol not in ("udp", "fwmark"):
        reader.wrong("persistence.engine", "sip reads the Call-ID of UDP packets; this service is %s" % protocol)
    service = Service(family or 4, protocol, address or "", port, scheduler, flags, persistence, netmask, engine)
    items = reader.list("destinations")
    destinations, checked, fallbacks = _plain_destinations(items, service) or _read_destinations(reader, items, service)
    return Wanted(service, destinations, checked, absent, fallbacks)


def _read_destinations(reader, items, service):
    destinations, checked, fallbacks = {}, set(), {}
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


def default_port(service):
    """A destination's port unless said; a firewall-mark service has none, its packets keep theirs."""
    return 0 if service.protocol == "fwmark" else service.port


PLAIN_OPTIONS = {"address", "port", "forward", "weight", "health_checked"}
PLAIN_FORWARDS = ("dr", "nat", "local")


def _plain_destinations(items, service):
    """What _read_destinations gives where nothing is unusual or wrong in any item, at a tenth of its cost; None in all other cases.

    A table of 10,000 destinations is nearly all such items, and reading them would be half of a call.
    """
    destinations, checked, new = {}, set(), tuple.__new__
    own_family, usual = service.family, default_port(service)
    try:
        for item in items:
            get = item.get
            weight, port, forward = get("weight", 1), get("port", usual), get("forward", "dr")
            family, address = _parse_address(item["address"])
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


def read_destination(reader, service):
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
    if family is None:
        return None
    return Destination(family, address, port, forward, weight, upper, lower, tunnel), health_checked


def read_services(data, problems=None, deleting=False):
    """The declared services (a list of dicts, see ipvs_table's options) as a dict of service key to Wanted; all absent with deleting.

    Every error goes to problems, with its path; without a list for them LvsError is raised with all at once.
    """
    found = Problems() if problems is None else problems
    wanted = {}
    root = {}
    if not isinstance(data, (list, tuple)):
        found.add("services", "a list is needed, not %s; [] declares none" % shown(data))
    for index, item in enumerate(data if isinstance(data, (list, tuple)) else ()):
        path = "services[%d]" % index
        if not isinstance(item, dict):
            found.add(path, "a dictionary is needed, not %s" % shown(item))
            continue
        declared = read_service(Reader(found, path, item), deleting)
        key = service_key(declared.service)
        if (key[2] or key[1] == "fwmark") and key in wanted:
            found.add(path, "%s is declared already as %s; remove one" % (service_name(key), root[key]))
        wanted[key] = declared
        root[key] = path
    if problems is None:
        found.raise_if_any(UNUSABLE)
    return wanted


UNUSABLE = "The declared table can't be used"


def read_timeouts(data, problems, path="timeouts"):
    """``{tcp, tcp_fin, udp}`` in seconds, each left out where it stays as it is; a Timeouts, or None where nothing is said."""
    if data is None:
        return None
    if not isinstance(data, dict):
        problems.add(path, "a dictionary with tcp, tcp_fin or udp is needed, not %s" % shown(data))
        return None
    reader = Reader(problems, path, data)
    reader.known(Timeouts._fields)
    return Timeouts(*(0 if reader.get(name) is None else reader.integer(name, 1, 1, MAX_TIMEOUT, " seconds") for name in Timeouts._fields))


def read_daemons(data, problems):
    """The sync daemons that are to run (a list of dicts, see ipvs_table's options): state to Daemon, or None where nothing is said."""
    if data is None:
        return None
    if not isinstance(data, list):
        problems.add("sync_daemons", "a list is needed, not %s" % shown(data))
        return None
    out = {}
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


def _read_daemon(reader, state):
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


INTERFACE = "[!-.0-9;-~]{1,15}"  # what the kernel takes (dev_valid_name), in ASCII


def multicast_address(value):
    """The canonical text of a multicast group, or None where it is none."""
    for family in AF.values():
        try:
            packed = socket.inet_pton(family, str(value).strip())
        except (OSError, ValueError):
            continue
        if packed[0] == 0xFF if len(packed) == 16 else packed[0] >> 4 == 0xE:
            return socket.inet_ntop(family, packed)
    return None


def read_declaration(services, timeouts, sync_daemons, problems, deleting=False):
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


def options_as_dict(named):
    """A Timeouts or Daemon in the words of the options, without what is left to the kernel."""
    return {name: value for name, value in named._asdict().items() if value is not None}


def service_as_dict(entry):
    """An Entry in the words of ipvs_table's options, defaults left out: what is gathered can be declared."""
    service = entry.service
    out = service_options(service)
    out["destinations"] = [destination_as_dict(entry.destinations[key], service) for key in sorted(entry.destinations, key=address_order)]
    return out


def wanted_as_dict(wanted):
    """A Wanted in the words it was declared in, its destinations in their order, every value normalised."""
    out = service_options(wanted.service)
    if wanted.absent:
        out["state"] = "absent"
    out["destinations"] = [destination_as_dict(destination, wanted.service) for destination in wanted.destinations.values()]
    for key, item in zip(wanted.destinations, out["destinations"]):
        if key in wanted.checked:
            item["health_checked"] = True
    out["destinations"] += [{**destination_as_dict(one, wanted.service), "fallback": True} for one in wanted.fallbacks.values()]
    return out


def service_options(service):
    out = {}
    if service.protocol == "fwmark":
        out["firewall_mark"] = service.port
        if service.family == 6:
            out["family"] = "ipv6"
    else:
        out.update(address=service.address, protocol=service.protocol, port=service.port)
    out["scheduler"] = service.scheduler
    flags = [flag for flag in service.flags if flag != "ops"]
    if flags:
        out["scheduler_flags"] = flags
    if "ops" in service.flags:
        out["one_packet"] = True
    if service.persistence:
        out["persistence"] = {"timeout": service.persistence}
        if service.netmask != default_netmask(service.family):
            out["persistence"]["netmask"] = service.netmask
        if service.engine:
            out["persistence"]["engine"] = service.engine
    return out


def destination_as_dict(destination, service):
    out = {"address": destination.address}
    if destination.port != default_port(service):
        out["port"] = destination.port
    out.update(forward=destination.forward, weight=destination.weight)
    if destination.upper:
        out["upper_threshold"] = destination.upper
    if destination.lower:
        out["lower_threshold"] = destination.lower
    if destination.tunnel and destination.tunnel != ("ipip", 0, "none"):
        kind, port, checksum = destination.tunnel
        out["tunnel"] = {"type": kind}
        if port:
            out["tunnel"]["port"] = port
        if checksum != "none":
            out["tunnel"]["checksum"] = checksum
    return out


def address_order(key):
    """Sorts (address, port) keys."""
    return address_number(key[0]), key[1]


def service_order(key):
    family, protocol, address, port = key
    return protocol, (family, b"") if protocol == "fwmark" else address_number(address), port
