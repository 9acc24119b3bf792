# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The conversation with the kernel's IPVS over generic netlink, on a plain socket of Python's own.

The standard library's socket is all this needs: no package to install on a director, nothing slow to import, and no difference
between the versions that distributions ship (docs/architecture.md has the measurements).
"""

import errno
import os
import socket
import struct
from collections import namedtuple

from ansible.module_utils.lvsdr.addresses import endpoint
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.ipvs import codec
from ansible.module_utils.lvsdr.ipvs.plan import object_name
from ansible.module_utils.lvsdr.ipvs.types import Entry, destination_key, service_key

NETLINK_GENERIC = 16
SOL_NETLINK, NETLINK_CAP_ACK = 270, 10
BUFFER = 1 << 20
# The kernel fills at most 32 KiB of a dump at a time.
RECEIVE = 1 << 16
# Requests of one send. An error comes back without being asked for, and each may take 1 KiB of the socket's receive buffer.
BATCH = 100
# How long the kernel may take for one answer. It has them at once, unless something holds the lock of the table.
SECONDS = 60
# A dump that the kernel had to interrupt is read again, this often.
ATTEMPTS = 5

# The kernel's answer to one request that failed.
Failure = namedtuple("Failure", "index errno")

SOMEONE_ELSE = "someone else is changing this table; run again"
# What an errno means whatever was asked.
MEANING = {
    errno.EPERM: ("root is needed", "set `become: true`"),
    errno.ENOMEM: ("the kernel is out of memory", "free memory on this director"),
    errno.EPROTONOSUPPORT: ("the kernel was built without this protocol or tunnel", "choose another"),
    errno.EAFNOSUPPORT: ("the kernel was built without IPv6 for IPVS", "load ipv6, or leave IPv6 services out"),
    errno.EOPNOTSUPP: ("the kernel does not know this", "a newer kernel may"),
    errno.EINVAL: ("the kernel takes no such combination", "see the values above, and `dmesg` on this director"),
}
# What it means to one kind of object (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_sync.c).
MEANING_FOR = {
    "service": {
        errno.EEXIST: ("it is there already", SOMEONE_ELSE),
        errno.ESRCH: ("there is no such service", SOMEONE_ELSE),
        errno.ENOENT: (
            "scheduler {scheduler}{engine} can't be loaded",
            "see that the kernel module is installed (`modprobe ip_vs_{scheduler}`), then run again",
        ),
        errno.EINVAL: ("the kernel takes no such combination", "see whether family, netmask and scheduler fit together"),
    },
    "destination": {
        errno.EEXIST: ("it is there already", SOMEONE_ELSE),
        errno.ESRCH: ("there is no such service", "see why the service is missing; " + SOMEONE_ELSE),
        errno.ENOENT: ("it is not there", SOMEONE_ELSE),
        errno.ERANGE: ("a weight or threshold is out of range", "a lower threshold may not exceed the upper one"),
        errno.EINVAL: (
            "the kernel takes no such combination",
            "a destination of the other family needs a tunnel, and no sync daemon may run (`ipvsadm -Ln --daemon`)",
        ),
    },
    "daemon": {
        errno.EEXIST: ("one runs already", SOMEONE_ELSE),
        errno.ESRCH: ("none runs", SOMEONE_ELSE),
        errno.ENODEV: ("there is no interface {interface}", "name one of `ip link`, in state up"),
        errno.ENETUNREACH: ("interface {interface} is down, or has no address of the group's family", "set it up, or choose another"),
        errno.EADDRNOTAVAIL: (
            "interface {interface} has no address of the group's scope",
            "with only a link-local IPv6 address, choose a link-local group (ff02::/16)",
        ),
        errno.EINVAL: ("the kernel takes no such daemon", "no destination may be of another family than its service while one runs"),
    },
    "counters": {errno.ESRCH: ("there is no such service", "see why the service is missing; " + SOMEONE_ELSE)},
    "timeouts": {errno.EINVAL: ("a timeout is out of range", "1 to 2147483 seconds are possible")},
}


def explain(number, operation=None):
    """(what an errno means in IPVS, what to do about it), for one plan.Operation or in general."""
    meaning, hint = MEANING.get(number, (os.strerror(number), "see `dmesg` on this director"))
    if operation is None:
        return meaning, hint
    meaning, hint = MEANING_FOR.get(operation.verb.split("-")[1], {}).get(number, (meaning, hint))
    service, setting = operation.service, operation.setting
    words = {
        "scheduler": service.scheduler if service else "",
        "engine": " or persistence engine %s" % service.engine if service and service.engine else "",
        "interface": getattr(setting, "interface", ""),
    }
    return meaning.format(**words), hint.format(**words)


def connect():
    """A generic netlink socket. Tests put the in-memory kernel in its place."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
    sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
    sock.settimeout(SECONDS)
    sock.bind((0, 0))
    return sock


