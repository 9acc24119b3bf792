"""What preflight finds in an inventory, alone and beside the hosts' facts; every row is an inventory that a role would fail of later."""

import copy

import pytest
from ansible.module_utils.lvsdr.checks import health_check
from ansible.module_utils.lvsdr.directors import keepalived, nftables, streamchecks
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import preflight, proofs, rollout
from ansible.module_utils.lvsdr.inventory import hosts, resolve, views
from ansible.module_utils.lvsdr.ipvs import declare, types
from hypothesis import given, settings
from hypothesis import strategies as st

from inventories import GONE, VIP, VIP6, anything, facts, interface, inventory, service

HLS = {"type": "hls", "path": "/live/index.m3u8"}
WEB = {"server1": {"real_server_weight": 10}, "server2": {"real_server_weight": 10}}


def found(*services, read=True, **options):
    made = inventory(with_facts=read, **options)
    return preflight.preflight(list(services), {**made, "read": read})


def only(lines, words):
    assert len(lines) == 1 and words in lines[0], lines


# --- what the inventory alone tells --------------------------------------------------------------------------------------------------

BOTH_DIRECTORS = ("director1", "director2")

# A variable of both directors, its value, and words of the only error (of each).
DIRECTOR = [
    ("interface", "lo", "is no name of an interface that can carry VIPs"),
    ("interface", 5, "is no name of an interface"),
    ("interface", "eth0; touch /x", "is no name of an interface"),
    ("advertisement_interval", 0, "out of range (0.01 to 40 seconds)"),
    ("advertisement_interval", "fast", "'fast' is not a number"),
    ("preempt", "perhaps", "is neither true nor false"),
    ("unicast", 2, "is neither true nor false"),
    ("timeouts", {"tcp": 0}, "out of range (1 to 2147483 seconds)"),
    ("timeouts", {"tcpfin": 5}, "did you mean tcp_fin?"),
    ("sysctls", {"contrack": 1}, "did you mean conntrack?"),
    ("sysctls", {"conntrack": []}, "is neither a number nor text"),
    ("sysctls", {"sync_threshold": 3}, "'3' is not 2 whole numbers"),
    ("sysctls", {"sync_retries": 4}, "4 is out of range (0 to 3)"),
    ("sysctls", {"sync_threshold": "50 3"}, "the first number has to be below the second"),
    ("sysctls", {"sync_ports": 3}, "3 is not a power of 2"),
    ("sysctls", {"est_cpulist": "all"}, "is not a list of processors"),
    ("sysctls", {"conntrack": 10**5000}, "is neither a number nor text"),
    ("sysctls", [], "a dictionary such as {conntrack: 0} is needed"),
    ("sysctls", {5: 1}, "IPVS has no such setting"),
    ("priority", 255, "out of range (1 to 254)"),
    ("virtual_router_id", "0x33", "is not a whole number"),
    ("instances", {"a b": {"virtual_router_id": 7}}, "is no name of a VRRP instance"),
    ("instances", {"radio": {"virtual_router_id": 51}}, "51 is the router id of instance lvsdr, too"),
    ("drain_seconds", -1, "out of range (0 to 86400 seconds)"),
    ("max_cut_connections", "all", "is not a whole number"),
    ("streamcheck_metrics_port", 65536, "out of range (0 to 65535)"),
    ("streamcheck_install", "maybe", "is neither true nor false"),
]


@pytest.mark.parametrize(("name", "value", "words"), DIRECTOR)
def test_settings_of_directors(name, value, words):
    lines = found(service(), read=False, hosts={director: {"director_" + name: value} for director in BOTH_DIRECTORS})
    assert len(lines) == 2 and all(words in line and line.startswith("hosts[director") for line in lines), lines


