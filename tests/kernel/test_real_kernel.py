"""ipvs_table's engine against a real kernel, read back by ipvsadm and by our own dump."""

import itertools
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.ipvs import codec, kernel, render, table
from ansible.module_utils.lvsdr.ipvs.declare import read_services
from ansible.module_utils.lvsdr.ipvs.types import MAX_TIMEOUT, SCHEDULER_FLAGS, SCHEDULERS
from conftest import ipvsadm

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


def ours():
    """The table by our dump, as ipvsadm prints it: it has no option for local, and leaves thresholds out."""
    ipvs = kernel.Ipvs()
    try:
        text = render.render(ipvs.read())
    finally:
        ipvs.close()
    return sorted(re.sub(r" -[xy] \d+", "", line.replace("--local", "-g")) for line in text.splitlines())


def actions(result):
    """The commands' options: -A, -E, -D for services, -a, -e, -d for destinations."""
    return [line.split()[1] for line in result["operations"]]


def converge(services, **more):
    """Applies, and checks that our dump and ipvsadm agree on the result and that a second run finds nothing to do."""
    result = table.converge(services, **more)
    again = table.converge(services, **more)
    assert not again["changed"], again["operations"]
    assert ours() == lines()
    return result


@pytest.mark.parametrize(("kind", "family"), list(itertools.product(KINDS, (4, 6))))
def test_every_scheduler_and_forwarding_changes_into_every_other(kind, family):
    # Steps of 1, 2, 3, …: with each, every scheduler turns into the one so far away; together into every other one. The destinations of
    # each service have all forwarding methods, and change them in the same way.
    for step, shift in enumerate(itertools.accumulate(range(len(SCHEDULERS)))):
        declared = []
        for number in range(len(SCHEDULERS)):
            destinations = [
                {"address": SERVER[family] % n, "forward": FORWARDS[(n + shift) % len(FORWARDS)], "weight": n + step} for n in range(4)
            ]
            scheduler = SCHEDULERS[(number + shift) % len(SCHEDULERS)]
            declared.append(service(kind, family, number, scheduler=scheduler, destinations=destinations))
        # All but a few are read back by ipvsadm and our dump alone, which finds what a second run would.
        result = converge(declared) if step < 3 else table.converge(declared)
        assert ours() == lines() == sorted(table.rendered([dr_for_local(item) for item in declared], None, None).splitlines())
        # Whatever changes is changed in place, and nothing is ever deleted for it.
        assert set(actions(result)) <= ({"-A", "-a"} if step == 0 else {"-E", "-e"})
    table.converge(declared, state="deleted")
    assert lines() == []


def dr_for_local(item):
    """What ipvsadm shows of a service whose destinations may be local."""
    local = [{**d, "forward": "dr" if d["forward"] == "local" else d["forward"]} for d in item["destinations"]]
    return {**item, "destinations": local}


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
    assert "-D" not in actions(result)


def test_thresholds_are_kept_by_the_kernel():
    # ipvsadm -S leaves thresholds out, so our dump and its listing show them.
    declared = [service("tcp", 4, 1, destinations=[{"address": SERVER[4] % 1, "upper_threshold": 100, "lower_threshold": 50}])]
    result = table.converge(declared)
    assert result["after"][0]["destinations"][0]["upper_threshold"] == 100
    assert not table.converge(declared)["changed"]
    assert " 100 " in ipvsadm("-Ln", "--thresholds") + " "


def test_a_tunnel_joins_the_families():
    converge([service("tcp", 4, 1, destinations=[{"address": SERVER[6] % 1, "forward": "tunnel"}])])
    assert any("-r [%s]:8001 -i" % (SERVER[6] % 1) in line for line in lines())


def test_weights_to_the_limit():
    destinations = [{"address": SERVER[4] % 1, "weight": 2147483647}, {"address": SERVER[4] % 2, "weight": 0}]
    converge([service("tcp", 4, 1, destinations=destinations)])
    assert [line.split(" -w ")[1] for line in lines() if line.startswith("-a")] == ["2147483647", "0"]


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
    assert actions(result) == ["-A", "-D"]
    assert "-A -t 203.0.113.50:80 -s rr" in lines()
    assert result["foreign"] == ["tcp 203.0.113.50:80"]


