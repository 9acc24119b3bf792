# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""keepalived.conf of one director, made from the same resolved services as its IPVS table. Pure.

Source of the keywords: keepalived.conf(5) of keepalived 2.2.7, and the parsers of 2.2.7 and 2.3.3, which both take every file made here.
"""

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.checks.health_check import STREAM_CHECKS, UDP_CHECKS, is_watched
from ansible.module_utils.lvsdr.directors import holders, keepalived_conf
from ansible.module_utils.lvsdr.errors import LvsError, Problems
from ansible.module_utils.lvsdr.inventory import check_paths, director_settings, instances, views
from ansible.module_utils.lvsdr.inventory.hosts import host_address
from ansible.module_utils.lvsdr.places import DIRECTORS
from ansible.module_utils.lvsdr.streams import packets

METHODS = {"dr": "DR", "nat": "NAT", "tunnel": "TUN", "local": "DR"}

# What ``keepalived -t`` says of a file that is as it should be, with a status of 5: an interface that comes later, and services whose
# servers all have weight 0, drained or leaving.
HARMLESS = (
    r"interface .* doesn.t exist$",
    r"^(\(.*\) )?Non-existent interface",
    r"quorum \d+ for .* exceeds total weight of real servers 0, reducing quorum to 0$",
    r"hysteresis \d+ >= quorum 0; setting hysteresis to \d+$",
)


def render(services, director, inventory):
    """The text of keepalived.conf, from the director's variables (director_…, resolve.HOST_VARIABLES) and facts.

    ``authentication`` is left out on purpose (keepalived's own page says it protects nothing).
    """
    settings = _read_settings(director, services, inventory)
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
    marks = check_paths.check_marks(services)
    for service in services:
        if not service["absent"]:
            lines += _virtual_server(service, lambda of, destination: _check_path(of, destination, director, inventory, marks))
    return "\n".join(lines)


def _is_script(service):
    return not service["absent"] and service["health_check"] is not None and service["health_check"]["type"] == "script"


def _read_settings(director, services, inventory):
    """The director's variables as numbers and a name that can stand in the file; LvsError with all that is wrong."""
    problems = Problems()
    variables = inventory["hosts"].get(director, {})
    read = director_settings.read_director(inventory, director, problems)
    if variables.get("director_interface") is None:
        # Without a VIP nothing names it.
        read["interface"] = holders.interface_of(services, variables.get("facts") or {}) if views.director_vips(services) else "lo"
    read["instances"] = instances.instances(services, director, variables, inventory["groups"].get(DIRECTORS, []), problems)
    problems.raise_if_any("keepalived can't be configured")
    return read


def vrrp_addresses(services, director, inventory):
    """The addresses that a director's advertisements come from, sorted.

    keepalived gives an instance up for good when it can't bind that address at its start (2.2.7: it stays in the state FAULT), as at a boot
    that is faster than the network; so the role's drop-in waits for it.
    """
    if not views.director_vips(services):
        return []
    return sorted({host_address(inventory["hosts"].get(director, {}), vrrp_family(inventory))} - {None})


def vrrp_family(inventory):
    """The family of VRRP's own packets; an instance carries VIPs of both, so that they always move together.

    It follows from the directors and not from the VIPs: it has to stay whatever VIPs come and go.
    """
    directors = [inventory["hosts"].get(host, {}) for host in inventory["groups"].get(DIRECTORS, [])]
    return next((family for family in (4, 6) if all(host_address(variables, family) for variables in directors)), 4)


def advertised(virtual_router_id, family):
    """The one address that an instance advertises: it is on lo of the active director, and nobody uses it.

    keepalived drops an advertisement whose list of addresses is not its own (v2.2.7 vrrp.c, vrrp_check_packet), and each of two directors
    that drop the other's becomes the active one. So the list stays the same whatever VIPs come and go, and those are all excluded from it.
    """
    return "169.254.112.%d/32" % virtual_router_id if family == 4 else "fe80::7672:7270:%x/128" % virtual_router_id


def changed_voice(services, inventory):
    """{director: [sentence, …]} of the directors whose running keepalived says something else on the link than its new file would."""
    out = {}
    for director in inventory["groups"].get(DIRECTORS, []):
        in_force = running_conf(inventory, director)
        found = keepalived_conf.disagreements(render(services, director, inventory), in_force) if in_force else []
        if found:
            out[director] = found
    return out


def running_conf(inventory, director):
    """The keepalived.conf that a director's running keepalived has read, or None where none runs (lvs_preflight)."""
    return ((inventory["hosts"].get(director, {}).get("facts") or {}).get("keepalived") or {}).get("running")


def _instance(instance, director, inventory, settings):
    family = vrrp_family(inventory)
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
        # A router on the way counts the TTL down, so 255 came from this link. With these words keepalived takes advertisements from peers
        # alone, too (vrrp_data.c, alloc_unicast_peer); over IPv6 it sends the system's hop limit unless unicast_ttl is there.
        lines += ["    unicast_src_ip %s" % own, "    unicast_ttl 255", "    unicast_peer {"]
        lines += ["        %s min_ttl 255 max_ttl 255" % peer for peer in peers] + ["    }"]
    elif peers and family == 4:
        # The address that the other directors' rules let in (nftables.py); over IPv6 the group has to hear a link-local one (RFC 5798).
        lines.append("    mcast_src_ip %s" % own)
    lines += ["    virtual_ipaddress {", "        %s dev lo no_track" % advertised(instance["virtual_router_id"], family), "    }"]
    lines.append("    virtual_ipaddress_excluded {")
    lines += ["        %s/%d dev %s" % (vip, 128 if ":" in vip else 32, settings["interface"]) for vip in instance["vips"]]
    return lines + ["    }", "}", ""]


def _track_files(services):
    """Where the director role says which servers are drained, and lvsdr-streamcheck how much of its weight a server should have.

    A file that is not there says nothing.
    """
    files = {}
    for service in services:
        for destination, host in zip(service["table"]["destinations"], service["hosts"]) if not service["absent"] else ():
            if destination.get("health_checked"):
                files[places.drain_file(host)] = places.DRAINED
                if is_watched(service["health_check"]):
                    files[places.track_file(service, host)] = places.STREAMCHECK
    lines = []
    for name, folder in files.items():
        lines += ["track_file %s {" % name, "    file %s/%s" % (folder, name), "}", ""]
    return lines


def _check_path(service, destination, director, inventory, marks):
    """The lines that send a check to the VIP on the way that viewers' packets take (check_paths.services_of_checks); none where it goes
    to the real server's own address.

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
        lines += _real_server(service, destination, host, check, path)
    for destination, leaving in zip(table["destinations"][len(table["destinations"]) - len(service["leaving"]) :], service["leaving"]):
        name = "%s, leaving with its last connection" % (leaving["host"] or leaving["address"])
        block = _real_server(service, destination, name, None, [])
        # It may be of another kind than the service is now.
        lines += [*block[:-1], "        lvs_method %s" % METHODS[destination.get("forward", "dr")], block[-1]]
    return lines + ["}", ""]


def _real_server(service, destination, host, check, path):
    table = service["table"]
    port = destination.get("port", table.get("port", 0))
    lines = ["    # %s" % host, "    real_server %s %d {" % (destination["address"], port)]
    lines.append("        weight %d" % destination["weight"])
    if destination.get("health_checked"):
        lines.append("        inhibit_on_failure")
        lines += ["        " + line for line in _checker(service, destination, path)]
        tracked = [places.drain_file(host)] + ([places.track_file(service, host)] if is_watched(check) else [])
        for name in tracked:
            lines += ["        FILE_CHECK {", "            track_file %s" % name, "            weight 1", "        }"]
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
