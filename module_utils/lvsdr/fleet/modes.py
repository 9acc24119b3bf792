# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether hosts can do what the modes of their services need: gateways, ways back, tunnels. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ansible.module_utils.lvsdr.addresses import inside
from ansible.module_utils.lvsdr.directors.holders import link_of
from ansible.module_utils.lvsdr.fleet import messages
from ansible.module_utils.lvsdr.inventory import paths
from ansible.module_utils.lvsdr.inventory.hosts import addresses_of, facts_of, list_networks, networks_of
from ansible.module_utils.lvsdr.inventory.modes import DIRECT
from ansible.module_utils.lvsdr.inventory.streaming_server import managed
from ansible.module_utils.lvsdr.routes import tunnels
from ansible.module_utils.lvsdr.text import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible.module_utils.lvsdr.errors import Problems
    from ansible.module_utils.lvsdr.inventory.types import Inventory, ProxyService, VirtualService


def check_proxies(proxies: Iterable[ProxyService], inventory: Inventory, problems: Problems) -> None:
    """HAProxy 2.6 of Debian 12 has no QUIC, and the nginx that lvsdr manages on a proxy must not listen where HAProxy does."""
    for service in proxies:
        taken = {*service.vips, *("::" if ":" in vip else "0.0.0.0" for vip in service.vips)}
        for host in service.hosts if not service.absent else ():
            for name, found in managed(inventory, host).items():
                if any(port == str(service.port) and address in taken for address, port in found):
                    problems.add(
                        "%s.%s" % (paths.of_host(host), name), messages.PROXY_PORT_OF_NGINX(port=service.port, service=service.name)
                    )
        for host in service.hosts if service.http3 and not service.absent else ():
            if facts_of(inventory, host).get("release") == {"id": "debian", "version": "12"}:
                problems.add("%s.tls.http3" % paths.of_service(service.name), messages.HTTP3_NEEDS_DEBIAN_13(host=host))


def check_gateways(services: Sequence[VirtualService], directors: Sequence[str], inventory: Inventory, problems: Problems) -> None:
    """A gateway of NAT belongs to no host, and is on a link of each director and of each server that answers through it."""
    vips = {vip for service in services for vip in service.vips}
    own = {address: host for host in inventory["hosts"] for address in sorted(addresses_of(inventory, host))}
    for service in services:
        gateway, path = service.gateway, service.path + ".nat_gateway"
        if gateway is None or service.absent:
            continue
        if gateway in vips:
            problems.add(path, messages.GATEWAY_IS_VIP(gateway=gateway))
        elif gateway in own and not _held(gateway, own[gateway], directors, inventory):
            problems.add(path, messages.GATEWAY_IS_HOST_ADDRESS(gateway=gateway, host=own[gateway]))
        for host in [*directors, *service.members]:
            networks = networks_of(inventory, host)
            if networks is not None and not inside(gateway, networks):
                subnets = list_networks(networks, service.family)
                problems.add(path, messages.GATEWAY_OFF_LINK(gateway=gateway, host=host, subnets=subnets))
        _check_viewers(service, inventory, problems)


def _held(gateway: str, host: str, directors: Iterable[str], inventory: Inventory) -> bool:
    """Whether keepalived put it there: as a single address on a director."""
    links = (inventory["hosts"][host].get("facts") or {}).get("interfaces", ())
    there = [ipaddress.ip_interface(text) for link in links for text in link["addresses"]]
    return host in directors and all(one.network.num_addresses == 1 for one in there if str(one.ip) == gateway)


def _check_viewers(service: VirtualService, inventory: Inventory, problems: Problems) -> None:
    """A server that is its own viewer would answer itself by the short way, from an address that it did not ask."""
    for host in service.members:
        if host in inventory["groups"].get("viewers", ()):
            problems.add(paths.of_host(host), messages.SERVER_IS_VIEWER(host=host, service=service.name))


