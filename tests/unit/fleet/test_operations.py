"""Which spares are woken, whether others would carry a server's viewers, what an upgrade does next, and the journal."""

import base64
import json

import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.directors import drains, keepalived
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import autoscale, capacity, journal, preflight, proofs, rollout, spares, upgrade
from ansible.module_utils.lvsdr.inventory import check_paths, resolve
from hypothesis import given
from hypothesis import strategies as st
from said import id_of, path_and_id

from inventories import VIP, facts, interface, inventory, service

CHECK = {"type": "hls", "path": "/live.m3u8"}
MEMBERS = ["server%d" % number for number in range(1, 6)]
SPARES = ("server4", "server5")
HOSTS = {
    **{name: {"ansible_host": "192.0.2.2%s" % name[-1], "real_server_weight": 10} for name in MEMBERS},
    **{name: {"ansible_host": "192.0.2.2%s" % name[-1], "real_server_weight": 10, "real_server_state": "spare"} for name in SPARES},
}


def fleet(**changes):
    """(Resolved, inventory) of three real servers and two spares."""
    made = inventory(hosts=HOSTS, groups={"web": MEMBERS}, with_facts=True)
    return resolve.resolve([service(health_check=CHECK, **changes)], made), made


def info(found, out=(), files=("spare-4", "spare-5"), active=3, checks=()):
    """What ipvs_info returns of a director. out: servers with weight 0; files: those of spares by their number, or names."""
    names = [places.spare_file("server" + name[-1]) if name.startswith("spare-") else name for name in files]
    services = []
    for one in found.services:
        table = one.table()
        taken = [server.host for server in one.servers if server.host in out or set(server.weight_files) & set(names)]
        destinations = [
            {**there, "weight": 0 if server.host in taken else there["weight"], "active": active, "inactive": 1, "persistent": 0}
            for there, server in zip(table["destinations"], one.servers)
        ]
        services.append({**table, "destinations": destinations})
    return {"services": services, "weight_files": names, "stream_checks": list(checks)}


def plan(found, wanted, *infos):
    return spares.plan(found.services, {"director%d" % number: one for number, one in enumerate(infos)}, "live", wanted)


def test_spares_are_woken_in_order_and_parked_in_the_opposite_one():
    found, _made = fleet()
    both = info(found)
    assert plan(found, 4, both, both) == {"wake": ["server4"], "park": [], "before": 3, "after": 4, "also": []}
    assert plan(found, "5", both, both)["wake"] == ["server4", "server5"]
    awake = info(found, files=())
    assert plan(found, 4, awake)["park"] == ["server5"] and plan(found, 3, awake)["park"] == ["server5", "server4"]
    assert plan(found, 5, awake) == {"wake": [], "park": [], "before": 5, "after": 5, "also": []}


def test_a_spare_that_is_down_is_woken_last_and_parked_first():
    found, _made = fleet()
    down = [{"service": "live", "server": "server4", "state": "down"}]
    assert plan(found, 4, info(found, checks=down))["wake"] == ["server5"]
    assert plan(found, 4, info(found, out=["server4"], files=(), checks=down))["park"] == ["server4"]


def test_a_spare_that_directors_disagree_about_is_woken_or_parked_on_all():
    found, _made = fleet()
    both = info(found), info(found, files=("spare-5",))
    assert plan(found, 4, *both) == {"wake": ["server4"], "park": [], "before": 4, "after": 4, "also": []}
    assert plan(found, 3, *both)["park"] == ["server4"]


def test_a_ramp_or_a_weight_of_its_own_says_nothing_of_what_a_server_can_carry():
    found, _made = fleet()
    table = info(found)
    table["services"][0]["destinations"][1]["weight"] = 1
    assert refused(found, ["server1"], table) == []


def test_a_sorry_server_stays():
    made = inventory(hosts={**HOSTS, "server5": {"ansible_host": "192.0.2.25"}}, groups={"web": MEMBERS[:4]})
    found = resolve.resolve([service(health_check=CHECK, sorry_server="server5")], made)
    assert refused(found, ["server5"], info(found)) == ["sorry-server-stays"]
    with pytest.raises(LvsError) as caught:
        upgrade.plan(found.services, made, "server5", 1)
    assert id_of(str(caught.value)) == "upgrade-host-unknown"


