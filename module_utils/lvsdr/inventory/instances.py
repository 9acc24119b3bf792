# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The VRRP instances of directors. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Optional

from ansible.module_utils.lvsdr import messages as common
from ansible.module_utils.lvsdr.errors import shown
from ansible.module_utils.lvsdr.inventory import messages, paths
from ansible.module_utils.lvsdr.inventory.director_settings import PRIORITY, VIRTUAL_ROUTER_ID
from ansible.module_utils.lvsdr.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible.module_utils.lvsdr.errors import Problems
    from ansible.module_utils.lvsdr.inventory.types import VirtualService

    # (router id, priority, active director or None)
    Settings = tuple[int, int, Optional[str]]

# The VRRP instance of services that name none; its router id and priorities are the director's own.
INSTANCE = "lvsdr"
INSTANCE_NAME = "[A-Za-z0-9._-]{1,40}"
# Of a further instance: its active director's, and the others'.
PRIORITIES = (150, 100)


def instances(
    services: Iterable[VirtualService], director: str, variables: dict[str, Any], directors: Sequence[str], problems: Problems
) -> list[dict[str, Any]]:
    """The VRRP instances of a director: [{"name", "vips", "gateways", "virtual_router_id", "priority", "active"}, …], those without a VIP
    left out. gateways: those of NAT, which have to be where the VIPs are.

    variables: with director_virtual_router_id and director_priority, of the instance INSTANCE, and director_instances, of the others:
    ``{name: {virtual_router_id: 52, active: director2}}``.
    """
    settings = _declared(Reader(problems, paths.of_host(director), variables), director, directors)
    unknown: set[str] = set()
    vips: dict[str, dict[str, None]] = {}
    gateways: dict[str, dict[str, None]] = {}
    for service in services:
        name = service.instance
        if service.absent or name in unknown:
            continue
        if name in settings:
            vips.setdefault(name, {}).update(dict.fromkeys(service.vips))
            gateways.setdefault(name, {}).update({service.gateway: None} if service.gateway else {})
        else:
            problems.add(service.path + ".instance", messages.INSTANCE_UNKNOWN(instance=name))
            unknown.add(name)
    out = []
    for name, addresses in vips.items():
        router_id, priority, active = settings[name]
        out.append(
            {
                "name": name, "vips": list(addresses), "gateways": list(gateways[name]), "virtual_router_id": router_id,
                "priority": priority, "active": active,
            }
        )  # fmt: skip
    return out


def _declared(values: Reader, director: str, directors: Sequence[str]) -> dict[str, Settings]:
    """{name: (router id, priority, active director or None)} of all instances that a director's variables have."""
    declared = values.get("director_instances", {})
    if not isinstance(declared, dict):
        example = "{radio: {virtual_router_id: 52, active: director2}}"
        values.wrong("director_instances", common.NOT_A_DICTIONARY_LIKE(example=example, value=shown(declared)))
        declared = {}
    settings: dict[str, Settings] = {
        INSTANCE: (
            values.integer("director_virtual_router_id", VIRTUAL_ROUTER_ID, 1, 255),
            # A director that is drained has 1.
            values.integer("director_priority", PRIORITY, 2, 254),
            None,
        )
    }
    for name, item in declared.items():
        if not isinstance(name, str) or not re.fullmatch(INSTANCE_NAME, name):
            values.wrong("director_instances", messages.NOT_AN_INSTANCE_NAME(value=shown(name)))
            continue
        path = "director_instances.%s" % name
        if name == INSTANCE:
            values.wrong(path, messages.DEFAULT_INSTANCE())
            continue
        if not isinstance(item, dict):
            example = "{virtual_router_id: 52, active: director2}"
            values.wrong(path, common.NOT_A_DICTIONARY_LIKE(example=example, value=shown(item)))
            continue
        inner = values.inner(path, item)
        inner.known(("virtual_router_id", "active"))
        if inner.get("virtual_router_id") is None:
            inner.wrong("virtual_router_id", messages.VIRTUAL_ROUTER_ID_MISSING())
        number = inner.integer("virtual_router_id", 1, 1, 255)
        for other, (taken, _priority, _active) in settings.items():
            if taken == number:
                inner.wrong("virtual_router_id", messages.VIRTUAL_ROUTER_ID_TAKEN(number=number, other=other))
        active = inner.choice("active", directors[0] if directors else "", tuple(directors))
        settings[name] = number, PRIORITIES[active != director], active
    return settings
