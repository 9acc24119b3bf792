"""A pair of directors on this machine, and a real browser that looks at them."""

import os
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
import fleet  # noqa: E402

VIP = "192.0.2.100"


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    return fleet.program(tmp_path_factory.mktemp("program"))


@pytest.fixture
def pair(tmp_path, program):
    """start(count, services, hosts, …) -> [director1, director2]; the first one holds the VIPs."""
    yield from starter(tmp_path, program)


@pytest.fixture(scope="module")
def still(tmp_path_factory, program):
    """A pair for tests after which nothing may have changed."""
    for start in starter(tmp_path_factory.mktemp("still"), program):
        yield start()


def starter(tmp_path, program):
    running = []

    def start(count=3, services=("live",), hosts=None, **settings):
        made = fleet.inventory(count, services, hosts)
        found = fleet.resolved(made, services)
        ports = {name: fleet.free_port() for name in (*fleet.ADDRESSES, "peer", "egress")}
        directors = [fleet.Director(tmp_path, name, found, made, ports, **settings) for name in fleet.ADDRESSES]
        directors[0].scene["addresses"] += [vip for service in found.services for vip in service.vips]
        running.extend(directors)
        for one in directors:
            one.start(program)
        for one in directors:
            fleet.eventually(lambda one=one: one.state() and all(director["answers"] for director in one.state()["directors"]))
        return directors

    yield start
    for one in running:
        one.stop()


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-proxy-server",
                   "--host-resolver-rules=MAP *.example.com 127.0.0.1"]  # fmt: skip
        found = play.chromium.launch(executable_path=path, args=options)
        yield found
        found.close()


@pytest.fixture
def open_page(browser):
    """open(director, …) -> a page that has heard of a state; what it asks other hosts for, and what it logs, is kept."""
    contexts = []

    def start(director, path="/", **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.asked, page.logged = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.logged.append(message.text))
        page.on("pageerror", lambda error: page.logged.append(str(error)))
        page.goto(director.url + path)
        if options.get("java_script_enabled", True):
            # The policy of the page lets no tool evaluate text in it.
            fleet.eventually(lambda: page.inner_text("#live") == "live")
        return page

    yield start
    for context in contexts:
        context.close()
