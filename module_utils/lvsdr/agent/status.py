# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The status that the daemon writes each second."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.lvsdr.places import STREAM_STATUS, STREAM_STATUS_SECONDS


def stream_checks(path: str = STREAM_STATUS) -> list[dict[str, Any]] | None:
    """What lvsdr-streamcheck holds of each server, as it writes it; None where it does not run."""
    try:
        with open(path) as f:
            status: dict[str, Any] = json.load(f)
    except (OSError, ValueError):
        return None
    return status["checks"] if time.time() - status["at"] < STREAM_STATUS_SECONDS else None
