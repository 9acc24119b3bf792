"""Spares among the real servers of proxies: parked until somebody wakes them, and left as they are by a rollout."""

import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import preflight
from ansible.module_utils.lvsdr.fleet import spares as choose
from ansible.module_utils.lvsdr.inventory import resolve
from ansible.module_utils.lvsdr.proxies import drains, report, spares, streamchecks
from said import id_of, path_and_id

from inventories import GONE, VIP, inventory

NAMES = ("origin1", "origin2", "spare1", "spare2")
HOSTS = {name: {"ansible_host": "192.0.2.%d" % n} for n, name in enumerate(("edge1", "edge2", *NAMES), 31)}
GROUPS = {"edges": ["edge1", "edge2"], "origins": list(NAMES), "web": GONE, "directors": ["director1"]}
SERVICE = {
    "name": "live", "mode": "proxy", "proxies": "edges", "addresses": [VIP], "ports": [80], "real_servers": "origins",
    "health_check": {"type": "hls", "path": "/live.m3u8"},
}  # fmt: skip
FILE = places.spare_file("spare1")


def made(facts=None):
    hosts = {name: {**one, **({"real_server_state": "spare"} if name.startswith("spare") else {})} for name, one in HOSTS.items()}
    for name, one in (facts or {}).items():
        hosts[name] = {**hosts[name], "facts": one}
    found = inventory(hosts, GROUPS)
    return resolve.resolve([SERVICE], found), found


def facts(known=(), files=()):
    """What preflight read of a proxy: the spares that its checker knows, and the files that park or drain."""
    return {"spares": list(known), "seen": {"folders": {places.DRAINED_KEPT: dict.fromkeys(files, "digest")}}}


def held(parked=("spare1", "spare2"), down=(), **more):
    """What haproxy_info returned of a proxy."""
    servers = {
        name: {
            "status": "MAINT" if name in parked else "DOWN" if name in down else "UP",
            "weight": 1,
            "connections": 2,
            "rate": 0,
            "why": "",
        }
        for name in NAMES
    }
    files = [places.spare_file(name) for name in parked]
    return {"running": True, "servers": {"live": servers}, "weight_files": files, "stream_checks": [], "certificates": {}, **more}


def test_all_are_parked_that_no_proxy_knows():
    resolved, found = made()
    assert streamchecks.drained(resolved, "edge1", found) == sorted(map(places.spare_file, ("spare1", "spare2")))
    # Their checkers look for these files.
    (service,) = streamchecks.streamchecks(resolved, "edge1")["services"]
    files = {one["name"]: [path.rpartition("/")[2] for path in one["weight_files"]] for one in service["servers"]}
    assert files["spare1"] == [places.drain_file("spare1"), FILE] and files["origin1"] == [places.drain_file("origin1")]


@pytest.mark.parametrize(
    "edge1, edge2, parked",
    [
        (facts([FILE], [FILE]), facts([FILE], [FILE]), [True, True]),
        (facts([FILE]), facts([FILE]), [False, False]),
        # A proxy that is new does as the one that knows.
        (facts(), facts([FILE]), [False, False]),
        (facts(), facts([FILE], [FILE]), [True, True]),
        # One that was not reached in time parks nobody elsewhere.
        (facts([FILE], [FILE]), facts([FILE]), [True, False]),
        # On a director keepalived may know it alone.
        ({**facts(), "keepalived": {"running": "track_file %s {" % FILE}}, facts(), [False, False]),
        # The file of a host that was not a spare before says nothing.
        (facts(), facts(), [True, True]),
    ],
)
def test_a_rollout_leaves_them_as_they_are(edge1, edge2, parked):
    resolved, found = made({"edge1": edge1, "edge2": edge2})
    assert [FILE in spares.parked(resolved, found, host) for host in ("edge1", "edge2")] == parked


def plan(number, proxies):
    resolved, _found = made()
    services, hosts = spares.as_services(resolved, "live")
    assert hosts == ("edge1", "edge2")
    return choose.plan(services, spares.infos(resolved, "live", proxies), "live", number)