def test_weight_of_a_checked_destination_is_left_alone():
    declared = [service("tcp", 4, 1, destinations=[{"address": SERVER[4] % 1, "weight": 10, "health_checked": True}])]
    converge(declared)
    ipvsadm("-e", "-t", VIP[4] + ":8001", "-r", SERVER[4] % 1 + ":8001", "-g", "-w", "10")
    assert not table.converge(declared)["changed"]


def test_check_mode_plans_the_same_and_does_nothing():
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
    # The kernel has no such scheduler module, which only it can know: what is declared is right.
    subprocess.run(["modprobe", "-r", "ip_vs_pe_sip"], check=False)
    with pytest.MonkeyPatch.context() as patch:
        encode = codec.text_attribute
        patch.setattr(codec, "text_attribute", lambda kind, text: encode(kind, "nosuch" if text == "ovf" else text))
        with pytest.raises(LvsError) as refused:
            table.converge([service("tcp", 4, 1, scheduler="rr"), service("tcp", 4, 2, scheduler="ovf")])
    assert "tcp 198.51.100.100:8002" in str(refused.value)
    assert "ENOENT" in str(refused.value) and str(refused.value).endswith(" [scheduler-not-loaded]")
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


def test_timeouts_go_out_and_come_back():
    before = table.gather()["timeouts"]
    try:
        assert converge([], timeouts={"tcp": 3600, "udp": 20})["changed"]
        assert "Timeout (tcp tcpfin udp): 3600 %d 20" % before["tcp_fin"] in ipvsadm("-Ln", "--timeout")
        # The longest that is accepted here is no secret to the kernel.
        converge([], timeouts={"tcp": MAX_TIMEOUT})
    finally:
        table.converge([], timeouts=before)
    assert table.gather()["timeouts"] == before


DAEMON = {"state": "master", "interface": "dummy0"}


@pytest.mark.parametrize(
    "daemons",
    [
        [{**DAEMON, "id": 255}],
        [{**DAEMON, "id": 7, "maxlen": 100, "group": "224.0.0.99", "port": 9999, "ttl": 255}],
        [{**DAEMON, "maxlen": 65487, "group": "ff02::81"}, {**DAEMON, "state": "backup", "maxlen": 1024, "port": 1}],
        [{**DAEMON, "state": "backup", "id": 0}],
    ],
)
def test_sync_daemons_go_out_and_come_back(daemons):
    try:
        converge([], sync_daemons=daemons)
        found = table.gather()["sync_daemons"]
        assert sorted(daemon["state"] for daemon in found) == sorted(daemon["state"] for daemon in daemons)
        converge([], sync_daemons=found)
        converge([], sync_daemons=[{**daemon, "id": 9} for daemon in daemons])
        assert ipvsadm("-Ln", "--daemon").count("syncid=9") == len(daemons)
    finally:
        converge([], sync_daemons=[])
    assert table.gather()["sync_daemons"] == []


def test_a_daemon_that_the_kernel_refuses():
    subprocess.run("ip link add down0 type dummy", shell=True, check=True)
    try:
        for interface, errno, name in (("nosuch0", "ENODEV", "missing"), ("down0", "ENETUNREACH", "unusable")):
            words = r"Adding sync daemon master failed \(%s\): .*%s.* \[sync-interface-%s\]$" % (errno, interface, name)
            with pytest.raises(LvsError, match=words):
                table.converge([], sync_daemons=[{**DAEMON, "interface": interface}])
    finally:
        subprocess.run("ip link del down0", shell=True, check=True)


def test_counters_are_zeroed():
    declared = [service("udp", 4, n, destinations=[{"address": "198.51.100.11", "forward": "local"}]) for n in (1, 2)]
    subprocess.run("ip address add %s/32 dev lo" % VIP[4], shell=True, check=True)
    try:
        table.converge(declared)
        for number in (1, 2):
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (VIP[4], 8000 + number))
        # A flow of UDP is not one of the kernel's active connections, but it is cut all the same.
        assert table.converge(declared, state="deleted", check=True)["effects"]["cuts"] == {"operations": 2, "connections": 2}
        # The kernel brings what it shows up to date every two seconds.
        await_counters([1, 1])
        table.converge(declared[:1], state="merged", zero_counters=True)
        await_counters([0, 1])
        table.converge(zero_counters=True)
        await_counters([0, 0])
    finally:
        subprocess.run("ip address del %s/32 dev lo" % VIP[4], shell=True, check=True)


