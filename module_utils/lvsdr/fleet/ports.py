# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The ports that a rollout's programs need on each host, as lvs_preflight takes them. Pure.

lvsdr-streamcheck's metrics are not among them: without their port it goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.directors import console
from ansible.module_utils.lvsdr.directors.keepalived import vrrp_family
from ansible.module_utils.lvsdr.errors import Problems
from ansible.module_utils.lvsdr.inventory import director_settings, streaming_server, views
from ansible.module_utils.lvsdr.inventory.hosts import host_address
from ansible.module_utils.lvsdr.places import DIRECTORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible.module_utils.lvsdr.inventory.types import Inventory, ProxyService, Resolved

LOOPBACK, ANY, ANY6 = "127.0.0.1", "0.0.0.0", "::"
# How each program is known: by its name, or by the file on its command line, which is the same for a checkout and for the collection.
HAPROXY, SYSTEMD, NGINX = "haproxy", "systemd", "nginx"


def needed(resolved: Resolved, inventory: Inventory) -> dict[str, list[dict[str, Any]]]:
    """{host: the ``ports`` of lvs_preflight}."""
    out: dict[str, list[dict[str, Any]]] = {}
    for host, found in _needed(resolved, inventory):
        if found not in out.setdefault(host, []):
            out[host].append(found)
    return out


def _needed(resolved: Resolved, inventory: Inventory) -> Iterator[tuple[str, dict[str, Any]]]:
    for service in resolved.proxies:
        for host in service.hosts if not service.absent else ():
            yield from ((host, one) for one in _of_proxy(service, host, inventory))
    has_console = director_settings.has_console(inventory)
    for host in views.counters(resolved.services) if has_console else ():
        yield from ((host, _port("lvsdr-egress", address, places.EGRESS_PORT, SYSTEMD)) for address in (ANY, ANY6))
    for host in inventory["hosts"]:
        yield from ((host, one) for one in _of_nginx(host, inventory))
    for host in inventory["groups"].get(DIRECTORS) or ():
        if director_settings.runs_console(inventory, host):
            yield from ((host, one) for one in _of_console(host, inventory))


def _of_nginx(host: str, inventory: Inventory) -> Iterator[dict[str, Any]]:
    """What the role streaming_server gives nginx. It can't change between a wildcard and an address while it runs."""
    for name, found in streaming_server.managed(inventory, host).items():
        for address, port in found:
            wildcard = ANY6 if ":" in address else ANY
            if address == wildcard or (wildcard, port) not in found:
                yield {**_port("nginx (%s)" % name, address, int(port), NGINX), "exact": True}


def _of_proxy(service: ProxyService, host: str, inventory: Inventory) -> Iterator[dict[str, Any]]:
    what = "HAProxy, for service %s," % service.name
    # An nginx that lvsdr manages leaves the port in the same rollout, if its variables say so (modes.check_proxies).
    known = [HAPROXY, *([NGINX] if streaming_server.managed(inventory, host) else [])]
    for vip in service.vips:
        for protocol in ("tcp", *(["udp"] if service.http3 else [])):
            yield _port(what, vip, service.port, *known, protocol=protocol)
    yield _port("HAProxy, for its metrics,", LOOPBACK, places.HAPROXY_METRICS_PORT, HAPROXY)
    for address in sorted({ANY6 if ":" in one else ANY for one in console.asking(inventory, host)}):
        yield _port("HAProxy, for the consoles,", address, places.PROXY_INFO_PORT, HAPROXY)
    if service.checks:
        yield _port("lvsdr-streamcheck, which HAProxy asks,", LOOPBACK, places.AGENT_PORT, places.STREAMCHECK_CONF)
    if service.waf:
        yield _port("the WAF", LOOPBACK, places.WAF_PORT, places.WAF_CONF)


def _of_console(host: str, inventory: Inventory) -> Iterator[dict[str, Any]]:
    settings = director_settings.read_director(inventory, host, Problems())
    yield _port("lvsdr-console (director_console_port)", LOOPBACK, settings["console"]["port"], places.CONSOLE_CONF)
    address = host_address(inventory["hosts"].get(host, {}), vrrp_family(inventory))
    if address and len(inventory["groups"][DIRECTORS]) > 1:
        yield _port("lvsdr-console, for the other director,", address, places.CONSOLE_PEER_PORT, places.CONSOLE_CONF)


def _port(what: str, address: str, port: int, *programs: str, protocol: str = "tcp") -> dict[str, Any]:
    return {"what": what, "address": address, "port": port, "protocol": protocol, "programs": list(programs)}
