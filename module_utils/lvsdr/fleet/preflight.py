# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every error of an inventory that can be seen before anything is touched. Pure.

Before the hosts have been read it finds what the inventory alone shows, and afterwards also what does not fit the hosts.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import full_length, inside
from ansible.module_utils.lvsdr.arp import placement
from ansible.module_utils.lvsdr.directors import keepalived
from ansible.module_utils.lvsdr.directors.holders import interface_of
from ansible.module_utils.lvsdr.errors import Line, LvsError, Problems, listed, shown
from ansible.module_utils.lvsdr.fleet import messages
from ansible.module_utils.lvsdr.fleet.modes import (
    check_conntrack,
    check_gateways,
    check_proxies,
    check_replies,
    check_snat_room,
    check_tunnels,
)
from ansible.module_utils.lvsdr.inventory import paths
from ansible.module_utils.lvsdr.inventory.director_settings import INTERFACE, check_directors
from ansible.module_utils.lvsdr.inventory.hosts import (
    STAND_INS,
    check_names,
    declared_address,
    facts_of,
    host_address,
    list_networks,
    networks_of,
    on_links,
)
from ansible.module_utils.lvsdr.inventory.instances import INSTANCE, instances
from ansible.module_utils.lvsdr.inventory.modes import DIRECT
from ansible.module_utils.lvsdr.inventory.resolve import read_services_of
from ansible.module_utils.lvsdr.inventory.streaming_server import check_streaming_server
from ansible.module_utils.lvsdr.inventory.views import director_vips, real_servers, somebody_serves, spares
from ansible.module_utils.lvsdr.ipvs.describe import destination_keys, table_key
from ansible.module_utils.lvsdr.places import DIRECTORS
from ansible.module_utils.lvsdr.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ansible.module_utils.lvsdr.inventory.hosts import Network
    from ansible.module_utils.lvsdr.inventory.types import Inventory, ProxyService, RealServer, VirtualService


def preflight(virtual_services: Any, inventory: Inventory) -> list[str]:
    """All errors as a list of lines."""
    problems = Problems()
    check_names(inventory, problems)
    directors = inventory["groups"].get(DIRECTORS)
    if directors is None:
        problems.add(paths.of_group(DIRECTORS), messages.DIRECTORS_MISSING())
    elif not directors:
        problems.add(paths.of_group(DIRECTORS), messages.DIRECTORS_EMPTY())
    directors = directors or []
    resolved = read_services_of(virtual_services, inventory, problems)
    services = resolved.services
    for line in inventory.get("here", ()):
        problems.add("virtual_services", Line.read(line))
    settings = check_directors(inventory, problems)
    _check_instances_of(services, directors, inventory, problems)
    for host in inventory["hosts"]:
        check_streaming_server(inventory, host, problems)
        values = Reader(problems, paths.of_host(host), inventory["hosts"][host])
        for name in ("preflight_allow_cloud", "preflight_allow_drained"):
            values.boolean(name, False)
    for service in services:
        _check_roles(service, directors, problems)
        _check_somebody_serves(service, directors, inventory, problems)
    _check_addresses(services, directors, inventory, problems)
    vips = director_vips(services)
    for service in services:
        _check_neighbours(service, directors, inventory, problems)
        _check_vips_on_servers(service, vips, inventory, problems)
    check_gateways(services, directors, inventory, problems)
    check_replies(services, directors, inventory, problems)
    check_tunnels(services, inventory, problems)
    check_snat_room(services, directors, inventory, problems)
    check_proxies(resolved.proxies, inventory, problems)
    for proxied in resolved.proxies:
        _check_somebody_is_asked(proxied, directors, inventory, problems)
        _check_spares_of_directors(proxied, services, directors, problems)
    for director in directors:
        check_conntrack(services, director, settings[director]["sysctls"], problems)
        _check_interface(director, settings[director]["interface"], services, inventory, problems)
    _check_cloud(services, inventory, problems)
    for director in directors:
        for sentence in facts_of(inventory, director).get("arp_rules", ()):
            problems.add(paths.of_host(director), messages.DIRECTOR_DROPS_ARP(what=sentence))
    for host in sorted(set(directors) | set(real_servers(services))):
        for line in facts_of(inventory, host).get("problems", []):
            problems.add(paths.of_host(host), Line.read(line))
        if inventory["hosts"].get(host, {}).get("unread"):
            problems.add(paths.of_host(host), messages.HOST_UNREAD(why=inventory["hosts"][host]["unread"]))
    return problems.found


def _check_roles(service: VirtualService, directors: Collection[str], problems: Problems) -> None:
    """A director that holds the VIP on lo, silent on ARP, as real servers do, can't have it on the link."""
    for server in service.servers:
        if server.host in directors:
            option = "sorry_server" if server.fallback else "proxies" if service.proxied else "real_servers"
            problems.add("%s.%s" % (service.path, option), messages.DIRECTOR_IS_SERVER(host=server.host))


