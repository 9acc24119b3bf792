# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a server's live stream can be played: HLS and DASH, judged as players judge.

A verdict against a server needs a reason that would stop a player as well. What this program does not understand, and what belongs to
another server, does not count against it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import email.utils
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.lvsdr.checks.outcomes import Foreign, Trouble, Unknown, shown_path
from ansible.module_utils.lvsdr.errors import LvsError, NotUnderstood
from ansible.module_utils.lvsdr.streams import dash, hls, http, m3u8

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from ansible.module_utils.lvsdr.checks.outcomes import Peer

    Parsed = TypeVar("Parsed")

# Longer ones are read in a thread, so that no other check waits for them. One after the other: more at the same time would take
# memory, and the interpreter's lock from the loop, and read no faster.
INLINE = 16 << 10
READER = concurrent.futures.ThreadPoolExecutor(1, "reader")
# How many of a master's variants are tried, and of the newest segments.
VARIANTS, CANDIDATES = 3, 4
# Reasons for which players take no other variant.
STAYS = ("still", "back", "ended")
# Master playlists within a master playlist, which no RFC allows, and which ffmpeg follows.
NESTED = 1


class Seen(NamedTuple):
    """How far a stream has come: its ``end``, ``since`` when, where the playlist began then, and where it ended at the ``last`` look."""

    end: tuple[float, ...]
    since: float
    first: tuple[float, ...]
    last: tuple[float, ...]


class Live:
    """What is common to playlists of live streams: they move, and what players begin with can be fetched."""

    busy: str | None = None

    def __init__(self, options: dict[str, Any]) -> None:
        self.path: str = options["path"]
        self.seen: dict[str, Seen] = {}  # Seen of each stream that was looked at, by a word of its own
        self.fetched: list[m3u8.Resource] = []
        self.restarted: float | None = None

    async def look(self, place: Peer, now: float) -> str:
        raise NotImplementedError

    async def __call__(self, place: Peer, now: float) -> str:
        with place.in_a_row() as place:
            return await self.look(place, now)

    def take_over(self, former: Live) -> None:
        """Goes on from what another check knows of the same stream."""
        if former.path == self.path:
            self.seen, self.fetched, self.restarted = former.seen, former.fetched, former.restarted

    async def read(self, function: Callable[..., Parsed], data: bytes, *args: Any, **more: Any) -> Parsed:
        """What a parser makes of data; Trouble where it is not of that kind, Unknown where that can't be decided."""
        self.busy = "reading the answer"
        try:
            if len(data) <= INLINE:
                result = function(data, *args, **more)
            else:
                result = await asyncio.get_running_loop().run_in_executor(READER, lambda: function(data, *args, **more))
        except NotUnderstood as error:
            raise Unknown(error.message)
        except LvsError as error:
            raise Trouble(error.message, "playlist")
        self.busy = None
        return result

    def moved(self, first: tuple[float, ...], end: tuple[float, ...], now: float, patience: float, word: str, stream: str = "") -> None:
        """Trouble where the end has not moved for too long, or goes back again and again.

        first, end: where the playlist begins and ends, tuples, the greater the later. One that ends within the one before is an older copy,
        as several caches of one origin hold them; players wait for the next one.
        """
        seen = self.seen.setdefault(stream, Seen(end, now, first, end))
        if end > seen.end or seen.last < end < seen.end:
            # Further; or a packager that was restarted goes on from an earlier place, which lay in the playlist before.
            self.seen[stream] = Seen(end, now, first, end)
        elif end < seen.end and end <= seen.first:
            self.seen[stream] = Seen(end, now, first, end)
            again = self.restarted is not None and now - self.restarted < 10 * patience
            self.restarted = now
            words = "the %s went back from %g to %g" % (word, seen.end[0], end[0])
            if again:
                raise Trouble(words + " once more", "back")
            # A packager that was restarted counts from the beginning: players follow that.
            raise Unknown(words)
        else:
            self.seen[stream] = seen._replace(last=end)
        since = self.seen[stream].since
        if now - since > patience:
            raise Trouble(
                "the %s has not changed for %.0f s (new segments are due every %g s)" % (word, now - since, round(patience / 2, 1)), "still"
            )

    async def fetch(self, place: Peer, resource: m3u8.Resource) -> None:
        """Each file once: whether a byte of it came. Foreign for that of another server."""
        if resource in self.fetched:
            return
        if not place.is_own(resource.uri):
            raise Foreign(resource.uri)
        answer = await place.get(resource.uri, limit=0, enough=1, byte_range=resource.byte_range)
        if not answer.size:
            raise Trouble("%s: it is empty" % shown_path(resource.uri), "empty")
        self.fetched = [resource, *self.fetched[:7]]

    async def fetch_newest(self, place: Peer, candidates: Sequence[tuple[m3u8.Resource, m3u8.Resource | None]]) -> str:
        """The newest segment, or the ones before it, with which players begin.

        candidates: (resource, its init or None), newest first. Trouble where none of the newest CANDIDATES is there: players tolerate one
        that is missing, or that is listed before it is there.
        """
        trouble: Trouble | None = None
        for resource, init in candidates[:CANDIDATES]:
            try:
                if init:
                    await self.fetch(place, init)
                await self.fetch(place, resource)
                return shown_path(resource.uri).rpartition("/")[2]
            except Foreign:
                return "on another server"
            except Trouble as error:
                trouble = trouble or error
        assert trouble is not None  # there was one candidate at least
        raise trouble


