"""From virtual_services and an inventory to services, and every error on the way with its path and the next step."""

import json

import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.checks import health_check
from ansible.module_utils.lvsdr.directors import drains, holders, parity, streamchecks
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import preflight, proofs
from ansible.module_utils.lvsdr.inventory import check_paths, hosts, resolve, views
from ansible.module_utils.lvsdr.inventory.types import RealServer, VirtualService, from_data, to_data
from ansible.module_utils.lvsdr.ipvs import declare, types
from hypothesis import given, settings
from hypothesis import strategies as st

from inventories import GONE, VIP, VIP6, anything, facts, interface, inventory, scalars, service

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
    assert one.drained == ("server1",) and drains.drained(found.services) == [places.drain_file("server1")]
    assert drains.drained(declared(service(), hosts=hosts)) == [], "without a check its weight is 0"
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
    assert destinations(four)[2:] == [{"address": "192.0.2.12", "forward": "dr", "weight": 1, "fallback": True}]
    assert (four.sorry, four.hosts) == ("director2", ("server1", "server2"))
    assert views.vips_of_hosts(services)["director2"] == BOTH, "it holds the VIPs as real servers do"
    assert "director2" in views.real_servers(services)
    assert [one["own"] for one in proofs.listeners(services)["director2"]] == ["192.0.2.12", "2001:db8::12"]
    assert len(check_paths.check_marks(found.checks)) == 4, "nobody checks it"


@pytest.mark.parametrize("address", ["192.0.2.12", "192.0.2.21"])
def test_parity_leaves_a_sorry_server_out(address):
    services = resolved(service(health_check={"target": "server"}, sorry_server="director2"))
    line = "-a -t 192.0.2.100:80 -r %s:80 -g -w 0" % address
    found = parity.parity({"director1": "-A -t 192.0.2.100:80 -s wlc\n" + line, "director2": "-A -t 192.0.2.100:80 -s wlc"}, services)
    assert found == ([] if address == "192.0.2.12" else ["only on director1: " + line])


def test_a_vip_is_in_one_instance():
    with pytest.raises(LvsError) as caught:
        resolved(service(), service(name="b", ports=[81], instance="radio"))
    assert caught.value.details["problems"] == [
        "virtual service b: VIP 192.0.2.100 is in instance radio here and in lvsdr in service live; a VIP belongs to one instance"
    ]


def test_preflight_compares_the_instances_of_directors():
    made = inventory(hosts={"director1": {"director_virtual_router_id": 7}})
    assert preflight.preflight([service()], made) == [
        "hosts[director2]: the virtual_router_id of instance lvsdr is 51 here and 7 on director1; all directors of an instance have one"
    ]
    (line,) = preflight.preflight([service(instance="radio")], inventory())
    assert line == "virtual service live: there is no instance radio; declare it in director_instances"


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
    with pytest.raises(LvsError, match="marks from 0x4c000000 to 0x4cffffff are those of lvsdr's checks"):
        resolved(service(health_check={}), service(name="mark", ports=GONE, firewall_mark=mark))
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
    assert other["drain_file"] == "/run/lvsdr/drained/" + places.drain_file("server2")
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


@pytest.mark.parametrize("mode", resolve.MODES)
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


# --- errors -------------------------------------------------------------------------------------------------------------------------

SERVICE = "virtual_services[0]"
UDP = {"protocol": "udp"}
HLS = {"type": "hls", "path": "/live/index.m3u8"}
MARK = {"ports": GONE, "firewall_mark": 5}
HEAVY = {"real_server_weight": 10}
NUMBER = "is not a whole number"
ADDRESS = "is not an IPv4 or IPv6 host address"

