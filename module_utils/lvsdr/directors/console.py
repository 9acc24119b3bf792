# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What lvsdr-console is given on a director: its configuration, and its program. Pure but for the program's files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.checks.health_check import is_watched
from ansible.module_utils.lvsdr.directors.keepalived import vrrp_family
from ansible.module_utils.lvsdr.inventory import modes, views
from ansible.module_utils.lvsdr.inventory.director_settings import runs_console
from ansible.module_utils.lvsdr.inventory.hosts import host_address
from ansible.module_utils.lvsdr.inventory.ports import words
from ansible.module_utils.lvsdr.ipvs.describe import key_name, table_key
from ansible.module_utils.lvsdr.places import DIRECTORS, drain_file, spare_file

if TYPE_CHECKING:
    from collections.abc import Collection

    from ansible.module_utils.lvsdr.inventory.types import Inventory, ProxyService, RealServer, Resolved, VirtualService


def console(resolved: Resolved, director: str, inventory: Inventory, settings: dict[str, Any]) -> dict[str, Any]:
    """The configuration of the console of a director.

    settings: {"port", "actions", "names"}: port on loopback; whether it may act; names under which a proxy reaches it.
    """
    family = vrrp_family(inventory)
    directors = [
        {"name": name, "address": host_address(inventory["hosts"].get(name, {}), family), "drain_file": drain_file(name)}
        for name in inventory["groups"].get(DIRECTORS, [])
    ]
    services = [_service(service) for service in resolved.services if service.balanced and not service.absent]
    behind = [_behind(service, {one["name"] for one in services}) for service in resolved.proxies if service.servers and not service.absent]
    proxies = list(dict.fromkeys(name for service in behind for name in service["proxies"]))
    return {
        "director": director, "directors": directors, "services": services, "actions": settings["actions"],
        "names": [name.lower() for name in settings["names"]],
        "known": sorted(map(key_of, resolved.tables())), "port": settings["port"],
        "peer_port": places.CONSOLE_PEER_PORT, "egress_port": places.EGRESS_PORT,
        "behind": behind, "proxies": [{"name": name, **_way(inventory, director, name)} for name in proxies],
        "sync": bool(services), "watched": any(is_watched(check) for service in resolved.services for check in service.checks)
        or any(service["checked"] and director in service["proxies"] for service in behind),
    }  # fmt: skip


def _way(inventory: Inventory, director: str, proxy: str) -> dict[str, str | None]:
    """{"address", "from"}: where a proxy is asked, and from which address: over VRRP's family, or the one that the proxy has."""
    hosts, family = inventory["hosts"], vrrp_family(inventory)
    if not host_address(hosts.get(proxy, {}), family):
        family = {4: 6, 6: 4}[family]
    return {"address": host_address(hosts.get(proxy, {}), family), "from": host_address(hosts.get(director, {}), family)}


def asking(inventory: Inventory, proxy: str) -> list[str]:
    """The addresses from which consoles ask a proxy."""
    found = (_way(inventory, name, proxy)["from"] for name in inventory["groups"].get(DIRECTORS, []) if runs_console(inventory, name))
    return [address for address in found if address]


def _behind(service: ProxyService, balanced: Collection[str]) -> dict[str, Any]:
    """What HAProxy serves, as console/behind.py takes it. front: the service by which viewers reach its proxies, if IPVS has one, which is
    one of balanced."""
    two_tiers = service.name in balanced
    return {
        "name": service.name + " behind its proxies" if two_tiers else service.name, "backend": service.name,
        "front": service.name if two_tiers else "", "vips": list(service.vips), "ports": "tcp %d" % service.port,
        "proxies": list(service.hosts), "balance": service.balance, "certificates": list((service.tls or {}).get("certificates", ())),
        "floor": service.checks[0]["floor"] if service.checks else 0, "checked": bool(service.checks),
        "checks": [service.check_name(index) for index in range(len(service.checks))],
        "waf": service.waf and {"mode": service.waf["mode"], "fail": service.waf["fail"], "backend": places.waf_backend(service.name)},
        "servers": [_server(one, one.port or service.port) for one in service.servers],
    }  # fmt: skip


def _service(service: VirtualService) -> dict[str, Any]:
    direct = service.mode in modes.DIRECT
    return {
        "name": service.name, "vips": list(service.vips), "ports": words(service.viewer_ports()) or key_name(service.table_key),
        "mode": service.mode, "direct": direct, "protocol": service.options.get("protocol"),
        "key": key_of(service.options), "scheduler": service.options["scheduler"],
        "floor": (service.health_check or {}).get("floor", 0), "checked": bool(service.health_check),
        "checks": [service.check_name(index) for index in range(len(service.checks))],
        "counter": views.counter_name(service) if direct and service.viewer_ports() else None, "header": _header(service),
        "servers": [_server(one, service.port_of(one)) for one in service.servers],
    }  # fmt: skip


def _header(service: VirtualService) -> int:
    """Bytes of the headers of a packet to viewers, with TCP's timestamps; 0 for protocols whose packets nobody cuts."""
    protocols = {protocol for protocol, _first, _last in service.viewer_ports()}
    return {4: 20, 6: 40}[service.family] + 32 if protocols == {"tcp"} else 0


def key_of(options: dict[str, Any]) -> str:
    """The name of a service in a look (ipvs/types.py, service_name). options: in the words of ipvs_table's."""
    return key_name(table_key(options)) + (" (IPv6)" if options.get("family") == "ipv6" else "")


def _server(server: RealServer, port: int) -> dict[str, Any]:
    return {
        "name": server.host, "address": server.address, "port": port, "weight": 1 if server.fallback else server.weight,
        "drained": server.drained, "spare": server.spare, "fallback": server.fallback,
        "drain_file": drain_file(server.host), "spare_file": spare_file(server.host),
    }  # fmt: skip
