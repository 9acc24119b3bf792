"""What preflight finds in an inventory, alone and beside the hosts' facts; every row is an inventory that a role would fail of later."""

import re

import pytest
from ansible.module_utils.lvsdr.directors import keepalived
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import preflight, rollout
from ansible.module_utils.lvsdr.inventory import hosts, resolve
from said import id_of, path_and_id

from inventories import GONE, VIP, VIP6, facts, interface, inventory, service

HLS = {"type": "hls", "path": "/live/index.m3u8"}
WEB = {"server1": {"real_server_weight": 10}, "server2": {"real_server_weight": 10}}


def found(*services, read=True, **options):
    made = inventory(with_facts=read, **options)
    return preflight.preflight(list(services), {**made, "read": read})


def says(line, said, *words):
    """said: the end of its path and its id, as in ``.ports[0] [not-a-whole-number]``."""
    wanted = re.fullmatch(r"(\S+) \[(\S+)\]", said)
    path, name = path_and_id(line)
    assert path.endswith(wanted[1]) and name == wanted[2], line
    assert [word for word in words if word not in line] == []


def only(lines, said, *words):
    assert len(lines) == 1, lines
    says(lines[0], said, *words)


# --- what the inventory alone tells --------------------------------------------------------------------------------------------------

BOTH_DIRECTORS = ("director1", "director2")

# A variable of both directors, its value, and the only error (of each).
DIRECTOR = [
    ("interface", "lo", ".director_interface [not-a-vip-interface]", "'lo'"),
    ("interface", 5, ".director_interface [not-a-vip-interface]", "5"),
    ("interface", "eth0; touch /x", ".director_interface [not-a-vip-interface]", "'eth0; touch /x'"),
    ("advertisement_interval", 0, ".director_advertisement_interval [out-of-range]", "0.01", "40 seconds", "not 0"),
    ("advertisement_interval", "fast", ".director_advertisement_interval [not-a-number]", "'fast'"),
    ("preempt", "perhaps", ".director_preempt [not-a-boolean]", "'perhaps'"),
    ("unicast", 2, ".director_unicast [not-a-boolean]", "2"),
    ("timeouts", {"tcp": 0}, ".director_timeouts.tcp [out-of-range]", "1", "2147483 seconds", "not 0"),
    ("timeouts", {"tcpfin": 5}, ".director_timeouts.tcpfin [unknown-option]", "did you mean tcp_fin?"),
    ("sysctls", {"contrack": 1}, ".director_sysctls.contrack [ipvs-setting-unknown]", "did you mean conntrack?"),
    ("sysctls", {"conntrack": []}, ".director_sysctls.conntrack [not-a-setting]", "[]"),
    ("sysctls", {"sync_threshold": 3}, ".director_sysctls.sync_threshold [not-whole-numbers]", "'3'"),
    ("sysctls", {"sync_retries": 4}, ".director_sysctls.sync_retries [out-of-range]", "0", "3, not 4"),
    ("sysctls", {"sync_threshold": "50 3"}, ".director_sysctls.sync_threshold [sync-threshold-order]", "50 3"),
    ("sysctls", {"sync_ports": 3}, ".director_sysctls.sync_ports [not-a-power-of-two]", "3"),
    ("sysctls", {"est_cpulist": "all"}, ".director_sysctls.est_cpulist [not-a-cpu-list]", "'all'"),
    ("sysctls", {"conntrack": 10**5000}, ".director_sysctls.conntrack [not-a-setting]", "too long to show"),
    ("sysctls", [], ".director_sysctls [not-a-dictionary-like]", "[]"),
    ("sysctls", {5: 1}, ".director_sysctls.5 [ipvs-setting-unknown]"),
    ("priority", 255, ".director_priority [out-of-range]", "2", "254", "not 255"),
    ("virtual_router_id", "0x33", ".director_virtual_router_id [not-a-whole-number]", "'0x33'"),
    ("instances", {"a b": {"virtual_router_id": 7}}, ".director_instances [not-an-instance-name]", "'a b'"),
    (
        "instances",
        {"radio": {"virtual_router_id": 51}},
        ".director_instances.radio.virtual_router_id [virtual-router-id-taken]",
        "51 ",
        "instance lvsdr",
    ),
    ("drain_seconds", -1, ".director_drain_seconds [out-of-range]", "0", "86400 seconds", "not -1"),
    ("max_cut_connections", "all", ".director_max_cut_connections [not-a-whole-number]", "'all'"),
    ("streamcheck_metrics_port", 65536, ".director_streamcheck_metrics_port [out-of-range]", "0", "65535,", "not 65536"),
    ("streamcheck_install", "maybe", ".director_streamcheck_install [not-a-boolean]", "'maybe'"),
]