# Changes to the service, changes to server1's variables, the path and the words of the only error.
ERRORS = {
    "unknown option": ({"port": 80}, {}, ".port", "no such option; these are: addresses, firewall_mark, health_check"),
    "no name": ({"name": GONE}, {}, ".name", "a name is missing; messages and keepalived.conf use it"),
    "empty name": ({"name": ""}, {}, ".name", "a name is missing"),
    "name that is none": ({"name": 5}, {}, ".name", "5 is not text; write it in quotes"),
    "unknown mode": ({"mode": "DR"}, {}, ".mode", "unknown value 'DR'; one of dr, nat, tunnel is possible"),
    "mode snat": ({"mode": "snat"}, {}, ".mode", "unknown value 'snat'; this version forwards by dr, nat or tunnel; snat needs another"),
    "mode proxy": ({"mode": "proxy"}, {}, ".mode", "this version forwards by dr, nat or tunnel; proxy needs another program"),
    "unknown scheduler": ({"scheduler": "maglev"}, {}, ".scheduler", "unknown value 'maglev'; one of rr, wrr, lc, wlc, "),
    "unknown state": ({"state": "gone"}, {}, ".state", "unknown value 'gone'; one of present, absent is possible"),
    "unknown protocol": ({"protocol": "TCP"}, {}, ".protocol", "unknown value 'TCP'; one of tcp, udp, sctp is possible"),
    "name of two lines": ({"name": "live\n}"}, {}, ".name", "a name is one line of up to 100 bytes without quotes"),
    "address twice": ({"addresses": [VIP6, "2001:DB8::0100"]}, {}, ".addresses[1]", "2001:db8::100 is in the list already; remove one"),
    "mark's address twice": ({**MARK, "addresses": [VIP, VIP + "\n"]}, {}, ".addresses[1]", "192.0.2.100 is in the list already"),
    "no address": ({"addresses": GONE}, {}, ".addresses", "a list with at least one VIP is needed"),
    "empty addresses": ({"addresses": []}, {}, ".addresses", "a list with at least one VIP is needed"),
    "addresses that are no list": ({"addresses": VIP}, {}, ".addresses", "a list with at least one VIP is needed"),
    "a name for an address": ({"addresses": [VIP, "vip.example.com"]}, {}, ".addresses[1]", "'vip.example.com' " + ADDRESS),
    "network for an address": ({"addresses": [VIP + "/24"]}, {}, ".addresses[0]", f"'{VIP}/24' {ADDRESS}"),
    "multicast VIP": ({"addresses": ["233.252.0.1"]}, {}, ".addresses[0]", ADDRESS),
    "unspecified VIP": ({"addresses": ["::"]}, {}, ".addresses[0]", ADDRESS),
    "VIP with a zone": ({"addresses": ["fe80::1%eth0"]}, {}, ".addresses[0]", ADDRESS),
    "null VIP": ({"addresses": [None]}, {}, ".addresses[0]", "None " + ADDRESS),
    "no port": ({"ports": GONE}, {}, ".ports", "a list with a port is needed"),
    "null port": ({"ports": [None]}, {}, ".ports[0]", "a port is missing"),
    "port in another script": ({"ports": ["٨٠"]}, {}, ".ports[0]", "'٨٠' " + NUMBER),
    "port with two signs": ({"ports": ["--5"]}, {}, ".ports[0]", "'--5' " + NUMBER),
    "port without end": ({"ports": ["8" * 5000]}, {}, ".ports[0]", NUMBER),
    "ports that are no list": ({"ports": 80}, {}, ".ports", "a list with a port is needed"),
    "several ports": (
        {"ports": [80, 443]}, {}, ".ports",
        "several ports need a firewall-mark service: mark their packets on the directors",
    ),
    "port with a firewall mark": ({"firewall_mark": 5}, {}, ".ports", "has none; the rule that sets mark 5 chooses them"),
    "port that is none": ({"ports": ["http"]}, {}, ".ports[0]", "'http' " + NUMBER),
    "port that is true": ({"ports": [True]}, {}, ".ports[0]", "True " + NUMBER),
    "port that is half": ({"ports": [80.5]}, {}, ".ports[0]", "80.5 " + NUMBER),
    "port too large": ({"ports": [65536]}, {}, ".ports[0]", "65536 is out of range (0 to 65535)"),
    "negative port": ({"ports": ["-1"]}, {}, ".ports[0]", "-1 is out of range (0 to 65535)"),
    "port 0 alone": (
        {"ports": [0]}, {}, ".ports[0]",
        "port 0 stands for every port and works only with persistence; add it, or name a port",
    ),
    "mark 0": ({**MARK, "firewall_mark": 0}, {}, ".firewall_mark", "0 is out of range (1 to 4294967295)"),
    "mark that is none": ({**MARK, "firewall_mark": "five"}, {}, ".firewall_mark", "'five' " + NUMBER),
    "protocol of a mark": (
        {**MARK, "protocol": "udp"}, {}, ".protocol",
        "a firewall-mark service has none; its packets are chosen by their mark",
    ),
    "list for a choice": ({"mode": ["dr"]}, {}, ".mode", "unknown value ['dr']; one of dr, nat, tunnel is possible"),
    "list for a protocol": ({"protocol": ["tcp"]}, {}, ".protocol", "unknown value ['tcp']; one of tcp, udp, sctp is possible"),
    "flags that are no list": ({"scheduler_flags": "sh-port"}, {}, ".scheduler_flags", "a list is needed, not 'sh-port'"),
    "flag of another scheduler": (
        {"scheduler": "mh", "scheduler_flags": ["sh-port"]}, {}, ".scheduler_flags",
        "'sh-port' is no flag of scheduler mh; it takes mh-fallback, mh-port",
    ),
    "a scheduler that refuses newcomers": (
        {"scheduler": "dh"}, {}, ".scheduler",
        "scheduler dh refuses new connections that hash to a destination of weight 0",
    ),
    "flag where none is": ({"scheduler_flags": ["mh-port"]}, {}, ".scheduler_flags", "is no flag of scheduler wlc; it takes none"),
    "one packet on TCP": (
        {"one_packet": True}, {}, ".one_packet",
        "one-packet scheduling is for UDP; on tcp it would tear connections apart",
    ),
    "one packet on SCTP": ({"one_packet": True, "protocol": "sctp"}, {}, ".one_packet", "is for UDP; on sctp it would"),
    "one packet perhaps": ({"one_packet": "maybe", **UDP}, {}, ".one_packet", "'maybe' is neither true nor false"),
    "persistence of no time": ({"persistence": 0}, {}, ".persistence.timeout", "0 is out of range (1 to 2678400 seconds)"),
    "persistence too long": ({"persistence": {"timeout": 2678401}}, {}, ".persistence.timeout", "out of range (1 to 2678400 seconds)"),
    "persistence that is none": ({"persistence": "long"}, {}, ".persistence.timeout", "'long' " + NUMBER),
    "persistence with more": ({"persistence": {"time": 5}}, {}, ".persistence.time", "no such option; these are: engine, netmask, timeout"),
    "netmask with a hole": ({"persistence": {"netmask": "255.0.255.0"}}, {}, ".persistence.netmask", "'255.0.255.0' is not a netmask"),
    "prefix too long": (
        {"persistence": {"netmask": 129}, "addresses": [VIP6]}, {}, ".persistence.netmask",
        "129 is not a prefix length from 1 to 128",
    ),
    "unknown engine": ({"persistence": {"engine": "rtsp"}}, {}, ".persistence.engine", "unknown value 'rtsp'; one of , sip is possible"),
    "SIP over TCP": (
        {"persistence": {"engine": "sip"}}, {}, ".persistence.engine",
        "sip reads the Call-ID of UDP packets; this service is tcp",
    ),
    "stream that is none": ({"stream": "live/index.m3u8"}, {}, ".stream", "is no path of a stream; give a path such as /live/index.m3u8"),
    "stream with a blank": ({"stream": "/live now"}, {}, ".stream", "give a path such as /live/index.m3u8"),
    "no group": ({"real_servers": GONE}, {}, ".real_servers", "the name of an inventory group is needed"),
    "list of hosts": ({"real_servers": ["server1"]}, {}, ".real_servers", "the name of an inventory group is needed"),
    "unknown group": (
        {"real_servers": "wep"}, {}, ".real_servers",
        "there is no group 'wep' in the inventory; these are: directors, empty, web",
    ),
    "empty group": ({"real_servers": "empty"}, {}, ".real_servers", "group 'empty' is empty; put its hosts into the inventory"),
    "check that is none": ({"health_check": "tcp"}, {}, ".health_check", "a dictionary such as {type: http, path: /healthz} is needed"),
    "unknown check": ({"health_check": {"type": "icmp"}}, {}, ".health_check.type", "'icmp'; one of tcp, http, https, udp, dns, srt,"),
    "check with more": (
        {"health_check": {"path": "/"}}, {}, ".health_check.path",
        "no such option; these are: agent, fall, floor, interval, port, retries, rise, slow_start, target, timeout, type",
    ),
    "check of UDP": (
        {"health_check": {}, **UDP}, {}, ".health_check.port",
        "a tcp check needs a TCP port to ask; the service is udp",
    ),
    "UDP check of TCP": ({"health_check": {"type": "srt"}}, {}, ".health_check.port", "needs a UDP port to ask; the service is tcp"),
    "certificate without TLS": ({"health_check": {**HLS, "verify": True}}, {}, ".health_check.verify", "asks without; set tls: true"),
    "certificate without a name": (
        {"health_check": {**HLS, "tls": True, "verify": True}}, {}, ".health_check.host", "a certificate belongs to a name"
    ),
    "certificate of one URL without a name": (
        {"health_check": {"type": "https", "verify": True, "urls": [{"path": "/a", "host": "a.example.com"}, {"path": "/b"}]}}, {},
        ".health_check.host", "a certificate belongs to a name",
    ),
    "authorities": (
        {"health_check": {"type": "rtmps", "host": "a.example.com", "verify": "ca.pem"}}, {}, ".health_check.verify", "the path of a file"
    ),
    "days": (
        {"health_check": {"type": "rtsps", "path": "/a", "certificate_days": -1}}, {}, ".health_check.certificate_days", "is out of range"
    ),
    "TLS that has its own type": ({"health_check": {"type": "rtmp", "tls": True}}, {}, ".health_check.tls", "no such option"),
    "login in the inventory": (
        {"health_check": {"type": "rtsp", "path": "/a", "login_file": "user:password"}}, {}, ".health_check.login_file", "is no path"
    ),
    "all fail": ({"health_check": {"when_all_fail": "pray"}}, {}, ".health_check.when_all_fail", "keep"),
    "path beside urls": (
        {"health_check": {"type": "http", "path": "/", "urls": [{"path": "/"}]}}, {}, ".health_check.path", "stands beside urls"
    ),
    "no urls": ({"health_check": {"type": "http", "urls": ["/"]}}, {}, ".health_check.urls", "a list of dictionaries such as"),
    "wrong status of a url": (
        {"health_check": {"type": "https", "urls": [{"status": "299-200"}]}}, {}, ".health_check.urls[0].status", "'299-200' is not a whole"
    ),
    "no expression": (
        {"health_check": {"type": "http", "match": 'a"b'}}, {}, ".health_check.match", "can't be a regular expression in keepalived.conf"
    ),
    "no path of a stream": ({"health_check": {"type": "rtsp"}}, {}, ".health_check.path", "None is no path"),
    "floor above 1": ({"health_check": {**HLS, "floor": 1.5}}, {}, ".health_check.floor", "1.5 is not a share from 0 to 1"),
    "agent that is none": ({"health_check": {"agent": 3333}}, {}, ".health_check.agent", "a dictionary such as {port: 3333} is needed"),
    "agent that never counts": ({"health_check": {"agent": {"smoothing": 0}}}, HEAVY, ".health_check.agent.smoothing", "nothing new would"),
    "agent with more": ({"health_check": {"agent": {"host": "x"}}}, HEAVY, ".health_check.agent.host", "no such option"),
    "expression that is none": ({"health_check": {"type": "http", "match": "([a"}}, {}, ".health_check.match", "is no regular expression"),
    "status of other digits": ({"health_check": {"type": "http", "status": "\uff12\uff10-299"}}, {}, ".health_check.status", "is not"),
    "stream on another port": (
        {"stream": "https://live.example.com/live/index.m3u8"}, {}, ".stream", "is on port 443, and the service has 80"
    ),
    "stream with a login": ({"stream": "http://u:p@live.example.com/x"}, {}, ".stream", "with a user or password in front of its host"),
    "stream of another kind": ({"stream": "rtmp://live.example.com/x"}, {}, ".stream", "is not an http or https URL"),
    "stream's file": ({"stream": {"url": "/x", "verify": "x"}}, {}, ".stream.verify", "the path of a file of authorities on the viewer"),
    "stream's option": ({"stream": {"url": "/x", "verfy": True}}, {}, ".stream.verfy", "verify"),
    "script by a relative path": ({"health_check": {"type": "script", "path": "x"}}, {}, ".health_check.path", "no path of a program"),
    "script on the way up": ({"health_check": {"type": "script", "path": "/a/../x"}}, {}, ".health_check.path", "no path of a program"),
    "script with a port": ({"health_check": {"type": "script", "path": "/x", "port": 5}}, {}, ".health_check.port", "no such option"),
    "argument with blanks": (
        {"health_check": {"type": "script", "path": "/x", "arguments": ["a b"]}}, {}, ".health_check.arguments", "a list of words of"
    ),
    "script's user": ({"health_check": {"type": "script", "path": "/x", "user": "a b"}}, {}, ".health_check.user", "no name of an account"),
    "sorry server unknown": ({"health_check": {}, "sorry_server": "x"}, {}, ".sorry_server", "'x' is no host of the inventory"),
    "sorry server that is a real server": (
        {"health_check": {}, "sorry_server": "server2"}, {}, ".sorry_server", "server2 is one of the service's real servers; name another"
    ),
    "sorry server without a check": ({"sorry_server": "director2"}, {}, ".sorry_server", "declare a health_check"),
    "sorry server with a floor": (
        {"health_check": {"floor": 0.3}, "sorry_server": "director2"}, {}, ".sorry_server", "with a floor of 0.3 some real servers always"
    ),
    "instance with blanks": ({"instance": "a b"}, {}, ".instance", "'a b' is no name of a VRRP instance"),
    "slow start backwards": ({"health_check": {**HLS, "slow_start": -1}}, {}, ".health_check.slow_start", "0 to 86400 seconds"),
    "check through NAT": (
        {"mode": "nat", "health_check": {"target": "vip"}}, {}, ".health_check.target", "only direct routing takes a packet for the VIP to"
    ),
    "nothing to send": ({"health_check": {"type": "udp"}, **UDP}, {}, ".health_check.payload", "'' is no payload: give 1 to 1400 bytes"),
    "no hex": (
        {"health_check": {"type": "udp", "payload": "0d0", "reply": "00"}, **UDP}, {}, ".health_check.payload", "'0d0' is no payload"
    ),
    "no name of DNS": ({"health_check": {"type": "dns", "query": "a b c"}, **UDP}, {}, ".health_check.query", "is no name of DNS"),
    "check of a mark": ({"health_check": {}, **MARK}, {}, ".health_check.port", "has no port of its own; name the one to check"),
    "check without pause": ({"health_check": {"interval": 0}}, {}, ".health_check.interval", "out of range (1 to 3600 seconds)"),
    "check without time": ({"health_check": {"timeout": 601}}, {}, ".health_check.timeout", "out of range (1 to 600 seconds)"),
    "check for ever": ({"health_check": {"retries": 101}}, {}, ".health_check.retries", "out of range (0 to 100)"),
    "check of port 0": ({"health_check": {"port": 0}}, {}, ".health_check.port", "0 is out of range (1 to 65535)"),
    "check of no path": (
        {"health_check": {"type": "http", "path": "a b"}}, {}, ".health_check.path",
        "'a b' is no path; it begins with /, holds letters, digits and -._~%",
    ),
    "check of no status": ({"health_check": {"type": "http", "status": 99}}, {}, ".health_check.status", "out of range (100 to 599)"),
    "check of no host": ({"health_check": {"type": "http", "host": "a b"}}, {}, ".health_check.host", "'a b' is no host name"),
    "bad own address": ({}, {"real_server_address": "server1.example.com"}, "hosts[server1].real_server_address", ADDRESS),
    "bad own IPv6 address": ({}, {"real_server_address6": "2001:db8::/64"}, "hosts[server1].real_server_address6", ADDRESS),
    "no IPv4 address": (
        {}, {"ansible_host": "server1.example.com"}, "hosts[server1]",
        "no IPv4 address for service live; set real_server_address",
    ),
    "no IPv6 address": (
        {"addresses": [VIP6]}, {"real_server_address6": GONE}, "hosts[server1]",
        "no IPv6 address for service live; set real_server_address6",
    ),
    "weight that is none": ({}, {"real_server_weight": "heavy"}, "hosts[server1].real_server_weight", "'heavy' " + NUMBER),
    "negative weight": (
        {}, {"real_server_weight": -1}, "hosts[server1].real_server_weight",
        "-1 is out of range (0 to 2147483647)",
    ),
    "weight too large": ({}, {"real_server_weight": 2147483648}, "hosts[server1].real_server_weight", "out of range (0 to 2147483647)"),
    "list for a host state": ({}, {"real_server_state": []}, "hosts[server1].real_server_state", "unknown value []; one of active"),
    "unknown host state": (
        {}, {"real_server_state": "down"}, "hosts[server1].real_server_state",
        "unknown value 'down'; one of active, drained",
    ),
    "port translation": (
        {}, {"real_server_port": 8080}, "hosts[server1].real_server_port",
        "8080 differs from the service's 80, and forwarding by dr does not rewrite ports; let the server listen on 80, or use nat",
    ),
    "port translation in a tunnel": (
        {"mode": "tunnel"}, {"real_server_port": 8080}, "hosts[server1].real_server_port",
        "forwarding by tunnel does not rewrite ports; let the server listen on 80, or use nat",
    ),
    "server port that is none": ({"mode": "nat"}, {"real_server_port": "web"}, "hosts[server1].real_server_port", "'web' " + NUMBER),
    "server port too large": ({"mode": "nat"}, {"real_server_port": 65536}, "hosts[server1].real_server_port", "out of range (1 to 65535)"),
    "two servers, one address": (
        {}, {"ansible_host": "192.0.2.22"}, "virtual_services[0] (real server server2)",
        "destination 192.0.2.22:80 is in this service already; remove one",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "variables", "path", "words"), ERRORS.values(), ids=ERRORS)
