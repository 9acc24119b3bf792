# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one page: HTML of a state. Pure.

It is whole without JavaScript. With it, parts that have changed are exchanged by their ids, so there is no second renderer.
Everything that came from outside is escaped here: a name or a reason is text, never markup.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.console.assets import SCRIPT, STYLE
from ansible.module_utils.lvsdr.console.state import IN_SERVICE
from ansible.module_utils.lvsdr.text import bit_rate

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

# Reason of a server: (what it is called, the class of its colour).
LABELS = {
    "serving": ("serving", "good"), "part": ("part of its weight", "good"), "kept": ("failing, kept in", "bad"),
    "drained": ("drained", "calm"),
    "parked": ("spare, parked", "calm"), "down": ("out", "bad"), "unchecked": ("not checked yet", "warn"), "missing": ("missing", "bad"),
    "sorry": ("sorry server", "calm"), "zero": ("weight 0", "calm"),
    "unknown": ("not read", "warn"),
}  # fmt: skip


# Columns of numbers.
NUMBERS = ("Weight", "Active", "New/s", "In", "Out")
# Of one service; playbooks/waf_report.yml has all.
MOST_FINDINGS = 10


def policy(live: bool = True) -> str:
    """The Content-Security-Policy: this page's own style and script, and answers of this host."""
    hashes = ["'sha256-%s'" % b64encode(sha256(text.encode()).digest()).decode() for text in (STYLE, SCRIPT)]
    script = "script-src %s; connect-src 'self'; " % hashes[1] if live else ""
    return "default-src 'none'; style-src %s; %sbase-uri 'none'; form-action 'none'%s" % (
        hashes[0], script, "; frame-ancestors 'none'" if live else ""
    )  # fmt: skip


def page(state: dict[str, Any] | None, live: bool = True) -> str:
    """The document. live: with the script that keeps it up to date; without it, a report to keep."""
    head = '<meta http-equiv="Content-Security-Policy" content="%s">' % escape(policy(live)) if not live else ""
    script = "<script>%s</script>" % SCRIPT if live else ""
    words = "lvsdr %s" % escape(state["director"]) if state else "lvsdr"
    noscript = '<noscript><p class="hint">Without JavaScript this page has to be reloaded.</p></noscript>' if live else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        '%s<meta name="color-scheme" content="light dark"><title>%s</title><style>%s</style></head><body>'
        '<header><h1>%s</h1><p id="live" role="status"></p></header>%s<main id="main">%s</main>%s%s</body></html>'
    ) % (head, words, STYLE, words, noscript, main(state) if state else _waiting(), _dialog() if live else "", script)  # fmt: skip


def _waiting() -> str:
    return '<section id="problems"><p>Nothing has been read yet. Is lvsdr-console-helper running?</p></section>'


def main(state: dict[str, Any]) -> str:
    """What changes: each part that is exchanged by itself has an id."""
    parts = [_problems(state), _drift(state), _directors(state)]
    parts += [_service(state, service, number) for number, service in enumerate(state["services"])]
    return "".join([*parts, _events(state)])


def _problems(state: dict[str, Any]) -> str:
    if not state["problems"]:
        count = len(state["services"])
        text = "All %d services are served" % count if count > 1 else "The service is served" if count else "No service is declared"
        return '<section id="problems" class="fine"><h2>Nothing is wrong</h2><p>%s.</p></section>' % text
    rows = [
        '<li class="%s"><strong>%s</strong> <span class="do">%s</span> <span class="since">since %s</span></li>'
        % (escape(one["level"]), escape(one["what"]), _with_code(one["do"]), clock(one.get("since", state["at"])))
        for one in state["problems"][:20]
    ]
    more = len(state["problems"]) - 20
    rows += ["<li>and %d more</li>" % more] if more > 0 else []
    count = len(state["problems"])
    bad = any(one["level"] == "bad" for one in state["problems"])
    head = "%d thing%s to look at" % (count, "s"[: count > 1])
    return '<section id="problems" class="%s"><h2>%s</h2><ul>%s</ul></section>' % ("bad" if bad else "warn", head, "".join(rows))


