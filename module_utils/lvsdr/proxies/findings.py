# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the WAF found, from the log that ModSecurity writes, and what would let it through. Pure, but for the
host's time zone, in which ModSecurity writes.

The log has a line of JSON for each request that reached the limit, with the messages of all rules that matched (ModSecurity v3,
src/transaction.cc, toJSON), and last that of our own rule, which names the service (waf.py).
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ansible.module_utils.lvsdr.errors import printable
from ansible.module_utils.lvsdr.inventory import waf_option
from ansible.module_utils.lvsdr.proxies import waf
from ansible.module_utils.lvsdr.text import aligned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Where a rule found it: in what it logs, or in how ModSecurity says that it matched.
WITHIN = re.compile(r"found within ([A-Z_]+(?::\S.*?)?)(?:: |$)", re.DOTALL)
AGAINST = re.compile(r"against variable `([A-Z_]+(?::\S.*?)?)'(?: \(Value: |$)", re.DOTALL)
# Kept of one log, the most frequent first.
MOST = 500
# The rules of which something is said.
JUDGES = waf_option.RULES | {waf.SAYS_UNREADABLE}
LONGEST = 120


@dataclass
class Finding:
    """Requests that one rule matched at one place, below one path."""

    service: str
    rule: int
    target: str
    path: str
    message: str
    requests: int = 0
    # Of them, those that were answered with 403.
    refused: int = 0
    # Seconds since 1970.
    last: int = 0
    viewers: set[str] = field(default_factory=set)


def read(lines: Iterable[str], since: int = 0) -> tuple[list[dict[str, Any]], int]:
    """(findings as waf_info returns them, the number of lines that could not be read). since: seconds since 1970."""
    found: dict[tuple[Any, ...], Finding] = {}
    unread = 0
    for line in lines:
        try:
            one = json.loads(line)["transaction"]
            when = int(time.mktime(time.strptime(one["time_stamp"])))
            if when >= since:
                _add(found, one, when)
        except (AttributeError, KeyError, TypeError, ValueError):
            unread += 1
    several = [
        {
            "service": one.service, "rule": one.rule, "target": one.target, "path": one.path, "message": one.message,
            "requests": one.requests, "refused": one.refused, "last": one.last, "viewers": len(one.viewers),
        }
        for one in found.values()
    ]  # fmt: skip
    return _most_first(several)[:MOST], unread


def _most_first(several: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(several, key=lambda one: (-one["requests"], one["service"], one["rule"], one["path"], one["target"]))


def _add(found: dict[tuple[Any, ...], Finding], one: Mapping[str, Any], when: int) -> None:
    # Whoever attacks chooses the words.
    path = printable(unquote(one["request"]["uri"].partition("?")[0]).rpartition("/")[0] + "/", LONGEST)
    service = next((said["details"]["data"] for said in one["messages"] if said["details"]["ruleId"] == str(waf.NAMES_SERVICE)), "")
    seen = set()
    for said in one["messages"]:
        rule, target = int(said["details"]["ruleId"]), _target(said["details"])
        if rule not in JUDGES or (rule, target) in seen:
            continue
        seen.add((rule, target))
        finding = found.setdefault((service, rule, target, path), Finding(service, rule, target, path, printable(said["message"], LONGEST)))
        finding.requests += 1
        finding.refused += one["response"]["http_code"] == 403
        finding.last = max(finding.last, when)
        finding.viewers.add(one["client_ip"])


def _target(details: Mapping[str, str]) -> str:
    within = WITHIN.search(details["data"]) or AGAINST.search(details["match"])
    return printable(within[1], LONGEST) if within else ""


def exclusion(finding: Mapping[str, Any]) -> str | None:
    """The line of ``waf.exclude`` that lets it through and nothing else; None where no line can.

    Without a target the rule would be off for every parameter, which whoever chose a name that can't be written would be glad of.
    """
    rule, path, target = (finding[name] for name in ("rule", "path", "target"))
    if rule not in waf_option.RULES or not waf_option.PATH.fullmatch(path) or (target and not waf_option.ONE_TARGET.fullmatch(target)):
        return None
    words = ["rule: %d" % rule, "path: %s" % json.dumps(path), *(["target: %s" % json.dumps(target)] if target else [])]
    return "{%s}" % ", ".join(words)


def merged(several: Iterable[Iterable[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The findings of several proxies as one list, most requests first. A viewer of two proxies counts twice."""
    out: dict[tuple[Any, ...], dict[str, Any]] = {}
    for findings in several:
        for one in findings:
            key = tuple(one[name] for name in ("service", "rule", "target", "path"))
            held = out.setdefault(key, {**one, "requests": 0, "refused": 0, "last": 0, "viewers": 0})
            for name in ("requests", "refused", "viewers"):
                held[name] += one[name]
            held["last"] = max(held["last"], one["last"])
    return _most_first(out.values())


def report(findings: Sequence[Mapping[str, Any]], unread: int = 0) -> list[str]:
    """Lines: a row for each finding, and what would let it through."""
    if not findings:
        lines = ["The WAF found nothing."]
    else:
        rows = [("SERVICE", "RULE", "REQUESTS", "REFUSED", "VIEWERS", "WHERE", "PATH", "WHAT")]
        for one in findings:
            counts = (str(one[name]) for name in ("requests", "refused", "viewers"))
            rows.append((one["service"] or "-", str(one["rule"]), *counts, one["target"] or "-", one["path"], one["message"]))
        lines = [*aligned(rows), "", *_exclusions(findings)]
    return [*lines, *(["%d lines of the logs could not be read." % unread] if unread else [])]


def _exclusions(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["If these are viewers of yours, and no attack, this lets them through:"]
    several = [(one["service"], exclusion(one)) for one in findings]
    for service in dict.fromkeys(of for of, line in several if line):
        found = dict.fromkeys(line for of, line in several if line and of == service)
        lines += ["", "%s:" % (service or "-"), "  waf:", "    exclude:", *("      - " + line for line in found)]
    if not all(line for _of, line in several):
        lines += ["", "What has no line here can't be let through by itself: its rule, path or parameter can't be named in one."]
    return lines