@pytest.mark.parametrize("row", DIRECTOR)
def test_settings_of_directors(row):
    name, value, said, *words = row
    lines = found(service(), read=False, hosts={director: {"director_" + name: value} for director in BOTH_DIRECTORS})
    assert sorted(line[: len("hosts[director1]")] for line in lines) == ["hosts[director1]", "hosts[director2]"], lines
    for line in lines:
        says(line, said, *words)


@pytest.mark.parametrize(
    ("name", "one", "other", "option", "words"),
    [
        ("advertisement_interval", 1, 0.5, "advertisement_interval", ["is 0.5,", "1.0 on director1"]),
        ("unicast", True, "no", "unicast", ["is off,", "on on director1"]),
        ("preempt", False, True, "preempt", ["is on,", "off on director1"]),
        ("timeouts", {"tcp": 60}, {}, "timeouts.tcp", ["is not set,", "60 on director1"]),
        ("sysctls", {"conntrack": 0}, {"conntrack": True}, "sysctls.conntrack", ["is 1,", "0 on director1"]),
    ],
)
def test_directors_agree(name, one, other, option, words):
    lines = found(service(), hosts={"director1": {"director_" + name: one}, "director2": {"director_" + name: other}})
    only(lines, "hosts[director2].director_%s [directors-differ]" % option, *words)


def test_what_directors_may_differ_in():
    one, other = {"director_sysctls": {"amemthresh": 1024, "conntrack": "no"}}, {"director_sysctls": {"conntrack": 0}}
    assert found(service(), hosts={"director1": one, "director2": other}) == []


def test_settings_as_the_kernel_and_templates_write_them():
    good = {"director_sysctls": {"sync_threshold": "3\t50", "est_nice": "19\n", "est_cpulist": "0-3,8", "sync_ports": "4"}}
    assert found(service(), hosts={"director1": good, "director2": good}) == []


def test_directors_agree_on_who_is_active():
    instances = [{"radio": {"virtual_router_id": 52, "active": name}} for name in BOTH_DIRECTORS]
    hosts_of = {name: {"director_instances": one} for name, one in zip(BOTH_DIRECTORS, instances)}
    lines = found(service(instance="radio"), hosts=hosts_of)
    only(lines, "hosts[director2].director_instances.radio.active [vrrp-instance-differs]", "'director2'", "'director1' on director1")


@pytest.mark.parametrize(
    ("changes", "groups", "option", "directors"),
    [
        ({"real_servers": "all"}, {}, "real_servers", BOTH_DIRECTORS),
        ({"real_servers": "directors"}, {}, "real_servers", BOTH_DIRECTORS),
        ({}, {"web": ["server1", "director2"]}, "real_servers", ["director2"]),
        ({"health_check": {}, "sorry_server": "director1"}, {}, "sorry_server", ["director1"]),
    ],
)
def test_a_director_is_no_real_server(changes, groups, option, directors):
    lines = found(service(**changes), groups=groups)
    assert len(lines) == len(directors)
    for director, line in zip(directors, lines):
        says(line, "virtual_services[live].%s [director-is-server]" % option, director + " is a director")


@pytest.mark.parametrize("hosts_of", [{"real_server_state": "drained"}, {"real_server_weight": 0}])
def test_nobody_serves(hosts_of):
    servers = {name: dict(hosts_of) for name in ("server1", "server2")}
    for check in (None, {}):
        only(found(service(health_check=check), hosts=servers), "virtual_services[live] [servers-all-drained]")
        assert found(service(health_check=check), hosts={**servers, "director1": {"preflight_allow_drained": True}}) == []
    assert found(service(health_check={}, sorry_server="spare"), hosts={**servers, "spare": {"ansible_host": "192.0.2.33"}}) == []
    assert found(service(state="absent"), hosts=servers) == []


