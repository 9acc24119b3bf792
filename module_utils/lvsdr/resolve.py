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

import hashlib
import ipaddress
import re
import zlib

from . import held, http, packets, places
from .checks import LABEL_HINT, PATH_HINT, UDP_CHECKS, is_file, is_label, is_path, is_watched, read_health_check
from .errors import LvsError, Problems, listed, shown
from .hosts import (
    MAX_CONNECTIONS,
    PRIORITY,
    VIRTUAL_ROUTER_ID,
    facts_of,
    family_of,
    host_address,
    inside,
    is_declared,
    networks_of,
    on_links,
)  # fmt: skip
from .model import (
    DIRECTORS,
    FALLBACK_FLAGS,
    MAX_WEIGHT,
    SCHEDULERS,
    Reader,
    endpoint,
    not_an_address,
    parse_address,
    read_service,
    refuses_newcomers,
    service_key,
    service_name,
    wanted_as_dict,
    whole_number,
)  # fmt: skip
from .render import service_option

HOST_VARIABLES = (
    "ansible_host", "real_server_address", "real_server_address6", "real_server_weight", "real_server_state", "real_server_port",
    "real_server_misplaced", "director_interface", "director_instances", "director_virtual_router_id", "director_priority",
    "director_advertisement_interval", "director_preempt", "director_unicast", "director_timeouts", "director_sysctls",
    "director_max_cut_connections", "director_drain_seconds", "director_streamcheck_metrics_port", "director_streamcheck_install",
    "preflight_allow_cloud", "preflight_allow_drained", "streaming_server_kind", "streaming_server_listen", "streaming_server_packages",
    "streaming_server_user", "streaming_server_connections", "streaming_server_keepalive_requests", "streaming_server_origin",
    "streaming_server_vod_dir", "streaming_server_cache_dir", "streaming_server_cache_size", "streaming_server_hls_dir",
    "streaming_server_fragment", "streaming_server_playlist", "streaming_server_rtmp_listen", "streaming_server_publishers",
    "streaming_server_test_source", "streaming_server_tls_listen", "streaming_server_certificate", "streaming_server_certificate_key",
)  # fmt: skip
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
INSTANCE_NAME = "[A-Za-z0-9._-]{1,40}"
# Of a further instance: its active director's, and the others'.
PRIORITIES = (150, 100)
# In the place of an address that is missing, to read on with.
STAND_INS = {4: "192.0.2.1", 6: "2001:db8::1"}


def resolve(virtual_services, inventory):
    """The resolved services, with what still leaves them; LvsError with every error of the declaration at once.

    What directors hold and the inventory does not name any more stays with weight 0 while it has connections (held.with_leaving).
    """
    problems = Problems()
    services = read_services_of(virtual_services, inventory, problems)
    problems.raise_if_any("The inventory can't be used")
    directors = inventory["groups"].get(DIRECTORS) or []
    tables = {director: facts_of(inventory, director).get("ipvs") or [] for director in directors}
    names = {}
    for host, variables in inventory["hosts"].items():
        for family in (4, 6):
            names.setdefault(host_address(variables, family), host)
    return held.with_leaving(services, tables, max([max_cut(inventory, director) for director in directors] or [0]), names)


def max_cut(inventory, director):
    """How many running connections of what leaves may be cut (director_max_cut_connections)."""
    variables = inventory["hosts"].get(director, {})
    return Reader(Problems(), "", variables).integer("director_max_cut_connections", 0, 0, MAX_CONNECTIONS)


