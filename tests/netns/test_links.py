"""What is read and changed by rtnetlink, beside what `ip` says and does of the same namespace."""

import ipaddress
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from links import VIP, VIP6
from said import id_of

STEPS = Path(__file__).parent / "rtnetlink_steps.py"

# Each kind of link, address, rule and route that makes a difference.
MESSY = """
link add i0 type ifb
link add br0 type bridge
link add br1 type bridge
link add a0 type veth peer name b0
link add a1 type veth peer name b1
link set b1 master br1
link add link b0 m1 type macvlan
link add link eth0 m2 type macvlan
tuntap add t0 mode tun
link set eth0 arp off
link set br0 up
address add 192.0.2.100/32 dev lo
address add 2001:db8::100/128 dev lo nodad preferred_lft 0
address add 192.0.2.5/32 dev t0
address add 192.0.2.101 peer 192.0.2.9/32 dev br0
address add 192.0.2.101/32 dev br0
address add 192.0.2.102/32 dev br0 scope link
address add 192.0.2.103/32 dev br0 scope 77
address add 169.254.7.7/32 dev br0
address add 169.254.8.8/16 dev br0
address add 2001:db8::7 peer 2001:db8::9/128 dev br0 nodad
address add 2001:db8:1::1/64 dev br0 nodad
route add local 192.0.2.110/32 dev lo
route add local 192.0.2.96/27 dev br0 table main proto static metric 7
route add local 192.0.2.111/32 dev lo table 1000
route add local 192.0.2.112/32 dev lo table 100 proto 77
route add local 192.0.2.113/32 dev lo table 101
route add local 192.0.2.114/32 dev lo table 102
route add local 192.0.2.115/32 dev lo table 103
route add local default dev lo table 104
-6 route add local 2001:db8:2::/64 dev lo
-6 route add local 2001:db8:3::1/128 dev lo table 1000
rule add priority 100 table 1000
rule add priority 101 table 100 protocol static
rule add priority 102 fwmark 1 table 101
rule add priority 103 not from 192.0.2.7 table 102
rule add priority 104 table 103 suppress_prefixlength 0
rule add priority 105 table 104
"""


def as_ip_says(server):
    """The same as links.interfaces(), of what `ip -j` prints."""
    out = []
    for link in json.loads(server.ip("-j", "address", "show")):
        if "ifname" not in link:
            continue
        scopes, peers = {}, {}
        for info in link["addr_info"]:
            if "local" in info and not (ipaddress.ip_address(info["local"]).is_link_local and info["prefixlen"] not in (32,)):
                text = "%s/%d" % (info["local"], info["prefixlen"])
                scopes[text] = info["scope"]
                peers.setdefault(text, []).append(info.get("address"))
        found = {
            "name": link["ifname"], "type": link["link_type"], "arp": "NOARP" not in link["flags"], "up": "UP" in link["flags"],
            "addresses": list(scopes), "scopes": scopes,
        }  # fmt: skip
        if link["link_type"] in ("ether", "loopback"):  # the address of a tunnel is one of IP, and no MAC
            found["mac"] = link["address"]
        if any(peer for ends in peers.values() for peer in ends):
            found["peers"] = peers
        out.append(found)
    return out


@pytest.fixture
def messy(server):
    for line in MESSY.strip().splitlines():
        server.ip(*line.split())
    return server


def test_interfaces_are_as_ip_says(messy):
    found = messy.module("lvs_preflight")["interfaces"]
    routes = {link["name"]: link.pop("local_routes") for link in found if "local_routes" in link}
    unasked = {link["name"] for link in found if link.pop("unasked", False)}
    for link in found:
        link.pop("arp_filters", None)
        if link["type"] not in ("ether", "loopback"):
            link.pop("mac")
    assert found == as_ip_says(messy)
    assert {link["type"] for link in found} >= {"ether", "loopback", "none"}
    assert unasked == {"i0", "br0", "br1", "b0", "a1", "b1", "m1"}
    assert routes == {
        "lo": [
            "local 192.0.2.112/32 dev lo table 100 proto 77", "local 192.0.2.111/32 dev lo table 1000 proto boot",
            "local 192.0.2.110/32 dev lo table local proto boot", "local 2001:db8:2::/64 dev lo table local proto boot metric 1024",
        ],
        "br0": ["local 192.0.2.96/27 dev br0 table main proto static metric 7"],
    }  # fmt: skip


