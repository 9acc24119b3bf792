"""From virtual_services and an inventory to services; test_bad_services.py has the errors on the way."""

import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.directors import drains, streamchecks
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import preflight, proofs
from ansible.module_utils.lvsdr.inventory import check_paths, hosts, modes, resolve, views
from ansible.module_utils.lvsdr.inventory.types import RealServer, VirtualService
from ansible.module_utils.lvsdr.ipvs import declare, types
from bad_services import HEAVY, HLS
from said import path_and_id

from inventories import GONE, VIP, VIP6, inventory, service

BOTH = [VIP, VIP6]


def resolved(*services, **options):
    return resolve.resolve(list(services), inventory(**options))


def declared(*services, **options):
    """The services alone, without their checks."""
    return resolved(*services, **options).services


def destinations(service):
    return service.table()["destinations"]


def weights(service):
    return {item["address"]: item["weight"] for item in destinations(service)}


def test_one_service():
    found = resolved(service())
    (one,) = found.services
    assert one == VirtualService(
        name="live", mode="dr", vips=(VIP,), family=4, health_check=None, stream=None, absent=False, key=(4, "tcp", VIP, 80),
        instance="lvsdr", leaving=(), retiring=False, options={"address": VIP, "protocol": "tcp", "port": 80, "scheduler": "wlc"},
        servers=(
            RealServer(host="server1", address="192.0.2.21", weight=1, port=None, checked=False, drained=False, fallback=False),
            RealServer(host="server2", address="192.0.2.22", weight=1, port=None, checked=False, drained=False, fallback=False),
        ),
    )  # fmt: skip
    assert (one.hosts, one.members, one.drained, one.sorry) == (("server1", "server2"), ("server1", "server2"), (), None)
    assert found.checks == () and found.tables() == [
        {
            "address": VIP, "protocol": "tcp", "port": 80, "scheduler": "wlc",
            "destinations": [
                {"address": "192.0.2.21", "forward": "dr", "weight": 1},
                {"address": "192.0.2.22", "forward": "dr", "weight": 1},
            ],
        }
    ]  # fmt: skip


def test_both_families_of_a_service():
    four, six = declared(service(addresses=BOTH, mode="nat", scheduler="mh", scheduler_flags=["mh-port"], protocol="udp"))
    assert [(s.family, s.vips, s.key) for s in (four, six)] == [
        (4, (VIP,), (4, "udp", VIP, 80)),
        (6, (VIP6,), (6, "udp", VIP6, 80)),
    ]
    assert [item["address"] for item in destinations(six)] == ["2001:db8::21", "2001:db8::22"]
    for one in (four, six):
        assert (one.options["scheduler"], one.options["scheduler_flags"]) == ("mh", ["mh-fallback", "mh-port"])
        assert {item["forward"] for item in destinations(one)} == {"nat"}


def test_addresses_are_written_in_one_way():
    (one,) = declared(service(addresses=["2001:DB8:0::0100"]), hosts={"server1": {"real_server_address6": "2001:DB8:0::21"}})
    assert (one.options["address"], one.vips) == (VIP6, (VIP6,))
    assert destinations(one)[0]["address"] == "2001:db8::21"


def test_where_an_address_comes_from():
    """real_server_address goes before ansible_host, and a family is taken from wherever it is."""
    (one,) = declared(service(), hosts={"server1": {"real_server_address": "198.51.100.1"}, "server2": {"ansible_host": "203.0.113.1"}})
    assert list(weights(one)) == ["198.51.100.1", "203.0.113.1"]
    host = {"ansible_host": "2001:db8::9", "real_server_address6": GONE}
    (one,) = declared(service(addresses=[VIP6]), hosts={"server1": host})
    assert list(weights(one))[0] == "2001:db8::9"
    assert hosts.host_address({"ansible_host": "server.example.com"}, 4) is None


def test_weights_and_drained_servers():
    hosts = {"server1": {"real_server_weight": "10"}, "server2": {"real_server_weight": 20, "real_server_state": "drained"}}
    (one,) = declared(service(), hosts=hosts)
    assert weights(one) == {"192.0.2.21": 10, "192.0.2.22": 0}
    (largest,) = declared(service(), hosts={"server1": {"real_server_weight": types.MAX_WEIGHT}})
    assert weights(largest)["192.0.2.21"] == types.MAX_WEIGHT


