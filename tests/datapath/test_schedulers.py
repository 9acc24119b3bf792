"""Every scheduler that an inventory takes, and everything that happens to a fleet: no newcomer refused, no running connection cut.

Tables are made from inventories, as a rollout makes them: resolve, and what ipvs_table does.
"""

import net
import pytest
from ansible.module_utils.lvsdr.inventory import leaving, resolve
from ansible.module_utils.lvsdr.ipvs import kernel, table, types
from net import DIRECTORS, SERVERS, VIP, Running, hold, inside, newcomers

# What resolve takes; dh is refused, and shown below to deserve it.
TAKEN = [name for name in types.SCHEDULERS if name != "dh"]
NEWCOMERS, STREAMS = 300, 20
THREE = ("server1", "server2", "server3")


class Fleet:
    """An inventory and its directors' tables."""

    def __init__(self, scheduler="mh", servers=THREE, family=4, **more):
        self.service = {"name": "live", "addresses": [VIP[family]], "ports": [80], "scheduler": scheduler, "real_servers": "web", **more}
        self.servers, self.hosts, self.family = list(servers), {}, family
        for director in DIRECTORS:
            with inside(director):
                ipvs = kernel.Ipvs()
                ipvs.close()
            net.run("ip", "netns", "exec", director, "ipvsadm", "-C")
        for name, value in net.settings_of_the_role().items():
            for director in DIRECTORS:
                net.sysctl(director, "ipv4/vs/" + name, value)
        hold("director1")
        self.roll_out()

    def inventory(self):
        # For ovf a weight is the most connections that a server may have.
        weight = 1000 if self.service.get("scheduler") == "ovf" else 10
        hosts = {
            name: {"real_server_address": net.address(number), "real_server_address6": net.address(number, 6), "real_server_weight": weight}
            for name, number in {**DIRECTORS, **SERVERS}.items()
        }
        for name, variables in self.hosts.items():
            hosts[name].update(variables)
        for director in DIRECTORS:
            with inside(director):
                hosts[director]["facts"] = {"ipvs": table.describe_kernel(counters=False)["services"]}
        return {"groups": {"directors": list(DIRECTORS), "web": self.servers}, "hosts": hosts}

    def roll_out(self, **variables):
        """What site.yml does to the tables; what still leaves."""
        self.hosts.update(variables)
        services = resolve.resolve([self.service], self.inventory())
        for director in DIRECTORS:
            with inside(director):
                daemons = [{"state": state, "interface": "eth0", "id": 51} for state in ("master", "backup")]
                table.converge(services.tables(), sync_daemons=daemons, max_cut_connections=0)
        return leaving.leaving_lines(services.services)

    def newcomers(self):
        return newcomers(NEWCOMERS, self.family)

    def streams(self):
        return Running(STREAMS, self.family)

    def hold(self, director):
        hold(director)

    def set_weight(self, server, weight):
        """As keepalived does it on both directors when a check has failed or succeeded again."""
        vip = "[%s]:80" % VIP[6] if self.family == 6 else "%s:80" % VIP[4]
        own = net.address(SERVERS[server], self.family)
        for director in DIRECTORS:
            target = "[%s]:80" % own if self.family == 6 else own + ":80"
            net.run("ip", "netns", "exec", director, "ipvsadm", "-e", "-t", vip, "-r", target, "-g", "-w", str(weight))


def drained(fleet):
    fleet.roll_out(server1={"real_server_state": "drained"})
    return {"server1"}


def failed(fleet):
    fleet.set_weight("server2", 0)
    return {"server2"}


def added(fleet):
    fleet.servers.append("server4")
    fleet.roll_out()
    return set()


def removed(fleet):
    fleet.servers.remove("server3")
    fleet.roll_out()
    return {"server3"}


def weight_changed(fleet):
    ovf = fleet.service["scheduler"] == "ovf"
    fleet.roll_out(server1={"real_server_weight": 500 if ovf else 1}, server2={"real_server_weight": 3000 if ovf else 30})
    return set()


def all_but_one_out(fleet):
    fleet.set_weight("server1", 0)
    fleet.roll_out(server2={"real_server_state": "drained"})
    fleet.set_weight("server1", 0)
    return {"server1", "server2"}


def failover(fleet):
    # A message of the sync daemons holds many connections, and is sent after two seconds at the latest.
    net.time.sleep(3)
    fleet.hold("director2")
    return set()


EVENTS = (drained, failed, added, removed, weight_changed, all_but_one_out, failover)


