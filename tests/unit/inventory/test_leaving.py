"""What leaves: with weight 0 while it has connections on any director, and gone after that."""

import pytest
from ansible.module_utils.lvsdr.directors import keepalived, keepalived_conf, parity
from ansible.module_utils.lvsdr.inventory import check_paths, leaving, resolve, views
from ansible.module_utils.lvsdr.ipvs import declare

from inventories import GONE, VIP, VIP6, inventory, service


def destination(address, weight=10, active=0, inactive=0, **more):
    return {"address": address, "forward": "dr", "weight": weight, "active": active, "inactive": inactive, "persistent": 0, **more}


def table(*destinations, address=VIP, port=80, protocol="tcp", **more):
    return {"address": address, "protocol": protocol, "port": port, "scheduler": "wlc", "destinations": list(destinations), **more}


def resolved(*services, director1=(), director2=(), **options):
    """The services, without their checks, with these tables on the directors."""
    return all_resolved(*services, director1=director1, director2=director2, **options).services


def all_resolved(*services, director1=(), director2=(), **options):
    made = inventory(**options)
    for director, held_there in (("director1", director1), ("director2", director2)):
        made["hosts"][director]["facts"] = {"ipvs": list(held_there), "interfaces": []}
    return resolve.resolve(list(services), made)


def weights(one):
    return {item["address"]: item["weight"] for item in one.table()["destinations"]}


DECLARED = [destination("192.0.2.21"), destination("192.0.2.22")]


def test_what_is_as_declared_leaves_nothing():
    (one,) = resolved(service(), director1=[table(*DECLARED)], director2=[table(*DECLARED)])
    assert one.leaving == () and leaving.leaving_lines([one]) == []


@pytest.mark.parametrize(
    ("first", "second", "leaves"),
    [
        ({"weight": 10}, {"weight": 10}, True),  # newcomers may come at this moment: first it drains
        ({"weight": 0, "active": 1}, {"weight": 0}, True),
        ({"weight": 0}, {"weight": 0, "active": 1}, True),  # the other director would go on with it after a failover
        ({"weight": 0, "inactive": 5}, {"weight": 0, "inactive": 5}, False),  # closed ones of TCP run no more
        ({"weight": 0}, {"weight": 0}, False),
        ({"weight": 0}, {"weight": 10}, True),
    ],
)
def test_a_server_that_was_removed(first, second, leaves):
    gone = "192.0.2.23"
    (one,) = resolved(
        service(), director1=[table(*DECLARED, destination(gone, **first))], director2=[table(*DECLARED, destination(gone, **second))]
    )
    assert weights(one) == {"192.0.2.21": 1, "192.0.2.22": 1, **({gone: 0} if leaves else {})}
    assert one.hosts == ("server1", "server2") and [item.address for item in one.leaving] == ([gone] if leaves else [])
    declare.read_services([one.table()])


def test_a_server_that_leaves_keeps_the_path_of_its_checks():
    """keepalived checks it until it is reloaded. A check without its path would be a connection of the service, of 15 minutes."""
    checked = service(health_check={"type": "tcp"})
    gone, mark = "192.0.2.23", 0x4C0000AA
    paths = [
        {"firewall_mark": mark, "scheduler": "rr", "destinations": [destination(gone, weight=1, active=2)]},
        {"firewall_mark": mark + 1, "family": "ipv6", "scheduler": "rr", "destinations": [destination("2001:db8::23", weight=1)]},
        {"firewall_mark": 7, "scheduler": "rr", "destinations": [destination(gone, weight=1)]},
    ]
    here = all_resolved(checked, director1=[table(*DECLARED, destination(gone)), *paths], director2=[table(*DECLARED)])
    declared = all_resolved(checked)
    assert [(one.host, one.family, one.address, one.mark) for one in here.checks[len(declared.checks) :]] == [(gone, 4, gone, mark)]
    assert here.checks[: len(declared.checks)] == declared.checks
    # Once nothing is left of it the path goes as well.
    after = all_resolved(checked, director1=[table(*DECLARED, destination(gone, weight=0)), *paths])
    assert after.checks == declared.checks


def test_flows_of_udp_run_though_the_kernel_calls_them_inactive():
    udp = service(protocol="udp")
    (one,) = resolved(udp, director1=[table(destination("192.0.2.23", weight=0, inactive=3), protocol="udp")])
    assert [(item.address, item.host, item.connections) for item in one.leaving] == [("192.0.2.23", None, 3)]


@pytest.mark.parametrize(("cut", "leaves"), [(GONE, True), (0, True), (4, True), (5, False), ("5", False)])
def test_what_may_be_cut(cut, leaves):
    """Only of what takes no newcomers any more, and all together."""
    many = table(*DECLARED, destination("192.0.2.23", weight=0, active=3), destination("192.0.2.24", weight=0, active=2))
    options = {"hosts": {"director1": {} if cut is GONE else {"director_max_cut_connections": cut}}}
    (one,) = resolved(service(), director1=[many], **options)
    assert bool(one.leaving) is leaves
    (one,) = resolved(service(), director1=[table(*DECLARED, destination("192.0.2.23", active=1))], **options)
    assert one.leaving, "it has its turn to drain first"


