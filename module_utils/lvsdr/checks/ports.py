# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ports that programs of lvsdr need on this host, and which other programs have. IO.

The kernel says whether a port is free. Whose a socket is comes from /proc/PID/fd (proc(5)), where it stands with its inode. Where
that can't be read, as in a container without CAP_SYS_PTRACE, nothing is said.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import endpoint
from ansible.module_utils.lvsdr.checks import listeners, listening, messages

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ansible.module_utils.lvsdr.errors import Line

# The argument spec of a port, of modules that take a list of them.
OPTIONS: dict[str, dict[str, Any]] = {
    "what": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "protocol": {"type": "str", "choices": list(listeners.PROTOCOLS), "default": "tcp"},
    "programs": {"type": "list", "elements": "str", "required": True},
    "exact": {"type": "bool", "default": False},
}
# linux/in.h and linux/in6.h; Python has no names for them.
IP_FREEBIND, IPV6_FREEBIND = 15, 78
# A socket's end, and who has it: (pid, name, command line) of each process.
Listening = tuple[tuple[str, int], list[tuple[int, str, str]]]
# How often to look for the owner of a socket that comes and goes.
LOOKS = 3


def taken(wanted: Iterable[dict[str, Any]]) -> list[Line]:
    """What is wrong with each port that another program listens on, or the right one on another address.

    wanted: as OPTIONS. ``programs``: a word with a slash is part of the command line of the program that may have it, another one of its
    name. ``exact``: of a program that can't go from a wildcard to one address, or back, while it runs.
    """
    clashes = [item for item in wanted if not _is_free(item["protocol"], item["address"], item["port"])]
    return [line for item, there in _listeners(clashes) for line in judge(item, there)] if clashes else []


def judge(item: dict[str, Any], there: list[Listening]) -> list[Line]:
    """A sentence where a program listens that may not, or not there: of the first one alone."""
    needs = "%s %s" % (item["protocol"], endpoint(item["address"], item["port"]))
    seen = [(end, programs, any(_may(item, one) for one in programs)) for end, programs in there if programs]
    six = ":" in item["address"]
    # Two programs have the port, so the wildcard of IPv6 does not take IPv4.
    apart = not six and any(may and ":" not in end[0] for end, _programs, may in seen)
    for end, programs, may in seen:
        who = "%s (process %d)" % (programs[0][1], programs[0][0])
        if not may and not (apart and end[0] == "::"):
            return [messages.PORT_TAKEN(what=item["what"], needs=needs, who=who, bound=endpoint(*end))]
        if may and item.get("exact") and end[0] != item["address"] and (":" in end[0]) == six:
            return [messages.PORT_STAYS(what=item["what"], needs=needs, who=who, bound=endpoint(*end))]
    return []


def _may(item: dict[str, Any], program: tuple[int, str, str]) -> bool:
    _pid, name, command = program
    return any(word in (command if "/" in word else name) for word in item["programs"])


def _is_free(protocol: str, address: str, port: int) -> bool:
    """Whether the kernel lets a program bind there, which knows how far a wildcard goes. Nothing listens meanwhile."""
    family, level, freebind = socket.AF_INET, socket.IPPROTO_IP, IP_FREEBIND
    if ":" in address:
        family, level, freebind = socket.AF_INET6, socket.IPPROTO_IPV6, IPV6_FREEBIND
    try:
        with socket.socket(family, socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM) as sock:
            sock.setsockopt(level, freebind, 1)  # the VIP may not be there yet
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if protocol == "tcp":
                # Connections that have ended do not listen. A UDP socket would share what others receive.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True


def _listeners(clashes: list[dict[str, Any]]) -> list[tuple[dict[str, Any], list[Listening]]]:
    """[(port, the programs that may be in its way)]. It looks at every open file of this host, so it is for where that is needed."""
    for _turn in range(LOOKS):
        sockets = {protocol: listening.inodes(protocol) for protocol in listeners.PROTOCOLS}
        found = [(item, [one for one in sockets[item["protocol"]] if _meet(item, one[0])]) for item in clashes]
        inodes = {inode for _item, ends in found for _end, inode in ends}
        owners = _owners(inodes)
        if inodes <= set(owners):
            break  # else one has gone meanwhile, as at a reload, or is nobody's that can be seen
    return [(item, [(end, [(pid, *_name(pid)) for pid in owners.get(inode, [])]) for end, inode in ends]) for item, ends in found]


def _meet(item: dict[str, Any], end: tuple[str, int]) -> bool:
    """Whether a socket may be in the way. By default a wildcard of IPv6 takes IPv4 as well."""
    (address, port), wanted = (end[0].removeprefix("::ffff:"), end[1]), item["address"]
    if port != item["port"]:
        return False
    same_family = (":" in address) == (":" in wanted)
    return address in (wanted, "::") or same_family and bool({address, wanted} & set(listeners.WILDCARDS))


def _owners(inodes: Collection[int]) -> dict[int, list[int]]:
    """{inode: the pids that have this socket}, of those that can be told."""
    names = {"socket:[%d]" % inode: inode for inode in inodes}
    out: dict[int, list[int]] = {}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        folder = "/proc/%d/fd" % pid
        links = set()
        with contextlib.suppress(OSError):  # it has gone meanwhile
            for fd in os.listdir(folder):
                with contextlib.suppress(OSError):  # this file has
                    links.add(os.readlink(os.path.join(folder, fd)))
        for link in links & set(names):
            out.setdefault(names[link], []).append(pid)
    return out


def _name(pid: int) -> tuple[str, str]:
    """(name, command line) of a process; empty where it has gone meanwhile."""
    try:
        with open("/proc/%d/comm" % pid, errors="replace") as f, open("/proc/%d/cmdline" % pid, errors="replace") as g:
            return f.read().strip(), g.read().replace("\0", " ")
    except OSError:
        return "", ""
