# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Searches for a regular expression in a process of its own, which is ended when it takes too long: Python's own search can't be.

The process is this file. It reads frames (lengths of the expression and of the text, then both) and answers each with one byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import struct
import sys

# For one search, the start of the process not counted.
SECONDS = 0.5
ALONE = 5
# How many of the slow ones may wait for the one that is under way.
WAITING = 2
FRAME = struct.Struct("!II")


class Slow(Exception):
    """A search that came to nothing, by no fault of the text: there is no process yet, or others are slow."""


class Late(Slow):
    """A search that did not end in time."""


class Matcher:
    """Searches for all checks, each in one of two processes: expressions that took too long once wait for each other and for no more."""

    def __init__(self) -> None:
        self._quick, self._slow = Lane(), Lane(WAITING)
        self._known: set[str] = set()

    async def search(self, pattern: str, text: bytes) -> bool:
        """Whether the expression is found in the bytes; Slow where that takes too long."""
        try:
            return await (self._slow if pattern in self._known else self._quick).search(pattern, text)
        except Late:
            self._known.add(pattern)
            raise

    async def close(self) -> None:
        """Ends the processes."""
        await self._quick.close()
        await self._slow.close()


class Lane:
    """One process and one search at a time. It is started when it is first needed, and no check waits for that.

    most: how many searches may wait for their turn; None for all.
    """

    def __init__(self, most: int | None = None) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._all: set[asyncio.subprocess.Process] = set()  # what has been started and may not have ended
        self._starting: asyncio.Task[None] | None = None
        self._lock: asyncio.Lock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._most, self._waiting = most, 0

    async def search(self, pattern: str, text: bytes) -> bool:
        if self._most is not None and self._waiting > self._most:
            raise Slow("the search for %s waits for others that are slow" % pattern)
        self._waiting += 1
        try:
            return await self._in_turn(pattern, text)
        finally:
            self._waiting -= 1

    async def _in_turn(self, pattern: str, text: bytes) -> bool:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._lock, self._process, self._all, self._starting = loop, asyncio.Lock(), None, set(), None
        if self._process is None:
            if self._starting is None:
                self._starting = loop.create_task(self._start())
            await asyncio.wait([self._starting], timeout=SECONDS)
        assert self._lock is not None  # it came with the loop
        async with self._lock:
            process = self._process
            if process is None:
                raise Slow("the program that searches for %s is being started" % pattern)
            try:
                return await asyncio.wait_for(ask(process, pattern, text), SECONDS)
            except BaseException as error:
                # Also when the check's own time is over: what it answers then belongs to nobody.
                self._process = None
                await self._end(process)
                if isinstance(error, asyncio.TimeoutError):
                    raise Late("the search for %s took more than %g s" % (pattern, SECONDS))
                if isinstance(error, (asyncio.IncompleteReadError, OSError)):
                    raise Slow("the program that searches for %s has ended" % pattern)
                raise

    async def _start(self) -> None:
        command = [sys.executable, "-I", __file__]
        process: asyncio.subprocess.Process | None = None
        try:
            process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
            self._all.add(process)
            await ask(process, ".", b"x")  # until it has begun
            self._process, process = process, None
        except (OSError, asyncio.IncompleteReadError):
            pass  # the next search tries again
        finally:
            self._starting = None
            if process:
                await self._end(process)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        self._all.discard(process)

    async def close(self) -> None:
        """Ends all processes, also those whose end somebody waited for who has been cancelled."""
        if self._starting:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        self._process = None
        for process in list(self._all):
            await self._end(process)


async def ask(process: asyncio.subprocess.Process, pattern: str, text: bytes) -> bool:
    assert process.stdin is not None and process.stdout is not None  # it was started with both
    expression = pattern.encode()
    process.stdin.write(FRAME.pack(len(expression), len(text)) + expression + text)
    return await process.stdout.readexactly(1) == b"1"


def main() -> None:
    question, answer = sys.stdin.buffer, sys.stdout.buffer
    while True:
        head = question.read(FRAME.size)
        if len(head) < FRAME.size:
            return
        pattern, text = FRAME.unpack(head)
        # Whoever asked ends this process when it takes too long. Where that one has ended itself, nobody would.
        signal.alarm(ALONE)
        found = re.search(question.read(pattern), question.read(text))
        answer.write(b"1" if found else b"0")
        answer.flush()
        signal.alarm(0)


if __name__ == "__main__":
    main()
