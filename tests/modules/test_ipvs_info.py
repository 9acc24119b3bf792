"""main() of ipvs_info against the in-memory kernel."""

import ipaddress
import json
import struct

import fakes.kernel
import pytest
from ansible.module_utils.lvsdr.ipvs import kernel
from ansible.module_utils.testing import patch_module_args
from ansible.modules import ipvs_info
from fakes.kernel import INET, M_GROUP, M_GROUP6, M_MAXLEN, M_PORT, M_TTL, Kernel, Service
from said import id_of, path_and_id

VIP, VIP6 = "198.51.100.100", "2001:db8:100::100"
ONE, TWO = "198.51.100.9", "198.51.100.10"
FIELDS = ("conns", "inpkts", "outpkts", "inbytes", "outbytes", "cps", "inpps", "outpps", "inbps", "outbps")


@pytest.fixture
def there(monkeypatch):
    fake = Kernel()
    monkeypatch.setattr(kernel, "connect", fake.connect)
    return fake


@pytest.fixture
def run(capsys, there):
    """Runs the module and returns its result, which never says that anything was changed."""

    def run(**options):
        with patch_module_args(options), pytest.raises(SystemExit) as ended:
            ipvs_info.main()
        output = capsys.readouterr().out
        result = json.loads(output)
        assert ended.value.code == (1 if result.get("failed") else 0)
        assert "exception" not in result and "Traceback" not in output
        assert there.changes == [] and not result.get("changed")
        return result

    return run


@pytest.fixture
def full(there):
    """Two services that share a real server, and a firewall mark."""
    # More than fits a u32: only the 64-bit counters hold it.
    stats = tuple((1 << 33) + n for n in range(10))
    web = there.service("tcp", VIP, 80, scheduler="mh", flags=0x10 | 0x1, timeout=300, netmask="255.255.255.0", stats=stats)
    there.destination(web, ONE, weight=10, connections=(3, 5, 1), stats=tuple(range(10)))
    there.destination(web, TWO, weight=0, connections=(2, 0, 0), upper=9, lower=8)
    dns = there.service("udp", VIP6, 53, flags=0x4)
    there.destination(dns, ONE, forward=2, tunnel=(1, 6080, 1), connections=(4, 1, 0))
    there.services["fwmark 7"] = mark = Service(INET, 6, "", 0, mark=7, scheduler="sh", flags=0x8 | 0x2)
    there.destination(mark, TWO, forward=0, port=8080)
    return there


def test_an_empty_table(run):
    result = run()
    assert (result["services"], result["destinations"], result["text"], result["sync_daemons"]) == ([], {}, "", [])
    assert result["timeouts"] == {"tcp": 900, "tcp_fin": 120, "udp": 300}
    assert result["version"] == {"version": "1.2.1", "connection_table_size": 4096}


def test_the_table_in_the_words_of_the_options(full, run):
    result = run(counters=False)
    counts = {"active": 0, "inactive": 0, "persistent": 0}
    assert result["services"] == [
        {
            "firewall_mark": 7,
            "scheduler": "sh",
            "scheduler_flags": ["sh-fallback"],
            "destinations": [{"address": TWO, "port": 8080, "forward": "nat", "weight": 1, **counts}],
        },
        {
            "address": VIP,
            "protocol": "tcp",
            "port": 80,
            "scheduler": "mh",
            "scheduler_flags": ["mh-port"],
            "persistence": {"timeout": 300, "netmask": "255.255.255.0"},
            "destinations": [
                {"address": ONE, "forward": "dr", "weight": 10, "active": 3, "inactive": 5, "persistent": 1},
                {
                    "address": TWO,
                    "forward": "dr",
                    "weight": 0,
                    "upper_threshold": 9,
                    "lower_threshold": 8,
                    "active": 2,
                    "inactive": 0,
                    "persistent": 0,
                },
            ],
        },
        {
            "address": VIP6,
            "protocol": "udp",
            "port": 53,
            "scheduler": "wlc",
            "one_packet": True,
            "destinations": [
                {
                    "address": ONE,
                    "forward": "tunnel",
                    "weight": 1,
                    "tunnel": {"type": "gue", "port": 6080, "checksum": "csum"},
                    "active": 4,
                    "inactive": 1,
                    "persistent": 0,
                }
            ],
        },
    ]


def test_connections_of_a_real_server_over_all_services(full, run):
    name, name6 = "tcp 198.51.100.100:80", "udp [2001:db8:100::100]:53"
    assert run()["destinations"] == {
        ONE: {"active": 7, "inactive": 6, "weights": {name: 10, name6: 1}},
        TWO: {"active": 2, "inactive": 0, "weights": {name: 0, "fwmark 7": 1}},
    }


def test_counters(full, run):
    web = run()["services"][1]
    assert web["counters"] == {name: (1 << 33) + n for n, name in enumerate(FIELDS)}
    assert web["destinations"][0]["counters"] == {name: n for n, name in enumerate(FIELDS)}
    assert web["destinations"][1]["counters"]["conns"] == 0


