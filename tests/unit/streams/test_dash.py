"""What a live DASH manifest says of its newest segment."""

from pathlib import Path

import pytest
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.streams import dash, m3u8
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = Path(__file__).parents[2] / "fixtures"
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


def last(found):
    return found.segments[-1].media.uri if found.segments else None


TIMELINE = """<SegmentTemplate timescale="1000" startNumber="7" media="s-$RepresentationID$-$Number%05d$.m4s">
<SegmentTimeline><S t="5000" d="2000" r="2"/><S d="1000"/></SegmentTimeline></SegmentTemplate>"""


def test_a_timeline():
    found = dash.parse(mpd(period(TIMELINE)), BASE, 0)
    assert (found[:3], last(found)) == ((True, 12.0, 1.0), "http://192.0.2.100:80/live/s-v1-00010.m4s")
    assert [(part.start, part.duration) for part in found.segments] == [(5, 2), (7, 2), (9, 2), (11, 1)]


def test_each_period_begins_a_new_timeline():
    """It goes on where the one before ended, and while it has no segment the one before counts."""
    again = TIMELINE.replace('t="5000" ', "")
    found = dash.parse(mpd(period(TIMELINE) + period(again, start='start="PT12S"')), BASE, 0)
    assert found.end == 12 + 7
    empty = '<SegmentTemplate media="x"><SegmentTimeline/></SegmentTemplate>'
    assert dash.parse(mpd(period(TIMELINE) + period(empty, start='start="PT12S"')), BASE, 0).end == 12
    shifted = TIMELINE.replace("<SegmentTemplate", '<SegmentTemplate presentationTimeOffset="5000"')
    assert dash.parse(mpd(period(shifted, start='start="PT1M"')), BASE, 0).end == 67


def test_one_that_is_repeated_without_end():
    """It is there until the next one begins, or else as often as the clock says, and then nothing else tells the end."""
    assert dash.parse(mpd(period(TIMELINE.replace('r="2"', 'r="-1"'))), BASE, 0).end == 8
    assert dash.parse(mpd(period(TIMELINE.replace('r="2"', 'r="-1"').replace('d="1000"', 't="13000" d="1000"'))), BASE, 0).end == 14
    open_end = TIMELINE.replace('r="2"', 'r="-1"').replace('<S d="1000"/>', "")
    found = dash.parse(mpd(period(open_end)), BASE, 1767225600 + 10.5)
    assert (found.end, last(found)) == (None, "http://192.0.2.100:80/live/s-v1-00008.m4s")


def test_an_entry_without_duration_is_left_out():
    found = dash.parse(mpd(period(TIMELINE.replace("<SegmentTimeline>", '<SegmentTimeline><S t="0" d="0"/>'))), BASE, 0)
    assert (found.end, last(found)) == (12.0, "http://192.0.2.100:80/live/s-v1-00010.m4s")


def test_a_period_without_a_start_begins_where_the_one_before_ends():
    first = TIMELINE.replace('t="5000" ', "")
    both = period(first, start='start="PT0S" duration="PT60S"') + period(first, start='id="2"')
    assert dash.parse(mpd(both), BASE, 0).end == 67


def test_the_first_set_that_has_segments_and_video_before_text():
    text = '<AdaptationSet mimeType="text/vtt"><Representation><BaseURL>subs.vtt</BaseURL></Representation></AdaptationSet>'
    audio = '<AdaptationSet contentType="audio"><Representation id="a">%s</Representation></AdaptationSet>' % TIMELINE
    video = '<AdaptationSet><Representation id="v" mimeType="video/mp4">%s</Representation></AdaptationSet>' % TIMELINE
    for sets, name in ((text + audio + video, "s-v-"), (text + "<AdaptationSet/>" + audio, "s-a-")):
        assert name in last(dash.parse(mpd("<Period>%s</Period>" % sets), BASE, 0))
    assert last(dash.parse(mpd("<Period>%s</Period>" % text), BASE, 0)) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("PT2.5S", 2.5), ("P1DT1H", 90000), ("P0Y0M0DT3H", 10800), ("PT1M", 60), (" PT.5S ", 0.5), ("P1Y", 31536000), ("-PT1S", -1)],
)
def test_durations(text, value):
    assert dash.seconds(text) == value


def test_an_entity_in_any_encoding_is_refused():
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE MPD [<!ENTITY a "b">]><MPD>&a;</MPD>'
    with pytest.raises(LvsError) as caught:
        dash.parse(text.encode("utf-16"), BASE, 0)
    assert caught.value.line.id == "manifest-with-doctype"


