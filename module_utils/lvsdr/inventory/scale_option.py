# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many real servers a service has by its load: the option scale. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.errors import shown
from ansible.module_utils.lvsdr.inventory import messages
from ansible.module_utils.lvsdr.inventory.servers import is_spare

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.inventory.servers import Hosts
    from ansible.module_utils.lvsdr.inventory.types import Inventory
    from ansible.module_utils.lvsdr.reader import Reader

# What one server may carry, of which at least one is given.
TARGETS = ("connections", "egress_mbit", "busy")
SCALE_FIELDS = ("min", "max", *TARGETS, "down_after", "step")


def read_scale(reader: Reader, hosts: Hosts, inventory: Inventory) -> dict[str, Any] | None:
    """{"min", "max", "connections", "egress_mbit", "busy", "down_after", "step"} (fleet/scaling.py), or None."""
    value = reader.get("scale")
    if value is None:
        return None
    if not isinstance(value, dict):
        reader.wrong("scale", messages.SCALE_NOT_A_DICT(value=shown(value)))
        return None
    inner = reader.inner("scale", value)
    inner.known(SCALE_FIELDS)
    always = sum(not is_spare(inventory, host) for host, _path in hosts)
    out: dict[str, Any] = {
        # The others than spares are never parked.
        "min": inner.integer("min", max(1, always), 1, 65535),
        "max": inner.integer("max", max(1, len(hosts)), 1, 65535),
        "connections": inner.integer("connections", 0, 1, 10**9) if inner.get("connections") is not None else None,
        "egress_mbit": inner.integer("egress_mbit", 0, 1, 10**7, " Mbit/s") if inner.get("egress_mbit") is not None else None,
        "busy": inner.integer("busy", 0, 1, 100, " percent") if inner.get("busy") is not None else None,
        "down_after": inner.integer("down_after", 1200, 0, 604800, " seconds"),
        "step": inner.integer("step", 60, 1, 86400, " seconds"),
    }
    if all(inner.get(name) is None for name in TARGETS):
        inner.wrong("", messages.SCALE_WITHOUT_TARGET(names=", ".join(TARGETS)))
    if out["max"] < out["min"]:
        inner.wrong("max", messages.SCALE_MAX_BELOW_MIN(most=out["max"], least=out["min"]))
    return out
