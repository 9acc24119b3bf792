"""What a live DASH manifest says of its newest segment."""

from pathlib import Path

import pytest
from ansible.module_utils.lvsdr import dash
from ansible.module_utils.lvsdr.errors import LvsError
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = Path(__file__).parents[1] / "fixtures"
BEGAN = 1795533883  # availabilityStartTime of ffmpeg's, without its fraction
BASE = "http://192.0.2.100:80/live/index.mpd"


def mpd(inner, **attributes):
    attributes = {"type": "dynamic", "availabilityStartTime": "2026-01-01T00:00:00Z", **attributes}
    words = " ".join('%s="%s"' % pair for pair in attributes.items())
    return ('<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" %s>%s</MPD>' % (words, inner)).encode()


def period(template, more="", start=""):
    return '<Period %s>%s<AdaptationSet><Representation id="v1" bandwidth="200000">%s</Representation></AdaptationSet></Period>' % (
        start, more, template,
    )  # fmt: skip


TIMELINE = """<SegmentTemplate timescale="1000" startNumber="7" media="s-$RepresentationID$-$Number%05d$.m4s">
<SegmentTimeline><S t="5000" d="2000" r="2"/><S d="1000"/></SegmentTimeline></SegmentTemplate>"""


def test_a_timeline():
    assert dash.parse(mpd(period(TIMELINE)), BASE, 0) == (True, 12.0, 1.0, "http://192.0.2.100:80/live/s-v1-00010.m4s")


def test_each_period_begins_a_new_timeline():
    """It goes on where the one before ended, and while it has no segment the one before counts."""
    again = TIMELINE.replace('t="5000" ', "")
    found = dash.parse(mpd(period(TIMELINE) + period(again, start='start="PT12S"')), BASE, 0)
    assert found.end == 12 + 7
    empty = '<SegmentTemplate media="x"><SegmentTimeline/></SegmentTemplate>'
    assert dash.parse(mpd(period(TIMELINE) + period(empty, start='start="PT12S"')), BASE, 0).end == 12
    shifted = TIMELINE.replace("<SegmentTemplate", '<SegmentTemplate presentationTimeOffset="5000"')
    assert dash.parse(mpd(period(shifted, start='start="PT1M"')), BASE, 0).end == 67


def test_one_that_is_repeated_without_end_is_there_once():
    assert dash.parse(mpd(period(TIMELINE.replace('r="2"', 'r="-1"'))), BASE, 0).end == 8


def test_times_in_names():
    text = TIMELINE.replace("$Number%05d$", "$Time$-$Bandwidth$-$$")
    assert dash.parse(mpd(period(text)), BASE, 0).last.endswith("/s-v1-11000-200000-$.m4s")


def test_a_template_without_a_timeline_goes_by_the_clock():
    """The newest segment that has to be there, less one."""
    text = '<SegmentTemplate timescale="10" duration="20" media="$Number$.m4s"/>'
    begin = 1767225600  # 2026-01-01
    found = dash.parse(mpd(period(text, start='start="PT10S"')), BASE, begin + 10 + 2 * 5 + 0.5)
    assert found == (True, None, 2.0, "http://192.0.2.100:80/live/4.m4s")
    assert dash.parse(mpd(period(text)), BASE, begin).last is None, "nothing can be there yet"


def test_a_list():
    text = '<SegmentList duration="4" timescale="2" startNumber="3"><SegmentURL media="a.m4s"/><SegmentURL media="b.m4s"/></SegmentList>'
    assert dash.parse(mpd(period(text)), BASE, 0) == (True, 10.0, 2.0, "http://192.0.2.100:80/live/b.m4s")


def test_base_urls_and_the_last_period():
    text = mpd(period(TIMELINE) + period(TIMELINE, "<BaseURL>deep/er/</BaseURL>"), **{"type": "static"})
    found = dash.parse(text, BASE, 0)
    assert not found.live and found.last == "http://192.0.2.100:80/live/deep/er/s-v1-00010.m4s"


def test_what_ffmpeg_writes():
    """Of a live stream of 2 s a segment: with a timeline, without one, and once it has ended."""
    timeline, clock, ended = (
        dash.parse((FIXTURES / name).read_bytes(), BASE, BEGAN + 11) for name in ("timeline.mpd", "clock.mpd", "ended.mpd")
    )
    assert timeline == (True, 10.0, 2.0, "http://192.0.2.100:80/live/chunk-stream0-00005.m4s")
    assert clock == (True, None, 2.0, "http://192.0.2.100:80/live/chunk-stream0-00004.m4s")
    assert not ended.live and ended.last


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is no DASH manifest"),
        (b"<html/>", "is no DASH manifest"),
        (b"#EXTM3U", "is no DASH manifest"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><MPD/>', "that can be trusted"),
        (mpd(period(TIMELINE.replace('d="1000"', 'd="0"'))), "has a value that can't be used"),
        (mpd(period(TIMELINE.replace('t="5000" d="2000"', 't="5000"'))), "has a value that can't be used"),
        (b'<?xml version="1.0" encoding="foo-8"?><MPD/>', "is no DASH manifest"),
        (mpd(period('<SegmentTemplate media="$Time%05d$" duration="1"/>')), "has a value that can't be used"),
        (mpd(period(TIMELINE.replace("$Number%05d$", "$Nonsense$"))), "has a value that can't be used"),
        (mpd(period('<SegmentTemplate media="x"/>')), "has a value that can't be used"),
        (mpd(period('<SegmentTemplate media="x" duration="1"/>', start='start="x"')), "is no duration"),
    ],
)
def test_what_is_none(data, words):
    with pytest.raises(LvsError, match=words):
        dash.parse(data, BASE, 2e9)


def test_without_segments():
    assert dash.parse(mpd(""), BASE, 0).last is None
    assert dash.parse(mpd(period('<SegmentTemplate media="x"><SegmentTimeline/></SegmentTemplate>')), BASE, 0).last is None


@given(st.binary(max_size=60), st.sampled_from(["t", "d", "r", "timescale", "startNumber"]), st.text("0123456789.-eE", max_size=9))
def test_nothing_gives_another_error(data, name, value):
    text = mpd(period('<SegmentTemplate %s><SegmentTimeline><S d="1" %s/></SegmentTimeline></SegmentTemplate>'))
    for one in (data, text.replace(b"%s", b'media="$Number$" timescale="%s"' % value.encode(), 1).replace(b"%s", b""),
                text.replace(b"%s", b'media="x"', 1).replace(b"%s", b't="%s"' % value.encode())):  # fmt: skip
        try:
            dash.parse(one, BASE, 1e9)
        except LvsError:
            pass
