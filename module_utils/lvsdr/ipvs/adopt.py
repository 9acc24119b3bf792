# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a table that runs already to an inventory that site.yml makes the same table of. Pure; inventory/resolve.py goes the other way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.ipvs import messages
from ansible.module_utils.lvsdr.ipvs.declare import read_services
from ansible.module_utils.lvsdr.ipvs.describe import service_options
from ansible.module_utils.lvsdr.ipvs.types import FALLBACK_FLAGS, refuses_newcomers, service_key, service_name
from ansible.module_utils.lvsdr.places import DIRECTORS

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.errors import Line
    from ansible.module_utils.lvsdr.ipvs.types import Destination, Service, Wanted


def inventory(services: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """(inventory, notes) of services in the words of ipvs_table's options.

    The inventory is a dict as YAML inventories have it: a host for each real server, a group for each set of them, virtual_services under
    ``all``, and an empty group of directors to fill in. A service that can't be written in an inventory is left out, and a note gives the
    reason.
    """
    hosts: dict[str, dict[str, Any]] = {}
    groups: dict[tuple[str, ...], str] = {}
    declared: list[dict[str, Any]] = []
    notes: list[str] = []
    for wanted in read_services(services).values():
        name = service_name(service_key(wanted.service))
        reason = _obstacle(name, wanted) or _conflict(name, wanted, hosts)
        if reason:
            notes.append(str(reason))
            continue
        members = []
        for destination in wanted.destinations.values():
            hosts.setdefault(destination.address, _variables(destination, wanted.service))
            members.append(_host_name(destination.address))
        declared.append(_virtual_service(wanted))
        flag = FALLBACK_FLAGS.get(wanted.service.scheduler)
        if flag and flag not in wanted.service.flags:
            # As inventory/resolve.py adds it.
            why = refuses_newcomers(wanted.service.scheduler, wanted.service.flags)
            notes.append(str(messages.ADOPT_FLAG_ADDED(service=name, flag=flag, why=why)))
            declared[-1]["scheduler_flags"] = [*declared[-1].get("scheduler_flags", []), flag]
        if declared[-1]["mode"] == "nat":
            notes.append(str(messages.ADOPT_NAT_GATEWAY(service=name)))
        group = "servers_of_" + re.sub("[^0-9A-Za-z]", "_", declared[-1]["name"])
        declared[-1]["real_servers"] = groups.setdefault(tuple(members), group)
    children: dict[str, Any] = {DIRECTORS: {"hosts": {}}}
    for names, group in groups.items():
        children[group] = {"hosts": {host: {} for host in names}}
    variables = {_host_name(address): found for address, found in hosts.items()}
    return {"all": {"hosts": variables, "vars": {"virtual_services": declared}, "children": children}}, notes


def _obstacle(name: str, wanted: Wanted) -> Line | None:
    """Why a service can't be written in an inventory, or None."""
    service, destinations = wanted.service, list(wanted.destinations.values())
    if service.protocol == "fwmark":
        return messages.ADOPT_FIREWALL_MARK(service=name)
    if not destinations:
        return messages.ADOPT_NO_DESTINATIONS(service=name)
    if service.scheduler == "dh":
        return messages.ADOPT_SCHEDULER_DH(service=name, why=refuses_newcomers("dh", ()))
    forwards = sorted({destination.forward for destination in destinations})
    if len(forwards) > 1 or forwards == ["local"]:
        return messages.ADOPT_SEVERAL_MODES(service=name, modes=", ".join(forwards))
    for destination in destinations:
        if destination.upper or destination.lower:
            return messages.ADOPT_THRESHOLDS(service=name)
        if destination.tunnel not in ((), ("ipip", 0, "none")) or destination.family != service.family:
            return messages.ADOPT_TUNNEL(service=name)
    if len({destination.address for destination in destinations}) < len(destinations):
        return messages.ADOPT_TWO_PORTS(service=name)
    return None


def _variables(destination: Destination, service: Service) -> dict[str, Any]:
    out: dict[str, Any] = {"ansible_host": destination.address, "real_server_weight": destination.weight}
    if destination.port != service.port:
        out["real_server_port"] = destination.port
    return out


def _conflict(name: str, wanted: Wanted, hosts: dict[str, dict[str, Any]]) -> Line | None:
    """Why its real servers can't be those of the earlier services, or None."""
    for destination in wanted.destinations.values():
        own = _variables(destination, wanted.service)
        known = hosts.get(destination.address, own)
        if known != own:
            return messages.ADOPT_SERVER_DIFFERS(service=name, address=destination.address)
    return None


def _host_name(address: str) -> str:
    # An address as it is would be read as a range or a port by inventory plugins.
    return "server-" + address.replace(".", "-").replace(":", "_")


def _virtual_service(wanted: Wanted) -> dict[str, Any]:
    service = wanted.service
    words = service_options(service)
    return {
        "name": "%s-%s-%d" % (service.protocol, service.address, service.port),
        "mode": next(iter(wanted.destinations.values())).forward,
        "addresses": [words.pop("address")],
        "ports": [words.pop("port")],
        **words,
    }
