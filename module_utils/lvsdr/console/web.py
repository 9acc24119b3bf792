# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""lvsdr-console: the page, its events, metrics and the few actions, over HTTP on loopback. A daemon, one on each director.

A second port is for the other director's console alone. Everything that needs a privilege is done by lvsdr-console-helper.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.console import actions, messages, metrics, page
from ansible.module_utils.lvsdr.console.collect import Collector
from ansible.module_utils.lvsdr.console.config import own_address, read_config
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.notify import notify

try:
    from aiohttp import web
except ImportError:  # the role installs it; what only reads this file needs none
    if not TYPE_CHECKING:
        web = None

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LONGEST_BODY, MOST_CONNECTIONS, MOST_LISTENERS = 4096, 200, 32
# Seconds in which a connection has to have sent its request.
PATIENCE = 10.0
NAMES = ("localhost", "127.0.0.1", "::1")
HEADERS = {
    "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
}  # fmt: skip


class Console:
    def __init__(self, config: dict[str, Any], key: str | None, socket: str = places.CONSOLE_SOCKET) -> None:
        self.key, self.collector = key, Collector(config, socket)
        self.configure(config)
        self.listeners: set[asyncio.Event] = set()
        self.collector.told.append(self._tell)
        self.html: tuple[float, bytes] = (0.0, b"")
        self.nonces: dict[str, float] = {}
        self.began = int(time.time())
        # Connections that have sent their request.
        self.asked: set[Any] = set()
        self.runners: list[web.AppRunner] = []

    def configure(self, config: dict[str, Any]) -> None:
        self.config, self.names = config, {*NAMES, *config.get("names", ())}
        self.collector.configure(config)

    def _tell(self) -> None:
        for event in self.listeners:
            event.set()

    # What people ask for.

    def app(self) -> web.Application:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guard(request, handler)

        app = web.Application(middlewares=[guard], client_max_size=LONGEST_BODY)
        app.router.add_get("/", self.page)
        app.router.add_get("/api/state", self.get_state)
        app.router.add_get("/api/events", self.get_events)
        app.router.add_get("/metrics", self.get_metrics)
        app.router.add_post("/api/plan", self.post_plan)
        app.router.add_post("/api/actions", self.post_action)
        return app

    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """One request a connection, from a page of this console, and the headers of every answer."""
        self.asked.add(request.transport)
        why = self.strange(request)
        if why:
            answer: web.StreamResponse = web.json_response({"refused": [why]}, status=403)
        else:
            try:
                answer = await handler(request)
            except web.HTTPException as error:
                answer = web.json_response({"refused": [error.reason]}, status=error.status)
        if not answer.prepared:
            answer.headers.update(HEADERS)
            answer.force_close()
        return answer

    def strange(self, request: web.Request) -> str:
        """Why a request is not from this console's own page: another name for this address, or another site."""
        host = urlsplit("//" + request.headers.get("Host", "")).hostname
        if host not in self.names:
            return "this console does not answer to that name; add it to director_console_names"
        if request.method in ("GET", "HEAD"):
            return ""
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("Host"):
            return "another site sent this"
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return "another site sent this"
        if "X-Lvsdr-Console" not in request.headers or request.content_type != "application/json":
            return "this takes JSON and the header X-Lvsdr-Console"
        return ""

    async def page(self, request: web.Request) -> web.Response:
        answer = web.Response(text=page.page(self.collector.state), content_type="text/html")
        answer.headers["Content-Security-Policy"] = page.policy()
        return answer

    async def get_state(self, request: web.Request) -> web.Response:
        return web.json_response(self.collector.state, dumps=_dumps)

    async def get_metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=metrics.text(self.collector.state), headers={"Content-Type": metrics.content_type()})

    async def get_events(self, request: web.Request) -> web.StreamResponse:
        """The page's main part, as JSON, whenever it has changed (server-sent events)."""
        if len(self.listeners) >= MOST_LISTENERS:
            raise web.HTTPServiceUnavailable(reason="too many pages are open")
        answer = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        answer.force_close()
        event = asyncio.Event()
        event.set()
        self.listeners.add(event)
        try:
            await answer.prepare(request)
            while True:
                await event.wait()
                event.clear()
                await asyncio.wait_for(answer.write(self.rendered()), PATIENCE)
        except (ConnectionError, asyncio.TimeoutError):
            return answer
        finally:
            self.listeners.discard(event)

    def rendered(self) -> bytes:
        """The event of this state, made once for all who listen."""
        state = self.collector.state
        if state is None:
            return b": nothing yet\n\n"
        if self.html[0] != state["at"]:
            self.html = (state["at"], b"event: state\ndata: %s\n\n" % json.dumps(page.main(state)).encode())
        return self.html[1]

    async def post_plan(self, request: web.Request) -> web.Response:
        body = await _json(request)
        ask = {"do": "plan", "verb": str(body.get("verb")), "host": str(body.get("host"))}
        return web.json_response(text=(await self._helped(ask)).decode())

    async def post_action(self, request: web.Request) -> web.Response:
        body = await _json(request)
        lines = [] if self.config["actions"] else [str(messages.ACTIONS_OFF())]
        lines = lines or actions.wrong(body)
        if lines:
            return web.json_response({"refused": lines}, status=400)
        wanted = {name: body[name].strip() for name in actions.FIELDS}
        try:
            return web.json_response(await self.collector.act(wanted, self.key))
        except LvsError as error:
            return web.json_response({"refused": [str(error)]}, status=503)

    async def _helped(self, ask: dict[str, Any]) -> bytes:
        try:
            return await self.collector.helper.ask(ask)
        except LvsError as error:
            return json.dumps({"refused": [str(error)], "says": []}).encode()

    # What the other director's console asks for.

    def peer_app(self) -> web.Application:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._peers_only(request, handler)

        app = web.Application(middlewares=[guard], client_max_size=LONGEST_BODY)
        app.router.add_get("/look", self.get_look)
        app.router.add_post("/act", self.post_peer_action)
        return app

    async def _peers_only(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The rules of nftables let in the other directors alone; this holds where somebody flushed them."""
        self.asked.add(request.transport)
        if request.remote not in self.collector.peers.values():
            raise web.HTTPForbidden()
        answer = await handler(request)
        answer.force_close()
        return answer

    async def get_look(self, request: web.Request) -> web.Response:
        if not self.collector.own:
            raise web.HTTPServiceUnavailable(reason="nothing was read")
        return web.Response(body=self.collector.own, content_type="application/json")

    async def post_peer_action(self, request: web.Request) -> web.Response:
        body = await _json(request)
        lines = actions.wrong(body) or ([] if self.config["actions"] and self.key else [str(messages.ACTIONS_OFF())])
        if not lines and not self.is_signed(body, time.time()):
            lines = ["its signature is not of this key, or is too old"]
        if lines:
            return web.json_response({"refused": lines}, status=403)
        answer = json.loads(await self._helped({"do": "act", **{name: body[name] for name in actions.FIELDS}}))
        await self.collector.look()
        return web.json_response({"refused": answer.get("refused", []) or ([answer["error"]] if "error" in answer else [])})

    def is_signed(self, body: dict[str, Any], now: float) -> bool:
        """Whether a request has the signature of the other director, is fresh, and was not sent before."""
        at, nonce, signature = body.get("at"), body.get("nonce"), body.get("signature")
        if not isinstance(at, int) or not isinstance(nonce, str) or not isinstance(signature, str) or abs(now - at) > actions.FRESH:
            return False
        self.nonces = {one: when for one, when in self.nonces.items() if now - when <= 2 * actions.FRESH}
        # One that was sent before this program began may have been seen by the one before it.
        if nonce in self.nonces or not self.key or not signature.isascii() or at < self.began:
            return False
        own = self.config["director"]
        found = (actions.signed(self.key, (peer, own), body, at, nonce) for peer in self.collector.peers)
        good = any(hmac.compare_digest(signature, one) for one in found)
        if good:
            self.nonces[nonce] = now
        return good

    # Connections.

    async def listen(self, app: web.Application, address: str, port: int) -> None:
        """A port, until the runner is cleaned up."""
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        await web.TCPSite(runner, address, port, reuse_address=True).start()
        self.runners.append(runner)

    async def sweep(self) -> None:
        """Ends connections that are too many, or have not sent a request in time: aiohttp waits for one as long as it takes."""
        since: dict[Any, float] = {}
        while True:
            now = time.monotonic()
            there = [
                one.transport for runner in self.runners for one in (runner.server.connections if runner.server else ()) if one.transport
            ]
            since = {transport: since.get(transport, now) for transport in there}
            self.asked &= set(there)
            waiting = [transport for transport in there if transport not in self.asked]
            for transport in [one for one in waiting if now - since[one] > PATIENCE] + waiting[MOST_CONNECTIONS:]:
                transport.abort()
            await asyncio.sleep(0.5)


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = await asyncio.wait_for(request.json(), PATIENCE)
    except (ValueError, asyncio.TimeoutError, RecursionError):
        raise web.HTTPBadRequest(reason="this takes JSON")
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(reason="this takes JSON")
    return body


def _dumps(state: Any) -> str:
    """JSON of a state: arrays of numbers become lists."""
    return json.dumps(state, default=lambda row: [round(value, 1) for value in row])


def read_key(config: dict[str, Any]) -> str | None:
    """The key that both directors share, as systemd hands it over; None without actions."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not config["actions"] or not folder:
        return None
    try:
        with open(os.path.join(folder, places.CONSOLE_CREDENTIAL)) as f:
            key = f.read().strip()
    except OSError:
        return None
    if len(key) < actions.LEAST_KEY:
        print("the key of the consoles has %d characters, and needs %d: nothing is done for the other director" % (
            len(key), actions.LEAST_KEY), file=sys.stderr, flush=True)  # fmt: skip
        return None
    return key


def ports(config: dict[str, Any]) -> list[tuple[str, int]]:
    """Where it listens: on loopback for people, and on the director's address for the other one."""
    own = own_address(config)
    out: list[tuple[str, int]] = [("127.0.0.1", config["port"])]
    return [*out, (own, config["peer_port"])] if own and len(config["directors"]) > 1 else out


async def serve(path: str, socket: str) -> None:
    """Runs until SIGTERM or SIGINT. SIGHUP reads the configuration again, and ends this where that has other ports: systemd starts it."""
    config = read_config(path)
    console = Console(config, read_key(config), socket)
    over, loop = asyncio.Event(), asyncio.get_running_loop()

    def again() -> None:
        try:
            fresh = read_config(path)
        except LvsError as error:
            print("keeping the previous configuration: %s" % error, file=sys.stderr, flush=True)
            return
        if ports(fresh) != ports(console.config) or fresh["actions"] != console.config["actions"]:
            over.set()
        console.configure(fresh)

    loop.add_signal_handler(signal.SIGHUP, again)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    for app, (address, port) in zip((console.app(), console.peer_app()), ports(config)):
        await console.listen(app, address, port)
    notify("READY=1")
    tasks = [asyncio.ensure_future(work) for work in (console.collector.run(), console.sweep(), over.wait())]
    done, _left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for runner in console.runners:
        # Pages listen for as long as they are open.
        for connection in runner.server.connections if runner.server else ():
            if connection.transport:
                connection.transport.abort()
        await runner.cleanup()
    for task in done:
        task.result()  # what it failed of


def main() -> None:
    parser = argparse.ArgumentParser(description="Shows what a pair of directors does")
    parser.add_argument("config", help="configuration, JSON")
    parser.add_argument("--socket", default=places.CONSOLE_SOCKET, help="where lvsdr-console-helper listens")
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.config, options.socket))
    except LvsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
