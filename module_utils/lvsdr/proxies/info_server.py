# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""lvsdr-proxy-info: tells the directors' consoles what a proxy holds. A daemon, one on each proxy.

It reads what only root may: HAProxy's socket, the files that drain, the stream checker's status and the WAF's log. Whoever connects gets
one line of JSON (``Info.line``). It listens on a unix socket in HAProxy's chroot, and HAProxy lets the directors through to it
(``lvsdr-info`` in its file), so that there is one program that faces the network.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pwd
import socket
import socketserver
import struct
import threading
import time
from typing import Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.checks import status
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.notify import notify
from ansible.module_utils.lvsdr.proxies import findings, info, waf_log
from ansible.module_utils.lvsdr.system import files, weights

# Seconds for which an answer is given again, and for which the WAF's findings are; seconds of the log that are read, and bytes of its end.
FRESH, FRESH_FINDINGS, DAY, MOST_LOG = 1.0, 60.0, 86400, 8 << 20
# Of a day, the most frequent.
MOST_FINDINGS = 50


class Info:
    def __init__(self, haproxy: str, log: str, checker: str) -> None:
        self.haproxy, self.log, self.checker = haproxy, log, checker
        self.lock = threading.Lock()
        self.said: tuple[float, bytes] = (-FRESH, b"")
        self.found: tuple[float, list[dict[str, Any]]] = (-FRESH_FINDINGS, [])

    def line(self) -> bytes:
        """``read`` as a line of JSON, made at most once a second whoever asks."""
        with self.lock:
            if time.monotonic() - self.said[0] >= FRESH:
                self.said = (time.monotonic(), json.dumps(self.read()).encode() + b"\n")
            return self.said[1]

    def read(self) -> dict[str, Any]:
        """``{"at", "running", "version", "servers", "certificates", "files", "checks", "checks_age", "waf"}``.

        What haproxy_info returns, the files that take a weight (system/weights.py), what lvsdr-streamcheck says, and what the WAF found in
        a day, each with the ``line`` of ``waf.exclude`` that lets it through.
        """
        try:
            held = info.held(self.haproxy)
        except LvsError:  # it has gone in the middle
            held = {"running": False, "version": None, "servers": {}, "certificates": {}}
        checks, age = status.read(self.checker)
        return {"at": time.time(), **held, "files": weights.taken(), "checks": checks, "checks_age": age, "waf": self.findings()}

    def findings(self) -> list[dict[str, Any]]:
        if time.monotonic() - self.found[0] >= FRESH_FINDINGS:
            found: list[dict[str, Any]] = []
            with contextlib.suppress(OSError, EOFError):  # it is being rotated, or there is none
                found = waf_log.read(int(time.time()) - DAY, self.log, MOST_LOG)[0][:MOST_FINDINGS]
            self.found = (time.monotonic(), [{**one, "line": findings.exclusion(one)} for one in found])
        return self.found[1]


class Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        if self.allowed():
            self.request.settimeout(10)
            with contextlib.suppress(OSError):
                self.request.sendall(server.info.line())

    def allowed(self) -> bool:
        """Whether the other end is root, or HAProxy, which has asked who it is."""
        _pid, uid, _gid = struct.unpack("3i", self.request.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        try:
            return bool(uid in (0, pwd.getpwnam("haproxy").pw_uid))
        except KeyError:
            return bool(uid == 0)


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, info: Info) -> None:
        self.info = info
        files.forget(path)
        super().__init__(path, Connection)
        os.chmod(path, 0o666)  # who may is asked of each connection


def main() -> None:
    parser = argparse.ArgumentParser(description="Tells the directors' consoles what this proxy holds")
    parser.add_argument("--socket", default=places.PROXY_INFO_SOCKET, help="where it listens, in HAProxy's chroot")
    parser.add_argument("--haproxy", default=places.HAPROXY_SOCKET, help="HAProxy's command line")
    parser.add_argument("--log", default=places.WAF_LOG, help="the log of the WAF")
    parser.add_argument("--checker", default=places.STREAM_STATUS, help="what lvsdr-streamcheck writes")
    options = parser.parse_args()
    server = Server(options.socket, Info(options.haproxy, options.log, options.checker))
    notify("READY=1")
    server.serve_forever()


if __name__ == "__main__":
    main()