def test_an_error_names_its_place_and_the_next_step(changes, variables, path, words):
    with pytest.raises(LvsError) as caught:
        resolved(service(**changes), hosts={"server1": variables, "server2": HEAVY if variables is HEAVY else {}}, groups={"empty": []})
    (line,) = caught.value.details["problems"]
    path = SERVICE + path if path.startswith(".") else path
    assert line.startswith(path + ": ") and words in line
    assert str(caught.value) == "The inventory can't be used: 1 error, and nothing was changed\n  - " + line


@pytest.mark.parametrize("value", [None, [], {}, "live", 5, {"live": {}}])
def test_no_services(value):
    with pytest.raises(LvsError, match=r"virtual_services: a list with at least one service is needed, for example in group_vars/all\.yml"):
        resolve.resolve(value, inventory())


@pytest.mark.parametrize("value", [None, "live", 5, []])
def test_a_service_that_is_none(value):
    with pytest.raises(LvsError) as caught:
        resolved(service(), value)
    assert caught.value.details["problems"] == ["virtual_services[1]: a dictionary is needed, not %r" % (value,)]


@pytest.mark.parametrize(
    ("second", "line"),
    [
        ({"ports": [81]}, "virtual_services[1].name: 'live' is the name of virtual_services[0] already"),
        ({"name": "b"}, "virtual_services[1]: tcp 192.0.2.100:80 is declared by virtual_services[0] already; remove one"),
        (
            {"name": "b", "state": "absent"},
            "virtual_services[1]: tcp 192.0.2.100:80 is declared by virtual_services[0] already; remove one",
        ),
    ],
)
def test_duplicates(second, line):
    with pytest.raises(LvsError) as caught:
        resolved(service(), service(**second))
    assert caught.value.details["problems"] == [line]


