"""What real_server_vip costs where nothing changes, beside a module that does nothing: 20 VIPs on a host of its own.

Run by `make bench`. Both are the bytes that a controller sends, each a process of its own, in turns; medians count, because other work on
this machine comes in bursts. Nearly all of the difference is Python compiling the module's source, which a controller sends each time.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from links import Host, make_switch, remove_all

sys.path.insert(0, str(Path(__file__).parents[1] / "kernel"))
import payloads

ROUNDS = 15


def call(server, name):
    """(seconds, result) of a module as Ansible runs it on the host."""
    source = (payloads.ROOT / "build/payloads" / (name + ".py")).read_text()
    begin = time.monotonic()
    out = server.run(sys.executable, "-", stdin=source)
    return time.monotonic() - begin, json.loads(out[out.index("{") :])


def main():
    remove_all()
    make_switch()
    try:
        server = Host("server", 21)
        vips = ["192.0.2.%d" % number for number in range(101, 111)] + ["2001:db8::1:%d" % number for number in range(10)]
        with tempfile.TemporaryDirectory() as folder:
            options = {"vips": vips, "persist": False, "record_path": folder + "/record.json"}
            (payloads.ROOT / "build/payloads").mkdir(parents=True, exist_ok=True)
            payloads.build("vip", payloads.ROOT / "library/real_server_vip.py", options)
            payloads.build("bare", payloads.ROOT / "tests/kernel/bare.py", {"services": []})
            assert call(server, "vip")[1]["changed"]
            times = {"vip": [], "bare": []}
            for _round in range(ROUNDS):
                for name in times:
                    seconds, result = call(server, name)
                    times[name].append(seconds)
                    assert result["changed"] is False, result
        bare, ours = (statistics.median(times[name]) for name in ("bare", "vip"))
        figures = {
            "vip_unchanged_20_vs_bare_module": round(ours / bare, 2),
            "vip_unchanged_20_over_bare_module_ms": round(1000 * (ours - bare)),
        }
        print(json.dumps(figures, indent=1))
    finally:
        remove_all()


if __name__ == "__main__":
    main()
