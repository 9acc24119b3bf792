# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""keepalived.conf of one director, made from the same resolved services as its IPVS table. Pure.

Source of the keywords: keepalived.conf(5) of keepalived 2.2.7, and the parsers of 2.2.7 and 2.3.3, which both take every file made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.addresses import full_prefix
from ansible.module_utils.lvsdr.checks.health_check import STREAM_CHECKS, UDP_CHECKS, is_watched
from ansible.module_utils.lvsdr.directors import holders, keepalived_conf, messages
from ansible.module_utils.lvsdr.errors import LvsError, Problems
from ansible.module_utils.lvsdr.inventory import check_paths, director_settings, instances, views
from ansible.module_utils.lvsdr.inventory.hosts import facts_of, host_address
from ansible.module_utils.lvsdr.places import DIRECTORS
from ansible.module_utils.lvsdr.streams import packets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible.module_utils.lvsdr.inventory.types import CheckPath, Inventory, RealServer, Resolved, VirtualService

# Of the routes that stay, behind that of the kernel for an address that is there: two of one metric are an error over IPv6.
METRIC = 4096
# What a file says that drains a director: with it the lowest priority is left, and from -254 on the instance would give up (vrrp_track.c).
HANDED_OVER = -253
STOPPED_FOLDER, _slash, STOPPED = places.HAPROXY_STOPPED.rpartition("/")
METHODS = {"dr": "DR", "nat": "NAT", "snat": "NAT", "tunnel": "TUN", "local": "DR"}

# What ``keepalived -t`` reports, with a status of 5, of a file that is as it should be: an interface that comes later, and services whose
# servers all have weight 0, drained or leaving.
HARMLESS = (
    r"interface .* doesn.t exist$",
    r"^(\(.*\) )?Non-existent interface",
    r"quorum \d+ for .* exceeds total weight of real servers 0, reducing quorum to 0$",
    r"hysteresis \d+ >= quorum 0; setting hysteresis to \d+$",
)


def render(resolved: Resolved, director: str, inventory: Inventory) -> str:
    """The text of keepalived.conf, from the director's variables (director_…, resolve.HOST_VARIABLES) and facts.

    ``authentication`` is left out on purpose (keepalived's own page says it protects nothing).
    """
    services = resolved.services
    settings = _read_settings(director, services, inventory)
    settings["preemption"] = _preemption(services)
    lines = [
        "# Managed by lvsdr, made from virtual_services: changes made here go with the next rollout.",
        "global_defs {",
        "    router_id %s" % director,
    ]
    if settings["instances"]:
        # Advertisements leave in time on a busy director. The kernel kills a real-time process that runs for long without a pause; the
        # default of keepalived is 10 ms (global_parser.c), which an emulated or a busy machine may need.
        lines += ["    vrrp_rt_priority 50", "    vrrp_rlimit_rttime 1000000", "    vrrp_no_swap"]
    if any(_is_script(service) for service in services):
        lines.append("    enable_script_security")
    # ipvs_table sets them now, and keepalived at boot.
    timeouts = [(word, value) for word, value in zip(("tcp", "tcpfin", "udp"), settings["timeouts"] or ()) if value]
    if timeouts:
        lines.append("    lvs_timeouts " + " ".join("%s %d" % pair for pair in timeouts))
    lines += ["}", ""]
    if settings["instances"]:
        lines += _still_forwarded(services)
        # Before the instances, because keepalived looks for it when it reads them.
        lines += _track_file(places.drain_file(director), places.DRAINED)
    settings["with_haproxy"] = {service.instance for service in services if not service.balanced and not service.absent}
    if settings["with_haproxy"]:
        # HAProxy's unit writes it. vrrp_track_process sees nothing where a reload brings it (2.2.7, track_process.c: the socket is opened
        # at a start alone).
        lines += _track_file(STOPPED, STOPPED_FOLDER)
    for instance in settings["instances"]:
        lines += _instance(instance, director, inventory, settings)
    lines += _track_files(services)
    marks = check_paths.check_marks(resolved.checks)
    for service in services:
        if not service.absent and service.balanced:
            paths = {
                one.host: [_check_path(service, check, one, director, inventory, marks) for check in service.checks]
                for one in service.servers
                if one.checked
            }
            lines += _virtual_server(service, paths)
    for check in resolved.checks:
        lines += _server_of_check(check)
    return "\n".join(lines)


