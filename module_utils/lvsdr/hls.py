# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""HLS (RFC 8216) without a socket or a clock: what a playlist says, and what a player does about it.

``parse`` turns the bytes of a playlist into a ``Master`` or a ``Media``. ``Player`` is told what arrived and when, and answers what to do
next and when. All times are seconds of any clock that only goes forward.
"""

import functools
import math
import re
from dataclasses import dataclass
from typing import NamedTuple, Optional
from urllib.parse import parse_qs, urlsplit

from . import http
from .errors import LvsError, NotUnderstood, printable

# A live stream is entered this many segments before its end: nearer to it, each late segment would be a stall (RFC 8216 6.3.3).
START = 3
# Target durations without a new segment after which a live stream counts as dead.
STALE = 3
# Seconds of stream that a player holds; it loads no further ahead, so a recording is not fetched faster than it is watched.
AHEAD = 30.0
# A target duration of 0 is allowed, but nobody may reload without a pause.
SHORTEST = 0.25
# How often a segment is asked for, and the seconds between.
ATTEMPTS = 4
PAUSE = 0.5
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
    byte_range: Optional[tuple] = None


class Segment(NamedTuple):
    """``duration`` in seconds. ``init`` is what must be loaded before it (EXT-X-MAP), ``sequence`` its number in the stream; ``gap``: it is
    not there, and nobody is to ask for it (EXT-X-GAP)."""

    sequence: int
    duration: float
    media: Resource
    init: Optional[Resource] = None
    gap: bool = False


@dataclass(frozen=True)
class Media:
    """A media playlist.

    ``segments``: their numbers begin with ``sequence``. ``ended``: nothing will follow. ``parts``: of the segment after them, those that
    are there already (EXT-X-PART). ``more``: how many segments it has that are not among ``segments``.
    """

    target_duration: int
    sequence: int
    segments: tuple
    ended: bool
    parts: tuple = ()
    more: int = 0

    @property
    def end(self):
        """Number of the segment that will come next."""
        return self.sequence + len(self.segments) + self.more


@dataclass(frozen=True)
class Master:
    """A master playlist: the URIs of its ``variants`` in order. Players begin with the first. ``variables``: what it defines for them."""

    variants: tuple
    variables: Optional[dict] = None


def _lines(text, newest):
    """(lines to read, their number before which so many segments were only counted, how many).

    Who wants the newest segments alone gets the beginning and the end of a long playlist: an hour of parts is a million lines.
    """
    if not newest or len(text) <= 2 * WINDOW:
        return text.split("\n"), 0, 0
    first, last = text.find("\n#EXTINF:", WINDOW) + 1, text.find("\n#EXTINF:", len(text) - WINDOW) + 1
    if not first or first > 2 * WINDOW or last < first:
        raise NotUnderstood("a playlist of %d characters without #EXTINF where it has to be" % len(text))
    middle = text[first:last]
    head, found = text[:first].split("\n")[:-1], middle.rfind("#EXT-X-MAP:")
    # What has to be loaded before the newest segments may be said far in front of them.
    kept = [middle[found:].partition("\n")[0]] if found >= 0 else []
    return head + kept + text[last:].split("\n"), len(head), middle.count("#EXTINF:")


def parse(data, base, newest=None, variables=None):
    """Master or Media from the bytes of a playlist that came from ``base``.

    newest: how many of the last segments are wanted; None for all. variables: those that the master playlist has (EXT-X-DEFINE).
    It reads as players do, who are more tolerant than RFC 8216: lines and numbers that they get over are no error here. Raises LvsError
    for what is no playlist.
    """

    def wrong(text):
        hint = "use the address of an .m3u8 playlist, and check what the server sends there"
        return LvsError(f"{http.shown(base)} is not an HLS playlist: {text}", hint)

    text = data.decode(*(("utf-16", "replace") if data[:2] in UTF_16 else ("utf-8", "surrogateescape")))
    text = text.lstrip("\ufeff\r\n").replace("\r\n", "\n").replace("\r", "\n")
    if text.partition("\n")[0].rstrip() != "#EXTM3U":
        raise wrong(f"it begins with '{printable(text[:40].partition(chr(10))[0].strip(), 40)}' and not with #EXTM3U")

    known, room = {}, MOST_WRITTEN

    def written(found):
        nonlocal room
        value = known.get(found[1], found[0])
        room -= len(value)
        if room < 0:
            raise NotUnderstood("%s writes more than %d MiB by its variables" % (http.shown(base), MOST_WRITTEN >> 20))
        return value

    @functools.lru_cache(None)
    def query():
        return parse_qs(urlsplit(base).query)

    def attributes(text):
        return {name: value.strip().strip('"') for name, value in _ATTRIBUTE.findall(text)}

    def define(text):
        found = attributes(text)
        if "NAME" in found:
            known[found["NAME"]] = found.get("VALUE", "")
        elif "IMPORT" in found:
            known[found["IMPORT"]] = (variables or {}).get(found["IMPORT"], "")
        elif "QUERYPARAM" in found:
            known[found["QUERYPARAM"]] = query().get(found["QUERYPARAM"], [""])[0]

    def part(text, previous):
        """First and last byte; None where that can't be told, so that the file is asked for."""
        found = _RANGE.match(text)
        if not found or not int(found[1]) or (found[2] is None and previous is None):
            return None
        first = int(found[2]) if found[2] else previous
        return first, first + int(found[1]) - 1

    target, sequence, ended, skipped = None, 0, False, 0
    # Of a segment: (number from the beginning, duration, address, range, init, gap). Addresses are resolved where they are wanted.
    segments, variants, parts = [], [], []
    duration, byte_range, init, gap, variant_next = None, None, None, False, False
    former, following, longest = None, None, 0.0  # address of the segment before, and the byte behind it
    lines, jump_at, jumped = _lines(text, newest)
    count = 0
    for at, line in enumerate(lines):
        if jumped and at == jump_at:
            count, former, following = count + jumped, UNREAD, None
            duration, byte_range, gap = None, None, False
        tag_here, line = line.startswith("#"), line.strip()
        # Players know a tag at the beginning of its line alone.
        if not line or (line[0] == "#" and not tag_here):
            continue
        if "{$" in line and known:
            line = _VARIABLE.sub(written, line)
        if line[0] != "#":
            if variant_next:
                variants.append(line)
            elif duration is not None or target is not None:
                duration = float(target) if duration is None else duration
                # A range without an offset goes on where the one before ended, in the same file.
                found = part(byte_range, following if line == former or former is UNREAD else 0) if byte_range else None
                segments.append((count, duration, line, found, init, gap))
                former, following = line, found[1] + 1 if found else None
                count += 1
                longest = max(longest, duration)
                parts = []
            duration, byte_range, gap, variant_next = None, None, False, False
            continue
        if not line.startswith("#EXT"):
            continue
        tag, _, value = line.partition(":")
        if tag == "#EXTINF":
            found = _NUMBER.match(value)
            duration = float(found[1]) if found else 0.0
        elif tag == "#EXT-X-TARGETDURATION":
            found = _NUMBER.match(value)
            target = math.ceil(float(found[1])) if found else target
        elif tag == "#EXT-X-MEDIA-SEQUENCE":
            found = _NUMBER.match(value)
            sequence = int(float(found[1])) if found and "." in found[1] else int(found[1]) if found else sequence
        elif tag == "#EXT-X-BYTERANGE":
            byte_range = value
        elif tag == "#EXT-X-GAP":
            gap = True
        elif tag == "#EXT-X-PART":
            found = attributes(value)
            if found.get("URI"):
                parts.append((found["URI"], part(found["BYTERANGE"], None) if "BYTERANGE" in found else None, found.get("GAP") == "YES"))
        elif tag == "#EXT-X-SKIP":
            found = _NUMBER.match(attributes(value).get("SKIPPED-SEGMENTS", ""))
            skipped = int(float(found[1])) if found else 0
            count += skipped
        elif tag == "#EXT-X-MAP":
            found = attributes(value)
            init = (found["URI"], part(found["BYTERANGE"], 0) if "BYTERANGE" in found else None) if found.get("URI") else None
        elif tag == "#EXT-X-STREAM-INF":
            variant_next = True
        elif tag == "#EXT-X-DEFINE":
            define(value)
        elif tag == "#EXT-X-ENDLIST":
            ended = True

    if variants:
        return Master(tuple(http.resolve(base, uri) for uri in variants), known or None)
    if target is None and not segments:
        raise wrong("it has neither #EXT-X-TARGETDURATION nor variants")
    inits = {}

    def resource(one):
        if one and one not in inits:
            inits[one] = Resource(http.resolve(base, one[0]), one[1])
        return inits[one] if one else None

    wanted = tuple(
        Segment(sequence + number, seconds, Resource(http.resolve(base, uri), found), resource(before), gap)
        for number, seconds, uri, found, before, gap in (segments[-newest:] if newest else segments)
    )
    partial = tuple(Resource(http.resolve(base, uri), found) for uri, found, gap in parts[-2:] if not gap)
    return Media(math.ceil(longest) if target is None else target, sequence, wanted, ended, partial, count - len(wanted))