def test_an_old_kernel_has_only_the_small_counters(full, run, monkeypatch):
    pack = fakes.kernel.pack_stats
    monkeypatch.setattr(fakes.kernel, "S_STATS64", 90)
    monkeypatch.setattr(fakes.kernel, "pack_stats", lambda stats: (pack(stats)[0], b""))
    counters = run()["services"][1]["counters"]
    assert (counters["inpkts"], counters["inbytes"]) == (1, (1 << 33) + 3)


def test_without_counters_there_are_none(full, run):
    assert "counters" not in json.dumps(run(counters=False)["services"])


def test_the_text_is_what_ipvsadm_prints(full, run):
    assert run()["text"].splitlines() == [
        "-A -f 7 -s sh -b sh-fallback",
        "-a -f 7 -r 198.51.100.10:8080 -m -w 1",
        "-A -t 198.51.100.100:80 -s mh -p 300 -M 255.255.255.0 -b mh-port",
        "-a -t 198.51.100.100:80 -r 198.51.100.9:80 -g -w 10",
        "-a -t 198.51.100.100:80 -r 198.51.100.10:80 -g -w 0 -x 9 -y 8",
        "-A -u [2001:db8:100::100]:53 -s wlc -o",
        "-a -u [2001:db8:100::100]:53 -r 198.51.100.9:53 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum",
    ]


def test_check_mode_reads_too(full, run):
    assert len(run(_ansible_check_mode=True)["services"]) == 3


def test_sync_daemons(there, run):
    group = ipaddress.ip_address("224.0.0.81").packed
    group6 = ipaddress.ip_address("ff02::81").packed
    there.daemons = [
        (1, "eth0", 7, {M_MAXLEN: struct.pack("=H", 1472), M_GROUP: group, M_PORT: struct.pack("=H", 8848), M_TTL: b"\1"}),
        (2, "eth1", 8, {M_GROUP6: group6}),
        (2, "eth2", 9, {}),
    ]
    assert run()["sync_daemons"] == [
        {"state": "master", "interface": "eth0", "id": 7, "maxlen": 1472, "group": "224.0.0.81", "port": 8848, "ttl": 1},
        {"state": "backup", "interface": "eth1", "id": 8, "group": "ff02::81"},
        {"state": "backup", "interface": "eth2", "id": 9},
    ]


def test_timeouts(there, run):
    there.timeouts = [3600, 60, 10]
    assert run()["timeouts"] == {"tcp": 3600, "tcp_fin": 60, "udp": 10}


def test_a_table_of_many_datagrams(there, run):
    there.rows_per_datagram = 3
    for port in range(1, 41):
        service = there.service("tcp", VIP, port)
        for n in range(1, port % 8):
            there.destination(service, "192.0.2.%d" % n)
    result = run()
    assert [service["port"] for service in result["services"]] == list(range(1, 41))
    assert [len(service["destinations"]) for service in result["services"]] == [max(0, port % 8 - 1) for port in range(1, 41)]


@pytest.mark.parametrize("trouble", ["interrupt_dump", "enobufs"])
def test_a_dump_that_did_not_work_out_is_read_again(full, run, trouble):
    setattr(full, trouble, 2)
    assert len(run()["services"]) == 3
    assert getattr(full, trouble) == 0


def test_interrupted_in_the_middle_of_many_datagrams(full, run):
    full.rows_per_datagram = 1
    full.interrupt_dump = 1
    assert len(run()["services"]) == 3


@pytest.mark.parametrize(("trouble", "expected"), [("no_ipvs", "no-ipvs"), ("not_root", "ipvs-needs-root")])
def test_an_obstacle_is_named(there, run, trouble, expected):
    setattr(there, trouble, True)
    result = run()
    assert result["failed"] and id_of(result["msg"]) == expected


def test_drift(full, run):
    declared = [
        {"address": VIP, "port": 80, "scheduler": "mh", "scheduler_flags": ["mh-port"],
         "persistence": {"timeout": 300, "netmask": "255.255.255.0"},
         "destinations": [{"address": ONE, "weight": 10}, {"address": TWO, "weight": 0, "upper_threshold": 9, "lower_threshold": 8}]},
    ]  # fmt: skip
    assert run(services=declared, counters=False)["drift"] == []
    # A health check may have the weight where it is.
    declared[0]["destinations"][1].update(weight=7, health_checked=True)
    assert run(services=declared)["drift"] == []
    declared[0].update(scheduler="sh", scheduler_flags=[])
    declared[0]["destinations"].pop(0)
    assert run(services=declared)["drift"] == [
        "ipvsadm -E -t 198.51.100.100:80 -s sh -p 300 -M 255.255.255.0  # keeps connections",
        "ipvsadm -d -t 198.51.100.100:80 -r 198.51.100.9:80  # cuts 3 active connections",
    ]
    assert len(run(services=declared, state="merged")["drift"]) == 1
    assert "drift" not in run()
    assert len(run(services=[], state="overridden")["drift"]) == 3


def test_what_is_declared_wrongly_is_named(full, run):
    result = run(services=[{"address": VIP, "port": 80, "scheduler": "fast"}])
    assert result["failed"] and [path_and_id(line) for line in result["problems"]] == [("services[0].scheduler", "unknown-value")]
