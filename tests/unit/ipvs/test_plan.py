"""From have to want: what a plan leads to, in which order, and what it does to connections."""

import pytest
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.ipvs import kernel, plan
from ansible.module_utils.lvsdr.ipvs.plan import Operation
from ansible.module_utils.lvsdr.ipvs.types import (
    Daemon,
    Declaration,
    Destination,
    Entry,
    Service,
    Timeouts,
    Wanted,
    destination_key,
    service_key,
)
from fakes.kernel import Kernel
from fakes.tables import tables, wanted
from hypothesis import given, settings
from hypothesis import strategies as st

some = settings(max_examples=100, deadline=None)
STATES = st.sampled_from(plan.STATES)


def in_scope(key, want, state):
    """Whether a service that is not declared is ours to remove."""
    _family, _protocol, address, _port = key
    return (
        state == "overridden" or state == "replaced" and address in {vip for _family, protocol, vip, _port in want if protocol != "fwmark"}
    )


def expected(want, have, state):
    """The table that has to come of it, written down a second time: key to (service, destinations)."""
    after = {}
    for key, entry in have.items():
        if key not in want and not in_scope(key, want, state):
            after[key] = (entry.service, entry.destinations)
    for key, declared in want.items():
        if state == "deleted" or declared.absent:
            continue
        current = have[key].destinations if key in have else {}
        destinations = dict(current) if state == "merged" else {}
        for name, destination in declared.destinations.items():
            if name in declared.checked:
                destination = destination._replace(weight=current[name].weight if name in current else 0)
            destinations[name] = destination
        after[key] = (declared.service, destinations)
    return after


def plain(table):
    return {key: (entry.service, entry.destinations) for key, entry in table.items()}


@some
@given(wanted(), tables(), STATES)
def test_a_plan_leads_to_what_is_wanted_and_then_there_is_nothing_to_do(want, have, state):
    untouched = plain(have), dict(want)
    after = plan.applied(have, plan.plan(want, have, state))
    assert plain(after) == expected(want, have, state)
    assert plan.plan(want, after, state) == []
    assert (plain(have), want) == untouched, "what was given in stays as it is"


@settings(max_examples=60, deadline=None)
@given(wanted(), tables(), STATES)
def test_the_kernel_does_the_plan_without_a_complaint_and_check_mode_foretells_it(want, have, state):
    with pytest.MonkeyPatch.context() as patch:
        there = Kernel()
        patch.setattr(kernel, "connect", there.connect)
        ipvs = kernel.Ipvs()
        assert ipvs.apply(plan.plan({key: Wanted(e.service, e.destinations, set(), False) for key, e in have.items()}, {})) == []
        before = ipvs.read()
        assert plain(before) == plain(have)
        operations = plan.plan(want, before, state)
        assert ipvs.apply(operations) == []
        after = ipvs.read()
    assert plain(after) == plain(plan.applied(before, operations))


@some
@given(wanted(), tables(), STATES)
def test_order(want, have, state):
    operations = plan.plan(want, have, state)
    verbs = {}
    for operation in operations:
        verbs.setdefault(service_key(operation.service), []).append(operation.verb)
    for key, own in verbs.items():
        # A service is never deleted and added again, and neither is a destination.
        assert own.count("add-service") + own.count("set-service") + own.count("delete-service") <= 1
        if "add-service" in own:
            assert own[0] == "add-service" and key not in have and set(own[1:]) <= {"add-destination"}
        if "delete-service" in own:
            assert own == ["delete-service"] and key in have
    names = [(service_key(op.service), destination_key(op.destination)) for op in operations if op.destination]
    assert len(names) == len(set(names))
    new = {key for key, own in verbs.items() if "add-service" in own}
    ranks = [0 if service_key(op.service) in new else plan.ORDER[op.verb] for op in operations]
    assert ranks == sorted(ranks)
    # Weights go down before anything goes, and what is added is there by then.
    order = ["add-service", "set-service", "add-destination", "set-destination", "delete-destination", "delete-service"]
    assert sorted(plan.ORDER, key=plan.ORDER.get) == order


def running(key, counts):
    """The kernel has no active connections but those of TCP and SCTP."""
    _family, protocol, _address, _port = key
    active, inactive, _persistent = counts
    return active + (inactive if protocol in ("udp", "fwmark") else 0)