def test_duplicate_marks_and_addresses():
    with pytest.raises(LvsError, match=r"virtual_services\[1\]: fwmark 5 is declared by virtual_services\[0\] already; remove one"):
        resolved(service(**MARK), service(name="b", **MARK))
    resolved(service(), service(name="b", protocol="udp"), service(name="c", ports=[81]), service(name="d", addresses=[VIP6]))


def test_services_with_bad_ports_are_no_duplicates():
    with pytest.raises(LvsError) as caught:
        resolved(service(ports=["http"]), service(name="b", ports=["rtmp"]))
    assert [line.partition(": ")[0] for line in caught.value.details["problems"]] == [
        "virtual_services[0].ports[0]", "virtual_services[1].ports[0]",
    ]  # fmt: skip


@pytest.mark.parametrize("addresses", [[], ["nowhere"], GONE])
def test_without_an_address_the_rest_is_read_all_the_same(addresses):
    hosts = {"server1": {"real_server_weight": "ten"}, "server2": {"real_server_address6": GONE}}
    wrong = service(addresses=addresses, scheduler="fair", persistence={"timeout": 0, "netmask": 64}, scheduler_flags="x", ports=["a"])
    with pytest.raises(LvsError) as caught:
        resolved(wrong, hosts=hosts)
    assert {line.partition(": ")[0].replace("[0]", "") for line in caught.value.details["problems"]} == {
        "virtual_services.addresses", "virtual_services.scheduler", "virtual_services.scheduler_flags",
        "virtual_services.persistence.timeout", "virtual_services.ports", "hosts[server1].real_server_weight",
    }  # fmt: skip


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


