# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A rehearsal as the steps that it takes: one fault after the other while viewers watch, each repaired whatever comes. Pure.

It is a generator, and where it stands is its state: it hands out a step, is sent what came of it, and hands out the next one.
plugins/action/lvs_rehearse.py does the steps and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Union

from ansible.module_utils.lvsdr.directors import drains, holders, parity
from ansible.module_utils.lvsdr.errors import Line, LvsError
from ansible.module_utils.lvsdr.fleet import faults, messages
from ansible.module_utils.lvsdr.inventory import views
from ansible.module_utils.lvsdr.streams import rehearsal

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeVar

    from ansible.module_utils.lvsdr.fleet.faults import Fault
    from ansible.module_utils.lvsdr.fleet.scene import Scene

    Answer = dict[str, Any]
    T = TypeVar("T")
    Steps = Generator["Step", Answer, T]

HERE = "localhost"
# How often, and how many seconds apart, a director is asked whether every server has its weight again.
SETTLE_TRIES, SETTLE_EVERY = 60, 3
HEAR_EVERY = 5
# Viewers have to watch for this many seconds after a fault was made. On a slow machine making it takes long, and then it is watched longer.
WATCH_AFTER, MOST_ATTEMPTS = 5, 3
# What a failed command printed last is told.
LINES_TOLD = 12


@dataclass(frozen=True)
class Run:
    """Run a module on a host. Its answer is what the module returned, with ``failed`` or ``unreachable`` where it did not succeed."""

    # For the operator; nothing where he has read it already.
    says: str
    host: str
    module: str
    args: dict[str, Any]
    # Seconds that it may take in the background; it is then heard of by its ``ansible_job_id``.
    background: int = 0
    # Whether its arguments and its answer may hold a password, so that nobody logs them.
    hidden: bool = False


@dataclass(frozen=True)
class Clock:
    """Read the monotonic clock. The answer is ``{"now": seconds}``."""


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Say:
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Ask:
    """Ask who sits there. The answer is ``{"user_input": what was typed}``."""

    prompt: str


@dataclass(frozen=True)
class Write:
    """Write the table. The answer has ``failed`` where that was not possible."""

    rows: tuple[dict[str, Any], ...]


Step = Union[Run, Clock, Wait, Say, Ask, Write]


def rehearse(of: Scene) -> Steps[list[dict[str, Any]]]:
    """All of it; returns the rows of the table. An LvsError says why it ended early, once everything is repaired that could be."""
    if not of.confirmed:
        names = "".join("  %s\n" % fault.name for fault in of.faults)
        answer = yield Ask("These hosts are not the lab's. This will do to them, while viewers watch:\n%sType yes to go on" % names)
        if answer.get("user_input") != "yes":
            raise LvsError(messages.REHEARSAL_NOT_CONFIRMED())
    course = _Course(of)
    yield from _in_any_case(course.all(), course.power_on_all())
    yield Say(("", *rehearsal.table(course.rows)))
    return course.rows


def _in_any_case(work: Steps[T], repair: Steps[None]) -> Steps[T]:
    """The work, and then the repair, whatever came of the work. Where both fail, both reasons are told."""
    try:
        done = yield from work
    except Exception as first:  # a fault of ours as well: what is broken is repaired before anybody reads of it
        try:
            yield from repair
        except LvsError as second:
            if str(second) not in str(first):
                raise LvsError(Line.several((first, second))) from first
        raise
    yield from repair
    return done


def _failed(answer: Answer) -> bool:
    return bool(answer.get("failed") or answer.get("unreachable"))


def _done(step: Run, what: str) -> Steps[Answer]:
    """A step that has to succeed."""
    answer = yield step
    if _failed(answer):
        printed = str(answer.get("stderr") or "").strip() or str(answer.get("stdout") or "").strip()
        why = [str(answer.get("msg") or "no reason was given"), *printed.splitlines()[-LINES_TOLD:]]
        raise LvsError(messages.REHEARSAL_STEP_FAILED(what=what, host=step.host, why="\n".join(why)))
    return answer


def _shell(says: str, host: str, script: str) -> Run:
    # Variables are the shell's: the module would replace them inside of its quotation marks.
    return Run(says, host, "ansible.builtin.command", {"argv": ["sh", "-c", script], "expand_argument_vars": False})


