# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""lvsdr-console-helper: reads what only root may, and writes the files that take a server's weight. Nothing else.

It listens on a unix socket for lvsdr-console, which runs without privileges. A line of JSON is a request, a line of JSON the answer:
``{"do": "look"}``, ``{"do": "plan", "verb", "host"}`` and ``{"do": "act", "verb", "host", "who", "why"}``. It decides by itself what is
refused, so that a console that was taken over can do no more than an operator could.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import signal
import socket
import socketserver
import struct
import sys
import threading
import time
from typing import Any

from ansible.module_utils.lvsdr import notes, places
from ansible.module_utils.lvsdr.checks.verdicts import OUT
from ansible.module_utils.lvsdr.console import actions, look, messages
from ansible.module_utils.lvsdr.console.config import read_config
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.system.files import write_atomically

LONGEST_REQUEST, MOST_ACTIONS, MINUTE = 4096, 20, 60.0


class Helper:
    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.lock = threading.Lock()
        self.done: collections.deque[float] = collections.deque(maxlen=MOST_ACTIONS)

    def answer(self, request: Any) -> dict[str, Any]:
        do = request.get("do") if isinstance(request, dict) else None
        with self.lock:
            if do == "look":
                return look.read(self.config["digest"])
            if do == "plan":
                return self.plan(str(request.get("verb")), str(request.get("host")))
            if do == "act":
                return self.act(request)
        return {"refused": [str(messages.REQUEST_UNUSABLE())]}

    def plan(self, verb: str, host: str) -> dict[str, Any]:
        if not self.config["actions"]:
            return {"refused": [str(messages.ACTIONS_OFF())], "says": []}
        if verb not in actions.VERBS:
            return {"refused": [str(messages.NO_SUCH_VERB(verbs=", ".join(actions.VERBS)))], "says": []}
        now = look.understood(look.read(self.config["digest"]))
        assert now is not None  # it was made here
        return actions.plan(self.config, now, verb, host)

    def act(self, request: dict[str, Any]) -> dict[str, Any]:
        lines = actions.wrong(request)
        if lines:
            return {"refused": lines}
        # Refused ones count as well: each is a look at the table and a line of the journal.
        now = time.monotonic()
        if len(self.done) == MOST_ACTIONS and now - self.done[0] < MINUTE:
            return {"refused": [str(messages.TOO_MANY_ACTIONS(count=MOST_ACTIONS + 1))]}
        self.done.append(now)
        verb, host, who, why = (request[name].strip() for name in actions.FIELDS)
        found = self.plan(verb, host)
        if not found["refused"]:
            # As the playbooks do: first what a boot reads, then what keepalived watches.
            for folder in (places.DRAINED_KEPT, places.DRAINED):
                path = os.path.join(folder, found["name"])
                if found["write"]:
                    write_atomically(path, notes.text(OUT, who, why))
                elif os.path.exists(path):
                    os.unlink(path)
        result = "; ".join(found["refused"]) or "done"
        self.write_down({"verb": verb, "what": host, "by": who, "reason": why, "event": "ended", "result": result})
        return {"refused": found["refused"], "says": found["says"]}

    def write_down(self, line: dict[str, Any]) -> None:
        """A line of the director's own journal, as fleet/journal.py reads them."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        run = "console-%d" % time.time_ns()
        os.makedirs(os.path.dirname(places.CONSOLE_JOURNAL), exist_ok=True)
        with open(places.CONSOLE_JOURNAL, "a") as f:
            f.write(json.dumps({"at": at, "run": run, "on": self.config["director"], **line}) + "\n")


class Connection(socketserver.StreamRequestHandler):
    """One at a time is enough, but one that says nothing holds up nobody."""

    timeout = 60

    def handle(self) -> None:
        if not self.allowed():
            return
        server = self.server
        assert isinstance(server, Server)
        while True:
            try:
                line = self.rfile.readline(LONGEST_REQUEST)
            except OSError:
                return
            if not line.endswith(b"\n"):
                return
            try:
                answer = server.helper.answer(json.loads(line))
            except (LvsError, OSError, ValueError, RecursionError) as error:
                answer = {"error": str(error)}
            try:
                self.wfile.write(json.dumps(answer).encode() + b"\n")
            except OSError:
                return

    def allowed(self) -> bool:
        """Whether the other end is root, or runs as lvsdr-console does: systemd gives it its folder."""
        _pid, uid, _gid = struct.unpack("3i", self.request.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        try:
            console = os.stat(places.CONSOLE).st_uid
        except OSError:
            console = 0
        return uid == 0 or bool(uid == console)


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, helper: Helper) -> None:
        self.helper = helper
        if os.path.exists(path):
            os.unlink(path)
        super().__init__(path, Connection)
        os.chmod(path, 0o666)  # who may is asked of each connection


def main() -> None:
    parser = argparse.ArgumentParser(description="Reads the table for lvsdr-console, and writes the files that take a weight")
    parser.add_argument("config", help="configuration, JSON")
    parser.add_argument("--socket", default=places.CONSOLE_SOCKET)
    options = parser.parse_args()
    try:
        helper = Helper(read_config(options.config))
    except LvsError as error:
        sys.exit(str(error))

    def again(_number: int, _frame: object) -> None:
        try:
            helper.config = read_config(options.config)
        except LvsError as error:
            print("keeping the previous configuration: %s" % error, file=sys.stderr, flush=True)

    signal.signal(signal.SIGHUP, again)
    Server(options.socket, helper).serve_forever()


if __name__ == "__main__":
    main()
