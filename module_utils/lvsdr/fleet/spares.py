# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which spares are woken and which are parked for a number of real servers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.errors import LvsError, listed
from ansible.module_utils.lvsdr.fleet import capacity, messages
from ansible.module_utils.lvsdr.places import drain_file, spare_file
from ansible.module_utils.lvsdr.text import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible.module_utils.lvsdr.inventory.types import RealServer, VirtualService

    Infos = Mapping[str, Mapping[str, Any]]


def plan(services: Sequence[VirtualService], infos: Infos, name: object, wanted: object) -> dict[str, Any]:
    """What it takes to have so many real servers of a service in service:

    ``{"wake": [host], "park": [host], "before": number, "after": number, "also": [service]}``; also: the other services of these spares.
    infos: {director: what ipvs_info returned}. Spares are woken in the order of their group, those that their checks hold down last, and
    parked in the opposite one. A spare about which directors disagree, as after a run that ended in the middle, counts as awake, and is
    woken or parked on all of them. LvsError where that number is not possible.
    """
    service = named(services, name)
    number = whole_number(wanted)
    if number is None:
        raise LvsError(messages.SCALE_NOT_A_NUMBER(value=repr(wanted)))
    down, fit = _down(service, infos), _fit(service, infos)
    said = {one.host: [spare_file(one.host) in (info.get("weight_files") or ()) for info in infos.values()] for one in fit if one.spare}
    parked = [host for host, parked_there in said.items() if all(parked_there)]
    awake = [host for host in said if host not in parked]
    (least, most), before = room(service, infos), len(fit) - len(parked)
    if not least <= number <= most:
        raise LvsError(messages.SCALE_OUT_OF_RANGE(value=number, service=service.name, least=least, most=most, spares=len(awake + parked)))
    wake = sorted(parked, key=lambda host: host in down)[: max(0, number - before)]
    # Those that serve nobody anyway go first, then the one that was woken last.
    park = sorted(awake, key=lambda host: (host not in down, -awake.index(host)))[: max(0, before - number)]
    wake += [host for host in awake if any(said[host]) and host not in park]
    lines = capacity.refused(services, infos, park, growth=float("inf"))
    if lines:
        raise LvsError(messages.SCALE_REFUSED(why="; ".join(lines)))
    changed = set(wake + park)
    also = [one.name for one in services if one.name != service.name and changed.intersection(one.hosts)]
    return {"wake": wake, "park": park, "before": before, "after": number, "also": list(dict.fromkeys(also))}


def room(service: VirtualService, infos: Infos) -> tuple[int, int]:
    """The least and the most real servers that a service can have in service now."""
    fit = _fit(service, infos)
    return max(1, sum(not one.spare for one in fit)), len(fit)


def named(services: Sequence[VirtualService], name: object) -> VirtualService:
    """The service of that name; LvsError where there is none. One on several VIPs has the same real servers on each."""
    there = [service for service in services if not service.absent and not service.retiring]
    found = next((service for service in there if service.name == name), None)
    if found is None:
        raise LvsError(messages.SCALE_SERVICE_UNKNOWN(value=repr(name), names=listed(dict.fromkeys(service.name for service in there))))
    return found


def _fit(service: VirtualService, infos: Infos) -> list[RealServer]:
    """The real servers that nobody has drained."""
    files = weight_files(infos)
    return [one for one in service.real_servers if one.weight and not one.drained and drain_file(one.host) not in files]


def weight_files(infos: Infos) -> set[str]:
    """What takes a weight on any director."""
    return {name for info in infos.values() for name in info.get("weight_files") or ()}


def _down(service: VirtualService, infos: Infos) -> set[str]:
    """The real servers that a check holds down, as a stream check says, or a weight of 0 that no file takes."""
    checks = (one for info in infos.values() for one in info.get("stream_checks") or ())
    names = {service.check_name(index) for index in range(len(service.checks))}
    out = {one["server"] for one in checks if one["service"] in names and one["state"] == "down"}
    for info in infos.values():
        out |= {one.host for one in capacity.meant(service, info)} - set(capacity.serving(service, info))
    return out
