# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The real servers and the sorry server of a service. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.errors import Problems, listed, shown
from ansible.module_utils.lvsdr.inventory import messages, paths
from ansible.module_utils.lvsdr.inventory.hosts import STAND_INS, host_address, is_declared
from ansible.module_utils.lvsdr.ipvs.types import MAX_WEIGHT
from ansible.module_utils.lvsdr.reader import Reader
from ansible.module_utils.lvsdr.spelling import LABEL_SIGNS, LONGEST_NAME, is_label
from ansible.module_utils.lvsdr.text import whole_number

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.inventory.modes import Way
    from ansible.module_utils.lvsdr.inventory.types import Inventory

    # (host, path to its variables)
    Hosts = list[tuple[str, str]]

# With less, a tenth of a weight is nothing (checks/verdicts.py).
LEAST_WEIGHT = 10


def check_room(reader: Reader, check: dict[str, Any] | None, hosts: Hosts, inventory: Inventory) -> None:
    """A share of a small weight is nothing, or all of it: what gives a server a part of its weight needs one that has parts."""
    options = [name for name in ("slow_start", "agent") if (check or {}).get(name)]
    for host, path in hosts if options else ():
        values = Reader(Problems(), path, inventory["hosts"].get(host, {}))
        if 0 < values.integer("real_server_weight", 1, 0, MAX_WEIGHT) < LEAST_WEIGHT:
            reader.problems.add(
                path + ".real_server_weight",
                messages.WEIGHT_TOO_SMALL(options=" and ".join(options), service=reader.path, least=LEAST_WEIGHT),
            )


def read_real_servers(reader: Reader, inventory: Inventory) -> Hosts:
    """(host, path to its variables) of a service's group."""
    group = reader.get("real_servers")
    if not isinstance(group, str) or not group:
        reader.wrong("real_servers", messages.REAL_SERVERS_NOT_A_GROUP(value=shown(group)))
        return []
    hosts = inventory["groups"].get(group)
    if hosts is None:
        known = listed(sorted(name for name in inventory["groups"] if name not in ("all", "ungrouped") and not name.startswith("lvs_")))
        reader.wrong("real_servers", messages.REAL_SERVERS_GROUP_UNKNOWN(value=shown(group), names=known))
        return []
    if not hosts:
        reader.wrong("real_servers", messages.REAL_SERVERS_GROUP_EMPTY(value=shown(group)))
    found = [(host, paths.of_host(host)) for host in hosts]
    for host, path in found:
        _check_host(Reader(reader.problems, path, inventory["hosts"].get(host, {})), host)
    return found


def placed(hosts: Hosts, inventory: Inventory) -> Hosts:
    """Without those whose address only their facts will show."""
    return [(host, path) for host, path in hosts if inventory.get("read", True) or is_declared(inventory["hosts"].get(host, {}))]


def read_sorry_server(reader: Reader, inventory: Inventory, check: dict[str, Any] | None, hosts: Hosts) -> Hosts:
    """[(host, path to its variables)] of the one that serves when checks have taken all others out, or []."""
    host = reader.get("sorry_server")
    if host is None:
        return []
    if not isinstance(host, str) or host not in inventory["hosts"]:
        reader.wrong("sorry_server", messages.SORRY_SERVER_UNKNOWN(value=shown(host)))
        return []
    if host in [name for name, _path in hosts]:
        reader.wrong("sorry_server", messages.SORRY_SERVER_IS_REAL_SERVER(host=host))
        return []
    if not check:
        reader.wrong("sorry_server", messages.SORRY_SERVER_WITHOUT_CHECK())
    elif check.get("floor"):
        reader.wrong("sorry_server", messages.SORRY_SERVER_WITH_FLOOR(floor=check["floor"]))
    path = paths.of_host(host)
    _check_host(Reader(reader.problems, path, inventory["hosts"][host]), host)
    return [(host, path)]


def is_drained(inventory: Inventory, host: str) -> bool:
    return bool(inventory["hosts"].get(host, {}).get("real_server_state") == "drained")


def is_spare(inventory: Inventory, host: str) -> bool:
    return bool(inventory["hosts"].get(host, {}).get("real_server_state") == "spare")


def check_spares(reader: Reader, check: dict[str, Any] | None, hosts: Hosts, sorry: Hosts, inventory: Inventory) -> None:
    """A spare is woken and parked by a file, which takes a weight that a check gives."""
    for host, path in hosts if not check else ():
        if is_spare(inventory, host):
            reader.problems.add(path + ".real_server_state", messages.SPARE_NEEDS_CHECK(service=reader.path))
    for host, path in sorry:
        if is_spare(inventory, host):
            reader.problems.add(path + ".real_server_state", messages.SPARE_IS_SORRY_SERVER(service=reader.path))


def _check_host(values: Reader, host: str) -> None:
    """What is wrong with a real server's variables, whatever the service."""
    if not is_label(host):
        values.wrong("", messages.NOT_A_LABEL(value=shown(host), longest=LONGEST_NAME, signs=LABEL_SIGNS))
    for name in ("real_server_address", "real_server_address6"):
        if values.get(name) is not None:
            values.address(name)
    values.integer("real_server_weight", 1, 0, MAX_WEIGHT)
    values.integer("real_server_port", 1, 1, 65535)
    values.choice("real_server_state", "active", ("active", "drained", "spare"))
    values.choice("real_server_misplaced", "move", ("move", "refuse"))


def read_destinations_of(
    reader: Reader, way: Way, family: int, hosts: Hosts, inventory: Inventory, check: dict[str, Any] | None, problems: Problems
) -> list[dict[str, Any]]:
    """The destinations in the words of ipvs_table's options, one for each host."""
    out = []
    for host, path in hosts:
        variables = inventory["hosts"].get(host, {})
        # Its errors are named already, by _check_host.
        values = Reader(Problems(), path, variables)
        weight = values.integer("real_server_weight", 1, 0, MAX_WEIGHT)
        address = host_address(variables, family)
        if address is None:
            problems.add(
                path,
                messages.REAL_SERVER_WITHOUT_ADDRESS(
                    host=host,
                    family=family,
                    service=reader.path,
                    why="" if is_declared(variables) else " (%s)" % _not_found(variables),
                    variable="real_server_address6" if family == 6 else "real_server_address",
                ),
            )
            # Something to go on with, so that all other errors are found as well.
            address = STAND_INS[family]
        # Where a check owns the weight, keepalived drains by a file (drain_file), without another configuration.
        destination: dict[str, Any] = {
            "address": address,
            "forward": way.forward,
            "weight": 0 if not check and is_drained(inventory, host) else weight,
        }
        port = whole_number(variables.get("real_server_port"))
        if port is None:
            port = way.port
        if port is not None and 0 < port < 65536:
            destination["port"] = port
        if way.tunnel:
            destination["tunnel"] = way.tunnel
        if check and destination["weight"]:
            destination["health_checked"] = True
        out.append(destination)
    return out


def _not_found(variables: dict[str, Any]) -> str:
    """Why a host's facts did not give its address."""
    if not variables.get("facts"):
        return "the inventory gives none, and the host did not answer"
    return "or it has several, and not exactly one in the subnet of a VIP"
