# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all proxies hold of their real servers, as one table. Pure."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.text import aligned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible.module_utils.lvsdr.inventory.types import ProxyService, RealServer, Resolved


def status(resolved: Resolved, found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines: a row for each real server, and one for each certificate. found: {proxy: what haproxy_info returned}; nothing of nothing."""
    rows: list[tuple[str, ...]] = [("SERVICE", "REAL SERVER", "PROXIES", "WEIGHT", "ACTIVE", "NEW/s", "WHY")]
    for service in resolved.proxies:
        for server in service.servers if not service.absent else ():
            rows.append(_row(service, server, found))
    return aligned(rows) + _wafs(resolved, found) + _certificates(found) if len(rows) > 1 else []


def _row(service: ProxyService, server: RealServer, found: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    there = {host: found.get(host, {}).get("servers", {}).get(service.name, {}).get(server.host) for host in service.hosts}
    held = [one for one in there.values() if one]
    states = collections.Counter(_state(found.get(host), one, server) for host, one in there.items())
    words = ", ".join("%s on %d of %d" % (state, count, len(there)) for state, count in states.most_common())
    whys = list(dict.fromkeys(one["why"] for one in held if one["why"] and one["status"] != "UP"))
    weights = sorted({one["weight"] for one in held})
    return (
        service.name, server.host + (" (sorry server)" if server.fallback else ""), words, "/".join(map(str, weights)) or "-",
        str(sum(one["connections"] for one in held)), str(sum(one["rate"] for one in held)), " / ".join(whys),
    )  # fmt: skip


def _state(proxy: Mapping[str, Any] | None, server: Mapping[str, Any] | None, declared: RealServer) -> str:
    if not proxy or not proxy.get("running"):
        return "HAProxy does not answer"
    if server is None:
        return "missing"
    if declared.spare and places.spare_file(declared.host) in proxy["weight_files"]:
        return "parked"
    # "no check" is one that nobody looks at.
    return {"UP": "up", "no": "up", "DOWN": "down", "DRAIN": "drained", "MAINT": "drained", "NOLB": "drained"}.get(
        server["status"], str(server["status"])
    )


def _wafs(resolved: Resolved, found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Where requests are judged, of HAProxy's check of nginx."""
    rows: list[tuple[str, ...]] = []
    for service in resolved.proxies:
        if not service.waf or service.absent:
            continue
        servers = [found.get(host, {}).get("servers", {}).get(places.waf_backend(service.name), {}).get("waf") for host in service.hosts]
        judging = [one for one in servers if one and one["status"] == "UP"]
        otherwise = {"open": "the others let everything through", "closed": "the others refuse all but segments"}[service.waf["fail"]]
        words = "judges on %d of %d" % (len(judging), len(servers))
        rows.append((service.name, service.waf["mode"], words + ("" if len(judging) == len(servers) else "; " + otherwise)))
    return ["", *aligned([("SERVICE", "WAF", "PROXIES"), *rows])] if rows else []


def _certificates(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Which proxies hold which certificate, and until when: they should all hold the same."""
    holders: dict[tuple[str, str, str], list[str]] = {}
    for host, one in found.items():
        for path, held in one.get("certificates", {}).items():
            holders.setdefault((path, held.get("subject", "-"), held.get("expires", "-")), []).append(host)
    rows: Sequence[tuple[str, ...]] = [(*key, _all_or_names(hosts, found)) for key, hosts in sorted(holders.items())]
    return ["", *aligned([("CERTIFICATE", "SUBJECT", "EXPIRES", "PROXIES"), *rows])] if rows else []


def _all_or_names(hosts: Iterable[str], found: Mapping[str, Any]) -> str:
    names = list(hosts)
    return "all" if len(names) == len(found) else ", ".join(names)