def _check_somebody_serves(service: VirtualService, directors: Iterable[str], inventory: Inventory, problems: Problems) -> None:
    """Where all weights are 0 newcomers are refused, which is right only with a sorry server or where a variable allows it."""
    if not service.hosts or service.sorry or _may_be_drained(directors, inventory):
        return
    # A spare may be parked at any time.
    if not somebody_serves(service, spares([service])):
        problems.add(service.path, messages.SERVERS_ALL_DRAINED())
    elif service.checks and service.balanced and service.key is not None and not service.absent:
        _check_somebody_stays(service, directors, inventory, problems)


def _check_somebody_stays(service: VirtualService, directors: Iterable[str], inventory: Inventory, problems: Problems) -> None:
    """What leaves gets no new viewers from the start, and a new real server none before its first check (ipvs/plan.py, _add)."""
    stay = {(one.address, service.port_of(one)) for one in service.real_servers if one.weight and not one.drained}
    for director in directors:
        held = [one for one in facts_of(inventory, director).get("ipvs") or [] if table_key(one) == service.table_key]
        weighted = [{**there, "destinations": [one for one in there["destinations"] if one["weight"]]} for there in held]
        serving = {key for there in weighted for key in destination_keys(there)}
        if serving and stay and not serving & stay:
            option = "proxies" if service.proxied else "real_servers"
            problems.add("%s.%s" % (service.path, option), messages.SERVERS_ALL_EXCHANGED(director=director))
            return


def _may_be_drained(directors: Iterable[str], inventory: Inventory) -> bool:
    return any(Reader(Problems(), "", inventory["hosts"].get(host, {})).boolean("preflight_allow_drained") for host in directors)


def _check_somebody_is_asked(service: ProxyService, directors: Iterable[str], inventory: Inventory, problems: Problems) -> None:
    """The same of what proxies ask."""
    if service.absent or not service.servers or any(one.fallback for one in service.servers) or _may_be_drained(directors, inventory):
        return
    if not any(one.weight and not one.drained and not one.spare for one in service.servers):
        problems.add("%s.real_servers" % paths.of_service(service.name), messages.SERVERS_ALL_DRAINED())


def _check_spares_of_directors(
    service: ProxyService, services: Iterable[VirtualService], directors: Collection[str], problems: Problems
) -> None:
    """On a director one file parks a spare for IPVS and for HAProxy, and scale.yml would look at one of them alone."""
    if service.absent or not set(service.hosts) & set(directors):
        return
    others = {host: other for other in services if not other.absent for host in spares([other])}
    for server in service.servers:
        if server.spare and server.host in others:
            line = messages.SPARE_OF_TWO(service=service.name, other=others[server.host].name)
            problems.add("%s.real_server_state" % paths.of_host(server.host), line)


def _check_addresses(services: Sequence[VirtualService], directors: Sequence[str], inventory: Inventory, problems: Problems) -> None:
    """VIPs belong to no host and are in a subnet of each director, and the addresses of hosts are theirs."""
    own = _declared_addresses(inventory, [*directors, *real_servers(services)], problems)
    for host, variables in inventory["hosts"].items():
        for family in (4, 6):
            address = declared_address(variables, family)
            if address:
                own.setdefault(address, host)
    for service in services:
        for vip in service.vips:
            if vip in own:
                problems.add("%s.addresses" % service.path, messages.VIP_IS_HOST_ADDRESS(vip=vip, host=own[vip]))
            for director in directors if not service.absent else ():
                _check_subnets(service, vip, director, inventory, problems)
        for server in service.servers:
            _check_own(server.host, server.address, inventory, problems)
    families = {service.family for service in services for check in service.checks if check["target"] == "vip"}
    for director in directors if director_vips(services) else ():
        for family in families | {keepalived.vrrp_family(inventory)}:
            address = host_address(inventory["hosts"].get(director, {}), family)
            if address:
                _check_own(director, address, inventory, problems)
            elif facts_of(inventory, director):
                variable = keepalived.address_variable(family)
                problems.add(
                    paths.of_host(director), messages.DIRECTOR_ADDRESS_MISSING(director=director, family=family, variable=variable)
                )


def _check_subnets(service: VirtualService, vip: str, director: str, inventory: Inventory, problems: Problems) -> None:
    """A VIP is an address that a host may have, in a subnet of each director."""
    networks, path = networks_of(inventory, director), "%s.addresses" % service.path
    if networks is not None and not inside(vip, networks):
        subnets = list_networks(networks, service.family)
        problems.add(path, messages.VIP_OUTSIDE_SUBNETS(vip=vip, director=director, subnets=subnets))
    for network in networks or ():
        reason = _not_for_hosts(ipaddress.ip_address(vip), network)
        if reason:
            problems.add(path, messages.VIP_RESERVED(vip=vip, what=reason, subnet=network))


