# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which hosts an upgrade does, in which order and how many at a time. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.directors import drains, holders
from ansible.module_utils.lvsdr.errors import LvsError, listed
from ansible.module_utils.lvsdr.fleet import messages
from ansible.module_utils.lvsdr.inventory.hosts import facts_of
from ansible.module_utils.lvsdr.places import DIRECTORS, drain_file

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ansible.module_utils.lvsdr.inventory.types import Inventory, VirtualService


def plan(
    services: Sequence[VirtualService],
    inventory: Inventory,
    names: object,
    share: object,
    done: Collection[str] = (),
    drained: Collection[str] = (),
) -> dict[str, Any]:
    """``{"servers": [host], "directors": [host], "at_once": number, "done": [host], "kept": [host]}``: what is still to do, in order.

    names: hosts and groups, with commas between them or as a list; all real servers by default. share: how many of the real servers are
    out at a time, as a number of 1 or more or as a part of all, less than 1. done, drained: what an upgrade that did not end has done, and
    what it has drained. One that is drained comes first; of directors those that hold no VIP do. kept: those that an operator or the
    inventory has drained, and that stay so. LvsError where a name is unknown, or a server can't be drained by a file.
    """
    directors = inventory["groups"].get(DIRECTORS, [])
    # A sorry server is nobody's real server, and has to serve at any time.
    servers = list(dict.fromkeys(host for service in services for host in service.hosts))
    wanted = _wanted(names, inventory, directors, servers)
    left = [name for name in wanted if name not in done]
    lines = drains.not_drainable(services, [name for name in wanted if name in servers]) if set(wanted) & set(servers) else []
    if lines:
        raise LvsError(messages.UPGRADE_NOT_DRAINABLE(why="; ".join(lines)))
    held = {file for name in directors for file in drains.kept(inventory, name)}
    ours = sorted((name for name in left if name in servers), key=lambda name: drain_file(name) not in held)
    theirs = [name for name in left if name in directors]
    theirs.sort(key=lambda name: (holders.holds_vip(services, facts_of(inventory, name)), directors.index(name)))
    declared = {host for service in services for host in service.drained}
    return {
        "servers": ours, "directors": theirs, "at_once": _at_once(share, len([name for name in wanted if name in servers])),
        "done": [name for name in wanted if name in done],
        "kept": [name for name in left if name in declared or (drain_file(name) in held and name not in drained)],
    }  # fmt: skip


def _wanted(names: object, inventory: Inventory, directors: Collection[str], servers: Collection[str]) -> list[str]:
    given = names.split(",") if isinstance(names, str) else list(names) if isinstance(names, (list, tuple)) else []
    given = [str(name).strip() for name in given]
    out: dict[str, None] = {}
    for name in [name for name in given if name] or servers:
        members = [name] if name in inventory["hosts"] else inventory["groups"].get(name, [])
        ours = [one for one in members if one in servers or one in directors]
        if not ours:
            raise LvsError(messages.UPGRADE_HOST_UNKNOWN(name=name, names=listed([*servers, *directors])))
        out.update(dict.fromkeys(ours))
    return list(out)


def _at_once(share: object, count: int) -> int:
    """So many of the servers at a time, at least one."""
    try:
        number = float(str(share))
    except ValueError:
        number = 0.0
    if not 0 < number <= 65535:
        raise LvsError(messages.UPGRADE_SHARE_INVALID(value=repr(share)))
    return max(1, int(number * count + 1e-9) if number < 1 else int(number))


def standing(found: dict[str, Any], failed: Sequence[str], task: str, why: str, done: Collection[str]) -> str:
    """Where an upgrade stands that was ended by a broken promise. found: what plan returned; failed: the hosts of that moment; done: those
    that are done by now."""
    left = [name for name in found["servers"] + found["directors"] if name not in failed and name not in done]
    return str(
        messages.UPGRADE_STOPPED(
            task=task, hosts=" and ".join(failed), why=why.strip() or "see above", names=",".join(failed),
            done=" and ".join(done) or "none", left=" and ".join(left) or "none",
        )
    )  # fmt: skip
