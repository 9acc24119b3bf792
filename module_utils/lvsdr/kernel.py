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

from . import codec
from .errors import LvsError
from .model import Entry, destination_key, service_key, service_name

NETLINK_GENERIC = 16
SOL_NETLINK, NETLINK_CAP_ACK = 270, 10
BUFFER = 1 << 20
# The kernel fills at most 32 KiB of a dump at a time.
RECEIVE = 1 << 16
# Requests of one send. An error comes back without being asked for, and each may take 1 KiB of the socket's receive buffer.
BATCH = 100
# A dump that the kernel had to interrupt is read again, this often.
ATTEMPTS = 5

# The kernel's answer to one request that failed.
Failure = namedtuple("Failure", "index errno")

MEANING = {
    errno.EEXIST: ("it is there already", "someone else is changing this table; run again"),
    errno.ESRCH: ("there is no such service", "someone else is changing this table; run again"),
    errno.ENOENT: (
        "the destination is not there, or the scheduler or persistence engine can't be loaded",
        "see that the kernel module is installed (`modprobe ip_vs_SCHEDULER`), then run again",
    ),
    errno.ERANGE: ("a weight or threshold is out of range", "a lower threshold may not exceed the upper one"),
    errno.EINVAL: ("the kernel takes no such combination", "see whether families, forwarding and tunnel fit together"),
    errno.EPERM: ("root is needed", "set `become: true`"),
    errno.ENOMEM: ("the kernel is out of memory", "free memory on this director"),
    errno.EPROTONOSUPPORT: ("the kernel was built without this protocol or tunnel", "choose another"),
    errno.EAFNOSUPPORT: ("the kernel was built without IPv6 for IPVS", "load ipv6, or leave IPv6 services out"),
    errno.EOPNOTSUPP: ("the kernel does not know this", "a newer kernel may"),
}


def explain(number):
    """(what an errno means in IPVS, what to do about it)."""
    return MEANING.get(number, (os.strerror(number), "see `dmesg` on this director"))