def _not_for_hosts(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: Network) -> str | None:
    """What an address of a subnet is that no host can have (RFC 1122, 3.2.1.3; RFC 4291, 2.6.1), or None."""
    if address.version != network.version or network.num_addresses <= 2:
        return None
    if address == network.network_address:
        return "the network address" if address.version == 4 else "the address of every router (subnet-router anycast)"
    return "the broadcast address" if address.version == 4 and address == network.broadcast_address else None


def _check_own(host: str, address: str, inventory: Inventory, problems: Problems) -> None:
    """Packets to an address that a host does not have are lost, or reach another host."""
    family = 6 if ":" in address else 4
    variable = keepalived.address_variable(family)
    if ipaddress.ip_address(address).is_loopback:
        problems.add(paths.of_host(host), messages.ADDRESS_IS_LOOPBACK(address=address, host=host, variable=variable))
        return
    interfaces = facts_of(inventory, host).get("interfaces")
    if interfaces is None or address in STAND_INS.values():
        return
    there = [ipaddress.ip_interface(text).ip for link in interfaces for text in link["addresses"]]
    if ipaddress.ip_address(address) not in there:
        known = listed(str(one) for one in there if one.version == family and not one.is_loopback) or "no IPv%d address" % family
        problems.add(paths.of_host(host), messages.ADDRESS_NOT_ON_HOST(host=host, address=address, known=known, variable=variable))


def _check_interface(director: str, name: str | None, services: Sequence[VirtualService], inventory: Inventory, problems: Problems) -> None:
    """One interface carries all VIPs of a director: VRRP, gratuitous ARP and the rules for checks are on it."""
    facts, vips, path = facts_of(inventory, director), director_vips(services), paths.of_host(director)
    if "interfaces" not in facts or not vips:
        return
    links = {link["name"]: link for link in facts["interfaces"]}
    if name is None:
        try:
            name = interface_of(services, facts)
        except LvsError:
            return  # no VIP is in any of its subnets, which has been reported
    if name not in links:
        names = listed(sorted(set(links) - {"lo"}))
        problems.add("%s.director_interface" % path, messages.INTERFACE_NOT_FOUND(host=director, name=name, names=names))
        return
    if not re.fullmatch(INTERFACE, name):
        problems.add(path, messages.INTERFACE_NAME_UNUSABLE(name=shown(name)))
    if not links[name]["up"]:
        problems.add(path, messages.INTERFACE_DOWN(name=name))
    there = [ipaddress.ip_interface(text).network for text in links[name]["addresses"]]
    family = keepalived.vrrp_family(inventory)
    source = host_address(inventory["hosts"].get(director, {}), family)
    known = source is not None and source not in STAND_INS.values() and not ipaddress.ip_address(source).is_loopback
    if len(inventory["groups"].get(DIRECTORS) or ()) > 1 and source and known and not inside(source, there):
        variable = keepalived.address_variable(family)
        problems.add(path, messages.VRRP_ADDRESS_OFF_LINK(director=director, address=source, interface=name, variable=variable))
    for vip in vips:
        if not inside(vip, there) and inside(vip, networks_of(inventory, director) or []):
            problems.add(path, messages.VIP_OFF_LINK(vip=vip, interface=name, director=director))


def _check_instances_of(services: Sequence[VirtualService], directors: Sequence[str], inventory: Inventory, problems: Problems) -> None:
    """Every director has the same instances, with the same router ids and the same active director."""
    first = None
    for director in directors:
        variables = inventory["hosts"].get(director, {})
        found = {one["name"]: one for one in instances(services, director, variables, directors, problems)}
        first = first or (director, found)
        for name in sorted(found.keys() & first[1].keys()):
            # The instance that services have by default has variables of its own.
            option = "director_%s" if name == INSTANCE else "director_instances." + name + ".%s"
            for field in ("virtual_router_id", "active"):
                here, there = found[name][field], first[1][name][field]
                if here != there:
                    line = messages.VRRP_INSTANCE_DIFFERS(here=shown(here), there=shown(there), other=first[0])
                    problems.add("%s.%s" % (paths.of_host(director), option % field), line)


def _declared_addresses(inventory: Inventory, hosts: Iterable[str], problems: Problems) -> dict[str, str]:
    """Own address to host. An address with a full-length prefix is a VIP (keepalived's or ours), not a host's own."""
    out: dict[str, str] = {}
    for host in hosts:
        variables = inventory["hosts"].get(host, {})
        own: list[str | None] = [host_address(variables, family) for family in (4, 6)]
        own += [str(address.ip) for address in on_links(facts_of(inventory, host)) if address.network.num_addresses > 1]
        for address in own:
            if address is None or ipaddress.ip_address(address).is_loopback or ipaddress.ip_address(address).is_link_local:
                continue
            if out.get(address, host) != host:
                problems.add(paths.of_host(host), messages.ADDRESS_SHARED(address=address, other=out[address]))
            out.setdefault(address, host)
    return out