@pytest.mark.parametrize(
    ("name", "one", "other", "line"),
    [
        ("advertisement_interval", 1, 0.5, "hosts[director2].director_advertisement_interval: this is 0.5, and on director1 it is 1.0"),
        ("unicast", True, "no", "hosts[director2].director_unicast: this is off, and on director1 it is on"),
        ("preempt", False, True, "hosts[director2].director_preempt: this is on, and on director1 it is off"),
        ("timeouts", {"tcp": 60}, {}, "hosts[director2].director_timeouts.tcp: this is not set, and on director1 it is 60"),
        (
            "sysctls",
            {"conntrack": 0},
            {"conntrack": True},
            "director_sysctls.conntrack: this is 1, and on director1 it is 0",
        ),
    ],
)
def test_directors_agree(name, one, other, line):
    lines = found(service(), hosts={"director1": {"director_" + name: one}, "director2": {"director_" + name: other}})
    only(lines, line)


def test_what_directors_may_differ_in():
    one, other = {"director_sysctls": {"amemthresh": 1024, "conntrack": "no"}}, {"director_sysctls": {"conntrack": 0}}
    assert found(service(), hosts={"director1": one, "director2": other}) == []


def test_settings_as_the_kernel_and_templates_write_them():
    good = {"director_sysctls": {"sync_threshold": "3\t50", "est_nice": "19\n", "est_cpulist": "0-3,8", "sync_ports": "4"}}
    assert found(service(), hosts={"director1": good, "director2": good}) == []


def test_directors_agree_on_who_is_active():
    instances = [{"radio": {"virtual_router_id": 52, "active": name}} for name in BOTH_DIRECTORS]
    hosts_of = {name: {"director_instances": one} for name, one in zip(BOTH_DIRECTORS, instances)}
    only(found(service(instance="radio"), hosts=hosts_of), "the active of instance radio is 'director2' here and 'director1' on director1")


@pytest.mark.parametrize(
    ("changes", "groups", "words"),
    [
        ({"real_servers": "all"}, {}, ["director1 is a director and a real server of this service", "director2 is a director and a real"]),
        ({"real_servers": "directors"}, {}, ["director1 is a director", "director2 is a director"]),
        ({}, {"web": ["server1", "director2"]}, ["director2 is a director and a real server"]),
        ({"health_check": {}, "sorry_server": "director1"}, {}, ["director1 is a director and the sorry server"]),
    ],
)
def test_a_director_is_no_real_server(changes, groups, words):
    lines = found(service(**changes), groups=groups)
    assert len(lines) == len(words) and all(word in line for word, line in zip(words, lines))


@pytest.mark.parametrize("hosts_of", [{"real_server_state": "drained"}, {"real_server_weight": 0}])
def test_nobody_serves(hosts_of):
    servers = {name: dict(hosts_of) for name in ("server1", "server2")}
    for check in (None, {}):
        only(found(service(health_check=check), hosts=servers), "all its real servers are drained or have weight 0")
        assert found(service(health_check=check), hosts={**servers, "director1": {"preflight_allow_drained": True}}) == []
    assert found(service(health_check={}, sorry_server="spare"), hosts={**servers, "spare": {"ansible_host": "192.0.2.33"}}) == []
    assert found(service(state="absent"), hosts=servers) == []


def test_names_that_nobody_reads():
    made = inventory()
    made["names"] = ["real_server_weight", "director_priority"]
    made["hosts"]["server1"]["unknown"] = made["hosts"]["server2"]["unknown"] = ["real_server_wieght"]
    made["hosts"]["director1"]["unknown"] = ["director_colour"]
    made["hosts"]["director1"]["misfits"] = {"verify_attempts": "it is of another type"}
    assert preflight.preflight([service()], made) == [
        "hosts[director1].director_colour: director_colour is not a variable of lvsdr",
        "hosts[server1].real_server_wieght: real_server_wieght is not a variable of lvsdr; did you mean real_server_weight? (and 1 more)",
        "hosts[director1].verify_attempts: it is of another type",
    ]


