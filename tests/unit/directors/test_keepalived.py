"""keepalived.conf: one golden file, what follows from each setting, and that no value of an operator's breaks out of its place."""

import re
from pathlib import Path

import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.checks import health_check
from ansible.module_utils.lvsdr.directors import keepalived, keepalived_conf
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.inventory import check_paths, resolve
from ansible.module_utils.lvsdr.inventory import hosts as inventory_hosts
from ansible.module_utils.lvsdr.ipvs import declare
from hypothesis import given, settings
from hypothesis import strategies as st
from said import id_of, path_and_id

from inventories import GONE, VIP, VIP6, inventory, service

GOLDEN = Path(__file__).parents[2] / "fixtures" / "keepalived.conf"
SETTINGS = {"interface": "eth0", "priority": 150, "virtual_router_id": 51, "advertisement_interval": 1}


def with_settings(made, settings, director="director1"):
    """The inventory with a director's variables."""
    hosts = dict(made["hosts"])
    hosts[director] = {**hosts.get(director, {}), **{"director_" + name: value for name, value in settings.items()}}
    return {**made, "hosts": hosts}


BOTH = [VIP, VIP6]
HTTP = {"type": "http", "path": "/healthz", "host": "live.example.com", "port": 8080, "status": 204, "interval": 3, "retries": 1}


def render(*services, settings=SETTINGS, director="director1", **options):
    made = inventory(**options)
    return keepalived.render(resolve.resolve(list(services), made), director, with_settings(made, settings, director))


def representative():
    """The text of a table with two families, both checks, an absent service, a drained server, a mark, persistence and every mode."""
    return render(
        service(addresses=BOTH, scheduler="mh", scheduler_flags=["mh-port", "mh-fallback"], health_check=HTTP),
        service(name="ingest", ports=[1935], mode="nat", health_check={"type": "tcp", "timeout": 4}, persistence={"timeout": 60}),
        service(name="old", ports=[81], state="absent"),
        service(name="retired", ports=[80], addresses=["192.0.2.99"], state="absent"),
        service(name="udp", ports=[5004], protocol="udp", one_packet=True, scheduler="rr"),
        service(
            name="rtsp", addresses=[*BOTH, "192.0.2.101"], ports=GONE, firewall_mark=5, mode="tunnel",
            persistence={"timeout": 300, "netmask": "255.255.255.0", "engine": "sip"}, health_check={"port": 554},
        ),
        hosts={
            "server1": {"real_server_weight": 10},
            "server2": {"real_server_weight": 20, "real_server_state": "drained"},
            "server3": {"ansible_host": "192.0.2.23", "real_server_address6": "2001:db8::23"},
        },
        groups={"web": ["server1", "server2", "server3"]},
    )  # fmt: skip


def test_the_golden_file():
    assert representative() == GOLDEN.read_text()


def test_checks_take_the_way_of_viewers():
    """To the VIP, by a mark that has one server alone, and from the director's own address."""
    services = resolve.resolve([service(addresses=BOTH, health_check={}), service(name="nat", ports=[81], mode="nat", health_check={})],
                               inventory())  # fmt: skip
    marks = check_paths.check_marks(services.checks)
    assert set(marks) == {(4, "192.0.2.21"), (4, "192.0.2.22"), (6, "2001:db8::21"), (6, "2001:db8::22")} and len(set(marks.values())) == 4
    text = keepalived.render(services, "director2", with_settings(inventory(), SETTINGS, "director2"))
    for (family, address), mark in marks.items():
        vip, own = (VIP, "192.0.2.12") if family == 4 else (VIP6, "2001:db8::12")
        lines = ["connect_ip %s" % vip, "connect_port 80", "bindto %s" % own, "fwmark %d" % mark]
        assert text.count("".join("            %s\n" % line for line in lines)) == 1
        server = "    real_server %s 0 {\n        weight 1\n    }\n" % address
        assert "virtual_server fwmark %d {\n    ip_family %s\n    lvs_sched rr\n    lvs_method DR\n    ops\n    #" % (
            mark, "inet" if family == 4 else "inet6") in text and server in text  # fmt: skip
    nat = text[text.index("# nat") :]
    assert "fwmark" not in nat[: nat.index("# checks")], "the same VIP, and servers that do not hold it"


