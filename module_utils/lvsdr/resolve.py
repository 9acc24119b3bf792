# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what an operator writes (virtual_services, groups, host variables) to services with destinations, and every check of it. Pure.

An inventory is ``{"groups": {name: [host, …]}, "hosts": {host: {variable: value}}}`` with the variables in HOST_VARIABLES, and for the
checks also ``facts`` (what lvs_preflight read from the host).

A resolved service is a plain dict: ``name``, ``mode``, ``table`` (the service in the words of ipvs_table's options, every value
normalised) and ``health_check`` (a dict, or None), ``hosts`` (its real servers' names in the order of the destinations). After those that
are declared come firewall-mark services for checks, which have ``checks`` and no VIP. keepalived.conf and the IPVS table are made from the
same list, so that they can't differ.
"""

import ipaddress
import re
import zlib

from . import arp, held, packets, places
from .checks import LABEL_HINT, UDP_CHECKS, is_label, is_path, is_watched, read_health_check
from .errors import LvsError, Problems
from .model import (
    DIRECTORS,
    FALLBACK_FLAGS,
    MAX_WEIGHT,
    Reader,
    endpoint,
    parse_address,
    read_service,
    refuses_newcomers,
    service_key,
    service_name,
    wanted_as_dict,
)  # fmt: skip
from .render import service_option

HOST_VARIABLES = (
    "ansible_host", "real_server_address", "real_server_address6", "real_server_weight", "real_server_state", "real_server_port",
    "real_server_misplaced", "director_interface", "director_instances", "director_virtual_router_id", "director_priority",
    "director_advertisement_interval", "director_preempt", "director_unicast", "director_timeouts", "director_sysctls",
    "director_max_cut_connections", "preflight_allow_cloud",
)  # fmt: skip
MAX_CONNECTIONS = 1 << 31
MODES = ("dr", "nat", "tunnel")
MODE_HINTS = {
    "snat": "this version forwards by dr, nat or tunnel; snat needs another program than IPVS",
    "proxy": "this version forwards by dr, nat or tunnel; proxy needs another program than IPVS",
}
SERVICE_FIELDS = (
    "name", "mode", "addresses", "protocol", "ports", "firewall_mark", "scheduler", "scheduler_flags", "one_packet", "persistence",
    "real_servers", "health_check", "sorry_server", "instance", "stream", "state",
)  # fmt: skip
# The VRRP instance of services that name none; its router id and priorities are the director's own.
INSTANCE = "lvsdr"
VIRTUAL_ROUTER_ID, PRIORITY = 51, 100
# Of a further instance: its active director's, and the others'.
PRIORITIES = (150, 100)
# In the place of an address that is missing, to read on with.
STAND_INS = {4: "192.0.2.1", 6: "2001:db8::1"}


def resolve(virtual_services, inventory):
    """The resolved services, with what still leaves them; LvsError with every error of the declaration at once.

    What directors hold and the inventory does not name any more stays with weight 0 while it has connections (held.with_leaving).
    """
    problems = Problems()
    services = _resolve(virtual_services, inventory, problems)
    problems.raise_if_any("The inventory can't be used")
    directors = inventory["groups"].get(DIRECTORS) or []
    tables = {director: _facts(inventory, director).get("ipvs") or [] for director in directors}
    names = {}
    for host, variables in inventory["hosts"].items():
        for family in (4, 6):
            names.setdefault(host_address(variables, family), host)
    return held.with_leaving(services, tables, max([max_cut(inventory, director) for director in directors] or [0]), names)


def max_cut(inventory, director):
    """How many running connections of what leaves may be cut (director_max_cut_connections)."""
    variables = inventory["hosts"].get(director, {})
    return Reader(Problems(), "", variables).integer("director_max_cut_connections", 0, 0, MAX_CONNECTIONS)


def _resolve(virtual_services, inventory, problems):
    if not isinstance(virtual_services, list) or not virtual_services:
        problems.add("virtual_services", "a list with at least one service is needed, for example in group_vars/all.yml")
        return []
    resolved, names, keys = [], {}, {}
    for index, item in enumerate(virtual_services):
        path = "virtual_services[%d]" % index
        if not isinstance(item, dict):
            problems.add(path, "a dictionary is needed, and %r is none" % (item,))
            continue
        name = item.get("name")
        if not isinstance(name, str) or not name:
            problems.add(path + ".name", "a name is missing; messages and keepalived.conf use it")
        elif not is_label(name):
            problems.add(path + ".name", "%r can't be written into keepalived.conf; %s" % (name, LABEL_HINT))
        elif name in names:
            problems.add(path + ".name", "%r is the name of %s already" % (name, names[name]))
        else:
            names[name] = path
        for service in _resolve_one(Reader(problems, path, item), inventory, problems):
            key = service["key"]
            if key is not None and key in keys:
                problems.add(path, "%s is declared by %s already; remove one" % (service_name(key), keys[key]))
            keys[key] = path
            resolved.append(service)
    _check_instances(resolved, problems)
    return resolved + _check_services(resolved)


def _check_instances(services, problems):
    """A VIP is where its VRRP instance is active, so it belongs to one."""
    first = {}
    for service in services:
        for vip in service["vips"] if not service["absent"] else ():
            if first.setdefault(vip, service)["instance"] != service["instance"]:
                problems.add(
                    "virtual service %s" % service["name"],
                    "VIP %s is in instance %s here and in %s in service %s; a VIP belongs to one instance"
                    % (vip, service["instance"], first[vip]["instance"], first[vip]["name"]),
                )


def _check_services(services):
    """For each real server that is checked through the direct-routing path a firewall-mark service of its own, with it as the only
    destination. A check's socket with that mark connects to the VIP, and IPVS, which looks at marks first, sends it to just that server:
    addressed to the VIP, in a frame to its MAC, as a viewer's packets are.
    """
    servers, marks = {}, {service["table"].get("firewall_mark") for service in services}
    for service in services:
        if service["health_check"] and service["health_check"]["target"] == "vip" and not service["absent"]:
            for destination, host in zip(service["table"]["destinations"], service["hosts"]):
                if destination.get("health_checked"):
                    servers.setdefault((service["family"], destination["address"]), host)
    out = []
    for (family, address), host in sorted(servers.items()):
        mark = held.CHECK_MARKS | zlib.crc32(address.encode()) & 0xFFFFFF
        while mark in marks:
            mark = held.CHECK_MARKS | (mark + 1) & 0xFFFFFF
        marks.add(mark)
        table = {
            "firewall_mark": mark, "family": "ipv%d" % family, "scheduler": "rr",
            "destinations": [{"address": address, "forward": "dr", "weight": 1}],
        }  # fmt: skip
        wanted = read_service(Reader(Problems(), "", table))
        out.append(
            {
                "name": "checks of %s" % host, "mode": "dr", "family": family, "health_check": None, "stream": None, "vips": [],
                "table": wanted_as_dict(wanted), "hosts": [host], "absent": False, "key": service_key(wanted.service), "checks": True,
                "drained": [], "sorry": None, "instance": INSTANCE,
            }
        )  # fmt: skip
    return out


def check_marks(services):
    """{(family, address): mark} of the real servers that are checked through the direct-routing path."""
    return {
        (service["family"], service["table"]["destinations"][0]["address"]): service["table"]["firewall_mark"]
        for service in services
        if service.get("checks")
    }


def _resolve_one(reader, inventory, problems):
    reader.known(SERVICE_FIELDS)
    mode = reader.choice("mode", "dr", MODES, MODE_HINTS)
    state = reader.choice("state", "present", ("present", "absent"))
    mark = reader.get("firewall_mark")
    _check_ports(reader, mark)
    check = read_health_check(reader)
    stream = reader.get("stream")
    if stream is not None and not is_path(stream):
        reader.wrong("stream", "%r is no path of a stream; give one such as /live/index.m3u8" % (stream,))
    hosts = _real_servers(reader, inventory) if state == "present" else []
    sorry = _sorry_server(reader, inventory, check, hosts) if state == "present" else []
    instance = reader.get("instance", INSTANCE)
    if not isinstance(instance, str) or not re.fullmatch("[A-Za-z0-9._-]{1,40}", instance):
        reader.wrong("instance", "%r is no name of a VRRP instance; letters, digits and . _ - are possible" % (instance,))
        instance = INSTANCE
    if reader.get("scheduler") == "dh":
        reader.wrong(
            "scheduler",
            refuses_newcomers("dh", ()) + "; every server can be drained, so use mh, which sends them on",
        )
    vips = _vips(reader)
    out = []
    # Without a VIP there is nothing to resolve, but every other value is read all the same: all errors come at once.
    for family, vip in _tables_of(vips, mark) or ((4, None), (6, None)):
        table = {"firewall_mark": mark, "family": "ipv%d" % family} if mark is not None else {"address": vip or STAND_INS[family]}
        for field in ("protocol", "scheduler", "scheduler_flags", "one_packet", "state"):
            table[field] = reader.get(field)
        table["scheduler_flags"] = _with_fallback(table["scheduler"], table["scheduler_flags"])
        if mark is None:
            table["port"] = _port(reader)
        table["persistence"] = _persistence_of(reader.get("persistence"), family, vips or list(STAND_INS.items()))
        found = problems if vip else Problems()
        table["destinations"] = _destinations(reader, mode, family, hosts, inventory, check, found)
        for fallback in _destinations(reader, mode, family, sorry, inventory, None, found):
            table["destinations"].append({**fallback, "weight": 1, "fallback": True})
        # What the table module would refuse is refused here, under the name the operator knows.
        inner = Problems()
        wanted = read_service(Reader(inner, reader.path, table))
        for line in inner.found:
            text_path, _, text_rest = line.partition(": ")
            if mark is not None or table["port"] is not None or text_path != reader.path + ".port":
                problems.add(_operators_path(text_path, reader.path, hosts + sorry), text_rest)
        if vip is None:
            continue
        out.append(
            {
                "name": reader.get("name"), "mode": mode, "family": family, "health_check": check, "stream": stream,
                "vips": [text for of, text in vips if of == family] if mark is not None else [vip],
                # Of a table with errors only the checks of preflight read on, and they go by the order of the hosts.
                "table": table if inner.found else wanted_as_dict(wanted),
                "hosts": [host for host, _path in hosts], "absent": state == "absent", "instance": instance,
                "drained": [host for host, _path in hosts if _is_drained(inventory, host)], "sorry": sorry[0][0] if sorry else None,
                "key": None if inner.found else service_key(wanted.service),
            }
        )  # fmt: skip
    return out


def _with_fallback(scheduler, flags):
    """The declared flags with the one that keeps newcomers of a server of weight 0 from being refused."""
    flag = FALLBACK_FLAGS.get(scheduler) if isinstance(scheduler, str) else None
    if not flag or not isinstance(flags, (list, type(None))):
        return flags
    return [*(flags or []), *([] if flag in (flags or []) else [flag])]


def _vips(reader):
    """(family, text) of each VIP that is one, each once."""
    addresses = reader.get("addresses", [])
    if not isinstance(addresses, list) or not addresses:
        reader.wrong("addresses", "a list with at least one VIP is needed")
        addresses = []
    out = []
    for position, address in enumerate(addresses):
        try:
            vip = parse_address(address)
        except ValueError:
            reader.wrong("addresses[%d]" % position, "%r is not an IPv4 or IPv6 host address" % (address,))
            continue
        if vip in out:
            reader.wrong("addresses[%d]" % position, "%s stands there twice; remove one" % vip[1])
        else:
            out.append(vip)
    return out


def _tables_of(vips, mark):
    """The VIPs that get a service of their own: each, or with a firewall mark one of each family."""
    if mark is None:
        return vips
    first = {}
    for family, text in vips:
        first.setdefault(family, (family, text))
    return list(first.values())


def _check_ports(reader, mark):
    ports = reader.get("ports", [])
    if mark is not None:
        if ports:
            reader.wrong("ports", "a firewall-mark service has none; the rule that sets mark %s chooses them" % (mark,))
    elif not isinstance(ports, list) or not ports:
        reader.wrong("ports", "a list with a port is needed")
    elif len(ports) > 1:
        reader.wrong(
            "ports",
            "several ports need a firewall-mark service: mark their packets on the directors and name the mark as firewall_mark, "
            "or declare one service for each port",
        )
    elif ports[0] is None:
        reader.wrong("ports[0]", "a port is missing")


def _port(reader):
    ports = reader.get("ports")
    return ports[0] if isinstance(ports, list) and ports else None


def _family(address):
    try:
        return parse_address(address)[0]
    except ValueError:
        return None


def _persistence_of(value, family, vips):
    """A netmask belongs to one family: where a service has both, a dotted one is IPv4's, and the other keeps single clients."""
    both = len({of for of, _text in vips}) == 2
    if both and isinstance(value, dict) and value.get("netmask") is not None and ("." in str(value["netmask"])) != (family == 4):
        return {key: item for key, item in value.items() if key != "netmask"}
    return value


def _operators_path(path, prefix, hosts):
    """A path into the table's words, turned into one the operator wrote."""
    rest = path[len(prefix) :]
    if rest.startswith(".destinations["):
        index, _, field = rest[len(".destinations[") :].partition("].")
        host = hosts[int(index.rstrip("]"))][0]
        if field in ("address", "port", "weight"):
            return "hosts[%s].real_server_%s" % (host, field)
        return "%s (real server %s)" % (prefix, host)
    if rest == ".port":
        return prefix + ".ports[0]"
    return path


def _real_servers(reader, inventory):
    """(host, path to its variables) of a service's group."""
    group = reader.get("real_servers")
    if not isinstance(group, str) or not group:
        reader.wrong("real_servers", "the name of an inventory group is needed")
        return []
    hosts = inventory["groups"].get(group)
    if hosts is None:
        known = ", ".join(sorted(name for name in inventory["groups"] if name not in ("all", "ungrouped") and not name.startswith("lvs_")))
        reader.wrong("real_servers", "there is no group %r in the inventory; these are: %s" % (group, known))
        return []
    if not hosts:
        reader.wrong("real_servers", "group %r is empty; put its hosts into the inventory" % group)
    paths = [(host, "hosts[%s]" % host) for host in hosts]
    for host, path in paths:
        _check_host(Reader(reader.problems, path, inventory["hosts"].get(host, {})), host)
    return paths


def _sorry_server(reader, inventory, check, hosts):
    """[(host, path to its variables)] of the one that answers when checks have taken all others out, or []."""
    host = reader.get("sorry_server")
    if host is None:
        return []
    if not isinstance(host, str) or host not in inventory["hosts"]:
        reader.wrong("sorry_server", "%r is no host of the inventory" % (host,))
        return []
    if host in [name for name, _path in hosts]:
        reader.wrong("sorry_server", "%s is one of the service's real servers; name another host" % host)
        return []
    if not check:
        reader.wrong("sorry_server", "it answers when checks have taken all real servers out; declare a health_check")
    elif check.get("floor"):
        reader.wrong("sorry_server", "with a floor of %g some real servers always stay in, and it would never answer" % check["floor"])
    path = "hosts[%s]" % host
    _check_host(Reader(reader.problems, path, inventory["hosts"][host]), host)
    return [(host, path)]


def _is_drained(inventory, host):
    return inventory["hosts"].get(host, {}).get("real_server_state") == "drained"


def _check_host(values, host):
    """What is wrong with a real server's variables, whatever the service."""
    if not is_label(host):
        values.wrong("", "%r can't be written into keepalived.conf; %s" % (host, LABEL_HINT))
    for name in ("real_server_address", "real_server_address6"):
        if values.get(name) is not None:
            values.address(name)
    values.integer("real_server_weight", 1, 0, MAX_WEIGHT)
    values.integer("real_server_port", 0, 0, 65535)
    values.choice("real_server_state", "active", ("active", "drained"))
    values.choice("real_server_misplaced", "move", ("move", "refuse"))


def host_address(variables, family):
    """A host's own address of a family, or None: real_server_address and real_server_address6, else ansible_host."""
    for name in ("real_server_address", "real_server_address6", "ansible_host"):
        value = variables.get(name)
        if value is not None and _family(value) == family:
            return parse_address(value)[1]
    return None


def _destinations(reader, mode, family, hosts, inventory, check, problems):
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
                "%s has no IPv%d address for service %s; set real_server_address%s"
                % (host, family, reader.get("name"), "6" if family == 6 else ""),
            )
            # Something to go on with, so that all other errors are found as well.
            address = STAND_INS[family]
        # Where a check owns the weight, keepalived drains by a file (drain_file), without another configuration.
        destination = {"address": address, "forward": mode, "weight": 0 if not check and _is_drained(inventory, host) else weight}
        if variables.get("real_server_port") is not None:
            destination["port"] = variables["real_server_port"]
        if check and destination["weight"]:
            destination["health_checked"] = True
        out.append(destination)
    return out


