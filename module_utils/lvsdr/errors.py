# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one exception of lvsdr, the list in which a check collects all that is wrong, and how a message shows a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST, LONGEST_LINE = 120, 600


def printable(words: str, longest: int | None = None) -> str:
    """Words that can stand in a message: what is not printable as Python escapes it, and no more than so many characters."""
    out = "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode() for character in words
    )
    return out if longest is None or len(out) <= longest else out[: longest - 1] + "…"


def named(name: object) -> str:
    """How a message calls something by a name that came from outside: in one line, and never long."""
    return printable(str(name), LONGEST)


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names with commas between, the first of many."""
    names = list(names)
    return ", ".join(names[:most]) + (" and %d more" % (len(names) - most) if len(names) > most else "")


def shown(value: Any) -> str:
    """How a message shows a declared value: as Python writes it, and never long."""
    if hasattr(value, "isoformat"):
        return "%s, which YAML reads as a date (write it in quotes)," % value.isoformat()
    try:
        return printable(repr(value), LONGEST)
    except (RecursionError, ValueError):  # a number of more digits than Python writes (sys.set_int_max_str_digits)
        return "a value that is too long to show"


class LvsError(Exception):
    """Something an operator can act on: what is wrong, and in ``hint`` what to do next.

    ``details`` is merged into a module's failure result (what was applied, what was not).
    """

    def __init__(self, message: str, hint: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        words = "%s: %s" % (self.message, self.hint) if self.hint else self.message
        # It may quote what a program printed: a terminal would obey that.
        return "".join(character if character in "\n\t" else printable(character) for character in words)


class NotUnderstood(LvsError):
    """What a server sent has a form that lvsdr does not know, and that a player may."""


class Problems:
    """All that is wrong with an input, each with the path to the item: ``services[3].destinations[0].port``."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, path: str, text: str) -> None:
        line = printable("%s: %s" % (path, text), LONGEST_LINE)
        if line not in self.found:
            self.found.append(line)

    def raise_if_any(self, what: str) -> None:
        if self.found:
            raise LvsError(
                "%s: %d error%s, and nothing was changed\n%s"
                % (what, len(self.found), "s"[: len(self.found) > 1], "\n".join("  - " + line for line in self.found)),
                problems=self.found,
            )