def change(host, *steps):
    """(what the kernel has afterwards, the errors) of calls of Rtnetlink's methods, each (name, arguments)."""
    done = json.loads(host.run(sys.executable, str(STEPS), str(Path(__file__).parents[1]), stdin=json.dumps(steps)))
    return done, done.pop("said")


def test_an_address_comes_and_goes(server):
    before, _said = change(server)
    there, said = change(server, ["add_address", "lo", VIP, 32], ["add_address", "lo", VIP6, 128, True])
    assert said == [] and VIP + "/32 scope global lo" in server.ip("-o", "address", "show", "dev", "lo").replace("    inet ", "")
    (line,) = server.ip("-o", "address", "show", "to", VIP6).splitlines()
    assert "nodad" in line and "deprecated" in line and "preferred_lft 0sec" in line and "tentative" not in line
    assert [address[1] for address in there["addresses"] if address not in before["addresses"]] == [VIP, VIP6]
    assert change(server, ["remove_address", "lo", VIP, 32], ["remove_address", "lo", VIP6, 128]) == (before, [])


def test_one_end_of_a_pair_of_addresses_goes(server):
    server.ip("address", "add", VIP, "peer", "192.0.2.99/32", "dev", "eth0")
    server.ip("address", "add", VIP + "/32", "dev", "eth0")
    assert change(server, ["remove_address", "eth0", VIP, 32, "192.0.2.99"])[1] == []
    (line,) = server.ip("-o", "address", "show", "to", VIP).splitlines()
    assert "peer" not in line


@pytest.mark.parametrize(
    "words",
    [
        "local 192.0.2.110/32 dev lo table local proto boot", "local 192.0.2.96/27 dev eth0 table main proto static metric 7",
        "local 192.0.2.111/32 dev lo table 1000 proto 77", "local 2001:db8:2::/64 dev lo table local proto boot metric 1024",
    ],
)  # fmt: skip
def test_a_route_goes_and_its_neighbour_stays(server, words):
    before = server.ip("route", "show", "table", "all"), server.ip("-6", "route", "show", "table", "all")
    server.ip("route", "add", *words.split())
    assert change(server, ["remove_local_route", words])[1] == []
    assert (server.ip("route", "show", "table", "all"), server.ip("-6", "route", "show", "table", "all")) == before


@pytest.mark.parametrize(
    ("steps", "errno", "attempt"),
    [
        ([["add_address", "lo", VIP, 32]] * 2, "EEXIST (File exists)", "`ip address add 192.0.2.100/32 dev lo`"),
        ([["remove_address", "lo", VIP6, 128]], "EADDRNOTAVAIL (Cannot assign requested address)",
         "`ip address del 2001:db8::100/128 dev lo`"),
        ([["add_address", "none0", VIP, 32]], "ENODEV (No such device)", "`ip address add 192.0.2.100/32 dev none0`"),
        ([["remove_local_route", "local 192.0.2.7/32 dev lo table local proto boot"]], "ESRCH (No such process)",
         "`ip route del local 192.0.2.7/32 dev lo table local proto boot`"),
    ],
)  # fmt: skip
def test_what_the_kernel_refuses_has_its_name(server, steps, errno, attempt):
    (line,) = change(server, *steps)[1]
    assert line.startswith("%s failed with %s; " % (attempt, errno)) and id_of(line) == "network-refused"


def test_another_program_may_read_beside(server):
    """A dump that is interrupted is asked for again: the links change all the while, and none is read twice or left out."""
    code = "while :; do ip link add x0 type dummy; ip link del x0; done"
    command = ["ip", "netns", "exec", server.namespace, "sh", "-c", code]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        for _look in range(5):
            names = [link["name"] for link in server.module("lvs_preflight")["interfaces"]]
            assert [name for name in names if name != "x0"] == ["lo", "eth0"] and names.count("x0") <= 1
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
