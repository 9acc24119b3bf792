# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which names, paths and other words can be written into keepalived.conf and into a URL. Pure."""

from __future__ import annotations

import re

# A line of keepalived.conf has up to 1023 bytes (MAXBUF); these leave room for the keyword and the longest address.
LONGEST_WORD, LONGEST_NAME, LONGEST_HEX = 500, 100, 480


def is_file(value: object) -> bool:
    """Whether it can be the path of a file on a host."""
    return isinstance(value, str) and len(value) <= LONGEST_WORD and re.fullmatch(r"(/(?!\.\.?(/|$))[A-Za-z0-9._@+-]+)+", value) is not None


PATH_SIGNS = "-._~%&()*+,;=:@/?"


def is_path(value: object) -> bool:
    """Whether it is the path of a URL (RFC 3986) that keepalived.conf can carry as it is."""
    # ~SEQ(…) and ~LST(…) are loops of keepalived's (parser.c).
    return (
        isinstance(value, str)
        and len(value) <= LONGEST_WORD
        and re.fullmatch("/[A-Za-z0-9%s]*" % re.escape(PATH_SIGNS), value) is not None
        and re.search(r"~(SEQ|LST)\(", value) is None
    )


LABEL_SIGNS = "quotes, braces, backslash, #, !, ~ and $"


def is_label(value: str, longest: int = LONGEST_NAME) -> bool:
    """Whether a name can be in keepalived.conf, in a comment or as a word."""
    return value.isprintable() and not re.search(r"[\"'{}\\#!$~]", value) and len(value.encode()) <= longest


def is_host_name(value: object) -> bool:
    """Whether it is a name that DNS can carry (RFC 1035), without a dot at its end."""
    labels = value.split(".") if isinstance(value, str) and len(value) <= 253 else [""]
    return all(re.fullmatch("(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", label) for label in labels)


def is_host(value: object) -> bool:
    """Whether it can be the Host of a request: a name or an address in brackets, with or without a port."""
    name, colon, port = value.rpartition(":") if isinstance(value, str) and re.search(r":[0-9]+$", value) else (value, "", "")
    if colon and not 0 < int(port[:6]) < 65536:
        return False
    return is_host_name(name) or (isinstance(name, str) and re.fullmatch(r"\[[0-9A-Fa-f:.]{2,45}\]", name) is not None)