def test_an_upgrade_needs_a_check_to_drain_by():
    made = inventory(with_facts=True)
    found = resolve.resolve([service()], made)
    with pytest.raises(LvsError) as caught:
        upgrade.plan(found.services, made, "", 1)
    assert id_of(str(caught.value)) == "upgrade-not-drainable"


def test_a_drained_spare_does_not_count():
    found, _made = fleet()
    one = info(found, files=("spare-4", "spare-5", places.drain_file("server4")))
    assert plan(found, 4, one)["wake"] == ["server5"]
    with pytest.raises(LvsError) as caught:
        plan(found, 5, one)
    assert id_of(str(caught.value)) == "scale-out-of-range"


@pytest.mark.parametrize(
    ("name", "wanted", "id_"),
    [
        ("live", 2, "scale-out-of-range"), ("live", 6, "scale-out-of-range"), ("live", "many", "scale-not-a-number"),
        ("dead", 3, "scale-service-unknown"), (None, 3, "scale-service-unknown"), ("live", None, "scale-not-a-number"),
        ("live", True, "scale-not-a-number"),
    ],
)  # fmt: skip
def test_what_is_not_a_number_of_servers(name, wanted, id_):
    found, _made = fleet()
    with pytest.raises(LvsError) as caught:
        spares.plan(found.services, {"director1": info(found)}, name, wanted)
    assert id_of(str(caught.value)) == id_


def test_the_spare_that_alone_serves_is_not_parked():
    found, _made = fleet()
    with pytest.raises(LvsError) as caught:
        plan(found, 3, info(found, out=["server1", "server2", "server3"], files=("spare-5",)))
    assert id_of(str(caught.value)) == "scale-refused"


def refused(found, hosts, *infos, **options):
    return [id_of(line) for line in capacity.refused(found.services, dict(enumerate(infos)), hosts, **options)]


def test_who_may_go():
    found, _made = fleet()
    assert refused(found, ["server1"], info(found)) == [] == refused(found, ["server4"], info(found)), "a parked one serves nobody"
    assert refused(found, ["server1", "server2"], info(found)) == ["too-much-for-others"]
    assert refused(found, ["server1", "server2"], info(found), growth=3) == []
    assert refused(found, MEMBERS, info(found)) == ["nobody-else-serves"]
    one = info(found, out=["server2", "server3"])
    assert refused(found, ["server1"], info(found), one) == ["nobody-else-serves"], "one director is enough"
    assert refused(found, ["server2"], one) == [], "it is out already"


def test_the_floor_and_the_limit_of_connections():
    found, _made = fleet()
    with_floor = resolve.resolve([service(health_check={**CHECK, "floor": 0.9})], _made)
    assert refused(with_floor, ["server1"], info(with_floor)) == [], "who is drained does not count"
    assert refused(with_floor, ["server1"], info(with_floor, out=["server2"]), growth=9) == ["below-floor"]
    limited = resolve.resolve([service(health_check=CHECK, scale={"connections": 7})], _made)
    assert refused(limited, ["server1"], info(limited, active=2)) == [] and refused(limited, ["server1"], info(limited, active=3)) == [
        "too-many-connections"
    ]
    made = inventory(hosts={**HOSTS, "server5": {"ansible_host": "192.0.2.25"}}, groups={"web": ["server1"]})
    sorry = resolve.resolve([service(health_check=CHECK, sorry_server="server5")], made)
    assert refused(sorry, ["server1"], info(found)) == [], "somebody says sorry"


def known(made, director, found, files=(), holds=False):
    """A director that has been rolled out with this inventory."""
    conf = keepalived.render(found, director, made)
    own = facts(int(director[-1]) + 10, *([interface("eth1", VIP + "/32")] if holds else []))
    seen = {"folders": {places.DRAINED_KEPT: dict.fromkeys(files, "")}}
    made["hosts"][director]["facts"] = {**own, "keepalived": {"running": conf, "file": conf}, "seen": seen}


