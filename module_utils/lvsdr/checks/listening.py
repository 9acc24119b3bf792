# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether this host's services are reachable on it: reads what listens, and connects. IO; listeners.py judges."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.checks import listeners
from ansible.module_utils.lvsdr.streams import packets

if TYPE_CHECKING:
    from collections.abc import Collection

# The kernel's refusal comes over lo, at once.
REFUSAL_SECONDS = 0.5


def inodes(protocol: str) -> list[tuple[tuple[str, int], int]]:
    """The sockets on which programs of this host listen, as listeners.parse gives them."""
    found: list[tuple[tuple[str, int], int]] = []
    for suffix in ("", "6"):
        try:
            with open("/proc/net/" + protocol + suffix) as f:
                found += listeners.parse(protocol, f.read())
        except FileNotFoundError:
            continue  # a kernel without IPv6
    return found


def sockets(protocol: str) -> set[tuple[str, int]]:
    """{(address, port)} of the same."""
    return {end for end, _inode in inodes(protocol)}


def connections(ends: Collection[tuple[str, int]]) -> int:
    """How many TCP connections there are to these addresses and ports of this host."""
    count = 0
    for suffix in ("", "6"):
        try:
            with open("/proc/net/tcp" + suffix) as f:
                count += sum(end in ends for end in listeners.established(f.read()))
        except FileNotFoundError:
            continue  # a kernel without IPv6
    return count


def connect(address: str, port: int, timeout: float) -> str | None:
    """None, or why there is no connection."""
    try:
        with socket.create_connection((address, port), timeout) as sock:
            # TCP's simultaneous open: with the port as its own source port a socket reaches itself.
            return os.strerror(errno.ECONNREFUSED) if sock.getsockname() == sock.getpeername() else None
    except OSError as error:
        return os.strerror(error.errno) if error.errno else "no answer within %g s" % timeout


def ask(address: str, port: int, item: dict[str, Any], timeout: float) -> str | None:
    """None, or why a UDP program does not answer."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.sendto(item["question"], (address, port))
            answer = sock.recv(2048)
        except OSError as error:
            return os.strerror(error.errno) if error.errno else "no reply within %g s" % timeout
    return None if packets.fits(item["type"], answer) else "unexpected reply"


def refused(address: str, port: int) -> str | None:
    """None, or that this host refuses UDP packets for a port, as its kernel does at once where neither a program nor a rule takes them.

    Only for ports on which no program here listens: some take an empty packet for the end of a stream.
    """
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(REFUSAL_SECONDS)
        try:
            sock.connect((address, port))
            sock.send(b"")
            sock.recv(1)
        except socket.timeout:
            return None
        except OSError as error:
            return os.strerror(error.errno) if error.errno else str(error)
    return None


def answers_of(item: dict[str, Any], timeout: float, there: set[tuple[str, int]]) -> dict[str, str | None]:
    """The answers that listeners.judge takes."""
    if item["protocol"] == "tcp":
        return {side: connect(item[side], item["port"], timeout) for side in ("vip", "own")}
    if item["question"]:
        return {"vip": ask(item["vip"], item["port"], item, timeout)}
    return {} if listeners.takes(item, "vip", there) else {"vip": refused(item["vip"], item["port"])}


def listen(services: list[dict[str, Any]], timeout: float) -> dict[str, Any]:
    """{"listeners": [dict], "problems": [sentence]} of services as listeners.read_services gives them; timeout in seconds."""
    there = {protocol: sockets(protocol) for protocol in listeners.PROTOCOLS}
    out: list[dict[str, Any]] = []
    problems: list[str] = []
    for item in services:
        problem = listeners.judge(item, answers_of(item, timeout, there[item["protocol"]]), there[item["protocol"]])
        bound = listeners.bound_to(item, there[item["protocol"]])
        out.append({"name": item["name"], "protocol": item["protocol"], "port": item["port"], "vip": item["vip"], "bound": bound})
        problems += [str(problem)] if problem else []
    return {"listeners": out, "problems": problems}
