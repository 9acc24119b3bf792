# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a player of HLS (RFC 8216) does, without a socket or a clock. Pure.

``Player`` is given what arrived and when, and returns what to do next and when. All times are seconds of any clock that only goes forward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.streams import messages

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.errors import Line
    from ansible.module_utils.lvsdr.streams.m3u8 import Media, Segment

# A live stream is entered this many segments before its end: nearer to it, each late segment would be a stall (RFC 8216 6.3.3).
START = 3
# Target durations without a new segment after which a live stream counts as dead.
STALE = 3
# Seconds of stream that a player holds; it loads no further ahead, so a recording is not fetched faster than it is watched.
AHEAD = 30.0
# A target duration of 0 is allowed, but no player may reload without a pause.
SHORTEST = 0.25
# How often a segment is asked for, and the seconds between.
ATTEMPTS = 4
PAUSE = 0.5


class Step(NamedTuple):
    """What a player does next: ``load`` the playlist, ``fetch`` the segment, not before ``at``; or ``stop``."""

    action: str
    at: float
    segment: Segment | None = None


class Player:
    """A viewer's player that loads until it has ``duration`` seconds of stream, or ``max_segments``.

    It needs no longer than it takes to have them: whatever comes later cannot stall what is in the buffer already.

    ``stalls`` and ``stalled_seconds``: the buffer ran empty before the next segment was there. ``jumps``: playing went on elsewhere,
    because segments could not be loaded, or left the playlist first, or the numbers began again. ``older``: playlists older than the one
    before, as a viewer gets them that is sent to another server each time. ``problems``: what the jumps were. stream: how messages name it.
    """

    def __init__(self, now: float, duration: float = 10.0, max_segments: int | None = None, stream: str = "the stream") -> None:
        self.stream = stream
        self.duration = duration
        self.max_segments = max_segments
        self.media: Media | None = None
        self.segments = self.bytes = self.reloads = self.stalls = self.jumps = self.older = 0
        self.buffered = self.stalled_seconds = 0.0
        self.startup_seconds: float | None = None
        self.problems: list[Line] = []
        self._began = now
        self._next = 0  # number of the segment to fetch, once there is a playlist
        self._attempts = 0
        self._retry_at = self._reload_at = now
        self._changed_at = now
        self._empty_at: float | None = None  # when the buffer runs empty, if nothing more comes

    def step(self, now: float) -> Step:
        """The next Step. Raises nothing."""
        if self.buffered >= self.duration or (self.max_segments and self.segments >= self.max_segments):
            return Step("stop", now)
        reload = Step("load", max(now, self._reload_at))
        if self.media is None:
            return reload
        index = self._next - self.media.sequence
        while index < len(self.media.segments) and self.media.segments[index].gap:
            # No player asks for it (RFC 8216bis, 6.3.3). Before the first segment it is not an interruption, a player begins behind it.
            if self._empty_at is not None:
                self._jump(messages.SEGMENT_GAP(number=self._next))
            self._next, index = self._next + 1, index + 1
        if index >= len(self.media.segments):
            return Step("stop", now) if self.media.ended else reload
        room_at = now if self._empty_at is None else self._empty_at - AHEAD
        fetch = Step("fetch", max(now, self._retry_at, room_at), self.media.segments[index])
        # A playlist that is due comes first: on a slow path the window moves on while old segments are being fetched.
        return fetch if self.media.ended or fetch.at < self._reload_at else reload

    def loaded(self, media: Media, began: float, now: float) -> None:
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
        if old is not None and restarted:
            self._jump(messages.SEGMENTS_RENUMBERED(former=old.sequence, number=media.sequence))
        if old is None or restarted:
            self._next = media.sequence if media.ended else max(media.sequence, media.end - START)
        elif media.sequence > self._next:
            self._jump(messages.SEGMENTS_LEFT_PLAYLIST(first=self._next, last=media.sequence - 1))
            self._next = media.sequence
        self.media = media
        # RFC 8216 6.3.4, counted from when the last request was sent; but slow playlists must leave time for segments.
        self._reload_at = max(began + (wait if changed else wait / 2), now + SHORTEST)
        if changed:
            self._changed_at = began
        elif not media.ended and now - self._changed_at > STALE * wait:
            unchanged = now - self._changed_at
            raise LvsError(messages.STREAM_STALE(stream=self.stream, seconds=unchanged, target=media.target_duration))

    def not_loaded(self, now: float) -> None:
        """A playlist did not come."""
        self._reload_at = now + max(self.media.target_duration if self.media else 0, SHORTEST) / 2

    def received(self, segment: Segment, size: int, now: float) -> None:
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

    def failed(self, segment: Segment, now: float, gone: bool = False) -> None:
        """A segment did not come. It is tried again a few times, unless the server answers that it is ``gone``."""
        self._attempts += 1
        self._retry_at = now + PAUSE
        if gone or self._attempts >= ATTEMPTS:
            self._jump(messages.SEGMENT_UNAVAILABLE(number=segment.sequence))
            self._go_on(segment)

    def close(self, now: float) -> None:
        """Playing was broken off: a viewer would be looking at a stall that is still going on."""
        if self._empty_at is not None and now > self._empty_at and self.step(now).action != "stop":
            self._stall(now)

    def _go_on(self, segment: Segment) -> None:
        self._next = segment.sequence + 1
        self._attempts = 0

    def _stall(self, now: float) -> None:
        assert self._empty_at is not None
        self.stalls += 1
        self.stalled_seconds += now - self._empty_at
        self._empty_at = now

    def _jump(self, problem: Line) -> None:
        self.jumps += 1
        self.problems.append(problem)