def test_the_active_director_says_which_spares_are_parked():
    found, made = fleet()
    assert drains.parked(found.services, made) == ["server4", "server5"], "nobody knows them"
    four, five = (places.spare_file(name) for name in SPARES)
    known(made, "director1", found, [four, five])
    known(made, "director2", found, [five], holds=True)
    assert drains.parked(found.services, made) == ["server5"]
    assert drains.drained(found.services, made) == [five]
    # The active one has not heard of them yet.
    made["hosts"]["director2"]["facts"]["keepalived"] = {"running": "", "file": None}
    assert drains.parked(found.services, made) == ["server4", "server5"]
    del made["hosts"]["director1"]["facts"]
    assert drains.parked(found.services, made) == ["server4", "server5"]


def test_a_spare_waits_for_no_weight_while_it_is_parked():
    found, _made = fleet()
    assert drains.waiting(found.services, {"director1": info(found)}) == []
    lines = drains.waiting(found.services, {"director1": info(found, out=["server4"], files=("spare-5",))})
    assert lines == ["director1: server4 of live"]


def test_only_spares_are_not_a_service():
    made = inventory(hosts={name: {"real_server_state": "spare"} for name in ("server1", "server2")}, with_facts=True)
    (line,) = preflight.preflight([service(health_check=CHECK)], made)
    assert path_and_id(line) == ("virtual_services[live]", "servers-all-drained")


@pytest.mark.parametrize(
    ("hosts", "changes", "expected"),
    [
        ({"server2": {"real_server_state": "spare"}}, {}, ("hosts[server2].real_server_state", "spare-needs-check")),
        (
            {"server3": {"ansible_host": "192.0.2.23", "real_server_state": "spare"}}, {"health_check": CHECK, "sorry_server": "server3"},
            ("hosts[server3].real_server_state", "spare-is-sorry-server"),
        ),
        ({}, {"scale": 5}, ("virtual_services[live].scale", "scale-not-a-dict")),
        ({}, {"scale": {"max": 3}}, ("virtual_services[live].scale", "scale-without-target")),
        ({}, {"scale": {"busy": 60, "max": 1}}, ("virtual_services[live].scale.max", "scale-max-below-min")),
        ({}, {"scale": {"busy": 101}}, ("virtual_services[live].scale.busy", "out-of-range")),
        ({}, {"scale": {"busy": 60, "target": 1}}, ("virtual_services[live].scale.target", "unknown-option")),
    ],
)  # fmt: skip
def test_what_is_wrong_with_spares_and_scale(hosts, changes, expected):
    (line,) = preflight.preflight([service(**changes)], inventory(hosts=hosts, with_facts=True))
    assert path_and_id(line) == expected


def test_a_host_joins_where_a_director_does_not_send_to_it():
    found, made = fleet()
    tables = info(found)["services"]
    for director in ("director1", "director2"):
        known(made, director, found)
        made["hosts"][director]["facts"]["ipvs"] = tables
    assert not rollout.joins(found.services, made, "server1")
    known(made, "director1", found, [places.drain_file("server1")])
    made["hosts"]["director1"]["facts"]["ipvs"] = tables
    assert rollout.joins(found.services, made, "server1")
    made["hosts"]["director1"]["facts"]["ipvs"] = made["hosts"]["director2"]["facts"]["ipvs"] = []
    assert rollout.joins(found.services, made, "server2")


def test_no_connection_left_means_little_where_viewers_are_still_sent():
    found, _made = fleet()
    held = info(found)
    (line,) = drains.undrained(found.services, ["server1"], held, "director1")
    assert id_of(line) == "still-not-drained" and line.startswith("director1 still sends new viewers of live to server1, which has weight ")
    for service_there in held["services"]:
        for one in service_there["destinations"]:
            one["weight"] = 0
    assert drains.undrained(found.services, ["server1", "director1"], held, "director1") == []
    assert drains.undrained(found.services, ["server1"], {"services": []}, "director1") == []


def test_a_director_can_be_drained_while_another_one_can_take_over():
    found, made = fleet()
    known(made, "director1", found, holds=True)
    known(made, "director2", found)

    def why_not(*directors):
        return [id_of(line) for line in drains.not_handed_over(found.services, made, directors)]

    assert why_not("director1") == [] == why_not("director2") == why_not()
    assert why_not("director1", "director2") == ["no-director-left"]
    known(made, "director2", found, [places.drain_file("director2")])
    assert why_not("director1") == ["no-director-left"]
    known(made, "director2", found)
    made["hosts"]["director1"]["facts"]["keepalived"] = {"running": "vrrp_instance lvsdr {\n}", "file": None}
    assert why_not("director1") == ["director-not-drainable"]
    made["hosts"]["director2"]["facts"]["keepalived"] = {"running": None, "file": None}
    assert why_not("director1") == ["no-director-left"]