def connect():
    """A generic netlink socket. Tests put the in-memory kernel in its place."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
    sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
    sock.bind((0, 0))
    return sock


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
        self.family = self._family()

    def close(self):
        self.socket.close()

    def _next(self):
        self.sequence += 1
        return self.sequence

    def _family(self):
        # Asking for the family makes the kernel load ip_vs by itself where a module is at hand.
        self.socket.send(codec.get_family_message(self._next()))
        found = None
        for kind, _flags, data, start, end in self._answers(self.sequence):
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

    def _answers(self, sequence):
        """(type, flags, data, payload offset, end) of all that answers one request, until its acknowledgement or end."""
        while True:
            data = self.socket.recv(RECEIVE)
            for kind, flags, number, start, end in codec.messages(data):
                if number != sequence:
                    continue  # left over from a dump that was given up
                yield kind, flags, data, start, end
                if kind in (codec.NLMSG_DONE, codec.NLMSG_ERROR):
                    return

    def _dump(self, command, payload=b""):
        """(data, payload offset, end) of each answer to a dump; read again while the table changes under it."""
        for _attempt in range(ATTEMPTS):
            sequence = self._next()
            self.socket.send(
                codec.message(self.family, command, payload, codec.NLM_F_REQUEST | codec.NLM_F_ACK | codec.NLM_F_DUMP, sequence)
            )
            rows, broken = [], False
            try:
                for kind, flags, data, start, end in self._answers(sequence):
                    broken = broken or flags & codec.NLM_F_DUMP_INTR
                    if kind == codec.NLMSG_ERROR:
                        number = -struct.unpack_from("=i", data, start)[0]
                        if number:
                            raise LvsError("Reading the IPVS table failed: %s" % explain(number)[0], explain(number)[1])
                    elif kind != codec.NLMSG_DONE:
                        rows.append((data, start + 4, end))
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                broken = True
            if not broken:
                return rows
        raise LvsError(
            "The IPVS table kept changing while it was read", "something else rewrites it all the time; stop that, and run again"
        )

    def _get(self, command):
        sequence = self._next()
        self.socket.send(codec.message(self.family, command, b"", codec.NLM_F_REQUEST | codec.NLM_F_ACK, sequence))
        for kind, _flags, data, start, end in self._answers(sequence):
            if kind == codec.NLMSG_ERROR:
                number = -struct.unpack_from("=i", data, start)[0]
                raise LvsError("Asking IPVS failed: %s" % explain(number)[0], explain(number)[1])
            row = (data, start + 4, end)
            # The acknowledgement that follows is read with the next answers, where its sequence is skipped.
            return row
        return None

    def info(self):
        return codec.decode_info(*self._get(codec.GET_INFO))

    def timeouts(self):
        return codec.decode_timeouts(*self._get(codec.GET_CONFIG))

    def daemons(self):
        return [codec.decode_daemon(*row) for row in self._dump(codec.GET_DAEMON)]

    def read(self):
        """The table: service key to Entry."""
        return self.read_with_counters(counters=False)[0]

    def read_with_counters(self, counters=True):
        """(table, {service key: (counters, {destination key: counters})}); see codec.STATS_FIELDS. Without counters, an empty dict."""
        table, stats = {}, {}
        for row in self._dump(codec.GET_SERVICE):
            service = codec.decode_service(*row)
            key = service_key(service)
            destinations, connections, of_destinations = {}, {}, {}
            # A service that is gone by now answers with an empty list and no error.
            for data, start, end in self._dump(codec.GET_DEST, codec.encode_service_key(key)):
                destination, counts = codec.decode_destination(data, start, end, service.family)
                name = destination_key(destination)
                destinations[name] = destination
                connections[name] = counts
                if counters:
                    of_destinations[name] = codec.decode_destination_counters(data, start, end)
            table[key] = Entry(service, destinations, connections)
            if counters:
                stats[key] = (codec.decode_service_counters(*row), of_destinations)
        return table, stats

    def apply(self, operations):
        """Sends the operations in order; a list of Failure comes back, empty where all went well.

        The kernel works on a batch in order and goes on after an error, so what is not in the list was applied.
        """
        failures = []
        for begin in range(0, len(operations), BATCH):
            batch = operations[begin : begin + BATCH]
            first = self.sequence + 1
            out = []
            for operation in batch:
                out.append(self.encode(operation, codec.NLM_F_REQUEST, self._next()))
            # Errors come unasked; only the end of the batch needs an acknowledgement, and that is all it costs.
            out[-1] = self.encode(batch[-1], codec.NLM_F_REQUEST | codec.NLM_F_ACK, self.sequence)
            self.socket.send(b"".join(out))
            done = False
            while not done:
                data = self.socket.recv(RECEIVE)
                for kind, _flags, number, start, _end in codec.messages(data):
                    if kind != codec.NLMSG_ERROR or number < first:
                        continue
                    code = -struct.unpack_from("=i", data, start)[0]
                    if code:
                        failures.append(Failure(begin + number - first, code))
                    done = done or number == self.sequence
        return failures

    COMMANDS = {
        "add-service": codec.NEW_SERVICE,
        "set-service": codec.SET_SERVICE,
        "delete-service": codec.DEL_SERVICE,
        "add-destination": codec.NEW_DEST,
        "set-destination": codec.SET_DEST,
        "delete-destination": codec.DEL_DEST,
    }

    def encode(self, operation, flags, sequence):
        """The message of one plan.Operation."""
        if operation.destination is not None:
            encode = codec.encode_destination_key if operation.verb == "delete-destination" else codec.encode_destination
            payload = codec.encode_service_key(service_key(operation.service)) + encode(operation.destination)
        elif operation.verb == "delete-service":
            payload = codec.encode_service_key(service_key(operation.service))
        else:
            payload = codec.encode_service(operation.service)
        return codec.message(self.family, self.COMMANDS[operation.verb], payload, flags, sequence)


def failure_sentence(operation, failure):
    what = {"add": "Adding", "set": "Changing", "delete": "Removing"}[operation.verb.split("-")[0]]
    name = service_name(service_key(operation.service))
    if operation.destination is not None:
        name = "destination %s of %s" % (operation.destination.address, name)
    meaning, hint = explain(failure.errno)
    return "%s %s failed (%s): %s; %s" % (what, name, errno.errorcode.get(failure.errno, failure.errno), meaning, hint)
