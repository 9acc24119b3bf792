"""Playlists and the player, with made-up times: no socket, no clock."""

import pytest
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.streams import hls, http, m3u8
from hypothesis import given
from hypothesis import strategies as st

BASE = "http://host/live/index.m3u8"


def playlist(*lines):
    return "\n".join(("#EXTM3U",) + lines).encode()


def media(sequence, count, target=2, ended=False, duration=None):
    """A Media of ``count`` segments from number ``sequence``."""
    segments = [
        m3u8.Segment(n, float(duration or target), m3u8.Resource(f"http://host/live/{n}.ts")) for n in range(sequence, sequence + count)
    ]
    return m3u8.Media(target, sequence, tuple(segments), ended)


def test_a_media_playlist():
    got = m3u8.parse(
        b"#EXTM3U\r\n#EXT-X-VERSION:3\r\n#EXT-X-TARGETDURATION:3\r\n#EXTINF:2.5,a title, with a comma\r\na.ts\r\n\r\n"
        b"#EXT-X-MEDIA-SEQUENCE:7\r\n# a comment\r\n#EXTINF:3\r\n/b.ts?x=1\r\n#EXT-X-ENDLIST\r\n",
        BASE,
    )
    assert got == m3u8.Media(
        3,
        7,
        (m3u8.Segment(7, 2.5, m3u8.Resource("http://host/live/a.ts")), m3u8.Segment(8, 3.0, m3u8.Resource("http://host/b.ts?x=1"))),
        True,
    )
    assert got.end == 9


def test_a_master_playlist():
    got = m3u8.parse(
        playlist('#EXT-X-MEDIA:TYPE=AUDIO,URI="a.m3u8"', '#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="x,y"', "low/i.m3u8",
                 "#EXT-X-STREAM-INF:BANDWIDTH=2", "http://other/high.m3u8"),
        BASE,
    )  # fmt: skip
    assert got == m3u8.Master(("http://host/live/low/i.m3u8", "http://other/high.m3u8"))


def test_byte_ranges_and_init_segments():
    got = m3u8.parse(
        playlist("#EXT-X-TARGETDURATION:2", '#EXT-X-MAP:URI="all.mp4",BYTERANGE="100@0"',
                 "#EXTINF:2,", "#EXT-X-BYTERANGE:50@100", "all.mp4", "#EXTINF:2,", "#EXT-X-BYTERANGE:30", "all.mp4",
                 '#EXT-X-MAP:URI="init.mp4"', "#EXTINF:2,", "whole.mp4"),
        BASE,
    )  # fmt: skip
    assert [s.media.byte_range for s in got.segments] == [(100, 149), (150, 179), None]
    assert [s.init.byte_range for s in got.segments] == [(0, 99), (0, 99), None]
    assert got.segments[2].init.uri == "http://host/live/init.mp4"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "begins with '' and not with #EXTM3U"),
        (b"<html>\n", "begins with '<html>'"),
        (b"\xff\xfe\x00", "not with #EXTM3U"),
        (playlist(), "neither #EXT-X-TARGETDURATION nor variants"),
        (playlist("#EXT-X-TARGETDURATION:soon"), "neither #EXT-X-TARGETDURATION nor variants"),
        (playlist("#EXT-X-TARGETDURATION:2", "#EXTINF:2", "http://[oops/a.ts"), "'http://[oops/a.ts'"),
    ],
)
def test_what_is_no_playlist_is_named(data, words):
    with pytest.raises(LvsError) as caught:
        m3u8.parse(data, BASE)
    assert words in caught.value.message and BASE in caught.value.message
    assert caught.value.line.id == ("url-in-playlist-invalid" if b"oops" in data else "playlist-invalid")


