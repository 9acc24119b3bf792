# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real server of a service: when it is looked at, and what is known of it."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from ansible.module_utils.lvsdr.agent.looks import BAD, GOOD, KINDS, UNABLE, UNKNOWN, log, look, place_of
from ansible.module_utils.lvsdr.checks import certificates, verdicts
from ansible.module_utils.lvsdr.checks.outcomes import Unknown
from ansible.module_utils.lvsdr.checks.protocols import agent
from ansible.module_utils.lvsdr.checks.sockets import Place


class Server:
    """One real server of one service: its check, its verdict and its track file."""

    def __init__(self, service: dict[str, Any], options: dict[str, Any], folder: str) -> None:
        check = service["check"]
        self.service, self.name, self.weight = service["name"], options["name"], options["weight"]
        self.vip, self.path = service["vip"], os.path.join(folder, options["file"])
        self.place = place_of(options, check)
        self.run = KINDS[check["type"]](check)
        self.weight_files: list[str] = options.get("weight_files", [])
        self.drained = False
        self.agent = Place(options["agent"], check["agent"]["port"]) if check.get("agent") else None
        self.load = verdicts.Load(check["agent"]["smoothing"], check["agent"]["step"]) if self.agent else verdicts.Load()
        self.interval, self.timeout = check["interval"], check["timeout"]
        self.verdict = verdicts.Verdict(check["fall"], check["rise"], service.get("slow_start", 0))
        self.written: int | None = None
        self.seconds: float | None = None
        self.checked_at: float | None = None
        self.share = 1.0
        self.certificate = certificates.Watch(check.get("certificate_days", certificates.DAYS))
        # What was not understood of its answers, its agent and its certificates; a server can send something else each time.
        self.odd, self.odd_agent, self.odd_certificate = verdicts.Seldom(), verdicts.Seldom(), verdicts.Seldom()

    @property
    def words(self) -> str:
        return "%s on %s (%s)" % (self.service, self.name, self.vip)

    async def check(self) -> tuple[str, str, str | None]:
        """One look (``look``), and how long it took."""
        begin = time.monotonic()
        try:
            return await look(self.run, self.place, begin, self.timeout)
        finally:
            self.seconds = time.monotonic() - begin

    def judge(self, result: str, why: str, kind: str | None) -> None:
        """Takes in a look, and logs what is new."""
        self.checked_at = time.time()
        if result == UNABLE:
            self.verdict.why = why
        elif self.verdict.add({GOOD: True, BAD: False}.get(result), why, time.monotonic(), kind):
            log(5 if result == GOOD else 4, "%s is %s: %s", self.words, self.verdict.state, why)
        if result != UNABLE and self.odd.new(why if result == UNKNOWN else "", time.monotonic()):
            log(5, "%s: %s", self.words, why)
        warning = self.certificate.look(self.place.certificate, time.time())
        if self.odd_certificate.new(warning, time.monotonic()):
            log(4, "%s: %s", self.words, warning)

    async def listen(self) -> None:
        """What the server reports of its load."""
        assert self.agent is not None  # only one that has an agent is asked
        before = self.load.share
        try:
            said = await asyncio.wait_for(agent(self.agent), self.timeout)
        except (OSError, asyncio.TimeoutError):
            said = ""
        if self.load.hear(said) and self.odd_agent.new(said, time.monotonic()):
            log(5, "%s: its agent sent what is not understood, so its previous report still counts: %s", self.words, Unknown(said))
        if 0 in (before, self.load.share) and before != self.load.share:
            log(5, "%s wants %d %% of its weight: %s", self.words, 100 * self.load.share, self.load.said or "its agent is silent")

    def look_for_drain(self) -> None:
        """keepalived follows these files itself. A server that is drained, or a spare that is parked, does not count for the floor, and
        comes back slowly."""
        before, self.drained = self.drained, any(os.path.exists(path) for path in self.weight_files)
        if before and not self.drained:
            self.verdict.come_back(time.monotonic())

    def wants(self) -> float:
        return 0.0 if self.drained else self.load.share

    def write(self, share: float) -> None:
        """The track file, where its number has changed."""
        self.share = share
        # The weight of one that is drained is taken by another file; when that goes, this is what it begins with at once.
        number = verdicts.offset(self.weight, self.verdict.returns() * self.load.share if self.drained else share)
        if number != self.written:
            with open(self.path + ".new", "w") as f:
                f.write("%d\n" % number)
            os.rename(self.path + ".new", self.path)
            self.written = number
