# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The page of the console as a file, to attach to a ticket: from what a console knows, or from one read of the directors. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.console import page
from ansible.module_utils.lvsdr.console.state import state
from ansible.module_utils.lvsdr.directors import console
from ansible.module_utils.lvsdr.inventory.hosts import facts_of, on_links

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.lvsdr.inventory.types import Inventory, Resolved

NOTHING = {"who": "", "why": "", "since": None}
LESS: dict[str, Any] = {"behind": False, "front": "", "waf": None, "findings": [], "certificate_ends": None}


def html(resolved: Resolved, inventory: Inventory, found: Mapping[str, Mapping[str, Any]], now: float) -> str:
    """The document. found: {director: {"info": what ipvs_info returned with counters, or None, "state": what its console knows, or None}}.

    What a console knows has history, events and what servers send, and that of the active director is asked first.
    """
    known = [one["state"] for one in found.values() if one["state"]]
    known.sort(key=lambda one: not any(director["active"] for director in one["directors"] if director["name"] == one["director"]))
    made: dict[str, Any] = {**known[0], "actions": False} if known else _read(resolved, inventory, found, now)
    # A console that no rollout has reached since an upgrade says less.
    return page.page({**made, "services": [{**LESS, **service} for service in made["services"]]}, live=False)


def _read(resolved: Resolved, inventory: Inventory, found: Mapping[str, Mapping[str, Any]], now: float) -> dict[str, Any]:
    """The same without a console: what is known of this moment."""
    first = next(iter(found), "")
    settings = {"port": places.CONSOLE_PORT, "actions": False, "names": []}
    config = console.console(resolved, first, inventory, settings)
    return state(config, {name: _look(inventory, name, one["info"]) for name, one in found.items()}, {}, now)


def _look(inventory: Inventory, director: str, info: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What ipvs_info returned as a look (console/look.py)."""
    if info is None:
        return None
    facts, services = facts_of(inventory, director), {}
    for service in info["services"]:
        usual, key = service.get("port", 0), console.key_of(service)
        destinations = {(one["address"], one.get("port", usual)): {"port": usual, **one} for one in service["destinations"]}
        services[key] = {
            "words": key, "scheduler": service["scheduler"], "counters": service.get("counters") or {}, "destinations": destinations
        }  # fmt: skip
    held = info.get("weight_notes") or {}
    checks = info.get("stream_checks")
    return {
        "services": services, "sync": sorted(one["state"] for one in info.get("sync_daemons") or ()),
        "files": {name: held.get(name, NOTHING) for name in info.get("weight_files") or ()}, "checks": checks or [],
        "checks_age": None if checks is None else 0.0, "addresses": [str(address.ip) for address in on_links(facts)],
        "keepalived": bool((facts.get("keepalived") or {}).get("running")), "config": "",
    }  # fmt: skip
