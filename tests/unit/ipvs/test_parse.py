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


BAD = {
    "-A -t www.example.com:http": "line 1: www.example.com:http is no address and port; `ipvsadm -Sn` prints them as numbers",
    "-A -t 198.51.100.100": "line 1: port: port 0 stands for every port and works only with persistence; add it, or name a port",
    "-A -t 198.51.100.300:80": "line 1: address: '198.51.100.300' is not an IPv4 or IPv6 host address",
    "-A -t 198.51.100.100:80 -s fast": "line 1: scheduler: unknown value 'fast'; one of %s is possible" % ", ".join(types.SCHEDULERS),
    "-A -t 198.51.100.100:80 -w 5": "line 1: option -w does not belong there",
    "-A -t 198.51.100.100:80 -s rr -s wrr": "line 1: option -s is given a second time",
    "-A -t": "line 1: option -t has no value",
    "-A -s rr": "line 1: it can't be read; a line names one service, and nothing but options follows",
    "-A -t 198.51.100.100:80 80": "line 1: 80 can't be read; a line names one service, and nothing but options follows",
    "-a -t 198.51.100.100:80 -r 192.0.2.1": "line 1: there is no service -t 198.51.100.100:80 before this line; add it with -A",
    "-D -t 198.51.100.100:80": "line 1: -D adds nothing to a table; -A, -a, --set and --start-daemon do",
    "TCP  198.51.100.100:80 wlc": "line 1: TCP adds nothing to a table; -A, -a, --set and --start-daemon do",
    "-A -t 198.51.100.1:1 -M 255.255.255.0": "line 1: option -M needs -p",
    "-A -t 198.51.100.1:1 --netmask 255.255.255.0": "line 1: option --netmask needs -p",
    "-a --tcp-service=198.51.100.1:1 -r 192.0.2.1": (
        "line 1: there is no service --tcp-service 198.51.100.1:1 before this line; add it with -A"
    ),
    "-A -f 5 --ipv6=yes": "line 1: option --ipv6 takes no value",
    "-C now": "line 1: -C takes nothing more",
    "--start-daemon master backup --mcast-interface eth0": "line 1: --start-daemon takes one word, master or backup",
    "--set 1 2": "line 1: --set takes three numbers: tcp, tcpfin and udp",
    "--set 1 2 x": "line 1: udp: 'x' is not a whole number",
    "--start-daemon both --mcast-interface eth0": "line 1: state: unknown value 'both'; one of master, backup is possible",
    "-A -f 5\n-A -f 5": "line 2: the service is added a second time",
    "-A -f 5\n-a -f 5 -r 192.0.2.1 -w -1": "line 2: weight: -1 is out of range (0 to 2147483647)",
    "-A -f 5\n-a -f 5 -r 192.0.2.1 -w": "line 2: option -w has no value",
    "-A -f 5\n-a -f 5 -r 192.0.2.1:0 -i --tun-csum --tun-nocsum": "line 2: more than one checksum: none, csum",
    "-A -f 5\n-a -f 5 -r 192.0.2.1:0 -g -i": "line 2: more than one forwarding method: dr, tunnel",
    "-A -f 5\n-a -f 5 -r 192.0.2.1:0\n-a -f 5 -r 192.0.2.1:0": (
        "line 3: destination 192.0.2.1:0 is in this service already; remove one"
    ),
    "-A -f 5\n-a -f 5 -g": "line 2: option -r is missing; it names the real server",
    "-A -t 198.51.100.100:80 -s \x1b[2J": "line 1: scheduler: unknown value '\\x1b[2J'; one of %s is possible"
    % ", ".join(types.SCHEDULERS),
    "-A -f 5\n\n-a -f 5 -r 192.0.2.1:0 -w 9999999999": "line 3: weight: 9999999999 is out of range (0 to 2147483647)",
}  # fmt: skip