def test_numbers_that_stay():
    """As a player's playlists: a segment keeps its number while the window moves, and when it begins again."""
    playlists = dash.Playlists()

    def window(*starts):
        parts = [dash.Part(start, 2.0, m3u8.Resource("http://h/%g" % start)) for start in starts]
        got = playlists.media(dash.Manifest(True, None, 2.0, tuple(parts)))
        return [segment.sequence for segment in got.segments]

    assert window(0, 2, 4) == [0, 1, 2]
    assert window(2, 4, 6) == [1, 2, 3]
    assert window(0, 2, 4) == [0, 1, 2], "an older copy"
    assert window(10, 12) == [3, 4], "behind a hole"
    assert window(1, 3) == [0, 1]


def test_times_in_names():
    text = TIMELINE.replace("$Number%05d$", "$Time$-$Bandwidth$-$$")
    assert dash.parse(mpd(period(text)), BASE, 0).segments[-1].media.uri.endswith("/s-v1-11000-200000-$.m4s")


def test_a_template_without_a_timeline_goes_by_the_clock():
    """The newest segment that has to be there, less one."""
    text = '<SegmentTemplate timescale="10" duration="20" media="$Number$.m4s"/>'
    begin = 1767225600  # 2026-01-01
    found = dash.parse(mpd(period(text, start='start="PT10S"')), BASE, begin + 10 + 2 * 5 + 0.5)
    assert (found[:3], last(found)) == ((True, None, 2.0), "http://192.0.2.100:80/live/4.m4s")
    assert last(dash.parse(mpd(period(text)), BASE, begin)) is None, "nothing can be there yet"


def test_a_list():
    text = '<SegmentList duration="4" timescale="2" startNumber="3"><SegmentURL media="a.m4s"/><SegmentURL media="b.m4s"/></SegmentList>'
    found = dash.parse(mpd(period(text)), BASE, 0)
    assert (found[:3], last(found)) == ((True, 8.0, 2.0), "http://192.0.2.100:80/live/b.m4s")


def test_base_urls_and_the_last_period():
    text = mpd(period(TIMELINE) + period(TIMELINE, "<BaseURL>deep/er/</BaseURL>"), **{"type": "static"})
    found = dash.parse(text, BASE, 0)
    assert not found.live and last(found) == "http://192.0.2.100:80/live/deep/er/s-v1-00010.m4s"


def test_what_ffmpeg_writes():
    """Of a live stream of 2 s a segment: with a timeline, without one, and once it has ended."""
    timeline, clock, ended = (
        dash.parse((FIXTURES / name).read_bytes(), BASE, BEGAN + 11) for name in ("timeline.mpd", "clock.mpd", "ended.mpd")
    )
    assert (timeline[:3], last(timeline)) == ((True, 10.0, 2.0), "http://192.0.2.100:80/live/chunk-stream0-00005.m4s")
    assert (clock[:3], last(clock)) == ((True, None, 2.0), "http://192.0.2.100:80/live/chunk-stream0-00004.m4s")
    assert not ended.live and last(ended)


@pytest.mark.parametrize(
    ("data", "id"),
    [
        (b"", "manifest-invalid"),
        (b"<html/>", "manifest-invalid"),
        (b"#EXTM3U", "manifest-invalid"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><MPD/>', "manifest-with-doctype"),
        (b'<?xml version="1.0" encoding="foo-8"?><MPD/>', "manifest-invalid"),
        (mpd(period('<SegmentTemplate media="$Time%05d$x$Nonsense$" duration="1"/>')), "manifest-unusable"),
        (mpd(period(TIMELINE.replace("$Number%05d$", "$Nonsense$"))), "manifest-unusable"),
        (mpd(period('<SegmentTemplate media="x"/>')), "manifest-unusable"),
        (mpd(period('<SegmentTemplate media="x" duration="1"/>', start='start="x"')), "manifest-unusable"),
        (b"<MPD>" + b"<a/>" * dash.MOST_TAGS + b"</MPD>", "manifest-too-many-tags"),
    ],
)
def test_what_is_none(data, id):
    with pytest.raises(LvsError) as caught:
        dash.parse(data, BASE, 2e9)
    assert caught.value.line.id == id and BASE in caught.value.message


def test_without_segments():
    assert last(dash.parse(mpd(""), BASE, 0)) is None
    assert last(dash.parse(mpd(period('<SegmentTemplate media="x"><SegmentTimeline/></SegmentTemplate>')), BASE, 0)) is None


@given(st.binary(max_size=60), st.sampled_from(["t", "d", "r", "timescale", "startNumber"]), st.text("0123456789.-eE", max_size=9))
def test_nothing_gives_another_error(data, name, value):
    text = mpd(period('<SegmentTemplate %s><SegmentTimeline><S d="1" %s/></SegmentTimeline></SegmentTemplate>'))
    for one in (data, text.replace(b"%s", b'media="$Number$" timescale="%s"' % value.encode(), 1).replace(b"%s", b""),
                text.replace(b"%s", b'media="x"', 1).replace(b"%s", b't="%s"' % value.encode())):  # fmt: skip
        try:
            dash.parse(one, BASE, 1e9)
        except LvsError:
            pass
