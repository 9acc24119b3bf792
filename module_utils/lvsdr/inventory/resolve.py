# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what an operator writes (virtual_services, groups, host variables) to services with destinations, and every check of it. Pure.

An inventory is ``{"groups": {name: [host, …]}, "hosts": {host: {variable: value}}}`` with the variables in HOST_VARIABLES, and for the
checks also ``facts`` (what lvs_preflight read from the host).

What comes out of it has types (types.py): the declared services, and beside them the firewall-mark services of their checks, which have no
VIP.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import messages as common
from ansible.module_utils.lvsdr.addresses import not_an_address, parse_address
from ansible.module_utils.lvsdr.checks.health_check import read_health_checks
from ansible.module_utils.lvsdr.errors import Problems, shown
from ansible.module_utils.lvsdr.inventory import check_paths, leaving, messages, modes, paths, ports, proxy_option
from ansible.module_utils.lvsdr.inventory.director_settings import max_cut
from ansible.module_utils.lvsdr.inventory.hosts import STAND_INS, facts_of, host_address
from ansible.module_utils.lvsdr.inventory.instances import INSTANCE, INSTANCE_NAME
from ansible.module_utils.lvsdr.inventory.scale_option import read_scale
from ansible.module_utils.lvsdr.inventory.servers import (
    check_room,
    check_spares,
    is_drained,
    is_spare,
    placed,
    read_destinations_of,
    read_real_servers,
    read_sorry_server,
)
from ansible.module_utils.lvsdr.inventory.stream_option import read_stream
from ansible.module_utils.lvsdr.inventory.types import ProxyService, RealServer, Resolved, VirtualService
from ansible.module_utils.lvsdr.ipvs.declare import read_service
from ansible.module_utils.lvsdr.ipvs.describe import wanted_as_dict
from ansible.module_utils.lvsdr.ipvs.types import FALLBACK_FLAGS, service_key, service_name
from ansible.module_utils.lvsdr.places import DIRECTORS
from ansible.module_utils.lvsdr.reader import Reader
from ansible.module_utils.lvsdr.spelling import LABEL_SIGNS, LONGEST_NAME, is_label
from ansible.module_utils.lvsdr.text import whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible.module_utils.lvsdr.errors import Line
    from ansible.module_utils.lvsdr.inventory.servers import Hosts
    from ansible.module_utils.lvsdr.inventory.types import Inventory, ServiceKey

    Vip = tuple[int, str]

SERVICE_FIELDS = (
    "name", "mode", "addresses", "protocol", "ports", "firewall_mark", "scheduler", "scheduler_flags", "one_packet", "persistence",
    "real_servers", "real_server_port", "health_check", "checks", "sorry_server", "instance", "stream", "state", "nat_gateway",
    "return_path", "tunnel", "scale",
)  # fmt: skip


def resolve(virtual_services: Any, inventory: Inventory) -> Resolved:
    """The resolved services and their checks, with what still leaves them; LvsError with every error of the declaration at once.

    What directors hold and the inventory no longer names stays with weight 0 while it has connections (leaving.with_leaving).
    """
    problems = Problems()
    resolved = read_services_of(virtual_services, inventory, problems)
    problems.raise_if_any("The inventory can't be used")
    directors = inventory["groups"].get(DIRECTORS) or []
    tables = {director: facts_of(inventory, director).get("ipvs") or [] for director in directors}
    names: dict[str | None, str] = {}
    for host, variables in inventory["hosts"].items():
        for family in (4, 6):
            names.setdefault(host_address(variables, family), host)
    cut = max([max_cut(inventory, director) for director in directors] or [0])
    services = leaving.with_leaving(resolved.services, tables, cut, names)
    return Resolved(
        services,
        resolved.checks + check_paths.still_used(services, resolved.checks, tables.values()),
        _with_leaving_proxies(resolved.proxies, tables),
    )


def _with_leaving_proxies(proxies: Sequence[ProxyService], tables: dict[str, Any]) -> tuple[ProxyService, ...]:
    """Those that are absent stay until no director sends viewers to them any more."""
    held = {(one.get("address"), one.get("port")) for table in tables.values() for one in table if one.get("protocol", "tcp") == "tcp"}
    marks = {one["firewall_mark"] for table in tables.values() for one in table if one.get("firewall_mark")}

    def leaves(one: ProxyService) -> bool:
        by_mark = one.http3 and ports.mark_of(one.name) in marks
        return by_mark or any((vip, one.port) in held for vip in one.vips)

    return tuple(dataclasses.replace(one, absent=not leaves(one)) if one.absent else one for one in proxies)