FIRST = "-A -t 192.0.2.100:80 -s rr\n-a -t 192.0.2.100:80 -r "
OTHER = "\n-a -t 192.0.2.100:80 -r "


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("192.0.2.94:8000 -g", "192.0.2.94:80 -g",
         "line 3: destination 192.0.2.94:80 is the same as 192.0.2.94:8000 of line 2: direct routing has no port of its own, so 8000 "
         "counts as 80; remove one of the two lines"),
        ("192.0.2.94:80", "192.0.2.94:8000", "192.0.2.94:8000 is the same as 192.0.2.94:80 of line 2: direct routing has no port of"),
        ("192.0.2.94:8000 -g", "192.0.2.94:8001 -g", "192.0.2.94:8001 is the same as 192.0.2.94:8000 of line 2"),
        ("192.0.2.94:8000 -g", "192.0.2.94:8000 -g", "192.0.2.94:8000 is the same as 192.0.2.94:8000 of line 2"),
        ("192.0.2.94:8000 -i", "192.0.2.94 -g", "192.0.2.94:80 is the same as 192.0.2.94:8000 of line 2: a tunnel has no port of its own"),
        ("192.0.2.94:80 -m", "192.0.2.94:8000 -g", "192.0.2.94:8000 is the same as 192.0.2.94:80 of line 2: direct routing has no port"),
        ("192.0.2.94:80 -g", "192.0.2.94:80 -g", "line 3: destination 192.0.2.94:80 is in line 2 already; remove one of the two lines"),
        ("192.0.2.94:8000 -m", "192.0.2.94:8000 -m", "line 3: destination 192.0.2.94:8000 is in line 2 already"),
    ],
)  # fmt: skip
def test_one_server_twice_is_named_as_it_is_written(first, second, words):
    with pytest.raises(LvsError) as caught:
        parse(FIRST + first + OTHER + second)
    (problem,) = caught.value.details["problems"]
    assert words in problem and problem.startswith("line 3: destination ")


def test_a_port_that_counts_as_another_is_said():
    notes = []
    (service,) = parse(FIRST + "192.0.2.94:8000 -g" + OTHER + "192.0.2.95:80 -g" + OTHER + "192.0.2.96:8000 -m", notes)["services"]
    assert [one.get("port", 80) for one in service["destinations"]] == [80, 80, 8000]
    assert notes == [
        "line 2: direct routing has no port of its own, so 192.0.2.94:8000 counts as 80, for ipvsadm as well; a server that listens on "
        "8000 alone needs -m"
    ]


LISTING = """IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.0.2.100:80 wlc
  -> 192.0.2.21:80                Route   1      0          0
FWM  5 rr
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LISTING, "line 1: this is what `ipvsadm -Ln` prints, from which no table can be made; save the table with `ipvsadm -Sn`"),
        ("root@lb1:~# ipvsadm -Ln\n" + LISTING, "line 2: this is what `ipvsadm -Ln` prints"),
        (LISTING.replace("Scheduler Flags", "Conns InPkts OutPkts InBytes OutBytes").partition("\n")[2], "what `ipvsadm -Ln` prints"),
        ("\n".join(LISTING.splitlines()[3:]), "line 2: this is what `ipvsadm -Ln` prints"),
        ("IPVS connection entries\npro expire state       source             virtual            destination\n", "a list of connections"),
        ("Timeout (tcp tcpfin udp): 900 120 300\n", "what `ipvsadm -L --timeout` prints"),
        ("master sync daemon (mcast=eth0, syncid=1)\n", "what `ipvsadm -L --daemon` prints"),
        ("! comment\nvirtual_server 192.0.2.100 80 {\n  real_server 192.0.2.21 80 {\n", "line 2: this is a keepalived.conf"),
        ("# Generated\n*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j ACCEPT\n", "line 2: this is what iptables-save prints"),
    ],
)
def test_a_text_of_another_kind_is_named_in_one_sentence(text, words):
    with pytest.raises(LvsError) as caught:
        parse(text)
    (problem,) = caught.value.details["problems"]
    assert words in problem and problem.endswith("save the table with `ipvsadm -Sn`")


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
    assert BAD[text] in caught.value.details["problems"]


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
    left_out = {note.split(" is left out")[0] for note in notes if " is left out" in note}
    given_a_flag = {note.split(" gets ")[0] for note in notes if " gets " in note}
    assert len(declared) + len(left_out) == len(services) and len(left_out) + len(given_a_flag) == len(notes)
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
    assert [note.split(": ", 1)[1].split("; ")[0].split(", ")[0] for note in notes] == [
        "the table does not tell its VIPs",
        "it has no destinations",
        "real server 192.0.2.21 has another weight or port in a service before",
        "an inventory has one mode for a service",
        "thresholds can be declared with ipvs_table alone",
        "tunnels other than IPIP of the service's own family can be declared with ipvs_table alone",
        "an inventory has one mode for a service",
    ]