def test_a_check_owns_the_weight_of_servers_that_have_one():
    found = resolved(service(health_check={"type": "tcp"}), hosts={"server1": {"real_server_weight": 0}})
    (one,) = found.services
    assert [check.host for check in found.checks] == ["server2"], "no check would give the other a weight"
    assert ["health_checked" in item for item in destinations(one)] == [False, True]
    (one,) = declared(service())
    assert not any("health_checked" in item for item in destinations(one))


def test_a_drained_server_of_a_checked_service():
    """Its weight stays as declared, in the table and in keepalived.conf: a file takes it away."""
    hosts = {"server1": {"real_server_state": "drained", "real_server_weight": 5}}
    (active,) = declared(service(health_check={}), hosts={"server1": {"real_server_weight": 5}})
    found = resolved(service(health_check={}), service(name="b", ports=[81]), hosts=hosts)
    one, _other = found.services
    assert one.table() == active.table() and len(found.checks) == 2
    assert one.drained == ("server1",) and drains.drained(found.services, inventory()) == [places.drain_file("server1")]
    assert drains.drained(declared(service(), hosts=hosts), inventory()) == [], "without a check its weight is 0"
    assert places.drain_file("a/../b") != places.drain_file("a_.._b") and "/" not in places.drain_file("a/../b")


def test_who_waits_for_a_weight():
    found = resolved(service(health_check={"target": "server"}), service(name="b", ports=[81]),
                     hosts={"server2": {"real_server_state": "drained"}})  # fmt: skip
    services, info = found.services, {"services": found.tables()}
    assert drains.waiting(services, {"director1": info}) == []
    info["services"][0] = {**info["services"][0], "destinations": [{"address": "192.0.2.21", "weight": 0}]}
    assert drains.waiting(services, {"director1": info}) == ["director1: server1 of live"]
    assert drains.waiting(services, {"director1": {"services": []}}) == ["director1: server1 of live"]


def test_a_sorry_server():
    found = resolved(service(addresses=BOTH, health_check={}, sorry_server="director2"))
    services = found.services
    four = services[0]
    assert destinations(four)[2:] == [{"address": "192.0.2.12", "forward": "dr", "weight": 1, "sorry_server": True}]
    assert (four.sorry, four.hosts) == ("director2", ("server1", "server2"))
    assert views.vips_of_hosts(services)["director2"] == BOTH, "it holds the VIPs as real servers do"
    assert "director2" in views.real_servers(services)
    assert [one["own"] for one in proofs.listeners(services)["director2"]] == ["192.0.2.12", "2001:db8::12"]
    assert len(check_paths.check_marks(found.checks)) == 4, "nobody checks it"


def test_a_vip_is_in_one_instance():
    with pytest.raises(LvsError) as caught:
        resolved(service(), service(name="b", ports=[81], instance="radio"))
    (line,) = caught.value.details["problems"]
    assert path_and_id(line) == ("virtual_services[b].instance", "vip-in-two-instances")
    assert "VIP 192.0.2.100 is in instance radio here and in lvsdr in virtual_services[live]" in line


def test_an_instance_that_no_director_has():
    (line,) = preflight.preflight([service(instance="radio")], inventory())
    assert path_and_id(line) == ("virtual_services[live].instance", "instance-unknown") and "instance radio" in line


def test_health_checks_and_their_defaults():
    (one,) = declared(service(health_check={}))
    assert one.health_check == {"type": "tcp", "target": "vip", "interval": 2, "timeout": 2, "retries": 2}
    check = {"type": "http", "port": "8080", "path": "/h?a=1", "status": 204, "host": "a-1.example.com", "interval": 5, "retries": 0}
    (one,) = declared(service(health_check=check))
    url = {"path": "/h?a=1", "status": "204", "host": "a-1.example.com"}
    assert one.health_check == {
        "type": "http", "target": "vip", "port": 8080, "interval": 5, "timeout": 2, "retries": 0, "urls": [url],
    }  # fmt: skip
    (one,) = declared(service(mode="nat", health_check={}))
    assert one.health_check["target"] == "server"
    (one,) = declared(service(health_check={"type": "http"}))
    assert one.health_check["urls"] == [{"path": "/", "status": "200"}]
    # lvsdr-streamcheck makes a check that declares what keepalived has no words for.
    (one,) = declared(service(health_check={"rise": 3, "agent": {}}), hosts={"server1": HEAVY, "server2": HEAVY})
    assert one.health_check == {
        "type": "tcp", "target": "vip", "interval": 2, "timeout": 2, "retries": 2, "fall": 1, "rise": 3, "slow_start": 0, "floor": 0,
        "agent": {"port": 3333, "smoothing": 0.5, "step": 0.1}, "when_all_fail": "keep",
    }  # fmt: skip
    (one,) = declared(service(health_check={**HLS, "tls": True, "host": "live.example.com", "verify": "/etc/ssl/lab.pem"}))
    assert {name: one.health_check[name] for name in ("tls", "verify", "certificate_days", "host")} == {
        "tls": True, "verify": "/etc/ssl/lab.pem", "certificate_days": 14, "host": "live.example.com",
    }  # fmt: skip
    # The type over TLS that keepalived has, too, until it shall do more than keepalived can.
    (one,) = declared(service(health_check={"type": "http", "tls": True}))
    assert one.health_check["type"] == "https" and "fall" not in one.health_check
    (one,) = declared(service(health_check={"type": "https", "host": "live.example.com", "verify": True}))
    assert one.health_check["type"] == "https" and one.health_check["fall"] == 1
    (one,) = declared(service(health_check={"type": "script", "path": "/usr/local/bin/x"}))
    assert (one.health_check["target"], one.health_check["user"], one.health_check["arguments"]) == ("server", "nobody", [])


