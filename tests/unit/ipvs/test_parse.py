"""From ipvsadm's text to the options, back again, and on to an inventory. tests/kernel does it with ipvsadm itself."""

import pytest
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.inventory import resolve
from ansible.module_utils.lvsdr.ipvs import adopt, declare, describe, render, types
from ansible.module_utils.lvsdr.ipvs.parse import parse
from ansible.module_utils.lvsdr.ipvs.types import Daemon, Entry, Timeouts
from fakes.tables import tables
from hypothesis import given, settings
from hypothesis import strategies as st
from said import id_of, path_and_id

some = settings(max_examples=200, deadline=None)


def plain(table):
    return {key: Entry(entry.service, entry.destinations, {}) for key, entry in table.items()}


@some
@given(tables())
def test_rendered_and_parsed_is_the_same_table(table):
    wanted = declare.read_services(parse(render.render(table))["services"])
    assert {key: Entry(one.service, one.destinations, {}) for key, one in wanted.items()} == plain(table)


DAEMONS = st.builds(
    Daemon,
    st.just("master"),
    st.sampled_from(["eth0", "bond0.100", "a-b_c"]),
    st.integers(0, 255),
    st.sampled_from([None, 1024, 65487]),
    st.sampled_from([None, "224.0.0.81", "ff02::81"]),
    st.sampled_from([None, 1, 65535]),
    st.sampled_from([None, 1, 255]),
)


@some
@given(st.lists(DAEMONS, max_size=1), DAEMONS, st.tuples(*[st.sampled_from([0, 1, types.MAX_TIMEOUT])] * 3))
def test_settings_are_the_same_too(masters, other, timeouts):
    daemons = [*masters, other._replace(state="backup")]
    found = parse(render.render_settings(Timeouts(*timeouts), daemons))
    assert found["sync_daemons"] == [describe.options_as_dict(daemon) for daemon in daemons]
    assert found["timeouts"] == {name: value for name, value in zip(Timeouts._fields, timeouts) if value}


def test_a_script_is_read_as_well():
    found = parse("""
        # the web
        /sbin/ipvsadm -C
        ipvsadm --add-service --tcp-service 198.51.100.100:80 --scheduler=wrr --persistent -M 255.255.255.0  # sticky
        ipvsadm -a -t 198.51.100.100:80 -r 192.0.2.21 -w5
        ipvsadm --add-server -t 198.51.100.100:80 --real-server 192.0.2.22:8080 --ipip
        ipvsadm -a -t 198.51.100.100:80 -m -r 192.0.2.23:8080 --weight=7 -x 9 -y 8
        ipvsadm --set 3600 0 0
    """)
    assert found == {
        "services": [
            {
                "address": "198.51.100.100",
                "protocol": "tcp",
                "port": 80,
                "scheduler": "wrr",
                "persistence": {"timeout": 360, "netmask": "255.255.255.0"},
                "destinations": [
                    {"address": "192.0.2.21", "forward": "dr", "weight": 5},
                    # ipvsadm takes the service's port for all but NAT.
                    {"address": "192.0.2.22", "forward": "tunnel", "weight": 1},
                    {"address": "192.0.2.23", "port": 8080, "forward": "nat", "weight": 7, "upper_threshold": 9, "lower_threshold": 8},
                ],
            }
        ],
        "timeouts": {"tcp": 3600},
    }


def test_ipvsadm_prints_a_large_mark_as_a_negative_number():
    assert parse("-A -f -1 -6 -s fo")["services"][0]["firewall_mark"] == 4294967295


def test_what_is_cleared_and_set_again_is_as_after_the_script():
    assert [s["port"] for s in parse("-A -t 198.51.100.1:1\n-C\n-A -t 198.51.100.1:2")["services"]] == [2]
    assert parse("--set 1 2 3\n--set 0 0 7\n--set 0 0 0")["timeouts"] == {"tcp": 1, "tcp_fin": 2, "udp": 7}


def test_letters_that_stand_together():
    (service,) = parse("-A -u 198.51.100.1:1 -op 60\n-a -u 198.51.100.1:1 -r 192.0.2.1 -mw5")["services"]
    assert service["one_packet"] and service["persistence"] == {"timeout": 60}
    assert service["destinations"] == [{"address": "192.0.2.1", "forward": "nat", "weight": 5}]


def test_nothing_is_an_empty_table():
    assert parse("") == parse("\n\n# nothing\n-C\n") == {"services": []}