def test_a_service_whose_servers_are_all_exchanged_refuses_newcomers_until_the_first_check():
    def held(*weights, port=80):
        there = [{"address": address, "port": port, "weight": weight} for address, weight in weights]
        table = [{"address": VIP, "protocol": "tcp", "port": 80, "destinations": there}]
        return {"director2": {"facts": {**inventory(with_facts=True)["hosts"]["director2"]["facts"], "ipvs": table}}}

    def lines(hosts, **changes):
        made = inventory(hosts, with_facts=True)
        return [line for line in preflight.preflight([service(**{"health_check": {}, **changes})], made) if "exchanged" in line]

    old, kept = ("192.0.2.91", 10), (inventory()["hosts"]["server1"]["ansible_host"], 10)
    (line,) = lines(held(old))
    says(line, "virtual_services[live].real_servers [servers-all-exchanged]", "director2 sends viewers now")
    assert lines(held(kept, port=81)), "another port is another destination"
    # Nobody is served now, one stays, newcomers need no check, or it is intended.
    assert lines(held()) == lines(held((old[0], 0))) == lines(held(old, kept)) == lines(held(old), health_check=None) == []
    assert lines({**held(old), "director1": {"preflight_allow_drained": True}}) == []


def test_names_that_nobody_reads():
    made = inventory()
    made["names"] = ["real_server_weight", "director_priority"]
    made["hosts"]["server1"]["unknown"] = made["hosts"]["server2"]["unknown"] = ["real_server_wieght"]
    made["hosts"]["director1"]["unknown"] = ["director_colour"]
    made["hosts"]["director1"]["misfits"] = {"verify_attempts": "it is of another type"}
    colour, weight, attempts = preflight.preflight([service()], made)
    says(colour, "hosts[director1].director_colour [unknown-variable]", "director_colour")
    says(weight, "hosts[server1].real_server_wieght [unknown-variable]", "did you mean real_server_weight?", "1 more")
    says(attempts, "hosts[director1].verify_attempts [invalid-variable]", "it is of another type")


STREAMING = [
    ("kind", "egde", ".streaming_server_kind [unknown-value]", "'egde'", "edge, origin"),
    ("listen", "80", "hosts[server1].streaming_server_listen [not-a-list]", "'80'"),
    ("listen", ["80", "http"], "hosts[server1].streaming_server_listen[1] [streaming-server-value-invalid]", "'http'"),
    ("listen", [0], "hosts[server1].streaming_server_listen[0] [streaming-server-value-invalid]", "0"),
    ("listen", ["[::1:80"], "hosts[server1].streaming_server_listen[0] [streaming-server-value-invalid]", "'[::1:80'"),
    ("origin", ["origin.example"], "hosts[server1].streaming_server_origin[0] [streaming-server-value-invalid]", "'origin.example'"),
    ("origin", ["a..b:80"], "hosts[server1].streaming_server_origin[0] [streaming-server-value-invalid]", "'a..b:80'"),
    ("publishers", ["192.0.2.1/24"], "hosts[server1].streaming_server_publishers[0] [streaming-server-value-invalid]", "'192.0.2.1/24'"),
    ("packages", ["nginx; reboot"], "hosts[server1].streaming_server_packages[0] [streaming-server-value-invalid]", "'nginx; reboot'"),
    ("user", "www data", "hosts[server1].streaming_server_user [streaming-server-value-invalid]", "'www data'"),
    ("cache_size", "lots", "hosts[server1].streaming_server_cache_size [streaming-server-value-invalid]", "'lots'"),
    ("vod_dir", "vod", "hosts[server1].streaming_server_vod_dir [streaming-server-value-invalid]", "'vod'"),
    ("cache_dir", "/a b", "hosts[server1].streaming_server_cache_dir [streaming-server-value-invalid]", "'/a b'"),
    ("hls_dir", "/a;b", "hosts[server1].streaming_server_hls_dir [streaming-server-value-invalid]", "'/a;b'"),
    ("rtmp_listen", "rtmp", "hosts[server1].streaming_server_rtmp_listen [streaming-server-value-invalid]", "'rtmp'"),
    ("connections", 1, ".streaming_server_connections [out-of-range]", "not 1"),
    ("keepalive_requests", "many", ".streaming_server_keepalive_requests [not-a-whole-number]", "'many'"),
    ("fragment", 0, ".streaming_server_fragment [out-of-range]", "not 0"),
    ("test_source", "perhaps", ".streaming_server_test_source [not-a-boolean]", "'perhaps'"),
]