def read_services_of(virtual_services: Any, inventory: Inventory, problems: Problems) -> Resolved:
    if not isinstance(virtual_services, list) or not virtual_services:
        problems.add("virtual_services", messages.NO_VIRTUAL_SERVICES(value=shown(virtual_services)))
        return Resolved()
    services: list[VirtualService] = []
    proxies: list[ProxyService] = []
    names: dict[str, str] = {}
    keys: dict[ServiceKey, str] = {}
    indices = paths.indices(virtual_services)
    for position, (item, index) in enumerate(zip(virtual_services, indices)):
        path = paths.of_service(position if index is not None else item["name"])
        if not isinstance(item, dict):
            problems.add(path, common.NOT_A_DICTIONARY(value=shown(item)))
            continue
        _check_name(item.get("name"), path, names, problems)
        reader, found = Reader(problems, path, item), []
        if proxy_option.is_proxy(item):
            front = proxy_option.FrontReader(problems, path, proxy_option.front_of(item))
            found = _resolve_one(front, inventory, problems)
            one_tier = proxy_option.is_one_tier(item)
            found = [proxy_option.on_directors(one) if one_tier else dataclasses.replace(one, proxied=True) for one in found]
            vips = tuple(vip for service in found for vip in service.vips)
            proxies.append(proxy_option.read_proxy(reader, inventory, vips))
        else:
            found = _resolve_one(reader, inventory, problems)
        for service in found:
            if service.key is not None:
                if service.key in keys:
                    problems.add(path, common.DECLARED_TWICE(what=service_name(service.key), by=keys[service.key]))
                keys[service.key] = path
            services.append(dataclasses.replace(service, index=index))
    _check_instances(services, problems)
    _check_claims(services, problems)
    _check_redirects(proxies, services, problems)
    return Resolved(tuple(services), check_paths.paths_of(services), tuple(proxies))


def _check_name(name: Any, path: str, names: dict[str, str], problems: Problems) -> None:
    """names: {name: path} of the services before this one, to which it is added."""
    if name is None or name == "":
        problems.add(path + ".name", messages.SERVICE_NAME_MISSING())
    elif not isinstance(name, str):
        problems.add(path + ".name", common.NOT_TEXT(value=shown(name)))
    elif not is_label(name):
        problems.add(path + ".name", messages.NOT_A_LABEL(value=shown(name), longest=LONGEST_NAME, signs=LABEL_SIGNS))
    elif name in names:
        problems.add(path + ".name", messages.SERVICE_NAME_TAKEN(value=shown(name), by=names[name]))
    else:
        names[name] = path


def _check_instances(services: Sequence[VirtualService], problems: Problems) -> None:
    """A VIP, and a gateway of NAT, is where its VRRP instance is active, so it belongs to one."""
    first: dict[str, VirtualService] = {}
    for service in services:
        moving = [*service.vips, *([service.gateway] if service.gateway else [])]
        for vip in moving if not service.absent else ():
            other = first.setdefault(vip, service)
            if other.instance != service.instance:
                message = messages.VIP_IN_TWO_INSTANCES(vip=vip, instance=service.instance, other_instance=other.instance, other=other.path)
                problems.add(service.path + ".instance", message)


def _check_claims(services: Sequence[VirtualService], problems: Problems) -> None:
    """No two services of several ports have one mark, and no port of a VIP two services."""
    marks: dict[tuple[int, int], VirtualService] = {}
    claims = []
    for service in services:
        # What of a declaration can't be read is reported already.
        if not service.absent and (service.ports or service.key):
            claims += [(service.path, vip, one) for vip in service.vips for one in service.viewer_ports()]
        if service.ports:
            mark = service.options["firewall_mark"]
            other = marks.setdefault((service.family, mark), service)
            if other.name != service.name:
                problems.add(service.path + ".name", messages.MARK_TAKEN(mark="0x%x" % mark, other=other.path))
    # Where no service has several, a second one of a port is the same service, which is reported already.
    if any(service.ports for service in services):
        ports.check_claims(claims, problems)


def _check_redirects(proxies: Sequence[ProxyService], services: Sequence[VirtualService], problems: Problems) -> None:
    """Where a redirect leads somebody speaks TLS, on each of its VIPs; that of direct routing is its servers' business."""
    plain = {one.name for one in proxies if one.application == "http" and not one.tls}
    for one in proxies:
        for vip in one.vips if one.redirect and not one.absent else ():
            there = [service for service in services if vip in service.vips and not service.absent and service.name not in plain]
            if not any(_takes(service, one.redirect or 0) for service in there):
                problems.add(paths.of_service(one.name) + ".redirect", messages.REDIRECT_LEADS_NOWHERE(vip=vip, port=one.redirect))


