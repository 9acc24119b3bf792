"""ipvs_table's engine against a real kernel, read back by ipvsadm and by our own dump."""

import itertools
import subprocess

import pytest
from conftest import ipvsadm
from lvsdr import codec, kernel, table
from lvsdr.errors import LvsError
from lvsdr.model import SCHEDULER_FLAGS, SCHEDULERS

VIP = {4: "198.51.100.100", 6: "2001:db8:100::100"}
SERVER = {4: "198.51.100.2%d", 6: "2001:db8:100::2%d"}
FORWARDS = ("dr", "nat", "tunnel", "local")
KINDS = ("tcp", "udp", "sctp", "fwmark")


def service(kind, family, number, **more):
    """A service of its own for each number."""
    if kind == "fwmark":
        named = {"firewall_mark": 100 + number, "family": "ipv%d" % family}
    else:
        named = {"address": VIP[family], "protocol": kind, "port": 8000 + number}
    return {**named, **more}


def lines():
    return sorted(ipvsadm("-Sn").splitlines())


def converge(services, **more):
    """Applies, and sees that our dump and ipvsadm agree on the result and that a second run finds nothing to do."""
    result = table.converge(services, **more)
    again = table.converge(services, **more)
    assert not again["changed"], [op["text"] for op in again["operations"]]
    assert sorted(result["diff"]["after"].splitlines()) == lines()
    return result


@pytest.mark.parametrize(("kind", "family"), list(itertools.product(KINDS, (4, 6))))
def test_every_scheduler_and_forwarding_changes_into_every_other(kind, family):
    combinations = list(itertools.product(SCHEDULERS, FORWARDS))
    for shift in range(len(combinations)):
        # Each service walks through all combinations; together they hold every pair of neighbours at each step.
        if shift not in (0, 1, 5, 27):
            continue
        declared = []
        for number in range(len(combinations)):
            scheduler, forward = combinations[(number + shift) % len(combinations)]
            destinations = [{"address": SERVER[family] % n, "forward": forward, "weight": n + shift} for n in (1, 2)]
            declared.append(service(kind, family, number, scheduler=scheduler, destinations=destinations))
        result = converge(declared)
        verbs = {op["action"] for op in result["operations"]}
        # Whatever changes is changed in place, and nothing is ever deleted for it.
        assert verbs <= ({"add-service", "add-destination"} if shift == 0 else {"set-service", "set-destination"})
    table.converge(declared, state="deleted")
    assert lines() == []


@pytest.mark.parametrize("family", (4, 6))
def test_flags_persistence_thresholds_and_tunnels(family):
    netmask = "255.255.255.0" if family == 4 else "64"
    tunnels = [
        {"type": "ipip"}, {"type": "gue", "port": 6080}, {"type": "gue", "port": 6080, "checksum": "csum"},
        {"type": "gue", "port": 6080, "checksum": "remcsum"}, {"type": "gre"}, {"type": "gre", "checksum": "csum"},
    ]  # fmt: skip
    rich = []
    for scheduler, flags in SCHEDULER_FLAGS.items():
        for chosen in ([flags[0]], [flags[1]], list(flags)):
            rich.append({"scheduler": scheduler, "scheduler_flags": chosen, "destinations": [{"address": SERVER[family] % 1, "weight": 1}]})
    rich.append({"persistence": {"timeout": 360}})
    rich.append({"persistence": {"timeout": 360, "netmask": netmask}})
    rich += [{"destinations": [{"address": SERVER[family] % 1, "forward": "tunnel", "tunnel": tunnel}]} for tunnel in tunnels]
    declared = [service("tcp", family, number, **more) for number, more in enumerate(rich)]
    declared.append(service("udp", family, 90, one_packet=True))
    declared.append(service("udp", family, 91, persistence={"timeout": 60, "engine": "sip"}))
    converge(declared)
    # And back to nothing special, in place.
    plain = [{key: item[key] for key in ("address", "protocol", "port")} for item in declared]
    result = converge(plain)
    assert "delete-service" not in {op["action"] for op in result["operations"]}


def test_thresholds_are_kept_by_the_kernel():
    # ipvsadm -S leaves thresholds out, so it is our dump and its listing that tell.
    declared = [service("tcp", 4, 1, destinations=[{"address": SERVER[4] % 1, "upper_threshold": 100, "lower_threshold": 50}])]
    result = table.converge(declared)
    assert result["after"][0]["destinations"][0]["upper_threshold"] == 100
    assert not table.converge(declared)["changed"]
    assert " 100 " in ipvsadm("-Ln", "--thresholds") + " "


