# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a rollout has to know of the running fleet: what must be refused first, in which order directors change, what is left. Pure."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.directors import drains, holders, keepalived, keepalived_conf, nftables
from ansible.module_utils.lvsdr.errors import Line, LvsError, Problems
from ansible.module_utils.lvsdr.fleet import messages
from ansible.module_utils.lvsdr.fleet import preflight as inventory_preflight
from ansible.module_utils.lvsdr.inventory import check_paths, director_settings, hosts, leaving, modes, paths, resolve, views
from ansible.module_utils.lvsdr.inventory.hosts import facts_of
from ansible.module_utils.lvsdr.inventory.waf_option import breaks
from ansible.module_utils.lvsdr.ipvs import describe
from ansible.module_utils.lvsdr.places import DIRECTORS, drain_file
from ansible.module_utils.lvsdr.routes import plan, tunnels

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ansible.module_utils.lvsdr.inventory.types import Inventory, Resolved, TableKey, VirtualService


def preflight(virtual_services: Any, inventory: Inventory, hosts: Collection[str] | None = None) -> list[str]:
    """Every error that can be seen before anything is touched, as a list of lines: of the inventory, and of what runs beside it.

    hosts: those that take part in this run (--limit); all of them by default.
    """
    lines = inventory_preflight.preflight(virtual_services, inventory)
    if lines:
        return lines
    if not inventory.get("read", True):
        return []
    resolved, problems = resolve.resolve(virtual_services, inventory), Problems()
    for director in inventory["groups"][DIRECTORS]:
        try:
            keepalived.render(resolved, director, inventory)
        except LvsError as error:
            # One that was not read may lack an address that only its facts have.
            if facts_of(inventory, director):
                problems.add(paths.of_host(director), error.line)
    _check_vanished(resolved.services, inventory, problems)
    _check_moved_vips(resolved.services, inventory, problems)
    _check_voices(resolved, inventory, hosts, problems)
    _check_changed_modes(resolved.services, inventory, problems)
    return problems.found


def _check_vanished(services: Sequence[VirtualService], inventory: Inventory, problems: Problems) -> None:
    """Every service and VIP that a director's keepalived serves is declared.

    keepalived removes what is not in its new file, with all connections, so its end has to be declared: state absent drains it first.
    """
    declared = {service.table_key for service in services}
    vips = {vip for service in services for vip in service.vips}
    found: dict[str, list[str]] = {}
    for director in inventory["groups"].get(DIRECTORS, []):
        text = keepalived_conf.known(inventory, director)
        for key in keepalived_conf.virtual_servers(text):
            # A service that is gone from a VIP which stays is drained by itself (leaving.with_leaving).
            if key not in declared and key[2] not in vips and not check_paths.is_check_mark(key[0]):
                found.setdefault(describe.key_name(key), []).append(director)
        for _voice, addresses in keepalived_conf.instances(text).values():
            for vip in addresses:
                if vip not in vips and not any(vip in name for name in found):
                    found.setdefault("VIP %s" % vip, []).append(director)
    for name, directors in found.items():
        problems.add("virtual_services", messages.SERVICE_UNDECLARED(what=name, directors=" and ".join(directors)))


def _check_moved_vips(services: Iterable[VirtualService], inventory: Inventory, problems: Problems) -> None:
    """No VIP moves from one running VRRP instance to another: for a moment two directors would hold it."""
    declared = {vip: service for service in services for vip in service.vips}
    for director in inventory["groups"].get(DIRECTORS, []):
        for name, (_voice, addresses) in keepalived_conf.instances(keepalived_conf.running(inventory, director) or "").items():
            for vip in addresses:
                service = declared.get(vip)
                if service and service.instance != name:
                    line = messages.VIP_CHANGES_INSTANCE(vip=vip, old=name, director=director, new=service.instance)
                    problems.add("%s.instance" % service.path, line)


