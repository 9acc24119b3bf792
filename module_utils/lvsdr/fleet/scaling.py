# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many real servers of a service should be awake for its load: up at once, down late and one at a time. Pure: times are given.

Too few servers cost viewers, too many cost money. So one look is enough to wake as many spares as the load needs, but one server is parked
only where the others would have carried the load with room to spare all the time for ``down_after`` seconds. That must be longer than a
dip that viewers come back from: half-time takes 15 minutes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.checks.verdicts import rounded_up

if TYPE_CHECKING:
    from collections.abc import Mapping

# Seconds: the defaults of a service's options.
DOWN_AFTER, STEP = 1200, 60
# A server is parked only where the others would be loaded up to this share of their targets. A load that varies by 10 % around a value
# then does not ask for it back.
COMFORTABLE = 0.8
# Seconds between two looks after which nobody knows what the load was meanwhile.
LONGEST_PAUSE = 300
# What is said of each criterion.
CRITERIA = {
    "connections": "%(load)s connections need %(servers)s of %(target)s",
    "egress_mbit": "%(load)s Mbit/s need %(servers)s of %(target)s",
    "busy": "busyness of %(load)s %% on %(serving)s needs %(servers)s at %(target)s %%",
}


@dataclass(frozen=True)
class Measured:
    """One look at a service. None is what could not be measured this time.

    connections: running ones of all servers; egress_mbit: Mbit/s of all servers; busy: mean percent that the agents of awake servers
    report; serving: how many awake servers take viewers and are held up by their checks; awake: how many are meant to be in service.
    Count a server that was woken a moment ago as serving even before it is: otherwise another one is woken in its place.
    """

    connections: float | None
    egress_mbit: float | None
    busy: float | None
    serving: int
    awake: int


@dataclass(frozen=True)
class State:
    """What one decision leaves to the next one, in seconds of one clock. A fresh one makes every wait begin.

    at: when the last look was; parked_at: when the last step down was; enough: {number of servers: since when it has been enough}, for
    numbers lower than that of awake ones.
    """

    at: float | None = None
    parked_at: float | None = None
    enough: Mapping[int, float] = field(default_factory=dict)

    def to_data(self) -> dict[str, Any]:
        """As JSON can hold it, which makes texts of the keys."""
        return {"at": self.at, "parked_at": self.parked_at, "enough": dict(self.enough)}

    @classmethod
    def from_data(cls, data: object) -> State:
        """What to_data made; a fresh state of anything else. ``decide`` knows the time, and recognizes one from the future."""
        try:
            if isinstance(data, dict):
                enough = {int(servers): _finite(since) for servers, since in data["enough"].items()}
                at, parked_at = (None if data[name] is None else _finite(data[name]) for name in ("at", "parked_at"))
                return cls(at, parked_at, enough)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            pass
        return cls()

    def continued(self, now: float) -> State:
        """As it counts at a look: without the waits where the clock was set, or where it is too long since the last look."""
        parked_at = None if self.parked_at is None else min(self.parked_at, now)
        follows = self.at is not None and 0 <= now - self.at <= LONGEST_PAUSE
        return State(now, parked_at, self.enough if follows else {})


@dataclass(frozen=True)
class Decision:
    """wanted: how many servers should be awake; why: one sentence without a full stop; state: for the next decision."""

    wanted: int
    why: str
    state: State


def decide(options: Mapping[str, Any], measured: Measured, state: State, now: float) -> Decision:
    """What one look at a service's load means.

    options: ``min``, ``max``: how many servers may be awake; ``connections``, ``egress_mbit``, ``busy``: what one server may carry, in the
    units of Measured, or None for what does not count; ``down_after``: seconds for which fewer servers must have been enough before one
    is parked, 1200 by default; ``step``: seconds between two steps down, 60 by default. now: seconds of the clock of state.

    As many servers as the load needs, and at least ``min``, have to serve: each one that is down is replaced, up to ``max``. None is parked
    while a server is down or a criterion is not measured, and several at once only where more than ``max`` are awake. Unknown times count
    as busy ones: after them, and after more than 300 s without a look, the wait begins again.
    """
    look, state = _Look(options, measured), state.continued(now)
    wanted, enough = min(max(look.awake, look.least), look.most), {}
    if look.loads and look.need + look.down > look.awake:
        wanted, why = min(look.need + look.down, look.most), look.why_up()
    elif wanted != look.awake:
        why = "%s awake, and %s is %d" % (_count(look.awake, "is", "are"), "min" if look.awake < wanted else "max", wanted)
    elif not look.loads:
        why = "nothing could be measured: %s awake" % _count(look.awake, "stays", "stay")
    elif look.missing:
        why = "%s could not be measured: none is parked" % " and ".join(look.missing)
    elif look.down:
        why = "%s: none is parked" % look.why_fewer_serve()
    elif look.fewest >= look.awake:
        why = look.why_not_down()
    else:
        enough = {servers: state.enough.get(servers, now) for servers in range(look.fewest, look.awake)}
        may, why = _may_park(options, look.awake - 1, now - enough[look.awake - 1], state, now)
        wanted -= may
    parked_at = now if wanted < look.awake else state.parked_at
    return Decision(wanted, why, State(now, parked_at, enough))


