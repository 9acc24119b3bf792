"""The helper of a director, as it is, over a kernel in memory that follows FOLDER/scene.json. Usage: director.py FOLDER"""

import contextlib
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS)]
import ansible.module_utils  # noqa: E402

ansible.module_utils.__path__.append(str(TESTS.parent / "module_utils"))
from ansible.module_utils.lvsdr import places  # noqa: E402
from ansible.module_utils.lvsdr.console import helper, look  # noqa: E402
from ansible.module_utils.lvsdr.console.config import read_config  # noqa: E402
from ansible.module_utils.lvsdr.ipvs import kernel  # noqa: E402
from fakes.kernel import Kernel  # noqa: E402

FOLDER = Path(sys.argv[1])
STATS = ("conns", "inpkts", "outpkts", "inbytes", "outbytes", "cps", "inpps", "outpps", "inbps", "outbps")


def scene():
    return json.loads((FOLDER / "scene.json").read_text())


def table(config):
    now, held = scene(), Kernel()
    held.daemons = [({"master": 1, "backup": 2}[state], "eth0", 51, {}) for state in now["sync"]]
    for service in config["services"]:
        found = now["services"].get(service["key"])
        if not found:
            continue
        protocol, port = service["key"].split()[0], int(service["key"].rsplit(":", 1)[1])
        one = held.service(protocol, service["vips"][0], port, scheduler=found["scheduler"], stats=stats(found["counters"]))
        for server in service["servers"]:
            there = found["servers"].get(server["name"])
            if there:
                files = [server["drain_file"], server["spare_file"]]
                taken = any((FOLDER / "drained" / name).exists() for name in files)
                weight = 0 if taken else there["weight"]
                connections = (there["active"], 0, 0)
                held.destination(
                    one, server["address"], server["port"], weight=weight, connections=connections, stats=stats(there["counters"])
                )
    return held


def stats(counters):
    return tuple(counters.get(name, 0) for name in STATS)


@contextlib.contextmanager
def opened():
    addresses = [SimpleNamespace(text=address, ifindex=2) for address in scene()["addresses"]]
    yield SimpleNamespace(links=lambda: [SimpleNamespace(ifindex=2, name="eth0")], addresses=lambda: addresses)


def main():
    config = read_config(str(FOLDER / "console.json"))
    places.DRAINED, places.DRAINED_KEPT = str(FOLDER / "drained"), str(FOLDER / "kept")
    places.CONSOLE, places.CONSOLE_JOURNAL = str(FOLDER / "console"), str(FOLDER / "journal.jsonl")
    kernel.connect = lambda: table(config).connect()
    look.rtnetlink.opened = opened
    look.status.read = lambda: (scene()["checks"], time.time() - scene().get("checked", time.time()))
    look._runs = lambda: scene()["keepalived"]
    helper.Server(str(FOLDER / "helper.sock"), helper.Helper(config)).serve_forever()


main()