def _check_changed_modes(services: Iterable[VirtualService], inventory: Inventory, problems: Problems) -> None:
    """No destination stops being NAT's or a tunnel's under running connections.

    The kernel keeps those as they began, but what they need on the real server goes with the mode. What direct routing needs, the VIP,
    stays as long as there are any (still_served).
    """
    declared = {(service.table_key, server.address, service.port_of(server)): service for service in services for server in service.servers}
    for director in inventory["groups"].get(DIRECTORS, []):
        running: dict[tuple[str, str], int] = {}
        for there in facts_of(inventory, director).get("ipvs") or ():
            for one in there["destinations"]:
                service = declared.get((describe.table_key(there), one["address"], one.get("port", there.get("port", 0))))
                was = one.get("forward", "dr")
                if service and was in ("nat", "tunnel") and modes.FORWARDS.get(service.mode) != was:
                    key = service.path, was
                    running[key] = running.get(key, 0) + one["active"] + one["inactive"]
        for (path, was), count in running.items():
            if count > director_settings.max_cut(inventory, director):
                line = messages.MODE_CHANGES_UNDER_CONNECTIONS(was=was, director=director, count=count)
                if not any(known.startswith(path + ".mode") for known in problems.found):
                    problems.add(path + ".mode", line)


def _check_voices(resolved: Resolved, inventory: Inventory, hosts: Collection[str] | None, problems: Problems) -> None:
    """A change of what directors send to each other is made on all of them, and one is silent meanwhile: it must not hold a VIP."""
    try:
        changed = keepalived.changed_voice(resolved, inventory)
    except LvsError:
        return  # of a director that was not read
    active = _active(resolved.services, inventory)
    changes = "; ".join(dict.fromkeys(change for found in changed.values() for change in found))
    missing = [
        director
        for director in inventory["groups"].get(DIRECTORS, [])
        if not facts_of(inventory, director) or (hosts is not None and director not in hosts)
    ]
    path = paths.of_group(DIRECTORS)
    if changed and missing:
        problems.add(path, messages.VRRP_CHANGE_NEEDS_ALL(changes=changes, missing=" and ".join(missing)))
    elif changed and len(active) > 1:
        problems.add(path, messages.VRRP_CHANGE_NEEDS_STANDBY(changes=changes, active=" and ".join(active)))


def _active(services: Sequence[VirtualService], inventory: Inventory) -> list[str]:
    return [director for director in inventory["groups"].get(DIRECTORS, []) if holders.holds_vip(services, facts_of(inventory, director))]


def turn(resolved: Resolved, inventory: Inventory, director: str) -> str:
    """When a director has its turn: "first", "active", "last" (it is silent until the active one has changed), or never: "unread", where
    check mode could not read it.

    Directors that hold no VIP come first, so that an error there reaches no viewer. But where what they send to each other changes
    (interval, version, router id, unicast), both would become active until the other one changed as well; so the others stop their
    keepalived, the active one changes, and they start with the new file.
    """
    if "lacks" in inventory["hosts"].get(director, {}):
        return "unread"
    active = _active(resolved.services, inventory)
    if director in active:
        return "active"
    return "last" if keepalived.changed_voice(resolved, inventory) and active else "first"


def going(services: Iterable[VirtualService], inventory: Inventory) -> int:
    """How many destinations are ready to go from the directors that were read (leaving.going)."""
    directors = inventory["groups"].get(DIRECTORS, [])
    return leaving.going(services, {director: facts_of(inventory, director).get("ipvs") or [] for director in directors})


def _known(inventory: Inventory) -> set[tuple[TableKey, str]]:
    """{(table_key, address)} of the destinations that any director has."""
    return {
        (describe.table_key(service), one["address"])
        for director in inventory["groups"].get(DIRECTORS, [])
        for service in facts_of(inventory, director).get("ipvs") or ()
        for one in service["destinations"]
    }


def joins(services: Iterable[VirtualService], inventory: Inventory, host: str) -> bool:
    """Whether a real server serves nobody yet: no director knows it in any of its services, or one has it drained, as a run left it that
    ended in the middle."""
    held = {name for director in inventory["groups"].get(DIRECTORS, []) for name in drains.kept(inventory, director)}
    known = _known(inventory)
    its = [(service.table_key, one.address) for service in services for one in service.real_servers if one.host == host]
    return drain_file(host) in held or not any(key in known for key in its)


def ready(resolved: Resolved, inventory: Inventory, rolled_out: Iterable[str]) -> Resolved:
    """The services without the real servers that were not rolled out and that no director knows: they may not hold the VIP."""
    known, done, out = _known(inventory), set(rolled_out), []
    for service in resolved.services:
        key = service.table_key
        kept = tuple(server for server in service.servers if server.host in done or (key, server.address) in known)
        out.append(dataclasses.replace(service, servers=kept))
    return dataclasses.replace(resolved, services=tuple(out))


