# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plays an HLS stream as a viewer would, and tells how it went. What a player does is decided in hls; here is only the network."""

import functools
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from typing import NamedTuple, Optional
from urllib.parse import quote, urlsplit

from . import hls
from .errors import LvsError

REDIRECTS = 5
# Longer than any playlist; what is longer is a file that somebody took for one.
PLAYLIST_BYTES = 4 << 20


class Reply(NamedTuple):
    """Answer to a GET: ``url`` after redirects, ``size`` of the body, and the ``body`` itself if it was asked for."""

    url: str
    status: int
    reason: str
    server: Optional[str]
    size: int
    body: bytes


def read_host(text):
    """The name or address of a host as a socket takes it. ValueError, with what is wrong, for what no resolver can look up (RFC 1035)."""
    if ":" in text:
        try:
            return str(ipaddress.IPv6Address(text))
        except ValueError:
            raise ValueError("%r is not an IPv6 address" % text) from None
    try:
        name = text if text.isascii() else text.encode("idna").decode()
    except UnicodeError:
        raise ValueError("the name of its host can't be written in ASCII (IDNA)") from None
    if len(name) > 253:
        raise ValueError("the name of its host is %d characters long, and 253 are allowed" % len(name))
    for label in (name[:-1] if name.endswith(".") else name).split("."):
        if not label:
            raise ValueError("the name of its host has an empty label")
        if len(label) > 63:
            raise ValueError("the name of its host has a label of %d characters, and 63 are allowed" % len(label))
        if not re.fullmatch("[A-Za-z0-9_-]+", label):
            raise ValueError("%r is not a part of a host's name" % label)
    return name


def split(url):
    """(scheme, host, port, value of the Host header, request target) of a URL. Raises LvsError for one that cannot be fetched."""
    hint, said = "write it as http://HOST/PATH.m3u8", hls.shown(url)
    try:
        # urlsplit leaves line ends and tabs out without a word.
        if re.search("[\0-\x1f\x7f]", url):
            raise ValueError("it has a control character")
        parts = urlsplit(url)
        if "@" in parts.netloc:
            raise LvsError(
                f"{said!r} was given with a user or password in front of its host",
                "leave them out: none are sent here. Have the server admit this host by its address, or name a path that needs no login",
            )
        host, port = parts.hostname or "", parts.port
        host = read_host(host) if host else ""
        # What is quoted already stays as it is; spaces and letters beyond ASCII, common in names of recordings, are quoted.
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        if parts.query:
            target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    except UnicodeError:
        raise LvsError(f"{said!r} is not a URL (it can't be written in UTF-8)", hint) from None
    except ValueError as error:
        if "@" in url:  # Python's words would quote what may be a password
            raise LvsError(f"{said!r} is not a URL", "leave user and password out, and " + hint) from None
        raise LvsError(f"{said!r} is not a URL ({error})", hint) from None
    if parts.scheme not in ("http", "https") or not host:
        raise LvsError(f"{said!r} is not an http or https URL", hint)
    name = f"[{host}]" if ":" in host else host
    if port is not None:
        name += f":{port}"
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80), name, target


