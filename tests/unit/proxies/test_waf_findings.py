"""What the WAF writes becomes findings, and lines of the inventory; whoever attacks chooses the words in it."""

import gzip
import json
import time

import pytest
import yaml
from ansible.module_utils.lvsdr.inventory import resolve, waf_option
from ansible.module_utils.lvsdr.proxies import findings, haproxy, report, waf, waf_log
from hypothesis import given
from hypothesis import strategies as st
from said import path_and_id

from inventories import GONE, VIP, anything, inventory

NOW = int(time.time())
HOSTS = {name: {"ansible_host": "192.0.2.%d" % n} for n, name in enumerate(("edge1", "edge2", "origin1"), 31)}
GROUPS = {"edges": ["edge1", "edge2"], "origins": ["origin1"], "directors": ["director1"], "web": GONE}


def resolved(**options):
    service = {
        "name": "live",
        "mode": "proxy",
        "proxies": "edges",
        "addresses": [VIP],
        "ports": [80],
        "real_servers": "origins",
        "waf": options,
    }
    return resolve.resolve([service], inventory(HOSTS, GROUPS))


def line(uri="/search/a?q=1", rules=((942100, "found within ARGS:q: 1", ""),), client="203.0.113.1", code=403, service="live", when=NOW):
    messages = [
        {"message": "said of %d" % rule, "details": {"ruleId": str(rule), "data": data, "match": match}} for rule, data, match in rules
    ]
    messages.append({"message": "sum", "details": {"ruleId": "949110", "data": "", "match": ""}})
    messages.append({"message": "lvsdr", "details": {"ruleId": str(waf.NAMES_SERVICE), "data": service, "match": ""}})
    one = {
        "client_ip": client,
        "time_stamp": time.strftime("%c", time.localtime(when)),
        "request": {"uri": uri},
        "response": {"http_code": code},
    }
    return json.dumps({"transaction": {**one, "messages": messages}})


def test_requests_of_one_rule_at_one_place_are_one_finding():
    lines = [line(), line("/search/b?q=2", client="203.0.113.2", code=200), line("/other?q=1"), line(service="ingest")]
    found, unread = findings.read(lines)
    assert unread == 0 and [(one["service"], one["path"], one["requests"], one["refused"], one["viewers"]) for one in found] == [
        ("live", "/search/", 2, 1, 2), ("ingest", "/search/", 1, 1, 1), ("live", "/", 1, 1, 1)
    ]  # fmt: skip
    assert {(one["rule"], one["target"], one["message"]) for one in found} == {(942100, "ARGS:q", "said of 942100")}
    # A rule that says so in another way, twice in one request, and one that is not about requests.
    rules = ((920350, "", "Matched \"Operator `Rx' against variable `REQUEST_HEADERS:Host' (Value: `1' )"),) * 2 + ((980130, "", ""),)
    (one,) = findings.read([line(rules=rules)])[0]
    assert (one["rule"], one["target"], one["requests"]) == (920350, "REQUEST_HEADERS:Host", 1)


def test_what_can_not_be_read_is_counted_and_what_is_old_is_left_out():
    assert findings.read(["", "{", "[]", '{"transaction": 5}', line()[:-30], line()])[1] == 5
    assert findings.read([line(when=NOW - 7200), line()], NOW - 3600)[0][0]["requests"] == 1


@given(st.lists(st.dictionaries(st.sampled_from(["transaction", "messages"]), anything)))
def test_any_line_is_read_or_counted(items):
    lines = [json.dumps(item, default=str) for item in items]
    assert findings.read(lines)[1] == len(lines)


def test_findings_of_several_proxies_are_added_up():
    first, second = findings.read([line(), line()])[0], findings.read([line(), line("/x")])[0]
    merged = findings.merged([first, second])
    assert [(one["path"], one["requests"]) for one in merged] == [("/search/", 3), ("/", 1)]
    said = findings.report(merged, 2)
    assert said[0].split()[:3] == ["SERVICE", "RULE", "REQUESTS"] and said[-1].startswith("2 lines")
    assert findings.report([]) == ["The WAF found nothing."]


