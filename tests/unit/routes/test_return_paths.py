"""Rules and routes of return paths: what is wanted, in which order it comes and goes, and what lasts."""

import pytest
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.routes import lasting, plan
from said import path_and_id

SERVER, GATEWAY, SERVER6, GATEWAY6 = "198.51.100.21", "198.51.100.110", "2001:db8::21", "2001:db8::110"


def paths(*ports, address=SERVER, gateway=GATEWAY):
    return plan.read_paths([{"address": address, "gateway": gateway, "first": port} for port in ports])


def words(steps):
    return [" ".join([verb, *item.words("add")]) for verb, item in steps]


def test_a_first_rollout_makes_the_route_before_the_rule():
    (table,) = plan.tables_of([GATEWAY]).values()
    assert 150 <= table < 250
    assert words(plan.steps(plan.wanted(paths(8080)), ((), ()), True)) == [
        "add -4 route add default via 198.51.100.110 table %d proto 76" % table,
        "add -4 rule add priority 7600 from 198.51.100.21 ipproto 6 sport 8080 lookup %d protocol 76" % table,
    ]


def test_what_is_there_is_left_alone():
    want = plan.wanted(paths(8080, 8081))
    assert plan.steps(want, want, True) == []


def test_a_path_that_is_not_wanted_goes_and_its_route_with_the_last():
    held, want = plan.wanted(paths(8080, 8081)), plan.wanted(paths(8080))
    assert [verb for verb, _item in plan.steps(want, held, True)] == ["del"]
    assert [type(item).__name__ for _verb, item in plan.steps(plan.wanted([]), held, True)] == ["Rule", "Rule", "Route"]


def test_without_purge_it_stays_with_its_route():
    held = plan.wanted(paths(8080))
    assert plan.steps(plan.wanted([]), held, False) == []
    assert plan.kept(plan.wanted([]), held) == held


def test_two_gateways_have_two_tables_that_stay():
    many = ["198.51.100.%d" % number for number in range(1, 90)]
    tables = plan.tables_of(many)
    assert len(set(tables.values())) == len(many)
    assert plan.tables_of([GATEWAY])[GATEWAY] == plan.tables_of([GATEWAY, GATEWAY6])[GATEWAY]


def test_ranges_and_families():
    (path,) = plan.read_paths([{"address": SERVER6, "gateway": GATEWAY6, "protocol": "udp", "first": 6970, "last": 7170}])
    routes, (rule,) = plan.wanted([path])
    assert rule.words("add")[:9] == ["-6", "rule", "add", "priority", "7600", "from", SERVER6, "ipproto", "17"]
    assert "6970-7170" in rule.words("add") and routes[0].words("replace")[:3] == ["-6", "route", "replace"]


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        ({"address": "x"}, "paths[0].address", "not-an-address"),
        ({"gateway": GATEWAY6}, "paths[0].gateway", "families-differ"),
        ({"first": 0}, "paths[0].first", "out-of-range"),
        ({"last": 80}, "paths[0].last", "ports-reversed"),
        ({"protocol": "icmp"}, "paths[0].protocol", "unknown-value"),
    ],
)
def test_a_path_that_is_none(change, path, said):
    with pytest.raises(LvsError) as caught:
        plan.read_paths([{"address": SERVER, "gateway": GATEWAY, "first": 8080, **change}])
    assert path_and_id(caught.value.details["problems"][0]) == (path, said)


def test_the_unit_makes_the_same():
    text = lasting.unit_text("return_path", "x", plan.commands(*plan.wanted(paths(8080)), ip="/sbin/ip"))
    starts = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert starts[0].startswith("ExecStart=/sbin/ip -4 route replace default via 198.51.100.110 table ")
    assert starts[1].startswith("ExecStart=-/sbin/ip -4 rule add priority 7600 from 198.51.100.21 ")
    assert "PartOf=networking.service systemd-networkd.service NetworkManager.service" in text