def test_a_tunnel_joins_the_families():
    converge([service("tcp", 4, 1, destinations=[{"address": SERVER[6] % 1, "forward": "tunnel"}])])


def test_weights_to_the_limit():
    destinations = [{"address": SERVER[4] % 1, "weight": 2147483647}, {"address": SERVER[4] % 2, "weight": 0}]
    converge([service("tcp", 4, 1, destinations=destinations)])


def test_what_ipvsadm_made_is_read_and_taken_over():
    text = (
        "-A -t 198.51.100.100:80 -s mh -b mh-port -p 300 -M 255.255.255.0\n-a -t 198.51.100.100:80 -r 198.51.100.21:80 -g -w 5\n"
        "-A -u [2001:db8:100::100]:53 -s rr -o\n-a -u [2001:db8:100::100]:53 -r [2001:db8:100::21]:53 -i -w 1\n"
    )
    ipvsadm("-R", stdin=text)
    found = table.describe_kernel()
    assert sorted(found["text"].splitlines()) == lines()
    keep = ("address", "protocol", "port", "scheduler", "scheduler_flags", "persistence", "one_packet")
    declared = [
        {
            **{key: item[key] for key in keep if key in item},
            "destinations": [{key: d[key] for key in ("address", "forward", "weight")} for d in item["destinations"]],
        }
        for item in found["services"]
    ]
    assert not table.converge(declared, state="overridden")["changed"]


def test_ownership():
    ipvsadm("-A", "-t", "203.0.113.50:80", "-s", "rr")
    ipvsadm("-A", "-t", VIP[4] + ":8080", "-s", "rr")
    result = table.converge([service("tcp", 4, 1)])
    assert [op["action"] for op in result["operations"]] == ["add-service", "delete-service"]
    assert "-A -t 203.0.113.50:80 -s rr" in lines()
    assert result["foreign"] == ["tcp 203.0.113.50:80"]


def test_weight_of_a_checked_destination_is_left_alone():
    declared = [service("tcp", 4, 1, destinations=[{"address": SERVER[4] % 1, "weight": 10, "health_checked": True}])]
    converge(declared)
    ipvsadm("-e", "-t", VIP[4] + ":8001", "-r", SERVER[4] % 1 + ":8001", "-g", "-w", "10")
    assert not table.converge(declared)["changed"]


def test_check_mode_says_the_same_and_does_nothing():
    declared = [service("tcp", 4, n, destinations=[{"address": SERVER[4] % 1}]) for n in range(3)]
    told = table.converge(declared, check=True)
    assert lines() == []
    done = table.converge(declared)
    assert told["operations"] == done["operations"]
    assert told["after"] == done["after"]


def test_kernels_refusal_names_the_object_and_what_was_done():
    ipvs = kernel.Ipvs()
    before = ipvs.read()
    assert before == {}
    ipvs.close()
    # The kernel has no such engine module, which only it can know: the inventory's word is right.
    subprocess.run(["modprobe", "-r", "ip_vs_pe_sip"], check=False)
    with pytest.MonkeyPatch.context() as patch:
        encode = codec.text_attribute
        patch.setattr(codec, "text_attribute", lambda kind, text: encode(kind, "nosuch" if text == "ovf" else text))
        with pytest.raises(LvsError) as refused:
            table.converge([service("tcp", 4, 1, scheduler="rr"), service("tcp", 4, 2, scheduler="ovf")])
    assert "tcp 198.51.100.100:8002" in str(refused.value)
    assert "ENOENT" in str(refused.value)
    assert len(refused.value.details["applied"]) == 1
    assert len(refused.value.details["not_applied"]) == 1


def test_thousands_of_operations_in_one_call():
    declared = [service("tcp", 4, n, destinations=[{"address": "198.51.100.%d" % d} for d in range(1, 11)]) for n in range(300)]
    result = table.converge(declared)
    assert len(result["operations"]) == 3300
    assert len(lines()) == 3300


def test_info_timeouts_and_daemons():
    found = table.describe_kernel()
    assert found["timeouts"]["tcp"] > 0
    assert found["version"]["connection_table_size"] >= 4096
    ipvsadm("--start-daemon", "backup", "--mcast-interface", "dummy0", "--syncid", "7")
    try:
        daemon = table.describe_kernel()["sync_daemons"]
        assert [(d["state"], d["interface"], d["id"]) for d in daemon] == [("backup", "dummy0", 7)]
    finally:
        ipvsadm("--stop-daemon", "backup")
