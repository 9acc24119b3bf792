# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the configuration, and what each director holds, to what the console shows. Pure.

``config`` is made by directors/console.py. ``looks`` is ``{director: look}``, with the look of console/helper.py, or None of a director
that does not answer. ``egress`` is ``{server: {counter: (bytes, bytes a second)}}`` of the servers that answered.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils.lvsdr.checks.verdicts import rounded_up
from ansible.module_utils.lvsdr.console import problems
from ansible.module_utils.lvsdr.ipvs.plan import live

# Why a real server has the weight that it has: a closed set, which metrics and colours use.
SERVING, PART, KEPT = "serving", "part", "kept"
DRAINED, PARKED, DOWN, UNCHECKED, MISSING, SORRY, ZERO = "drained", "parked", "down", "unchecked", "missing", "sorry", "zero"
# The director whose table counts does not answer.
UNKNOWN = "unknown"
REASONS = (SERVING, PART, KEPT, DRAINED, PARKED, DOWN, UNCHECKED, MISSING, SORRY, ZERO, UNKNOWN)
# Those of a server that takes viewers, and of one that is not meant to.
IN_SERVICE, NOT_MEANT = (SERVING, PART, KEPT), (DRAINED, PARKED, SORRY, ZERO)

Look = dict[str, Any]
Egress = dict[str, dict[str, tuple[int, float]]]


