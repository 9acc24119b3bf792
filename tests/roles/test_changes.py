"""Changes of a fleet that runs: what leaves, what directors say to each other, --limit and --tags, and the streaming server."""

import re

import pytest
from fakes.kernel import name_of
from fleet import SERVICE, VIP, in_force, state

OWN = "192.0.2.22"
LIVE = "tcp %s:80" % VIP


def connections(fleet, server, active, directors=("director1", "director2")):
    """Viewers of a server, as the directors count them."""
    for director in directors:
        there = fleet.machines[director].table()
        for service in there.services.values():
            for destination in service.destinations.values():
                if destination.address == server:
                    destination.connections = (active, 0, 0)
        fleet.machines[director].set_table(there)


def weights(fleet, director, name=LIVE):
    service = fleet.machines[director].table().services.get(name)
    return service and {one.address: one.weight for one in service.destinations.values()}


def good(done):
    assert done.returncode == 0, done.stdout[-3000:]
    return done


def test_a_removed_server_without_viewers_goes_at_once(running):
    running.inventory(web=["server1"])
    done = good(running.play())
    assert "Still leaving" not in done.said
    for director in ("director1", "director2"):
        assert set(weights(running, director)) == {"192.0.2.21"}
        assert OWN not in running.machines[director].read("/etc/keepalived/keepalived.conf")
        assert not in_force(running.machines[director])
    # The directors and the server that is left.
    assert running.play().stdout.count("changed=0") == 3


def test_a_removed_server_with_viewers_leaves_when_they_have(running):
    connections(running, OWN, 3)
    running.inventory(web=["server1"], director_drain_seconds=1)
    done = good(running.play())
    assert "Still leaving, with weight 0" in done.said and "server2 (%s) of live, %s: 3 connections" % (OWN, LIVE) in done.said
    for director in ("director1", "director2"):
        assert weights(running, director)[OWN] == 0
        text = running.machines[director].read("/etc/keepalived/keepalived.conf")
        assert re.search(r"# server2, leaving with its last connection\n    real_server 192.0.2.22 80 {\n        weight 0\n", text)
        assert not in_force(running.machines[director])
    # It may not be cleaned while somebody is there.
    done = running.play("playbooks/retire.yml", "-e", "host=server2")
    assert done.returncode != 0 and "[retire-destination]" in done.said
    assert "Nothing was changed on server2: " in done.said and "a destination of %s on director1 (3 connections)" % LIVE in done.said
    assert VIP + "/32" in state(running.machines["server2"])["addresses"]
    # Nothing has changed meanwhile.
    assert running.play().stdout.count("changed=0") >= 3
    connections(running, OWN, 0)
    good(running.play("playbooks/drain.yml"))
    for director in ("director1", "director2"):
        assert set(weights(running, director)) == {"192.0.2.21"} and not in_force(running.machines[director])
    done = running.play("playbooks/drain.yml")
    assert done.returncode != 0 and "[no-server-named]" in done.said
    good(running.play("playbooks/retire.yml", "-e", "host=server2"))
    cleaned = state(running.machines["server2"])
    assert cleaned["addresses"] == ["127.0.0.1/8", "::1/128"] and cleaned["settings"][:2] == ["0", "0"] and cleaned["units"] == {}
    assert not [path for path in cleaned["files"] if "lvsdr" in path]


@pytest.mark.parametrize(("allowed", "gone"), [(2, False), (3, True)])
def test_a_cut_is_the_operators_to_allow(running, allowed, gone):
    connections(running, OWN, 3, ["director1"])
    running.inventory(web=["server1"], director_drain_seconds=1)
    good(running.play("site.yml", "-e", "director_max_cut_connections=%d" % allowed))
    assert (OWN not in weights(running, "director1")) is gone


def test_a_retired_service_serves_who_is_there(running):
    connections(running, OWN, 1, ["director1"])
    kept = {**SERVICE, "name": "kept", "addresses": ["192.0.2.101"]}
    running.inventory(
        services=[kept, {"name": "live", "addresses": SERVICE["addresses"], "ports": [80], "state": "absent"}], director_drain_seconds=1
    )
    done = good(running.play())
    assert "server2 (%s) of live, %s: 1 connection" % (OWN, LIVE) in done.said
    assert weights(running, "director1") == {OWN: 0} or weights(running, "director1") == {OWN: 0, "192.0.2.21": 0}
    assert "%s/32 dev eth0" % VIP in running.machines["director1"].read("/etc/keepalived/keepalived.conf")
    for server in ("server1", "server2"):
        assert VIP + "/32" in state(running.machines[server])["addresses"], "the last viewer's packets still come"
    connections(running, OWN, 0)
    good(running.play())
    assert weights(running, "director1") is None
    for server in ("server1", "server2"):
        assert VIP + "/32" not in state(running.machines[server])["addresses"]


def test_a_service_that_vanished_is_named_before_anything_is_written(running):
    before = {name: state(machine) for name, machine in running.machines.items()}
    running.inventory(services=[{**SERVICE, "addresses": ["192.0.2.101"]}])
    done = running.play()
    assert done.returncode != 0 and "and nothing was changed" in done.said
    assert "virtual_services: %s is served by director1 and director2 " % LIVE in done.said and "[service-undeclared]" in done.said
    assert {name: state(machine) for name, machine in running.machines.items()} == before


def turns(fleet):
    """Who was stopped, reloaded and started, over both directors."""
    return {name: [call for call in fleet.machines[name].calls() if "keepalived" in call] for name in ("director1", "director2")}


