# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The first packet of UDP protocols, to which every server of theirs has an answer, and whether an answer is one. Pure.

Sources: RFC 1035 (DNS); draft-sharabayko-srt-01, 3.2.1 and 4.3.1 (SRT).
"""

from __future__ import annotations

import struct

from ansible.module_utils.lvsdr.errors import LvsError, shown
from ansible.module_utils.lvsdr.streams import messages

TYPES = ("srt", "dns", "payload")


def type_of(check: str) -> str:
    """The type of the question that a health check of this type asks."""
    return {"udp": "payload"}.get(check, check)


def question(type: str, payload: str | None = None, query: str = ".") -> bytes:
    """The bytes to send. payload: hex, for the type payload; query: the name that a DNS question is about."""
    if type == "srt":
        return srt_induction()
    if type == "dns":
        return dns_question(query)
    return read_hex(payload or "")


def fits(type: str, answer: bytes) -> bool:
    """Whether bytes are an answer to the question."""
    if type == "srt":
        # A handshake with a cookie: the listener's half of the induction.
        return len(answer) >= 64 and answer[:4] == b"\x80\0\0\0" and struct.unpack_from("!I", answer, 36)[0] == 1
    if type == "dns":
        return len(answer) >= 12 and answer[:2] == DNS_ID and bool(answer[2] & 0x80)
    return True


def read_hex(text: str) -> bytes:
    """bytes of hex digits, with or without blanks and 0x; LvsError where they are not."""
    digits = text.replace(" ", "")
    digits = digits[2:] if digits.lower().startswith("0x") else digits
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        data = b""
    if not 0 < len(data) <= 1400:
        raise LvsError(messages.PAYLOAD_INVALID(value=shown(text)))
    return data


def srt_induction(socket_id: int = 0x1D5A) -> bytes:
    """A caller's first handshake (version 4, induction)."""
    header = struct.pack("!IIII", 0x80000000, 0, 0, 0)
    # Version, encryption and extension, first sequence number, MTU, window, type, socket, cookie; then the peer's address.
    return header + struct.pack("!IHHIIIIII", 4, 0, 2, 0, 1500, 8192, 1, socket_id, 0) + b"\0" * 16


DNS_ID = b"\x1d\x5a"


def dns_question(name: str) -> bytes:
    """A question for the name servers of a name, to which every server replies, if only with a refusal."""
    labels = (name[:-1] if name.endswith(".") else name).split(".") if name != "." else []
    try:
        packed: bytes | None = b"".join(bytes([len(label)]) + label.encode("ascii") for label in labels)
    except (UnicodeEncodeError, ValueError):
        packed = None
    if packed is None or len(packed) > 254 or not all(0 < len(label) < 64 for label in labels):
        raise LvsError(messages.DNS_NAME_INVALID(value=shown(name)))
    return DNS_ID + struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + packed + b"\0" + struct.pack("!HH", 2, 1)
