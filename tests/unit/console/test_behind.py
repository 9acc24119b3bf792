"""What the console makes of what proxies tell of the real servers behind them."""

import json

import pytest
from ansible.module_utils.lvsdr.console import behind, page, state
from ansible.module_utils.lvsdr.console.collect import Proxies
from looks import NOW, VIP, both, config, server

ORIGINS = ("origin1", "origin2")
FINDING = {
    "service": "live", "rule": 942100, "target": "ARGS:q", "path": "/search/", "message": "SQL Injection", "requests": 3, "refused": 1,
    "viewers": 2, "last": 1, "line": '{rule: 942100, path: "/search/", target: ARGS:q}',
}  # fmt: skip


def proxied(one_tier=False, **more):
    made = config()
    name = "live" if one_tier else "live behind its proxies"
    service = {
        "name": name, "backend": "live", "front": "" if one_tier else "live", "vips": [VIP], "ports": "tcp 443",
        "proxies": ["edge1", "edge2"], "balance": "roundrobin", "certificates": ["/etc/live.pem"], "floor": 0.5, "checked": True,
        "checks": ["live"], "waf": {"mode": "detect", "fail": "open", "backend": "lvsdr-waf-live"},
        "servers": [server(one) for one in ORIGINS],
    }  # fmt: skip
    made["behind"] = [{**service, **more}]
    made["proxies"] = [{"name": one, "address": "192.0.2.2%d" % number} for number, one in enumerate(("edge1", "edge2"), 1)]
    return made


def check(name, **more):
    usual = {
        "service": "live", "vip": VIP, "server": name, "state": "up", "why": "2 s of new video", "agent": "", "seconds": 0.02,
        "kept": False, "warning": "", "certificate_ends": None,
    }  # fmt: skip
    return {**usual, **more}


def held(**more):
    return {"status": "UP", "weight": 10, "connections": 3, "rate": 2, "in": 100, "out": 5000, "why": "", **more}


def told_by(servers=(), files=(), checks=None, judges="UP", **more):
    """What a proxy tells, before it is read. servers: {name: what differs, or None of one that HAProxy does not have}"""
    given = dict(servers)
    there = {name: held(**given.get(name, {})) for name in (*ORIGINS, *given) if given.get(name, {}) is not None}
    usual = {
        "at": NOW, "running": True, "version": "2.6", "servers": {"live": there, "lvsdr-waf-live": {"waf": held(status=judges)}},
        "certificates": {"/etc/live.pem": {"expires": "Jan 15 08:00:00 2028 GMT"}}, "files": dict(files),
        "checks": [check(name) for name in ORIGINS] if checks is None else checks, "checks_age": 0.5, "waf": [],
    }  # fmt: skip
    return {**usual, **more}


def tells(**more):
    return behind.decoded(json.dumps(told_by(**more)).encode())


def seen(made, told, rates=()):
    looks = both(made)
    return state.state(made, looks, {}, NOW, behind.added(made, looks, told, dict(rates), NOW))


def both_tell(**more):
    return {"edge1": tells(**more), "edge2": tells(**more)}


def ends(day):
    return both_tell(certificates={"/etc/live.pem": {"expires": "%s 08:00:00 2027 GMT" % day}})


def of(found, name="origin1"):
    one = next(one for one in found["services"][1]["servers"] if one["name"] == name)
    return one["reason"], one["why"]


def kinds(found):
    return [one["kind"] for one in found["problems"]]


def test_nothing_is_wrong_and_numbers_are_sums_of_all_proxies():
    rates = {"edge1": {("live", "origin1"): (10.0, 400.0)}, "edge2": {("live", "origin1"): (5.0, 600.0)}}
    found = seen(proxied(), both_tell(), rates)
    assert kinds(found) == [] and found["drift"] == []
    front, service = found["services"]
    assert (front["name"], service["name"], service["view"]) == ("live", "live behind its proxies", "edge1 and edge2")
    assert (service["serving"], service["counted"], service["floor"], service["active"], service["new"]) == (2, 2, 1, 12, 8)
    assert (service["in"], service["out"]) == (15.0, 1000.0)
    assert [one["weight"] for one in service["servers"]] == [10, 10]
    # Viewers are counted where they come in.
    assert ">12 connections<" in page.main(found)


def test_it_stands_once_behind_the_tables_of_all_vips():
    made = proxied()
    made["services"].append({**made["services"][0], "vips": ["2001:db8::100"], "key": "tcp [2001:db8::100]:80"})
    made["services"].append({**made["services"][0], "name": "other", "vips": ["192.0.2.101"], "key": "tcp 192.0.2.101:80"})
    assert [one["name"] for one in seen(made, both_tell())["services"]] == ["live", "live", "live behind its proxies", "other"]


NOTE = {"who": "anna", "why": "kernel upgrade", "since": NOW - 60}


