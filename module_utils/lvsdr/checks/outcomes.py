# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The outcomes of a look at a server, and all that a check sees of the server: bytes in, a verdict out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ansible.module_utils.lvsdr.errors import printable
from ansible.module_utils.lvsdr.streams import http

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Protocol

    import h11

    class Peer(Protocol):
        """One server, as sockets.Place reaches it, and as tests make it of bytes. What can't be reached raises Trouble or Unable."""

        port: int
        host: str
        secure: bool

        def base(self, scheme: str | None = None) -> str: ...
        def is_own(self, url: str) -> bool: ...
        def at(self, host: str) -> Peer: ...
        def in_a_row(self) -> AbstractContextManager[Peer]: ...
        async def reach(self) -> None: ...
        async def ask(self, question: bytes) -> bytes: ...
        async def exchange(self, data: bytes, size: int) -> bytes: ...
        async def line(self, longest: int) -> bytes: ...
        async def rtsp(self, method: str, url: str, fields: http.Fields, limit: int) -> tuple[h11.Response, bytes]: ...
        async def get(
            self,
            url: str,
            limit: int = ...,
            enough: int | None = None,
            byte_range: tuple[int, int] | None = None,
            ok: tuple[int, int] = ...,
            redirects: int = ...,
        ) -> http.Answer: ...

    class Check(Protocol):
        """What every check is. busy: what this host does with an answer just now."""

        busy: str | None

        async def __call__(self, place: Peer, now: float) -> str: ...


# Of a playlist or a manifest. Hours of a stream fit; what is longer is not read, and does not count against the server.
PLAYLIST_BYTES = 512 << 10
# What a server sends is shown up to this length, without what is not printable.
LONGEST_WORDS = 160


class Trouble(Exception):
    """Why a player would fail, in words. kind: a word for the reason, the same on each server that has it."""

    def __init__(self, words: str, kind: str = "answer") -> None:
        super().__init__(printable(words, LONGEST_WORDS))
        self.kind = kind


class Unknown(Exception):
    """What was not understood: it does not count against the server."""

    def __init__(self, words: str) -> None:
        super().__init__(printable(words, LONGEST_WORDS))


class Unable(Unknown):
    """Why this director can't check at all."""


class Foreign(Exception):
    """An address that is not this server's."""


def shown_path(url: str) -> str:
    """The path of a URL for a message; of another host all of it, without a password."""
    parts = urlsplit(url)
    return printable(http.quoted(parts.path, parts.query), 100)