def test_the_address_that_advertisements_come_from():
    made = inventory()
    for addresses in (BOTH, [VIP], [VIP6]):
        services = resolve.resolve([service(addresses=addresses)], made)
        assert keepalived.vrrp_addresses(services.services, "director1", made) == ["192.0.2.11"], "it stays, whatever VIPs come and go"
        assert "    unicast_src_ip 192.0.2.11\n" in keepalived.render(services, "director1", with_settings(made, SETTINGS, "director1"))


def test_directors_without_ipv4_speak_ipv6():
    made = inventory(hosts={name: {"ansible_host": name + ".example.com"} for name in ("director1", "director2")})
    services = resolve.resolve([service()], made)
    assert keepalived.vrrp_addresses(services.services, "director1", made) == ["2001:db8::11"]
    text = keepalived.render(services, "director1", with_settings(made, SETTINGS))
    assert "unicast_src_ip 2001:db8::11\n" in text and "        2001:db8::12 min_ttl 255 max_ttl 255\n" in text
    assert "    virtual_ipaddress {\n        fe80::7672:7270:33/128 dev lo no_track\n    }\n" in text


def test_without_a_vip_there_is_no_address_to_wait_for():
    assert keepalived.vrrp_addresses(resolve.resolve([service(state="absent")], inventory()).services, "director1", inventory()) == []


def test_several_urls():
    urls = [{"path": "/a", "status": "200-299", "match": "^ok .*"}, {"path": "/b", "host": "b.example.com"}]
    text = render(service(health_check={"type": "https", "urls": urls, "target": "server"}))
    text = text[text.index("SSL_GET") : text.index("connect_timeout")]
    assert [line.strip() for line in text.splitlines()] == [
        "SSL_GET {", "enable_sni",
        "url {", "path /a", "status_code 200-299", 'regex "^ok .*"', "}",
        "url {", "path /b", "status_code 200", "virtualhost b.example.com", "}", "",
    ]  # fmt: skip


def test_a_stream_check_adds_to_the_weight():
    text = render(service(health_check={"type": "hls", "path": "/live/index.m3u8"}, name="live"))
    name = places.track_file({"name": "live", "vips": [VIP]}, "server1")
    assert "track_file %s {\n    file /run/lvsdr/streamcheck/%s\n}\n" % (name, name) in text
    server = text[text.index("    real_server 192.0.2.21 80") :]
    assert "        TCP_CHECK {\n            connect_ip 192.0.2.100\n" in server
    assert "        FILE_CHECK {\n            track_file %s\n            weight 1\n        }\n" % name in server


def test_a_director_without_an_address_to_check_from_is_named():
    made = inventory(hosts={"director1": {"real_server_address6": GONE}})
    services = resolve.resolve([service(addresses=BOTH, health_check={})], made)
    with pytest.raises(LvsError) as caught:
        keepalived.render(services, "director1", with_settings(made, SETTINGS, "director1"))
    said = str(caught.value)
    assert id_of(said) == "check-source-missing"
    assert all(word in said for word in ("director1", "IPv6", "service live", "real_server_address6,"))


def test_checks_of_udp():
    def check(**health_check):
        text = render(service(protocol="udp", ports=[9000], health_check={**health_check, "target": "server"}))
        return text[text.index("inhibit_on_failure") :].split("\n")[1:9]

    assert check(type="udp", payload="0x0D0a", reply="6f6b")[0:6] == [
        "        UDP_CHECK {", "            connect_timeout 2", "            retry 2", "            delay_before_retry 1",
        "            payload 0d0a", "            require_reply 6f6b",
    ]  # fmt: skip
    assert check(type="udp", payload="00")[5] == "            require_reply"
    assert check(type="dns", query="example.com")[4:6] == ["            type NS", "            name example.com"]
    assert check(type="srt")[5:7] == ["            require_reply", "            min_reply_length 64"]


def test_timeouts():
    text = render(service(), settings={**SETTINGS, "timeouts": {"tcp": 3600, "udp": "60"}})
    assert "    lvs_timeouts tcp 3600 udp 60\n" in text
    assert "lvs_timeouts" not in render(service(), settings={**SETTINGS, "timeouts": {}})
    with pytest.raises(LvsError) as caught:
        render(service(), settings={**SETTINGS, "timeouts": {"tcp": 0, "fin": 1}, "priority": 0})
    assert [line.split(": ")[0] for line in caught.value.details["problems"]] == [
        "hosts[director1].director_timeouts.fin",
        "hosts[director1].director_timeouts.tcp",
        "hosts[director1].director_priority",
    ]


