# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One look at a server, and what it means."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.checks.live import Dash, Hls
from ansible.module_utils.lvsdr.checks.outcomes import Trouble, Unable, Unknown
from ansible.module_utils.lvsdr.checks.protocols import Http, Icecast, Rtmp, Rtsp, Tcp, Udp
from ansible.module_utils.lvsdr.checks.sockets import Place, reason
from ansible.module_utils.lvsdr.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible.module_utils.lvsdr.checks.outcomes import Check

KINDS: dict[str, Callable[[dict[str, Any]], Check]] = {
    "tcp": Tcp, "http": Http, "https": Http, "udp": Udp, "dns": Udp, "srt": Udp, "hls": Hls, "dash": Dash, "rtmp": Rtmp, "rtmps": Rtmp,
    "rtsp": Rtsp, "rtsps": Rtsp, "icecast": Icecast,
}  # fmt: skip
SECURE = ("https", "rtmps", "rtsps")


# The part of a look's time in which a connection has to be there: a server without power takes all of it.
CONNECTING = 0.75
GOOD, BAD, UNKNOWN, UNABLE = "good", "bad", "unknown", "unable"


def log(level: int, words: str, *values: object) -> None:
    """A line for the journal, with a level of sd-daemon(3). What servers sent has been made printable by then."""
    print("<%d>%s" % (level, words % values), flush=True)


def odd(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A report of asyncio's is one line as well. A look that was given up may have ended in the same moment."""
    error = context.get("exception")
    if not isinstance(error, (Trouble, Unknown)):
        log(4, "%s", printable("%s: %r" % (context["message"], error), 300))


def _busy(run: Check) -> str | None:
    return run.busy


async def look(run: Check, place: Place, now: float, timeout: float) -> tuple[str, str, str | None]:
    """(GOOD, BAD, UNKNOWN or UNABLE, why, a word for the reason of a bad one) of one look of a check.

    While ``busy`` of a check names what this host does with an answer, the time is not the server's.
    """
    run.busy = None
    try:
        return GOOD, await asyncio.wait_for(run(place, now), timeout), None
    except Trouble as trouble:
        return BAD, str(trouble), trouble.kind
    except Unable as unable:
        return UNABLE, str(unable), None
    except Unknown as unknown:
        return UNKNOWN, "not understood, so it does not count: %s" % unknown, None
    except asyncio.TimeoutError:
        busy = _busy(run)
        if busy:
            return UNABLE, "this director had no time for %s" % busy, None
        return BAD, "no answer within %g s" % timeout, "time"
    except OSError as error:
        return BAD, reason(error), "connection"
    except Exception as error:  # one server's odd answer must not end the checks of all others, and would not stop a player
        return UNKNOWN, "not understood, so it does not count: %s" % Unknown(repr(error)), None


def place_of(options: dict[str, Any], check: dict[str, Any]) -> Place:
    """The Place of one server, from its options in the configuration."""
    return Place(
        options["address"], options["port"], options.get("own"), options.get("mark"), check.get("host"),
        secure=check["type"] in SECURE or bool(check.get("tls")), verify=check.get("verify", False), names=options.get("names", ()),
        # Of a default of 2 s it is 1.5 s: a first packet that was lost is sent again after one.
        patience=CONNECTING * check.get("timeout", 2),
    )  # fmt: skip
