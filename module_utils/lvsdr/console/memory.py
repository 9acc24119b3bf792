# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a console remembers from one look to the next: half an hour of rates, the events of a day, and since when something is so. Pure."""

from __future__ import annotations

import array
import collections
from typing import Any

# Seconds of a bucket, and how many: 30 minutes.
BUCKET, BUCKETS = 30, 60
DAY, MOST_EVENTS = 86400, 2000
# Seconds that a problem has to last: the directors check by themselves, and never in the same moment.
LASTING = {
    "parity": 10.0, "configuration": 30.0, "director-silent": 5.0, "sync": 5.0, "server-missing": 5.0, "not-in-table": 5.0,
    # A look at the other director may be two seconds older, so a hand-over looks like one of these for a moment.
    "split-brain": 5.0, "nobody-active": 5.0,
    # While HAProxy or lvsdr-proxy-info is restarted, or nginx hands over.
    "proxy-silent": 8.0, "waf": 5.0,
}  # fmt: skip
SERIES = ("new", "in", "out")

Key = tuple[str, str, str]


class Series:
    """The averages of one server's rates, newest last."""

    def __init__(self) -> None:
        self.sums, self.count = [0.0] * len(SERIES), 0
        self.rows = [array.array("f", [0.0]) * BUCKETS for _name in SERIES]

    def add(self, values: list[float]) -> None:
        self.sums = [total + value for total, value in zip(self.sums, values)]
        self.count += 1

    def close(self) -> None:
        """Ends a bucket."""
        for row, total in zip(self.rows, self.sums):
            del row[0]
            row.append(total / self.count if self.count else 0.0)
        self.sums, self.count = [0.0] * len(SERIES), 0


class Memory:
    def __init__(self) -> None:
        self.series: dict[Key, Series] = {}
        self.events: collections.deque[tuple[float, str]] = collections.deque(maxlen=MOST_EVENTS)
        self.since: dict[Any, tuple[Any, float]] = {}
        self.transitions: dict[str, int] = {}
        # {key of a problem: since when, on the clock that never steps, and by the time of day}
        self.problems: dict[str, tuple[float, float]] = {}
        self.closes: float | None = None
        self.first = True

    def take(self, state: dict[str, Any], clock: float | None = None) -> None:
        """Takes in a state, and adds to it: ``since`` of servers and directors, ``spark`` of servers, ``events``. Only problems
        that have lasted stay. clock: seconds of a clock that never steps."""
        now = state["at"]
        clock = now if clock is None else clock
        self._close(clock)
        for director in state["directors"]:
            self._director(director, now)
        there = set()
        for service in state["services"]:
            for server in service["servers"]:
                key = (service["name"], service["vip"], server["name"])
                there.add(key)
                series = self.series.setdefault(key, Series())
                series.add([server["new"], server["in"], server["out"] or 0.0])
                server["spark"] = series.rows
                self._server(key, service, server, now)
        for key in set(self.series) - there:
            del self.series[key]
        self._last(state, now, clock)
        while self.events and self.events[0][0] < now - DAY:
            self.events.popleft()
        state["events"] = list(self.events)
        self.first = False

    def _close(self, clock: float) -> None:
        if self.closes is None:
            self.closes = clock + BUCKET
        while clock >= self.closes:
            for series in self.series.values():
                series.close()
            # A host that slept has no use for each bucket in between.
            self.closes = max(self.closes + BUCKET, clock - BUCKET * BUCKETS)

    def changed(self, what: Any, value: Any, now: float) -> Any:
        """The former value where it is another one now, else the value itself; ``since[what]`` says since when."""
        before, _since = self.since.get(what, (value, now))
        if what not in self.since or before != value:
            self.since[what] = (value, now)
        return before

    def say(self, now: float, words: str) -> None:
        if not self.first:
            self.events.append((now, words))

    def _director(self, director: dict[str, Any], now: float) -> None:
        name = director["name"]
        before = self.changed(("answers", name), director["answers"], now)
        if before != director["answers"]:
            self.say(now, "%s %s" % (name, "answers again" if director["answers"] else "does not answer"))
        if director["answers"]:
            held = self.changed(("active", name), bool(director["active"]), now)
            self.transitions.setdefault(name, 0)
            if held != bool(director["active"]):
                self.transitions[name] += 1
                self.say(now, "%s %s" % (name, "has become the active director" if director["active"] else "holds no VIP any more"))
        director["since"] = self.since.get(("active", name), (None, now))[1]
        director["transitions"] = self.transitions.get(name, 0)

    def _server(self, key: Key, service: dict[str, Any], server: dict[str, Any], now: float) -> None:
        if server["reason"] == "unknown":  # of a director that is silent for a moment
            server["since"] = self.since.get(key, (None, now))[1]
            return
        before = self.changed(key, server["reason"], now)
        server["since"] = server["note"].get("since") or self.since[key][1]
        if before != server["reason"]:
            words = {"serving": "takes viewers", "part": "takes a part of its viewers", "down": "is out", "kept": "fails and is kept in"}
            what = words.get(server["reason"], "is %s" % server["reason"])
            why = ": %s" % server["why"] if server["why"] and server["reason"] != "serving" else ""
            self.say(now, "%s %s in %s (%s)%s" % (server["name"], what, service["name"], service["vip"], why))

    def _last(self, state: dict[str, Any], now: float, clock: float) -> None:
        """Leaves out the problems that have not lasted yet."""
        there = {one["key"] for one in state["problems"]}
        self.problems = {key: since for key, since in self.problems.items() if key in there}
        out = []
        for one in state["problems"]:
            begin, since = self.problems.setdefault(one["key"], (clock, now))
            if clock - begin >= LASTING.get(one["kind"], 0.0):
                out.append({**one, "since": since})
        state["problems"] = out