def test_the_same_model_gives_the_same_text():
    """A file that differs is written again and reloaded: the order of what is named in groups and lists is all that counts."""
    assert representative() == representative()
    made = inventory()
    turned = {"groups": made["groups"], "hosts": dict(reversed(made["hosts"].items()))}
    services = resolve.resolve([service(addresses=BOTH)], made)
    assert keepalived.render(services, "director1", with_settings(made, SETTINGS, "director1")) == keepalived.render(
        services, "director1", with_settings(turned, SETTINGS, "director1")
    )


def test_nothing_to_hold():
    """Where all services are absent there is nothing to announce."""
    text = render(service(state="absent"))
    assert text.endswith("global_defs {\n    router_id director1\n}\n")


def test_the_other_director():
    text = render(service(), director="director2", settings={**SETTINGS, "priority": "100"})
    assert "    router_id director2\n" in text and "    priority 100\n" in text
    assert "    unicast_ttl 255\n    unicast_peer {\n        192.0.2.11 min_ttl 255 max_ttl 255\n    }\n" in text


def test_a_single_director_has_no_peers():
    text = render(service(), groups={"directors": ["director1"]})
    assert "unicast" not in text and "virtual_ipaddress {" in text


def test_settings_that_are_off_by_default():
    assert "nopreempt" not in render(service()) and "    version" not in render(service())
    assert "    nopreempt\n" in render(service(), settings={**SETTINGS, "preempt": "no"})
    # A director that starts waits for the first result of its slowest check. Nobody waits where there is none, or without preemption.
    slow = render(service(health_check={"type": "tcp", "interval": 8, "timeout": 4}))
    assert "    preempt_delay 13\n" in slow and "preempt_delay" not in render(service())
    assert "preempt_delay" not in render(service(health_check={"type": "tcp"}), settings={**SETTINGS, "preempt": "no"})
    half = render(service(), settings={**SETTINGS, "advertisement_interval": 0.5})
    assert "    version 3\n    advert_int 0.5\n" in half, "version 2 has whole seconds only"
    group = render(service(), settings={**SETTINGS, "unicast": False})
    assert "unicast" not in group and "    mcast_src_ip 192.0.2.11\n" in group, "the other director's rules know this address"


def test_a_new_hop_limit_is_a_change_of_what_directors_say():
    """Over IPv6 a director that insists on 255 does not hear one that sends 64, as earlier versions did. Over IPv4 all sent 255."""
    six = {name: {"ansible_host": "2001:db8::%d" % number} for name, number in (("director1", 11), ("director2", 12))}
    for hosts, found in (({}, []), (six, ["hop limit of instance lvsdr becomes 255 (was 64)"])):
        now = render(service(), hosts=hosts)
        before = now.replace("    unicast_ttl 255\n", "").replace(" min_ttl 255 max_ttl 255", "")
        assert keepalived_conf.disagreements(now, before) == found


@pytest.mark.parametrize("addresses", [[VIP], [VIP6], BOTH, [VIP6, "192.0.2.101"], ["192.0.2.101"]])
def test_what_directors_say_is_the_same_whatever_vips_there_are(addresses):
    """A director drops advertisements with another list of addresses than its own, and two that are deaf are both active."""
    voice, vips = keepalived_conf.instances(render(service(addresses=addresses)))["lvsdr"]
    assert voice == keepalived_conf.Voice("51", "2", 1.0, True, "255", ("169.254.112.51",)) and vips == addresses
    assert keepalived_conf.disagreements(render(service(addresses=addresses)), render(service(addresses=BOTH))) == []


def test_a_vip_of_many_services_is_held_once():
    text = render(service(), service(name="b", ports=[443]), service(name="c", ports=[554], addresses=["192.0.2.101"]))
    assert re.findall(r"(\S+)/32 dev eth0", text) == [VIP, "192.0.2.101"]


