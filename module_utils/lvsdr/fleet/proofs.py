# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What verify plays, asks and probes, and from which hosts. Pure."""

from __future__ import annotations

import ipaddress
import itertools
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import endpoint, inside
from ansible.module_utils.lvsdr.checks.health_check import UDP_CHECKS
from ansible.module_utils.lvsdr.errors import Problems
from ansible.module_utils.lvsdr.inventory import modes
from ansible.module_utils.lvsdr.inventory.check_paths import check_marks
from ansible.module_utils.lvsdr.inventory.hosts import facts_of, host_address, networks_of
from ansible.module_utils.lvsdr.inventory.instances import instances
from ansible.module_utils.lvsdr.inventory.views import moving, real_servers
from ansible.module_utils.lvsdr.places import DIRECTORS
from ansible.module_utils.lvsdr.streams import packets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible.module_utils.lvsdr.inventory.types import Inventory, Resolved, VirtualService


def streams(services: Iterable[VirtualService]) -> list[dict[str, Any]]:
    """What a viewer can play, through each VIP:

    ``[{"name", "vip", "url", "base", "path", "servers", "connect_to", "validate_certs", "ca_path"}]``; url is base and path together.
    connect_to: the VIP, where the URL has a name; ca_path: a file of authorities on the viewer, or None. ``proxied`` is there, and true,
    where the servers are proxies.
    """
    out = []
    for service in services:
        if not service.stream or service.absent:
            continue
        url, verify = service.stream["url"], service.stream["verify"]
        for vip in service.vips:
            if "://" in url:
                scheme, _slashes, rest = url.partition("://")
                host, slash, path = rest.partition("/")
                base, path = "%s://%s" % (scheme, host), (slash + path) or "/"
            else:
                base, path = "http://" + endpoint(vip, _port_of_path(service)), url
            out.append(
                {
                    "name": service.name, "vip": vip, "url": base + path, "base": base, "path": path, "servers": list(service.hosts),
                    "connect_to": vip if "://" in url else None, "validate_certs": bool(verify),
                    "ca_path": verify if isinstance(verify, str) else None, **({"proxied": True} if service.proxied else {}),
                }
            )  # fmt: skip
    return out


def server_streams(resolved: Resolved, inventory: Inventory, hosts: Iterable[str], director: str) -> list[dict[str, Any]]:
    """What a director plays of real servers, of each alone, in the words of stream_probe: ``[{"host", "name", "vip", "url", "connect_to",
    "source", "mark", "validate_certs", "ca_path"}]``.

    In direct routing on the path of its health checks, through the VIP; in other modes at the server's own address, as they are checked.
    """
    out, marks = [], check_marks(resolved.checks)
    played = [(stream, service) for service in resolved.services for stream in streams([service])]
    for host, (stream, service) in itertools.product(hosts, played):
        server = next((one for one in service.real_servers if one.host == host), None)
        if server is None:
            continue
        # What a director trusts is what its checks of the service trust; the stream's own file is one on the viewer.
        verify = (service.health_check or {}).get("verify", False)
        one = {"host": host, "name": stream["name"], "vip": stream["vip"], "url": stream["url"], "validate_certs": bool(verify)}
        one["ca_path"] = verify if isinstance(verify, str) else None
        mark = marks.get((service.family, server.address))
        if service.mode == "dr":
            if mark is None:
                continue  # it has no checks that follow the data path
            one.update(connect_to=stream["vip"], mark=mark, source=host_address(inventory["hosts"].get(director, {}), service.family))
        elif stream["connect_to"]:
            one.update(connect_to=server.address, mark=None, source=None)
        else:
            port = server.port or _port_of_path(service)
            one.update(url="http://" + endpoint(server.address, port) + stream["path"], connect_to=None, mark=None, source=None)
        out.append(one)
    return out


def _port_of_path(service: VirtualService) -> int:
    """The port of a stream that is a path: the service's own, or the first one of TCP."""
    return int(service.options.get("port") or next(first for protocol, first, _last in service.ports if protocol == "tcp"))


def _listening(service: VirtualService, check: dict[str, Any]) -> list[tuple[str, int]]:
    """[(protocol, port)] on which the service's programs always listen. Those of a range, as of RTP, come and go with viewers."""
    if service.ports:
        return [(protocol, first) for protocol, first, last in service.ports if first == last and protocol == "tcp"]
    protocol, port = service.options.get("protocol"), service.options.get("port")
    if protocol is None:  # a firewall mark has neither; a check names a port of its own
        protocol, port = "udp" if check.get("type") in UDP_CHECKS else "tcp", check.get("port")
    return [(protocol, port)] if port and protocol in ("tcp", "udp") else []


