# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Addresses of both families: read, compared and written. Pure."""

from __future__ import annotations

import functools
import ipaddress
import socket
from typing import TYPE_CHECKING

from ansible.module_utils.lvsdr import messages
from ansible.module_utils.lvsdr.errors import shown
from ansible.module_utils.lvsdr.text import plain_text, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible.module_utils.lvsdr.errors import Line


def endpoint(address: str, port: int) -> str:
    """``address:port`` as ipvsadm writes it, with brackets for IPv6."""
    return "[%s]:%d" % (address, port) if ":" in address else "%s:%d" % (address, port)


AF = {4: socket.AF_INET, 6: socket.AF_INET6}
# A large table names the same few thousand addresses over and over.
CACHED = 1 << 16


def parse_address(value: object) -> tuple[int, str]:
    """(family, canonical text) of an address; ValueError, which says why, where it is none that one host can have on any link."""
    return parse_address_text(plain_text(value))


@functools.lru_cache(CACHED)
def parse_address_text(text: str) -> tuple[int, str]:
    family = 6 if ":" in text else 4
    try:
        # The C library's rules, by which the kernel's answers are written too; it takes no zone and no leading zeros.
        packed = socket.inet_pton(AF[family], text.strip())
    except (OSError, ValueError):  # ValueError: NUL, or half of a surrogate pair
        raise ValueError("")
    reason = _no_host(family, packed)
    if reason:
        raise ValueError(reason)
    return family, socket.inet_ntop(AF[family], packed)


def _no_host(family: int, packed: bytes) -> str | None:
    """Why an address is not one of a single host on any link (RFC 6890, RFC 4291), or None."""
    if family == 4:
        if packed[0] >> 4 == 0xE:
            return "224.0.0.0/4 is multicast"
        if packed == b"\xff\xff\xff\xff":
            return "it is the broadcast address"
        return None if packed[0] else "0.0.0.0/8 is not an address of a host"
    if packed[0] == 0xFF:
        return "ff00::/8 is multicast"
    if packed[0] == 0xFE and packed[1] >> 6 == 2:
        return "an address of fe80::/10 is valid on one link only"
    if packed[:12] == b"\0" * 10 + b"\xff\xff":
        return "it is an IPv4 address in IPv6 notation; write it as IPv4"
    return None if any(packed) else "it is the unspecified address"


def not_an_address(value: object, why: object) -> Line:
    """What is said of a value that parse_address refuses with that reason."""
    return messages.NOT_AN_ADDRESS(value=shown(value), why=" (%s)" % why if str(why) else "")


@functools.lru_cache(CACHED)
def address_number(text: str) -> tuple[int, bytes]:
    """Sorts addresses as numbers, so that .9 comes before .10, IPv4 first."""
    family = 6 if ":" in text else 4
    return family, socket.inet_pton(AF[family], text)


def ipv4_netmask(text: str) -> str:
    """The dotted form of a netmask, a wildcard mask (0.0.0.255) or a prefix length; ValueError where it is none."""
    if "." not in text:
        length = whole_number(text)
        if length is None or not 0 <= length <= 32:
            raise ValueError
        bits = 0xFFFFFFFF ^ (0xFFFFFFFF >> length)
    else:
        try:
            bits = int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
        except (OSError, ValueError):
            raise ValueError
        hosts = bits ^ 0xFFFFFFFF
        # Ones and then zeros: the complement and one more is a power of two. For a wildcard mask it is the mask itself.
        if hosts & (hosts + 1):
            if bits & (bits + 1):
                raise ValueError
            bits = hosts
    return socket.inet_ntoa(bits.to_bytes(4, "big"))


def multicast_address(value: object) -> str | None:
    """The canonical text of a multicast group, or None where it is none."""
    for family in AF.values():
        try:
            packed = socket.inet_pton(family, str(value).strip())
        except (OSError, ValueError):
            continue
        if packed[0] == 0xFF if len(packed) == 16 else packed[0] >> 4 == 0xE:
            return socket.inet_ntop(family, packed)
    return None


def family_of(address: object) -> int | None:
    """4 or 6, or None where it is not an address."""
    try:
        return parse_address(address)[0]
    except ValueError:
        return None


def inside(address: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in networks)


def address_and_length(text: str) -> tuple[str, int]:
    """(address, prefix length) of ``ADDRESS/LENGTH``."""
    address, _slash, length = text.partition("/")
    return address, int(length)


def full_length(address: str) -> int:
    return 128 if ":" in address else 32


def full_prefix(vip: str) -> str:
    return "%s/%d" % (vip, full_length(vip))