def check_replies(services: Sequence[VirtualService], directors: Iterable[str], inventory: Inventory, problems: Problems) -> None:
    """What a server answers passes where its mode needs it: in NAT through the gateway, and in direct routing and tunnels past directors.

    A director drops what comes from one of its own VIPs, and sends nothing on for servers that hold them. With a rule for the service's
    port (return_path: rule) the module return_path makes the way, and reads it back.
    """
    taken: dict[str, str] = {}
    for director in directors:
        taken.update(dict.fromkeys(addresses_of(inventory, director), director))
    taken.update({service.gateway: "the director that is active" for service in services if service.gateway})
    taken.update({vip: "the director that is active" for service in services for vip in service.vips})
    reported = set()
    for service in services:
        for server in service.servers if not service.absent else ():
            ways = facts_of(inventory, server.host).get("replies") or {}
            if server.address not in ways:
                continue
            way = ways[server.address]
            wants = service.gateway if service.mode == "nat" and service.return_path == "default_gateway" else None
            if wants and way != wants:
                line = messages.REPLY_PAST_DIRECTOR(host=server.host, service=service.name, gateway=wants, way=way or "no gateway")
                problems.add(paths.of_host(server.host), line)
            elif service.mode in DIRECT and way in taken and (server.host, way) not in reported:
                reported.add((server.host, way))
                line = messages.REPLY_THROUGH_DIRECTOR(host=server.host, service=service.name, way=way, director=taken[way])
                problems.add(paths.of_host(server.host), line)


def check_conntrack(services: Iterable[VirtualService], director: str, sysctls: dict[str, str], problems: Problems) -> None:
    """SNAT is made by netfilter, which must see IPVS' connections."""
    if sysctls.get("conntrack") == "0":
        for service in services:
            if service.mode == "snat" and not service.absent:
                path = "%s.director_sysctls.conntrack" % paths.of_host(director)
                problems.add(path, messages.SNAT_NEEDS_CONNTRACK(service=service.name))
                return


# What every link has to carry (RFC 8200, 5; RFC 791, 3.2, for what a host has to take in one piece).
LEAST = {4: 576, 6: 1280}
USUAL_MTU = 1500


def check_tunnels(services: Iterable[VirtualService], inventory: Inventory, problems: Problems) -> None:
    """The link of each server of a tunnel leaves enough for the packet inside."""
    for service in services:
        kind = (service.tunnel or {}).get("type", "ipip")
        for server in service.servers if service.mode == "tunnel" and not service.absent else ():
            facts = facts_of(inventory, server.host)
            name = link_of(server.address, facts)
            mtu = next((link.get("mtu", USUAL_MTU) for link in facts.get("interfaces", ()) if link["name"] == name), USUAL_MTU)
            left = mtu - tunnels.overhead(kind, service.family)
            if left < LEAST[service.family]:
                line = messages.TUNNEL_MTU_TOO_SMALL(
                    interface=name, mtu=mtu, kind=kind, left=left, family=service.family, least=LEAST[service.family],
                    enough=LEAST[service.family] + tunnels.overhead(kind, service.family),
                )  # fmt: skip
                problems.add(paths.of_host(server.host), line)


# Ports that the kernel chooses from for a changed source (nf_nat_core.c): between one address of a director and one server.
SNAT_PORTS = 64512
CONNTRACK_MAX = "net/netfilter/nf_conntrack_max"


def check_snat_room(services: Iterable[VirtualService], directors: Iterable[str], inventory: Inventory, problems: Problems) -> None:
    """What servers may hold at once, as far as the inventory says it, has a port and an entry of connection tracking each."""
    wanted: dict[str, int] = {}
    for service in services:
        for host in service.hosts if service.mode == "snat" and not service.absent else ():
            number = whole_number(inventory["hosts"].get(host, {}).get("streaming_server_connections"))
            if number is not None:
                wanted[host] = number
    for host, number in wanted.items():
        if number > SNAT_PORTS:
            problems.add(
                "%s.streaming_server_connections" % paths.of_host(host), messages.SNAT_PORTS_EXCEEDED(count=number, most=SNAT_PORTS)
            )
    for director in directors if wanted else ():
        seen = (facts_of(inventory, director).get("seen") or {}).get("sysctls") or {}
        # Empty before the kernel tracks anything.
        limit = whole_number(seen.get(CONNTRACK_MAX) or None)
        if limit is not None and sum(wanted.values()) > limit:
            line = messages.CONNTRACK_TABLE_TOO_SMALL(limit=limit, count=sum(wanted.values()))
            problems.add(paths.of_host(director), line)
