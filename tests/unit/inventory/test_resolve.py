"""From virtual_services and an inventory to services, and every error on the way with its path and the next step."""

import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.directors import drains, streamchecks
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import preflight, proofs
from ansible.module_utils.lvsdr.inventory import check_paths, hosts, resolve, views
from ansible.module_utils.lvsdr.inventory.types import RealServer, VirtualService
from ansible.module_utils.lvsdr.ipvs import declare, types

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
    assert destinations(four)[2:] == [{"address": "192.0.2.12", "forward": "dr", "weight": 1, "sorry_server": True}]
    assert (four.sorry, four.hosts) == ("director2", ("server1", "server2"))
    assert views.vips_of_hosts(services)["director2"] == BOTH, "it holds the VIPs as real servers do"
    assert "director2" in views.real_servers(services)
    assert [one["own"] for one in proofs.listeners(services)["director2"]] == ["192.0.2.12", "2001:db8::12"]
    assert len(check_paths.check_marks(found.checks)) == 4, "nobody checks it"


def test_a_vip_is_in_one_instance():
    with pytest.raises(LvsError) as caught:
        resolved(service(), service(name="b", ports=[81], instance="radio"))
    assert caught.value.details["problems"] == [
        "virtual service b: VIP 192.0.2.100 is in instance radio here and in lvsdr in service live; a VIP belongs to one instance"
    ]


def test_an_instance_that_no_director_has():
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