def streams(services):
    """``[{"name", "vip", "url", "base", "path", "servers"}]`` of everything that a viewer can play; url is base and path together."""
    out = []
    for service in services:
        if service["stream"] and not service["absent"] and "port" in service["table"]:
            for vip in service["vips"]:
                base = "http://" + endpoint(vip, int(service["table"]["port"]))
                out.append(
                    {
                        "name": service["name"], "vip": vip, "url": base + service["stream"], "base": base, "path": service["stream"],
                        "servers": service["hosts"],
                    }
                )  # fmt: skip
    return out


def listeners_of(services, host):
    """The ``services`` of listener_check: what a real server's programs have to answer for while it takes viewers."""
    out = []
    for service in services:
        table = service["table"]
        check = service["health_check"] or {}
        protocol, port = table.get("protocol"), table.get("port")
        if protocol is None:  # a firewall mark has neither; a check names a port of its own
            protocol, port = "udp" if check.get("type") in UDP_CHECKS else "tcp", check.get("port")
        members = _members(service)
        if service["absent"] or service["mode"] == "nat" or host not in members or not port or protocol not in ("tcp", "udp"):
            continue
        destination = table["destinations"][members.index(host)]
        if destination["weight"] and host not in service["drained"]:
            own = {"name": service["name"], "protocol": protocol, "port": port, "own": destination["address"]}
            if check.get("type") in UDP_CHECKS:
                own.update(_question_of(check))
            out += [{**own, "vip": vip} for vip in service["vips"]]
    return out


