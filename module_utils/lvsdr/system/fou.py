# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""UDP ports whose packets hold others (foo over UDP), by the kernel's generic netlink family `fou`. IO.

Source: include/uapi/linux/fou.h. pyroute2 has no messages for it.
"""

from __future__ import annotations

import errno
from typing import Any

from ansible.module_utils.lvsdr.addresses import AF
from ansible.module_utils.lvsdr.system import rtnetlink

ADD, DELETE, GET = 1, 2, 3
GUE = 2
VERSION = 1


ATTRIBUTES = (
    ("FOU_ATTR_UNSPEC", "none"), ("FOU_ATTR_PORT", "be16"), ("FOU_ATTR_AF", "uint8"), ("FOU_ATTR_IPPROTO", "uint8"),
    ("FOU_ATTR_TYPE", "uint8"), ("FOU_ATTR_REMCSUM_NOPARTIAL", "flag"), ("FOU_ATTR_LOCAL_V4", "ip4addr"),
    ("FOU_ATTR_LOCAL_V6", "ip6addr"), ("FOU_ATTR_PEER_V4", "ip4addr"), ("FOU_ATTR_PEER_V6", "ip6addr"), ("FOU_ATTR_PEER_PORT", "be16"),
    ("FOU_ATTR_IFINDEX", "int32"),
)  # fmt: skip


def _ask(command: int, flags: int, attributes: list[tuple[str, Any]]) -> list[Any]:
    return rtnetlink.generic("fou", VERSION, ATTRIBUTES, command, flags, attributes)


def read(net: rtnetlink.Rtnetlink) -> set[tuple[int, int]]:
    """{(port, 4 or 6)} of those with GUE. None where the module is not loaded."""
    families = {number: version for version, number in AF.items()}
    try:
        found = _ask(GET, rtnetlink.REQUEST | rtnetlink.DUMP, [])
    except Exception as error:
        if _number(error) in (errno.ENOENT, errno.EOPNOTSUPP):
            return set()
        with net.told("reading the ports of GUE"):
            raise
    return {
        (message.get_attr("FOU_ATTR_PORT"), families.get(message.get_attr("FOU_ATTR_AF"), 4))
        for message in found
        if message.get_attr("FOU_ATTR_TYPE") == GUE
    }


def _number(error: Exception) -> int:
    found: Any = getattr(error, "code", None) or getattr(error, "errno", None)
    return int(found or 0)


def change(net: rtnetlink.Rtnetlink, add: bool, port: int, version: int) -> None:
    with net.told("ip fou %s port %d gue" % ("add" if add else "del", port)):
        attributes: list[tuple[str, Any]] = [("FOU_ATTR_PORT", port), ("FOU_ATTR_AF", int(AF[version]))]
        attributes += [("FOU_ATTR_TYPE", GUE)] if add else []
        _ask(ADD if add else DELETE, rtnetlink.REQUEST | rtnetlink.ACK, attributes)
