# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The segments that a manifest of MPEG-DASH lists: of one representation, which is enough to see whether the packager works. Pure.

Source: ISO/IEC 23009-1, 5.3.1 (MPD), 5.3.2 (Period), 5.3.9.3 (segment lists), 5.3.9.4 (templates) and 5.3.9.6 (timelines).
"""

from __future__ import annotations

import copy
import datetime
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree
from xml.parsers import expat

from ansible.module_utils.lvsdr.errors import LvsError, NotUnderstood
from ansible.module_utils.lvsdr.streams import http, messages
from ansible.module_utils.lvsdr.streams.m3u8 import Media, Resource, Segment

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    Element = ElementTree.Element
    # (time, duration, count) of segments of equal length, one after the other, in the units of the timeline.
    Run = tuple[float, float, int]

DURATION = re.compile(
    r"\s*(-)?P(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,9})D)?"
    r"(?:T(?:(\d{1,9})H)?(?:(\d{1,12})M)?(?:(\d{1,15}(?:\.\d*)?|\.\d+)S)?)?\s*\Z"
)
# Segments of a manifest that are named where all are wanted; tags of one that is read; addresses to choose from at one place.
MOST = 20000
MOST_TAGS = 48000
MOST_BASES = 8
# Periods, from the newest on, and sets in one, in which segments are looked for.
MOST_PERIODS, MOST_SETS = 8, 32
# The beginning of a manifest in which a document type is looked for first.
PROLOG = 1 << 10
INHERITED = ("media", "initialization", "duration", "timescale", "startNumber", "presentationTimeOffset")
UNITS = (365 * 86400, 30 * 86400, 86400, 3600, 60, 1)


class Part(NamedTuple):
    """A segment: where it begins on the manifest's timeline and how long it is, in seconds."""

    start: float
    duration: float
    media: Resource
    init: Resource | None = None


class Manifest(NamedTuple):
    """What it lists of one representation.

    live: whether there is more to come; end: seconds on the manifest's timeline until which there are segments, or None where the clock
    decides (a template without a timeline); duration: of the newest segment; segments: the newest ones, as Part; update: seconds after
    which players load the manifest again, at the least."""

    live: bool
    end: float | None
    duration: float
    segments: tuple[Part, ...]
    update: float = 0.0
    odd: bool = False


def seconds(text: str | None) -> float:
    """Seconds of an xs:duration such as ``PT2.5S``; a year has 365 days, a month 30. ValueError where it is not one."""
    found = DURATION.match(text or "")
    if not found or not any(found.groups()[1:]):
        raise ValueError("%.40r is not a duration" % (text,))
    return (-1 if found[1] else 1) * sum(float(part or 0) * unit for part, unit in zip(found.groups()[1:], UNITS))


class _HasDoctype(Exception):
    pass


def _refuse_types(data: bytes) -> None:
    """_HasDoctype for a document type, in whatever encoding: its entities can be any amount of text."""
    # In all encodings that expat takes, these letters are those of ASCII, or of UTF-16. Whether they mean it is for expat to decide.
    if b"<!DOCTYPE" not in data.replace(b"\0", b""):
        return

    class Over(Exception):
        pass

    def stop(*_args: object) -> NoReturn:
        raise Over

    def refuse(*_args: object) -> NoReturn:
        raise _HasDoctype

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler, parser.StartElementHandler = refuse, stop
    # By and by: expat goes on to the end of what it has, whatever a handler raises.
    at, size = 0, PROLOG
    try:
        while at < len(data):
            parser.Parse(data[at : at + size], False)
            at, size = at + size, 2 * size
        parser.Parse(b"", True)
    except Over:
        pass


def _root(data: bytes) -> Element:
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        if error.code != expat.errors.codes[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]:
            raise
        # What a server writes behind a whole manifest, an error of its own for example, does not concern players.
        line, column = error.position
        lines = data.split(b"\n")
        return ElementTree.fromstring(b"\n".join([*lines[: line - 1], lines[line - 1][:column]]))


