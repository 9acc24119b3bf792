# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with a fleet, each with what to do. Pure.

A problem is ``{"kind": one of KINDS, "level": "bad" or "warn", "what": text, "do": text}``; bad: viewers are refused, or the next fault
would refuse them.
"""

from __future__ import annotations

from typing import Any

BAD, WARN = "bad", "warn"
KINDS = (
    "split-brain", "nobody-active", "all-failed", "nobody-serves", "floor", "director-silent", "keepalived", "server-down",
    "checker-stalled", "parity", "sync", "configuration", "certificate",
)  # fmt: skip
# lvsdr-streamcheck writes its status each second.
STALLED = 10


def found(config: dict[str, Any], state: dict[str, Any], looks: dict[str, Any]) -> list[dict[str, str]]:
    """All that is wrong, the worst first."""
    out = _vips(state) + [one for service in state["services"] for one in _service(service)] + _directors(config, state)
    out += _parity(state)
    order = {kind: number for number, kind in enumerate(KINDS)}
    return sorted(out, key=lambda one: (one["level"] != BAD, order[one["kind"]]))


def _problem(kind: str, level: str, what: str, do: str) -> dict[str, str]:
    return {"kind": kind, "level": level, "what": what, "do": do}


def _vips(state: dict[str, Any]) -> list[dict[str, str]]:
    """Each VIP is held by exactly one director, as far as directors answer."""
    out = {}
    silent = [one["name"] for one in state["directors"] if not one["answers"]]
    for service in state["services"]:
        holders = service["holders"]
        for vip in service["vips"][:1]:
            if len(holders) > 1:
                out[vip] = _problem(
                    "split-brain", BAD, "%s hold %s at once" % (" and ".join(holders), vip),
                    "let VRRP (IP protocol 112) pass between them; `journalctl -u keepalived` on each says since when",
                )  # fmt: skip
            elif not holders and not silent:
                out[vip] = _problem(
                    "nobody-active",
                    BAD,
                    "no director holds %s" % vip,
                    "start keepalived on one: `systemctl restart keepalived`, then its journal",
                )
    return list(out.values())


def _service(service: dict[str, Any]) -> list[dict[str, str]]:
    out, name = [], "%s (%s)" % (service["name"], service["vip"])
    down = [one for one in service["servers"] if one["reason"] == "down"]
    kept = [one for one in service["servers"] if one["reason"] == "kept"]
    sorry = any(one["fallback"] and one["weight"] for one in service["servers"])
    if kept:
        out.append(_problem(
            "all-failed", BAD, "all servers of %s fail at once: %s" % (name, kept[0]["why"].partition(";")[0]),
            "look at the origin and at what feeds it; the servers stay in",
        ))  # fmt: skip
    if service["there"] and service["servers"] and not service["serving"]:
        what = "no server of %s takes viewers%s" % (name, "; the sorry server answers" if sorry else "")
        out.append(_problem("nobody-serves", BAD, what, "mend one of them, or undrain one: `ansible-playbook playbooks/undrain.yml`"))
    elif down and service["floor"] and service["serving"] <= service["floor"]:
        what = "%s is at its floor: %d of %d servers take viewers" % (name, service["serving"], service["counted"])
        out.append(_problem("floor", BAD, what, "mend a server or wake a spare: checks take out no more of them"))
    for one in down:
        out.append(
            _problem(
                "server-down", WARN, "%s is out of %s: %s" % (one["name"], name, one["why"]), "mend the server; it comes back by itself"
            )
        )
    for one in service["servers"]:
        if one["certificate"]:
            out.append(
                _problem("certificate", WARN, "%s on %s: %s" % (name, one["name"], one["certificate"]), "renew the certificate there")
            )
    return out


def _directors(config: dict[str, Any], state: dict[str, Any]) -> list[dict[str, str]]:
    out = []
    for one in state["directors"]:
        name = one["name"]
        if not one["answers"]:
            out.append(_problem(
                "director-silent", BAD, "%s does not answer" % name,
                "nobody stands in for the other director: look at its power, its link, and `systemctl status lvsdr-console` there",
            ))  # fmt: skip
            continue
        if not one["keepalived"]:
            out.append(
                _problem(
                    "keepalived", BAD, "keepalived does not run on %s" % name, "`systemctl restart keepalived` there, then its journal"
                )
            )
        if config["sync"] and one["sync"] != ["backup", "master"]:
            what = "%s does not sync connections (%s)" % (name, " and ".join(one["sync"]) or "no daemon")
            out.append(_problem("sync", WARN, what, "a failover cuts streams until it does: run site.yml"))
        if config["watched"] and (one["checker"] is None or one["checker"] > STALLED):
            since = "does not run" if one["checker"] is None else "has been silent for %d s" % one["checker"]
            what = "lvsdr-streamcheck %s on %s" % (since, name)
            out.append(
                _problem("checker-stalled", WARN, what, "`systemctl restart lvsdr-streamcheck` there; keepalived checks alone meanwhile")
            )
    if len({one["config"] for one in state["directors"] if one["answers"]}) > 1:
        out.append(_problem("configuration", WARN, "the directors have different configurations", "run site.yml on both"))
    return out


def _parity(state: dict[str, Any]) -> list[dict[str, str]]:
    """The directors hold the same servers, and one serves viewers on both or on neither."""
    answering = [one["name"] for one in state["directors"] if one["answers"]]
    out = []
    for service in state["services"]:
        for one in service["servers"]:
            weights = [one["weights"].get(name) for name in answering]
            if len({weight is None for weight in weights}) > 1 or len({bool(weight) for weight in weights}) > 1:
                cells = ", ".join("%s %s" % (name, "nothing" if w is None else "weight %d" % w) for name, w in zip(answering, weights))
                what = "the directors differ about %s of %s (%s): %s" % (one["name"], service["name"], service["vip"], cells)
                out.append(_problem("parity", WARN, what, "wait for the next checks; if it stays, run site.yml"))
    return out
