# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks that ask once: whether the server accepts, answers, describes, or sends. Each is made of its options and sees a Peer, no socket.

Sources: Adobe's RTMP 1.0 specification (5.2), RFC 2326 (RTSP), RFC 7616 and 7617 (Digest and Basic), HAProxy's agent-check.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.checks.matching import Matcher, Slow
from ansible.module_utils.lvsdr.checks.outcomes import Foreign, Trouble, Unable, Unknown
from ansible.module_utils.lvsdr.errors import printable
from ansible.module_utils.lvsdr.streams import http, packets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import h11
    from ansible.module_utils.lvsdr.checks.outcomes import Peer

RTMP_VERSION, RTMP_BLOCK = 3, 1536
# Of a page that an expression is searched in, and of an agent's line.
PAGE_BYTES, LINE_BYTES = 64 << 10, 1024
# What an Icecast mount has to send.
FLOW_BYTES = 1024


class Tcp:
    """The server accepts a connection."""

    busy: str | None = None

    def __init__(self, options: dict[str, Any]) -> None:
        pass

    async def __call__(self, place: Peer, now: float) -> str:
        await place.reach()
        return "connected"


class Http:
    """Each URL answers with a status of its range, and with a body that its expression fits."""

    matcher = Matcher()
    busy: str | None = None

    def __init__(self, options: dict[str, Any]) -> None:
        self.urls = [(url, *_range(url["status"]), url.get("match")) for url in options["urls"]]
        for url in options["urls"]:
            re.compile(url.get("match") or "")

    async def __call__(self, place: Peer, now: float) -> str:
        line = ""
        for url, low, high, pattern in self.urls:
            asked = place.at(url["host"]) if url.get("host") else place
            try:
                answer = await asked.get(url["path"], PAGE_BYTES if pattern else 0, None if pattern else 0, ok=(low, high), redirects=0)
            except Foreign as error:
                raise Trouble("%s: it redirects to %s" % (url["path"], http.shown(str(error))))
            if pattern:
                self.busy = "searching for %s" % printable(pattern, 80)
                try:
                    found = await self.matcher.search(pattern, answer.body)
                except Slow as slow:
                    raise Unknown("%s: %s" % (url["path"], slow))
                self.busy = None
                if not found:
                    raise Trouble("%s: the body has no %s" % (url["path"], pattern), "match")
            line = answer.line
        return line


def _range(status: object) -> tuple[int, int]:
    """The lowest and highest of ``200`` or ``200-299``."""
    low, _dash, high = str(status).partition("-")
    return int(low), int(high or low)


class Udp:
    """An answer to the question of the protocol, or to a payload."""

    busy: str | None = None

    def __init__(self, options: dict[str, Any]) -> None:
        self.type = packets.type_of(options["type"])
        self.question = packets.question(self.type, options.get("payload"), options.get("query", "."))
        self.reply = bytes.fromhex(options["reply"]) if options.get("reply") else None

    async def __call__(self, place: Peer, now: float) -> str:
        answer = await place.ask(self.question)
        if not packets.fits(self.type, answer) or (self.reply and answer != self.reply):
            raise Trouble("unexpected reply on port %d" % place.port)
        return "answered"


class Rtmp:
    """The handshake is answered to S2."""

    busy: str | None = None

    def __init__(self, options: dict[str, Any]) -> None:
        pass

    async def __call__(self, place: Peer, now: float) -> str:
        size = 1 + 2 * RTMP_BLOCK
        answer = await place.exchange(bytes([RTMP_VERSION]) + bytes(8) + os.urandom(RTMP_BLOCK - 8), size)
        if len(answer) < size:
            raise Trouble("the RTMP handshake ends after %d of %d bytes" % (len(answer), size))
        if answer[0] != RTMP_VERSION:
            raise Trouble("the RTMP handshake is answered with version %d" % answer[0])
        return "handshake to S2"