def test_a_service_that_is_retired():
    """It stays as the kernel has it, however it is declared now, with its VIP, until nobody is left."""
    retired = service(state="absent", scheduler="rr", real_servers=GONE)
    running = table(destination("192.0.2.21", active=2), scheduler="mh", scheduler_flags=["mh-port", "mh-fallback"])
    (one,) = resolved(retired, director1=[running])
    assert (one.absent, one.retiring, weights(one), one.options["scheduler"]) == (False, True, {"192.0.2.21": 0}, "mh")
    assert views.director_vips([one]) == [VIP] and views.vips_of_hosts([one]) == {}
    assert one.table().get("state", "present") == "present"
    declare.read_services([one.table()])
    assert leaving.leaving_lines([one]) == ["server1 (192.0.2.21) of live, tcp 192.0.2.100:80: 2 connections"]
    (one,) = resolved(retired, director1=[table(destination("192.0.2.21", weight=0))])
    assert one.absent and views.director_vips([one]) == [] and one.leaving == ()


def test_another_port_on_a_declared_vip():
    """It is ours to remove, as everything on a declared VIP, and it is drained like the rest."""
    old = table(destination("192.0.2.21", active=1), port=8080)
    found = all_resolved(service(), director1=[old, table(*DECLARED)])
    new, leaving = found.services
    assert new.leaving == () and weights(leaving) == {"192.0.2.21": 0} and leaving.options["port"] == 8080
    assert list(declare.read_services(found.tables())) == [new.key, leaving.key]
    same = "-A -t 192.0.2.100:8080 -s wlc\n-a -t 192.0.2.100:8080 -r 192.0.2.21:8080 -g -w 0\n"
    assert parity.parity({"director1": same, "director2": same}, found) == []
    assert len(parity.parity({"director1": same, "director2": ""}, found)) == 2
    text = keepalived.render(found, "director1", inventory(hosts={"director1": {"director_interface": "eth0"}}))
    assert (None, None, VIP, "tcp", 8080) in keepalived_conf.virtual_servers(text)


def test_what_nobody_declared_is_left_alone():
    foreign = [
        table(destination("192.0.2.21", active=1), address="192.0.2.200"),
        {"firewall_mark": 7, "scheduler": "rr", "destinations": []},
    ]
    (one,) = resolved(service(), director1=foreign)
    assert one.leaving == ()


def test_services_of_checks_come_and_go_with_keepalived():
    mark = {"firewall_mark": check_paths.CHECK_MARKS | 5, "scheduler": "rr", "destinations": [destination("192.0.2.23", inactive=9)]}
    assert all(one.leaving == () for one in resolved(service(health_check={}), director1=[mark]))


def test_a_port_of_nat_that_changed():
    (one,) = resolved(
        service(mode="nat"), hosts={"server1": {"real_server_port": 8081}},
        director1=[table(destination("192.0.2.21", port=8080, forward="nat", active=1), destination("192.0.2.22", forward="nat"))],
    )  # fmt: skip
    assert [(item["address"], item.get("port"), item["weight"]) for item in one.table()["destinations"]] == [
        ("192.0.2.21", 8081, 1), ("192.0.2.22", None, 1), ("192.0.2.21", 8080, 0),
    ]  # fmt: skip


def test_both_families_and_a_sorry_server():
    found = all_resolved(
        service(addresses=[VIP, VIP6], health_check={}, sorry_server="director2"),
        director1=[table(*DECLARED, destination("192.0.2.12", weight=0, active=1), destination("192.0.2.23", active=1))],
    )
    four, six = found.services
    assert [item.address for item in four.leaving] == ["192.0.2.23"], "a sorry server is declared"
    assert six.leaving == ()
    text = keepalived.render(found, "director1", inventory(hosts={"director1": {"director_interface": "eth0"}}))
    block = text[text.index("    # 192.0.2.23, leaving") :]
    assert block.startswith(
        "    # 192.0.2.23, leaving with its last connection\n    real_server 192.0.2.23 80 {\n"
        "        weight 0\n        lvs_method DR\n    }\n}\n"
    )


def test_connections_of_what_leaves():
    tables = [table(*DECLARED, destination("192.0.2.23", weight=0, active=4))]
    services = resolved(service(), director1=tables)
    assert leaving.leaving_connections(services, tables) == 4
    assert leaving.leaving_connections(services, [table(*DECLARED)]) == 0


def test_what_is_ready_to_go():
    done = table(*DECLARED, destination("192.0.2.23", weight=0))
    services = resolved(service(), director1=[done], director2=[done])
    assert leaving.going(services, {"director1": [done], "director2": [done]}) == 2
    assert (
        leaving.going(services, {"director1": [table(*DECLARED)], "director2": [table(destination("192.0.2.9"), address="192.0.2.200")]})
        == 0
    )


def test_what_ipvs_had_of_a_service_that_moves_to_proxies_on_directors_goes_at_once():
    """It would take the packets for HAProxy; ipvs_table says how many connections that cuts, and refuses too many."""
    held = [table(*[{**one, "active": 3} for one in DECLARED])]
    found = all_resolved(service(mode="proxy", proxies="directors"), director1=held, director2=held)
    (one,) = found.services
    assert one.leaving == () and [(item["port"], item["state"], item["destinations"]) for item in found.tables()] == [(80, "absent", [])]
    # And back.
    (one,) = resolved(service(), director1=[], director2=[])
    assert one.balanced and one.leaving == ()
