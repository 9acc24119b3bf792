# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What lvsdr-streamcheck is given on a director: its configuration, and its program."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.checks.health_check import is_watched
from ansible.module_utils.lvsdr.inventory.check_paths import check_marks
from ansible.module_utils.lvsdr.inventory.hosts import host_address
from ansible.module_utils.lvsdr.places import credential

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible.module_utils.lvsdr.inventory.types import Inventory, RealServer, Resolved, VirtualService


def streamchecks(resolved: Resolved, director: str, inventory: Inventory, metrics_port: int = places.STREAMCHECK_PORT) -> dict[str, Any]:
    """The configuration of lvsdr-streamcheck on a director: {"folder", "metrics_port", "services"}."""
    out: list[dict[str, Any]] = []
    variables, marks = inventory["hosts"].get(director, {}), check_marks(resolved.checks)
    for service in resolved.services:
        for index, check in enumerate(service.checks):
            if service.absent or not is_watched(check):
                continue
            members = [_member(service, index, server, variables, marks) for server in service.servers if server.checked]
            login = {"login_credential": credential(check["login_file"])} if check.get("login_file") else {}
            out.append(
                {
                    "name": service.check_name(index), "vip": service.vips[0], "check": {**check, **login}, "servers": members,
                    "slow_start": check["slow_start"], "floor": check["floor"],
                }
            )  # fmt: skip
    files = sorted({check["login_file"] for check in (one["check"] for one in out) if check.get("login_file")})
    return {
        "folder": places.STREAMCHECK, "metrics_port": metrics_port, "services": out,
        "login_files": {credential(path): path for path in files},
    }  # fmt: skip


def _member(
    service: VirtualService, index: int, server: RealServer, variables: dict[str, Any], marks: dict[tuple[int, str], int]
) -> dict[str, Any]:
    """A server that is checked, as the configuration has it. index: of the check; variables: of the director."""
    check = service.checks[index]
    through = check["target"] == "vip"
    return {
        "name": server.host, "weight": server.weight, "file": service.track_file(server.host, index),
        "agent": server.address, "weight_files": ["%s/%s" % (places.DRAINED, name) for name in server.weight_files],
        "names": [*service.vips, server.address],
        "address": service.vips[0] if through else server.address,
        "port": check.get("port") or service.port_of(server),
        "mark": marks[service.family, server.address] if through else None,
        "own": host_address(variables, service.family) if through else None,
    }  # fmt: skip


def program(parts: Iterable[str] = places.STREAMCHECK_PARTS) -> list[dict[str, str]]:
    """The files of a program, as host_files takes them, from where this module is."""
    house = os.path.dirname(os.path.dirname(__file__))
    out = []
    for part in parts:
        content = ""
        if part.startswith(places.STREAMCHECK_FOLDER):
            with open(os.path.join(house, part[len(places.STREAMCHECK_FOLDER) :] + ".py"), encoding="utf-8") as f:
                content = f.read()
        out.append({"path": "%s/%s.py" % (places.STREAMCHECK_PROGRAM, part), "content": content})
    return out
