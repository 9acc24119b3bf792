# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the console's numbers come from: the helper of this director, the console of the other one, and the real servers' counters."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.console import actions, behind, look, messages
from ansible.module_utils.lvsdr.console.config import own_address
from ansible.module_utils.lvsdr.console.memory import Memory
from ansible.module_utils.lvsdr.console.state import state
from ansible.module_utils.lvsdr.errors import LvsError

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds between two looks, and between two readings of a real server's counters.
INTERVAL, EGRESS_INTERVAL = 2.0, 10.0
HELPER_TIMEOUT, PEER_TIMEOUT, EGRESS_TIMEOUT, PROXY_TIMEOUT = 10.0, 3.0, 3.0, 3.0
LONGEST_LOOK, LONGEST_COUNTERS, LONGEST_TOLD = 4 << 20, 1 << 18, 1 << 20
# Seconds after which the same look of the other director is one of a console that reads nothing any more.
STALE = 10.0
EGRESS_AT_ONCE, PROXIES_AT_ONCE = 16, 4
# What is packed could become anything.
PLAIN = {"Accept-Encoding": "identity"}
# The longest packet that a viewer's link carries.
VIEWERS_MTU = 1500


class Helper:
    """The helper, over one connection that is made again whenever it is lost."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = asyncio.Lock()
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: dict[str, Any]) -> bytes:
        """The answer, a line of JSON; LvsError where there is none."""
        async with self.lock:
            for again in (True, False):
                try:
                    return await asyncio.wait_for(self._ask(request), HELPER_TIMEOUT)
                except (OSError, asyncio.TimeoutError, ValueError) as error:
                    self.close()
                    # A helper that was restarted since the last look has closed the connection, and did not get the request.
                    if not again or not isinstance(error, ConnectionError):
                        raise LvsError(messages.HELPER_SILENT(why=str(error) or type(error).__name__))
            raise AssertionError("it returns or raises")

    async def _ask(self, request: dict[str, Any]) -> bytes:
        if not self.streams:
            self.streams = await asyncio.open_unix_connection(self.path, limit=LONGEST_LOOK)
        reader, writer = self.streams
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("it ended")
        return line

    def close(self) -> None:
        if self.streams:
            self.streams[1].close()
        self.streams = None


def counters(text: bytes) -> dict[str, tuple[int, int]]:
    """{name: (bytes, packets)} of what `nft -j list counters` prints. A server may send anything."""
    out: dict[str, tuple[int, int]] = {}
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        for item in json.loads(text)["nftables"]:
            one = item.get("counter") or {}
            pair: Any = (one.get("bytes"), one.get("packets"))
            if isinstance(one.get("name"), str) and all(isinstance(count, int) and 0 <= count < 1 << 64 for count in pair):
                out[one["name"]] = pair
    return out


def on_wire(count: int, packets: int, header: int) -> int:
    """How many bytes of IP packets a link carries of what nftables counted.

    The kernel hands TCP's data down in large packets, which are counted with one header each, and cut into segments behind that. What a
    viewer can take is a packet of 1,500 bytes. header: bytes of the headers of IP and TCP; 0 for a protocol that is not cut.
    """
    data = count - header * packets
    if not header or data <= 0:
        return count
    return data + header * max(packets, -(-data // (VIEWERS_MTU - header)))


async def read_all(address: str, port: int, most: int, source: str | None = None) -> bytes:
    """What a host says to whoever connects, or the beginning of it. source: the own address that asks."""
    reader, writer = await asyncio.open_connection(address, port, local_addr=(source, 0) if source else None)
    try:
        out = b""
        while len(out) < most:
            data = await reader.read(65536)
            if not data:
                break
            out += data
        return out
    finally:
        writer.close()


class Egress:
    """What each real server has sent, as it counts it itself."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.servers: dict[str, str] = {}
        # {server: {counter: bytes of headers}}
        self.names: dict[str, dict[str, int]] = {}
        for service in config["services"]:
            for server in service["servers"] if service["counter"] else ():
                self.servers[server["name"]] = server["address"]
                self.names.setdefault(server["name"], {})[service["counter"]] = service["header"]
        self.port = config.get("egress_port") or places.EGRESS_PORT
        # {server: (when, {counter: (bytes, packets) as the server counts them})}
        self.last: dict[str, tuple[float, dict[str, tuple[int, int]]]] = {}
        self.now: dict[str, dict[str, tuple[int, float]]] = {}

    async def read(self) -> None:
        """Asks all of them once."""
        gate = asyncio.Semaphore(EGRESS_AT_ONCE)
        await asyncio.gather(*(self._one(name, address, gate) for name, address in self.servers.items()))

    async def _one(self, name: str, address: str, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                text = await asyncio.wait_for(read_all(address, self.port, LONGEST_COUNTERS), EGRESS_TIMEOUT)
            except (OSError, asyncio.TimeoutError):
                # What it has sent so far stays counted; it has no rate meanwhile.
                self.now[name] = {counter: (count, 0.0) for counter, (count, _rate) in self.now.get(name, {}).items()}
                return
        self.take(name, counters(text), time.monotonic())

    def take(self, name: str, found: dict[str, tuple[int, int]], now: float) -> None:
        """Adds what was sent since the last reading; a counter that is lower has begun again, as after a rollout of other rules."""
        headers = self.names[name]
        found = {counter: pair for counter, pair in found.items() if counter in headers}
        when, before = self.last.get(name, (now, {}))
        self.last[name] = (now, found)
        totals = self.now.get(name, {})
        self.now[name] = {}
        for counter, (count, packets) in found.items():
            count_before, packets_before = before.get(counter, (0, 0))
            if count < count_before or packets < packets_before:
                count_before = packets_before = 0
            more = max(0, on_wire(count - count_before, packets - packets_before, headers[counter]))
            rate = more / (now - when) if now > when and counter in before else 0.0
            self.now[name][counter] = (totals.get(counter, (0, 0.0))[0] + more, rate)


class Proxies:
    """What the proxies hold of the real servers behind them."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.proxies: list[dict[str, Any]] = [one for one in config["proxies"] if one["address"]]
        self.port = config.get("proxy_port") or places.PROXY_INFO_PORT
        self.told: dict[str, behind.Told | None] = {}
        # {proxy: {(backend, server): bytes in and out a second}}, and of what that was made.
        self.rates: behind.Rates = {}
        self.last: dict[str, tuple[float, dict[tuple[str, str], tuple[int, int]]]] = {}

    async def read(self) -> None:
        """Asks all of them once."""
        gate = asyncio.Semaphore(PROXIES_AT_ONCE)
        await asyncio.gather(*(self._one(proxy, gate) for proxy in self.proxies))

    async def _one(self, proxy: dict[str, Any], gate: asyncio.Semaphore) -> None:
        told = None
        async with gate:
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                answer = read_all(proxy["address"], self.port, LONGEST_TOLD, proxy["from"])
                told = behind.decoded(await asyncio.wait_for(answer, PROXY_TIMEOUT))
        self.take(proxy["name"], told, time.monotonic())

    def take(self, name: str, told: behind.Told | None, now: float) -> None:
        """Keeps what one told, and makes rates of it; a count that is lower is of another process of HAProxy, which began at 0."""
        self.told[name], self.rates[name] = told, {}
        counts = {
            (backend, server): (held["in"], held["out"])
            for backend, servers in (told or {"servers": {}})["servers"].items()
            for server, held in servers.items()
        }
        when, before = self.last.get(name, (now, {}))
        self.last[name] = (now, counts)
        for key, (received, sent) in counts.items():
            if key in before and now > when:
                base = before[key] if received >= before[key][0] and sent >= before[key][1] else (0, 0)
                self.rates[name][key] = ((received - base[0]) / (now - when), (sent - base[1]) / (now - when))


class Collector:
    def __init__(self, config: dict[str, Any], socket: str = places.CONSOLE_SOCKET) -> None:
        self.helper, self.memory = Helper(socket), Memory()
        self.own: bytes = b""
        self.state: dict[str, Any] | None = None
        self.error = ""
        self.told: list[Callable[[], None]] = []
        # When this director's table was read last, and {director: (its look's own time, when that was new here)}.
        self.read = 0.0
        self.fresh: dict[str, tuple[float, float]] = {}
        self.configure(config)

    def configure(self, config: dict[str, Any]) -> None:
        """Goes on with another configuration; what was seen stays known."""
        self.config, self.egress, self.proxies = config, Egress(config), Proxies(config)
        self.peers = {one["name"]: one["address"] for one in config["directors"] if one["name"] != config["director"]}

    async def run(self) -> None:
        import aiohttp

        limits = aiohttp.ClientTimeout(total=PEER_TIMEOUT)
        own = own_address(self.config)
        connector = aiohttp.TCPConnector(local_addr=(own, 0) if own else None, force_close=True)
        async with aiohttp.ClientSession(timeout=limits, trust_env=False, connector=connector, auto_decompress=False) as session:
            self.session = session
            await asyncio.gather(self._looks(), self._counters())

    async def _looks(self) -> None:
        while True:
            begin = time.monotonic()
            try:
                await self.look()
            except Exception as error:  # one look that can't be understood must not end all that follow
                print("a look failed: %r" % error, file=sys.stderr, flush=True)
            await asyncio.sleep(max(0.2, INTERVAL - (time.monotonic() - begin)))

    async def _counters(self) -> None:
        while True:
            begin = time.monotonic()
            await self.egress.read()
            await asyncio.sleep(max(1.0, EGRESS_INTERVAL - (time.monotonic() - begin)))

    async def look(self) -> None:
        """One look at both directors, and what follows from it."""
        try:
            self.own, self.error = await self.helper.ask({"do": "look"}), ""
        except LvsError as error:
            self.own, self.error = b"", str(error)
        looks = {self.config["director"]: look.decoded(self.own)}
        reads = [self._peer(address) for address in self.peers.values()]
        *found_there, _read = await asyncio.gather(*reads, self.proxies.read())
        for name, found in zip(self.peers, found_there):
            looks[name] = self._if_new(name, found)
        if looks[self.config["director"]] is None:
            if not self.error:
                self.error = str(messages.HELPER_SILENT(why=self.own.decode(errors="replace")[:200]))
            self.own = b""
        else:
            self.read = time.time()
        at = time.time()
        of_proxies = behind.added(self.config, looks, self.proxies.told, self.proxies.rates, at)
        now = state(self.config, looks, self.egress.now, at, of_proxies)
        if self.error:
            do = "`systemctl restart lvsdr-console-helper` here"
            now["problems"].insert(0, {"kind": "director-silent", "level": "bad", "key": "helper", "what": self.error, "do": do})
        now["read"] = self.read
        self.memory.take(now, time.monotonic())
        self.state = now
        for tell in list(self.told):
            tell()

    def _if_new(self, name: str, found: dict[str, Any] | None) -> dict[str, Any] | None:
        """None of a director whose look has not changed for a while: its console runs, and its helper does not."""
        if found is None:
            return None
        at, since = self.fresh.get(name, (-1.0, 0.0))
        if at != found["at"]:
            at, since = self.fresh[name] = (found["at"], time.monotonic())
        return found if time.monotonic() - since <= STALE else None

    async def _peer(self, address: str) -> dict[str, Any] | None:
        import aiohttp

        try:
            async with self.session.get(self._url(address, "look"), allow_redirects=False, headers=PLAIN) as answer:
                data = await answer.content.read(LONGEST_LOOK) if answer.status == 200 else b""
                while answer.status == 200 and not answer.content.at_eof() and len(data) < LONGEST_LOOK:
                    data += await answer.content.read(LONGEST_LOOK - len(data))
                return look.decoded(data)
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError):
            return None

    def _url(self, address: str, what: str) -> str:
        return "http://%s:%d/%s" % ("[%s]" % address if ":" in address else address, self.config["peer_port"], what)

    async def act(self, request: dict[str, str], key: str | None) -> dict[str, Any]:
        """Has the helpers of both directors do it: ``{"refused", "says", "warnings"}``."""
        import aiohttp

        done: dict[str, Any] = json.loads(await self.helper.ask({"do": "act", **request}))
        if "error" in done:
            done = {"refused": [done["error"]]}
        warnings = []
        for name, address in self.peers.items() if not done["refused"] else ():
            at, nonce = int(time.time()), "%d" % time.time_ns()
            ends = (self.config["director"], name)
            body = {**request, "at": at, "nonce": nonce, "signature": actions.signed(key or "", ends, request, at, nonce)}
            try:
                async with self.session.post(self._url(address, "act"), json=body, allow_redirects=False) as answer:
                    why = "; ".join((await answer.json())["refused"])
            except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError, KeyError, TypeError) as error:
                why = str(error) or type(error).__name__
            if why:
                verb = {"wake": "scale.yml", "park": "scale.yml"}.get(request["verb"], request["verb"] + ".yml")
                warnings.append(str(messages.PEER_DID_NOT(director=name, why=why, verb=verb)))
        await self.look()
        return {"refused": done["refused"], "says": done.get("says", []), "warnings": warnings}
