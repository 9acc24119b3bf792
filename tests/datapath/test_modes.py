"""Every mode with real packets: who the servers see, which way their answers take, and what outlives a failover.

Directors are made as a rollout makes them: resolve, what ipvs_table does, lvsdr.nft and the kernel's settings; servers by what the modules
return_path and real_server_vip do.
"""

import socket
import subprocess
import time
from collections import Counter

import net
import pytest
from ansible.module_utils.lvsdr.directors import forwarding, nftables
from ansible.module_utils.lvsdr.fleet import model
from ansible.module_utils.lvsdr.inventory import resolve, views
from ansible.module_utils.lvsdr.ipvs import kernel, table
from ansible.module_utils.lvsdr.routes import endpoints, plan, tunnels
from ansible.module_utils.lvsdr.routes import host as routes
from ansible.module_utils.lvsdr.system import links
from net import DIRECTORS, INNER, SERVERS, Running, hold, inside, newcomers
from test_schedulers import EVENTS, failover, nothing_lost

# One that no server holds.
VIP = {4: "198.51.100.101", 6: "2001:db8:100::101"}
GATEWAY = 110
COUNT, STREAMS = 300, 20
THREE = ("server1", "server2", "server3")


def own(number, family, arm):
    """A host's address on the link of the directors (one-arm), on an inner one (two-arm), or where only the router leads (routed)."""
    return {"one-arm": net.address(number, family), "two-arm": INNER[family] % number, "routed": net.ROUTED[family] % number}[arm]