class Hls(Live):
    """The live playlist moves within two target durations, has no end, and its newest segment can be fetched."""

    async def look(self, place: Peer, now: float) -> str:
        try:
            playlist = await self._playlist(place, place.base() + self.path)
            if isinstance(playlist, m3u8.Media):
                return await self._judge(place, playlist, now)
            return await self._variants(place, playlist, now)
        except Foreign as error:
            return "led to another server, %s" % http.shown(str(error))

    async def _judge(self, place: Peer, playlist: m3u8.Media, now: float, stream: str = "") -> str:
        if playlist.ended:
            raise Trouble("the live playlist has ended (EXT-X-ENDLIST)", "ended")
        there = [segment for segment in playlist.segments if not segment.gap]
        candidates = [(segment.media, segment.init) for segment in reversed(there)]
        init = playlist.segments[-1].init if playlist.segments else None
        candidates = [(part, init) for part in reversed(playlist.parts[-1:])] + candidates
        if not candidates:
            raise Trouble("the playlist has no segment" + (" except gaps" if playlist.segments else ""), "empty")
        end = (playlist.end, len(playlist.parts))
        self.moved((playlist.sequence, 0), end, now, 2 * max(1, playlist.target_duration), "playlist", stream)
        following = playlist.end
        # Not kept while a slow server sends its segment.
        del playlist, there
        await self.fetch_newest(place, candidates)
        return "segment %d" % (following - 1)

    async def _playlist(self, place: Peer, url: str, variables: dict[str, str] | None = None) -> m3u8.Master | m3u8.Media:
        answer = await place.get(url)
        return await self.read(m3u8.parse, answer.body, answer.url, newest=hls.START + 2, variables=variables)

    async def _variants(self, place: Peer, master: m3u8.Master, now: float, depth: int = NESTED, stream: str = "") -> str:
        """The first variant that plays: players take another one where the first can't be loaded, and stay with a frozen one."""
        own = [url for url in dict.fromkeys(master.variants) if place.is_own(url)]
        if not own:
            raise Foreign(master.variants[0])
        trouble: Trouble | None = None
        for number, url in enumerate(own[:VARIANTS]):
            inner = "%s%d." % (stream, number)
            try:
                playlist = await self._playlist(place, url, master.variables)
                if isinstance(playlist, m3u8.Media):
                    return await self._judge(place, playlist, now, inner)
                if not depth:
                    raise Trouble("%s: a master playlist in a master playlist" % shown_path(url), "playlist")
                return await self._variants(place, playlist, now, depth - 1, inner)
            except Trouble as error:
                if error.kind in STAYS:
                    raise
                trouble = trouble or error
        assert trouble is not None  # there was one variant at least
        raise trouble


class Dash(Live):
    """The live manifest moves within two segments, has no end, and its newest segment can be fetched."""

    async def look(self, place: Peer, now: float) -> str:
        try:
            answer = await place.get(self.path)
        except Foreign as error:
            return "led to another server, %s" % http.shown(str(error))
        # By the server's own clock, which players have to use as well.
        manifest = await self.read(dash.parse, answer.body, answer.url, _clock(answer), is_own=place.is_own)
        if not manifest.live:
            raise Trouble("the live manifest has ended (type static)", "ended")
        if not manifest.segments and manifest.odd:
            raise Unknown("the manifest names no segment that can be looked at")
        if not manifest.segments:
            raise Trouble("the manifest has no segment", "empty")
        if manifest.end is not None:
            first, patience = manifest.segments[0].start, 2 * max(1, manifest.duration, manifest.update)
            self.moved((round(first, 3),), (round(manifest.end, 3),), now, patience, "manifest")
        return await self.fetch_newest(place, [(part.media, part.init) for part in reversed(manifest.segments)])


def _clock(answer: http.Answer) -> float:
    try:
        return email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return time.time()
