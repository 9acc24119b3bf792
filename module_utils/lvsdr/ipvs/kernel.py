# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The conversation with the kernel's IPVS over generic netlink, on a plain socket of Python's own.

The standard library's socket is all this needs: no package to install on a director, nothing slow to import, and no difference
between the versions that distributions ship (docs/architecture.md has the measurements).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.ipvs import codec, messages
from ansible.module_utils.lvsdr.ipvs.refusals import Failure, refusal
from ansible.module_utils.lvsdr.ipvs.types import Daemon, Entry, Timeouts, destination_key, service_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from ansible.module_utils.lvsdr.ipvs.plan import Operation
    from ansible.module_utils.lvsdr.ipvs.types import Counts, Destination, DestinationKey, Service, ServiceKey, Table

    Row = TypeVar("Row")
    Counters = dict[str, int]

NETLINK_GENERIC = 16
SOL_NETLINK, NETLINK_CAP_ACK = 270, 10
BUFFER = 1 << 20
# The kernel fills at most 32 KiB of a dump at a time.
RECEIVE = 1 << 16
# Requests of one send. An error comes back even where no reply is requested, and each may take 1 KiB of the socket's receive buffer.
BATCH = 100
# How long the kernel may take for one answer. It answers at once, unless something holds the lock of the table.
SECONDS = 60
# A dump that the kernel had to interrupt is read again, this often.
ATTEMPTS = 5


def connect() -> socket.socket:
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


def _broken(error: OSError, what: str) -> LvsError:
    """what: the answer that was waited for."""
    if isinstance(error, socket.timeout):
        return LvsError(messages.NETLINK_TIMEOUT(what=what, seconds=SECONDS))
    return LvsError(messages.NETLINK_FAILED(why=error.strerror))


