"""Evenings and days of a streaming service as load curves, and a fleet in memory that lives through them.

A curve is a list of (minute, connections), with straight lines between them. One server carries TARGET connections.
"""

import bisect
import math
import random
from collections import deque
from dataclasses import dataclass, field

from ansible.module_utils.lvsdr.fleet.scaling import Measured, State, decide

TARGET = 800
# Seconds until a woken server serves, between two looks, and between two points in time.
WAKING, EVERY, TICK = 60, 60, 10

# A slow rise, kick-off at minute 100 with four times as many within 3 minutes, half-time of 15 minutes with 35 % less, the final whistle.
MATCH = [
    (0, 900), (60, 1200), (90, 1500), (100, 1600), (103, 6400), (120, 6700), (147, 6800), (150, 4420), (159, 4420), (162, 6800),
    (208, 7000), (210, 6900), (216, 3000), (230, 1200), (300, 800),
]  # fmt: skip
# A calm evening that 6 servers carry in the middle.
EVENING = [(0, 2500), (60, 3800), (100, 4250), (200, 4300), (240, 4000), (300, 2500), (360, 1500)]
# Midnight to midnight, with the small dip after lunch.
DAY = [
    (0, 5200), (60, 3600), (120, 2200), (180, 1300), (240, 800), (300, 650), (360, 800), (420, 1400), (480, 2000), (600, 2600),
    (720, 3200), (780, 3300), (840, 3000), (900, 3400), (1020, 4200), (1140, 6000), (1200, 7300), (1260, 7600), (1320, 7200),
    (1380, 6400), (1440, 5200),
]  # fmt: skip


def at(curve, minute):
    """Connections of a curve at a minute."""
    after = min(bisect.bisect_right(curve, (minute, math.inf)), len(curve) - 1)
    (start, low), (end, high) = curve[after - 1], curve[after]
    return low + (high - low) * (minute - start) / (end - start)


@dataclass
class Past:
    """What a fleet lived through.

    awake: how many were awake after each look; steps: [(second, how many more or fewer)]; short: seconds, the longest time in which fewer
    were serving than the load needed; late: points in time at which, all through the last WAKING + EVERY seconds, fewer were serving than
    were needed all through them.
    """

    awake: list = field(default_factory=list)
    steps: list = field(default_factory=list)
    short: int = 0
    late: int = 0

    @property
    def mean(self):
        return sum(self.awake) / len(self.awake)

    @property
    def turns(self):
        """How often a step went the other way than the one before."""
        ways = [more > 0 for _second, more in self.steps]
        return sum(one != other for one, other in zip(ways, ways[1:]))

    @property
    def soonest_back(self):
        """Seconds from a step down to a later step up, the fewest."""
        downs, ups = ([second for second, more in self.steps if (more > 0) == up] for up in (False, True))
        return min((up - down for down in downs for up in ups if up > down), default=math.inf)


def live(curve, options, noise=0.0, seed=0, down=(0, 0, 0), blind=(0, 0)):
    """The Past of a fleet on a curve. What it measures is off by up to the share noise.

    down: (minute, minute, how many servers are down between them); blind: minutes between which nothing is measured.

    A need is what a load asks for after as much as noise can hide is taken off it: more than that no program can promise.
    """
    dice, past, state, run = random.Random(seed), Past(), State(), 0
    ready = [-math.inf] * needed(at(curve, 0) * (1 + noise), options)  # since when each awake server serves; those woken last are parked
    recent = deque(maxlen=1 + (WAKING + EVERY) // TICK)
    for second in range(0, curve[-1][0] * 60 + 1, TICK):
        minute = second / 60
        load, lost = at(curve, minute), down[2] if down[0] <= minute < down[1] else 0
        serving = sum(since <= second for since in ready[lost:])
        recent.append((serving, needed(load * (1 - noise), options)))
        past.late += len(recent) == recent.maxlen and max(have for have, _need in recent) < min(need for _have, need in recent)
        run = run + TICK if serving < needed(load, options) else 0
        past.short = max(past.short, run)
        if second % EVERY:
            continue
        seen = None if blind[0] <= minute < blind[1] else load * dice.uniform(1 - noise, 1 + noise)
        decision = decide(options, Measured(seen, None, None, serving, len(ready)), state, 1e9 + second)
        state, more = State.from_data(decision.state.to_data()), decision.wanted - len(ready)
        if more:
            past.steps.append((second, more))
        ready = ready[: decision.wanted] + [second + WAKING] * more
        past.awake.append(len(ready))
    return past


def needed(load, options):
    """Servers for a load, as far as the options allow."""
    return min(max(options["min"], math.ceil(load / TARGET)), options["max"])
