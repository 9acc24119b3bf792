# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests and answers of ARP (RFC 826) and neighbour discovery (RFC 4861), as bytes. Pure."""

from __future__ import annotations

import socket
import struct

ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 = 0x0800, 0x0806, 0x86DD
BROADCAST = b"\xff" * 6


def mac_text(data: bytes) -> str:
    return ":".join("%02x" % byte for byte in data)


def arp_request(mac: bytes, sender: str, target: str) -> bytes:
    """An Ethernet frame that asks who has target (RFC 826). mac: 6 bytes; sender: own address, or 0.0.0.0 for a probe (RFC 5227)."""
    return (
        BROADCAST + mac + struct.pack("!HHHBBH", ETH_P_ARP, 1, ETH_P_IP, 6, 4, 1)
        + mac + socket.inet_aton(sender) + b"\0" * 6 + socket.inet_aton(target)
    )  # fmt: skip


def neighbour_solicitation(mac: bytes, sender: str, target: str) -> bytes:
    """An Ethernet frame that asks who has the IPv6 target (RFC 4861, 4.3), sent to its solicited-node group."""
    packed = socket.inet_pton(socket.AF_INET6, target)
    group = socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:0")[:13] + packed[13:]
    source = socket.inet_pton(socket.AF_INET6, sender)
    body = struct.pack("!BBHI", 135, 0, 0, 0) + packed + b"\x01\x01" + mac
    pseudo = source + group + struct.pack("!IHBB", len(body), 0, 0, 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + source + group
    return b"\x33\x33" + group[12:] + mac + struct.pack("!H", ETH_P_IPV6) + header + body


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def answer(frame: bytes) -> tuple[str, str] | None:
    """(address, mac) where a frame names the owner of an address: an ARP reply, or a neighbour advertisement; otherwise None."""
    if len(frame) < 14:
        return None
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == ETH_P_ARP and len(frame) >= 42 and frame[20:22] == b"\x00\x02":
        return socket.inet_ntoa(frame[28:32]), mac_text(frame[22:28])
    if kind == ETH_P_IPV6 and len(frame) >= 78 and frame[20] == 58 and frame[54] == 136:
        target = socket.inet_ntop(socket.AF_INET6, frame[62:78])
        # The target's link-layer address is in an option, which a unicast answer may leave out.
        if len(frame) >= 86 and frame[78] == 2:
            return target, mac_text(frame[80:86])
        return target, mac_text(frame[6:12])
    return None


def claim(frame: bytes) -> tuple[str, str] | None:
    """(address, mac) where a frame is an ARP request that names an address as its sender, as in RFC 826's merging; otherwise None.

    Every host that receives it may note the MAC for the address: so a host with arp_announce below 2 poisons its neighbours' caches.
    """
    if len(frame) >= 42 and struct.unpack_from("!H", frame, 12)[0] == ETH_P_ARP and frame[20:22] == b"\x00\x01":
        sender = socket.inet_ntoa(frame[28:32])
        # A probe (RFC 5227) has no sender.
        return None if sender == "0.0.0.0" else (sender, mac_text(frame[22:28]))
    return None