def _takes(service: VirtualService, port: int) -> bool:
    """A firewall mark that lvsdr did not make may be that of any port."""
    marked = service.options.get("firewall_mark") is not None and not service.ports
    return marked or any(protocol == "tcp" and first <= port <= last for protocol, first, last in service.viewer_ports())


def _resolve_one(reader: Reader, inventory: Inventory, problems: Problems) -> list[VirtualService]:
    reader.known(SERVICE_FIELDS)
    several = ports.read_several(reader) if ports.is_several(reader.get("ports")) else ()
    if several:
        reader = ports.as_mark_service(reader, several)
    state = reader.choice("state", "present", ("present", "absent"))
    mark = reader.get("firewall_mark")
    _check_ports(reader, mark)
    if not several and (check_paths.is_check_mark(whole_number(mark)) or ports.is_service_mark(whole_number(mark))):
        reader.wrong("firewall_mark", messages.MARK_RESERVED(value=shown(mark)))
    checks = read_health_checks(reader)
    check = checks[0] if checks else None
    stream = read_stream(reader, mark, several)
    hosts = placed(read_real_servers(reader, inventory), inventory) if state == "present" else []
    sorry = placed(read_sorry_server(reader, inventory, check, hosts), inventory) if state == "present" else []
    instance = _read_instance(reader)
    if reader.get("scheduler") == "dh":
        reader.wrong("scheduler", messages.SCHEDULER_DH())
    vips = _vips(reader)
    way = modes.read_way(reader, [family for family, _text in vips])
    modes.check_port(reader, way, whole_number(_port(reader)), mark is not None and not several)
    check_room(reader, check, hosts, inventory)
    check_spares(reader, check, hosts, sorry, inventory)
    scale = read_scale(reader, hosts, inventory)
    out = []
    # Without a VIP there is nothing to resolve, but every other value is read all the same: all errors come at once.
    for family, vip in _tables_of(vips, mark) or ((4, None), (6, None)):
        table = _table_of(reader, mark, family, vip, vips)
        found = problems if vip else Problems()
        table["destinations"] = read_destinations_of(reader, way, family, hosts, inventory, check, found)
        for destination in read_destinations_of(reader, way, family, sorry, inventory, None, found):
            table["destinations"].append({**destination, "weight": 1, "sorry_server": True})
        # What the table module would refuse is refused here, under the path the operator knows.
        inner = _TableProblems(reader, mark is None and _has_no_port(reader), hosts, sorry)
        wanted = read_service(Reader(inner, "", table))
        if vip is None:
            continue
        # Of a table with errors only the checks of preflight read on, and they rely on the order of the hosts.
        options = dict(table if inner.found else wanted_as_dict(wanted))
        servers = _servers(options.pop("destinations"), hosts + sorry, inventory)
        out.append(
            VirtualService(
                name=reader.get("name"), mode=way.mode, family=family, instance=instance, options=options, servers=servers,
                vips=tuple(text for of, text in vips if of == family) if mark is not None else (vip,),
                health_check=check, more_checks=tuple(checks[1:]), stream=stream, absent=state == "absent",
                key=None if inner.found else service_key(wanted.service),
                gateway=way.gateways.get(family), return_path=way.return_path, tunnel=way.tunnel, ports=several, scale=scale,
            )
        )  # fmt: skip
    return out


def _servers(destinations: list[dict[str, Any]], hosts: Hosts, inventory: Inventory) -> tuple[RealServer, ...]:
    """The servers of destinations in the words of ipvs_table's options, which are in the order of the hosts."""
    out = []
    for one, (host, _path) in zip(destinations, hosts):
        fallback = one.get("sorry_server", False)
        # A sorry server is never drained: it is taken away by not being named.
        drained = not fallback and is_drained(inventory, host)
        out.append(
            RealServer(
                host=host, address=one["address"], port=one.get("port"), weight=one["weight"], checked=one.get("health_checked", False),
                drained=drained, spare=not fallback and is_spare(inventory, host), fallback=fallback,
            )
        )  # fmt: skip
    return tuple(out)


def _read_instance(reader: Reader) -> str:
    instance = reader.get("instance", INSTANCE)
    if isinstance(instance, str) and re.fullmatch(INSTANCE_NAME, instance):
        return instance
    reader.wrong("instance", messages.NOT_AN_INSTANCE_NAME(value=shown(instance)))
    return INSTANCE


