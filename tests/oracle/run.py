"""The oracle: real players play the corpus, and what they do is compared with tests/corpus/played.json, or recorded there.

ffmpeg plays all of HLS and DASH, hls.js and dash.js play theirs in headless Chromium. Each case is served to each player, on a port of
its own. A case plays where a player has as much of it as ``play`` says (a second), within ``WAIT`` seconds. What is not as it was recorded
is played again, one case at a time, up to ``TRIES`` times: a live stream moves on while a busy machine decodes it, and that is not the
player's fault. Nothing but this machine is asked for anything.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import media  # noqa: E402
from fakes import corpus  # noqa: E402

PLAYERS = {"hls": ("ffmpeg", "hls.js"), "dash": ("ffmpeg", "dash.js")}
# What comes from npm, and where in there the players are.
PACKAGES = ROOT / "build" / "players"
SCRIPTS = {"/hls.js": "hls.js/dist/hls.min.js", "/dash.js": "dashjs/dist/modern/umd/dash.all.min.js"}
ENOUGH, WAIT = 0.9, 10
FFMPEG_AT_ONCE, BROWSER_AT_ONCE, TRIES = 3, 6, 4
ADDRESSES = ("127.0.0.1", "127.0.0.2")
# No proxy of this machine may come between.
QUIET = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def needs(case):
    """(seconds of the stream that are enough, seconds to wait for them)"""
    enough = case.options.get("play", ENOUGH)
    return enough, max(WAIT, enough + 6)


class Stage:
    """A server for each case and player, while that plays it."""

    def __init__(self, film):
        self.film = film

    async def open(self, case):
        server = corpus.Server(case, film=self.film)
        while True:
            try:
                await server.start(ADDRESSES[0])
                await server.start(ADDRESSES[1], server.port)
                return server
            except OSError:  # the port is somebody's on the other address
                server.close()


async def ffmpeg(url, enough, wait):
    """(whether it plays, seconds, what ffmpeg complains of)"""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-progress", "pipe:1", "-i", url, "-t", "%g" % (enough + 0.5), "-f", "null", "-"]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaints:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=complaints, env={**QUIET, "no_proxy": "*"}
        )
        try:
            await asyncio.wait_for(process.wait(), wait)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()
        out.seek(0)
        complaints.seek(0)
        times = [int(found) for found in re.findall(rb"^out_time_us=(\d+)", out.read(), re.MULTILINE)]
        lines = complaints.read().decode("utf-8", "replace").strip().splitlines()
        seconds = max(times, default=0) / 1e6
        return seconds >= enough, seconds, lines[-1] if lines else ""


async def play_with_ffmpeg(stage, cases, found, at_once):
    left = list(cases)

    async def worker():
        while left:
            case = left.pop(0)
            server = await stage.open(case)
            try:
                found[case.name, "ffmpeg"] = await ffmpeg("http://127.0.0.1:%d%s" % (server.port, case.path), *needs(case))
            finally:
                server.close()

    await asyncio.gather(*(worker() for _number in range(at_once)))


async def _serve_page(reader, writer):
    """The page with the players in it."""
    try:
        target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        path = PACKAGES / "node_modules" / SCRIPTS[target] if target in SCRIPTS else Path(__file__).parent / "player.html"
        kind = "text/javascript" if target in SCRIPTS else "text/html"
        data = path.read_bytes()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n" % (kind.encode(), len(data)))
        writer.write(b"Cache-Control: max-age=600\r\nConnection: close\r\n\r\n" + data)
        await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        pass
    writer.close()


async def play_in_browser(stage, cases, found, at_once):
    if not cases:
        return
    page = await asyncio.start_server(_serve_page, "127.0.0.1", 0)
    servers, jobs = {}, []
    for case in cases:
        servers[case.name] = server = await stage.open(case)
        enough, wait = needs(case)
        host = case.options.get("options", {}).get("host", "127.0.0.1")
        url = "http://%s:%d%s" % (host, server.port, case.path)
        jobs.append({"name": case.name, "player": PLAYERS[case.kind][1], "url": url, "enough": enough, "wait": wait})
    address = "http://127.0.0.1:%d/" % page.sockets[0].getsockname()[1]
    order = {"chromium": os.environ.get("CHROMIUM", "/usr/bin/chromium"), "page": address, "at_once": at_once, "jobs": jobs}
    process = await asyncio.create_subprocess_exec(
        "node", str(Path(__file__).parent / "browser.mjs"), str(PACKAGES), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        limit=1 << 20, env=QUIET,
    )  # fmt: skip
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        await process.stdin.drain()
        async for line in process.stdout:
            result = json.loads(line)
            name = result["name"]
            player = next(job["player"] for job in jobs if job["name"] == name)
            found[name, player] = (result["plays"], result["seconds"], result["error"])
            servers.pop(name).close()
        if await process.wait():
            sys.exit("the browser ended with %d" % process.returncode)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
        page.close()
        for server in servers.values():
            server.close()


async def play(stage, pairs):
    """{(case's name, player): (plays, seconds, words)}"""
    found = {}
    await asyncio.gather(
        play_with_ffmpeg(stage, [case for case, player in pairs if player == "ffmpeg"], found, FFMPEG_AT_ONCE),
        play_in_browser(stage, [case for case, player in pairs if player != "ffmpeg"], found, BROWSER_AT_ONCE),
    )
    return found


async def play_alone(stage, pairs):
    """As ``play``, with one player at a time on the machine."""
    found = {}
    await play_with_ffmpeg(stage, [case for case, player in pairs if player == "ffmpeg"], found, 1)
    await play_in_browser(stage, [case for case, player in pairs if player != "ffmpeg"], found, 1)
    return found


async def run(cases):
    stage = Stage(corpus.Film(media.make()))
    pairs = [(case, player) for case in cases for player in PLAYERS[case.kind]]
    found = await play(stage, pairs)
    known = json.loads(corpus.PLAYED.read_text()) if corpus.PLAYED.exists() else {}
    # What was recorded of another text does not count.
    texts = {case.name: case.digest for case in corpus.cases("hls", "dash")}
    known = {name: record for name, record in known.items() if record["text"] == texts.get(name)}

    def differs(pair):
        # Of a case without a record, what nobody plays gets another look.
        case, player = pair
        return found[case.name, player][0] != known.get(case.name, {}).get(player, True)

    doubtful = list(filter(differs, pairs))
    for _try in range(TRIES):
        if doubtful:
            print("Again, one at a time: %s" % " ".join("%s (%s)" % (case.name, player) for case, player in doubtful), flush=True)
            found.update(await play_alone(stage, doubtful))
            doubtful = list(filter(differs, doubtful))
    return pairs, found, known


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="write down what the players do")
    parser.add_argument("-v", "--verbose", action="store_true", help="say of each case what each player did")
    parser.add_argument("names", nargs="*", help="cases, such as hls/ffmpeg; all without one")
    arguments = parser.parse_args()
    cases = [case for case in corpus.cases("hls", "dash") if not arguments.names or case.name in arguments.names]
    begin = time.monotonic()
    pairs, found, known = asyncio.run(run(cases))
    differences = []
    for case, player in pairs:
        plays, seconds, words = found[case.name, player]
        line = "%-44s %-8s %-5s %5.1f s  %s" % (case.name, player, "plays" if plays else "-", seconds, words[:150])
        if arguments.verbose:
            print(line)
        if plays != known.get(case.name, {}).get(player):
            differences.append(line)
    played = sum(any(found[case.name, player][0] for player in PLAYERS[case.kind]) for case in cases)
    print("%d cases, %d of them played, in %.0f s" % (len(cases), played, time.monotonic() - begin))
    if arguments.record:
        known.update({
            case.name: {"text": case.digest, **{player: found[case.name, player][0] for player in PLAYERS[case.kind]}} for case in cases
        })  # fmt: skip
        lines = ["%s: %s" % (json.dumps(name), json.dumps(known[name])) for name in sorted(known)]
        corpus.PLAYED.write_text("{\n%s\n}\n" % ",\n".join(lines))
    elif differences:
        print("\nThese are not as they were recorded in %s:\n%s" % (corpus.PLAYED.relative_to(ROOT), "\n".join(differences)))
        sys.exit(1)


if __name__ == "__main__":
    main()
