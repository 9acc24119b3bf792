# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one director holds at one moment: read by lvsdr-console-helper, which may, and carried as JSON to the consoles of both directors."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.ipvs import kernel
from ansible.module_utils.lvsdr.ipvs.types import service_name
from ansible.module_utils.lvsdr.system import rtnetlink, weights
from ansible.module_utils.lvsdr.system.files import read_text

KEEPALIVED_PIDS = ("/run/keepalived.pid", "/run/keepalived/keepalived.pid")
# Of what the kernel counts (ipvs/codec.py, STATS_FIELDS); rates are per second.
COUNTERS = ("conns", "inbytes", "outbytes", "cps", "inbps", "outbps")


def read(config: str) -> dict[str, Any]:
    """``{"at", "config", "services", "sync", "files", "checks", "checks_age", "addresses", "keepalived"}``, plain data.

    config: the digest of this director's configuration. LvsError where the kernel does not say it.
    """
    ipvs = kernel.Ipvs()
    try:
        table, counted = ipvs.read_with_counters()
        daemons = sorted(daemon.state for daemon in ipvs.daemons())
    finally:
        ipvs.close()
    services = []
    for key, entry in table.items():
        own, of_destinations = counted[key]
        destinations = []
        for there, destination in entry.destinations.items():
            active, inactive, _persistent = entry.connections[there]
            destinations.append({
                "address": destination.address, "port": destination.port, "weight": destination.weight,
                "active": active, "inactive": inactive, "counters": _counters(of_destinations.get(there, {})),
            })  # fmt: skip
        services.append({
            "key": service_name(key), "scheduler": entry.service.scheduler, "counters": _counters(own), "destinations": destinations
        })  # fmt: skip
    with rtnetlink.opened() as route:
        links = {link.ifindex: link.name for link in route.links()}
        held = [one.text for one in route.addresses() if links.get(one.ifindex) != "lo"]
    checks, age = _checks()
    return {
        "at": time.time(), "config": config, "services": services, "sync": daemons, "files": weights.taken(),
        "checks": checks, "checks_age": age, "addresses": held, "keepalived": _runs(),
    }  # fmt: skip


def _counters(of: dict[str, int]) -> dict[str, int]:
    return {name: of.get(name, 0) for name in COUNTERS}


def _checks() -> tuple[list[dict[str, Any]], float | None]:
    """(what lvsdr-streamcheck wrote last, how many seconds ago); no age where there is nothing."""
    try:
        with open(places.STREAM_STATUS) as f:
            status = json.load(f)
        return status["checks"], max(0.0, time.time() - status["at"])
    except (OSError, ValueError, KeyError):
        return [], None


def _runs() -> bool:
    for path in KEEPALIVED_PIDS:
        pid = (read_text(path) or "").strip()
        if pid.isdigit() and (read_text("/proc/%s/comm" % pid) or "").startswith("keepalived"):
            return True
    return False


def decoded(data: bytes) -> dict[str, Any] | None:
    """A look as state.py takes it, of what came over a socket; None where it is not one."""
    try:
        look: dict[str, Any] = json.loads(data)
        services = {}
        for one in look["services"]:
            destinations = {(there["address"], there["port"]): there for there in one["destinations"]}
            services[one["key"]] = {
                "words": one["key"],
                "scheduler": one["scheduler"],
                "counters": one["counters"],
                "destinations": destinations,
            }
        names = ("at", "config", "sync", "files", "checks", "checks_age", "addresses", "keepalived")
        return {"services": services, **{name: look[name] for name in names}}
    except (ValueError, KeyError, TypeError, RecursionError, LvsError):
        return None
