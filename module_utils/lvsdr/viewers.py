# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Viewers of a service for a while: such as come anew, such as load something long, and such as play a live stream. IO.

What they noticed is put together by rehearsal.py.
"""

import asyncio
import socket
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

from . import probe
from .errors import LvsError

# Downloads are compared in blocks of this size, which all of them begin at the same places.
BLOCK = 1 << 18
# Small, so that a server sends at the pace of the viewer, and a pause on the way is one for the viewer.
RECEIVE_BUFFER = 1 << 18


class Broken(Exception):
    """A connection that ended before all was there, or an answer that is none."""


async def _open(url):
    """(reader, writer, value of the Host header, request target) of a new connection: a director schedules connections."""
    scheme, host, port, name, target = probe.split(url)
    family = (await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
    sock = socket.socket(family[0], socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        await asyncio.get_running_loop().sock_connect(sock, family[4])
        tls = {"ssl": True, "server_hostname": host} if scheme == "https" else {}
        return (*await asyncio.open_connection(sock=sock, limit=RECEIVE_BUFFER, **tls), name, target)
    except BaseException:
        sock.close()
        raise


async def _head(reader, writer, name, target, more=""):
    """Status of the answer to a GET, its header lines in lower case."""
    writer.write(("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: lvsdr\r\nConnection: close\r\n%s\r\n" % (target, name, more)).encode())
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    words = lines[0].split()
    if len(words) < 2 or not words[1].isdecimal():
        raise Broken("the answer is not HTTP")
    return int(words[1]), lines[1:]


class Newcomers:
    """Viewers that come anew, so many a second: each asks for one page on a connection of its own."""

    def __init__(self, url, rate, timeout):
        self.url, self.rate, self.timeout = url, rate, timeout
        self.asked = []  # [begin, whether an answer came in time]

    async def run(self, until):
        asking = set()
        while time.monotonic() < until:
            task = asyncio.ensure_future(self._ask(time.monotonic()))
            asking.add(task)
            # What nobody expected stays in the set, and ends the watch with an error instead of looking like a quiet one.
            task.add_done_callback(lambda done: done.cancelled() or done.exception() or asking.discard(done))
            await asyncio.sleep(max(0, min(1 / self.rate, until - time.monotonic())))
        await asyncio.gather(*asking)

    async def _ask(self, begin):
        try:
            good = await asyncio.wait_for(self._get(), self.timeout)
        except (OSError, Broken, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError):
            good = False
        self.asked.append([begin, good])

    async def _get(self):
        reader, writer, *where = await _open(self.url)
        try:
            return (await _head(reader, writer, *where))[0] == 200
        finally:
            writer.close()


class Download:
    """A viewer of something long, who reads at the pace of a player, goes on where a connection broke (Range), and begins anew at the end.

    blocks: checksums of what was read by anyone, by place; shared between all downloads of one URL.
    """

    def __init__(self, url, rate, patience, blocks):
        self.url, self.rate, self.patience, self.blocks = url, rate, patience, blocks
        self.bytes, self.cuts, self.wrong, self.pause, self.lost = 0, [], 0, 0.0, None
        self.offset, self.sum = 0, 0
        self.begun = False  # whether a server has answered on the connection that there is
        self.trouble = None  # why the last connection ended that did not end by itself

    async def run(self, until):
        broke = None  # since when there is no connection
        while time.monotonic() < until and not self.lost:
            self.begun = False
            try:
                await self._read(until)
                broke = None
            except (OSError, Broken, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError) as error:
                now = time.monotonic()
                why = "after %d bytes: %s" % (self.offset, str(error) or type(error).__name__)
                self.trouble = why
                if self.begun:
                    # One that never began was refused, and is nobody's running stream.
                    self.cuts.append(why)
                if self.begun or broke is None:
                    broke = now
                if now - broke > self.patience:
                    self.lost = why
                await asyncio.sleep(0.2)

    async def _read(self, until):
        """Until the end of the file or of the time."""
        reader, writer, *where = await asyncio.wait_for(_open(self.url), self.patience)
        try:
            more = "Range: bytes=%d-\r\n" % self.offset
            status, lines = await asyncio.wait_for(_head(reader, writer, *where, more), self.patience)
            left = [int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")]
            if status not in (200, 206) or (status == 200 and self.offset) or not left:
                raise Broken("the server answers %d, and nothing that can be gone on with" % status)
            left = left[0]
            if not left:
                raise Broken("there is nothing to load")
            self.begun = True
            while left and time.monotonic() < until:
                begin = time.monotonic()
                data = await asyncio.wait_for(reader.read(min(1 << 16, left)), self.patience)
                if not data:
                    raise Broken("%d bytes are missing" % left)
                self.pause = max(self.pause, time.monotonic() - begin)
                left -= len(data)
                self._add(data)
                await asyncio.sleep(max(0, len(data) / self.rate - (time.monotonic() - begin)))
            if not left:
                if self.offset % BLOCK:
                    self._compare()
                self.offset = self.sum = 0
        finally:
            writer.close()

    def _add(self, data):
        self.bytes += len(data)
        while data:
            room = BLOCK - self.offset % BLOCK
            part, data = data[:room], data[room:]
            self.sum = zlib.crc32(part, self.sum)
            self.offset += len(part)
            if len(part) == room:
                self._compare()

    def _compare(self):
        """Each block is as the others found it, whichever server sent it."""
        self.wrong += self.blocks.setdefault(self.offset, self.sum) != self.sum
        self.sum = 0


def _play(url, seconds):
    try:
        return probe.play(url, duration=seconds, timeout=3)
    except LvsError as error:
        return {"lost": error.message, **error.details}


async def _all(url, download, seconds, newcomers, downloads, players, rate, timeout, patience):
    loop = asyncio.get_running_loop()
    until = time.monotonic() + seconds
    coming = Newcomers(url, newcomers, timeout)
    blocks = {}
    loading = [Download(download, rate, patience, blocks) for _number in range(downloads if download else 0)]
    # Of their own: looking up a name takes a thread of the loop's.
    threads = ThreadPoolExecutor(max(1, players))
    playing = [loop.run_in_executor(threads, _play, url, seconds) for _number in range(players)]
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


def watch(url, download=None, seconds=20.0, newcomers=10.0, downloads=4, players=2, rate=1000000, timeout=1.0, patience=10.0):
    """What viewers notice in so many seconds: {"asked": [[begin, answered], …], "downloads": [dict], "players": [dict]}.

    url: a live playlist, asked for ``newcomers`` times a second on new connections, each answered within ``timeout`` seconds or not, and
    played by ``players``. download: what ``downloads`` viewers load with ``rate`` bytes a second each; one that can't go on within
    ``patience`` seconds is lost. Times are of the monotonic clock.
    """
    for name, value in (("seconds", seconds), ("newcomers", newcomers), ("rate", rate), ("timeout", timeout), ("patience", patience)):
        if not 0 < value < 1e9:
            raise LvsError("%s: %s is out of range" % (name, value), "give a number above 0")
    for name, value in (("downloads", downloads), ("players", players)):
        if not 0 <= value <= 100:
            raise LvsError("%s: %s is out of range" % (name, value), "give 0 to 100")
    for one in (url, download) if download else (url,):
        probe.split(one)
    seen = asyncio.run(_all(url, download, seconds, newcomers, downloads, players, rate, timeout, patience))
    if not seen["asked"]:
        raise LvsError("Nobody asked for %s within %g s" % (url, seconds), "watch for longer")
    return seen
