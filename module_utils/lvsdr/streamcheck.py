# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""lvsdr-streamcheck: asks each real server for its streams, and tells keepalived through track files. A daemon, one on each director.

A server can answer 200 for ever while its live playlist stands still. Other checks are made here, too, where they shall have what
keepalived's own have not: hysteresis, a floor, a slow start, weights that follow a server's load. Each check takes the way of viewers
(resolve._check_services). The configuration is JSON, made by resolve.streamchecks; verdicts.py decides what a row of results means. When
this program ends or stalls, systemd removes the files, and keepalived goes by its own checks alone.

Sources: RFC 8216 (HLS), ISO/IEC 23009-1 (DASH), RFC 2326 (RTSP), Adobe's RTMP 1.0 specification (5.2), HAProxy's documentation of
agent-check, keepalived.conf(5) FILE_CHECK, sd_notify(3).
"""

import argparse
import asyncio
import contextlib
import functools
import http.server
import json
import os
import random
import re
import signal
import socket
import ssl
import sys
import threading
import time
from urllib.parse import urlsplit

from . import dash, hls, packets, verdicts
from .errors import LvsError

SO_MARK = 36
PLAYLIST_BYTES = 4 << 20
RTMP_VERSION, RTMP_BLOCK = 3, 1536


class Trouble(Exception):
    """Why a check fails, in words."""


class Unable(Exception):
    """Why this director can't check at all, which says nothing of the server."""


class Place:
    """Where a check goes: the VIP by way of one real server, or the server's own address."""

    def __init__(self, address, port, own=None, mark=None, host=None):
        self.address, self.port, self.own, self.mark = address, port, own, mark
        self.host = host or ("[%s]" % address if ":" in address else address)

    def _socket(self, kind):
        try:
            sock = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET, kind)
        except OSError as error:
            raise Unable("this director has no socket to ask with (%s)" % _reason(error))
        try:
            sock.setblocking(False)
            if self.mark is not None:
                sock.setsockopt(socket.SOL_SOCKET, SO_MARK, self.mark)
            if self.own:
                sock.bind((self.own, 0))
        except OSError as error:
            sock.close()
            raise Unable("this director can't ask from %s (%s)" % (self.own, _reason(error)))
        return sock

    async def ask(self, question):
        """The first packet that answers one (UDP)."""
        sock, loop = self._socket(socket.SOCK_DGRAM), asyncio.get_running_loop()
        try:
            await loop.sock_connect(sock, (self.address, self.port))
            await loop.sock_sendall(sock, question)
            return await loop.sock_recv(sock, 65535)
        except OSError as error:
            raise Trouble("no answer from %s port %d (%s)" % (self.address, self.port, _reason(error)))
        finally:
            sock.close()

    async def connect(self, tls=None, host=None):
        """(reader, writer). tls: an SSLContext; host: the name that the server is to have a certificate for."""
        sock = self._socket(socket.SOCK_STREAM)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (self.address, self.port))
            return await asyncio.open_connection(
                sock=sock, **({"ssl": tls, "server_hostname": host or self.host.strip("[]")} if tls else {})
            )
        except ssl.SSLError as error:
            sock.close()
            raise Trouble("no TLS with %s port %d (%s)" % (self.address, self.port, error.reason))
        except OSError as error:
            sock.close()
            raise Trouble("no connection to %s port %d (%s)" % (self.address, self.port, _reason(error)))
        except BaseException:  # also when the time is over
            sock.close()
            raise


def _reason(error):
    # asyncio puts the address into the words, which says it twice.
    return os.strerror(error.errno) if error.errno else str(error)


async def fetch(place, target, limit=PLAYLIST_BYTES, enough=None, host=None, tls=None):
    """(status, first line, body) of the answer to a GET; Trouble where there is none. enough: stop reading after so many bytes."""
    reader, writer = await place.connect(tls, host)
    try:
        # HTTP/1.0: one answer, no chunks, and its end is the connection's.
        writer.write(("GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: lvsdr-streamcheck\r\n\r\n" % (target, host or place.host)).encode())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line = head.split("\r\n")[0][:80]
            status = int(line.split()[1])
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError, IndexError):
            raise Trouble("%s: no answer that HTTP knows" % target)
        body = bytearray()
        while len(body) <= limit and (enough is None or len(body) < enough):
            part = await reader.read(65536)
            if not part:
                break
            body += part
        if len(body) > limit:
            raise Trouble("%s: longer than %d bytes" % (target, limit))
        return status, line, bytes(body)
    finally:
        # Not close(): that would wait for a TLS server's goodbye, for as long as it likes.
        writer.transport.abort()