def read_services_of(virtual_services, inventory, problems):
    if not isinstance(virtual_services, list) or not virtual_services:
        problems.add("virtual_services", "a list with at least one service is needed, for example in group_vars/all.yml")
        return []
    resolved, names, keys = [], {}, {}
    for index, item in enumerate(virtual_services):
        path = "virtual_services[%d]" % index
        if not isinstance(item, dict):
            problems.add(path, "a dictionary is needed, not %s" % shown(item))
            continue
        name = item.get("name")
        if name is None or name == "":
            problems.add(path + ".name", "a name is missing; messages and keepalived.conf use it")
        elif not isinstance(name, str):
            problems.add(path + ".name", "%s is not text; write it in quotes" % shown(name))
        elif not is_label(name):
            problems.add(path + ".name", "%s can't be written into keepalived.conf; %s" % (shown(name), LABEL_HINT))
        elif name in names:
            problems.add(path + ".name", "%s is the name of %s already" % (shown(name), names[name]))
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
    destination. A check's socket with that mark connects to the VIP, and IPVS sends it to just that server: addressed to the VIP, in a
    frame to its MAC, as a viewer's packets are.

    Before marks IPVS looks for a connection that it remembers, by protocol, addresses and ports (ip_vs_core.c, ip_vs_in). The rules of
    the director give the checks of each server a client address of their own for it (rules.py), so that it finds none of another server.
    One packet: UDP is not remembered at all (ip_vs_schedule heeds the flag for UDP alone).
    """
    servers, marks = {}, {service["key"][3] for service in services if service["key"] and service["key"][1] == "fwmark"}
    for service in services:
        if service["health_check"] and service["health_check"]["target"] == "vip" and not service["absent"]:
            for destination, host in zip(service["table"]["destinations"], service["hosts"]):
                if destination.get("health_checked"):
                    servers.setdefault((service["family"], destination["address"]), host)
    out = []
    for (family, address), host in sorted(servers.items()):
        mark = held.CHECK_MARKS | zlib.crc32(address.encode()) & 0xFFFFFF
        while mark in marks or mark == held.CHECK_MARKS:
            mark = held.CHECK_MARKS | (mark + 1) & 0xFFFFFF
        marks.add(mark)
        table = {
            "firewall_mark": mark, "family": "ipv%d" % family, "scheduler": "rr", "one_packet": True,
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
    if held.is_check_mark(whole_number(mark)):
        reader.wrong("firewall_mark", "marks from 0x4c000000 to 0x4cffffff are those of lvsdr's checks; take another one")
    check = read_health_check(reader)
    stream = _read_stream(reader, mark)
    hosts = _placed(_real_servers(reader, inventory), inventory) if state == "present" else []
    sorry = _placed(_sorry_server(reader, inventory, check, hosts), inventory) if state == "present" else []
    instance = reader.get("instance", INSTANCE)
    if not isinstance(instance, str) or not re.fullmatch(INSTANCE_NAME, instance):
        reader.wrong("instance", "%s is no name of a VRRP instance; it has up to 40 letters, digits and . _ -" % shown(instance))
        instance = INSTANCE
    if reader.get("scheduler") == "dh":
        reader.wrong(
            "scheduler",
            refuses_newcomers("dh", ()) + "; every server can be drained, so use mh, which sends them on",
        )
    vips = _vips(reader)
    _check_room(reader, check, hosts, inventory)
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


STREAM_FIELDS = ("url", "verify")
STREAM_HINT = "give a path such as /live/index.m3u8, or a URL such as https://live.example.com/live/index.m3u8"


def _read_stream(reader, mark):
    """What verify plays through the VIP: {"url", "verify"}, where the URL may be a path on the service's own port, over HTTP; or None."""
    value = reader.get("stream")
    if value is None:
        return None
    inner = reader
    if isinstance(value, dict):
        inner = reader.inner("stream", value)
        inner.known(STREAM_FIELDS)
        url, verify, field = inner.get("url"), inner.get("verify", True), "url"
    else:
        url, verify, field = value, True, "stream"
    if not isinstance(verify, bool) and not is_file(verify):
        inner.wrong("verify", "%s is none of true, false, and the path of a file of authorities on the viewer" % shown(verify))
    ports = reader.get("ports")
    ports = [whole_number(port) for port in ports] if isinstance(ports, list) else []
    if reader.get("protocol", "tcp") != "tcp":
        inner.wrong(field, "a stream is played over HTTP, and the service is %s" % shown(reader.get("protocol")))
    elif isinstance(url, str) and "://" in url:
        _check_url(inner, field, url, mark, ports)
    elif not is_path(url):
        inner.wrong(field, "%s is no path of a stream; %s" % (shown(url), STREAM_HINT))
    elif mark is not None or 0 in ports:
        inner.wrong(
            field, "%s names no port to play it on; give the whole URL, or move it to a service with a port"
            % ("a firewall mark" if mark is not None else "port 0"),
        )  # fmt: skip
    elif 443 in ports:
        inner.wrong(field, "443 is the port of HTTPS, which needs a name; %s" % STREAM_HINT)
    return {"url": url, "verify": verify}


