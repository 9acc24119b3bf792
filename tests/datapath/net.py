"""A fleet inside one kernel: directors, servers, router and viewers are network namespaces, and packets are real.

One process drives all of it: a thread enters a namespace for the moment in which it makes a socket, and the socket stays there.
"""

import contextlib
import errno
import ipaddress
import re
import selectors
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import wires
from pyroute2 import NetlinkError
from wires import inside

ROOT = Path(__file__).parents[2]

VIP = {4: "198.51.100.100", 6: "2001:db8:100::100"}
DIRECTORS = {"director1": 11, "director2": 12}
SERVERS = {"server1": 21, "server2": 22, "server3": 23, "server4": 24}
PORT = 80
# Where servers of NAT and SNAT listen.
OTHER_PORT = 8080
# A second link of directors and servers, without a router.
INNER = {4: "192.0.2.%d", 6: "2001:db8:300::%d"}
# Addresses of servers that the router alone leads to.
ROUTED = {4: "198.18.5.%d", 6: "2001:db8:500::%d"}
# Viewers' addresses: schedulers that hash a client's address need many.
CLIENTS = 100
# Those of a service of several ports.
STREAM_PORT, MEDIA_PORTS = 554, (6970, 6971)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, "%s: %s" % (" ".join(command), done.stderr or done.stdout)
    return done.stdout


def address(number, family=4):
    return "198.51.100.%d" % number if family == 4 else "2001:db8:100::%d" % number


def client(number, family=4):
    number = 10 + number % CLIENTS
    return "203.0.113.%d" % number if family == 4 else "2001:db8:200::%x" % number


def sysctl(name, setting, value):
    with inside(name), open("/proc/sys/net/" + setting, "w") as f:
        f.write(str(value))


def settings_of_the_role():
    """The director role's own settings under net/ipv4/vs, as its defaults have them."""
    text = (ROOT / "roles/director/defaults/main.yml").read_text()
    return dict(re.findall(r"^  ([a-z_]+): ([0-9]+)$", text[text.index("director_sysctls:") :], re.M))


def full(text):
    """A text with each IPv6 address of eight groups, as /proc has them, in its short form."""
    return re.sub(r"\b(?:[0-9a-f]{4}:){7}[0-9a-f]{4}\b", lambda found: str(ipaddress.ip_address(found[0])), text)


def vip_option(service):
    """ipvsadm's words for a service, in the words of ipvs_table's options."""
    if "firewall_mark" in service:
        return ["-f", str(service["firewall_mark"]), *(["-6"] if service.get("family") == "ipv6" else [])]
    return ["-t", ("[%s]:%d" if ":" in service["address"] else "%s:%d") % (service["address"], service["port"])]


def wire(name, bridge, card, *addresses):
    wires.plug(name, card, "%s-%s" % (name, card), bridge)
    sysctl(name, "ipv6/conf/%s/accept_dad" % card, 0)
    wires.up(name, card, *addresses)


def build():
    """All namespaces and wires, for as long as the guest lives."""
    for bridge in ("service", "viewers", "inner", "routed"):
        wires.bridge(bridge, br_forward_delay=0)
    for name in (*DIRECTORS, *SERVERS, "router", "viewer"):
        wires.create(name)
    wire("router", "service", "eth0", address(1) + "/24", address(1, 6) + "/64")
    wire("router", "viewers", "eth1", "203.0.113.1/24", "2001:db8:200::1/64")
    wire("viewer", "viewers", "eth0", *(client(n) + "/24" for n in range(CLIENTS)), *(client(n, 6) + "/64" for n in range(CLIENTS)))
    for name, number in {**DIRECTORS, **SERVERS}.items():
        wire(name, "service", "eth0", address(number) + "/24", address(number, 6) + "/64")
        wire(name, "inner", "eth1", INNER[4] % number + "/24", INNER[6] % number + "/64")
    wire("router", "routed", "eth2", ROUTED[4] % 1 + "/24", ROUTED[6] % 1 + "/64")
    for name, number in SERVERS.items():
        wire(name, "routed", "eth2", ROUTED[4] % number + "/24", ROUTED[6] % number + "/64")
    for name in ("router",):
        sysctl(name, "ipv4/ip_forward", 1)
        sysctl(name, "ipv6/conf/all/forwarding", 1)
    for name in (*DIRECTORS, *SERVERS, "viewer"):
        via = ("203.0.113.1", "2001:db8:200::1") if name == "viewer" else (address(1), address(1, 6))
        for gateway in via:
            wires.gateway(name, gateway)
    for name in SERVERS:
        sysctl(name, "ipv4/conf/all/arp_ignore", 1)
        sysctl(name, "ipv4/conf/all/arp_announce", 2)
        sysctl(name, "ipv4/conf/all/rp_filter", 0)
        sysctl(name, "ipv4/conf/eth0/rp_filter", 0)
        wires.up(name, "lo", VIP[4] + "/32", VIP[6] + "/128")
    # Others than those of source().
    sysctl("viewer", "ipv4/ip_local_port_range", "%d 65000" % (FIRST_PORT + PORTS))
    sysctl("viewer", "ipv4/tcp_tw_reuse", 1)


