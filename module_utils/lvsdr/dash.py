# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a live manifest of MPEG-DASH says of its newest segment. Pure.

Source: ISO/IEC 23009-1, 5.3.1 (MPD), 5.3.9.4 (segment templates) and 5.3.9.6 (segment timelines).
"""

import datetime
import math
import re
import xml.etree.ElementTree as ElementTree
from collections import namedtuple
from urllib.parse import urljoin

from .errors import LvsError

# live: whether there is more to come; end: seconds on the manifest's timeline until which there are segments, or None where the clock alone
# tells (a template without a timeline); duration: of one segment in seconds; last: URL of the newest one, or None without any.
Manifest = namedtuple("Manifest", "live end duration last")

DURATION = re.compile(r"^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$")


def seconds(text):
    """Seconds of an xs:duration without years and months: ``PT2.5S``."""
    found = DURATION.match(text or "")
    if not found or not any(found.groups()):
        raise LvsError("%r is no duration" % (text,), "see xs:duration")
    return sum(float(part or 0) * unit for part, unit in zip(found.groups(), (86400, 3600, 60, 1)))


def parse(data, base, now):
    """The Manifest in the bytes of an MPD. base: its URL; now: the time as seconds since 1970, for templates that go by the clock.

    Of the last period with a segment it follows the first representation: one is enough to see whether the packager still works.
    """
    if len(data) > 4 << 20 or b"<!DOCTYPE" in data[:4096] or b"<!ENTITY" in data:
        raise LvsError("%s is no DASH manifest that can be trusted" % base, "an MPD has no document type and no entities")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter two of an encoding that nobody knows
        raise LvsError("%s is no DASH manifest (%s)" % (base, error), "use the address of an .mpd file") from None
    if _name(root) != "MPD":
        raise LvsError("%s is no DASH manifest" % base, "use the address of an .mpd file")
    found = (0.0, 0.0, None)
    try:
        for period in reversed(_children(root, "Period")):
            found = _read(root, period, base, now)
            if found[2]:
                break
    except (ValueError, TypeError, IndexError, ZeroDivisionError, OverflowError) as error:
        raise LvsError("%s has a value that can't be used (%s)" % (base, error), "see how the packager writes it") from None
    return Manifest(root.get("type", "static") == "dynamic", *found)


def _name(element):
    return element.tag.rpartition("}")[2]


def _children(element, name):
    return [child for child in element if _name(child) == name]


def _read(root, period, base, now):
    """(end, duration, last) of a period, as in Manifest."""
    path = [root, period]
    for name in ("AdaptationSet", "Representation"):
        path += _children(path[-1], name)[:1]
    template, timeline, listed = {}, None, None
    for element in path:
        for child in _children(element, "BaseURL"):
            base = urljoin(base, (child.text or "").strip())
            break
        for child in _children(element, "SegmentTemplate"):
            template.update(child.attrib)
            timeline = (_children(child, "SegmentTimeline") or [timeline])[0]
        listed = (_children(element, "SegmentList") or [listed])[0]
    scale = float(template.get("timescale", 1))
    begin = seconds(period.get("start", "PT0S"))
    if listed is not None and not template:
        return _of_list(listed, base, begin)
    if "media" not in template:
        return 0.0, 0.0, None
    number = int(template.get("startNumber", 1))
    if timeline is not None:
        start, count, end, duration = None, 0, 0, 0
        for item in _children(timeline, "S"):
            # Below 0 it goes on until something else is said; one of them is there in any case.
            duration, repeat = int(item.get("d")), max(0, int(item.get("r", 0)))
            if duration <= 0:
                raise ValueError("S with d=%d" % duration)
            count, end = count + repeat + 1, int(item.get("t", end)) + duration * (repeat + 1)
            start = end - duration
        last = None if start is None else urljoin(base, _fill(template["media"], path[-1], number + count - 1, start))
        # On the manifest's own timeline: each period begins a new one.
        return begin + (end - int(template.get("presentationTimeOffset", 0))) / scale, duration / scale, last
    duration = float(template.get("duration", 0)) / scale
    available = _moment(root.get("availabilityStartTime"))
    if available is None or duration <= 0:
        raise ValueError("no availabilityStartTime or duration")
    # The newest one that has to be there, less one: clocks of packager and director are never quite the same.
    index = math.floor((now - available - begin) / duration) - 2
    last = urljoin(base, _fill(template["media"], path[-1], number + index, None)) if index >= 0 else None
    return None, duration, last


def _of_list(listed, base, begin):
    urls = [child.get("media") for child in _children(listed, "SegmentURL") if child.get("media")]
    duration = float(listed.get("duration", 0)) / float(listed.get("timescale", 1))
    first = int(listed.get("startNumber", 1))
    return begin + (first + len(urls)) * duration, duration, urljoin(base, urls[-1]) if urls else None


def _moment(text):
    if not text:
        return None
    # Python before 3.11 knows fractions of three or six digits alone.
    moment = datetime.datetime.fromisoformat(re.sub(r"\.\d+", "", text.strip()).replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)).timestamp()


def _fill(media, representation, number, start):
    """A template's ``$Number%05d$`` and the like."""
    values = {
        "RepresentationID": representation.get("id", ""),
        "Number": number,
        "Bandwidth": representation.get("bandwidth", 0),
        "Time": start,
    }

    def value(found):
        name, width = found.group(1), found.group(2)
        if not name:
            return "$"
        if values.get(name) is None:
            raise ValueError("$%s$" % name)
        return "%0*d" % (int(width), int(values[name])) if width else str(values[name])

    return re.sub(r"\$(?:([A-Za-z]+)(?:%0(\d{1,3})d)?)?\$", value, media)
