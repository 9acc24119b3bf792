"""The corpus: what one case says, and a server that says it over a real socket. tests/corpus/README.md describes the files.

A case is a stream that has been on air for ``LEAD`` seconds when somebody first asks for it. From then on it follows a clock that its user
brings, so that a test need not wait. Without the film (tests/oracle/media.py) a segment is ``SIZE`` bytes a second of nothing: enough for
checks.
"""

import asyncio
import datetime
import email.utils
import functools
import gzip
import hashlib
import re
import time
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

FOLDER = Path(__file__).parents[1] / "corpus"
PLAYED, DIFFERENCES = FOLDER / "played.json", FOLDER / "differences.yml"
LEAD, KEPT, SIZE = 60, 40, 2048
# Key and initialization vector of encrypted segments.
KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
SECTION = re.compile(r"^--- (/[^\t]*?|[A-Z]+)(?:\t(\d{3}))?(?:\t(\S.*))?$")
PLACEHOLDER = re.compile(r"\{\{(.+?)\}\}")
LOOP = re.compile(r"\{\{for (\w+) in (.+)\}\}$")
CONDITION = re.compile(r"\{\{if (.+?)\}\}")
KINDS = {"m3u8": "application/vnd.apple.mpegurl", "mpd": "application/dash+xml", "ts": "video/mp2t", "aac": "audio/aac", "vtt": "text/vtt"}
FIELDS = {
    "like", "about", "seconds", "first", "unit", "pieces", "track", "shift", "missing", "elsewhere", "lines", "bom", "encoding", "hex",
    "raw", "encrypt", "gzip", "late", "stands", "play", "looks", "options", "expect", "share",
}  # fmt: skip


class Case:
    """One file of the corpus: its options, and its pages by the target they are asked for with; the first is the one that is played."""

    def __init__(self, path):
        self.kind, self.name = path.parent.name, "%s/%s" % (path.parent.name, path.stem)
        text = path.read_bytes().decode("utf-8")
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        head, *pages = re.split(r"^(?=--- )", text, flags=re.MULTILINE)
        self.options = yaml.safe_load(head) or {}
        unknown = set(self.options) - FIELDS
        assert not unknown, "%s: unknown options %s" % (path, sorted(unknown))
        self.pages = {}
        for page in pages:
            title, _end, body = page.partition("\n")
            found = SECTION.match(title)
            assert found, "%s: %r is not a title of a page" % (path, title)
            self.pages[found[1]] = (int(found[2] or 200), found[3], body)
        self.path = next(iter(self.pages))
        self.seconds = self.options.get("seconds", 1)

    def __repr__(self):
        return self.name


@functools.lru_cache(None)
def cases(*kinds):
    """All cases of these folders, in order."""
    return tuple(Case(path) for kind in kinds for path in sorted((FOLDER / kind).glob("*.txt")))


def iso(seconds):
    """``2027-01-15T08:00:00.250Z``"""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@functools.lru_cache(None)
def _compiled(expression):
    return compile("f'''{%s}'''" % expression, expression, "eval")


def render(text, names):
    """A page with its placeholders filled in. names: what their expressions may use."""
    lines, out, at = text.split("\n"), [], 0
    while at < len(lines):
        loop = LOOP.match(lines[at])
        if loop:
            depth, last = 1, at
            while depth:
                last += 1
                depth += bool(LOOP.match(lines[last])) - (lines[last] == "{{end}}")
            body = "\n".join(lines[at + 1 : last])
            out += [render(body, {**names, loop[1]: value}) for value in eval(loop[2], dict(names))]
            at = last + 1
            continue
        line, at = lines[at], at + 1
        condition = CONDITION.match(line)
        if condition:
            if not eval(condition[1], dict(names)):
                continue
            line = line[condition.end() :]
        out.append(PLACEHOLDER.sub(lambda found: eval(_compiled(found[1]), dict(names)), line))
    return "\n".join(out)


class Film:
    """What tests/oracle/media.py made."""

    def __init__(self, folder):
        self.read = functools.lru_cache(None)(lambda track, name: (folder / track / name).read_bytes())

    def init(self, track):
        return self.read(track, "init.mp4")

    def segment(self, track, first, count, shift=0):
        """``count`` seconds from ``first`` on, whose timestamps are ``shift`` seconds later than those of the film."""
        ending = track if track in ("ts", "aac") else "m4s"
        data = b"".join(self.read(track, "%d.%s" % (number, ending)) for number in range(first, first + count))
        return _later(data, shift, _timescales(self.init(track))) if shift else data


class Nothing:
    """Stands for the film where nobody decodes it."""

    def init(self, track):
        return bytes(SIZE)

    def segment(self, track, first, count, shift=0):
        return bytes(SIZE * count)