@pytest.mark.parametrize(
    ("lines", "target", "addresses"),
    [
        (["#EXT-X-TARGETDURATION:5.0", "#EXTINF:5.0,", "a.ts"], 5, ["a.ts"]),
        (["#EXT-X-TARGETDURATION: 0.500089", "#EXTINF: .5", "a.ts"], 1, ["a.ts"]),
        (["#EXT-X-TARGETDURATION:" + "9" * 5000, "#EXTINF:2,", "a.ts"], 10**19 - 1, ["a.ts"]),
        (["#EXTINF:2.5,", "a.ts"], 3, ["a.ts"]),
        (["#EXT-X-TARGETDURATION:2", "#EXTINF:nan,", "a.ts", "b.ts"], 2, ["a.ts", "b.ts"]),
        (["#EXT-X-TARGETDURATION:2", "#EXT-X-MAP:X=1", "#EXTINF:2", "#EXT-X-BYTERANGE:a@b", "  a 0.ts\t"], 2, ["a 0.ts"]),
        (['#EXT-X-DEFINE:NAME="x",VALUE="deep/er"', "#EXTINF:1,", "{$x}/{$y}.ts"], 1, ["deep/er/{$y}.ts"]),
    ],
)
def test_what_players_get_over(lines, target, addresses):
    got = m3u8.parse(b"\xef\xbb\xbf" + playlist(*lines), BASE)
    assert got.target_duration == pytest.approx(target)
    assert [segment.media.uri for segment in got.segments] == ["http://host/live/" + name for name in addresses]


def test_gaps_and_parts():
    got = m3u8.parse(
        playlist("#EXT-X-TARGETDURATION:2", "#EXTINF:2,", "a.ts", "#EXT-X-GAP", "#EXTINF:2,", "b.ts", '#EXT-X-PART:DURATION=1,URI="c.0.ts"',
                 '#EXT-X-PART:DURATION=1,GAP=YES,URI="c.1.ts"'),
        BASE,
    )  # fmt: skip
    assert [segment.gap for segment in got.segments] == [False, True]
    assert [part.uri for part in got.parts] == ["http://host/live/c.0.ts"]
    player = hls.Player(0.0)
    player.loaded(
        m3u8.parse(playlist("#EXT-X-TARGETDURATION:1", *["#EXT-X-GAP", "#EXTINF:1,", "gap"] * 6, "#EXTINF:1,", "6.mp4"), BASE), 0, 0
    )
    assert player.step(0).segment.sequence == 6 and player.jumps == 0, "a player begins behind the gaps"


def test_of_a_long_playlist_the_beginning_and_the_end():
    """Its newest segments, their init and its numbers are those of the whole."""
    lines = ["#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:7"]
    for number in range(20000):
        lines += ['#EXT-X-MAP:URI="%d.mp4"' % number] * (number == 9000) + ["#EXTINF:2,", "%d.m4s" % number]
    data = playlist(*lines)
    whole, short = m3u8.parse(data, BASE), m3u8.parse(data, BASE, newest=3)
    assert (short.end, short.target_duration) == (whole.end, 2) and whole.end == 20007
    assert short.segments == whole.segments[-3:] and short.segments[0].init.uri.endswith("/9000.mp4")


names = ("INF", "-X-TARGETDURATION", "-X-MEDIA-SEQUENCE", "-X-STREAM-INF", "-X-MAP", "-X-BYTERANGE")
tags = st.sampled_from(["#EXTM3U", "", *(f"#EXT{name}:" for name in names)])


@given(st.lists(st.tuples(tags, st.one_of(st.integers().map(str), st.text(max_size=9))).map("".join)))
def test_no_input_gives_another_error_than_ours(lines):
    try:
        m3u8.parse(playlist(*lines), BASE)
    except LvsError:
        pass


@given(st.integers(0, 10**9), st.lists(st.integers(1, 9999), max_size=20), st.booleans())
def test_what_is_written_is_what_is_read(sequence, milliseconds, ended):
    lines = ["#EXT-X-TARGETDURATION:10", f"#EXT-X-MEDIA-SEQUENCE:{sequence}"]
    for number, ms in enumerate(milliseconds):
        lines += [f"#EXTINF:{ms / 1000:.3f},", f"{number}.ts"]
    got = m3u8.parse(playlist(*lines, *["#EXT-X-ENDLIST"][:ended]), BASE)
    assert (got.sequence, got.end, got.ended) == (sequence, sequence + len(milliseconds), ended)
    assert [s.duration for s in got.segments] == [ms / 1000 for ms in milliseconds]