def test_persistence_of_both_families():
    text = render(service(addresses=BOTH, persistence={"timeout": 60, "netmask": 64}))
    four, six = text.split("virtual_server ")[1:]
    assert "persistence_timeout 60" in four and "granularity" not in four
    assert "persistence_timeout 60\n    persistence_granularity 64\n" in six
    assert "granularity" not in render(service(persistence={"timeout": 60, "netmask": "255.255.255.255"}))


def test_ports_of_nat():
    text = render(service(mode="nat"), hosts={"server1": {"real_server_port": 8080}})
    assert "real_server 192.0.2.21 8080 {" in text and "real_server 192.0.2.22 80 {" in text


def test_only_a_checked_server_has_a_checker():
    """alpha takes a server for dead until its check has passed; one without a weight stays at 0 whatever a check would say."""
    text = render(service(health_check={"target": "server"}), hosts={"server1": {"real_server_weight": 0}})
    without, active = text.split("real_server ")[1:]
    assert "weight 0\n" in without and "CHECK" not in without and "inhibit" not in without
    assert "weight 1\n        inhibit_on_failure\n        TCP_CHECK {" in active
    assert "    alpha\n    delay_loop 2\n" in text
    assert "alpha" not in render(service()) and "CHECK" not in render(service())


def test_a_drained_server_needs_no_other_configuration():
    """keepalived reads it from a file, and adds it to the weight."""
    active = render(service(health_check={}))
    assert render(service(health_check={}), hosts={"server1": {"real_server_state": "drained"}}) == active
    name = places.drain_file("server1")
    assert "track_file %s {\n    file /run/lvsdr/drained/%s\n}\n" % (name, name) in active
    assert "        FILE_CHECK {\n            track_file %s\n            weight 1\n        }\n" % name in active
    assert "dynamic" not in active, "a word of keepalived's manual page that no version's parser knows"
    # Without a check the weight is ipvs_table's.
    text = render(service(), hosts={"server1": {"real_server_state": "drained"}})
    assert "weight 0\n" in text and "FILE_CHECK" not in text


def test_a_floor_is_for_the_stream_checker_alone():
    """keepalived's own check would take out more servers than that."""
    check = {"type": "http", "path": "/healthz", "target": "server"}
    text = render(service(health_check={**check, "floor": 0.5}))
    assert "TCP_CHECK" not in text and "HTTP_GET" not in text and text.count("FILE_CHECK") == 4
    assert text.count("        PING_CHECK {\n            connect_ip 127.0.0.1\n        }\n") == 2
    text = render(service(health_check={**check, "rise": 3}))
    assert text.count("TCP_CHECK") == 2 and "HTTP_GET" not in text and text.count("FILE_CHECK") == 4
    text = render(service(health_check=check))
    assert text.count("HTTP_GET") == 2 and text.count("FILE_CHECK") == 2
    text = render(service(protocol="udp", ports=[53], health_check={"type": "dns", "target": "server", "fall": 2}))
    assert text.count("DNS_CHECK") == 2 and text.count("FILE_CHECK") == 4


def test_a_script():
    check = {"type": "script", "path": "/usr/local/bin/check", "arguments": ["--fast", 5], "user": "checker", "timeout": 3}
    text = render(service(health_check=check))
    assert "    enable_script_security\n" in text and "fwmark" not in text
    assert [line.strip() for line in text[text.index("MISC_CHECK") :].splitlines()[:7]] == [
        "MISC_CHECK {", 'misc_path "/usr/local/bin/check --fast 5 192.0.2.21 80 192.0.2.100"', "misc_timeout 3", "user checker",
        "retry 2", "delay_before_retry 1", "}",
    ]  # fmt: skip
    assert "enable_script_security" not in render(service(health_check={}))


def test_a_sorry_server():
    text = render(service(addresses=BOTH, health_check={}, sorry_server="director2"))
    for address in ("192.0.2.12", "2001:db8::12"):
        assert "    # director2\n    sorry_server %s 80\n    sorry_server_lvs_method DR\n    sorry_server_inhibit\n" % address in text