def test_who_stands_by_is_silent_while_directors_change_what_they_say(running):
    running.inventory(director_advertisement_interval=2)
    done = good(running.play())
    assert turns(running) == {"director1": ["reload keepalived"], "director2": ["stop keepalived", "start keepalived"]}
    order = ("[Standby directors, silent until", "[Active directors", "[Standby directors that were silent")
    places = [done.stdout.index(words) for words in order]
    assert places == sorted(places)
    assert not in_force(running.machines["director1"]) and not in_force(running.machines["director2"])


@pytest.mark.parametrize("stop_after", [pytest.param(1, marks=pytest.mark.long), 2, pytest.param(3, marks=pytest.mark.long)])
def test_a_change_of_what_they_say_that_ended_in_the_middle(running, stop_after):
    """director2 is never started with the new words before director1 has them."""
    running.inventory(director_advertisement_interval=2)
    assert running.play(stop_after=stop_after).returncode == 99
    two, one = running.machines["director2"].units()["keepalived"], running.machines["director1"].units()["keepalived"]
    assert not two["active"] and one["active"]
    good(running.play())
    for director in ("director1", "director2"):
        machine = running.machines[director]
        assert "advert_int 2\n" in machine.units()["keepalived"]["read"]["/etc/keepalived/keepalived.conf"]
        assert machine.units()["keepalived"]["active"] and not in_force(machine)


def test_a_vip_more_needs_nobodys_silence(running):
    running.inventory(services=[SERVICE, {**SERVICE, "name": "more", "addresses": ["192.0.2.101"]}])
    good(running.play())
    assert turns(running) == {"director1": ["reload keepalived"], "director2": ["reload keepalived"]}


# --- half a fleet -------------------------------------------------------------------------------------------------------------------------


def test_a_new_server_alone_is_not_a_finished_rollout(fleet):
    fleet.inventory(web=["server1"])
    good(fleet.play())
    fleet.activate()
    fleet.inventory()
    done = fleet.play("site.yml", "--limit", "server2")
    assert done.returncode != 0 and "[run-not-finished]" in done.said
    for director in ("director1", "director2"):
        assert re.search(r"- %s [^\[]* server2 \(live\) \[director-lacks-server\]" % director, done.said), done.said[-2000:]
    assert VIP + "/32" in state(fleet.machines["server2"])["addresses"], "what is safe was done"
    good(fleet.play())
    assert "[run-not-finished]" not in good(fleet.play("site.yml", "--limit", "server2")).said


@pytest.mark.parametrize("options", [("--limit", "web"), ("--tags", "real_server")])
def test_servers_alone_keep_a_vip_that_directors_still_serve(running, options):
    running.inventory(
        services=[{**SERVICE, "addresses": [VIP]}, {**SERVICE, "name": "old", "addresses": ["2001:db8::100"], "state": "absent"}]
    )
    running.play("site.yml", *options)
    for server in ("server1", "server2"):
        assert "2001:db8::100/128" in state(running.machines[server])["addresses"]
    good(running.play())
    for server in ("server1", "server2"):
        assert "2001:db8::100/128" not in state(running.machines[server])["addresses"]


def test_retire_says_what_it_needs(running):
    for more, words in (
        ((), "[retire-no-host]"),
        (("-e", "host=server1"), "Nothing was changed: server1 is a real server of a virtual service"),
        (("-e", "host=server1"), "[retire-real-server]"),
        (("-e", "host=director1"), "Nothing was changed: director1 is a director"),
        (("-e", "host=director1"), "[retire-director]"),
    ):
        done = running.play("playbooks/retire.yml", *more)
        assert done.returncode != 0 and words in done.said and "Nothing was changed" in done.said


# --- the streaming server ---------------------------------------------------------------------------------------------------------------

EDGE = {"streaming_server_kind": "edge", "streaming_server_packages": [], "streaming_server_origin": []}


def edges(fleet, **more):
    fleet.inventory(hosts={name: {**EDGE, **more} for name in ("server1", "server2")})


def test_an_edge_that_gets_a_port_more(fleet):
    """nginx listens there before anybody looks whether it does."""
    edges(fleet)
    good(fleet.play())
    edges(fleet, streaming_server_listen=["80", "8080"])
    good(fleet.play())
    for server in ("server1", "server2"):
        machine = fleet.machines[server]
        assert "listen 8080 default_server" in machine.units()["nginx"]["read"]["/etc/nginx/nginx.conf"]
        assert machine.units()["nginx"]["starts"] == 1 and not in_force(machine)
    edges(fleet, streaming_server_listen=["80", "8080"])
    assert good(fleet.play()).stdout.count("changed=0") == 4


@pytest.mark.parametrize(
    "stop_after",
    [pytest.param(1, marks=pytest.mark.long), pytest.param(2, marks=pytest.mark.long), 3, pytest.param(4, marks=pytest.mark.long)],
)
def test_an_edge_whose_rollout_ended_in_the_middle(fleet, stop_after):
    edges(fleet)
    assert fleet.play(stop_after=stop_after).returncode == 99
    good(fleet.play())
    for server in ("server1", "server2"):
        assert fleet.machines[server].units()["nginx"]["active"] and not in_force(fleet.machines[server])


def test_a_page_that_nginx_refuses(fleet):
    edges(fleet)
    good(fleet.play())
    before = state(fleet.machines["server1"])
    edges(fleet, streaming_server_vod_dir="/srv/REFUSED")
    done = fleet.play()
    assert done.returncode != 0 and '/etc/nginx/nginx.conf: nginx refuses it: nginx: [emerg] unknown directive "REFUSED"' in done.said
    assert state(fleet.machines["server1"]) == before


def test_the_kernel_in_memory_is_the_one_of_the_module_tests(running):
    assert name_of(running.machines["director1"].table().services[LIVE]) == LIVE