def listeners(services: Iterable[VirtualService]) -> dict[str, list[dict[str, Any]]]:
    """{real server: the ``services`` of listener_check}: what its programs have to answer on while it takes viewers."""
    out: dict[str, list[dict[str, Any]]] = {}
    for service in services:
        check = service.health_check or {}
        direct = service.mode in modes.DIRECT
        for server in service.servers if _listening(service, check) else ():
            if not server.weight or server.drained:
                continue
            # A server that does not hold the VIP is sent packets to its own address, and perhaps to another port.
            addresses = service.vips if direct else (server.address,)
            for protocol, port in _listening(service, check):
                there = port if direct or server.port is None else server.port
                question = _question_of(check) if check.get("type") in UDP_CHECKS and protocol == "udp" else {}
                item = {"name": service.name, "protocol": protocol, "port": there, **question}
                for address in addresses:
                    # HAProxy listens on VIPs alone, so that several services may have one port.
                    own = address if service.proxied else server.address
                    out.setdefault(server.host, []).append({**item, "own": own, "vip": address})
    return out


def _question_of(check: dict[str, Any]) -> dict[str, Any]:
    """What to ask a UDP program, in the words of listener_check and udp_probe, without what is not given."""
    words = {"type": packets.type_of(check["type"]), "payload": check.get("payload"), "query": check.get("query")}
    return {name: value for name, value in words.items() if value is not None}


def udp_probes(services: Iterable[VirtualService], inventory: Inventory) -> list[dict[str, Any]]:
    """The options of udp_probe, and a name, for each UDP service whose health check defines a question:

    ``[{"name", "vips", "port", "type", "payload", "query", "host_by_address", "count"}]``.
    """
    out = []
    for service in services:
        check = service.health_check or {}
        if service.absent or check.get("type") not in UDP_CHECKS or service.options.get("protocol") != "udp":
            continue
        addresses = {host_address(inventory["hosts"][host], service.family): host for host in service.hosts}
        out.append(
            {
                "name": service.name, "vips": list(service.vips), "port": service.options["port"],
                "host_by_address": {address: host for address, host in addresses.items() if address},
                "payload": None, "query": None, **_question_of(check), "count": max(6, 2 * len(service.hosts)),
            }
        )  # fmt: skip
    return out


def vips_near(services: Sequence[VirtualService], inventory: Inventory, host: str) -> list[str]:
    """The VIPs and gateways of NAT in whose subnet a host has an interface: those that it can ask for."""
    networks = networks_of(inventory, host) or []
    return [vip for vip in moving(services) if inside(vip, networks)]


def askers(services: Sequence[VirtualService], inventory: Inventory, count: int = 2) -> list[str]:
    """Hosts that ask for the VIPs: count for each VIP if its link has so many, real servers first. No host receives its own answer."""
    out = []
    wanted = dict.fromkeys(moving(services), count)
    for host in [*real_servers(services), *inventory["groups"].get(DIRECTORS, [])]:
        near = [vip for vip in vips_near(services, inventory, host) if wanted[vip]]
        if near and host not in out:
            out.append(host)
            for vip in near:
                wanted[vip] -= 1
    return out


def stranger(resolved: Resolved, inventory: Inventory) -> dict[str, Any]:
    """{"host", "directors", "interface", "virtual_router_id"} for a proof that directors accept no VRRP and no connections from others.

    host: a real server on the link of the directors, if there is one. directors: {director: its address there}.
    virtual_router_id: one that no instance has, so that nothing happens even where a packet gets in.
    """
    names = inventory["groups"].get(DIRECTORS, [])
    of_each = [instances(resolved.services, name, inventory["hosts"][name], names, Problems()) for name in names]
    taken = {one["virtual_router_id"] for its in of_each for one in its}
    unused = max(set(range(1, 256)) - taken)
    read = [name for name in names if facts_of(inventory, name)]
    addresses = [{name: host_address(inventory["hosts"][name], family) for name in read} for family in (4, 6)]
    for host in resolved.hosts():
        for link in facts_of(inventory, host).get("interfaces", []) if host not in names else ():
            networks = [ipaddress.ip_interface(text).network for text in link["addresses"]]
            for found in addresses:
                if link["name"] != "lo" and found and all(address and inside(address, networks) for address in found.values()):
                    return {"host": host, "directors": found, "interface": link["name"], "virtual_router_id": unused}
    return {"host": None, "directors": {}, "interface": None, "virtual_router_id": unused}