@some
@given(wanted(), tables(), STATES)
def test_effects(want, have, state):
    for operation in plan.plan(want, have, state):
        key = service_key(operation.service)
        counts = have[key].connections if key in have else {}
        if operation.verb == "delete-service":
            active = sum(running(key, count) for count in counts.values())
            effect = "cuts"
        elif operation.verb == "delete-destination":
            active = running(key, counts[destination_key(operation.destination)])
            effect = "cuts"
        elif operation.verb == "set-destination":
            before = have[key].destinations[destination_key(operation.destination)]
            active = running(key, counts[destination_key(operation.destination)])
            effect = "drains" if before.weight and not operation.destination.weight else "keeps"
        else:
            active, effect = 0, "keeps"
        if effect == "cuts" and not active:
            effect = "keeps"
        assert (operation.effect, operation.connections) == (effect, 0 if effect == "keeps" else active)


@some
@given(wanted(), tables(), STATES)
def test_the_same_tables_in_another_order_give_the_same_plan(want, have, state):
    def turned(table):
        return {
            key: entry._replace(destinations=dict(reversed(entry.destinations.items()))) for key, entry in reversed(list(table.items()))
        }

    def by_service(operations):
        # The destinations of one service come in the order in which they were declared.
        return [(op.verb, service_key(op.service)) for op in operations]

    one, other = plan.plan(want, have, state), plan.plan(turned(want), turned(have), state)
    assert by_service(one) == by_service(other)
    assert set(one) == set(other)


WEB = Service(4, "tcp", "198.51.100.100", 80, "wlc", (), 0, "255.255.255.255", "")
ONE = Destination(4, "192.0.2.21", 80, "dr", 5, 0, 0, ())
TWO = ONE._replace(address="192.0.2.22")


def want(*destinations, service=WEB, checked=(), absent=False):
    return {service_key(service): Wanted(service, {destination_key(d): d for d in destinations}, set(checked), absent)}


def have(*destinations, service=WEB, active=0):
    found = {destination_key(d): d for d in destinations}
    return {service_key(service): Entry(service, found, dict.fromkeys(found, (active, 9, 9)))}


def verbs(operations):
    return [operation.verb for operation in operations]


@pytest.mark.parametrize("field", [f for f in Service._fields if f not in ("family", "protocol", "address", "port")])
def test_every_field_of_a_service_is_changed_in_place(field):
    other = {"scheduler": "rr", "flags": ("ops",), "persistence": 5, "netmask": "255.255.255.0", "engine": "sip"}[field]
    changed = WEB._replace(**{field: other})
    assert plan.plan(want(service=changed), have()) == [Operation("set-service", changed, None, "keeps", 0)]


@pytest.mark.parametrize(
    ("field", "value"), [("family", 6), ("forward", "nat"), ("weight", 6), ("upper", 9), ("lower", 9), ("tunnel", ("gre", 0, "none"))]
)
def test_every_field_of_a_destination_is_changed_in_place(field, value):
    changed = ONE._replace(**{field: value})
    assert plan.plan(want(changed), have(ONE, active=7)) == [Operation("set-destination", WEB, changed, "keeps", 0)]


def test_drain_cut_and_keep():
    drained = ONE._replace(weight=0)
    assert plan.plan(want(drained), have(ONE, active=7)) == [Operation("set-destination", WEB, drained, "drains", 7)]
    assert plan.plan(want(ONE), have(drained, active=7)) == [Operation("set-destination", WEB, ONE, "keeps", 0)]
    assert plan.plan(want(), have(ONE, active=7)) == [Operation("delete-destination", WEB, ONE, "cuts", 7)]
    assert plan.plan(want(), have(ONE)) == [Operation("delete-destination", WEB, ONE, "keeps", 0)]
    assert plan.plan(want(absent=True), have(ONE, TWO, active=7)) == [Operation("delete-service", WEB, None, "cuts", 14)]


