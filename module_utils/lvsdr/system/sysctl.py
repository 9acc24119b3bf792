# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernel settings under /proc/sys: written, and read back, because the kernel drops some bad values in silence."""

from __future__ import annotations

import os
import re
from typing import Any

from ansible.module_utils.lvsdr.errors import LvsError, Problems
from ansible.module_utils.lvsdr.system import messages
from ansible.module_utils.lvsdr.text import setting_text as text

ROOT = "/proc/sys"


def path_of(name: str) -> str:
    """``net/ipv4/vs/conntrack`` of a name with slashes; interface names may hold dots, so dots are never taken for slashes."""
    return os.path.join(ROOT, name)


def read(name: str) -> str | None:
    """The value as text, or None where the kernel has no such setting."""
    try:
        with open(path_of(name)) as f:
            return f.read().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LvsError(messages.SYSCTL_UNREADABLE(name=name, why=error.strerror))


def read_file(path: str) -> str | None:
    """The text of a small file of the kernel's, or None where there is none."""
    try:
        with open(path) as f:
            return f.read().strip()
    except OSError:
        return None


def write(name: str, value: object) -> None:
    """Sets one value; LvsError where the kernel refuses or does not keep it."""
    value = str(value)
    try:
        with open(path_of(name), "w") as f:
            f.write(value)
    except FileNotFoundError:
        raise LvsError(messages.SYSCTL_UNKNOWN(name=name))
    except OSError as error:
        raise LvsError(messages.SYSCTL_NOT_SET(name=name, value=value, why=error.strerror))
    kept = read(name)
    if not same(name, kept or "", value):
        raise LvsError(messages.SYSCTL_NOT_KEPT(name=name, value=value, kept=kept))


def exists(prefix: str) -> bool:
    """Whether the kernel has any setting under a prefix."""
    return os.path.isdir(path_of(prefix))


def differing(prefix: str, wanted: dict[str, Any] | None, path: str, problems: Problems) -> dict[str, tuple[str, str]]:
    """{name: (now, wanted)} of the settings under prefix that are not as wanted.

    What the kernel has no setting for, and a value that can't be one, goes to problems with its path.
    """
    out = {}
    for name, value in sorted((wanted or {}).items()):
        now = read(prefix + name) if re.fullmatch("[a-z0-9_]{1,64}", str(name)) else None
        if now is None:
            problems.add("%s.%s" % (path, name), messages.SYSCTL_UNKNOWN(name="%s%s" % (prefix, name)))
            continue
        try:
            value = text(value)
        except LvsError as error:
            problems.add("%s.%s" % (path, name), error.line)
            continue
        if not same(name, now, value):
            out[name] = (now, value)
    return out


def same(name: str, now: str, wanted: str) -> bool:
    """Whether a setting is as wanted. 1 and 2 are one automatic mode, in which the kernel changes by itself (update_defense_level)."""
    pair = [value.split() for value in (now, wanted)]
    return pair[0] == pair[1] or (name.rpartition("/")[2] in AUTOMATIC and all(value in (["1"], ["2"]) for value in pair))


# IPVS' settings under /proc/sys/net/ipv4/vs (ip_vs_ctl.c, vs_vars; Linux 6.1 to 6.12): (lowest, highest, how many numbers), or None for
# text. In the last three the kernel itself changes between 1 and 2, one automatic mode, as its memory gets short (update_defense_level).
AUTOMATIC = ("drop_entry", "drop_packet", "secure_tcp")
