# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an IPVS table is: services, destinations, timeouts and connection sync daemons. Pure.

A table is a dict of service key to Entry. A service key is ``(family, protocol, address, port)``, where a firewall-mark service has
the protocol ``fwmark``, the address ``""`` and the mark in the place of the port. A destination key is ``(address, port)``.
Everything here is plain data: comparing two services is comparing two tuples.

Sources: include/uapi/linux/ip_vs.h, net/netfilter/ipvs/ip_vs_ctl.c, ipvsadm(8).
"""

from collections import namedtuple

from ansible.module_utils.lvsdr.addresses import address_number, endpoint

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos")
# What the three scheduler flag bits of a service mean depends on its scheduler (IP_VS_SVC_F_SCHED1 to 3).
SCHEDULER_FLAGS = {"sh": ("sh-fallback", "sh-port"), "mh": ("mh-fallback", "mh-port")}
# These keep a destination of weight 0 in their hash table and refuse the new connections that fall on it, unless the flag sends them on
# (ip_vs_mh.c, ip_vs_sh.c: ip_vs_*_get_fallback). dh has no such flag (ip_vs_dh.c).
FALLBACK_FLAGS = {"sh": "sh-fallback", "mh": "mh-fallback", "dh": None}
PROTOCOLS = ("tcp", "udp", "sctp")
FORWARDS = ("dr", "nat", "tunnel", "local")
TUNNELS = ("ipip", "gue", "gre")


MAX_WEIGHT = 2147483647  # a u32 that the kernel takes for a signed number
MAX_PERSISTENCE = 31 * 24 * 3600  # ipvsadm(8)'s own limit
MAX_TIMEOUT = 2147483  # the kernel's INT_MAX / HZ, with the highest HZ there is


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


def service_name(key):
    """How messages name a service: ``tcp 198.51.100.100:80`` or ``fwmark 5``."""
    family, protocol, address, port = key
    if protocol == "fwmark":
        return "fwmark %d%s" % (port, " (IPv6)" if family == 6 else "")
    return "%s %s" % (protocol, endpoint(address, port))


def default_netmask(family):
    return "255.255.255.255" if family == 4 else "128"


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


def default_port(service):
    """A destination's port unless said; a firewall-mark service has none, its packets keep theirs."""
    return 0 if service.protocol == "fwmark" else service.port


def address_order(key):
    """Sorts (address, port) keys."""
    return address_number(key[0]), key[1]


def service_order(key):
    family, protocol, address, port = key
    return protocol, (family, b"") if protocol == "fwmark" else address_number(address), port
