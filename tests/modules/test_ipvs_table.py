"""main() of ipvs_table against the in-memory kernel: what it returns, and what the kernel then holds."""

import errno
import json

import pytest
from ansible.module_utils.lvsdr.errors import Line, LvsError
from ansible.module_utils.lvsdr.ipvs import kernel
from ansible.module_utils.lvsdr.system import sysctl
from ansible.module_utils.testing import patch_module_args
from ansible.modules import ipvs_table
from fakes.kernel import (
    CTRL,
    CTRL_GETFAMILY,
    DEL_DEST,
    DEL_SERVICE,
    FAMILY_ID,
    GET_CONFIG,
    GET_DAEMON,
    GET_DEST,
    GET_SERVICE,
    HASHED,
    INET,
    INET6,
    NEW_DEST,
    NEW_SERVICE,
    SET_DEST,
    SET_SERVICE,
    Destination,
    Kernel,
    Service,
    Socket,
    name_of,
)
from said import id_of, path_and_id

VIP, VIP6, OTHER = "198.51.100.100", "2001:db8:100::100", "203.0.113.50"
ONE, TWO, THREE = "198.51.100.21", "198.51.100.22", "198.51.100.23"
ONE6 = "2001:db8:100::21"
WEB = "tcp 198.51.100.100:80"


@pytest.fixture
def there(monkeypatch):
    """The kernel in its place."""
    fake = Kernel()
    monkeypatch.setattr(kernel, "connect", fake.connect)
    return fake


@pytest.fixture
def run(capsys, there):
    """Runs the module and returns its result."""

    def run(services=(), check=False, **options):
        del there.changes[:]
        options.setdefault("_ansible_diff", True)
        with patch_module_args({"services": list(services), "_ansible_check_mode": check, **options}), pytest.raises(SystemExit) as ended:
            ipvs_table.main()
        output = capsys.readouterr().out
        result = json.loads(output)
        assert ended.value.code == (1 if result.get("failed") else 0)
        assert "exception" not in result and "Traceback" not in output
        return result

    return run


def web(*destinations, **more):
    return {"address": VIP, "port": 80, "destinations": list(destinations), **more}


def actions(result):
    """The commands' options, such as -A or --set."""
    return [line.split()[1] for line in result["operations"]]


def held(there):
    """The kernel's table as far as names go."""
    return {name: sorted(service.destinations) for name, service in there.services.items()}


