"""No bytes whatever that a server sends raise anything but the readers' own exceptions, and none take long."""

import asyncio
import contextlib
import gc
import time
from xml.etree import ElementTree

import pytest
from ansible.module_utils.lvsdr.checks import certificates, protocols, verdicts
from ansible.module_utils.lvsdr.checks.outcomes import Trouble, Unknown
from ansible.module_utils.lvsdr.checks.sockets import Place
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.streams import dash, http, m3u8
from fakes.hostile import BOMB, ENTRY, LIMIT, M3U, PERIOD, filled, manifest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BASE = "http://server.example.com:8080/live/index.m3u8?token=a&token=b"
many = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))

# --- what they look like ------------------------------------------------------------------------------------------------------------

numbers = st.one_of(
    st.sampled_from(["0", "1", "-1", "007", "2.5", ".5", "1.", "1e400", "nan", "inf", "٣", "9" * 19, "9" * 5000, "0x1", " 6 ", "6s", ""]),
    st.integers(-(10**25), 10**25).map(str),
)
uris = st.one_of(
    st.sampled_from(
        ["a.ts", "/a", "//", "http://[", "http://[::1]:99999/", "http://ex ample/", "{$x}", "a{$y}", "http://a@b:c/", "?", "//ä.é/"]
    ),
    st.text(max_size=12),
)
values = st.one_of(numbers, uris, uris.map('"%s"'.__mod__), st.sampled_from(['"', '"x', "YES", "5@", "5@3", "@", "x"]))
TAGS = [
    "INF",
    "-X-TARGETDURATION",
    "-X-MEDIA-SEQUENCE",
    "-X-BYTERANGE",
    "-X-GAP",
    "-X-PART",
    "-X-SKIP",
    "-X-MAP",
    "-X-STREAM-INF",
    "-X-DEFINE",
    "-X-ENDLIST",
    "-X-KEY",
    "-X-DISCONTINUITY",
    "M3U",
]
ATTRIBUTES = ["URI", "BYTERANGE", "GAP", "SKIPPED-SEGMENTS", "NAME", "VALUE", "IMPORT", "QUERYPARAM", "URI ", "uri"]
attributes = st.lists(st.tuples(st.sampled_from(ATTRIBUTES), values).map("=".join), max_size=4).map(",".join)
lines = st.one_of(
    uris,
    st.tuples(st.sampled_from(TAGS), st.sampled_from([":", "", " :", ": "]), st.one_of(values, attributes)).map(
        lambda one: "#EXT" + "".join(one)
    ),
    st.text(max_size=20),
)
playlists = st.tuples(
    st.sampled_from(["#EXTM3U", "\ufeff#EXTM3U", "#EXTM3U8 ", ""]),
    st.lists(lines, max_size=12),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
).map(lambda one: one[2].join([one[0], *one[1]]).encode("utf-8", "surrogatepass"))
# The same again and again is a long one, of which a part alone is read.
long_playlists = st.tuples(playlists, st.integers(1, 3000)).map(lambda one: (one[0] + b"\n") * one[1])

ELEMENTS = [
    "Period",
    "AdaptationSet",
    "Representation",
    "SegmentTemplate",
    "SegmentTimeline",
    "S",
    "SegmentList",
    "SegmentURL",
    "Initialization",
    "BaseURL",
    "MPD",
    "x:y",
]
MPD_ATTRIBUTES = [
    "type",
    "t",
    "d",
    "r",
    "media",
    "initialization",
    "timescale",
    "duration",
    "startNumber",
    "presentationTimeOffset",
    "start",
    "id",
    "bandwidth",
    "mediaRange",
    "range",
    "sourceURL",
    "minimumUpdatePeriod",
    "availabilityStartTime",
    "mediaPresentationDuration",
    "contentType",
    "mimeType",
]
DURATIONS = ["PT2S", "PT", "P1Y", "-PT5S", "PT1.5S", "PT999999999999999S", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "dynamic"]
TEMPLATES = ["$Number%05d$.m4s", "$Time$", "$$", "$x$", "$Number%999d$", "$RepresentationID$/$Bandwidth$", "$Bandwidth%05d$"]
words = st.one_of(numbers, uris, st.sampled_from(DURATIONS + TEMPLATES))


