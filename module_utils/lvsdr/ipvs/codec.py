# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The IPVS messages of generic netlink, as bytes: pure, no socket.

A destination is written with one struct call, and all destinations of a datagram are read with one where the kernel laid them out as all
kernels since 5.3 do: a table of 1,000 services with 10 destinations is 11,000 messages, and that is what decides how long a call takes.
Whatever is laid out otherwise is read attribute by attribute.

Sources: include/uapi/linux/ip_vs.h, include/uapi/linux/netlink.h, net/netfilter/ipvs/ip_vs_ctl.c (ip_vs_genl_*).
"""

from __future__ import annotations

import functools
import socket
import struct
from socket import htons, ntohs
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import AF, CACHED
from ansible.module_utils.lvsdr.ipvs.types import SCHEDULER_FLAGS, Daemon, Destination, Service, Timeouts, default_netmask, service_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible.module_utils.lvsdr.ipvs.types import Counts, ServiceKey

# include/uapi/linux/netlink.h, genetlink.h
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_MULTI, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x2, 0x4, 0x300, 0x10
GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 16, 3, 1, 2
FAMILY = "IPVS"
VERSION = 1

# enum of IPVS_CMD_*
NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE = 1, 2, 3, 4
NEW_DEST, SET_DEST, DEL_DEST, GET_DEST = 5, 6, 7, 8
NEW_DAEMON, DEL_DAEMON, GET_DAEMON, SET_CONFIG, GET_CONFIG, GET_INFO, ZERO, FLUSH = 9, 10, 11, 12, 13, 15, 16, 17

ATTR_SERVICE, ATTR_DEST, ATTR_DAEMON, ATTR_TIMEOUT_TCP, ATTR_TIMEOUT_TCP_FIN, ATTR_TIMEOUT_UDP = 1, 2, 3, 4, 5, 6
STATS_FIELDS = ("conns", "inpkts", "outpkts", "inbytes", "outbytes", "cps", "inpps", "outpps", "inbps", "outbps")

FAMILIES = {int(number): family for family, number in AF.items()}
PROTOCOL_NUMBERS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": 132}
PROTOCOL_NAMES = {number: name for name, number in PROTOCOL_NUMBERS.items()}
FORWARD_NUMBERS = {"nat": 0, "local": 1, "tunnel": 2, "dr": 3}
FORWARD_NAMES = {0: "nat", 1: "local", 2: "tunnel", 3: "dr", 4: "bypass"}
FORWARD_MASK, TUNNEL = 7, 2
TUNNEL_NUMBERS = {"ipip": 0, "gue": 1, "gre": 2}
TUNNEL_NAMES = {number: name for name, number in TUNNEL_NUMBERS.items()}
# GUE and GRE share the flag bits (IP_VS_TUNNEL_ENCAP_FLAG_*).
CHECKSUM_NUMBERS = {"none": 0, "csum": 1, "remcsum": 2}
CHECKSUM_NAMES = {number: name for name, number in CHECKSUM_NUMBERS.items()}

# IP_VS_STATE_*
DAEMON_NUMBERS = {"master": 1, "backup": 2}
DAEMON_NAMES = {number: name for name, number in DAEMON_NUMBERS.items()}

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


def text_attribute(kind: int, text: str) -> bytes:
    data = text.encode() + b"\0"
    return _NLA.pack(len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def nested(kind: int, payload: bytes) -> bytes:
    return _NLA.pack(len(payload) + 4, kind) + payload


def message(family_id: int, command: int, payload: bytes = b"", flags: int = NLM_F_REQUEST, sequence: int = 0) -> bytes:
    return _HEADER.pack(20 + len(payload), family_id, flags, sequence, 0, command, VERSION, 0) + payload


def get_family_message(sequence: int) -> bytes:
    return message(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, text_attribute(CTRL_ATTR_FAMILY_NAME, FAMILY), NLM_F_REQUEST | NLM_F_ACK, sequence)


@functools.lru_cache(CACHED)
def pack_address(family: int, address: str) -> bytes:
    """16 bytes, as in union nf_inet_addr."""
    return socket.inet_pton(AF[family], address).ljust(16, b"\0")


@functools.lru_cache(CACHED)
def unpack_address(family: int, data: bytes) -> str:
    return socket.inet_ntop(AF[family], data[: 16 if family == 6 else 4])


# A destination's request names its service, and those of a service follow each other.
@functools.lru_cache(16)
def encode_service_key(key: ServiceKey) -> bytes:
    """The IPVS_CMD_ATTR_SERVICE attribute that names a service and no more."""
    return nested(ATTR_SERVICE, _service_key_payload(key))


def _service_key_payload(key: ServiceKey) -> bytes:
    family, protocol, address, port = key
    if protocol == "fwmark":
        return _U16.pack(6, 1, AF[family]) + _U32.pack(8, 5, port)
    return b"".join(
        (
            _U16.pack(6, 1, AF[family]),
            _U16.pack(6, 2, PROTOCOL_NUMBERS[protocol]),
            _ADDRESS.pack(20, 3, pack_address(family, address)),
            _U16.pack(6, 4, htons(port)),
        )
    )


def encode_service(service: Service) -> bytes:
    """The full attribute for NEW_SERVICE and SET_SERVICE; a set replaces everything, so everything is in it."""
    bits = PERSISTENT if service.persistence else 0
    for flag in service.flags:
        bits |= FLAG_BITS[flag]
    netmask = _GET_U32(socket.inet_aton(service.netmask))[0] if service.family == 4 else int(service.netmask)
    payload = [
        _service_key_payload(service_key(service)),
        text_attribute(6, service.scheduler),
        _FLAGS.pack(12, 7, bits, 0xFFFFFFFF),
        _U32.pack(8, 8, service.persistence),
        _U32.pack(8, 9, netmask),
    ]
    if service.engine:
        payload.append(text_attribute(11, service.engine))
    return nested(ATTR_SERVICE, b"".join(payload))


# IPVS_CMD_ATTR_DEST: address, port and family name a destination; forwarding, weight and thresholds are what it is.
_DESTINATION_KEY = struct.Struct("=HH HH16s HHH2x HHH2x")
_DESTINATION = struct.Struct(_DESTINATION_KEY.format + " HHI HHI HHI HHI")


def encode_destination_key(destination: Destination) -> bytes:
    family, address, port = destination[:3]
    return _DESTINATION_KEY.pack(
        _DESTINATION_KEY.size, ATTR_DEST, 20, 1, pack_address(family, address), 6, 2, htons(port), 6, 11, AF[family]
    )


def encode_destination(destination: Destination) -> bytes:
    """The full attribute for NEW_DEST and SET_DEST."""
    family, address, port, forward, weight, upper, lower, tunnel = destination
    more = b""
    if tunnel:
        kind, tunnel_port, checksum = tunnel
        more = _U8.pack(5, 13, TUNNEL_NUMBERS[kind]) + _U16.pack(6, 14, htons(tunnel_port))
        more += _U16.pack(6, 15, CHECKSUM_NUMBERS[checksum])
    return (
        _DESTINATION.pack(
            _DESTINATION.size + len(more), ATTR_DEST, 20, 1, pack_address(family, address), 6, 2, htons(port), 6, 11, AF[family],
            8, 3, FORWARD_NUMBERS[forward], 8, 4, weight, 8, 5, upper, 8, 6, lower,
        )
        + more
    )  # fmt: skip


def messages(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """(type, flags, sequence, payload offset, end) of each netlink message in a buffer; the payload of a
    generic netlink message begins with its 4-byte header."""
    offset, size = 0, len(data)
    while offset + 16 <= size:
        length, kind, flags, sequence, _port = struct.unpack_from("=IHHII", data, offset)
        if length < 16:
            break
        yield kind, flags, sequence, offset + 16, offset + length
        offset += (length + 3) & ~3


def attributes(data: bytes, offset: int, end: int) -> dict[int, tuple[int, int]]:
    """Attribute type to (start, end) of its value."""
    found: dict[int, tuple[int, int]] = {}
    while offset + 4 <= end:
        length, kind = _NLA.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = (offset + 4, offset + length)
        offset += (length + 3) & ~3
    return found


def _text(data: bytes, span: tuple[int, int]) -> str:
    return data[span[0] : span[1]].rstrip(b"\0").decode(errors="replace")


def _u16(data: bytes, span: tuple[int, int]) -> int:
    value: int = _GET_U16(data, span[0])[0]
    return value


def _u32(data: bytes, span: tuple[int, int]) -> int:
    value: int = _GET_U32(data, span[0])[0]
    return value


def decode_service_counters(data: bytes, offset: int, end: int) -> dict[str, int]:
    return _decode_counters(data, attributes(data, offset, end)[ATTR_SERVICE])


def decode_destination_counters(data: bytes, offset: int, end: int) -> dict[str, int]:
    return _decode_counters(data, attributes(data, offset, end)[ATTR_DEST])


def _decode_counters(data: bytes, span: tuple[int, int]) -> dict[str, int]:
    """The counters of a service or destination: a dict of STATS_FIELDS; rates are per second."""
    found = attributes(data, *span)
    # Kernels before 4.1 have only those of 32 bits.
    found = attributes(data, *(found.get(12) or found[10]))
    out: dict[str, int] = {}
    for index, name in enumerate(STATS_FIELDS, 1):
        if index in found:
            start, end = found[index]
            out[name] = (_GET_U64 if end - start == 8 else _GET_U32)(data, start)[0]
    return out


# How the kernel begins a service without a firewall mark (ip_vs_genl_fill_service): family, protocol, address, port, and the header of
# the scheduler's name; and what follows a name where no persistence engine does: flags with their mask, timeout, netmask, counters.
_SERVICE_START = struct.Struct("=IH2xIH2xI16sIH2xHH")
_SERVICE_START_HEADERS = tuple(_GET_U32(_NLA.pack(size, kind))[0] for size, kind in ((6, 1), (6, 2), (20, 3), (6, 4)))
_SERVICE_END = struct.Struct("=II4xIIII2xH")
_STATS = 10
_SERVICE_END_HEADERS = tuple(_GET_U32(_NLA.pack(size, kind))[0] for size, kind in ((12, 7), (8, 8), (8, 9)))


def decode_service(data: bytes, offset: int, end: int) -> Service:
    """A Service from the attributes of one GET_SERVICE answer."""
    if end - offset >= 4 + _SERVICE_START.size:
        row = _SERVICE_START.unpack_from(data, offset + 4)
        size = row[8]
        name = offset + 4 + _SERVICE_START.size
        after = name - 4 + ((size + 3) & ~3)
        if row[:8:2] == _SERVICE_START_HEADERS and row[9] == 6 and after + _SERVICE_END.size <= end:
            rest = _SERVICE_END.unpack_from(data, after)
            if rest[:6:2] == _SERVICE_END_HEADERS and rest[6] & 0x3FFF == _STATS:
                af, protocol, address, port = row[1:8:2]
                protocol = PROTOCOL_NAMES.get(protocol, str(protocol))
                key = (FAMILIES[af], protocol, unpack_address(FAMILIES[af], address), ntohs(port))
                bits, timeout, netmask = rest[1:6:2]
                return _service(key, _text(data, (name, name - 4 + size)), bits, timeout, netmask, "")
    found = attributes(data, *attributes(data, offset, end)[ATTR_SERVICE])
    family = FAMILIES.get(_u16(data, found[1]), 4)
    if 5 in found:
        key = (family, "fwmark", "", _u32(data, found[5]))
    else:
        protocol = _u16(data, found[2])
        address = unpack_address(family, data[found[3][0] : found[3][1]])
        key = (family, PROTOCOL_NAMES.get(protocol, str(protocol)), address, ntohs(_u16(data, found[4])))
    scheduler = _text(data, found[6]) if 6 in found else ""
    engine = _text(data, found[11]) if 11 in found else ""
    return _service(key, scheduler, _u32(data, found[7]), _u32(data, found[8]), _u32(data, found[9]), engine)


def _service(key: ServiceKey, scheduler: str, bits: int, timeout: int, netmask: int, engine: str) -> Service:
    # Without the flag the kernel ignores the timeout and the netmask that it stores.
    family, protocol, address, port = key
    seconds, mask = (timeout, _netmask(family, netmask)) if bits & PERSISTENT else (0, default_netmask(family))
    return Service(family, protocol, address, port, scheduler, _service_flags(scheduler, bits), seconds, mask, engine)


@functools.lru_cache(CACHED)
def _service_flags(scheduler: str, bits: int) -> tuple[str, ...]:
    flags = ["ops"] if bits & ONEPACKET else []
    if scheduler in SCHEDULER_FLAGS:
        flags += [scheduler + name for bit, name in ((SCHED1, "-fallback"), (SCHED2, "-port")) if bits & bit]
    return tuple(sorted(flags))


@functools.lru_cache(CACHED)
def _netmask(family: int, netmask: int) -> str:
    return socket.inet_ntoa(struct.pack("=I", netmask)) if family == 4 else str(netmask)


# What the kernel writes of a destination (ip_vs_genl_fill_dest), in its order: (bytes with the header, type, format of the value).
_ROW = (
    (20, 1, "16s"), (6, 2, "H2x"), (8, 3, "I"), (8, 4, "I"), (5, 13, "B3x"), (6, 14, "H2x"), (6, 15, "H2x"), (8, 5, "I"), (8, 6, "I"),
    (8, 7, "I"), (8, 8, "I"), (8, 9, "I"), (6, 11, "H2x"),
)  # fmt: skip
_ROW_FORMAT = "".join("4x" + value for _size, _kind, value in _ROW)
_ROW_HEADERS = tuple(_GET_U32(_NLA.pack(size, kind))[0] for size, kind, _value in _ROW)
_ROW_HEADERS_OF = struct.Struct("=" + "".join("I%dx" % (((size + 3) & ~3) - 4) for size, _kind, _value in _ROW)).unpack_from
_ROW_SIZE = sum((size + 3) & ~3 for size, _kind, _value in _ROW)
# In front of it: nlmsghdr (length, type, flags, sequence, sender), genlmsghdr and the header of the nest.
_ROW_START = 24


@functools.lru_cache(CACHED)
def _row_struct(size: int) -> struct.Struct:
    """A whole GET_DEST message of this many bytes; its counters, which have no fixed length, are passed over."""
    return struct.Struct("=IHHI12x%s%dx" % (_ROW_FORMAT, size - _ROW_START - _ROW_SIZE))


def decode_destinations(data: bytes, sequence: int, family_id: int) -> list[tuple[Destination, Counts]] | None:
    """All answers of one datagram of a GET_DEST dump at once, as decode_destination gives them; None where they are not laid out as
    kernels since 5.3 do it, or where anything else is among them."""
    size = _GET_U32(data)[0]
    # A kernel has one layout. It is looked at in the first message, and that the others are of the same size and kind.
    if size < _ROW_START + _ROW_SIZE or size % 4 or len(data) % size or _ROW_HEADERS_OF(data, _ROW_START) != _ROW_HEADERS:
        return None
    start = (size, family_id, NLM_F_MULTI, sequence)
    out, new = [], tuple.__new__
    for row in _row_struct(size).iter_unpack(data):
        if row[:4] != start:
            return None
        address, port, forward, weight, kind, tunnel_port, checksum, upper, lower, active, inactive, persistent, af = row[4:]
        forward &= FORWARD_MASK
        tunnel = _tunnel(kind, tunnel_port, checksum) if forward == TUNNEL else ()
        family = FAMILIES[af]
        # A namedtuple's own constructor takes three times as long.
        found = (family, unpack_address(family, address), ntohs(port), FORWARD_NAMES.get(forward, "unknown"), weight, upper, lower, tunnel)
        out.append((new(Destination, found), (active, inactive, persistent)))
    return out


def decode_destination(data: bytes, offset: int, end: int, service_family: int) -> tuple[Destination, Counts]:
    """(Destination, (active, inactive, persistent) connections) from one GET_DEST answer."""
    found = attributes(data, *attributes(data, offset, end)[ATTR_DEST])
    # Kernels before 3.18 name no family of its own, those before 5.3 no tunnel.
    af = _u16(data, found[11]) if 11 in found else AF[service_family]
    encapsulation = (data[found[13][0]], _u16(data, found[14]), _u16(data, found[15])) if 13 in found else (0, 0, 0)
    bits, weight, upper, lower, active, inactive, persistent = (_u32(data, found[kind]) for kind in range(3, 10))
    forward = bits & FORWARD_MASK
    family = FAMILIES.get(af, 4)
    address = unpack_address(family, data[found[1][0] : found[1][1]])
    port, tunnel = ntohs(_u16(data, found[2])), _tunnel(*encapsulation) if forward == TUNNEL else ()
    destination = Destination(family, address, port, FORWARD_NAMES.get(forward, "unknown"), weight, upper, lower, tunnel)
    return destination, (active, inactive, persistent)


def _tunnel(kind: int, port: int, checksum: int) -> tuple[str, int, str]:
    return TUNNEL_NAMES.get(kind, "unknown"), ntohs(port), CHECKSUM_NAMES.get(checksum, "unknown")


def encode_timeouts(timeouts: Timeouts) -> bytes:
    """Payload of SET_CONFIG for a Timeouts."""
    return _U32.pack(8, ATTR_TIMEOUT_TCP, timeouts.tcp) + _U32.pack(8, ATTR_TIMEOUT_TCP_FIN, timeouts.tcp_fin) + (
        _U32.pack(8, ATTR_TIMEOUT_UDP, timeouts.udp)
    )  # fmt: skip


def decode_timeouts(data: bytes, offset: int, end: int) -> Timeouts:
    found = attributes(data, offset, end)
    return Timeouts(*(_u32(data, found[kind]) for kind in (ATTR_TIMEOUT_TCP, ATTR_TIMEOUT_TCP_FIN, ATTR_TIMEOUT_UDP)))


def encode_daemon(daemon: Daemon) -> bytes:
    """The attribute for NEW_DAEMON, in which what is None is left to the kernel, and for DEL_DAEMON, which needs the state alone."""
    payload = [
        _U32.pack(8, 1, DAEMON_NUMBERS[daemon.state]), text_attribute(2, daemon.interface), _U32.pack(8, 3, daemon.id),
    ]  # fmt: skip
    if daemon.maxlen is not None:
        payload.append(_U16.pack(6, 4, daemon.maxlen))
    if daemon.group is not None:
        kind, family = (6, socket.AF_INET6) if ":" in daemon.group else (5, socket.AF_INET)
        payload.append(nested(kind, socket.inet_pton(family, daemon.group)))
    if daemon.port is not None:
        payload.append(_U16.pack(6, 7, daemon.port))
    if daemon.ttl is not None:
        payload.append(_U8.pack(5, 8, daemon.ttl))
    return nested(ATTR_DAEMON, b"".join(payload))


def decode_daemon(data: bytes, offset: int, end: int) -> Daemon:
    """The Daemon of a GET_DAEMON answer; kernels before 4.3 report state, interface and id alone."""
    found = attributes(data, *attributes(data, offset, end)[ATTR_DAEMON])
    group = None
    for kind, family, size in ((5, socket.AF_INET, 4), (6, socket.AF_INET6, 16)):
        if kind in found:
            group = socket.inet_ntop(family, data[found[kind][0] : found[kind][0] + size])
    return Daemon(
        DAEMON_NAMES.get(_u32(data, found[1]), "unknown"), _text(data, found[2]), _u32(data, found[3]),
        _u16(data, found[4]) if 4 in found else None, group, _u16(data, found[7]) if 7 in found else None,
        data[found[8][0]] if 8 in found else None,
    )  # fmt: skip


def decode_info(data: bytes, offset: int, end: int) -> dict[str, Any]:
    """Kernel's IPVS version as text and the size of its connection table."""
    found = attributes(data, offset, end)
    version = _u32(data, found[1])
    return {"version": "%d.%d.%d" % (version >> 16 & 255, version >> 8 & 255, version & 255), "connection_table_size": _u32(data, found[2])}
