# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a check reaches one real server: the socket with its mark, TLS, and what goes over it. IO; outcomes.Peer is what checks see of it."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import hashlib
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible.module_utils.lvsdr.checks.outcomes import PLAYLIST_BYTES, Foreign, Trouble, Unable, Unknown, shown_path
from ansible.module_utils.lvsdr.errors import LvsError, NotUnderstood
from ansible.module_utils.lvsdr.streams import http

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import h11

SO_MARK = 36


@functools.lru_cache(None)
def tls(verify: bool | str = False) -> ssl.SSLContext:
    """The SSLContext of all checks with the same ``verify``: False, True, or the path of a file of authorities (PEM)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    if verify is True:
        context.load_default_certs()
    elif verify:
        context.load_verify_locations(verify)
    else:
        # As keepalived does.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def reason(error: OSError) -> str:
    """An OSError in words, without the address that asyncio puts into them."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate can't be trusted: %s" % error.verify_message
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS failed"
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__


class Place:
    """Where a check connects: the VIP through one real server, or the server's own address.

    address, port: what to connect to; own, mark: source address and mark of the socket; host: the name that viewers use, with or without a
    port; names: further addresses of the same server; secure, verify: whether and how to speak TLS (``tls``); patience: seconds for a
    connection (TCP), by default as long as the whole look may take.
    """

    def __init__(
        self, address: str, port: int, own: str | None = None, mark: int | None = None, host: str | None = None, secure: bool = False,
        verify: bool | str = False, names: Iterable[str] = (), patience: float | None = None,
    ) -> None:  # fmt: skip
        self.address, self.port, self.own, self.mark = address, port, own, mark
        self.patience = patience
        self.secure, self.verify = secure, verify
        self.scheme = "https" if secure else "http"
        self.names = {address.lower(), *(name.lower() for name in names)}
        # [digest, DER] of the certificate that the server showed last.
        self.certificate: list[bytes | None] = [None, None]
        self.pool: http.Pool | None = None
        self.named(host or ("[%s]" % address if ":" in address else address))

    def named(self, host: str) -> None:
        """What viewers call it, with or without a port."""
        parts = urlsplit("//" + host)
        self.host, self.name = host, parts.hostname
        self._names = {self.name, *self.names}
        self._ports = {self.port, parts.port or http.PORTS[self.scheme]}

    def base(self, scheme: str | None = None) -> str:
        """The URL of the server's root, as a viewer has it."""
        scheme = scheme or self.scheme
        has_port = urlsplit("//" + self.host).port is not None
        return "%s://%s%s" % (scheme, self.host, "" if has_port or http.PORTS.get(scheme) == self.port else ":%d" % self.port)

    def is_own(self, url: str) -> bool:
        """Whether a URL is one of this server; others don't count for it."""
        try:
            parts = urlsplit(url)
            port = parts.port or http.PORTS.get(parts.scheme)
            return parts.scheme == self.scheme and "@" not in parts.netloc and (parts.hostname or "") in self._names and port in self._ports
        except ValueError:
            return False

    def _socket(self, kind: socket.SocketKind) -> socket.socket:
        try:
            sock = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET, kind)
        except OSError as error:
            raise Unable("this director has no socket to ask with (%s)" % reason(error))
        try:
            sock.setblocking(False)
            if self.mark is not None:
                sock.setsockopt(socket.SOL_SOCKET, SO_MARK, self.mark)
            if self.own:
                sock.bind((self.own, 0))
        except OSError as error:
            sock.close()
            raise Unable("this director can't ask from %s (%s)" % (self.own, reason(error)))
        return sock

    async def ask(self, question: bytes) -> bytes:
        """The first packet that answers one (UDP)."""
        sock, loop = self._socket(socket.SOCK_DGRAM), asyncio.get_running_loop()
        try:
            await loop.sock_connect(sock, (self.address, self.port))
            await loop.sock_sendall(sock, question)
            return await loop.sock_recv(sock, 65535)
        except OSError as error:
            raise Trouble("no answer from %s port %d (%s)" % (self.address, self.port, reason(error)), "connection")
        finally:
            sock.close()

    async def connect(self, name: str | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """(reader, writer). name: whose certificate it is to be, if not that of the service's host."""
        extra: dict[str, Any] = {}
        if self.secure:
            try:
                extra = {"ssl": tls(self.verify), "server_hostname": name or self.name}
            except (OSError, ssl.SSLError) as error:
                raise Unable("%s can't be read as a file of authorities (%s)" % (self.verify, reason(error)))
        sock = self._socket(socket.SOCK_STREAM)
        try:
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, (self.address, self.port)), self.patience)
            reader, writer = await asyncio.open_connection(sock=sock, **extra)
        except asyncio.TimeoutError:
            sock.close()
            raise Trouble("no connection to %s port %d within %g s" % (self.address, self.port, self.patience or 0), "connection")
        except ssl.SSLError as error:
            sock.close()
            raise Trouble("TLS failed with %s port %d (%s)" % (self.address, self.port, reason(error)), "tls")
        except OSError as error:
            sock.close()
            raise Trouble("no connection to %s port %d (%s)" % (self.address, self.port, reason(error)), "connection")
        except BaseException:  # also when the time is over
            sock.close()
            raise
        if self.secure:
            der = writer.get_extra_info("ssl_object").getpeercert(True)
            digest = hashlib.sha256(der).digest() if der else None
            self.certificate[:] = [digest, der]
        return reader, writer

    async def reach(self) -> None:
        """Connects, and leaves."""
        (await self.connect())[1].transport.abort()

    async def exchange(self, data: bytes, size: int) -> bytes:
        """The first so many bytes that answer these (TCP); fewer where the server ends before."""
        reader, writer = await self.connect()
        try:
            writer.write(data)
            return await reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            return error.partial
        except OSError:
            return b""
        finally:
            writer.transport.abort()

    async def line(self, longest: int) -> bytes:
        """The first line that the server sends unasked, or what there is of it."""
        reader, writer = await self.connect()
        data = b""
        try:
            while b"\n" not in data and len(data) < longest:
                part = await reader.read(longest)
                if not part:
                    break
                data += part
        except OSError:
            data = b""
        finally:
            writer.transport.abort()
        return data[:longest].partition(b"\n")[0]

    async def rtsp(self, method: str, url: str, fields: http.Fields, limit: int) -> tuple[h11.Response, bytes]:
        """(head, body) of the answer to a request of RTSP; of the body about that number of bytes. http.Broken where it is not one."""
        connection = http.Connection(*await self.connect(), protocol=b"RTSP/1.0", agent="lvsdr-streamcheck")
        try:
            head = await connection.ask(url, self.host, fields, method=method)
            body = b""
            while connection.expected and len(body) < limit:
                part = await connection.part()
                if not part:  # its chunks are less than the length in its head
                    break
                body += part
            return head, body
        finally:
            connection.close()

    async def _dial(self, address: http.Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = "%s://%s" % (address.scheme, address.name)
        if not self.is_own(url):
            raise Foreign(url)
        return await self.connect(address.host)

    def at(self, host: str) -> Place:
        """The same place under another name."""
        other = copy.copy(self)
        other.named(host)
        return other

    @contextlib.contextmanager
    def in_a_row(self) -> Iterator[Place]:
        """The same place, whose requests go over one connection while the server keeps it, as a player's do.

        A handshake of TLS costs this host more than all else in a look.
        """
        other = copy.copy(self)
        other.pool = {}
        try:
            yield other
        finally:
            for connection in other.pool.values():
                connection.close()

    async def get(
        self, url: str, limit: int = PLAYLIST_BYTES, enough: int | None = None, byte_range: tuple[int, int] | None = None,
        ok: tuple[int, int] = (200, 299), redirects: int = http.REDIRECTS,
    ) -> http.Answer:  # fmt: skip
        """The Answer to a GET of a URL of this server, or of a path. ok: the lowest and highest status that is one.

        Raises Trouble where players fail as well, Foreign where the address, or what it redirects to, is another server's.
        """
        url = url if "://" in url else self.base() + url
        said = shown_path(url)
        try:
            answer = await http.fetch(
                self._dial, url, limit, enough, byte_range, pool=self.pool, agent="lvsdr-streamcheck", redirects=redirects
            )
        except http.Broken as error:
            raise Trouble("%s: %s" % (said, error))
        except http.TooLong as error:
            raise Unknown("%s: %s, which is more than is read" % (said, error))
        except NotUnderstood as error:
            raise Unknown("%s: %s" % (said, error.message))
        except LvsError as error:
            raise Trouble("%s: %s" % (said, error.message))
        except OSError as error:
            raise Trouble("%s: %s" % (said, reason(error)), "connection")
        if not ok[0] <= answer.status <= ok[1]:
            raise Trouble("%s: %s" % (said, answer.line), "status %d" % answer.status)
        return answer