# (line and option, id, what the sentence names)
BAD = {
    "-A -t www.example.com:http": ("line 1", "ipvsadm-not-an-endpoint", "www.example.com:http"),
    "-A -t 198.51.100.100": ("line 1: port", "port-zero-needs-persistence", ""),
    "-A -t 198.51.100.300:80": ("line 1: address", "not-an-address", "'198.51.100.300'"),
    "-A -t 198.51.100.100:80 -s fast": ("line 1: scheduler", "unknown-value", "choose from: " + ", ".join(types.SCHEDULERS)),
    "-A -t 198.51.100.100:80 -w 5": ("line 1", "ipvsadm-option-misplaced", "option -w "),
    "-A -t 198.51.100.100:80 -s rr -s wrr": ("line 1", "listed-twice", "option -s "),
    "-A -t": ("line 1", "ipvsadm-option-value-missing", "option -t "),
    "-A -s rr": ("line 1", "ipvsadm-one-service", ""),
    "-A -t 198.51.100.100:80 80": ("line 1", "ipvsadm-words-unreadable", ": 80 "),
    "-a -t 198.51.100.100:80 -r 192.0.2.1": ("line 1", "ipvsadm-service-unknown", "service -t 198.51.100.100:80 "),
    "-D -t 198.51.100.100:80": ("line 1", "ipvsadm-command-unknown", ": -D "),
    "TCP  198.51.100.100:80 wlc": ("line 1", "ipvsadm-command-unknown", ": TCP "),
    "-A -t 198.51.100.1:1 -M 255.255.255.0": ("line 1", "ipvsadm-option-needs-persistence", "option -M "),
    "-A -t 198.51.100.1:1 --netmask 255.255.255.0": ("line 1", "ipvsadm-option-needs-persistence", "option --netmask "),
    "-a --tcp-service=198.51.100.1:1 -r 192.0.2.1": ("line 1", "ipvsadm-service-unknown", "service --tcp-service 198.51.100.1:1 "),
    "-A -f 5 --ipv6=yes": ("line 1", "ipvsadm-option-takes-no-value", "option --ipv6 "),
    "-C now": ("line 1", "ipvsadm-command-alone", ": -C "),
    "--start-daemon master backup --mcast-interface eth0": ("line 1", "ipvsadm-daemon-state", ""),
    "--set 1 2": ("line 1", "ipvsadm-set-numbers", ""),
    "--set 1 2 x": ("line 1: udp", "not-a-whole-number", "'x'"),
    "--start-daemon both --mcast-interface eth0": ("line 1: state", "unknown-value", "'both'"),
    "-A -f 5\n-A -f 5": ("line 2", "listed-twice", "service -f 5 "),
    "-A -f 5\n-a -f 5 -r 192.0.2.1 -w -1": ("line 2: weight", "out-of-range", "between 0 and 2147483647, not -1 "),
    "-A -f 5\n-a -f 5 -r 192.0.2.1 -w": ("line 2", "ipvsadm-option-value-missing", "option -w "),
    "-A -f 5\n-a -f 5 -r 192.0.2.1:0 -i --tun-csum --tun-nocsum": ("line 2", "ipvsadm-only-one", "checksum can be given, not none, csum"),
    "-A -f 5\n-a -f 5 -r 192.0.2.1:0 -g -i": ("line 2", "ipvsadm-only-one", "forwarding method can be given, not dr, tunnel"),
    "-A -f 5\n-a -f 5 -r 192.0.2.1:0\n-a -f 5 -r 192.0.2.1:0": ("line 3", "listed-twice", "destination 192.0.2.1:0 "),
    "-A -f 5\n-a -f 5 -g": ("line 2", "ipvsadm-real-server-missing", ""),
    "-A -t 198.51.100.100:80 -s \x1b[2J": ("line 1: scheduler", "unknown-value", "'\\x1b[2J'"),
    "-A -f 5\n\n-a -f 5 -r 192.0.2.1:0 -w 9999999999": ("line 3: weight", "out-of-range", "not 9999999999 "),
}  # fmt: skip


FIRST = "-A -t 192.0.2.100:80 -s rr\n-a -t 192.0.2.100:80 -r "
OTHER = "\n-a -t 192.0.2.100:80 -r "