@pytest.mark.parametrize(
    "changes, told, reason",
    [
        ({}, {"files": {"drained-origin1": NOTE}}, ("drained", "by anna: kernel upgrade")),
        ({"drained": True}, {"servers": {"origin1": {"status": "MAINT"}}}, ("drained", "in the inventory")),
        ({"spare": True}, {"files": {"spare-origin1": {"who": "", "why": "", "since": NOW}}}, ("parked", "")),
        ({}, {"servers": {"origin1": None}}, ("missing", "HAProxy does not have it")),
        ({"weight": 0}, {}, ("zero", "declared with weight 0")),
        ({}, {"servers": {"origin1": {"status": "DOWN"}}, "checks": [check("origin1", state="down", why="playlist frozen")]},
         ("down", "playlist frozen")),
        ({}, {"servers": {"origin1": {"status": "DOWN", "why": "Connection refused"}}}, ("down", "Connection refused")),
        ({}, {"servers": {"origin1": {"weight": 5}}}, ("part", "50 % of its weight: slow start")),
        ({}, {"servers": {"origin1": {"weight": 1}}, "checks": [check("origin1", state="unknown")]}, ("unchecked", "not checked yet")),
        ({}, {"checks": [check("origin1", kept=True, state="down", why="frozen")]},
         ("kept", "frozen; kept in, because all servers failed at once")),
        ({"fallback": True}, {}, ("sorry", "answers when all others are out")),
        ({"fallback": True}, {"servers": {"origin2": {"status": "DOWN"}}}, ("sorry", "answers, because all others are out")),
    ],
)  # fmt: skip
def test_why_a_server_has_its_weight(changes, told, reason):
    made = proxied()
    made["behind"][0]["servers"][0].update(changes)
    assert of(seen(made, both_tell(**told))) == reason


def test_where_proxies_differ_the_worst_is_shown_with_its_place():
    told = {"edge1": tells(), "edge2": tells(servers={"origin1": {"status": "DOWN", "why": "Connection refused"}})}
    found = seen(proxied(), told)
    assert of(found) == ("down", "Connection refused; on edge2 alone") and kinds(found) == ["floor", "server-down"]


def test_each_vip_of_one_tier_has_one_holder():
    made = proxied(one_tier=True, vips=[VIP, "2001:db8::100"])
    made["services"] = []
    found = seen(made, both_tell())
    assert [(one["kind"], one["what"]) for one in found["problems"]] == [("nobody-active", "no director holds 2001:db8::100")]


def test_more_than_a_page_can_show_is_cut():
    many = {"gone%d" % number: {"status": "MAINT"} for number in range(100)}
    told = both_tell(servers={**many, "origin1": {"status": "DOWN", "why": "x" * 5000}}, waf=[{**FINDING, "rule": n} for n in range(100)])
    service = seen(proxied(), told)["services"][1]
    assert len(service["leaving"]) == 20 and len(service["servers"][0]["why"]) == 300 and len(service["findings"]) == 50


def test_who_is_drained_in_two_places_is_said_once():
    made = proxied()
    made["behind"][0]["servers"][0] = made["services"][0]["servers"][0]
    looks = both(made, files={"drained-edge1": NOTE})
    found = state.state(made, looks, {}, NOW, behind.added(made, looks, both_tell(files={"drained-edge1": NOTE}), {}, NOW))
    assert [one["what"] for one in found["drift"]] == ["edge1 is drained"]


def test_without_a_check_no_file_counts():
    found = seen(proxied(checked=False, checks=[]), both_tell(files={"drained-origin1": NOTE}, checks=[]))
    assert of(found) == ("serving", "") and found["drift"] == []


def test_one_tier_is_a_service_of_its_own():
    made = proxied(one_tier=True)
    made["services"] = []
    found = seen(made, both_tell())
    assert kinds(found) == [] and [one["name"] for one in found["services"]] == ["live"]
    assert [one["active"] for one in found["directors"]] == [[VIP], []]


