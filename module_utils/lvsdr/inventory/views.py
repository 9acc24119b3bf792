# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Of the resolved services: whose VIPs, which hosts, which tables. Pure."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import family_of, parse_address
from ansible.module_utils.lvsdr.inventory import modes
from ansible.module_utils.lvsdr.ipvs.types import SCHEDULERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ansible.module_utils.lvsdr.inventory.types import Resolved, VirtualService


def somebody_serves(service: VirtualService, gone: Collection[str] = ()) -> bool:
    """Whether a real server takes new viewers that is not drained and not among those that go."""
    return any(server.weight and not server.drained and server.host not in gone for server in service.real_servers)


def spares(services: Iterable[VirtualService]) -> list[str]:
    """The hosts that are spares, in the order of their groups."""
    return list(dict.fromkeys(server.host for service in services for server in service.real_servers if server.spare))


def vips_of_hosts(services: Iterable[VirtualService]) -> dict[str, list[str]]:
    """{real server: VIPs that it must hold itself, in order}: those of its direct-routing and tunnel services."""
    out: dict[str, dict[str, None]] = {}
    for service in services:
        for host in service.members if service.mode in modes.DIRECT else ():
            out.setdefault(host, {}).update(dict.fromkeys(service.vips))
    return {host: list(vips) for host, vips in out.items()}


def vips_in(virtual_services: Any) -> list[str]:
    """Every VIP that is declared, whatever else is wrong."""
    items = virtual_services if isinstance(virtual_services, list) else []
    lists = [item.get("addresses") for item in items if isinstance(item, dict)]
    found = [address for one in lists if isinstance(one, list) for address in one]
    return [parse_address(address)[1] for address in found if family_of(address)]


def director_vips(services: Iterable[VirtualService]) -> list[str]:
    """The VIPs that keepalived holds, in order, without those of absent services."""
    return list(dict.fromkeys(vip for service in services if not service.absent for vip in service.vips))


def gateways(services: Iterable[VirtualService]) -> list[str]:
    """The gateways of NAT that keepalived holds, in order."""
    return list(dict.fromkeys(service.gateway for service in services if service.gateway and not service.absent))


def return_paths(services: Iterable[VirtualService]) -> dict[str, list[dict[str, Any]]]:
    """{real server: the ``paths`` of the module return_path}: those of its NAT services that ask for a rule."""
    out: dict[str, list[dict[str, Any]]] = {}
    for service in services:
        if service.mode != "nat" or service.return_path != "rule" or service.absent or not service.gateway:
            continue
        for server in service.servers:
            for protocol, first, last in service.server_ports(server):
                path = {"address": server.address, "gateway": service.gateway, "protocol": protocol, "first": first, "last": last}
                out.setdefault(server.host, []).append(path)
    return out


def endpoint(address: str, tunnel: dict[str, Any] | None) -> dict[str, Any]:
    """One of the ``endpoints`` of the module tunnel_endpoint. tunnel: in the words of ipvs_table's options, None for plain IP in IP."""
    tunnel = tunnel or {"type": "ipip"}
    return {"type": tunnel["type"], "address": address, "port": tunnel.get("port")}


def endpoints(services: Iterable[VirtualService]) -> dict[str, list[dict[str, Any]]]:
    """{real server: the ``endpoints`` of the module tunnel_endpoint}: where tunnels of directors end, each once."""
    out: dict[str, list[dict[str, Any]]] = {}
    for service in services:
        for server in service.servers if service.mode == "tunnel" and not service.absent else ():
            one = endpoint(server.address, service.tunnel)
            if one not in out.setdefault(server.host, []):
                out[server.host].append(one)
    return out


def counter_name(service: VirtualService) -> str:
    """The name of a real server's counter of what it sends for a service, as nft(8) takes it."""
    named = re.sub("[^A-Za-z0-9]", "_", "s_" + service.name)[:60]
    return "%s_%08x" % (named, zlib.crc32(("%s %s" % (service.name, service.vips[0])).encode()))


def counters(services: Iterable[VirtualService]) -> dict[str, list[dict[str, Any]]]:
    """{real server: the ``counters`` of the module egress_counters}: of what it sends to viewers itself."""
    out: dict[str, list[dict[str, Any]]] = {}
    for service in services:
        for server in service.servers if service.mode in modes.DIRECT and not service.absent else ():
            for vip in service.vips:
                for protocol, first, last in service.viewer_ports():
                    one = {"name": counter_name(service), "vip": vip, "protocol": protocol, "first": first, "last": last}
                    out.setdefault(server.host, []).append(one)
    return out


def replies(services: Iterable[VirtualService]) -> dict[str, list[str]]:
    """{real server: its own addresses whose way to viewers matters}: in all modes but where a rule, or the director's address, decides."""
    out: dict[str, dict[str, None]] = {}
    for service in services:
        if service.mode in modes.DIRECT or (service.mode == "nat" and service.return_path != "rule"):
            for server in service.servers if not service.absent else ():
                out.setdefault(server.host, {})[server.address] = None
    return {host: list(addresses) for host, addresses in out.items()}


def moving(services: Sequence[VirtualService]) -> list[str]:
    """All addresses that are where the active director is."""
    return list(dict.fromkeys(director_vips(services) + gateways(services)))


def forwarded(services: Iterable[VirtualService]) -> list[int]:
    """The families of which directors forward packets: what servers of NAT and SNAT answer."""
    return sorted({service.family for service in services if service.mode in modes.TRANSLATED and not service.absent})


def real_servers(services: Iterable[VirtualService]) -> list[str]:
    """The names of all real servers, sorry servers too, in order."""
    return list(dict.fromkeys(host for service in services for host in service.members))


def kernel_modules(resolved: Resolved) -> list[str]:
    """Kernel modules the services need, sorted; those of checks have a scheduler, too."""
    return modules_of((table["scheduler"], table.get("persistence", {}).get("engine")) for table in resolved.tables())


def modules_of(pairs: Iterable[tuple[Any, Any]]) -> list[str]:
    """Kernel modules of pairs of a scheduler and a persistence engine or None, sorted; of names that IPVS does not know none."""
    found = {"ip_vs"}
    for scheduler, engine in pairs:
        if isinstance(scheduler, str) and scheduler in SCHEDULERS:
            found.add("ip_vs_" + scheduler)
        if engine == "sip":
            found.add("ip_vs_pe_sip")
    return sorted(found)