@pytest.mark.parametrize(
    ("first", "second", "expected", "named"),
    [
        ("192.0.2.94:8000 -g", "192.0.2.94:80 -g", "ipvsadm-same-destination",
         ["destination 192.0.2.94:80 ", " 192.0.2.94:8000 of line 2", "direct routing ", " 8000 counts as 80;"]),
        ("192.0.2.94:80", "192.0.2.94:8000", "ipvsadm-same-destination",
         ["destination 192.0.2.94:8000 ", " 192.0.2.94:80 of line 2", "direct routing ", " 8000 counts as 80;"]),
        ("192.0.2.94:8000 -g", "192.0.2.94:8001 -g", "ipvsadm-same-destination",
         ["destination 192.0.2.94:8001 ", " 192.0.2.94:8000 of line 2"]),
        ("192.0.2.94:8000 -g", "192.0.2.94:8000 -g", "ipvsadm-same-destination",
         ["destination 192.0.2.94:8000 ", " 192.0.2.94:8000 of line 2"]),
        ("192.0.2.94:8000 -i", "192.0.2.94 -g", "ipvsadm-same-destination",
         ["destination 192.0.2.94:80 ", " 192.0.2.94:8000 of line 2", "a tunnel "]),
        ("192.0.2.94:80 -m", "192.0.2.94:8000 -g", "ipvsadm-same-destination",
         ["destination 192.0.2.94:8000 ", " 192.0.2.94:80 of line 2", "direct routing "]),
        ("192.0.2.94:80 -g", "192.0.2.94:80 -g", "declared-twice", ["destination 192.0.2.94:80 ", " line 2"]),
        ("192.0.2.94:8000 -m", "192.0.2.94:8000 -m", "declared-twice", ["destination 192.0.2.94:8000 ", " line 2"]),
    ],
)  # fmt: skip
def test_one_server_twice_is_named_as_it_is_written(first, second, expected, named):
    with pytest.raises(LvsError) as caught:
        parse(FIRST + first + OTHER + second)
    (problem,) = caught.value.details["problems"]
    assert path_and_id(problem) == ("line 3", expected)
    assert [words for words in named if words not in problem] == []


def test_a_port_that_counts_as_another_is_reported():
    notes = []
    (service,) = parse(FIRST + "192.0.2.94:8000 -g" + OTHER + "192.0.2.95:80 -g" + OTHER + "192.0.2.96:8000 -m", notes)["services"]
    assert [one.get("port", 80) for one in service["destinations"]] == [80, 80, 8000]
    (note,) = notes
    assert path_and_id(note) == ("line 2", "ipvsadm-port-counts-as")
    assert "direct routing " in note and " 192.0.2.94:8000 counts as 80," in note and " 8000 alone needs -m" in note


LISTING = """IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.0.2.100:80 wlc
  -> 192.0.2.21:80                Route   1      0          0
FWM  5 rr
"""


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (LISTING, 1, "what `ipvsadm -Ln` prints"),
        ("root@lb1:~# ipvsadm -Ln\n" + LISTING, 2, "what `ipvsadm -Ln` prints"),
        (LISTING.replace("Scheduler Flags", "Conns InPkts OutPkts InBytes OutBytes").partition("\n")[2], 1, "what `ipvsadm -Ln` prints"),
        ("\n".join(LISTING.splitlines()[3:]), 2, "what `ipvsadm -Ln` prints"),
        ("IPVS connection entries\npro expire state       source             virtual            destination\n", 1, "a list of connections"),
        ("Timeout (tcp tcpfin udp): 900 120 300\n", 1, "what `ipvsadm -L --timeout` prints"),
        ("master sync daemon (mcast=eth0, syncid=1)\n", 1, "what `ipvsadm -L --daemon` prints"),
        ("! comment\nvirtual_server 192.0.2.100 80 {\n  real_server 192.0.2.21 80 {\n", 2, "a keepalived.conf"),
        ("# Generated\n*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j ACCEPT\n", 2, "what iptables-save prints"),
    ],
)
def test_a_text_of_another_kind_is_named_in_one_sentence(text, line, what):
    with pytest.raises(LvsError) as caught:
        parse(text)
    (problem,) = caught.value.details["problems"]
    assert path_and_id(problem) == ("line %d" % line, "not-ipvsadm-save")
    assert "this is %s," % what in problem and "`ipvsadm -Sn`" in problem


@pytest.mark.parametrize("method", ["-g", "-i", "-m"])
def test_ports_behind_a_firewall_mark_are_destinations_of_their_own(method):
    """As ipvsadm has it: dropping one would delete a destination with all its viewers when the table is declared again."""
    text = "-A -f 9 -s rr\n-a -f 9 -r 192.0.2.21:80 %s -w 1\n-a -f 9 -r 192.0.2.21:81 %s -w 1\n" % (method, method)
    wanted = declare.read_services(parse(text)["services"])
    table = {key: Entry(one.service, one.destinations, {}) for key, one in wanted.items()}
    assert [key for entry in table.values() for key in entry.destinations] == [("192.0.2.21", 80), ("192.0.2.21", 81)]
    assert declare.read_services(parse(render.render(table))["services"]) == wanted


