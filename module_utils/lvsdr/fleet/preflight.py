# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every error of an inventory that can be seen before anything is touched. Pure.

Before the hosts have been read it finds what the inventory alone tells, and afterwards what does not fit them, too.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import full_length, inside
from ansible.module_utils.lvsdr.arp import placement
from ansible.module_utils.lvsdr.directors import keepalived
from ansible.module_utils.lvsdr.directors.holders import interface_of
from ansible.module_utils.lvsdr.errors import LvsError, Problems, listed, shown
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
from ansible.module_utils.lvsdr.inventory.instances import instances
from ansible.module_utils.lvsdr.inventory.resolve import read_services_of
from ansible.module_utils.lvsdr.inventory.streaming_server import check_streaming_server
from ansible.module_utils.lvsdr.inventory.views import director_vips, real_servers, somebody_serves
from ansible.module_utils.lvsdr.places import DIRECTORS
from ansible.module_utils.lvsdr.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ansible.module_utils.lvsdr.inventory.hosts import Network
    from ansible.module_utils.lvsdr.inventory.types import Inventory, RealServer, VirtualService


def preflight(virtual_services: Any, inventory: Inventory) -> list[str]:
    """All errors as a list of lines; empty where there is none."""
    problems = Problems()
    check_names(inventory, problems)
    directors = inventory["groups"].get(DIRECTORS)
    if directors is None:
        problems.add("inventory", "there is no group 'directors'; name the hosts that run IPVS in it")
    elif not directors:
        problems.add("inventory", "group 'directors' is empty; name the hosts that run IPVS in it")
    directors = directors or []
    services = read_services_of(virtual_services, inventory, problems).services
    settings = check_directors(inventory, problems)
    _check_instances_of(services, directors, inventory, problems)
    for host in inventory["hosts"]:
        check_streaming_server(inventory, host, problems)
        values = Reader(problems, "hosts[%s]" % host, inventory["hosts"][host])
        for name in ("preflight_allow_cloud", "preflight_allow_drained"):
            values.boolean(name, False)
    for service in services:
        _check_roles(service, directors, problems)
        _check_somebody_serves(service, directors, inventory, problems)
    _check_addresses(services, directors, inventory, problems)
    vips = director_vips(services)
    for service in services:
        path = "virtual service %s" % service.name
        _check_neighbours(service, path, directors, inventory, problems)
        _check_vips_on_servers(service, path, vips, inventory, problems)
    for director in directors:
        _check_interface(director, settings[director]["interface"], services, inventory, problems)
    _check_cloud(services, inventory, problems)
    for director in directors:
        for sentence in facts_of(inventory, director).get("arp_rules", ()):
            problems.add("host %s" % director, "%s; a director must answer ARP for its VIPs, so let it through" % sentence)
    for host in sorted(set(directors) | set(real_servers(services))):
        for line in facts_of(inventory, host).get("problems", []):
            problems.add("host %s" % host, line)
        if inventory["hosts"].get(host, {}).get("unread"):
            problems.add("host %s" % host, "it can't be read: %s" % inventory["hosts"][host]["unread"])
    return problems.found


def _check_roles(service: VirtualService, directors: Collection[str], problems: Problems) -> None:
    """A director that holds the VIP on lo, silent on ARP, as real servers do, can't have it on the link."""
    for server in service.servers:
        if server.host in directors:
            problems.add(
                "virtual service %s" % service.name,
                "%s is a director and %s; a real server is silent on ARP for the VIPs that a director answers for, so take another host"
                % (server.host, "the sorry server" if server.fallback else "a real server of this service"),
            )


