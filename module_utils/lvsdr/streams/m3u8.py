# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is in a playlist of HLS (RFC 8216, and its second edition). Pure.

``parse`` turns the bytes of a playlist into a ``Master`` or a ``Media``. It reads as players do, which are more tolerant than RFC 8216:
lines and numbers that they ignore are not errors here.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Optional
from urllib.parse import parse_qs, urlsplit

from ansible.module_utils.lvsdr.errors import LvsError, NotUnderstood, printable
from ansible.module_utils.lvsdr.streams import http, messages

if TYPE_CHECKING:
    # The first and the last byte of a part; and a part of a file by its address, as the playlist writes it.
    Range = tuple[int, int]
    Written = tuple[str, Optional[Range]]

# Of a longer playlist whose newest segments alone are wanted, so many characters are read at its beginning and at its end.
WINDOW = 24 << 10
# Characters that a playlist may write by its variables. One can hold others, so few lines can ask for any amount.
MOST_WRITTEN = 4 << 20

UNREAD = object()
UTF_16 = (b"\xff\xfe", b"\xfe\xff")

_NUMBER = re.compile(r"\s*(\d{1,19}(?:\.\d*)?|\.\d+)")
_RANGE = re.compile(r"\s*(\d{1,19})(?:@(\d{1,19}))?\s*\Z")
# A name is looked for where it begins alone: else a long word takes the square of its length.
_ATTRIBUTE = re.compile(r'(?<![A-Z0-9-])([A-Z0-9-]+)\s*=\s*("[^"]*"|[^,]*)')
_VARIABLE = re.compile(r"\{\$([A-Za-z0-9_-]+)\}")


class Resource(NamedTuple):
    """A file, or the part of it from the first to the last byte of ``byte_range``, both included."""

    uri: str
    byte_range: Range | None = None


class Segment(NamedTuple):
    """``duration`` in seconds. ``init`` is what must be loaded before it (EXT-X-MAP), ``sequence`` its number in the stream; ``gap``: it is
    not there, and must not be asked for (EXT-X-GAP)."""

    sequence: int
    duration: float
    media: Resource
    init: Resource | None = None
    gap: bool = False


@dataclass(frozen=True)
class Media:
    """A media playlist.

    ``segments``: their numbers begin with ``sequence``. ``ended``: nothing will follow. ``parts``: of the segment after them, those that
    are there already (EXT-X-PART). ``more``: how many segments it has that are not among ``segments``.
    """

    target_duration: int
    sequence: int
    segments: tuple[Segment, ...]
    ended: bool
    parts: tuple[Resource, ...] = ()
    more: int = 0

    @property
    def end(self) -> int:
        """Number of the segment that will come next."""
        return self.sequence + len(self.segments) + self.more


@dataclass(frozen=True)
class Master:
    """A master playlist: the URIs of its ``variants`` in order. Players begin with the first. ``variables``: what it defines for them."""

    variants: tuple[str, ...]
    variables: dict[str, str] | None = None


def _lines(text: str, newest: int | None) -> tuple[list[str], int, int]:
    """(lines to read, their number before which so many segments were only counted, how many).

    A caller that wants the newest segments alone gets the beginning and the end of a long playlist: an hour of parts is a million lines.
    """
    if not newest or len(text) <= 2 * WINDOW:
        return text.split("\n"), 0, 0
    first, last = text.find("\n#EXTINF:", WINDOW) + 1, text.find("\n#EXTINF:", len(text) - WINDOW) + 1
    if not first or first > 2 * WINDOW or last < first:
        raise NotUnderstood(messages.PLAYLIST_WITHOUT_EXTINF(length=len(text)))
    middle = text[first:last]
    head, found = text[:first].split("\n")[:-1], middle.rfind("#EXT-X-MAP:")
    # What has to be loaded before the newest segments may be listed far in front of them.
    kept = [middle[found:].partition("\n")[0]] if found >= 0 else []
    return head + kept + text[last:].split("\n"), len(head), middle.count("#EXTINF:")