def taken(director: str, after: str, before: str, stranger: str | None) -> list[str]:
    """Lines on what a director accepts although no director sent it.

    after, before: what `nft list counters` prints of its rules, both of which stranger, a host or None, has raised in between.
    """
    now, then = nftables.counts(after), nftables.counts(before)
    if not now:
        return [str(messages.RULES_NOT_IN_FORCE(director=director))]
    words = dict(zip(nftables.COUNTERS, ("VRRP advertisement", "message of the connection sync")))
    return [
        str(messages.STRANGER_ACCEPTED(director=director, what=word, source=stranger))
        for name, word in words.items()
        if stranger and now.get(name, 0) <= then.get(name, 0)
    ]


def silent(inventory: Inventory, hosts: Iterable[str]) -> list[str]:
    """A line for each of the hosts that could not be read, but for those that check mode does not look at."""
    found = [host for host in hosts if not facts_of(inventory, host) and "lacks" not in inventory["hosts"].get(host, {})]
    return [str(messages.HOST_DID_NOT_ANSWER(host=host)) for host in found]


def not_looked_at(inventory: Inventory) -> list[str]:
    """A line for each host that was not read because it lacks something, which check mode does not install."""
    lacking = {host: Line.read(variables["lacks"]) for host, variables in inventory["hosts"].items() if "lacks" in variables}
    return [str(messages.HOST_NOT_LOOKED_AT(host=host, why=line.text)) for host, line in lacking.items()]


def doubtful(resolved: Resolved) -> list[str]:
    """A line for each option that is allowed, and that hardly anybody wants."""
    return [
        str(messages.PARANOIA_REFUSES_PLAYERS(path=paths.of_service(one.name), level=one.waf["paranoia"], who=breaks(one.waf["paranoia"])))
        for one in resolved.proxies
        if one.waf and breaks(one.waf["paranoia"])
    ]


def undone(
    services: Sequence[VirtualService],
    inventory: Inventory,
    directors: Collection[str],
    rolled_out: Iterable[str],
    only: Collection[str] | None = None,
) -> list[str]:
    """What a rollout left out that the rest of it needs, a line each, from what directors held when they were last read.

    directors, rolled_out: the directors and the real servers that were rolled out. only: the real servers that it was about, if not all.
    """
    out: list[Line] = []
    for director in inventory["groups"].get(DIRECTORS, []):
        facts = facts_of(inventory, director)
        if director in directors:
            continue
        if "ipvs" not in facts:
            out.append(messages.DIRECTOR_UNREAD(director=director))
            continue
        table = {(describe.table_key(service), one["address"]) for service in facts["ipvs"] for one in service["destinations"]}
        for host, names in _missing(services, table).items():
            if only is not None and host not in only:
                continue
            out.append(messages.DIRECTOR_LACKS_SERVER(director=director, host=host, services=", ".join(names)))
    done = set(rolled_out)
    for host, names in _missing(services, _known(inventory)).items():
        if host not in done and (only is None or host in only):
            out.append(messages.SERVER_NOT_ROLLED_OUT(host=host, services=", ".join(names)))
    return [str(line) for line in out]


def _missing(services: Iterable[VirtualService], table: Collection[tuple[TableKey, str]]) -> dict[str, list[str]]:
    """{real server: the services in which no viewer is sent to it}, each once. table: {(table_key, address)} of destinations."""
    found: dict[str, dict[str, None]] = {}
    for service in services:
        key = service.table_key
        for server in service.real_servers:
            if (key, server.address) not in table:
                found.setdefault(server.host, {})[service.name] = None
    return {host: list(names) for host, names in found.items()}


def still_served(stale: Iterable[str], services: Iterable[VirtualService], inventory: Inventory) -> list[str]:
    """Those of a real server's undeclared VIPs that a director still sends packets for, or may: they stay.

    A service whose mode becomes nat keeps its running connections in direct routing: they end with the server's VIP.
    """
    directors = inventory["groups"].get(DIRECTORS, [])
    tables = [facts_of(inventory, director).get("ipvs") for director in directors]
    if None in tables:
        return list(stale)
    keys = {
        describe.table_key(service)
        for table in tables
        for service in table or ()
        if any(one.get("forward", "dr") != "nat" or one["active"] or one["inactive"] for one in service["destinations"])
    }
    # A firewall mark does not show its VIPs, but its declaration does.
    served = {key[2] for key in keys} | {vip for service in services if service.table_key in keys for vip in service.vips}
    return [vip for vip in stale if vip in served]