class Client:
    """GET with a limit on everything. ``timeout`` is for one request from connecting to its last byte.

    Without ``keepalive`` each request has a connection of its own, because a director schedules connections, not requests.
    """

    def __init__(
        self, url, timeout, until, connect_to=None, source=None, keepalive=False, validate_certs=True, servers_header="X-Served-By"
    ):
        self.timeout = timeout
        self.until = until
        try:
            self.connect_to = read_host(connect_to) if connect_to else None
        except ValueError as error:
            why = "it has an @" if "@" in connect_to else error
            raise LvsError(f"connect_to: {hls.shown(connect_to)!r} is not a host ({why})", "give an address or a name") from None
        try:
            self.source = str(ipaddress.ip_address(source)) if source else None
        except ValueError:
            raise LvsError(f"source: {source!r} is not an address", "give one that this host has") from None
        self.keepalive = keepalive
        self.validate_certs = validate_certs
        self.servers_header = servers_header
        self.home = split(url)[:3]  # connect_to stands in for this one, not for where a redirect leads
        self.idle = {}  # (scheme, host, port) to a connection kept alive

    def get(self, url, byte_range=None, keep=0):
        """Reply to a GET, redirects followed. ``keep``: bytes of the body wanted, and a longer one is an error.

        Raises LvsError when no complete answer comes.
        """
        asked = url
        for _redirect in range(REDIRECTS + 1):
            reply, location = self._exchange(url, byte_range, keep)
            if reply.status not in (301, 302, 303, 307, 308) or not location:
                return reply
            url = hls.resolve(url, location)
        raise LvsError(f"{asked} redirects more than {REDIRECTS} times", "look for a redirect that leads to itself")

    def close(self):
        for connection in self.idle.values():
            connection.close()
        self.idle.clear()

    @functools.cached_property
    def _tls(self):
        context = ssl.create_default_context()
        if not self.validate_certs:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _dial(self, place, seconds):
        """A new connection. http.client is handed the socket, so that it goes where we say and not where the URL's host is."""
        scheme, host, port = place
        address = self.connect_to if self.connect_to and place == self.home else host
        sock = socket.create_connection((address, port), seconds, (self.source, 0) if self.source else None)
        try:
            sock = self._tls.wrap_socket(sock, server_hostname=host) if scheme == "https" else sock
            connection = http.client.HTTPConnection(host, port)
            connection.auto_open = 0
            connection.sock = sock
            return connection
        except BaseException:
            sock.close()
            raise

    def _exchange(self, url, byte_range, keep):
        """(Reply, value of the Location header) of one request."""
        *place, name, target = split(url)
        place = tuple(place)
        headers = {"Host": name, "User-Agent": "lvsdr", "Connection": "keep-alive" if self.keepalive else "close"}
        if byte_range:
            headers["Range"] = "bytes={}-{}".format(*byte_range)
        seconds = max(0.1, min(self.timeout, self.until - time.monotonic()))
        until = time.monotonic() + seconds
        connection = self.idle.pop(place, None)
        reused, answer, watchdog = connection is not None, None, None
        try:
            connection = connection or self._dial(place, seconds)
            watchdog = Watchdog(connection.sock, max(0.1, until - time.monotonic()))
            connection.request("GET", target, headers=headers)
            answer = connection.getresponse()
            body, size = self._read(answer, url, keep)
            watchdog.check()
            if self.keepalive and not answer.will_close:
                self.idle[place], connection = connection, None
            reply = Reply(url, answer.status, answer.reason, answer.getheader(self.servers_header), size, body)
            return reply, answer.getheader("Location")
        except (OSError, http.client.HTTPException, ValueError) as error:
            if reused and answer is None and isinstance(error, ConnectionError):
                # A server may end an idle connection at any time: that alone is no failure, and the connection is not in the list any more.
                return self._exchange(url, byte_range, keep)
            way = f" through {self.connect_to}" if self.connect_to and place == self.home else ""
            if isinstance(error, socket.timeout) or (watchdog and watchdog.bit):
                raise LvsError(
                    f"{url} did not answer in full{way} within {seconds:.1f} s",
                    "check the way there and back, or allow a longer timeout",
                ) from None
            raise LvsError(
                f"{url} cannot be loaded{way}: {describe(error)}",
                "check that its host is up, reachable from here, and has a working server on that port",
            ) from None
        finally:
            if watchdog:
                watchdog.cancel()
            if connection:
                connection.close()

    @staticmethod
    def _read(answer, url, keep):
        """(body, or nothing of it if it is not wanted; its size)."""
        body, size = bytearray(), 0
        while True:
            chunk = answer.read(1 << 16)
            if not chunk:
                break
            size += len(chunk)
            if keep and size > keep:
                raise LvsError(f"{url} is longer than {keep} bytes, so it is no playlist", "use the address of an .m3u8 playlist")
            if keep:
                body += chunk
        if answer.length:  # what was promised and did not come; reading in pieces does not complain of it by itself
            raise http.client.IncompleteRead(b"", answer.length)
        return bytes(body), size


class Watchdog(threading.Timer):
    """Ends a connection after so many seconds: a socket's own timeout starts again with each byte, and a dripping server could hold us."""

    def __init__(self, sock, seconds):
        super().__init__(seconds, self._bite)
        self.sock = sock
        self.bit = False
        self.daemon = True
        self.start()

    def _bite(self):
        self.bit = True
        try:
            # Not the TLS socket's own shutdown, which must not be called while another thread reads from it.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        except OSError:
            pass

    def check(self):
        """A body whose length nobody announced looks complete when it is cut."""
        if self.bit:
            raise socket.timeout()


