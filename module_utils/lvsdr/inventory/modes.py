# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a service's mode needs beside the table: the gateway of NAT, the way back to viewers, the kind of tunnel. Pure.

docs/modes.md has what each mode can do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.inventory import messages
from ansible.module_utils.lvsdr.ipvs.declare import read_tunnel
from ansible.module_utils.lvsdr.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable

# What the kernel does with a packet (forward of a destination), by mode. SNAT is NAT, and the director's nftables change the source too.
FORWARDS = {"dr": "dr", "nat": "nat", "snat": "nat", "tunnel": "tunnel"}
MODES = tuple(FORWARDS)
# HAProxy on the directors: IPVS has no part in it (proxy_option.py).
PROXY = "proxy"
# In these a real server holds the VIP itself, silent on ARP, and answers viewers without the director.
DIRECT = ("dr", "tunnel")
# In these the director forwards what servers answer.
TRANSLATED = ("nat", "snat")
# How the answers of a NAT server reach the director: by a rule for the service's port alone, or because it is the default gateway.
RETURN_PATHS = ("rule", "default_gateway")


@dataclass(frozen=True)
class Way:
    """The options of a service that its mode has."""

    mode: str = "dr"
    # {family: address} that NAT servers answer through.
    gateways: dict[int, str] = field(default_factory=dict)
    return_path: str = RETURN_PATHS[0]
    # In the words of ipvs_table's options; None for plain IP in IP, and in other modes.
    tunnel: dict[str, Any] | None = None
    # Where real servers listen, if not on the service's port.
    port: int | None = None

    @property
    def forward(self) -> str:
        return FORWARDS[self.mode]


def read_way(reader: Reader, families: Iterable[int]) -> Way:
    """families: those of the service's VIPs."""
    mode = reader.choice("mode", MODES[0], (*MODES, PROXY))
    port = reader.get("real_server_port")
    if port is not None:
        port = reader.integer("real_server_port", 1, 1, 65535)
        if mode not in TRANSLATED:
            reader.wrong("real_server_port", messages.PORT_NEEDS_NAT(mode=mode))
            port = None
    return Way(mode, _read_gateways(reader, mode, families), _read_return_path(reader, mode), _read_tunnel(reader, mode), port)


def _read_gateways(reader: Reader, mode: str, families: Iterable[int]) -> dict[int, str]:
    value = reader.get("nat_gateway")
    if mode != "nat":
        if value is not None:
            reader.wrong("nat_gateway", messages.OPTION_NEEDS_MODE(option="nat_gateway", needed="nat", mode=mode))
        return {}
    out: dict[int, str] = {}
    values = value if isinstance(value, list) else [] if value is None else [value]
    for position, item in enumerate(values):
        name = "nat_gateway[%d]" % position if isinstance(value, list) else "nat_gateway"
        family, address = Reader(reader.problems, reader.path, {name: item}).address(name)
        if family is None or address is None:
            out.setdefault(0, "")
        elif family in out:
            reader.wrong(name, messages.GATEWAY_TWICE(family=family))
        else:
            out[family] = address
    # With one that can't be read, nothing is known to be missing.
    missing = [] if 0 in out else [family for family in sorted(set(families)) if family not in out]
    if missing and reader.get("state") != "absent":
        reader.wrong("nat_gateway", messages.GATEWAY_MISSING(family=missing[0]))
    out.pop(0, None)
    return out


def _read_return_path(reader: Reader, mode: str) -> str:
    if mode != "nat" and reader.get("return_path") is not None:
        reader.wrong("return_path", messages.OPTION_NEEDS_MODE(option="return_path", needed="nat", mode=mode))
        return RETURN_PATHS[0]
    return reader.choice("return_path", RETURN_PATHS[0], RETURN_PATHS)


def _read_tunnel(reader: Reader, mode: str) -> dict[str, Any] | None:
    if mode != "tunnel":
        if reader.get("tunnel") is not None:
            reader.wrong("tunnel", messages.OPTION_NEEDS_MODE(option="tunnel", needed="tunnel", mode=mode))
        return None
    known = len(reader.problems.found)
    read = read_tunnel(reader, "tunnel")
    # The table would report an error of it a second time.
    if not read or read == ("ipip", 0, "none") or len(reader.problems.found) > known:
        return None
    kind, port, checksum = read
    return {"type": kind, **({"port": port} if port else {}), **({"checksum": checksum} if checksum != "none" else {})}


def check_port(reader: Reader, way: Way, port: int | None, unknown: bool) -> None:
    """What a mode can't do with a port. port: the service's only one, 0 for every one. unknown: whether others set its mark.

    FTP names further ports in what it says, and nothing here reads that. The rules of NAT and SNAT need to know the ports.
    """
    if way.mode in TRANSLATED and port == 21:
        reader.wrong("ports[0]", messages.FTP_NOT_OFFERED())
    by_rule = way.mode == "snat" or (way.mode == "nat" and way.return_path == "rule")
    if by_rule and unknown:
        reader.wrong("firewall_mark", messages.MODE_NEEDS_PORTS(mode=way.mode))
    if by_rule and port == 0:
        reader.wrong("ports[0]", messages.MODE_NEEDS_PORTS(mode=way.mode))