@pytest.mark.parametrize("text", BAD)
def test_a_wrong_line_is_named(text):
    with pytest.raises(LvsError) as caught:
        parse(text)
    place, expected, named = BAD[text]
    (line,) = [line for line in caught.value.details["problems"] if line.startswith(place + ": ") and path_and_id(line)[1] == expected]
    assert named in line


def test_all_wrong_lines_are_named_in_their_order():
    with pytest.raises(LvsError) as caught:
        parse("\n".join(BAD))
    numbers = [int(line.split()[1].rstrip(":")) for line in caught.value.details["problems"] if line.startswith("line ")]
    assert numbers == sorted(numbers) and len(set(numbers)) > 15


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(sorted({word for text in BAD for word in text.split()})), max_size=9).map(" ".join))
def test_no_text_gives_another_error_than_ours(text):
    try:
        parse(text)
    except LvsError as error:
        assert error.details["problems"]


def as_inventory(found):
    """An inventory of adopt's as resolve takes it."""
    return {"groups": {name: list(group["hosts"]) for name, group in found["all"]["children"].items()}, "hosts": found["all"]["hosts"]}


@some
@given(tables())
def test_an_inventory_makes_the_same_table(table):
    services = [describe.service_as_dict(entry) for entry in table.values()]
    found, notes = adopt.inventory(services)
    declared = found["all"]["vars"]["virtual_services"]
    # Whatever is not in the inventory is in the notes.
    given_a_flag = {note.split(" gets ")[0] for note in notes if id_of(note) == "adopt-flag-added"}
    nat = {note.split(" is NAT")[0] for note in notes if id_of(note) == "adopt-nat-gateway"}
    left_out = {note.split(" is left out")[0] for note in notes if id_of(note) not in ("adopt-flag-added", "adopt-nat-gateway")}
    assert len(declared) + len(left_out) == len(services) and len(left_out) + len(given_a_flag) + len(nat) == len(notes)
    assert len(nat) == sum(one["mode"] == "nat" for one in declared)
    declared = [{**one, "nat_gateway": ["192.0.2.1", "2001:db8::1"]} if one["mode"] == "nat" else one for one in declared]
    if declared:
        made = declare.read_services(resolve.resolve(declared, as_inventory(found)).tables())
        for service in services:
            if name_of(service) in given_a_flag:
                service["scheduler_flags"] = [*service.get("scheduler_flags", []), service["scheduler"] + "-fallback"]
        expected = declare.read_services([s for s in services if name_of(s) not in left_out])
        assert made == expected


def name_of(service):
    (wanted,) = declare.read_services([service]).values()
    return types.service_name(types.service_key(wanted.service))


def test_why_a_service_is_left_out():
    one, two = {"address": "192.0.2.21", "weight": 5}, {"address": "192.0.2.22"}
    services = [
        {"address": "198.51.100.100", "port": 80, "destinations": [one, two]},
        {"address": "198.51.100.100", "port": 443, "destinations": [one, two]},
        {"firewall_mark": 5, "destinations": [one]},
        {"address": "198.51.100.100", "port": 1},
        {"address": "198.51.100.100", "port": 2, "destinations": [{**one, "weight": 6}]},
        {"address": "198.51.100.100", "port": 3, "destinations": [one, {**two, "forward": "nat"}]},
        {"address": "198.51.100.100", "port": 4, "destinations": [{**one, "upper_threshold": 5}]},
        {"address": "198.51.100.100", "port": 5, "destinations": [{**one, "forward": "tunnel", "tunnel": {"type": "gre"}}]},
        {"address": "198.51.100.100", "port": 6, "destinations": [{**one, "forward": "local"}]},
    ]
    found, notes = adopt.inventory(services)
    assert [service["ports"] for service in found["all"]["vars"]["virtual_services"]] == [[80], [443]]
    assert list(found["all"]["children"]) == ["directors", "servers_of_tcp_198_51_100_100_80"], "equal sets of servers are one group"
    assert [(note.partition(" is left out: ")[0], id_of(note)) for note in notes] == [
        ("fwmark 5", "adopt-firewall-mark"),
        ("tcp 198.51.100.100:1", "adopt-no-destinations"),
        ("tcp 198.51.100.100:2", "adopt-server-differs"),
        ("tcp 198.51.100.100:3", "adopt-several-modes"),
        ("tcp 198.51.100.100:4", "adopt-thresholds"),
        ("tcp 198.51.100.100:5", "adopt-tunnel"),
        ("tcp 198.51.100.100:6", "adopt-several-modes"),
    ]
    assert "real server 192.0.2.21 " in notes[2] and "dr, nat" in notes[3] and "local" in notes[6]