def await_counters(expected):
    end = time.monotonic() + 60
    while True:
        found = table.describe_kernel()["services"]
        counted = [(one["counters"]["conns"], one["destinations"][0]["counters"]["conns"]) for one in found]
        if counted == [(number, number) for number in expected]:
            return
        assert time.monotonic() < end, counted
        time.sleep(0.3)


def test_what_is_rendered_is_what_ipvsadm_restores():
    destinations = [
        {"address": SERVER[4] % 1, "weight": 2147483647, "upper_threshold": 100, "lower_threshold": 50},
        {"address": SERVER[4] % 2, "weight": 0, "forward": "tunnel", "tunnel": {"type": "gue", "port": 6080, "checksum": "remcsum"}},
        {"address": SERVER[4] % 3, "forward": "nat", "port": 8080},
    ]
    declared = [
        service("tcp", 4, 1, scheduler="mh", scheduler_flags=["mh-port", "mh-fallback"], destinations=destinations),
        service("udp", 4, 2, persistence={"timeout": 60, "netmask": "255.255.0.0", "engine": "sip"}),
        service("tcp", 6, 3, persistence={"timeout": 60, "netmask": 64}, destinations=[{"address": SERVER[6] % 1}]),
        {"firewall_mark": 4294967295, "destinations": [{"address": SERVER[4] % 1}]},
        {"firewall_mark": 5, "family": "ipv6", "scheduler": "fo", "destinations": [{"address": SERVER[6] % 1}]},
        service("udp", 4, 4, one_packet=True, scheduler="sh", scheduler_flags=["sh-port"]),
    ]
    timeouts, daemons = {"tcp": 1000, "tcp_fin": 200, "udp": 300}, [{**DAEMON, "id": 7}]
    try:
        text = table.rendered(declared, timeouts, daemons)
        ipvsadm("-R", stdin=text)
        assert not table.converge(declared, timeouts=timeouts, sync_daemons=daemons)["changed"]
        # And the way back: what ipvsadm prints is parsed to the same table, but for the thresholds, which it leaves out.
        parsed = table.parsed(ipvsadm("-Sn"))["parsed"]["services"]
        del declared[0]["destinations"][0]["upper_threshold"], declared[0]["destinations"][0]["lower_threshold"]
        assert read_services(parsed) == read_services(declared)
    finally:
        table.converge([], timeouts={"tcp": 900, "tcp_fin": 120}, sync_daemons=[])


def test_the_result_is_what_the_kernel_holds():
    declared = [service("tcp", 4, n, destinations=[{"address": SERVER[4] % d} for d in range(1, 4)]) for n in range(3)]
    assert table.converge(declared)["after"] == table.gather()["services"]
    declared[0]["destinations"].pop()
    declared[1]["scheduler"] = "sed"
    declared[2]["destinations"].append({"address": SERVER[4] % 9})
    assert table.converge(declared)["after"] == table.gather()["services"]


def test_another_program_is_faster():
    declared = [service("tcp", 4, n, destinations=[{"address": SERVER[4] % 1}]) for n in range(2)]
    apply, others = kernel.Ipvs.apply, [["-A", "-t", VIP[4] + ":8000", "-s", "rr"]]

    def late(self, operations):
        if others:
            ipvsadm(*others.pop())
        return apply(self, operations)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel.Ipvs, "apply", late)
        result = table.converge(declared)
    assert actions(result) == ["-a", "-A", "-a", "-E"] and result["after"] == table.gather()["services"]
    assert not table.converge(declared)["changed"]


def test_drift_names_the_operation():
    declared = [service("tcp", 4, 1, destinations=[{"address": SERVER[4] % 1}])]
    table.converge(declared)
    ipvsadm("-E", "-t", VIP[4] + ":8001", "-s", "rr")
    assert table.describe_kernel(declared=declared)["drift"] == ["ipvsadm -E -t 198.51.100.100:8001 -s wlc  # keeps connections"]


def test_sysctls_are_read_back():
    setting = Path("/proc/sys/net/ipv4/vs/expire_nodest_conn")
    before = setting.read_text().strip()
    try:
        assert table.converge(sysctls={"expire_nodest_conn": 1 - int(before)})["sysctls"]
        assert setting.read_text().strip() != before
        # The kernel accepts this silently and keeps the old value.
        with pytest.raises(LvsError, match="net/ipv4/vs/sync_ports"):
            table.converge(sysctls={"sync_ports": 99})
    finally:
        setting.write_text(before)