@pytest.mark.parametrize("row", STREAMING)
def test_settings_of_streaming_servers(row):
    """nginx would refuse them, on the first server, after the origins have changed."""
    name, value, *said = row
    only(found(service(), hosts={"server1": {"streaming_server_kind": "edge", "streaming_server_" + name: value}}), *said)


PEM = {"certificate": "/etc/ssl/a.pem", "certificate_key": "/etc/ssl/a.key"}
MORE_STREAMING = [
    ({"listen": [80, "*:80"]}, "hosts[server1].streaming_server_listen [listed-twice]", "port 80 of 0.0.0.0"),
    ({"kind": "origin", "rtmp_listen": 80}, "hosts[server1].streaming_server_rtmp_listen [rtmp-port-taken]", "port 80 "),
    (
        {"publishers": ["192.0.2.0/255.255.255.0"]},
        "hosts[server1].streaming_server_publishers[0] [streaming-server-value-invalid]",
        "'192.0.2.0/255.255.255.0'",
    ),
    ({"publishers": ["fe80::1%eth0"]}, "hosts[server1].streaming_server_publishers[0] [streaming-server-value-invalid]", "'fe80::1%eth0'"),
    ({"cache_size": "999999999999g"}, "hosts[server1].streaming_server_cache_size [streaming-server-value-invalid]", "'999999999999g'"),
    ({"origin": ["-:80"]}, "hosts[server1].streaming_server_origin[0] [streaming-server-value-invalid]", "'-:80'"),
    (
        {"tls_listen": [443], "certificate": "/a.pem"},
        "hosts[server1].streaming_server_certificate_key [streaming-server-certificate-missing]",
        "streaming_server_tls_listen",
    ),
    ({"tls_listen": [80], **PEM}, "hosts[server1].streaming_server_listen [listed-twice]", "port 80 of 0.0.0.0"),
    ({"tls_listen": ["443 ssl"], **PEM}, "hosts[server1].streaming_server_tls_listen[0] [streaming-server-value-invalid]", "'443 ssl'"),
    (
        {"tls_listen": [443], **PEM, "certificate_key": "a.pem; evil"},
        "hosts[server1].streaming_server_certificate_key [streaming-server-value-invalid]",
        "'a.pem; evil'",
    ),
]


@pytest.mark.parametrize("row", MORE_STREAMING)
def test_settings_that_only_nginx_would_refuse(row):
    values, *said = row
    declared = {"streaming_server_" + name: word for name, word in {"kind": "edge", **values}.items()}
    only(found(service(), hosts={"server1": declared}), *said)


def test_good_settings_of_streaming_servers():
    good = {
        "kind": "origin", "listen": [80, "[::]:80", "192.0.2.1:8080", "*:81"],
        "origin": ["a.example:80", "[2001:db8::1]:80", "192.0.2.9:81"],
        "publishers": ["all", "192.0.2.0/24", "2001:db8::/64", "127.0.0.1"], "user": "www-data", "cache_size": "10g", "vod_dir": "/srv/vod",
        "rtmp_listen": 1935, "fragment": "2", "playlist": 12, "test_source": "yes", "packages": [],
    }  # fmt: skip
    assert found(service(), hosts={"server1": {"streaming_server_" + name: value for name, value in good.items()}}) == []
    short = {"streaming_server_kind": "origin", "streaming_server_fragment": 4, "streaming_server_playlist": 8}
    lines = found(service(), hosts={"server1": short})
    only(lines, "hosts[server1].streaming_server_playlist [streaming-server-playlist-too-short]", "segments of 4 ", "not 8 ")


