# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an inventory holds of hosts: their addresses, and variables that lvsdr does not read. Pure.

An inventory is as resolve.py has it. In ``hosts`` each host may also have ``unknown``, the names with a prefix of ours that no role and no
playbook reads, ``misfits``, why the value of a variable is not valid ({name: sentence}), and ``unreadable``, why its template can't be
evaluated. One that could not be read has ``unread``, why, or in check mode ``lacks``, what it needs for that. ``names`` are the names that
lvsdr reads, and ``read`` is whether the hosts have been read: before that, all have no facts.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any, Union

from ansible.module_utils.lvsdr.addresses import family_of, parse_address
from ansible.module_utils.lvsdr.errors import listed
from ansible.module_utils.lvsdr.inventory import messages, paths
from ansible.module_utils.lvsdr.places import DIRECTORS
from ansible.module_utils.lvsdr.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible.module_utils.lvsdr.errors import Problems
    from ansible.module_utils.lvsdr.inventory.types import Inventory

    Interface = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]
    Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

HOST_VARIABLES = (
    "ansible_host", "real_server_address", "real_server_address6", "real_server_weight", "real_server_state", "real_server_port",
    "real_server_misplaced", "director_interface", "director_instances", "director_virtual_router_id", "director_priority",
    "director_advertisement_interval", "director_preempt", "director_unicast", "director_timeouts", "director_sysctls",
    "director_max_cut_connections", "director_drain_seconds", "director_streamcheck_metrics_port", "director_streamcheck_install",
    "director_console", "director_console_port", "director_console_actions", "director_console_key_file", "director_console_names",
    "director_console_install",
    "preflight_allow_cloud", "preflight_allow_drained", "streaming_server_kind", "streaming_server_listen", "streaming_server_packages",
    "streaming_server_user", "streaming_server_connections", "streaming_server_keepalive_requests", "streaming_server_origin",
    "streaming_server_vod_dir", "streaming_server_cache_dir", "streaming_server_cache_size", "streaming_server_hls_dir",
    "streaming_server_fragment", "streaming_server_playlist", "streaming_server_rtmp_listen", "streaming_server_publishers",
    "streaming_server_test_source", "streaming_server_tls_listen", "streaming_server_certificate", "streaming_server_certificate_key",
)  # fmt: skip


# In the place of a missing address, so that all other errors are found as well.
STAND_INS = {4: "192.0.2.1", 6: "2001:db8::1"}
# A variable whose name begins so is ours: one that no role and no playbook reads is a mistake.
PREFIXES = ("director_", "real_server_", "streaming_server_", "proxy_server_", "verify_", "preflight_", "rehearse_")
# Those that no role declares, because playbooks read them.
PLAYBOOK_VARIABLES = (
    "preflight_allow_cloud", "preflight_allow_drained", "preflight_packages", "rehearse_boot_seconds", "rehearse_confirmed",
    "rehearse_download", "rehearse_only", "rehearse_power_off", "rehearse_power_on", "rehearse_seconds", "rehearse_service",
    "rehearse_table", "run_beside", "journal_path", "upgrade_drain_seconds", "upgrade_growth", "upgrade_hosts", "upgrade_share",
    "upgrade_tasks", "upgrade_watch_seconds", "scale_down", "scale_state", "scale_switched_on", "scale_timer_host", "scale_timer_state",
    "scale_up",
)  # fmt: skip


def check_names(inventory: Inventory, problems: Problems) -> None:
    """Unknown names, values that are not valid and templates that fail; what several hosts have in common is one error."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for host, variables in inventory["hosts"].items():
        for name in variables.get("unknown") or ():
            found.setdefault((name, "unknown", ""), []).append(host)
        for kind in ("misfits", "unreadable"):
            for name, why in (variables.get(kind) or {}).items():
                found.setdefault((name, kind, why), []).append(host)
    for (name, kind, why), hosts in sorted(found.items()):
        more = " (here and on %d more)" % (len(hosts) - 1) if len(hosts) > 1 else ""
        if kind == "unknown":
            message = messages.UNKNOWN_VARIABLE(name=name, near=did_you_mean(name, inventory.get("names") or ()), more=more)
        elif kind == "misfits":
            message = messages.INVALID_VARIABLE(more=more, why=why)
        else:
            message = messages.TEMPLATE_FAILS(more=more, why=why)
        problems.add("%s.%s" % (paths.of_host(hosts[0]), name), message)


def declared_address(variables: dict[str, Any], family: int) -> str | None:
    """The address of a family that the inventory gives a host, or None: real_server_address, real_server_address6, else ansible_host."""
    for name in ("real_server_address", "real_server_address6", "ansible_host"):
        value = variables.get(name)
        if value is not None and family_of(value) == family:
            return parse_address(value)[1]
    return None


def is_declared(variables: dict[str, Any]) -> bool:
    """Whether the inventory gives a host any address; one of a host that has none comes from its facts."""
    return any(declared_address(variables, family) for family in (4, 6))


def host_address(variables: dict[str, Any], family: int) -> str | None:
    """A host's own address of a family, or None: the declared one, else the one that add_addresses found."""
    found: dict[int, str] = variables.get("found") or {}
    return declared_address(variables, family) or found.get(family)