class Step(NamedTuple):
    """What a player does next: ``load`` the playlist, ``fetch`` the segment, not before ``at``; or ``stop``."""

    action: str
    at: float
    segment: Optional[Segment] = None


class Player:
    """A viewer's player that loads until it has ``duration`` seconds of stream, or ``max_segments``.

    It needs no longer than it takes to have them: whatever comes later cannot stall what is in the buffer already.

    ``stalls`` and ``stalled_seconds``: the buffer ran empty before the next segment was there. ``jumps``: playing went on elsewhere,
    because segments could not be had, or left the playlist first, or the numbers began anew. ``older``: playlists older than the one
    before, as a viewer gets who is sent to another server each time. ``errors``: what the jumps were.
    """

    def __init__(self, now, duration=10.0, max_segments=None):
        self.duration = duration
        self.max_segments = max_segments
        self.media = None
        self.segments = self.bytes = self.reloads = self.stalls = self.jumps = self.older = 0
        self.buffered = self.stalled_seconds = 0.0
        self.startup_seconds = None
        self.errors = []
        self._began = now
        self._next = None  # number of the segment to fetch
        self._attempts = 0
        self._retry_at = self._reload_at = now
        self._changed_at = now
        self._empty_at = None  # when the buffer runs empty, if nothing more comes

    def step(self, now):
        """The next Step. Raises nothing."""
        if self.buffered >= self.duration or (self.max_segments and self.segments >= self.max_segments):
            return Step("stop", now)
        reload = Step("load", max(now, self._reload_at))
        if self.media is None:
            return reload
        index = self._next - self.media.sequence
        while index < len(self.media.segments) and self.media.segments[index].gap:
            # Nobody asks for it (RFC 8216bis, 6.3.3). Before the first segment it is no interruption, a player begins behind it.
            if self._empty_at is not None:
                self._jump(f"segment {self._next} is a gap")
            self._next, index = self._next + 1, index + 1
        if index >= len(self.media.segments):
            return Step("stop", now) if self.media.ended else reload
        room_at = now if self._empty_at is None else self._empty_at - AHEAD
        fetch = Step("fetch", max(now, self._retry_at, room_at), self.media.segments[index])
        # A playlist that is due comes first: on a slow path the window moves on while old segments are being fetched.
        return fetch if self.media.ended or fetch.at < self._reload_at else reload

    def loaded(self, media, began, now):
        """A playlist came whose request was sent at ``began``. Raises LvsError when the stream has gone stale."""
        old = self.media
        wait = max(media.target_duration, SHORTEST)
        changed = old is None or (media.sequence, media.end, media.ended) != (old.sequence, old.end, old.ended)
        if old is not None:
            self.reloads += 1
            if old.sequence < media.end < old.end and media.sequence <= old.sequence:
                # Servers behind a balancer hold copies of different age: nothing is wrong, and there is nothing new in it.
                self.older += 1
                media, changed = old, False
        restarted = old is not None and media.end < old.end and media.end <= old.sequence
        if restarted:
            self._jump(f"the segments' numbers went back from {old.sequence} to {media.sequence}: the packager began anew")
        if old is None or restarted:
            self._next = media.sequence if media.ended else max(media.sequence, media.end - START)
        elif media.sequence > self._next:
            self._jump(f"segments {self._next} to {media.sequence - 1} left the playlist before they could be loaded")
            self._next = media.sequence
        self.media = media
        # RFC 8216 6.3.4, counted from when the last request was sent; but slow playlists must leave time for segments.
        self._reload_at = max(began + (wait if changed else wait / 2), now + SHORTEST)
        if changed:
            self._changed_at = began
        elif not media.ended and now - self._changed_at > STALE * wait:
            raise LvsError(
                f"the stream is stale: its playlist has not changed for {now - self._changed_at:.1f} s,"
                f" with a target duration of {media.target_duration} s",
                "look at the packager on the origin and at what feeds it",
            )

    def not_loaded(self, now):
        """A playlist did not come."""
        self._reload_at = now + max(self.media.target_duration if self.media else 0, SHORTEST) / 2

    def received(self, segment, size, now):
        """A segment of ``size`` bytes is there."""
        if self._empty_at is None:
            self.startup_seconds = now - self._began
            self._empty_at = now
        elif now > self._empty_at:
            self._stall(now)
        self._empty_at += segment.duration
        self.buffered += segment.duration
        self.segments += 1
        self.bytes += size
        self._go_on(segment)

    def failed(self, segment, now, gone=False):
        """A segment did not come. It is tried again a few times, unless the server says that it is ``gone``."""
        self._attempts += 1
        self._retry_at = now + PAUSE
        if gone or self._attempts >= ATTEMPTS:
            self._jump(f"segment {segment.sequence} is listed but cannot be had")
            self._go_on(segment)

    def close(self, now):
        """Playing was broken off: a viewer would be looking at a stall that is still going on."""
        if self._empty_at is not None and now > self._empty_at and self.step(now).action != "stop":
            self._stall(now)

    def _go_on(self, segment):
        self._next = segment.sequence + 1
        self._attempts = 0

    def _stall(self, now):
        self.stalls += 1
        self.stalled_seconds += now - self._empty_at
        self._empty_at = now

    def _jump(self, text):
        self.jumps += 1
        self.errors.append(text)