def _with_code(text: str) -> str:
    """Escaped, with what is between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _directors(state: dict[str, Any]) -> str:
    """The data path, with who is active."""
    boxes = []
    both = {name for service in state["services"] for names in service["holders"].values() if len(names) > 1 for name in names}
    for one in state["directors"]:
        word, kind = _director_words(one, both)
        boxes.append(
            '<li id="director-%s" class="%s"><b>%s</b> <span>%s</span></li>' % (slug(one["name"]), kind, escape(one["name"]), escape(word))
        )
    # What proxies ask real servers for has come in by another service already.
    first = [service for service in state["services"] if not service["front"]]
    total = sum(service["active"] for service in first)
    into, out = (sum(service[name] or 0 for service in first) for name in ("in", "out"))
    known = [service["out"] for service in first if service["out"] is not None]
    past = ", past the directors" if any(service["direct"] for service in first) else ""
    # One that serves some of its services is not counted.
    servers: dict[str, bool] = {}
    for service in state["services"]:
        for one in service["servers"]:
            servers[one["name"]] = servers.get(one["name"], True) and one["reason"] in IN_SERVICE
    serving = sum(servers.values())
    return (
        '<section id="path" aria-label="Data path"><ol class="path"><li><b>viewers</b> <span>%s in</span></li>'
        '<li class="group"><ul>%s</ul></li><li><b>%d of %d servers</b> <span>%s connections</span></li>'
        "<li><b>viewers</b> <span>%s out%s</span></li></ol>%s</section>"
    ) % (bit_rate(into), "".join(boxes), serving, len(servers), number(total), bit_rate(out) if known else "–", past, _pair(state))


def _pair(state: dict[str, Any]) -> str:
    """Whether another director could take over as things are; what is wrong stands among the problems as well."""
    answering = [one for one in state["directors"] if one["answers"]]
    if len(answering) < 2:
        return ""
    wrong = {one["kind"] for one in state["problems"]}
    synced = [one["sync"] == ["backup", "master"] for one in answering]
    words = [
        "different servers" if "parity" in wrong else "the same servers",
        "different configurations" if "configuration" in wrong else "the same configuration",
        *(["connections synced both ways" if all(synced) else "connections not synced"] if any(one["sync"] for one in answering) else []),
    ]
    return '<p id="pair" class="totals">%s: %s</p>' % (escape(" and ".join(one["name"] for one in answering)), ", ".join(words))


def _director_words(one: dict[str, Any], both: Collection[str]) -> tuple[str, str]:
    """(what it is, the class of its box). both: those that are active for a VIP beside another one."""
    if not one["answers"]:
        return "does not answer", "bad"
    word = "active" if one["active"] else "standby"
    if one["drained"]:
        word += ", drained"
    if not one["keepalived"]:
        return word + ", keepalived is not running", "bad"
    return word, "bad" if one["name"] in both else "active" if one["active"] else "standby"


def _service(state: dict[str, Any], service: dict[str, Any], place: int) -> str:
    actions = state["actions"]
    heads = ["Server", "State", "Weight", "Active", "New/s", "In", "Out", "Out, 30 min"] + (["Action"] if actions else [])
    rows = "".join(_row(state, service, one, "s%d-%s" % (place, slug(one["name"]))) for one in service["servers"])
    for one in service["leaving"]:
        where = "%(address)s:%(port)d" % one if one["port"] else one["address"]
        rows += (
            '<tr id="s%d-leaving-%s" class="calm"><th scope="row">%s</th><td>leaving</td><td class="n">%d</td><td class="n">%d</td>%s</tr>'
        ) % (place, slug(where), escape(where), one["weight"], one["active"], "<td></td>" * (len(heads) - 4))
    floor = ", floor %d" % service["floor"] if service["floor"] else ""
    ends = [one["certificate_ends"] for one in (service, *service["servers"]) if one.get("certificate_ends")]
    until = " · certificates until %s" % time.strftime("%Y-%m-%d", time.gmtime(min(ends))) if ends else ""
    held = "" if service["there"] else '<p class="bad">This service is not in the table of %s. Run site.yml.</p>' % escape(service["view"])
    return (
        '<section id="v%d" class="service" aria-labelledby="h%d"><h2 id="h%d">%s <small>%s, %s, %s</small></h2>'
        '<p id="t%d" class="totals">%d of %d servers%s · %s active · %s new/s · %s in · %s out%s</p>%s'
        '<div class="scroll" tabindex="0" role="group" aria-labelledby="h%d"><table><thead><tr>%s</tr></thead>'
        "<tbody>%s</tbody></table></div>%s</section>"
    ) % (
        place, place, place, escape(service["name"]), escape("%s %s" % (service["vip"], service["ports"])), escape(service["mode"]),
        escape(service["scheduler"]), place, service["serving"], service["counted"], floor, number(service["active"]),
        number(service["new"]), bit_rate(service["in"]), "–" if service["out"] is None else bit_rate(service["out"]), until, held, place,
        "".join('<th scope="col"%s>%s</th>' % (' class="n"' if name in NUMBERS else "", name) for name in heads), rows,
        _findings(service) if service["waf"] else "",
    )  # fmt: skip


def _findings(service: dict[str, Any]) -> str:
    """What the WAF found, with what would let it through."""
    if not service["findings"]:
        return "<p>The WAF has found nothing in the last day.</p>"
    rows = []
    for one in service["findings"][:MOST_FINDINGS]:
        line = "<code>%s</code>" % escape(one["line"]) if one["line"] else ""
        counts = "".join('<td class="n">%s</td>' % number(one[name]) for name in ("requests", "refused", "viewers"))
        where = '%s <span class="why">%s</span>' % (escape(one["path"]), escape(one["target"]))
        rows.append("<tr><td>%d</td>%s<td>%s</td><td>%s</td><td>%s</td></tr>" % (one["rule"], counts, where, escape(one["message"]), line))
    left = len(service["findings"]) - MOST_FINDINGS
    more = ' <span class="why">and %d more in <code>playbooks/waf_report.yml</code></span>' % left if left > 0 else ""
    heads = (("Rule", ""), *((name, ' class="n"') for name in ("Requests", "Refused", "Viewers")), ("Where", ""), ("What", ""))
    cells = "".join('<th scope="col"%s>%s</th>' % (kind, name) for name, kind in (*heads, ("Lets it through, in waf.exclude", "")))
    refused = "has refused" if service["waf"]["mode"] == "block" else "would have refused"
    return (
        '<h3>What the WAF %s in the last day%s</h3><div class="scroll" tabindex="0" role="group" aria-label="WAF of %s">'
        "<table><thead><tr>%s</tr></thead><tbody>%s</tbody></table></div>"
    ) % (refused, more, escape(service["name"], quote=True), cells, "".join(rows))


def _row(state: dict[str, Any], service: dict[str, Any], one: dict[str, Any], name: str) -> str:
    label, kind = LABELS[one["reason"]]
    if one["reason"] == "drained" and one["active"]:
        label = "draining, %s left" % number(one["active"])
    weight = "–" if one["weight"] is None else "%d" % one["weight"]
    if one["weight"] is not None and one["weight"] != one["declared"]:
        weight += " <small>of %d</small>" % one["declared"]
    since = ' <span class="since">since %s</span>' % clock(one["since"]) if one.get("since") and one["reason"] != "serving" else ""
    cells = [
        '<th scope="row">%s <small>%s</small></th>' % (escape(one["name"]), escape(one["address"])),
        '<td><b class="%s">%s</b> <span class="why">%s</span>%s</td>' % (kind, label, escape(one["why"]), since),
        '<td class="n">%s</td>' % weight, '<td class="n">%s</td>' % number(one["active"]), '<td class="n">%s</td>' % number(one["new"]),
        '<td class="n">%s</td>' % bit_rate(one["in"]), '<td class="n">%s</td>' % ("–" if one["out"] is None else bit_rate(one["out"])),
        "<td>%s</td>" % spark(one.get("spark"), service),
    ]  # fmt: skip
    if state["actions"]:
        # Who clicks reaches the directors' files, and not those of proxies.
        cells.append("<td>%s</td>" % ("" if service["behind"] else _buttons(one, name)))
    return '<tr id="%s" class="%s">%s</tr>' % (name, kind, "".join(cells))


def _buttons(one: dict[str, Any], row: str) -> str:
    verbs = ["undrain"] if one["reason"] == "drained" else ["wake"] if one["reason"] == "parked" else ["drain"]
    if one["spare"] and one["reason"] not in ("parked", "drained"):
        verbs.append("park")
    return " ".join(
        '<button id="%s-%s" data-verb="%s" data-host="%s">%s<span class="hidden"> %s</span></button>'
        % (row, verb, verb, escape(one["name"], quote=True), verb.capitalize(), escape(one["name"]))
        for verb in verbs
        if not one["fallback"]
    )


def spark(rows: Sequence[Sequence[float]] | None, service: dict[str, Any]) -> str:
    """What a server sent in the last half hour, or was sent where that is not known, as a small curve."""
    if not rows:
        return ""
    values, what = (rows[2], "sent") if any(rows[2]) else (rows[1], "received")
    most = max(values)
    if not most:
        return '<svg class="spark" viewBox="0 0 60 16" role="img" aria-label="nothing in 30 minutes"></svg>'
    points = " ".join("%d,%.1f" % (at, 15 - 14 * value / most) for at, value in enumerate(values))
    words = "%s in 30 minutes, at most %s" % (what, bit_rate(most))
    return '<svg class="spark" viewBox="0 0 60 16" role="img" aria-label="%s"><polyline points="%s"/></svg>' % (escape(words), points)


def _drift(state: dict[str, Any]) -> str:
    if not state["drift"]:
        return '<section id="drift" hidden></section>'
    rows = ["<li>%s <code>%s</code></li>" % (escape(one["what"]), escape(one["line"])) for one in state["drift"][:50]]
    return (
        '<section id="drift" class="warn"><h2>Not in the inventory</h2><p>The next rollout undoes this, '
        "unless you add the line beside it to the inventory.</p><ul>%s</ul></section>"
    ) % "".join(rows)


def _events(state: dict[str, Any]) -> str:
    rows = ["<li><time>%s</time> %s</li>" % (clock(at), escape(words)) for at, words in list(state.get("events", ()))[:-61:-1]]
    text = "<ol>%s</ol>" % "".join(rows) if rows else "<p>Nothing has happened yet.</p>"
    return '<section id="events"><h2>Last day</h2>%s</section>' % text


def _dialog() -> str:
    return (
        '<dialog id="ask" aria-labelledby="ask-title"><form method="dialog"><h2 id="ask-title"></h2><ul id="ask-says"></ul>'
        '<label>Why <input id="ask-why" required minlength="3" maxlength="200" autocomplete="off"></label>'
        '<label>Your name <input id="ask-who" required maxlength="40" autocomplete="name"></label>'
        '<p id="ask-answer" role="alert"></p><button id="ask-yes" value="yes">Confirm</button> '
        '<button id="ask-no" value="no" formnovalidate>Cancel</button>'
        "</form></dialog>"
    )


def slug(name: str) -> str:
    """An id of a name: no two names have the same."""
    return "".join(character if character.isascii() and character.isalnum() else "_%x_" % ord(character) for character in name)


def clock(at: float) -> str:
    """A moment as HTML: the time of day, and the whole date for who asks; in UTC, because viewers of this page share no clock else."""
    moment = time.gmtime(at)
    return '<span title="%s">%s</span>' % (time.strftime("%Y-%m-%d %H:%M:%S UTC", moment), time.strftime("%H:%M:%S", moment))


def number(value: float) -> str:
    """``1 234``"""
    return format(int(value), ",").replace(",", "\u202f")