def state(
    config: dict[str, Any], looks: dict[str, Look | None], egress: Egress, now: float, behind: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What a page shows: ``{"at", "director", "actions", "directors", "services", "drift", "problems"}``. behind: the services, drift and
    problems of proxies (behind.py)."""
    behind = behind or {"services": [], "drift": [], "problems": []}
    directors = [_director(config, one, looks.get(one["name"])) for one in config["directors"]]
    services = [_service(config, service, looks, egress) for service in config["services"]]
    out = {
        "at": now, "director": config["director"], "actions": config["actions"],
        "directors": directors, "services": _beside(services, behind["services"]), "drift": _drift(config, looks, behind["drift"]),
    }  # fmt: skip
    out["problems"] = problems.found(config, out, behind["problems"])
    return out


def _beside(services: list[dict[str, Any]], behind: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of proxies behind what leads to them, which may be several tables, one of each VIP."""
    out = []
    for index, service in enumerate(services):
        out.append(service)
        if all(one["name"] != service["name"] for one in services[index + 1 :]):
            out += [one for one in behind if one["front"] == service["name"]]
    return out + [one for one in behind if not one["front"]]


def _director(config: dict[str, Any], director: dict[str, Any], look: Look | None) -> dict[str, Any]:
    """``{"name", "answers", "active": the VIPs that it holds, "drained", "note", "sync", "keepalived", "checker"}``; checker: seconds since
    lvsdr-streamcheck wrote its status, None where nothing is watched or there is none."""
    held = set(look["addresses"]) if look else set()
    vips = list(dict.fromkeys(vip for service in (*config["services"], *config["behind"]) for vip in service["vips"]))
    drained = (look or {}).get("files", {}).get(director["drain_file"])
    return {
        "name": director["name"], "answers": look is not None, "active": [vip for vip in vips if vip in held],
        "drained": drained is not None, "note": drained or {}, "sync": sorted(look["sync"]) if look else [],
        "keepalived": bool(look and look["keepalived"]), "checker": look["checks_age"] if look else None,
        "config": look["config"] if look else None,
    }  # fmt: skip


def view_of(service: dict[str, Any], config: dict[str, Any], looks: dict[str, Look | None]) -> str:
    """The director whose numbers count for a service: the one that holds its VIP, else this one."""
    for name, look in looks.items():
        if look and service["vips"][0] in look["addresses"]:
            return name
    own: str = config["director"]
    return own


def _service(config: dict[str, Any], service: dict[str, Any], looks: dict[str, Look | None], egress: Egress) -> dict[str, Any]:
    view = view_of(service, config, looks)
    look, own = looks.get(view), looks.get(config["director"])
    held = _held(look or {}, service)
    checks = checks_of(look or {}, service)
    servers = [_server(service, one, look, held, checks, egress) for one in service["servers"]]
    mine = _held(own or {}, service)
    for one, declared in zip(servers, service["servers"]):
        one["weights"] = {name: _weight(other, service, declared) for name, other in looks.items()}
        one["own"] = (_destination(mine, declared) or {}).get("counters")
    known = {(one["address"], one["port"]) for one in service["servers"]}
    leaving = [_leaving(service, one) for key, one in sorted((held or {}).get("destinations", {}).items()) if key not in known]
    counters = (held or {}).get("counters", {})
    counted = sum(one["reason"] not in NOT_MEANT for one in servers)
    sent = [one["out"] for one in servers if one["out"] is not None]
    out = (sum(sent) if sent else None) if service["direct"] else counters.get("outbps", 0)
    return {
        "name": service["name"], "vip": service["vips"][0], "vips": service["vips"], "ports": service["ports"], "mode": service["mode"],
        "scheduler": service["scheduler"], "view": view, "read": look is not None, "direct": service["direct"],
        "holders": holders(service["vips"], looks),
        "there": held is not None, "servers": servers, "leaving": leaving, "share": service["floor"],
        "floor": least(service["floor"], counted),
        "sorry": any(one["fallback"] for one in servers), "declared": sum(bool(one["declared"]) and not one["fallback"] for one in servers),
        "serving": sum(one["reason"] in IN_SERVICE for one in servers), "counted": counted,
        "active": sum(one["active"] for one in servers + leaving), "new": counters.get("cps", 0), "in": counters.get("inbps", 0),
        "out": out, "own": mine and mine["counters"], "behind": False, "front": "", "waf": None, "findings": [],
        "certificate_ends": None,
    }  # fmt: skip


def holders(vips: list[str], looks: dict[str, Look | None]) -> dict[str, list[str]]:
    """{VIP: the directors that hold it}"""
    return {vip: [name for name, look in looks.items() if look and vip in look["addresses"]] for vip in vips}


def least(floor: float, count: int) -> int:
    """How many of so many servers the floor of a check keeps in."""
    return rounded_up(floor * count)


def _held(look: Look, service: dict[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] | None = look.get("services", {}).get(service["key"])
    return found


def checks_of(look: Look, service: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """{server: what lvsdr-streamcheck holds of it, a dict for each check}. look: of a director, or of a proxy (behind.py)."""
    out: dict[str, list[dict[str, Any]]] = {}
    for one in look.get("checks") or ():
        if one["service"] in service["checks"] and one["vip"] == service["vips"][0]:
            out.setdefault(one["server"], []).append(one)
    return out


def _destination(held: dict[str, Any] | None, server: dict[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] | None = held and held["destinations"].get((server["address"], server["port"]))
    return found


def _weight(look: Look | None, service: dict[str, Any], server: dict[str, Any]) -> int | None:
    there = _destination(_held(look or {}, service), server)
    return there["weight"] if there else None


def _active(service: dict[str, Any], there: dict[str, Any]) -> int:
    """Its running connections."""
    return live(service["protocol"], (there["active"], there["inactive"]))


def _server(
    service: dict[str, Any],
    server: dict[str, Any],
    look: Look | None,
    held: dict[str, Any] | None,
    checks: dict[str, list[dict[str, Any]]],
    egress: Egress,
) -> dict[str, Any]:
    there = _destination(held, server)
    files = (look or {}).get("files", {})
    taken = next((files[name] for name in (server["drain_file"], server["spare_file"]) if name in files), None)
    said = checks.get(server["name"], [])
    reason, why = (UNKNOWN, "") if look is None else reason_of(service, server, there, files, said)
    counters = (there or {}).get("counters", {})
    count, rate = egress.get(server["name"], {}).get(service["counter"] or "", (None, None))
    if not service["direct"]:
        rate = counters.get("outbps")
    return {
        "name": server["name"], "address": server["address"], "port": server["port"], "declared": server["weight"],
        "weight": there["weight"] if there else None, "reason": reason, "why": why, "spare": server["spare"],
        "fallback": server["fallback"], "note": taken or {}, "active": _active(service, there) if there else 0,
        "inactive": there["inactive"] if there else 0, "new": counters.get("cps", 0), "in": counters.get("inbps", 0), "out": rate,
        "sent": count, "certificate": next((one["warning"] for one in said if one.get("warning")), ""),
        "certificate_ends": min((one["certificate_ends"] for one in said if one.get("certificate_ends")), default=None),
        "agent": next((one["agent"] for one in said if one.get("agent")), ""),
        "check_seconds": max((one["seconds"] or 0 for one in said), default=None),
    }  # fmt: skip


def reason_of(
    service: dict[str, Any], server: dict[str, Any], there: dict[str, Any] | None, files: dict[str, Any], said: list[dict[str, Any]]
) -> tuple[str, str]:
    """(one of REASONS, in words)"""
    bad = next((one for one in said if one["state"] == "down"), said[0] if said else None)
    words = str(bad["why"]) if bad else ""
    if server["fallback"]:
        return SORRY, "answers, because all others are out" if there and there["weight"] else "answers when all others are out"
    if server["drained"] or server["drain_file"] in files:
        return DRAINED, _by(files.get(server["drain_file"]), "in the inventory" if server["drained"] else "")
    if server["spare_file"] in files:
        return PARKED, _by(files.get(server["spare_file"]), "")
    if not there:
        return MISSING, "not in the table of this director"
    if not server["weight"]:
        return ZERO, "declared with weight 0"
    if not there["weight"]:
        if not service["checked"]:
            return ZERO, "weight 0 in the table, and no check that would raise it"
        if bad and bad["state"] == "unknown":
            return UNCHECKED, words or "not checked yet"
        return DOWN, words if bad and bad["state"] == "down" and not bad.get("kept") else "its health check fails"
    if any(one.get("kept") for one in said):
        return KEPT, "%s; kept in, because all servers failed at once" % words
    if there["weight"] < server["weight"]:
        return PART, _part(there, server, said)
    return SERVING, words


def _by(note: dict[str, Any] | None, otherwise: str) -> str:
    """``by anna: kernel upgrade``"""
    if not note or not note.get("who"):
        return otherwise
    return "by %s%s" % (note["who"], ": " + note["why"] if note.get("why") else "")


def _part(there: dict[str, Any], server: dict[str, Any], said: list[dict[str, Any]]) -> str:
    """Why a server has a part of its weight."""
    agent = next((one["agent"] for one in said if one.get("agent")), "")
    return "%d %% of its weight: %s" % (100 * there["weight"] // server["weight"], "its agent says %s" % agent if agent else "slow start")


def _leaving(service: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    return {"address": there["address"], "port": there["port"], "weight": there["weight"], "active": _active(service, there)}


def _drift(config: dict[str, Any], looks: dict[str, Look | None], behind: list[dict[str, str]]) -> list[dict[str, str]]:
    """What runs and the inventory does not say: ``[{"what", "line"}]``, with the line that would make it permanent. behind: of proxies."""
    out: dict[str, str] = {}
    servers = {one["name"]: one for service in config["services"] for one in service["servers"]}
    known = {*(service["key"] for service in config["services"]), *config["known"]}
    for director, look in looks.items():
        if not look:
            continue
        for server in servers.values():
            if server["drain_file"] in look["files"] and not server["drained"]:
                out["%s is drained" % server["name"]] = "%s: real_server_state: drained" % server["name"]
        for key, held in look["services"].items():
            if key not in known:
                out["%s is in the table of %s" % (held["words"], director)] = "a service of these ports in virtual_services"
        for service in config["services"]:
            found = _held(look, service)
            if found and found["scheduler"] != service["scheduler"]:
                what = "%s (%s) has the scheduler %s on %s" % (service["name"], service["vips"][0], found["scheduler"], director)
                out[what] = "scheduler: %s" % found["scheduler"]
    out.update({one["what"]: one["line"] for one in behind})
    return [{"what": what, "line": line} for what, line in out.items()]