def _question_of(check):
    """What to ask a UDP program, in the words of listener_check and udp_probe, without what is not said."""
    words = {"kind": packets.kind_of(check["type"]), "payload": check.get("payload"), "query": check.get("query")}
    return {name: value for name, value in words.items() if value is not None}


def udp_probes(services, inventory):
    """``[{"name", "vip", "port", "kind", "payload", "query", "names", "count"}]`` of the UDP services that a check says how to ask."""
    out = []
    for service in services:
        check = service["health_check"] or {}
        if service["absent"] or check.get("type") not in UDP_CHECKS or service["table"].get("protocol") != "udp":
            continue
        addresses = {host_address(inventory["hosts"][host], service["family"]): host for host in service["hosts"]}
        names = {address: host for address, host in addresses.items() if address}
        for vip in service["vips"]:
            out.append(
                {
                    "name": service["name"], "vip": vip, "port": service["table"]["port"], "names": names,
                    "payload": None, "query": None, **_question_of(check), "count": max(6, 2 * len(service["hosts"])),
                }
            )  # fmt: skip
    return out


def _file_name(words):
    return "%s-%08x" % (re.sub("[^A-Za-z0-9-]", "_", words)[:80], zlib.crc32(words.encode()))


def track_file(service, host):
    """Name of the track file of a real server's check, as keepalived.conf and the checker use it."""
    return _file_name("%s-%s-%s" % (service["name"], service["vips"][0], host))