def _boxes(data, path, start=0, end=None):
    """Where the content of each box of this path begins (ISO/IEC 14496-12)."""
    end = len(data) if end is None else end
    while start < end:
        size, name = int.from_bytes(data[start : start + 4], "big"), bytes(data[start + 4 : start + 8])
        if name == path[0]:
            if path[1:]:
                yield from _boxes(data, path[1:], start + 8, start + size)
            else:
                yield start + 8
        start += size


def _timescales(init):
    """{track: units a second}"""
    tracks = [int.from_bytes(init[at + 12 : at + 16], "big") for at in _boxes(init, (b"moov", b"trak", b"tkhd"))]
    scales = [int.from_bytes(init[at + 12 : at + 16], "big") for at in _boxes(init, (b"moov", b"trak", b"mdia", b"mdhd"))]
    return dict(zip(tracks, scales))


def _later(data, shift, scales):
    data = bytearray(data)
    headers, times = (list(_boxes(data, (b"moof", b"traf", name))) for name in (b"tfhd", b"tfdt"))
    for header, at in zip(headers, times):
        assert data[at] == 1, "a time of 64 bits"
        moment = int.from_bytes(data[at + 4 : at + 12], "big")
        moment += round(shift * scales[int.from_bytes(data[header + 4 : header + 8], "big")])
        data[at + 4 : at + 12] = moment.to_bytes(8, "big")
    return bytes(data)