def test_a_health_check_owns_the_weight():
    name = destination_key(ONE)
    assert [op.destination and op.destination.weight for op in plan.plan(want(ONE, checked=[name]), {})] == [None, 0]
    assert plan.plan(want(ONE, checked=[name]), have(ONE._replace(weight=3))) == []
    (operation,) = plan.plan(want(ONE._replace(upper=9), checked=[name]), have(ONE._replace(weight=3)))
    assert operation.destination == ONE._replace(weight=3, upper=9)
    # A check does not concern a neighbour.
    assert len(plan.plan(want(ONE, TWO, checked=[name]), have(ONE, TWO._replace(weight=3)))) == 1


def test_a_firewall_mark_is_not_a_vip():
    mark, other = (Service(4, "fwmark", "", n, "wlc", (), 0, "255.255.255.255", "") for n in (5, 6))
    assert plan.plan(want(service=mark), have(service=mark) | have(service=other)) == []
    assert verbs(plan.plan(want(service=mark), have(service=other), "overridden")) == ["add-service", "delete-service"]


def test_another_port_or_protocol_on_a_declared_vip_goes():
    others = have(service=WEB._replace(port=8080)) | have(service=WEB._replace(protocol="udp"))
    foreign = have(service=WEB._replace(address="203.0.113.50"))
    assert verbs(plan.plan(want(), have() | others | foreign)) == ["delete-service"] * 2
    assert plan.plan(want(), have() | others | foreign, "merged") == []


def test_services_come_in_the_order_of_their_numbers():
    services = [WEB._replace(address="203.0.113.%d" % n, port=port) for n in (100, 9, 10) for port in (443, 80)]
    declared = {}
    for service in services:
        declared |= want(ONE, service=service)
    added = [(op.service.address, op.service.port) for op in plan.plan(declared, {}) if op.verb == "add-service"]
    assert added == [("203.0.113.%d" % n, port) for n in (9, 10, 100) for port in (80, 443)]
    assert verbs(plan.plan(declared, {})) == ["add-service", "add-destination"] * 6, "a service comes with its destinations"


def test_a_line_for_an_operator():
    (operation,) = plan.plan(want(ONE._replace(weight=0)), have(ONE, active=1))
    assert plan.describe(operation) == "ipvsadm -e -t 198.51.100.100:80 -r 192.0.2.21:80 -g -w 0  # drains 1 active connection"
    (operation,) = plan.plan(want(absent=True), have())
    assert plan.describe(operation) == "ipvsadm -D -t 198.51.100.100:80  # keeps connections"


def test_effects_in_numbers():
    operations = plan.plan(want(ONE._replace(weight=0), TWO._replace(address="192.0.2.23")), have(ONE, TWO, active=7))
    assert plan.effects(operations) == {
        "keeps": {"operations": 1, "connections": 0},
        "drains": {"operations": 1, "connections": 7},
        "cuts": {"operations": 1, "connections": 7},
    }
    assert plan.effects([])["cuts"] == {"operations": 0, "connections": 0}


RUNNING = Daemon("master", "eth0", 7, 1472, "224.0.0.81", 8848, 1)
DEFAULT = Daemon("master", "eth0", 7, None, None, None, None)
NOW = Timeouts(900, 120, 300)


def framed(timeouts=None, daemons=None, running=(), services=(), zero=False):
    declared = Declaration(dict(services), timeouts, daemons)
    return plan.frame(plan.plan(declared.services, {}), declared, NOW, list(running), zero)


def test_timeouts_change_only_where_they_differ():
    assert framed(Timeouts(900, 0, 0)) == framed(Timeouts(0, 0, 0)) == framed() == []
    (operation,) = framed(Timeouts(0, 60, 0))
    assert (operation.verb, operation.setting) == ("set-timeouts", Timeouts(900, 60, 300))
    assert plan.describe(operation) == "ipvsadm --set 900 60 300  # keeps connections"


def test_daemons_are_left_alone_where_none_are_declared():
    assert framed(running=[RUNNING]) == []
    assert verbs(framed(daemons={}, running=[RUNNING])) == ["delete-daemon"]