# What is declared, and what the kernel must hold then: number by number as in include/uapi/linux/ip_vs.h.
KINDS = {
    "tcp": (web({"address": ONE}), Service(INET, 6, VIP, 80), [Destination(INET, ONE, 80)]),
    "udp": (
        web({"address": ONE, "weight": 0}, protocol="udp", scheduler="rr"),
        Service(INET, 17, VIP, 80, scheduler="rr"),
        [Destination(INET, ONE, 80, weight=0)],
    ),
    "sctp": (web({"address": ONE}, protocol="sctp"), Service(INET, 132, VIP, 80), [Destination(INET, ONE, 80)]),
    "ipv6": (
        {"address": VIP6.upper(), "port": 443, "destinations": [{"address": ONE6, "weight": 2147483647}]},
        Service(INET6, 6, VIP6, 443, netmask="128"),
        [Destination(INET6, ONE6, 443, weight=2147483647)],
    ),
    "fwmark": (
        {"firewall_mark": 4294967295, "destinations": [{"address": ONE}]},
        Service(INET, 6, "", 0, mark=4294967295),
        [Destination(INET, ONE, 0)],
    ),
    "fwmark over IPv6": (
        {"firewall_mark": 5, "family": "ipv6", "destinations": [{"address": ONE6}]},
        Service(INET6, 6, "", 0, mark=5, netmask="128"),
        [Destination(INET6, ONE6, 0)],
    ),
    "nat to another port": (web({"address": ONE, "port": 8080, "forward": "nat"}), Service(INET, 6, VIP, 80),
                            [Destination(INET, ONE, 8080, forward=0)]),
    "local": (web({"address": ONE, "forward": "local"}), Service(INET, 6, VIP, 80), [Destination(INET, ONE, 80, forward=1)]),
    "ipip": (web({"address": ONE, "forward": "tunnel"}), Service(INET, 6, VIP, 80), [Destination(INET, ONE, 80, forward=2)]),
    "gue": (
        web({"address": ONE, "forward": "tunnel", "tunnel": {"type": "gue", "port": 6080, "checksum": "remcsum"}}),
        Service(INET, 6, VIP, 80),
        [Destination(INET, ONE, 80, forward=2, tunnel=(1, 6080, 2))],
    ),
    "gre": (
        web({"address": ONE, "forward": "tunnel", "tunnel": {"type": "gre", "checksum": "csum"}}),
        Service(INET, 6, VIP, 80),
        [Destination(INET, ONE, 80, forward=2, tunnel=(2, 0, 1))],
    ),
    "a tunnel into the other family": (web({"address": ONE6, "forward": "tunnel"}), Service(INET, 6, VIP, 80),
                                       [Destination(INET6, ONE6, 80, forward=2)]),
    "thresholds": (
        web({"address": ONE, "upper_threshold": 100, "lower_threshold": 50}),
        Service(INET, 6, VIP, 80),
        [Destination(INET, ONE, 80, upper=100, lower=50)],
    ),
    "persistence": (
        web(persistence={"timeout": 360, "netmask": "255.255.255.0"}),
        Service(INET, 6, VIP, 80, flags=HASHED | 1, timeout=360, netmask="255.255.255.0"),
        [],
    ),
    "persistence of an IPv6 network, every port": (
        {"address": VIP6, "port": 0, "persistence": {"netmask": 64}, "destinations": [{"address": ONE6}]},
        Service(INET6, 6, VIP6, 0, flags=HASHED | 1, timeout=300, netmask="64"),
        [Destination(INET6, ONE6, 0)],
    ),
    "sip": (
        web(protocol="udp", persistence={"timeout": 60, "engine": "sip"}),
        Service(INET, 17, VIP, 80, flags=HASHED | 1, timeout=60, engine="sip"),
        [],
    ),
    "one packet": (web(protocol="udp", one_packet=True), Service(INET, 17, VIP, 80, flags=HASHED | 4), []),
    "mh-port": (web(scheduler="mh", scheduler_flags=["mh-port"]), Service(INET, 6, VIP, 80, scheduler="mh", flags=HASHED | 0x10), []),
    "sh with both": (
        web(scheduler="sh", scheduler_flags=["sh-port", "sh-fallback"]),
        Service(INET, 6, VIP, 80, scheduler="sh", flags=HASHED | 0x18),
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_made_read_back_and_taken_over(there, run, kind):
    declared, service, destinations = KINDS[kind]
    service = Service(**{**vars(service), "destinations": {name_of(d): d for d in destinations}})
    told = run([declared], check=True)
    assert there.services == {} and there.changes == []
    done = run([declared])
    assert there.services == {name_of(service): service}
    assert there.changes == [NEW_SERVICE] + [NEW_DEST] * len(destinations)
    assert told["changed"] and done["changed"]
    for what in ("operations", "before", "after", "diff", "foreign"):
        assert told[what] == done[what], what
    again = run([declared])
    assert not again["changed"] and again["operations"] == [] and there.changes == []
    assert again["before"] == again["after"] == []
    assert again["diff"]["before"] == again["diff"]["after"] == ""
    # What was gathered can be declared.
    assert not run(done["after"], state="overridden")["changed"]
    gathered = run(state="gathered")["gathered"]
    assert gathered["services"] == done["after"]
    assert not run(**gathered, state="overridden")["changed"] and there.changes == []
    assert there.open_sockets == 0


def test_any_kind_turns_into_any_other_in_place(there, run):
    same = [kind for kind in KINDS.values() if kind[1].protocol == 6 and kind[1].address == VIP]
    assert len(same) > 9
    for before in same:
        for after in same:
            run([before[0]], state="overridden")
            run([after[0]])
            service = Service(**{**vars(after[1]), "destinations": {name_of(d): d for d in after[2]}})
            assert there.services == {WEB: service}, "a set replaces all that it leaves out"
            assert not {NEW_SERVICE, DEL_SERVICE} & set(there.changes)
            both = {name_of(d) for d in before[2]} & {name_of(d) for d in after[2]}
            assert not both or not {NEW_DEST, DEL_DEST} & set(there.changes)


def filled(there):
    """The service, another port on its VIP, a foreign VIP and a firewall mark."""
    service = there.service("tcp", VIP, 80, scheduler="rr")
    there.destination(service, ONE, weight=5, connections=(3, 1, 0))
    there.destination(service, TWO, connections=(4, 0, 0))
    there.destination(there.service("tcp", VIP, 8080), ONE, connections=(7, 0, 0))
    there.service("tcp", OTHER, 80)
    there.services["fwmark 7"] = Service(INET, 6, "", 0, mark=7)
    return service


STATES = {
    "merged": (
        {WEB: [ONE, TWO, THREE], "tcp 198.51.100.100:8080": [ONE], "tcp 203.0.113.50:80": [], "fwmark 7": []},
        [SET_SERVICE, NEW_DEST, SET_DEST],
        ["fwmark 7", "tcp 198.51.100.100:8080", "tcp 203.0.113.50:80"],
    ),
    "replaced": (
        {WEB: [ONE, THREE], "tcp 203.0.113.50:80": [], "fwmark 7": []},
        [SET_SERVICE, NEW_DEST, SET_DEST, DEL_DEST, DEL_SERVICE],
        ["fwmark 7", "tcp 203.0.113.50:80"],
    ),
    "overridden": ({WEB: [ONE, THREE]}, [SET_SERVICE, NEW_DEST, SET_DEST, DEL_DEST, DEL_SERVICE, DEL_SERVICE, DEL_SERVICE], []),
    "deleted": (
        {"tcp 198.51.100.100:8080": [ONE], "tcp 203.0.113.50:80": [], "fwmark 7": []},
        [DEL_SERVICE],
        ["fwmark 7", "tcp 198.51.100.100:8080", "tcp 203.0.113.50:80"],
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_states(there, run, state):
    names, changes, foreign = STATES[state]
    filled(there)
    before = held(there)
    declared = [web({"address": ONE, "weight": 10}, {"address": THREE})]
    told = run(declared, state=state, check=True)
    assert held(there) == before and there.changes == []
    done = run(declared, state=state)
    assert {name: [d.split(":")[0] for d in ds] for name, ds in held(there).items()} == names
    assert there.changes == changes, "add before remove, destinations before services"
    assert done["foreign"] == foreign
    for what in ("operations", "before", "after", "diff", "foreign", "changed"):
        assert told[what] == done[what], what
    again = run(declared, state=state)
    assert not again["changed"] and there.changes == []


@pytest.mark.parametrize("state", ["merged", "replaced", "overridden"])
def test_absent_removes_in_every_state(there, run, state):
    filled(there)
    result = run([web(state="absent"), {"firewall_mark": 8, "state": "absent"}], state=state)
    assert actions(result)[-1] == "-D"
    assert WEB not in there.services
    assert ("tcp 203.0.113.50:80" in there.services) == (state != "overridden")
    assert not run([web(state="absent")], state=state)["changed"]


def test_nothing_declared_touches_nothing(there, run):
    filled(there)
    assert not run([])["changed"]
    assert not run([], state="merged")["changed"]
    assert not run([], state="deleted")["changed"]
    assert len(run([], state="overridden")["operations"]) == 4
    assert there.services == {}


def test_every_operation_says_what_it_does_to_connections(there, run):
    filled(there)
    result = run([web({"address": ONE, "weight": 0}, {"address": THREE})])
    assert result["operations"] == [
        "ipvsadm -E -t 198.51.100.100:80 -s wlc  # keeps connections",
        "ipvsadm -a -t 198.51.100.100:80 -r 198.51.100.23:80 -g -w 1  # keeps connections",
        "ipvsadm -e -t 198.51.100.100:80 -r 198.51.100.21:80 -g -w 0  # drains 3 active connections",
        "ipvsadm -d -t 198.51.100.100:80 -r 198.51.100.22:80  # cuts 4 active connections",
        "ipvsadm -D -t 198.51.100.100:8080  # cuts 7 active connections",
    ]
    assert result["effects"] == {
        "keeps": {"operations": 2, "connections": 0},
        "drains": {"operations": 1, "connections": 3},
        "cuts": {"operations": 2, "connections": 11},
    }


def test_diff_reads_like_ipvsadm(there, run, proc):
    there.destination(there.service("tcp", VIP, 80, scheduler="rr"), "198.51.100.9", weight=5)
    (proc / "conntrack").write_text("1\n")
    declared = [web({"address": "198.51.100.10"}, {"address": "198.51.100.9"}, persistence=300), {"firewall_mark": 5}]
    diff = run(declared, sysctls={"conntrack": 0}, _ansible_diff=True)["diff"]
    assert diff["before"] == (
        "net.ipv4.vs.conntrack = 1\n-A -t 198.51.100.100:80 -s rr\n-a -t 198.51.100.100:80 -r 198.51.100.9:80 -g -w 5\n"
    )
    assert diff["after"] == (
        "net.ipv4.vs.conntrack = 0\n"
        "-A -f 5 -s wlc\n"
        "-A -t 198.51.100.100:80 -s wlc -p 300\n"
        "-a -t 198.51.100.100:80 -r 198.51.100.9:80 -g -w 1\n"
        "-a -t 198.51.100.100:80 -r 198.51.100.10:80 -g -w 1\n"
    )


@pytest.mark.parametrize(
    ("allow", "refused"),
    [
        (["add", "change"], ["-d -t 198.51.100.100:80 -r 198.51.100.22:80", "-D -t 198.51.100.100:8080"]),
        (["add", "remove"], ["-E -t 198.51.100.100:80"]),
        (["change", "remove"], ["-a -t 198.51.100.100:80 -r 198.51.100.23:80"]),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_what_allow_does_not_name_is_refused(there, run, allow, refused, check):
    filled(there)
    result = run([web({"address": ONE, "weight": 5}, {"address": THREE})], allow=allow, check=check)
    assert result["failed"] and not result.get("changed") and there.changes == []
    assert id_of(result["msg"]) == "plan-not-allowed" and " %d operation" % len(refused) in result["msg"]
    for command in refused:
        assert "  - ipvsadm " + command in result["msg"]
    assert result["msg"].count("  - ") == len(refused)


def test_max_cut_connections(there, run):
    filled(there)
    declared = [web({"address": ONE, "weight": 0})]
    for limit, check in ((10, False), (0, True), (0, False)):
        result = run(declared, max_cut_connections=limit, check=check)
        assert result["failed"] and there.changes == []
        # 4 of the destination and 7 of the other port; the 3 that are drained live on.
        assert id_of(result["msg"]) == "max-cut-connections-exceeded"
        assert "would cut 11 active connections" in result["msg"] and "max_cut_connections is %d:" % limit in result["msg"]
        assert result["msg"].count("  - ipvsadm -d ") == result["msg"].count("  - ipvsadm -D ") == 1, "each cut is named"
    assert run(declared, max_cut_connections=11)["changed"]


def test_limits_do_not_hinder_a_plan_that_keeps_to_them(there, run):
    filled(there)
    assert run([web({"address": THREE})], state="merged", allow=["add", "change"], max_cut_connections=0)["changed"]
    assert THREE + ":80" in there.services[WEB].destinations


def test_weight_of_a_health_checked_destination_is_left_alone(there, run):
    declared = [web({"address": ONE, "weight": 10, "health_checked": True}, {"address": TWO, "weight": 10})]
    run(declared)
    servers = there.services[WEB].destinations
    assert (servers[ONE + ":80"].weight, servers[TWO + ":80"].weight) == (0, 10)
    servers[ONE + ":80"].weight = servers[TWO + ":80"].weight = 7
    result = run(declared)
    assert there.changes == [SET_DEST] and TWO in result["operations"][0]
    # A change of anything else sets the weight as well.
    declared[0]["destinations"][0]["upper_threshold"] = 9
    run(declared)
    assert (there.services[WEB].destinations[ONE + ":80"].weight, there.services[WEB].destinations[ONE + ":80"].upper) == (7, 9)


def test_someone_else_adds_the_same(there, run):
    def other(fake):
        fake.destination(fake.service("tcp", VIP, 80, scheduler="rr"), ONE, weight=9)

    there.before_apply = [other]
    result = run([web({"address": ONE}, {"address": TWO})])
    assert not result.get("failed") and result["changed"]
    # Of the first plan only TWO went through; the second one puts right what the other one made.
    assert actions(result) == ["-a", "-E", "-e"]
    service = there.services[WEB]
    assert (service.scheduler, held(there)) == ("wlc", {WEB: [ONE + ":80", TWO + ":80"]})
    assert service.destinations[ONE + ":80"].weight == 1


def test_someone_else_removes_the_service(there, run):
    filled(there)
    there.before_apply = [lambda fake: fake.services.pop(WEB)]
    result = run([web({"address": ONE}, {"address": TWO, "weight": 2})])
    assert result["changed"] and held(there)[WEB] == [ONE + ":80", TWO + ":80"]
    assert actions(result) == ["-D", "-A", "-a", "-a"]
    assert "8080" in result["operations"][0], "the one that went through the first time"
    assert not run([web({"address": ONE}, {"address": TWO, "weight": 2})])["changed"]


@pytest.mark.parametrize("weight", [0, 5])
def test_someone_else_removes_the_destination(there, run, weight):
    # ENOENT is what the kernel answers to both a set and a delete.
    there.destination(there.service("tcp", VIP, 80), ONE, weight=weight)
    there.before_apply = [lambda fake: fake.services[WEB].destinations.clear()]
    result = run([web({"address": ONE})] if weight else [web()])
    assert not result.get("failed")
    assert held(there) == {WEB: [ONE + ":80"] if weight else []}


def test_a_service_that_vanishes_between_the_dumps(there, run, monkeypatch):
    there.destination(there.service("tcp", VIP, 80, scheduler="rr"), ONE)
    dump = there.rows

    def rows(command, found):
        monkeypatch.setattr(there, "rows", dump)
        out = dump(command, found)
        assert command == GET_SERVICE
        there.services.clear()
        return out

    monkeypatch.setattr(there, "rows", rows)
    assert run([web()])["changed"]
    assert held(there) == {WEB: []}


def test_the_same_error_twice_is_an_error(there, run):
    # No other program changes anything: the kernel has no such scheduler, and answers ENOENT as it does in a race.
    there.schedulers.discard("ovf")
    result = run([web({"address": ONE}, scheduler="ovf"), web(port=81)])
    assert result["failed"] and result["changed"]
    of_service, of_destination = result["msg"].splitlines()
    assert of_service.startswith("Adding tcp 198.51.100.100:80 failed (ENOENT): ") and id_of(of_service) == "scheduler-not-loaded"
    assert "scheduler ovf" in of_service and "`modprobe ip_vs_ovf`" in of_service
    assert of_destination.startswith("Adding destination 198.51.100.21:80 of tcp 198.51.100.100:80 failed (ESRCH): ")
    assert id_of(of_destination) == "service-not-in-table"
    assert result["applied"] == ["ipvsadm -A -t 198.51.100.100:81 -s wlc  # keeps connections"]
    assert [line.split("  #")[0] for line in result["not_applied"]] == [
        "ipvsadm -A -t 198.51.100.100:80 -s ovf",
        "ipvsadm -a -t 198.51.100.100:80 -r 198.51.100.21:80 -g -w 1",
    ]
    assert there.changes.count(NEW_SERVICE) == 2, "the same request was not sent again"
    there.schedulers.add("ovf")
    result = run([web({"address": ONE}, scheduler="ovf"), web(port=81)])
    assert actions(result) == ["-A", "-a"], "a second run finishes the job"
    assert not run([web({"address": ONE}, scheduler="ovf"), web(port=81)])["changed"]


def test_two_races_in_a_row_are_an_error(there, run):
    def add(fake):
        fake.service("tcp", VIP, 80)

    def remove(fake):
        fake.services.clear()

    there.before_apply = [add, remove]
    result = run([web(scheduler="rr")])
    assert result["failed"] and not result["changed"]
    assert result["msg"].startswith("Changing tcp 198.51.100.100:80 failed (ESRCH): ") and id_of(result["msg"]) == "removed-meanwhile"


def test_an_error_that_is_no_race_is_not_tried_again(there, run):
    # With a sync daemon the kernel refuses a destination of the other family.
    there.daemons = [(1, "eth0", 7, {})]
    declared = [web({"address": ONE}, {"address": ONE6, "forward": "tunnel"}, {"address": TWO})]
    result = run(declared)
    assert result["failed"] and result["changed"]
    assert result["msg"].startswith("Adding destination [2001:db8:100::21]:80 of tcp 198.51.100.100:80 failed (EINVAL): ")
    assert id_of(result["msg"]) == "destination-refused"
    assert (len(result["applied"]), len(result["not_applied"])) == (3, 1)
    assert there.changes == [NEW_SERVICE] + [NEW_DEST] * 3
    there.daemons = []
    (line,) = run(declared)["operations"]
    assert ONE6 in line


def test_an_error_in_a_later_batch_names_the_right_object(there, run):
    there.schedulers.discard("ovf")
    ports = range(1, 1 + kernel.BATCH * 3)
    bad = (50, kernel.BATCH, kernel.BATCH + 1, kernel.BATCH * 3)
    result = run([web(port=port, scheduler="ovf" if port in bad else "rr") for port in ports])
    assert result["failed"]
    assert [int(line.split()[3].split(":")[1]) for line in result["not_applied"]] == list(bad)
    assert len(result["applied"]) == len(there.services) == len(ports) - len(bad)


def test_a_large_table_in_one_call(there, run):
    declared = [web({"address": ONE}, {"address": TWO}, port=port) for port in range(1, 120)]
    assert len(run(declared)["operations"]) == 357
    assert not run(declared)["changed"]
    gathered = [run(state="gathered")["gathered"], run(declared[::-1]) and run(state="gathered")["gathered"]]
    assert gathered[0] == gathered[1] and len(gathered[0]["services"]) == 119, "the order is the same for the same table"


def test_no_ipvs(there, run):
    there.no_ipvs = True
    result = run([web()])
    assert result["failed"] and id_of(result["msg"]) == "no-ipvs" and "`modprobe ip_vs`" in result["msg"]


def test_no_root(there, run):
    there.not_root = True
    result = run([web()])
    assert result["failed"] and id_of(result["msg"]) == "ipvs-needs-root" and "failed (EPERM): " in result["msg"]


def test_no_netlink(run, monkeypatch):
    def connect():
        raise OSError("no such address family")

    monkeypatch.setattr(kernel, "connect", connect)
    result = run([web()])
    assert result["failed"] and id_of(result["msg"]) == "no-netlink" and "no such address family" in result["msg"]


@pytest.mark.parametrize("trouble", ["interrupt_dump", "enobufs"])
def test_a_dump_that_did_not_work_out_is_read_again(there, run, trouble):
    filled(there)
    setattr(there, trouble, 1)
    assert not run([web({"address": ONE, "weight": 5}, {"address": TWO}, scheduler="rr")], state="merged")["changed"]
    assert getattr(there, trouble) == 0


@pytest.mark.parametrize("trouble", ["interrupt_dump", "enobufs"])
def test_a_dump_that_never_works_out_ends(there, run, trouble):
    setattr(there, trouble, 1000)
    result = run([web()])
    assert result["failed"] and id_of(result["msg"]) == "table-keeps-changing" and there.changes == []
    assert getattr(there, trouble) == 1000 - kernel.ATTEMPTS


SERVER = {"address": ONE}
ITEM = "services[0].destinations[0]"
BAD = [
    ("nonsense", {"services[0]": "not-a-dictionary"}),
    ({}, {"services[0].address": "address-missing", "services[0].port": "service-port-missing"}),
    (web(address="198.51.100.300"), {"services[0].address": "not-an-address"}),
    (web(address="live.example.com"), {"services[0].address": "not-an-address"}),
    (web(address="0.0.0.0"), {"services[0].address": "not-an-address"}),
    (web(address="239.1.1.1"), {"services[0].address": "not-an-address"}),
    (web(address="2001:db8::1%eth0"), {"services[0].address": "not-an-address"}),
    (web(address=["198.51.100.1"]), {"services[0].address": "not-an-address"}),
    (web(adress=VIP), {"services[0].adress": "unknown-option"}),
    (web(protocol="icmp"), {"services[0].protocol": "unknown-value"}),
    (web(family="ipv6"), {"services[0].family": "service-family-differs"}),
    (web(family="any"), {"services[0].family": "service-family-differs"}),
    (web(port=65536), {"services[0].port": "out-of-range"}),
    (web(port=-1), {"services[0].port": "out-of-range"}),
    (web(port="http"), {"services[0].port": "not-a-whole-number"}),
    (web(port=True), {"services[0].port": "not-a-whole-number"}),
    (web(port=80.5), {"services[0].port": "not-a-whole-number"}),
    (web(port=[80]), {"services[0].port": "not-a-whole-number"}),
    (web(port=0), {"services[0].port": "port-zero-needs-persistence"}),
    (web(scheduler="fastest"), {"services[0].scheduler": "unknown-value"}),
    (web(scheduler_flags=["sh-port"]), {"services[0].scheduler_flags": "scheduler-without-flags"}),
    (web(scheduler="mh", scheduler_flags=["sh-port"]), {"services[0].scheduler_flags": "scheduler-flag-unknown"}),
    (web(scheduler="mh", scheduler_flags="mh-port"), {"services[0].scheduler_flags": "not-a-list"}),
    (web(scheduler="mh", scheduler_flags=[{}]), {"services[0].scheduler_flags": "scheduler-flag-unknown"}),
    (web(one_packet=True), {"services[0].one_packet": "one-packet-needs-udp"}),
    (web(one_packet=True, protocol="sctp"), {"services[0].one_packet": "one-packet-needs-udp"}),
    (web(one_packet="often", protocol="udp"), {"services[0].one_packet": "not-a-boolean"}),
    (web(state="gone"), {"services[0].state": "unknown-value"}),
    (web(persistence={"timeout": 0}), {"services[0].persistence.timeout": "out-of-range"}),
    (web(persistence={"timeout": 2678401}), {"services[0].persistence.timeout": "out-of-range"}),
    (web(persistence="long"), {"services[0].persistence.timeout": "not-a-whole-number"}),
    (web(persistence={"seconds": 5}), {"services[0].persistence.seconds": "unknown-option"}),
    (web(persistence={"netmask": "255.0.255.0"}), {"services[0].persistence.netmask": "not-a-netmask"}),
    (web(persistence={"netmask": 33}), {"services[0].persistence.netmask": "not-a-netmask"}),
    (web(address=VIP6, persistence={"netmask": 129}), {"services[0].persistence.netmask": "not-a-prefix-length"}),
    (web(address=VIP6, persistence={"netmask": "255.255.255.0"}), {"services[0].persistence.netmask": "not-a-prefix-length"}),
    (web(persistence={"engine": "sip"}), {"services[0].persistence.engine": "sip-needs-udp"}),
    (web(persistence={"engine": "ftp"}, protocol="udp"), {"services[0].persistence.engine": "unknown-value"}),
    (web(destinations=ONE), {"services[0].destinations": "not-a-list"}),
    (web(ONE), {ITEM: "not-a-dictionary"}),
    (web({}), {ITEM + ".address": "address-missing"}),
    (web({"address": "x"}), {ITEM + ".address": "not-an-address"}),
    (web({"address": ONE6}), {ITEM + ".address": "destination-family-differs"}),
    (web({"address": ONE6, "forward": "nat"}), {ITEM + ".address": "destination-family-differs"}),
    (web({**SERVER, "host": "a"}), {ITEM + ".host": "unknown-option"}),
    (web(SERVER, {"address": TWO, "port": 99999}), {"services[0].destinations[1].port": "out-of-range"}),
    (web({**SERVER, "port": 81}), {ITEM + ".port": "destination-port-differs"}),
    (web({**SERVER, "port": 81, "forward": "tunnel"}), {ITEM + ".port": "destination-port-differs"}),
    ({"firewall_mark": 5, "destinations": [{**SERVER, "port": 65536}]}, {ITEM + ".port": "out-of-range"}),
    (web({**SERVER, "address": "255.255.255.255"}), {ITEM + ".address": "not-an-address"}),
    (web({**SERVER, "address": "::ffff:198.51.100.21"}), {ITEM + ".address": "not-an-address"}),
    (web({**SERVER, "address": "fe80::21"}), {ITEM + ".address": "not-an-address"}),
    (web({**SERVER, "weight": "007"}), {ITEM + ".weight": "not-a-whole-number"}),
    (web(SERVER, name={"a": 1}), {"services[0].name": "not-text"}),
    (web({**SERVER, "forward": "dsr"}), {ITEM + ".forward": "unknown-value"}),
    (web({**SERVER, "weight": -1}), {ITEM + ".weight": "out-of-range"}),
    (web({**SERVER, "weight": 2147483648}), {ITEM + ".weight": "out-of-range"}),
    (web({**SERVER, "upper_threshold": 4294967296}), {ITEM + ".upper_threshold": "out-of-range"}),
    (web({**SERVER, "lower_threshold": 5}), {ITEM + ".lower_threshold": "lower-threshold-too-high"}),
    (web({**SERVER, "upper_threshold": 4, "lower_threshold": 5}), {ITEM + ".lower_threshold": "lower-threshold-too-high"}),
    (web({**SERVER, "tunnel": {"type": "gre"}}), {ITEM + ".tunnel": "tunnel-needs-forward"}),
    (web({**SERVER, "forward": "tunnel", "tunnel": "gre"}), {ITEM + ".tunnel": "not-a-dictionary"}),
    (web({**SERVER, "forward": "tunnel", "tunnel": {"type": "vxlan"}}), {ITEM + ".tunnel.type": "unknown-value"}),
    (web({**SERVER, "forward": "tunnel", "tunnel": {"type": "gue"}}), {ITEM + ".tunnel.port": "tunnel-port-missing"}),
    (web({**SERVER, "forward": "tunnel", "tunnel": {"port": 6080}}), {ITEM + ".tunnel.port": "tunnel-port-needs-gue"}),
    (web({**SERVER, "forward": "tunnel", "tunnel": {"checksum": "csum"}}), {ITEM + ".tunnel.checksum": "tunnel-checksum-unsupported"}),
    (web({**SERVER, "forward": "tunnel", "tunnel": {"type": "gre", "checksum": "remcsum"}}), {
        ITEM + ".tunnel.checksum": "tunnel-checksum-unsupported"}),
    (web({**SERVER, "health_checked": "maybe"}), {ITEM + ".health_checked": "not-a-boolean"}),
    (web(SERVER, SERVER), {"services[0].destinations[1]": "listed-twice"}),
    (web(SERVER, {**SERVER, "sorry_server": True}), {"services[0].destinations[1]": "listed-twice"}),
    (web({**SERVER, "sorry_server": True, "health_checked": True}), {ITEM + ".sorry_server": "sorry-server-checked"}),
    (web({**SERVER, "fallback": True}), {ITEM + ".fallback": "renamed-option"}),
    ({"firewall_mark": 0}, {"services[0].firewall_mark": "out-of-range"}),
    ({"firewall_mark": 4294967296}, {"services[0].firewall_mark": "out-of-range"}),
    ({"firewall_mark": 5, "family": "ipx"}, {"services[0].family": "unknown-value"}),
    ({"firewall_mark": 5, "address": VIP, "port": 80, "protocol": "tcp"},
     {"services[0].address": "firewall-mark-excludes", "services[0].port": "firewall-mark-excludes",
      "services[0].protocol": "firewall-mark-excludes"}),
    ({"firewall_mark": 5, "family": "ipv6"}, {}),
]  # fmt: skip


def ids(result):
    """{path: id} of the problems."""
    found = [path_and_id(line) for line in result["problems"]]
    assert len(dict(found)) == len(found)
    return dict(found)


def places(result):
    """The paths alone, where other wings give the ids."""
    return sorted(line.split(": ")[0] for line in result["problems"])


@pytest.mark.parametrize(("declared", "expected"), BAD, ids=[json.dumps(declared)[:60] for declared, _expected in BAD])
def test_a_wrong_value_is_named_by_its_path(there, run, declared, expected):
    result = run([declared], check=True)
    if expected:
        assert result["failed"] and ids(result) == expected
        assert "%d error" % len(expected) in result["msg"] and "nothing was changed" in result["msg"]
        assert all(line in result["msg"] for line in result["problems"])
    else:
        assert not result.get("failed")


def test_all_wrong_values_are_reported_at_once(there, run):
    bad = [(item, found) for item, found in BAD if found]
    expected = {
        (path.replace("services[0]", "services[%d]" % index), name)
        for index, (_item, found) in enumerate(bad)
        for path, name in found.items()
    }
    result = run([item for item, _found in bad])
    # Among so many some are the same service; that is one more error each, with the path of the item alone.
    found = {path_and_id(line) for line in result["problems"]}
    assert expected <= found and {name for _path, name in found - expected} == {"declared-twice"}
    assert there.services == {} and there.changes == []


def test_the_same_service_twice(there, run):
    result = run([web(), {"firewall_mark": 5}, web(scheduler="rr"), {"firewall_mark": 5}, {"firewall_mark": 5, "family": "ipv6"}])
    assert ids(result) == {"services[2]": "declared-twice", "services[3]": "declared-twice"}
    web_again, mark_again = result["problems"]
    assert "tcp 198.51.100.100:80 " in web_again and "services[0]" in web_again
    assert "fwmark 5 " in mark_again and "services[1]" in mark_again


def test_an_old_name_leads_to_the_new_one(there, run):
    (line,) = run([web({**SERVER, "fallback": True})])["problems"]
    assert path_and_id(line) == (ITEM + ".fallback", "renamed-option") and "sorry_server" in line


def test_a_sorry_server_is_left_to_the_program_that_adds_it(there, run):
    declared = [web(SERVER, {"address": TWO, "sorry_server": True})]
    run(declared)
    assert list(there.services[WEB].destinations) == [ONE + ":80"]
    there.destination(there.services[WEB], TWO, weight=5)
    assert not run(declared)["changed"] and there.changes == []


def test_values_as_text_are_taken(there, run):
    # Jinja2 makes text of numbers.
    assert run([web({"address": ONE, "weight": "7", "port": "80", "health_checked": "no"}, port="80", persistence="300")])["changed"]
    assert there.services[WEB].timeout == 300 and there.services[WEB].destinations[ONE + ":80"].weight == 7


@pytest.fixture
def proc(monkeypatch, tmp_path):
    """/proc/sys/net/ipv4/vs, with two settings in it."""
    settings = tmp_path / "net" / "ipv4" / "vs"
    settings.mkdir(parents=True)
    for name in ("conntrack", "expire_nodest_conn"):
        (settings / name).write_text("0\n")
    monkeypatch.setattr(sysctl, "ROOT", str(tmp_path))
    return settings


def test_sysctls_are_in_force_before_the_table_changes(there, run, proc):
    seen = []
    there.before_apply = [lambda _fake: seen.append((proc / "expire_nodest_conn").read_text())]
    settings = {"expire_nodest_conn": 1, "conntrack": False}
    told = run([web()], sysctls=settings, check=True)
    assert (proc / "expire_nodest_conn").read_text() == "0\n"
    done = run([web()], sysctls=settings)
    assert seen == ["1"]
    assert told["sysctls"] == done["sysctls"] == {"expire_nodest_conn": {"before": "0", "after": "1"}}
    again = run([web()], sysctls=settings)
    assert not again["changed"] and again["sysctls"] == {}


def test_a_sysctl_alone_is_a_change(there, run, proc):
    assert run([], sysctls={"conntrack": 1})["changed"]
    assert (proc / "conntrack").read_text() == "1"


def test_an_unknown_sysctl_stops_all(there, run, proc):
    # Together with what is wrong elsewhere.
    result = run([web(port=0)], sysctls={"conntrack": 1, "contrack": 1, "no_such": [2]}, timeouts={"tcp": 0})
    assert result["failed"] and places(result) == ["services[0].port", "sysctls.contrack", "sysctls.no_such", "timeouts.tcp"]
    result = run([web()], sysctls={"conntrack": 1, "contrack": 1})
    assert result["failed"] and places(result) == ["sysctls.contrack"]
    assert there.changes == [] and (proc / "conntrack").read_text() == "0\n"


def test_limits_hold_before_sysctls_are_written(there, run, proc):
    assert run([web()], allow=["change"], sysctls={"conntrack": 1})["failed"]
    assert (proc / "conntrack").read_text() == "0\n"


def test_timeouts(there, run):
    told = run(timeouts={"tcp": 3600, "udp": "60"}, check=True)
    assert there.timeouts == [900, 120, 300] and there.changes == []
    done = run(timeouts={"tcp": 3600, "udp": "60"})
    assert there.timeouts == [3600, 120, 60]
    for result in (told, done):
        result.pop("invocation", None)
    assert told == done
    assert done["operations"] == ["ipvsadm --set 3600 120 60  # keeps connections"]
    assert done["timeouts"] == {
        "before": {"tcp": 900, "tcp_fin": 120, "udp": 300},
        "after": {"tcp": 3600, "tcp_fin": 120, "udp": 60},
    }
    assert (done["diff"]["before"], done["diff"]["after"]) == ("--set 900 120 300\n", "--set 3600 120 60\n")
    assert not run(timeouts={"tcp": 3600})["changed"] and there.changes == []
    assert not run(timeouts={})["changed"] and "timeouts" not in run()


MASTER = {"state": "master", "interface": "eth0", "id": 7}
BACKUP = {"state": "backup", "interface": "eth1", "id": 7, "maxlen": 2048, "group": "ff02::81", "port": 8849, "ttl": 5}


def test_sync_daemons(there, run):
    told = run(sync_daemons=[MASTER, BACKUP], check=True)
    assert there.daemons == []
    done = run(sync_daemons=[MASTER, BACKUP])
    assert told["operations"] == done["operations"]
    assert [daemon[:3] for daemon in there.daemons] == [(1, "eth0", 7), (2, "eth1", 7)]
    again = run(sync_daemons=[BACKUP, MASTER])
    assert not again["changed"] and again["diff"]["before"] == again["diff"]["after"]
    gathered = run(state="gathered")["gathered"]["sync_daemons"]
    assert gathered == [{**MASTER, "maxlen": 1472, "group": "224.0.0.81", "port": 8848, "ttl": 1}, BACKUP]
    assert not run(sync_daemons=gathered)["changed"]
    # Nothing is said of them, and nothing happens to them.
    assert not run()["changed"]
    changed = run(sync_daemons=[{**MASTER, "id": 8}])
    assert actions(changed) == ["--stop-daemon", "--stop-daemon", "--start-daemon"]
    assert [daemon[:3] for daemon in there.daemons] == [(1, "eth0", 8)]
    run(sync_daemons=[])
    assert there.daemons == []


@pytest.mark.parametrize(
    ("interface", "number", "expected"),
    [("eth9", "ENODEV", "sync-interface-missing"), ("down0", "ENETUNREACH", "sync-interface-unusable")],
)
def test_a_daemon_that_the_kernel_refuses(there, run, interface, number, expected):
    result = run([web()], sync_daemons=[{**MASTER, "interface": interface}])
    assert result["failed"] and id_of(result["msg"]) == expected
    assert result["msg"].startswith("Adding sync daemon master failed (%s): " % number) and "interface %s" % interface in result["msg"]
    assert (len(result["applied"]), len(result["not_applied"])) == (1, 1)


def test_a_daemon_that_someone_else_started(there, run):
    there.before_apply = [lambda fake: fake.daemons.append((1, "eth1", 9, {}))]
    result = run(sync_daemons=[MASTER])
    assert actions(result) == ["--stop-daemon", "--start-daemon"] and [daemon[:3] for daemon in there.daemons] == [(1, "eth0", 7)]
    assert result["sync_daemons"]["after"] == [MASTER]


def test_zero_counters(there, run):
    service = filled(there)
    service.stats = service.destinations[ONE + ":80"].stats = there.services["fwmark 7"].stats = (5,) * 10
    declared = [web({"address": ONE, "weight": 5}, {"address": TWO}, scheduler="rr")]
    assert run(declared, state="merged", zero_counters=True, check=True)["changed"] and there.changes == []
    assert run(declared, state="merged", zero_counters=True)["operations"] == ["ipvsadm -Z -t 198.51.100.100:80  # keeps connections"]
    assert service.stats == service.destinations[ONE + ":80"].stats == (0,) * 10
    assert there.services["fwmark 7"].stats == (5,) * 10, "it is not declared"
    assert run(zero_counters=True)["operations"] == ["ipvsadm -Z  # keeps connections"]
    assert there.services["fwmark 7"].stats == (0,) * 10


BAD_SETTINGS = [
    ({"timeouts": 5}, {"timeouts": "not-a-dictionary"}),
    ({"timeouts": {"tcp": 0, "tcp_fin": 2147484, "udp": "x", "icmp": 1}}, {
        "timeouts.icmp": "unknown-option", "timeouts.tcp": "out-of-range", "timeouts.tcp_fin": "out-of-range",
        "timeouts.udp": "not-a-whole-number"}),
    ({"sync_daemons": MASTER}, {"sync_daemons": "not-a-list"}),
    ({"sync_daemons": ["master"]}, {"sync_daemons[0]": "not-a-dictionary"}),
    ({"sync_daemons": [MASTER, MASTER]}, {"sync_daemons[1].state": "sync-daemon-twice"}),
    ({"sync_daemons": [{}]}, {"sync_daemons[0].interface": "not-an-interface", "sync_daemons[0].state": "sync-daemon-state-missing"}),
    ({"sync_daemons": [{**MASTER, "interface": "a name too long for it"}]}, {"sync_daemons[0].interface": "not-an-interface"}),
    ({"sync_daemons": [{**MASTER, "id": 256, "maxlen": 0, "port": 0, "ttl": 256}]}, {
        "sync_daemons[0].id": "out-of-range", "sync_daemons[0].maxlen": "out-of-range",
        "sync_daemons[0].port": "out-of-range", "sync_daemons[0].ttl": "out-of-range"}),
    ({"sync_daemons": [{**BACKUP, "maxlen": 1023}]}, {"sync_daemons[0].maxlen": "out-of-range"}),
    ({"sync_daemons": [{**MASTER, "group": "198.51.100.1"}]}, {"sync_daemons[0].group": "not-a-multicast-group"}),
    ({"sync_daemons": [{**MASTER, "group": "224.0.0.81\0", "interface": "\u00e9th0"}]}, {
        "sync_daemons[0].group": "not-a-multicast-group", "sync_daemons[0].interface": "not-an-interface"}),
    ({"sync_daemons": [{**MASTER, "group": "ff02::81", "maxlen": 65507}]}, {"sync_daemons[0].maxlen": "out-of-range"}),
    ({"sync_daemons": [{**MASTER, "syncid": 5}]}, {"sync_daemons[0].syncid": "unknown-option"}),
    # The kernel has either.
    ({"sync_daemons": [MASTER], "services": [web({"address": ONE6, "forward": "tunnel"})]}, {"sync_daemons": "sync-needs-one-family"}),
]  # fmt: skip


@pytest.mark.parametrize(("options", "expected"), BAD_SETTINGS, ids=[json.dumps(options)[:60] for options, _expected in BAD_SETTINGS])
def test_a_wrong_setting_is_named_by_its_path(there, run, options, expected):
    result = run(**options)
    assert result["failed"] and ids(result) == expected and there.changes == []


def test_answers_that_are_lost(there, run):
    filled(there)
    declared = [web({"address": ONE}, {"address": THREE})]
    there.lost_answers = 1
    result = run(declared)
    assert result["changed"] and [d.split(":")[0] for d in held(there)[WEB]] == [ONE, THREE]
    assert sorted(actions(result)) == ["-D", "-E", "-a", "-d", "-e"], "what was done is known from the table"
    assert not run(declared)["changed"] and there.open_sockets == 0


def test_answers_that_are_lost_twice(there, run):
    there.lost_answers = 2
    there.before_apply = [lambda fake: None, lambda fake: None]
    result = run([web()], zero_counters=True)
    assert result["failed"] and id_of(result["msg"]) == "netlink-replies-lost"
    assert result["changed"] and result["applied"] == ["ipvsadm -A -t 198.51.100.100:80 -s wlc  # keeps connections"]


@pytest.mark.parametrize(
    ("stuck", "what"),
    [
        ((CTRL, CTRL_GETFAMILY), "the netlink family"),
        ((FAMILY_ID, GET_SERVICE), "the services"),
        ((FAMILY_ID, GET_DEST), "the destinations of a service"),
        ((FAMILY_ID, GET_CONFIG), "the timeouts"),
        ((FAMILY_ID, GET_DAEMON), "the sync daemons"),
    ],
)
def test_a_kernel_that_does_not_answer(there, run, stuck, what):
    filled(there)
    there.stuck.add(stuck)
    result = run([web()], timeouts={"tcp": 5}, sync_daemons=[])
    assert result["failed"] and id_of(result["msg"]) == "netlink-timeout" and " %s of IPVS within 60 s" % what in result["msg"]
    assert there.changes == [] and there.open_sockets == 0


def test_a_kernel_that_does_not_answer_to_a_change(there, run):
    there.stuck.add((FAMILY_ID, NEW_SERVICE))
    result = run([web()])
    assert result["failed"] and id_of(result["msg"]) == "netlink-replies-lost"
    assert len(result["not_applied"]) == 1 and there.open_sockets == 0


def test_the_real_socket_waits_no_longer():
    sock = kernel.connect()
    try:
        assert sock.gettimeout() == kernel.SECONDS
    finally:
        sock.close()


def test_a_race_that_leads_beyond_the_limits_says_what_was_done(there, run):
    def other(fake):
        fake.destination(fake.service("tcp", VIP, 80, scheduler="rr"), TWO, connections=(9, 0, 0))

    there.before_apply = [other]
    result = run([web({"address": ONE})], max_cut_connections=0)
    assert result["failed"] and id_of(result["msg"]) == "max-cut-connections-exceeded" and " 9 active connections" in result["msg"]
    assert result["changed"] and len(result["applied"]) == 1 and ONE in result["applied"][0]


@pytest.mark.parametrize("weight", [0, 7])
def test_a_check_that_speaks_between_reading_and_writing(there, run, monkeypatch, weight):
    """keepalived takes a server out, or gives it a weight, while its threshold is changed: the last word is its own."""
    server = {"address": ONE, "weight": 10, "health_checked": True}
    run([web(server)])
    there.services[WEB].destinations[ONE + ":80"].weight = 10 - weight
    apply = kernel.Ipvs.apply

    def later(self, operations):
        there.services[WEB].destinations[ONE + ":80"].weight = weight
        return apply(self, operations)

    monkeypatch.setattr(kernel.Ipvs, "apply", later)
    assert run([web({**server, "upper_threshold": 5})])["changed"]
    assert there.services[WEB].destinations[ONE + ":80"].weight == weight


def test_the_result_after_a_race_is_what_the_kernel_holds(there, run):
    def other(fake):
        fake.destination(fake.service("tcp", VIP, 80, scheduler="rr"), THREE)

    there.before_apply = [other]
    result = run([web({"address": ONE})], state="merged")
    assert result["after"] == run(state="gathered")["gathered"]["services"]
    assert [item["address"] for item in result["after"][0]["destinations"]] == [ONE, THREE]


def test_before_and_after_hold_what_the_plan_concerns(there, run):
    filled(there)
    result = run([web(port=8080)], state="merged")
    assert not result["changed"]
    result = run([web(port=8080, scheduler="rr")], state="merged")
    assert [service["port"] for service in result["before"]] == [service["port"] for service in result["after"]] == [8080]
    assert result["diff"]["before"].count("-A ") == 1
    # And what was there can be declared again.
    run(result["before"], state="merged")
    assert there.services["tcp 198.51.100.100:8080"].scheduler == "wlc"
    assert run(state="gathered", services=[web()])["gathered"]["services"], "what is declared plays no role there"


@pytest.mark.parametrize(("scheduler", "flags", "reason", "named"), [
    ("mh", [], "scheduler-refuses-newcomers", "scheduler mh without mh-fallback "),
    ("mh", ["mh-port"], "scheduler-refuses-newcomers", "scheduler mh without mh-fallback "),
    ("sh", ["sh-port"], "scheduler-refuses-newcomers", "scheduler sh without sh-fallback "),
    ("dh", [], "scheduler-refuses-newcomers", "scheduler dh "),
    ("ovf", [], "scheduler-refuses-when-full", "scheduler ovf "),
    ("mh", ["mh-port", "mh-fallback"], None, None), ("sh", ["sh-fallback"], None, None), ("wrr", [], None, None),
])  # fmt: skip
def test_a_scheduler_that_refuses_newcomers_is_named(there, run, scheduler, flags, reason, named):
    """The table is literal; what it means for a drained server is in the result, in check mode as well."""
    for check in (True, False):
        result = run([web({"address": ONE}, scheduler=scheduler, scheduler_flags=flags)], check=check)
        found = result["refuses_newcomers"]
        assert {id_of(text): names for text, names in found.items()} == ({reason: ["tcp 198.51.100.100:80"]} if reason else {})
        assert all(text.startswith(named) for text in found)


def test_without_diff_mode_no_text_is_made(there, run):
    assert "diff" not in run([web()], _ansible_diff=False)


TEXT = """\
-A -t 198.51.100.100:80 -s mh -p 300 -M 255.255.255.0 -b mh-port
-a -t 198.51.100.100:80 -r 198.51.100.21:80 -g -w 5
--set 900 0 0
--start-daemon master --mcast-interface eth0 --syncid 7
"""


def test_parsed_and_rendered_need_no_kernel(run, monkeypatch):
    monkeypatch.setattr(kernel, "connect", None)
    found = run(state="parsed", running_config=TEXT)
    assert found["parsed"]["services"][0]["destinations"] == [{"address": ONE, "forward": "dr", "weight": 5}]
    assert run(state="rendered", **found["parsed"])["rendered"] == TEXT
    assert found["inventory"]["all"]["vars"]["virtual_services"][0]["addresses"] == [VIP]
    (note,) = found["not_in_inventory"]
    assert id_of(note) == "adopt-flag-added" and "tcp 198.51.100.100:80 " in note and "mh-fallback" in note and not found["changed"]


def test_what_can_not_be_rendered_or_parsed(run):
    result = run([web({"address": ONE, "forward": "local"}), web(port=0)], state="rendered")
    assert result["failed"] and ids(result) == {
        "services[0].destinations[0].forward": "local-not-rendered", "services[1].port": "port-zero-needs-persistence",
    }  # fmt: skip
    result = run(state="parsed", running_config="-A -t x\n-B")
    assert result["failed"] and ids(result) == {"line 1": "ipvsadm-not-an-endpoint", "line 2": "ipvsadm-command-unknown"}
    assert "running_config" in run(state="parsed")["msg"]


def test_absent_services_are_not_rendered_and_checked_ones_have_their_weight(run):
    declared = [web({"address": ONE, "weight": 7, "health_checked": True}), web(port=81, state="absent")]
    assert run(declared, state="rendered")["rendered"] == (
        "-A -t 198.51.100.100:80 -s wlc\n-a -t 198.51.100.100:80 -r 198.51.100.21:80 -g -w 7\n"
    )


def test_a_change_to_local_is_seen_in_the_diff(there, run):
    run([web({"address": ONE})])
    diff = run([web({"address": ONE, "forward": "local"})])["diff"]
    assert "-g" in diff["before"] and "--local" in diff["after"]


def test_an_error_names_the_sysctls_as_well(there, run, proc, monkeypatch):
    there.schedulers.discard("ovf")
    result = run([web(scheduler="ovf")], sysctls={"conntrack": 1})
    assert result["failed"] and result["changed"] and result["applied"] == ["sysctl net.ipv4.vs.conntrack=1"]
    # The second is refused, by the same error as in a container.
    write = sysctl.write
    monkeypatch.setattr(sysctl, "write", lambda name, value: write("nothing/there" if "nodest" in name else name, value))
    result = run([web()], sysctls={"conntrack": 0, "expire_nodest_conn": 1})
    assert result["failed"] and result["changed"] and there.changes == []
    assert result["applied"] == ["sysctl net.ipv4.vs.conntrack=0"]
    assert result["not_applied"] == [
        "sysctl net.ipv4.vs.expire_nodest_conn=1",
        "ipvsadm -A -t 198.51.100.100:80 -s wlc  # keeps connections",
    ]


def test_a_sysctl_that_the_kernel_changes_to_something_else_is_a_change(there, run, proc, monkeypatch):
    def stubborn(name, value):
        (proc / "conntrack").write_text("5\n")
        raise LvsError(Line("any", "was set to %s and reads 5" % value))

    monkeypatch.setattr(sysctl, "write", stubborn)
    result = run(sysctls={"conntrack": 9})
    assert result["failed"] and result["changed"] and result["not_applied"] == ["sysctl net.ipv4.vs.conntrack=9"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a" * 300, "a\0b", "conntrack/"])
def test_a_name_that_is_not_a_setting(there, run, proc, name):
    result = run([web(port="x")], sysctls={name: 1})
    shown = name.replace("\0", "\\x00")
    assert result["failed"] and places(result) == sorted(["services[0].port", "sysctls." + shown])


def test_zero_counters_leaves_alone_what_goes_and_what_was_not_named(there, run):
    filled(there).stats = (5,) * 10
    there.services["tcp 203.0.113.50:80"].stats = (5,) * 10
    for state in ("deleted", "deleted"):
        assert not run([web()], state=state, zero_counters=True).get("failed")
    assert not run([web(state="absent")], state="merged", zero_counters=True)["changed"]
    assert there.services["tcp 203.0.113.50:80"].stats == (5,) * 10


def test_udp_flows_count_although_the_kernel_calls_them_inactive(there, run):
    there.destination(there.service("udp", VIP, 53), ONE, connections=(0, 50, 0))
    there.destination(there.service("tcp", VIP, 53), ONE, connections=(0, 50, 0))
    declared = [web(protocol="udp", port=53, state="absent"), web(port=53, state="absent")]
    assert run(declared, max_cut_connections=49)["failed"] and there.changes == []
    assert run(declared)["effects"]["cuts"] == {"operations": 1, "connections": 50}


def test_lost_answers_while_connections_come_and_go(there, run):
    service = there.service("tcp", VIP, 80)
    for number in range(150):
        there.destination(service, "192.0.2.%d" % (number + 1), connections=(3, 0, 0))

    def fewer(fake):
        for destination in service.destinations.values():
            destination.connections = (2, 0, 0)

    there.lost_answers, there.before_apply = 1, [lambda fake: None, fewer]
    result = run([web()])
    assert len(result["operations"]) == len(set(result["operations"])) == 150 and service.destinations == {}
    assert result["effects"]["cuts"]["operations"] == 150


def test_lost_answers_and_then_a_plan_that_goes_too_far(there, run, monkeypatch):
    apply = kernel.Ipvs.apply

    def and_then(self, operations):
        failures = apply(self, operations)
        there.destination(there.services[WEB], TWO, connections=(9, 0, 0))
        return failures

    monkeypatch.setattr(kernel.Ipvs, "apply", and_then)
    there.lost_answers = 1
    result = run([web({"address": ONE})], max_cut_connections=0)
    assert result["failed"] and result["changed"] and len(result["applied"]) == 2
    assert result["not_applied"] == ["ipvsadm -d -t 198.51.100.100:80 -r 198.51.100.22:80  # cuts 9 active connections"]


def test_answers_that_are_lost_twice_are_accounted_for(there, run):
    there.lost_answers = 2
    result = run([web(port=port) for port in range(1, 252)])
    assert result["failed"] and len(result["applied"]) == len(there.services) == 200
    assert len(result["not_applied"]) == 51


def test_what_is_cut_before_and_after_a_race_counts_together(there, run):
    there.destination(there.service("tcp", VIP, 80), ONE, connections=(5, 0, 0))

    def other(fake):
        fake.destination(fake.services[WEB], TWO, connections=(0, 0, 0))
        fake.destination(fake.services[WEB], THREE, connections=(5, 0, 0))

    there.before_apply = [other]
    result = run([web({"address": TWO})], max_cut_connections=5)
    assert result["failed"] and id_of(result["msg"]) == "max-cut-connections-exceeded" and " 10 active connections" in result["msg"]
    assert THREE + ":80" in there.services[WEB].destinations


@pytest.mark.parametrize("call", ["send", "recv"])
@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.ENOMEM])
def test_a_socket_that_fails_in_the_middle(there, run, monkeypatch, call, number):
    original, armed = getattr(Socket, call), [True]

    def broken(self, data):
        # The second batch.
        if armed and len(there.changes) >= kernel.BATCH:
            armed.clear()
            raise OSError(number, "it fails")
        return original(self, data)

    monkeypatch.setattr(Socket, call, broken)
    result = run([web(port=port) for port in range(1, 152)])
    assert not result.get("failed") and len(result["operations"]) == len(there.services) == 151 and not armed


def test_a_socket_that_fails_at_a_question(there, run, monkeypatch):
    def broken(self, size):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Socket, "recv", broken)
    result = run([web()])
    assert result["failed"] and id_of(result["msg"]) == "netlink-failed" and "(Input/output error)" in result["msg"]


def test_what_others_made_that_lvsdr_has_no_word_for(there, run):
    service = there.service("tcp", VIP, 80, timeout=60, netmask="255.255.255.0")
    there.destination(service, ONE, forward=4)
    there.destination(service, TWO, forward=2, tunnel=(2, 0, 3))
    assert not run([web()], state="merged")["changed"], "a netmask without persistence means nothing"
    result = run([web()])
    assert "--bypass" in result["diff"]["before"] and "--tun-unknown" in result["diff"]["before"]


def test_a_service_is_named_for_removal_by_its_key_alone(there, run):
    there.service("tcp", VIP, 0, timeout=60, flags=1)
    assert run([{"address": VIP, "port": 0}], state="deleted")["changed"] and there.services == {}


@pytest.mark.parametrize("limit", [-1, -100])
def test_a_limit_below_zero(there, run, limit):
    result = run([], max_cut_connections=limit)
    assert result["failed"] and ids(result) == {"max_cut_connections": "max-cut-connections-negative"}


def test_a_second_look_that_fails_says_what_was_done(there, run, monkeypatch):
    there.before_apply = [lambda fake: fake.service("tcp", VIP, 80)]
    read, calls = kernel.Ipvs.read, []

    def once(self):
        calls.append(1)
        if len(calls) == 2:
            raise LvsError(Line("any", "it failed"))
        return read(self)

    monkeypatch.setattr(kernel.Ipvs, "read", once)
    result = run([web(), web(port=81)])
    assert result["failed"] and result["changed"] and result["applied"] == ["ipvsadm -A -t 198.51.100.100:81 -s wlc  # keeps connections"]
