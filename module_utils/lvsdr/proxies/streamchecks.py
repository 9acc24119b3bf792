# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What lvsdr-streamcheck is given on a proxy: the real servers that HAProxy asks, and where HAProxy hears of them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.proxies import spares
from ansible.module_utils.lvsdr.proxies.haproxy import services_of

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.inventory.types import Inventory, ProxyService, RealServer, Resolved


def streamchecks(resolved: Resolved, host: str, metrics_port: int = places.STREAMCHECK_PORT) -> dict[str, Any]:
    """The configuration of lvsdr-streamcheck on a proxy: {"folder", "metrics_port", "agent_port", "services", "login_files"}."""
    services = [
        {
            "name": service.check_name(index), "backend": service.name, "vip": service.vips[0], "check": _check(check),
            "servers": [_member(service, index, server) for server in service.servers if not server.fallback],
            "slow_start": check["slow_start"], "floor": check["floor"],
        }
        for service in services_of(resolved, host)
        for index, check in enumerate(service.checks)
    ]  # fmt: skip
    files = sorted({one["check"]["login_file"] for one in services if one["check"].get("login_file")})
    return {
        "folder": places.STREAMCHECK, "metrics_port": metrics_port, "agent_port": places.AGENT_PORT, "services": services,
        "login_files": {places.credential(path): path for path in files},
    }  # fmt: skip


def drained(resolved: Resolved, host: str, inventory: Inventory) -> list[str]:
    """The names of the files in places.DRAINED that have to be there on a proxy, sorted: of its real servers that are drained, and of
    spares that are parked."""
    servers = [server for service in services_of(resolved, host) for server in service.servers if service.checks]
    return sorted({places.drain_file(server.host) for server in servers if server.drained} | set(spares.parked(resolved, inventory, host)))


def _check(check: dict[str, Any]) -> dict[str, Any]:
    return {**check, "login_credential": places.credential(check["login_file"])} if check.get("login_file") else check


def _member(service: ProxyService, index: int, server: RealServer) -> dict[str, Any]:
    """A server that is checked, as the configuration has it. index: of the check."""
    return {
        "name": server.host, "weight": server.weight,
        "file": places.track_file({"name": service.check_name(index), "vips": service.vips}, server.host),
        "agent": server.address, "weight_files": ["%s/%s" % (places.DRAINED, name) for name in server.weight_files],
        "names": [*service.vips, server.address], "address": server.address,
        "port": service.checks[index].get("port") or server.port, "mark": None, "own": None,
    }  # fmt: skip