def on_links(facts: dict[str, Any]) -> list[Interface]:
    """A host's addresses on all interfaces but lo, with their prefix lengths."""
    return [
        ipaddress.ip_interface(text)
        for interface in facts.get("interfaces", [])
        if interface["name"] != "lo"
        for text in interface["addresses"]
    ]


def own_addresses(facts: dict[str, Any], family: int = 4) -> list[str]:
    """A host's own addresses of a family: those with a subnet, on any interface but lo."""
    return [str(address.ip) for address in on_links(facts) if address.version == family and address.network.num_addresses > 1]


def add_addresses(inventory: Inventory, vips: Sequence[str]) -> None:
    """Gives each host without a declared address ``found``, {family: address}, from its facts.

    It is its only one of a family, or the only one in a subnet of a VIP. For a host that did not answer it is the one that a director's
    keepalived.conf has, so that a dead host stays where it is.
    """
    remembered: dict[str, dict[int | None, str]] = {}
    for director in inventory["groups"].get(DIRECTORS) or []:
        conf = facts_of(inventory, director).get("keepalived") or {}
        for host, address in NAMED.findall(conf.get("running") or conf.get("file") or ""):
            remembered.setdefault(host, {})[family_of(address)] = address
    for host, variables in inventory["hosts"].items():
        if is_declared(variables):
            continue
        facts = facts_of(inventory, host)
        if facts:
            variables["found"] = {family: address for family in (4, 6) for address in [_only(facts, family, vips)] if address}
        elif host in remembered:
            variables["found"] = remembered[host]


# As keepalived.py writes a real server.
NAMED = re.compile(r"^ *# (\S+)\n *real_server (\S+) ", re.MULTILINE)


def _only(facts: dict[str, Any], family: int, vips: Sequence[str]) -> str | None:
    found = list(dict.fromkeys(own_addresses(facts, family)))
    if len(found) > 1:
        networks = [address.network for address in on_links(facts) if address.version == family and address.network.num_addresses > 1]
        near = [network for network in networks if any(ipaddress.ip_address(vip) in network for vip in vips)]
        found = [address for address in found if any(ipaddress.ip_address(address) in network for network in near)]
    return found[0] if len(found) == 1 else None


def facts_of(inventory: Inventory, host: str) -> dict[str, Any]:
    """What lvs_preflight has read of a host; empty where nothing is known."""
    facts: dict[str, Any] = inventory["hosts"].get(host, {}).get("facts") or {}
    return facts


def networks_of(inventory: Inventory, host: str) -> list[Network] | None:
    """The subnets a host is connected to, without loopback and single addresses; None where its facts are not known."""
    facts = facts_of(inventory, host)
    if "interfaces" not in facts:
        return None
    networks = [address.network for address in on_links(facts)]
    return [network for network in networks if network.num_addresses > 1 and not network.is_link_local]


def list_networks(networks: Iterable[Network], family: int) -> str:
    return listed(sorted(str(network) for network in networks if network.version == family)) or "it has none of IPv%d" % family


def macs(inventory: Inventory, group: str | None = None) -> dict[str, str]:
    """``{mac: host}`` of the interfaces of a group, or of all hosts, from their facts."""
    return {
        interface["mac"]: host
        for host in (inventory["hosts"] if group is None else inventory["groups"].get(group, []))
        for interface in facts_of(inventory, host).get("interfaces", [])
        if interface["type"] == "ether"
    }


def addresses_of(inventory: Inventory, host: str) -> set[str]:
    """All that a host's own packets may come from: its declared addresses, and those in its facts."""
    variables = inventory["hosts"].get(host, {})
    declared = [host_address(variables, family) for family in (4, 6)]
    return {address for address in declared if address} | {str(address.ip) for address in on_links(facts_of(inventory, host))}
