# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who takes part in a rehearsal, what is broken, and what is refused before anything is touched. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.errors import LvsError, listed, shown
from ansible.module_utils.lvsdr.fleet import faults, messages, proofs
from ansible.module_utils.lvsdr.inventory.hosts import macs
from ansible.module_utils.lvsdr.places import DIRECTORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.lvsdr.fleet.faults import Fault
    from ansible.module_utils.lvsdr.inventory.types import Inventory, Resolved


@dataclass(frozen=True)
class Scene:
    """Who takes part, and in what."""

    resolved: Resolved
    # {mac: host}
    names: Mapping[str, str]
    directors: tuple[str, ...]
    viewer: str
    # Sees who owns the VIPs.
    sampler: str
    # One of proofs.streams.
    stream: Mapping[str, Any]
    # The path of something long behind the VIP, or nothing.
    download: str
    faults: tuple[Fault, ...]
    # {host: {"off": words of a command on this machine, "on": …}}
    power: Mapping[str, Mapping[str, list[str]]]
    # What runs a playbook of ours from here: words of a command, to which its path is added; and the folder of the playbooks.
    player: tuple[str, ...]
    playbooks: str
    # The folder in which commands on this machine are run.
    folder: str
    confirmed: bool


def read(resolved: Resolved, inventory: Inventory, variables: Mapping[str, Mapping[str, Any]], options: Mapping[str, Any]) -> Scene:
    """Who takes part, or an LvsError where nothing can be rehearsed.

    variables: {host: its variables}, of which a few are read; options: those of the action, and check_mode, player, playbooks and folder.
    """
    groups = inventory["groups"]
    # A server is among what fails.
    streams = [one for one in proofs.streams(resolved.services) if one["servers"]]
    if not streams or not groups.get("viewers") or not groups.get("routers"):
        raise LvsError(messages.REHEARSAL_NEEDS_WATCHERS())
    if options["service"] is not None:
        known_services = list(dict.fromkeys(one["name"] for one in streams))
        streams = [one for one in streams if one["name"] == options["service"]]
        if not streams:
            raise LvsError(messages.REHEARSAL_SERVICE_UNKNOWN(name=shown(options["service"]), known=listed(known_services)))
    stream, directors, viewer = streams[0], groups[DIRECTORS], groups["viewers"][0]
    known = faults.faults(stream, dict(variables[stream["servers"][0]]), options["seconds"], options["boot_seconds"])
    return Scene(
        resolved=resolved,
        names=macs(inventory),
        directors=tuple(directors),
        viewer=viewer,
        sampler=groups["routers"][0],
        stream=stream,
        download=variables[viewer].get("rehearse_download") or "",
        faults=_chosen(known, options["only"], options["check_mode"]),
        power={host: _power(host, variables[host]) for host in (*directors, stream["servers"][0])},
        player=tuple(options["player"]),
        playbooks=options["playbooks"],
        folder=options["folder"],
        confirmed=options["confirmed"] or all("lab_kind" in variables[director] for director in directors),
    )


def _chosen(known: tuple[Fault, ...], only: list[str] | None, check_mode: bool) -> tuple[Fault, ...]:
    """The faults that were asked for, in their own order."""
    if check_mode:
        raise LvsError(messages.REHEARSAL_IN_CHECK_MODE())
    names = [fault.name for fault in known]
    # An empty name between two commas is not a fault either: an empty variable must not mean all of them.
    asked = names if only is None else [name.strip() for name in only]
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise LvsError(messages.REHEARSAL_FAULT_UNKNOWN(names=listed(unknown) or "an empty name", known=", ".join(names)))
    return tuple(fault for fault in known if fault.name in asked)


def _power(host: str, variables: Mapping[str, Any]) -> dict[str, list[str]]:
    """{"off": words of the command, "on": …}, as far as they are declared."""
    out = {}
    for way in ("off", "on"):
        name = "rehearse_power_%s" % way
        if name in variables:
            try:
                out[way] = shlex.split(str(variables[name]))
            except ValueError:  # it may hold a password, so the message does not show it
                raise LvsError(messages.REHEARSAL_COMMAND_INVALID(name=name, host=host))
    return out