def _preemption(services: Sequence[VirtualService]) -> list[str]:
    delay = holders.preempt_delay(services)
    return ["    preempt_delay %d" % delay] if delay else []


def _is_script(service: VirtualService) -> bool:
    return not service.absent and any(check["type"] == "script" for check in service.checks)


def _read_settings(director: str, services: Sequence[VirtualService], inventory: Inventory) -> dict[str, Any]:
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


def vrrp_addresses(services: Sequence[VirtualService], director: str, inventory: Inventory) -> list[str]:
    """The addresses that a director's advertisements come from, sorted.

    keepalived gives an instance up permanently when it can't bind that address at its start (2.2.7: it stays in the state FAULT), as at a
    boot that is faster than the network; so the role's drop-in waits for it.
    """
    if not views.director_vips(services):
        return []
    address = host_address(inventory["hosts"].get(director, {}), vrrp_family(inventory))
    return [address] if address else []


def vrrp_family(inventory: Inventory) -> int:
    """The family of VRRP's own packets; an instance carries VIPs of both, so that they always move together.

    It follows from the directors and not from the VIPs: it has to stay whatever VIPs come and go.
    """
    directors = [inventory["hosts"].get(host, {}) for host in inventory["groups"].get(DIRECTORS, [])]
    return next((family for family in (4, 6) if all(host_address(variables, family) for variables in directors)), 4)


def advertised(virtual_router_id: int, family: int) -> str:
    """The one address that an instance advertises: it is on lo of the active director, and nothing uses it.

    keepalived drops an advertisement whose list of addresses is not its own (v2.2.7 vrrp.c, vrrp_check_packet), and each of two directors
    that drop the other's becomes the active one. So the list stays the same whatever VIPs come and go, and those are all excluded from it.
    """
    return "169.254.112.%d/32" % virtual_router_id if family == 4 else "fe80::7672:7270:%x/128" % virtual_router_id


def changed_voice(resolved: Resolved, inventory: Inventory) -> dict[str, list[str]]:
    """{director: [what changes, …]} of the directors whose running keepalived sends something else on the link than with its new file."""
    out = {}
    for director in inventory["groups"].get(DIRECTORS, []):
        in_force = keepalived_conf.running(inventory, director)
        found = keepalived_conf.disagreements(render(resolved, director, inventory), in_force) if in_force else []
        if found:
            out[director] = found
    return out


def address_variable(family: int) -> str:
    """The host variable that sets a host's own address of a family."""
    return "real_server_address6" if family == 6 else "real_server_address"


def _instance(instance: dict[str, Any], director: str, inventory: Inventory, settings: dict[str, Any]) -> list[str]:
    family = vrrp_family(inventory)
    own = host_address(inventory["hosts"].get(director, {}), family)
    peers = []
    for host in inventory["groups"].get(DIRECTORS, []):
        if host != director:
            address = host_address(inventory["hosts"].get(host, {}), family)
            if address is None or own is None:
                variable = address_variable(family)
                raise LvsError(messages.VRRP_ADDRESS_MISSING(director=director, peer=host, family=family, variable=variable))
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
        *(settings["preemption"] if settings["preempt"] else ["    nopreempt"]),
        "    garp_master_refresh 60",
    ]
    if peers and settings["unicast"]:
        # A router on the way counts the TTL down, so 255 came from this link. With these words keepalived accepts advertisements from peers
        # alone, too (vrrp_data.c, alloc_unicast_peer); over IPv6 it sends the system's hop limit by default, without unicast_ttl.
        lines += ["    unicast_src_ip %s" % own, "    unicast_ttl 255", "    unicast_peer {"]
        lines += ["        %s min_ttl 255 max_ttl 255" % peer for peer in peers] + ["    }"]
    elif peers and family == 4:
        # The address that the other directors' rules let in (nftables.py); over IPv6 the group has to receive a link-local one (RFC 5798).
        lines.append("    mcast_src_ip %s" % own)
    lines += ["    virtual_ipaddress {", "        %s dev lo no_track" % advertised(instance["virtual_router_id"], family), "    }"]
    lines.append("    virtual_ipaddress_excluded {")
    lines += ["        %s dev %s" % (full_prefix(vip), settings["interface"]) for vip in instance["vips"]]
    inner = _inner_interfaces(instance["gateways"], director, inventory, settings["interface"])
    lines += ["        %s dev %s %s" % (full_prefix(one), link, keepalived_conf.GATEWAY) for one, link in inner.items()]
    lines.append("    }")
    # Without preemption a lower priority gives no VIP away, but a state of failure does: weight 0 (vrrp.c, vrrp_state_backup).
    lines += ["    track_file {", "        %s weight %d" % (places.drain_file(director), settings["preempt"])]
    # A director without HAProxy has nothing to answer with.
    lines += ["        %s weight 0" % STOPPED] if instance["name"] in settings["with_haproxy"] else []
    lines.append("    }")
    # Where servers can't be reached the VIPs have to go as well.
    tracked = [link for link in dict.fromkeys(inner.values()) if link != settings["interface"]]
    lines += ["    track_interface {", *("        " + link for link in tracked), "    }"] if tracked else []
    return [*lines, "}", ""]


