# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one director holds at one moment: read by lvsdr-console-helper, which may, and carried as JSON to the consoles of both directors."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.lvsdr.checks import status
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
    checks, age = status.read()
    return {
        "at": time.time(), "config": config, "services": services, "sync": daemons, "files": weights.taken(),
        "checks": checks, "checks_age": age, "addresses": held, "keepalived": _runs(),
    }  # fmt: skip


def _counters(of: dict[str, int]) -> dict[str, int]:
    return {name: of.get(name, 0) for name in COUNTERS}


def _runs() -> bool:
    for path in KEEPALIVED_PIDS:
        pid = (read_text(path) or "").strip()
        if pid.isdigit() and (read_text("/proc/%s/comm" % pid) or "").startswith("keepalived"):
            return True
    return False


NUMBER = (int, float)
# Seconds since 1970 that have a date: a certificate ends before the year 5000.
LAST_MOMENT = 95617584000
# Numbers and texts that nobody needs, and that somebody could send.
LARGEST, LONGEST_TEXT = 1 << 63, 10_000
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
        require(look, FIELDS)
        services = {}
        for one in look["services"]:
            require(one, OF_SERVICES)
            destinations = {}
            for there in one["destinations"]:
                require(there, OF_DESTINATIONS)
                require(there["counters"], dict.fromkeys(COUNTERS, int))
                destinations[there["address"], there["port"]] = there
            require(one["counters"], dict.fromkeys(COUNTERS, int))
            services[one["key"]] = {
                "words": one["key"], "scheduler": one["scheduler"], "counters": one["counters"], "destinations": destinations
            }  # fmt: skip
        require_notes(look["files"], look["checks"])
        for text in (*look["addresses"], *look["sync"]):
            if not isinstance(text, str):
                raise ValueError(text)
    except (ValueError, TypeError):
        return None
    return {**{name: look[name] for name in FIELDS}, "services": services}


def require_notes(files: dict[str, Any], checks: list[Any]) -> None:
    """ValueError where these are not the files that take a weight (system/weights.py) and what lvsdr-streamcheck says."""
    for name, one in files.items():
        require_text(name)
        require(one, OF_FILES)
        if not 0 <= (one["since"] or 0) < LAST_MOMENT:
            raise ValueError(one["since"])
    for one in checks:
        require(one, OF_CHECKS)
        if not 0 <= (one["certificate_ends"] or 0) < LAST_MOMENT:
            raise ValueError(one["certificate_ends"])


def require(item: Any, fields: dict[str, Any]) -> None:
    """ValueError where these fields of a dict are not all there, of these types, and such that they can be shown and added up."""
    if not isinstance(item, dict) or not all(name in item and isinstance(item[name], kind) for name, kind in fields.items()):
        raise ValueError("not a look")
    for name in fields:
        value = item[name]
        if isinstance(value, str):
            require_text(value)
        elif isinstance(value, (int, float)) and not -LARGEST < value < LARGEST:  # nor what is not a number
            raise ValueError(name)


def require_text(text: Any) -> None:
    """ValueError of what is not a text, or a long one, or can't be written as UTF-8 (a UnicodeEncodeError is one)."""
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        raise ValueError("not a text")
    text.encode()
