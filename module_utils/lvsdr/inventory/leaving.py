# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What directors hold in their tables that is not declared any more, and how it leaves. Pure.

A table here is a list of services as ipvs_info and lvs_preflight return them: in the words of ipvs_table's options, each destination with
``active`` and ``inactive`` connections.

What the inventory does not name any more leaves in two steps, and the state of it is in the tables alone: first its weight becomes 0, so
that no new connection goes there, and once no running one is left on any director it is removed. Both steps are what this module says of
the tables of that moment, so a rollout that ended between them is finished by the next one.
"""

from ansible.module_utils.lvsdr.inventory.check_paths import is_check_mark
from ansible.module_utils.lvsdr.ipvs.describe import CONNECTION_COUNTS, destination_keys, held_destinations, key_name, table_key
from ansible.module_utils.lvsdr.ipvs.plan import live


def with_leaving(services, tables, cut=0, names=None):
    """The resolved services, each with ``leaving``: what directors hold of it that is not declared, and that can't go yet.

    A leaving destination is in the service's table with weight 0. A service that is absent, or not declared at all on a declared VIP, stays
    in the list with nothing but what leaves it, and without ``absent``, as long as that is something.
    tables: {director: table}. cut: running connections that may be cut, all together. names: {address: host}, for messages.
    """
    declared = {table_key(service["table"]): service for service in services}
    # A VIP without a service of its own any more still belongs to the instance of the others.
    vips = {vip: service for service in services for vip in service["vips"]}
    found = {}  # key: [options of the service, {destination's key: leaving}]
    for table in tables.values():
        for there in table:
            key = table_key(there)
            service = declared.get(key)
            if is_check_mark(key[0]) or (service is None and key[2] not in vips):
                continue
            stays = set() if service is None or service["absent"] else destination_keys(service["table"])
            for destination in there["destinations"]:
                if (destination["address"], destination.get("port", there.get("port", 0))) not in stays:
                    _note(found, key, there, destination)
    leaving = [one for _options, members in found.values() for one in members.values()]
    # Only what takes no newcomers any more is looked at: what still does first has its turn to drain.
    left = sum(one["connections"] for one in leaving if not one["weight"])
    for _options, members in found.values():
        for destination_key, one in list(members.items()):
            if not one["weight"] and (not one["connections"] or left <= cut):
                del members[destination_key]
    out = []
    for service in services:
        options, members = found.pop(table_key(service["table"]), (None, {}))
        out.append(_leaving(service, options, list(members.values()), names or {}))
    for key, (options, members) in sorted(found.items(), key=lambda item: key_name(item[0])):
        if members:
            neighbour = vips[key[2]]
            service = {
                "name": "%s, not declared any more" % key_name(key), "mode": "dr", "family": neighbour["family"], "vips": [key[2]],
                "absent": True, "instance": neighbour["instance"], "table": {}, "hosts": [], "drained": [], "key": None,
            }  # fmt: skip
            out.append(_leaving(service, options, list(members.values()), names or {}))
    return out


def _note(found, key, there, destination):
    """Adds a destination of one director's table to what leaves: the most that any director says of it counts."""
    options = {name: value for name, value in there.items() if name not in ("destinations", *CONNECTION_COUNTS)}
    _options, members = found.setdefault(key, (options, {}))
    plain = {name: value for name, value in destination.items() if name not in CONNECTION_COUNTS}
    running = live(there.get("protocol"), (destination["active"], destination["inactive"]))
    one = members.setdefault((destination["address"], destination.get("port")), {"plain": plain, "weight": 0, "connections": 0})
    one["weight"] = max(one["weight"], destination["weight"])
    one["connections"] = max(one["connections"], running)


def _leaving(service, options, members, names):
    if not members:
        return {**service, "leaving": []}
    destinations = [{**one["plain"], "weight": 0} for one in members]
    leaving = [
        {"address": one["plain"]["address"], "host": names.get(one["plain"]["address"]), "connections": one["connections"]}
        for one in members
    ]
    if not service["absent"]:
        table = {**service["table"], "destinations": [*service["table"]["destinations"], *destinations]}
        return {**service, "table": table, "leaving": leaving}
    # As the table has it: a declaration with state: absent need not say how the service was.
    return {
        **service, "table": {**options, "destinations": destinations}, "mode": members[0]["plain"].get("forward", "dr"), "absent": False,
        "retiring": True, "hosts": [], "drained": [], "sorry": None, "health_check": None, "stream": None, "leaving": leaving,
    }  # fmt: skip


def leaving_lines(services):
    """What leaves, in lines: ``streaming3 (198.51.100.23) of http, tcp 198.51.100.100:80: 3 connections``."""
    return [
        "%s of %s: %s"
        % (
            "%s (%s)" % (one["host"], one["address"]) if one["host"] else one["address"],
            service["name"] if "," in service["name"] else "%s, %s" % (service["name"], key_name(table_key(service["table"]))),
            "%d connection%s" % (one["connections"], "s"[: one["connections"] != 1]),
        )
        for service in services
        for one in service.get("leaving") or ()
    ]


def going(services, tables):
    """How many destinations directors hold on declared VIPs that nothing keeps there: the next rollout removes them."""
    wanted = {}
    for service in services:
        wanted.setdefault(table_key(service["table"]), set()).update(destination_keys(service["table"]))
    vips = {vip for service in services for vip in service["vips"]}
    return sum(
        len(destination_keys(there) - wanted.get(key, set()))
        for table in tables.values()
        for there in table
        for key in [table_key(there)]
        if not is_check_mark(key[0]) and (key in wanted or key[2] in vips)
    )


def leaving_connections(services, table):
    """How many running connections one director's table has to what leaves."""
    total, found = 0, held_destinations({"services": table})
    for service in services:
        for one in service.get("leaving") or ():
            there = found.get((table_key(service["table"]), one["address"]))
            if there:
                total += live(service["table"].get("protocol"), (there["active"], there["inactive"]))
    return total