def drain_file(host):
    """Name of the track file that takes a real server's weight in all services, as keepalived.conf and the director role use it."""
    return _file_name("drained-%s" % host)


def drained(services):
    """The names of the files in places.DRAINED that have to be there, sorted."""
    return sorted({drain_file(host) for service in services for host in service["drained"] if service["health_check"]})


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


def streamchecks(services, director, inventory, metrics_port=9133):
    """The configuration of lvsdr-streamcheck on a director: {"folder", "metrics_port", "services"}."""
    out = []
    marks = check_marks(services)
    for service in services:
        check = service["health_check"]
        if service["absent"] or not is_watched(check):
            continue
        members = []
        for destination, host in zip(service["table"]["destinations"], service["hosts"]):
            if destination.get("health_checked"):
                through = check["target"] == "vip"
                members.append(
                    {
                        "name": host, "weight": destination["weight"], "file": track_file(service, host),
                        "agent": destination["address"], "drain_file": "%s/%s" % (places.DRAINED, drain_file(host)),
                        "address": service["vips"][0] if through else destination["address"],
                        "port": check.get("port") or destination.get("port", service["table"].get("port")),
                        "mark": marks[service["family"], destination["address"]] if through else None,
                        "own": host_address(inventory["hosts"].get(director, {}), service["family"]) if through else None,
                    }
                )  # fmt: skip
        out.append(
            {
                "name": service["name"], "vip": service["vips"][0], "check": check, "servers": members,
                "slow_start": check["slow_start"], "floor": check["floor"],
            }
        )  # fmt: skip
    return {"folder": places.STREAMCHECK, "metrics_port": metrics_port, "services": out}


