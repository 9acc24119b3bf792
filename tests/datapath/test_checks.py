"""A check goes to its server, whatever IPVS remembers of the port that it comes from: lvsdr's own checks, and keepalived's.

IPVS looks for a known connection before it looks at marks (check_paths.paths_of). The tests without the rules show that checks go
astray then, and that this tier sees it.
"""

import asyncio
import contextlib
import re
import selectors
import socket
import subprocess
import threading
import time
from pathlib import Path

import net
import pytest
from ansible.module_utils.lvsdr.checks import outcomes, sockets
from ansible.module_utils.lvsdr.directors import forwarding, keepalived, nftables, streamchecks
from ansible.module_utils.lvsdr.inventory import resolve
from ansible.module_utils.lvsdr.ipvs import kernel, table
from net import DIRECTORS, SERVERS, VIP, inside

THREE = ("server1", "server2", "server3")
PORTS = {"tcp": net.PORT, "udp": 7000}
REMEMBERED, CHECKS, AT_ONCE = 1500, 2000, 400
# Seconds. A healthy server answers in milliseconds; a dead one is asked no longer than the tests have time for.
PATIENCE, SHORT = 20, 0.3
# How many checks keepalived makes of the dead server at once.
CHECKERS = 300


@pytest.fixture(scope="module", autouse=True)
def udp_servers():
    """A program on each server that answers from the VIP with the server's name; director1 is afterwards as it was."""
    selector = selectors.DefaultSelector()
    for name in THREE:
        for family, vip in VIP.items():
            with inside(name):
                sock = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
            sock.bind((vip, PORTS["udp"]))
            selector.register(sock, selectors.EVENT_READ, name.encode())

    def serve():
        while True:
            for key, _events in selector.select():
                with contextlib.suppress(OSError):
                    _data, whom = key.fileobj.recvfrom(100)
                    key.fileobj.sendto(key.data, whom)

    threading.Thread(target=serve, daemon=True).start()
    yield
    net.run("ip", "netns", "exec", "director1", "nft", "delete table inet lvsdr")
    net.sysctl("director1", "ipv4/conf/eth0/accept_local", 0)


@pytest.fixture(autouse=True)
def all_alive():
    yield
    for name in THREE:
        alive(name)


def dead(name):
    """Nothing that is sent to a VIP reaches a program of the server; the packets are counted."""
    alive(name)
    vips = "ip daddr %s counter drop; ip6 daddr %s counter drop;" % (VIP[4], VIP[6])
    net.run("ip", "netns", "exec", name, "nft", "table inet dead { chain in { type filter hook input priority 0; %s }; }" % vips)


def dropped(name):
    """How many packets a dead server has not heard."""
    said = net.run("ip", "netns", "exec", name, "nft", "list", "table", "inet", "dead")
    return sum(int(packets) for packets in re.findall(r"counter packets (\d+)", said))


def alive(name):
    net.run("ip", "netns", "exec", name, "nft", "table inet dead; delete table inet dead")


