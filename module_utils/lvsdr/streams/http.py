# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one HTTP client, of checks and of viewers: HTTP/1.1 (RFC 9112), by default one request on a connection.

h11 reads and writes the words, asyncio moves the bytes, and the caller brings the connection: a ``dial`` that takes an ``Address``. So the
same code asks through a socket with a mark, by a name of DNS, with TLS or without.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple, Union
from urllib.parse import quote, urljoin, urlsplit

from ansible.module_utils.lvsdr.errors import LvsError, NotUnderstood, printable
from ansible.module_utils.lvsdr.streams import messages

try:
    import h11
except ImportError:  # preflight and the modules report it
    if not TYPE_CHECKING:
        h11 = None

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    Dial = Callable[["Address"], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
    Fields = Iterable[tuple[str, Union[str, bytes]]]
    Pool = dict[tuple[str, str, int], "Connection"]

REDIRECTS = 5
REDIRECTED = (301, 302, 303, 307, 308)
# Longer than what servers set with all their cookies and policies.
LONGEST_HEAD = 32 << 10
# Than what servers take (nginx, Apache: 8 KiB).
LONGEST_URL = 8 << 10
BLOCK = 16 << 10
# Of a body: chunks of a byte each would keep the reader busy for seconds. And answers that come before the answer.
MOST_PIECES, MOST_INFORMATION = 4000, 16
# Bytes of bodies that are kept at the same time.
MOST_HELD = 24 << 20
SAFE = "/%:@!$&'()*+,;=~"
PORTS = {"http": 80, "https": 443}
MISSING = LvsError(messages.H11_MISSING())


class Broken(Exception):
    """An answer that ended early, or is not of the protocol. ``begun``: whether a part of it was there."""

    def __init__(self, words: str, begun: bool = True) -> None:
        super().__init__(words)
        self.begun = begun


class TooLong(Exception):
    """A body of more than a number of bytes."""


class Address(NamedTuple):
    """Where a URL leads: ``name`` is the value of the Host header, ``target`` what is in the request line."""

    scheme: str
    host: str
    port: int
    name: str
    target: str


class Answer(NamedTuple):
    """``url`` after redirects; ``headers`` with names in lower case; ``size`` of the body in bytes; of the ``body`` what was to be kept."""

    url: str
    status: int
    reason: str
    headers: dict[str, str]
    size: int
    body: bytes

    @property
    def line(self) -> str:
        """``404 Not Found``"""
        return printable(("%d %s" % (self.status, self.reason)).strip(), 80)


def shown(url: str) -> str:
    """A URL for a message: without the user and password that it may hold."""
    head = re.match("([A-Za-z][A-Za-z0-9+.-]*://)([^/?#]*)", url)
    try:
        sound = head is not None and (urlsplit(url).port or True)
    except ValueError:
        sound = False
    if head and sound:
        return printable(head[1] + head[2].rpartition("@")[2] + url[head.end() :])
    # Where it can't be taken apart, a password with signs of its own may reach up to the last @.
    return printable((head[1] if head and "@" in url else "") + url.rpartition("@")[2])


def resolve(base: str, uri: str) -> str:
    """``uri`` as seen from the document at ``base``, which is the address after all redirects."""
    if len(uri) > LONGEST_URL or len(base) > LONGEST_URL:
        raise NotUnderstood(messages.URL_TOO_LONG(base=printable(shown(base), 200), most=LONGEST_URL))
    try:
        return urljoin(base, uri)
    except ValueError as error:
        why = "" if "@" in uri else " (%s)" % error
        raise LvsError(messages.URL_IN_PLAYLIST_INVALID(base=base, url=shown(uri), why=why)) from None


def read_host(text: str) -> str:
    """The name or address of a host as a socket takes it. ValueError, with what is wrong, for what no resolver can look up (RFC 1035)."""
    if ":" in text:
        try:
            return str(ipaddress.IPv6Address(text))
        except ValueError:
            raise ValueError("%r is not an IPv6 address" % text) from None
    try:
        name = text if text.isascii() or len(text) > 253 else text.encode("idna").decode()
    except UnicodeError:
        raise ValueError("its host name can't be written in ASCII (IDNA)") from None
    if len(name) > 253:
        raise ValueError("its host name has %d characters, and at most 253 are allowed" % len(name))
    for label in (name[:-1] if name.endswith(".") else name).split("."):
        if not label:
            raise ValueError("its host name has an empty label")
        if len(label) > 63:
            raise ValueError("its host name has a label of %d characters, and at most 63 are allowed" % len(label))
        if not re.fullmatch("[A-Za-z0-9_-]+", label):
            raise ValueError("%r is not a valid label of a host name" % label)
    return name


def quoted(path: str, query: str) -> str:
    """The target of a request: what is quoted already stays as it is, blanks and letters beyond ASCII are quoted."""
    # The bytes of a name that was not UTF-8 come back as they were.
    target = quote(path or "/", safe=SAFE, errors="surrogateescape")
    return target + ("?" + quote(query, safe=SAFE + "?", errors="surrogateescape") if query else "")


def split(url: str) -> Address:
    """The Address of a URL. Raises LvsError for one that cannot be fetched."""
    named = repr(shown(url))
    try:
        # urlsplit leaves line ends and tabs out in silence.
        if re.search("[\0-\x1f\x7f]", url):
            raise ValueError("it has a control character")
        parts = urlsplit(url)
        if "@" in parts.netloc:
            raise LvsError(messages.URL_WITH_LOGIN(url=named))
        host, port = parts.hostname or "", parts.port
        host = read_host(host) if host else ""
        target = quoted(parts.path, parts.query)
    except UnicodeError:
        raise LvsError(messages.URL_INVALID(url=named, why=" (it can't be written in UTF-8)")) from None
    except ValueError as error:
        # Python's words would quote what may be a password.
        why = "a user and a password must be left out" if "@" in url else error
        raise LvsError(messages.URL_INVALID(url=named, why=" (%s)" % why)) from None
    if parts.scheme not in PORTS or not host:
        raise LvsError(messages.URL_NOT_HTTP(url=named))
    name = "[%s]" % host if ":" in host else host
    if port is not None:
        name += ":%s" % port
    return Address(parts.scheme, host, port or PORTS[parts.scheme], name, target)


class Connection:
    """One connection. reader, writer: of asyncio; protocol: what its lines begin with (RTSP has the same form, RFC 2326)."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: bytes = b"HTTP/1.1", agent: str = "lvsdr"
    ) -> None:
        if h11 is None:
            raise MISSING
        self.reader, self.writer, self.protocol, self.agent = reader, writer, protocol, agent
        self.words = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)
        self.expected: int | None = None  # bytes of the body that are still to come, where that is known
        self._first = True

    async def ask(self, target: str, name: str, fields: Fields = (), method: str = "GET", keep: bool = False) -> h11.Response:
        """Head of the answer (status_code, reason, headers)."""
        common = [("Host", name), ("User-Agent", self.agent), ("Accept", "*/*"), ("Accept-Encoding", "identity")]
        common.append(("Connection", "keep-alive" if keep else "close"))
        headers: Any = [*common, *fields]  # h11 takes text and bytes beside each other, which its own annotations leave out
        request = self.words.send(h11.Request(method=method, target=target, headers=headers))
        end = self.words.send(h11.EndOfMessage())
        assert request is not None and end is not None  # only the end of a connection has no bytes
        if self.protocol != b"HTTP/1.1":
            request = request.replace(b" HTTP/1.1\r\n", b" " + self.protocol + b"\r\n", 1)
        self.writer.write(request + end)
        for _information in range(MOST_INFORMATION):
            event = await self._next()
            if not isinstance(event, h11.InformationalResponse):
                break
        if not isinstance(event, h11.Response):
            raise Broken("the server ended the connection without an answer", begun=False)
        length = dict(event.headers).get(b"content-length")
        if length is not None and len(length) > 18:
            raise Broken("its Content-Length has %d digits" % len(length))
        self.expected = int(length) if length is not None else None
        return event

    async def part(self) -> bytes:
        """The next bytes of the body; none at its end."""
        event = await self._next()
        if not isinstance(event, h11.Data):
            return b""
        if self.expected is not None:
            self.expected -= len(event.data)
        return bytes(event.data)

    async def _next(self) -> object:
        while True:
            try:
                event = self.words.next_event()
                if event is not h11.NEED_DATA:
                    return event
                self.words.receive_data(await (self._begin() if self._first else self._go_on()))
            except (h11.RemoteProtocolError, ValueError):  # the latter of numbers with more digits than Python reads
                if self.words.their_state is h11.SEND_BODY or self.expected is not None:
                    raise Broken("it broke off" + (" with %d bytes missing" % self.expected if self.expected else "")) from None
                raise Broken("the answer is not %s" % self.protocol.partition(b"/")[0].decode()) from None

    async def _begin(self) -> bytes:
        """A SHOUTcast server begins with ICY, an RTSP server with RTSP/1.0: the rest is HTTP's."""
        other = b"ICY " if self.protocol == b"HTTP/1.1" else self.protocol + b" "
        data = await self.reader.read(BLOCK)
        while data and len(data) < len(other) and other.startswith(data):
            more = await self.reader.read(BLOCK)
            if not more:
                break
            data += more
        if not data:
            raise Broken("the server ended the connection without an answer", begun=False)
        self._first = False
        if self.protocol != b"HTTP/1.1":
            data = data.replace(b"\n" + other, b"\nHTTP/1.0 ")  # behind a 100 Continue comes one more head
        return b"HTTP/1.0 " + data[len(other) :] if data.startswith(other) else data

    async def _go_on(self) -> bytes:
        # read() itself does not wait while there is something: a server that sends fast would have the loop for itself.
        await asyncio.sleep(0)
        return await self.reader.read(BLOCK)

    def again(self) -> bool:
        """Whether another request can follow; it makes ready for that."""
        if self.words.our_state is not h11.DONE or self.words.their_state is not h11.DONE:
            return False
        if self.words.trailing_data[1]:  # its end was the end of the body
            return False
        self.words.start_next_cycle()
        self._first, self.expected = True, None
        return True

    def close(self) -> None:
        # Not close(): that would wait for a TLS server's goodbye, for as long as it likes.
        self.writer.transport.abort()


class Body:
    """A body on its way: decoded where the server packed it unasked, and never more than ``limit`` bytes of it."""

    held = 0  # bytes of all bodies that are on their way

    def __init__(self, headers: Mapping[str, str], limit: int) -> None:
        self.limit, self.size, self.pieces, self.data = limit, 0, 0, bytearray()
        packed = headers.get("content-encoding", "").lower()
        self.unpack = zlib.decompressobj(47) if packed in ("gzip", "x-gzip", "deflate") else None

    def add(self, part: bytes) -> None:
        self.size += len(part)
        if not self.limit:
            return
        self.pieces += 1
        if self.pieces > MOST_PIECES:
            raise TooLong("in more than %d pieces" % MOST_PIECES)
        if self.size > self.limit:  # of what is packed as well: a lot of it may unpack to nothing
            raise TooLong("longer than %d bytes" % self.limit)
        if self.unpack:
            try:
                part = self.unpack.decompress(part, self.limit + 1 - len(self.data))
            except zlib.error:
                raise Broken("its content encoding can't be decoded") from None
        part = part[: self.limit + 1 - len(self.data)]
        self.data += part
        Body.held += len(part)
        if len(self.data) > self.limit:
            raise TooLong("longer than %d bytes" % self.limit)
        # Small ones are always read, so that many long ones take nothing from them.
        if Body.held > MOST_HELD and len(self.data) > BLOCK:
            raise TooLong("long, while %d MiB are being read already" % (MOST_HELD >> 20))

    def close(self) -> None:
        Body.held -= len(self.data)


async def fetch(
    dial: Dial, url: str, limit: int = 0, enough: int | None = None, byte_range: tuple[int, int] | None = None, fields: Fields = (),
    pool: Pool | None = None, agent: str = "lvsdr", redirects: int = REDIRECTS,
) -> Answer:  # fmt: skip
    """The Answer to a GET, after up to so many redirects; with 0 the redirect itself is the answer.

    dial: a coroutine that opens (reader, writer) for an Address, and raises what it likes for one that it does not go to. limit: bytes of
    the body to keep, 0 for none; more than that is TooLong. enough: stop after this many bytes. byte_range: first and last byte. pool: a
    dict of connections that are kept for the next request, by (scheme, host, port).
    Raises Broken, TooLong, OSError, LvsError for an invalid address, and what dial raises.
    """
    asked = url
    if byte_range:
        fields = [*fields, ("Range", "bytes=%d-%d" % tuple(byte_range))]
    for _redirect in range(redirects + 1):
        answer = await _exchange(dial, url, limit, enough, fields, pool, agent)
        location = answer.headers.get("location")
        if answer.status not in REDIRECTED or not location or not redirects:
            return answer
        url = resolve(url, location)
    raise LvsError(messages.TOO_MANY_REDIRECTS(url=shown(asked), most=redirects))


async def _exchange(dial: Dial, url: str, limit: int, enough: int | None, fields: Fields, pool: Pool | None, agent: str) -> Answer:
    address = split(url)
    key = address[:3]
    connection = (pool or {}).pop(key, None)
    reused = connection is not None
    if connection is None:
        connection = Connection(*await dial(address), agent=agent)
    kept, body = False, Body({}, 0)
    try:
        try:
            head = await connection.ask(address.target, address.name, fields, keep=pool is not None)
        except (Broken, ConnectionError) as error:
            if not reused or getattr(error, "begun", False):
                raise
            # A server may end an idle connection at any time: that alone is not a failure, and the connection is not in the pool any more.
            return await _exchange(dial, url, limit, enough, fields, pool, agent)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        body = Body(headers, limit)
        while enough is None or body.size < enough:
            part = await connection.part()
            if not part:
                break
            body.add(part)
        if pool is not None and connection.again():
            pool[key], kept = connection, True
        return Answer(url, head.status_code, head.reason.decode("latin-1"), headers, body.size, bytes(body.data))
    finally:
        body.close()
        if not kept:
            connection.close()
