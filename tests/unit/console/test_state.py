"""What the console makes of two looks: why a server has its weight, what is wrong, what the inventory does not say."""

import pytest
from ansible.module_utils.lvsdr.console import problems, state
from looks import NOW, VIP, both, check, config, look, seen, server


def reason_of(found, name="edge1"):
    one = next(one for one in found["services"][0]["servers"] if one["name"] == name)
    return one["reason"], one["why"]


def kinds(found):
    return [one["kind"] for one in found["problems"]]


def test_nothing_is_wrong():
    made = config()
    found = seen(made, both(made), {"edge1": {"s_live_0": (900, 50.0)}})
    assert kinds(found) == [] and found["drift"] == []
    service = found["services"][0]
    assert (service["serving"], service["counted"], service["floor"], service["view"], service["active"]) == (3, 3, 2, "director1", 12)
    assert [one["reason"] for one in service["servers"]] == ["serving"] * 3
    # What direct routing keeps from the director comes from the server itself.
    assert [(one["out"], one["sent"]) for one in service["servers"]] == [(50.0, 900), (None, None), (None, None)]


def test_a_director_counts_what_goes_through_it():
    made = config()
    made["services"][0].update(mode="nat", direct=False, counter=None)
    assert [one["out"] for one in seen(made, both(made))["services"][0]["servers"]] == [0, 0, 0]


NOTE = {"who": "anna", "why": "kernel upgrade", "since": NOW - 60}


@pytest.mark.parametrize(
    "server_changes, held, reason",
    [
        ({}, {"files": {"drained-edge1": NOTE}}, ("drained", "by anna: kernel upgrade")),
        ({}, {"files": {"drained-edge1": {"who": "", "why": "", "since": NOW}}}, ("drained", "")),
        ({"drained": True}, {"weights": {"edge1": 0}}, ("drained", "in the inventory")),
        ({"spare": True}, {"files": {"spare-edge1": {"who": "", "why": "", "since": NOW}}}, ("parked", "")),
        ({"fallback": True}, {}, ("sorry", "answers when all others are out")),
        ({}, {"weights": {"edge1": None}}, ("missing", "not in the table of this director")),
        ({"weight": 0}, {}, ("zero", "declared with weight 0")),
        ({}, {"checks": [check("edge1", kept=True, state="down", why="playlist frozen")]},
         ("kept", "playlist frozen; kept in, because all servers failed at once")),
        ({}, {"weights": {"edge1": 0}, "checks": [check("edge1", state="down", why="playlist frozen")]}, ("down", "playlist frozen")),
        ({}, {"weights": {"edge1": 0}, "checks": []}, ("down", "its health check fails")),
        ({}, {"weights": {"edge1": 0}, "checks": [check("edge1", state="unknown", why="")]}, ("unchecked", "not checked yet")),
        ({}, {"weights": {"edge1": 3}}, ("part", "30 % of its weight: slow start")),
        ({}, {"weights": {"edge1": 5}, "checks": [check("edge1", agent="50%")]}, ("part", "50 % of its weight: its agent says 50%")),
    ],
)  # fmt: skip
def test_why_a_server_has_its_weight(server_changes, held, reason):
    made = config()
    made["services"][0]["servers"][0] = server("edge1", **server_changes)
    found = seen(made, both(made, **held))
    assert reason_of(found) == reason
    assert reason[0] in state.REASONS


def test_one_that_no_check_owns_has_no_weight_by_itself():
    made = config()
    made["services"][0]["checked"] = False
    assert reason_of(seen(made, both(made, weights={"edge1": 0})))[0] == "zero"


def test_the_numbers_are_those_of_who_holds_the_vip():
    made = config()
    looks = {"director1": look(made), "director2": look(made, active=True, weights={"edge1": 0}, checks=[])}
    found = seen(made, looks)
    assert found["services"][0]["view"] == "director2" and reason_of(found)[0] == "down"


@pytest.mark.parametrize(
    "change, wanted",
    [
        (lambda made, looks: looks["director2"]["addresses"].append(VIP), "split-brain"),
        (lambda made, looks: looks["director1"]["addresses"].remove(VIP), "nobody-active"),
        (lambda made, looks: looks.update(director2=None), "director-silent"),
        (lambda made, looks: looks["director2"].update(keepalived=False), "keepalived"),
        (lambda made, looks: looks["director1"].update(checks=[check("edge1", kept=True, state="down", why="frozen")]), "all-failed"),
        (lambda made, looks: looks["director2"].update(sync=["master"]), "sync"),
        (lambda made, looks: looks["director1"].update(checks_age=None), "checker-stalled"),
        (lambda made, looks: looks["director1"].update(checks_age=problems.STALLED + 1), "checker-stalled"),
        (lambda made, looks: looks["director2"].update(config="d2"), "configuration"),
        (lambda made, looks: looks["director1"].update(checks=[check("edge1", warning="ends in 5 days")]), "certificate"),
        (lambda made, looks: looks.update(director2=look(made, weights={"edge3": None})), "parity"),
        (lambda made, looks: looks.update(both(made, weights={"edge3": None})), "server-missing"),
        (lambda made, looks: [one["services"].clear() for one in looks.values()], "not-in-table"),
        (lambda made, looks: looks.update(director2=look(made, weights={"edge3": 0})), "parity"),
        (lambda made, looks: made["services"][0].update(floor=0) or looks.update(both(made, weights={"edge3": 0})), "server-down"),
    ],
)
def test_what_is_wrong(change, wanted):
    made = config()
    looks = both(made)
    change(made, looks)
    found = seen(made, looks)
    assert kinds(found) == [wanted]
    assert all(one["what"] and one["do"] and one["kind"] in problems.KINDS for one in found["problems"])