class Director:
    """director1 with the table and the rules of a rollout, and its checks of the three servers. active: who holds the VIP."""

    def __init__(self, protocol, family=4, active="director1", with_rules=True, one_packet=True):
        check = {"type": "tcp", "rise": 1} if protocol == "tcp" else {"type": "udp", "payload": "00", "rise": 1}
        service = {
            "name": "live", "addresses": [VIP[family]], "ports": [PORTS[protocol]], "protocol": protocol, "scheduler": "wrr",
            "real_servers": "web", "health_check": check,
        }  # fmt: skip
        self.family, self.protocol = family, protocol
        self.inventory = {"groups": {"directors": list(DIRECTORS), "web": list(THREE)}, "hosts": {}}
        for name, number in {**DIRECTORS, **SERVERS}.items():
            addresses = {"real_server_address": net.address(number), "real_server_address6": net.address(number, 6)}
            self.inventory["hosts"][name] = addresses
        links = [{"name": "eth0", "type": "ether", "addresses": [net.address(11) + "/24", net.address(11, 6) + "/64"]}]
        self.inventory["hosts"]["director1"]["facts"] = {"interfaces": links}
        self.services = resolve.resolve([service], self.inventory)
        for director in DIRECTORS:
            with inside(director):
                kernel.Ipvs().close()
            net.run("ip", "netns", "exec", director, "ipvsadm", "-C")
        for name, value in net.settings_of_the_role().items():
            net.sysctl("director1", "ipv4/vs/" + name, value)
        net.sysctl("director1", "ipv4/conf/eth0/accept_local", 1)
        net.hold(active)
        tables = self.services.tables()
        for one in tables:
            if "firewall_mark" in one and not one_packet:
                one.pop("one_packet")
        with inside("director1"):
            table.converge(tables)
        text = nftables.render(self.services, "director1", self.inventory, "eth0")
        if not with_rules:
            text = "".join(line for line in text.splitlines(True) if "saddr set" not in line)
        Path("/tmp/rules.nft").write_text(text)
        net.run("ip", "netns", "exec", "director1", "nft", "-f", "/tmp/rules.nft")
        (config,) = streamchecks.streamchecks(self.services, "director1", self.inventory)["services"]
        self.places = {one["name"]: sockets.Place(one["address"], one["port"], one["own"], one["mark"]) for one in config["servers"]}

    def ask(self, name, count, patience):
        """Who answered so many checks of a server: {name: count}, None for nobody."""

        async def one(place):
            if self.protocol == "udp":
                return (await place.ask(b"x")).decode()
            reader, writer = await place.connect()
            said = (await reader.readline()).decode().partition(" ")[0].strip()
            writer.close()
            return said

        async def some(place, found, left):
            while left:
                left.pop()
                try:
                    said = await asyncio.wait_for(one(place), patience)
                except (asyncio.TimeoutError, outcomes.Trouble):
                    said = None
                found[said] = found.get(said, 0) + 1

        async def together():
            found, left = {}, [None] * count
            await asyncio.gather(*(some(self.places[name], found, left) for _ in range(AT_ONCE)))
            return found

        with inside("director1"):
            return asyncio.run(together())

    def remembered(self):
        """The lines of IPVS's connections."""
        return net.run("ip", "netns", "exec", "director1", "ipvsadm", "-Lnc").splitlines()[2:]