def test_all_errors_come_in_one_message():
    services = [
        service(mode="direct", scheduler="fair", addresses=[VIP, "nowhere"], persistence={"timeout": 0}),
        "live",
        service(ports=[81], real_servers="wep", health_check={"type": "http", "path": "x", "status": "fine"}),
        service(name="udp", ports=[0], one_packet=True),
    ]
    hosts = {"server1": {"real_server_weight": "ten", "real_server_port": 8080}, "server2": {"ansible_host": "server2.example.com"}}
    with pytest.raises(LvsError) as caught:
        resolved(*services, hosts=hosts)
    paths = {line.partition(": ")[0] for line in caught.value.details["problems"]}
    assert paths == {
        "virtual_services[0].mode", "virtual_services[0].scheduler", "virtual_services[0].addresses[1]",
        "virtual_services[0].persistence.timeout", "virtual_services[1]", "virtual_services[2].name", "virtual_services[2].real_servers",
        "virtual_services[2].health_check.path", "virtual_services[2].health_check.status", "virtual_services[3].ports[0]",
        "virtual_services[3].one_packet", "hosts[server1].real_server_weight", "hosts[server1].real_server_port", "hosts[server2]",
    }  # fmt: skip
    text = str(caught.value)
    assert text.startswith("The inventory can't be used: %d errors, and nothing was changed\n" % len(caught.value.details["problems"]))
    assert all("\n  - " + line in text for line in caught.value.details["problems"])
    assert len(set(caught.value.details["problems"])) == len(caught.value.details["problems"]), "each is said once"


# --- preflight ----------------------------------------------------------------------------------------------------------------------


def found_by_preflight(*services, **options):
    return preflight.preflight(list(services), inventory(with_facts=True, **options))


OTHER = interface("eth0", "198.51.100.12/24", "2001:db8:5::12/64", mac="02:00:00:00:00:12")
APART = {"director2": {"facts": {"interfaces": [OTHER]}, "ansible_host": "198.51.100.12", "real_server_address6": GONE}}

# Changes to the service, to hosts and to groups, then the only error.
PREFLIGHT = {
    "no directors": ({}, {}, {"directors": GONE}, "inventory: there is no group 'directors'; name the hosts that run IPVS in it"),
    "empty directors": ({}, {}, {"directors": []}, "inventory: group 'directors' is empty; name the hosts that run IPVS in it"),
    "VIP in no subnet": (
        {"addresses": ["198.51.100.7"]}, {}, {"directors": ["director1"]},
        "virtual service live: VIP 198.51.100.7 is in no subnet of director director1 (192.0.2.0/24); "
        "give the director an interface there, or choose a VIP from its subnets",
    ),
    "VIP of a family without subnet": (
        {"addresses": [VIP6]}, {"director1": {"facts": {"interfaces": [interface("eth0", "192.0.2.11/24", "2001:db8::11/128")]}}},
        {"directors": ["director1"], "web": []},
        "virtual service live: VIP 2001:db8::100 is in no subnet of director director1 (it has none of IPv6); give the director",
    ),
    "VIP is a server's address": (
        {"addresses": ["192.0.2.22"]}, {}, {},
        "virtual service live: VIP 192.0.2.22 is the own address of server2; a VIP belongs to no host",
    ),
    "VIP is a director's second address": (
        {}, {"director1": {"facts": facts(11, interface("eth1", VIP + "/25"))}}, {},
        "virtual service live: VIP 192.0.2.100 is the own address of director1; a VIP belongs to no host",
    ),
    "two hosts, one address": (
        {}, {"director2": {"real_server_address": "192.0.2.11", "facts": GONE}}, {},
        "hosts[director2]: address 192.0.2.11 belongs to director1 as well; two hosts can't share one",
    ),
    "real server on another link": (
        {}, {"server2": {"ansible_host": "198.51.100.22", "facts": GONE}}, {"directors": ["director1"]},
        "virtual service live: director director1 has no interface in the subnet of real server server2 (198.51.100.22); "
        "direct routing needs both on one link. Its subnets are 192.0.2.0/24",
    ),
    "VIP on a server's card": (
        {}, {"server1": {"facts": facts(21, interface("eth1", VIP + "/32")), "real_server_misplaced": "refuse"}}, {},
        "virtual service live: on real server server1 VIP 192.0.2.100 is on eth1, where this host answers ARP for it; "
        "remove it with `ip address del 192.0.2.100/32 dev eth1`",
    ),
    "VIP in a local route": (
        {}, {"server1": {"facts": facts(21, {**interface("br0"), "local_routes": ["local 192.0.2.100/32 dev br0 table main proto static"]}),
                         "real_server_misplaced": "refuse"}}, {},
        "virtual service live: on real server server1 VIP 192.0.2.100 is local to this host by a route, which stays when the VIP goes and "
        "makes the host answer for it then; remove it with `ip route del local 192.0.2.100/32 dev br0 table main proto static`",
    ),
    "VIP with a peer": (
        {}, {"server1": {"facts": facts(21, {**interface("eth1", VIP + "/32"), "peers": {VIP + "/32": ["192.0.2.99"]}, "up": False}),
                         "real_server_misplaced": "refuse"}}, {},
        "virtual service live: on real server server1 VIP 192.0.2.100 is on eth1, where this host answers ARP for it as soon as that is "
        "up; remove it with `ip address del 192.0.2.100 peer 192.0.2.99/32 dev eth1`",
    ),
    "checks over two links": (
        {"health_check": {}},
        {"director1": {"ansible_host": "203.0.113.11", "facts": facts(11, interface("eth1", "203.0.113.11/24"))}},
        {"web": ["server1"], "directors": ["director1"]},
        "virtual service live: the checks of real server server1 (192.0.2.21) from director director1 (203.0.113.11) to VIP 192.0.2.100",
    ),
    "cloud": (
        {}, {name: {"facts": {**facts(number), "cloud": "Amazon EC2"}} for name, number in (("director1", 11), ("server1", 21))}, {},
        "virtual_services: director1, server1 run in Amazon EC2, whose network drops packets with another address than the port's own",
    ),
    "bridge that filters": (
        {}, {"server1": {"facts": {**facts(21), "interfaces": [
            {**interface("br0", "192.0.2.21/24"), "arp_filters": ["its port eth0 suppresses ARP (neigh_suppress)"]}]}}}, {},
        "virtual service live: real server server1 has a bridge, br0, on the link: its port eth0 suppresses ARP (neigh_suppress)",
    ),
    "director that filters": (
        {}, {"director2": {"facts": {**facts(12), "arp_rules": ["a rule of nftables' chain arp filter input drops ARP"]}}}, {},
        "host director2: a rule of nftables' chain arp filter input drops ARP; a director must answer ARP for its VIPs",
    ),
    "host that is not ready": (
        {}, {"server1": {"facts": {**facts(21), "problems": ["systemd does not run here; get one"]}}}, {},
        "host server1: systemd does not run here; get one",
    ),
    "VIP of a mark is a server's address, written otherwise": (
        {**MARK, "addresses": ["2001:DB8::22"]}, {}, {},
        "virtual service live: VIP 2001:db8::22 is the own address of server2; a VIP belongs to no host",
    ),
    "error of the declaration": (
        {"mode": "DR"}, {}, {},
        "virtual_services[0].mode: unknown value 'DR'; one of dr, nat, tunnel is possible",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "hosts", "groups", "line"), PREFLIGHT.values(), ids=PREFLIGHT)
