# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one director holds at one moment: read by lvsdr-console-helper, which may, and carried as JSON to the consoles of both directors."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.lvsdr import places
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


NUMBER = (int, float)
# Seconds since 1970 that have a date: a certificate ends before the year 5000.
LAST_MOMENT = 95617584000
# What a look has, and of which type. A peer is known by its address alone, so nothing is taken for granted.
FIELDS: dict[str, Any] = {
    "at": NUMBER, "config": str, "sync": list, "files": dict, "checks": list, "checks_age": (*NUMBER, type(None)), "addresses": list,
    "keepalived": bool, "services": list,
}  # fmt: skip
OF_SERVICES = {"key": str, "scheduler": str, "counters": dict, "destinations": list}
OF_DESTINATIONS = {"address": str, "port": int, "weight": int, "active": int, "inactive": int, "counters": dict}
OF_FILES = {"who": str, "why": str, "since": (*NUMBER, type(None))}
OF_CHECKS = {
    "service": str, "vip": str, "server": str, "state": str, "why": str, "agent": str, "warning": str, "seconds": (*NUMBER, type(None)),
    "kept": bool, "certificate_ends": (*NUMBER, type(None)),
}  # fmt: skip


def decoded(data: bytes) -> dict[str, Any] | None:
    """A look as state.py takes it, of what came over a socket; None where it is not one."""
    try:
        return understood(json.loads(data))
    except (ValueError, RecursionError):
        return None


def understood(look: Any) -> dict[str, Any] | None:
    """The same of what ``read`` returned."""
    try:
        _require(look, FIELDS)
        services = {}
        for one in look["services"]:
            _require(one, OF_SERVICES)
            destinations = {}
            for there in one["destinations"]:
                _require(there, OF_DESTINATIONS)
                _require(there["counters"], dict.fromkeys(COUNTERS, int))
                destinations[there["address"], there["port"]] = there
            _require(one["counters"], dict.fromkeys(COUNTERS, int))
            services[one["key"]] = {
                "words": one["key"], "scheduler": one["scheduler"], "counters": one["counters"], "destinations": destinations
            }  # fmt: skip
        for one in look["files"].values():
            _require(one, OF_FILES)
        for one in look["checks"]:
            _require(one, OF_CHECKS)
            if not 0 <= (one.get("certificate_ends") or 0) < LAST_MOMENT:
                raise ValueError(one["certificate_ends"])
        for text in (*look["addresses"], *look["sync"]):
            if not isinstance(text, str):
                raise ValueError(text)
    except (ValueError, TypeError):
        return None
    return {**{name: look[name] for name in FIELDS}, "services": services}


def _require(item: Any, fields: dict[str, Any]) -> None:
    if not isinstance(item, dict) or not all(isinstance(item.get(name), kind) for name, kind in fields.items()):
        raise ValueError("not a look")