def parse(data: bytes, base: str, newest: int | None = None, variables: dict[str, str] | None = None) -> Master | Media:
    """Master or Media from the bytes of a playlist that came from ``base``.

    newest: how many of the last segments are wanted; None for all. variables: those that the master playlist has (EXT-X-DEFINE).
    Raises LvsError for what is not a playlist.
    """
    text = data.decode(*(("utf-16", "replace") if data[:2] in UTF_16 else ("utf-8", "surrogateescape")))
    text = text.lstrip("\ufeff\r\n").replace("\r\n", "\n").replace("\r", "\n")
    if text.partition("\n")[0].rstrip() != "#EXTM3U":
        first = printable(text[:40].partition("\n")[0].strip(), 40)
        raise _no_playlist(base, "it begins with '%s' and not with #EXTM3U" % first)
    reading = _Reading(base, variables or {})
    lines, jump_at, jumped = _lines(text, newest)
    for at, line in enumerate(lines):
        if jumped and at == jump_at:
            reading.jump(jumped)
        reading.line(line)
    if reading.variants:
        return Master(tuple(http.resolve(base, uri) for uri in reading.variants), reading.known or None)
    if reading.target is None and not reading.segments:
        raise _no_playlist(base, "it has neither #EXT-X-TARGETDURATION nor variants")
    return reading.media(newest)


def _no_playlist(base: str, text: str) -> LvsError:
    return LvsError(messages.PLAYLIST_INVALID(url=http.shown(base), why=text))


def _attributes(text: str) -> dict[str, str]:
    return {name: value.strip().strip('"') for name, value in _ATTRIBUTE.findall(text)}


def _part(text: str, previous: int | None) -> Range | None:
    """First and last byte; None where that is not known, so that the whole file is asked for."""
    found = _RANGE.match(text)
    if not found or not int(found[1]) or (found[2] is None and previous is None):
        return None
    first = int(found[2]) if found[2] else previous
    assert first is not None  # one of the two is there
    return first, first + int(found[1]) - 1