STREAMING = [
    ("kind", "egde", "unknown value 'egde'"),
    ("listen", "80", "a list is needed"),
    ("listen", ["80", "http"], "'http' is not a port, or an address with a port"),
    ("listen", [0], "0 is not a port"),
    ("listen", ["[::1:80"], "is not a port"),
    ("origin", ["origin.example"], "is not HOST:PORT"),
    ("origin", ["a..b:80"], "is not HOST:PORT"),
    ("publishers", ["192.0.2.1/24"], "is not an address or a network"),
    ("packages", ["nginx; reboot"], "is not a package's name"),
    ("user", "www data", "is not the name of an account"),
    ("cache_size", "lots", "is not a size in nginx's notation"),
    ("vod_dir", "vod", "is not a folder by its whole path"),
    ("cache_dir", "/a b", "is not a folder"),
    ("hls_dir", "/a;b", "is not a folder"),
    ("rtmp_listen", "rtmp", "is not a port"),
    ("connections", 1, "out of range"),
    ("keepalive_requests", "many", "is not a whole number"),
    ("fragment", 0, "out of range"),
    ("test_source", "perhaps", "is neither true nor false"),
]


@pytest.mark.parametrize(("name", "value", "words"), STREAMING)
def test_settings_of_streaming_servers(name, value, words):
    """nginx would refuse them, on the first server, after the origins have changed."""
    only(found(service(), hosts={"server1": {"streaming_server_kind": "edge", "streaming_server_" + name: value}}), words)


PEM = {"certificate": "/etc/ssl/a.pem", "certificate_key": "/etc/ssl/a.key"}
MORE_STREAMING = [
    ({"listen": [80, "*:80"]}, "port 80 of 0.0.0.0 is in the list twice"),
    ({"kind": "origin", "rtmp_listen": 80}, "port 80 is one of streaming_server_listen; RTMP needs another one"),
    ({"publishers": ["192.0.2.0/255.255.255.0"]}, "is not an address or a network"),
    ({"publishers": ["fe80::1%eth0"]}, "is not an address or a network"),
    ({"cache_size": "999999999999g"}, "is not a size in nginx's notation"),
    ({"origin": ["-:80"]}, "is not HOST:PORT"),
    ({"tls_listen": [443], "certificate": "/a.pem"}, "streaming_server_tls_listen needs it; name a file in PEM"),
    ({"tls_listen": [80], **PEM}, "port 80 of 0.0.0.0 is in the list twice"),
    ({"tls_listen": ["443 ssl"], **PEM}, "is not a port, or an address with a port, such as 443"),
    ({"tls_listen": [443], **PEM, "certificate_key": "a.pem; evil"}, "is not a file by its whole path"),
]


@pytest.mark.parametrize(("values", "words"), MORE_STREAMING)
def test_settings_that_only_nginx_would_refuse(values, words):
    declared = {"streaming_server_" + name: word for name, word in {"kind": "edge", **values}.items()}
    only(found(service(), hosts={"server1": declared}), words)


def test_good_settings_of_streaming_servers():
    good = {
        "kind": "origin", "listen": [80, "[::]:80", "192.0.2.1:8080", "*:81"],
        "origin": ["a.example:80", "[2001:db8::1]:80", "192.0.2.9:81"],
        "publishers": ["all", "192.0.2.0/24", "2001:db8::/64", "127.0.0.1"], "user": "www-data", "cache_size": "10g", "vod_dir": "/srv/vod",
        "rtmp_listen": 1935, "fragment": "2", "playlist": 12, "test_source": "yes", "packages": [],
    }  # fmt: skip
    assert found(service(), hosts={"server1": {"streaming_server_" + name: value for name, value in good.items()}}) == []
    short = {"streaming_server_kind": "origin", "streaming_server_fragment": 4, "streaming_server_playlist": 8}
    only(found(service(), hosts={"server1": short}), "8 seconds are fewer than three segments of 4")


