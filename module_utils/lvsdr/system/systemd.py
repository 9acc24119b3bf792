# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What systemd reports of units."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ansible.module_utils.lvsdr.system.commands import finish
from ansible.module_utils.lvsdr.system.files import read_text

if TYPE_CHECKING:
    from collections.abc import Sequence


def unit_states(names: Sequence[str]) -> dict[str, dict[str, bool]]:
    """{name: {"loaded", "active", "enabled", "stale"}} of systemd units, from one call of systemctl.

    loaded: there is such a unit; stale: systemd has read an older version of its files.
    """
    nothing = {"loaded": False, "active": False, "enabled": False, "stale": False}
    if not names:
        return {}
    command = ["systemctl", "show", "--property=LoadState,ActiveState,UnitFileState,NeedDaemonReload", *names]
    try:
        done = finish(command)
    except OSError:
        return {name: dict(nothing) for name in names}
    blocks = done.stdout.strip().split("\n\n")
    if len(blocks) != len(names):  # systemd does not run here
        return {name: dict(nothing) for name in names}
    out = {}
    for name, block in zip(names, blocks):
        found = dict(line.partition("=")[::2] for line in block.splitlines())
        out[name] = {
            "loaded": found.get("LoadState") == "loaded",
            "active": found.get("ActiveState") in ("active", "reloading"),
            "enabled": found.get("UnitFileState") == "enabled",
            "stale": found.get("NeedDaemonReload") == "yes",
        }
    return out


def main_pid(unit: str) -> int:
    """The number of a unit's main process; 0 where it has none, or systemd does not say."""
    try:
        done = finish(["systemctl", "show", "--property=MainPID", unit])
    except OSError:
        return 0
    found = dict(line.partition("=")[::2] for line in done.stdout.splitlines()).get("MainPID", "")
    return int(found) if found.isdecimal() else 0


def started_since(unit: str, path: str, text: str) -> bool:
    """Whether a running unit started after a file got this text: then it has read it."""
    if read_text(path) != text:
        return False
    command = ["systemctl", "show", "--timestamp=unix", "--property=ActiveState,ActiveEnterTimestamp", unit]
    try:
        done = finish(command)
    except OSError:
        return False
    found = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    started = found.get("ActiveEnterTimestamp", "").lstrip("@")
    # One that does not run reads it when it starts.
    return found.get("ActiveState") != "active" or (started.isdigit() and int(started) > os.stat(path).st_mtime)
