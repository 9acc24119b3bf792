# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The real servers behind layer-7 proxies, as services beside those of the directors' tables: what HAProxy on each proxy holds. Pure.

``told`` is ``{proxy: what lvsdr-proxy-info told}``, or None of one that does not answer. ``rates`` is ``{proxy: {(backend, server): (bytes
in, bytes out a second)}}``.
"""

from __future__ import annotations

import json
import ssl
from typing import Any

from ansible.module_utils.lvsdr.console import look, state
from ansible.module_utils.lvsdr.console.problems import BAD, STALLED, WARN, problem

# Of proxies that do not agree, what is shown: the worst first.
WORST_FIRST = (
    state.MISSING, state.DOWN, state.KEPT, state.UNCHECKED, state.PART, state.DRAINED, state.PARKED, state.ZERO, state.UNKNOWN,
    state.SERVING, state.SORRY,
)  # fmt: skip
UP = ("UP", "no")  # "no check"
# Days before its end that a certificate is spoken of, as in checks/certificates.py.
DAYS = 14
# Of one proxy, and of one service: what is not in the inventory may be any number.
MOST_FINDINGS, MOST_LEAVING, LONGEST_REASON = 50, 20, 300
NUMBER = look.NUMBER
FIELDS: dict[str, Any] = {
    "at": NUMBER, "running": bool, "servers": dict, "certificates": dict, "files": dict, "checks": list,
    "checks_age": (*NUMBER, type(None)), "waf": list,
}  # fmt: skip
OF_SERVERS = {"status": str, "weight": int, "connections": int, "rate": int, "in": int, "out": int, "why": str}
OF_FINDINGS = {
    "service": str, "rule": int, "target": str, "path": str, "message": str, "requests": int, "refused": int, "viewers": int,
    "line": (str, type(None)),
}  # fmt: skip

Told = dict[str, Any]
Rates = dict[str, dict[tuple[str, str], tuple[float, float]]]


def decoded(data: bytes) -> Told | None:
    """What a proxy told; None where it is nothing of that kind. A proxy is known by its address alone."""
    try:
        told: Told = json.loads(data)
        look.require(told, FIELDS)
        look.require_notes(told["files"], told["checks"])
        for backend, servers in told["servers"].items():
            for name, one in servers.items():
                look.require(one, OF_SERVERS)
                look.require_text(backend + name)
        for one in told["waf"][:MOST_FINDINGS]:
            look.require(one, OF_FINDINGS)
        del told["waf"][MOST_FINDINGS:]
        told["certificates"] = {path: ssl.cert_time_to_seconds(one["expires"]) for path, one in told["certificates"].items() if one}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return told


def added(
    config: dict[str, Any], looks: dict[str, state.Look | None], told: dict[str, Told | None], rates: Rates, now: float
) -> dict[str, Any]:
    """What state.state takes as ``behind``."""
    return {"services": services(config, looks, told, rates), "drift": drift(config, told), "problems": problems(config, told, now)}


def services(
    config: dict[str, Any], looks: dict[str, state.Look | None], told: dict[str, Told | None], rates: Rates
) -> list[dict[str, Any]]:
    """A dict for each service of proxies, as state.state has them."""
    return [_service(service, looks, _running(service, told), rates) for service in config["behind"]]


def _running(service: dict[str, Any], told: dict[str, Told | None]) -> dict[str, Told]:
    """Those of its proxies whose HAProxy answers."""
    found = ((name, told.get(name)) for name in service["proxies"])
    return {name: one for name, one in found if one and one["running"]}


def _service(service: dict[str, Any], looks: dict[str, state.Look | None], told: dict[str, Told], rates: Rates) -> dict[str, Any]:
    servers = [_server(service, one, told, rates) for one in service["servers"]]
    counted = sum(one["reason"] not in state.NOT_MEANT for one in servers)
    ends = [one["certificates"][path] for one in told.values() for path in service["certificates"] if path in one["certificates"]]
    return {
        "name": service["name"], "vip": service["vips"][0], "vips": service["vips"], "ports": service["ports"], "mode": "proxy",
        "scheduler": service["balance"], "view": " and ".join(service["proxies"]), "read": bool(told), "direct": False,
        "holders": state.holders(service["vips"], looks),
        "there": True, "servers": servers, "leaving": _leaving(service, told), "share": service["floor"],
        "floor": state.least(service["floor"], counted), "sorry": any(one["fallback"] for one in servers),
        "declared": sum(bool(one["declared"]) and not one["fallback"] for one in servers),
        "serving": sum(one["reason"] in state.IN_SERVICE for one in servers), "counted": counted,
        "active": sum(one["active"] for one in servers), "new": sum(one["new"] for one in servers),
        "in": sum(one["in"] for one in servers), "out": sum(one["out"] for one in servers), "own": None,
        "behind": True, "front": service["front"], "waf": service["waf"], "findings": _findings(service, told),
        "certificate_ends": min(ends, default=None),
    }  # fmt: skip


def _server(service: dict[str, Any], server: dict[str, Any], told: dict[str, Told], rates: Rates) -> dict[str, Any]:
    seen = {name: _seen(service, server, one) for name, one in told.items()}
    reason, why, weight = _together(seen)
    held = {name: one["servers"].get(service["backend"], {}).get(server["name"]) for name, one in told.items()}
    there = [one for one in held.values() if one]
    moved = [rates.get(name, {}).get((service["backend"], server["name"]), (0.0, 0.0)) for name in told]
    said = [one for each in told.values() for one in _checks(service, server, each)]
    files = (one["files"] for one in told.values())
    note: dict[str, Any] = next((one[name] for one in files for name in (server["drain_file"], server["spare_file"]) if name in one), {})
    return {
        "name": server["name"], "address": server["address"], "port": server["port"], "declared": server["weight"], "weight": weight,
        "reason": reason, "why": why, "spare": server["spare"], "fallback": server["fallback"], "note": note,
        "active": sum(one["connections"] for one in there), "inactive": 0, "new": sum(one["rate"] for one in there),
        "in": sum(one[0] for one in moved), "out": sum(one[1] for one in moved), "sent": None,
        "certificate": next((one["warning"] for one in said if one["warning"]), ""),
        "certificate_ends": min((one["certificate_ends"] for one in said if one["certificate_ends"]), default=None),
        "agent": next((one["agent"] for one in said if one["agent"]), ""),
        "check_seconds": max((one["seconds"] or 0 for one in said), default=None), "weights": {}, "own": None,
    }  # fmt: skip


def _checks(service: dict[str, Any], server: dict[str, Any], told: Told) -> list[dict[str, Any]]:
    return state.checks_of(told, service).get(server["name"], [])


def _seen(service: dict[str, Any], server: dict[str, Any], told: Told) -> tuple[str, str, int | None]:
    """(reason, why, weight) of a server on one proxy."""
    backend = told["servers"].get(service["backend"], {})
    held = backend.get(server["name"])
    if not held:
        return state.MISSING, "HAProxy does not have it", None
    weight = held["weight"] if held["status"] in UP else 0
    others = {one["name"] for one in service["servers"] if not one["fallback"]}
    if server["fallback"] and any(one["status"] in UP and one["weight"] for name, one in backend.items() if name in others):
        weight = 0
    said = _checks(service, server, told)
    # Without a check nobody follows the files.
    reason, why = state.reason_of(service, server, {"weight": weight}, told["files"] if service["checked"] else {}, said)
    if reason == state.DOWN and not any(one["state"] == "down" for one in said):
        # HAProxy has noticed it itself.
        why = held["why"] or why
    elif reason == state.PART and said and all(one["state"] == "unknown" for one in said):
        reason, why = state.UNCHECKED, "not checked yet"
    return reason, why[:LONGEST_REASON], weight


def _together(seen: dict[str, tuple[str, str, int | None]]) -> tuple[str, str, int | None]:
    """What is shown of a server of several proxies, and on which of them it is so where they do not agree."""
    if not seen:
        return state.UNKNOWN, "", None
    worst = min((one[0] for one in seen.values()), key=WORST_FIRST.index)
    those = [name for name, one in seen.items() if one[0] == worst]
    _reason, why, weight = seen[those[0]]
    where = "" if len(those) == len(seen) else "on %s alone" % " and ".join(those)
    return worst, "; ".join(word for word in (why, where) if word), weight


def _leaving(service: dict[str, Any], told: dict[str, Told]) -> list[dict[str, Any]]:
    """Servers that HAProxy has and the inventory has not: they go with their last connection."""
    known = {one["name"] for one in service["servers"]}
    gone: dict[str, int] = {}
    for one in told.values():
        for name, held in one["servers"].get(service["backend"], {}).items():
            if name not in known:
                gone[name] = gone.get(name, 0) + held["connections"]
    return [{"address": name, "port": 0, "weight": 0, "active": count} for name, count in sorted(gone.items())[:MOST_LEAVING]]


def _findings(service: dict[str, Any], told: dict[str, Told]) -> list[dict[str, Any]]:
    """What the WAFs of all proxies found in a day, most requests first; a viewer of two proxies counts twice."""
    out: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in told.values():
        for finding in one["waf"]:
            if finding["service"] == service["backend"]:
                key = tuple(finding[name] for name in ("rule", "target", "path"))
                held = out.setdefault(key, {**finding, "requests": 0, "refused": 0, "viewers": 0})
                for name in ("requests", "refused", "viewers"):
                    held[name] += finding[name]
    return sorted(out.values(), key=lambda one: (-one["requests"], one["rule"], one["path"], one["target"]))


def problems(config: dict[str, Any], told: dict[str, Told | None], now: float) -> list[dict[str, str]]:
    """What is wrong with proxies themselves; what is wrong with their real servers is found as for any other."""
    directors = {one["name"] for one in config["directors"]}
    out = []
    for proxy in config["proxies"]:
        name, one = proxy["name"], told.get(proxy["name"])
        those = [service for service in config["behind"] if name in service["proxies"]]
        if not one or not one["running"]:
            alone = any(not _running(service, told) for service in those)
            what = "HAProxy does not run on %s" % name if one else "%s does not tell what its HAProxy holds" % name
            do = "`systemctl status haproxy lvsdr-proxy-info` there"
            out.append(problem("proxy-silent", BAD if alone else WARN, name, what, do))
            continue
        stalled = one["checks_age"] is None or one["checks_age"] > STALLED
        if stalled and name not in directors and any(service["checked"] for service in those):
            do = "`systemctl restart lvsdr-streamcheck` there; HAProxy keeps what it knows meanwhile"
            out.append(problem("checker-stalled", WARN, name, "lvsdr-streamcheck does not run on %s" % name, do))
        for service in those:
            out += _waf(service, name, one)
    for service in config["behind"]:
        out += _certificates(service, _running(service, told), now)
    return out


def _waf(service: dict[str, Any], proxy: str, told: Told) -> list[dict[str, str]]:
    if not service["waf"] or told["servers"].get(service["waf"]["backend"], {}).get("waf", {}).get("status") == "UP":
        return []
    opens = service["waf"]["fail"] == "open"
    what = "the WAF of %s does not judge on %s: %s" % (
        service["name"], proxy, "everything is let through" if opens else "all but segments is refused"
    )  # fmt: skip
    about = "%s %s" % (service["name"], proxy)
    return [problem("waf", WARN if opens else BAD, about, what, "`systemctl restart lvsdr-waf` there, then its journal")]


def _certificates(service: dict[str, Any], told: dict[str, Told], now: float) -> list[dict[str, str]]:
    out = []
    for path in service["certificates"]:
        ends = [one["certificates"][path] for one in told.values() if path in one["certificates"]]
        left = int((min(ends) - now) // 86400) if ends else DAYS
        if left < DAYS:
            words = "has expired" if left < 0 else "expires in %d days" % left
            what = "the certificate %s of %s %s" % (path, service["name"], words)
            about = "%s %s" % (service["name"], path)
            out.append(problem("certificate", BAD if left < 0 else WARN, about, what, "renew it, and run site.yml"))
    return out


def drift(config: dict[str, Any], told: dict[str, Told | None]) -> list[dict[str, str]]:
    """Servers that are drained on proxies and not in the inventory, as state.state has them."""
    out: dict[str, str] = {}
    for service in config["behind"]:
        for server in service["servers"] if service["checked"] else ():
            files = [one["files"] for one in (told.get(name) for name in service["proxies"]) if one]
            if not server["drained"] and any(server["drain_file"] in one for one in files):
                out["%s is drained" % server["name"]] = "%s: real_server_state: drained" % server["name"]
    return [{"what": what, "line": line} for what, line in out.items()]