def parse(data: bytes, base: str, now: float, newest: int | None = 8, is_own: Callable[[str], bool] | None = None) -> Manifest:
    """The Manifest in the bytes of an MPD.

    base: its URL; now: the time as seconds since 1970, for templates that use the clock; newest: how many segments to name,
    None for all; is_own: whether a URL is the server's, where a manifest has several.
    Raises LvsError for what is not a manifest, NotUnderstood for values that can't be used.
    """
    url = http.shown(base)
    if data.count(b"<") > MOST_TAGS:
        raise NotUnderstood(messages.MANIFEST_TOO_MANY_TAGS(url=url, most=MOST_TAGS))
    try:
        _refuse_types(data)
        root = _root(data)
    except _HasDoctype:
        raise LvsError(messages.MANIFEST_WITH_DOCTYPE(url=url)) from None
    except (ElementTree.ParseError, expat.ExpatError, ValueError, LookupError) as error:  # the latter two of an unknown encoding
        raise LvsError(messages.MANIFEST_INVALID(url=url, why=" (%s)" % error)) from None
    if _name(root) != "MPD":
        raise LvsError(messages.MANIFEST_INVALID(url=url, why=""))
    try:
        return _read(root, base, now, newest, is_own or (lambda url: True))
    except (ValueError, TypeError, IndexError, ZeroDivisionError, OverflowError) as error:
        raise NotUnderstood(messages.MANIFEST_UNUSABLE(url=url, why=error)) from None


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _children(element: Element, name: str) -> list[Element]:
    qualified = "}" + name
    return [child for child in element if child.tag == name or child.tag.endswith(qualified)]


def _read(root: Element, base: str, now: float, newest: int | None, is_own: Callable[[str], bool]) -> Manifest:
    live = root.get("type", "static").strip() == "dynamic"
    update = seconds(root.get("minimumUpdatePeriod")) if root.get("minimumUpdatePeriod") else 0.0
    # How far the clock is on the manifest's timeline; None where nothing says when that began.
    available = _moment(root.get("availabilityStartTime"))
    elapsed = now - available if live and available is not None else None
    periods = list(_periods(root))
    # Not those that are only announced; where all are, the clock is wrong.
    there = [one for one in periods if elapsed is None or one[1] <= elapsed] or periods
    whole = _Track(base, is_own).inside(root)
    for period, start, end in there[: -MOST_PERIODS - 1 : -1]:
        common = whole.inside(period)
        for adaptation in sorted(_children(period, "AdaptationSet")[:MOST_SETS], key=_rank):
            for representation in _children(adaptation, "Representation")[:1]:
                track = common.inside(adaptation).inside(representation)
                found = track.read(start, end, elapsed, live, newest)
                if found:
                    return Manifest(live, *found, update)
    # A file without segments, or a period that is elsewhere: what becomes of these is not followed.
    # Nor is a timeline that is still empty, which ffmpeg waits for.
    names = ("SegmentBase", "BaseURL", "SegmentTimeline")
    odd = any(_name(element) in names or any(name.endswith("href") for name in element.attrib) for element in root.iter())
    return Manifest(live, 0.0, 0.0, (), update, odd)


def _periods(root: Element) -> list[list[Any]]:
    """(period, start, end or None): one without a start begins where the one before ends (5.3.2.1)."""
    out: list[list[Any]] = []
    start = 0.0
    following: float | None = 0.0
    for period in _children(root, "Period"):
        # Of one whose beginning nothing tells at least the segments are known.
        start = seconds(period.get("start")) if period.get("start") else start if following is None else following
        following = start + seconds(period.get("duration")) if period.get("duration") else None
        out.append([period, start, following])
    total = root.get("mediaPresentationDuration")
    for one, after in zip(out, out[1:]):
        one[2] = one[2] if one[2] is not None else after[1]
    if out and out[-1][2] is None and total:
        out[-1][2] = seconds(total)
    return out


def _rank(adaptation: Element) -> int:
    """Video first, what is only read last."""
    representation = (_children(adaptation, "Representation") or [adaptation])[0]
    words = [adaptation.get("contentType"), adaptation.get("mimeType"), representation.get("mimeType")]
    kind = next((word for word in words if word), "audio").partition("/")[0].strip()
    return {"video": 0, "audio": 1}.get(kind, 2)