def test_files_that_take_weights():
    name = places.drain_file("director1")
    kept, watched = drains.weight_folders([name, "spare-x"], ["spare-y", "spare-x"], ["director1"])
    assert (kept["path"], watched["path"]) == (places.DRAINED_KEPT, places.DRAINED)
    assert kept["files"] == watched["files"] == {name: "-253\n", "spare-x": "-2147483647\n"} and kept["absent"] == ["spare-y"]


def test_what_an_upgrade_does_next():
    found, made = fleet()
    known(made, "director1", found, [places.drain_file("server3")], holds=True)
    known(made, "director2", found, [places.drain_file("server3")])

    def wanted(names="", share=1, done=()):
        return upgrade.plan(found.services, made, names, share, done)

    assert wanted() == {
        "servers": ["server3", "server1", "server2", "server4", "server5"], "directors": [], "at_once": 1, "done": [],
        "kept": ["server3"],
    }  # fmt: skip
    assert upgrade.plan(found.services, made, "", 1, (), ["server3"])["kept"] == [], "what an upgrade has drained it puts back"
    assert wanted("directors")["directors"] == ["director2", "director1"], "the one that holds VIPs is last"
    assert wanted("server1, directors", done=["director2"]) == {
        "servers": ["server1"], "directors": ["director1"], "at_once": 1, "done": ["director2"], "kept": [],
    }  # fmt: skip
    assert [wanted(share=share)["at_once"] for share in (1, "2", 0.4, "0.2", 0.1)] == [1, 2, 2, 1, 1]
    for changes, id_ in (({"names": "nobody"}, "upgrade-host-unknown"), ({"share": 0}, "upgrade-share-invalid"),
                         ({"share": "x"}, "upgrade-share-invalid"), ({"share": "nan"}, "upgrade-share-invalid")):  # fmt: skip
        with pytest.raises(LvsError) as caught:
            wanted(**changes)
        assert id_of(str(caught.value)) == id_


def lines(*events):
    return "".join(journal.line("2026-11-29T18:00:00+00:00", "ops", "control", {"run": run, **event}) for run, event in events)


def test_an_upgrade_goes_on_where_it_ended():
    own = {"verb": "upgrade", "what": "a.yml "}
    text = lines(
        ("1", {**own, "event": "begun"}), ("1", {**own, "event": "done", "item": "server1"}),
        ("2", {"verb": "upgrade", "what": "b.yml ", "event": "done", "item": "server5"}),
        ("3", {**own, "event": "begun"}), ("3", {**own, "event": "done", "item": "server2"}),
    )  # fmt: skip
    found = journal.entries("rubbish\n" + text + '{"at": 1}\n[]\n{"at": "x"')
    assert journal.unfinished(found, "upgrade", "a.yml ") == ["server1", "server2"]
    ended = journal.entries(text + lines(("3", {**own, "event": "ended"})))
    assert journal.unfinished(ended, "upgrade", "a.yml ") == [] and journal.unfinished(ended, "upgrade", "c.yml ") == []


def test_a_refused_upgrade_forgets_nothing():
    own = {"verb": "upgrade", "what": "a.yml "}
    found = journal.entries(lines(
        ("1", {**own, "event": "begun"}), ("1", {**own, "event": "done", "item": "server1"}),
        ("1", {**own, "event": "drained", "item": "server2"}), ("2", {**own, "event": "begun"}), ("2", {**own, "event": "refused"}),
    ))  # fmt: skip
    assert journal.unfinished(found, "upgrade", "a.yml ") == ["server1"]
    assert journal.unfinished(found, "upgrade", "a.yml ", journal.DRAINED) == ["server2"]
    assert "refused beside another run" in journal.history(found)[-1]


FLEET = ["192.0.2.11 director1", "192.0.2.12 director2"]
# 2026-11-29T18:00:00+00:00, when all lines were written.
WRITTEN = 1795975200