def test_a_server_is_checked_by_a_mark_of_its_own():
    """Whatever else is declared: a mark is made of the address, and nobody else may have it."""
    check, other = resolved(service(health_check={}), service(name="more", ports=[81], health_check={})).checks
    table = check.table()
    assert (check.host, check.family, check.address) == ("server1", 4, "192.0.2.21")
    assert table["destinations"] == [{"address": "192.0.2.21", "forward": "dr", "weight": 1}] and table["scheduler"] == "rr"
    assert table["one_packet"], "of UDP nothing is remembered"
    mark = table["firewall_mark"]
    assert mark >> 24 == 0x4C and mark != other.table()["firewall_mark"]
    assert (check.key, other.key) == tuple(declare.read_services([table, other.table()]))
    with pytest.raises(LvsError) as caught:
        resolved(service(health_check={}), service(name="mark", ports=GONE, firewall_mark=mark))
    assert [path_and_id(line) for line in caught.value.details["problems"]] == [("virtual_services[mark].firewall_mark", "mark-reserved")]
    assert not resolved(service(health_check={"target": "server"}), service(name="b", ports=[81])).checks


def test_no_two_servers_have_one_mark(monkeypatch):
    """Also where what their marks are made of is the same, and none has the mark whose address would be 0.0.0.0."""
    monkeypatch.setattr(check_paths.zlib, "crc32", lambda words: 0xFFFFFFFF)
    marks = check_paths.check_marks(resolved(service(addresses=BOTH, health_check={})).checks)
    assert sorted(marks.values()) == [0x4C000001, 0x4C000002, 0x4C000003, 0x4CFFFFFF]


def test_stream_checks_of_a_director():
    services = resolved(service(addresses=BOTH, health_check={**HLS, "floor": "0.5", "slow_start": 60}), service(name="b", ports=[81]),
                        hosts={"server1": HEAVY, "server2": {**HEAVY, "real_server_state": "drained"}})  # fmt: skip
    config = streamchecks.streamchecks(services, "director2", inventory())
    four, six = config["services"]
    assert (four["floor"], four["slow_start"], four["check"]["fall"], four["check"]["rise"]) == (0.5, 60, 1, 2)
    server, other = four["servers"]
    assert server["agent"] == "192.0.2.21"
    assert other["weight_files"] == ["/run/lvsdr/drained/" + places.drain_file("server2")]
    mark = check_paths.check_marks(services.checks)[4, "192.0.2.21"]
    assert {name: server[name] for name in ("name", "address", "port", "mark", "own", "weight")} == {
        "name": "server1", "address": VIP, "port": 80, "mark": mark, "own": "192.0.2.12", "weight": 10,
    }  # fmt: skip
    assert six["servers"][0]["address"] == VIP6 and six["servers"][0]["file"] != server["file"]
    services = resolved(service(mode="nat", health_check={**HLS, "port": 8080}))
    (server, _other) = streamchecks.streamchecks(services, "director2", inventory())["services"][0]["servers"]
    assert (server["address"], server["port"], server["mark"], server["own"]) == ("192.0.2.21", 8080, None, None)


