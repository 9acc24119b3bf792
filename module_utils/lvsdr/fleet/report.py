# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what each host received and found on itself to one table of the fleet. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.arp import audit as arp_audit
from ansible.module_utils.lvsdr.directors import vrrp
from ansible.module_utils.lvsdr.errors import Problems
from ansible.module_utils.lvsdr.fleet import messages
from ansible.module_utils.lvsdr.inventory import hosts, modes
from ansible.module_utils.lvsdr.inventory import instances as vrrp_instances
from ansible.module_utils.lvsdr.inventory.ports import words
from ansible.module_utils.lvsdr.ipvs import describe
from ansible.module_utils.lvsdr.places import DIRECTORS
from ansible.module_utils.lvsdr.text import aligned, bit_rate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ansible.module_utils.lvsdr.inventory.types import Inventory, RealServer, VirtualService

    Row = tuple[str, ...]


def audit(vips: Iterable[str], owners: dict[str, str], names: dict[str, str], hosts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """``{"clean": bool, "lines": [text]}`` of an audit from many hosts.

    hosts: ``{name: {"audit": results of arp_audit or None, "gathered": of real_server_vip or None}}``. A host does not receive its own
    answers, so those of all are put together. owners, names: {mac: host} of the directors and of all.
    """
    clean = True
    rows: list[Row] = [("VIP", "ASKED FROM", "VERDICT", "WHO")]
    for vip in vips:
        heard = [(host, result) for host, found in hosts.items() for result in found["audit"] or () if result["vip"] == vip]
        macs = list(dict.fromkeys(mac for _host, result in heard for mac in result["macs"]))
        claims = list(dict.fromkeys(mac for _host, result in heard for mac in result["claims"]))
        if not heard:
            verdict, text = "not asked", str(messages.VIP_NOT_ASKED(vip=vip))
        else:
            verdict, text = arp_audit.verdict(vip, macs, owners, claims, names)
        clean = clean and verdict == "one owner"
        rows.append((vip, "%d host%s" % (len(heard), "s"[: len(heard) != 1]), verdict, str(text)))
    lines = aligned(rows)
    rows = [("HOST", "VIP", "RECIPE", "WHY")]
    for host, found in hosts.items():
        gathered = found["gathered"]
        if found["audit"] is None and gathered is None:
            rows.append((host, "", "not reached", "see the error above"))
            clean = False
            continue
        for item in (gathered or {}).get("vips", ()):
            rows.append((host, item["vip"], item["recipe"], item["why"]))
            clean = clean and item["works"] is True
        for what in ("problems", "conflicts", "operations"):
            for sentence in (gathered or {}).get(what, ()):
                rows.append((host, "", {"operations": "site.yml would"}.get(what, what[:-1]), sentence))
                # What is applied later and overridden does no harm.
                clean = clean and what == "conflicts" and "overrides it" in sentence
    return {"clean": clean, "lines": lines + ([""] + aligned(rows) if len(rows) > 1 else [])}


def status(services: Iterable[VirtualService], directors: Mapping[str, dict[str, Any]]) -> list[str]:
    """The lines of a table of what each director holds of each real server.

    services: resolved. directors: ``{name: {"info": result of ipvs_info or None, "active": whether it holds a VIP, "drained": names of the
    files in places.DRAINED_KEPT, "sent": {(service, first VIP, server): bytes a second to viewers}}}``; sent is of a console, and
    without one what no director sees is missing.
    """
    rated = any("counters" in one for found in directors.values() for table in (found["info"] or {}).get("services", ())
                for one in table["destinations"])  # fmt: skip
    rows: list[Row] = [
        (
            "SERVICE",
            "VIP",
            "REAL SERVER",
            *("%s (%s)" % (name, _director_state(name, found)) for name, found in directors.items()),
            *(("NEW/s", "IN", "OUT") if rated else ()),
            "CHECK",
        )
    ]
    tables = [None if found["info"] is None else describe.held_destinations(found["info"]) for found in directors.values()]
    checks = [_checks_of(found["info"]) for found in directors.values()]
    drained = {name for found in directors.values() for name in found["drained"]} if any(tables) else None
    for service in services:
        for server in service.real_servers:
            cells = [_held(service, server, found) for found in tables]
            named = (service.name, service.vips[0], server.host)
            # Usually all directors report the same.
            names = [(service.check_name(index), *named[1:]) for index in range(len(service.checks))]
            said = list(dict.fromkeys(_said(found[name]) for name in names for found in checks if name in found))
            said[:0] = _states(server, drained)
            shown = "%s (%s)" % (service.name, words(service.ports)) if service.ports else service.name
            rates = _rates(service, server, list(zip(directors.values(), tables))) if rated else ()
            rows.append((shown, *named[1:], *cells, *rates, " / ".join(said)))
    return aligned(rows) + _cut_by_a_failover(services, tables, directors)


def _rates(
    service: VirtualService, server: RealServer, directors: Sequence[tuple[Mapping[str, Any], dict[Any, Any] | None]]
) -> tuple[str, str, str]:
    """New connections a second, and what comes in and goes out, as the director counts it that is active, else the first that was read."""
    read = [(found, table) for found, table in directors if table is not None]
    # With several VRRP instances each director may hold some VIPs.
    read.sort(key=lambda pair: (service.vips[0] not in pair[0].get("vips", ()), not pair[0]["active"]))
    there = read[0][1].get((service.table_key, server.address)) if read and read[0][1] else None
    counters = (there or {}).get("counters")
    if not counters:
        return "-", "-", "-"
    sent = counters["outbps"] if service.mode not in modes.DIRECT else None
    for found, _table in read:
        sent = found.get("sent", {}).get((service.name, service.vips[0], server.host)) if sent is None else sent
    return str(counters["cps"]), bit_rate(counters["inbps"]), "-" if sent is None else bit_rate(sent)


def _director_state(name: str, found: Mapping[str, Any]) -> str:
    return ("active" if found["active"] else "standby") + (", drained" if places.drain_file(name) in found["drained"] else "")


def _states(server: RealServer, files: Collection[str] | None) -> list[str]:
    """Why a server has no weight, or may lose it, whatever its checks say. files: names in places.DRAINED_KEPT; None where no director
    was read."""
    out = ["drained"] if server.drained or places.drain_file(server.host) in (files or ()) else []
    if server.spare:
        out.append("spare" if files is None else "spare, %s" % ("parked" if places.spare_file(server.host) in files else "awake"))
    return out


def _cut_by_a_failover(
    services: Iterable[VirtualService], tables: Sequence[dict[Any, Any] | None], directors: Mapping[str, dict[str, Any]]
) -> list[str]:
    """A line for each service whose connections end when its director does: the new source of SNAT is known to that one alone."""
    out = []
    for service in services:
        if service.mode == "snat" and not service.absent:
            counts = [
                sum(table[service.table_key, one.address]["active"] for one in service.servers if (service.table_key, one.address) in table)
                for table, found in zip(tables, directors.values())
                if table is not None and found["active"]
            ]
            out.append(str(messages.CUT_BY_FAILOVER(service=service.name, vip=service.vips[0], count=max(counts, default=0))))
    return ["", *out] if out else []


def vrrp_wrong(found: dict[str, dict[str, Any]], services: Sequence[VirtualService], inventory: Inventory) -> list[str]:
    """A line for each thing that is wrong with the directors' VRRP. found: {director: what vrrp_audit returned}."""
    directors = inventory["groups"].get(DIRECTORS, [])
    own = {address for director in directors for address in hosts.addresses_of(inventory, director)}
    out = []
    for director, heard in sorted(found.items()):
        instances = vrrp_instances.instances(services, director, inventory["hosts"].get(director, {}), directors, Problems())
        out += vrrp.wrong(director, instances, heard, own)
    return out


def _held(service: VirtualService, server: RealServer, table: dict[Any, Any] | None) -> str:
    """``weight 10, 3 active`` of a server in a director's table (describe.held_destinations, or None)."""
    if table is None:
        return "not reached"
    there = table.get((service.table_key, server.address))
    return "weight %d, %d active" % (there["weight"], there["active"]) if there else "missing"


def _said(check: dict[str, Any]) -> str:
    """What a stream check reports, with its warning."""
    state = check["state"] + (", kept in as all failed at once" if check.get("kept") else "")
    return "%s: %s%s" % (state, check["why"], "; " + check["warning"] if check.get("warning") else "")


def _checks_of(info: dict[str, Any] | None) -> dict[tuple[str, str, str], dict[str, Any]]:
    """{(service, first VIP, server): what its stream check reports} of what ipvs_info returned."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for check in (info or {}).get("stream_checks") or ():
        found.setdefault((check["service"], check["vip"], check["server"]), check)
    return found