def macs(inventory, group=None):
    """``{mac: host}`` of the interfaces of a group, or of all hosts, as their facts tell."""
    return {
        interface["mac"]: host
        for host in (inventory["hosts"] if group is None else inventory["groups"].get(group, []))
        for interface in _facts(inventory, host).get("interfaces", [])
        if interface["type"] == "ether"
    }


def vips_near(services, inventory, host):
    """The VIPs in whose subnet a host has an interface: those that it can ask for."""
    networks = _networks(inventory, host) or []
    return [vip for vip in director_vips(services) if _inside(vip, networks)]


def interface_of(services, facts):
    """The interface of a director whose subnet holds the first VIP."""
    for vip in director_vips(services):
        for interface in facts.get("interfaces", ()):
            for text in interface["addresses"]:
                network = ipaddress.ip_interface(text).network
                if interface["name"] != "lo" and network.num_addresses > 1 and ipaddress.ip_address(vip) in network:
                    return interface["name"]
    raise LvsError("No interface of this director has a subnet that holds a VIP", "set director_interface")


def holds_vip(services, facts):
    """Whether a director is the active one: it holds a VIP outside lo."""
    return not {str(address.ip) for address in _on_links(facts)}.isdisjoint(director_vips(services))


def _on_links(facts):
    """A host's addresses on all interfaces but lo, with their prefix lengths."""
    return [
        ipaddress.ip_interface(text)
        for interface in facts.get("interfaces", [])
        if interface["name"] != "lo"
        for text in interface["addresses"]
    ]


def holders(vip, facts_by_director):
    """The directors that hold a VIP."""
    return [director for director, facts in sorted(facts_by_director.items()) if vip in {str(address.ip) for address in _on_links(facts)}]