def _check_neighbours(service: VirtualService, directors: Iterable[str], inventory: Inventory, problems: Problems) -> None:
    """Direct routing rewrites a MAC: the director must reach the real server on a link of its own."""
    if service.mode != "dr":
        return
    for server in service.servers:
        for director in directors:
            networks = networks_of(inventory, director)
            if networks is not None and not inside(server.address, networks):
                subnets = list_networks(networks, service.family)
                line = messages.SERVER_OFF_LINK(director=director, server=server.host, address=server.address, subnets=subnets)
                problems.add(service.path, line)
            elif networks is not None:
                _check_path_of_checks(service, server, director, networks, inventory, problems)
            _check_link("director %s" % director, facts_of(inventory, director), server.address, service.path, problems)
        _check_link("real server %s" % server.host, facts_of(inventory, server.host), server.address, service.path, problems)


def _check_path_of_checks(
    service: VirtualService, server: RealServer, director: str, networks: list[Network], inventory: Inventory, problems: Problems
) -> None:
    """Replies to checks have to come in where accept_local and its rules are: on the interface of the VIP."""
    if not server.checked or not any(check["target"] == "vip" for check in service.checks):
        return
    own = host_address(inventory["hosts"].get(director, {}), service.family)
    addresses = [server.address, service.vips[0], *([own] if own else [])]
    if not any(all(inside(address, [network]) for address in addresses) for network in networks):
        line = messages.CHECK_PATH_OFF_LINK(
            server=server.host, address=server.address, director=director, source=own, vip=service.vips[0]
        )  # fmt: skip
        problems.add("%s.health_check" % service.path, line)


def _check_cloud(services: Iterable[VirtualService], inventory: Inventory, problems: Problems) -> None:
    """In a cloud the network itself decides which addresses a port may use."""
    clouds: dict[str, list[str]] = {}
    for service in services:
        # With NAT and SNAT a real server answers from its own address.
        if not service.absent:
            for host in [*inventory["groups"].get(DIRECTORS, []), *(service.members if service.mode in DIRECT else [])]:
                cloud = facts_of(inventory, host).get("cloud")
                allowed = Reader(Problems(), "", inventory["hosts"].get(host, {})).boolean("preflight_allow_cloud", False)
                if cloud and not allowed:
                    clouds.setdefault(cloud, []).append(host)
    for cloud, hosts in sorted(clouds.items()):
        problems.add("virtual_services", messages.CLOUD_NETWORK(hosts=listed(dict.fromkeys(hosts)), cloud=cloud))


def _check_link(name: str, facts: dict[str, Any], address: str, path: str, problems: Problems) -> None:
    """A frame is sent to a MAC address that ARP found: a tunnel, a point-to-point link or a card without ARP does not offer one."""
    links = [
        interface
        for interface in facts.get("interfaces", [])
        if interface["name"] != "lo" and any(inside(address, [ipaddress.ip_interface(text).network]) for text in interface["addresses"])
    ]
    for link in links:
        for sentence in link.get("arp_filters", ()):
            problems.add(path, messages.BRIDGE_DROPS_ARP(host=name, bridge=link["name"], what=sentence))
    if links and not any(link["type"] == "ether" and link["arp"] for link in links):
        why = "is not an Ethernet interface" if links[0]["type"] != "ether" else "has ARP turned off"
        problems.add(path, messages.LINK_WITHOUT_ARP(host=name, address=address, interface=links[0]["name"], why=why))


def _check_vips_on_servers(service: VirtualService, vips: Collection[str], inventory: Inventory, problems: Problems) -> None:
    """A VIP that a real server has in the wrong place. vips: those of all services."""
    for host in service.members:
        interfaces = facts_of(inventory, host).get("interfaces", [])
        addresses = placement.places(interfaces)
        # The role real_server moves what can be moved; it does not run where the server holds no VIP of its own.
        moves = service.mode in DIRECT and inventory["hosts"].get(host, {}).get("real_server_misplaced", "move") == "move"
        for vip in service.vips:
            for place in placement.misplaced(vip, addresses):
                # With a subnet's prefix on a card it is the host's own address, which is another error, and not to be removed.
                if place.interface != "lo" and not place.route and place.length != full_length(vip):
                    continue
                if not place.harmless() and not (moves and placement.can_move(place, vips, addresses)):
                    problems.add(paths.of_host(host), placement.wrong_place(place, vip))
