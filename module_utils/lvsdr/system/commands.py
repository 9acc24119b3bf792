# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Programs of a host: found, run with a limit of time, and what they print."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

from ansible.module_utils.lvsdr.errors import LvsError, Problems, shown
from ansible.module_utils.lvsdr.system import messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# How long a program may take, in seconds. Those that start services or read large files get more, also than the TimeoutStartSec of lvsdr's
# units (180): systemd then reports first what was wrong.
SECONDS = 60
SLOW = {"systemctl": 200, "keepalived": 200, "nginx": 200}


class Late(LvsError):
    """A program that did not end in time."""


def finish(command: Sequence[str], stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """What a command did, as subprocess.run returns it. Late where it takes too long, OSError where it can't be run."""
    seconds = SLOW.get(os.path.basename(command[0]), SECONDS)
    # Of a session of its own: what it has started ends with it, and keepalived -t of 2.2.7 ends its process group where a script has a user
    # other than root.
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True, errors="replace", start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        # Not waited for: what hangs in the kernel does not end then either.
        raise Late(messages.COMMAND_TIMED_OUT(command=" ".join(command), seconds="%g" % seconds)) from None
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def run(*command: str) -> str:
    """Output of a command; LvsError with what it printed where it fails."""
    try:
        done = finish(command)
    except OSError as error:
        raise LvsError(messages.COMMAND_NOT_RUN(command=command[0], why=error.strerror))
    if done.returncode:
        raise LvsError(messages.COMMAND_FAILED(command=" ".join(command), output=(done.stderr or done.stdout).strip()))
    return done.stdout


def find_command(name: str) -> str | None:
    """Path of a program, also in the folders that a user's PATH leaves out; None where it is missing."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin")


def check_names(**names: Iterable[str]) -> None:
    """LvsError with every name that no program would accept: ``check_names(services=[…])``."""
    problems = Problems()
    for option, values in names.items():
        for index, value in enumerate(values):
            if not value or value.startswith("-") or not value.isprintable():
                problems.add("%s[%d]" % (option, index), messages.NOT_A_NAME(value=shown(value)))
    problems.raise_if_any("The host can't be read")


def has_module(name: str) -> bool:
    """Whether the running kernel has a module, loaded, built in or on disk."""
    if os.path.isdir("/sys/module/" + name):
        return True
    modprobe = find_command("modprobe")
    return modprobe is not None and finish([modprobe, "-n", "-q", name]).returncode == 0