def test_preflight_names_what_is_wrong(changes, hosts, groups, line):
    found = found_by_preflight(service(**changes), hosts=hosts, groups=groups)
    found = [text for text in found if "'web' is empty" not in text]
    assert len(found) == 1 and found[0].startswith(line)


@pytest.mark.parametrize("deaf", [{"arp": False}, {"unasked": True}])
def test_a_vip_where_nobody_can_ask_is_no_error(deaf):
    """On a dummy, or a bridge without ports: only the interface that is asked counts."""
    there = {"facts": facts(21, {**interface("vip0", VIP + "/32"), **deaf}), "real_server_misplaced": "refuse"}
    assert found_by_preflight(service(), hosts={"server1": there}) == []


def test_what_the_rollout_moves_is_no_error():
    """A VIP on a card beside the own address, and one that takes its subnet on lo; a service by NAT has nobody who moves it."""
    there = facts(21, interface("eth1", VIP6 + "/128"), lo=[VIP + "/24"])
    assert found_by_preflight(service(addresses=[VIP, VIP6]), hosts={"server1": {"facts": there}}) == []
    found = found_by_preflight(service(addresses=[VIP, VIP6]), hosts={"server1": {"facts": there, "real_server_misplaced": "refuse"}})
    assert found == found_by_preflight(service(addresses=[VIP, VIP6], mode="nat"), hosts={"server1": {"facts": there}})
    assert found == [
        "virtual service live: on real server server1 VIP 192.0.2.100 is on lo as /24, which makes its whole subnet local to this host; "
        "remove it with `ip address del 192.0.2.100/24 dev lo`",
        "virtual service live: on real server server1 VIP 2001:db8::100 is on eth1, where this host answers ARP for it; "
        "remove it with `ip address del 2001:db8::100/128 dev eth1`",
    ]


def test_preflight_finds_everything_at_once():
    found = found_by_preflight(
        service(addresses=[VIP, "203.0.113.7"], scheduler="fair"),
        hosts={
            **APART,
            "server1": {"real_server_port": 8080, "real_server_misplaced": "refuse", "facts": facts(21, interface("eth1", VIP + "/32"))},
        },
    )
    assert len(found) == 8
    for words in ("scheduler", "real_server_port", "VIP 192.0.2.100 is on eth1"):
        assert sum(words in line for line in found) == 1
    assert sum("in no subnet of director director1" in line for line in found) == 1
    assert sum("in no subnet of director director2" in line for line in found) == 2
    assert sum("director director2 has no interface in the subnet of real server" in line for line in found) == 2
    assert sum("203.0.113.7" in line for line in found) == 2


def test_preflight_of_a_good_inventory_is_silent():
    """Also where the rollout was made already: VIPs on the active director and on lo of the real servers."""
    both = service(addresses=BOTH)
    assert found_by_preflight(both) == []
    after = {
        "director1": {"facts": facts(11, interface("eth1", VIP + "/32", VIP6 + "/128"))},
        "server1": {"facts": facts(21, lo=[VIP + "/32", VIP6 + "/128"])},
    }
    assert found_by_preflight(both, hosts=after) == []


def test_preflight_without_facts_says_nothing_about_links():
    assert preflight.preflight([service(addresses=["203.0.113.7"])], inventory()) == []


def test_only_direct_routing_needs_one_link():
    hosts = {"server2": {"ansible_host": "198.51.100.22", "facts": GONE}}
    assert found_by_preflight(service(mode="nat"), hosts=hosts) == found_by_preflight(service(mode="tunnel"), hosts=hosts) == []


def test_checks_over_two_links_of_the_servers_own_addresses():
    apart = {"director1": {"ansible_host": "203.0.113.11", "facts": facts(11, interface("eth1", "203.0.113.11/24"))}}
    alone = {"directors": ["director1"]}
    assert found_by_preflight(service(health_check={"target": "server"}), hosts=apart, groups=alone) == []
    (line,) = found_by_preflight(service(health_check={"target": "server"}), hosts=apart)
    assert "director1 would speak VRRP from 203.0.113.11, which is in no subnet of eth0" in line
    apart["director1"]["real_server_address"] = "192.0.2.11"
    assert found_by_preflight(service(health_check={}), hosts=apart) == []


def test_a_cloud_that_lets_it_through():
    cloudy = {"facts": {**facts(21), "cloud": "OpenStack"}}
    assert found_by_preflight(service(), hosts={"server1": {**cloudy, "preflight_allow_cloud": True}}) == []
    assert found_by_preflight(service(mode="nat"), hosts={"server1": cloudy}) == []


