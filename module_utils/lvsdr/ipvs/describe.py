# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the types of an IPVS table to the words of ipvs_table's options, and what these mean for a table. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import endpoint
from ansible.module_utils.lvsdr.ipvs.types import address_order, default_netmask, default_port

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.ipvs.types import Daemon, Destination, DestinationKey, Entry, Service, Timeouts, Wanted


def options_as_dict(named: Timeouts | Daemon) -> dict[str, Any]:
    """A Timeouts or Daemon in the words of the options, without what is left to the kernel."""
    return {name: value for name, value in named._asdict().items() if value is not None}


def service_as_dict(entry: Entry) -> dict[str, Any]:
    """An Entry in the words of ipvs_table's options, defaults left out: what is gathered can be declared."""
    service = entry.service
    out = service_options(service)
    out["destinations"] = [destination_as_dict(entry.destinations[key], service) for key in sorted(entry.destinations, key=address_order)]
    return out


def wanted_as_dict(wanted: Wanted) -> dict[str, Any]:
    """A Wanted in the words it was declared in, its destinations in their order, every value normalised."""
    out = service_options(wanted.service)
    if wanted.absent:
        out["state"] = "absent"
    out["destinations"] = [destination_as_dict(destination, wanted.service) for destination in wanted.destinations.values()]
    for key, item in zip(wanted.destinations, out["destinations"]):
        if key in wanted.checked:
            item["health_checked"] = True
    out["destinations"] += [{**destination_as_dict(one, wanted.service), "sorry_server": True} for one in wanted.sorry_servers.values()]
    return out


def service_options(service: Service) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if service.protocol == "fwmark":
        out["firewall_mark"] = service.mark
        if service.family == 6:
            out["family"] = "ipv6"
    else:
        out.update(address=service.address, protocol=service.protocol, port=service.port)
    out["scheduler"] = service.scheduler
    flags = [flag for flag in service.flags if flag != "ops"]
    if flags:
        out["scheduler_flags"] = flags
    if "ops" in service.flags:
        out["one_packet"] = True
    if service.persistence:
        out["persistence"] = {"timeout": service.persistence}
        if service.netmask != default_netmask(service.family):
            out["persistence"]["netmask"] = service.netmask
        if service.engine:
            out["persistence"]["engine"] = service.engine
    return out


def destination_as_dict(destination: Destination, service: Service) -> dict[str, Any]:
    out: dict[str, Any] = {"address": destination.address}
    if destination.port != default_port(service):
        out["port"] = destination.port
    out.update(forward=destination.forward, weight=destination.weight)
    if destination.upper:
        out["upper_threshold"] = destination.upper
    if destination.lower:
        out["lower_threshold"] = destination.lower
    if destination.tunnel and destination.tunnel != ("ipip", 0, "none"):
        kind, port, checksum = destination.tunnel
        out["tunnel"] = {"type": kind}
        if port:
            out["tunnel"]["port"] = port
        if checksum != "none":
            out["tunnel"]["checksum"] = checksum
    return out


def table_key(table: dict[str, Any]) -> tuple[Any, ...]:
    """What distinguishes a service from others, in the words of ipvs_table's options."""
    return tuple(table.get(name) for name in ("firewall_mark", "family", "address", "protocol", "port"))


def key_name(key: tuple[Any, ...]) -> str:
    """How messages name a service: ``tcp 198.51.100.100:80`` or ``fwmark 5``."""
    mark, _family, address, protocol, port = key
    return "fwmark %d" % mark if mark is not None else "%s %s" % (protocol, endpoint(address, port))


def held_destinations(info: dict[str, Any]) -> dict[tuple[tuple[Any, ...], str], dict[str, Any]]:
    """{(table_key, address): destination} of what ipvs_info returned of a director."""
    return {
        (table_key(service), destination["address"]): destination
        for service in info.get("services") or ()
        for destination in service["destinations"]
    }


CONNECTION_COUNTS = ("active", "inactive", "persistent", "counters")


def destination_keys(table: dict[str, Any]) -> set[DestinationKey]:
    """{(address, port)} of the destinations of a service, in the words of ipvs_table's options."""
    usual = table.get("port", 0)
    return {(one["address"], one.get("port", usual)) for one in table["destinations"]}
