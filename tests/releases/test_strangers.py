"""Two real directors (keepalived 2.3.3 and 2.2.7) and a stranger on their link, who sends what only a director may send."""

import os
import signal
import socket
import struct
import subprocess
import time

import pytest
import wires
from ansible.module_utils.lvsdr.directors import keepalived, nftables, vrrp
from ansible.module_utils.lvsdr.inventory import resolve
from conftest import CACHE

from inventories import GONE, VIP, inventory, service

NUMBERS = {"director1": 11, "director2": 12, "stranger": 77}
SUITES = {"director1": "trixie", "director2": "bookworm"}
# A director gives its peer three intervals, of a second at most; with so much more a takeover would be seen.
SECONDS = 6


class Host:
    """A network namespace on the link, for a director with a release's root file system."""

    def __init__(self, name, folder):
        self.name, number = name, NUMBERS[name]
        root = (CACHE / SUITES.get(name, "bookworm")).resolve()
        assert root.is_dir(), "there is no root file system: run `make releases`, which builds it"
        self.root, peer = folder / "root", "lvsdrt%d" % number
        script = f"""set -eu
            mount -t tmpfs tmpfs '{folder}'; mkdir '{folder}/upper' '{folder}/work' '{folder}/root'
            mount -t overlay overlay -o 'lowerdir={root},upperdir={folder}/upper,workdir={folder}/work' '{folder}/root'
            mount --bind /proc '{folder}/root/proc'; mount --rbind /dev '{folder}/root/dev'; mount -t tmpfs tmpfs '{folder}/root/run'
            echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
            ip link set lo up; echo ready; exec sleep infinity"""
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.holder.stdout.readline() == "ready\n"
        self.daemon = None
        wires.plug(self.holder.pid, "eth0", peer, "lvsdrt-link")
        wires.up(self.holder.pid, "eth0", "192.0.2.%d/24" % number, "2001:db8::%d/64" % number)

    def inside(self, *command, stdin=None, check=True):
        command = ["nsenter", "--target", str(self.holder.pid), "--mount", "--net", "--", *command]
        done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    def chroot(self, *command, stdin=None):
        return self.inside("chroot", str(self.root), *command, stdin=stdin)

    def start(self, conf):
        """keepalived without its half for IPVS, which this kernel has not."""
        self.chroot("sh", "-c", "cat >/run/keepalived.conf", stdin=conf)
        words = ["keepalived", "--vrrp", "-n", "-l", "-f", "/run/keepalived.conf"]
        self.daemon = subprocess.Popen(
            ["nsenter", "--target", str(self.holder.pid), "--mount", "--net", "--", "chroot", str(self.root), *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def stop(self):
        if self.daemon:
            os.killpg(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()
            self.daemon = None
        if self.holds():
            with wires.routing(self.holder.pid) as route:
                wires.address(route, "del", "eth0", VIP + "/32")
        self.inside("sh", "-c", "rm -f %s/run/keepalived/*.pid %s/run/*.pid; nft flush ruleset"
                    % (self.root, self.root))  # fmt: skip

    def holds(self):
        with wires.routing(self.holder.pid) as route:
            return any((one.get_attr("IFA_LOCAL"), one["prefixlen"]) == (VIP, 32) for one in route.addr("dump", family=socket.AF_INET))

    def end(self):
        self.stop()
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


@pytest.fixture(scope="module")
def link(tmp_path_factory):
    wires.unplug("lvsdrt-link")
    wires.bridge("lvsdrt-link")
    made = {}
    try:
        for name in NUMBERS:
            made[name] = Host(name, tmp_path_factory.mktemp(name))
        yield made
    finally:
        for host in made.values():
            host.end()
        wires.unplug("lvsdrt-link")


@pytest.fixture
def directors(link):
    yield {name: link[name] for name in SUITES}
    for name in SUITES:
        link[name].stop()


def start(directors, family=4, guard=True, former=False, **variables):
    """The pair with the product's own files; director1 has the higher priority. former: without what keeps strangers out."""
    hosts = {name: {"director_priority": 150 - 50 * n, **variables} for n, name in enumerate(SUITES)}
    if family == 6:
        for name in SUITES:
            hosts[name].update(ansible_host="2001:db8::%d" % NUMBERS[name], real_server_address6=GONE)
    made = inventory(hosts, with_facts=True)
    services = resolve.resolve([service()], made)
    for name, host in directors.items():
        conf = keepalived.render(services, name, made)
        if former:
            conf = conf.replace(" min_ttl 255 max_ttl 255", "").replace("    unicast_ttl 255\n", "")
        if guard:
            host.chroot("nft", "-f", "-", stdin=nftables.render(services, name, made, "eth0"))
        host.start(conf)
    wait_for(directors, "director1")


def wait_for(directors, owner):
    deadline = time.monotonic() + 60
    while [name for name, host in directors.items() if host.holds()] != [owner]:
        assert time.monotonic() < deadline, "%s never was the only owner" % owner
        time.sleep(0.2)


FORGE = """
import socket, struct, sys
family, target, hops, payload, source = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), bytes.fromhex(sys.argv[4]), sys.argv[5]
sock = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, 112)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
if family == 4:
    if payload[0] >> 4 == 3:  # over IPv4 too, its checksum covers the addresses of the packet (RFC 5798, 5.2.8)
        ends = socket.inet_aton(source or "192.0.2.77") + socket.inet_aton(target)
        words = ends + struct.pack("!HH", 112, len(payload)) + payload
        total = sum(struct.unpack("!%dH" % (len(words) // 2), words))
        total = (total & 0xFFFF) + (total >> 16)
        payload = payload[:6] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + payload[8:]
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, hops)
    if source:  # with a header of our own (raw(7)); the kernel puts in length, number and checksum
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
        addresses = socket.inet_aton(source) + socket.inet_aton(target)
        payload = bytes([0x45, 0, 0, 0, 0, 0, 0, 0, hops, 112, 0, 0]) + addresses + payload
else:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, hops)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, 6)
sock.sendto(payload, (target, 0))
"""


def forged(family, hops=(3, 255), groups=True, sources=("",), version=3):
    """[arguments of FORGE] of every kind: to each director and to the group, routed and not, the right router id and another."""
    advertised = keepalived.advertised(51, family).partition("/")[0]
    packed = socket.inet_pton(socket.AF_INET if family == 4 else socket.AF_INET6, advertised)
    targets = ["192.0.2.11", "192.0.2.12"] if family == 4 else ["2001:db8::11", "2001:db8::12"]
    out = []
    for target in targets + ([vrrp.GROUPS[family]] if groups else []):
        for hop in hops:
            for virtual_router_id in (51, 7):
                data = vrrp.advertisement(4, virtual_router_id, 255, [packed])
                if version == 3:
                    data = struct.pack("!BBBBHH", 0x31, virtual_router_id, 255, 1, 20, 0) + packed
                elif family == 6:
                    # keepalived speaks version 2 over IPv6, too.
                    data = struct.pack("!BBBBBBH", 0x21, virtual_router_id, 255, 1, 0, 1, 0) + packed
                out += [[str(family), target, str(hop), data.hex(), source] for source in sources]
    return out


def attack(link, directors, packets, seconds=SECONDS):
    """Who held the VIP meanwhile, as the set of what was seen."""
    seen, until = set(), time.monotonic() + seconds
    while time.monotonic() < until:
        for arguments in packets:
            link["stranger"].inside("python3", "-c", FORGE, *arguments)
        seen.add(tuple(name for name, host in directors.items() if host.holds()))
    return seen


# The interval decides the version: parts of a second need the third.
@pytest.mark.parametrize(("interval", "version"), [(0.2, 3), (1, 2)])
def test_what_strangers_could_do(link, directors, interval, version):
    """Without these words and rules nobody holds the VIP as long as it goes on: this test can fail."""
    start(directors, guard=False, former=True, director_advertisement_interval=interval)
    assert () in attack(link, directors, forged(4, hops=(3,), groups=False, version=version), seconds=10)


@pytest.mark.parametrize(
    ("family", "unicast", "interval", "version", "hops"),
    # To the group directors send from link-local addresses over IPv6, as any host of the link can: there only what is routed is kept out.
    [
        (4, True, 0.2, 3, (3, 255)), (4, False, 0.2, 3, (3, 255)), (6, True, 0.2, 3, (3, 255)), (6, False, 0.2, 3, (3,)),
        (4, True, 1, 2, (3, 255)),
    ],
)  # fmt: skip
def test_the_vip_stays(link, directors, family, unicast, interval, version, hops):
    start(directors, family, director_unicast=unicast, director_advertisement_interval=interval)
    assert attack(link, directors, forged(family, hops=hops, version=version)) == {("director1",)}
    dropped = directors["director1"].inside("nft", "list", "counters", "table", "inet", "lvsdr")
    assert "counter strange_vrrp {\n\t\tpackets 0 " not in dropped, "what was sent has arrived"


def test_a_routed_packet_in_the_name_of_a_director(link, directors):
    """Its source is right, and its TTL tells that it is from elsewhere."""
    start(directors)
    packets = forged(4, hops=(3, 254), groups=False, sources=("192.0.2.11", "192.0.2.12"))
    assert attack(link, directors, packets) == {("director1",)}


@pytest.mark.parametrize("family", [4, 6])
def test_keepalived_alone_keeps_them_out_after_a_flush(link, directors, family):
    """`nft flush ruleset`, as by `systemctl restart nftables`: with unicast its own words hold until the next rollout loads the rules."""
    start(directors, family)
    for host in directors.values():
        host.inside("nft", "flush", "ruleset")
    assert attack(link, directors, forged(family)) == {("director1",)}


def test_directors_hear_each_other_through_the_rules(link, directors):
    """And take over: the guard keeps nobody out who belongs there."""
    start(directors)
    directors["director1"].stop()
    wait_for(directors, "director2")


def test_sync_messages_of_strangers_are_dropped(link, directors):
    start(directors)
    send = """if True:
        import socket
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        sock.sendto(bytes.fromhex("%s"), ("224.0.0.81", 8848))""" % vrrp.EMPTY_SYNC.hex()

    def count(host):
        return host.inside("nft", "list", "counter", "inet", "lvsdr", "strange_sync")

    before = {name: count(host) for name, host in directors.items()}
    directors["director1"].inside("python3", "-c", send)
    assert count(directors["director2"]) == before["director2"], "the other director's come in"
    link["stranger"].inside("python3", "-c", send)
    for name, host in directors.items():
        assert count(host) != before[name]
