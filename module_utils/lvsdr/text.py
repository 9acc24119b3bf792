# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Text: digests of it, how a value becomes it in a file and in a message, and which number a text is. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from ansible.module_utils.lvsdr import messages
from ansible.module_utils.lvsdr.errors import LvsError, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def digest_of(text: str) -> str:
    """SHA-256 of a text, as of the file that holds it."""
    return hashlib.sha256(text.encode()).hexdigest()


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """``"; did you mean real_server_weight?"``, or nothing where no name is near."""
    import difflib  # costs more than most calls need it for

    near = difflib.get_close_matches(str(name) if isinstance(name, str) else "", names, 1, 0.75)
    return "; did you mean %s?" % near[0] if near else ""


def setting_text(value: object) -> str:
    """The text of a value as the kernel takes it: booleans are 0 and 1 however YAML or a template spells them.

    LvsError where it is neither a number nor text.
    """
    if isinstance(value, bool):
        return str(int(value))
    text = re.sub("[ \t]+", " ", value.strip()) if isinstance(value, str) else ""
    if isinstance(value, int) and abs(value) < 1 << 64:
        text = str(value)
    if not text or not text.isprintable():
        raise LvsError(messages.NOT_A_SETTING(value=shown(value)))
    return {"true": "1", "yes": "1", "on": "1", "false": "0", "no": "0", "off": "0"}.get(text.lower(), text)


# A sign, and a number in hex, octal or decimal, up to the end or a blank.
_KERNEL_NUMBER = re.compile(r"(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)(?=[ \t\n]|$)", re.ASCII)


def kernel_number(text: str) -> int | None:
    """The number that the kernel takes from a text that is written to a setting of one number, or None where it refuses the text.

    It takes the first word, in the notation of C, and leaves the rest: ``1 # strict`` is 1, ``010`` is 8, and ``1#strict`` is nothing
    (kernel/sysctl.c, proc_dointvec and proc_get_long, which read no word of more than 20 characters).
    """
    found = _KERNEL_NUMBER.match(text.strip(" \t\n\r\v\f"))
    if not found or len(found[0]) > 20:
        return None
    digits = found[2].lower()
    value = int(digits, 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10)
    value = -value if found[1] else value
    return value if -(1 << 31) <= value < 1 << 31 else None


def with_digest(text: str) -> str:
    """Rules with the digest of their own text in the place of ``@DIGEST@``: what is in force then says which rules it is."""
    return text.replace("@DIGEST@", digest_of(text)[:16])


def plain_text(value: object) -> str:
    """The text of a value that is not a list, a dictionary or the like; "" of what can't be written."""
    try:
        return "" if isinstance(value, (bytes, dict, list, set, tuple)) else str(value)
    except ValueError:  # a number of thousands of digits
        return ""


def whole_number(value: object) -> int | None:
    """The int that a value or its text stands for, or None. YAML gives both, and a template only text, at times with a line end."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -LARGEST < value < LARGEST else None
    # int() alone takes more than operators mean: 1_0, other scripts' digits, and 010, which YAML has as 8.
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?(0|[1-9][0-9]{0,19})", value.strip()) else None


LARGEST = 10**20  # holds every number of IPVS


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width; the last one is left as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return ["  ".join([cell.ljust(width) for cell, width in zip(row, widths)] + [row[-1]]).rstrip() for row in rows]


def bit_rate(value: float | None) -> str:
    """Bytes a second as bits: ``1.2 Mbit/s``"""
    bits = 8.0 * (value or 0)
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if bits < 1000:
            return ("%.0f %s" if bits >= 100 or unit == "bit/s" else "%.1f %s") % (bits, unit)
        bits /= 1000
    return "%.2f Gbit/s" % bits