async def get(place, target, limit=PLAYLIST_BYTES, enough=None):
    """Body of a GET; Trouble for anything but a success."""
    status, line, body = await fetch(place, target, limit, enough)
    if not 200 <= status < 300:
        raise Trouble("%s: %s" % (target, line))
    return body


class Tcp:
    """Somebody accepts a connection."""

    def __init__(self, options):
        pass

    async def __call__(self, place, now):
        (await place.connect())[1].close()
        return "connected"


class Http:
    """Each URL answers with a status of its range, and with a body that its expression fits."""

    tls = None

    def __init__(self, options):
        self.urls = [
            (url, *_range(url["status"]), re.compile(url["match"].encode()) if url.get("match") else None) for url in options["urls"]
        ]

    async def __call__(self, place, now):
        for url, low, high, pattern in self.urls:
            status, line, body = await fetch(place, url["path"], host=url.get("host"), tls=self.tls)
            if not low <= status <= high:
                raise Trouble("%s: %s" % (url["path"], line))
            if pattern and not pattern.search(body):
                raise Trouble("%s: the body has no %s" % (url["path"], url["match"]))
        return line


def _range(status):
    """The lowest and highest of ``200`` or ``200-299``."""
    low, _dash, high = str(status).partition("-")
    return int(low), int(high or low)


