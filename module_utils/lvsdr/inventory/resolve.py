# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what an operator writes (virtual_services, groups, host variables) to services with destinations, and every check of it. Pure.

An inventory is ``{"groups": {name: [host, …]}, "hosts": {host: {variable: value}}}`` with the variables in HOST_VARIABLES, and for the
checks also ``facts`` (what lvs_preflight read from the host).

What comes out of it has types (types.py): the declared services, and beside them the firewall-mark services of their checks, which have no
VIP.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import not_an_address, parse_address
from ansible.module_utils.lvsdr.checks.health_check import read_health_check
from ansible.module_utils.lvsdr.errors import Problems, shown
from ansible.module_utils.lvsdr.inventory import check_paths, leaving
from ansible.module_utils.lvsdr.inventory.director_settings import max_cut
from ansible.module_utils.lvsdr.inventory.hosts import STAND_INS, facts_of, host_address
from ansible.module_utils.lvsdr.inventory.instances import INSTANCE, INSTANCE_NAME
from ansible.module_utils.lvsdr.inventory.servers import (
    check_room,
    is_drained,
    placed,
    read_destinations_of,
    read_real_servers,
    read_sorry_server,
)
from ansible.module_utils.lvsdr.inventory.stream_option import read_stream
from ansible.module_utils.lvsdr.inventory.types import RealServer, Resolved, VirtualService
from ansible.module_utils.lvsdr.ipvs.declare import read_service
from ansible.module_utils.lvsdr.ipvs.describe import wanted_as_dict
from ansible.module_utils.lvsdr.ipvs.types import FALLBACK_FLAGS, refuses_newcomers, service_key, service_name
from ansible.module_utils.lvsdr.places import DIRECTORS
from ansible.module_utils.lvsdr.reader import Reader
from ansible.module_utils.lvsdr.spelling import LABEL_HINT, is_label
from ansible.module_utils.lvsdr.text import whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible.module_utils.lvsdr.inventory.types import Inventory, ServiceKey

    Vip = tuple[int, str]

MODES = ("dr", "nat", "tunnel")
MODE_HINTS = {
    "snat": "this version forwards by dr, nat or tunnel; snat needs another program than IPVS",
    "proxy": "this version forwards by dr, nat or tunnel; proxy needs another program than IPVS",
}
SERVICE_FIELDS = (
    "name", "mode", "addresses", "protocol", "ports", "firewall_mark", "scheduler", "scheduler_flags", "one_packet", "persistence",
    "real_servers", "health_check", "sorry_server", "instance", "stream", "state",
)  # fmt: skip


def resolve(virtual_services: Any, inventory: Inventory) -> Resolved:
    """The resolved services and their checks, with what still leaves them; LvsError with every error of the declaration at once.

    What directors hold and the inventory does not name any more stays with weight 0 while it has connections (leaving.with_leaving).
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
    return Resolved(services, resolved.checks + check_paths.still_used(services, resolved.checks, tables.values()))


def read_services_of(virtual_services: Any, inventory: Inventory, problems: Problems) -> Resolved:
    if not isinstance(virtual_services, list) or not virtual_services:
        problems.add("virtual_services", "a list with at least one service is needed, for example in group_vars/all.yml")
        return Resolved()
    services: list[VirtualService] = []
    names: dict[str, str] = {}
    keys: dict[ServiceKey, str] = {}
    for index, item in enumerate(virtual_services):
        path = "virtual_services[%d]" % index
        if not isinstance(item, dict):
            problems.add(path, "a dictionary is needed, not %s" % shown(item))
            continue
        name = item.get("name")
        if name is None or name == "":
            problems.add(path + ".name", "a name is missing; messages and keepalived.conf use it")
        elif not isinstance(name, str):
            problems.add(path + ".name", "%s is not text; write it in quotes" % shown(name))
        elif not is_label(name):
            problems.add(path + ".name", "%s can't be written into keepalived.conf; %s" % (shown(name), LABEL_HINT))
        elif name in names:
            problems.add(path + ".name", "%s is the name of %s already" % (shown(name), names[name]))
        else:
            names[name] = path
        for service in _resolve_one(Reader(problems, path, item), inventory, problems):
            if service.key is not None:
                if service.key in keys:
                    problems.add(path, "%s is declared by %s already; remove one" % (service_name(service.key), keys[service.key]))
                keys[service.key] = path
            services.append(service)
    _check_instances(services, problems)
    return Resolved(tuple(services), check_paths.paths_of(services))


def _check_instances(services: Sequence[VirtualService], problems: Problems) -> None:
    """A VIP is where its VRRP instance is active, so it belongs to one."""
    first: dict[str, VirtualService] = {}
    for service in services:
        for vip in service.vips if not service.absent else ():
            other = first.setdefault(vip, service)
            if other.instance != service.instance:
                problems.add(
                    "virtual service %s" % service.name,
                    "VIP %s is in instance %s here and in %s in service %s; a VIP belongs to one instance"
                    % (vip, service.instance, other.instance, other.name),
                )


def _resolve_one(reader: Reader, inventory: Inventory, problems: Problems) -> list[VirtualService]:
    reader.known(SERVICE_FIELDS)
    mode = reader.choice("mode", "dr", MODES, MODE_HINTS)
    state = reader.choice("state", "present", ("present", "absent"))
    mark = reader.get("firewall_mark")
    _check_ports(reader, mark)
    if check_paths.is_check_mark(whole_number(mark)):
        reader.wrong("firewall_mark", "marks from 0x4c000000 to 0x4cffffff are those of lvsdr's checks; take another one")
    check = read_health_check(reader)
    stream = read_stream(reader, mark)
    hosts = placed(read_real_servers(reader, inventory), inventory) if state == "present" else []
    sorry = placed(read_sorry_server(reader, inventory, check, hosts), inventory) if state == "present" else []
    instance = _read_instance(reader)
    if reader.get("scheduler") == "dh":
        reader.wrong(
            "scheduler",
            "%s; every server can be drained, so use mh, which sends them on" % refuses_newcomers("dh", ()),
        )
    vips = _vips(reader)
    check_room(reader, check, hosts, inventory)
    out = []
    # Without a VIP there is nothing to resolve, but every other value is read all the same: all errors come at once.
    for family, vip in _tables_of(vips, mark) or ((4, None), (6, None)):
        table = _table_of(reader, mark, family, vip, vips)
        found = problems if vip else Problems()
        table["destinations"] = read_destinations_of(reader, mode, family, hosts, inventory, check, found)
        for fallback in read_destinations_of(reader, mode, family, sorry, inventory, None, found):
            table["destinations"].append({**fallback, "weight": 1, "fallback": True})
        # What the table module would refuse is refused here, under the name the operator knows.
        inner = Problems()
        wanted = read_service(Reader(inner, reader.path, table))
        for line in inner.found:
            text_path, _colon, text_rest = line.partition(": ")
            if mark is not None or table["port"] is not None or text_path != reader.path + ".port":
                problems.add(_operators_path(text_path, reader.path, hosts + sorry), text_rest)
        if vip is None:
            continue
        # Of a table with errors only the checks of preflight read on, and they go by the order of the hosts.
        options = dict(table if inner.found else wanted_as_dict(wanted))
        servers = _servers(options.pop("destinations"), hosts + sorry, inventory)
        out.append(
            VirtualService(
                name=reader.get("name"), mode=mode, family=family, instance=instance, options=options, servers=servers,
                vips=tuple(text for of, text in vips if of == family) if mark is not None else (vip,),
                health_check=check, stream=stream, absent=state == "absent", key=None if inner.found else service_key(wanted.service),
            )
        )  # fmt: skip
    return out


def _servers(destinations: list[dict[str, Any]], hosts: list[tuple[str, str]], inventory: Inventory) -> tuple[RealServer, ...]:
    """The servers of destinations in the words of ipvs_table's options, which are in the order of the hosts."""
    out = []
    for one, (host, _path) in zip(destinations, hosts):
        fallback = one.get("fallback", False)
        # A sorry server is never drained: it is taken away by not being named.
        drained = not fallback and is_drained(inventory, host)
        out.append(
            RealServer(
                host=host, address=one["address"], port=one.get("port"), weight=one["weight"], checked=one.get("health_checked", False),
                drained=drained, fallback=fallback,
            )
        )  # fmt: skip
    return tuple(out)