class Ipvs:
    """The IPVS table of the network namespace this process is in.

    Raises LvsError where the kernel has no IPVS; reading and writing need CAP_NET_ADMIN.
    """

    def __init__(self) -> None:
        try:
            self.socket = connect()
        except OSError as error:
            raise LvsError(messages.NO_NETLINK(why=error))
        self.sequence = 0
        try:
            self.family = self._family()
        except LvsError:
            self.close()
            raise

    def close(self) -> None:
        self.socket.close()

    def _next(self) -> int:
        self.sequence += 1
        return self.sequence

    def _family(self) -> int:
        # Asking for the family makes the kernel load ip_vs by itself where a module is at hand.
        self.socket.send(codec.get_family_message(self._next()))
        family: int | None = None
        for kind, _flags, data, start, end in self._answers(self.sequence, "the netlink family"):
            if kind == codec.NLMSG_ERROR:
                number = -struct.unpack_from("=i", data, start)[0]
                if number:
                    raise LvsError(messages.NO_IPVS(why=os.strerror(number)))
                break
            found = codec.attributes(data, start + 4, end)
            family = struct.unpack_from("=H", data, found[codec.CTRL_ATTR_FAMILY_ID][0])[0]
        assert family is not None  # it comes before the acknowledgement
        return family

    def _answers(self, sequence: int, what: str) -> Iterator[tuple[int, int, bytes, int, int]]:
        """(type, flags, data, payload offset, end) of all that answers one request, until its acknowledgement or end."""
        while True:
            try:
                data = self.socket.recv(RECEIVE)
            except OSError as error:
                raise _broken(error, what)
            for kind, flags, number, start, end in codec.messages(data):
                if number != sequence:
                    continue  # left over from an abandoned dump
                yield kind, flags, data, start, end
                if kind in (codec.NLMSG_DONE, codec.NLMSG_ERROR):
                    return

    def _dump(
        self,
        command: int,
        payload: bytes,
        decode: Callable[[bytes, int, int], Row],
        whole: Callable[[bytes, int, int], list[Row] | None] | None = None,
    ) -> list[Row]:
        """What decode makes of (data, payload offset, end) of each answer to a dump; read again while the table changes under it.

        whole takes (data, sequence, family) of a datagram and returns what decode would make of all in it, or None.
        """
        for _attempt in range(ATTEMPTS):
            sequence = self._next()
            self.socket.send(
                codec.message(self.family, command, payload, codec.NLM_F_REQUEST | codec.NLM_F_ACK | codec.NLM_F_DUMP, sequence)
            )
            rows: list[Row] = []
            broken = done = False
            try:
                while not done:
                    data = self.socket.recv(RECEIVE)
                    found = whole(data, sequence, self.family) if whole else None
                    if found is not None:
                        rows += found
                        continue
                    for kind, flags, number, start, end in codec.messages(data):
                        if number != sequence:
                            continue  # left over from an earlier request
                        broken = broken or bool(flags & codec.NLM_F_DUMP_INTR)
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
        raise LvsError(messages.TABLE_KEEPS_CHANGING())

    def _reconnect(self) -> None:
        """After answers were lost, a new socket: the old one may still be in the middle of a dump."""
        self.socket.close()
        self.socket = connect()

    def _refuse(self, data: bytes, start: int, what: str) -> None:
        """LvsError where a message of the kind NLMSG_ERROR is one; with the number 0 it acknowledges."""
        number = -struct.unpack_from("=i", data, start)[0]
        if number:
            raise LvsError(refusal(what, number))

    def _get(self, command: int) -> tuple[bytes, int, int]:
        """(data, payload offset, end) of the one answer."""
        sequence = self._next()
        self.socket.send(codec.message(self.family, command, b"", codec.NLM_F_REQUEST | codec.NLM_F_ACK, sequence))
        kind, _flags, data, start, end = next(self._answers(sequence, ANSWERS[command]))
        if kind == codec.NLMSG_ERROR:
            self._refuse(data, start, "Asking IPVS")
        # The acknowledgement that follows is read with the next answers, where its sequence is skipped.
        return data, start + 4, end

    def info(self) -> dict[str, Any]:
        return codec.decode_info(*self._get(codec.GET_INFO))

    def timeouts(self) -> Timeouts:
        return codec.decode_timeouts(*self._get(codec.GET_CONFIG))

    def daemons(self) -> list[Daemon]:
        """Those that run."""
        return self._dump(codec.GET_DAEMON, b"", codec.decode_daemon)

    def _destinations(self, service: Service) -> list[tuple[Destination, Counts]]:
        def decode(data: bytes, start: int, end: int) -> tuple[Destination, Counts]:
            return codec.decode_destination(data, start, end, service.family)

        # A service that is gone by now answers with an empty list and no error.
        return self._dump(codec.GET_DEST, codec.encode_service_key(service_key(service)), decode, codec.decode_destinations)

    def read(self) -> Table:
        """The table as it is."""
        table: Table = {}
        for service in self._dump(codec.GET_SERVICE, b"", codec.decode_service):
            destinations: dict[DestinationKey, Destination] = {}
            connections: dict[DestinationKey, Counts] = {}
            for destination, counts in self._destinations(service):
                key = destination_key(destination)
                destinations[key] = destination
                connections[key] = counts
            table[service_key(service)] = Entry(service, destinations, connections)
        return table

    def read_with_counters(self) -> tuple[Table, dict[ServiceKey, tuple[Counters, dict[DestinationKey, Counters]]]]:
        """(table, {service key: (counters, {destination key: counters})}); see codec.STATS_FIELDS."""
        table: Table = {}
        stats: dict[ServiceKey, tuple[Counters, dict[DestinationKey, Counters]]] = {}

        def decode_service(data: bytes, start: int, end: int) -> tuple[Service, Counters]:
            return codec.decode_service(data, start, end), codec.decode_service_counters(data, start, end)

        for service, counters in self._dump(codec.GET_SERVICE, b"", decode_service):
            key = service_key(service)

            def decode(data: bytes, start: int, end: int, family: int = service.family) -> tuple[Destination, Counts, Counters]:
                return *codec.decode_destination(data, start, end, family), codec.decode_destination_counters(data, start, end)

            rows = self._dump(codec.GET_DEST, codec.encode_service_key(key), decode)
            names = [destination_key(row[0]) for row in rows]
            table[key] = Entry(service, {n: row[0] for n, row in zip(names, rows)}, {n: row[1] for n, row in zip(names, rows)})
            stats[key] = (counters, {n: row[2] for n, row in zip(names, rows)})
        return table, stats

    def apply(self, operations: list[Operation]) -> list[Failure] | None:
        """Sends the operations in order; a list of Failure comes back, empty where all went well, or None where the answers were lost.

        The kernel works on a batch in order and goes on after an error, so what is not in the list was applied.
        """
        failures: list[Failure] = []
        for begin in range(0, len(operations), BATCH):
            batch = self._weights_of_now(operations[begin : begin + BATCH])
            first = self.sequence + 1
            out = [self.encode(operation, codec.NLM_F_REQUEST, self._next()) for operation in batch]
            # Errors come without a request; only the end of the batch needs an acknowledgement, and that is all it costs.
            out[-1] = self.encode(batch[-1], codec.NLM_F_REQUEST | codec.NLM_F_ACK, self.sequence)
            done = False
            while not done:
                try:
                    if out:
                        self.socket.send(b"".join(out))
                        out = []
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

    def _weights_of_now(self, batch: list[Operation]) -> list[Operation]:
        """The batch with the weights that health checks have given since the table was read: the kernel takes a destination as a whole."""
        weights: dict[ServiceKey, dict[DestinationKey, int]] = {}
        out: list[Operation] = []
        for operation in batch:
            service, destination = operation.service, operation.destination
            if operation.checked and service is not None and destination is not None:
                key = service_key(service)
                if key not in weights:
                    weights[key] = {destination_key(one): one.weight for one, _counts in self._destinations(service)}
                weight = weights[key].get(destination_key(destination), destination.weight)
                operation = operation._replace(destination=destination._replace(weight=weight))
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

    def encode(self, operation: Operation, flags: int, sequence: int) -> bytes:
        """The message of one operation."""
        verb, service, destination, setting = operation.verb, operation.service, operation.destination, operation.setting
        if service is not None and destination is not None:
            encode = codec.encode_destination_key if verb == "delete-destination" else codec.encode_destination
            payload = codec.encode_service_key(service_key(service)) + encode(destination)
        elif isinstance(setting, Timeouts):
            payload = codec.encode_timeouts(setting)
        elif isinstance(setting, Daemon):
            payload = codec.encode_daemon(setting)
        elif service is None:
            payload = b""  # the counters of all services
        elif verb in ("delete-service", "zero-counters"):
            payload = codec.encode_service_key(service_key(service))
        else:
            payload = codec.encode_service(service)
        return codec.message(self.family, self.COMMANDS[verb], payload, flags, sequence)