def nothing_lost(fleet, event):
    streams = fleet.streams()
    try:
        assert streams.cut() == 0
        out = event(fleet)
        found = fleet.newcomers()
        assert sum(found[name] for name in SERVERS) == NEWCOMERS, found
        assert not any(found[name] for name in out), (found, "a server that is out got newcomers")
        assert streams.cut() == 0
    finally:
        streams.end()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
@pytest.mark.parametrize("scheduler", TAKEN)
def test_nobody_is_lost(scheduler, event):
    nothing_lost(Fleet(scheduler), event)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
@pytest.mark.parametrize("scheduler", ["mh", "wrr"])
def test_nobody_is_lost_over_ipv6(scheduler, event):
    nothing_lost(Fleet(scheduler, family=6), event)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
@pytest.mark.parametrize("scheduler", ["mh", "sh"])
def test_nobody_is_lost_by_port(scheduler, event):
    """What README recommends for mh: viewers behind one address are spread, too."""
    nothing_lost(Fleet(scheduler, scheduler_flags=[scheduler + "-port"]), event)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_nobody_is_lost_with_persistence(event):
    """Clients that are tied to a server that is out move with their next connection."""
    nothing_lost(Fleet("wrr", persistence={"timeout": 300}), event)


@pytest.mark.parametrize(("scheduler", "flags"), [("mh", []), ("mh", ["mh-port"]), ("sh", []), ("sh", ["sh-port"]), ("dh", [])])
def test_without_the_flag_newcomers_are_refused(scheduler, flags):
    """The tests above can fail: this is the kernel without what resolve adds, and why dh is refused."""
    fleet = Fleet("wrr")
    services = resolve.resolve([fleet.service], fleet.inventory()).tables()
    for director in DIRECTORS:
        with inside(director):
            result = table.converge([{**services[0], "scheduler": scheduler, "scheduler_flags": flags}])
            assert list(result["refuses_newcomers"].values()) == [["tcp %s:80" % VIP[4]]]
    # dh hashes the VIP alone: all newcomers have one server, and that is the one that has to be out.
    (usual, _count), *_others = newcomers(30).most_common()
    fleet.set_weight(usual, 0)
    found = newcomers(NEWCOMERS)
    assert found["refused"] >= 5, found


def still_counted(director):
    """How many running connections a director counts."""
    with inside(director):
        return sum(one["active"] for service in table.describe_kernel(counters=False)["services"] for one in service["destinations"])


def test_a_removed_server_goes_when_nobody_is_left():
    """Its viewers stay as long as they like; a rollout cuts none of them, and the one after the last removes it."""
    # On a port of its own: the kernel goes on counting connections of the tests before where a destination comes back (ip_vs_ctl.c,
    # ip_vs_trash_get_dest), and they take two minutes to end.
    port = net.OTHER_PORT
    fleet = Fleet("wrr", ports=[port])
    assert not any(still_counted(director) for director in DIRECTORS)
    streams = Running(30, port=port)
    on_it = streams.on("server3")
    assert on_it >= 5
    fleet.servers.remove("server3")
    own = net.address(SERVERS["server3"])
    fleet.roll_out()
    (line,) = fleet.roll_out()
    assert line == "server3 (%s) of live, tcp %s:%d: %d connections" % (own, VIP[4], port, on_it)
    assert newcomers(60, port=port)["server3"] == 0 and streams.cut() == 0
    assert "%s:%d -g -w 0" % (own, port) in net.run("ip", "netns", "exec", "director1", "ipvsadm", "-Sn")
    streams.end("server3")
    deadline = net.time.monotonic() + 60
    while fleet.roll_out():
        assert net.time.monotonic() < deadline, "the sync daemons tell the other director that they ended"
        net.time.sleep(1)
    for director in DIRECTORS:
        assert own not in net.run("ip", "netns", "exec", director, "ipvsadm", "-Sn")
    assert streams.cut() == 0
    streams.end()


def test_a_retired_service_lets_its_viewers_finish():
    fleet = Fleet("mh")
    streams = Running(20)
    declared = fleet.service
    fleet.service = {"name": "live", "addresses": [VIP[4]], "ports": [80], "state": "absent"}
    assert len(fleet.roll_out()) == 3
    assert newcomers(20) == {"refused": 20} and streams.cut() == 0
    # It may come back meanwhile.
    fleet.service = declared
    fleet.roll_out()
    assert sum(newcomers(30)[name] for name in SERVERS) == 30 and streams.cut() == 0
    streams.end()