class Server:
    """A case on a port of its own. now: the clock, seconds since 1970; film: a Film, or nothing where checks alone will ask."""

    def __init__(self, case, now=time.time, film=None):
        self.case, self.now, self.film = case, now, film or Nothing()
        self.waits = film is not None  # a request that blocks until a segment is there does not go with a clock of a test's own
        self.began, self.asked, self.servers = None, [], []

    async def start(self, address="127.0.0.1", port=0):
        self.servers.append(await asyncio.start_server(self._serve, address, port))
        self.port = self.servers[0].sockets[0].getsockname()[1]

    def close(self):
        for server in self.servers:
            server.close()

    @property
    def elapsed(self):
        """Seconds that the stream has been on air."""
        if self.began is None:
            self.began = self.now()
        since, stands = self.now() - self.began, self.case.options.get("stands")
        return LEAD + (since if stands is None else min(since, stands))

    @property
    def newest(self):
        return int(self.elapsed // self.case.seconds) - 1

    def names(self, host="127.0.0.1"):
        """What the expressions of a case may use."""
        seconds, elapsed = self.case.seconds, self.elapsed
        seq, piece, begin = int(elapsed // seconds) - 1, int(elapsed) - 1, self.began - LEAD
        track = self.case.options.get("track", "ts")

        def size(n):
            return len(self.film.segment(track, n * seconds, seconds))

        return {
            "n": seq, "seq": seq, "piece": piece, "last": lambda count: range(seq - count + 1, seq + 1),
            "pieces": lambda n: [number for number in range(n * seconds, (n + 1) * seconds) if number <= piece],
            "now": iso(self.now()), "begin": iso(begin), "iso": iso, "at": lambda n: begin + n * seconds,
            "time": lambda n: iso(begin + n * seconds), "size": size, "offset": lambda n: sum(size(number) for number in range(n)),
            "host": host, "base": "http://" + host, "other": "http://127.0.0.2:%d" % self.port, "bytes": lambda count: "x" * count,
        }  # fmt: skip

    def page(self, target, host="127.0.0.1"):
        """The bytes of a page."""
        options = self.case.options
        text = render(self.case.pages[target][2], self.names(host))
        if options.get("hex"):
            return bytes.fromhex(text)
        if options.get("raw") or self.case.kind == "rtsp":
            head, blank, body = text.replace("\n", "\r\n").partition("\r\n\r\n")
            return (head.replace("Content-Length: auto", "Content-Length: %d" % len(body.encode())) + blank + body).encode()
        ends = {"crlf": "\r\n", "cr": "\r"}.get(options.get("lines"), "\n")
        text = (text.rstrip("\n") if options.get("lines") == "unended" else text).replace("\n", ends)
        return (b"\xef\xbb\xbf" if options.get("bom") else b"") + text.encode(options.get("encoding", "utf-8"))

    def media(self, target):
        """The bytes of a segment, and their Content-Type; None and it for what is not there."""
        encrypts = self.case.options.get("encrypt")
        if encrypts and target.endswith(".key"):
            return KEY, "application/octet-stream"
        data, kind = self._plain(target)
        return (_encrypted(data) if encrypts and data else data), kind

    def _plain(self, target):
        options, seconds = self.case.options, self.case.seconds
        parts = urlsplit(unquote(target))
        name = parts.path.rpartition("/")[2]
        ending = name.rpartition(".")[2] if "." in name else "m4s"
        if ending == "vtt":
            return b"WEBVTT\n\n00:00.000 --> 99:00:00.000\n.\n", KINDS["vtt"]
        track = options.get("track") or _track(parts.path, ending, self.case.kind)
        kind = KINDS.get(ending) or ("audio/mp4" if track == "audio" else "video/mp4")
        if "init" in name.lower():
            return self.film.init(track), kind
        digits = re.findall(r"\d+", name.rpartition(".")[0] or name) or re.findall(r"\d+", parts.query)
        if not digits:  # all of it in one file
            return self.film.segment(track, 0, (self.newest + 1) * seconds), kind
        value, names = int(digits[-1]), self.names()
        shift = eval(str(options.get("shift", 0)), names)
        if options.get("pieces") and re.search(options["pieces"], target):
            return (self.film.segment(track, value, 1, shift) if 0 <= value <= names["piece"] else None), kind
        number = round((value - eval(str(options.get("first", 0)), names)) / options.get("unit", 1))
        if not max(0, self.newest - KEPT) <= number <= self.newest - options.get("late", 0):
            return None, kind
        return self.film.segment(track, number * seconds, seconds, shift), kind

    async def _serve(self, reader, writer):
        try:
            await (self._speak(reader, writer) if self.case.kind == "rtsp" else self._answer(reader, writer))
            await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass
        writer.close()

    async def _speak(self, reader, writer):
        """One RTSP request after the other; what the case has no answer to ends the connection."""
        while True:
            method = (await reader.readuntil(b"\r\n\r\n")).split()[0].decode("ascii", "replace")
            self.asked.append(method)
            if method not in self.case.pages:
                return
            writer.write(self.page(method))
            await writer.drain()

    async def _answer(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _protocol = head.split("\r\n", 1)[0].split(" ")
        fields = {name.lower(): value for name, _colon, value in (line.partition(": ") for line in head.split("\r\n")[1:])}
        host, options = fields.get("host", "127.0.0.1"), self.case.options
        self.asked.append(target)
        address = await self._page_of(target)
        if address and options.get("raw"):
            writer.write(self.page(address, host))
            return
        status, kind, data, more = 404, None, None, ""
        if address:
            status, kind, _body = self.case.pages[address]
            data = self.page(address, host)
            if 300 <= status < 400:
                more, kind = "Location: %s\r\n" % render(kind, self.names(host)), None
            kind = kind or KINDS.get(urlsplit(address).path.rpartition(".")[2], "text/html")
            if options.get("gzip"):
                data, more = gzip.compress(data), "Content-Encoding: gzip\r\n"
        elif self._is_there(target, writer):
            data, kind = self.media(target)
            status = 404 if data is None else 200
        data = data or b""
        found = re.match(r"bytes=(\d+)-(\d*)", fields.get("range", ""))
        if status == 200 and found and not address:
            first, last = int(found[1]), min(int(found[2] or len(data)), len(data) - 1)
            status, more = 206, "Content-Range: bytes %d-%d/%d\r\n" % (first, last, len(data))
            data = data[first : last + 1]
        line = "HTTP/1.1 %d %s\r\nDate: %s\r\n" % (
            status,
            "OK" if status < 300 else "Other",
            email.utils.formatdate(self.now(), usegmt=True),
        )
        kind = "Content-Type: %s\r\n" % kind if kind else ""
        # A player in a page may read what comes from another port.
        allowed = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: *\r\nAccess-Control-Expose-Headers: *\r\n"
        head = "%s%s%s%sContent-Length: %d\r\nConnection: close\r\n\r\n" % (line, kind, more, allowed, len(data))
        writer.write(head.encode() + (b"" if method == "HEAD" else data))

    async def _page_of(self, target):
        """Which of the case's pages is meant; of a low-latency playlist, once it has the segment that is asked for."""
        if target in self.case.pages:
            return target
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        wanted = int(query["_HLS_msn"][0]) - self.case.options.get("first", 0) if "_HLS_msn" in query else -1
        deadline = time.monotonic() + 3
        while self.waits and wanted > self.newest and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        left = "&".join("%s=%s" % (name, query[name][0]) for name in query if name not in ("_HLS_msn", "_HLS_part"))
        addresses = (parts.path + ("?" + left if left else ""), parts.path, unquote(parts.path))
        return next((address for address in addresses if address in self.case.pages), None)

    def _is_there(self, target, writer):
        options, own = self.case.options, writer.get_extra_info("sockname")[0] == "127.0.0.1"
        if options.get("missing") and re.search(options["missing"], target):
            return False
        return not (own and options.get("elsewhere") and re.search(options["elsewhere"], target))


def _encrypted(data):
    """As EXT-X-KEY with METHOD=AES-128 and ``IV`` says it."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    encryptor = Cipher(algorithms.AES(KEY), modes.CBC(KEY)).encryptor()
    missing = 16 - len(data) % 16
    return encryptor.update(data + bytes([missing]) * missing) + encryptor.finalize()


def _track(path, ending, kind):
    if ending in ("ts", "aac"):
        return ending
    if re.search(r"audio|mp4a|\.m4a|\.cmfa|/a[-_/\d]|_a[-_.\d]", path):
        return "audio"
    return "video" if kind == "dash" or re.search(r"video|\.m4v|\.cmfv", path) else "muxed"