def _may_park(options: Mapping[str, Any], left: int, quiet: float, state: State, now: float) -> tuple[bool, str]:
    """Whether a server may be parked, and why. left: how many would be left; quiet: seconds for which they have been enough."""
    down_after, step = options.get("down_after", DOWN_AFTER), options.get("step", STEP)
    if not quiet >= down_after:
        return False, "%s enough for %d of %d s" % (_count(left, "has been", "have been"), quiet, down_after)
    if state.parked_at is not None and now - state.parked_at < step:
        return False, "the last server was parked %d of %d s ago" % (now - state.parked_at, step)
    return True, "%s enough for %d s" % (_count(left, "has been", "have been"), quiet)


class _Look:
    """What was measured, counted in servers.

    loads: {criterion: how many servers it is worth}; missing: criteria of the service that were not measured; need: how many have to serve;
    fewest: how many would carry the load with room to spare. need and fewest are exact only up to ``max``.
    """

    def __init__(self, options: Mapping[str, Any], measured: Measured) -> None:
        self.least, self.most = options["min"], options["max"]
        self.awake = max(0, measured.awake)
        self.serving = min(max(0, measured.serving), self.awake)
        self.down = self.awake - self.serving
        self._values: dict[str, tuple[float, float]] = {}
        self.loads: dict[str, float] = {}
        self.missing = []
        for name in CRITERIA:
            target, value = options.get(name), getattr(measured, name)
            if target is not None and _is_finite(value) and value >= 0:
                self._values[name] = value, target
                self.loads[name] = float(value) * (self.serving if name == "busy" else 1) / target
            elif target is not None:
                self.missing.append(name)
        self._top = max(self.loads, key=lambda name: self.loads[name], default="")
        # A load can be anything; one more than max tells as much, and can be rounded.
        load = min(self.loads.get(self._top, 0.0), self.most + 1)
        self._worth = rounded_up(load)
        self._spacious = rounded_up(load / COMFORTABLE)
        self.need, self.fewest = max(self.least, self._worth), max(self.least, self._spacious)

    def _load(self) -> str:
        """The criterion that needs most servers, as a sentence."""
        value, target = self._values[self._top]
        beyond = self._worth > self.most
        servers = ("more than " if beyond else "") + _count(self.most if beyond else self._worth)
        words = {"load": _figure(value), "target": _figure(target), "servers": servers, "serving": _count(self.serving)}
        return CRITERIA[self._top] % words

    def why_up(self) -> str:
        """Why more are needed than are awake, and what is in the way."""
        why = self._load() if self._worth >= self.least else "min is %d" % self.least
        if self.down:
            why += ", and " + self.why_fewer_serve()
        return why + ("; max is %d" % self.most if self.need + self.down > self.most else "")

    def why_fewer_serve(self) -> str:
        """How many are down."""
        return "%d of %s %s down" % (self.down, _count(self.awake), "is" if self.down == 1 else "are")

    def why_not_down(self) -> str:
        """Why no fewer are enough."""
        if self._spacious < self.awake:
            return "min is %d" % self.least
        return self._load() + (", and %d with room to spare" % self._spacious if self._spacious > self._worth else "")


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max


def _finite(value: object) -> float:
    """The value, or ValueError where it is not a number."""
    if isinstance(value, (int, float)) and _is_finite(value):
        return value
    raise ValueError(value)


def _figure(value: float) -> str:
    """A number as people read it: 3,150 or 62.5."""
    return format(value, ",.0f") if 100 <= value < 1e15 else "%.3g" % value


def _count(servers: int, one: str = "", several: str = "") -> str:
    """``1 server is``, ``5 servers are``."""
    return ("%d %s %s" % (servers, *(("server", one) if servers == 1 else ("servers", several)))).strip()
