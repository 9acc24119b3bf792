# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all playbooks need of an inventory, computed once for all hosts: plain data, of which each task takes its own. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.directors import console
from ansible.module_utils.lvsdr.errors import Problems
from ansible.module_utils.lvsdr.fleet import ports, proofs, rollout
from ansible.module_utils.lvsdr.inventory import director_settings, leaving, needs, resolve, types, views
from ansible.module_utils.lvsdr.inventory.hosts import facts_of, host_address, is_declared, own_addresses
from ansible.module_utils.lvsdr.places import DIRECTORS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ansible.module_utils.lvsdr.inventory.types import Inventory, Resolved, VirtualService


def model(
    virtual_services: Any,
    inventory: Inventory,
    done: dict[str, dict[str, Any]] | None = None,
    preflight: bool = False,
    hosts: Collection[str] | None = None,
    only: Collection[str] | None = None,
) -> dict[str, Any]:
    """The model as a dict:

    ``inventory``, ``services`` (resolved, with their checks: types.to_data), ``ready`` (the same without real servers that may not hold
    their VIPs), ``real_servers`` (names), ``streaming_servers`` and ``proxies`` (those whose nginx, or HAProxy, lvsdr manages),
    ``certificates`` ({proxy: {path there: file on the controller}}), ``former_proxies`` (those whose HAProxy nobody needs any more),
    ``hosts`` ({name: what it is asked for and given}), ``differ`` (real servers that are not as declared), ``stale`` ({real server:
    VIPs that it holds and that are not declared any more}), ``stale_paths`` ({real server: return paths that it has, and neither the
    inventory nor a director needs}), ``retiring`` (real servers with anything that is not declared), ``stale_devices`` (real servers
    with tunnel devices of which that is true), ``rolled_out`` (real servers that are as declared, now or by this run), ``unproven``
    (those that take viewers and are not among these), ``askers`` and ``stranger`` (fleet/proofs.py), ``leaving`` (lines), ``going`` (a
    number).

    done: {host: {"__real_server_vip", …: what the rollout has registered}}. preflight: LvsError with every error that
    can be seen before anything is touched, and not only those of virtual_services. hosts: those that take part in this run. only: the real
    servers that this run is about, by default all: ``real_servers`` and what is said of them are of these alone.
    """
    done = done or {}
    if preflight:
        _refuse(rollout.preflight(virtual_services, inventory, hosts))
    resolved = resolve.resolve(virtual_services, inventory)
    services = resolved.services
    names = [name for name in needs.group_members(virtual_services, inventory["groups"]) if only is None or name in only]
    states = {name: _state(inventory, done, name) for name in names}
    rolled_out = [name for name in names if states[name] is not None]
    read = any(facts_of(inventory, name) for name in inventory["groups"].get(DIRECTORS) or ())
    ready = rollout.ready(resolved, inventory, rolled_out)
    return {
        **_stale(names, states, done, services, inventory),
        "inventory": inventory,
        "services": types.to_data(resolved),
        "ready": types.to_data(ready),
        "real_servers": names,
        "hosts": _hosts(virtual_services, resolved, inventory, names),
        "differ": [name for name in names if not as_declared(facts_of(inventory, name)) and "lacks" not in _variables(inventory, name)],
        **_programs(virtual_services, inventory, names, {one.host for service in services for one in service.leaving}),
        "rolled_out": rolled_out,
        "unproven": [name for name in views.real_servers(ready.services) if name not in set(rolled_out)],
        "askers": proofs.askers(services, inventory) if read else [],
        "stranger": proofs.stranger(resolved, inventory),
        "leaving": leaving.leaving_lines(services),
        "going": rollout.going(services, inventory),
    }


def _refuse(lines: list[str]) -> None:
    problems = Problems()
    problems.found += lines
    problems.raise_if_any("The inventory can't be used")


def _programs(virtual_services: Any, inventory: Inventory, names: Sequence[str], leave: Collection[str | None]) -> dict[str, Any]:
    """The hosts on which lvsdr manages a program. leave: those that directors still send viewers to."""
    proxied = needs.proxies(virtual_services, inventory["groups"])
    streaming = [name for name in names if _variables(inventory, name).get("streaming_server_kind") is not None]
    certificates = {host: needs.certificates_brought(services) for host, services in proxied.items()}
    directors = inventory["groups"].get(DIRECTORS)
    return {
        "streaming_servers": streaming,
        "proxies": [name for name in (*(directors or ()), *names) if name in proxied],
        "certificates": certificates,
        "former_proxies": [
            name for name in (*(directors or ()), *names) if name not in proxied and name not in leave and runs_haproxy(inventory, name)
        ],
    }