def describe(error):
    """An exception in words that do not need Python to be understood."""
    if isinstance(error, http.client.RemoteDisconnected):
        return "the server ended the connection without an answer"
    if isinstance(error, http.client.BadStatusLine):
        return "the answer is not HTTP"
    if isinstance(error, http.client.IncompleteRead):
        return "it broke off" + (f" with {error.expected} bytes missing" if error.expected else "")
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class Probe:
    """One viewer of one stream."""

    def __init__(self, url, duration, segments, timeout, **connection):
        for name, value in (("duration", duration), ("timeout", timeout)):
            if not 0 < value < 1e6:
                raise LvsError(f"{name} is {value}", "give seconds, more than 0")
        if segments is not None and segments < 1:
            raise LvsError(f"segments is {segments}", "give 1 or more, or leave it out")
        now = time.monotonic()
        # Twice the time, because a stream that stalls as long as it plays has shown what it can do.
        self.limit = 2 * duration + 2 * timeout
        self.until = now + self.limit
        self.url = url
        self.client = Client(url, timeout, self.until, **connection)
        self.player = hls.Player(now, duration, segments)
        self.errors = []
        self.servers = {}
        self.init = None

    def play(self):
        """Plays to the end and returns the results. Raises LvsError, with the results so far in its details."""
        try:
            self._play()
            self.player.close(time.monotonic())
        except LvsError as error:
            self.player.close(time.monotonic())
            error.details.update(self.results())
            raise
        finally:
            self.client.close()
        return self.results()

    def _play(self):
        began = time.monotonic()
        address, media = self._open()
        self.player.loaded(media, began, time.monotonic())
        while True:
            now = time.monotonic()
            step = self.player.step(now)
            if step.action == "stop":
                return
            if max(step.at, now) >= self.until:
                last = "; the last error was: " + self.errors[-1] if self.errors else ""
                raise LvsError(
                    f"{self.url} played {self.player.buffered:.1f} of {self.player.duration:g} s within {self.limit:g} s{last}",
                    "look at the server that should have sent it",
                )
            time.sleep(max(0, step.at - now))
            began = time.monotonic()
            if step.action == "fetch":
                self._fetch(step.segment)
                continue
            try:
                media = self._playlist(address)[1]
            except LvsError as error:
                self.errors.append(error.message)
                self.player.not_loaded(time.monotonic())
            else:
                try:
                    self.player.loaded(media, began, time.monotonic())
                except LvsError as error:
                    raise LvsError(f"{self.url}: {error.message}", error.hint) from None

    def _open(self):
        """(URL, Media) of the stream: its playlist, or the first one that its master playlist names."""
        address, playlist = self._playlist(self.url, master=True)
        return (address, playlist) if isinstance(playlist, hls.Media) else self._playlist(playlist.variants[0])

    def _playlist(self, url, master=False):
        """(url, playlist). Later loads ask for the same address again: a redirect may lead elsewhere next time."""
        reply = self.client.get(url, keep=PLAYLIST_BYTES)
        if reply.status != 200:
            raise LvsError(f"{reply.url} answers {reply.status} {reply.reason}", "check the path, and that the stream is being published")
        playlist = hls.parse(reply.body, reply.url)
        if isinstance(playlist, hls.Master) and not master:
            raise LvsError(f"{reply.url} is a master playlist where a media playlist belongs", f"correct the variants of {self.url}")
        return url, playlist

    def _fetch(self, segment):
        size = 0
        try:
            for resource in [segment.media] if segment.init in (None, self.init) else [segment.init, segment.media]:
                reply = self.client.get(*resource)
                size += reply.size
                if reply.status not in (200, 206) or not reply.size:
                    self.errors.append(f"{reply.url} answers {reply.status} {reply.reason}, {reply.size} bytes")
                    self.player.failed(segment, time.monotonic(), gone=400 <= reply.status < 500)
                    return
        except LvsError as error:
            self.errors.append(error.message)
            self.player.failed(segment, time.monotonic())
            return
        self.init = segment.init
        if reply.server is not None:
            self.servers[reply.server] = self.servers.get(reply.server, 0) + 1
        self.player.received(segment, size, time.monotonic())

    def results(self):
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
            "errors": self.errors + player.errors,
        }


def play(url, duration=10.0, segments=None, timeout=10.0, **connection):
    """Plays ``duration`` seconds of the stream at ``url``, or so many ``segments``. Returns a dict: see the module stream_probe's RETURN.

    ``connection``: connect_to, source, keepalive, validate_certs, servers_header, as Client takes them. It takes at most twice ``duration``
    and twice ``timeout`` in all. Raises LvsError, with the results so far in its details, when the stream cannot be played.
    """
    return Probe(url, duration, segments, timeout, **connection).play()
