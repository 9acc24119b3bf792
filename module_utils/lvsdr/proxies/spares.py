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
    """The names of the files of spares that are parked on a proxy. A rollout leaves them as they are: the first proxy of the service whose
    lvsdr-streamcheck knows the spare says so. One that none of them knows is parked."""
    out = []
    for service in resolved.proxies:
        for server in service.servers if host in service.hosts and not service.absent else ():
            name = places.spare_file(server.host)
            facts = (facts_of(inventory, proxy) for proxy in service.hosts)
            knows = next((one for one in facts if name in (one.get("spares") or ())), None)
            if server.spare and (knows is None or name in (knows["seen"]["folders"].get(places.DRAINED_KEPT) or ())):
                out.append(name)
    return out


def as_services(resolved: Resolved, name: str) -> tuple[list[VirtualService], tuple[str, ...]]:
    """(the service and all others of the same proxies, as if directors had them, its proxies); nothing of a name that no proxy has."""
    there = [service for service in resolved.proxies if not service.absent]
    hosts = next((service.hosts for service in there if service.name == name), ())
    return [_as_service(service) for service in there if service.hosts == hosts], hosts


def _as_service(service: ProxyService) -> VirtualService:
    return VirtualService(
        name=service.name, mode=modes.PROXY, family=6 if ":" in service.vips[0] else 4, vips=service.vips, instance="",
        options=_options(service), servers=service.servers, health_check=service.checks[0] if service.checks else None,
        more_checks=service.checks[1:],
    )  # fmt: skip


def _options(service: ProxyService) -> dict[str, Any]:
    return {"address": service.vips[0], "protocol": "tcp", "port": service.port}


def infos(resolved: Resolved, name: str, found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """{proxy: as_info} of the proxies of a service whose HAProxy runs. found: {proxy: what haproxy_info returned}."""
    hosts = as_services(resolved, name)[1]
    return {host: as_info(resolved, found[host]) for host in hosts if found.get(host, {}).get("running")}


def some_infos(resolved: Resolved, name: str, found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same; LvsError where there are none."""
    out = infos(resolved, name, found)
    if not out:
        raise LvsError(messages.NO_PROXY_ANSWERS(service=name, proxies=", ".join(as_services(resolved, name)[1])))
    return out


def as_info(resolved: Resolved, found: Mapping[str, Any]) -> dict[str, Any]:
    """What ipvs_info would return of a proxy, of what haproxy_info returned of it."""
    services = []
    for service in resolved.proxies:
        held = found["servers"].get(service.name, {})
        destinations = [
            {"address": one.address, "weight": held[one.host]["weight"] if held[one.host]["status"] == "UP" else 0,
             "active": held[one.host]["connections"], "inactive": 0}
            for one in service.servers if one.host in held
        ]  # fmt: skip
        services.append({**_options(service), "destinations": destinations})
    return {"services": services, "weight_files": found["weight_files"], "stream_checks": found["stream_checks"]}
