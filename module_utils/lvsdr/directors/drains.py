# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which servers are drained, which wait for a check, and which are left. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import notes
from ansible.module_utils.lvsdr.checks.verdicts import OUT
from ansible.module_utils.lvsdr.directors import holders, keepalived, keepalived_conf, messages
from ansible.module_utils.lvsdr.errors import Line, listed
from ansible.module_utils.lvsdr.inventory import director_settings
from ansible.module_utils.lvsdr.inventory.hosts import facts_of
from ansible.module_utils.lvsdr.inventory.views import somebody_serves, spares
from ansible.module_utils.lvsdr.ipvs.describe import held_destinations
from ansible.module_utils.lvsdr.ipvs.plan import live
from ansible.module_utils.lvsdr.places import DIRECTORS, DRAINED, DRAINED_KEPT, drain_file, spare_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ansible.module_utils.lvsdr.inventory.types import Inventory, RealServer, VirtualService


def drained(services: Sequence[VirtualService], inventory: Inventory) -> list[str]:
    """The names of the files in places.DRAINED that have to be there, sorted: of drained servers, and of spares that are parked."""
    names = {drain_file(host) for service in services for host in service.drained if service.health_check}
    return sorted(names | {spare_file(host) for host in parked(services, inventory)})


def parked(services: Sequence[VirtualService], inventory: Inventory) -> list[str]:
    """The spares that are parked. A rollout leaves them as they are: the director that holds a VIP says so, or where it knows nothing of
    a spare another one does. One that no director knows is parked."""
    directors = [name for name in inventory["groups"].get(DIRECTORS, []) if facts_of(inventory, name)]
    directors.sort(key=lambda name: not holders.holds_vip(services, facts_of(inventory, name)))
    held = {name: kept(inventory, name) for name in directors}
    confs = {name: keepalived_conf.known(inventory, name) for name in directors}
    out = []
    for host in spares(services):
        knows = next((name for name in directors if "track_file %s {" % spare_file(host) in confs[name]), None)
        if knows is None or spare_file(host) in held[knows]:
            out.append(host)
    return out


def empty_without(services: Iterable[VirtualService], hosts: Collection[str], drained_files: Collection[str] = ()) -> list[str]:
    """A line for each service that would have no real server left without these hosts. drained_files: names in places.DRAINED."""
    out, going, files = [], set(hosts), set(drained_files)
    for service in services:
        if service.absent or service.sorry or going.isdisjoint(service.hosts):
            continue
        gone = going | {server.host for server in service.real_servers if not files.isdisjoint(server.weight_files)}
        if not somebody_serves(service, gone):
            out.append(str(messages.NO_SERVER_LEFT(service=service.name, vip=service.vips[0])))
    return out


def not_drainable(services: Iterable[VirtualService], hosts: Sequence[str]) -> list[str]:
    """A line for each host that can't be drained by a file."""
    out = [] if hosts else [messages.NO_SERVER_NAMED()]
    serves: dict[str, list[VirtualService]] = {}
    for service in services:
        for host in service.hosts:
            serves.setdefault(host, []).append(service)
    for host in hosts:
        without = [service.name for service in serves.get(host, ()) if not service.health_check]
        if host not in serves:
            out.append(messages.NOT_A_REAL_SERVER(host=host, names=listed(serves)))
        elif without:
            out.append(messages.DRAIN_NEEDS_CHECK(host=host, services=", ".join(without)))
    return [str(line) for line in out]


def not_handed_over(services: Sequence[VirtualService], inventory: Inventory, directors: Collection[str]) -> list[str]:
    """A line for each reason why these directors can't give their VIPs away, from what was read of all: nobody else could hold them."""
    out: list[Line] = []
    others = [name for name in inventory["groups"].get(DIRECTORS, []) if name not in directors]
    able = [name for name in others if (facts_of(inventory, name).get("keepalived") or {}).get("running")]
    able = [name for name in able if drain_file(name) not in kept(inventory, name)]
    if directors and not able:
        out.append(messages.NO_DIRECTOR_LEFT(directors=" and ".join(directors), others=" and ".join(others) or "no other director"))
    for name in directors if able else ():
        out += _cut_by_another_director(services, inventory, name)
        if holders.holds_vip(services, facts_of(inventory, name)) and "track_file %s" % drain_file(name) not in keepalived_conf.known(
            inventory, name
        ):
            out.append(messages.DIRECTOR_NOT_DRAINABLE(director=name))
    return [str(line) for line in out]