def test_what_is_not_declared_of_a_daemon_is_left_to_the_kernel():
    assert framed(daemons={"master": DEFAULT}, running=[RUNNING]) == []
    # The longest message follows the interface's MTU.
    assert framed(daemons={"master": DEFAULT}, running=[RUNNING._replace(maxlen=8972)]) == []
    assert framed(daemons={"master": DEFAULT}, running=[RUNNING._replace(maxlen=None, group=None, port=None, ttl=None)]) == []
    for other in ({"id": 8}, {"interface": "eth1"}, {"group": "224.0.0.82"}, {"port": 8849}, {"ttl": 2}):
        operations = framed(daemons={"master": DEFAULT}, running=[RUNNING._replace(**other)])
        assert verbs(operations) == ["delete-daemon", "add-daemon"], other
    assert verbs(framed(daemons={"master": DEFAULT._replace(maxlen=1400)}, running=[RUNNING])) == ["delete-daemon", "add-daemon"]


def test_settings_stand_around_the_table():
    backup = RUNNING._replace(state="backup")
    operations = framed(Timeouts(1, 1, 1), {"backup": DEFAULT._replace(state="backup")}, [RUNNING], want(ONE), zero=True)
    assert verbs(operations) == ["set-timeouts", "delete-daemon", "add-service", "add-destination", "add-daemon", "zero-counters"]
    assert [plan.object_name(op) for op in operations] == [
        "timeouts", "sync daemon master", "tcp 198.51.100.100:80", "tcp 198.51.100.100:80", "sync daemon backup", "tcp 198.51.100.100:80",
    ]  # fmt: skip
    assert {op.effect for op in operations} == {"keeps"}
    assert plan.command(operations[4]) == "--start-daemon backup --mcast-interface eth0 --syncid 7"
    assert plan.command(operations[1]) == "--stop-daemon master"
    assert plan.command(operations[5]) == "-Z -t 198.51.100.100:80"
    assert plan.applied({}, operations).keys() == want(ONE).keys()
    assert plan.applied_settings(NOW, [RUNNING], operations) == (Timeouts(1, 1, 1), [backup._replace(
        maxlen=None, group=None, port=None, ttl=None)])  # fmt: skip
    assert plan.applied_settings(None, None, operations[2:4]) == (None, None)


def test_zero_without_services_is_for_all():
    (operation,) = framed(zero=True)
    assert (operation.service, plan.command(operation), plan.object_name(operation)) == (None, "-Z", "all counters")
    # What goes has no counters any more, and those of others are left alone.
    assert framed(services=want(absent=True), zero=True) == []


def test_settings_are_changes_too():
    with pytest.raises(LvsError, match=r" 1 operation .*\n  - ipvsadm --set 1 1 1  # .*\n.*\[plan-not-allowed\]$"):
        plan.check_limits(framed(Timeouts(1, 1, 1)), ("add", "remove"))
    with pytest.raises(LvsError, match="--stop-daemon master"):
        plan.check_limits(framed(daemons={}, running=[RUNNING]), ("add", "change"))
    with pytest.raises(LvsError, match="-Z"):
        plan.check_limits(framed(zero=True), ("add", "remove"))


def test_limits():
    operations = plan.plan(want(ONE._replace(weight=0)), have(ONE, TWO, active=7))
    assert verbs(operations) == ["set-destination", "delete-destination"]
    plan.check_limits(operations)
    plan.check_limits(operations, ("change", "remove"), 7)
    with pytest.raises(LvsError, match=r" 7 active .* is 6:\n  - ipvsadm -d .*\n.*\[max-cut-connections-exceeded\]$"):
        plan.check_limits(operations, max_cut_connections=6)
    with pytest.raises(LvsError, match=r" 1 operation .*\n  - ipvsadm -e .*\n.*\[plan-not-allowed\]$"):
        plan.check_limits(operations, ("add", "remove"))
    with pytest.raises(LvsError, match=" 2 operations "):
        plan.check_limits(operations, ())


def test_a_sorry_server_may_be_there_or_not():
    """keepalived adds and removes it: the plan does neither, and does not count it as drift."""
    sorry = ONE._replace(address="192.0.2.99", weight=0)
    wanted = {service_key(WEB): want(ONE)[service_key(WEB)]._replace(sorry_servers={("192.0.2.99", 80): sorry})}
    for there in (have(ONE), have(ONE, sorry)):
        for state in ("merged", "replaced", "overridden"):
            assert plan.plan(wanted, there, state) == []
    assert [op.verb for op in plan.plan(want(ONE), have(ONE, sorry))] == ["delete-destination"]
    assert [op.destination for op in plan.plan(wanted, {}) if op.destination] == [ONE]