class _Track:
    """One representation: its address, and the template or the list of its segments, with what it inherits.

    It is made on the way down, so that what many representations inherit is read once.
    """

    def __init__(self, base: str, is_own: Callable[[str], bool]) -> None:
        self.base, self.is_own = base, is_own
        self.representation: Element | None = None
        self.template: dict[str, str] = {}
        self.timeline: Element | None = None
        self.listed: Element | None = None
        self.first: Element | None = None

    def inside(self, element: Element) -> _Track:
        """The track as it is within an element."""
        inner = copy.copy(self)
        inner.representation, inner.template = element, dict(self.template)
        bases = [http.resolve(self.base, (child.text or "").strip()) for child in _children(element, "BaseURL")[:MOST_BASES]]
        inner.base = next(filter(self.is_own, bases), bases[0] if bases else self.base)
        for child in _children(element, "SegmentTemplate") + _children(element, "SegmentList"):
            inner.template.update((name, child.attrib[name]) for name in INHERITED if name in child.attrib)
            inner.timeline = next(iter(_children(child, "SegmentTimeline")), inner.timeline)
            inner.first = next(iter(_children(child, "Initialization")), inner.first)
            if _name(child) == "SegmentList":
                inner.listed = child
        return inner

    def read(
        self, start: float, end: float | None, elapsed: float | None, live: bool, newest: int | None
    ) -> tuple[float | None, float, tuple[Part, ...]] | None:
        """(end, duration, segments) as in Manifest, or None without any segment. start, end: of the period."""
        self.scale = float(self.template.get("timescale") or 1)
        self.number = int(self.template.get("startNumber") or 1)
        self.offset = float(self.template.get("presentationTimeOffset") or 0)
        urls = _children(self.listed, "SegmentURL") if self.listed is not None else None
        if urls is None and "media" not in self.template:
            return None
        duration = float(self.template.get("duration") or 0)
        by_clock = False
        if self.timeline is not None:
            runs, by_clock = self._runs(self.timeline, start, end, elapsed)
        elif urls is not None:
            runs = [(self.offset + (self.number - 1) * duration, duration, len(urls))] if duration > 0 else [(self.offset, 1, len(urls))]
        else:
            runs, by_clock = self._clock(duration, start, end, elapsed, live), live
        if urls is not None:
            # A timeline may be ahead of its list.
            count = min(len(urls), sum(run[2] for run in runs))
            urls = urls[:count]
        parts = self._newest(runs, start, newest, urls)
        if not parts:
            return None
        return (None if by_clock else parts[-1].start + parts[-1].duration), parts[-1].duration, tuple(parts)

    def _runs(self, timeline: Element, start: float, end: float | None, elapsed: float | None) -> tuple[list[Run], bool]:
        """[(time, duration, count)] of a timeline, and whether the clock says where it ends."""
        out: list[Run] = []
        time, by_clock = 0, False
        items = _children(timeline, "S")
        for at, item in enumerate(items):
            said = item.attrib
            time = int(said.get("t") or time)
            duration, repeat = int(said.get("d") or 0), int(said.get("r") or 0)
            if duration <= 0:
                continue  # nothing can be played of it
            if repeat < 0:
                # Until the next one begins, the period ends, or now.
                if at + 1 < len(items):
                    limit: float = int(items[at + 1].get("t") or time)
                else:
                    limits = [(limit - start) * self.scale + self.offset for limit in (end, elapsed) if limit is not None]
                    by_clock = elapsed is not None and (end is None or elapsed < end)
                    limit = min(limits) if limits else time
                repeat = max(0, math.floor((limit - time) / duration) - 1)
            out.append((time, duration, repeat + 1))
            time += duration * (repeat + 1)
        return out, by_clock

    def _clock(self, duration: float, start: float, end: float | None, elapsed: float | None, live: bool) -> list[Run]:
        """The segments that have to be there by now; of a recording, all of them."""
        if duration <= 0:
            raise ValueError("a template without duration and without a timeline")
        if live and elapsed is None or not live and end is None:
            raise ValueError("no availabilityStartTime" if live else "no duration of the presentation")
        length = duration / self.scale
        if live and elapsed is not None and (end is None or elapsed < end):
            # Less one: the clocks of packager and director are never quite the same.
            count = math.floor((elapsed - start) / length) - 1
        else:
            assert end is not None  # a recording has one, and a live period that is over
            count = math.ceil(round((end - start) / length, 6))
        return [(self.offset, duration, count)] if count > 0 else []

    def _newest(self, runs: list[Run], start: float, newest: int | None, urls: list[Element] | None) -> list[Part]:
        parts: list[Part] = []
        number = self.number + sum(run[2] for run in runs)
        init = self._init()
        for time, duration, count in reversed(runs):
            for index in range(count - 1, -1, -1):
                number -= 1
                if len(parts) == (newest or MOST):
                    return parts[::-1]
                at = time + index * duration
                media = self._listed(urls[number - self.number]) if urls is not None else self._named(number, at)
                if media:
                    parts.append(Part(start + (at - self.offset) / self.scale, duration / self.scale, media, init))
        return parts[::-1]

    def _named(self, number: int, time: float) -> Resource:
        return Resource(http.resolve(self.base, _fill(self.template["media"], self.representation, number, time)))

    def _listed(self, url: Element) -> Resource | None:
        if not url.get("media") and not url.get("mediaRange"):
            return None
        return Resource(http.resolve(self.base, url.get("media") or ""), _range(url.get("mediaRange")))

    def _init(self) -> Resource | None:
        if self.template.get("initialization"):
            return Resource(http.resolve(self.base, _fill(self.template["initialization"], self.representation, None, None)))
        if self.first is not None:
            return Resource(http.resolve(self.base, self.first.get("sourceURL") or ""), _range(self.first.get("range")))
        return None


