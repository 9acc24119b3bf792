"""The WAF of a proxy: nginx with ModSecurity, of Debian 12 on this machine and of Debian 13 in the lab's root file system, with what lvsdr
renders, ended and put in force by the lines of its own unit."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.proxies import findings, waf

UNIT = Path(__file__).parents[2] / "roles" / "proxy_server" / "templates" / "lvsdr-waf.service.j2"
TRIXIE = Path(os.environ.get("LAB_CACHE_DIR", "/var/cache/lvsdr-lab")) / "trixie"
# In a mount namespace of its own: the root file system stays as it is. The shell, and all after it, are one process.
ENTER = "set -e; for folder in proc dev tmp; do mount --rbind /$folder '%s'/$folder; done; exec chroot '%s' \"$@\"" % (TRIXIE, TRIXIE)
INSIDE = ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh"]
INSIDE_OF = {"2.6": [], "3.0": INSIDE}


def eventually(check, words="", seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, words
        time.sleep(0.05)


def free_port(address="127.0.0.1"):
    """One that no connection has taken, nor takes: below those that the kernel chooses from (net.ipv4.ip_local_port_range)."""
    while True:
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind((address, random.randrange(15000, 32000)))
            return sock.getsockname()[1]


def whole_answer(sock):
    """(status, body) of what comes until the connection ends; status 0 where nothing came."""
    answer = b""
    while True:
        more = sock.recv(65536)
        if not more:
            break
        answer += more
    head, _sep, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


class Waf:
    """version: of HAProxy beside it."""

    def __init__(self, version, monkeypatch):
        self.inside = INSIDE_OF[version]
        # Those that read requests are www-data, who may not enter pytest's folders.
        self.folder = Path(tempfile.mkdtemp(prefix="lvsdr-waf-", dir="/tmp"))
        self.folder.chmod(0o755)
        (self.folder / "cache").mkdir()
        self.log, self.pid = self.folder / "waf.json", self.folder / "nginx.pid"
        monkeypatch.setattr(places, "WAF_PORT", free_port())
        monkeypatch.setattr(places, "WAF_ABSTRACT", "lvsdr-" + self.folder.name)
        files = {"CONF": "nginx.conf", "RULES": "rules.conf", "LOG": "waf.json", "INSPECTED": "inspected.sock", "RUN": "", "CACHE": "cache"}
        for name, file in files.items():
            monkeypatch.setattr(places, "WAF_" + name, str(self.folder / file))

    def lines(self, keyword):
        """The commands behind a word of the unit, as systemd runs them."""
        text = re.sub(r"{{ '(\w+)' \| lvs_place }}", lambda found: getattr(places, found[1]), UNIT.read_text().replace("\\\n", " "))
        return [line.partition("=")[2] for line in text.splitlines() if line.startswith(keyword + "=")]

    def run(self, keyword):
        for line in self.lines(keyword):
            with open(self.folder / "nginx.log", "a") as log:
                subprocess.run([*self.inside, "sh", "-c", line], check=True, timeout=60, stderr=log)

    def write(self, resolved, host="edge1"):
        (self.folder / "rules.conf").write_text(waf.rules(resolved, host))
        (self.folder / "nginx.conf").write_text(waf.nginx_conf())

    def start(self, resolved):
        self.write(resolved)
        self.run("ExecStart")
        eventually(lambda: self.main(), "nginx runs")

    def main(self):
        return int(self.pid.read_text()) if self.pid.exists() and self.pid.read_text().strip() else 0

    def found(self):
        """The findings of all requests so far."""
        return findings.read(self.log.read_text(errors="replace").splitlines() if self.log.exists() else [])[0]

    def rules_by_tag(self, pattern):
        """{what a pattern found in a URI: the rules that matched in such requests}"""
        out = {}
        # The last line may be half written.
        whole = self.log.read_text(errors="replace").rpartition("\n")[0] if self.log.exists() else ""
        for line in whole.split("\n") if whole else ():
            one = json.loads(line)["transaction"]
            tag = re.search(pattern, one["request"]["uri"])
            out.setdefault(tag[1] if tag else "", set()).update(int(said["details"]["ruleId"]) for said in one["messages"])
        return out

    def rules_of(self, tag):
        return self.rules_by_tag("(%s)" % re.escape(tag)).get(tag)

    def kill(self):
        """As if it crashed: every process of it."""
        main = self.main()
        children = Path("/proc/%d/task/%d/children" % (main, main)).read_text().split()
        for pid in (main, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
        self.pid.unlink()

    def end(self):
        main = self.main()
        if main:
            os.kill(main, signal.SIGTERM)
            eventually(lambda: not self.pid.exists(), "nginx ends")
        shutil.rmtree(self.folder)