def runs_haproxy(inventory: Inventory, name: str) -> bool:
    """Whether a host runs HAProxy with files that lvsdr has put in force."""
    unit = ((facts_of(inventory, name).get("seen") or {}).get("units") or {}).get("haproxy") or {}
    return bool(unit.get("active") and unit.get("drop_in"))


def _variables(inventory: Inventory, name: str) -> dict[str, Any]:
    return inventory["hosts"].get(name, {})


def _stale(
    names: Sequence[str],
    states: dict[str, list[str] | None],
    done: dict[str, dict[str, Any]],
    services: Sequence[VirtualService],
    inventory: Inventory,
) -> dict[str, Any]:
    """What real servers have of earlier rollouts and nobody needs; ``retiring`` are those with anything that is not declared, whether a
    director needs it or not."""
    declared = views.endpoints(services)
    retiring = {name for name, state in states.items() if state} | set(rollout.stale_devices(done, inventory, declared))
    return {
        "retiring": sorted(retiring | {name for name in names if rollout.undeclared_paths(name, done, inventory)}),
        "stale": {name: state for name, state in states.items() if state},
        "stale_paths": rollout.stale_paths(names, done, inventory),
        "stale_devices": rollout.stale_devices(done, inventory, endpoints(services, inventory)),
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


def endpoints(services: Sequence[VirtualService], inventory: Inventory) -> dict[str, list[dict[str, Any]]]:
    """{host: the ``endpoints`` of tunnel_endpoint}: those that are declared, and those that directors still send to."""
    out = views.endpoints(services)
    for host, found in rollout.still_tunnelled(inventory).items():
        out[host] = out.get(host, []) + [one for one in found if one not in out.get(host, [])]
    return out


def endpoint_sources(inventory: Inventory) -> list[str]:
    """What packets in tunnels may come from: the directors' own addresses. VIPs are none of them: keepalived adds those of IPv6 so that the
    kernel never chooses them, and a real server holds them itself."""
    out: set[str | None] = set()
    for director in inventory["groups"].get(DIRECTORS) or ():
        facts = facts_of(inventory, director)
        for family in (4, 6):
            out |= {host_address(inventory["hosts"].get(director, {}), family), *own_addresses(facts, family)}
    return sorted(address for address in out if address)


def _hosts(virtual_services: Any, resolved: Resolved, inventory: Inventory, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """{host: {"director", "scripts", …, "vips", "listeners", "ports"}}: the options of lvs_preflight.

    vips is None where a host is not a real server, or where that is not known before it was read.
    """
    services = resolved.services
    vips: dict[str, list[str]] = {**{name: [] for name in names}, **views.vips_of_hosts(services)}
    listeners, back, ends = proofs.listeners(services), views.return_paths(services), endpoints(services, inventory)
    sources, replies = endpoint_sources(inventory), views.replies(services)
    counters = views.counters(services) if director_settings.has_console(inventory) else {}
    needed = ports.needed(resolved, inventory)
    for name in names:
        # An address that comes from facts, and what has to answer there, is known only then.
        if not inventory.get("read", True) and not is_declared(inventory["hosts"].get(name, {})):
            del vips[name]
            listeners.pop(name, None)
    directors = inventory["groups"].get(DIRECTORS) or ()
    proxied = needs.proxies(virtual_services, inventory["groups"])
    of_directors: dict[str, list[str]] = {
        "scripts": needs.scripts(virtual_services), "accounts": needs.accounts(virtual_services),
        "kernel_modules": needs.modules_wanted(virtual_services),
    }  # fmt: skip
    nothing: dict[str, list[str]] = {name: [] for name in of_directors}
    return {
        host: {
            "director": host in directors, **(of_directors if host in directors else nothing),
            "files": needs.files_needed(virtual_services, host in directors, variables, proxied.get(host, ())),
            "vips": vips.get(host), "listeners": listeners.get(host, []), "return_paths": back.get(host, []),
            "replies": replies.get(host, []),
            "endpoints": ends.get(host, []), "endpoint_sources": sources if host in ends else [],
            "counters": counters.get(host, []), "counter_sources": sources if host in counters else [],
            "consoles": console.asking(inventory, host) if host in proxied else [],
            "ports": needed.get(host, []), "misplaced": variables.get("real_server_misplaced") or "move",
        }
        for host, variables in inventory["hosts"].items()
    }  # fmt: skip
