# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What HAProxy on this host is told of each server: HAProxy's agent-check, on loopback.

HAProxy connects once a second for each server, names it (``agent-send``), and reads one line (configuration.txt, "agent-check"). A word
that is not said changes nothing, so a server that has not been checked yet is only ``ready``.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ansible.module_utils.lvsdr.checks import verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible.module_utils.lvsdr.agent.server import Server

# Seconds within which HAProxy has to name a server, and the longest name: two of 60 characters, each with a stroke.
PATIENCE, LONGEST = 5, 122


def line(servers: Iterable[Server]) -> str:
    """What is said of a server. servers: its part in each check of one service; it has to pass all of them."""
    found = list(servers)
    if any(one.drained for one in found):
        # No new connection at all, of those that stick to it neither; running ones go on.
        return "maint"
    if not found or any(one.verdict.state == verdicts.UNKNOWN for one in found):
        return "ready"
    worst = min(found, key=lambda one: one.share)
    if not worst.share and worst.verdict.state == verdicts.DOWN:
        # A line ends at the first line end, and its words at spaces and commas, but for what is behind the sharp sign.
        why = worst.verdict.why[:100]
        return "ready down #%s" % "".join(letter if letter.isprintable() and letter.isascii() else "?" for letter in why)
    # Of a weight of 1, which each server has in HAProxy's file; HAProxy has whole weights up to 256.
    weight = round(worst.share * worst.weight)
    return "ready up %d%%" % (100 * (max(1, weight) if worst.share and worst.weight else weight))


class AgentCheck:
    """servers: {"service/server": the same server in each check of the service}"""

    def __init__(self, servers: dict[str, list[Server]]) -> None:
        self.servers = servers

    async def serve(self, port: int) -> None:
        """Until it is cancelled."""
        listener = await asyncio.start_server(self._answer, "127.0.0.1", port)
        async with listener:
            await listener.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            named = await asyncio.wait_for(self._name(reader), PATIENCE)
            writer.write((line(self.servers.get(named, ())) + "\n").encode())
            await asyncio.wait_for(writer.drain(), PATIENCE)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError):
            pass  # it has gone, or is not HAProxy
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    @staticmethod
    async def _name(reader: asyncio.StreamReader) -> str:
        """``live/edge1`` of ``live/edge1/``: there is no line end, because the command line, which adds servers, can't write one."""
        out = b""
        while out.count(b"/") < 2:
            out += await reader.readexactly(1)
            if len(out) > LONGEST:
                raise ValueError(out)
        return out[:-1].decode(errors="replace")
