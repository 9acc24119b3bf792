"""What preflight finds of modes in an inventory beside its hosts, and what hosts are given for them."""

import pytest
from ansible.module_utils.lvsdr.fleet import model, preflight, rollout
from ansible.module_utils.lvsdr.inventory import resolve, views
from said import path_and_id

from inventories import GATEWAYS, VIP, VIP6, facts, interface, inventory, service

GATEWAY = "virtual_services[live].nat_gateway"
ELSEWHERE = {"facts": {"interfaces": [interface("eth0", "198.51.100.21/24")]}, "ansible_host": "198.51.100.21"}


@pytest.mark.parametrize(
    ("more", "hosts", "groups", "path", "said"),
    [
        ({"nat_gateway": VIP}, {}, {}, GATEWAY, "gateway-is-vip"),
        ({"nat_gateway": "192.0.2.22"}, {}, {}, GATEWAY, "gateway-is-host-address"),
        ({"nat_gateway": "192.0.2.11"}, {}, {}, GATEWAY, "gateway-is-host-address"),
        ({}, {"server1": ELSEWHERE}, {}, GATEWAY, "gateway-off-link"),
        ({}, {}, {"viewers": ["server1"]}, "hosts[server1]", "server-is-viewer"),
    ],
)
def test_what_does_not_fit_nat(more, hosts, groups, path, said):
    found = preflight.preflight([service(mode="nat", **more)], inventory(with_facts=True, hosts=hosts, groups=groups))
    assert [path_and_id(line) for line in found] == [(path, said)]


def test_a_gateway_that_keepalived_holds_is_not_a_hosts_own():
    held = {"director1": {"facts": facts(11, interface("eth9", GATEWAYS[0] + "/32"))}}
    assert preflight.preflight([service(mode="nat")], inventory(with_facts=True, hosts=held)) == []


def test_a_gateway_belongs_to_one_instance():
    others = {
        name: {"director_instances": {"radio": {"virtual_router_id": 52, "active": "director2"}}} for name in ("director1", "director2")
    }
    services = [service(mode="nat"), service(name="b", addresses=["192.0.2.101"], mode="nat", instance="radio")]
    (line,) = preflight.preflight(services, inventory(with_facts=True, hosts=others))
    assert path_and_id(line) == ("virtual_services[b].instance", "vip-in-two-instances")


def test_snat_needs_tracking():
    for value, count in ((0, 2), (1, 0)):
        hosts = {name: {"director_sysctls": {"conntrack": value}} for name in ("director1", "director2")}
        found = preflight.preflight([service(mode="snat")], inventory(with_facts=True, hosts=hosts))
        assert [path_and_id(line)[1] for line in found] == ["snat-needs-conntrack"] * count


def test_two_services_of_one_port():
    both = [service(ports=[80, 443]), service(name="b", ports=[443])]
    (line,) = preflight.preflight(both, inventory(with_facts=True))
    assert path_and_id(line) == ("virtual_services[b].ports", "port-claimed-twice")
    apart = [service(ports=["80-90"]), service(name="b", ports=["85/udp", 91])]
    assert preflight.preflight(apart, inventory(with_facts=True)) == []


def services_of(*declared):
    return resolve.resolve(list(declared), inventory(with_facts=True)).services


def test_return_paths_are_of_nat_with_a_rule():
    services = services_of(
        service(addresses=[VIP, VIP6], mode="nat", real_server_port=8080), service(name="b", ports=[81]),
        service(name="c", ports=[82], mode="nat", return_path="default_gateway"), service(name="d", ports=[83], mode="snat"),
        service(name="e", ports=["554/tcp", "6970-7170/udp"], mode="nat"),
    )  # fmt: skip
    own = {"address": "192.0.2.21", "gateway": GATEWAYS[0]}
    assert views.return_paths(services)["server1"] == [
        {**own, "protocol": "tcp", "first": 8080, "last": 8080},
        {"address": "2001:db8::21", "gateway": GATEWAYS[1], "protocol": "tcp", "first": 8080, "last": 8080},
        {**own, "protocol": "tcp", "first": 554, "last": 554},
        {**own, "protocol": "udp", "first": 6970, "last": 7170},
    ]


def test_a_port_that_cannot_be_read_beside_several():
    several = service(name="camera", ports=[554, "6970-7170/udp"], scheduler="wlc", persistence=300)
    found = preflight.preflight([service(ports=["http"]), several], inventory(with_facts=True))
    assert [line.partition(":")[0] for line in found] == ["virtual_services[live].ports[0]"]


PATH = {"address": "192.0.2.21", "protocol": 6, "first": 8080, "last": 8080}


def held(forward="nat", port=8080, active=0, **more):
    destination = {
        "address": "192.0.2.21",
        "forward": forward,
        "weight": 0,
        "active": active,
        "inactive": 0,
        "persistent": 0,
        "port": port,
        **more,
    }
    return {"address": VIP, "protocol": "tcp", "port": 80, "scheduler": "wlc", "destinations": [destination]}


@pytest.mark.parametrize(
    ("table", "stale"),
    [([], True), ([held()], False), ([held(port=8081)], True), ([held("dr")], True), (None, False)],
)
def test_a_return_path_stays_while_a_director_waits_for_answers(table, stale):
    made = inventory(with_facts=True)
    made["hosts"]["server1"]["facts"]["real_server"] = {"stale_paths": [PATH]}
    for director in ("director1", "director2"):
        made["hosts"][director]["facts"].update({"ipvs": table} if table is not None else {})
    assert rollout.stale_paths(["server1", "server2"], {}, made) == ({"server1": [PATH]} if stale else {})


