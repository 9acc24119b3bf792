# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what HAProxy holds to what its file says, without a reload where that can be. Pure.

HAProxy exchanges servers, their addresses, weights and states, and certificates, while it runs. All else needs a reload, which starts
another process: running connections stay with the one before, and its health checks begin again.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ansible.module_utils.lvsdr.proxies import haproxy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# srv_admin_state (include/haproxy/server-t.h): set by the command line, or by the file.
FORCED_MAINTENANCE, FORCED_DRAIN = 0x01, 0x08
# srv_check_state and srv_agent_state (include/haproxy/check-t.h).
ENABLED = 0x04


# It is refused while there is a connection, also one that is kept for the next request.
DELETE = "del server "


@dataclass(frozen=True)
class Server:
    """A server as HAProxy holds it."""

    address: str
    port: int
    weight: int
    admin: int
    check: int
    agent: int
    backup: bool
    # Running ones.
    connections: int

    @property
    def drained(self) -> bool:
        return bool(self.admin & (FORCED_MAINTENANCE | FORCED_DRAIN))


class Operation(NamedTuple):
    """Commands that are sent in order, and what they do to running connections."""

    commands: tuple[str, ...]
    # keeps or drains.
    effect: str
    connections: int = 0

    @property
    def words(self) -> str:
        count = "" if self.effect == "keeps" else "%d running " % self.connections
        return "%s  # %s %sconnections" % ("; ".join(self.commands), self.effect, count)


class Plan(NamedTuple):
    operations: list[Operation]
    # Why only a reload will do; then there are no operations.
    reload: list[str]
    # "backend/server": its running connections, of those that go with the last of them.
    leaving: dict[str, int]


def rows(stat: str) -> list[dict[str, str]]:
    """What ``show stat`` printed, a dict for each line."""
    return list(csv.DictReader(stat.lstrip("# ").splitlines()))


def held(state: str, stat: str) -> dict[str, dict[str, Server]]:
    """{backend: {server: Server}} of what ``show servers state`` and ``show stat`` print."""
    lines = [line for line in state.splitlines() if line.strip()]
    heads = lines[1].lstrip("# ").split() if len(lines) > 1 else []
    counts = {(row["pxname"], row["svname"]): row for row in rows(stat)}
    out: dict[str, dict[str, Server]] = {}
    for line in lines[2:]:
        row = dict(zip(heads, line.split()))
        count = counts.get((row["be_name"], row["srv_name"]), {})
        out.setdefault(row["be_name"], {})[row["srv_name"]] = Server(
            address=row["srv_addr"], port=int(row["srv_port"]), weight=int(row["srv_uweight"]), admin=int(row["srv_admin_state"]),
            check=int(row["srv_check_state"]), agent=int(row["srv_agent_state"]), backup=count.get("bck") == "1",
            connections=int(count.get("scur") or 0),
        )  # fmt: skip
    return out


def plan(text: str, in_force: str | None, description: str, have: Mapping[str, Mapping[str, Server]]) -> Plan:
    """What leads from what HAProxy holds to the file. in_force: the file that it has read; None where that is not known. description: what
    the running process says of itself, which is not that of in_force where it could not use that file."""
    reasons = reload_reasons(text, in_force)
    if not reasons and description != haproxy.description(text):
        reasons = ["the process that runs has not read this file; see `journalctl -u haproxy`"]
    want = haproxy.servers_in(text)
    reasons += [
        "%s/%s is %sthe sorry server" % (backend, name, "" if "backup" in words else "no longer ")
        for backend, servers in want.items()
        for name, words in servers.items()
        if name in have.get(backend, {}) and have[backend][name].backup != ("backup" in words)
    ]
    if not reasons and set(want) - set(have):
        # One without any server is held, and not shown.
        reasons = ["backend %s has its first server" % name for name in sorted(set(want) - set(have)) if want[name]]
    if reasons:
        return Plan([], reasons, {})
    operations: list[Operation] = []
    leaving: dict[str, int] = {}
    cookies = haproxy.cookies_in(text)
    for backend, servers in want.items():
        now = have.get(backend, {})
        for name, words in servers.items():
            operations += _server("%s/%s" % (backend, name), words, now.get(name), backend if backend in cookies else "")
        for name in sorted(set(now) - set(servers)):
            place = "%s/%s" % (backend, name)
            operations += _removal(place, now[name])
            if now[name].connections:
                leaving[place] = now[name].connections
    return Plan(operations, [], leaving)