def _check_somebody_serves(service: VirtualService, directors: Iterable[str], inventory: Inventory, problems: Problems) -> None:
    """Where all weights are 0 newcomers are refused; a sorry server, or who says that it is meant, may have it so."""
    allowed = any(Reader(Problems(), "", inventory["hosts"].get(host, {})).boolean("preflight_allow_drained") for host in directors)
    if not service.hosts or service.sorry or allowed:
        return
    if not somebody_serves(service):
        problems.add(
            "virtual service %s" % service.name,
            "all its real servers are drained or have weight 0, so new viewers are refused; leave one in, declare a sorry_server, or set "
            "preflight_allow_drained: true where that is meant",
        )


def _check_addresses(services: Sequence[VirtualService], directors: Sequence[str], inventory: Inventory, problems: Problems) -> None:
    """VIPs belong to no host and are in a subnet of each director, and the addresses of hosts are theirs."""
    own = _declared_addresses(inventory, [*directors, *real_servers(services)], problems)
    for host, variables in inventory["hosts"].items():
        for family in (4, 6):
            address = declared_address(variables, family)
            if address:
                own.setdefault(address, host)
    for service in services:
        path = "virtual service %s" % service.name
        for vip in service.vips:
            if vip in own:
                problems.add(path, "VIP %s is the own address of %s; a VIP belongs to no host" % (vip, own[vip]))
            for director in directors if not service.absent else ():
                networks = networks_of(inventory, director)
                if networks is not None and not inside(vip, networks):
                    problems.add(
                        path,
                        "VIP %s is in no subnet of director %s (%s); give the director an interface there, or choose a VIP from its subnets"
                        % (vip, director, list_networks(networks, service.family)),
                    )
                for network in networks or ():
                    reason = _not_for_hosts(ipaddress.ip_address(vip), network)
                    if reason:
                        problems.add(path, "VIP %s is %s of %s; choose another one of that subnet" % (vip, reason, network))
        for server in service.servers:
            _check_own(server.host, server.address, inventory, problems)
    families = {service.family for service in services if (service.health_check or {}).get("target") == "vip"}
    for director in directors if director_vips(services) else ():
        for family in families | {keepalived.vrrp_family(inventory)}:
            address = host_address(inventory["hosts"].get(director, {}), family)
            if address:
                _check_own(director, address, inventory, problems)
            elif facts_of(inventory, director):
                problems.add(
                    "hosts[%s]" % director,
                    "%s has no IPv%d address, or several and none alone in the subnet of a VIP; set real_server_address%s"
                    % (director, family, "6" if family == 6 else ""),
                )


def _not_for_hosts(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: Network) -> str | None:
    """What an address of a subnet is that no host can have (RFC 1122, 3.2.1.3; RFC 4291, 2.6.1), or None."""
    if address.version != network.version or network.num_addresses <= 2:
        return None
    if address == network.network_address:
        return "the network address" if address.version == 4 else "the address of every router (subnet-router anycast)"
    return "the broadcast address" if address.version == 4 and address == network.broadcast_address else None


def _check_own(host: str, address: str, inventory: Inventory, problems: Problems) -> None:
    """An address that a host has not gets packets that nobody takes, or those that are its own."""
    family = 6 if ":" in address else 4
    if ipaddress.ip_address(address).is_loopback:
        problems.add(
            "hosts[%s]" % host,
            "%s is every host's own loopback address, and others need the one of %s; set real_server_address%s"
            % (address, host, "6" if family == 6 else ""),
        )
        return
    interfaces = facts_of(inventory, host).get("interfaces")
    if interfaces is None or address in STAND_INS.values():
        return
    there = [ipaddress.ip_interface(text).ip for link in interfaces for text in link["addresses"]]
    if ipaddress.ip_address(address) not in there:
        known = listed(str(one) for one in there if one.version == family and not one.is_loopback) or "none of IPv%d" % family
        problems.add(
            "hosts[%s]" % host,
            "%s has no address %s (it has %s); set real_server_address%s to its own" % (host, address, known, "6" if family == 6 else ""),
        )


