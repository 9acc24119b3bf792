# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who is drained, who waits for a check, and who is left. Pure."""

from ansible.module_utils.lvsdr.inventory.views import somebody_serves
from ansible.module_utils.lvsdr.ipvs.describe import held_destinations, table_key
from ansible.module_utils.lvsdr.ipvs.plan import live
from ansible.module_utils.lvsdr.places import drain_file


def drained(services):
    """The names of the files in places.DRAINED that have to be there, sorted."""
    return sorted({drain_file(host) for service in services for host in service["drained"] if service["health_check"]})


def empty_without(services, hosts, drained_files=()):
    """A sentence for each service that would have nobody left who serves, without these hosts. drained_files: names of files that drain."""
    out = []
    for service in services:
        if service["absent"] or service.get("checks") or service["sorry"] or not set(hosts) & set(service["hosts"]):
            continue
        gone = {*hosts, *(host for host in service["hosts"] if drain_file(host) in drained_files)}
        if not somebody_serves(service, gone):
            out.append(
                "nobody would be left to serve %s (%s), and new viewers would be refused; leave one in, declare a sorry_server, or say "
                "-e preflight_allow_drained=true" % (service["name"], service["vips"][0])
            )
    return out


def not_drainable(services, hosts):
    """A sentence for each host that can't be drained by a file."""
    out = [] if hosts else ["no server was named; say which, such as -e servers=streaming1,streaming2"]
    for host in hosts:
        members = [service for service in services if host in service["hosts"] and not service["absent"] and not service.get("checks")]
        without = [service["name"] for service in members if not service["health_check"]]
        if not members:
            known = dict.fromkeys(name for service in services for name in service["hosts"])
            out.append("%s is no real server of a service; these are: %s" % (host, ", ".join(known)))
        elif without:
            out.append(
                "%s serves %s without a health check; set real_server_state: drained for it and run site.yml" % (host, ", ".join(without))
            )
    return out


def connections(services, hosts, info):
    """How many connections a director counts to hosts in the services, without those of checks. info: what ipvs_info returned.

    Which ones of it are running says plan.live.
    """
    total, found = 0, held_destinations(info)
    for service in services:
        for destination, host in zip(service["table"]["destinations"], service["hosts"]) if not service.get("checks") else ():
            there = found.get((table_key(service["table"]), destination["address"]))
            if host in hosts and there:
                total += live(service["table"].get("protocol"), (there["active"], there["inactive"]))
    return total


def waiting(services, infos):
    """``["director: real server of service", …]`` whose weight is 0 though its check may raise it: it is down, or was not checked yet.

    infos: {director: what ipvs_info returned of it}.
    """
    out = []
    for director, info in sorted(infos.items()):
        found = held_destinations(info)
        for service in services:
            for destination, host in zip(service["table"]["destinations"], service["hosts"]) if not service["absent"] else ():
                there = found.get((table_key(service["table"]), destination["address"]), {"weight": 0})
                if destination.get("health_checked") and host not in service["drained"] and not there["weight"]:
                    out.append("%s: %s of %s" % (director, host, service["name"]))
    return out
