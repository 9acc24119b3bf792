"""Cost of the console with 300 servers: `make bench` prints it. Its kernel is in memory, and part of the helper's share."""

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
exec((Path(__file__).parents[1] / "conftest.py").read_text(), {"__file__": str(Path(__file__).parents[1] / "conftest.py")})
import cost  # noqa: E402
import fleet  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

SECONDS = 30


def main():
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        made = fleet.inventory(300)
        found = fleet.resolved(made)
        ports = {name: fleet.free_port() for name in (*fleet.ADDRESSES, "peer", "egress")}
        program = fleet.program(Path(folder) / "program")
        directors = [fleet.Director(folder, name, found, made, ports) for name in fleet.ADDRESSES]
        directors[0].scene["addresses"] += list(found.services[0].vips)
        for director in directors:
            director.start(program)
        browser = play.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox", "--disable-gpu", "--no-proxy-server"]
        )
        try:
            cost.counting(directors[0])
            fleet.eventually(lambda: directors[0].state() and directors[0].server("edge300")["sent"], 120)
            alone = cost.share(directors[0], SECONDS)
            page = browser.new_page()
            page.goto(directors[0].url)
            fleet.eventually(lambda: page.inner_text("#live") == "live")
            paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            time.sleep(2)
            watched = cost.share(directors[0], SECONDS, scrapes=(1, 16))
            taken = cost.memory(directors)
        finally:
            browser.close()
            for director in directors:
                director.stop()
    print("300 servers, a look at two directors each 2 s, counters of all servers each 10 s; shares of a core:")
    for words, found in (("nobody looks", alone), ("one page, two scrapes in 30 s", watched)):
        print("  %-32s console %.1f %%, helper %.1f %%" % (words, 100 * found["console"], 100 * found["helper"]))
    print("  memory: console %.0f MB, helper %.0f MB" % (cost.mb(taken["console"]), cost.mb(taken["helper"])))
    print("  first paint: %.0f ms" % paint)


main()
