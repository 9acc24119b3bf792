# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Viewers of a service for a while: newcomers, long downloads, and players of a live stream. IO.

What they noticed is put together by rehearsal.py.
"""

from __future__ import annotations

import asyncio
import socket
import time
import zlib
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import options
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.streams import http, messages, probe

if TYPE_CHECKING:
    import h11

# Downloads are compared in blocks of this size, which all of them begin at the same places.
BLOCK = 1 << 18
# Small, so that a server sends at the pace of the viewer, and a pause in the network is one for the viewer.
RECEIVE_BUFFER = 1 << 18
LOST = (OSError, http.Broken, asyncio.TimeoutError)


class Way:
    """How viewers reach a URL: each request on a connection of its own, because a director schedules connections."""

    def __init__(self, url: str, **connection: Any) -> None:
        self.address = http.split(url)
        self.client = probe.Client(url, 1, 0, **connection)

    async def ask(self, fields: http.Fields = ()) -> tuple[http.Connection, h11.Response]:
        """(http.Connection, head of the answer) of a GET."""
        host = self.client.connect_to or self.address.host
        family = (await asyncio.get_running_loop().getaddrinfo(host, self.address.port, type=socket.SOCK_STREAM))[0]
        sock = socket.socket(family[0], socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            await asyncio.get_running_loop().sock_connect(sock, family[4])
            extra: dict[str, Any] = {"ssl": self.client.tls, "server_hostname": self.address.host} if self.address.scheme == "https" else {}
            connection = http.Connection(*await asyncio.open_connection(sock=sock, limit=RECEIVE_BUFFER, **extra))
        except BaseException:
            sock.close()
            raise
        try:
            return connection, await connection.ask(self.address.target, self.address.name, fields)
        except BaseException:
            connection.close()
            raise


class Newcomers:
    """New viewers, so many a second: each asks for one page on a connection of its own."""

    def __init__(self, way: Way, rate: float, timeout: float) -> None:
        self.way, self.rate, self.timeout = way, rate, timeout
        self.asked: list[list[Any]] = []  # [begin, whether an answer came in time]

    async def run(self, until: float) -> None:
        asking: set[asyncio.Task[None]] = set()

        def answered(done: asyncio.Task[None]) -> None:
            # An unexpected error stays in the set, and ends the watch with an error instead of looking like a quiet one.
            if not done.cancelled() and not done.exception():
                asking.discard(done)

        while time.monotonic() < until:
            task = asyncio.ensure_future(self._ask(time.monotonic()))
            asking.add(task)
            task.add_done_callback(answered)
            await asyncio.sleep(max(0, min(1 / self.rate, until - time.monotonic())))
        await asyncio.gather(*asking)

    async def _ask(self, begin: float) -> None:
        try:
            good = await asyncio.wait_for(self._get(), self.timeout)
        except LOST:
            good = False
        self.asked.append([begin, good])

    async def _get(self) -> bool:
        connection, head = await self.way.ask()
        connection.close()
        return head.status_code == 200


class Download:
    """A viewer of something long that reads at a player's pace, continues where a connection broke (Range), and starts over at the end.

    blocks: checksums of what any download has read, by offset; shared between all downloads of one URL.
    """

    def __init__(self, way: Way, rate: float, patience: float, blocks: dict[int, int]) -> None:
        self.way, self.rate, self.patience, self.blocks = way, rate, patience, blocks
        self.bytes, self.wrong, self.pause = 0, 0, 0.0
        self.cuts: list[str] = []
        self.lost: str | None = None
        self.offset, self.sum = 0, 0
        self.begun = False  # whether a server has answered on the connection that there is
        self.trouble: str | None = None  # why the last connection ended that did not end by itself

    async def run(self, until: float) -> None:
        broke: float | None = None  # since when there is no connection
        while time.monotonic() < until and not self.lost:
            self.begun = False
            try:
                await self._read(until)
                broke = None
            except LOST as error:
                now = time.monotonic()
                why = "after %d bytes: %s" % (self.offset, str(error) or type(error).__name__)
                self.trouble = why
                if self.begun:
                    # One that never began was refused, and is not a running stream.
                    self.cuts.append(why)
                if self.begun or broke is None:
                    broke = now
                if now - broke > self.patience:
                    self.lost = why
                await asyncio.sleep(0.2)

    async def _read(self, until: float) -> None:
        """Until the end of the file or of the time."""
        connection, head = await asyncio.wait_for(self.way.ask([("Range", "bytes=%d-" % self.offset)]), self.patience)
        try:
            status, left = head.status_code, connection.expected
            if status not in (200, 206) or (status == 200 and self.offset) or left is None:
                raise http.Broken("the server answers %d, which a download can't continue from" % status)
            if not left:
                raise http.Broken("there is nothing to load")
            self.begun = True
            while connection.expected and time.monotonic() < until:
                begin = time.monotonic()
                data = await asyncio.wait_for(connection.part(), self.patience)
                self.pause = max(self.pause, time.monotonic() - begin)
                self._add(data)
                await asyncio.sleep(max(0, len(data) / self.rate - (time.monotonic() - begin)))
            if not connection.expected:
                if self.offset % BLOCK:
                    self._compare()
                self.offset = self.sum = 0
        finally:
            connection.close()

    def _add(self, data: bytes) -> None:
        self.bytes += len(data)
        while data:
            room = BLOCK - self.offset % BLOCK
            part, data = data[:room], data[room:]
            self.sum = zlib.crc32(part, self.sum)
            self.offset += len(part)
            if len(part) == room:
                self._compare()

    def _compare(self) -> None:
        """Each block is as the others found it, whichever server sent it."""
        self.wrong += self.blocks.setdefault(self.offset, self.sum) != self.sum
        self.sum = 0


async def _play(url: str, duration: float, connection: dict[str, Any]) -> dict[str, Any]:
    try:
        return await probe.player(url, duration=duration, timeout=3, **connection)
    except LvsError as error:
        return {"lost": error.message, **error.details}


async def _all(
    url: str, download: str | None, duration: float, newcomers: float, downloads: int, players: int, rate: float, timeout: float,
    patience: float, connection: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    until = time.monotonic() + duration
    coming = Newcomers(Way(url, **connection), newcomers, timeout)
    blocks: dict[int, int] = {}
    loading = [Download(Way(download, **connection), rate, patience, blocks) for _number in range(downloads) if download]
    playing = [asyncio.ensure_future(_play(url, duration, connection)) for _number in range(players)]
    await asyncio.gather(coming.run(until), *(one.run(until) for one in loading))
    return {
        "asked": sorted(coming.asked),
        "downloads": [
            {
                "bytes": one.bytes, "cuts": one.cuts, "wrong_blocks": one.wrong, "longest_pause": round(one.pause, 3), "lost": one.lost,
                "trouble": one.trouble,
            }
            for one in loading
        ],
        "players": await asyncio.gather(*playing),
    }  # fmt: skip


def watch(
    url: str, download: str | None = None, duration: float = 20.0, newcomers: float = 10.0, downloads: int = 4, players: int = 2,
    rate: float = 1000000, timeout: float = 1.0, patience: float = 10.0, **connection: Any,
) -> dict[str, Any]:  # fmt: skip
    """What viewers notice in ``duration`` seconds: {"asked": [[begin, answered], …], "downloads": [dict], "players": [dict]}.

    url: a live playlist, asked for ``newcomers`` times a second on new connections, each answered within ``timeout`` seconds or not, and
    played by ``players``. download: what ``downloads`` viewers load with ``rate`` bytes a second each; one that can't continue within
    ``patience`` seconds is lost. connection: connect_to, validate_certs and ca_path, as probe.Client takes them. Times are of the monotonic
    clock.
    """
    positive, viewers = (0.001, 1000000000, ""), (0, 100, "")
    given = {
        "duration": duration, "newcomers": newcomers, "rate": rate, "timeout": timeout, "patience": patience, "downloads": downloads,
        "players": players,
    }  # fmt: skip
    options.in_range(
        given, duration=positive, newcomers=positive, rate=positive, timeout=positive, patience=positive, downloads=viewers, players=viewers
    )
    for one in (url, download) if download else (url,):
        Way(one, **connection)
    seen = asyncio.run(_all(url, download, duration, newcomers, downloads, players, rate, timeout, patience, connection))
    if not seen["asked"]:
        raise LvsError(messages.NO_NEWCOMERS(url=url, seconds="%g" % duration))
    return seen
