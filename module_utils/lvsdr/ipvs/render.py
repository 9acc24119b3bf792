# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tables as ``ipvsadm -Sn`` prints them and ``ipvsadm -R`` reads them (ipvsadm 1.31, print_service_entry). Pure.

Two things more are written than ipvsadm prints: thresholds (``-x``, ``-y``), which it reads but leaves out when it saves, and ``--local``
for forwarding to the director itself, for which it has no option and which it prints as ``-g``.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from ansible.module_utils.lvsdr.addresses import endpoint
from ansible.module_utils.lvsdr.ipvs.types import address_order, default_netmask, destination_key, service_key, service_order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible.module_utils.lvsdr.ipvs.types import Daemon, Destination, Service, ServiceKey, Table, Timeouts

PROTOCOL_OPTIONS = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}
FORWARD_OPTIONS = {"dr": "-g", "nat": "-m", "tunnel": "-i", "local": "--local"}
# In the order of types.Daemon's fields after the state.
DAEMON_OPTIONS = ("--mcast-interface", "--syncid", "--sync-maxlen", "--mcast-group", "--mcast-port", "--mcast-ttl")
CHECKSUM_OPTIONS = {"none": "--tun-nocsum", "csum": "--tun-csum", "remcsum": "--tun-remcsum"}


# The destinations of a service follow each other, and each names it.
@functools.lru_cache(16)
def service_option(key: ServiceKey) -> str:
    family, protocol, address, port = key
    if protocol == "fwmark":
        return "-f %d%s" % (port, " -6" if family == 6 else "")
    return "%s %s" % (PROTOCOL_OPTIONS[protocol], endpoint(address, port))


def service_command(option: str, service: Service) -> str:
    """``-A -t 198.51.100.100:80 -s wlc`` and so on; with -D and -Z just the service's name."""
    words = [option, service_option(service_key(service))]
    if option not in ("-D", "-Z"):
        words.append("-s " + service.scheduler)
        if service.persistence:
            words.append("-p %d" % service.persistence)
            if service.netmask != default_netmask(service.family):
                words.append("-M " + service.netmask)
            if service.engine:
                words.append("--pe " + service.engine)
        if "ops" in service.flags:
            words.append("-o")
        flags = [flag for flag in service.flags if flag != "ops"]
        if flags:
            words.append("-b " + ",".join(flags))
    return " ".join(words)


def destination_command(option: str, service: Service, destination: Destination) -> str:
    words = [option, service_option(service_key(service)), "-r " + endpoint(*destination_key(destination))]
    if option != "-d":
        # What lvsdr does not know (bypass, a flag of a newer kernel) is shown all the same.
        words += [FORWARD_OPTIONS.get(destination.forward, "--" + destination.forward), "-w %d" % destination.weight]
        if destination.upper:
            words.append("-x %d" % destination.upper)
        if destination.lower:
            words.append("-y %d" % destination.lower)
        if destination.tunnel:
            kind, port, checksum = destination.tunnel
            words.append("--tun-type " + kind)
            if kind == "gue":
                words.append("--tun-port %d" % port)
            if kind != "ipip":
                words.append(CHECKSUM_OPTIONS.get(checksum, "--tun-" + checksum))
    return " ".join(words)


def timeouts_command(timeouts: Timeouts) -> str:
    """``--set 900 120 300``; 0 keeps what is."""
    return "--set %d %d %d" % timeouts


def daemon_command(option: str, daemon: Daemon) -> str:
    """``--start-daemon master --mcast-interface eth0 --syncid 7`` and so on; --stop-daemon needs the state alone."""
    words = [option, daemon.state]
    if option == "--start-daemon":
        for name, value in zip(DAEMON_OPTIONS, daemon[1:]):
            if value is not None:
                words.append("%s %s" % (name, value))
    return " ".join(words)


def render_settings(timeouts: Timeouts | None, daemons: Iterable[Daemon]) -> str:
    """A Timeouts (or None) and the daemons as text, a line each. ``ipvsadm -R`` takes these lines too."""
    lines = [] if timeouts is None else [timeouts_command(timeouts)]
    lines += [daemon_command("--start-daemon", daemon) for daemon in sorted(daemons, key=lambda daemon: daemon.state, reverse=True)]
    return "".join(line + "\n" for line in lines)


def render(table: Table) -> str:
    """The whole table as text, a line each, in an order that is the same for the same table."""
    lines = []
    for key in sorted(table, key=service_order):
        entry = table[key]
        lines.append(service_command("-A", entry.service))
        for destination_id in sorted(entry.destinations, key=address_order):
            lines.append(destination_command("-a", entry.service, entry.destinations[destination_id]))
    return "\n".join(lines) + "\n" if lines else ""