def _check_interface(director: str, name: str | None, services: Sequence[VirtualService], inventory: Inventory, problems: Problems) -> None:
    """One interface carries all VIPs of a director: VRRP, gratuitous ARP and the rules for checks are on it."""
    facts, vips = facts_of(inventory, director), director_vips(services)
    if "interfaces" not in facts or not vips:
        return
    links = {link["name"]: link for link in facts["interfaces"]}
    if name is None:
        try:
            name = interface_of(services, facts)
        except LvsError:
            return  # no VIP is in any of its subnets, which has been said
    if name not in links:
        problems.add(
            "hosts[%s].director_interface" % director,
            "%s has no interface %s; it has %s" % (director, name, listed(sorted(set(links) - {"lo"}))),
        )
        return
    if not re.fullmatch(INTERFACE, name):
        problems.add(
            "hosts[%s]" % director,
            "the VIPs are in a subnet of interface %s, and keepalived.conf can't carry that name; rename it" % shown(name),
        )
    if not links[name]["up"]:
        problems.add("hosts[%s]" % director, "%s, which carries the VIPs, is down; run `ip link set %s up` there" % (name, name))
    there = [ipaddress.ip_interface(text).network for text in links[name]["addresses"]]
    family = keepalived.vrrp_family(inventory)
    speaks = host_address(inventory["hosts"].get(director, {}), family)
    known = speaks is not None and speaks not in STAND_INS.values() and not ipaddress.ip_address(speaks).is_loopback
    if len(inventory["groups"].get(DIRECTORS) or ()) > 1 and speaks and known and not inside(speaks, there):
        problems.add(
            "hosts[%s]" % director,
            "%s would speak VRRP from %s, which is in no subnet of %s, the link of the VIPs; what comes from elsewhere is not believed: "
            "set real_server_address%s to its address there" % (director, speaks, name, "6" if family == 6 else ""),
        )
    for vip in vips:
        if not inside(vip, there) and inside(vip, networks_of(inventory, director) or []):
            problems.add(
                "hosts[%s]" % director,
                "VIP %s is not in a subnet of %s, which carries the VIPs of %s; all VIPs of a pair are on one link: choose another "
                "director_interface, or give the VIPs of another link a pair of their own" % (vip, name, director),
            )


def _check_instances_of(services: Sequence[VirtualService], directors: Sequence[str], inventory: Inventory, problems: Problems) -> None:
    """Every director has the same instances, with the same router ids and the same active director."""
    first = None
    for director in directors:
        variables = inventory["hosts"].get(director, {})
        found = {one["name"]: one for one in instances(services, director, variables, directors, problems)}
        first = first or (director, found)
        for name in sorted(found.keys() & first[1].keys()):
            for field, hint in (("virtual_router_id", "all directors of an instance have one"), ("active", "one of them can be")):
                here, there = found[name][field], first[1][name][field]
                if here != there:
                    problems.add(
                        "hosts[%s]" % director,
                        "the %s of instance %s is %s here and %s on %s; %s" % (field, name, shown(here), shown(there), first[0], hint),
                    )


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
                problems.add("hosts[%s]" % host, "address %s belongs to %s as well; two hosts can't share one" % (address, out[address]))
            out.setdefault(address, host)
    return out


def _check_neighbours(service: VirtualService, path: str, directors: Iterable[str], inventory: Inventory, problems: Problems) -> None:
    """Direct routing rewrites a MAC: the director must reach the real server on a link of its own."""
    if service.mode != "dr":
        return
    for server in service.servers:
        for director in directors:
            networks = networks_of(inventory, director)
            if networks is not None and not inside(server.address, networks):
                problems.add(
                    path,
                    "director %s has no interface in the subnet of real server %s (%s); direct routing needs both on one link. "
                    "Its subnets are %s" % (director, server.host, server.address, list_networks(networks, service.family)),
                )
            elif networks is not None:
                _check_way_of_checks(service, server, path, director, networks, inventory, problems)
            _check_link("director %s" % director, facts_of(inventory, director), server.address, path, problems)
        _check_link("real server %s" % server.host, facts_of(inventory, server.host), server.address, path, problems)