def fetch(player, now, size=100):
    """Fetches what the player wants by now, at once; returns the numbers."""
    numbers = []
    while player.step(now)[:2] == ("fetch", now):
        segment = player.step(now).segment
        numbers.append(segment.sequence)
        player.received(segment, size, now)
    return numbers


def started(first, now=0.0, **options):
    player = hls.Player(now, **options)
    assert player.step(now) == ("load", now, None)
    player.loaded(first, now, now)
    return player


@pytest.mark.parametrize(
    ("first", "numbers"),
    [
        (media(10, 6), [13, 14, 15]),
        (media(10, 2), [10, 11]),
        (media(10, 3, ended=True), [10, 11, 12]),
        (media(10, 9, ended=True), [10, 11, 12, 13, 14]),
    ],
    ids=["live", "young", "short recording", "recording"],
)
def test_where_playing_begins(first, numbers):
    assert fetch(started(first), 0.0) == numbers


def test_reload_interval_is_a_target_duration_after_a_change_and_half_of_it_after_none():
    player = started(media(0, 3, target=4), duration=60)
    fetch(player, 0.0)
    assert player.step(1.0) == ("load", 4.0, None)
    player.loaded(media(0, 3, target=4), 4.0, 4.5)
    assert player.step(4.5) == ("load", 6.0, None)
    player.loaded(media(1, 3, target=4), 6.0, 6.1)
    assert fetch(player, 6.1) == [3]
    assert player.step(6.2) == ("load", 10.0, None)
    player.not_loaded(10.0)
    assert player.step(10.1) == ("load", 12.0, None)
    assert player.reloads == 2


def test_a_late_segment_is_a_stall_of_so_many_seconds():
    player = started(media(0, 3), duration=60)
    fetch(player, 1.0)
    assert player.startup_seconds == 1.0
    # Three segments of 2 s from 1.0 on: empty at 7.0.
    player.loaded(media(0, 6), 2.0, 2.0)
    fourth, fifth, sixth = player.media.segments[3:]
    player.received(fourth, 100, 7.0)
    assert (player.stalls, player.stalled_seconds) == (0, 0)
    player.received(fifth, 100, 9.5)
    assert (player.stalls, player.stalled_seconds) == (1, 0.5)
    # It goes on from here: the next one is in time until 11.5.
    player.received(sixth, 100, 11.5)
    assert (player.stalls, player.segments, player.bytes, player.buffered) == (1, 6, 600, 12)


def test_a_stall_that_never_ends_is_counted():
    player = started(media(0, 3), duration=60)
    player.close(99.0)
    assert player.stalls == 0, "nothing was ever seen, so nothing stopped"
    fetch(player, 0.0)
    player.close(10.0)
    assert (player.stalls, player.stalled_seconds) == (1, 4.0)


def test_what_has_been_played_to_its_end_does_not_stall():
    player = started(media(0, 2, ended=True), duration=60)
    fetch(player, 0.0)
    assert player.step(0.0).action == "stop"
    player.close(99.0)
    assert player.stalls == 0


def test_a_stream_is_stale_after_three_target_durations():
    player = started(media(0, 3), duration=60)
    player.loaded(media(0, 3), 2.0, 6.0)
    with pytest.raises(LvsError, match=r"the stream .* for 6\.1 s \(target duration: 2 s\)") as caught:
        player.loaded(media(0, 3), 6.0, 6.1)
    assert caught.value.line.id == "stream-stale"


def test_a_recording_is_never_stale_and_never_loaded_again():
    player = started(media(0, 99, ended=True), duration=1000)
    assert len(fetch(player, 0.0)) == 16, "30 s ahead of what is being watched, and then a pause"
    assert player.step(0.0)[:2] == ("fetch", 2.0)
    player.loaded(media(0, 99, ended=True), 50.0, 50.0)