def _range(text: str | None) -> tuple[int, int] | None:
    """``0-499``"""
    found = re.fullmatch(r"\s*(\d{1,19})-(\d{1,19})\s*", text or "")
    return (int(found[1]), int(found[2])) if found else None


def _moment(text: str | None) -> float | None:
    if not text:
        return None
    # Python before 3.11 knows fractions of three or six digits alone.
    moment = datetime.datetime.fromisoformat(re.sub(r"\.\d+", "", text.strip()).replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)).timestamp()


def _fill(media: str, representation: Element | None, number: int | None, time: float | None) -> str:
    """A template's ``$Number%05d$`` and the like."""
    assert representation is not None  # a track is read within one
    values: dict[str, Any] = {
        "RepresentationID": representation.get("id", ""),
        "Number": number,
        "Bandwidth": representation.get("bandwidth", 0),
        "Time": None if time is None else int(time),
    }

    def value(found: re.Match[str]) -> str:
        name, width = found.group(1), found.group(2)
        if not name:
            return "$"
        if values.get(name) is None:
            raise ValueError("$%s$" % name)
        return "%0*d" % (int(width), int(values[name])) if width else str(values[name])

    return re.sub(r"\$(?:([A-Za-z]+)(?:%0(\d{1,3})d)?)?\$", value, media)


class Playlists:
    """Manifests of one stream as a player's playlists (m3u8.Media): their segments get numbers that stay."""

    def __init__(self) -> None:
        self.first = 0
        self.starts: list[float] = []

    def media(self, manifest: Manifest) -> Media:
        starts = [round(part.start, 3) for part in manifest.segments]
        if self.starts and starts:
            if starts[0] in self.starts:
                self.first += self.starts.index(starts[0])
            elif starts[0] > self.starts[-1]:
                self.first += len(self.starts)
            elif self.starts[0] in starts:
                self.first -= starts.index(self.starts[0])
            else:
                self.first = 0  # it has begun again
        if starts:
            self.starts = starts
        segments = tuple(Segment(self.first + at, part.duration, part.media, part.init) for at, part in enumerate(manifest.segments))
        longest = max([part.duration for part in manifest.segments] + [manifest.update, 1])
        return Media(math.ceil(longest), self.first, segments, not manifest.live)