class _Course:
    """What is known while it runs."""

    def __init__(self, of: Scene) -> None:
        self.scene = of
        self.rows: list[dict[str, Any]] = []
        # The director that holds the VIP of the stream.
        self.active = ""
        # Hosts that were powered off and not on again, and the one of them that stays so until another fault.
        self.off: list[str] = []
        self.down = ""

    def all(self) -> Steps[None]:
        yield from self.settle()
        yield from self.find_active()
        yield from self.play_once()
        yield from self.write()
        for fault in self.scene.faults:
            yield from self.fault(fault)

    def fault(self, fault: Fault) -> Steps[None]:
        """One fault: viewers watch, it is made, it is repaired, and all is well again before the next."""
        seconds, took = fault.seconds, 0
        for attempt in range(MOST_ATTEMPTS):
            host = {faults.SERVER: self.scene.stream["servers"][0], faults.ACTIVE: self.active, faults.DOWN: self.down}[fault.on]
            why_not = self.why_not(fault, host)
            if why_not:
                yield Say(("%s: %s" % (fault.name, why_not),))
                return
            if attempt:
                yield Say(("%s took %d s, so viewers saw too little of it: once more" % (fault.name, took),))
            watched, sampled, took = yield from self.watch_fault(fault, host, seconds)
            infos = yield from self.settle()
            if host in self.scene.directors:  # what happens to a real server moves no VIP
                yield from self.find_active()
            # A director that comes back is watched from its first moment on.
            if fault.on == faults.DOWN or took + WATCH_AFTER <= seconds:
                break
            if fault.stays:
                yield from self.power(host, "on")
                yield from self.settle()
                yield from self.find_active()
            seconds = took + fault.seconds
        else:
            raise LvsError(messages.REHEARSAL_WATCH_TOO_SHORT(fault=fault.name, took=took, watched=seconds, better=took + fault.seconds))
        differences = parity.parity({director: info["text"] for director, info in infos.items()}, self.scene.resolved)
        daemons = {director: info["sync_daemons"] for director, info in infos.items()}
        self.rows.append(rehearsal.row(watched, fault.name, host, sampled["samples"], dict(self.scene.names), differences, daemons))
        # After each, so that what comes later can't take it away.
        yield from self.write()
        yield Say(tuple(rehearsal.table(self.rows[-1:])[:2]))

    def watch_fault(self, fault: Fault, host: str, seconds: int) -> Steps[tuple[Answer, Answer, int]]:
        """(what viewers noticed, who owned the VIPs, after how many seconds of it the fault was made)."""
        watch = self.viewer_watch(seconds)
        sample = Run("", self.scene.sampler, "vip_watch", {"vips": views.director_vips(self.scene.resolved.services), "duration": seconds})
        began = yield Clock()
        jobs = []
        for step in (replace(watch, says="%s: viewers watch for %d s" % (fault.name, seconds)), sample):
            answer = yield from _done(replace(step, background=10 * seconds + 120), "Watching")
            jobs.append((step.host, answer["ansible_job_id"]))
        yield Wait(3)  # all play for a moment before it
        (watched, sampled), made = yield from _in_any_case(self.make(fault, host, jobs, seconds), self.repair(fault, host))
        return watched, sampled, round(made - began.get("now", 0))

    def why_not(self, fault: Fault, host: str) -> str:
        """Why a fault can't be made, in words; nothing where it can."""
        if not host:
            return "left out, because no director was powered off before"
        if fault.left_out:
            return "left out on %s: %s" % (host, fault.left_out)
        missing = ["rehearse_power_%s" % way for way in ("off", "on") if fault.power and way not in self.scene.power[host]]
        return "left out: set %s for %s, commands on this machine" % (" and ".join(missing), host) if missing else ""

    def make(self, fault: Fault, host: str, jobs: list[tuple[str, str]], seconds: int) -> Steps[tuple[list[Answer], float]]:
        """Makes the fault, and returns what those who watched it have noticed, and when it was made."""
        if fault.breaks:
            yield from _done(_shell("%s: break %s" % (fault.name, host), host, fault.breaks), "Breaking it")
        if fault.power:
            yield from self.power(host, fault.power)
        if fault.plays:
            yield from self.play(fault, fault.plays)
        made = yield Clock()
        heard = []
        for watcher, job in jobs:
            heard.append((yield from _hear(watcher, job, 2 * seconds + 60)))
        if fault.stays:
            self.down = host
        return heard, made.get("now", 0)

    def repair(self, fault: Fault, host: str) -> Steps[None]:
        """What was begun is repaired, also where it is not known how far it went."""
        if fault.repairs:
            yield from _done(_shell("%s: repair %s" % (fault.name, host), host, fault.repairs), "Repairing it")
        if fault.plays_back:
            yield from self.play(fault, fault.plays_back)
        if host in self.off and host != self.down:
            yield from self.power(host, "on")

    def power(self, host: str, way: str) -> Steps[None]:
        """Such commands may hold passwords, and what they print may repeat them: nothing of it is told."""
        if way == "off":
            self.off.append(host)
        args = {"argv": self.scene.power[host][way], "chdir": self.scene.folder}
        answer = yield Run("Power %s %s" % (way, host), HERE, "ansible.builtin.command", args, hidden=True)
        if _failed(answer):
            status = answer.get("rc", "unknown")
            raise LvsError(messages.REHEARSAL_POWER_FAILED(name="rehearse_power_%s" % way, host=host, status=status))
        if way == "on":
            self.off = [one for one in self.off if one != host]
            self.down = "" if self.down == host else self.down

    def power_on_all(self) -> Steps[None]:
        """Whoever was left off; each is tried, also where another one failed."""
        wrong = []
        for host in list(self.off):
            try:
                yield from self.power(host, "on")
            except LvsError as error:
                wrong.append(str(error))
        if wrong:
            raise LvsError(Line.several(wrong))

    def play(self, fault: Fault, words: tuple[str, ...]) -> Steps[Answer]:
        """Runs a playbook of ours from here, on the same inventory."""
        argv = [*self.scene.player, "%s/%s" % (self.scene.playbooks, words[0]), *words[1:]]
        args = {"argv": argv, "chdir": self.scene.folder, "expand_argument_vars": False}
        return (yield from _done(Run("%s: run %s" % (fault.name, words[0]), HERE, "ansible.builtin.command", args), words[0]))

    def viewer_watch(self, seconds: int) -> Run:
        stream, download = self.scene.stream, self.scene.download
        args = {name: stream[name] for name in ("url", "connect_to", "validate_certs", "ca_path") if stream[name] is not None}
        if download:
            args["download"] = stream["base"] + download
        return Run("", self.scene.viewer, "viewer_watch", {**args, "duration": seconds})

    def play_once(self) -> Steps[None]:
        """Everything, with nothing broken."""
        step = replace(self.viewer_watch(5), says="Play everything once, with nothing broken")
        watched = yield from _done(step, "Watching")
        unplayable = rehearsal.unplayable(watched)
        if unplayable:
            path = self.scene.download
            also = " and rehearse_download %s" % path if path else ""
            why = "; ".join(unplayable)
            raise LvsError(messages.REHEARSAL_NOT_PLAYABLE(url=self.scene.stream["url"], download=also, why=why))

    def write(self) -> Steps[None]:
        answer = yield Write(tuple(self.rows))
        if _failed(answer):
            raise LvsError(messages.REHEARSAL_TABLE_UNWRITABLE(why=answer.get("msg")))

    def up(self) -> list[str]:
        """The directors that have power."""
        return [director for director in self.scene.directors if director not in self.off]

    def settle(self) -> Steps[dict[str, Answer]]:
        """Until every server has its weight on each director that has power: {director: what ipvs_info returned}."""
        infos = {}
        yield Say(("Wait until every server has its weight on %s" % " and ".join(self.up()),))
        for director in self.up():
            for attempt in range(SETTLE_TRIES):
                if attempt:
                    yield Wait(SETTLE_EVERY)
                info = yield Run("", director, "ipvs_info", {"counters": False})
                if "text" in info:
                    infos[director] = info
                    waiting = drains.waiting(self.scene.resolved.services, {director: info})
                else:
                    waiting = ["%s: %s" % (director, info.get("msg"))]
                if not waiting:
                    break
            else:
                seconds = SETTLE_TRIES * SETTLE_EVERY
                raise LvsError(messages.REHEARSAL_NOT_SETTLED(seconds=seconds, waiting="; ".join(waiting)))
        return infos

    def find_active(self) -> Steps[None]:
        """One director holds the VIPs; which one?"""
        found = {}
        for director in self.up():
            found[director] = yield from _done(Run("", director, "lvs_preflight", {}), "Reading who holds the VIPs")
        wrong = holders.held_wrongly(self.scene.resolved.services, found)
        if wrong:
            raise LvsError(Line.several(wrong))
        (self.active, *_others) = holders.holders(self.scene.stream["vip"], found)


def _hear(host: str, job: str, tries: int) -> Steps[Answer]:
    """What a module in the background returned. A host that does not answer for a moment is asked again."""
    step = Run("", host, "ansible.builtin.async_status", {"jid": job})
    for attempt in range(tries):
        if attempt:
            yield Wait(HEAR_EVERY)
        answer = yield step
        if answer.get("finished"):
            if _failed(answer):
                raise LvsError(messages.REHEARSAL_STEP_FAILED(what="Watching", host=host, why=answer.get("msg")))
            # Ansible keeps the answer in a file on the host.
            yield replace(step, args={"jid": job, "mode": "cleanup"})
            return answer
    why = answer.get("msg") or "it did not end in time"
    raise LvsError(messages.REHEARSAL_STEP_FAILED(what="Watching", host=host, why=why))
