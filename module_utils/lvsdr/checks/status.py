# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The status that lvsdr-streamcheck writes each second."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.lvsdr.places import STREAM_STATUS, STREAM_STATUS_SECONDS


def read(path: str = STREAM_STATUS) -> tuple[list[dict[str, Any]], float | None]:
    """(what lvsdr-streamcheck holds of each server, how many seconds ago it wrote that); no age where it has written nothing."""
    try:
        with open(path) as f:
            status = json.load(f)
        return status["checks"], max(0.0, time.time() - status["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return [], None


def stream_checks(path: str = STREAM_STATUS) -> list[dict[str, Any]] | None:
    """The same; None where it does not run."""
    checks, age = read(path)
    return checks if age is not None and age < STREAM_STATUS_SECONDS else None