def _read_instance(reader: Reader) -> str:
    instance = reader.get("instance", INSTANCE)
    if isinstance(instance, str) and re.fullmatch(INSTANCE_NAME, instance):
        return instance
    reader.wrong("instance", "%s is no name of a VRRP instance; it has up to 40 letters, digits and . _ -" % shown(instance))
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
        table["port"] = _port(reader)
    table["persistence"] = _persistence_of(reader.get("persistence"), family, vips or list(STAND_INS.items()))
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
        reader.wrong("addresses", "a list with at least one VIP is needed")
        addresses = []
    out: list[Vip] = []
    for position, address in enumerate(addresses):
        try:
            vip = parse_address(address)
        except ValueError as why:
            reader.wrong("addresses[%d]" % position, not_an_address(address, why))
            continue
        if vip in out:
            reader.wrong("addresses[%d]" % position, "%s is in the list already; remove one" % vip[1])
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
    ports = reader.get("ports", [])
    if mark is not None:
        if ports:
            reader.wrong("ports", "a firewall-mark service has none; the rule that sets mark %s chooses them" % shown(mark))
    elif not isinstance(ports, list) or not ports:
        reader.wrong("ports", "a list with a port is needed")
    elif len(ports) > 1:
        reader.wrong(
            "ports",
            "several ports need a firewall-mark service: mark their packets on the directors and name the mark as firewall_mark, "
            "or declare one service for each port",
        )
    elif ports[0] is None:
        reader.wrong("ports[0]", "a port is missing")


def _port(reader: Reader) -> Any:
    ports = reader.get("ports")
    return ports[0] if isinstance(ports, list) and ports else None


def _persistence_of(value: Any, family: int, vips: Sequence[Vip]) -> Any:
    """A netmask belongs to one family: where a service has both, a dotted one is IPv4's, and the other keeps single clients."""
    both = len({of for of, _text in vips}) == 2
    if both and isinstance(value, dict) and value.get("netmask") is not None and ("." in str(value["netmask"])) != (family == 4):
        return {key: item for key, item in value.items() if key != "netmask"}
    return value


def _operators_path(path: str, prefix: str, hosts: list[tuple[str, str]]) -> str:
    """A path into the table's words, turned into one the operator wrote."""
    rest = path[len(prefix) :]
    if rest.startswith(".destinations["):
        index, _bracket, field = rest[len(".destinations[") :].partition("].")
        host = hosts[int(index.rstrip("]"))][0]
        if field in ("address", "port", "weight"):
            return "hosts[%s].real_server_%s" % (host, field)
        return "%s (real server %s)" % (prefix, host)
    if rest == ".port":
        return prefix + ".ports[0]"
    return path
