"""ipvs_table beside ipvsadm in one guest: prints `name value unit` a line, and writes the same to build/bench.json.

Ratios mean something on any machine; the seconds that they come from are only shown. For 1,000 services with 10 destinations each:

table_apply_vs_ipvsadm          the module's work, from its options to its result, into an empty table, beside `ipvsadm -R`
table_unchanged_vs_ipvsadm      the same where the table is as declared, beside `ipvsadm -Sn`
table_apply_call_vs_ipvsadm     a whole call as the controller sends it, less that of a module that takes the same options and does nothing
table_unchanged_call_vs_ipvsadm the same where the table is as declared
table_peak_memory               of the larger of these calls, interpreter and arguments included

and for 10 services with 3 each, where the table is as declared:

table_small_over_bare_module_ms a whole call, less that of a module that does nothing
table_small_vs_bare_module      the two as a ratio, for guests that are emulated
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAYLOADS = ROOT / "build/payloads"
SERVICES, DESTINATIONS, ROUNDS, CALLS = 1000, 10, 3, 7

WORKER = """
import json, sys, time
sys.path.insert(0, {path!r})
import house
from ansible.module_utils.lvsdr.ipvs import table
services = json.load(open({declared!r}))
begin = time.monotonic()
result = table.converge(services)
print(json.dumps([time.monotonic() - begin, len(result["operations"])]))
"""


def timed(*command, stdin=None):
    begin = time.monotonic()
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)
    return time.monotonic() - begin, done.stdout


def call(payload, operations=None):
    """Seconds of one module call."""
    seconds, out = timed(sys.executable, "-", stdin=(PAYLOADS / (payload + ".py")).read_text())
    result = json.loads(out)
    assert operations is None or len(result["operations"]) == operations, out[:500]
    return seconds


def engine(operations):
    _seconds, out = timed(sys.executable, "-c", WORKER.format(path=str(ROOT / "tests/kernel"), declared=str(PAYLOADS / "large.json")))
    seconds, found = json.loads(out)
    assert found == operations
    return seconds


def median(values):
    return sorted(values)[len(values) // 2]


def main():
    whole = SERVICES * (DESTINATIONS + 1)
    times = {name: [] for name in ("restore", "save", "apply", "unchanged", "apply_call", "unchanged_call", "bare_call", "small", "bare")}
    for number in range(ROUNDS):
        timed("ipvsadm", "-C")
        times["apply"].append(engine(whole))
        times["unchanged"].append(engine(0))
        timed("ipvsadm", "-C")
        times["apply_call"].append(call("table_large", whole))
        times["unchanged_call"].append(call("table_large", 0))
        times["bare_call"].append(call("bare_large"))
        seconds, text = timed("ipvsadm", "-Sn")
        times["save"].append(seconds)
        timed("ipvsadm", "-C")
        times["restore"].append(timed("ipvsadm", "-R", stdin=text)[0])
        print("# round %d: %s" % (number + 1, ", ".join("%s %.2f s" % (n, v[-1]) for n, v in times.items() if v)), flush=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    timed("ipvsadm", "-C")
    call("table_small", 40)
    for _number in range(CALLS):
        times["small"].append(call("table_small", 0))
        times["bare"].append(call("bare_small"))
    timed("ipvsadm", "-C")
    m = {name: median(values) for name, values in times.items()}
    print("# calls of a small table: %.2f s, of a bare module: %.2f s" % (m["small"], m["bare"]))
    results = [
        ("table_apply_vs_ipvsadm", m["apply"] / m["restore"], "ratio"),
        ("table_unchanged_vs_ipvsadm", m["unchanged"] / m["save"], "ratio"),
        ("table_apply_call_vs_ipvsadm", (m["apply_call"] - m["bare_call"]) / m["restore"], "ratio"),
        ("table_unchanged_call_vs_ipvsadm", (m["unchanged_call"] - m["bare_call"]) / m["save"], "ratio"),
        ("table_peak_memory", peak, "MB"),
        ("table_small_over_bare_module_ms", (m["small"] - m["bare"]) * 1000, "ms"),
        ("table_small_vs_bare_module", m["small"] / m["bare"], "ratio"),
    ]
    for name, value, unit in results:
        print("%s %.2f %s" % (name, value, unit))
    (ROOT / "build/bench.json").write_text(
        json.dumps([{"name": name, "value": round(value, 3), "unit": unit} for name, value, unit in results], indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
