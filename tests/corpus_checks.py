"""How the corpus asks lvsdr's checks: all that depends on how they are called is here."""

from ansible.module_utils.lvsdr.agent import looks
from ansible.module_utils.lvsdr.checks import verdicts
from fakes import corpus

GOOD, BAD, UNKNOWN = "good", "bad", "unknown"
BEGIN, TIMEOUT = 1_800_000_000.25, 5


async def look(kind, options, address, port, times, at):
    """[(GOOD, BAD or UNKNOWN, words)] of a check that looks at these times. at: is told the time before each look."""
    check = {"type": kind, **options}
    run = looks.KINDS[kind](check)
    place = looks.place_of({"address": address, "port": port}, check)
    said = []
    for now in times:
        at(now)
        said.append((await looks.look(run, place, now, TIMEOUT))[:2])
    return said


def hear(lines):
    """The share of its weight that a server has after these lines of its agent."""
    load = verdicts.Load()
    for line in lines:
        load.hear(line)
    return load.share


async def judge(case):
    """(GOOD, BAD or UNKNOWN, words) of a case: bad where one look is, for one is enough to take a server out."""
    seconds = case.seconds
    times = case.options.get("looks", [0, seconds, 2 * seconds, 4 * seconds])
    clock = [BEGIN]

    def at(now):
        clock[0] = BEGIN + now

    server = corpus.Server(case, now=lambda: clock[0])
    await server.start()
    try:
        options = {"path": case.path, **case.options.get("options", {})}
        if case.kind == "rtsp":
            options["path"] = "/live"
        said = await look(case.kind, options, "127.0.0.1", server.port, times, at)
    finally:
        server.close()
    return next((one for one in said if one[0] == BAD), said[-1])