def _check_url(reader, field, url, mark, ports):
    try:
        address = http.split(url)
    except LvsError as error:
        reader.wrong(field, str(error))
        return
    path = url.partition("://")[2].partition("/")
    if not is_path(path[1] + path[2]):
        reader.wrong(field, "%s is no path of a stream; %s" % (shown(path[1] + path[2]), PATH_HINT))
    elif mark is None and 0 not in ports and address.port not in ports:
        reader.wrong(
            field, "%s is on port %d, and the service has %s; write the port into the URL, or play it with the service that has it"
            % (http.shown(url), address.port, listed(map(str, ports))),
        )  # fmt: skip


# With less, a tenth of a weight is none (verdicts.py).
LEAST_WEIGHT = 10


def _check_room(reader, check, hosts, inventory):
    """A share of a small weight is nothing, or all of it: what gives a server a part of its weight needs one that has parts."""
    words = [name for name in ("slow_start", "agent") if (check or {}).get(name)]
    for host, path in hosts if words else ():
        values = Reader(Problems(), path, inventory["hosts"].get(host, {}))
        if 0 < values.integer("real_server_weight", 1, 0, MAX_WEIGHT) < LEAST_WEIGHT:
            reader.problems.add(
                path + ".real_server_weight",
                "%s of service %s gives a server a part of its weight, and a weight below %d has too few parts; give all its servers "
                "ten times the weight" % (" and ".join(words), shown(reader.get("name")), LEAST_WEIGHT),
            )


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
        except ValueError as why:
            reader.wrong("addresses[%d]" % position, not_an_address(address, why))
            continue
        if vip in out:
            reader.wrong("addresses[%d]" % position, "%s is in the list already; remove one" % vip[1])
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
            reader.wrong("ports", "a firewall-mark service has none; the rule that sets mark %s chooses them" % shown(mark))
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
        known = listed(sorted(name for name in inventory["groups"] if name not in ("all", "ungrouped") and not name.startswith("lvs_")))
        reader.wrong("real_servers", "there is no group %s in the inventory; these are: %s" % (shown(group), known))
        return []
    if not hosts:
        reader.wrong("real_servers", "group %s is empty; put its hosts into the inventory" % shown(group))
    paths = [(host, "hosts[%s]" % host) for host in hosts]
    for host, path in paths:
        _check_host(Reader(reader.problems, path, inventory["hosts"].get(host, {})), host)
    return paths


def _placed(hosts, inventory):
    """Without those whose address only their facts will tell."""
    return [(host, path) for host, path in hosts if inventory.get("read", True) or is_declared(inventory["hosts"].get(host, {}))]


def _sorry_server(reader, inventory, check, hosts):
    """[(host, path to its variables)] of the one that answers when checks have taken all others out, or []."""
    host = reader.get("sorry_server")
    if host is None:
        return []
    if not isinstance(host, str) or host not in inventory["hosts"]:
        reader.wrong("sorry_server", "%s is no host of the inventory" % shown(host))
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
        values.wrong("", "%s can't be written into keepalived.conf; %s" % (shown(host), LABEL_HINT))
    for name in ("real_server_address", "real_server_address6"):
        if values.get(name) is not None:
            values.address(name)
    values.integer("real_server_weight", 1, 0, MAX_WEIGHT)
    values.integer("real_server_port", 1, 1, 65535)
    values.choice("real_server_state", "active", ("active", "drained"))
    values.choice("real_server_misplaced", "move", ("move", "refuse"))


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
                "%s has no IPv%d address for service %s%s; set real_server_address%s"
                % (
                    host,
                    family,
                    _short(reader.get("name")),
                    "" if is_declared(variables) else _not_found(variables),
                    "6" if family == 6 else "",
                ),
            )
            # Something to go on with, so that all other errors are found as well.
            address = STAND_INS[family]
        # Where a check owns the weight, keepalived drains by a file (drain_file), without another configuration.
        destination = {"address": address, "forward": mode, "weight": 0 if not check and _is_drained(inventory, host) else weight}
        port = whole_number(variables.get("real_server_port"))
        if port is not None and 0 < port < 65536:
            destination["port"] = port
        if check and destination["weight"]:
            destination["health_checked"] = True
        out.append(destination)
    return out


