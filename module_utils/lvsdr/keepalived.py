# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""keepalived.conf of one director, made from the same resolved services as its IPVS table. Pure.

Source of the keywords: keepalived.conf(5) of keepalived 2.2.7.
"""

import re

from . import packets, resolve
from .checks import LABEL_HINT, STREAM_CHECKS, UDP_CHECKS, is_label, is_watched
from .errors import LvsError, Problems
from .model import DIRECTORS, Reader, read_timeouts
from .resolve import host_address

METHODS = {"dr": "DR", "nat": "NAT", "tunnel": "TUN"}


def render(services, director, inventory, settings):
    """The text of keepalived.conf.

    settings: ``interface``, ``priority`` (1 to 254), ``virtual_router_id`` (1 to 255), ``advertisement_interval`` (0.01 to 40 seconds),
    ``preempt`` and ``unicast`` (true unless said), ``timeouts`` (as ipvs_table's option of that name; may be left out), ``instances``
    (resolve.instances; may be left out), ``version`` (what ``keepalived --version`` says; 2.2 unless said);
    ``authentication`` is left out on purpose (keepalived's own page says it protects nothing).
    """
    settings = _read_settings(settings, director, services, inventory)
    lines = [
        "# Managed by lvsdr, made from virtual_services: changes made here go with the next rollout.",
        "global_defs {",
        "    router_id %s" % director,
    ]
    if any(_is_script(service) for service in services):
        lines.append("    enable_script_security")
    # ipvs_table sets them now, and keepalived at boot.
    timeouts = [(word, value) for word, value in zip(("tcp", "tcpfin", "udp"), settings["timeouts"] or ()) if value]
    if timeouts:
        lines.append("    lvs_timeouts " + " ".join("%s %d" % pair for pair in timeouts))
    lines += ["}", ""]
    for instance in settings["instances"]:
        lines += _instance(instance, director, inventory, settings)
    lines += _track_files(services)
    marks = resolve.check_marks(services)
    for service in services:
        if not service["absent"]:
            lines += _virtual_server(service, settings, lambda of, destination: _check_path(of, destination, director, inventory, marks))
    return "\n".join(lines)


def _is_script(service):
    return not service["absent"] and service["health_check"] is not None and service["health_check"]["type"] == "script"


def _read_settings(settings, director, services, inventory):
    """The settings as numbers and a name that can stand in the file; LvsError with all that is wrong."""
    problems = Problems()
    values = Reader(problems, "hosts[%s]" % director, {"director_" + name: value for name, value in settings.items()})
    interface = values.get("director_interface")
    if not isinstance(interface, str) or not re.fullmatch("[A-Za-z0-9._@:+-]{1,15}", interface):
        values.wrong("director_interface", "%r is no name of an interface" % (interface,))
    if not is_label(director) or " " in director:
        values.wrong("", "the host's name can't be keepalived's router_id; %s, and without blanks" % LABEL_HINT)
    read = {"interface": interface}
    read["instances"] = resolve.instances(services, director, values.data, inventory["groups"].get(DIRECTORS, []), problems)
    found = re.search(r"(\d+)\.(\d+)", str(settings.get("version") or "2.2"))
    read["version"] = (int(found.group(1)), int(found.group(2))) if found else (2, 2)
    for name in ("preempt", "unicast"):
        read[name] = values.boolean("director_" + name, True)
    read["advertisement_interval"] = values.seconds("director_advertisement_interval", 1, 0.01, 40)
    read["timeouts"] = read_timeouts(settings.get("timeouts"), problems, "hosts[%s].director_timeouts" % director)
    problems.raise_if_any("keepalived can't be configured")
    return read


def vrrp_addresses(services, director, inventory):
    """The addresses that a director's advertisements come from, sorted.

    keepalived gives an instance up for good when it can't bind that address at its start (2.2.7: it stays in the state FAULT), as at a boot
    that is faster than the network; so the role's drop-in waits for it.
    """
    vips = {}
    for service in services:
        if not service["absent"]:
            vips.setdefault(service["instance"], []).extend(service["vips"])
    variables = inventory["hosts"].get(director, {})
    return sorted({host_address(variables, _vrrp_family(found)) for found in vips.values() if found} - {None})


def _vrrp_family(vips):
    # An instance carries both families, so that they always move together; its own packets are of one family.
    return 4 if any(":" not in vip for vip in vips) else 6


def _instance(instance, director, inventory, settings):
    vips = instance["vips"]
    family = _vrrp_family(vips)
    own = host_address(inventory["hosts"].get(director, {}), family)
    peers = []
    for host in inventory["groups"].get(DIRECTORS, []):
        if host != director:
            address = host_address(inventory["hosts"].get(host, {}), family)
            if address is None or own is None:
                raise LvsError(
                    "Directors %s and %s have no IPv%d address to speak VRRP over" % (director, host, family),
                    "set ansible_host or real_server_address%s on both" % ("6" if family == 6 else ""),
                )
            peers.append(address)
    lines = [
        "vrrp_instance %s {" % instance["name"],
        "    state BACKUP",
        "    interface %s" % settings["interface"],
        "    virtual_router_id %d" % instance["virtual_router_id"],
        "    priority %d" % instance["priority"],
        # Version 3 knows hundredths of a second, version 2 only whole ones.
        *(["    version 3"] if settings["advertisement_interval"] % 1 else []),
        "    advert_int %g" % settings["advertisement_interval"],
        *([] if settings["preempt"] else ["    nopreempt"]),
        "    garp_master_refresh 60",
    ]
    if peers and settings["unicast"]:
        lines += ["    unicast_src_ip %s" % own, "    unicast_peer {", *("        " + peer for peer in peers), "    }"]
    for keyword, wanted in (("virtual_ipaddress", family), ("virtual_ipaddress_excluded", 10 - family)):
        members = [vip for vip in vips if (6 if ":" in vip else 4) == wanted]
        if members:
            lines.append("    %s {" % keyword)
            lines += ["        %s/%d dev %s" % (vip, 32 if wanted == 4 else 128, settings["interface"]) for vip in members]
            lines.append("    }")
    return lines + ["}", ""]


def _track_files(services):
    """Where the director role says which servers are drained, and lvsdr-streamcheck how much of its weight a server should have.

    A file that is not there says nothing.
    """
    files = {}
    for service in services:
        for destination, host in zip(service["table"]["destinations"], service["hosts"]) if not service["absent"] else ():
            if destination.get("health_checked"):
                files[resolve.drain_file(host)] = resolve.DRAIN_FOLDER
                if is_watched(service["health_check"]):
                    files[resolve.track_file(service, host)] = resolve.STREAMCHECK_FOLDER
    lines = []
    for name, folder in files.items():
        lines += ["track_file %s {" % name, "    file %s/%s" % (folder, name), "}", ""]
    return lines


def _check_path(service, destination, director, inventory, marks):
    """The lines that send a check to the VIP on the way that viewers' packets take (resolve._check_services); none where it goes to the
    real server's own address.

    The socket is bound to the director's own address: where the director holds the VIP, the kernel would take the VIP itself for it, and
    the real server would answer itself.
    """
    check = service["health_check"]
    if check["target"] != "vip":
        return ["connect_port %d" % check["port"]] if check.get("port") else []
    own = host_address(inventory["hosts"].get(director, {}), service["family"])
    if own is None:
        raise LvsError(
            "Director %s has no IPv%d address to check the real servers of %s from" % (director, service["family"], service["name"]),
            "set real_server_address%s, or health_check.target: server" % ("6" if service["family"] == 6 else ""),
        )
    return [
        "connect_ip %s" % service["vips"][0],
        "connect_port %d" % (check.get("port") or service["table"]["port"]),
        "bindto %s" % own,
        "fwmark %d" % marks[service["family"], destination["address"]],
    ]


def _virtual_server(service, settings, path_of):
    """path_of: gives the lines of a check that say where it goes, of a service and a destination."""
    table, check = service["table"], service["health_check"]
    mark = table.get("firewall_mark")
    name = "fwmark %d" % mark if mark is not None else "%s %d" % (table["address"], table["port"])
    lines = ["# %s" % service["name"], "virtual_server %s {" % name]
    if mark is not None:
        lines.append("    ip_family %s" % ("inet6" if service["family"] == 6 else "inet"))
    lines.append("    lvs_sched %s" % table["scheduler"])
    lines += ["    %s" % flag for flag in table.get("scheduler_flags", [])]
    lines.append("    lvs_method %s" % METHODS[service["mode"]])
    if mark is None:
        # Without this line keepalived takes UDP.
        lines.append("    protocol %s" % table.get("protocol", "tcp").upper())
    if table.get("one_packet"):
        lines.append("    ops")
    persistence = table.get("persistence")
    if persistence:
        lines.append("    persistence_timeout %d" % persistence["timeout"])
        if "netmask" in persistence:
            lines.append("    persistence_granularity %s" % persistence["netmask"])
        if "engine" in persistence:
            lines.append("    persistence_engine %s" % persistence["engine"])
    if check:
        # A server counts as down until a check has succeeded, and a failed one keeps its entry with weight 0.
        lines += ["    alpha", "    delay_loop %d" % check["interval"]]
    for destination in table["destinations"]:
        if destination.get("fallback"):
            # With weight 0 it stays when others are back: who began to watch it goes on.
            lines += [
                "    # %s" % service["sorry"],
                "    sorry_server %s %d" % (destination["address"], destination.get("port", table.get("port", 0))),
                "    sorry_server_lvs_method %s" % METHODS[service["mode"]],
                "    sorry_server_inhibit",
            ]
    for destination, host in zip(table["destinations"], service["hosts"]):
        path = path_of(service, destination) if destination.get("health_checked") else []
        lines += _real_server(service, destination, host, check, path, settings)
    return lines + ["}", ""]


def _real_server(service, destination, host, check, path, settings):
    table = service["table"]
    port = destination.get("port", table.get("port", 0))
    lines = ["    # %s" % host, "    real_server %s %d {" % (destination["address"], port)]
    lines.append("        weight %d" % destination["weight"])
    if destination.get("health_checked"):
        lines.append("        inhibit_on_failure")
        lines += ["        " + line for line in _checker(service, destination, path)]
        tracked = [resolve.drain_file(host)] + ([resolve.track_file(service, host)] if is_watched(check) else [])
        for name in tracked:
            lines += ["        FILE_CHECK {", "            track_file %s" % name, "            weight 1"]
            # Before 2.3 a file's weight always follows the file, and the word is not known.
            lines += ["            dynamic"] if settings["version"] >= (2, 3) else []
            lines.append("        }")
    return lines + ["    }"]


def _checker(service, destination, path):
    """keepalived's own check. Where a floor has to hold it is one that always succeeds, because any other could take out more.

    It can't be left out: keepalived writes a weight over the table's own only for a server that one of its checks has brought up.
    """
    check = service["health_check"]
    if check.get("floor"):
        return ["PING_CHECK {", "    connect_ip 127.0.0.1", "}"]
    common = [
        *("    " + line for line in path),
        "    connect_timeout %d" % check["timeout"],
        "    retry %d" % check["retries"],
        "    delay_before_retry 1",
    ]
    # What lvsdr-streamcheck asks for is its own; without it, at least somebody listens.
    if check["type"] in ("tcp", *STREAM_CHECKS) or (is_watched(check) and check["type"] not in UDP_CHECKS):
        return ["TCP_CHECK {", *common, "}"]
    if check["type"] == "script":
        port = destination.get("port", service["table"].get("port", 0))
        words = [check["path"], *check["arguments"], destination["address"], str(port), service["vips"][0]]
        return [
            "MISC_CHECK {",
            '    misc_path "%s"' % " ".join(words),
            "    misc_timeout %d" % check["timeout"],
            "    user %s" % check["user"],
            "    retry %d" % check["retries"],
            "    delay_before_retry 1",
            "}",
        ]
    if check["type"] == "dns":
        return ["DNS_CHECK {", *common, "    type NS", "    name %s" % check["query"], "}"]
    if check["type"] == "srt":
        # A handshake is as long as the one it answers.
        payload = packets.srt_induction().hex()
        return ["UDP_CHECK {", *common, "    payload %s" % payload, "    require_reply", "    min_reply_length 64", "}"]
    if check["type"] == "udp":
        return ["UDP_CHECK {", *common, "    payload %s" % check["payload"], ("    require_reply " + check.get("reply", "")).rstrip(), "}"]
    lines = ["SSL_GET {", "    enable_sni"] if check["type"] == "https" else ["HTTP_GET {"]
    for url in check["urls"]:
        lines += ["    url {", "        path %s" % url["path"], "        status_code %s" % url["status"]]
        lines += ["        virtualhost %s" % url["host"]] if url.get("host") else []
        lines += ['        regex "%s"' % url["match"]] if url.get("match") else []
        lines.append("    }")
    return [*lines, *common, "}"]