class Fleet:
    """A service of one mode, and directors and servers as it needs them."""

    def __init__(self, mode, family=4, arm="one-arm", **more):
        self.family, self.arm, self.mode = family, arm, mode
        self.card = "eth0" if arm == "one-arm" else "eth1"
        self.gateway = own(GATEWAY, family, arm)
        self.service = {"name": "live", "addresses": [VIP[family]], "ports": [80], "mode": mode, "scheduler": "rr", "real_servers": "web"}
        self.service.update({"nat_gateway": self.gateway} if mode == "nat" else {}, **more)
        self.beside, self.hosts, self.servers = [], {}, list(THREE)
        self.clean()
        self.roll_out()
        self.hold("director1")

    def clean(self):
        for director in DIRECTORS:
            with inside(director):
                kernel.Ipvs().close()
            net.run("ip", "netns", "exec", director, "ipvsadm", "-C")
            subprocess.run(["ip", "netns", "exec", director, "nft", "delete table inet lvsdr"], capture_output=True)
            for name, value in net.settings_of_the_role().items():
                net.sysctl(director, "ipv4/vs/" + name, value)
        for server in SERVERS:
            with inside(server):
                routes.converge([], persist=False)
                for vip, length in ((VIP[4], 32), (VIP[6], 128)):
                    subprocess.run(["ip", "address", "del", "%s/%d" % (vip, length), "dev", "lo"], capture_output=True)

    def inventory(self):
        hosts = {}
        for name, number in {**DIRECTORS, **SERVERS}.items():
            arm = self.arm if name in SERVERS else "one-arm"
            hosts[name] = {
                "real_server_address": own(number, 4, arm), "real_server_address6": own(number, 6, arm), "real_server_weight": 10,
                **self.hosts.get(name, {}),
            }  # fmt: skip
            with inside(name):
                hosts[name]["facts"] = {"interfaces": links.interfaces()}
        for director in DIRECTORS:
            with inside(director):
                hosts[director]["facts"]["ipvs"] = table.describe_kernel(counters=False)["services"]
        return {"groups": {"directors": list(DIRECTORS), "web": self.servers}, "hosts": hosts}

    def roll_out(self, **variables):
        """What site.yml does, but for what it removes at the end."""
        self.hosts.update(variables)
        made = self.inventory()
        resolved = resolve.resolve([self.service, *self.beside], made)
        paths = views.return_paths(resolved.services)
        for server in SERVERS:
            with inside(server):
                routes.converge(plan.read_paths(paths.get(server, [])), purge=False, persist=False)
        for server, vips in views.vips_of_hosts(resolved.services).items():
            for vip in vips:
                net.run("ip", "-n", server, "address", "replace", "%s/%d" % (vip, 128 if ":" in vip else 32), "dev", "lo")
        ends = views.endpoints(resolved.services)
        for server, mine in ends.items():
            sources = model.endpoint_sources(made)
            with inside(server):
                endpoints.converge(*tunnels.read_endpoints(mine, sources, VIP.values()), persist=False)
        for director in DIRECTORS:
            settings = forwarding.settings(resolved.services, "eth0", made["hosts"][director]["facts"])
            declared = forwarding.ipvs_settings(resolved.services, net.settings_of_the_role())
            for name, value in [*settings.items(), *(("net/ipv4/vs/" + name, value) for name, value in declared.items())]:
                net.sysctl(director, name[len("net/") :], value)
            rules = nftables.render(resolved, director, made, "eth0")
            done = subprocess.run(["ip", "netns", "exec", director, "nft", "-f", "-"], input=rules, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            with inside(director):
                daemons = [{"state": state, "interface": "eth0", "id": 51} for state in ("master", "backup")]
                table.converge(resolved.tables(), sync_daemons=daemons, max_cut_connections=0)

    def set_weight(self, server, weight):
        """As keepalived does it on both directors when a check has failed or succeeded again."""
        for director in DIRECTORS:
            with inside(director):
                (service,) = (one for one in table.describe_kernel(counters=False)["services"] if self.is_mine(one))
                name = net.vip_option(service)
                for one in service["destinations"]:
                    if one["address"] == own(SERVERS[server], self.family, self.arm):
                        target = ("[%s]:%d" if ":" in one["address"] else "%s:%d") % (
                            one["address"],
                            one.get("port", service.get("port", 0)),
                        )
                        way = {"nat": ["-m"], "tunnel": ["-i"], "dr": ["-g"]}[one["forward"]]
                        subprocess.run(["ipvsadm", "-e", *name, "-r", target, *way, "-w", str(weight)], check=True)

    def is_mine(self, service):
        return service.get("address") == VIP[self.family]

    def hold(self, director):
        hold(director, [VIP[self.family]])
        if self.mode == "nat":
            hold(director, [self.gateway], self.card, THREE)

    def newcomers(self, **options):
        return newcomers(COUNT, self.family, vip=VIP[self.family], **options)

    def streams(self):
        return Running(STREAMS, self.family, vip=VIP[self.family])

    def counters(self, director="director1"):
        """(packets in, packets out) of the service, once the kernel has counted the newcomers: it does each two seconds."""
        deadline = time.monotonic() + 30
        while True:
            with inside(director):
                (service,) = (one for one in table.describe_kernel()["services"] if one.get("address") == VIP[self.family])
            found = service["counters"]["inpkts"], service["counters"]["outpkts"]
            # Not all of them at the same moment. In direct routing and tunnels nothing comes back, and the first number is enough.
            if found[0] > COUNT and (found[1] > COUNT or not found[1]) or time.monotonic() > deadline:
                return found
            time.sleep(0.5)

    def redirects(self):
        """Packets with which director1 has told somebody of a shorter way."""
        path = "snmp" if self.family == 4 else "snmp6"
        text = net.run("ip", "netns", "exec", "director1", "cat", "/proc/net/" + path)
        if self.family == 6:
            return int(text.split("Icmp6OutRedirects")[1].split()[0])
        names, numbers = (line.split() for line in text.splitlines() if line.startswith("Icmp:"))
        return int(dict(zip(names, numbers))["OutRedirects"])


def all_served(found, servers=THREE):
    assert sum(found[name] for name in servers) == COUNT and all(found[name] for name in servers), found


FAMILIES = pytest.mark.parametrize("family", [4, 6])
ARMS = pytest.mark.parametrize("arm", ["one-arm", "two-arm"])


@FAMILIES
@ARMS
def test_nat(arm, family):
    """Another port, the viewer's own address at the server, and both directions through the director."""
    fleet = Fleet("nat", family, arm, real_server_port=net.OTHER_PORT)
    before = fleet.redirects()
    all_served(fleet.newcomers())
    assert set(net.seen) == {net.client(number, family) for number in range(net.CLIENTS)}
    sent, answered = fleet.counters()
    assert sent > COUNT and answered > COUNT
    assert fleet.redirects() == before, "nobody is shown a way past the director"
    # A viewer in the servers' own subnet: its answers would go to it directly.
    if arm == "one-arm":
        all_served(fleet.newcomers(name="server4"))


@FAMILIES
@ARMS
def test_nat_outlives_a_failover(arm, family):
    fleet = Fleet("nat", family, arm, real_server_port=net.OTHER_PORT)
    streams = fleet.streams()
    try:
        assert streams.cut() == 0
        time.sleep(3)  # until the sync daemons have told of all
        fleet.hold("director2")
        assert streams.cut() == 0
        all_served(fleet.newcomers())
        assert fleet.counters("director2")[1] > COUNT
    finally:
        streams.end()


@FAMILIES
def test_without_a_return_path_nobody_is_served(family):
    """The tests above can fail: this is what the servers' own default route does."""
    Fleet("nat", family, real_server_port=net.OTHER_PORT)
    for server in THREE:
        with inside(server):
            routes.converge([], persist=False)
    found = newcomers(20, family, vip=VIP[family], seconds=3)
    assert not any(found[name] for name in THREE), found


@FAMILIES
def test_redirects_are_seen_where_nothing_forbids_them(family):
    fleet = Fleet("nat", family, real_server_port=net.OTHER_PORT)
    net.sysctl("director1", "ipv4/conf/eth0/send_redirects", 1)
    if family == 6:
        net.run("ip", "netns", "exec", "director1", "nft", "delete chain inet lvsdr redirects")
    before = fleet.redirects()
    # Over IPv6 the shorter way is shown to a neighbour alone, unless the router has a link-local address.
    newcomers(20, family, vip=VIP[family], name="server4" if family == 6 else "viewer", seconds=3)
    assert fleet.redirects() > before
    for server in THREE:  # what they have learned
        net.run("ip", "-n", server, "route", "flush", "cache")


@FAMILIES
@ARMS
def test_snat(arm, family):
    """Servers see the director, and nothing was done there."""
    fleet = Fleet("snat", family, arm, real_server_port=net.OTHER_PORT)
    all_served(fleet.newcomers())
    assert set(net.seen) == {own(DIRECTORS["director1"], family, arm)}
    sent, answered = fleet.counters()
    assert sent > COUNT and answered > COUNT
    net.run("ip", "netns", "exec", "director1", "nft", "delete chain inet lvsdr snat%d" % family)
    found = newcomers(20, family, vip=VIP[family], seconds=3)
    assert not any(found[name] for name in THREE), (found, "without the rule servers answer viewers directly")


@FAMILIES
def test_a_failover_ends_what_snat_has_begun(family):
    """The new source is not in the sync daemons' messages. What comes afterwards is served."""
    fleet = Fleet("snat", family)
    streams = fleet.streams()
    try:
        time.sleep(3)
        fleet.hold("director2")
        assert streams.cut(1) == STREAMS
        all_served(fleet.newcomers())
        assert set(net.seen) == {net.address(DIRECTORS["director2"], family)}
    finally:
        streams.end()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
@pytest.mark.parametrize("mode", ["nat", "snat", "tunnel"])
def test_nobody_is_lost(mode, event):
    """What direct routing does for its viewers, the other modes do. Only a failover ends what SNAT has begun."""
    if mode == "snat" and event is failover:
        return
    arm = "routed" if mode == "tunnel" else "two-arm"
    try:
        nothing_lost(Fleet(mode, 4, arm, scheduler="mh", scheduler_flags=["mh-port"]), event)
    finally:
        no_tunnels()


def no_tunnels():
    for server in SERVERS:
        with inside(server):
            endpoints.converge([], [], [], persist=False)


TUNNELS = [{"type": "ipip"}, {"type": "gue", "port": 6080}, {"type": "gre"}]


@pytest.fixture
def tunnelled():
    """Makes fleets of mode tunnel, and takes the tunnels down afterwards."""
    yield lambda family, tunnel: Fleet("tunnel", family, "routed", tunnel=tunnel)
    no_tunnels()


@FAMILIES
@pytest.mark.parametrize("tunnel", TUNNELS, ids=lambda tunnel: tunnel["type"])
def test_tunnel(tunnelled, tunnel, family):
    """Servers of another subnet see the viewer, and answer it without the director; a long upload fits."""
    fleet = tunnelled(family, tunnel)
    all_served(fleet.newcomers())
    assert set(net.seen) == {net.client(number, family) for number in range(net.CLIENTS)}
    sent, answered = fleet.counters()
    assert sent > COUNT and answered == 0
    streams = fleet.streams()
    try:
        expected = tunnels.segment_size(tunnel["type"], family, 1500)
        assert {sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) + 12 for sock, _name in streams.found} == {expected}
        for sock, _name in streams.found:
            sock.settimeout(20)
            sock.sendall(b"x" * 20000)
            left = 20000
            while left:
                left -= len(sock.recv(left))
        time.sleep(3)
        fleet.hold("director2")
        assert streams.cut() == 0
        all_served(fleet.newcomers())
    finally:
        streams.end()


