# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a map of nftables holds, in force.

Source: libnftables-json(5) of nftables 1.0.6.
"""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.system import commands


def read(table: str, name: str) -> list[tuple[list[str], int]]:
    """[(the parts of a key, as text, value)] of a map whose values are numbers, in order; nothing where there is no such map."""
    try:
        text = commands.run(commands.find_command("nft") or "nft", "-j", "list", "map", *table.split(), name)
    except commands.Late:
        raise
    except LvsError:
        return []
    return elements(text)


def elements(text: str) -> list[tuple[list[str], int]]:
    """The same of what nft printed."""
    found: list[tuple[list[str], int]] = []
    for item in json.loads(text)["nftables"]:
        for key, value in item.get("map", {}).get("elem") or ():
            found.append(([_part(part) for part in key["concat"]], int(value)))
    return sorted(found, key=lambda pair: (pair[1], pair[0]))


def _part(part: Any) -> str:
    return "%s-%s" % tuple(part["range"]) if isinstance(part, dict) and "range" in part else str(part)