def held_wrongly(services, facts_by_director):
    """A sentence for each VIP that not exactly one director holds. facts_by_director: {director: facts}, read just now."""
    out = []
    for vip in director_vips(services):
        found = holders(vip, facts_by_director)
        if len(found) > 1:
            out.append(
                "%s hold %s at once (split brain): they do not hear each other's advertisements; see that VRRP (IP protocol 112) passes "
                "between them, and `journalctl -u keepalived` on both" % (" and ".join(found), vip)
            )
        elif not found:
            out.append("no director holds %s; see `journalctl -u keepalived`" % vip)
    return out


def addresses_of(inventory, host):
    """All that a host's own packets may come from: its declared addresses, and those that its facts tell."""
    variables = inventory["hosts"].get(host, {})
    declared = [host_address(variables, family) for family in (4, 6)]
    return {address for address in declared if address} | {str(address.ip) for address in _on_links(_facts(inventory, host))}


def own_addresses(facts, family=4):
    """A host's own addresses of a family: those with a subnet, on any interface but lo."""
    return [str(address.ip) for address in _on_links(facts) if address.version == family and address.network.num_addresses > 1]


def _members(service):
    """The hosts of a service's destinations, in their order: the real servers, and the sorry server after them."""
    return service["hosts"] + ([service["sorry"]] if service["sorry"] else [])


def vips_of_host(services, host, mode=("dr", "tunnel")):
    """The VIPs that a real server must hold itself, in order: those of its direct-routing and tunnel services."""
    out = []
    for service in services:
        if host in _members(service) and service["mode"] in mode:
            out += [vip for vip in service["vips"] if vip not in out]
    return out


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
        out += [host for host in _members(service) if host not in out]
    return out


def tables(services):
    """The ``services`` of ipvs_table."""
    return [service["table"] for service in services]


def kernel_modules(services):
    """Kernel modules the services need, sorted."""
    found = {"ip_vs"}
    for service in services:
        found.add("ip_vs_" + service["table"]["scheduler"])
        engine = service["table"].get("persistence", {}).get("engine")
        if engine:
            found.add("ip_vs_pe_" + engine)
    return sorted(found)


def preflight(virtual_services, inventory):
    """Every error that can be seen before anything is touched, as a list of lines; empty where all is well."""
    problems = Problems()
    directors = inventory["groups"].get(DIRECTORS)
    if directors is None:
        problems.add("inventory", "there is no group 'directors'; name the hosts that run IPVS in it")
    elif not directors:
        problems.add("inventory", "group 'directors' is empty; name the hosts that run IPVS in it")
    directors = directors or []
    services = _resolve(virtual_services, inventory, problems)
    declared = _declared_addresses(inventory, list(directors) + real_servers(services), problems)
    for service in services:
        path = "virtual service %s" % service["name"]
        for vip in service["vips"]:
            if vip in declared:
                problems.add(path, "VIP %s is the own address of %s; a VIP belongs to no host" % (vip, declared[vip]))
            for director in directors:
                networks = _networks(inventory, director)
                if networks is not None and not service["absent"] and not _inside(vip, networks):
                    problems.add(
                        path,
                        "VIP %s is in no subnet of director %s (%s); give the director an interface there, or choose a VIP from its subnets"
                        % (vip, director, _list_networks(networks, _family(vip))),
                    )
        _check_neighbours(service, path, directors, inventory, problems)
        _check_vips_on_servers(service, path, director_vips(services), inventory, problems)
    _check_cloud(services, inventory, problems)
    _check_router_ids(services, directors, inventory, problems)
    for director in directors:
        for sentence in _facts(inventory, director).get("arp_rules", ()):
            problems.add("host %s" % director, "%s; a director must answer ARP for its VIPs, so let it through" % sentence)
    for host in sorted(set(directors) | set(real_servers(services))):
        for line in _facts(inventory, host).get("problems", []):
            problems.add("host %s" % host, line)
    return problems.found


def _check_router_ids(services, directors, inventory, problems):
    """Every director has the same instances with the same router ids."""
    first = None
    for director in directors:
        variables = inventory["hosts"].get(director, {})
        found = {one["name"]: one["virtual_router_id"] for one in instances(services, director, variables, directors, problems)}
        first = first or (director, found)
        for name in sorted(found):
            if name in first[1] and first[1][name] != found[name]:
                problems.add(
                    "hosts[%s]" % director,
                    "the virtual_router_id of instance %s is %d here and %d on %s; all directors of an instance have one"
                    % (name, found[name], first[1][name], first[0]),
                )