@functools.lru_cache(1)
def _tls():
    """One for all checks, and without the authorities' certificates that a default one loads: they take a megabyte."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Https(Http):
    """As keepalived does, whatever the certificate says: it belongs to a name, and this goes to an address."""

    def __init__(self, options):
        super().__init__(options)
        self.tls = _tls()


class Udp:
    """An answer to the question of the protocol, or to a payload."""

    def __init__(self, options):
        self.kind = packets.kind_of(options["type"])
        self.question = packets.question(self.kind, options.get("payload"), options.get("query", "."))
        self.reply = bytes.fromhex(options["reply"]) if options.get("reply") else None

    async def __call__(self, place, now):
        answer = await place.ask(self.question)
        if not packets.fits(self.kind, answer) or (self.reply and answer != self.reply):
            raise Trouble("port %d answers with something else" % place.port)
        return "answered"


class Live:
    """What is common to playlists of live streams: they move, and their last segment can be fetched."""

    def __init__(self, options):
        self.path = options["path"]
        self.seen = None  # (end of the stream, when it was first seen there)
        self.fetched = None

    def moved(self, end, now):
        """(where the end was at the look before, seconds for which it has been where it is)."""
        before = self.seen or (end, now)
        if self.seen is None or before[0] != end:
            self.seen = (end, now)
        return before[0], now - self.seen[1]

    async def fetch_last(self, place, url, word):
        """Each segment once; Trouble where it is not there or empty."""
        if url != self.fetched:
            if not await get(place, _target(url), limit=1 << 30, enough=1):
                raise Trouble("%s: the %s segment is empty" % (_target(url), word))
            self.fetched = url


class Hls(Live):
    """The live playlist moves within two target durations, never backwards, has no end, and its last segment can be fetched."""

    async def __call__(self, place, now):
        base = "http://%s:%d%s" % (place.host, place.port, self.path)
        playlist = self._parse(await get(place, self.path), base)
        if isinstance(playlist, hls.Master):
            base = playlist.variants[0]
            playlist = self._parse(await get(place, _target(base)), base)
            if isinstance(playlist, hls.Master):
                raise Trouble("%s: a master playlist in a master playlist" % _target(base))
        if playlist.ended:
            raise Trouble("the live playlist has ended (EXT-X-ENDLIST)")
        if not playlist.segments:
            raise Trouble("the playlist has no segment")
        before, stands = self.moved(playlist.end, now)
        if playlist.end < before:
            raise Trouble("the playlist went back from segment %d to %d" % (before, playlist.end))
        if stands > 2 * max(1, playlist.target_duration):
            raise Trouble("the playlist has stood still for %.0f s, and its target duration is %d s" % (stands, playlist.target_duration))
        last, end = playlist.segments[-1].media.uri, playlist.end
        # Not kept while a slow server sends its segment: hours of a stream are a megabyte of objects.
        del playlist
        await self.fetch_last(place, last, "last")
        return "segment %d" % (end - 1)

    @staticmethod
    def _parse(data, base):
        try:
            return hls.parse(data, base)
        except LvsError as error:
            raise Trouble(error.message)


class Dash(Live):
    """The live manifest moves within two segments, never backwards, has no end, and its newest segment can be fetched."""

    async def __call__(self, place, now):
        base = "http://%s:%d%s" % (place.host, place.port, self.path)
        try:
            manifest = dash.parse(await get(place, self.path), base, time.time())
        except LvsError as error:
            raise Trouble(error.message)
        if not manifest.live:
            raise Trouble("the live manifest has ended (type static)")
        if not manifest.last:
            raise Trouble("the manifest has no segment")
        if manifest.end is not None:
            before, stands = self.moved(manifest.end, now)
            if manifest.end < before:
                raise Trouble("the manifest went back from %.1f to %.1f s" % (before, manifest.end))
            if stands > 2 * max(1, manifest.duration):
                raise Trouble("the manifest has stood still for %.0f s, and a segment is %g s" % (stands, round(manifest.duration, 1)))
        await self.fetch_last(place, manifest.last, "newest")
        return _target(manifest.last).rpartition("/")[2]


def _target(url):
    parts = urlsplit(url)
    return parts.path + ("?" + parts.query if parts.query else "")


class Rtmp:
    """The handshake is answered to S2."""

    def __init__(self, options):
        pass

    async def __call__(self, place, now):
        reader, writer = await place.connect()
        try:
            writer.write(bytes([RTMP_VERSION]) + bytes(8) + os.urandom(RTMP_BLOCK - 8))
            try:
                answer = await reader.readexactly(1 + 2 * RTMP_BLOCK)
            except (asyncio.IncompleteReadError, OSError) as error:
                raise Trouble("the RTMP handshake ends after %d of %d bytes" % (len(getattr(error, "partial", b"")), 1 + 2 * RTMP_BLOCK))
            if answer[0] != RTMP_VERSION:
                raise Trouble("the RTMP handshake is answered with version %d" % answer[0])
        finally:
            writer.close()
        return "handshake to S2"


class Rtsp:
    """OPTIONS and DESCRIBE of the path succeed, and the description is SDP."""

    def __init__(self, options):
        self.path = options["path"]

    async def __call__(self, place, now):
        url = "rtsp://%s:%d%s" % (place.host, place.port, self.path)
        reader, writer = await place.connect()
        try:
            await self._ask(reader, writer, "OPTIONS", url, 1)
            head = await self._ask(reader, writer, "DESCRIBE", url, 2)
            if "application/sdp" not in head.lower():
                raise Trouble("DESCRIBE %s: no SDP" % self.path)
        finally:
            writer.close()
        return "described"

    async def _ask(self, reader, writer, method, url, number):
        accept = "Accept: application/sdp\r\n" if method == "DESCRIBE" else ""
        writer.write(("%s %s RTSP/1.0\r\nCSeq: %d\r\n%s\r\n" % (method, url, number, accept)).encode())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            raise Trouble("%s %s: no answer that RTSP knows" % (method, self.path))
        if not head.startswith("RTSP/1.0 200"):
            raise Trouble("%s %s: %s" % (method, self.path, head.split("\r\n")[0][:80]))
        return head


class Icecast:
    """The mount is listed and bytes flow."""

    def __init__(self, options):
        self.path = options["path"]

    async def __call__(self, place, now):
        try:
            sources = json.loads(await get(place, "/status-json.xsl"))["icestats"].get("source", [])
            mounts = [urlsplit(source["listenurl"]).path for source in (sources if isinstance(sources, list) else [sources])]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Trouble("/status-json.xsl: not Icecast's status")
        if self.path not in mounts:
            raise Trouble("mount %s is not listed" % self.path)
        if not await get(place, self.path, limit=1 << 30, enough=1024):
            raise Trouble("mount %s is listed, and no byte flows" % self.path)
        return "bytes flow"


async def agent(place):
    """What a server says of itself, one line of text."""
    reader, writer = await place.connect()
    try:
        return (await reader.readline()).decode("ascii", "replace")
    except (OSError, ValueError):
        return ""
    finally:
        writer.close()


KINDS = {
    "tcp": Tcp, "http": Http, "https": Https, "udp": Udp, "dns": Udp, "srt": Udp,
    "hls": Hls, "dash": Dash, "rtmp": Rtmp, "rtsp": Rtsp, "icecast": Icecast,
}  # fmt: skip


class Server:
    """One real server of one service: its check, its verdict and its track file."""

    def __init__(self, service, options, folder):
        check = service["check"]
        self.service, self.name, self.weight = service["name"], options["name"], options["weight"]
        self.vip, self.path = service["vip"], os.path.join(folder, options["file"])
        self.place = Place(options["address"], options["port"], options.get("own"), options.get("mark"), check.get("host"))
        self.run = KINDS[check["type"]](check)
        self.drain_file, self.drained = options.get("drain_file"), False
        self.agent = Place(options["agent"], check["agent"]["port"]) if check.get("agent") else None
        self.load = verdicts.Load(check["agent"]["smoothing"], check["agent"]["step"]) if self.agent else verdicts.Load()
        self.interval, self.timeout = check["interval"], check["timeout"]
        self.verdict = verdicts.Verdict(check["fall"], check["rise"], service.get("slow_start", 0))
        self.written, self.seconds, self.share, self.checked_at = None, None, 1.0, None

    async def check(self):
        """(whether it is good, None where that can't be told, and why), and how long that took."""
        begin = time.monotonic()
        try:
            return True, await asyncio.wait_for(self.run(self.place, begin), self.timeout)
        except Trouble as trouble:
            return False, str(trouble)
        except Unable as unable:
            return None, str(unable)
        except asyncio.TimeoutError:
            return False, "no answer within %g s" % self.timeout
        except OSError as error:
            return False, _reason(error)
        except Exception as error:  # one server's odd answer must not end the checks of all others
            return False, "the answer can't be understood (%r)" % error
        finally:
            self.seconds = time.monotonic() - begin

    async def listen(self):
        """What the server says of its load."""
        before = self.load.share
        try:
            said = await asyncio.wait_for(agent(self.agent), self.timeout)
        except (Trouble, Unable, OSError, asyncio.TimeoutError):
            said = ""
        self.load.hear(said)
        if 0 in (before, self.load.share) and before != self.load.share:
            print("<5>%s on %s (%s) wants %d %% of its weight: %s" % (
                self.service, self.name, self.vip, 100 * self.load.share, self.load.said or "its agent is silent"), flush=True)  # fmt: skip

    def look_for_drain(self):
        """keepalived follows this file itself; a drained server does not count for the floor."""
        self.drained = bool(self.drain_file) and os.path.exists(self.drain_file)

    def wants(self):
        return 0.0 if self.drained else self.load.share

    def write(self, share):
        """The track file, where it says something else."""
        self.share = share
        number = verdicts.offset(self.weight, share)
        if number != self.written:
            with open(self.path + ".new", "w") as f:
                f.write("%d\n" % number)
            os.rename(self.path + ".new", self.path)
            self.written = number


class Checker:
    def __init__(self, config):
        self.folder = config["folder"]
        self.services = [
            (service, {one["name"]: Server(service, one, self.folder) for one in service["servers"]}) for service in config["services"]
        ]
        self.metrics_port, self.metrics = config.get("metrics_port"), None

    def take_over(self, former):
        """Goes on where a checker with another configuration was: what is known of a server stays known."""
        known = {(s.service, s.vip, s.name): s for _service, members in former.services for s in members.values()}
        for _service, members in self.services:
            for server in members.values():
                before = known.pop((server.service, server.vip, server.name), None)
                if before and type(before.run) is type(server.run):
                    server.verdict.take_over(before.verdict)
                    server.load.take_over(before.load if server.agent and before.agent else None)
                    server.seconds, server.checked_at = before.seconds, before.checked_at
                    if isinstance(server.run, Live) and server.run.path == before.run.path:
                        server.run.seen, server.run.fetched = before.run.seen, before.run.fetched
                    server.written = before.written if before.path == server.path else None
        for server in known.values():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(server.path)
            if former.metrics:
                former.metrics.forget(server)
        self.metrics = former.metrics

    async def run(self):
        servers = [(service, members, server) for service, members in self.services for server in members.values()]
        self._expose()
        notify("READY=1\nSTATUS=%d checks" % len(servers))
        await asyncio.gather(self._settle(), *(self._watch(service, members, server) for service, members, server in servers))

    def _expose(self):
        """Metrics where the configuration has them now."""
        try:
            if self.metrics_port and not self.metrics:
                self.metrics = Metrics()
            if self.metrics:
                self.metrics.listen(self.metrics_port)
        except (ImportError, OSError, OverflowError) as error:
            print("<4>Going on without metrics: %s" % error, flush=True)

    async def _watch(self, service, members, server):
        # Spread over the first interval, and never in step: a fleet's checks must not come all at once.
        await asyncio.sleep(random.uniform(0, server.interval))
        while True:
            begin = time.monotonic()
            (good, why), *_heard = await asyncio.gather(server.check(), *([server.listen()] if server.agent else []))
            server.checked_at = time.time()
            if good is None:
                server.verdict.why = why
            elif server.verdict.add(good, why, time.monotonic()):
                level = 5 if good else 4  # notice, warning
                print(
                    "<%d>%s on %s (%s) is %s: %s" % (level, server.service, server.name, server.vip, server.verdict.state, why), flush=True
                )
            if self.metrics and good is not None:
                self.metrics.result(server, good)
            self._apply(service, members)
            await asyncio.sleep(max(0.1, server.interval * random.uniform(0.95, 1.05) - (time.monotonic() - begin)))

    def _apply(self, service, members):
        """Says of each server of a service how much of its weight it should have."""
        found = {name: server.verdict for name, server in members.items()}
        wanted = {name: server.wants() for name, server in members.items()}
        for name, share in verdicts.shares(found, service.get("floor", 0), time.monotonic(), wanted).items():
            members[name].write(share)

    async def _settle(self):
        """Once a second: ramps go on, drains are seen, the status is written, and systemd hears that this program is alive."""
        while True:
            for service, members in self.services:
                for server in members.values():
                    server.look_for_drain()
                self._apply(service, members)
            self._write_status()
            notify("WATCHDOG=1")
            await asyncio.sleep(1)

    def _write_status(self):
        status = [
            {
                "service": server.service, "vip": server.vip, "server": server.name,
                "state": server.verdict.state, "why": server.verdict.why, "drained": server.drained, "agent": server.load.said,
                "share": round(server.share, 2), "seconds": server.seconds and round(server.seconds, 3), "checked_at": server.checked_at,
            }
            for _service, members in self.services
            for server in members.values()
        ]  # fmt: skip
        path = os.path.join(self.folder, "status.json")
        with open(path + ".new", "w") as f:
            json.dump({"at": time.time(), "checks": status}, f)
        os.rename(path + ".new", path)


class Metrics:
    """For Prometheus, on this host alone."""

    def __init__(self):
        import prometheus_client

        self.handler, self.port, self.server = prometheus_client.MetricsHandler, 0, None
        labels = ("service", "vip", "server")
        self.good = prometheus_client.Gauge("lvsdr_check_good", "Whether the last check succeeded", labels)
        self.up = prometheus_client.Gauge("lvsdr_server_up", "Whether the server is held to be up", labels)
        self.seconds = prometheus_client.Gauge("lvsdr_check_seconds", "How long the last check took", labels)
        self.share = prometheus_client.Gauge("lvsdr_weight_share", "The part of its weight that the server has", labels)

    def listen(self, port):
        """On this port and no other; 0 for none. What was counted stays."""
        if port == self.port:
            return
        if self.server:
            self.server.shutdown()
            self.server.server_close()
        self.port, self.server = 0, None
        if port:
            # Not prometheus_client's own server: older versions have no way to end it.
            self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), self.handler)
            self.port = port
            threading.Thread(target=self.server.serve_forever, name="metrics", daemon=True).start()

    def forget(self, server):
        for gauge in (self.good, self.up, self.seconds, self.share):
            with contextlib.suppress(KeyError):
                gauge.remove(server.service, server.vip, server.name)

    def result(self, server, good):
        labels = (server.service, server.vip, server.name)
        self.good.labels(*labels).set(good)
        self.up.labels(*labels).set(server.verdict.state == verdicts.UP)
        self.seconds.labels(*labels).set(server.seconds)
        self.share.labels(*labels).set(server.share)


def notify(text):
    """sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text.encode(), "\0" + address[1:] if address.startswith("@") else address)


def read(path):
    """The Checker of a configuration file; LvsError where it can't be used."""
    try:
        with open(path) as f:
            return Checker(json.load(f))
    except (OSError, ValueError, KeyError, TypeError, re.error, LvsError) as error:
        raise LvsError("%s can't be used: %r" % (path, error), "the role director writes it; run site.yml")


async def serve(path):
    """Runs until it is told to end; SIGHUP reads the configuration again."""
    loop, again = asyncio.get_running_loop(), asyncio.Event()
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, again.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    checker = read(path)
    while True:
        tasks = [loop.create_task(checker.run()), loop.create_task(again.wait()), loop.create_task(over.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()  # what it failed of
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if over.is_set():
            return
        again.clear()
        try:
            following = read(path)
        except LvsError as error:
            print("<3>%s; going on with what was read before" % error, flush=True)
        else:
            following.take_over(checker)
            checker = following


def main():
    parser = argparse.ArgumentParser(description="Asks real servers for their streams and tells keepalived")
    parser.add_argument("config", help="configuration, JSON")
    try:
        asyncio.run(serve(parser.parse_args().config))
    except LvsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