def test_an_absent_vip_may_be_anywhere():
    assert found_by_preflight(service(addresses=["203.0.113.7"], state="absent")) == []


def test_a_subnet_is_more_than_one_address():
    """lo, a /32 and link-local addresses connect a host with nothing."""
    lonely = [interface("lo", "203.0.113.1/24"), interface("eth0", "203.0.113.7/32"), interface("eth1", "169.254.1.1/16")]
    for vip in ("203.0.113.7", "169.254.1.2"):
        found = found_by_preflight(
            service(addresses=[vip]), hosts={"director1": {"facts": {"interfaces": lonely}}}, groups={"directors": ["director1"]}
        )
        assert any("VIP %s is in no subnet of director director1 (it has none of IPv4)" % vip in line for line in found)


# --- what others ask of the services ------------------------------------------------------------------------------------------------


def test_streams():
    services = declared(
        service(addresses=BOTH, stream="/live/index.m3u8"),
        service(name="silent", ports=[81]),
        service(name="gone", ports=[82], stream="/x", state="absent"),
        service(name="mark", ports=GONE, firewall_mark=1),
        service(name="text", ports=["8080"], stream="/y"),
    )
    assert proofs.streams(services) == [
        {
            "name": name, "vip": vip, "url": base + path, "base": base, "path": path, "servers": ["server1", "server2"],
            "connect_to": None, "validate_certs": True, "ca_path": None,
        }
        for name, vip, base, path in (
            ("live", VIP, "http://192.0.2.100:80", "/live/index.m3u8"),
            ("live", VIP6, "http://[2001:db8::100]:80", "/live/index.m3u8"),
            ("text", VIP, "http://192.0.2.100:8080", "/y"),
        )
    ]  # fmt: skip


def test_a_stream_with_a_name_is_played_through_the_vip():
    url = "https://live.example.com/live/index.m3u8?a=1"
    for stream, verify in (
        (url, True),
        ({"url": url, "verify": False}, False),
        ({"url": url, "verify": "/etc/ssl/lab.pem"}, "/etc/ssl/lab.pem"),
    ):
        (one,) = proofs.streams(declared(service(ports=[443], stream=stream)))
        assert (one["url"], one["base"], one["path"]) == (url, "https://live.example.com", "/live/index.m3u8?a=1")
        assert (one["connect_to"], one["validate_certs"]) == (VIP, bool(verify))
        assert one["ca_path"] == (verify if isinstance(verify, str) else None)
    (one,) = proofs.streams(declared(service(ports=GONE, firewall_mark=1, stream="http://live.example.com:8080/x.mpd")))
    assert one["url"] == "http://live.example.com:8080/x.mpd", "a mark has no ports, and the URL has one"


def test_macs_are_those_of_a_groups_links():
    made = inventory(with_facts=True, hosts={"director2": {"facts": GONE}})
    assert hosts.macs(made, "directors") == {"02:00:00:00:00:11": "director1"}
    assert hosts.macs(made, "web") == {"02:00:00:00:00:21": "server1", "02:00:00:00:00:22": "server2"}
    assert hosts.macs(made, "none") == {}


def test_interface_of():
    two = {"interfaces": [interface("lo", "192.0.2.1/24"), interface("eth0", "192.0.2.100/32", "198.51.100.1/24"), OTHER,
                          interface("eth1", "192.0.2.11/24")]}  # fmt: skip
    assert holders.interface_of(declared(service()), two) == "eth1"
    assert holders.interface_of(declared(service(addresses=["203.0.113.1", VIP6])), facts(11)) == "eth0"
    assert holders.interface_of(declared(service(state="absent")), two) == "eth1", "the last VIP goes from where it is"
    with pytest.raises(LvsError, match="No interface of this director has a subnet that holds a VIP: set director_interface"):
        holders.interface_of(declared(service(addresses=["203.0.113.1"])), two)


@pytest.mark.parametrize(
    ("have", "holds"),
    [
        (facts(11), False),
        (facts(11, interface("eth1", VIP + "/32")), True),
        (facts(11, interface("eth1", VIP6 + "/128")), True),
        (facts(11, interface("eth1", "192.0.2.10/32")), False),
        (facts(11, lo=[VIP + "/32"]), False),
        ({}, False),
    ],
)
def test_holds_vip(have, holds):
    assert holders.holds_vip(declared(service(addresses=BOTH)), have) is holds


def test_what_a_servers_programs_answer_for():
    services = declared(
        service(addresses=BOTH),
        service(name="ingest", ports=[9000], protocol="udp", health_check={"type": "srt"}),
        service(name="a", ports=[81], mode="nat"),
        service(name="b", ports=[82], state="absent"),
        service(name="c", ports=[83], real_servers="some"),
        service(name="d", ports=GONE, firewall_mark=5, health_check={"type": "tcp", "port": 554}),
        service(name="e", ports=GONE, firewall_mark=6),
        hosts={"server2": {"real_server_state": "drained"}},
        groups={"some": ["server2"]},
    )
    own = {"name": "live", "protocol": "tcp", "port": 80, "own": "192.0.2.21", "vip": VIP}
    assert proofs.listeners(services)["server1"] == [
        own,
        {**own, "own": "2001:db8::21", "vip": VIP6},
        {**own, "name": "ingest", "protocol": "udp", "port": 9000, "type": "srt"},
        {**own, "name": "d", "port": 554},
    ]
    assert "server2" not in proofs.listeners(services), "it is drained, and may be at rest"
    (probe,) = proofs.udp_probes(services, inventory())
    assert probe == {
        "name": "ingest", "vips": [VIP], "port": 9000, "type": "srt", "payload": None, "query": None, "count": 6,
        "host_by_address": {"192.0.2.21": "server1", "192.0.2.22": "server2"},
    }  # fmt: skip


def test_each_vip_is_held_by_one_director():
    services = declared(service(addresses=BOTH), service(name="old", addresses=["192.0.2.103"], state="absent"))
    active, waiting = facts(11, interface("eth1", VIP + "/32", VIP6 + "/128")), facts(12, lo=[VIP + "/32"])
    assert holders.held_wrongly(services, {"director1": active, "director2": waiting}) == []
    both = facts(12, interface("eth1", VIP + "/32"))
    (split,) = holders.held_wrongly(services, {"director2": both, "director1": active})
    assert split.startswith("director1 and director2 hold 192.0.2.100 at once (split brain)")
    assert holders.held_wrongly(services, {"director1": waiting}) == [
        "no director holds %s; see `journalctl -u keepalived`" % vip for vip in BOTH
    ]


