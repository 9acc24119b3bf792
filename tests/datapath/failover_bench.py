"""For how long newcomers wait when a director changes: by its power, with idle and with busy directors, and by a drain.

Newcomers come a hundred times a second. Run it as `tests/kernel/run bench-failover`.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "kernel"))
import house as house
import net
from pair import Coming, Pair, busy

TRIES = 10


def power(pair):
    pair.power_off("director1")
    pair.wait_for("director2")
    yield
    pair.power_on("director1")


def drain(pair):
    pair.drain("director1")
    pair.wait_for("director2")
    yield
    pair.undrain("director1")


def measure(pair, event, hogs):
    """(seconds in which newcomers were not answered in time, how many of them) of each try."""
    out = []
    for _ in range(TRIES):
        with Coming(every=0.01) as viewers, busy(hogs):
            time.sleep(3)  # the sync daemons send what they have after two seconds at the latest
            steps = event(pair)
            next(steps)
            time.sleep(2)
        next(steps, None)
        pair.wait_for("director1")
        out.append((viewers.blackout(), len(viewers.late()), len(viewers.asked)))
    return out


def main():
    net.build()
    net.Servers()
    pair = Pair()
    pair.start("director1")
    pair.wait_for("director1")
    pair.start("director2")
    time.sleep(3)
    rows = [("power off, idle", power, 0), ("power off, all processors busy", power, 4), ("drained", drain, 0)]
    print("\n| a director changes %d times | blackout ms, p50 | most | newcomers that waited | of |\n|---|---|---|---|---|" % TRIES)
    for name, event, hogs in rows:
        found = measure(pair, event, hogs)
        times = [1000 * one[0] for one in found]
        late, asked = (sum(one[index] for one in found) for index in (1, 2))
        print("| %s | %.0f | %.0f | %d | %d |" % (name, statistics.median(times), max(times), late, asked), flush=True)
    pair.end()


if __name__ == "__main__":
    main()