@FAMILIES
@pytest.mark.parametrize("tunnel", TUNNELS, ids=lambda tunnel: tunnel["type"])
def test_nobody_else_sends_through_a_tunnel(tunnelled, tunnel, family):
    """A host that is not a director makes a service of its own to the servers."""
    fleet = tunnelled(family, tunnel)
    target = fleet.inventory()["hosts"]["server1"]["real_server_address%s" % ("6" if family == 6 else "")]
    with inside("server4"):
        kernel.Ipvs().close()
        made = {"address": VIP[family], "port": 80, "scheduler": "rr", "destinations": [
            {"address": target, "forward": "tunnel", "tunnel": tunnel}]}  # fmt: skip
        table.converge([made], max_cut_connections=0)
    hold("server4", [VIP[family]])
    try:
        found = newcomers(20, family, vip=VIP[family], seconds=3)
        assert found == {"silent": 20}, found
        for server in THREE:
            net.run("ip", "netns", "exec", server, "nft", "flush chain inet lvsdr_tunnel guard")
        found = newcomers(20, family, vip=VIP[family])
        assert found == {"server1": 20}, (found, "this is what the guard keeps out")
    finally:
        net.run("ip", "netns", "exec", "server4", "ipvsadm", "-C")
        fleet.hold("director1")