@pytest.mark.parametrize(
    "other, since, alive, wanted",
    [
        (("begun",), WRITTEN, True, True),
        (("begun",), WRITTEN, False, None),
        (("begun", "ended"), WRITTEN, True, None),
        (("begun", "refused"), WRITTEN - 1, True, None),
        # It has ended, or was interrupted, but not before mine read.
        (("begun", "ended"), WRITTEN - 1, True, False),
        (("begun", "done"), WRITTEN - 1, False, False),
    ],
)
def test_a_run_beside_another(other, since, alive, wanted):
    line = {"verb": "drain", "what": "server1", "process": "5 1", "fleet": FLEET[:1]}
    mine = {"run": "mine", "event": "begun", "verb": "site", "what": "", "fleet": FLEET, "on": "control"}

    def beside(*found, own=()):
        entries = journal.entries(lines(*found))
        return journal.beside(entries, mine, own, lambda process: alive and process == "5 1", since)

    events = [("1", {**line, "event": event}) for event in other]
    found = beside(*events, ("mine", mine))
    assert (found and found[1]) == wanted and beside(*events, ("mine", mine), own=["5 1"]) is None
    # Of two that began at once the first counts; a second play of mine looks again.
    assert beside(("mine", mine), *events) is None
    again = beside(("mine", mine), *events, ("mine", mine))
    assert (again and again[1]) == wanted
    assert beside(*(("1", {**one, "fleet": ["192.0.2.99 director1"]}) for _run, one in events)) is None
    assert beside(*(("1", {name: value for name, value in one.items() if name != "fleet"}) for _run, one in events)) is None


def test_the_history():
    numbers = {"live": {"servers": 3, "connections": 120}}
    text = lines(
        ("1", {"verb": "scale", "what": "live 5", "event": "begun", "numbers": numbers}),
        ("1", {"verb": "scale", "what": "live 5", "event": "ended", "numbers": {"live": {"servers": 5, "connections": 121}}}),
        ("2", {"verb": "leave", "what": "server1", "event": "begun", "numbers": None}),
    )
    head, first, second = journal.history(journal.entries(text))
    assert head.split() == ["WHEN", "BY", "WHAT", "RESULT", "BEFORE", "AFTER"]
    assert "scale live 5" in first and "live 3 servers 120 connections" in first and first.endswith("live 5 servers 121 connections")
    assert "did not end" in second and len(journal.history(journal.entries(text), 1)) == 2
    assert len(journal.history([])) == 1


def clicked(run, at, **more):
    line = {"verb": "drain", "what": "server1", "by": "anna", "reason": "a new disk", "event": "ended", "result": "done"}
    return json.dumps({**line, "at": at, "run": run, **more}) + "\n"


def registered(text):
    return {"lvs_clicks": {"content": base64.b64encode(text.encode()).decode()}}


def test_a_click_is_in_the_history_once():
    """Both directors write it down, each by its own clock; another click of the same, later, is another line."""
    hostvars = {
        "d1": registered(clicked("c1", "2026-01-01T10:00:05Z") + clicked("c2", "2026-01-01T11:00:00Z") + "rubbish"),
        "d2": registered(clicked("c3", "2026-01-01T10:00:07Z") + clicked("c4", "2026-01-01T10:00:00Z", verb="undrain", result="refused")),
        "d3": {"lvs_clicks": {"failed": True}}, "d4": {},
    }  # fmt: skip
    own = [{"at": "2026-01-01T12:30:00+02:00", "run": "1", "by": "bo", "verb": "scale", "what": "live 5", "event": "begun"}]
    lines = journal.history(journal.with_clicks(own, hostvars, ["d1", "d2", "d3", "d4"]))
    assert [line.split()[2] for line in lines[1:]] == ["undrain", "drain", "scale", "drain"]
    assert "anna" in lines[2] and "done (a new disk)" in lines[2] and "refused" in lines[1]


@given(st.text())
def test_any_journal_can_be_read(text):
    journal.history(journal.with_clicks(journal.entries(text), {"d": registered(text)}, ["d"]))


def test_numbers_are_of_the_director_that_counts_most():
    found, _made = fleet()
    both = {"director1": info(found, out=["server1"], active=1), "director2": info(found, active=4)}
    assert journal.numbers(found.services, both) == {"live": {"servers": 3, "connections": 20}}
    assert journal.numbers(found.services, {}) == {}


