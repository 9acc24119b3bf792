"""What a rollout must ask first, who is changed when, and what it leaves: of a fleet that runs."""

import pytest
from ansible.module_utils.lvsdr.directors import keepalived, keepalived_conf
from ansible.module_utils.lvsdr.fleet import rollout
from ansible.module_utils.lvsdr.inventory import resolve
from ansible.module_utils.lvsdr.ipvs import describe
from said import id_of, path_and_id

from inventories import GONE, VIP, VIP6, facts, interface, inventory, service


def fleet(*declared, running=None, holds=("director1",), tables=None, **options):
    """(what is resolved, inventory) of directors that run with the configuration of other services: running, the same unless given.

    holds: who holds the VIPs now. running: None, or (services, variables of the directors).
    """
    made = inventory(with_facts=True, **options)
    before, variables = running or (declared, {})
    old = inventory(with_facts=True, **options)
    for director in ("director1", "director2"):
        old["hosts"][director] = {**old["hosts"][director], **variables}
    for director in ("director1", "director2"):
        text = keepalived.render(resolve.resolve(list(before), old), director, old)
        number = {"director1": 11, "director2": 12}[director]
        found = facts(number, *([interface("eth1", VIP + "/32")] if director in holds else []))
        made["hosts"][director]["facts"] = {
            **found, "keepalived": {"running": text, "file": text}, "ipvs": (tables or {}).get(director, []),
        }  # fmt: skip
    return resolve.resolve(list(declared), made), made


def turns(*declared, **options):
    services, made = fleet(*declared, **options)
    return [rollout.turn(services, made, director) for director in ("director1", "director2")]


def test_who_holds_no_vip_comes_first():
    assert turns(service()) == ["active", "first"]
    assert turns(service(), holds=()) == ["first", "first"]
    more = [service(), service(name="b", addresses=["192.0.2.101"])]
    assert turns(*more, running=([service()], {})) == ["active", "first"], "a VIP more is nothing that directors say to each other"


@pytest.mark.parametrize("variables", [
    {"director_advertisement_interval": 2}, {"director_advertisement_interval": 0.5}, {"director_unicast": False},
    {"director_virtual_router_id": 52},
])  # fmt: skip
def test_who_would_be_deaf_is_silent_meanwhile(variables):
    assert turns(service(), running=([service()], variables)) == ["active", "last"]
    assert turns(service(), running=([service()], variables), holds=()) == ["first", "first"], "nobody holds a VIP: nothing to lose"


@pytest.mark.parametrize("variables", [{"director_priority": 120}, {"director_preempt": False}, {"director_timeouts": {"tcp": 60}}])
def test_other_settings_keep_the_order(variables):
    assert turns(service(), running=([service()], variables)) == ["active", "first"]


def test_an_older_release_advertised_the_vips():
    """The list becomes the one that stays: once, the director that stands by is silent for it."""
    services, made = fleet(service())
    for director in ("director1", "director2"):
        there = made["hosts"][director]["facts"]["keepalived"]
        there["running"] = there["running"].replace("169.254.112.51/32 dev lo no_track", "192.0.2.100/32 dev eth0")
    assert [rollout.turn(services, made, director) for director in ("director1", "director2")] == ["active", "last"]
    assert rollout.preflight([service()], made) == []


def test_two_active_directors_can_not_change_what_they_say():
    services, made = fleet(service(), running=([service()], {"director_advertisement_interval": 2}), holds=("director1", "director2"))
    (line,) = rollout.preflight([service()], made)
    assert path_and_id(line) == ("groups[directors]", "vrrp-change-needs-standby")
    assert "interval of instance lvsdr becomes 0.2 (was 2.0)" in line and "director1 and director2 hold VIPs now" in line


def test_a_service_that_is_not_named_any_more():
    other = service(name="other", addresses=["192.0.2.101"], health_check={})
    _services, made = fleet(service(), running=([service(), other], {}))
    (line,) = rollout.preflight([service()], made)
    assert path_and_id(line) == ("virtual_services", "service-undeclared")
    assert all(words in line for words in ("tcp 192.0.2.101:80 is served by director1 and director2 ", "state: absent"))
    assert rollout.preflight([service(), {**other, "state": "absent"}], made) == []


def test_a_port_less_on_a_vip_that_stays_is_no_question():
    _services, made = fleet(service(), running=([service(), service(name="b", ports=[8080])], {}))
    assert rollout.preflight([service()], made) == []


def test_a_vip_and_a_mark_that_are_not_named_any_more():
    mark = service(name="mark", addresses=["192.0.2.101"], ports=GONE, firewall_mark=5)
    _services, made = fleet(service(), running=([service(), mark], {}))
    lines = rollout.preflight([service()], made)
    assert [line.split(" is served")[0] for line in lines] == ["virtual_services: fwmark 5", "virtual_services: VIP 192.0.2.101"]
    assert [path_and_id(line)[1] for line in lines] == ["service-undeclared"] * 2


def test_somebody_elses_keepalived_is_not_overwritten_unasked():
    _services, made = fleet(service())
    home_made = """
! my load balancer
vrrp_instance VI_1 {
    virtual_router_id 7
    virtual_ipaddress { 192.0.2.77/24 dev eth0
    }
}
virtual_server 192.0.2.77 443 { delay_loop 6
    protocol TCP
    real_server 192.0.2.21 443 { weight 1 }
}
"""
    for running in (home_made, None):
        made["hosts"]["director1"]["facts"]["keepalived"] = {"running": running, "file": home_made}
        (line,) = rollout.preflight([service()], made)
        assert path_and_id(line) == ("virtual_services", "service-undeclared") and "tcp 192.0.2.77:443 is served by director1 " in line