def written(name, attributes, inner):
    quoted = ((key, value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")) for key, value in attributes.items())
    return "<%s %s>%s</%s>" % (name, " ".join('%s="%s"' % pair for pair in quoted), inner, name)


fields = st.dictionaries(st.sampled_from(MPD_ATTRIBUTES), words, max_size=6)
elements = st.recursive(
    st.one_of(uris, st.builds(written, st.sampled_from(ELEMENTS), fields, st.just(""))),
    lambda inner: st.builds(written, st.sampled_from(ELEMENTS), fields, st.lists(inner, max_size=4).map("".join)),
    max_leaves=20,
)


@st.composite
def manifests(draw):
    """One with its elements where they belong, mostly, and with any values."""

    def inside(name, *inner):
        return written(name, draw(fields), "".join(inner))

    timeline = inside("SegmentTimeline", *(inside("S") for _item in range(draw(st.integers(0, 4)))))
    segments = [
        inside("SegmentTemplate", timeline),
        inside("SegmentTemplate"),
        inside("SegmentList", timeline, inside("Initialization"), inside("SegmentURL"), inside("SegmentURL")),
    ]
    more = draw(st.lists(st.one_of(st.sampled_from(segments), elements, uris.map("<BaseURL>%s</BaseURL>".__mod__)), max_size=3))
    adaptation = inside("AdaptationSet", *more, inside("Representation", draw(st.sampled_from(segments))))
    periods = [inside("Period", adaptation) for _period in range(draw(st.integers(1, 2)))]
    head = draw(
        st.sampled_from(["", '<?xml version="1.0"?>', '<?xml version="1.0" encoding="%s"?>' % draw(st.text("utf-16EBCDIC37", max_size=8))])
    )
    mpd = head + written("MPD", {**draw(fields), "type": draw(st.sampled_from(["dynamic", "static", ""]))}, "".join(periods))
    return mpd.encode(draw(st.sampled_from(["utf-8", "utf-16", "latin-1"])), "replace")


raw = st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))


def only(kinds, function, *args, **more):
    try:
        return function(*args, **more)
    except kinds as error:
        assert str(error)


@many
@given(st.one_of(playlists, long_playlists, raw, raw.map(b"#EXTM3U\n".__add__)), st.sampled_from([5, None]))
def test_playlists(data, newest):
    only(LvsError, m3u8.parse, data, BASE, newest=newest, variables={"x": "y"})


@many
@given(st.one_of(manifests(), elements.map(lambda text: ("<MPD>%s</MPD>" % text).encode("utf-8", "replace")), raw))
def test_manifests(data):
    found = only(LvsError, dash.parse, data, BASE, 1.7e9, is_own=Place("192.0.2.1", 80).is_own)
    if found and found.segments:
        dash.Playlists().media(found)


@many
@given(
    st.lists(
        st.one_of(st.text(max_size=40), words.map("%s%%".__mod__), st.sampled_from(["up", "drain # x", "50%", "maint\x1b"])), max_size=5
    )
)
def test_agents(said):
    load = verdicts.Load()
    for line in said:
        load.hear(line)
        assert 0 <= load.share <= 1 and load.said.isprintable() and len(load.said) <= verdicts.LONGEST_SAID


@many
@given(raw)
def test_certificates(der):
    assert certificates.ends_at(der) is None


# --- answers ------------------------------------------------------------------------------------------------------------------------


class Writer:
    """Nobody reads what is written."""

    transport = property(lambda self: self)

    def write(self, data):
        pass

    def abort(self):
        pass


def answered(function, data):
    """What a coroutine that takes (reader, writer) makes of an answer, which comes in parts."""

    async def run():
        reader = asyncio.StreamReader()
        for part in data:
            reader.feed_data(part)
        reader.feed_eof()
        return await asyncio.wait_for(function(reader, Writer()), 20)

    return asyncio.run(run())


def fetched(data):
    async def fetch(reader, writer):
        async def dial(address):
            if reader.at_eof():
                raise OSError("nobody listens")
            return reader, writer

        return await http.fetch(dial, BASE, 1000)

    return answered(fetch, data)


def described(data):
    check = protocols.Rtsp({"path": "/live", "login_file": "/nonexistent"})
    check._login = lambda: ("user", "pässword")

    class Here(Place):
        async def connect(self, name=None):
            return self.stream

    async def ask(reader, writer):
        place = Here("192.0.2.1", 554)
        place.stream = reader, writer
        return await check(place, 0)

    return answered(ask, data)


