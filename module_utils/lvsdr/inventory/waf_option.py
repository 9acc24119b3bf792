# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``waf`` of a service of mode proxy says: which requests ModSecurity judges, and what it may not say of them. Pure.

The rules are those of the OWASP Core Rule Set 3.3, as Debian packages it (modsecurity-crs).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import messages as common
from ansible.module_utils.lvsdr.errors import shown
from ansible.module_utils.lvsdr.inventory import messages
from ansible.module_utils.lvsdr.text import whole_number

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.reader import Reader

MODES = ("detect", "block")
FAIL = ("open", "closed")
# What players and encoders do beside reading files: WHIP and WHEP (RFC 9725), and segments that are put (DASH-IF ingest, ffmpeg).
ALLOW = ("whep", "ingest")
PARANOIA = (1, 4)
# The rules that judge a request, of modsecurity-crs 3.3.4 and 3.3.7: family to the last three digits of their ids
# (tests/proxies/test_waf.py reads the packages).
FAMILIES = {
    911: "100",
    913: "100 101 102 110 120",
    920: (
        "100 120 121 160 170 171 180 181 190 200 201 202 210 220 230 240 250 260 270 271 272 273 274 275 290 300 310 311 320 "
        "330 340 341 350 360 370 380 390 400 410 420 430 440 450 460 470 480 490 500 510 530 600 620"
    ),
    921: "110 120 130 140 150 151 160 170 180 190 200 230 421 422",
    922: "100 110 120 130 140 150",
    930: "100 110 120 130",
    931: "100 110 120 130",
    932: "100 105 106 110 115 120 130 140 150 160 170 171 180 190 200",
    933: "100 110 111 120 130 131 140 150 151 160 161 170 180 190 200 210",
    934: "100",
    941: "100 101 110 120 130 140 150 160 170 180 190 200 210 220 230 240 250 260 270 280 290 300 310 320 330 340 350 360 370 380",
    942: (
        "100 101 110 120 130 140 150 160 170 180 190 200 210 220 230 240 250 251 260 270 280 290 300 310 320 330 340 350 360 "
        "361 370 380 390 400 410 420 421 430 431 432 440 450 460 470 480 490 500 510 511"
    ),
    943: "100 110 120",
    944: "100 110 120 130 200 210 240 250 300",
}
RULES = frozenset(family * 1000 + int(number) for family, numbers in FAMILIES.items() for number in numbers.split())
# What a rule looks at (Reference Manual of ModSecurity v3, "Variables"), with a name inside of it or without; of names what its scanner
# takes there (seclang-scanner.ll, REMOVE_RULE_BY), without what would end one.
_MANY = r"(?:ARGS(?:_GET|_POST)?(?:_NAMES)?|REQUEST_(?:COOKIES|HEADERS)(?:_NAMES)?)"
_NAME = r":[A-Za-z0-9_.\[\]$-]{1,60}"
_OTHERS = "|REQUEST_(?:BODY|URI|FILENAME)"
TARGET = re.compile(_MANY + "(?:%s)?" % _NAME + _OTHERS)
# Those that are a single thing.
ONE_TARGET = re.compile(_MANY + _NAME + _OTHERS)
# What a path may be made of, as ModSecurity compares it: decoded, without the query, and inside of quotation marks.
PATH = re.compile(r"/[A-Za-z0-9/_.~@=+,!$&()*;:-]{0,200}")


def read_waf(reader: Reader, application: str) -> dict[str, Any] | None:
    """``{"mode", "paranoia", "allow": [word], "exclude": [{"rule", "path", "target"}], "fail"}``; reader: of the whole declaration."""
    value = reader.get("waf")
    if value is None:
        return None
    if not isinstance(value, dict):
        reader.wrong("waf", common.NOT_A_DICTIONARY_LIKE(example="{mode: detect}", value=shown(value)))
        return None
    if application != "http":
        reader.wrong("waf", messages.NEEDS_HTTP(what="a WAF", instead="no waf"))
    inner = reader.inner("waf", value)
    inner.known(("mode", "paranoia", "allow", "exclude", "fail"))
    allow = inner.list("allow")
    for index, word in enumerate(allow):
        if word not in ALLOW:
            inner.wrong("allow[%d]" % index, common.UNKNOWN_VALUE(value=shown(word), choices=", ".join(ALLOW)))
    return {
        "mode": inner.choice("mode", MODES[0], MODES), "paranoia": inner.integer("paranoia", 1, *PARANOIA),
        "allow": sorted({word for word in allow if word in ALLOW}), "exclude": _read_excluded(inner),
        "fail": inner.choice("fail", FAIL[0], FAIL),
    }  # fmt: skip


def _read_excluded(reader: Reader) -> list[dict[str, Any]]:
    out = []
    for index, item in enumerate(reader.list("exclude")):
        field = "exclude[%d]" % index
        if not isinstance(item, dict):
            reader.wrong(field, common.NOT_A_DICTIONARY_LIKE(example="{rule: 942110, path: /live}", value=shown(item)))
            continue
        inner = reader.inner(field, item)
        inner.known(("rule", "path", "target"))
        rule, path, target = whole_number(item.get("rule")), item.get("path", "/"), item.get("target")
        if rule not in RULES:
            inner.wrong("rule", messages.NOT_A_WAF_RULE(value=shown(item.get("rule"))))
        if not isinstance(path, str) or not PATH.fullmatch(path):
            inner.wrong("path", messages.NOT_A_WAF_PATH(value=shown(path)))
        if target is not None and not (isinstance(target, str) and TARGET.fullmatch(target)):
            inner.wrong("target", messages.NOT_A_WAF_TARGET(value=shown(target)))
        out.append({"rule": rule, "path": path, "target": target})
    return out


def breaks(paranoia: int) -> str:
    """Who is refused at this level, in words; nothing where all are let through (tests/proxies/test_waf.py)."""
    return {3: "ffmpeg and VLC (rule 921230), and WHIP, WHEP and ingest (920272)", 4: "all players"}.get(paranoia, "")