class Rtsp:
    """DESCRIBE of the path succeeds, and the description is SDP; with a login where one is given."""

    busy: str | None = None

    def __init__(self, options: dict[str, Any]) -> None:
        self.path: str = options["path"]
        self.login_file: str | None = options.get("login_file")
        # The file as systemd hands it over: this program may not read the file itself.
        self.credential = os.path.join(os.environ.get("CREDENTIALS_DIRECTORY", ""), options.get("login_credential", ""))

    async def __call__(self, place: Peer, now: float) -> str:
        scheme = "rtsps" if place.secure else "rtsp"
        url = place.base(scheme) + self.path
        head, body = await self._describe(place, url, ())
        if head.status_code == 401:
            if not self.login_file:
                raise Unknown("DESCRIBE %s: it asks for a login; declare login_file" % self.path)
            challenges = [value.decode("utf-8", "surrogateescape") for name, value in head.headers if name == b"www-authenticate"]
            answer = authorization(challenges, self._login(), url).encode("utf-8", "surrogateescape")
            head, body = await self._describe(place, url, [("Authorization", answer)])
        if head.status_code in http.REDIRECTED:
            raise Unknown("DESCRIBE %s: it is redirected" % self.path)
        if head.status_code != 200:
            words = "%d %s" % (head.status_code, head.reason.decode("latin-1"))
            raise Trouble("DESCRIBE %s: RTSP/1.0 %s" % (self.path, words), "status %d" % head.status_code)
        kinds = [value.lower() for name, value in head.headers if name == b"content-type"]
        if not body.lstrip().startswith(b"v=0") and not any(b"sdp" in kind for kind in kinds):
            raise Trouble("DESCRIBE %s: no SDP" % self.path)
        return "described"

    async def _describe(self, place: Peer, url: str, fields: http.Fields) -> tuple[h11.Response, bytes]:
        try:
            return await place.rtsp("DESCRIBE", url, [("CSeq", "1"), ("Accept", "application/sdp"), *fields], PAGE_BYTES)
        except http.Broken as error:
            raise Trouble("DESCRIBE %s: %s" % (self.path, error))

    def _login(self) -> tuple[str, str]:
        """(user, password) of the file."""
        assert self.login_file is not None  # a check without one never asks for it
        try:
            with open(self.credential if os.path.isfile(self.credential) else self.login_file, encoding="utf-8") as f:
                user, colon, password = f.readline().rstrip("\r\n").partition(":")
        except (OSError, ValueError) as error:
            raise Unable("%s can't be read (%s)" % (self.login_file, getattr(error, "strerror", None) or "it is not text"))
        if not colon:
            raise Unable("%s has no line such as user:password" % self.login_file)
        return user, password


DIGESTS = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


def authorization(challenges: Sequence[str], login: tuple[str, str], url: str, method: str = "DESCRIBE") -> str:
    """The value of an Authorization header that answers a server's challenges, Digest before Basic."""
    user, password = login
    for challenge in challenges:
        scheme, _blank, rest = challenge.strip().partition(" ")
        found = {name.lower(): quoted or plain for name, quoted, plain in re.findall(r'\b(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))', rest)}
        algorithm = found.get("algorithm", "MD5").upper()
        if scheme.lower() != "digest" or algorithm not in DIGESTS or "nonce" not in found:
            continue

        def digest(*words: str, make: Callable[[bytes], Any] = DIGESTS[algorithm]) -> str:
            return str(make(":".join(words).encode("utf-8", "surrogateescape")).hexdigest())

        first, second = digest(user, found.get("realm", ""), password), digest(method, url)
        out = {"username": user, "realm": found.get("realm", ""), "nonce": found["nonce"], "uri": url}
        more = ""
        if "auth" in re.split(r"[\s,]+", found.get("qop", "")):
            fresh = os.urandom(8).hex()
            out["response"], more = digest(first, found["nonce"], "00000001", fresh, "auth", second), ", qop=auth, nc=00000001"
            out["cnonce"] = fresh
        else:
            out["response"] = digest(first, found["nonce"], second)
        if "opaque" in found:
            out["opaque"] = found["opaque"]
        if "algorithm" in found:
            more += ", algorithm=%s" % algorithm
        return "Digest " + ", ".join('%s="%s"' % (name, value.replace('"', "")) for name, value in out.items()) + more
    if any(challenge.strip().lower().startswith("basic") for challenge in challenges):
        return "Basic " + base64.b64encode(("%s:%s" % login).encode()).decode()
    raise Unknown("it asks for an unsupported kind of login (%s)" % printable(", ".join(challenges)[:60], 60))


class Icecast:
    """Bytes of the mount flow. What Icecast's status page reports of this and other mounts does not matter to a player."""

    busy: str | None = None

    def __init__(self, options: dict[str, Any]) -> None:
        self.path = options["path"]

    async def __call__(self, place: Peer, now: float) -> str:
        try:
            answer = await place.get(self.path, limit=0, enough=FLOW_BYTES)
        except Foreign as error:
            return "led to another server, %s" % http.shown(str(error))
        if not answer.size:
            raise Trouble("mount %s: no data" % self.path, "empty")
        return "bytes flow"


async def agent(place: Peer) -> str:
    """What a server reports of itself, one line of text; nothing where it sends none."""
    try:
        return (await place.line(LINE_BYTES)).decode("ascii", "replace")
    except (Trouble, Unable):
        return ""