versions = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"RTSP/1.0", b"ICY", b"HTTP/2", b"SIP/2.0"])
codes = st.one_of(
    st.sampled_from([b"200", b"401", b"302", b"100", b"101", b"204", b"304", b"500"]), st.integers(-1, 10**5).map(b"%d".__mod__)
)
names = st.sampled_from(
    [b"Content-Length", b"Transfer-Encoding", b"Location", b"WWW-Authenticate", b"Content-Encoding", b"Content-Type", b"X", b""]
)
said = st.one_of(
    st.sampled_from(
        [b"chunked", b"gzip", b"5", b"application/sdp", b'Digest realm="\xe9", nonce=a, qop="auth"', b"Basic x", b"/again", b"//\xe9/"]
    ),
    st.sampled_from(
        [b"9" * 5000, b"Digest " + b"a" * 5000, b"Digest nonce=\tx, algorithm=sha-256, opaque=\xc3\xa9", b"http://[/", b"x" * 9000]
    ),
    st.binary(max_size=30),
)
heads = st.tuples(versions, codes, st.binary(max_size=10), st.lists(st.tuples(names, said).map(b": ".join), max_size=5)).map(
    lambda one: b"\r\n".join([b"%b %b %b" % one[:3], *one[3], b"", b""])
)
bodies = st.one_of(
    st.just(b""),
    st.just(b"v=0\r\n"),
    st.sampled_from([b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"-1\r\n", b"F" * 30]),
    st.binary(max_size=60),
)
answers = st.lists(st.one_of(heads, bodies), min_size=1, max_size=4).map(b"".join)
in_parts = st.one_of(answers, raw).flatmap(
    lambda data: st.integers(1, 40).map(lambda size: [data[at : at + size] for at in range(0, min(len(data), 2000), size)] + [data[2000:]])
)
in_parts = in_parts.map(lambda parts: [part for part in parts if part])


@many
@given(in_parts)
def test_http_answers(parts):
    only((http.Broken, http.TooLong, LvsError, OSError), fetched, parts)


@many
@given(in_parts)
def test_rtsp_answers(parts):
    only((Trouble, Unknown), described, parts)


# --- time ---------------------------------------------------------------------------------------------------------------------------

# The yardstick is a piece of work that takes 10 ms on the machine where 50 ms are the most that a reader may take.
REFERENCE = b"<MPD>%s</MPD>" % (b'<S d="2000"/>' * 37000)
MOST = 5

