# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plays a stream, HLS or DASH, as a viewer would, and returns how it went. hls decides what a player does; here is only the network."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
import time
from typing import Any, cast

from ansible.module_utils.lvsdr import options
from ansible.module_utils.lvsdr.errors import Line, LvsError, printable
from ansible.module_utils.lvsdr.streams import dash, hls, http, m3u8, messages

# Longer than any playlist; what is longer is a file that was mistaken for one.
PLAYLIST_BYTES = 4 << 20


class Client:
    """GET with a limit on everything. ``timeout`` is for one request from connecting to its last byte.

    Without ``keepalive`` each request has a connection of its own, because a director schedules connections, not requests.
    mark: of its packets (SO_MARK), by which a director sends them to one real server.
    validate_certs: whether a certificate must be valid, for the authorities of this host or those of the file ``ca_path`` (PEM).
    """

    def __init__(
        self, url: str, timeout: float, until: float, connect_to: str | None = None, source: str | None = None, keepalive: bool = False,
        validate_certs: bool = True, ca_path: str | None = None, servers_header: str = "X-Served-By", mark: int | None = None,
    ) -> None:  # fmt: skip
        self.timeout = timeout
        self.mark = mark
        self.until = until
        try:
            self.connect_to = http.read_host(connect_to) if connect_to else None
        except ValueError as error:
            assert connect_to is not None
            why = "it has an @" if "@" in connect_to else error
            raise LvsError(messages.HOST_INVALID(value=repr(http.shown(connect_to)), why=why)) from None
        try:
            self.source = str(ipaddress.ip_address(source)) if source else None
        except ValueError:
            raise LvsError(messages.SOURCE_INVALID(value=repr(source))) from None
        self.tls = tls(validate_certs, ca_path)
        self.servers_header = servers_header.lower()
        self.home = http.split(url)[:3]  # connect_to stands in for this one, not for where a redirect leads
        self.pool: http.Pool | None = {} if keepalive else None

    def server(self, answer: http.Answer) -> str | None:
        """The server that sent an answer, by its own header."""
        name = answer.headers.get(self.servers_header)
        return None if name is None else printable(name, 100)

    async def get(self, url: str, byte_range: tuple[int, int] | None = None, keep: int = 0) -> http.Answer:
        """The http.Answer to a GET, redirects followed. ``keep``: bytes of the body wanted, and a longer one is an error.

        Raises LvsError when no complete answer comes.
        """
        seconds = max(0.1, min(self.timeout, self.until - time.monotonic()))
        way = " through %s" % self.connect_to if self.connect_to and http.split(url)[:3] == self.home else ""
        named = http.shown(url)
        try:
            return await asyncio.wait_for(http.fetch(self.dial, url, keep, byte_range=byte_range, pool=self.pool), seconds)
        except asyncio.TimeoutError:
            raise LvsError(messages.URL_TIMED_OUT(url=named, way=way, seconds=seconds)) from None
        except http.TooLong as error:
            raise LvsError(messages.PLAYLIST_TOO_LONG(url=named, why=error)) from None
        except (OSError, http.Broken) as error:
            raise LvsError(messages.URL_NOT_LOADED(url=named, way=way, why=describe(error))) from None

    def close(self) -> None:
        for connection in (self.pool or {}).values():
            connection.close()

    async def dial(self, address: http.Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """(reader, writer) of a new connection to an http.Address."""
        host = self.connect_to if self.connect_to and address[:3] == self.home else address.host
        extra: dict[str, Any] = {"ssl": self.tls, "server_hostname": address.host} if address.scheme == "https" else {}
        if self.mark is not None:
            return await asyncio.open_connection(sock=await self._marked(host, address.port), limit=1 << 18, **extra)
        if self.source:
            extra["local_addr"] = (self.source, 0)
        return await asyncio.open_connection(host, address.port, limit=1 << 18, **extra)

    async def _marked(self, host: str, port: int) -> socket.socket:
        """A connection whose packets have the mark from the first one on."""
        loop = asyncio.get_running_loop()
        family, kind, protocol, _name, where = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self.mark or 0)
            if self.source:
                sock.bind((self.source, 0))
            await loop.sock_connect(sock, where)
        except BaseException:  # also when the time is over
            sock.close()
            raise
        return sock


