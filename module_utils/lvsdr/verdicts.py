# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From results of checks and what servers say of their load to what keepalived adds to a server's weight: hysteresis, slow start, the
floor, smoothing. Pure: times are given.

keepalived adds the number in a track file to the weight that it was configured with (FILE_CHECK, keepalived.conf(5)); a result of 0 or less
takes the server out, and a file that is not there counts as 0, which leaves the word to keepalived's own checks.
"""

import math
import re

UNKNOWN, UP, DOWN = "unknown", "up", "down"
# In a track file: less than any weight.
OUT = -2147483647
# The share of its weight with which a server that comes back begins.
RAMP_FROM = 0.1


class Verdict:
    """What is held of one real server.

    fall and rise: how many results in a row turn it; slow_start: seconds in which it then comes back to its full weight.
    """

    def __init__(self, fall=1, rise=2, slow_start=0.0):
        self.fall, self.rise, self.slow_start = fall, rise, slow_start
        self.state, self.why = UNKNOWN, "not checked yet"
        self.changed_at = None
        self._row = 0  # results in a row that speak against the state

    def add(self, good, why, now):
        """Takes in one result; returns whether the state changed."""
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
        self.state, self.why, self._row = wanted, why, 0
        # Without a time there is nothing to ramp from: a checker that begins finds servers at their full weight.
        self.changed_at = now if wanted == DOWN or came_back else None
        return True

    def take_over(self, former):
        """Goes on from what another one holds of the same server."""
        self.state, self.why, self.changed_at, self._row = former.state, former.why, former.changed_at, former._row

    def share(self, now):
        """The part of its weight that the server should have, 0 to 1."""
        if self.state == DOWN:
            return 0.0
        if self.state == UNKNOWN or self.changed_at is None or self.slow_start <= 0:
            return 1.0
        part = (now - self.changed_at) / self.slow_start
        return min(1.0, max(RAMP_FROM, part))


# Words of an agent's line, as HAProxy's agent-check and Loadbalancer.org's feedback agent know them.
AGENT_OUT, AGENT_IN = ("drain", "maint", "down", "failed", "stopped"), ("up", "ready")
# An agent that says nothing so often in a row is not believed any longer.
AGENT_SILENT = 3


class Load:
    """What a server says of its own load: which part of its weight it wants.

    smoothing: how much a new percentage counts beside the ones before, from more than 0 to 1 (it alone); step: a change of the share that
    is smaller is left out. None and all are said at once.
    """

    def __init__(self, smoothing=0.5, step=0.1):
        self.smoothing, self.step = smoothing, step
        self.share, self.said = 1.0, ""
        self._out, self._smooth, self._silent = False, None, 0

    def take_over(self, former):
        """Goes on from what another one heard; None where there was none."""
        if former is not None:
            self.share, self.said = former.share, former.said
            self._out, self._smooth, self._silent = former._out, former._smooth, former._silent

    def hear(self, line):
        """Takes in one line, such as ``75%``, ``drain`` or ``up 50%``; one without a word of an agent's is silence."""
        words = line.partition("#")[0].replace(",", " ").split()
        percentages = [int(word[:-1]) for word in words if re.fullmatch("[0-9]{1,4}%", word)]
        known = [word for word in words if word in AGENT_OUT + AGENT_IN]
        if not percentages and not known:
            self._silent += 1
            if self._silent >= AGENT_SILENT:
                self.share, self.said, self._out, self._smooth = 1.0, "", False, None
            return
        self._silent, self.said = 0, " ".join(words)
        if known:
            self._out = known[-1] in AGENT_OUT
        if percentages:
            new = min(100, percentages[-1]) / 100
            self._smooth = new if self._smooth is None or new in (0, 1) else self._smooth + self.smoothing * (new - self._smooth)
        wanted = 0.0 if self._out else (1.0 if self._smooth is None else self._smooth)
        if wanted == 0 or self.share == 0 or abs(wanted - self.share) >= self.step or wanted >= 1:
            self.share = wanted


def shares(verdicts, floor, now, loads=None):
    """{name: share} of a service's servers, so that at least the share ``floor`` of them is not taken out.

    Those that went down last stay in: what takes all servers down one after the other is more likely the check's own trouble, or one that
    sending viewers nowhere does not mend. loads: {name: share} that servers want by themselves; one that wants none is no server to count.
    """
    loads = loads or {}
    out = {name: verdict.share(now) for name, verdict in verdicts.items() if loads.get(name, 1)}
    # 0.07 times 100 is a little more than 7 to a computer.
    least = min(len(out), math.ceil(round(floor * len(out), 9)))
    down = sorted((name for name in out if out[name] == 0), key=lambda name: (-verdicts[name].changed_at, name))
    missing = least - (len(out) - len(down))
    for name in down[: max(0, missing)]:
        out[name] = 1.0
    return {name: out.get(name, 0.0) * loads.get(name, 1) for name in verdicts}


def offset(weight, share):
    """The number for the track file: what turns weight into its share, at least 1 while anything is left of it.

    None of it is OUT, which stays true while keepalived has another weight already and this program not yet.
    """
    return max(1, round(weight * share)) - weight if share > 0 else OUT
