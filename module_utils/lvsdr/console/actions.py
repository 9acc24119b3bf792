# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the console may do, and what it says before: drain, undrain, wake and park a real server. Pure.

It writes the files that playbooks/drain.yml and playbooks/scale.yml write, and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from ansible.module_utils.lvsdr.console import messages
from ansible.module_utils.lvsdr.console.state import IN_SERVICE, NOT_MEANT, least, state

DRAIN, UNDRAIN, WAKE, PARK = "drain", "undrain", "wake", "park"
VERBS = (DRAIN, UNDRAIN, WAKE, PARK)
FIELDS = ("verb", "host", "who", "why")
LEAST_REASON, LONGEST_REASON, LONGEST_NAME = 3, 200, 40
# Seconds for which a request of the other director counts.
FRESH = 30
LEAST_KEY = 32


def plan(config: dict[str, Any], look: dict[str, Any], verb: str, host: str) -> dict[str, Any]:
    """``{"refused": [line], "says": [sentence], "name": of the file, "write": bool}`` of what a verb would do on this director."""
    # A sorry server is nobody's to drain: keepalived adds it by itself.
    services = [one for one in config["services"] if any(server["name"] == host and not server["fallback"] for server in one["servers"])]
    if not services:
        return _refusal(messages.NOT_A_SERVER(host=host))
    server = next(one for one in services[0]["servers"] if one["name"] == host and not one["fallback"])
    if verb in (WAKE, PARK) and not server["spare"]:
        return _refusal(messages.NOT_A_SPARE(host=host))
    unchecked = [one["name"] for one in services if not one["checked"]]
    if unchecked:
        return _refusal(messages.NO_CHECK_OWNS_WEIGHT(host=host, services=", ".join(unchecked)))
    if verb in (DRAIN, UNDRAIN) and server["drained"]:
        return _refusal(messages.INVENTORY_DRAINS(host=host))
    name, write = server["drain_file" if verb in (DRAIN, UNDRAIN) else "spare_file"], verb in (DRAIN, PARK)
    if write == (name in look["files"]):
        return _refusal(
            messages.NOTHING_TO_DO(host=host, state={DRAIN: "drained", UNDRAIN: "not drained", WAKE: "awake", PARK: "parked"}[verb])
        )
    seen = state(config, {config["director"]: look}, {}, look["at"])["services"]
    refused, says = [], []
    for service in seen:
        one = next((one for one in service["servers"] if one["name"] == host and not one["fallback"]), None)
        if one and write:
            line, sentence = _taken(service, one, host)
            refused += line
            says.append(sentence)
        elif one:
            says.append("%s is sent new viewers of %s again, once its check succeeds" % (host, service["name"]))
    return {"refused": refused, "says": says, "name": name, "write": write}


def _refusal(line: Any) -> dict[str, Any]:
    return {"refused": [str(line)], "says": [], "name": "", "write": False}


def _taken(service: dict[str, Any], one: dict[str, Any], host: str) -> tuple[list[str], str]:
    """(why not, what it does) of taking a server's weight."""
    serves = one["reason"] in IN_SERVICE
    left, counted = service["serving"] - serves, service["counted"] - (one["reason"] not in NOT_MEANT)
    floor = least(service["share"], counted)
    sentence = "%s of %s: its %d running connections go on, and it gets no new ones; %d of %d servers stay in service" % (
        host, service["name"], one["active"], left, counted
    )  # fmt: skip
    if serves and not left and not service["sorry"]:
        return [str(messages.LAST_SERVER(host=host, service=service["name"]))], sentence
    if serves and left < floor:
        return [str(messages.UNDER_FLOOR(host=host, service=service["name"], left=left, floor=floor))], sentence
    return [], sentence


def wrong(request: Any) -> list[str]:
    """Why a request ``{"verb", "host", "who", "why"}`` can't be one."""
    out = []
    found = [request.get(name) for name in FIELDS] if isinstance(request, dict) else []
    texts = {name: value for name, value in zip(FIELDS, found) if isinstance(value, str) and value.isprintable()}
    if len(texts) < len(FIELDS):
        return [str(messages.REQUEST_UNUSABLE())]
    if texts["verb"] not in VERBS:
        out.append(str(messages.NO_SUCH_VERB(verbs=", ".join(VERBS))))
    if not LEAST_REASON <= len(texts["why"].strip()) <= LONGEST_REASON:
        out.append(str(messages.REASON_MISSING(least=LEAST_REASON, most=LONGEST_REASON)))
    if not 1 <= len(texts["who"].strip()) <= LONGEST_NAME:
        out.append(str(messages.NAME_MISSING(most=LONGEST_NAME)))
    return out


def signed(key: str, ends: tuple[str, str], request: dict[str, str], at: int, nonce: str) -> str:
    """What the other director wants to see with a request: HMAC-SHA256 of it, of who sends it to whom, the second it was sent in, and a
    number used once. ends: (sender, receiver)."""
    text = json.dumps([*ends, at, nonce, *(request[name] for name in FIELDS)])
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
