# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with a fleet, each with what to do. Pure.

A problem is ``{"kind": one of KINDS, "level": "bad" or "warn", "what": text, "do": text}``; bad: viewers are refused, or the next fault
would refuse them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

BAD, WARN = "bad", "warn"
KINDS = (
    "split-brain", "nobody-active", "not-in-table", "all-failed", "nobody-serves", "floor", "director-silent", "proxy-silent", "keepalived",
    "server-down", "server-missing", "checker-stalled", "waf", "parity", "sync", "configuration", "certificate",
)  # fmt: skip
# lvsdr-streamcheck writes its status each second.
STALLED = 10


def found(config: dict[str, Any], state: dict[str, Any], of_proxies: Sequence[dict[str, str]] = ()) -> list[dict[str, str]]:
    """All that is wrong, the worst first. ``key`` names a problem from one look to the next, whatever its words are by then. of_proxies:
    what is wrong with proxies (behind.py)."""
    out = _vips(state) + [one for service in state["services"] for one in _service(service)] + _servers(state)
    out += _directors(config, state) + _parity(state) + list(of_proxies)
    order = {kind: number for number, kind in enumerate(KINDS)}
    return sorted(out, key=lambda one: (one["level"] != BAD, order[one["kind"]]))


def problem(kind: str, level: str, about: str, what: str, do: str) -> dict[str, str]:
    """One, as above. about: what it is of, by which it is the same one from look to look."""
    return {"kind": kind, "level": level, "key": "%s %s" % (kind, about), "what": what, "do": do}


def _vips(state: dict[str, Any]) -> list[dict[str, str]]:
    """Each VIP is held by exactly one director, as far as directors answer."""
    held = {vip: tuple(names) for service in state["services"] for vip, names in service["holders"].items()}
    vips: dict[tuple[str, ...], list[str]] = {}
    for vip, holders in held.items():
        vips.setdefault(holders, []).append(vip)
    out = []
    for holders, those in vips.items():
        named = " and ".join(those)
        if len(holders) > 1:
            do = "let VRRP (IP protocol 112) pass between them; `journalctl -u keepalived` on each says since when"
            out.append(problem("split-brain", BAD, " ".join(holders), "%s hold %s at once" % (" and ".join(holders), named), do))
        elif not holders and all(one["answers"] for one in state["directors"]):
            do = "start keepalived on one: `systemctl restart keepalived`, then its journal"
            out.append(problem("nobody-active", BAD, "", "no director holds %s" % named, do))
    return out


def _service(service: dict[str, Any]) -> list[dict[str, str]]:
    name = "%s (%s)" % (service["name"], service["vip"])
    if not service["read"]:
        return []
    if not service["there"]:
        what = "%s is not in the table of %s" % (name, service["view"])
        return [problem("not-in-table", BAD, name, what, "run site.yml: until then its viewers are refused")]
    return _all_of(service, name)


def _all_of(service: dict[str, Any], name: str) -> list[dict[str, str]]:
    """What is wrong with a service as a whole."""
    out = []
    kept = [one for one in service["servers"] if one["reason"] == "kept"]
    if kept:
        what = "all servers of %s fail at once: %s" % (name, kept[0]["why"].partition(";")[0])
        out.append(problem("all-failed", BAD, name, what, "look at the origin and at what feeds it; the servers stay in"))
    if service["servers"] and not service["serving"]:
        sorry = any(one["fallback"] and one["weight"] for one in service["servers"])
        what = "no server of %s takes viewers%s" % (name, "; the sorry server answers" if sorry else "")
        do = "fix one of them, or undrain one: `ansible-playbook playbooks/undrain.yml`"
        out.append(problem("nobody-serves", BAD, name, what, do))
    elif service["floor"] and service["serving"] <= service["floor"] and any(one["reason"] == "down" for one in service["servers"]):
        what = "%s is at its floor: %d of %d servers take viewers" % (name, service["serving"], service["counted"])
        out.append(problem("floor", BAD, name, what, "fix a server or wake a spare: checks take out no more of them"))
    return out


def _servers(state: dict[str, Any]) -> list[dict[str, str]]:
    """One that is down is usually down in all of its services, and for one reason."""
    out = []
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for service in state["services"]:
        for one in service["servers"] if service["read"] and service["there"] else ():
            name = "%s (%s)" % (service["name"], service["vip"])
            if one["reason"] in ("down", "missing"):
                found.setdefault((one["name"], one["reason"]), []).append((name, one["why"]))
            if one["certificate"]:
                what = "%s on %s: %s" % (name, one["name"], one["certificate"])
                out.append(problem("certificate", WARN, "%s %s" % (name, one["name"]), what, "renew the certificate there"))
    for (server, reason), where in found.items():
        names, why = ", ".join(name for name, _why in where), where[0][1]
        if reason == "down":
            what = "%s is out of %s: %s" % (server, names, why)
            out.append(problem("server-down", WARN, server, what, "fix the server; it rejoins by itself"))
        else:
            what = "%s of %s is not in the table of those who send it viewers" % (server, names)
            out.append(problem("server-missing", WARN, server, what, "run site.yml"))
    return out


def _directors(config: dict[str, Any], state: dict[str, Any]) -> list[dict[str, str]]:
    out = []
    for one in state["directors"]:
        name = one["name"]
        if not one["answers"]:
            do = "nobody stands in for the other director: look at its power, its link, and `systemctl status lvsdr-console` there"
            out.append(problem("director-silent", BAD, name, "%s does not answer" % name, do))
            continue
        if not one["keepalived"]:
            do = "`systemctl restart keepalived` there, then its journal"
            out.append(problem("keepalived", BAD, name, "keepalived does not run on %s" % name, do))
        if config["sync"] and one["sync"] != ["backup", "master"]:
            what = "%s does not sync connections (%s)" % (name, " and ".join(one["sync"]) or "no daemon")
            out.append(problem("sync", WARN, name, what, "a failover cuts streams until it does: run site.yml"))
        if config["watched"] and (one["checker"] is None or one["checker"] > STALLED):
            since = "does not run" if one["checker"] is None else "has been silent for %d s" % one["checker"]
            do = "`systemctl restart lvsdr-streamcheck` there; keepalived checks alone meanwhile"
            out.append(problem("checker-stalled", WARN, name, "lvsdr-streamcheck %s on %s" % (since, name), do))
    if len({one["config"] for one in state["directors"] if one["answers"]}) > 1:
        out.append(problem("configuration", WARN, "", "the directors have different configurations", "run site.yml on both"))
    return out


def _parity(state: dict[str, Any]) -> list[dict[str, str]]:
    """The directors hold the same servers, and one serves viewers on both or on neither. keepalived adds the sorry server by itself."""
    answering = [one["name"] for one in state["directors"] if one["answers"]]
    out = []
    for service in state["services"]:
        for one in service["servers"]:
            weights = [one["weights"].get(name) for name in answering]
            if not one["fallback"] and (len({weight is None for weight in weights}) > 1 or len({bool(weight) for weight in weights}) > 1):
                cells = ", ".join("%s %s" % (name, "nothing" if w is None else "weight %d" % w) for name, w in zip(answering, weights))
                what = "the directors differ about %s of %s (%s): %s" % (one["name"], service["name"], service["vip"], cells)
                about = "%s %s %s" % (service["name"], service["vip"], one["name"])
                out.append(problem("parity", WARN, about, what, "wait for the next checks; if it stays, run site.yml"))
    return out
