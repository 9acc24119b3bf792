# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The spares among the real servers of proxies, and what proxies hold in the words of directors, by which fleet/spares.py chooses. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.inventory import modes
from ansible.module_utils.lvsdr.inventory.hosts import facts_of
from ansible.module_utils.lvsdr.inventory.types import VirtualService
from ansible.module_utils.lvsdr.proxies import messages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.lvsdr.inventory.types import Inventory, ProxyService, Resolved


def parked(resolved: Resolved, inventory: Inventory, host: str) -> list[str]:
    """The names of the files of spares that are parked on a proxy. A rollout leaves them as they are: a proxy that knows a spare says so
    itself, and to one that does not know it the first of the others says so. One that none of them knows is parked."""
    out = []
    for service in resolved.proxies:
        for server in service.servers if host in service.hosts and not service.absent else ():
            name = places.spare_file(server.host)
            facts = (facts_of(inventory, proxy) for proxy in (host, *service.hosts))
            knows = next((one for one in facts if _knows(one, name)), None)
            if server.spare and (knows is None or name in (knows["seen"]["folders"].get(places.DRAINED_KEPT) or ())):
                out.append(name)
    return out


def _knows(facts: Mapping[str, Any], name: str) -> bool:
    """Whether a host follows the file of a spare: lvsdr-streamcheck, or on a director keepalived."""
    keepalived = facts.get("keepalived") or {}
    conf = keepalived.get("running") or keepalived.get("file") or ""
    return name in (facts.get("spares") or ()) or "track_file %s {" % name in conf


def as_services(resolved: Resolved, name: str) -> tuple[list[VirtualService], tuple[str, ...]]:
    """(the service, as if directors had it, and those that share spares with it; the proxies of all); nothing of a name that proxies do
    not have."""
    there = [service for service in resolved.proxies if not service.absent]
    out = [service for service in there if service.name == name]
    while True:
        hosts = {server.host for service in out for server in service.servers if server.spare}
        more = [service for service in there if service not in out and any(server.host in hosts for server in service.servers)]
        if not more:
            return [_as_service(service) for service in out], tuple(dict.fromkeys(host for service in out for host in service.hosts))
        out += more


def _as_service(service: ProxyService) -> VirtualService:
    return VirtualService(
        name=service.name, mode=modes.PROXY, family=6 if ":" in service.vips[0] else 4, vips=service.vips, instance="",
        options=_options(service), servers=service.servers, health_check=service.checks[0] if service.checks else None,
        more_checks=service.checks[1:],
    )  # fmt: skip


def _options(service: ProxyService) -> dict[str, Any]:
    return {"address": service.vips[0], "protocol": "tcp", "port": service.port}


def infos(resolved: Resolved, name: str, found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """{proxy: as_info} of all proxies of ``as_services`` whose HAProxy runs; LvsError where none of them does. found: {proxy: what
    haproxy_info returned}."""
    hosts = as_services(resolved, name)[1]
    out = {host: as_info(resolved, host, found[host]) for host in hosts if found.get(host, {}).get("running")}
    if not out:
        raise LvsError(messages.NO_PROXY_ANSWERS(service=name, proxies=", ".join(hosts)))
    return out


def as_info(resolved: Resolved, host: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """What ipvs_info would return of a proxy, of what haproxy_info returned of it."""
    services = []
    for service in resolved.proxies:
        if host not in service.hosts:
            continue
        held = found["servers"].get(service.name, {})
        destinations = [
            {"address": one.address, "weight": held[one.host]["weight"] if held[one.host]["status"] == "UP" else 0,
             "active": held[one.host]["connections"], "inactive": 0}
            for one in service.servers if one.host in held
        ]  # fmt: skip
        services.append({**_options(service), "destinations": destinations})
    return {"services": services, "weight_files": found["weight_files"], "stream_checks": found["stream_checks"]}


def waiting(resolved: Resolved, name: str, found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """``["proxy: real server of service", …]`` whose weight is 0 though nobody has taken it: it is down, or was not checked yet."""
    out = []
    for service in resolved.proxies:
        for host in service.hosts if service.name == name and not service.absent else ():
            one: Mapping[str, Any] = found.get(host) or {"running": False}
            for server in service.servers if one["running"] else ():
                held = one["servers"].get(name, {}).get(server.host, {"weight": 0, "status": ""})
                taken = (
                    server.drained or server.fallback or not server.weight or not set(one["weight_files"]).isdisjoint(server.weight_files)
                )
                if not taken and not (held["weight"] and held["status"] == "UP"):
                    out.append("%s: %s of %s" % (host, server.host, name))
    return sorted(out)