def test_segments_that_left_the_playlist_are_jumped_over():
    player = started(media(0, 3), duration=60)
    fetch(player, 0.0)
    player.loaded(media(5, 3), 2.0, 2.0)
    assert fetch(player, 2.0) == [5, 6, 7]
    (problem,) = player.problems
    assert (player.jumps, problem.id) == (1, "segments-left-playlist") and "segments 3 to 4 " in problem.text


def test_an_older_copy_of_the_playlist_changes_nothing():
    player = started(media(5, 6), duration=60)
    fetch(player, 0.0)
    player.loaded(media(4, 6), 2.0, 2.0)
    assert (player.older, player.jumps) == (1, 0)
    assert player.step(2.0) == ("load", 3.0, None), "as after no change"
    player.loaded(media(6, 6), 3.0, 3.0)
    assert fetch(player, 3.0) == [11]


def test_numbers_that_begin_anew_are_followed_and_told():
    player = started(media(100, 6), duration=60)
    fetch(player, 0.0)
    player.loaded(media(0, 4), 2.0, 2.0)
    assert fetch(player, 2.0) == [1, 2, 3]
    assert player.jumps == 1
    (problem,) = player.problems
    assert problem.id == "segments-renumbered" and "from 100 to 0" in problem.text


def test_a_segment_is_tried_again_unless_it_is_gone():
    player = started(media(0, 3, target=10), duration=60)
    times = []
    while player.step(0).segment.sequence == 0:
        times.append(player.step(0).at)
        player.failed(player.step(0).segment, times[-1])
    assert times == [0, 0.5, 1.0, 1.5]
    (problem,) = player.problems
    assert (player.jumps, problem.id) == (1, "segment-unavailable") and "segment 0 " in problem.text
    player.failed(player.step(2).segment, 2.0, gone=True)
    assert player.step(3).segment.sequence == 2
    assert player.jumps == 2


def test_a_due_playlist_goes_before_old_segments():
    player = started(media(0, 3), duration=60)
    assert player.step(1.9).action == "fetch"
    assert player.step(2.0).action == "load"


@pytest.mark.parametrize(("options", "count"), [({"duration": 5}, 3), ({"duration": 60, "max_segments": 2}, 2)])
def test_it_stops_when_it_has_what_was_wanted(options, count):
    player = started(media(0, 50, ended=True), **options)
    assert len(fetch(player, 0.0)) == count
    assert player.step(0.0).action == "stop"


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), min_size=1, max_size=30))
def test_the_time_watched_and_stalled_adds_up(arrivals):
    """From the first picture to the end of the last segment a viewer is either watching or stalled."""
    player = started(media(0, 100, ended=True), duration=1000)
    now, first = 0.0, None
    for delay, lost in arrivals:
        now += delay
        segment = player.step(now).segment
        if lost:
            player.failed(segment, now, gone=True)
        else:
            first = now if first is None else first
            player.received(segment, 1, now)
    if first is None:
        assert player.startup_seconds is None
        return
    empty = player._empty_at
    assert empty - first == pytest.approx(player.buffered + player.stalled_seconds)
    assert player.jumps == sum(lost for _, lost in arrivals)


# --- addresses in messages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://192.0.2.1:80/@live/x.m3u8?a=@b", "http://192.0.2.1:80/@live/x.m3u8?a=@b"),
        ("http://u:p@h:80/@x?u=http://a", "http://h:80/@x?u=http://a"),
        ("http://u:p@q@[2001:db8::1]/", "http://[2001:db8::1]/"),
        ("http://u:p/q@h/", "http://h/"),
        ("ftp://u:p@h", "ftp://h"),
        ("u:p@h/x", "h/x"),
        ("http://[::1/x", "http://[::1/x"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_credentials(url, shown):
    assert http.shown(url) == shown


def test_an_address_that_is_none_is_named_without_credentials():
    with pytest.raises(LvsError, match="names the address 'http://.::1', ") as caught:
        http.resolve("http://h/", "http://u:p@[::1")
    assert "u:p" not in str(caught.value) and caught.value.line.id == "url-in-playlist-invalid"