def test_vips_of_a_host():
    services = declared(
        service(addresses=BOTH),
        service(name="a", ports=[81]),
        service(name="b", addresses=["192.0.2.101"], mode="tunnel", real_servers="some"),
        service(name="c", addresses=["192.0.2.102"], mode="nat"),
        service(name="d", addresses=["192.0.2.103"], state="absent"),
        groups={"some": ["server2"]},
    )
    assert views.vips_of_hosts(services) == {"server1": [VIP, VIP6], "server2": [VIP, VIP6, "192.0.2.101"]}
    assert views.vips_of_hosts(services, ("nat",))["server2"] == ["192.0.2.102"]
    assert views.director_vips(services) == [VIP, VIP6, "192.0.2.101", "192.0.2.102"]
    assert views.real_servers(services) == ["server1", "server2"]


def test_kernel_modules():
    services = resolved(service(scheduler="mh"), service(name="sip", protocol="udp", persistence={"engine": "sip"}))
    assert views.kernel_modules(services) == ["ip_vs", "ip_vs_mh", "ip_vs_pe_sip", "ip_vs_wlc"]


def test_parity():
    services = resolved(service(addresses=BOTH), service(name="mark", ports=GONE, firewall_mark=5))
    ours = "-A -t 192.0.2.100:80 -s wlc\n-a -t 192.0.2.100:80 -r 192.0.2.21:80 -g -w 1\n"
    six = "-A -t [2001:db8::100]:80 -s wlc\n"
    mark = "-A -f 5 -s wlc\n"
    foreign = "-A -t 192.0.2.100:8080 -s rr\n-A -u 192.0.2.100:80 -s rr\n-A -f 6 -s rr\n"
    assert parity.parity({"director1": ours + six + mark, "director2": foreign + mark + six + ours}, services) == []
    assert parity.parity({"director1": ours}, services) == parity.parity({}, services) == []
    assert parity.parity({"director2": ours + mark, "director1": six + ours.replace("-w 1", "-w 2")}, services) == [
        "only on director1: -A -t [2001:db8::100]:80 -s wlc",
        "only on director1: -a -t 192.0.2.100:80 -r 192.0.2.21:80 -g -w 2",
        "only on director2: -A -f 5 -s wlc",
        "only on director2: -a -t 192.0.2.100:80 -r 192.0.2.21:80 -g -w 1",
    ]
    only_four = resolved(service(ports=GONE, firewall_mark=5))
    assert parity.parity({"director1": mark + "-A -f 5 -6 -s rr\n", "director2": mark}, only_four) == [], "that of IPv6 is not ours"
    third = parity.parity({"director1": ours, "director2": ours, "director3": ""}, services)
    assert [line.partition(":")[0] for line in third] == ["only on director1"] * 2


# --- anything at all ----------------------------------------------------------------------------------------------------------------


def mappings(*names):
    return st.dictionaries(st.sampled_from(names), anything)


mutations = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(resolve.SERVICE_FIELDS, anything),
        "ports": st.one_of(anything, st.lists(anything, max_size=2)),
        "firewall_mark": st.one_of(scalars, st.just(5)),
        "persistence": st.one_of(scalars, st.lists(scalars), mappings("timeout", "netmask", "engine", "x")),
        "health_check": st.one_of(scalars, mappings("x", *health_check.CHECK_FIELDS["http"])),
    },
)  # fmt: skip
some_services = st.lists(st.one_of(mutations.map(lambda changes: service(**changes)), scalars), max_size=3)
some_hosts = st.dictionaries(
    st.sampled_from(["director1", "server1", "server2"]),
    st.fixed_dictionaries({}, optional=dict.fromkeys(hosts.HOST_VARIABLES, anything)),
)


@settings(max_examples=200, deadline=None)
@given(some_services, some_hosts, st.booleans())
def test_nothing_gives_another_error_than_ours(services, hosts, with_facts):
    made = inventory(hosts, with_facts=with_facts)
    found = preflight.preflight(services, made)
    try:
        got = resolve.resolve(services, made)
    except LvsError as error:
        assert error.details["problems"] and set(error.details["problems"]) <= set(found), "preflight names what resolve refuses"
        return
    assert set(declare.read_services(got.tables())) == {one.key for one in (*got.services, *got.checks)}
    assert from_data(json.loads(json.dumps(to_data(got)))) == got
    for function in (proofs.streams, views.director_vips, views.real_servers):
        function(got.services)
    views.kernel_modules(got)


@settings(deadline=None)
@given(anything)
def test_anything_for_virtual_services(value):
    with pytest.raises(LvsError):
        resolve.resolve(value, inventory())


NO_MAC = {"tunnel": ({"kind": "none"}, "is no Ethernet"), "NOARP": ({"arp": False}, "speaks no ARP")}


@pytest.mark.parametrize("host", ["director2", "server1"])
@pytest.mark.parametrize("kind", NO_MAC)
def test_a_link_without_macs(host, kind):
    """Direct routing has nothing to rewrite there; a tunnel of IPVS's own does not mind."""
    options, words = NO_MAC[kind]
    number = {"director2": 12, "server1": 21}[host]
    made = facts(number)
    made["interfaces"][1].update(type=options.get("kind", "ether"), arp=options.get("arp", True))
    found = preflight.preflight([service()], inventory({host: {"facts": made}}, with_facts=True))
    name = ("director " if host == "director2" else "real server ") + host
    assert found and all(line.startswith("virtual service live: %s is on the link of real server 192.0.2.2" % name) for line in found)
    assert all("with eth0, which " + words in line for line in found)
    assert preflight.preflight([service(mode="tunnel")], inventory({host: {"facts": made}}, with_facts=True)) == []
    # A second, ordinary card in the same subnet will do.
    made["interfaces"].append({**made["interfaces"][1], "name": "eth1", "type": "ether", "arp": True})
    assert preflight.preflight([service()], inventory({host: {"facts": made}}, with_facts=True)) == []
