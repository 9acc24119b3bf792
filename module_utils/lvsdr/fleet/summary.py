# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The last lines of a rollout: what it changed on each host, and which running connections that touched. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.places import STREAMCHECK_PROGRAM
from ansible.module_utils.lvsdr.text import aligned

if TYPE_CHECKING:
    from collections.abc import Mapping

# What the tasks of a rollout register, in their order.
REGISTERED = (
    "__streaming_server_files_done", "__streaming_server_units_done", "__real_server_vip", "__real_server_endpoints",
    "__real_server_counters", "__real_server_paths", "__director_files_done", "__director_table", "__director_units_done",
)  # fmt: skip
COLUMNS = ("host", "kept", "drained", "cut", "what changed")
# Steps of one host that are shown; -v shows all.
MOST_STEPS = 6


def summary(hosts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A table in lines: hosts with a change, and what their changes did to running connections.

    hosts: {host: {name of REGISTERED: result}}. Only a director's table has connections: those of services and destinations that were
    changed and kept, that take no new ones any more (drained), and that were cut.
    """
    rows, unchanged = [COLUMNS], []
    for host, results in sorted(hosts.items()):
        steps = _grouped([step for name in REGISTERED for step in _steps(results.get(name) or {})])
        if not steps:
            unchanged.append(host)
            continue
        more = ", and %d more" % (len(steps) - MOST_STEPS) if len(steps) > MOST_STEPS else ""
        rows.append((host, *_connections(results.get("__director_table") or {}), ", ".join(steps[:MOST_STEPS]) + more))
    if len(rows) == 1:
        return ["Nothing: all hosts are as declared, and no connection was touched"]
    return aligned(rows) + (["As declared before: %s" % ", ".join(unchanged)] if unchanged else [])


def _steps(result: Mapping[str, Any]) -> list[str]:
    return result.get("steps") or [one["text"] if isinstance(one, dict) else one for one in result.get("operations") or ()]


def _grouped(steps: list[str]) -> list[str]:
    """The many files of the stream checker are one step."""
    own = [step for step in steps if step.startswith("write %s/" % STREAMCHECK_PROGRAM)]
    if len(own) < 2:
        return steps
    first = steps.index(own[0])
    rest = [step for step in steps if step not in own]
    return [*rest[:first], "write %d files under %s" % (len(own), STREAMCHECK_PROGRAM), *rest[first:]]


def _connections(table: Mapping[str, Any]) -> tuple[str, str, str]:
    """Numbers of the columns from a result of ipvs_table, or dashes where a host has none."""
    effects = table.get("effects")
    if not effects:
        return "-", "-", "-"
    kept, drained, cut = (str((effects.get(effect) or {}).get("connections", 0)) for effect in ("keeps", "drains", "cuts"))
    return kept, drained, cut