# Of a service with a check, what an operator may write that no player, no server or no keepalived takes.
SERVICES = [
    ({"health_check": {"agent": {}}}, {}, "agent of service 'live' gives a server a part of its weight, and a weight below 10"),
    ({"health_check": {"slow_start": 60}}, {}, "slow_start of service 'live' gives a server a part of its weight"),
    ({"ports": [0], "persistence": 60, "health_check": {}}, {}, "the service has every port (0), and a check needs one to ask"),
    ({"ports": [0], "persistence": 60, "stream": "/x"}, {}, "port 0 names no port to play it on"),
    ({"ports": [443], "stream": "/x"}, {}, "443 is the port of HTTPS, which needs a name; give a path such as"),
    ({"protocol": "udp", "stream": "/x"}, {}, "a stream is played over HTTP, and the service is 'udp'"),
    ({"ports": GONE, "firewall_mark": 5, "stream": "/x"}, {}, "a firewall mark names no port to play it on"),
    ({"ports": [443], "health_check": HLS}, {}, "443 is the port of HTTPS, and this hls check asks without TLS"),
    ({"health_check": {"type": "http", "port": "443"}}, {}, "443 is the port of HTTPS, and this http check asks without TLS"),
    ({"mode": "nat"}, {"real_server_port": 0}, "0 is out of range (1 to 65535)"),
    ({"health_check": {"type": "udp", "port": 53, "payload": "01ff"}}, {}, "its last byte is ff"),
    ({"health_check": {"type": "udp", "port": 53, "payload": "0d", "reply": "FF"}}, {}, "its last byte is ff"),
    ({"health_check": {"type": "udp", "port": 53, "payload": "0d" * 481}}, {}, "it has 481 bytes; a line of keepalived.conf has"),
    ({"health_check": {"type": "udp", "port": 53, "payload": 3338}}, {}, "3338 is a number; write the hex digits in quotes"),
    ({"health_check": {"type": "dns", "port": 53, "query": "a.example.com"}}, {}, "begins with a label of one character"),
    ({"health_check": {"type": "dns", "port": 53, "query": "a..b"}}, {}, "is no name of DNS"),
    ({"health_check": {"type": "dns", "port": 53, "query": "x" * 64 + ".example"}}, {}, "is no name of DNS"),
    ({"health_check": {"type": "http", "path": "/" + "x" * 500}}, {}, "has up to 500 characters"),
    ({"health_check": {"type": "http", "path": "/~SEQ(1,9)"}}, {}, "is no path"),
    ({"health_check": {"type": "http", "match": "x" * 501}}, {}, "can't be a regular expression in keepalived.conf"),
    ({"health_check": {"type": "http", "match": "(?u)ok"}}, {}, "which are Python's alone"),
    ({"health_check": {"type": "http", "match": "[[:alpha:]]"}}, {}, "has what PCRE2 may refuse"),
    ({"health_check": {"type": "http", "match": "(?P<ä>x)"}}, {}, "has what PCRE2 may refuse"),
    ({"health_check": {"type": "http", "host": "a b"}}, {}, "is no host name"),
    ({"health_check": {"type": "http", "host": "a.example:0"}}, {}, "is no host name"),
    ({"health_check": {"type": "http", "host": "x" * 64 + ".example"}}, {}, "is no host name"),
    ({"health_check": {"type": "http", "status": ["200"]}}, {}, "['200'] is not a whole number"),
    ({"health_check": {"type": "script", "path": "/x", "arguments": ["y" * 501]}}, {}, "up to 500 characters with the path"),
    ({"health_check": {"type": "script", "path": "/x", "arguments": [{}]}}, {}, "a list of words"),
    ({"name": "x" * 101}, {}, "a name is one line of up to 100 bytes"),
    ({"name": "~SEQ(1,9)"}, {}, "can't be written into keepalived.conf"),
    ({"name": "a\x1b[2J"}, {}, r"'a\x1b[2J' can't be written"),
    ({"firewall_mark": 0x4C000001, "ports": GONE}, {}, "are those of lvsdr's checks"),
    ({"name": 2024}, {}, "2024 is not text; write it in quotes"),
    ({"mode": "nat"}, {"real_server_address": "127.0.0.1"}, "127.0.0.1 is every host's own loopback address"),
    ({"firewall_mark": [1], "ports": GONE}, {}, "[1] is not a whole number"),
    ({"firewall_mark": {"a": 1}, "ports": GONE}, {}, "{'a': 1} is not a whole number"),
    ({"ports": [10**5000]}, {}, "a value that is too long to show is not a whole number"),
    ({"ports": ["080"]}, {}, "'080' is not a whole number"),
    ({"addresses": ["255.255.255.255"]}, {}, "it is the broadcast address"),
    ({"addresses": ["0.1.2.3"]}, {}, "0.0.0.0/8 is this network"),
    ({"addresses": ["::ffff:192.0.2.100"]}, {}, "it is an IPv4 address in IPv6 notation; write it as IPv4"),
    ({"addresses": ["fe80::100"]}, {}, "fe80::/10 is of one link"),
    ({"addresses": ["192.0.2.100\0"]}, {}, "is not an IPv4 or IPv6 host address"),
    ({"addresses": ["192.0.2.1\ud800"]}, {}, "is not an IPv4 or IPv6 host address"),
    ({"addresses": ["192.0.2.0100"]}, {}, "is not an IPv4 or IPv6 host address"),
    ({"adresses": [VIP]}, {}, "did you mean addresses?"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "variables", "words"), SERVICES)
