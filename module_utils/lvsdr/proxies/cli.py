# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""HAProxy's command line, over its socket (management.txt, "Unix Socket commands")."""

from __future__ import annotations

import socket

from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.proxies import messages

TIMEOUT = 10
# What a command answers that has done what it should; everything else is why it has not.
SAID_NO_ERROR = (
    "New server registered.", "Server deleted.", "no need to change", "addr changed", "IP changed", "port changed", "Transaction created",
    "Transaction updated", "Committing", "Already exists", "Transaction aborted",
)  # fmt: skip


def ask(path: str, command: str) -> str:
    """What a command answers; LvsError where nobody does."""
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(path)
            connection.sendall(command.encode() + b"\n")
            while True:
                more = connection.recv(65536)
                if not more:
                    break
                answer += more
    except OSError as error:
        raise LvsError(messages.HAPROXY_SILENT(path=path, why=error.strerror or error))
    return answer.decode(errors="replace").strip()


def run(path: str, command: str) -> str:
    """The same of a command that changes something; LvsError where it did not."""
    return run_answered(command, ask(path, command))


def run_answered(command: str, answer: str) -> str:
    """The same, of an answer that is there already."""
    if answer and not answer.startswith(SAID_NO_ERROR):
        # Of a command with a payload, which may be a key, the first line is told.
        raise LvsError(messages.HAPROXY_REFUSED(command=command.partition("\n")[0], why=" ".join(answer.split())))
    return answer


def told(path: str) -> dict[str, str]:
    """What ``show info`` prints, by name."""
    return {name: value.strip() for name, _colon, value in (line.partition(": ") for line in ask(path, "show info").splitlines())}


def runs(path: str) -> bool:
    try:
        return told(path).get("Name") == "HAProxy"
    except LvsError:
        return False