def hold(director, addresses=(VIP[4], VIP[6]), card="eth0", neighbours=("router",)):
    """The director has these addresses, and nobody else; neighbours learn it at once, as from a gratuitous ARP."""
    for name in dict.fromkeys((*DIRECTORS, "server4", director)):
        with wires.routing(name) as route:
            for text in addresses:
                text += "/128" if ":" in text else "/32"
                with contextlib.suppress(*([] if name == director else [NetlinkError])):  # it is not there
                    wires.address(route, "replace" if name == director else "del", card, text)
                if name == director and ":" in text:
                    # As keepalived has it: never the source of the director's own packets. pyroute2 0.7.2 forgets this word.
                    run("ip", "-n", name, "address", "change", text, "dev", card, "nodad", "preferred_lft", "0")
            if name == director:
                mac = route.link("get", ifname=card)[0].get_attr("IFLA_ADDRESS")
    for name in neighbours:
        with wires.routing(name) as route:
            for text in addresses:
                route.neigh("replace", dst=text, lladdr=mac, ifindex=wires.index_of(route, card), state="reachable")


class Servers:
    """A program on each server: it says its name and whom it sees to whoever connects, and answers every byte with the same byte."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        for name in SERVERS:
            for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                for port in (PORT, OTHER_PORT, STREAM_PORT):
                    with inside(name):
                        listener = socket.socket(family)
                        if family == socket.AF_INET6:
                            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    listener.bind((everywhere, port))
                    listener.listen(1024)
                    listener.setblocking(False)
                    self.selector.register(listener, selectors.EVENT_READ, name.encode())
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            for key, _events in self.selector.select():
                (self.greet if key.data else self.echo)(key)

    def greet(self, key):
        # A check may have gone again before it is greeted: that ends its connection, and nothing else.
        with contextlib.suppress(OSError):
            while True:
                sock, _from = key.fileobj.accept()
                sock.setblocking(False)
                with contextlib.suppress(OSError):
                    sock.send(b"%s %s\n" % (key.data, sock.getpeername()[0].encode()))
                self.selector.register(sock, selectors.EVENT_READ, None)

    def echo(self, key):
        with contextlib.suppress(OSError):
            data = key.fileobj.recv(4096)
            if data:
                key.fileobj.send(data)
                return
        self.selector.unregister(key.fileobj)
        key.fileobj.close()


def media_servers(vips):
    """A program on each server that answers every datagram with the server's name, from these VIPs and from the server's own address."""
    selector = selectors.DefaultSelector()
    for name, number in SERVERS.items():
        for own in (address(number), address(number, 6), ROUTED[4] % number, *vips):
            for port in MEDIA_PORTS:
                with inside(name):
                    sock = socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET, socket.SOCK_DGRAM)
                # IPV6_FREEBIND and IP_FREEBIND: the VIP may come later.
                sock.setsockopt(*((socket.IPPROTO_IPV6, 78, 1) if ":" in own else (socket.SOL_IP, 15, 1)))
                sock.bind((own, port))
                sock.setblocking(False)
                selector.register(sock, selectors.EVENT_READ, name.encode())

    def serve():
        while True:
            for key, _events in selector.select():
                with contextlib.suppress(OSError):
                    _data, whom = key.fileobj.recvfrom(100)
                    key.fileobj.sendto(key.data, whom)

    threading.Thread(target=serve, daemon=True).start()


# Ports of viewers, each of which is used once: IPVS remembers a connection that has ended for two minutes, and a datagram for five. It
# would send another one of the same port to the same server, which a test may have taken out, or given another way, meanwhile.
FIRST_PORT, PORTS = 10000, 50000
used = Counter()


def source(number, family):
    """(address, port) of the next connection of a viewer."""
    own = client(number, family)
    used[own] += 1
    return own, FIRST_PORT + used[own] % PORTS


def media(count, family, vip, port, seconds=30.0):
    """Who answers a datagram of each of so many viewers: [name, or "silent"].

    A datagram may be lost, so one without an answer is sent again, from the same port.
    """
    selector, out = selectors.DefaultSelector(), ["silent"] * count
    for number in range(count):
        with inside("viewer"):
            sock = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        sock.bind(source(number, family))
        sock.connect((vip, port))
        sock.send(b"x")
        selector.register(sock, selectors.EVENT_READ, number)
    left, end = count, time.monotonic() + seconds
    while left and time.monotonic() < end:
        ready = selector.select(2)
        for key in () if ready else selector.get_map().values():
            with contextlib.suppress(OSError):
                key.fileobj.send(b"x")
        for key, _events in ready:
            try:
                out[key.data] = key.fileobj.recv(100).decode()
            except OSError:
                out[key.data] = "refused"
            selector.unregister(key.fileobj)
            key.fileobj.close()
            left -= 1
    return out


# Whom servers have seen: of the viewers of the last connect().
seen = Counter()


def connect(count, family=4, first=0, seconds=30.0, vip=None, name="viewer", port=PORT):
    """So many new viewers at once: [(socket or None, name of the server, "refused" or "silent"), …]. name: where they are."""
    waiting, out = {}, [(None, "silent")] * count
    seen.clear()
    with inside(name):
        for number in range(count):
            sock = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6)
            if name == "viewer":
                sock.bind(source(first + number, family))
            sock.setblocking(False)
            sock.connect_ex((vip or VIP[family], port))
            waiting[sock.fileno()] = (number, sock)
    selector = selectors.DefaultSelector()
    for number, sock in waiting.values():
        selector.register(sock, selectors.EVENT_READ, number)
    end = time.monotonic() + seconds
    left = len(waiting)
    while left and time.monotonic() < end:
        for key, _events in selector.select(1):
            sock = key.fileobj
            try:
                said, _blank, whom = sock.recv(64).decode().strip().partition(" ")
                seen[whom] += 1
            except BlockingIOError:
                continue
            except OSError as error:
                said = "refused" if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH) else str(error)
            out[key.data] = (sock if said in SERVERS else None, said or "closed")
            selector.unregister(sock)
            left -= 1
    for number, sock in waiting.values():
        if out[number][0] is None:
            sock.close()
    return out


def newcomers(count=300, family=4, first=0, **options):
    """Who served so many new viewers: Counter of server names, "refused" and "silent"."""
    found = connect(count, family, first, **options)
    for sock, _name in found:
        if sock:
            sock.close()
    return Counter(name for _sock, name in found)


class Running:
    """Viewers that stay."""

    def __init__(self, count=20, family=4, **options):
        self.found = connect(count, family, **options)

    def on(self, server):
        return sum(name == server for _sock, name in self.found)

    def cut(self, seconds=10.0):
        """How many of them do not get an answer any more."""
        broken = 0
        for sock, _name in self.found:
            try:
                sock.setblocking(True)
                sock.settimeout(seconds)
                sock.send(b"x")
                broken += sock.recv(1) != b"x"
            except (OSError, AttributeError):
                broken += 1
        return broken

    def end(self, server=None):
        for sock, name in self.found:
            if sock and server in (None, name):
                sock.close()
        self.found = [one for one in self.found if server is not None and one[1] != server]
