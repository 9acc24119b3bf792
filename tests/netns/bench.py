"""What real_server_vip costs where nothing changes, beside a module that does nothing: 20 VIPs on a host of its own.

Run by `make bench`. Both run as Ansible runs them, as a process of their own, in turns; medians count, because other work on this machine
comes in bursts.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from links import PREFIX, Host, remove_all, run

sys.path.insert(0, str(Path(__file__).parents[1]))
ROUNDS = 15


def main():
    remove_all()
    run("ip", "netns", "add", PREFIX + "switch")
    run("ip", "-n", PREFIX + "switch", "link", "add", "switch", "type", "bridge")
    try:
        server = Host("server", 21)
        vips = ["192.0.2.%d" % number for number in range(101, 111)] + ["2001:db8::1:%d" % number for number in range(10)]
        with tempfile.TemporaryDirectory() as folder:
            options = {"vips": vips, "persist": False, "record_path": folder + "/record.json"}
            assert server.module("real_server_vip", **options)["changed"]
            times = {"real_server_vip": [], "ping": []}
            for _round in range(ROUNDS):
                for name, arguments in (("ping", {}), ("real_server_vip", options)):
                    begin = time.monotonic()
                    result = server.module(name, **arguments)
                    times[name].append(time.monotonic() - begin)
                    assert not result.get("changed") and not result.get("failed"), result
        bare, ours = (statistics.median(times[name]) for name in ("ping", "real_server_vip"))
        figures = {
            "vip_unchanged_20_vs_bare_module": round(ours / bare, 2),
            "vip_unchanged_20_over_bare_module_ms": round(1000 * (ours - bare)),
        }
        print(json.dumps(figures, indent=1))
    finally:
        remove_all()


if __name__ == "__main__":
    main()
