# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The configuration of the console and its helper, as directors/console.py makes it."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.lvsdr.console import messages
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.text import digest_of

NEEDED = ("director", "directors", "services", "actions", "port", "peer_port", "sync", "watched", "behind", "proxies")


def own_address(config: dict[str, Any]) -> str | None:
    """The director's address, which the other one lets in."""
    found: str | None = next((one["address"] for one in config["directors"] if one["name"] == config["director"]), None)
    return found


def read_config(path: str) -> dict[str, Any]:
    """The configuration, with the digest of what both directors have to have; LvsError where it can't be used."""
    try:
        with open(path) as f:
            config: dict[str, Any] = json.load(f)
        missing = [name for name in NEEDED if name not in config]
        if missing:
            raise ValueError("it lacks %s" % ", ".join(missing))
    except (OSError, ValueError, TypeError) as error:
        raise LvsError(messages.CONSOLE_CONFIGURATION_UNUSABLE(path=path, why=error))
    config["digest"] = digest_of(json.dumps([config["services"], config["behind"]], sort_keys=True))[:16]
    return config