def test_only_nat_translates_ports():
    (one,) = declared(service(mode="nat"), hosts={"server1": {"real_server_port": 8080}})
    assert [item.get("port") for item in destinations(one)] == [8080, None]
    assert declare.read_services([one.table()])[one.key].destinations.keys() == {("192.0.2.21", 8080), ("192.0.2.22", 80)}
    (one,) = declared(service(), hosts={"server1": {"real_server_port": 80}})
    assert "port" not in destinations(one)[0], "the service's own port is none to translate"


def test_firewall_marks():
    """One service of a family serves all its VIPs."""
    four, six = declared(service(ports=GONE, firewall_mark=5, addresses=[VIP, VIP6, "192.0.2.101"]))
    assert (four.key, four.options["firewall_mark"], four.vips) == ((4, "fwmark", "", 5), 5, (VIP, "192.0.2.101"))
    assert (six.key, six.options["family"], six.vips) == ((6, "fwmark", "", 5), "ipv6", (VIP6,))
    assert not {"address", "port", "protocol"} & set(four.table())
    assert views.director_vips([four, six]) == [VIP, "192.0.2.101", VIP6]


@pytest.mark.parametrize(
    ("persistence", "four", "six"),
    [
        (300, (300, "255.255.255.255"), (300, "128")),
        ({"timeout": 60}, (60, "255.255.255.255"), (60, "128")),
        ({"timeout": 60, "netmask": "255.255.255.0"}, (60, "255.255.255.0"), (60, "128")),
        ({"timeout": 60, "netmask": 64}, (60, "255.255.255.255"), (60, "64")),
        (None, (0, "255.255.255.255"), (0, "128")),
    ],
)
def test_persistence_of_both_families(persistence, four, six):
    """A netmask belongs to one family, and clients of the other are taken one by one."""
    table = declare.read_services(resolved(service(addresses=BOTH, persistence=persistence)).tables())
    assert [table[key].service[6:8] for key in ((4, "tcp", VIP, 80), (6, "tcp", VIP6, 80))] == [four, six]


def test_port_0_with_persistence():
    (one,) = declared(service(ports=[0], persistence=60))
    assert one.key[3] == 0


def test_an_absent_service_needs_no_servers():
    (one,) = declared(service(state="absent", real_servers="gone"))
    assert (one.absent, one.servers, destinations(one), one.options["state"]) == (True, (), [], "absent")
    assert views.director_vips([one]) == [] and views.vips_of_hosts([one]) == {}


@pytest.mark.parametrize("mode", modes.MODES)
@pytest.mark.parametrize("scheduler", [name for name in types.SCHEDULERS if name != "dh"])
def test_what_resolves_is_a_table(mode, scheduler):
    """What resolve() lets through, ipvs_table takes."""
    found = resolved(service(addresses=BOTH, mode=mode, scheduler=scheduler), service(name="mark", ports=GONE, firewall_mark=1))
    assert list(declare.read_services(found.tables())) == [one.key for one in found.services]


@pytest.mark.parametrize("flags", [None, [], ["-port"], ["-fallback"], ["-port", "-fallback"]])
@pytest.mark.parametrize("scheduler", ["mh", "sh"])
def test_a_drained_server_refuses_nobody(scheduler, flags):
    """Without the flag the hash table sends new connections to a server of weight 0, and the kernel drops them."""
    (one,) = declared(service(scheduler=scheduler, scheduler_flags=GONE if flags is None else [scheduler + flag for flag in flags]))
    assert scheduler + "-fallback" in one.options["scheduler_flags"]
    assert (scheduler + "-port" in one.options["scheduler_flags"]) == ("-port" in (flags or []))


def test_values_from_templates_are_normalised():
    """A template leaves text, at times with its line end; the table and keepalived.conf get numbers."""
    hosts = {"server1": {"real_server_port": "8080\n", "real_server_weight": " 5"}}
    persistence = {"timeout": "60\n", "netmask": "/24"}
    (one,) = declared(service(addresses=[VIP + "\n"], ports=["80\n"], mode="nat", persistence=persistence), hosts=hosts)
    assert one.vips == (VIP,)
    assert one.table() == {
        "address": VIP, "protocol": "tcp", "port": 80, "scheduler": "wlc", "persistence": {"timeout": 60, "netmask": "255.255.255.0"},
        "destinations": [
            {"address": "192.0.2.21", "port": 8080, "forward": "nat", "weight": 5},
            {"address": "192.0.2.22", "forward": "nat", "weight": 1},
        ],
    }  # fmt: skip
