# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The unit and the files by which routes and tunnels come back at boot, and after a network manager was restarted. IO."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ansible.module_utils.lvsdr.system import commands, files, systemd

if TYPE_CHECKING:
    from collections.abc import Callable

    # {path: its text, or None for no such file}
    Texts = dict[str, "str | None"]

UNIT_FOLDER = "/etc/systemd/system/"
# Programs that set up the network: what they take away with an interface, or at their own start, comes back after them.
MANAGERS = ("networking.service", "systemd-networkd.service", "NetworkManager.service")


def unit_text(module: str, description: str, starts: list[str]) -> str:
    """A unit that runs these commands once the network is there. module: whose it is."""
    lines = [
        "# Managed by lvsdr (%s)." % module,
        "[Unit]",
        "Description=" + description,
        "Wants=network-online.target",
        "After=network-online.target " + " ".join(MANAGERS),
        "PartOf=" + " ".join(MANAGERS),
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
    ]
    return "\n".join([*lines, *("ExecStart=" + start for start in starts), "", "[Install]", "WantedBy=multi-user.target", ""])


class Lasting:
    """What is to be done beside the kernel's state of this moment."""

    def __init__(self, unit: str, texts: Texts) -> None:
        """texts: among them the unit's file; None there for no unit."""
        self.unit, self.texts = unit, texts
        self.different = {path: text for path, text in texts.items() if files.read_text(path) != text}
        self._before, self._after = _unit_steps(unit, UNIT_FOLDER + unit in self.different, texts[UNIT_FOLDER + unit] is not None)

    @property
    def steps(self) -> list[str]:
        """Files that change, and the commands."""
        changed = ["%s %s" % ("remove" if text is None else "write", path) for path, text in self.different.items()]
        return changed + [" ".join(["systemctl", *step]) for step in self._before + self._after]

    def something(self) -> bool:
        return bool(self.different or self._before or self._after)

    def apply(self, change: Callable[[], None]) -> None:
        """Files are written before what they are for comes, and go after it has gone. change: does that."""
        for path, text in self.different.items():
            if text is not None:
                files.write_atomically(path, text)
        change()
        for step in self._before:
            commands.run("systemctl", *step)
        for path, text in self.different.items():
            if text is None:
                os.unlink(path)
        for step in self._after:
            commands.run("systemctl", *step)


def _unit_steps(unit: str, different: bool, wanted: bool) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The words of systemctl that have the unit start at every boot, or at none: before its file goes, and after it has come."""
    state = systemd.unit_states([unit])[unit]
    reload: list[tuple[str, ...]] = [("daemon-reload",)] if different or state["stale"] else []
    if not wanted:
        before: list[tuple[str, ...]] = [
            (verb, unit) for verb, needed in (("stop", state["active"]), ("disable", state["enabled"])) if needed
        ]
        return before, reload
    # One that is not active would not be restarted with a network manager.
    return [], reload + [(verb, unit) for verb, there in (("enable", state["enabled"]), ("start", state["active"])) if not there]