@pytest.mark.parametrize(
    "uri, target, wanted",
    [
        ("/a/b?q=1", "ARGS:q", {"rule": 942100, "path": "/a/", "target": "ARGS:q"}), ("/a/b", "XML:/*", None),
        ("/a/b", "ARGS:filter[name]", {"rule": 942100, "path": "/a/", "target": "ARGS:filter[name]"}), ("/a/b", "ARGS:a b", None),
        ("/a/b", "ARGS:a~b", None), ("/a/b", "ARGS:it's", None), ("/a/b", "ARGS: x", None), ("/a/b", "ARGS", None),
        ("/a/b", "REQUEST_URI", {"rule": 942100, "path": "/a/", "target": "REQUEST_URI"}),
        ("/a%20b/c", "ARGS:q", None), ("/a%22%0aid:1/c", "ARGS:q", None), ("/a%25{TX.1}/c", "ARGS:q", None),
    ],
)  # fmt: skip
def test_an_exclusion_is_as_narrow_as_it_can_be_and_never_what_an_attacker_writes(uri, target, wanted):
    (one,) = findings.read([line(uri, ((942100, "found within %s: 1" % target, ""),))])[0]
    exclusion = findings.exclusion(one)
    assert (yaml.safe_load(exclusion) if exclusion else None) == wanted
    if wanted:
        # It is read again as it was written.
        assert resolved(exclude=[wanted]).proxies[0].waf["exclude"] == [{"target": None, **wanted}]
    said = findings.report([one])
    assert all(text.isprintable() for text in said) and ("can't be let through by itself" in said[-1]) == (wanted is None)


@given(st.text(max_size=30), st.sampled_from(sorted(waf_option.RULES)), st.text(max_size=20))
def test_no_exclusion_breaks_out_of_its_place(path, rule, target):
    try:
        found = resolved(exclude=[{"rule": rule, "path": path, "target": target or None}])
    except Exception as error:
        assert all(path_and_id(one)[1].startswith("not-a-waf") or path_and_id(one)[1] == "not-text" for one in error.details["problems"])
        return
    text = waf.rules(found, "edge1")
    (rule_line,) = [one for one in text.splitlines() if "@beginsWith" in one]
    assert rule_line.count('"') == 4 and "%{" not in rule_line and "\\" not in rule_line


def test_what_differs_by_service_is_in_rules_and_nothing_else():
    plain, other = waf.rules(resolved(), "edge1"), waf.rules(resolved(mode="block", allow=["whep"], paranoia=2), "edge1")
    differ = set(other.splitlines()) - set(plain.splitlines())
    (line_of_service,) = differ
    assert "ctl:ruleEngine=On" in line_of_service and "PATCH" in line_of_service and "paranoia_level=2" in line_of_service
    assert waf.files(resolved(), "origin1") == [] and not waf.is_needed(resolved(), "origin1")
    assert "backend lvsdr-waf-live" in haproxy.render(resolved(), "edge2")


def test_status_says_where_requests_are_judged():
    up = {"running": True, "servers": {"lvsdr-waf-live": {"waf": {"status": "UP"}}}, "certificates": {}}
    down = {"running": True, "servers": {"lvsdr-waf-live": {"waf": {"status": "DOWN"}}}, "certificates": {}}
    assert any("judges on 2 of 2" in one for one in report.status(resolved(), {"edge1": up, "edge2": up}))
    said = report.status(resolved(fail="closed"), {"edge1": up, "edge2": down})
    assert any("judges on 1 of 2; the others refuse all but segments" in one for one in said)


def test_of_a_long_log_the_end_is_read_packed_or_not(tmp_path):
    (tmp_path / "waf.json").write_text("".join(line("/new/%d" % number) + "\n" for number in range(50)) + "half a li")
    with gzip.open(tmp_path / "waf.json.1.gz", "wt") as f:
        f.write("".join(line("/old%d/x" % number) + "\n" for number in range(50)))
    found, unread = waf_log.read(0, str(tmp_path / "waf.json"))
    assert unread == 0 and len(found) == 51 and found[0]["requests"] == 50
    most = 10 * (len(line("/old49/x")) + 1)
    found, unread = waf_log.read(0, str(tmp_path / "waf.json"), most)
    assert unread == 0 and {"/old%d/" % number for number in range(41, 50)} | {"/new/"} == {one["path"] for one in found}
    assert waf_log.read(NOW + 60, str(tmp_path / "waf.json")) == ([], 0)