def test_a_vip_may_be_with_a_director_that_does_not_answer():
    made = config()
    looks = both(made)
    looks["director1"]["addresses"].remove(VIP)
    looks["director2"] = None
    assert kinds(seen(made, looks)) == ["director-silent"]


def test_the_worst_comes_first():
    made = config()
    looks = both(made, weights={"edge1": 0, "edge2": 0, "edge3": 0})
    found = kinds(seen(made, looks))
    assert found[0] == "nobody-serves" and found[1:] == ["server-down"] * 3


def test_at_the_floor():
    made = config()
    assert kinds(seen(made, both(made, weights={"edge1": 0})))[0] == "floor"
    made["services"][0]["floor"] = 0
    assert kinds(seen(made, both(made, weights={"edge1": 0}))) == ["server-down"]


def test_what_the_inventory_does_not_say():
    made = config()
    looks = both(made, files={"drained-edge1": NOTE})
    looks["director1"]["services"]["udp 192.0.2.100:53"] = {
        "words": "udp 192.0.2.100:53",
        "scheduler": "rr",
        "counters": {},
        "destinations": {},
    }
    looks["director2"]["services"]["tcp 192.0.2.100:80"]["scheduler"] = "wrr"
    lines = {one["what"]: one["line"] for one in seen(made, looks)["drift"]}
    assert lines["edge1 is drained"] == "edge1: real_server_state: drained"
    assert lines["live (192.0.2.100) has the scheduler wrr on director2"] == "scheduler: wrr"
    assert "udp 192.0.2.100:53 is in the table of director1" in lines
    # A drain that the inventory has as well is none.
    made["services"][0]["servers"][0]["drained"] = True
    assert "edge1 is drained" not in {one["what"] for one in seen(made, looks)["drift"]}


def test_what_leaves_is_shown():
    made = config()
    looks = both(made)
    there = {"address": "192.0.2.77", "port": 80, "weight": 0, "active": 9, "inactive": 0, "counters": {}}
    looks["director1"]["services"]["tcp 192.0.2.100:80"]["destinations"]["192.0.2.77", 80] = there
    service = seen(made, looks)["services"][0]
    assert service["leaving"] == [{"address": "192.0.2.77", "port": 80, "weight": 0, "active": 9}] and service["active"] == 21


@pytest.mark.parametrize("count", range(8))
def test_the_floor_is_that_of_the_checks(count):
    from ansible.module_utils.lvsdr.checks.verdicts import rounded_up

    for floor in (0, 0.1, 0.3, 0.5, 2 / 3, 1):
        assert state.least(floor, count) == rounded_up(floor * count)


def test_a_sorry_server_does_not_serve():
    """It answers for the others, which is bad enough; and keepalived of each director adds it by itself."""
    made = config()
    made["services"][0]["servers"].append(server("sorry", fallback=True))
    down = dict.fromkeys(("edge1", "edge2", "edge3"), 0)
    looks = {"director1": look(made, active=True, weights={**down, "sorry": 1}), "director2": look(made, weights=down)}
    found = seen(made, looks)
    assert kinds(found)[0] == "nobody-serves" and "the sorry server answers" in found["problems"][0]["what"]
    assert "parity" not in kinds(found) and reason_of(found, "sorry") == ("sorry", "answers, because all others are out")


def test_all_failed_and_out_is_nobody():
    made = config()
    checks = [check(name, kept=True, state="down", why="no route") for name in ("edge1", "edge2", "edge3")]
    found = seen(made, both(made, weights=dict.fromkeys(("edge1", "edge2", "edge3"), 0), checks=checks))
    assert kinds(found)[0] == "nobody-serves"


def test_flows_of_udp_are_connections():
    made = config()
    made["services"][0]["protocol"] = "udp"
    assert seen(made, both(made))["services"][0]["active"] == 15, "the kernel calls them inactive"


def test_services_of_checks_are_not_drift():
    made = config(known=["fwmark 1275068417"])
    looks = both(made)
    looks["director1"]["services"]["fwmark 1275068417"] = {"words": "x", "scheduler": "rr", "counters": {}, "destinations": {}}
    assert seen(made, looks)["drift"] == []


def test_nothing_is_known_of_a_director_that_is_silent():
    made = config()
    found = seen(made, {"director1": None, "director2": look(made)})
    service = found["services"][0]
    assert {one["reason"] for one in service["servers"]} == {"unknown"} and kinds(found) == ["director-silent"]
    assert service["own"] is None and service["servers"][0]["own"] is None


def test_a_direct_service_without_ports_has_no_counter():
    made = config()
    made["services"][0]["counter"] = None
    assert [one["out"] for one in seen(made, both(made))["services"][0]["servers"]] == [None, None, None]


def test_a_problem_keeps_its_key():
    made = config()
    keys = {
        seen(made, {"director1": look(made, active=True), "director2": look(made, weights={"edge3": None}), **more})["problems"][0]["key"]
        for more in ({}, {"director1": look(made, active=True, weights={"edge3": 4})})
    }
    assert len(keys) == 1
