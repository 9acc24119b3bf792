# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all playbooks need of an inventory, computed once for all hosts: plain data, of which each task takes its own. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.errors import Problems
from ansible.module_utils.lvsdr.fleet import proofs, rollout
from ansible.module_utils.lvsdr.inventory import leaving, needs, resolve, types, views
from ansible.module_utils.lvsdr.inventory.hosts import facts_of, is_declared
from ansible.module_utils.lvsdr.places import DIRECTORS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ansible.module_utils.lvsdr.inventory.types import Inventory, VirtualService


def model(
    virtual_services: Any,
    inventory: Inventory,
    done: dict[str, dict[str, Any]] | None = None,
    preflight: bool = False,
    hosts: Collection[str] | None = None,
) -> dict[str, Any]:
    """The model as a dict:

    ``inventory``, ``services`` (resolved, with their checks: types.to_data), ``ready`` (the same without real servers that may not hold
    their VIPs), ``real_servers`` (names), ``streaming_servers`` (those whose program lvsdr manages), ``hosts`` ({name: what it is asked
    for and given}), ``differ`` (real servers that are not as declared), ``stale`` ({real server: VIPs that it holds and that are not
    declared any more}), ``rolled_out`` (real servers that are as declared, now or by this run), ``unproven`` (those that take viewers and
    are not among these), ``askers`` and ``stranger`` (fleet/proofs.py), ``leaving`` (lines), ``going`` (a number).

    done: {host: {"__real_server_vip": what the rollout has registered}}. preflight: LvsError with every error that can be seen before
    anything is touched, and not only those of virtual_services. hosts: those that take part in this run.
    """
    done = done or {}
    if preflight:
        problems = Problems()
        problems.found += rollout.preflight(virtual_services, inventory, hosts)
        problems.raise_if_any("The inventory can't be used")
    resolved = resolve.resolve(virtual_services, inventory)
    services = resolved.services
    names = needs.group_members(virtual_services, inventory["groups"])
    states = {name: _state(inventory, done, name) for name in names}
    rolled_out = [name for name in names if states[name] is not None]
    facts = {name: facts_of(inventory, name) for name in inventory["groups"].get(DIRECTORS) or ()}
    ready = rollout.ready(resolved, inventory, rolled_out)
    proven = set(rolled_out)
    return {
        "inventory": inventory,
        "services": types.to_data(resolved),
        "ready": types.to_data(ready),
        "real_servers": names,
        "hosts": _hosts(virtual_services, services, inventory, names),
        "differ": [
            name for name in names if not as_declared(facts_of(inventory, name)) and "lacks" not in inventory["hosts"].get(name, {})
        ],
        "stale": {name: state for name, state in states.items() if state},
        "streaming_servers": [name for name in names if inventory["hosts"].get(name, {}).get("streaming_server_kind") is not None],
        "rolled_out": rolled_out,
        "unproven": [name for name in views.real_servers(ready.services) if name not in proven],
        "askers": proofs.askers(services, inventory) if any(facts.values()) else [],
        "stranger": proofs.stranger(resolved, inventory),
        "leaving": leaving.leaving_lines(services),
        "going": rollout.going(services, inventory),
    }


def as_declared(facts: dict[str, Any]) -> bool:
    """Whether a real server was read, holds its VIPs in silence, has what makes them last, and its programs answer."""
    read: dict[str, Any] = facts.get("real_server") or {}
    return bool(read) and not read["differs"] and not read["unanswered"]


def _state(inventory: Inventory, done: dict[str, dict[str, Any]], name: str) -> list[str] | None:
    """The VIPs that a real server holds and that are not declared any more; None where it was neither as declared nor rolled out."""
    result: dict[str, Any] = done.get(name, {}).get("__real_server_vip") or {}
    facts = facts_of(inventory, name)
    stale: list[str] | None = None
    if "stale" in result:
        stale = result["stale"]
    elif as_declared(facts):
        stale = facts["real_server"]["stale"]
    return stale


def _hosts(
    virtual_services: Any, services: Sequence[VirtualService], inventory: Inventory, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """{host: {"director", "scripts", …, "vips", "listeners"}}: the options of lvs_preflight.

    vips is None where a host is not a real server, or where that is not known before it was read.
    """
    vips: dict[str, list[str]] = {**{name: [] for name in names}, **views.vips_of_hosts(services)}
    listeners = proofs.listeners(services)
    for name in names:
        # An address that comes from facts, and what has to answer there, is known only then.
        if not inventory.get("read", True) and not is_declared(inventory["hosts"].get(name, {})):
            del vips[name]
            listeners.pop(name, None)
    directors = inventory["groups"].get(DIRECTORS) or ()
    of_directors: dict[str, list[str]] = {
        "scripts": needs.scripts(virtual_services), "accounts": needs.accounts(virtual_services),
        "kernel_modules": needs.modules_wanted(virtual_services),
    }  # fmt: skip
    nothing: dict[str, list[str]] = {name: [] for name in of_directors}
    return {
        host: {
            "director": host in directors, **(of_directors if host in directors else nothing),
            "files": needs.files_needed(virtual_services, host in directors, variables),
            "vips": vips.get(host), "listeners": listeners.get(host, []), "misplaced": variables.get("real_server_misplaced") or "move",
        }
        for host, variables in inventory["hosts"].items()
    }  # fmt: skip
