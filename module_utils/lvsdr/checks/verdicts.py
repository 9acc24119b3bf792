# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From results of checks and what servers report of their load to what keepalived adds to a server's weight: hysteresis, slow start, the
floor, smoothing. Pure: times are given.

keepalived adds the number in a track file to the weight that it was configured with (FILE_CHECK, keepalived.conf(5)); a result of 0 or less
takes the server out, and a missing file counts as 0, which leaves the decision to keepalived's own checks.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from ansible.module_utils.lvsdr.errors import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNKNOWN, UP, DOWN = "unknown", "up", "down"
# In a track file: less than any weight.
OUT = -2147483647
# Letters of an agent's report that are shown.
LONGEST_SAID = 80
# The share of its weight with which a server that comes back begins.
RAMP_FROM = 0.1


class Verdict:
    """What is held of one real server.

    fall and rise: how many results in a row turn it; slow_start: seconds in which it then comes back to its full weight.
    """

    def __init__(self, fall: int = 1, rise: int = 2, slow_start: float = 0.0) -> None:
        self.fall, self.rise, self.slow_start = fall, rise, slow_start
        self.state, self.why = UNKNOWN, "not checked yet"
        self.kind: str | None = None
        self.changed_at: float | None = None
        self._row = 0  # results in a row that speak against the state

    def add(self, good: bool | None, why: str, now: float, kind: str | None = None) -> bool:
        """Takes in one result; returns whether the state changed.

        good: None for one that could not be understood. It does not count against a server, and keeps none out that was out before. kind: a
        word for the reason of a bad one.
        """
        if good is None:
            return self._not_understood(why)
        wanted = UP if good else DOWN
        if wanted == self.state:
            self._row, self.why = 0, why
            return False
        self._row += 1
        # A first result is believed at once where it is good: nothing was wrong before.
        needed = self.fall if wanted == DOWN else (1 if self.state == UNKNOWN else self.rise)
        if self._row < needed:
            return False
        came_back = self.state == DOWN
        self.state, self.why, self.kind, self._row = wanted, why, kind, 0
        # Without a time there is nothing to ramp from: a checker that begins finds servers at their full weight.
        self.changed_at = now if wanted == DOWN or came_back else None
        return True

    def _not_understood(self, why: str) -> bool:
        if self.state != DOWN:
            self._row, self.why = 0, why
            return False
        self._row += 1
        if self._row < self.rise:
            return False
        self.state, self.why, self.kind, self.changed_at, self._row = UNKNOWN, why, None, None, 0
        return True

    def take_over(self, former: Verdict) -> None:
        """Goes on from what another one holds of the same server."""
        self.state, self.why, self.kind = former.state, former.why, former.kind
        self.changed_at, self._row = former.changed_at, former._row

    def recall(self, state: str, why: str, kind: str | None, changed_at: float) -> None:
        """Goes on from what another process held of it."""
        if state in (UP, DOWN):
            self.state, self.why, self.kind, self.changed_at = state, str(why), kind, changed_at

    def come_back(self, now: float) -> None:
        """A server that takes viewers again, and was never down, comes back as slowly as one that was."""
        if self.state == UP:
            self.changed_at = now

    def returns(self) -> float:
        """The share with which it would come back now."""
        if self.state == DOWN:
            return 0.0
        return RAMP_FROM if self.state == UP and self.slow_start > 0 else 1.0

    def share(self, now: float) -> float:
        """The part of its weight that the server should have, 0 to 1."""
        if self.state == DOWN:
            return 0.0
        if self.state == UNKNOWN or self.changed_at is None or self.slow_start <= 0:
            return 1.0
        part = (now - self.changed_at) / self.slow_start
        return min(1.0, max(RAMP_FROM, part))


class Together:
    """Whether all servers of a service turned bad at once and for one reason: then it is the origin's, or the check's own, and no server's.

    window: seconds within which that is at once; keep: whether they then stay in.
    """

    def __init__(self, window: float, keep: bool = True) -> None:
        self.window, self.keep = window, keep
        self.failed = False  # all of them, together
        self.recovered_at: float | None = None  # when the first one was good again

    def take_over(self, former: Together) -> None:
        self.failed, self.recovered_at = former.failed, former.recovered_at

    def look(self, verdicts: Sequence[Verdict], now: float) -> bool:
        """Takes in the verdicts of the servers that count; returns whether ``failed`` has changed."""
        before, down = self.failed, [verdict for verdict in verdicts if verdict.state == DOWN]
        if not verdicts:
            self.failed = False
        elif len(down) == len(verdicts):
            self.recovered_at = None
            times = [verdict.changed_at or 0.0 for verdict in down]  # one that is down has such a time
            if len({verdict.kind for verdict in down}) == 1 and max(times) - min(times) <= self.window:
                self.failed = True
        elif self.failed:
            # The others are given the time in which they can be seen to be good as well.
            self.recovered_at = now if self.recovered_at is None else self.recovered_at
            if not down or now - self.recovered_at > self.window:
                self.failed, self.recovered_at = False, None
            for verdict in verdicts:
                if verdict.state == UP and self.keep:
                    verdict.changed_at = None  # it never was out, so it does not come back slowly
        return before != self.failed

    @property
    def kept(self) -> bool:
        """Whether servers that are down stay in."""
        return self.failed and self.keep


