# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""keepalived.conf of one director, made from the same resolved services as its IPVS table. Pure.

Source of the keywords: keepalived.conf(5) of keepalived 2.2.7.
"""

import re

from . import packets, resolve
from .checks import LABEL_HINT, STREAM_CHECKS, is_label
from .errors import LvsError, Problems
from .model import Reader, read_timeouts
from .resolve import director_vips, host_address

METHODS = {"dr": "DR", "nat": "NAT", "tunnel": "TUN"}
NAME = "lvsdr"


def render(services, director, inventory, settings):
    """The text of keepalived.conf.

    settings: ``interface``, ``priority`` (1 to 254), ``virtual_router_id`` (1 to 255), ``advertisement_interval`` (0.01 to 40 seconds),
    ``preempt`` and ``unicast`` (true unless said), ``timeouts`` (as ipvs_table's option of that name; may be left out);
    ``authentication`` is left out on purpose (keepalived's own page says it protects nothing).
    """
    settings = _read_settings(settings, director)
    lines = [
        "# Managed by lvsdr, made from virtual_services: changes made here go with the next rollout.",
        "global_defs {",
        "    router_id %s" % director,
    ]
    vips = director_vips(services)
    if vips:
        lines.append("    lvs_sync_daemon %s %s" % (settings["interface"], NAME))
    # ipvs_table sets them now, and keepalived at boot.
    timeouts = [(word, value) for word, value in zip(("tcp", "tcpfin", "udp"), settings["timeouts"] or ()) if value]
    if timeouts:
        lines.append("    lvs_timeouts " + " ".join("%s %d" % pair for pair in timeouts))
    lines += ["}", ""]
    if vips:
        lines += _instance(vips, director, inventory, settings)
    lines += _track_files(services)
    marks = resolve.check_marks(services)
    for service in services:
        if not service["absent"]:
            lines += _virtual_server(service, lambda of, destination: _check_path(of, destination, director, inventory, marks))
    return "\n".join(lines)


def _read_settings(settings, director):
    """The settings as numbers and a name that can stand in the file; LvsError with all that is wrong."""
    problems = Problems()
    values = Reader(problems, "director %s" % director, {"director_" + name: value for name, value in settings.items()})
    interface = values.get("director_interface")
    if not isinstance(interface, str) or not re.fullmatch("[A-Za-z0-9._@:+-]{1,15}", interface):
        values.wrong("director_interface", "%r is no name of an interface" % (interface,))
    if not is_label(director) or " " in director:
        values.wrong("", "the host's name can't be keepalived's router_id; %s, and without blanks" % LABEL_HINT)
    read = {"interface": interface}
    for name, low, high in (("priority", 1, 254), ("virtual_router_id", 1, 255)):
        read[name] = values.integer("director_" + name, None, low, high)
    for name in ("preempt", "unicast"):
        read[name] = values.boolean("director_" + name, True)
    read["advertisement_interval"] = values.seconds("director_advertisement_interval", 1, 0.01, 40)
    read["timeouts"] = read_timeouts(settings.get("timeouts"), problems, "director %s.director_timeouts" % director)
    problems.raise_if_any("keepalived can't be configured")
    return read


def vrrp_address(services, director, inventory):
    """The address that a director's advertisements come from, or None.

    keepalived gives an instance up for good when it can't bind that address at its start (2.2.7: it stays in the state FAULT), as at a boot
    that is faster than the network; so the role's drop-in waits for it.
    """
    return host_address(inventory["hosts"].get(director, {}), _vrrp_family(director_vips(services)))


def _vrrp_family(vips):
    # One instance carries both families, so that they always move together; its own packets are of one family.
    return 4 if any(":" not in vip for vip in vips) else 6


def _instance(vips, director, inventory, settings):
    family = _vrrp_family(vips)
    own = host_address(inventory["hosts"].get(director, {}), family)
    peers = []
    for host in inventory["groups"].get("directors", []):
        if host != director:
            address = host_address(inventory["hosts"].get(host, {}), family)
            if address is None or own is None:
                raise LvsError(
                    "Directors %s and %s have no IPv%d address to speak VRRP over" % (director, host, family),
                    "set ansible_host or real_server_address%s on both" % ("6" if family == 6 else ""),
                )
            peers.append(address)
    lines = [
        "vrrp_instance %s {" % NAME,
        "    state BACKUP",
        "    interface %s" % settings["interface"],
        "    virtual_router_id %d" % settings["virtual_router_id"],
        "    priority %d" % settings["priority"],
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
    """Where lvsdr-streamcheck says how much of its weight a server should have. A file that is not there says nothing."""
    lines = []
    for service in services:
        if not service["absent"] and service["health_check"] and service["health_check"]["type"] in STREAM_CHECKS:
            for destination, host in zip(service["table"]["destinations"], service["hosts"]):
                if destination.get("health_checked"):
                    name = resolve.track_file(service, host)
                    lines += ["track_file %s {" % name, "    file %s/%s" % (resolve.STREAMCHECK_FOLDER, name), "}", ""]
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


def _virtual_server(service, path_of):
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
    for destination, host in zip(table["destinations"], service["hosts"]):
        path = path_of(service, destination) if destination.get("health_checked") else []
        lines += _real_server(service, destination, host, check, path)
    return lines + ["}", ""]


def _real_server(service, destination, host, check, path):
    table = service["table"]
    port = destination.get("port", table.get("port", 0))
    lines = ["    # %s" % host, "    real_server %s %d {" % (destination["address"], port)]
    lines.append("        weight %d" % destination["weight"])
    if destination.get("health_checked"):
        lines.append("        inhibit_on_failure")
        lines += ["        " + line for line in _checker(check, path)]
        if check["type"] in STREAM_CHECKS:
            track = resolve.track_file(service, host)
            lines += ["        FILE_CHECK {", "            track_file %s" % track, "            weight 1", "        }"]
    return lines + ["    }"]


def _checker(check, path):
    common = [
        *("    " + line for line in path),
        "    connect_timeout %d" % check["timeout"],
        "    retry %d" % check["retries"],
        "    delay_before_retry 1",
    ]
    # What is behind a stream check is asked by lvsdr-streamcheck; without it, at least somebody listens.
    if check["type"] == "tcp" or check["type"] in STREAM_CHECKS:
        return ["TCP_CHECK {", *common, "}"]
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