@pytest.mark.parametrize(
    "told, kind, level, words",
    [
        ({"edge1": tells(), "edge2": None}, "proxy-silent", "warn", "edge2 does not tell what its HAProxy holds"),
        ({"edge1": tells(), "edge2": tells(running=False)}, "proxy-silent", "warn", "HAProxy does not run on edge2"),
        ({"edge1": None, "edge2": None}, "proxy-silent", "bad", "edge1 does not tell"),
        ({"edge1": tells(), "edge2": tells(checks_age=None)}, "checker-stalled", "warn", "lvsdr-streamcheck does not run on"),
        ({"edge1": tells(), "edge2": tells(judges="DOWN")}, "waf", "warn", "does not judge on edge2: everything is let through"),
        (ends("Jan 18"), "certificate", "warn", "expires in 3 days"),
        (ends("Jan 10"), "certificate", "bad", "has expired"),
        (both_tell(servers=dict.fromkeys(ORIGINS, {"status": "DOWN"})), "nobody-serves", "bad", "no server of live behind"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_proxies(told, kind, level, words):
    found = [one for one in seen(proxied(), told)["problems"] if one["kind"] == kind]
    assert found and found[0]["level"] == level and words in found[0]["what"] and found[0]["do"]


def test_a_waf_that_fails_closed_refuses_viewers():
    found = seen(proxied(waf={"mode": "block", "fail": "closed", "backend": "lvsdr-waf-live"}), both_tell(judges="DOWN"))
    assert [one["level"] for one in found["problems"]] == ["bad", "bad"] and "all but segments" in found["problems"][0]["what"]


def test_a_drain_that_the_inventory_does_not_have():
    found = seen(proxied(), {"edge1": tells(files={"drained-origin1": NOTE}), "edge2": tells()})
    assert found["drift"] == [{"what": "origin1 is drained", "line": "origin1: real_server_state: drained"}]


def test_a_server_that_leaves_is_shown_until_its_last_connection():
    service = seen(proxied(), both_tell(servers={"origin9": {"status": "MAINT", "connections": 2}}))["services"][1]
    assert service["leaving"] == [{"address": "origin9", "port": 0, "weight": 0, "active": 4}]
    assert "origin9" in page.main(seen(proxied(), both_tell(servers={"origin9": {"status": "MAINT"}})))


def test_findings_of_all_proxies_are_one_list_and_text():
    evil = {**FINDING, "path": "/<script>/", "message": "<b>", "requests": 1, "line": None}
    assert "has found nothing" in page.main(seen(proxied(), both_tell()))
    found = seen(proxied(), both_tell(waf=[FINDING, evil]))
    assert [(one["requests"], one["refused"], one["viewers"]) for one in found["services"][1]["findings"]] == [(6, 2, 4), (2, 2, 4)]
    html = page.main(found)
    assert "would have refused" in html and "{rule: 942100, path: &quot;/search/&quot;, target: ARGS:q}" in html
    assert "<script>/" not in html and "&lt;script&gt;" in html
    # Nobody can click on what the directors' files do not reach.
    assert html.count('data-host="origin') == 0 and html.count('data-host="edge') == 3


def without(name, of=None):
    made = told_by()
    del (made["checks"][0] if of == "checks" else made)[name]
    return made


WRONG = {
    "a weight in words": told_by(servers={"origin1": {"weight": "x"}}),
    "a finding of nothing": told_by(waf=[{}]),
    "a line that is a number": told_by(waf=[{**FINDING, "line": 3}]),
    "a finding without a line": told_by(waf=[{name: value for name, value in FINDING.items() if name != "line"}]),
    "a number for yes": told_by(running=1),
    "a certificate of tomorrow": told_by(certificates={"/x": {"expires": "tomorrow"}}),
    "a certificate of 3": told_by(certificates={"/x": {"expires": 3}}),
    "certificates as a list": told_by(certificates=[]),
    "a check of nothing": told_by(checks=[{}]),
    "a file of nothing": told_by(files={"drained-x": {}}),
    "no age": without("checks_age"),
    "a check without seconds": without("seconds", "checks"),
    "a check without certificate": without("certificate_ends", "checks"),
    "more bytes than there are": told_by(servers={"origin1": {"in": 10**400}}),
    "more requests than there are": told_by(servers={"origin1": {"rate": 1 << 63}}),
    "a moment that no clock has": told_by(files={"drained-x": {"who": "", "why": "", "since": 1e308}}),
    "half a letter": told_by(servers={"origin1": {"why": "\ud800"}}),
    "half a letter for a name": told_by(servers={"\ud800": {}}),
    "a reason of a book": told_by(servers={"origin1": {"why": "x" * 20_000}}),
}


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"at": 1}', b"[" * 100_000, *(json.dumps(one).encode() for one in WRONG.values())],
                         ids=["nothing", "a list", "half", "a moment", "deep", *WRONG])  # fmt: skip
def test_what_is_no_answer_is_none(data):
    assert behind.decoded(data) is None


def test_rates_are_made_of_counts_and_begin_again_with_haproxy():
    seen = Proxies(proxied())
    seen.take("edge1", tells(), 10.0)
    assert seen.rates["edge1"] == {}
    seen.take("edge1", tells(servers={"origin1": {"in": 300, "out": 9000}}), 12.0)
    assert seen.rates["edge1"]["live", "origin1"] == (100.0, 2000.0)
    seen.take("edge1", tells(servers={"origin1": {"in": 20, "out": 40}}), 14.0)
    assert seen.rates["edge1"]["live", "origin1"] == (10.0, 20.0)
    seen.take("edge1", None, 16.0)
    assert seen.rates["edge1"] == {} and seen.told["edge1"] is None
