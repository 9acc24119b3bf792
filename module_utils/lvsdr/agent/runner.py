# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""lvsdr-streamcheck: asks each real server for its streams, and informs keepalived by track files. A daemon, one on each director.

A server can answer 200 while its live playlist no longer changes. Checks that need what keepalived lacks (hysteresis, a floor, a slow
start, weights that follow a server's load) run here too. Each check follows the data path of viewers (inventory/check_paths.py). The
configuration is JSON, made by directors/streamchecks.py; checks/verdicts.py decides what a row of results means. When this program ends or
stalls, systemd removes the files, and keepalived uses its own checks alone.

Sources: RFC 8216 (HLS), ISO/IEC 23009-1 (DASH), RFC 2326 (RTSP), Adobe's RTMP 1.0 specification (5.2), HAProxy's documentation of
agent-check, keepalived.conf(5) FILE_CHECK, sd_notify(3).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import sys
import time
from typing import Any, NoReturn

from ansible.module_utils.lvsdr.agent import messages
from ansible.module_utils.lvsdr.agent.agent_check import AgentCheck
from ansible.module_utils.lvsdr.agent.looks import BAD, UNABLE, log, odd
from ansible.module_utils.lvsdr.agent.metrics import Metrics
from ansible.module_utils.lvsdr.agent.server import Server
from ansible.module_utils.lvsdr.checks import verdicts
from ansible.module_utils.lvsdr.checks.live import Live
from ansible.module_utils.lvsdr.checks.protocols import Http
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.notify import notify

# Seconds between two looks at the clock, and for how long the loop may be blocked before looks of that time do not count.
TICK, STILL = 0.1, 0.3
# Where a process that ends writes what it knows, for the next one. systemd, which removes all else, leaves it alone. What is older than
# this many seconds does not count.
MEMORY, REMEMBERED = ".last.json", 60
# Seconds after which the loop gets the interpreter's lock back from a thread that reads a long playlist; Python's own 5 ms would be lost
# each time that the loop has waited for a socket.
SWITCH = 0.0005


class Service:
    """The servers of one service, which share its weight."""

    def __init__(self, options: dict[str, Any], folder: str) -> None:
        check = options["check"]
        self.name, self.vip, self.floor = options["name"], options["vip"], options.get("floor", 0)
        # HAProxy's backend of these servers, on a proxy.
        self.backend: str | None = options.get("backend")
        self.servers = {one["name"]: Server(options, one, folder) for one in options["servers"]}
        # All of them have been looked at by then, as often as it takes.
        window = (check["fall"] + 1) * check["interval"] + check["timeout"]
        self.together = verdicts.Together(window, check.get("when_all_fail", "keep") == "keep")

    def apply(self) -> None:
        """Sets for each server how much of its weight it should have."""
        now = time.monotonic()
        wanted = {name: server.wants() for name, server in self.servers.items()}
        counted = [server.verdict for name, server in self.servers.items() if wanted[name]]
        if self.together.look(counted, now):
            self._say(counted)
        found = {name: server.verdict for name, server in self.servers.items()}
        for name, share in verdicts.shares(found, self.floor, now, wanted, self.together.kept).items():
            self.servers[name].write(share)

    def _say(self, counted: list[verdicts.Verdict]) -> None:
        number = "all %d servers" % len(counted) if len(counted) > 1 else "the only server"
        who = "%s of %s (%s)" % (number, self.name, self.vip)
        if not self.together.failed:
            log(5, "%s: judged one by one again", who)
        elif self.together.keep:
            log(4, "%s: %s; kept in, because the cause is the origin", who, counted[0].why)
        else:
            log(4, "%s: %s; taken out, as when_all_fail is set", who, counted[0].why)


class Checker:
    def __init__(self, config: dict[str, Any]) -> None:
        self.folder: str = config["folder"]
        self.services = [Service(one, self.folder) for one in config["services"]]
        self.metrics_port: int | None = config.get("metrics_port")
        self.agent_port: int | None = config.get("agent_port")
        self.metrics: Metrics | None = None
        self.still_until = 0.0  # until when the loop was blocked, on the monotonic clock

    def take_over(self, former: Checker) -> None:
        """Continues from a checker with another configuration: what is known of a server stays known."""
        together = {(service.name, service.vip): service.together for service in former.services}
        known = {(s.service, s.vip, s.name): s for service in former.services for s in service.servers.values()}
        for service in self.services:
            if (service.name, service.vip) in together:
                service.together.take_over(together[service.name, service.vip])
            for server in service.servers.values():
                before = known.pop((server.service, server.vip, server.name), None)
                if before and type(before.run) is type(server.run):
                    server.verdict.take_over(before.verdict)
                    server.load.take_over(before.load if server.agent and before.agent else None)
                    server.seconds, server.checked_at = before.seconds, before.checked_at
                    if isinstance(server.run, Live) and isinstance(before.run, Live):
                        server.run.take_over(before.run)
                    server.written = before.written if before.path == server.path else None
        for server in known.values():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(server.path)
            if former.metrics:
                former.metrics.forget(server)
        self.metrics = former.metrics

    def save(self) -> None:
        """What a restart would forget: which servers are out, or on their way back, and since when."""
        now = time.monotonic()
        found = [
            {"service": s.service, "vip": s.vip, "server": s.name, "state": s.verdict.state, "why": s.verdict.why, "kind": s.verdict.kind,
             "since": now - s.verdict.changed_at}
            for service in self.services for s in service.servers.values()
            # Where all fail at once it is not a server's fault, and the next looks say so again.
            if s.verdict.changed_at is not None and not service.together.kept
        ]  # fmt: skip
        with contextlib.suppress(OSError), open(os.path.join(self.folder, MEMORY), "w") as f:
            f.write(json.dumps({"at": time.time(), "checks": found}))

    def recall(self) -> None:
        """Continues from what the process before has saved, so that no server that is out gets viewers until it has failed again."""
        path = os.path.join(self.folder, MEMORY)
        servers = {(s.service, s.vip, s.name): s for service in self.services for s in service.servers.values()}
        try:
            with open(path) as f:
                saved = json.load(f)
            os.unlink(path)
            past = time.time() - saved["at"]
            for one in saved["checks"] if 0 <= past <= REMEMBERED else ():
                server = servers.get((one["service"], one["vip"], one["server"]))
                if server:
                    server.verdict.recall(one["state"], one["why"], one["kind"], time.monotonic() - past - one["since"])
        except FileNotFoundError:
            pass  # the first one since the boot
        except (OSError, ValueError, KeyError, TypeError) as error:
            log(4, "What the process before knew can't be read: %s", error)

    async def run(self) -> None:
        pairs = [(service, server) for service in self.services for server in service.servers.values()]
        self._expose()
        self._apply()
        notify("READY=1\nSTATUS=%d checks" % len(pairs))
        agent = [AgentCheck(self._by_backend()).serve(self.agent_port)] if self.agent_port else []
        await asyncio.gather(self._settle(), self._tick(), *agent, *(self._watch(*pair) for pair in pairs))

    def _by_backend(self) -> dict[str, list[Server]]:
        out: dict[str, list[Server]] = {}
        for service in self.services:
            for server in service.servers.values():
                out.setdefault("%s/%s" % (service.backend, server.name), []).append(server)
        return out

    def _expose(self) -> None:
        """Metrics where the configuration has them now."""
        try:
            if self.metrics_port and not self.metrics:
                self.metrics = Metrics()
            if self.metrics:
                self.metrics.listen(self.metrics_port)
        except (ImportError, OSError, OverflowError) as error:
            log(4, "Continuing without metrics: %s", error)

    async def _tick(self) -> NoReturn:
        """Notices when the loop is blocked: what timed out meanwhile is this host's fault alone."""
        while True:
            begin = time.monotonic()
            await asyncio.sleep(TICK)
            if time.monotonic() - begin > TICK + STILL:
                self.still_until = time.monotonic()

    async def _watch(self, service: Service, server: Server) -> NoReturn:
        # Spread over the first interval, and never in step: a fleet's checks must not come all at once.
        await asyncio.sleep(random.uniform(0, server.interval))
        while True:
            begin = time.monotonic()
            looked: list[Any] = await asyncio.gather(server.check(), *([server.listen()] if server.agent else []))
            result, why, kind = looked[0]
            if result == BAD:
                await asyncio.sleep(0)  # until the loop has found out whether it was blocked
                if self.still_until > begin:
                    result, why = UNABLE, "this director was too busy to look (%s)" % why
            server.judge(result, why, kind)
            service.apply()
            if self.metrics:
                self.metrics.result(server, result)
                self.metrics.together(service)
            await asyncio.sleep(max(0.1, server.interval * random.uniform(0.95, 1.05) - (time.monotonic() - begin)))

    def _apply(self) -> None:
        for service in self.services:
            for server in service.servers.values():
                server.look_for_drain()
            service.apply()

    async def _settle(self) -> NoReturn:
        """Once a second: ramps go on, drains are seen, the status is written, and systemd learns that this program is alive."""
        while True:
            self._apply()
            self._write_status()
            notify("WATCHDOG=1")
            await asyncio.sleep(1)

    def _write_status(self) -> None:
        status = [
            {
                "service": server.service, "vip": server.vip, "server": server.name,
                "state": server.verdict.state, "why": server.verdict.why, "drained": server.drained, "agent": server.load.said,
                "share": round(server.share, 2), "seconds": server.seconds and round(server.seconds, 3), "checked_at": server.checked_at,
                "kept": service.together.kept and server.verdict.state == verdicts.DOWN, "warning": server.certificate.warning,
                "certificate_ends": server.certificate.ends,
            }
            for service in self.services
            for server in service.servers.values()
        ]  # fmt: skip
        path = os.path.join(self.folder, "status.json")
        with open(path + ".new", "w") as f:
            f.write(json.dumps({"at": time.time(), "checks": status}))  # dump() is several times slower: it does not use C
        os.rename(path + ".new", path)


def read(path: str) -> Checker:
    """The Checker of a configuration file; LvsError where it can't be used."""
    try:
        with open(path) as f:
            return Checker(json.load(f))
    except (OSError, ValueError, KeyError, TypeError, re.error, LvsError) as error:
        why = error.message if isinstance(error, LvsError) else repr(error)
        raise LvsError(messages.CONFIGURATION_UNUSABLE(path=path, why=why))


async def finish() -> None:
    """Ends what is still under way: gather() returns with the first task that was cancelled, and the loop may not close before the last."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await Http.matcher.close()


async def serve(path: str) -> None:
    """Runs until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    sys.setswitchinterval(SWITCH)
    loop, again = asyncio.get_running_loop(), asyncio.Event()
    loop.set_exception_handler(odd)
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, again.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    checker = read(path)
    checker.recall()
    while True:
        tasks = [loop.create_task(checker.run()), loop.create_task(again.wait()), loop.create_task(over.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()  # what it failed of
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if over.is_set():
            checker.save()
            await finish()
            return
        again.clear()
        try:
            following = read(path)
        except LvsError as error:
            log(3, "keeping the previous configuration: %s", error)
        else:
            following.take_over(checker)
            checker = following


def main() -> None:
    parser = argparse.ArgumentParser(description="Asks real servers for their streams and informs keepalived")
    parser.add_argument("config", help="configuration, JSON")
    try:
        asyncio.run(serve(parser.parse_args().config))
    except LvsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