@pytest.fixture(scope="module", autouse=True)
def programs():
    net.media_servers(VIP.values())
    yield
    for director in DIRECTORS:
        net.run("ip", "netns", "exec", director, "ipvsadm", "-C")


def together(fleet, out=()):
    """All ports of each of 100 viewers reach one server."""
    vip, family = VIP[fleet.family], fleet.family
    found = net.connect(net.CLIENTS, family, vip=vip, port=net.STREAM_PORT)
    names = [name for _sock, name in found]
    for sock, _name in found:
        sock.close()
    assert set(names) == {name for name in THREE if name not in out}, Counter(names)
    for port in net.MEDIA_PORTS:
        assert net.media(net.CLIENTS, family, vip, port) == names
    return names


@FAMILIES
@pytest.mark.parametrize("mode", ["dr", "nat", "snat", "tunnel"])
def test_several_ports_are_one_service(tunnelled, mode, family):
    """RTSP with its RTP: a viewer's ports are on one server, after a failover on the same, and after a drain on another one."""
    ports = ["%d/tcp" % net.STREAM_PORT, "%d-%d/udp" % net.MEDIA_PORTS]
    arm = "routed" if mode == "tunnel" and family == 4 else "one-arm"
    fleet = Fleet(mode, family, arm, ports=ports, scheduler=None)
    before = together(fleet)
    assert newcomers(5, family, vip=VIP[family]) == {"refused": 5}, "a port outside of the service"
    streams = Running(STREAMS, family, vip=VIP[family], port=net.STREAM_PORT)
    try:
        time.sleep(3)
        fleet.hold("director2")
        assert mode == "snat" or streams.cut() == 0
        assert together(fleet) == before
        fleet.roll_out(server1={"real_server_state": "drained"})
        assert mode == "snat" or streams.cut() == 0
        after = together(fleet, {"server1"})
        assert all(now == then for now, then in zip(after, before) if then != "server1"), "only the drained server's viewers move"
    finally:
        streams.end()


@FAMILIES
def test_the_modes_beside_each_other(tunnelled, family):
    """One pair with all of them: SNAT's tracking of connections touches no other service."""
    fleet = Fleet("snat", family, real_server_port=net.OTHER_PORT)
    other = net.VIP[family]
    gateway = net.address(GATEWAY, family)
    common = {"addresses": [other], "real_servers": "web", "scheduler": "rr"}
    fleet.beside = [
        {**common, "name": "direct", "ports": [80]},
        {**common, "name": "translated", "ports": [81], "mode": "nat", "real_server_port": 8080, "nat_gateway": gateway},
        {**common, "name": "tunnelled", "ports": [554], "mode": "tunnel", "tunnel": {"type": "gue", "port": 6080}},
    ]
    fleet.roll_out()
    hold("director1", [VIP[family], other])
    hold("director1", [gateway], "eth0", THREE)
    viewers = {net.client(number, family) for number in range(net.CLIENTS)}
    all_served(fleet.newcomers())
    assert set(net.seen) == {net.address(DIRECTORS["director1"], family)}
    for port in (80, 81, 554):
        all_served(newcomers(COUNT, family, vip=other, port=port))
        assert set(net.seen) == viewers, port
    text = net.run("ip", "netns", "exec", "director1", "cat", "/proc/net/nf_conntrack")
    assert VIP[family] in net.full(text) and other not in net.full(text), "what direct routing and NAT send is not tracked"


def test_the_kernel_mixes_no_families_beside_the_sync_daemons():
    """IPv6 viewers for IPv4 servers would be possible in tunnels, but a message of the sync daemons has one family (ip_vs_ctl.c)."""
    Fleet("nat")
    here = ["ip", "netns", "exec", "director1", "ipvsadm"]
    net.run(*here, "-A", "-t", "[%s]:99" % VIP[6])
    add = [*here, "-a", "-t", "[%s]:99" % VIP[6], "-r", net.address(21), "-i"]
    assert subprocess.run(add, capture_output=True).returncode != 0
    for state in ("master", "backup"):
        net.run(*here, "--stop-daemon", state)
    assert subprocess.run(add, capture_output=True).returncode == 0, "without them it takes it"