def _cut_by_another_director(services: Sequence[VirtualService], inventory: Inventory, director: str) -> list[Line]:
    """A line for each service whose connections would end, because the new source of SNAT is known to this director alone."""
    facts, out = facts_of(inventory, director), []
    info = held_destinations({"services": facts.get("ipvs")})
    for service in services if holders.holds_vip(services, facts) else ():
        if service.mode == "snat" and not service.absent:
            count = running(service, service.servers, info)
            if count > director_settings.max_cut(inventory, director):
                out.append(messages.SNAT_ENDS_WITH_DIRECTOR(service=service.name, director=director, count=count))
    return out


def weight_folders(
    taken: Collection[str], given: Collection[str] | None, directors: Collection[str], who: str = "", why: str = ""
) -> list[dict[str, Any]]:
    """The ``folders`` of host_files in which files are written that take a weight, and removed that give it back; others are left alone.

    taken, given: names of files; without given all others are removed. directors: their files say how much of a priority they take.
    who, why: what the console says of them.
    """
    low = {drain_file(name) for name in directors}
    files = {name: notes.text(keepalived.HANDED_OVER if name in low else OUT, who, why) for name in taken}
    others = {} if given is None else {"absent": sorted(set(given) - set(taken))}
    return [{"path": path, "files": files, **others} for path in (DRAINED_KEPT, DRAINED)]


def kept(inventory: Inventory, director: str) -> Collection[str]:
    """The names of the files in places.DRAINED_KEPT on a director, when it was read."""
    return kept_in(facts_of(inventory, director))


def kept_in(facts: dict[str, Any]) -> list[str]:
    """The same of what lvs_preflight returned of a director, sorted."""
    return sorted((facts.get("seen") or {}).get("folders", {}).get(DRAINED_KEPT) or ())


def connections(services: Iterable[VirtualService], hosts: Collection[str], info: dict[str, Any]) -> int:
    """How many connections a director counts to hosts in the services, without those of checks. info: what ipvs_info returned.

    Proxies count their own: a viewer whose last word meets a connection that HAProxy has closed is reset, sends no FIN, and is counted here
    until the kernel's timeout.
    """
    found, those = held_destinations(info), set(hosts)
    # Those of HTTP/3 are counted nowhere else.
    counted = (service for service in services if not service.proxied or service.ports)
    return sum(running(service, [one for one in service.real_servers if one.host in those], found) for service in counted)


def undrained(services: Iterable[VirtualService], hosts: Collection[str], info: dict[str, Any], director: str) -> list[str]:
    """A line for each of these hosts to which a director sends new viewers, though it is drained: that no connection is left there at a
    moment means little then. info: what ipvs_info returned."""
    found, out = held_destinations(info), []
    for service in services:
        for server in service.real_servers:
            weight = found.get((service.table_key, server.address), {"weight": 0})["weight"]
            if weight and server.host in hosts:
                line = messages.STILL_NOT_DRAINED(director=director, host=server.host, service=service.name, weight=weight)
                out.append(str(line))
    return out


def running(service: VirtualService, servers: Iterable[RealServer], found: dict[tuple[Any, ...], dict[str, Any]]) -> int:
    """The running connections of a service to some of its servers. found: of held_destinations; plan.live decides which count."""
    there = (found.get((service.table_key, server.address)) for server in servers)
    return sum(live(service.options.get("protocol"), (one["active"], one["inactive"])) for one in there if one)


def waiting(services: Sequence[VirtualService], infos: dict[str, dict[str, Any]]) -> list[str]:
    """``["director: real server of service", …]`` whose weight is 0 though its check may raise it: it is down, or was not checked yet.

    infos: {director: what ipvs_info returned of it}.
    """
    out = []
    for director, info in sorted(infos.items()):
        found, files = held_destinations(info), set(info.get("weight_files", ()))
        for service in services:
            for server in service.real_servers:
                there = found.get((service.table_key, server.address), {"weight": 0})
                if server.checked and not server.drained and not there["weight"] and files.isdisjoint(server.weight_files):
                    out.append("%s: %s of %s" % (director, server.host, service.name))
    return out
