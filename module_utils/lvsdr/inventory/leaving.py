# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What directors hold in their tables that is not declared any more, and how it leaves. Pure.

A table here is a list of services as ipvs_info and lvs_preflight return them: in the words of ipvs_table's options, each destination with
``active`` and ``inactive`` connections.

What the inventory does not name any more leaves in two steps, and the state of it is in the tables alone: first its weight becomes 0, so
that no new connection goes there, and once no running one is left on any director it is removed. Both steps are what this module says of
the tables of that moment, so a rollout that ended between them is finished by the next one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.inventory.check_paths import is_check_mark
from ansible.module_utils.lvsdr.inventory.ports import words
from ansible.module_utils.lvsdr.inventory.types import Leaving, VirtualService
from ansible.module_utils.lvsdr.ipvs.describe import CONNECTION_COUNTS, destination_keys, held_destinations, key_name, table_key
from ansible.module_utils.lvsdr.ipvs.plan import live

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible.module_utils.lvsdr.inventory.types import TableKey

    Table = list[dict[str, Any]]


@dataclass
class _Member:
    """A destination that leaves: the most that any director says of it counts."""

    # In the words of ipvs_table's options.
    plain: dict[str, Any]
    weight: int = 0
    connections: int = 0


@dataclass
class _Held:
    """What of a service leaves."""

    # The service as a director has it, in the words of ipvs_table's options without destinations.
    options: dict[str, Any]
    # By address and port.
    members: dict[tuple[str, int | None], _Member] = field(default_factory=dict)


def with_leaving(
    services: Sequence[VirtualService], tables: Mapping[str, Table], cut: int = 0, names: Mapping[str | None, str] | None = None
) -> tuple[VirtualService, ...]:
    """The resolved services, each with ``leaving``: what directors hold of it that is not declared, and that can't go yet.

    A leaving destination is in the service's table with weight 0. A service that is absent, or not declared at all on a declared VIP, stays
    in the list with nothing but what leaves it, and without ``absent``, as long as that is something.
    tables: {director: table}. cut: running connections that may be cut, all together. names: {address: host}, for messages.
    """
    # A VIP without a service of its own any more still belongs to the instance of the others.
    vips = {vip: service for service in services for vip in service.vips}
    found = _found(services, tables, vips)
    leaving = [one for held in found.values() for one in held.members.values()]
    # Only what takes no newcomers any more is looked at: what still does first has its turn to drain.
    left = sum(one.connections for one in leaving if not one.weight)
    for held in found.values():
        for destination_key, one in list(held.members.items()):
            if not one.weight and (not one.connections or left <= cut):
                del held.members[destination_key]
    for service in services:
        if not service.balanced:
            found.pop(service.table_key, None)
    out = [_leaving(service, found.pop(service.table_key, None), names or {}) for service in services]
    for key, held in sorted(found.items(), key=lambda item: key_name(item[0])):
        if held.members:
            # No firewall mark, which does not say of which VIP it is.
            _mark, _family, address, protocol, port = key
            neighbour = vips[address]
            service = VirtualService(
                name="%s, not declared any more" % key_name(key), mode="dr", family=neighbour.family, vips=(address,),
                instance=neighbour.instance, options={}, absent=True, key=(neighbour.family, protocol, address, port),
            )  # fmt: skip
            out.append(_leaving(service, held, names or {}))
    return tuple(out)


def _found(services: Iterable[VirtualService], tables: Mapping[str, Table], vips: Mapping[str, VirtualService]) -> dict[TableKey, _Held]:
    """{service's key: what directors hold of it and nobody declares}. vips: those that are declared."""
    # The destinations that stay; an absent service has none.
    stays = {service.table_key: destination_keys(service.table()) for service in services}
    found: dict[TableKey, _Held] = {}
    for table in tables.values():
        for there in table:
            key = table_key(there)
            if is_check_mark(key[0]) or (key not in stays and key[2] not in vips):
                continue
            for destination in there["destinations"]:
                if (destination["address"], destination.get("port", there.get("port", 0))) not in stays.get(key, ()):
                    _note(found, key, there, destination)
    return found


def _note(found: dict[TableKey, _Held], key: TableKey, there: dict[str, Any], destination: dict[str, Any]) -> None:
    """Adds a destination of one director's table to what leaves."""
    options = {name: value for name, value in there.items() if name not in ("destinations", *CONNECTION_COUNTS)}
    held = found.setdefault(key, _Held(options))
    plain = {name: value for name, value in destination.items() if name not in CONNECTION_COUNTS}
    running = live(there.get("protocol"), (destination["active"], destination["inactive"]))
    one = held.members.setdefault((destination["address"], destination.get("port")), _Member(plain))
    one.weight = max(one.weight, destination["weight"])
    one.connections = max(one.connections, running)


def _leaving(service: VirtualService, held: _Held | None, names: Mapping[str | None, str]) -> VirtualService:
    if held is None or not held.members:
        return service
    members = list(held.members.values())
    leaving = tuple(Leaving({**one.plain, "weight": 0}, names.get(one.plain["address"]), one.connections) for one in members)
    if not service.absent:
        return dataclasses.replace(service, leaving=leaving)
    # As the table has it: a declaration with state: absent need not say how the service was.
    return dataclasses.replace(
        service, options=held.options, mode=members[0].plain.get("forward", "dr"), absent=False, retiring=True, servers=(),
        health_check=None, stream=None, leaving=leaving,
    )  # fmt: skip


def leaving_lines(services: Iterable[VirtualService]) -> list[str]:
    """What leaves, in lines: ``streaming3 (198.51.100.23) of http, tcp 198.51.100.100:80: 3 connections``."""
    return [
        "%s of %s: %s"
        % (
            "%s (%s)" % (one.host, one.address) if one.host else one.address,
            service.name if "," in service.name else "%s, %s" % (service.name, words(service.ports) or key_name(service.table_key)),
            "%d connection%s" % (one.connections, "s"[: one.connections != 1]),
        )
        for service in services
        for one in service.leaving
    ]


def going(services: Iterable[VirtualService], tables: Mapping[Any, Table]) -> int:
    """How many destinations directors hold on declared VIPs that nothing keeps there: the next rollout removes them."""
    wanted: dict[TableKey, set[tuple[str, int]]] = {}
    for service in services:
        wanted.setdefault(service.table_key, set()).update(destination_keys(service.table()))
    vips = {vip for service in services for vip in service.vips}
    return sum(
        len(destination_keys(there) - wanted.get(key, set()))
        for table in tables.values()
        for there in table
        for key in [table_key(there)]
        if not is_check_mark(key[0]) and (key in wanted or key[2] in vips)
    )


def leaving_connections(services: Iterable[VirtualService], table: Table) -> int:
    """How many running connections one director's table has to what leaves."""
    total, found = 0, held_destinations({"services": table})
    for service in services:
        for one in service.leaving:
            there = found.get((service.table_key, one.address))
            if there:
                total += live(service.options.get("protocol"), (there["active"], there["inactive"]))
    return total
