# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks the link which hosts have an address, and collects every answer. IO, with nothing but Python."""

from __future__ import annotations

import ctypes
import ipaddress
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.arp import messages, packets, placement
from ansible.module_utils.lvsdr.arp.audit import MOST_MACS
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.system import messages as system

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    Heard = dict[str, dict[str, None]]  # MACs of each address

ETH_P_ALL = 3
# Requests for each address, spread over the time: a reply may get lost, a second owner may be slow.
ROUNDS = 3

SO_ATTACH_FILTER = 26
# Classic BPF that lets through ARP and ICMPv6 alone, so that a busy link does not drown the answers.
FILTER = (
    (0x28, 0, 0, 12),  # load the EtherType
    (0x15, 3, 0, packets.ETH_P_ARP),  # ARP: accept
    (0x15, 0, 3, packets.ETH_P_IPV6),  # not IPv6: drop
    (0x30, 0, 0, 20),  # load the next header
    (0x15, 0, 1, 58),  # not ICMPv6: drop
    (0x06, 0, 0, 0xFFFF),  # accept
    (0x06, 0, 0, 0),  # drop
)


def choose_interface(vip: str, links: list[dict[str, Any]], vips: Collection[str] = ()) -> tuple[dict[str, Any], str]:
    """(link, own address) of the interface whose subnet holds the VIP; LvsError where this host has none."""
    for link in links:
        for own in _own_addresses(link, vip, vips) if link["type"] == "ether" and placement.can_hear(link) else ():
            if ipaddress.ip_address(vip) in own.network:
                return link, str(own.ip)
    raise LvsError(messages.NO_INTERFACE_IN_SUBNET(vip=vip))


def named_interface(name: str, vip: str, links: list[dict[str, Any]], vips: Collection[str] = ()) -> tuple[dict[str, Any], str]:
    """(link, own address); without an address of the VIP's family the question is a probe, from 0.0.0.0 or ::."""
    for link in links:
        if link["name"] == name:
            if link["type"] != "ether":
                raise LvsError(messages.INTERFACE_NOT_ETHERNET(interface=name))
            for own in _own_addresses(link, vip, vips):
                return link, str(own.ip)
            return link, "0.0.0.0" if "." in vip else "::"
    raise LvsError(messages.INTERFACE_MISSING(interface=name, names=", ".join(link["name"] for link in links)))


def _own_addresses(link: dict[str, Any], vip: str, vips: Collection[str]) -> Iterator[ipaddress.IPv4Interface | ipaddress.IPv6Interface]:
    """A link's addresses of the VIP's family that may be the sender of a question.

    Never a VIP: a request that names it as its sender would announce to the whole link that this host has it.
    """
    for text in link["addresses"]:
        own = ipaddress.ip_interface(text)
        if own.version == ipaddress.ip_address(vip).version and own.network.num_addresses > 1 and str(own.ip) not in (vip, *vips):
            yield own


def ask(
    vips: Iterable[tuple[int, str]],
    links: list[dict[str, Any]],
    interface: str | None = None,
    timeout: float = 2.0,
    duration: float | None = None,
    rounds: int = ROUNDS,
) -> dict[str, tuple[str, list[str], list[str]]]:
    """``{vip: (interface, [mac, …], [mac, …])}``: every MAC that answered, in the order of the answers, and every one that named the VIP
    as the sender of a request of its own; of each the first MOST_MACS.

    vips: (family, text) pairs. Requests go out in so many rounds within timeout seconds; duration: how long it listens in all (by default
    only for the timeout).
    """
    where: dict[str, tuple[dict[str, Any], str]] = {}
    asked = [vip for _family, vip in vips]
    for vip in asked:
        where[vip] = named_interface(interface, vip, links, asked) if interface else choose_interface(vip, links, asked)
    sockets: dict[str, socket.socket] = {}
    try:
        for link, _own in where.values():
            if link["name"] not in sockets:
                sockets[link["name"]] = _open(link["name"])
        # MACs in the order of their answers
        found: Heard = {vip: {} for vip in where}
        claims: Heard = {vip: {} for vip in where}
        begin = time.monotonic()
        for number in range(rounds):
            for vip, (link, own) in where.items():
                mac = bytes.fromhex(link["mac"].replace(":", ""))
                frame = packets.neighbour_solicitation(mac, own, vip) if ":" in vip else packets.arp_request(mac, own, vip)
                sockets[link["name"]].send(frame)
            _collect(sockets, where, found, claims, begin + timeout * (number + 1) / rounds)
        _collect(sockets, where, found, claims, begin + max(timeout, duration or 0))
    except PermissionError:
        raise LvsError(system.ROOT_REQUIRED(what="asking on the link"))
    except OSError as error:
        raise LvsError(messages.ARP_QUERY_FAILED(why=error))
    finally:
        for sock in sockets.values():
            sock.close()
    return {vip: (where[vip][0]["name"], list(macs), list(claims[vip])) for vip, macs in found.items()}


def _open(name: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    # The kernel reads the program through this pointer, so the buffer lives until the call is done.
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in FILTER))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(FILTER), ctypes.addressof(program)))
    sock.bind((name, ETH_P_ALL))
    sock.setblocking(False)
    return sock


def _collect(
    sockets: dict[str, socket.socket], where: dict[str, tuple[dict[str, Any], str]], found: Heard, claims: Heard, deadline: float
) -> None:
    names = {sock: name for name, sock in sockets.items()}
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return
        ready, _writable, _failed = select.select(list(names), [], [], left)
        for sock in ready:
            try:
                frame = sock.recv(2048)
            except BlockingIOError:
                continue
            for seen, heard in ((packets.answer(frame), found), (packets.claim(frame), claims)):
                if seen is None:
                    continue
                address, mac = seen
                if address not in heard or mac in heard[address] or len(heard[address]) >= MOST_MACS:
                    continue
                link = where[address][0]
                # What this host sends itself comes back on its own socket.
                if link["name"] == names[sock] and mac != link["mac"]:
                    heard[address][mac] = None
