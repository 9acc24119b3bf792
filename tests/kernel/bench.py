"""ipvs_table beside ipvsadm in one guest: prints `name value unit` a line, and writes the same to build/bench.json.

Ratios mean something on any machine; the seconds that they come from are only shown.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVICES, DESTINATIONS, ROUNDS = 1000, 10, 3

WORKER = """
import json, sys
sys.path.insert(0, {path!r})
from lvsdr import table
services = [
    {{"address": "198.51.100.%d" % (1 + n % 250), "port": 1000 + n, "scheduler": "wlc",
      "destinations": [{{"address": "192.0.2.%d" % d, "weight": 10}} for d in range(1, 1 + {destinations})]}}
    for n in range({services})
]
result = table.converge(services)
print(len(result["operations"]))
"""


def timed(*command, stdin=None):
    begin = time.monotonic()
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)
    return time.monotonic() - begin, done.stdout


def median(values):
    return sorted(values)[len(values) // 2]


def main():
    worker = WORKER.format(path=str(ROOT / "module_utils"), services=SERVICES, destinations=DESTINATIONS)
    times = {"apply": [], "unchanged": [], "restore": [], "save": []}
    text = None
    for number in range(ROUNDS):
        timed("ipvsadm", "-C")
        seconds, operations = timed(sys.executable, "-c", worker)
        assert int(operations) == SERVICES * (DESTINATIONS + 1)
        times["apply"].append(seconds)
        seconds, operations = timed(sys.executable, "-c", worker)
        assert int(operations) == 0
        times["unchanged"].append(seconds)
        seconds, text = timed("ipvsadm", "-Sn")
        times["save"].append(seconds)
        timed("ipvsadm", "-C")
        seconds, _out = timed("ipvsadm", "-R", stdin=text)
        times["restore"].append(seconds)
        print("# round %d: %s" % (number + 1, ", ".join("%s %.2f s" % (name, values[-1]) for name, values in times.items())), flush=True)
    timed("ipvsadm", "-C")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    results = [
        ("table_apply_vs_ipvsadm", median(times["apply"]) / median(times["restore"]), "ratio"),
        ("table_unchanged_vs_ipvsadm", median(times["unchanged"]) / median(times["save"]), "ratio"),
        ("table_peak_memory", peak, "MB"),
    ]
    for name, value, unit in results:
        print("%s %.2f %s" % (name, value, unit))
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "bench.json").write_text(
        json.dumps([{"name": name, "value": round(value, 3), "unit": unit} for name, value, unit in results], indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