DEFINE = b"#EXT-X-DEFINE:"
X = DEFINE + b'NAME="x",VALUE="yy"\n'
PLAYLISTS = {
    "line ends": filled(M3U, b"\n", ENTRY),
    "carriage returns": filled(M3U, b"\r", ENTRY),
    "blank lines": filled(M3U, b" \n", ENTRY),
    "blanks": filled(M3U, b" ", ENTRY),
    "comments": filled(M3U, b"#\n", ENTRY),
    "signs": filled(M3U, b"#", ENTRY),
    "one line": filled(M3U, b"a", b"\n" + ENTRY),
    "addresses": filled(M3U, b"a\n", ENTRY),
    "segments": filled(M3U, ENTRY),
    "tags": filled(M3U, b"#EXT\n", ENTRY),
    "durations": filled(M3U, b"#EXTINF:1\n", b"a\n"),
    "one duration": filled(M3U + b"#EXTINF:1.", b"1", b"\na\n"),
    "parts": filled(M3U, b'#EXT-X-PART:URI="a"\n'),
    "maps": filled(M3U, b'#EXT-X-MAP:URI="a"\n' + ENTRY),
    "ranges": filled(M3U, b"#EXT-X-BYTERANGE:1\n" + ENTRY),
    "variants": filled(b"#EXTM3U\n", b"#EXT-X-STREAM-INF\na\n"),
    "long word": filled(M3U + DEFINE, b"A", b"\n" + ENTRY),
    "long words": filled(M3U, DEFINE + b"A" * 5000 + b"\n", ENTRY),
    "blanks in attributes": filled(M3U + DEFINE, b"A ", b"\n" + ENTRY),
    "many attributes": filled(M3U + DEFINE, b"A=1,", b"\n" + ENTRY),
    "open quotes": filled(M3U + DEFINE, b'A="', b"\n" + ENTRY),
    "open quotes in lines": filled(M3U, DEFINE + b'A="\n', ENTRY),
    "one open quote": filled(M3U + DEFINE + b'A="', b"A=", b"\n" + ENTRY),
    "variables": filled(M3U + X + b"#EXTINF:1\n", b"{$x}", b"\n"),
    "variables in lines": filled(M3U + X, b"#EXTINF:1\n{$x}{$x}\n"),
    "unknown variables": filled(M3U + X, b"{$", ENTRY),
    "a long variable": filled(M3U + DEFINE + b'NAME="x",VALUE="' + b"y" * 9000 + b'"\n', b"{$x}\n"),
    "doubled variables": filled(M3U + X, b'#EXT-X-DEFINE:NAME="x",VALUE="{$x}{$x}"\n', ENTRY),
    "query": filled(M3U, DEFINE + b'QUERYPARAM="token"\n', ENTRY),
    "no text": filled(M3U, b"\xff", ENTRY),
    "marks": filled(M3U + b"#EXTINF:1\n//", "\u0301\u0323".encode(), b"/\n"),
    "marks in lines": filled(M3U, b"#EXTINF:1\n//" + "\u0301\u0323".encode() * 2000 + b"/\n"),
}
S, ADAPTATION = b'<S d="2"/>', b"<AdaptationSet><Representation/></AdaptationSet>"
OPEN, CLOSE = b'<MPD type="dynamic">', b"</MPD>"
TYPED = b'<!DOCTYPE MPD [<!ENTITY a "%s">]>'
MANIFESTS = {
    "items": manifest(S * 40000),
    "more items": manifest(S * 47900),
    "too many items": manifest(S * 51000),
    "items until the next": manifest(b'<S t="1" d="2" r="-1"/>' * 22000),
    "repeated items": manifest(b'<S d="1" r="999999"/>' * 20000),
    "long numbers": manifest(b'<S t="%s" d="1"/>' % (b"9" * 4000) * 130),
    "empty items": manifest(b"<S/>" * 47900),
    "nested": filled(OPEN, b"<a>"),
    "nested less": OPEN + b"<a>" * 23000 + b"</a>" * 23000 + CLOSE,
    "attributes": OPEN[:-1] + b"".join(b' a%d=""' % number for number in range(45000)) + b"/>",
    "long attribute": filled(b'<MPD type="', b"x", b'"/>'),
    "periods": filled(OPEN, PERIOD, CLOSE),
    "adaptations": filled(OPEN + b"<Period>", ADAPTATION, b"</Period>" + CLOSE),
    "representations": filled(OPEN + b"<Period><AdaptationSet>", b"<Representation/>", b"</AdaptationSet></Period>" + CLOSE),
    "bases": filled(OPEN, b"<BaseURL/>", CLOSE, 450000),
    "bases in periods": filled(OPEN, PERIOD.replace(b"<Rep", b"<BaseURL>a/</BaseURL><Rep"), CLOSE),
    "templates": filled(OPEN, b'<SegmentTemplate media="a"/>', PERIOD + CLOSE),
    "names": filled(OPEN, b'<a xmlns:b="c"/>', CLOSE),
    "template": filled(
        OPEN + b'<Period><AdaptationSet><SegmentTemplate duration="1" media="',
        b"$Number%999d$",
        b'"/><Representation/></AdaptationSet></Period>' + CLOSE,
    ),
    "references": filled(OPEN, b"&lt;", CLOSE),
    "text": filled(OPEN, b"x", CLOSE),
    "line ends": filled(OPEN, b"\n", CLOSE),
    "comment": filled(b"<!--", b"-", b""),
    "comments": filled(b"", b"<!---->", OPEN + CLOSE),
    "instructions": filled(b"", b"<?a?>", OPEN + CLOSE),
    "signs": filled(OPEN, b"<"),
    "cdata": filled(OPEN, b"<![CDATA[]]>", CLOSE),
    "bomb": (BOMB % "").encode(),
    "bomb in UTF-16": (BOMB % ' encoding="UTF-16"').encode("utf-16"),
    "late bomb": filled(b"<!--", b" ", b"-->" + (BOMB % "").partition("?>")[2].encode()),
    "square": filled(TYPED % (b"x" * 250000) + OPEN, b"&a;", CLOSE),
    "late square": filled(b"<!--" + b" " * 250000 + b"-->" + TYPED % (b"x" * 130000) + OPEN, b"&a;", CLOSE),
    "late square in an attribute": filled(b"<!--" + b" " * 250000 + b"-->" + TYPED % (b"x" * 130000) + OPEN[:-1] + b' b="', b"&a;", b'"/>'),
    "late UTF-16": (b"<!--" + b" " * 100000 + b"-->" + (BOMB % "").partition("?>")[2].encode()).decode().encode("utf-16"),
}


@contextlib.contextmanager
def no_collection():
    """What the tests themselves hold in memory is none of the reader's work."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def taken(function, *args, **more):
    begin = time.thread_time()
    only(LvsError, function, *args, **more)
    return time.thread_time() - begin


@pytest.mark.parametrize("shape", PLAYLISTS)
def test_no_playlist_takes_long(shape):
    assert len(PLAYLISTS[shape]) <= LIMIT
    _bounded(m3u8.parse, PLAYLISTS[shape], BASE, newest=5)


@pytest.mark.parametrize("shape", MANIFESTS)
def test_no_manifest_takes_long(shape):
    assert len(MANIFESTS[shape]) <= LIMIT
    _bounded(dash.parse, MANIFESTS[shape], BASE, 1.7e9, is_own=Place("192.0.2.1", 80).is_own)


def _bounded(function, *args, **more):
    with no_collection():
        # By turns, and the least of them: what else this machine does slows all down.
        pairs = [(taken(ElementTree.fromstring, REFERENCE), taken(function, *args, **more)) for _run in range(5)]
    reference, own = map(min, zip(*pairs))
    print("%.1f ms, %.2f of the reference (%.1f ms)" % (1000 * own, own / reference, 1000 * reference))
    assert own < MOST * reference