class _Reading:
    """What has been read of a playlist up to a line."""

    def __init__(self, base: str, variables: dict[str, str]) -> None:
        self.base, self.variables, self.room = base, variables, MOST_WRITTEN
        self.known: dict[str, str] = {}
        self.target: int | None = None
        self.sequence, self.ended = 0, False
        # Of a segment: (number from the beginning, duration, address, range, init, gap). Addresses are resolved where they are wanted.
        self.segments: list[tuple[int, float, str, Range | None, Written | None, bool]] = []
        self.variants: list[str] = []
        self.parts: list[tuple[str, Range | None, bool]] = []
        self.count, self.longest = 0, 0.0
        # What has been read of the segment, or the variant, whose address comes next.
        self.duration: float | None = None
        self.byte_range: str | None = None
        self.init: Written | None = None
        self.gap, self.variant_next = False, False
        self.former: object = None  # address of the segment before, or UNREAD
        self.following: int | None = None  # the byte behind it

    def jump(self, number: int) -> None:
        """So many segments were only counted."""
        self.count, self.former, self.following = self.count + number, UNREAD, None
        self.duration, self.byte_range, self.gap = None, None, False

    def line(self, text: str) -> None:
        # Players know a tag at the beginning of its line alone.
        is_tag, text = text.startswith("#"), text.strip()
        if not text or (text[0] == "#" and not is_tag):
            return
        if "{$" in text and self.known:
            text = _VARIABLE.sub(self._written, text)
        if text[0] != "#":
            self._address(text)
        elif text.startswith("#EXT"):
            tag, _colon, value = text.partition(":")
            read = _TAGS.get(tag)
            if read:
                read(self, value)

    def media(self, newest: int | None) -> Media:
        inits: dict[Written, Resource] = {}

        def resource(one: Written | None) -> Resource | None:
            if one and one not in inits:
                inits[one] = Resource(http.resolve(self.base, one[0]), one[1])
            return inits[one] if one else None

        wanted = tuple(
            Segment(self.sequence + number, seconds, Resource(http.resolve(self.base, uri), found), resource(before), gap)
            for number, seconds, uri, found, before, gap in (self.segments[-newest:] if newest else self.segments)
        )
        partial = tuple(Resource(http.resolve(self.base, uri), found) for uri, found, gap in self.parts[-2:] if not gap)
        target = math.ceil(self.longest) if self.target is None else self.target
        return Media(target, self.sequence, wanted, self.ended, partial, self.count - len(wanted))

    def _written(self, found: re.Match[str]) -> str:
        value = self.known.get(found[1], found[0])
        self.room -= len(value)
        if self.room < 0:
            raise NotUnderstood(messages.PLAYLIST_VARIABLES_TOO_LONG(url=http.shown(self.base), most=MOST_WRITTEN >> 20))
        return value

    def _address(self, uri: str) -> None:
        if self.variant_next:
            self.variants.append(uri)
        elif self.duration is not None or self.target is not None:
            duration = float(self.target or 0) if self.duration is None else self.duration
            # A range without an offset goes on where the one before ended, in the same file.
            found, previous = None, self.following if uri == self.former or self.former is UNREAD else 0
            if self.byte_range:
                found = _part(self.byte_range, previous)
            self.segments.append((self.count, duration, uri, found, self.init, self.gap))
            self.former, self.following = uri, found[1] + 1 if found else None
            self.count += 1
            self.longest = max(self.longest, duration)
            self.parts = []
        self.duration, self.byte_range, self.gap, self.variant_next = None, None, False, False

    def _extinf(self, value: str) -> None:
        found = _NUMBER.match(value)
        self.duration = float(found[1]) if found else 0.0

    def _target_duration(self, value: str) -> None:
        found = _NUMBER.match(value)
        self.target = math.ceil(float(found[1])) if found else self.target

    def _media_sequence(self, value: str) -> None:
        found = _NUMBER.match(value)
        self.sequence = int(float(found[1])) if found and "." in found[1] else int(found[1]) if found else self.sequence

    def _byte_range(self, value: str) -> None:
        self.byte_range = value

    def _gap(self, _value: str) -> None:
        self.gap = True

    def _ends(self, _value: str) -> None:
        self.ended = True

    def _stream_inf(self, _value: str) -> None:
        self.variant_next = True

    def _next_part(self, value: str) -> None:
        found = _attributes(value)
        if found.get("URI"):
            byte_range = _part(found["BYTERANGE"], None) if "BYTERANGE" in found else None
            self.parts.append((found["URI"], byte_range, found.get("GAP") == "YES"))

    def _skip(self, value: str) -> None:
        found = _NUMBER.match(_attributes(value).get("SKIPPED-SEGMENTS", ""))
        self.count += int(float(found[1])) if found else 0

    def _map(self, value: str) -> None:
        found = _attributes(value)
        byte_range = _part(found["BYTERANGE"], 0) if "BYTERANGE" in found else None
        self.init = (found["URI"], byte_range) if found.get("URI") else None

    def _define(self, value: str) -> None:
        found = _attributes(value)
        if "NAME" in found:
            self.known[found["NAME"]] = found.get("VALUE", "")
        elif "IMPORT" in found:
            self.known[found["IMPORT"]] = self.variables.get(found["IMPORT"], "")
        elif "QUERYPARAM" in found:
            self.known[found["QUERYPARAM"]] = self._query.get(found["QUERYPARAM"], [""])[0]

    @functools.cached_property
    def _query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.base).query)


_TAGS = {
    "#EXTINF": _Reading._extinf, "#EXT-X-TARGETDURATION": _Reading._target_duration, "#EXT-X-MEDIA-SEQUENCE": _Reading._media_sequence,
    "#EXT-X-BYTERANGE": _Reading._byte_range, "#EXT-X-GAP": _Reading._gap, "#EXT-X-PART": _Reading._next_part,
    "#EXT-X-SKIP": _Reading._skip, "#EXT-X-MAP": _Reading._map, "#EXT-X-STREAM-INF": _Reading._stream_inf,
    "#EXT-X-DEFINE": _Reading._define, "#EXT-X-ENDLIST": _Reading._ends,
}  # fmt: skip