def _short(name):
    """A service's name in a message, also where it is none."""
    return name if isinstance(name, str) and is_label(name) else shown(name)


def _not_found(variables):
    """Why its facts did not tell a host's address."""
    if not variables.get("facts"):
        return ": the inventory gives none, and it did not answer"
    return ", or several and none alone in the subnet of a VIP"


def streams(services):
    """What a viewer can play, through each VIP:

    ``[{"name", "vip", "url", "base", "path", "servers", "connect_to", "validate_certs", "ca_path"}]``; url is base and path together.
    connect_to: the VIP, where the URL has a name; ca_path: a file of authorities on the viewer, or None.
    """
    out = []
    for service in services:
        if not service["stream"] or service["absent"]:
            continue
        url, verify = service["stream"]["url"], service["stream"]["verify"]
        for vip in service["vips"]:
            if "://" in url:
                scheme, _, rest = url.partition("://")
                host, slash, path = rest.partition("/")
                base, path = "%s://%s" % (scheme, host), (slash + path) or "/"
            else:
                base, path = "http://" + endpoint(vip, int(service["table"]["port"])), url
            out.append(
                {
                    "name": service["name"], "vip": vip, "url": base + path, "base": base, "path": path, "servers": service["hosts"],
                    "connect_to": vip if "://" in url else None, "validate_certs": bool(verify),
                    "ca_path": verify if isinstance(verify, str) else None,
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
        hosts = members(service)
        if service["absent"] or service["mode"] == "nat" or host not in hosts or not port or protocol not in ("tcp", "udp"):
            continue
        destination = table["destinations"][hosts.index(host)]
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


def somebody_serves(service, gone=()):
    """Whether a real server takes new viewers that is not drained and not among those that go."""
    return any(
        # Of a weight that is no number nobody knows; it has been reported.
        (not isinstance(one["weight"], int) or one["weight"]) and host not in service["drained"] and host not in gone
        for one, host in zip(service["table"]["destinations"], service["hosts"])
    )


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
                        "names": [*service["vips"], destination["address"]],
                        "address": service["vips"][0] if through else destination["address"],
                        "port": check.get("port") or destination.get("port", service["table"].get("port")),
                        "mark": marks[service["family"], destination["address"]] if through else None,
                        "own": host_address(inventory["hosts"].get(director, {}), service["family"]) if through else None,
                    }
                )  # fmt: skip
        login = {"login_credential": credential(check["login_file"])} if check.get("login_file") else {}
        out.append(
            {
                "name": service["name"], "vip": service["vips"][0], "check": {**check, **login}, "servers": members,
                "slow_start": check["slow_start"], "floor": check["floor"],
            }
        )  # fmt: skip
    files = sorted({check["login_file"] for check in (one["check"] for one in out) if check.get("login_file")})
    return {
        "folder": places.STREAMCHECK, "metrics_port": metrics_port, "services": out,
        "login_files": {credential(path): path for path in files},
    }  # fmt: skip


def credential(path):
    """The name under which systemd hands a login file to lvsdr-streamcheck (systemd.exec(5), LoadCredential)."""
    return "login-%s" % hashlib.sha256(path.encode()).hexdigest()[:16]


def macs(inventory, group=None):
    """``{mac: host}`` of the interfaces of a group, or of all hosts, as their facts tell."""
    return {
        interface["mac"]: host
        for host in (inventory["hosts"] if group is None else inventory["groups"].get(group, []))
        for interface in facts_of(inventory, host).get("interfaces", [])
        if interface["type"] == "ether"
    }