def test_instances():
    """Each director is the active one for some VIPs."""
    services = [service(), service(name="radio", addresses=["192.0.2.101"], ports=[8000], instance="radio")]
    others = {"radio": {"virtual_router_id": 52, "active": "director2"}}
    for director, priority, radio in (("director1", 150, 100), ("director2", 100, 150)):
        text = render(*services, director=director, settings={**SETTINGS, "priority": priority, "instances": others})
        first, second = text.split("vrrp_instance ")[1:]
        assert first.startswith("lvsdr {") and "virtual_router_id 51\n    priority %d\n" % priority in first
        assert second.startswith("radio {") and "virtual_router_id 52\n    priority %d\n" % radio in second
        assert "192.0.2.100/32" in first and "192.0.2.101/32" in second and "192.0.2.101/32" not in first
    # An instance without a VIP is none.
    text = render(services[1], settings={**SETTINGS, "instances": others})
    assert text.count("vrrp_instance") == 1 and "vrrp_instance radio {" in text


@pytest.mark.parametrize(
    ("instances", "path", "said"),
    [
        ([], "hosts[director1].director_instances", "not-a-dictionary-like"),
        ({"radio": 5}, "hosts[director1].director_instances.radio", "not-a-dictionary-like"),
        ({"lvsdr": {}}, "hosts[director1].director_instances.lvsdr", "default-instance"),
        ({"radio": {}}, "hosts[director1].director_instances.radio.virtual_router_id", "virtual-router-id-missing"),
        (
            {"radio": {"virtual_router_id": 51}},
            "hosts[director1].director_instances.radio.virtual_router_id", "virtual-router-id-taken",
        ),
        ({"radio": {"virtual_router_id": 256}}, "hosts[director1].director_instances.radio.virtual_router_id", "out-of-range"),
        (
            {"radio": {"virtual_router_id": 5, "active": "server1"}},
            "hosts[director1].director_instances.radio.active", "unknown-value",
        ),
        ({"radio": {"virtual_router_id": 5, "id": 1}}, "hosts[director1].director_instances.radio.id", "unknown-option"),
        ({"other": {"virtual_router_id": 5}}, "virtual_services[live].instance", "instance-unknown"),
    ],
)  # fmt: skip
def test_instances_that_are_none(instances, path, said):
    with pytest.raises(LvsError) as caught:
        render(service(instance="radio"), settings={**SETTINGS, "instances": instances})
    assert (path, said) in [path_and_id(line) for line in caught.value.details["problems"]]


@pytest.mark.parametrize("name", ["priority", "virtual_router_id"])
@pytest.mark.parametrize("value", [0, 256, -1, True, "", "high", "1.5", 1.5, "1\n}", [], {}])
def test_settings_of_vrrp(name, value):
    with pytest.raises(LvsError) as caught:
        render(service(), settings={**SETTINGS, name: value})
    (line,) = caught.value.details["problems"]
    path, said = path_and_id(line)
    assert path == "hosts[director1].director_" + name and said in ("not-a-whole-number", "out-of-range")


def test_the_interface_is_found_by_its_subnet():
    made = inventory(with_facts=True)
    assert "    interface eth0\n" in keepalived.render(resolve.resolve([service()], made), "director1", made)
    with pytest.raises(LvsError) as caught:
        render(service(), settings={})
    assert id_of(str(caught.value)) == "vip-interface-missing"


@pytest.mark.parametrize("value", ["", "a b", "eth0\n}", "eth0 {", "x" * 16, 5, []])
def test_the_interface_is_a_name(value):
    with pytest.raises(LvsError) as caught:
        render(service(), settings={**SETTINGS, "interface": value})
    (line,) = caught.value.details["problems"]
    assert path_and_id(line) == ("hosts[director1].director_interface", "not-a-vip-interface")
    assert "interface bond0.5@x\n" in render(service(), settings={**SETTINGS, "interface": "bond0.5@x"})


@pytest.mark.parametrize("name", ["a b", "a\n}", "a{", 'a"', "a#b"])
def test_names_of_hosts(name):
    with pytest.raises(LvsError) as caught:
        render(service(), director=name)
    (line,) = caught.value.details["problems"]
    assert path_and_id(line)[1] == "not-a-router-id"
    if name != "a b":
        with pytest.raises(LvsError) as caught:
            render(service(), hosts={name: {"ansible_host": "192.0.2.9"}}, groups={"web": [name]})
        assert path_and_id(caught.value.details["problems"][0])[1] == "not-a-label"


@pytest.mark.parametrize(("value", "seconds"), [(True, 300), ({}, 300), ({"timeout": None}, 300), ("60\n", 60), (60, 60)])
def test_persistence_is_that_of_the_table(value, seconds):
    made = service(persistence=value)
    (wanted,) = declare.read_services(resolve.resolve([made], inventory()).tables()).values()
    assert wanted.service.persistence == seconds and "    persistence_timeout %d\n" % seconds in render(made)