# Words of an agent's line, in either case, as HAProxy's agent-check (check.c) and Loadbalancer.org's feedback agent know them.
AGENT_OUT, AGENT_IN = ("drain", "maint", "down", "fail", "failed", "stopped"), ("up", "ready")
# An agent that sends nothing so often in a row no longer counts.
AGENT_SILENT = 3


class Seldom:
    """Which words are for the log: those that differ from the last ones, digits not counted, and none too soon after others."""

    def __init__(self, pause: float = 600) -> None:
        self.pause = pause
        self._words: str | None = None
        self._at: float | None = None

    def new(self, words: str, now: float) -> bool:
        """Takes in words; empty ones mean that all is well. Returns whether they are to be logged."""
        # The digits of what is not understood change at each look.
        words = re.sub("[0-9]+", "", words)
        if not words or words == self._words or (self._at is not None and now - self._at < self.pause):
            self._words = self._words if words else None
            return False
        self._words, self._at = words, now
        return True


class Load:
    """What a server reports of its own load: which part of its weight it wants.

    smoothing: how much a new percentage counts beside the ones before, from more than 0 to 1 (it alone); step: a change of the share that
    is smaller is left out. None and all take effect at once.
    """

    def __init__(self, smoothing: float = 0.5, step: float = 0.1) -> None:
        self.smoothing, self.step = smoothing, step
        self.share, self.said = 1.0, ""
        self.odd: list[str] | None = None  # the line that was not understood last
        self._out, self._silent = False, 0
        self._smooth: float | None = None

    def take_over(self, former: Load | None) -> None:
        """Goes on from what another one heard; None where there was none."""
        if former is not None:
            self.share, self.said, self.odd = former.share, former.said, former.odd
            self._out, self._smooth, self._silent = former._out, former._smooth, former._silent

    def hear(self, line: str) -> bool:
        """Takes in one line, such as ``75%``, ``drain`` or ``up 50%``; returns whether it holds something new that is not understood.

        An empty line is silence. After a line without a known word the previous report still counts.
        """
        words = [printable(word) for word in line.partition("#")[0].replace(",", " ").lower().split()]
        percentages = [int(word[:-1]) for word in words if re.fullmatch("[0-9]{1,4}%", word)]
        known = [word for word in words if word in AGENT_OUT + AGENT_IN]
        if not words and "#" not in line:
            self._silent += 1
            if self._silent >= AGENT_SILENT:
                self.share, self.said, self._out, self._smooth = 1.0, "", False, None
            return False
        self._silent = 0
        if not percentages and not known:
            new = words != self.odd and bool(words)
            self.odd = words
            return new
        self.said = " ".join(words)[:LONGEST_SAID]
        if known:
            self._out = known[-1] in AGENT_OUT
        if percentages:
            fresh = min(100, percentages[-1]) / 100
            self._smooth = fresh if self._smooth is None or fresh in (0, 1) else self._smooth + self.smoothing * (fresh - self._smooth)
        wanted = 0.0 if self._out else (1.0 if self._smooth is None else self._smooth)
        if wanted == 0 or self.share == 0 or abs(wanted - self.share) >= self.step or wanted >= 1:
            self.share = wanted
        return False


def rounded_up(number: float) -> int:
    """0.07 times 100 is a little more than 7 to a computer, and counts as 7."""
    return math.ceil(round(number, 9))


def shares(
    verdicts: Mapping[str, Verdict], floor: float, now: float, loads: Mapping[str, float] | None = None, kept: bool = False
) -> dict[str, float]:
    """{name: share} of a service's servers, so that at least the share ``floor`` of them is not taken out.

    Those that went down last stay in: what takes all servers down one after the other is more likely the check's own trouble, or one that
    sending viewers nowhere does not mend. loads: {name: share} that servers want by themselves; one that wants none does not count.
    kept: whether those that are down stay in (Together).
    """
    loads = loads or {}
    out = {name: 1.0 if kept and verdict.state == DOWN else verdict.share(now) for name, verdict in verdicts.items() if loads.get(name, 1)}
    least = min(len(out), rounded_up(floor * len(out)))
    down = sorted((name for name in out if out[name] == 0), key=lambda name: (-(verdicts[name].changed_at or 0.0), name))
    missing = least - (len(out) - len(down))
    for name in down[: max(0, missing)]:
        out[name] = 1.0
    return {name: out.get(name, 0.0) * loads.get(name, 1) for name in verdicts}


def offset(weight: int, share: float) -> int:
    """The number for the track file: what turns weight into its share, at least 1 while anything is left of it.

    None of it is OUT, which stays true while keepalived has another weight already and this program not yet.
    """
    return max(1, round(weight * share)) - weight if share > 0 else OUT
