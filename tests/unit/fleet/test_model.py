"""What all playbooks are given: plain data, at a cost that grows with the hosts and not with their square."""

import json

import pytest
from ansible.module_utils.lvsdr.directors import drains
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import model, report, rollout
from ansible.module_utils.lvsdr.inventory import resolve
from ansible.module_utils.lvsdr.inventory.types import from_data
from said import path_and_id

from inventories import VIP, inventory, service

DECLARED = [service(health_check={}), service(name="old", ports=[81], state="absent")]


def test_the_services_are_plain_data():
    made = inventory(with_facts=True)
    found = model.model(DECLARED, made)
    resolved = resolve.resolve(DECLARED, made)
    for name, services in (("services", resolved), ("ready", rollout.ready(resolved, made, []))):
        assert from_data(json.loads(json.dumps(found[name]))) == services
    assert found["hosts"]["server1"]["vips"] == [VIP] and len(found["hosts"]["server1"]["listeners"]) == 1
    assert found["hosts"]["director1"]["vips"] is None and found["hosts"]["director1"]["listeners"] == []


PROXIED = service(
    mode="proxy", proxies="web", addresses=[VIP, "2001:db8::100"], ports=[443], real_servers="origins", health_check={"type": "tcp"},
    tls={"certificates": ["/etc/live.pem"], "http3": True}, scheduler="mh", waf={"mode": "block"},
)  # fmt: skip


def ports_of(found, host):
    return {(one["protocol"], one["address"], one["port"]): one["programs"] for one in found["hosts"][host]["ports"]}


def test_the_ports_that_programs_need():
    groups = {"origins": ["origin1"]}
    hosts = {"origin1": {"ansible_host": "192.0.2.51"}, "server2": {"streaming_server_kind": "edge"}}
    found = model.model([PROXIED, service(name="old", ports=[81], state="absent")], inventory(hosts, groups, with_facts=True))
    served = [(protocol, vip, 443) for vip in (VIP, "2001:db8::100") for protocol in ("tcp", "udp")]
    own = [("tcp", "127.0.0.1", port) for port in (9135, 9136, 9137)]
    assert list(ports_of(found, "server1")) == [*served, *own] and ports_of(found, "director1") == ports_of(found, "origin1") == {}
    # What lvsdr's own nginx has now, it leaves in the same rollout.
    assert [ports_of(found, host)[served[0]] for host in ("server1", "server2")] == [["haproxy"], ["haproxy", "nginx"]]
    assert found["hosts"]["server2"]["ports"][-1] == {
        "what": "nginx (streaming_server_listen)", "address": "0.0.0.0", "port": 80, "protocol": "tcp", "programs": ["nginx"],
        "exact": True,
    }  # fmt: skip
    consoles = {"director1": {"director_console": True, "director_console_port": 9190}}
    found = model.model([PROXIED, service(name="more")], inventory({**hosts, **consoles}, groups, with_facts=True))
    assert list(ports_of(found, "director1")) == [("tcp", "127.0.0.1", 9190), ("tcp", "192.0.2.11", 9181)] and not ports_of(
        found, "director2"
    )
    assert ports_of(found, "server1")["tcp", "0.0.0.0", 9138] == ["haproxy"] and ports_of(found, "server1")["tcp", "0.0.0.0", 9134] == [
        "systemd"
    ]
    assert json.loads(json.dumps(found["hosts"])) == found["hosts"]


def test_nothing_is_to_be_done_where_nobody_looked():
    made = inventory(with_facts=True)
    assert model.model(DECLARED, made)["differ"] == ["server1", "server2"]
    del made["hosts"]["server2"]["facts"]
    made["hosts"]["server2"]["lacks"] = "pyroute2"
    assert model.model(DECLARED, made)["differ"] == ["server1"]


def test_errors_of_preflight_come_all_at_once():
    made = inventory(with_facts=True, groups={"directors": []})
    with pytest.raises(LvsError) as caught:
        model.model([service(mode="mesh")], made, preflight=True)
    said = str(caught.value)
    assert said.startswith("The inventory can't be used: 2 errors, and nothing was changed\n  - groups[directors]: ")
    assert [path_and_id(line)[1] for line in said.splitlines()[1:]][:1] == ["directors-empty"]
    assert [line.partition(": ")[0] for line in caught.value.details["problems"]][1].endswith("].mode")


class Name(str):
    """The name of a host that counts how often it is compared: a look into a list compares it with one name after the other."""

    compared = 0

    def __eq__(self, other):
        Name.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def comparisons(count):
    """How often names are compared by all that goes over the hosts of a fleet of so many servers."""
    names = [Name("server%d" % number) for number in range(count)]
    hosts = {name: {"ansible_host": "192.0.2.%d" % (number + 20), "real_server_weight": 10} for number, name in enumerate(names)}
    made = inventory(hosts=hosts, groups={"web": names})
    for director in ("director1", "director2"):
        made["hosts"][director]["facts"] = {"interfaces": [], "ipvs": []}
    resolved = resolve.resolve(DECLARED, made)
    done = [Name(name) for name in names]  # as Ansible gives them: the same words, and others objects
    checks = [{"service": "live", "vip": VIP, "server": name, "state": "up", "why": "x"} for name in done]
    director = {"info": {"services": [], "stream_checks": checks}, "active": True, "drained": done}
    Name.compared = 0
    model.model(DECLARED, made, {name: {"__real_server_vip": {"stale": []}} for name in done})
    rollout.ready(resolved, made, done)
    rollout.undone(resolved.services, made, [], done)
    drains.not_drainable(resolved.services, done)
    drains.connections(resolved.services, done, {"services": []})
    drains.empty_without(resolved.services, done)
    report.status(resolved.services, {"director1": director, "director2": director})
    return Name.compared


def test_no_host_is_looked_for_among_all_others():
    few, many = comparisons(50), comparisons(200)
    assert few and many < 5 * few