def _inner_interfaces(gateways: Sequence[str], director: str, inventory: Inventory, interface: str) -> dict[str, str]:
    """{gateway of NAT: the director's interface in whose subnet it is}; that of the VIPs where facts are missing."""
    facts = facts_of(inventory, director)
    return {gateway: holders.link_of(gateway, facts) or interface for gateway in gateways}


def _track_files(services: Sequence[VirtualService]) -> list[str]:
    """Where the director role writes which servers are drained and which spares are parked, and lvsdr-streamcheck how much of its weight a
    server should have.

    A file that is not there changes no weight.
    """
    files: dict[str, str] = {}
    for service in services:
        for server in service.servers:
            if server.checked:
                files.update(dict.fromkeys(server.weight_files, places.DRAINED))
                files.update(dict.fromkeys(_watched(service, server), places.STREAMCHECK))
    return [line for name, folder in files.items() for line in _track_file(name, folder)]


def _track_file(name: str, folder: str) -> list[str]:
    return ["track_file %s {" % name, "    file %s/%s" % (folder, name), "}", ""]


def _still_forwarded(services: Sequence[VirtualService]) -> list[str]:
    """Routes by which a director takes packets for the VIPs also while the other one holds them: neighbours need a moment to learn of a
    change. It does not answer ARP for them then (forwarding.py, arp_ignore), nor neighbour solicitations, which ask for addresses."""
    words = "    local %s dev lo table 255 scope host metric %d"
    routes = [words % (full_prefix(vip), METRIC) for vip in views.director_vips(services)]
    return ["static_routes {", *routes, "}", ""]


def _watched(service: VirtualService, server: RealServer) -> list[str]:
    """The track files of a server's checks that lvsdr-streamcheck makes."""
    return [service.track_file(server.host, index) for index, check in enumerate(service.checks) if is_watched(check)]


def _check_path(
    service: VirtualService, check: dict[str, Any], server: RealServer, director: str, inventory: Inventory,
    marks: dict[tuple[int, str], int],
) -> list[str]:  # fmt: skip
    """The lines that send a check to the VIP on the data path (check_paths.paths_of); none where it goes to the real
    server's own address.

    The socket is bound to the director's own address: where the director holds the VIP, the kernel would take the VIP itself for it, and
    the real server would answer itself.
    """
    if check["target"] != "vip":
        return ["connect_port %d" % check["port"]] if check.get("port") else []
    own = host_address(inventory["hosts"].get(director, {}), service.family)
    if own is None:
        variable = address_variable(service.family)
        raise LvsError(messages.CHECK_SOURCE_MISSING(director=director, family=service.family, service=service.name, variable=variable))
    return [
        "connect_ip %s" % service.vips[0],
        "connect_port %d" % (check.get("port") or service.options["port"]),
        "bindto %s" % own,
        "fwmark %d" % marks[service.family, server.address],
    ]


def _virtual_server(service: VirtualService, paths: dict[str, list[list[str]]]) -> list[str]:
    """paths: {host: for each check the lines that say where it goes}."""
    method = METHODS[service.mode] + _tunnel_words(service.tunnel)
    lines = _head(service.name, service.family, method, service.options)
    if service.health_check:
        # A server counts as down until a check has succeeded, and a failed one keeps its entry with weight 0.
        lines += ["    alpha", "    delay_loop %d" % service.health_check["interval"]]
    for server in service.servers:
        if server.fallback:
            # With weight 0 it stays when others are back: viewers already on it stay there.
            lines += [
                "    # %s" % server.host,
                "    sorry_server %s %d" % (server.address, service.port_of(server)),
                "    sorry_server_lvs_method %s" % method,
                "    sorry_server_inhibit",
            ]
    for server in service.real_servers:
        lines += _real_server(service, server, paths.get(server.host, []))
    for one in service.leaving:
        name, port = "%s, leaving with its last connection" % (one.host or one.address), service.options.get("port", 0)
        # It may be of another kind than the service is now.
        words = METHODS[one.destination.get("forward", "dr")] + _tunnel_words(one.destination.get("tunnel"))
        lines += _block(name, one.address, one.destination.get("port", port), one.destination["weight"], ["lvs_method " + words])
    return [*lines, "}", ""]


