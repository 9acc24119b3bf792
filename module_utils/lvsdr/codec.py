# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The IPVS messages of generic netlink, as bytes: pure, no socket.

Attributes are written with one struct call each and read in one pass without a class for an attribute: a table of 1,000 services with
10 destinations is 11,000 messages, and that is what decides how long a call takes.

Sources: include/uapi/linux/ip_vs.h, include/uapi/linux/netlink.h, net/netfilter/ipvs/ip_vs_ctl.c (ip_vs_genl_*).
"""

import socket
import struct

from .model import Destination, Service

# include/uapi/linux/netlink.h, genetlink.h
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x4, 0x300, 0x10
GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 16, 3, 1, 2
FAMILY = "IPVS"
VERSION = 1

# enum of IPVS_CMD_*
NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE = 1, 2, 3, 4
NEW_DEST, SET_DEST, DEL_DEST, GET_DEST = 5, 6, 7, 8
NEW_DAEMON, DEL_DAEMON, GET_DAEMON, SET_CONFIG, GET_CONFIG, GET_INFO, ZERO, FLUSH = 9, 10, 11, 12, 13, 15, 16, 17

ATTR_SERVICE, ATTR_DEST, ATTR_DAEMON, ATTR_TIMEOUT_TCP, ATTR_TIMEOUT_TCP_FIN, ATTR_TIMEOUT_UDP = 1, 2, 3, 4, 5, 6
STATS_FIELDS = ("conns", "inpkts", "outpkts", "inbytes", "outbytes", "cps", "inpps", "outpps", "inbps", "outbps")

PROTOCOL_NUMBERS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": 132}
PROTOCOL_NAMES = {number: name for name, number in PROTOCOL_NUMBERS.items()}
FORWARD_NUMBERS = {"nat": 0, "local": 1, "tunnel": 2, "dr": 3}
FORWARD_NAMES = {0: "nat", 1: "local", 2: "tunnel", 3: "dr", 4: "bypass"}
FORWARD_MASK = 7
TUNNEL_NUMBERS = {"ipip": 0, "gue": 1, "gre": 2}
TUNNEL_NAMES = {number: name for name, number in TUNNEL_NUMBERS.items()}
# GUE and GRE share the flag bits (IP_VS_TUNNEL_ENCAP_FLAG_*).
CHECKSUM_NUMBERS = {"none": 0, "csum": 1, "remcsum": 2}
CHECKSUM_NAMES = {number: name for name, number in CHECKSUM_NUMBERS.items()}

# IP_VS_SVC_F_*. The kernel adds HASHED (2) to what it shows; it is masked away.
PERSISTENT, ONEPACKET, SCHED1, SCHED2 = 0x1, 0x4, 0x8, 0x10
FLAG_BITS = {"ops": ONEPACKET, "sh-fallback": SCHED1, "sh-port": SCHED2, "mh-fallback": SCHED1, "mh-port": SCHED2}

_HEADER = struct.Struct("=IHHIIBBH")  # nlmsghdr and genlmsghdr
_NLA = struct.Struct("=HH")
_U8 = struct.Struct("=HHBxxx")
_U16 = struct.Struct("=HHHxx")
_U32 = struct.Struct("=HHI")
_ADDRESS = struct.Struct("=HH16s")
_FLAGS = struct.Struct("=HHII")
_GET_U16 = struct.Struct("=H").unpack_from
_GET_U32 = struct.Struct("=I").unpack_from
_GET_U64 = struct.Struct("=Q").unpack_from


def text_attribute(kind, text):
    data = text.encode() + b"\0"
    return _NLA.pack(len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def nested(kind, payload):
    return _NLA.pack(len(payload) + 4, kind) + payload


def message(family_id, command, payload=b"", flags=NLM_F_REQUEST, sequence=0):
    return _HEADER.pack(20 + len(payload), family_id, flags, sequence, 0, command, VERSION, 0) + payload


def get_family_message(sequence):
    return message(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, text_attribute(CTRL_ATTR_FAMILY_NAME, FAMILY), NLM_F_REQUEST | NLM_F_ACK, sequence)


def pack_address(family, address):
    """16 bytes, as in union nf_inet_addr."""
    if family == 6:
        return socket.inet_pton(socket.AF_INET6, address)
    return socket.inet_aton(address) + b"\0" * 12


def unpack_address(family, data):
    if family == 6:
        return socket.inet_ntop(socket.AF_INET6, data[:16])
    return socket.inet_ntoa(data[:4])


def _af(family):
    return socket.AF_INET6 if family == 6 else socket.AF_INET


def encode_service_key(key):
    """The IPVS_CMD_ATTR_SERVICE attribute that names a service and no more."""
    return nested(ATTR_SERVICE, _service_key_payload(key))


def _service_key_payload(key):
    family, protocol, address, port = key
    if protocol == "fwmark":
        return _U16.pack(6, 1, _af(family)) + _U32.pack(8, 5, port)
    return b"".join(
        (
            _U16.pack(6, 1, _af(family)),
            _U16.pack(6, 2, PROTOCOL_NUMBERS[protocol]),
            _ADDRESS.pack(20, 3, pack_address(family, address)),
            _U16.pack(6, 4, socket.htons(port)),
        )
    )


def encode_service(service):
    """The full attribute for NEW_SERVICE and SET_SERVICE; a set replaces everything, so everything is in it."""
    bits = PERSISTENT if service.persistence else 0
    for flag in service.flags:
        bits |= FLAG_BITS[flag]
    netmask = _GET_U32(socket.inet_aton(service.netmask))[0] if service.family == 4 else int(service.netmask)
    payload = [
        _service_key_payload(service[:4]),
        text_attribute(6, service.scheduler),
        _FLAGS.pack(12, 7, bits, 0xFFFFFFFF),
        _U32.pack(8, 8, service.persistence),
        _U32.pack(8, 9, netmask),
    ]
    if service.engine:
        payload.append(text_attribute(11, service.engine))
    return nested(ATTR_SERVICE, b"".join(payload))


def encode_destination(destination, key_only=False):
    payload = [
        _ADDRESS.pack(20, 1, pack_address(destination.family, destination.address)),
        _U16.pack(6, 2, socket.htons(destination.port)),
        _U16.pack(6, 11, _af(destination.family)),
    ]
    if not key_only:
        payload += [
            _U32.pack(8, 3, FORWARD_NUMBERS[destination.forward]),
            _U32.pack(8, 4, destination.weight),
            _U32.pack(8, 5, destination.upper),
            _U32.pack(8, 6, destination.lower),
        ]
        if destination.tunnel:
            kind, port, checksum = destination.tunnel
            payload += [
                _U8.pack(5, 13, TUNNEL_NUMBERS[kind]),
                _U16.pack(6, 14, socket.htons(port)),
                _U16.pack(6, 15, CHECKSUM_NUMBERS[checksum]),
            ]
    return nested(ATTR_DEST, b"".join(payload))


def messages(data):
    """(type, flags, sequence, payload offset, end) of each netlink message in a buffer; the payload of a
    generic netlink message begins with its 4-byte header."""
    offset, size = 0, len(data)
    while offset + 16 <= size:
        length, kind, flags, sequence, _port = struct.unpack_from("=IHHII", data, offset)
        if length < 16:
            break
        yield kind, flags, sequence, offset + 16, offset + length
        offset += (length + 3) & ~3


def attributes(data, offset, end):
    """Attribute type to (start, end) of its value."""
    found = {}
    while offset + 4 <= end:
        length, kind = _NLA.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = (offset + 4, offset + length)
        offset += (length + 3) & ~3
    return found


def _text(data, span):
    return data[span[0] : span[1]].rstrip(b"\0").decode()


def _u16(data, span):
    return _GET_U16(data, span[0])[0]


def _u32(data, span):
    return _GET_U32(data, span[0])[0]


def decode_stats(data, span64, span32):
    """The counters of a service or destination: a dict of STATS_FIELDS; rates are per second."""
    found = attributes(data, *(span64 or span32))
    out = {}
    for index, name in enumerate(STATS_FIELDS, 1):
        if index in found:
            start, end = found[index]
            out[name] = (_GET_U64 if end - start == 8 else _GET_U32)(data, start)[0]
    return out


def decode_service(data, offset, end, stats=False):
    """A Service from the attributes of one GET_SERVICE answer; with stats, (Service, counters)."""
    outer = attributes(data, offset, end)
    found = attributes(data, *outer[ATTR_SERVICE])
    family = 6 if _u16(data, found[1]) == socket.AF_INET6 else 4
    scheduler = _text(data, found[6]) if 6 in found else ""
    bits = _u32(data, found[7])
    flags = ["ops"] if bits & ONEPACKET else []
    if scheduler in ("sh", "mh"):
        flags += [scheduler + name for bit, name in ((SCHED1, "-fallback"), (SCHED2, "-port")) if bits & bit]
    netmask = _u32(data, found[9])
    netmask = socket.inet_ntoa(struct.pack("=I", netmask)) if family == 4 else str(netmask)
    if 5 in found:
        key = (family, "fwmark", "", _u32(data, found[5]))
    else:
        protocol = _u16(data, found[2])
        address = unpack_address(family, data[found[3][0] : found[3][1]])
        key = (family, PROTOCOL_NAMES.get(protocol, str(protocol)), address, socket.ntohs(_u16(data, found[4])))
    # Without the flag the kernel ignores the timeout it stores.
    persistence = _u32(data, found[8]) if bits & PERSISTENT else 0
    engine = _text(data, found[11]) if 11 in found else ""
    service = Service(*key, scheduler, tuple(sorted(flags)), persistence, netmask, engine)
    return (service, decode_stats(data, found.get(12), found.get(10))) if stats else service


def decode_destination(data, offset, end, service_family, stats=False):
    """(Destination, (active, inactive, persistent) connections[, counters]) from one GET_DEST answer."""
    outer = attributes(data, offset, end)
    found = attributes(data, *outer[ATTR_DEST])
    family = service_family
    if 11 in found:
        family = 6 if _u16(data, found[11]) == socket.AF_INET6 else 4
    forward = FORWARD_NAMES.get(_u32(data, found[3]) & FORWARD_MASK, "unknown")
    tunnel = ()
    if forward == "tunnel":
        tunnel = ("ipip", 0, "none")
        if 13 in found:
            tunnel = (
                TUNNEL_NAMES.get(data[found[13][0]], "unknown"),
                socket.ntohs(_u16(data, found[14])),
                CHECKSUM_NAMES.get(_u16(data, found[15]), "unknown"),
            )
    destination = Destination(
        family,
        unpack_address(family, data[found[1][0] : found[1][1]]),
        socket.ntohs(_u16(data, found[2])),
        forward,
        _u32(data, found[4]),
        _u32(data, found[5]),
        _u32(data, found[6]),
        tunnel,
    )
    connections = (_u32(data, found[7]), _u32(data, found[8]), _u32(data, found[9]))
    if stats:
        return destination, connections, decode_stats(data, found.get(12), found.get(10))
    return destination, connections


def encode_timeouts(tcp, tcp_fin, udp):
    """Payload of SET_CONFIG, in seconds; 0 keeps what is."""
    return _U32.pack(8, 4, tcp) + _U32.pack(8, 5, tcp_fin) + _U32.pack(8, 6, udp)


def decode_timeouts(data, offset, end):
    found = attributes(data, offset, end)
    return {"tcp": _u32(data, found[4]), "tcp_fin": _u32(data, found[5]), "udp": _u32(data, found[6])}


def decode_daemon(data, offset, end):
    """One sync daemon from a GET_DAEMON answer."""
    found = attributes(data, *attributes(data, offset, end)[ATTR_DAEMON])
    out = {
        "state": {1: "master", 2: "backup"}.get(_u32(data, found[1]), "unknown"),
        "interface": _text(data, found[2]),
        "id": _u32(data, found[3]),
    }
    if 4 in found:
        out["maxlen"] = _u16(data, found[4])
    if 5 in found:
        out["group"] = socket.inet_ntoa(data[found[5][0] : found[5][0] + 4])
    if 6 in found:
        out["group"] = socket.inet_ntop(socket.AF_INET6, data[found[6][0] : found[6][0] + 16])
    if 7 in found:
        out["port"] = _u16(data, found[7])
    if 8 in found:
        out["ttl"] = data[found[8][0]]
    return out


def decode_info(data, offset, end):
    """Kernel's IPVS version as text and the size of its connection table."""
    found = attributes(data, offset, end)
    version = _u32(data, found[1])
    return {"version": "%d.%d.%d" % (version >> 16 & 255, version >> 8 & 255, version & 255), "connection_table_size": _u32(data, found[2])}