def test_services_that_nothing_can_serve(changes, variables, words):
    lines = found(service(**{"real_servers": "one", **changes}), hosts={"server1": variables}, groups={"one": ["server1"]})
    only(lines, words)
    assert all(line.isprintable() and len(line) < 400 for line in lines)


@pytest.mark.parametrize(
    "changes",
    [
        {"health_check": {"type": "http", "match": "(?<n>a)"}},
        {"health_check": {"type": "http", "host": "a.example:8080"}},
        {"health_check": {"type": "http", "host": "[2001:db8::1]:8080"}},
        {"health_check": {"type": "dns", "port": 53, "query": "_sip._tcp.example.com."}},
        {"health_check": {"type": "udp", "port": 53, "payload": "ff01", "reply": "ffff00"}},
        {"health_check": {"type": "https", "port": 443}, "ports": [443]},
        {"ports": [0], "persistence": 60, "health_check": {"port": 80}},
        {"name": "x" * 100},
    ],
)
def test_what_works_is_not_refused(changes):
    assert found(service(**changes)) == []


def test_pcre_and_python_read_the_same_expression():
    (one,) = resolve.resolve([service(health_check={"type": "http", "match": "(?<n>a)(?<=b)c"})], inventory()).services
    assert one.health_check["urls"][0]["match"] == "(?P<n>a)(?<=b)c"


# --- what the hosts tell --------------------------------------------------------------------------------------------------------------

ETH1 = interface("eth1", "203.0.113.11/24", mac="02:00:00:00:01:11")


