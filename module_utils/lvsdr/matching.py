# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Searches for a regular expression in a process of its own, which is ended when it takes too long: Python's own search can't be.

The process is this file. It reads frames (lengths of the expression and of the text, then both) and answers each with one byte.
"""

import asyncio
import contextlib
import re
import struct
import sys

# For one search, the start of the process not counted.
SECONDS = 0.5
FRAME = struct.Struct("!II")


class Slow(Exception):
    """A search that did not end in time."""


class Matcher:
    """One process for all checks, started when it is needed."""

    def __init__(self):
        self._process, self._lock, self._loop = None, None, None

    async def search(self, pattern, text):
        """Whether the expression is found in the bytes; Slow where that takes too long."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._lock, self._process = loop, asyncio.Lock(), None
        async with self._lock:
            try:
                if self._process is None or self._process.returncode is not None:
                    self._process = await asyncio.create_subprocess_exec(
                        sys.executable, "-I", __file__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
                    )
                    await self._ask(".", b"x", 30)  # until it has begun
                return await self._ask(pattern, text, SECONDS) == b"1"
            except asyncio.TimeoutError:
                raise Slow("the search for %s took more than %g s" % (pattern, SECONDS))
            except BaseException:
                await self.close()
                raise

    async def _ask(self, pattern, text, seconds):
        pattern = pattern.encode()
        self._process.stdin.write(FRAME.pack(len(pattern), len(text)) + pattern + text)
        try:
            return await asyncio.wait_for(self._process.stdout.readexactly(1), seconds)
        except asyncio.TimeoutError:
            await self.close()
            raise

    async def close(self):
        process, self._process = self._process, None
        if process and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def main():
    question, answer = sys.stdin.buffer, sys.stdout.buffer
    while True:
        head = question.read(FRAME.size)
        if len(head) < FRAME.size:
            return
        pattern, text = FRAME.unpack(head)
        found = re.search(question.read(pattern), question.read(text))
        answer.write(b"1" if found else b"0")
        answer.flush()


if __name__ == "__main__":
    main()
