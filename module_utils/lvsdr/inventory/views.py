# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Of the resolved services: whose VIPs, which hosts, which tables. Pure."""

from ansible.module_utils.lvsdr.addresses import family_of, parse_address
from ansible.module_utils.lvsdr.ipvs.types import SCHEDULERS


def somebody_serves(service, gone=()):
    """Whether a real server takes new viewers that is not drained and not among those that go."""
    return any(
        # Of a weight that is no number nobody knows; it has been reported.
        (not isinstance(one["weight"], int) or one["weight"]) and host not in service["drained"] and host not in gone
        for one, host in zip(service["table"]["destinations"], service["hosts"])
    )


def members(service):
    """The hosts of a service's destinations, in their order: the real servers, and the sorry server after them."""
    return service["hosts"] + ([service["sorry"]] if service["sorry"] else [])


def vips_of_host(services, host, mode=("dr", "tunnel")):
    """The VIPs that a real server must hold itself, in order: those of its direct-routing and tunnel services."""
    out = []
    for service in services:
        if host in members(service) and service["mode"] in mode:
            out += [vip for vip in service["vips"] if vip not in out]
    return out


def vips_in(virtual_services):
    """Every VIP that is declared, whatever else is wrong."""
    items = virtual_services if isinstance(virtual_services, list) else []
    lists = [item.get("addresses") for item in items if isinstance(item, dict)]
    found = [address for one in lists if isinstance(one, list) for address in one]
    return [parse_address(address)[1] for address in found if family_of(address)]


def director_vips(services):
    """The VIPs that keepalived holds, in order, without those of absent services."""
    out = []
    for service in services:
        if not service["absent"]:
            out += [vip for vip in service["vips"] if vip not in out]
    return out


def real_servers(services):
    """The names of all real servers, sorry servers too, in order."""
    out = []
    for service in services:
        out += [host for host in members(service) if host not in out]
    return out


def tables(services):
    """The ``services`` of ipvs_table."""
    return [service["table"] for service in services]


def kernel_modules(services):
    """Kernel modules the services need, sorted."""
    return modules_of((service["table"]["scheduler"], service["table"].get("persistence", {}).get("engine")) for service in services)


def modules_of(pairs):
    """Kernel modules of pairs of a scheduler and a persistence engine or None, sorted; of names that IPVS does not know none."""
    found = {"ip_vs"}
    for scheduler, engine in pairs:
        if isinstance(scheduler, str) and scheduler in SCHEDULERS:
            found.add("ip_vs_" + scheduler)
        if engine == "sip":
            found.add("ip_vs_pe_sip")
    return sorted(found)
