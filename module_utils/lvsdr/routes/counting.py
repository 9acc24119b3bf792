# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read, plan, apply: what the module egress_counters does on a host. IO."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.routes import egress, lasting
from ansible.module_utils.lvsdr.system import commands, files, in_force

if TYPE_CHECKING:
    from collections.abc import Collection

    from ansible.module_utils.lvsdr.routes.egress import Counter


def converge(counters: Collection[Counter], sources: Collection[str], check: bool = False) -> dict[str, Any]:
    """The module's result as a dict; LvsError where nft or systemctl refuses something."""
    if not counters and not os.path.exists(egress.RULES):
        return {"changed": False, "steps": [], "diff": {"before": "", "after": ""}}
    nft = commands.find_command("nft") or "/usr/sbin/nft"
    text = egress.rules(counters, sources) if counters else None
    texts = {
        egress.RULES: text,
        lasting.UNIT_FOLDER + egress.READER_NAME: egress.reader_unit(nft) if counters else None,
        lasting.UNIT_FOLDER + egress.SOCKET_NAME: egress.socket_unit(nft) if counters else None,
    }
    lasts = lasting.Lasting(egress.SOCKET_NAME, texts)
    there = in_force.look(rules=[egress.RULES_TABLE])["rules"][egress.RULES_TABLE]
    steps: list[tuple[str, ...]] = []
    if text and there != in_force.rules_digest(text):
        steps = [(nft, "-f", egress.RULES)]
    elif not text and there is not None:
        steps = [(nft, "delete", "table", *egress.RULES_TABLE.split())]

    def change() -> None:
        for step in steps:
            commands.run(*step)

    before = files.read_text(egress.RULES) or ""
    changed = bool(steps or lasts.something())
    if changed and not check:
        lasts.apply(change)
    return {"changed": changed, "steps": [" ".join(step) for step in steps] + lasts.steps, "diff": {"before": before, "after": text or ""}}