# Of a service with a check, what an operator may write that no player, no server or no keepalived takes.
SERVICES = [
    ({"health_check": {"agent": {}}}, {},
     "hosts[server1].real_server_weight [weight-too-small]", "agent of virtual_services[live]", "below 10"),
    ({"health_check": {"slow_start": 60}}, {},
     "hosts[server1].real_server_weight [weight-too-small]", "slow_start of virtual_services[live]"),
    ({"ports": [0], "persistence": 60, "health_check": {}}, {}, ".health_check.port [check-port-every]", "(0)"),
    ({"ports": [0], "persistence": 60, "stream": "/x"}, {}, ".stream [stream-without-port]", "port 0"),
    ({"ports": [443], "stream": "/x"}, {}, ".stream [stream-without-name]", "443"),
    ({"protocol": "udp", "stream": "/x"}, {}, ".stream [stream-not-tcp]", "'udp'"),
    ({"ports": GONE, "firewall_mark": 5, "stream": "/x"}, {}, ".stream [stream-without-port]", "firewall mark"),
    ({"ports": [443], "health_check": HLS}, {}, ".health_check.port [check-port-https]", "443", "hls"),
    ({"health_check": {"type": "http", "port": "443"}}, {}, ".health_check.port [check-port-https]", "443", "http check"),
    ({"mode": "nat"}, {"real_server_port": 0}, "hosts[server1].real_server_port [out-of-range]", "1", "65535", "not 0"),
    ({"health_check": {"type": "udp", "port": 53, "payload": "01ff"}}, {}, ".health_check.payload [payload-last-byte]", "ff"),
    ({"health_check": {"type": "udp", "port": 53, "payload": "0d", "reply": "FF"}}, {}, ".health_check.reply [payload-last-byte]", "ff"),
    ({"health_check": {"type": "udp", "port": 53, "payload": "0d" * 481}}, {}, ".health_check.payload [payload-too-long]", "480", "481"),
    ({"health_check": {"type": "udp", "port": 53, "payload": 3338}}, {}, ".health_check.payload [payload-not-text]", "3338"),
    ({"health_check": {"type": "dns", "port": 53, "query": "a.example.com"}}, {},
     ".health_check.query [check-query-short-label]", "'a.example.com'"),
    ({"health_check": {"type": "dns", "port": 53, "query": "a..b"}}, {}, ".health_check.query [check-query-invalid]", "'a..b'"),
    ({"health_check": {"type": "dns", "port": 53, "query": "x" * 64 + ".example"}}, {}, ".health_check.query [check-query-invalid]"),
    ({"health_check": {"type": "http", "path": "/" + "x" * 500}}, {}, ".health_check.path [check-path-invalid]", "500"),
    ({"health_check": {"type": "http", "path": "/~SEQ(1,9)"}}, {}, ".health_check.path [check-path-invalid]", "'/~SEQ(1,9)'"),
    ({"health_check": {"type": "http", "match": "x" * 501}}, {}, ".health_check.match [check-match-not-writable]", "500"),
    ({"health_check": {"type": "http", "match": "(?u)ok"}}, {}, ".health_check.match [check-match-flags]", "(?u"),
    ({"health_check": {"type": "http", "match": "[[:alpha:]]"}}, {}, ".health_check.match [check-match-too-much]", "'[[:alpha:]]'"),
    ({"health_check": {"type": "http", "match": "(?P<ä>x)"}}, {}, ".health_check.match [check-match-too-much]", "'(?P<ä>x)'"),
    ({"health_check": {"type": "http", "host": "a b"}}, {}, ".health_check.host [check-host-invalid]", "'a b'"),
    ({"health_check": {"type": "http", "host": "a.example:0"}}, {}, ".health_check.host [check-host-invalid]", "'a.example:0'"),
    ({"health_check": {"type": "http", "host": "x" * 64 + ".example"}}, {}, ".health_check.host [check-host-invalid]"),
    ({"health_check": {"type": "http", "status": ["200"]}}, {}, ".health_check.status [not-a-whole-number]", "['200']"),
    ({"health_check": {"type": "script", "path": "/x", "arguments": ["y" * 501]}}, {},
     ".health_check.arguments [script-arguments-invalid]", "500"),
    ({"health_check": {"type": "script", "path": "/x", "arguments": [{}]}}, {},
     ".health_check.arguments [script-arguments-invalid]", "[{}]"),
    ({"name": "x" * 101}, {}, ".name [not-a-label]", "100 bytes"),
    ({"name": "~SEQ(1,9)"}, {}, ".name [not-a-label]", "'~SEQ(1,9)'"),
    ({"name": "a\x1b[2J"}, {}, ".name [not-a-label]", "'a\\x1b[2J'"),
    ({"firewall_mark": 0x4C000001, "ports": GONE}, {}, ".firewall_mark [mark-reserved]", "0x4c000000"),
    ({"name": 2024}, {}, ".name [not-text]", "2024"),
    ({"mode": "nat"}, {"real_server_address": "127.0.0.1"}, "hosts[server1] [address-is-loopback]", "127.0.0.1", "server1;"),
    ({"firewall_mark": [1], "ports": GONE}, {}, ".firewall_mark [not-a-whole-number]", "not [1]"),
    ({"firewall_mark": {"a": 1}, "ports": GONE}, {}, ".firewall_mark [not-a-whole-number]", "{'a': 1}"),
    ({"ports": [10**5000]}, {}, ".ports[0] [not-a-whole-number]", "a value that is too long to show"),
    ({"ports": ["080"]}, {}, ".ports[0] [not-a-whole-number]", "'080'"),
    ({"addresses": ["255.255.255.255"]}, {}, ".addresses[0] [not-an-address]", "broadcast"),
    ({"addresses": ["0.1.2.3"]}, {}, ".addresses[0] [not-an-address]", "0.0.0.0/8"),
    ({"addresses": ["::ffff:192.0.2.100"]}, {}, ".addresses[0] [not-an-address]", "IPv6 notation"),
    ({"addresses": ["fe80::100"]}, {}, ".addresses[0] [not-an-address]", "fe80::/10", "one link"),
    ({"addresses": ["192.0.2.100\0"]}, {}, ".addresses[0] [not-an-address]", r"'192.0.2.100\x00'"),
    ({"addresses": ["192.0.2.1\ud800"]}, {}, ".addresses[0] [not-an-address]", r"'192.0.2.1\ud800'"),
    ({"addresses": ["192.0.2.0100"]}, {}, ".addresses[0] [not-an-address]", "'192.0.2.0100'"),
    ({"adresses": [VIP]}, {}, ".adresses [unknown-option]", "did you mean addresses?"),
]  # fmt: skip


