# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which process is which, also after its number was given to another one. It needs /proc (proc(5))."""

from __future__ import annotations

import os

# Fields of /proc/PID/stat, counted from the one behind the name.
STATE, PARENT, STARTED = 0, 1, 19


def _stat(pid: int) -> list[str]:
    try:
        with open("/proc/%d/stat" % pid, errors="replace") as f:
            return f.read().rpartition(")")[2].split()
    except OSError:
        return []


def identity(pid: int) -> str | None:
    """``PID START``, with when it started, in ticks since the boot; None where it has ended, or this machine has no /proc."""
    fields = _stat(pid)
    return "%d %s" % (pid, fields[STARTED]) if fields and fields[STATE] != "Z" else None


def is_alive(text: str) -> bool:
    """Whether the process with this identity has not ended."""
    pid = text.partition(" ")[0]
    return pid.isdecimal() and identity(int(pid)) == text


def lineage(pid: int | None = None) -> list[str]:
    """The identities of a process, by default this one, of its parent, and so on."""
    pid, out = os.getpid() if pid is None else pid, []
    while pid > 0:
        own, fields = identity(pid), _stat(pid)
        if own is None or not fields:
            break
        out.append(own)
        pid = int(fields[PARENT])
    return out
