"""viewer_watch's viewers against a server on 127.0.0.1 that has one trouble after the other."""

import asyncio
import json
import random
import threading
import time

import pytest
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.streams import viewers
from ansible.module_utils.testing import patch_module_args
from ansible.modules import viewer_watch
from said import path_and_id

LONG = random.Random(7).randbytes(1 << 20)


class Server:
    """An HTTP server in a thread of its own; ``trouble`` says what it does with a request: of its number, its path and its Range."""

    def __init__(self, trouble=lambda number, path, begin: None):
        self.trouble, self.requests, self.ready = trouble, [], threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(10)
        return self

    def __exit__(self, *_error):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(10)

    def url(self, path):
        return "http://127.0.0.1:%d%s" % (self.port, path)

    async def _run(self):
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.over.wait()
        server.close()

    async def _serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split()[1]
            begin = int(head.partition("bytes=")[2].partition("-")[0] or 0)
            self.requests.append((path, begin))
            what = self.trouble(len(self.requests), path, begin)
            body = LONG[begin:] if path == "/long" else b"#EXTM3U\n"
            if what == "refuse":
                writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
            elif what == "hang":
                await asyncio.sleep(30)
            else:
                status = b"200 OK" if not begin else b"206 Partial Content"
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
                if what == "cut":
                    body = body[: len(body) // 2]
                elif what == "wrong":
                    body = bytes(len(body))
                writer.write(body)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


def watch(server, **options):
    options = {"download": server.url("/long"), "downloads": 2, "players": 0, "duration": 1.0, "rate": 4 << 20, "patience": 0.5, **options}
    return viewers.watch(server.url("/live.m3u8"), **options)


def test_all_is_well():
    with Server() as server:
        seen = watch(server)
    assert len(seen["asked"]) >= 5 and all(good for _begin, good in seen["asked"])
    for download in seen["downloads"]:
        assert not download["cuts"] and not download["lost"] and not download["wrong_blocks"] and download["bytes"] > 1 << 20
    assert server.requests.count(("/long", 0)) > 2, "each starts over at the end"


def test_a_connection_that_breaks():
    with Server(lambda number, path, begin: "cut" if path == "/long" and not begin else None) as server:
        seen = watch(server, downloads=1)
    (download,) = seen["downloads"]
    assert not download["lost"] and not download["wrong_blocks"]
    assert download["cuts"][0] == "after 524288 bytes: it broke off with 524288 bytes missing"
    assert ("/long", 524288) in server.requests, "it goes on where it was"


@pytest.mark.parametrize(("what", "words"), [("refuse", "the server answers 503"), ("hang", "TimeoutError")])
def test_a_download_that_cannot_go_on(what, words):
    begun = []

    def trouble(number, path, begin):
        if path == "/long":
            begun.append(begin)
            return "cut" if len(begun) == 1 else what

    with Server(trouble) as server:
        seen = watch(server, downloads=1, duration=3)
    assert words in seen["downloads"][0]["lost"]


@pytest.mark.parametrize("what", ["refuse", "hang"])
def test_a_connection_that_never_began_is_not_cut(what):
    """It was not a running stream: a file that is not there, or a server that is out, cuts nobody."""
    with Server(lambda number, path, begin: what if path == "/long" else None) as server:
        seen = watch(server, downloads=1, duration=2)
    (download,) = seen["downloads"]
    assert download["lost"] and download["cuts"] == [] and download["trouble"] == download["lost"]


def test_newcomers_that_are_not_served():
    with Server(lambda number, path, begin: "refuse" if path == "/live.m3u8" and number % 2 else None) as server:
        seen = watch(server, downloads=0)
    good = [good for _begin, good in seen["asked"]]
    assert good.count(False) >= 2 and good.count(True) >= 2


def test_newcomers_do_not_wait_for_each_other():
    with Server(lambda number, path, begin: "hang") as server:
        begin = time.monotonic()
        seen = watch(server, downloads=0, timeout=0.5)
    assert time.monotonic() - begin < 5
    assert len(seen["asked"]) >= 5 and not any(good for _begin, good in seen["asked"])


def test_a_server_with_other_bytes():
    with Server(lambda number, path, begin: "wrong" if number % 2 else None) as server:
        seen = watch(server, newcomers=0.1)
    assert sum(download["wrong_blocks"] for download in seen["downloads"]) >= 1


def test_a_player_that_cannot_go_on():
    with Server() as server:
        (player,) = watch(server, players=1, downloads=0)["players"]
    assert "is not an HLS playlist" in player["lost"]


UNUSABLE = ["http://%s.example/x" % ("a" * 64), "http://%s/x" % ("a." * 150), "http://a..b/x", "http://a\ud800b/x", "http://h/\ud800"]


@pytest.mark.parametrize("url", UNUSABLE)
@pytest.mark.parametrize("option", ["url", "download"])
def test_a_host_that_nobody_can_look_up(monkeypatch, option, url):
    """Said before anything begins: a watch that asked nothing would read as one in which nothing happened."""
    monkeypatch.setattr(viewers, "_all", None)
    with pytest.raises(LvsError) as caught:
        viewers.watch(**{"url": "http://127.0.0.1:1/", option: url})
    assert caught.value.line.id == "url-invalid"


@pytest.mark.parametrize("option", ["url", "download"])
def test_credentials_are_refused_and_not_repeated(capsys, option):
    with patch_module_args({"url": "http://127.0.0.1:1/", option: "http://viewer:Hunter2@127.0.0.1:1/"}), pytest.raises(SystemExit):
        viewer_watch.main()
    said = capsys.readouterr().out
    assert json.loads(said)["failed"] and "Hunter2" not in said and "[url-with-login]" in said


def test_a_watch_in_which_nobody_asked(monkeypatch):
    async def nobody(self, until):
        pass

    monkeypatch.setattr(viewers.Newcomers, "run", nobody)
    with pytest.raises(LvsError, match="http://127.0.0.1:1/") as caught:
        viewers.watch("http://127.0.0.1:1/", duration=0.1, players=0)
    assert caught.value.line.id == "no-newcomers"


def test_what_nobody_thought_of_is_no_quiet_watch(monkeypatch):
    async def odd():
        raise UnicodeError("odd")

    begun = viewers.Newcomers(viewers.Way("http://127.0.0.1:1/"), 10, 1)
    monkeypatch.setattr(begun.way, "ask", odd)
    with pytest.raises(UnicodeError, match="odd"):
        asyncio.run(begun.run(time.monotonic() + 0.3))


@pytest.mark.parametrize("options", [{"duration": 0}, {"newcomers": -1}, {"downloads": -1}, {"players": 1000}, {"rate": 0}])
def test_wrong_options(options):
    with pytest.raises(LvsError) as caught:
        viewers.watch("http://192.0.2.1/live.m3u8", **options)
    assert [path_and_id(line) for line in caught.value.details["problems"]] == [(*options, "out-of-range")]


def test_a_download_that_has_no_url():
    with pytest.raises(LvsError) as caught:
        viewers.watch("http://192.0.2.1/live.m3u8", download="ftp://x/")
    assert caught.value.line.id == "url-not-http"


def test_the_former_name_of_an_option(capsys):
    with patch_module_args({"url": "http://127.0.0.1:1/", "seconds": 5}), pytest.raises(SystemExit):
        viewer_watch.main()
    result = json.loads(capsys.readouterr().out)
    assert result["failed"] and [path_and_id(line) for line in result["problems"]] == [("seconds", "renamed-option")]
    assert "duration" in result["problems"][0]