def instances(services, director, variables, directors, problems):
    """The VRRP instances of a director: [{"name", "vips", "virtual_router_id", "priority"}, …], those without a VIP left out.

    variables: with director_virtual_router_id and director_priority, of the instance INSTANCE, and director_instances, of the others:
    ``{name: {virtual_router_id: 52, active: director2}}``.
    """
    values = Reader(problems, "hosts[%s]" % director, variables)
    declared = values.get("director_instances", {})
    if not isinstance(declared, dict):
        values.wrong("director_instances", "a dictionary such as {radio: {virtual_router_id: 52, active: director2}} is needed")
        declared = {}
    settings = {
        INSTANCE: (
            values.integer("director_virtual_router_id", VIRTUAL_ROUTER_ID, 1, 255),
            values.integer("director_priority", PRIORITY, 1, 254),
        )
    }
    for name, item in declared.items():
        path = "director_instances.%s" % name
        if name == INSTANCE:
            values.wrong(path, "this is the instance of services that name none; it has director_virtual_router_id and director_priority")
            continue
        if not isinstance(item, dict):
            values.wrong(path, "a dictionary such as {virtual_router_id: 52, active: director2} is needed")
            continue
        inner = values.inner(path, item)
        inner.known(("virtual_router_id", "active"))
        if inner.get("virtual_router_id") is None:
            inner.wrong("virtual_router_id", "a router id from 1 to 255 is missing")
        number = inner.integer("virtual_router_id", 1, 1, 255)
        for other, (taken, _priority) in settings.items():
            if taken == number:
                inner.wrong("virtual_router_id", "%d is the router id of instance %s, too; on one link each has its own" % (number, other))
        active = inner.choice("active", directors[0] if directors else "", tuple(directors))
        settings[name] = number, PRIORITIES[active != director]
    out = {}
    for service in services:
        for vip in service["vips"] if not service["absent"] else ():
            name = service["instance"]
            if name not in settings:
                problems.add(
                    "virtual service %s" % service["name"],
                    "there is no instance %s; declare it in director_instances" % name,
                )
                settings[name] = None
            if settings[name] and vip not in out.setdefault(name, []):
                out[name].append(vip)
    return [
        {"name": name, "vips": vips, "virtual_router_id": settings[name][0], "priority": settings[name][1]} for name, vips in out.items()
    ]


def _facts(inventory, host):
    return inventory["hosts"].get(host, {}).get("facts") or {}


def _networks(inventory, host):
    """The subnets a host is connected to, without loopback and single addresses; None where its facts are not known."""
    facts = _facts(inventory, host)
    if "interfaces" not in facts:
        return None
    networks = [address.network for address in _on_links(facts)]
    return [network for network in networks if network.num_addresses > 1 and not network.is_link_local]


def _inside(address, networks):
    address = ipaddress.ip_address(address)
    return any(address in network for network in networks)


def _list_networks(networks, family):
    return ", ".join(sorted(str(network) for network in networks if network.version == family)) or "it has none of IPv%d" % family


def _declared_addresses(inventory, hosts, problems):
    """Own address to host. An address with a full-length prefix is a VIP (keepalived's or ours), not a host's own."""
    out = {}
    for host in hosts:
        variables = inventory["hosts"].get(host, {})
        own = [host_address(variables, family) for family in (4, 6)]
        own += [str(address.ip) for address in _on_links(_facts(inventory, host)) if address.network.num_addresses > 1]
        for address in own:
            if address is None or ipaddress.ip_address(address).is_loopback or ipaddress.ip_address(address).is_link_local:
                continue
            if out.get(address, host) != host:
                problems.add("hosts[%s]" % host, "address %s belongs to %s as well; two hosts can't share one" % (address, out[address]))
            out.setdefault(address, host)
    return out


def _check_neighbours(service, path, directors, inventory, problems):
    """Direct routing rewrites a MAC: the director must reach the real server on a link of its own."""
    if service["mode"] != "dr" or service["absent"] or service.get("checks"):
        return
    for destination, host in zip(service["table"]["destinations"], _members(service)):
        for director in directors:
            networks = _networks(inventory, director)
            if networks is not None and not _inside(destination["address"], networks):
                problems.add(
                    path,
                    "director %s has no interface in the subnet of real server %s (%s); direct routing needs both on one link. "
                    "Its subnets are %s" % (director, host, destination["address"], _list_networks(networks, service["family"])),
                )
            elif networks is not None and destination.get("health_checked") and service["health_check"]["target"] == "vip":
                own = host_address(inventory["hosts"].get(director, {}), service["family"])
                addresses = [destination["address"], service["vips"][0], *([own] if own else [])]
                # What answers a check comes in where accept_local and its rules are: on the interface of the VIP.
                if not any(all(_inside(address, [network]) for address in addresses) for network in networks):
                    problems.add(
                        path,
                        "the checks of real server %s (%s) from director %s (%s) to VIP %s do not stay in one subnet, and their answers "
                        "would be dropped; set health_check.target: server, or the director's real_server_address to the one on that link"
                        % (host, destination["address"], director, own, service["vips"][0]),
                    )
            _check_link("director %s" % director, _facts(inventory, director), destination["address"], path, problems)
        _check_link("real server %s" % host, _facts(inventory, host), destination["address"], path, problems)


