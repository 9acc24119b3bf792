# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which process is which, also after its number was given to another one. It needs /proc (proc(5))."""

from __future__ import annotations

import os

# Fields of /proc/PID/stat, counted from the one behind the name.
STATE, PARENT, STARTED = 0, 1, 19


def _look(pid: int) -> tuple[str | None, int]:
    """(identity, parent) of a process; (None, 0) where it has ended."""
    try:
        with open("/proc/%d/stat" % pid, errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return None, 0
    return (None, 0) if fields[STATE] == "Z" else ("%d %s" % (pid, fields[STARTED]), int(fields[PARENT]))


def identity(pid: int) -> str | None:
    """``PID START``, with when it started, in ticks since the boot; None where it has ended, or this machine has no /proc."""
    return _look(pid)[0]


def is_alive(text: str) -> bool:
    """Whether the process with this identity has not ended."""
    pid = text.partition(" ")[0]
    return pid.isdecimal() and identity(int(pid)) == text


def lineage(pid: int | None = None) -> list[str]:
    """The identities of a process, by default this one, of its parent, and so on."""
    out: list[str] = []
    own, parent = _look(os.getpid() if pid is None else pid)
    while own:
        out.append(own)
        own, parent = _look(parent) if parent else (None, 0)
    return out


def children(pid: int) -> set[str]:
    """The identities of the processes that a process has started, and that have not ended."""
    out = set()
    for name in os.listdir("/proc"):
        own, parent = _look(int(name)) if name.isdecimal() else (None, 0)
        if own and parent == pid:
            out.add(own)
    return out