def tls(validate_certs: bool = True, ca_path: str | None = None) -> ssl.SSLContext:
    """The SSLContext of a viewer. LvsError where the authorities can't be read."""
    try:
        context = ssl.create_default_context(cafile=ca_path)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "strerror", None) or "it holds no certificates in PEM"
        raise LvsError(messages.CA_UNREADABLE(path=ca_path, why=why)) from None
    if not validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def describe(error: Exception) -> str:
    """An exception in words that do not need Python to be understood."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not valid here: %s" % error.verify_message
    if isinstance(error, ssl.SSLError):
        return "TLS failed (%s)" % (error.reason or error)
    if isinstance(error, socket.gaierror):
        return str(error.strerror)
    if isinstance(error, OSError) and error.errno:
        # asyncio puts the address into the words.
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


class Probe:
    """One viewer of one stream."""

    def __init__(self, url: str, duration: float, segments: int | None, timeout: float, **connection: Any) -> None:
        given = {"duration": duration, "timeout": timeout, "segments": segments}
        options.in_range(given, duration=(0.001, 1000000, " seconds"), timeout=(0.001, 1000000, " seconds"), segments=(1, None, ""))
        now = time.monotonic()
        # Twice the time, because a stream that stalls as long as it plays has shown what it can do.
        self.limit = 2 * duration + 2 * timeout
        self.until = now + self.limit
        self.url = url
        self.client = Client(url, timeout, self.until, **connection)
        self.player = hls.Player(now, duration, segments, stream=http.shown(url))
        self.problems: list[Line] = []
        self.servers: dict[str, int] = {}
        self.init: m3u8.Resource | None = None
        self.manifests = dash.Playlists()

    async def play(self) -> dict[str, Any]:
        """Plays to the end and returns the results. Raises LvsError, with the results so far in its details."""
        try:
            await self._play()
            self.player.close(time.monotonic())
        except LvsError as error:
            self.player.close(time.monotonic())
            error.details.update(self.results())
            raise
        finally:
            self.client.close()
        return self.results()

    async def _play(self) -> None:
        began = time.monotonic()
        address, media = await self._open()
        self.player.loaded(media, began, time.monotonic())
        while True:
            now = time.monotonic()
            step = self.player.step(now)
            if step.action == "stop":
                return
            if max(step.at, now) >= self.until:
                last = " (the last error was: %s)" % self.problems[-1].text if self.problems else ""
                raise LvsError(
                    messages.STREAM_INCOMPLETE(
                        url=http.shown(self.url),
                        played=self.player.buffered,
                        wanted="%g" % self.player.duration,
                        seconds="%g" % self.limit,
                        last=last,
                    )
                )
            await asyncio.sleep(max(0, step.at - now))
            began = time.monotonic()
            if step.action == "fetch":
                assert step.segment is not None
                await self._fetch(step.segment)
                continue
            try:
                media = cast(m3u8.Media, (await self._playlist(address))[1])
            except LvsError as error:
                self._note(error)
                self.player.not_loaded(time.monotonic())
            else:
                self.player.loaded(media, began, time.monotonic())

    def _note(self, error: LvsError) -> None:
        self.problems.append(error.line)

    async def _open(self) -> tuple[str, m3u8.Media]:
        """(URL, Media) of the stream: its playlist, or the first one that its master playlist names."""
        address, playlist = await self._playlist(self.url, master=True)
        if isinstance(playlist, m3u8.Master):
            address, playlist = await self._playlist(playlist.variants[0], playlist.variables)
        return address, cast(m3u8.Media, playlist)

    async def _playlist(
        self, url: str, variables: dict[str, str] | None = None, master: bool = False
    ) -> tuple[str, m3u8.Master | m3u8.Media]:
        """(url, playlist). Later loads ask for the same address again: a redirect may lead elsewhere next time."""
        reply = await self.client.get(url, keep=PLAYLIST_BYTES)
        if reply.status != 200:
            raise LvsError(messages.PLAYLIST_NOT_SERVED(url=http.shown(reply.url), status=reply.line))
        playlist = self._parse(reply, variables)
        if isinstance(playlist, m3u8.Master) and not master:
            raise LvsError(messages.MASTER_PLAYLIST_NESTED(url=http.shown(reply.url), master=http.shown(self.url)))
        return url, playlist

    def _parse(self, reply: http.Answer, variables: dict[str, str] | None) -> m3u8.Master | m3u8.Media:
        """What is in a playlist or a manifest, whatever its address ends with."""
        if b"MPD" not in reply.body[:4096].replace(b"\0", b""):  # also in UTF-16
            return m3u8.parse(reply.body, reply.url, variables=variables)
        manifest = dash.parse(reply.body, reply.url, time.time(), newest=None)
        if not manifest.segments:
            raise LvsError(messages.NO_SEGMENTS(url=http.shown(reply.url)))
        return self.manifests.media(manifest)

    async def _fetch(self, segment: m3u8.Segment) -> None:
        size = 0
        try:
            for resource in [segment.media] if segment.init in (None, self.init) else [segment.init, segment.media]:
                reply = await self.client.get(*resource)
                size += reply.size
                if reply.status not in (200, 206) or not reply.size:
                    self.problems.append(messages.SEGMENT_NOT_SERVED(url=http.shown(reply.url), status=reply.line, size=reply.size))
                    self.player.failed(segment, time.monotonic(), gone=400 <= reply.status < 500)
                    return
        except LvsError as error:
            self._note(error)
            self.player.failed(segment, time.monotonic())
            return
        self.init = segment.init
        server = self.client.server(reply)
        if server is not None:
            self.servers[server] = self.servers.get(server, 0) + 1
        self.player.received(segment, size, time.monotonic())

    def results(self) -> dict[str, Any]:
        player = self.player
        return {
            "segments": player.segments,
            "bytes": player.bytes,
            "played_seconds": round(player.buffered, 3),
            "startup_seconds": None if player.startup_seconds is None else round(player.startup_seconds, 3),
            "stalls": player.stalls,
            "stalled_seconds": round(player.stalled_seconds, 3),
            "jumps": player.jumps,
            "reloads": player.reloads,
            "older_playlists": player.older,
            "target_duration": player.media.target_duration if player.media else None,
            "servers": self.servers,
            "problems": [str(line) for line in self.problems + player.problems],
        }


async def player(url: str, duration: float = 10.0, segments: int | None = None, timeout: float = 10.0, **connection: Any) -> dict[str, Any]:
    """``play`` for callers that have a loop."""
    return await Probe(url, duration, segments, timeout, **connection).play()


def play(url: str, duration: float = 10.0, segments: int | None = None, timeout: float = 10.0, **connection: Any) -> dict[str, Any]:
    """Plays ``duration`` seconds of the stream at ``url``, or so many ``segments``. Returns a dict: see the module stream_probe's RETURN.

    ``connection``: connect_to, source, keepalive, validate_certs, ca_path, servers_header and mark, as Client takes them. It takes at
    most twice ``duration`` and twice ``timeout`` in all. Raises LvsError, with the results so far in its details, when the stream cannot be
    played.
    """
    return asyncio.run(player(url, duration, segments, timeout, **connection))