@pytest.mark.parametrize(("value", "netmask"), [(24, "255.255.255.0"), ("/24", "255.255.255.0"), (0, "0.0.0.0"), (32, None)])
def test_netmasks_are_written_out(value, netmask):
    text = render(service(persistence={"netmask": value}))
    assert re.findall(r"persistence_granularity (.*)", text) == ([netmask] if netmask else [])


@pytest.mark.parametrize(("value", "there"), [("no", False), (False, False), ("yes", True), (True, True)])
def test_one_packet(value, there):
    assert ("    ops\n" in render(service(protocol="udp", one_packet=value))) is there


def test_the_largest_settings():
    assert "virtual_router_id 255\n    priority 254\n" in render(
        service(), settings={**SETTINGS, "priority": 254, "virtual_router_id": 255}
    )
    with pytest.raises(LvsError) as caught:
        render(service(), settings={**SETTINGS, "priority": 255})
    (line,) = caught.value.details["problems"]
    assert path_and_id(line) == ("hosts[director1].director_priority", "out-of-range") and " 254" in line and "255" in line
    with pytest.raises(LvsError, match="2 errors"):
        render(service(), settings={**SETTINGS, "priority": 255, "virtual_router_id": 0})


@pytest.mark.parametrize(
    ("addresses", "hosts"),
    [
        ([VIP], {"director2": {"ansible_host": "b.example.com", "real_server_address6": GONE}}),
        ([VIP6], {"director1": {"ansible_host": "a.example.com"}, "director2": {"real_server_address6": GONE}}),
    ],
)
def test_directors_that_can_not_speak(addresses, hosts):
    with pytest.raises(LvsError) as caught:
        render(service(addresses=addresses), hosts=hosts)
    said = str(caught.value)
    assert id_of(said) == "vrrp-address-missing"
    assert all(words in said for words in ("director1 and director2 ", "IPv4", "ansible_host or real_server_address on both"))


# --- injection ----------------------------------------------------------------------------------------------------------------------

# What keepalived would read as more than the value: blocks, quotes, comments, words and lines.
EVIL = [
    "%s\n}\nscript evil", "%s {", "%s{", "%s }", "%s}", '%s"', "'%s", "%s#", "%s!", "%s\nevil 1", "%s\r\nevil 1", "%s evil",
    "%s\tevil", "%s\\",
]  # fmt: skip