def test_a_vip_does_not_move_between_instances_while_it_serves():
    others = {
        name: {"director_instances": {"radio": {"virtual_router_id": 52, "active": "director2"}}} for name in ("director1", "director2")
    }
    _services, made = fleet(service(instance="radio"), running=([service()], {}), hosts=others)
    lines = rollout.preflight([service(instance="radio")], made)
    assert len(lines) == 2 and all(path_and_id(line) == ("virtual_services[live].instance", "vip-changes-instance") for line in lines)
    assert all("VIP 192.0.2.100 " in line and "instance lvsdr on director%d" % number in line for number, line in enumerate(lines, 1))


def test_errors_of_the_inventory_come_first():
    _services, made = fleet(service())
    (line,) = rollout.preflight([service(mode="mesh")], made)
    assert path_and_id(line) == ("virtual_services[live].mode", "unknown-value")


HELD = [{"address": VIP, "protocol": "tcp", "port": 80, "scheduler": "wlc", "destinations": [
    {"address": "192.0.2.21", "forward": "dr", "weight": 1, "active": 3, "inactive": 1, "persistent": 0}]}]  # fmt: skip


def test_a_director_that_took_no_part():
    services, made = fleet(service(), tables={"director1": HELD, "director2": HELD})
    servers = ["server1", "server2"]
    assert rollout.undone(services.services, made, ["director1", "director2"], servers) == []
    (line,) = rollout.undone(services.services, made, ["director1"], servers)
    assert id_of(line) == "director-lacks-server" and all(word in line for word in ("director2 ", "server2 (live)"))
    del made["hosts"]["director2"]["facts"]
    (line,) = rollout.undone(services.services, made, ["director1"], servers)
    assert id_of(line) == "director-unread" and line.startswith("director2 ")


def test_hosts_that_did_not_answer():
    made = inventory(with_facts=True, hosts={"server2": {"facts": GONE}})
    (line,) = rollout.silent(made, ["server1", "server2"])
    assert id_of(line) == "host-did-not-answer" and line.startswith("server2 ")


def test_hosts_that_check_mode_does_not_look_at():
    """They are named in a warning, get nothing, and the run does not fail for them."""
    made = inventory(with_facts=True)
    for host in ("director2", "server2"):
        del made["hosts"][host]["facts"]
        made["hosts"][host]["lacks"] = "/usr/bin/python3 has no pyroute2 [pyroute2-missing]"
    director, server = rollout.not_looked_at(made)
    assert id_of(director) == "host-not-looked-at" and director.startswith(
        "director2 was not looked at: /usr/bin/python3 has no pyroute2, as "
    )
    assert server.startswith("server2 ") and rollout.silent(made, ["director1", "director2", "server1", "server2"]) == []
    assert rollout.turn(resolve.resolve([service()], made), made, "director2") == "unread"
    assert rollout.preflight([service()], made) == []


def test_a_change_of_vrrp_needs_all_directors():
    _services, made = fleet(service(), running=([service()], {"director_advertisement_interval": 2}))
    (line,) = rollout.preflight([service()], made, ["director1"])
    assert path_and_id(line) == ("groups[directors]", "vrrp-change-needs-all")
    assert "interval of instance lvsdr becomes 0.2 (was 2.0)" in line and "director2. " in line


def test_a_retired_vip_stays_on_servers_while_a_director_serves_it():
    resolved, made = fleet(service(addresses=["192.0.2.101"]), tables={"director1": HELD, "director2": []})
    services = resolved.services
    assert rollout.still_served([VIP, VIP6], services, made) == [VIP]
    made["hosts"]["director1"]["facts"]["ipvs"] = []
    assert rollout.still_served([VIP, VIP6], services, made) == []
    del made["hosts"]["director1"]["facts"]
    assert rollout.still_served([VIP], services, made) == [VIP], "nobody knows"


def test_who_still_sends_to_a_host():
    _services, made = fleet(service(), tables={"director1": HELD, "director2": []})
    (line,) = rollout.sent_to(made, facts(21))
    assert id_of(line) == "retire-destination" and "tcp 192.0.2.100:80 on director1 (4 connections)" in line
    assert rollout.sent_to(made, facts(22)) == []
    del made["hosts"]["director2"]["facts"]
    (line,) = rollout.sent_to(made, facts(22))
    assert id_of(line) == "retire-director-unread" and line.startswith("director2 ")


# --- reading keepalived.conf -----------------------------------------------------------------------------------------------------------


def test_what_is_rendered_is_read_back():
    declared = [
        service(addresses=[VIP, VIP6], health_check={}), service(name="udp", ports=[5004], protocol="udp", mode="nat"),
        service(name="mark", ports=GONE, firewall_mark=5, addresses=[VIP, VIP6]),
    ]  # fmt: skip
    services, made = fleet(*declared)
    text = made["hosts"]["director1"]["facts"]["keepalived"]["running"]

    assert keepalived_conf.virtual_servers(text) == [describe.table_key(one) for one in services.tables()]
    assert keepalived_conf.instances(text)["lvsdr"][1] == [VIP, VIP6]


@pytest.mark.parametrize(
    "text", ["", "}", "{", "virtual_server\n", "virtual_server x y {\n}", "vrrp_instance {\n}", "vrrp_instance a {\n", "a { b { c"]
)
def test_no_text_breaks_the_reader(text):
    assert keepalived_conf.virtual_servers(text) == []
    keepalived_conf.instances(text)
