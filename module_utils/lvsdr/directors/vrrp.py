# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""VRRP advertisements on the wire, and what keepalived reports of its instances. Pure.

Sources: RFC 3768 (version 2), RFC 5798 (version 3), keepalived's dump of its state (SIGUSR1, vrrp_data.c).
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.lvsdr.arp.packets import checksum
from ansible.module_utils.lvsdr.directors import messages

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ansible.module_utils.lvsdr.errors import Line

PROTOCOL = 112
GROUPS = {4: "224.0.0.18", 6: "ff02::12"}
ADVERTISEMENT = 1


class Advertisement(NamedTuple):
    version: int
    virtual_router_id: int
    priority: int
    # How many VIPs it names.
    addresses: int
    # In seconds.
    interval: float


def parse(data: bytes) -> Advertisement | None:
    """The Advertisement in the payload of an IP packet, or None where it is not one."""
    if len(data) < 8 or data[0] & 0x0F != ADVERTISEMENT or data[0] >> 4 not in (2, 3):
        return None
    version, virtual_router_id, priority, count = data[0] >> 4, data[1], data[2], data[3]
    interval = float(data[5]) if version == 2 else (struct.unpack_from("!H", data, 4)[0] & 0x0FFF) / 100
    return Advertisement(version, virtual_router_id, priority, count, interval)


def advertisement(family: int, virtual_router_id: int, priority: int, addresses: Sequence[bytes] | None = None) -> bytes:
    """The payload of an advertisement each second, of version 2 for IPv4 and 3 for IPv6. addresses: packed, by default an unused one.

    The checksum of version 3 covers the addresses of the packet, so it is left to who sends it.
    """
    if addresses is None:
        addresses = [bytes(4 if family == 4 else 16)]
    if family == 6:
        return struct.pack("!BBBBHH", 0x31, virtual_router_id, priority, len(addresses), 100, 0) + b"".join(addresses)
    data = struct.pack("!BBBBBBH", 0x21, virtual_router_id, priority, len(addresses), 0, 1, 0) + b"".join(addresses) + bytes(8)
    return data[:6] + struct.pack("!H", checksum(data)) + data[8:]


# A message of the connection sync (ip_vs_sync.c, struct ip_vs_sync_mesg, version 1) with no connection in it, of sync id 0.
EMPTY_SYNC = struct.pack("!BBHBbH", 0, 0, 8, 0, 1, 0)


def received(packet: bytes) -> tuple[str, bytes] | None:
    """(source, payload) of an IP packet that carries VRRP, or None where it carries something else."""
    if len(packet) >= 20 and packet[0] >> 4 == 4 and packet[9] == PROTOCOL:
        return socket.inet_ntop(socket.AF_INET, packet[12:16]), packet[4 * (packet[0] & 0x0F) :]
    if len(packet) >= 40 and packet[0] >> 4 == 6 and packet[6] == PROTOCOL:
        return socket.inet_ntop(socket.AF_INET6, packet[8:24]), packet[40:]
    return None


def states(dump: str) -> dict[str, str]:
    """{instance: state in capitals} from the text that keepalived writes on SIGUSR1."""
    out: dict[str, str] = {}
    name = None
    for line in dump.splitlines():
        word, _equals, value = (part.strip() for part in line.partition("="))
        if word == "VRRP Instance":
            name = value
        elif word == "State" and name and name not in out:
            out[name] = value
    return out


def wrong(director: str, instances: Sequence[dict[str, Any]], found: dict[str, Any], own: Collection[str]) -> list[str]:
    """A line for each thing that is wrong with a director's VRRP.

    instances: inventory/instances.py; found: {"running": bool, "states": {instance: state},
    "heard": [{"source", "virtual_router_id", "priority"}, …]}; own: the addresses of all directors.
    """
    out: list[Line] = []
    runs = found.get("running", True)
    if instances and not runs:
        out.append(messages.KEEPALIVED_NOT_RUNNING(director=director))
    for instance in instances:
        name = instance["name"]
        state = found["states"].get(name)
        if runs and state is None:
            out.append(messages.VRRP_INSTANCE_MISSING(director=director, instance=name))
        elif runs and state not in ("MASTER", "BACKUP"):
            out.append(messages.VRRP_STATE(director=director, instance=name, state=state))
        strangers = sorted(
            {
                one["source"]
                for one in found["heard"]
                if one["virtual_router_id"] == instance["virtual_router_id"] and one["source"] not in own
            }
        )
        if strangers:
            number, sources = instance["virtual_router_id"], ", ".join(strangers)
            out.append(messages.VRRP_ROUTER_ID_SHARED(director=director, number=number, instance=name, sources=sources))
    return [str(line) for line in out]