def undeclared_paths(name: str, done: Mapping[str, dict[str, Any]], inventory: Inventory) -> list[dict[str, Any]]:
    """The return paths that a real server has and the inventory does not declare. done: as of model.model."""
    read = facts_of(inventory, name).get("real_server") or {}
    found: list[dict[str, Any]] = (done.get(name, {}).get("__real_server_paths") or {}).get("stale", read.get("stale_paths", []))
    return found


def stale_paths(names: Iterable[str], done: Mapping[str, dict[str, Any]], inventory: Inventory) -> dict[str, list[dict[str, Any]]]:
    """{real server: its return paths that nobody declares and that no director needs any more}. done: as of model.model."""
    tables = [facts_of(inventory, director).get("ipvs") for director in inventory["groups"].get(DIRECTORS, [])]
    if None in tables:
        return {}
    destinations = [(service, one) for table in tables for service in table or () for one in service["destinations"]]
    sent = [
        (one["address"], one.get("port", service.get("port", 0)), service.get("protocol"))
        for service, one in destinations
        if one.get("forward") == "nat"
    ]
    out = {}
    for name in names:
        found = undeclared_paths(name, done, inventory)
        gone = [path for path in found if not any(_answers(path, *destination) for destination in sent)]
        if gone:
            out[name] = gone
    return out


def still_tunnelled(inventory: Inventory) -> dict[str, list[dict[str, Any]]]:
    """{host: the ``endpoints`` of tunnel_endpoint} of what directors send in tunnels, whether it is declared or only leaves."""
    addresses = {address: host for host in inventory["hosts"] for address in sorted(hosts.addresses_of(inventory, host))}
    out: dict[str, list[dict[str, Any]]] = {}
    for director in inventory["groups"].get(DIRECTORS, []):
        for service in facts_of(inventory, director).get("ipvs") or ():
            for one in service["destinations"]:
                host = addresses.get(one["address"])
                if one.get("forward") == "tunnel" and host:
                    found = views.endpoint(one["address"], one.get("tunnel"))
                    out.setdefault(host, []).extend([] if found in out.get(host, []) else [found])
    return out


def stale_devices(done: Mapping[str, dict[str, Any]], inventory: Inventory, wanted: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """The real servers that have a tunnel device for which neither the inventory nor a director has a use. wanted: {host: endpoints}."""
    out = []
    for host in inventory["hosts"]:
        read = facts_of(inventory, host).get("real_server") or {}
        held = (done.get(host, {}).get("__real_server_endpoints") or {}).get("devices", read.get("devices", []))
        needed = [device.kind for device in tunnels.devices(tunnels.read_endpoints(wanted.get(host, []))[0])]
        if set(held) - set(needed):
            out.append(host)
    return out


def _answers(path: dict[str, Any], address: str, port: int, protocol: str | None) -> bool:
    """Whether a director may wait for answers on a return path. A firewall mark has neither port nor protocol."""
    if path["address"] != address:
        return False
    return protocol is None or (plan.PROTOCOLS.get(protocol) == path["protocol"] and path["first"] <= port <= path["last"])


def sent_to(inventory: Inventory, facts: dict[str, Any]) -> list[str]:
    """A line for each service in which a director has a host as a destination, and for each director that could not be read.

    facts: what lvs_preflight returned of the host.
    """
    addresses = {address for family in (4, 6) for address in hosts.own_addresses(facts, family)}
    out: list[Line] = []
    for director in inventory["groups"].get(DIRECTORS, []):
        table = facts_of(inventory, director).get("ipvs")
        if table is None:
            out.append(messages.RETIRE_DIRECTOR_UNREAD(director=director))
        for service in table or ():
            if not check_paths.is_check_mark(service.get("firewall_mark")):
                counts = [one["active"] + one["inactive"] for one in service["destinations"] if one["address"] in addresses]
                if counts:
                    name = describe.key_name(describe.table_key(service))
                    out.append(messages.RETIRE_DESTINATION(service=name, director=director, connections=sum(counts)))
    return [str(line) for line in out]
