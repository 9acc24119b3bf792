# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether directors have the same table. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ansible.module_utils.lvsdr.directors import messages
from ansible.module_utils.lvsdr.ipvs.render import service_option

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.inventory.types import Resolved


def parity(tables_by_director: dict[str, str], resolved: Resolved) -> list[str]:
    """Differences between the directors' tables, as lines, weights included. {director: text of its table}

    Only declared services count: what is not declared is left alone on each director.
    """
    services = [(service_option(service.key), service) for service in resolved.services if service.key and service.balanced]
    ours = {*(option for option, _service in services), *(service_option(check.key) for check in resolved.checks)}
    # A sorry server comes and goes, and keeps a weight of 0 where it once served.
    leave_out = {(option, server.address) for option, service in services for server in service.servers if server.fallback}
    # Each director asks an agent, and begins a slow start, at its own moment.
    checks = [(option, service.health_check) for option, service in services if service.health_check]
    moving = {option for option, check in checks if check.get("agent") or check.get("slow_start")}
    names = sorted(tables_by_director)
    lines = {
        name: {
            _without_weight(line) if _service_of(line) in moving else line
            for line in tables_by_director[name].splitlines()
            if _service_of(line) in ours and _server_of(line) not in leave_out
        }
        for name in names
    }
    out: list[str] = []
    for other in names[1:]:
        for name, more in ((names[0], lines[names[0]] - lines[other]), (other, lines[other] - lines[names[0]])):
            out += [str(messages.TABLES_DIFFER(director=name, line=line)) for line in sorted(more)]
    return out


def _service_of(line: str) -> str:
    """The service's option in a line of a table: ``-t 198.51.100.100:80``, ``-f 5 -6``."""
    words = line.split()
    return " ".join(words[1 : 4 if words[3:4] == ["-6"] else 3])


def _without_weight(line: str) -> str:
    """The line with no more of the weight than whether it is one."""
    return re.sub(r" -w [1-9][0-9]*", " -w more than 0", line)


def _server_of(line: str) -> tuple[str, str | None]:
    """(the service's option, the destination's address) in a line of a table; the address is None in a service's own line."""
    _before, found, rest = line.partition(" -r ")
    return _service_of(line), rest.split()[0].rpartition(":")[0].strip("[]") if found else None