def fill(director):
    """Checks leave 1,500 ports behind that IPVS does not schedule again; then server3 goes down.

    Of TCP those are in SYN_RECV, as checks of a server leave them that is down: here server1, which comes back. Of UDP all are such.
    """
    names = ("server1",) if director.protocol == "tcp" else THREE
    if director.protocol == "tcp":
        dead("server1")
    for name in names:
        director.ask(name, REMEMBERED // len(names), SHORT if director.protocol == "tcp" else PATIENCE)
    alive("server1")
    dead("server3")


def astray(director, checks, patience):
    """{server: who answered its checks} of a dead one and a healthy one, without the answers that are right."""
    fill(director)
    found = {"server3": director.ask("server3", checks, SHORT), "server2": director.ask("server2", checks, patience)}
    for name, right in (("server3", None), ("server2", "server2")):
        assert sum(found[name].values()) == checks
        found[name].pop(right, None)
    return found


@pytest.mark.parametrize(
    ("family", "active", "checks"), [(4, "director1", CHECKS), (4, "director2", CHECKS // 5), (6, "director1", CHECKS // 5)]
)
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_check_never_reaches_another_server(protocol, family, active, checks):
    """Of the director that holds the VIP, and of one that waits."""
    assert astray(Director(protocol, family, active), checks, PATIENCE) == {"server3": {}, "server2": {}}


@pytest.mark.parametrize("family", [4, 6])
def test_a_server_that_refuses_is_heard(family):
    """Nobody listens there: its RST says so at once."""
    director = Director("tcp", family)
    place = director.places["server1"]
    place.port = 9
    with inside("director1"), pytest.raises(outcomes.Trouble, match="refused"):
        asyncio.run(asyncio.wait_for(place.connect(), PATIENCE))


def test_strict_filtering_drops_no_answer_of_a_director_that_waits():
    """It has the VIP's route on lo (keepalived.py), and a hardening role may have set rp_filter for all interfaces."""
    director = Director("tcp", 4, "director2")
    route = ["local", VIP[4], "dev", "lo", "table", "local"]
    net.run("ip", "-n", "director1", "route", "add", *route)
    net.sysctl("director1", "ipv4/conf/all/rp_filter", 1)
    try:
        assert director.ask("server1", 5, 2) == {None: 5}
        seen = {"sysctls": {"net/ipv4/conf/all/rp_filter": "1", "net/ipv4/conf/eth0/rp_filter": "0"}}
        for name, value in forwarding.settings(director.services.services, "eth0", {"seen": seen, "interfaces": []}).items():
            net.sysctl("director1", name[len("net/") :], value)
        assert director.ask("server1", 5, PATIENCE) == {"server1": 5}
    finally:
        net.run("ip", "-n", "director1", "route", "del", *route)
        for card in ("all", "eth0"):
            net.sysctl("director1", "ipv4/conf/%s/rp_filter" % card, 0)


def test_udp_leaves_nothing_behind():
    """Also where the rules are missing."""
    director = Director("udp", with_rules=False)
    assert director.ask("server1", 20, PATIENCE) == {"server1": 20}
    assert not [line for line in director.remembered() if line.startswith("UDP")]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_without_the_rules_some_do(protocol):
    """The test above can fail: one TCP check in ten finds a dead server alive, and one UDP check in thirty."""
    found = astray(Director(protocol, with_rules=False, one_packet=False), CHECKS // 4, 2)
    assert set(found["server3"]) & {"server1", "server2"}, "a dead server is alive"
    assert found["server2"], "a healthy one is dead, or another one"


def seen_by_keepalived(director, seconds=30):
    """{server: how often keepalived said that it came up, and that it went down} until 2,000 of its checks were sent to server3.

    Its checks are the lines of a rollout, many times, and quicker.
    """
    fill(director)
    conf = keepalived.render(director.services, "director1", director.inventory)
    conf = re.sub(r" +FILE_CHECK \{.*?\}\n", "", conf[conf.index("# live") :], flags=re.S)
    conf = re.sub(r"delay_(loop|before_retry) \d+", r"delay_\1 0.2", conf)
    before, third = conf.split("    # server3\n", 1)
    check = re.search(r" +(TCP|UDP)_CHECK \{.*?\n        \}\n", third, re.S)[0]
    many = check.replace("connect_timeout 2", "connect_timeout %g" % SHORT) * CHECKERS
    Path("/tmp/keepalived.conf").write_text(before + "    # server3\n" + third.replace(check, many, 1))
    with open("/tmp/keepalived.log", "w+") as log:
        command = "ip netns exec director1 keepalived --check -n -l -D -f /tmp/keepalived.conf -p /tmp/keepalived.pid -c /tmp/checkers.pid"
        process = subprocess.Popen(command.split(), stdout=log, stderr=log)
        try:
            end = time.monotonic() + seconds
            while dropped("server3") < CHECKS and time.monotonic() < end:
                assert process.poll() is None, Path(log.name).read_text()
                time.sleep(0.5)
        finally:
            process.terminate()
            process.wait(60)
        said = Path(log.name).read_text()
    out = {}
    for name in THREE:
        words = re.findall(r"(?:TCP|UDP)\S* .*\[%s\]\S* (success|failed)" % re.escape(net.address(SERVERS[name])), said)
        out[name] = (words.count("success"), words.count("failed"))
    return out


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_keepalived_never_takes_a_dead_server_for_alive(protocol):
    found = seen_by_keepalived(Director(protocol))
    assert (found["server1"], found["server2"], found["server3"][0]) == ((1, 0), (1, 0), 0)
    assert dropped("server3") >= CHECKS


def test_without_the_rules_keepalived_does():
    found = seen_by_keepalived(Director("tcp", with_rules=False, one_packet=False), seconds=5)
    assert found["server3"][0], "a dead server came up"