def _tunnel_words(tunnel: dict[str, Any] | None) -> str:
    """What follows TUN for a tunnel that is not plain IP in IP (keepalived.conf(5), lvs_method)."""
    if not tunnel:
        return ""
    words = ["type", tunnel["type"], *(["port", str(tunnel["port"])] if tunnel.get("port") else [])]
    return " ".join(["", *words, *([tunnel["checksum"]] if tunnel.get("checksum") else [])])


def _server_of_check(check: CheckPath) -> list[str]:
    lines = _head("checks of %s" % check.host, check.family, METHODS["dr"], check.table())
    return [*lines, *_block(check.host, check.address, 0, 1, []), "}", ""]


def _head(name: str, family: int, method: str, options: dict[str, Any]) -> list[str]:
    """What a virtual server's block begins with. options: in the words of ipvs_table."""
    mark = options.get("firewall_mark")
    lines = [
        "# %s" % name,
        "virtual_server %s {" % ("fwmark %d" % mark if mark is not None else "%s %d" % (options["address"], options["port"])),
        *(["    ip_family %s" % ("inet6" if family == 6 else "inet")] if mark is not None else []),
        "    lvs_sched %s" % options["scheduler"],
        *("    %s" % flag for flag in options.get("scheduler_flags", [])),
        "    lvs_method %s" % method,
        # Without this line keepalived takes UDP.
        *(["    protocol %s" % options.get("protocol", "tcp").upper()] if mark is None else []),
        *(["    ops"] if options.get("one_packet") else []),
    ]
    persistence = options.get("persistence")
    if persistence:
        lines.append("    persistence_timeout %d" % persistence["timeout"])
        if "netmask" in persistence:
            lines.append("    persistence_granularity %s" % persistence["netmask"])
        if "engine" in persistence:
            lines.append("    persistence_engine %s" % persistence["engine"])
    return lines


def _block(name: str, address: str, port: int, weight: int, inner: list[str]) -> list[str]:
    """A real server. name: that of its host, from which an address is remembered (inventory/hosts.py, NAMED)."""
    lines = ["    # %s" % name, "    real_server %s %d {" % (address, port), "        weight %d" % weight]
    return [*lines, *("        " + line for line in inner), "    }"]


def _real_server(service: VirtualService, server: RealServer, paths: list[list[str]]) -> list[str]:
    inner: list[str] = []
    if server.checked:
        # keepalived takes a server out as soon as one of its checks fails.
        inner = ["inhibit_on_failure"]
        for check, path in zip(service.checks, paths):
            inner += _checker(check, service, server, path)
        for name in [*server.weight_files, *_watched(service, server)]:
            inner += ["FILE_CHECK {", "    track_file %s" % name, "    weight 1", "}"]
    return _block(server.host, server.address, service.port_of(server), server.weight, inner)


def _checker(check: dict[str, Any], service: VirtualService, server: RealServer, path: list[str]) -> list[str]:
    """keepalived's own check. Where a floor has to hold it is one that always succeeds, because any other could take out more.

    It can't be left out: keepalived writes a weight over the table's own only for a server that one of its checks has brought up.
    """
    if check.get("floor"):
        return ["PING_CHECK {", "    connect_ip 127.0.0.1", "}"]
    common = [
        *("    " + line for line in path),
        "    connect_timeout %d" % check["timeout"],
        "    retry %d" % check["retries"],
        "    delay_before_retry 1",
    ]
    # lvsdr-streamcheck asks the real question; beside it keepalived makes a connection, so that it notices at least a closed port.
    if check["type"] in ("tcp", *STREAM_CHECKS) or (is_watched(check) and check["type"] not in UDP_CHECKS):
        return ["TCP_CHECK {", *common, "}"]
    if check["type"] == "script":
        words = [check["path"], *check["arguments"], server.address, str(service.port_of(server)), service.vips[0]]
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