def test_streams_of_one_server_follow_its_checks():
    made = inventory(with_facts=True)
    declared = [
        service(health_check=CHECK, stream="/live.m3u8"),
        service(name="nat", ports=[81], mode="nat", real_server_port=8080, stream="/nat.m3u8", health_check={"type": "tcp"}),
        service(name="plain", ports=[82], stream="/plain.m3u8"),
    ]
    found = resolve.resolve(declared, made)
    live, nat, *rest = proofs.server_streams(found, made, ["server1"], "director1")
    assert [one["name"] for one in rest] == ["plain"], "the server is checked on that path, though this service does not ask for it"
    mark = check_paths.check_marks(found.checks)[4, "192.0.2.21"]
    assert (live["host"], live["connect_to"], live["mark"], live["source"]) == ("server1", VIP, mark, "192.0.2.11")
    assert (nat["url"], nat["mark"]) == ("http://192.0.2.21:8080/nat.m3u8", None)
    assert proofs.server_streams(found, made, ["nobody"], "director1") == []


def devices(count):
    head = "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes\n"
    return base64.b64encode(
        (head + "    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n  eth0: 5 1 0 0 0 0 0 0 %d 1 0 0 0 0 0 0\n" % count).encode()
    ).decode()


def test_a_look_at_the_load_wakes_and_remembers():
    found, made = fleet(scale={"connections": 4, "max": 5})
    first = autoscale.look(found.services, made, {"director1": info(found, active=3)}, {}, None, 1000.0)
    assert (first["wake"], first["park"], first["more"]) == (["server4"], [], {}), "fifteen connections, four each"
    again = autoscale.look(found.services, made, {"director1": info(found, active=5, files=("spare-5",))}, {}, first["state"], 1060.0)
    assert again["wake"] == ["server5"] and again["more"] == {}, "25 need seven, and five is the most"
    assert set(again["state"]["woken"]) == {"server4", "server5"}


def test_what_more_servers_would_be_needed_is_called_for_once():
    found, made = fleet(scale={"connections": 4, "max": 9})
    everybody = {"director1": info(found, active=6, files=())}
    first = autoscale.look(found.services, made, everybody, {}, None, 1000.0)
    assert first["more"] == {"live": 3}
    assert autoscale.look(found.services, made, everybody, {}, first["state"], 1100.0)["more"] == {}
    assert autoscale.look(found.services, made, everybody, {}, first["state"], 1400.0)["more"] == {"live": 3}


def test_bytes_that_were_sent_are_counted_between_two_looks():
    found, made = fleet(scale={"egress_mbit": 100})
    infos = {"director1": info(found)}
    before = autoscale.look(found.services, made, infos, {}, None, 1000.0)
    assert "nothing could be measured" in before["lines"][0]
    for name in MEMBERS:
        made["hosts"][name]["facts"] = facts(int("2" + name[-1]))
    zero = autoscale.look(found.services, made, infos, {name: devices(0) for name in MEMBERS}, before["state"], 1060.0)
    # 60 s with 150 Mbit/s on each of three.
    sent = {name: devices(60 * 150 * 125000) for name in MEMBERS}
    assert autoscale.look(found.services, made, infos, sent, zero["state"], 1120.0)["wake"] == ["server4", "server5"]
    assert autoscale.sent_bytes("?", made, "server1") is None and autoscale.sent_bytes(devices(7), made, "server1") == 7


def test_what_agents_say_is_how_busy_their_servers_are():
    found, made = fleet(scale={"busy": 50})
    checks = [{"service": "live", "server": name, "state": "up", "agent": "up 20%"} for name in MEMBERS[:3]]
    out = autoscale.look(found.services, made, {"director1": info(found, checks=checks)}, {}, None, 1000.0)
    assert out["wake"] == ["server4", "server5"] and "80 %" in out["lines"][0]


@given(st.recursive(st.none() | st.floats() | st.text(max_size=3), lambda x: st.dictionaries(st.sampled_from(
    ["services", "sent", "woken", "asked", "live", "server1"]), x) | st.lists(x, max_size=2), max_leaves=6))  # fmt: skip
def test_any_state_is_survived(state):
    found, made = fleet(scale={"connections": 4})
    out = autoscale.look(found.services, made, {"director1": info(found)}, {}, state, 1000.0)
    assert out["wake"] in (["server4"], [])
