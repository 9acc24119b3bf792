"""An IPVS kernel in memory, which talks generic netlink in bytes: it stands in for the socket of ``kernel.connect()``.

It shares no code with the product. Numbers and layouts are transcribed from include/uapi/linux/{netlink,genetlink,ip_vs}.h, and what it
answers follows net/netfilter/ipvs/ip_vs_ctl.c (ip_vs_genl_*) and net/netlink/af_netlink.c. tests/kernel holds the product to the same
contract on a real kernel; where the two differ, this one is wrong.

A test looks at, and sets up, ``kernel.services``: ``{"tcp 198.51.100.100:80": Service}``, with ``.destinations`` of the same form.
"""

import errno
import ipaddress
import os
import socket
import struct
import zlib
from collections import deque
from dataclasses import dataclass, field

NLMSG_ERROR, NLMSG_DONE = 2, 3
F_MULTI, F_ACK, F_DUMP_INTR, F_CAPPED, F_DUMP = 0x2, 0x4, 0x10, 0x100, 0x300
CTRL, CTRL_NEWFAMILY, CTRL_GETFAMILY, CTRL_ID, CTRL_NAME = 16, 1, 3, 1, 2
FAMILY_ID = 27  # given out at run time, so any number will do
INET, INET6 = 2, 10

(NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE, NEW_DEST, SET_DEST, DEL_DEST, GET_DEST, NEW_DAEMON, DEL_DAEMON, GET_DAEMON,
 SET_CONFIG, GET_CONFIG, SET_INFO, GET_INFO, ZERO, FLUSH) = range(1, 18)  # fmt: skip
CHANGES = (NEW_SERVICE, SET_SERVICE, DEL_SERVICE, NEW_DEST, SET_DEST, DEL_DEST, NEW_DAEMON, DEL_DAEMON, SET_CONFIG, ZERO, FLUSH)
A_SERVICE, A_DEST, A_DAEMON, A_TCP, A_TCP_FIN, A_UDP = range(1, 7)
(S_AF, S_PROTOCOL, S_ADDR, S_PORT, S_FWMARK, S_SCHED, S_FLAGS, S_TIMEOUT, S_NETMASK, S_STATS, S_PE, S_STATS64) = range(1, 13)
(D_ADDR, D_PORT, D_FWD, D_WEIGHT, D_UPPER, D_LOWER, D_ACTIVE, D_INACTIVE, D_PERSISTENT, D_STATS, D_AF, D_STATS64, D_TUN_TYPE, D_TUN_PORT,
 D_TUN_FLAGS) = range(1, 16)  # fmt: skip
M_STATE, M_IFN, M_ID, M_MAXLEN, M_GROUP, M_GROUP6, M_PORT, M_TTL = range(1, 9)
HASHED, TUNNEL, GUE = 0x2, 2, 1

NAMES = {6: "tcp", 17: "udp", 132: "sctp"}


@dataclass
class Destination:
    family: int
    address: str
    port: int
    forward: int = 3
    weight: int = 1
    upper: int = 0
    lower: int = 0
    tunnel: tuple = (0, 0, 0)  # type, port, flags
    connections: tuple = (0, 0, 0)
    stats: tuple = (0,) * 10


@dataclass
class Service:
    family: int
    protocol: int
    address: str
    port: int
    mark: int = 0
    scheduler: str = "wlc"
    flags: int = HASHED
    timeout: int = 0
    netmask: str = "255.255.255.255"
    engine: str = ""
    stats: tuple = (0,) * 10
    destinations: dict = field(default_factory=dict)


def name_of(thing):
    if getattr(thing, "mark", 0):
        return "fwmark%s %d" % ("6" if thing.family == INET6 else "", thing.mark)
    endpoint = ("[%s]:%d" if thing.family == INET6 else "%s:%d") % (thing.address, thing.port)
    return "%s %s" % (NAMES[thing.protocol], endpoint) if isinstance(thing, Service) else endpoint


class Refused(Exception):
    """The request is answered with this errno."""


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def u16(kind, value):
    return attribute(kind, struct.pack("=H", value))


def be16(kind, value):
    return attribute(kind, struct.pack(">H", value))