# Each value an operator can give that reaches the file as text. name: (changes to the service, to server1) of a value.
UDP = {"protocol": "udp"}
SAFE = {"type": "https", "host": "a.example.com"}
PLACES = {
    "health_check.payload": lambda value: ({**UDP, "health_check": {"type": "udp", "payload": value}}, {}),
    "health_check.reply": lambda value: ({**UDP, "health_check": {"type": "udp", "payload": "00", "reply": value}}, {}),
    "health_check.query": lambda value: ({**UDP, "health_check": {"type": "dns", "query": value}}, {}),
    "name": lambda value: ({"name": value}, {}),
    "mode": lambda value: ({"mode": value}, {}),
    "state": lambda value: ({"state": value}, {}),
    "address": lambda value: ({"addresses": [value]}, {}),
    "protocol": lambda value: ({"protocol": value}, {}),
    "port": lambda value: ({"ports": [value]}, {}),
    "firewall_mark": lambda value: ({"ports": GONE, "firewall_mark": value}, {}),
    "address of a mark": lambda value: ({"ports": GONE, "firewall_mark": 5, "addresses": [value]}, {}),
    "scheduler": lambda value: ({"scheduler": value}, {}),
    "scheduler_flags": lambda value: ({"scheduler": "mh", "scheduler_flags": [value]}, {}),
    "one_packet": lambda value: ({"protocol": "udp", "one_packet": value}, {}),
    "persistence": lambda value: ({"persistence": value}, {}),
    "persistence.timeout": lambda value: ({"persistence": {"timeout": value}}, {}),
    "persistence.netmask": lambda value: ({"persistence": {"netmask": value}}, {}),
    "persistence.engine": lambda value: ({"protocol": "udp", "persistence": {"engine": value}}, {}),
    **{
        "health_check." + field: lambda value, field=field: ({"health_check": {"type": "http", field: value}}, {})
        for field in health_check.CHECK_FIELDS["http"]
        if field not in ("urls", "agent", *health_check.TLS_FIELDS)
    },
    **{
        "health_check." + field: lambda value, field=field: ({"health_check": {**SAFE, field: value}}, {})
        for field in health_check.TLS_FIELDS
    },
    "health_check.login_file": lambda value: ({"health_check": {"type": "rtsp", "path": "/x", "login_file": value}}, {}),
    "health_check.urls": lambda value: ({"health_check": {"type": "https", "urls": [{"path": "/"}, {"path": value}]}}, {}),
    **{
        name: lambda value, name=name: ({"mode": "nat", "health_check": {}}, {name: value})
        for name in ("ansible_host", "real_server_address", "real_server_weight", "real_server_state", "real_server_port")
    },
    "nat_gateway": lambda value: ({"mode": "nat", "nat_gateway": value}, {}),
    "return_path": lambda value: ({"mode": "nat", "return_path": value}, {}),
    "real_server_port of a service": lambda value: ({"mode": "nat", "real_server_port": value}, {}),
    **{
        "tunnel." + field: lambda value, field=field: ({"mode": "tunnel", "tunnel": {"type": "gue", "port": 6080, field: value}}, {})
        for field in ("type", "port", "checksum")
    },
    "real_server_address6": lambda value: ({"addresses": [VIP6]}, {"real_server_address6": value}),
    "real_server_misplaced": lambda value: ({}, {"real_server_misplaced": value}),
    "sorry_server": lambda value: ({"health_check": {"target": "server"}, "sorry_server": value}, {}),
    "instance": lambda value: ({"instance": value}, {}),
    "health_check.agent": lambda value: ({"health_check": {"target": "server", "agent": {"port": value}}}, {}),
    **{
        "script." + field: lambda value, field=field: ({"health_check": {"type": "script", "path": "/x", field: value}}, {})
        for field in ("path", "user")
    },
    "script.arguments": lambda value: ({"health_check": {"type": "script", "path": "/x", "arguments": [value]}}, {}),
}
GOOD = {
    "health_check.target": "server", "health_check.payload": "0d0a", "health_check.reply": "6f6b", "health_check.query": "example.com",
    "mode": "nat", "state": "present", "protocol": "udp", "scheduler": "mh", "scheduler_flags": "mh-port", "one_packet": "yes",
    "persistence.netmask": "255.255.255.0", "persistence.engine": "sip", "health_check.type": "tcp", "health_check.path": "/x",
    "health_check.urls": "/x", "health_check.host": "a.example.com", "health_check.status": "204", "real_server_state": "drained",
    "real_server_misplaced": "refuse", "sorry_server": "director2", "instance": "lvsdr", "health_check.floor": "0.5",
    "health_check.when_all_fail": "out", "health_check.tls": "yes", "health_check.verify": "/etc/a.pem",
    "health_check.login_file": "/etc/lvsdr/a", "script.path": "/x", "script.user": "nobody",
    "nat_gateway": "192.0.2.1", "return_path": "default_gateway", "tunnel.type": "gue", "tunnel.checksum": "csum",
    "real_server_address6": "2001:db8::9", "address": VIP, "address of a mark": VIP,
    "ansible_host": "192.0.2.9", "real_server_address": "192.0.2.9",
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_no_value_breaks_out_of_its_place(place):
    """It is refused before anything is rendered, with a message that shows it."""
    good = GOOD.get(place, "7")
    changes, variables = PLACES[place](good)
    heavy = {"real_server_weight": 10}
    assert render(service(**changes), hosts={"server1": {**heavy, **variables}, "server2": heavy}), "the place itself is one"
    for evil in EVIL:
        if place in ("name", "health_check.match") and evil == "%s evil":
            continue  # it stands in a comment or between quotes, where blanks do no harm
        changes, variables = PLACES[place](evil % good)
        with pytest.raises(LvsError):
            render(service(**changes), hosts={"server1": {**heavy, **variables}, "server2": heavy})


def test_all_places_are_tried():
    """An option that is added to the model belongs into PLACES, too."""
    tried = {name.partition(".")[0] for name in PLACES} | {"real_servers", "stream", "scale"}
    assert set(resolve.SERVICE_FIELDS) - {"addresses", "ports", "health_check", "checks"} <= tried
    others = {name for name in inventory_hosts.HOST_VARIABLES if name.startswith(("director_", "streaming_server_", "preflight_"))}
    assert set(inventory_hosts.HOST_VARIABLES) - others <= tried, "those have tests of their own"


def test_a_stream_and_a_group_are_not_in_the_file():
    assert (
        render(service(stream="/x", scale={"connections": 800}))
        == render(service())
        == render(service(real_servers="all"), groups={"all": ["server1", "server2"]})
    )


def parse(text):
    """The blocks as nested lists of words, as keepalived reads them; it fails where braces do not match or a word is not a simple one."""
    stack = [[]]
    for line in text.split("\n"):
        # Blanks as C knows them: Python's split() has more.
        words = re.findall(r"[^ \t\v\f\r]+", re.split(r"[#!]", line)[0])
        assert not re.search(r"[\"'\x00-\x08\x0b-\x1f]", line), line
        if words == ["}"]:
            stack.pop()
        elif words and words[-1] == "{":
            block = []
            stack[-1].append((words[:-1], block))
            stack.append(block)
        elif words:
            assert not {"{", "}"} & set("".join(words)), line
            stack[-1].append(words)
    assert len(stack) == 1
    return stack[0]


paths = st.one_of(st.just("/ok"), st.text(max_size=8).map("/".__add__))
hosts = st.one_of(st.just("a.example.com"), st.text(max_size=8))


@settings(max_examples=100, deadline=None)
@given(
    paths,
    hosts,
    st.integers(0, 2**31),
    st.integers(1, 0xFFFFFFFF),
    st.lists(st.sampled_from([*BOTH, "192.0.2.101"]), unique=True, min_size=1),
)
def test_what_is_rendered_has_the_shape_of_the_model(path, host, weight, mark, addresses):
    check = {"type": "http", "path": path, "host": host, "port": 80, "target": "server"}
    declared = [
        service(addresses=addresses, health_check=check),
        service(name="mark", addresses=addresses, ports=GONE, firewall_mark=mark, health_check=check),
    ]
    try:
        text = render(*declared, hosts={"server1": {"real_server_weight": weight}})
    except LvsError:
        return
    blocks = [(words, block) for words, block in parse(text) if words[0] != "track_file"]
    assert [words[0] for words, _block in blocks[:3]] == ["global_defs", "static_routes", "vrrp_instance"]
    servers = [words for words, _block in blocks[3:]]
    families = {":" in address for address in addresses}
    assert servers == [["virtual_server", address, "80"] for address in addresses] + [["virtual_server", "fwmark", str(mark)]] * len(
        families
    )
    for _words, block in blocks[3:]:
        real = [inner for words, inner in (item for item in block if isinstance(item, tuple)) if words[0] == "real_server"]
        assert [inner[0] for inner in real] == [["weight", str(weight)], ["weight", "1"]]
        (_name, checker) = real[1][2]
        assert checker[0] == (["url"], [["path", path], ["status_code", "200"], ["virtualhost", host]])


def test_a_director_that_is_a_proxy_holds_the_vip_while_haproxy_runs():
    proxies = service(name="web", mode="proxy", proxies="directors", addresses=[VIP6], ports=[8443])
    text = render(service(addresses=[VIP]), proxies)
    assert "        %s/128 dev eth0\n" % VIP6 in text and "virtual_server %s" % VIP6 not in text and "virtual_server %s 80" % VIP in text
    assert "track_file haproxy-stopped {\n    file /run/lvsdr/haproxy-stopped\n}\n" in text
    assert "        haproxy-stopped weight 0\n    }\n" in text
    # Another instance has nothing to do with it.
    apart = render(
        service(addresses=[VIP]), {**proxies, "instance": "web"}, settings={**SETTINGS, "instances": {"web": {"virtual_router_id": 52}}}
    )
    first, second = (part.partition("\n}\n")[0] for part in apart.split("vrrp_instance ")[1:3])
    assert ("haproxy-stopped weight" in first, "haproxy-stopped weight" in second) == (False, True) and VIP6 in second
    assert "haproxy-stopped" not in render(service(), {**proxies, "state": "absent"})
