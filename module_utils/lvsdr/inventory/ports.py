# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The ports of a service: one, or several that belong together. Pure.

Several ports are one firewall-mark service: lvsdr's rules give each packet to one of its VIPs and ports the mark, and IPVS knows the
service by that. The mark is made of the service's name: all directors have the same one without telling each other, and it stays when
other services come and go.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.errors import Problems, shown
from ansible.module_utils.lvsdr.inventory import messages
from ansible.module_utils.lvsdr.ipvs.types import PROTOCOLS
from ansible.module_utils.lvsdr.places import SERVICE_MARKS
from ansible.module_utils.lvsdr.reader import Reader
from ansible.module_utils.lvsdr.text import whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    # (protocol, first, last)
    Ports = tuple[str, int, int]

# With more, a range takes ports that other programs of the VIP's hosts use.
MOST_PORTS = 16384
SPELLING = re.compile(r"([0-9]+)(?:-([0-9]+))?(?:/([a-z]+))?")
# These send all that a viewer sends to one server, whatever the port.
BINDING = ("mh", "sh")


def is_service_mark(mark: int | None) -> bool:
    return mark is not None and mark >= 0 and mark & ~0xFFFFFF == SERVICE_MARKS


def mark_of(name: object) -> int:
    """The firewall mark of a service of several ports. A name that can't be one is refused elsewhere."""
    return SERVICE_MARKS | zlib.crc32(str(name).encode(errors="surrogatepass")) & 0xFFFFFF


def is_several(ports: Any) -> bool:
    """Whether a declaration means several ports, or a range, and so a firewall-mark service."""
    if not isinstance(ports, list) or not ports:
        return False
    found = SPELLING.fullmatch(ports[0]) if isinstance(ports[0], str) else None
    return len(ports) > 1 or (found is not None and found[2] is not None)


def single(ports: Any, protocol: Any) -> tuple[Any, Any]:
    """(port, protocol) of the only entry of a list of ports: ``80``, or ``554/tcp``, which says the protocol as well."""
    port = ports[0] if isinstance(ports, list) and ports else None
    found = SPELLING.fullmatch(port) if isinstance(port, str) else None
    if found and found[3] and not found[2] and protocol in (None, found[3]):
        return int(found[1]), found[3]
    return port, protocol


def read_several(reader: Reader) -> tuple[Ports, ...]:
    """The ports of a service that has several, in order."""
    usual = reader.choice("protocol", "tcp", PROTOCOLS)
    out: list[Ports] = []
    for index, value in enumerate(reader.list("ports")):
        path = "ports[%d]" % index
        one = _read_one(reader, path, value, usual)
        if one is None:
            continue
        protocol, first, last = one
        overlap = next((other for other in out if other[0] == protocol and first <= other[2] and other[1] <= last), None)
        if overlap:
            reader.wrong(path, messages.PORTS_OVERLAP(ports=words([one]), other=words([overlap])))
            continue
        out.append(one)
    # With none that can be read there is something to go on with, so that all other errors are found as well.
    return tuple(out) or (("tcp", 1, 1),)


def _read_one(reader: Reader, path: str, value: Any, usual: str) -> Ports | None:
    number = whole_number(value)
    found = SPELLING.fullmatch(value.strip()) if isinstance(value, str) else None
    if number is not None:
        first, last, protocol = number, number, usual
    elif found and (found[3] or usual) in PROTOCOLS:
        first, last, protocol = int(found[1]), int(found[2] or found[1]), found[3] or usual
    else:
        reader.wrong(path, messages.NOT_PORTS(value=shown(value), protocols=", ".join(PROTOCOLS)))
        return None
    if not 1 <= first <= last <= 65535:
        reader.wrong(path, messages.PORTS_OUT_OF_RANGE(value=shown(value)))
        return None
    if last - first >= MOST_PORTS:
        reader.wrong(path, messages.PORTS_TOO_MANY(value=shown(value), count=last - first + 1, most=MOST_PORTS))
        return None
    return protocol, first, last


def as_mark_service(reader: Reader, ports: Sequence[Ports]) -> Reader:
    """The declaration as that of a firewall-mark service."""
    for option in ("firewall_mark", "real_server_port"):
        if reader.get(option) is not None:
            reader.wrong(option, messages.OPTION_WITH_SEVERAL_PORTS(option=option))
    data = {name: value for name, value in reader.data.items() if name not in ("ports", "protocol", "real_server_port")}
    data["firewall_mark"] = mark_of(reader.get("name"))
    scheduler = data.setdefault("scheduler", "mh") or "mh"
    data["scheduler"] = scheduler
    flags = data.get("scheduler_flags")
    spread = isinstance(flags, list) and any(flag in flags for flag in ("mh-port", "sh-port"))
    if (scheduler not in BINDING or spread) and not data.get("persistence"):
        reader.wrong(
            "scheduler", messages.PORTS_NOT_BOUND(scheduler=shown(scheduler) if not spread else "%s with its -port flag" % scheduler)
        )
    return Reader(reader.problems, reader.path, data)


def persistence(value: Any, family: int) -> Any:
    """The declared persistence of a service of several ports: over IPv6 it is by /64, because a viewer changes its address within that."""
    if family == 4 or value is None:
        return value
    declared = value if isinstance(value, dict) else {"timeout": value}
    return {"netmask": 64, **declared}


def words(ports: Sequence[Ports]) -> str:
    """``tcp 554, udp 6970-7170``."""
    return ", ".join("%s %s" % (protocol, first if first == last else "%d-%d" % (first, last)) for protocol, first, last in ports)


def check_claims(claims: Sequence[tuple[str, str, Ports]], problems: Problems) -> None:
    """Each port of a VIP belongs to one service. claims: (path of the service, VIP, ports)."""
    by_vip: dict[str, list[tuple[str, Ports]]] = {}
    for path, vip, ports in claims:
        for other, (protocol, first, last) in by_vip.get(vip, []):
            if other != path and protocol == ports[0] and first <= ports[2] and ports[1] <= last:
                line = messages.PORT_CLAIMED_TWICE(ports=words([ports]), vip=vip, other=other)
                if "%s.ports" % path not in {found.partition(":")[0] for found in problems.found}:
                    problems.add("%s.ports" % path, line)
        by_vip.setdefault(vip, []).append((path, ports))
