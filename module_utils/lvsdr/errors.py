# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one exception of lvsdr, the list in which a check collects all that is wrong, and how a message shows a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST, LONGEST_LINE = 120, 600


def printable(words: str, longest: int | None = None, keep: str = "") -> str:
    """Words for a message: what is not printable is escaped as Python does it, and no more than so many characters are left.

    keep: characters that are left as they are, though they are not printable.
    """
    out = "".join(
        character if character.isprintable() or character in keep else character.encode("unicode_escape", "surrogatepass").decode()
        for character in words
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
        return "%s (a date in YAML; write it in quotes)" % value.isoformat()
    try:
        return printable(repr(value), LONGEST)
    except (RecursionError, ValueError):  # a number of more digits than Python writes (sys.set_int_max_str_digits)
        return "a value that is too long to show"


class Line:
    """A message with its values filled in. As text it ends with its id, which docs/messages explains.

    It is not a tuple, because ``%`` would take the parts of one.
    """

    __slots__ = ("id", "text")

    def __init__(self, id: str, text: str) -> None:
        self.id, self.text = id, text

    @classmethod
    def read(cls, text: str) -> Line:
        """The line of its own text, such as one that a module returned."""
        words, sign, rest = text.rpartition(" [")
        return cls(rest[:-1], words) if sign and rest.endswith("]") else cls("", text)

    @classmethod
    def several(cls, lines: Iterable[object]) -> Line:
        """Lines that are told together, each with its own id."""
        return cls("", "\n".join(map(str, lines)))

    def __repr__(self) -> str:
        return "Line(%r, %r)" % (self.id, self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Line) and (self.id, self.text) == (other.id, other.text)

    def __hash__(self) -> int:
        return hash((self.id, self.text))

    def __str__(self) -> str:
        return "%s [%s]" % (self.text, self.id) if self.id else self.text


class Message(NamedTuple):
    """A sentence for an operator: what is wrong, and what to do next. ``text`` is a percent format with names.

    They are declared in the ``messages.py`` of their wing, as ``OUT_OF_RANGE = Message("out-of-range", …)``, and called with their values.
    """

    id: str
    text: str

    def __call__(self, **values: object) -> Line:
        return Line(self.id, self.text % values)


class LvsError(Exception):
    """Something an operator can act on.

    ``details`` is merged into a module's failure result (what was applied, what was not).
    """

    def __init__(self, line: Line, **details: Any) -> None:
        super().__init__(line)
        self.line, self.details = line, details

    @property
    def message(self) -> str:
        """Without the id, for a sentence that quotes this one."""
        return self.line.text

    def __str__(self) -> str:
        # It may quote what a program printed: a terminal would obey that.
        return printable(str(self.line), keep="\n\t")


class NotUnderstood(LvsError):
    """What a server sent has a form that lvsdr does not know, and that a player may."""


class Problems:
    """All that is wrong with an input, each with the path to the item: ``services[3].destinations[0].port``."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, path: str, said: Line) -> None:
        line = "%s: %s" % (printable(path, LONGEST_LINE), Line(said.id, printable(said.text, LONGEST_LINE)))
        if line not in self.found:
            self.found.append(line)

    def raise_if_any(self, what: str) -> None:
        if self.found:
            count = "%d error%s" % (len(self.found), "s"[: len(self.found) > 1])
            lines = "\n".join("  - " + line for line in self.found)
            # Each of its lines has an id.
            raise LvsError(Line("", "%s: %s, and nothing was changed\n%s" % (what, count, lines)), problems=self.found)