@pytest.mark.parametrize("row", SERVICES)
def test_services_that_nothing_can_serve(row):
    changes, variables, *said = row
    lines = found(service(**{"real_servers": "one", **changes}), hosts={"server1": variables}, groups={"one": ["server1"]})
    only(lines, *said)
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
    ("changes", "hosts_of", "said", "words"),
    [
        ({}, {"director1": {"director_interface": "eth9"}}, "hosts[director1].director_interface [interface-not-found]",
         ["eth9", "it has eth0"]),
        ({"addresses": [VIP]}, {"director1": {"facts": {"interfaces": [{**interface("eth0", "192.0.2.11/24"), "up": False}]}}},
         "hosts[director1] [interface-down]", ["`ip link set eth0 up`"]),
        ({}, {"director1": {"facts": {"interfaces": [interface('a"b', "192.0.2.11/24")]}}}, "hosts[director1] [interface-name-unusable]",
         ["'a\"b'"]),
        ({}, {"server1": {"real_server_address": "192.0.2.77"}}, "hosts[server1] [address-not-on-host]",
         ["192.0.2.77", "(it has 192.0.2.21)", "real_server_address "]),
        ({}, {"director1": {"real_server_address": "192.0.2.77"}}, "hosts[director1] [address-not-on-host]",
         ["192.0.2.77", "(it has 192.0.2.11)"]),
        ({"addresses": [VIP, "203.0.113.100"]}, {"director1": {"facts": facts(11, ETH1)}},
         "hosts[director1] [vip-off-link]", ["VIP 203.0.113.100 ", "eth0", "director1;"]),
        ({}, {"director1": {"facts": facts(11, ETH1), "director_interface": "eth1"}}, "hosts[director1] [vip-off-link]",
         ["VIP 192.0.2.100 ", "eth1"]),
        ({"addresses": ["192.0.2.255"]}, {}, ".addresses [vip-reserved]", ["VIP 192.0.2.255 ", "broadcast", "192.0.2.0/24"]),
        ({"addresses": ["192.0.2.0"]}, {}, ".addresses [vip-reserved]", ["VIP 192.0.2.0 ", "network address", "192.0.2.0/24"]),
        ({"addresses": ["2001:db8::"]}, {}, ".addresses [vip-reserved]", ["VIP 2001:db8:: ", "router"]),
        ({}, {"director1": {"facts": {**facts(11), "settings": ["conntrack"]}, "director_sysctls": {"sync_ports": 1, "conntrack": 0}}},
         "director_sysctls.sync_ports [ipvs-setting-not-in-kernel]", []),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_hosts(changes, hosts_of, said, words):
    only(found(service(**changes), hosts=hosts_of, groups={"directors": ["director1"]}), said, *words)
    # Nobody has been asked yet.
    unread = {name: {key: value for key, value in variables.items() if key != "facts"} for name, variables in hosts_of.items()}
    assert found(service(**changes), read=False, hosts=unread, groups={"directors": ["director1"]}) == []


def test_addresses_that_are_somebody_else_s():
    lines = found(service(), hosts={"database": {"ansible_host": VIP}})
    only(lines, "virtual_services[live].addresses [vip-is-host-address]", "VIP 192.0.2.100 ", "database's own")
    lines = found(service(), hosts={name: {"ansible_host": "127.0.0.1"} for name in BOTH_DIRECTORS})
    assert len(lines) == 2
    for name, line in zip(BOTH_DIRECTORS, lines):
        says(line, "hosts[%s] [address-is-loopback]" % name, "127.0.0.1")


def test_no_in_words_is_no():
    cloudy = {"facts": {**facts(21), "cloud": "OpenStack"}, "preflight_allow_cloud": "no"}
    only(found(service(), hosts={"server1": cloudy}), "virtual_services [cloud-network]", "server1 run in OpenStack")
    director = {"facts": {**facts(11), "cloud": "OpenStack"}}
    only(found(service(mode="nat"), hosts={"director1": director}), "virtual_services [cloud-network]", "director1 run in OpenStack")


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
        assert lines
        for line in lines:
            path, _colon, sentence = line.partition(": ")
            assert len(path) <= 600 and len(sentence.rpartition(" [")[0] or sentence) <= 600


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
    (line,) = [line for line in lines if line.startswith("hosts[server1]: ")]
    says(line, "hosts[server1] [real-server-without-address]", "IPv4", "virtual_services[live]", "several")


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
    with pytest.raises(LvsError) as caught:
        resolve.resolve([service()], never)
    only(caught.value.details["problems"], "hosts[server2] [real-server-without-address]", "IPv4", "did not answer")


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
    (line,) = rollout.undone(services.services, made, directors, ["server1"])
    assert id_of(line) == "server-not-rolled-out" and line.startswith("server2 ") and "(live)" in line


@pytest.mark.parametrize(("vrrp", "sync", "count"), [(1, 1, 0), (0, 1, 1), (1, 0, 1), (0, 0, 2)])
def test_what_directors_took_of_strangers(vrrp, sync, count):
    one = "\tcounter %s {\n\t\tpackets %%d bytes 9\n\t}\n"
    text = "table inet lvsdr {\n" + one % "strange_vrrp" + one % "strange_sync" + "}\n"
    before, now = text % (4, 7), text % (4 + vrrp, 7 + sync)
    lines = rollout.taken("director1", now, before, "server1")
    assert [id_of(line) for line in lines] == ["stranger-accepted"] * count
    assert all("director1" in line and "from server1" in line for line in lines)
    assert ["VRRP advertisement" in line for line in lines] == [True] * (not vrrp) + [False] * (not sync)
    assert rollout.taken("director1", now, before, None) == [], "no host could send any"
    (line,) = rollout.taken("director1", "", before, "server1")
    assert id_of(line) == "rules-not-in-force" and line.startswith("director1 ")
