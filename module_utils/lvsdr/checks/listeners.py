# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a service is reachable on a real server, on the VIP and on the server's own address, and what to do where it is not. Pure.

What a program is bound to is read from /proc/net/tcp, tcp6, udp and udp6 (proc(5)): addresses there are in hex, in the order of the host's
bytes for each 32 bits.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import endpoint
from ansible.module_utils.lvsdr.checks import messages
from ansible.module_utils.lvsdr.errors import LvsError, Problems, named, shown
from ansible.module_utils.lvsdr.reader import Reader
from ansible.module_utils.lvsdr.streams import packets

if TYPE_CHECKING:
    from collections.abc import Collection

    from ansible.module_utils.lvsdr.errors import Line

    Sockets = Collection[tuple[str, int]]

TCP_ESTABLISHED, TCP_LISTEN = "01", "0A"
WILDCARDS = ("0.0.0.0", "::")
SERVICE_OPTIONS = ("name", "protocol", "port", "vip", "own", "type", "payload", "query")
PROTOCOLS = ("tcp", "udp")


# The argument spec of a service, of modules that take a list of them.
OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
    "port": {"type": "int", "required": True},
    "vip": {"type": "str", "required": True},
    "own": {"type": "str", "required": True},
    "type": {"type": "str", "choices": list(packets.TYPES)},
    "payload": {"type": "str"},
    "query": {"type": "str"},
}


def parse(protocol: str, text: str) -> list[tuple[tuple[str, int], int]]:
    """[((address, port), inode)] of the sockets that take packets from every sender, in the text of one of the files. A program may have
    several for one end."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or protocol == "tcp" and fields[3] != TCP_LISTEN:
            continue
        # A UDP socket with a peer of its own receives from that peer only.
        if protocol == "udp" and not fields[2].endswith(":0000"):
            continue
        found.append((_end(fields[1]), int(fields[9])))
    return found


def established(text: str) -> list[tuple[str, int]]:
    """(address, port) on this host's side of each TCP connection in the text of one of the files."""
    lines = (line.split() for line in text.splitlines()[1:])
    return [_end(fields[1]) for fields in lines if len(fields) > 3 and fields[3] == TCP_ESTABLISHED]


def _end(words_and_port: str) -> tuple[str, int]:
    digits, _colon, port = words_and_port.rpartition(":")
    words = [int(digits[start : start + 8], 16) for start in range(0, len(digits), 8)]
    packed = struct.pack("=%dI" % len(words), *words)
    return socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed), int(port, 16)


def read_services(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The declared services, checked: ``[{"name", "protocol", "port", "vip", "own", "type", "question"}]``.

    LvsError with all that is wrong. question: what to send to a UDP program, None where its protocol is not known.
    """
    problems = Problems()
    out: list[dict[str, Any]] = []
    for index, item in enumerate(data):
        reader = Reader(problems, "services[%d]" % index, item)
        reader.known(SERVICE_OPTIONS)
        (family, vip), (own_family, own) = reader.address("vip"), reader.address("own")
        if family and own_family and family != own_family:
            reader.wrong("own", messages.LISTENER_OTHER_FAMILY(own=own, vip=vip))
        if reader.get("port") is None:
            reader.wrong("port", messages.LISTENER_PORT_MISSING())
        protocol, port = reader.choice("protocol", "tcp", PROTOCOLS), reader.integer("port", 1, 1, 65535)
        asked: str | None = None
        question: bytes | None = None
        if reader.get("type") is not None:
            asked = reader.choice("type", "srt", packets.TYPES)
            try:
                question = packets.question(asked, reader.get("payload"), str(reader.get("query", ".")))
            except LvsError as error:
                reader.wrong("payload" if asked == "payload" else "query", error.line)
            if protocol != "udp":
                reader.wrong("type", messages.LISTENER_TYPE_OF_TCP())
        name = str(reader.get("name", ""))
        if not name.strip() or not name.isprintable():
            reader.wrong("name", messages.LISTENER_NAME_INVALID(value=shown(name)))
        item = {"name": name, "protocol": protocol, "port": port, "vip": vip, "own": own}
        out.append({**item, "type": asked, "question": question})
    problems.raise_if_any("The listeners can't be checked")
    return out


def bound_to(service: dict[str, Any], sockets: Sockets) -> list[str]:
    """What programs on this service's port are bound to, as far as it concerns the service's family, sorted."""
    of_family = [address for address, port in sockets if port == service["port"] and (":" in address) == (":" in service["vip"])]
    # By default a wildcard of IPv6 takes IPv4 as well; a connection shows whether it does.
    return sorted(of_family + ["::"] * (":" not in service["vip"] and ("::", service["port"]) in sockets))


def judge(service: dict[str, Any], answers: dict[str, str | None], sockets: Sockets) -> Line | None:
    """What is wrong with a service's listener, in a sentence; None where nothing is.

    answers: ``{"vip": None or why a connection or question failed, "own": …}``; for UDP of the VIP alone, and empty where nothing could be
    asked. sockets: of the service's protocol (parse).

    An answer is proof. The table of sockets explains why there was none, and decides only where nothing could be asked: what a packet
    filter passes on, as to a container whose port is published, has no socket on this host.
    """
    vip, port, protocol = service["vip"], service["port"], service["protocol"]
    failed = [side for side in ("vip", "own") if answers.get(side)]
    bound = bound_to(service, sockets)
    if answers and not failed or not answers and takes(service, "vip", sockets):
        return None
    what = "%s: %s %s" % (named(service["name"]), protocol, endpoint(vip, port))
    fails = " and ".join("%s (%s)" % (endpoint(service[side], port), answers[side]) for side in failed)
    if not bound and len(failed) < len(answers):
        return messages.LISTENER_HALF_PUBLISHED(service=what, failed=fails, port=port)
    if not bound:
        return messages.LISTENER_MISSING(service=what, protocol=protocol, port=port)
    listens = " and ".join(endpoint(address, port) for address in bound)
    wildcard = "[::]" if ":" in vip else "0.0.0.0"
    if not takes(service, "vip", sockets) and (not answers or "vip" in failed):
        return messages.LISTENER_NOT_ON_VIP(service=what, bound=listens, wildcard=wildcard)
    if "own" in failed and not takes(service, "own", sockets):
        return messages.LISTENER_NOT_ON_OWN_ADDRESS(service=what, bound=listens, wildcard=wildcard)
    # UDP programs that answer are well bound to the VIP alone: nothing else makes their answers come from it.
    if protocol == "udp":
        return messages.LISTENER_SILENT(service=what, bound=listens, why=answers["vip"], type=service["type"])
    return messages.LISTENER_REFUSES(service=what, bound=listens, failed=fails)


def takes(service: dict[str, Any], side: str, sockets: Sockets) -> bool:
    """Whether a program is bound so that packets for the VIP ("vip") or the server's own address ("own") are its own."""
    return any(address in (*WILDCARDS, service[side]) for address in bound_to(service, sockets))