def _table_of(reader: Reader, mark: Any, family: int, vip: str | None, vips: list[Vip]) -> dict[str, Any]:
    """The service in the words of ipvs_table's options, without destinations. vip: None where the declaration has none."""
    table: dict[str, Any] = (
        {"firewall_mark": mark, "family": "ipv%d" % family} if mark is not None else {"address": vip or STAND_INS[family]}
    )
    for field in ("protocol", "scheduler", "scheduler_flags", "one_packet", "state"):
        table[field] = reader.get(field)
    table["scheduler_flags"] = _with_fallback(table["scheduler"], table["scheduler_flags"])
    if mark is None:
        table["port"], table["protocol"] = ports.single(reader.get("ports"), reader.get("protocol"))
    persistence = _persistence_of(reader.get("persistence"), family, vips or list(STAND_INS.items()))
    table["persistence"] = ports.persistence(persistence, family) if ports.is_service_mark(whole_number(mark)) else persistence
    return table


def _with_fallback(scheduler: Any, flags: Any) -> Any:
    """The declared flags with the one that keeps newcomers of a server of weight 0 from being refused."""
    flag = FALLBACK_FLAGS.get(scheduler) if isinstance(scheduler, str) else None
    if not flag or not isinstance(flags, (list, type(None))):
        return flags
    return [*(flags or []), *([] if flag in (flags or []) else [flag])]


def _vips(reader: Reader) -> list[Vip]:
    """(family, text) of each VIP that is one, each once."""
    addresses = reader.get("addresses", [])
    if not isinstance(addresses, list) or not addresses:
        reader.wrong("addresses", messages.SERVICE_WITHOUT_VIP(value=shown(addresses)))
        addresses = []
    out: list[Vip] = []
    for position, address in enumerate(addresses):
        try:
            vip = parse_address(address)
        except ValueError as why:
            reader.wrong("addresses[%d]" % position, not_an_address(address, why))
            continue
        if vip in out:
            reader.wrong("addresses[%d]" % position, common.LISTED_TWICE(what=vip[1]))
        else:
            out.append(vip)
    return out


def _tables_of(vips: list[Vip], mark: Any) -> list[Vip]:
    """The VIPs that get a service of their own: each, or with a firewall mark one of each family."""
    if mark is None:
        return vips
    first: dict[int, Vip] = {}
    for family, text in vips:
        first.setdefault(family, (family, text))
    return list(first.values())


def _check_ports(reader: Reader, mark: Any) -> None:
    declared = reader.get("ports", [])
    if mark is not None:
        if declared:
            reader.wrong("ports", messages.MARK_WITH_PORTS(mark=shown(mark)))
    elif not isinstance(declared, list) or not declared:
        reader.wrong("ports", messages.SERVICE_WITHOUT_PORT(value=shown(declared)))


def _port(reader: Reader) -> Any:
    return ports.single(reader.get("ports"), reader.get("protocol"))[0]


def _has_no_port(reader: Reader) -> bool:
    """Whether _check_ports has an error of its own for a port that the table misses."""
    return _port(reader) is None and reader.get("ports") != [None]


def _persistence_of(value: Any, family: int, vips: Sequence[Vip]) -> Any:
    """A netmask belongs to one family: where a service has both, a dotted one is IPv4's, and the other keeps single clients."""
    both = len({of for of, _text in vips}) == 2
    if both and isinstance(value, dict) and value.get("netmask") is not None and ("." in str(value["netmask"])) != (family == 4):
        return {key: item for key, item in value.items() if key != "netmask"}
    return value


class _TableProblems(Problems):
    """The errors of a service in the table's words, each of which goes to the reader's problems under a path that the operator wrote.

    without_port: leave out that there is no port, which has been reported.
    """

    def __init__(self, reader: Reader, without_port: bool, hosts: Hosts, sorry: Hosts) -> None:
        super().__init__()
        self._reader, self._without_port, self._hosts, self._sorry = reader, without_port, hosts, sorry

    def add(self, path: str, said: Line) -> None:
        super().add(path, said)
        if path != ".port" or not self._without_port:
            self._reader.problems.add(self._operators_path(path), said)

    def _operators_path(self, path: str) -> str:
        if path.startswith(".destinations["):
            index, _bracket, field = path[len(".destinations[") :].partition("]")
            host, _path = [*self._hosts, *self._sorry][int(index)]
            if field in (".address", ".port", ".weight"):
                return "%s.real_server_%s" % (paths.of_host(host), field[1:])
            return self._reader.path + (".sorry_server" if int(index) >= len(self._hosts) else ".real_servers[%s]" % host)
        return self._reader.path + (".ports[0]" if path == ".port" else path)