def _check_way_of_checks(
    service: VirtualService,
    server: RealServer,
    path: str,
    director: str,
    networks: list[Network],
    inventory: Inventory,
    problems: Problems,
) -> None:
    """What answers a check comes in where accept_local and its rules are: on the interface of the VIP."""
    if not server.checked or (service.health_check or {}).get("target") != "vip":
        return
    own = host_address(inventory["hosts"].get(director, {}), service.family)
    addresses = [server.address, service.vips[0], *([own] if own else [])]
    if not any(all(inside(address, [network]) for address in addresses) for network in networks):
        problems.add(
            path,
            "the checks of real server %s (%s) from director %s (%s) to VIP %s do not stay in one subnet, and their answers "
            "would be dropped; set health_check.target: server, or the director's real_server_address to the one on that link"
            % (server.host, server.address, director, own, service.vips[0]),
        )


def _check_cloud(services: Iterable[VirtualService], inventory: Inventory, problems: Problems) -> None:
    """In a cloud the network itself decides which addresses a port may use."""
    clouds: dict[str, list[str]] = {}
    for service in services:
        # With NAT a real server answers from its own address.
        if not service.absent:
            for host in [*inventory["groups"].get(DIRECTORS, []), *(service.members if service.mode != "nat" else [])]:
                cloud = facts_of(inventory, host).get("cloud")
                allowed = Reader(Problems(), "", inventory["hosts"].get(host, {})).boolean("preflight_allow_cloud", False)
                if cloud and not allowed:
                    clouds.setdefault(cloud, []).append(host)
    for cloud, hosts in sorted(clouds.items()):
        problems.add(
            "virtual_services",
            "%s run in %s, whose network drops packets with another address than the port's own, and moves no VIP by ARP; "
            "where you have arranged both with the network, set preflight_allow_cloud: true" % (listed(dict.fromkeys(hosts)), cloud),
        )


def _check_link(name: str, facts: dict[str, Any], address: str, path: str, problems: Problems) -> None:
    """A frame is sent to a MAC that ARP found: a tunnel, a point-to-point link or a card without ARP has none to offer."""
    links = [
        interface
        for interface in facts.get("interfaces", [])
        if interface["name"] != "lo" and any(inside(address, [ipaddress.ip_interface(text).network]) for text in interface["addresses"])
    ]
    for link in links:
        for sentence in link.get("arp_filters", ()):
            problems.add(path, "%s has a bridge, %s, on the link: %s; direct routing needs ARP there" % (name, link["name"], sentence))
    if links and not any(link["type"] == "ether" and link["arp"] for link in links):
        problems.add(
            path,
            "%s is on the link of real server %s with %s, which %s; direct routing rewrites a MAC and can't work there: "
            "use mode tunnel or nat, or give both an Ethernet link"
            % (name, address, links[0]["name"], "is no Ethernet" if links[0]["type"] != "ether" else "speaks no ARP"),
        )


def _check_vips_on_servers(service: VirtualService, path: str, vips: Collection[str], inventory: Inventory, problems: Problems) -> None:
    """A VIP that a real server has in the wrong place. vips: those of all services."""
    for host in service.members:
        interfaces = facts_of(inventory, host).get("interfaces", [])
        addresses = placement.places(interfaces)
        # The role real_server moves what can be moved; where the server holds no VIP of its own, that role does not come.
        moves = service.mode != "nat" and inventory["hosts"].get(host, {}).get("real_server_misplaced", "move") == "move"
        for vip in service.vips:
            for place in placement.misplaced(vip, addresses):
                # With a subnet's prefix on a card it is the host's own address, which is another error, and not to be removed.
                if place.interface != "lo" and not place.route and place.length != full_length(vip):
                    continue
                if not place.harmless() and not (moves and placement.can_move(place, vips, addresses)):
                    problems.add(path, "on real server %s VIP %s" % (host, placement.wrong_place(place, vip)))