def test_a_tunnel_stays_while_a_director_sends_through_it():
    made = inventory(with_facts=True)
    gre = {"forward": "tunnel", "tunnel": {"type": "gre"}, "port": 80}
    made["hosts"]["director1"]["facts"]["ipvs"] = [held(**gre)]
    made["hosts"]["director2"]["facts"]["ipvs"] = []
    made["hosts"]["server1"]["facts"]["real_server"] = {"devices": ["gre", "ipip"]}
    services = services_of(service(mode="tunnel"))
    ends = model.endpoints(services, made)
    assert ends["server1"] == [
        {"type": "ipip", "address": "192.0.2.21", "port": None},
        {"type": "gre", "address": "192.0.2.21", "port": None},
    ]
    assert rollout.stale_devices({}, made, ends) == []
    made["hosts"]["director1"]["facts"]["ipvs"] = []
    assert rollout.stale_devices({}, made, model.endpoints(services, made)) == ["server1"]
    done = {"server1": {"__real_server_endpoints": {"devices": ["ipip"]}}}
    assert rollout.stale_devices(done, made, model.endpoints(services, made)) == []


@pytest.mark.parametrize(
    ("declared", "way", "said"),
    [
        ({}, "192.0.2.254", None),
        ({}, None, None),
        ({}, "192.0.2.11", "reply-through-director"),
        ({}, VIP, "reply-through-director"),
        ({"mode": "tunnel"}, "192.0.2.12", "reply-through-director"),
        ({"mode": "nat"}, "192.0.2.254", None),
        ({"mode": "nat", "return_path": "default_gateway"}, GATEWAYS[0], None),
        ({"mode": "nat", "return_path": "default_gateway"}, "192.0.2.254", "reply-past-director"),
        ({"mode": "nat", "return_path": "default_gateway"}, None, "reply-past-director"),
        ({"mode": "snat"}, "192.0.2.11", None),
    ],
)
def test_answers_pass_where_the_mode_needs_it(declared, way, said):
    made = inventory(with_facts=True)
    services = [service(**declared)]
    asked = views.replies(resolve.resolve(services, made).services)
    assert ("server1" in asked) == (declared.get("mode") != "snat" and not (declared.get("mode") == "nat" and len(declared) == 1))
    made["hosts"]["server1"]["facts"]["replies"] = dict.fromkeys(asked.get("server1", []), way)
    found = [path_and_id(line) for line in preflight.preflight(services, made)]
    assert found == ([("hosts[server1]", said)] if said else [])


@pytest.mark.parametrize(
    ("declared", "mtu", "bad"),
    [
        ({}, 1299, False),
        ({}, 595, True),
        ({"addresses": [VIP6]}, 1319, True),
        ({"addresses": [VIP6]}, 1320, False),
        ({"tunnel": {"type": "gue", "port": 6080}}, 607, True),
    ],
)
def test_a_link_that_a_tunnel_leaves_too_little(declared, mtu, bad):
    made = inventory(with_facts=True)
    made["hosts"]["server1"]["facts"]["interfaces"][1]["mtu"] = mtu
    found = [path_and_id(line) for line in preflight.preflight([service(mode="tunnel", **declared)], made)]
    assert found == ([("hosts[server1]", "tunnel-mtu-too-small")] if bad else [])


def test_snat_has_a_port_and_an_entry_for_each_connection():
    hosts = {"server1": {"streaming_server_connections": 64513}, "server2": {"streaming_server_connections": 1000}}
    (line,) = preflight.preflight([service(mode="snat")], inventory(with_facts=True, hosts=hosts))
    assert path_and_id(line) == ("hosts[server1].streaming_server_connections", "snat-ports-exceeded")
    hosts["server1"]["streaming_server_connections"] = 64512
    made = inventory(with_facts=True, hosts=hosts)
    assert preflight.preflight([service(mode="snat")], made) == []
    for limit, count in ((65511, 1), (65512, 0)):
        made["hosts"]["director1"]["facts"]["seen"] = {"sysctls": {"net/netfilter/nf_conntrack_max": str(limit)}}
        found = [path_and_id(line) for line in preflight.preflight([service(mode="snat")], made)]
        assert found == [("hosts[director1]", "conntrack-table-too-small")] * count
    assert preflight.preflight([service(mode="nat")], made) == []


@pytest.mark.parametrize(
    ("table", "stays"), [([held()], False), ([held(active=1)], True), ([held("dr")], True), ([held("tunnel")], True), ([], False)]
)
def test_a_vip_stays_while_a_director_sends_packets_for_it(table, stays):
    made = inventory(with_facts=True)
    for director in ("director1", "director2"):
        made["hosts"][director]["facts"]["ipvs"] = table
    assert rollout.still_served([VIP], services_of(service(mode="nat")), made) == ([VIP] if stays else [])


@pytest.mark.parametrize(
    ("was", "declared", "active", "allowed", "refused"),
    [
        ("nat", {}, 1, 0, True),
        ("nat", {"mode": "tunnel"}, 1, 0, True),
        ("tunnel", {}, 1, 0, True),
        ("nat", {}, 1, 1, False),
        ("nat", {}, 0, 0, False),
        ("nat", {"mode": "snat"}, 1, 0, False),
        ("dr", {"mode": "nat"}, 1, 0, False),
    ],
)
def test_a_mode_that_changes_under_connections(was, declared, active, allowed, refused):
    made = inventory(with_facts=True, hosts={"director1": {"director_max_cut_connections": allowed}})
    table = held(was, port=80, active=active)
    table["destinations"][0]["weight"] = 1
    made["hosts"]["director1"]["facts"].update(ipvs=[table], keepalived={})
    made["hosts"]["director2"]["facts"].update(ipvs=[], keepalived={})
    found = [path_and_id(line) for line in rollout.preflight([service(**declared)], made)]
    assert found == ([("virtual_services[live].mode", "mode-changes-under-connections")] if refused else [])