ANSWERS = {
    codec.GET_SERVICE: "the services", codec.GET_DEST: "the destinations of a service", codec.GET_DAEMON: "the sync daemons",
    codec.GET_CONFIG: "the timeouts", codec.GET_INFO: "its version",
}  # fmt: skip


def _broken(error, what):
    """what: the answer that was waited for."""
    if isinstance(error, socket.timeout):
        return LvsError(
            "The kernel did not tell %s of IPVS within %d s" % (what, SECONDS),
            "see `dmesg` on this director for what holds the table, and run again",
        )
    return LvsError("Talking to the kernel failed (%s)" % error.strerror, "see `dmesg` on this director, and run again")


class Ipvs:
    """The IPVS table of the network namespace this process is in.

    Raises LvsError where the kernel has no IPVS; reading and writing need CAP_NET_ADMIN.
    """

    def __init__(self):
        try:
            self.socket = connect()
        except OSError as error:
            raise LvsError("No netlink socket could be opened (%s)" % error, "IPVS is a part of Linux; run this on a director")
        self.sequence = 0
        try:
            self.family = self._family()
        except LvsError:
            self.close()
            raise

    def close(self):
        self.socket.close()

    def _next(self):
        self.sequence += 1
        return self.sequence

    def _family(self):
        # Asking for the family makes the kernel load ip_vs by itself where a module is at hand.
        self.socket.send(codec.get_family_message(self._next()))
        found = None
        for kind, _flags, data, start, end in self._answers(self.sequence, "the netlink family"):
            if kind == codec.NLMSG_ERROR:
                number = -struct.unpack_from("=i", data, start)[0]
                if number:
                    raise LvsError(
                        "This kernel has no IPVS: ip_vs is not loaded and could not be (%s)" % os.strerror(number),
                        "run `modprobe ip_vs` as root and see what it says; the kernel image must ship the module",
                    )
                break
            found = codec.attributes(data, start + 4, end)
            found = struct.unpack_from("=H", data, found[codec.CTRL_ATTR_FAMILY_ID][0])[0]
        return found

    def _answers(self, sequence, what):
        """(type, flags, data, payload offset, end) of all that answers one request, until its acknowledgement or end."""
        while True:
            try:
                data = self.socket.recv(RECEIVE)
            except OSError as error:
                raise _broken(error, what)
            for kind, flags, number, start, end in codec.messages(data):
                if number != sequence:
                    continue  # left over from a dump that was given up
                yield kind, flags, data, start, end
                if kind in (codec.NLMSG_DONE, codec.NLMSG_ERROR):
                    return

    def _dump(self, command, payload, decode, whole=None):
        """What decode makes of (data, payload offset, end) of each answer to a dump; read again while the table changes under it.

        whole takes (data, sequence, family) of a datagram and returns what decode would make of all in it, or None.
        """
        for _attempt in range(ATTEMPTS):
            sequence = self._next()
            self.socket.send(
                codec.message(self.family, command, payload, codec.NLM_F_REQUEST | codec.NLM_F_ACK | codec.NLM_F_DUMP, sequence)
            )
            rows, broken, done = [], False, False
            try:
                while not done:
                    data = self.socket.recv(RECEIVE)
                    found = whole(data, sequence, self.family) if whole else None
                    if found is not None:
                        rows += found
                        continue
                    for kind, flags, number, start, end in codec.messages(data):
                        if number != sequence:
                            continue  # left over from a request before
                        broken = broken or flags & codec.NLM_F_DUMP_INTR
                        if kind == codec.NLMSG_ERROR:
                            self._refuse(data, start, "Reading the IPVS table")
                        done = done or kind in (codec.NLMSG_ERROR, codec.NLMSG_DONE)
                        if not done:
                            rows.append(decode(data, start + 4, end))
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise _broken(error, ANSWERS[command])
                self._reconnect()
                broken = True
            if not broken:
                return rows
        raise LvsError(
            "The IPVS table kept changing while it was read", "something else rewrites it all the time; stop that, and run again"
        )

    def _reconnect(self):
        """After answers were lost, a new socket: the old one may still be in the middle of a dump."""
        self.socket.close()
        self.socket = connect()

    def _refuse(self, data, start, what):
        """LvsError where a message of the kind NLMSG_ERROR is one; with the number 0 it acknowledges."""
        number = -struct.unpack_from("=i", data, start)[0]
        if number:
            raise LvsError("%s failed: %s" % (what, explain(number)[0]), explain(number)[1])

    def _get(self, command):
        sequence = self._next()
        self.socket.send(codec.message(self.family, command, b"", codec.NLM_F_REQUEST | codec.NLM_F_ACK, sequence))
        for kind, _flags, data, start, end in self._answers(sequence, ANSWERS[command]):
            if kind == codec.NLMSG_ERROR:
                self._refuse(data, start, "Asking IPVS")
            row = (data, start + 4, end)
            # The acknowledgement that follows is read with the next answers, where its sequence is skipped.
            return row
        return None

    def info(self):
        return codec.decode_info(*self._get(codec.GET_INFO))

    def timeouts(self):
        """The Timeouts of the table."""
        return codec.decode_timeouts(*self._get(codec.GET_CONFIG))

    def daemons(self):
        """The Daemon of each sync daemon that runs."""
        return self._dump(codec.GET_DAEMON, b"", codec.decode_daemon)

    def read(self):
        """The table: service key to Entry."""
        table = {}
        for service in self._dump(codec.GET_SERVICE, b"", codec.decode_service):
            key = service_key(service)

            def decode(data, start, end, family=service.family):
                return codec.decode_destination(data, start, end, family)

            destinations, connections = {}, {}
            # A service that is gone by now answers with an empty list and no error.
            for destination, counts in self._dump(codec.GET_DEST, codec.encode_service_key(key), decode, codec.decode_destinations):
                name = destination[1:3]
                destinations[name] = destination
                connections[name] = counts
            table[key] = Entry(service, destinations, connections)
        return table

    def read_with_counters(self):
        """(table, {service key: (counters, {destination key: counters})}); see codec.STATS_FIELDS."""
        table, stats = {}, {}

        def decode_service(*row):
            return codec.decode_service(*row), codec.decode_service_counters(*row)

        for service, counters in self._dump(codec.GET_SERVICE, b"", decode_service):
            key = service_key(service)

            def decode(data, start, end, family=service.family):
                return *codec.decode_destination(data, start, end, family), codec.decode_destination_counters(data, start, end)

            rows = self._dump(codec.GET_DEST, codec.encode_service_key(key), decode)
            names = [destination_key(row[0]) for row in rows]
            table[key] = Entry(service, {n: row[0] for n, row in zip(names, rows)}, {n: row[1] for n, row in zip(names, rows)})
            stats[key] = (counters, {n: row[2] for n, row in zip(names, rows)})
        return table, stats

    def apply(self, operations):
        """Sends the operations in order; a list of Failure comes back, empty where all went well, or None where the answers were lost.

        The kernel works on a batch in order and goes on after an error, so what is not in the list was applied.
        """
        failures = []
        for begin in range(0, len(operations), BATCH):
            batch = self._weights_of_now(operations[begin : begin + BATCH])
            first = self.sequence + 1
            out = [self.encode(operation, codec.NLM_F_REQUEST, self._next()) for operation in batch]
            # Errors come unasked; only the end of the batch needs an acknowledgement, and that is all it costs.
            out[-1] = self.encode(batch[-1], codec.NLM_F_REQUEST | codec.NLM_F_ACK, self.sequence)
            done = False
            while not done:
                try:
                    if out:
                        self.socket.send(b"".join(out))
                        out = None
                    data = self.socket.recv(RECEIVE)
                except OSError:
                    # Most likely ENOBUFS; whatever it was, part of the batch may have been done.
                    self._reconnect()
                    return None
                for kind, _flags, number, start, _end in codec.messages(data):
                    if kind != codec.NLMSG_ERROR or number < first:
                        continue
                    code = -struct.unpack_from("=i", data, start)[0]
                    if code:
                        failures.append(Failure(begin + number - first, code))
                    done = done or number == self.sequence
        return failures

    def _weights_of_now(self, batch):
        """The batch with the weights that health checks have given since the table was read: the kernel takes a destination as a whole."""
        weights, out = {}, []
        for operation in batch:
            if operation.checked:
                key, family = service_key(operation.service), operation.service.family
                if key not in weights:

                    def decode(data, start, end, family=family):
                        return codec.decode_destination(data, start, end, family)

                    rows = self._dump(codec.GET_DEST, codec.encode_service_key(key), decode, codec.decode_destinations)
                    weights[key] = {destination_key(destination): destination.weight for destination, _counts in rows}
                weight = weights[key].get(destination_key(operation.destination), operation.destination.weight)
                operation = operation._replace(destination=operation.destination._replace(weight=weight))
            out.append(operation)
        return out

    COMMANDS = {
        "add-service": codec.NEW_SERVICE,
        "set-service": codec.SET_SERVICE,
        "delete-service": codec.DEL_SERVICE,
        "add-destination": codec.NEW_DEST,
        "set-destination": codec.SET_DEST,
        "delete-destination": codec.DEL_DEST,
        "set-timeouts": codec.SET_CONFIG,
        "add-daemon": codec.NEW_DAEMON,
        "delete-daemon": codec.DEL_DAEMON,
        "zero-counters": codec.ZERO,
    }

    def encode(self, operation, flags, sequence):
        """The message of one plan.Operation."""
        verb, service, destination, setting = operation.verb, operation.service, operation.destination, operation.setting
        if destination is not None:
            encode = codec.encode_destination_key if verb == "delete-destination" else codec.encode_destination
            payload = codec.encode_service_key(service_key(service)) + encode(destination)
        elif setting is not None:
            payload = codec.encode_timeouts(setting) if verb == "set-timeouts" else codec.encode_daemon(setting)
        elif service is None:
            payload = b""  # the counters of all services
        elif verb in ("delete-service", "zero-counters"):
            payload = codec.encode_service_key(service_key(service))
        else:
            payload = codec.encode_service(service)
        return codec.message(self.family, self.COMMANDS[verb], payload, flags, sequence)


VERBS = {"add": "Adding", "set": "Changing", "delete": "Removing", "zero": "Zeroing"}


def failure_sentence(operation, failure):
    """Operation, object, what the errno means there, and what to do."""
    name = object_name(operation)
    if operation.destination is not None:
        name = "destination %s of %s" % (endpoint(*destination_key(operation.destination)), name)
    meaning, hint = explain(failure.errno, operation)
    what = VERBS[operation.verb.split("-")[0]]
    return "%s %s failed (%s): %s; %s" % (what, name, errno.errorcode.get(failure.errno, failure.errno), meaning, hint)