def vips_near(services, inventory, host):
    """The VIPs in whose subnet a host has an interface: those that it can ask for."""
    networks = networks_of(inventory, host) or []
    return [vip for vip in director_vips(services) if inside(vip, networks)]


def askers(services, inventory, count=2):
    """Hosts that ask for the VIPs, so many for each VIP where its link has as many, real servers first: a host does not hear itself."""
    out = []
    wanted = dict.fromkeys(director_vips(services), count)
    for host in [*real_servers(services), *inventory["groups"].get(DIRECTORS, [])]:
        near = [vip for vip in vips_near(services, inventory, host) if wanted[vip]]
        if near and host not in out:
            out.append(host)
            for vip in near:
                wanted[vip] -= 1
    return out


def stranger(services, inventory):
    """{"host", "directors", "interface", "virtual_router_id"} for a proof that directors take no VRRP and no connections from others.

    host: a real server on the link of the directors, or None where there is none. directors: {director: its address there}.
    virtual_router_id: one that no instance has, so that nothing happens even where a packet gets in.
    """
    names = inventory["groups"].get(DIRECTORS, [])
    taken = {one["virtual_router_id"] for name in names for one in instances(services, name, inventory["hosts"][name], names, Problems())}
    unused = max(set(range(1, 256)) - taken)
    read = [name for name in names if facts_of(inventory, name)]
    addresses = [{name: host_address(inventory["hosts"][name], family) for name in read} for family in (4, 6)]
    for host in real_servers(services):
        for link in facts_of(inventory, host).get("interfaces", []) if host not in names else ():
            networks = [ipaddress.ip_interface(text).network for text in link["addresses"]]
            for found in addresses:
                if link["name"] != "lo" and found and all(address and inside(address, networks) for address in found.values()):
                    return {"host": host, "directors": found, "interface": link["name"], "virtual_router_id": unused}
    return {"host": None, "directors": {}, "interface": None, "virtual_router_id": unused}


def interface_of(services, facts):
    """The interface of a director whose subnet holds the first VIP, a retired one where no other is left."""
    for vip in director_vips(services) or [vip for service in services for vip in service["vips"]]:
        for interface in facts.get("interfaces", ()):
            for text in interface["addresses"]:
                network = ipaddress.ip_interface(text).network
                if interface["name"] != "lo" and network.num_addresses > 1 and ipaddress.ip_address(vip) in network:
                    return interface["name"]
    raise LvsError("No interface of this director has a subnet that holds a VIP", "set director_interface")


def holds_vip(services, facts):
    """Whether a director is the active one: it holds a VIP outside lo."""
    return not {str(address.ip) for address in on_links(facts)}.isdisjoint(director_vips(services))


def holders(vip, facts_by_director):
    """The directors that hold a VIP."""
    return [director for director, facts in sorted(facts_by_director.items()) if vip in {str(address.ip) for address in on_links(facts)}]


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
    return {address for address in declared if address} | {str(address.ip) for address in on_links(facts_of(inventory, host))}


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


def instances(services, director, variables, directors, problems):
    """The VRRP instances of a director: [{"name", "vips", "virtual_router_id", "priority", "active"}, …], those without a VIP left out.

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
            None,
        )
    }
    for name, item in declared.items():
        if not isinstance(name, str) or not re.fullmatch(INSTANCE_NAME, name):
            values.wrong("director_instances", "%s is no name of a VRRP instance; it has up to 40 letters, digits and . _ -" % shown(name))
            continue
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
        for other, (taken, _priority, _active) in settings.items():
            if taken == number:
                inner.wrong("virtual_router_id", "%d is the router id of instance %s, too; on one link each has its own" % (number, other))
        active = inner.choice("active", directors[0] if directors else "", tuple(directors))
        settings[name] = number, PRIORITIES[active != director], active
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
        {"name": name, "vips": vips, "virtual_router_id": settings[name][0], "priority": settings[name][1], "active": settings[name][2]}
        for name, vips in out.items()
    ]


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