@pytest.mark.parametrize(
    ("changes", "hosts_of", "words"),
    [
        ({}, {"director1": {"director_interface": "eth9"}}, "director_interface: director1 has no interface eth9; it has eth0"),
        ({"addresses": [VIP]}, {"director1": {"facts": {"interfaces": [{**interface("eth0", "192.0.2.11/24"), "up": False}]}}},
         "eth0, which carries the VIPs, is down; run `ip link set eth0 up` there"),
        ({}, {"director1": {"facts": {"interfaces": [interface('a"b', "192.0.2.11/24")]}}}, "keepalived.conf can't carry that name"),
        ({}, {"server1": {"real_server_address": "192.0.2.77"}}, "server1 has no address 192.0.2.77 (it has 192.0.2.21)"),
        ({}, {"director1": {"real_server_address": "192.0.2.77"}}, "director1 has no address 192.0.2.77 (it has 192.0.2.11)"),
        ({"addresses": [VIP, "203.0.113.100"]}, {"director1": {"facts": facts(11, ETH1)}},
         "hosts[director1]: VIP 203.0.113.100 is not in a subnet of eth0, which carries the VIPs of director1"),
        ({}, {"director1": {"facts": facts(11, ETH1), "director_interface": "eth1"}}, "VIP 192.0.2.100 is not in a subnet of eth1"),
        ({"addresses": ["192.0.2.255"]}, {}, "VIP 192.0.2.255 is the broadcast address of 192.0.2.0/24"),
        ({"addresses": ["192.0.2.0"]}, {}, "VIP 192.0.2.0 is the network address of 192.0.2.0/24"),
        ({"addresses": ["2001:db8::"]}, {}, "VIP 2001:db8:: is the address of every router"),
        ({}, {"director1": {"facts": {**facts(11), "settings": ["conntrack"]}, "director_sysctls": {"sync_ports": 1, "conntrack": 0}}},
         "director_sysctls.sync_ports: the kernel of this director has no such setting"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_hosts(changes, hosts_of, words):
    only(found(service(**changes), hosts=hosts_of, groups={"directors": ["director1"]}), words)
    # Nobody has been asked yet.
    unread = {name: {key: value for key, value in variables.items() if key != "facts"} for name, variables in hosts_of.items()}
    assert found(service(**changes), read=False, hosts=unread, groups={"directors": ["director1"]}) == []


def test_addresses_that_are_somebody_else_s():
    only(found(service(), hosts={"database": {"ansible_host": VIP}}), "VIP 192.0.2.100 is the own address of database")
    lines = found(service(), hosts={name: {"ansible_host": "127.0.0.1"} for name in BOTH_DIRECTORS})
    assert len(lines) == 2 and all("127.0.0.1 is every host's own loopback address" in line for line in lines)


def test_no_in_words_is_no():
    cloudy = {"facts": {**facts(21), "cloud": "OpenStack"}, "preflight_allow_cloud": "no"}
    only(found(service(), hosts={"server1": cloudy}), "server1 run in OpenStack")
    director = {"facts": {**facts(11), "cloud": "OpenStack"}}
    only(found(service(mode="nat"), hosts={"director1": director}), "director1 run in OpenStack")


def test_values_that_hold_themselves():
    deep = []
    for _number in range(3000):
        deep = [deep]
    for changes, variables in (
        ({"addresses": deep}, {}), ({"health_check": {"floor": deep}}, {}), ({"persistence": {"netmask": deep}}, {}),
        ({}, {"real_server_address": deep}), ({}, {"ansible_host": deep, "real_server_address": GONE}),
    ):  # fmt: skip
        assert found(service(**changes), hosts={"server1": variables}), changes
    assert found(service(), hosts={"director1": {"director_advertisement_interval": deep}})


def test_messages_stay_short():
    """On a host with a hundred links, in an inventory of a hundred groups, and with a text of thousands of letters."""
    many = {"group%d" % number: [] for number in range(100)}
    links = [interface("veth%d" % number, "10.%d.0.1/24" % number) for number in range(100)]
    for lines in (
        found(service(real_servers="wbe"), groups=many),
        found(service(addresses=["198.51.100.1"]), hosts={"director1": {"facts": {"interfaces": links}}}),
        found(service(), hosts={"director1": {"facts": facts(11, *links), "director_interface": "eth9"}}),
        found(service(name="x" * 5000, **{"y" * 5000: 1}), hosts={"server1": {"real_server_address": GONE, "ansible_host": "2001:db8::1"}}),
        found(service(), hosts={"director1": {"director_sysctls": {"z" * 5000: 1}}}),
    ):
        assert lines and max(map(len, lines)) <= 600


def named(**facts_of):
    """All hosts by names, with these facts."""
    made = inventory()
    for variables in made["hosts"].values():
        variables.clear()
        variables["ansible_host"] = "a.example"
    for name, there in facts_of.items():
        made["hosts"][name]["facts"] = there
    return made


def test_addresses_that_only_the_facts_have():
    made = named()
    assert preflight.preflight([service()], {**made, "read": False}) == [], "nobody has been asked"
    made = named(**{name: facts(number) for name, number in (("director1", 11), ("director2", 12), ("server1", 21), ("server2", 22))})
    hosts.add_addresses(made, [VIP])
    assert preflight.preflight([service(health_check={})], made) == []
    found = resolve.resolve([service(health_check={})], made)
    assert [server.address for server in found.services[0].servers] == ["192.0.2.21", "192.0.2.22"]
    assert "unicast_src_ip 192.0.2.11\n" in keepalived.render(found, "director1", made)


def test_which_of_several_addresses():
    """That in the subnet of a VIP; where two are, nobody guesses."""
    two = facts(21, interface("eth1", "198.51.100.21/24"))
    made = named(server1=two)
    hosts.add_addresses(made, [VIP, VIP6])
    assert made["hosts"]["server1"]["found"] == {4: "192.0.2.21", 6: "2001:db8::21"}
    made = named(server1=facts(21, interface("eth1", "192.0.2.121/24")), **{name: facts(11) for name in ("director1",)})
    hosts.add_addresses(made, [VIP])
    lines = preflight.preflight([service(real_servers="one")], {**made, "groups": {**made["groups"], "one": ["server1"]}})
    assert any("server1 has no IPv4 address for service live, or several and none alone in the subnet of a VIP" in line for line in lines)


def test_a_dead_host_keeps_the_address_that_directors_have():
    made = named(**{name: facts(number) for name, number in (("director1", 11), ("director2", 12), ("server1", 21), ("server2", 22))})
    hosts.add_addresses(made, [VIP])
    services = resolve.resolve([service(), service(name="other", ports=[81])], made)
    conf = keepalived.render(services, "director1", made)
    dead = named(director1={**facts(11), "keepalived": {"running": conf, "file": None}}, server1=facts(21))
    hosts.add_addresses(dead, [VIP])
    assert dead["hosts"]["server2"]["found"] == {4: "192.0.2.22"}
    assert [server.address for server in resolve.resolve([service()], dead).services[0].servers] == ["192.0.2.21", "192.0.2.22"]
    never = named(director1=facts(11), server1=facts(21))
    hosts.add_addresses(never, [VIP])
    with pytest.raises(LvsError, match="server2 has no IPv4 address for service live: the inventory gives none, and it did not answer"):
        resolve.resolve([service()], never)


def test_who_may_be_sent_viewers():
    """A server that was not rolled out and that no director knows may not hold the VIP."""
    made = inventory(with_facts=True)
    services = resolve.resolve([service(health_check={}, sorry_server="spare")], inventory(hosts={"spare": {"ansible_host": "192.0.2.33"}}))
    everybody = ["server1", "server2", "spare"]
    assert rollout.ready(services, made, everybody) == services
    found = rollout.ready(services, made, ["server1"])
    (one,) = found.services
    assert (one.hosts, one.sorry, len(one.table()["destinations"])) == (("server1",), None, 1) and len(found.checks) == 2
    held = [{"address": VIP, "protocol": "tcp", "port": 80, "destinations": [{"address": "192.0.2.22", "weight": 1}]}]
    made["hosts"]["director2"]["facts"]["ipvs"] = held
    assert rollout.ready(services, made, ["server1"]).services[0].hosts == ("server1", "server2")
    directors = list(BOTH_DIRECTORS)
    assert rollout.undone(services.services, made, directors, ["server1"]) == []
    made["hosts"]["director2"]["facts"]["ipvs"] = []
    assert rollout.undone(services.services, made, directors, ["server1"]) == [
        "server2 was not rolled out, so no director sends anybody there (live)"
    ]


@pytest.mark.parametrize(("vrrp", "sync", "count"), [(1, 1, 0), (0, 1, 1), (1, 0, 1), (0, 0, 2)])
def test_what_directors_took_of_strangers(vrrp, sync, count):
    one = "\tcounter %s {\n\t\tpackets %%d bytes 9\n\t}\n"
    text = "table inet lvsdr {\n" + one % "strange_vrrp" + one % "strange_sync" + "}\n"
    before, now = text % (4, 7), text % (4 + vrrp, 7 + sync)
    lines = rollout.taken("director1", now, before, "server1")
    assert len(lines) == count and all("that came from server1, which is no director" in line for line in lines)
    assert rollout.taken("director1", now, before, None) == [], "nobody could send any"
    only(rollout.taken("director1", "", before, "server1"), "director1 would take VRRP and connections from anybody")


def test_who_asks_for_the_vips():
    """Two of each VIP's link, real servers first; a fleet of one server and servers of other subnets have askers, too."""
    made = inventory(with_facts=True)
    services = resolve.resolve([service(addresses=[VIP, VIP6])], made)
    assert proofs.askers(services.services, made) == ["server1", "server2"]
    one = inventory(with_facts=True, groups={"web": ["server1"]})
    assert proofs.askers(resolve.resolve([service()], one).services, one) == ["server1", "director1"]
    apart = {name: {"ansible_host": "198.51.100.%d" % n, "facts": {"interfaces": [interface("eth0", "198.51.100.%d/24" % n)]}}
             for name, n in (("server1", 21), ("server2", 22))}  # fmt: skip
    far = inventory(hosts=apart, with_facts=True)
    assert proofs.askers(resolve.resolve([service(mode="nat")], far).services, far) == ["director1", "director2"]
    assert proofs.stranger(services, made) == {
        "host": "server1", "directors": {"director1": "192.0.2.11", "director2": "192.0.2.12"}, "interface": "eth0",
        "virtual_router_id": 255,
    }  # fmt: skip
    assert proofs.stranger(resolve.resolve([service(mode="nat")], far), far)["host"] is None, "a router would count the TTL down"


# --- anything at all ------------------------------------------------------------------------------------------------------------------

# What breaks readers: control characters, NUL, half a surrogate pair, numbers of thousands of digits, other notations of addresses.
EVIL = st.sampled_from(
    ["\0", "\x1b[2J", "a\nb", "\ud800", "٨", "007", "1e400", "nan", "inf", 10**4000, -(10**4000), float("nan"), float("inf"), "x" * 5000,
     "::ffff:192.0.2.1", "fe80::1%eth0", "255.255.255.255", "192.0.2.0", "0.0.0.0", "[::1]:80",
     "$(reboot)", "{{ x }}", "'", '"', "}", b"x", (1,)]
)  # fmt: skip
value = st.one_of(
    anything,
    EVIL,
    st.lists(EVIL, max_size=2),
    st.dictionaries(st.one_of(EVIL.filter(lambda v: v == v), st.text(max_size=3)), EVIL, max_size=2),
)
CHECK = sorted({field for fields in health_check.CHECK_FIELDS.values() for field in fields})
a_check = st.one_of(value, st.dictionaries(st.sampled_from(CHECK), value, max_size=4))
a_service = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(resolve.SERVICE_FIELDS, value), "health_check": a_check, "ports": st.lists(value, max_size=2)}
).map(lambda changes: service(**changes))
variables_of = st.fixed_dictionaries({}, optional=dict.fromkeys(hosts.HOST_VARIABLES, value))
# Mostly good ones, so that all of it is gone through.
good_service = st.builds(
    lambda number, changes: service(**{"name": "s%d" % number, "ports": [number + 1], **changes}),
    st.integers(0, 9),
    st.fixed_dictionaries({}, optional={
        "health_check": st.sampled_from([None, {}, HLS, {"type": "http", "match": "ok"}, {"type": "script", "path": "/x"}]),
        "scheduler": st.sampled_from(types.SCHEDULERS), "mode": st.sampled_from(resolve.MODES),
        "addresses": st.sampled_from([[VIP], [VIP6]]),
        "persistence": value, "stream": st.sampled_from(["/a", None]), "state": st.sampled_from(["present", "absent"]),
    }),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(value, st.lists(st.one_of(a_service, good_service), min_size=1, max_size=3)),
    st.dictionaries(st.sampled_from(["director1", "director2", "server1", "server2"]), variables_of, max_size=3),
    st.sampled_from([False, True, None]),  # None: all of them are dead
)
def test_no_value_gives_another_error_than_ours(declared, changes, read):
    """Before the hosts are read, and afterwards; what preflight accepts renders."""
    made = {**inventory(copy.deepcopy(changes), with_facts=bool(read)), "read": read is not False}
    hosts.add_addresses(made, views.vips_in(declared))
    lines = rollout.preflight(declared, made)
    assert all(line.isprintable() for line in lines)
    if lines or not made["read"]:
        return
    services = resolve.resolve(declared, made)
    for director in made["groups"]["directors"] if read else ():
        assert keepalived.render(services, director, made)
        assert nftables.render(services, director, made, "eth0")
        streamchecks.streamchecks(services, director, made)
    assert set(declare.read_services(services.tables())) == {one.key for one in (*services.services, *services.checks)}