def test_who_is_woken_and_who_is_parked():
    both = {"edge1": held(), "edge2": held()}
    assert plan(3, both) == {"wake": ["spare1"], "park": [], "before": 2, "after": 3, "also": []}
    assert plan(4, both)["wake"] == ["spare1", "spare2"] and plan(2, both)["wake"] == []
    awake = {"edge1": held(()), "edge2": held(())}
    assert plan(3, awake)["park"] == ["spare2"] and plan(2, awake)["park"] == ["spare2", "spare1"]
    # One that serves nobody goes first, and a proxy that was not reached in time is brought along.
    assert plan(3, {"edge1": held((), ["spare1"]), "edge2": held((), ["spare1"])})["park"] == ["spare1"]
    assert plan(3, {"edge1": held(["spare2"]), "edge2": held()}) == {"wake": ["spare1"], "park": [], "before": 3, "after": 3, "also": []}


@pytest.mark.parametrize(
    "number, proxies, wanted",
    [
        (5, {"edge1": held()}, "scale-out-of-range"),
        (1, {"edge1": held()}, "scale-out-of-range"),
        (3, {}, "no-proxy-answers"),
        (3, {"edge1": {"running": False}}, "no-proxy-answers"),
        ("x", {"edge1": held()}, "scale-not-a-number"),
    ],
)
def test_what_can_not_be_had(number, proxies, wanted):
    with pytest.raises(LvsError) as caught:
        plan(number, proxies)
    assert id_of(str(caught.value)) == wanted


def test_a_parked_one_is_shown_and_is_nobody_who_is_left():
    resolved, found = made({"edge1": facts(["x"], map(places.spare_file, ("spare1", "spare2")))})
    lines = report.status(resolved, {"edge1": held(), "edge2": held()})
    assert "parked on 2 of 2" in lines[3] and "up on 2 of 2" in lines[1]
    assert [id_of(line) for line in drains.refused(resolved, found, ["origin1", "origin2"])] == ["no-origin-left"]
    assert drains.refused(resolved, found, ["origin1"]) == []


def test_one_who_always_serves_is_needed():
    resolved, found = made()
    for hosts, wanted in ((["spare1"], ["virtual_services[live].real_servers"]), (["origin1", "spare1"], [])):
        found["groups"]["origins"] = hosts
        lines = [path_and_id(line) for line in preflight.preflight([SERVICE], found)]
        assert [path for path, name in lines if name == "servers-all-drained"] == wanted


def test_services_that_share_a_spare_go_together():
    hosts = {**HOSTS, "edge3": {"ansible_host": "192.0.2.40"}, "spare1": {**HOSTS["spare1"], "real_server_state": "spare"}}
    groups = {**GROUPS, "others": ["edge3", "edge1"], "few": ["origin1", "spare1"]}
    services = [SERVICE, {**SERVICE, "name": "vod", "proxies": "others", "addresses": ["192.0.2.101"], "real_servers": "few"},
                {**SERVICE, "name": "radio", "addresses": ["192.0.2.102"], "real_servers": "alone"}]  # fmt: skip
    found = inventory(hosts, {**groups, "alone": ["origin2"]})
    resolved = resolve.resolve(services, found)
    several, proxies = spares.as_services(resolved, "live")
    assert [one.name for one in several] == ["live", "vod"] and proxies == ("edge1", "edge2", "edge3")
    held_of = {"live": held()["servers"]["live"], "vod": {name: held()["servers"]["live"][name] for name in ("origin1", "spare1")}}
    told = {name: {**held(["spare1"]), "servers": held_of} for name in proxies}
    assert choose.plan(several, spares.infos(resolved, "live", told), "live", 4)["also"] == ["vod"]
    # What is not served on a proxy is not looked for there.
    assert {one["address"] for one in spares.as_info(resolved, "edge3", told["edge3"])["services"]} == {"192.0.2.101"}
    assert spares.as_services(resolved, "nothing") == ([], ())


def test_who_waits():
    resolved, _found = made()
    told = {"edge1": held(["spare1"], ["origin1"]), "edge2": held((), ["spare2"])}
    assert spares.waiting(resolved, "live", told) == ["edge1: origin1 of live", "edge2: spare2 of live"]
    assert spares.waiting(resolved, "live", {}) == [] and spares.waiting(resolved, "vod", told) == []


def test_on_directors_a_spare_is_one_of_ipvs_or_of_haproxy():
    other = {"name": "plain", "addresses": ["192.0.2.101"], "ports": [80], "scheduler": "mh", "real_servers": "origins", "health_check": {}}
    _resolved, found = made()
    for proxies, wanted in (("directors", 2), ("edges", 0)):
        lines = [path_and_id(line) for line in preflight.preflight([{**SERVICE, "proxies": proxies}, other], found)]
        assert [name for _path, name in lines].count("spare-of-two") == wanted