def reload_reasons(text: str, in_force: str | None) -> list[str]:
    """Lines that are not of servers and differ, and servers whose fixed words do."""
    if in_force is None:
        return ["it is not known what HAProxy has read"]
    out = []
    # The description says what the others are.
    before, after = ([line for line in haproxy.skeleton(one) if not line.startswith(haproxy.DESCRIPTION)] for one in (in_force, text))
    if before != after:
        changed = [line.strip() for line in after if line not in before] or [line.strip() for line in before if line not in after]
        out = ["this changes: %s" % line for line in changed[:5] if line] or ["the order of its lines changes"]
    old = haproxy.servers_in(in_force)
    for backend, servers in haproxy.servers_in(text).items():
        for name, words in servers.items():
            known = old.get(backend, {}).get(name)
            if known is not None and _fixed(known) != _fixed(words):
                out.append("%s/%s is asked in another way" % (backend, name))
    return out


def _fixed(words: Sequence[str]) -> list[str]:
    """The words of a server but its address, its weight, and whether it is in use."""
    out = [word for word in words[1:] if word != haproxy.DISABLED]
    if "weight" in out:
        at = out.index("weight")
        del out[at : at + 2]
    return out


def endpoint(words: Sequence[str]) -> tuple[str, int]:
    address, _colon, port = words[0].rpartition(":")
    return address.strip("[]"), int(port)


def weight(words: Sequence[str]) -> int | None:
    """What a weight is to be; None where an agent says so."""
    if "agent-check" in words or "weight" not in words:
        return None
    return int(words[words.index("weight") + 1])


def _server(place: str, words: list[str], now: Server | None, cookies: str) -> list[Operation]:
    """What one server of the file needs. cookies: the backend, where its servers have some."""
    checked = ["enable health %s" % place] if "check" in words else []
    asked = ["enable agent %s" % place] if "agent-check" in words else []
    disabled = haproxy.DISABLED in words
    if now is None:
        # One that is added is disabled until somebody enables it.
        added = [word for word in words if word != haproxy.DISABLED]
        commands = ["add server %s %s" % (place, " ".join(added)), *checked, *asked, *([] if disabled else ["enable server %s" % place])]
        # 2.6 makes a cookie for a server that is added only then.
        commands += ["enable dynamic-cookie backend %s" % cookies] if cookies else []
        return [Operation(tuple(commands), "keeps")]
    out = []
    address, port = endpoint(words)
    if (now.address, now.port) != (address, port):
        out.append(Operation(("set server %s addr %s port %d" % (place, address, port),), "keeps"))
    wanted = weight(words)
    if wanted is not None and now.weight != wanted:
        effect = "keeps" if wanted else "drains"
        out.append(Operation(("set server %s weight %d" % (place, wanted),), effect, 0 if wanted else now.connections))
    if disabled and not now.admin & FORCED_MAINTENANCE:
        out.append(Operation(("set server %s state maint" % place,), "drains", now.connections))
    # One that was leaving, and is declared again, or whose addition was interrupted. What an agent drains, it brings back itself.
    missing = [*(checked if not now.check & ENABLED else []), *(asked if not now.agent & ENABLED else [])]
    if now.drained and not disabled and not (asked and now.agent & ENABLED):
        missing.append("set server %s state ready" % place)
    return out + ([Operation(tuple(missing), "keeps")] if missing else [])


def _removal(place: str, now: Server) -> list[Operation]:
    """One that the file has no more takes no new connections, of viewers who stick to it neither, and goes with its last one."""
    stop = ["disable agent %s" % place] if now.agent & ENABLED else []
    if not now.connections:
        # Connections that it keeps for the next request end when it goes into maintenance; 2.6 does not end those that came there later.
        again = ["set server %s state drain" % place] if now.admin & FORCED_MAINTENANCE else []
        return [Operation((*stop, *again, "set server %s state maint" % place, DELETE + place), "keeps")]
    # It leaves already, unless that was its agent's word.
    if now.admin & FORCED_MAINTENANCE and not stop:
        return []
    return [Operation((*stop, "set server %s state maint" % place), "drains", now.connections)]
