# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a director or a proxy that take a weight, with who wrote them, why, and when."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.module_utils.lvsdr import notes, places
from ansible.module_utils.lvsdr.system.files import names_in, read_text


def taken() -> dict[str, dict[str, Any]]:
    """{name: {"who", "why", "since": seconds since 1970, or None}} of the files in places.DRAINED. A boot copies them from
    places.DRAINED_KEPT, whose files are as old as the drain."""
    out: dict[str, dict[str, Any]] = {}
    for name in names_in(places.DRAINED):
        text = read_text(os.path.join(places.DRAINED, name))
        if text is not None and not name.endswith(".new"):
            out[name] = {**notes.read(text), "since": _since(name)}
    return out


def spares(path: str = places.STREAMCHECK_CONF) -> list[str]:
    """The names of the files that park spares, of those that lvsdr-streamcheck's configuration has."""
    try:
        services = json.loads(read_text(path) or "{}").get("services", [])
        followed = [one for service in services for server in service["servers"] for one in server["weight_files"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return sorted({os.path.basename(one) for one in followed if os.path.basename(one).startswith(places.SPARE)})


def _since(name: str) -> float | None:
    for folder in (places.DRAINED_KEPT, places.DRAINED):
        try:
            return os.stat(os.path.join(folder, name)).st_mtime
        except OSError:
            continue
    return None
