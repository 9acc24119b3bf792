# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One look of lvsdr-scale: what directors and real servers say of their load, and which spares to wake and to park for it. Pure.

scaling.py decides how many servers a service should have; here it is told what was measured, and its number becomes names.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import capacity, spares
from ansible.module_utils.lvsdr.fleet.scaling import Measured, State, decide
from ansible.module_utils.lvsdr.inventory.hosts import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible.module_utils.lvsdr.inventory.types import Inventory, VirtualService

    Infos = Mapping[str, Mapping[str, Any]]
    # {real server: (seconds, bytes sent until then)}
    Sent = dict[str, tuple[float, int]]

# Seconds for which a server that was woken counts as serving, and between two calls of scale_up for one service: a machine has to boot.
WAKES, BOOTS = 120, 300


def look(
    services: Sequence[VirtualService], inventory: Inventory, infos: Infos, devices: Mapping[str, str], state: object, now: float
) -> dict[str, Any]:
    """What to do at this moment, for all services with ``scale`` together:

    ``{"wake": [host], "park": [host], "more": {service: number}, "lines": [text], "state": …}``; more: how many servers a service lacks
    though all its spares are awake. infos: {director: what ipvs_info returned}; devices: {real server: its /proc/net/dev in base64, as
    ansible.builtin.slurp returns it}; state: that of the last look, or anything. now: seconds since 1970.
    """
    before: dict[str, Any] = state if isinstance(state, dict) else {}
    known = before.get("services") if isinstance(before.get("services"), dict) else {}
    sent = {host: (now, count) for host, text in devices.items() if (count := sent_bytes(text, inventory, host)) is not None}
    out: dict[str, Any] = {"wake": [], "park": [], "more": {}, "lines": []}
    states = {}
    woken = {host: at for host, at in _times(before.get("woken")).items() if 0 <= now - at < WAKES}
    asked = {name: at for name, at in _times(before.get("asked")).items() if 0 <= now - at < BOOTS}
    for name in dict.fromkeys(service.name for service in services if service.scale and not service.absent):
        its = [service for service in services if service.name == name and not service.absent]
        options = dict(its[0].scale or {})
        found = measure(its, infos, _rates(sent, before.get("sent")), woken)
        decision = decide(options, found, State.from_data((known or {}).get(name)), now)
        states[name] = decision.state.to_data()
        most = spares.room(its[0], infos)[1]
        try:
            plan = spares.plan(services, infos, name, min(decision.wanted, most))
        except LvsError as error:
            out["lines"].append("%s: %s; nothing is changed: %s" % (name, decision.why, error.message))
            continue
        out["lines"].append("%s: %s; %d in service, %d wanted" % (name, decision.why, found.awake, decision.wanted))
        out["wake"] += [host for host in plan["wake"] if host not in out["wake"]]
        out["park"] += [host for host in plan["park"] if host not in out["park"]]
        if decision.wanted > most and name not in asked:
            out["more"][name] = decision.wanted - most
    # A spare of two services serves both: it is parked where none of them wants it.
    out["park"] = [host for host in out["park"] if host not in out["wake"]]
    woken.update(dict.fromkeys(out["wake"], now))
    asked.update(dict.fromkeys(out["more"], now))
    out["state"] = {"services": states, "sent": {host: list(one) for host, one in sent.items()}, "woken": woken, "asked": asked}
    return out


def measure(services: Sequence[VirtualService], infos: Infos, rates: Mapping[str, float], woken: Mapping[str, float]) -> Measured:
    """A look at one service, which may be on several VIPs. rates: {real server: Mbit/s}; woken: those that were woken a moment ago."""
    if not infos:
        return Measured(None, None, None, 0, 0)
    meant = {one.host for one in capacity.meant(services[0], {"weight_files": spares.weight_files(infos)})}
    serving = {host for service in services for info in infos.values() for host in capacity.serving(service, info)}
    counted = max(sum(capacity.connections(service, info) for service in services) for info in infos.values())
    sending = meant & serving
    egress = [rates[host] for host in sending if host in rates]
    said = _agents(services[0].name, infos)
    busy = [said[host] for host in meant if host in said]
    return Measured(
        connections=counted,
        # What some of those that serve do not tell is not nothing.
        egress_mbit=sum(egress) if egress and len(egress) == len(sending) else None,
        busy=sum(busy) / len(busy) if busy else None,
        serving=len(meant & (serving | set(woken))),
        awake=len(meant),
    )


def sent_bytes(text: str, inventory: Inventory, host: str) -> int | None:
    """The bytes that a real server has sent since it booted, on its interfaces with addresses; None where it is not known."""
    links = [link for link in facts_of(inventory, host).get("interfaces", ()) if link["name"] != "lo" and link["addresses"]]
    try:
        table = base64.b64decode(text).decode()
    except ValueError:
        return None
    # Eight columns of what was received come first (net/core/net-procfs.c).
    counts = {name: int(count) for name, count in re.findall(r"^ *([^:\s]+):(?: *\d+){8} +(\d+)", table, re.M)}
    found = [counts[link["name"]] for link in links if link["name"] in counts]
    return sum(found) if found else None


def _rates(sent: Sent, before: object) -> dict[str, float]:
    """{real server: Mbit/s since the last look}; a counter that went backwards is of a host that booted."""
    out = {}
    for host, one in before.items() if isinstance(before, dict) else ():
        at, count = one if isinstance(one, (list, tuple)) and len(one) == 2 else (None, None)
        if host in sent and isinstance(at, (int, float)) and isinstance(count, int):
            seconds, new = sent[host][0] - at, sent[host][1] - count
            if seconds > 0 and new >= 0:
                out[host] = 8e-6 * new / seconds
    return out


def _agents(name: str, infos: Infos) -> dict[str, float]:
    """{real server: how busy it is in percent} of what agents say: the rest of the percentage of its weight that a server asks for."""
    out = {}
    for info in infos.values():
        for one in info.get("stream_checks") or ():
            said = re.search(r"(\d+)%", one.get("agent") or "") if one["service"] == name else None
            if said:
                out[one["server"]] = 100.0 - min(100, int(said[1]))
    return out


def _times(found: object) -> dict[str, float]:
    return {key: at for key, at in found.items() if isinstance(at, (int, float))} if isinstance(found, dict) else {}