def u32(kind, value):
    return attribute(kind, struct.pack("=I", value))


def text(kind, value):
    return attribute(kind, value.encode() + b"\0")


def address(kind, value):
    return attribute(kind, ipaddress.ip_address(value).packed.ljust(16, b"\0"))


def message(kind, flags, sequence, payload):
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, 4711) + payload


def split(data):
    """Attribute type to value."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if not 4 <= length <= len(data):
            raise Refused(errno.EINVAL)
        found[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def need(found, *kinds):
    if any(kind not in found for kind in kinds):
        raise Refused(errno.EINVAL)


def number(found, kind, layout, default=None):
    if kind not in found and default is not None:
        return default
    if len(found[kind]) != struct.calcsize(layout):
        raise Refused(errno.EINVAL)
    return struct.unpack(layout, found[kind])[0]


def string(data, longest=15):
    if not data.endswith(b"\0") or len(data) > longest + 1:
        raise Refused(errno.EINVAL)
    return data[:-1].decode()


def address_text(family, data):
    return str(ipaddress.ip_address(data[: 16 if family == INET6 else 4]))


class Kernel:
    """The state of one network namespace, and the knobs of a test."""

    def __init__(self):
        self.services = {}
        self.timeouts = [900, 120, 300]
        # (state, interface, id, {attribute: packed value}): what runs blocks destinations of another family, as in the kernel.
        self.daemons = []
        self.schedulers = {"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos"}
        self.engines = {"sip"}
        self.no_ipvs = False
        self.not_root = False
        # How many dumps to come are interrupted; how many reads of one find the receive buffer overrun.
        self.interrupt_dump = 0
        self.enobufs = 0
        # (type, command) of requests that something keeps it from working on.
        self.stuck = set()
        # How many answers to changes get lost because of that, together with all that wait behind them.
        self.lost_answers = 0
        # Name to whether it is up.
        self.interfaces = {"eth0": True, "eth1": True, "down0": False}
        # Called with the kernel, one for each send that changes the table: someone else was faster.
        self.before_apply = []
        self.rows_per_datagram = 8
        self.changes = []  # commands that came in and would change the table, in order
        self.open_sockets = 0

    def connect(self):
        self.open_sockets += 1
        return Socket(self)

    def service(self, protocol, vip, port=0, **more):
        """Puts a service there as another program would; its Service comes back."""
        family = INET6 if ":" in vip else INET
        more.setdefault("netmask", "128" if family == INET6 else "255.255.255.255")
        more["flags"] = more.get("flags", 0) | HASHED
        service = Service(family, {"tcp": 6, "udp": 17, "sctp": 132}[protocol], vip, port, **more)
        self.services[name_of(service)] = service
        return service

    def destination(self, service, server, port=None, **more):
        found = Destination(INET6 if ":" in server else INET, server, service.port if port is None else port, **more)
        service.destinations[name_of(found)] = found
        return found

    def parse_service(self, data, full):
        """(the service as asked for, the one there is or None)."""
        found = split(data)
        need(found, S_AF)
        family = number(found, S_AF, "=H")
        if family not in (INET, INET6):
            raise Refused(errno.EAFNOSUPPORT)
        if S_FWMARK in found:
            asked = Service(family, 6, "", 0, mark=number(found, S_FWMARK, "=I"))
        else:
            need(found, S_PROTOCOL, S_ADDR, S_PORT)
            protocol = number(found, S_PROTOCOL, "=H")
            asked = Service(family, protocol, address_text(family, found[S_ADDR]), number(found, S_PORT, ">H"))
        there = self.services.get(name_of(asked))
        if full:
            need(found, S_SCHED, S_FLAGS, S_TIMEOUT, S_NETMASK)
            asked.scheduler = string(found[S_SCHED])
            flags, mask = struct.unpack("=II", found[S_FLAGS])
            asked.flags = ((there.flags if there else 0) & ~mask) | (flags & mask) | HASHED
            asked.timeout = number(found, S_TIMEOUT, "=I")
            asked.netmask = str(number(found, S_NETMASK, "=I") if family == INET6 else ipaddress.ip_address(found[S_NETMASK]))
            asked.engine = string(found[S_PE]) if S_PE in found else ""
        return asked, there

    def check_service(self, asked):
        if asked.scheduler not in self.schedulers or asked.engine and asked.engine not in self.engines:
            raise Refused(errno.ENOENT)
        if asked.family == INET6 and not 1 <= int(asked.netmask) <= 128:
            raise Refused(errno.EINVAL)

    def parse_destination(self, data, service, full):
        found = split(data)
        need(found, D_ADDR, D_PORT)
        family = number(found, D_AF, "=H", service.family)
        asked = Destination(family, address_text(family, found[D_ADDR]), number(found, D_PORT, ">H"))
        if full:
            need(found, D_FWD, D_WEIGHT, D_UPPER, D_LOWER)
            asked.forward = number(found, D_FWD, "=I") & 7
            asked.weight, asked.upper, asked.lower = (number(found, kind, "=I") for kind in (D_WEIGHT, D_UPPER, D_LOWER))
            asked.tunnel = (number(found, D_TUN_TYPE, "=B", 0), number(found, D_TUN_PORT, ">H", 0), number(found, D_TUN_FLAGS, "=H", 0))
            # The sync protocol knows one family for a connection, and only a tunnel can carry one in the other.
            if family != service.family and (self.daemons or asked.forward != TUNNEL):
                raise Refused(errno.EINVAL)
            if asked.weight > 0x7FFFFFFF or asked.lower > asked.upper:
                raise Refused(errno.ERANGE)
            if asked.tunnel[0] == GUE and not asked.tunnel[1]:
                raise Refused(errno.EINVAL)
        return asked

    def change(self, command, found):
        """One of CHANGES."""
        if command == FLUSH:
            self.services.clear()
            return
        if command in (NEW_DAEMON, DEL_DAEMON):
            need(found, A_DAEMON)
            self.change_daemon(command, split(found[A_DAEMON]))
            return
        if command == SET_CONFIG:
            wanted = [number(found, kind, "=I", 0) for kind in (A_TCP, A_TCP_FIN, A_UDP)]
            # With the highest HZ there is.
            if any(value > 0x7FFFFFFF // 1000 for value in wanted):
                raise Refused(errno.EINVAL)
            self.timeouts = [new or old for new, old in zip(wanted, self.timeouts)]
            return
        if command == ZERO and A_SERVICE not in found:
            for service in self.services.values():
                self.zero(service)
            return
        need(found, A_SERVICE)
        asked, there = self.parse_service(found[A_SERVICE], command in (NEW_SERVICE, SET_SERVICE))
        if command == NEW_SERVICE:
            if there:
                raise Refused(errno.EEXIST)
            self.check_service(asked)
            self.services[name_of(asked)] = asked
            return
        if there is None:
            raise Refused(errno.ESRCH)
        if command == SET_SERVICE:
            self.check_service(asked)
            asked.stats, asked.destinations = there.stats, there.destinations
            self.services[name_of(asked)] = asked
            return
        if command == ZERO:
            self.zero(there)
            return
        if command == DEL_SERVICE:
            del self.services[name_of(asked)]
            return
        need(found, A_DEST)
        asked = self.parse_destination(found[A_DEST], there, command != DEL_DEST)
        current = there.destinations.get(name_of(asked))
        if command == NEW_DEST and current:
            raise Refused(errno.EEXIST)
        if command != NEW_DEST and current is None:
            raise Refused(errno.ENOENT)
        if command == DEL_DEST:
            del there.destinations[name_of(asked)]
            return
        if current:
            asked.connections, asked.stats = current.connections, current.stats
        there.destinations[name_of(asked)] = asked

    def zero(self, service):
        for thing in (service, *service.destinations.values()):
            thing.stats = (0,) * 10

    def change_daemon(self, command, found):
        need(found, M_STATE, M_IFN, M_ID)
        state = number(found, M_STATE, "=I")
        running = [daemon for daemon in self.daemons if daemon[0] == state]
        if command == DEL_DAEMON:
            if not running:
                raise Refused(errno.ESRCH)
            self.daemons.remove(running[0])
            return
        if any(d.family != service.family for service in self.services.values() for d in service.destinations.values()):
            raise Refused(errno.EINVAL)
        if running:
            raise Refused(errno.EEXIST)
        interface = string(found[M_IFN])
        if interface not in self.interfaces:
            raise Refused(errno.ENODEV)
        if not self.interfaces[interface]:
            raise Refused(errno.ENETUNREACH)
        longest = number(found, M_MAXLEN, "=H", 0) or 1472
        more = {M_MAXLEN: struct.pack("=H", max(longest, 1024) if state == 2 else longest)}
        if M_GROUP6 in found:
            more[M_GROUP6] = found[M_GROUP6]
        else:
            more[M_GROUP] = found.get(M_GROUP, bytes([224, 0, 0, 81]))
        more[M_PORT] = struct.pack("=H", number(found, M_PORT, "=H", 0) or 8848)
        more[M_TTL] = struct.pack("=B", number(found, M_TTL, "=B", 0) or 1)
        self.daemons.append((state, interface, number(found, M_ID, "=I"), more))

    def rows(self, command, found):
        """(command of the answer, payload) of each row of a dump."""
        if command == GET_SERVICE:
            # As in a hash table, with the firewall marks in a second one.
            order = sorted(self.services.values(), key=lambda service: (service.mark > 0, zlib.crc32(name_of(service).encode())))
            return [(NEW_SERVICE, attribute(A_SERVICE, pack_service(service))) for service in order]
        if command == GET_DEST:
            need(found, A_SERVICE)
            there = self.parse_service(found[A_SERVICE], False)[1]
            return [(NEW_DEST, attribute(A_DEST, pack_destination(d))) for d in reversed(there.destinations.values())] if there else []
        if command == GET_DAEMON:
            return [(NEW_DAEMON, attribute(A_DAEMON, pack_daemon(*daemon))) for daemon in self.daemons]
        raise Refused(errno.EOPNOTSUPP)

    def one(self, command, found):
        """(command, payload) of the answer to a request that is not a dump, or None."""
        if command in CHANGES:
            self.change(command, found)
        elif command == GET_CONFIG:
            return SET_CONFIG, b"".join(map(u32, (A_TCP, A_TCP_FIN, A_UDP), self.timeouts))
        elif command == GET_INFO:
            return SET_INFO, u32(1, 0x010201) + u32(2, 4096)
        else:
            raise Refused(errno.EOPNOTSUPP)
        return None


def pack_stats(stats):
    small = b"".join(
        attribute(kind, struct.pack("=Q", value) if kind in (4, 5) else struct.pack("=I", value & 0xFFFFFFFF))
        for kind, value in enumerate(stats, 1)
    )
    # Machines on which a u64 must lie on a multiple of 8 have a pad attribute in front; x86 and ARM have none.
    return small, b"".join(attribute(kind, struct.pack("=Q", value)) for kind, value in enumerate(stats, 1))


def pack_service(service):
    if service.mark:
        out = [u16(S_AF, service.family), u32(S_FWMARK, service.mark)]
    else:
        out = [u16(S_AF, service.family), u16(S_PROTOCOL, service.protocol), address(S_ADDR, service.address), be16(S_PORT, service.port)]
    out.append(text(S_SCHED, service.scheduler))
    if service.engine:
        out.append(text(S_PE, service.engine))
    netmask = struct.pack("=I", int(service.netmask)) if service.family == INET6 else ipaddress.ip_address(service.netmask).packed
    small, large = pack_stats(service.stats)
    out += [attribute(S_FLAGS, struct.pack("=Ii", service.flags, -1)), u32(S_TIMEOUT, service.timeout), attribute(S_NETMASK, netmask)]
    return b"".join([*out, attribute(S_STATS, small), attribute(S_STATS64, large)])


def pack_destination(d):
    small, large = pack_stats(d.stats)
    kind, port, flags = d.tunnel
    out = [address(D_ADDR, d.address), be16(D_PORT, d.port), u32(D_FWD, d.forward), u32(D_WEIGHT, d.weight)]
    out += [attribute(D_TUN_TYPE, bytes([kind])), be16(D_TUN_PORT, port), u16(D_TUN_FLAGS, flags), u32(D_UPPER, d.upper)]
    out += [u32(D_LOWER, d.lower), *map(u32, (D_ACTIVE, D_INACTIVE, D_PERSISTENT), d.connections), u16(D_AF, d.family)]
    return b"".join([*out, attribute(D_STATS, small), attribute(D_STATS64, large)])


def pack_daemon(state, interface, number_of, more):
    out = u32(M_STATE, state) + text(M_IFN, interface) + u32(M_ID, number_of)
    return out + b"".join(attribute(kind, value) for kind, value in more.items())


class Socket:
    """What the product uses of a netlink socket: a datagram a ``recv``, and one dump at a time."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.queue = deque()
        self.dump = deque()

    def close(self):
        self.kernel.open_sockets -= 1

    def send(self, data):
        sent, waiting = len(data), True
        while len(data) >= 16:
            length, kind, flags, sequence, _port = struct.unpack_from("=IHHII", data)
            if not 16 <= length <= len(data):
                break  # the kernel drops the rest silently
            request, data = data[:length], data[(length + 3) & ~3 :]
            code = 0
            try:
                command = request[16]
                if (kind, command) in self.kernel.stuck:
                    continue
                if kind == FAMILY_ID and command in CHANGES:
                    if waiting and self.kernel.before_apply:
                        self.kernel.before_apply.pop(0)(self.kernel)
                    waiting = False
                self.answer(kind, flags, sequence, command, request[20:])
            except Refused as refused:
                code = refused.args[0]
            # A dump that has begun is not acknowledged: it has an end of its own.
            if code or flags & F_ACK and flags & F_DUMP != F_DUMP:
                self.queue.append(message(NLMSG_ERROR, F_CAPPED, sequence, struct.pack("=i", -code) + request[:16]))
        return sent

    def answer(self, kind, flags, sequence, command, payload):
        kernel, found = self.kernel, split(payload)
        if kind == CTRL and command == CTRL_GETFAMILY:
            if kernel.no_ipvs or string(found[CTRL_NAME]) != "IPVS":
                raise Refused(errno.ENOENT)
            reply = bytes([CTRL_NEWFAMILY, 2, 0, 0]) + text(CTRL_NAME, "IPVS") + u16(CTRL_ID, FAMILY_ID)
            self.queue.append(message(CTRL, 0, sequence, reply))
            return
        if kind != FAMILY_ID or kernel.no_ipvs:
            raise Refused(errno.ENOENT)
        if kernel.not_root:
            raise Refused(errno.EPERM)
        if flags & F_DUMP == F_DUMP:
            self.start_dump(sequence, kernel.rows(command, found))
            return
        if command in CHANGES:
            kernel.changes.append(command)
        reply = kernel.one(command, found)
        if reply:
            self.queue.append(message(FAMILY_ID, 0, sequence, bytes([reply[0], 1, 0, 0]) + reply[1]))

    def start_dump(self, sequence, rows):
        if self.dump:
            raise Refused(errno.EBUSY)
        broken = F_DUMP_INTR if self.kernel.interrupt_dump else 0
        self.kernel.interrupt_dump -= bool(broken)
        out = [message(FAMILY_ID, F_MULTI, sequence, bytes([command, 1, 0, 0]) + payload) for command, payload in rows]
        out.append(message(NLMSG_DONE, F_MULTI | broken, sequence, struct.pack("=i", 0)))
        size = self.kernel.rows_per_datagram
        self.dump.extend(b"".join(out[begin : begin + size]) for begin in range(0, len(out), size))
        self.queue.append(self.dump.popleft())

    def recv(self, size):
        if self.kernel.stuck and not self.queue:
            raise socket.timeout("timed out")
        assert self.queue, "the kernel has nothing to say: this would wait forever"
        in_dump = struct.unpack_from("=H", self.queue[0], 6)[0] & F_MULTI
        if not in_dump and self.kernel.lost_answers and self.kernel.changes:
            self.kernel.lost_answers -= 1
            self.queue.clear()
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        if in_dump and self.kernel.enobufs:
            self.kernel.enobufs -= 1
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        data = self.queue.popleft()
        # A dump goes on as it is read, one datagram ahead.
        if in_dump and self.dump:
            self.queue.append(self.dump.popleft())
        return data[:size]