def _check_cloud(services, inventory, problems):
    """In a cloud the network itself decides which addresses a port may use."""
    clouds = {}
    for service in services:
        if service["mode"] == "dr" and not service["absent"]:
            for host in [*inventory["groups"].get(DIRECTORS, []), *_members(service)]:
                cloud = _facts(inventory, host).get("cloud")
                if cloud and not inventory["hosts"].get(host, {}).get("preflight_allow_cloud"):
                    clouds.setdefault(cloud, []).append(host)
    for cloud, hosts in sorted(clouds.items()):
        problems.add(
            "mode dr",
            "%s run in %s, whose network drops packets with another address than the port's own, and moves no VIP by ARP; "
            "use mode nat, or, where you have arranged that with the network, set preflight_allow_cloud: true"
            % (", ".join(dict.fromkeys(hosts)), cloud),
        )


def _check_link(name, facts, address, path, problems):
    """A frame is sent to a MAC that ARP found: a tunnel, a point-to-point link or a card without ARP has none to offer."""
    links = [
        interface
        for interface in facts.get("interfaces", [])
        if interface["name"] != "lo" and any(_inside(address, [ipaddress.ip_interface(text).network]) for text in interface["addresses"])
    ]
    for link in links:
        for sentence in link.get("arp_filters", ()):
            problems.add(path, "%s has a bridge, %s, on the link: %s; direct routing needs ARP there" % (name, link["name"], sentence))
    if links and not any(link["type"] == "ether" and link["arp"] for link in links):
        problems.add(
            path,
            "%s is on the link of real server %s with %s, which %s; direct routing rewrites a MAC and can't work there: "
            "use mode tunnel or nat, or give both an Ethernet link"
            % (name, address, links[0]["name"], "is no Ethernet" if links[0]["type"] != "ether" else "speaks no ARP"),
        )


def _check_vips_on_servers(service, path, vips, inventory, problems):
    """A VIP that a real server has in the wrong place. vips: those of all services."""
    for host in _members(service):
        interfaces = _facts(inventory, host).get("interfaces", [])
        addresses = [(link["name"], *arp.address_and_length(text)) for link in interfaces for text in link["addresses"]]
        # The role real_server moves what can be moved; where the server holds no VIP of its own, that role does not come.
        moves = service["mode"] != "nat" and inventory["hosts"].get(host, {}).get("real_server_misplaced", "move") == "move"
        for vip in service["vips"]:
            for place in arp.misplaced(vip, addresses):
                # With a subnet's prefix on a card it is the host's own address, which is another error, and not to be removed.
                if place[0] != "lo" and place[2] != arp.full_length(vip):
                    continue
                if not (moves and arp.can_move(place, vips, addresses)):
                    problems.add(path, "on real server %s VIP %s" % (host, arp.wrong_place(place)))


def parity(tables_by_director, services):
    """Differences between the directors' tables, as lines, weights included. {director: text of its table}

    Only declared services count: what nobody declared is left alone on each director.
    """
    ours = {service_option(service["key"]) for service in services}
    # A sorry server comes and goes, and keeps a weight of 0 where it once served.
    leave_out = {
        (service_option(service["key"]), destination["address"])
        for service in services
        for destination in service["table"]["destinations"]
        if destination.get("fallback")
    }
    # Each director hears an agent, and begins a slow start, at its own moment.
    moving = {
        service_option(service["key"])
        for service in services
        if service["health_check"] and (service["health_check"].get("agent") or service["health_check"].get("slow_start"))
    }
    names = sorted(tables_by_director)
    lines = {
        name: {
            _without_weight(line) if _service_of(line) in moving else line
            for line in tables_by_director[name].splitlines()
            if _service_of(line) in ours and _server_of(line) not in leave_out
        }
        for name in names
    }
    problems = []
    for other in names[1:]:
        problems += ["only on %s: %s" % (names[0], line) for line in sorted(lines[names[0]] - lines[other])]
        problems += ["only on %s: %s" % (other, line) for line in sorted(lines[other] - lines[names[0]])]
    return problems


def _service_of(line):
    """The service's option in a line of a table: ``-t 198.51.100.100:80``, ``-f 5 -6``."""
    words = line.split()
    return " ".join(words[1 : 4 if words[3:4] == ["-6"] else 3])


def _without_weight(line):
    """The line with no more of the weight than whether it is one."""
    return re.sub(r" -w [1-9][0-9]*", " -w more than 0", line)


def _server_of(line):
    """(the service's option, the destination's address) in a line of a table; the address is None in a service's own line."""
    _before, found, rest = line.partition(" -r ")
    return _service_of(line), rest.split()[0].rpartition(":")[0].strip("[]") if found else None
