# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The journal on the controller: a line of JSON for each thing that was begun and that ended. Pure.

``{"at": RFC 3339, "run": text, "by": user, "on": host, "verb": text, "what": text, "event": one of EVENTS, …}``; begun and
ended have ``numbers``, and begun has ``fleet``, the directors with their addresses, and ``process``, whose run it is. A line that is
not understood, of another release or cut off, is passed over.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.fleet import capacity
from ansible.module_utils.lvsdr.text import aligned

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from ansible.module_utils.lvsdr.inventory.types import VirtualService

EVENTS = BEGUN, DRAINED, DONE, ENDED = "begun", "drained", "done", "ended"
# Of a run that had begun beside another one, and did nothing.
REFUSED = "refused"
NEEDED = ("at", "run", "verb", "what", "event")
# Seconds within which both directors write down one click.
ONE_CLICK = 30


def line(at: str, by: str, on: str, options: Mapping[str, Any]) -> str:
    """One line. options: the other fields; None leaves one out."""
    return json.dumps({"at": at, "by": by, "on": on, **{name: value for name, value in options.items() if value is not None}}) + "\n"


def entries(text: str) -> list[dict[str, Any]]:
    """The lines of a journal that can be read, in order."""
    out = []
    for line in text.splitlines():
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if isinstance(one, dict) and all(isinstance(one.get(name), str) for name in NEEDED):
            out.append(one)
    return out


def with_clicks(found: Sequence[Mapping[str, Any]], hostvars: Mapping[str, Any], directors: Iterable[str]) -> list[Mapping[str, Any]]:
    """The same, with what was clicked on the pages of the directors: each of them keeps a journal, and writes a click down once.
    hostvars: those of the directors, where ``slurp`` was registered as lvs_clicks."""
    texts = (hostvars[name].get("lvs_clicks", {}).get("content", "") for name in directors)
    clicks: list[Mapping[str, Any]] = []
    last: dict[tuple[str, ...], float] = {}
    written = (one for text in texts for one in entries(base64.b64decode(text).decode(errors="replace")))
    for one in sorted(written, key=_moment):
        key = tuple(str(one.get(name)) for name in ("verb", "what", "by", "reason", "result"))
        if _moment(one) - last.get(key, 0) > ONE_CLICK:
            clicks.append(one)
        last[key] = _moment(one)
    return sorted([*found, *clicks], key=_moment)


def _moment(one: Mapping[str, Any]) -> float:
    """Seconds since 1970 of a line, in whatever zone it was written; 0 where that can't be read."""
    try:
        at = datetime.fromisoformat(one["at"].replace("Z", "+00:00"))
    except ValueError:
        return 0.0
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()


def numbers(services: Sequence[VirtualService], infos: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """{service: {"servers": how many take viewers, "connections": running ones}}, of the director that counts most. infos: {director: what
    ipvs_info returned}."""
    out: dict[str, dict[str, int]] = {}
    for service in services:
        for info in infos.values() if not service.absent else ():
            one = out.setdefault(service.name, {"servers": 0, "connections": 0})
            one["servers"] = max(one["servers"], len(capacity.serving(service, info)))
            one["connections"] = max(one["connections"], capacity.connections(service, info))
    return out


def unfinished(found: Iterable[Mapping[str, Any]], verb: str, what: str, event: str = DONE) -> list[str]:
    """What was done since a verb was begun that has not ended: the ``item`` of each DONE, or other event, of that verb and what."""
    out: list[str] = []
    for one in found:
        if one["verb"] == verb and one["what"] == what:
            if one["event"] == ENDED:
                out = []
            elif one["event"] == event and str(one.get("item")) not in out:
                out.append(str(one.get("item")))
    return out


def beside(
    found: Sequence[Mapping[str, Any]], mine: Mapping[str, Any], own: Collection[str], alive: Callable[[str], bool], since: float
) -> tuple[Mapping[str, Any], bool] | None:
    """(the line with which another run began, whether it goes on), of one that was begun before mine on this machine, for one of the same
    directors, and either goes on or has written something since mine began to read; None where there is none.

    own: the processes that mine is part of, so that a run may start others. alive: whether a process still is. since: seconds since 1970.
    One that was begun on another machine can't be told from one that was interrupted there.
    """
    last = max((place for place, one in enumerate(found) if one["run"] == mine["run"] and one["event"] == BEGUN), default=len(found))
    # Of two that began at once, the first line counts.
    for run, lines in _by_run(found[:last]).items():
        begun = next((one for one in lines[::-1] if one["event"] == BEGUN), {})
        process, event = str(begun.get("process")), lines[-1]["event"]
        if run == mine["run"] or begun.get("on") != mine["on"] or not _common(begun, mine) or process in own or event == REFUSED:
            continue
        goes_on = event != ENDED and alive(process)
        if goes_on or _moment(lines[-1]) > since:
            return begun, goes_on
    return None


def _by_run(found: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """{run: its lines}, in the order in which they began."""
    out: dict[str, list[Mapping[str, Any]]] = {}
    for one in found:
        out.setdefault(one["run"], []).append(one)
    return out


def _common(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two lines are about the same directors, or one of them."""
    fleets = [line.get("fleet") for line in (one, other)]
    return bool(set.intersection(*(set(map(str, fleet)) if isinstance(fleet, list) else set() for fleet in fleets)))


def history(found: Sequence[Mapping[str, Any]], count: int = 20) -> list[str]:
    """The last runs in lines, newest last: when, by whom, what, what it came to, and the numbers before and after."""
    rows: list[tuple[str, ...]] = [("WHEN", "BY", "WHAT", "RESULT", "BEFORE", "AFTER")]
    for lines in list(_by_run(found).values())[-count:]:
        first, last = lines[0], lines[-1]
        done = [str(one.get("item")) for one in lines if one["event"] == DONE]
        result = "refused beside another run" if last["event"] == REFUSED else "did not end"
        if last["event"] == ENDED:
            result = str(last.get("result") or "done")
        if done:
            result += ": " + ", ".join(done)
        if first.get("reason"):
            result += " (%s)" % first["reason"]
        what = ("%s %s" % (first["verb"], first["what"])).strip()
        after = _words(last) if last["event"] == ENDED else ""
        rows.append((first["at"], str(first.get("by", "")), what, result, _words(first), after))
    return aligned(rows) if len(rows) > 1 else ["Nothing has been written yet"]


def _words(one: Mapping[str, Any]) -> str:
    """``live 3 servers 120 connections``."""
    found = one.get("numbers")
    if not isinstance(found, dict):
        return ""
    return ", ".join("%s %s" % (name, " ".join("%s %s" % (value, word) for word, value in its.items())) for name, its in found.items())
