"""Hosts in network namespaces on one link. All names begin with ``lvsdrt-``, so that leftovers of an aborted run are found."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from pyroute2 import NetlinkError
from pyroute2.netlink import rtnl
from pyroute2.netlink.rtnl.rtmsg import rtmsg

sys.path.insert(0, str(Path(__file__).parents[1]))
import wires

AF = (socket.AF_INET, socket.AF_INET6)
PREFIX = "lvsdrt-"
INSIDE = Path(__file__).parent / "inside.py"
VIP, VIP6 = "192.0.2.100", "2001:db8::100"


def run(*command, stdin=None, check=True):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, "%s: %s" % (" ".join(command), done.stderr or done.stdout)
    return done.stdout


def remove_all():
    for name in wires.names(PREFIX):
        wires.remove(name)


def make_switch():
    """The link that all hosts are on."""
    wires.create(PREFIX + "switch")
    wires.bridge("switch", PREFIX + "switch")


class Host:
    """A host with eth0 (and, for each further number, eth1 …) on the link: 192.0.2.NUMBER/24 and 2001:db8::NUMBER/64."""

    def __init__(self, name, *numbers):
        self.name, self.namespace, self.numbers = name, PREFIX + name, numbers
        self.address, self.address6 = "192.0.2.%d" % numbers[0], "2001:db8::%d" % numbers[0]
        wires.create(self.namespace)
        for index, number in enumerate(numbers):
            card = "eth%d" % index
            wires.plug(self.namespace, card, "%s%d" % (name, index), "switch", PREFIX + "switch")
            self.sysctl("net/ipv6/conf/%s/accept_dad" % card, 0)
            wires.up(self.namespace, card, "192.0.2.%d/24" % number, "2001:db8::%d/64" % number)

    @property
    def mac(self):
        return self.macs[0]

    @property
    def macs(self):
        with self.routing() as route:
            macs = {link.get_attr("IFLA_IFNAME"): link.get_attr("IFLA_ADDRESS") for link in route.link("dump")}
        return [macs["eth%d" % index] for index in range(len(self.numbers))]

    def run(self, *command, **options):
        return run("ip", "netns", "exec", self.namespace, *command, **options)

    def ip(self, *arguments):
        """What an operator types there."""
        return run("ip", "-n", self.namespace, *arguments)

    def routing(self):
        """pyroute2's IPRoute of this host."""
        return wires.routing(self.namespace)

    def python(self, code):
        return self.run(sys.executable, "-c", code)

    def sysctl(self, name, value=None):
        """Sets a setting, or reads it."""
        path = "/proc/sys/" + name
        if value is None:
            return self.run("cat", path).strip()
        self.run("sh", "-c", "echo %s > %s" % (value, path))

    def conf(self, **settings):
        """Settings under net/ipv4/conf: ``conf(all_arp_ignore=1)``."""
        for name, value in settings.items():
            interface, _, setting = name.partition("_")
            self.sysctl("net/ipv4/conf/%s/%s" % (interface, setting), value)

    def module(self, name, check=False, **arguments):
        """A module's result."""
        arguments = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}
        return json.loads(self.run(sys.executable, str(INSIDE), "module", name, stdin=json.dumps(arguments), check=False))

    def hold(self, vip, card="lo", *options, length=None):
        full = 128 if ":" in vip else 32
        options += ("nodad",) if ":" in vip else ()
        self.ip("address", "add", "%s/%d" % (vip, length or full), "dev", card, *options)

    def neighbour(self, address):
        """The MAC that this host's kernel has for an address now, or None."""
        with self.routing() as route:
            found = route.neigh("dump", family=AF[":" in address], ifindex=wires.index_of(route, "eth0"), dst=address)
            return next((entry.get_attr("NDA_LLADDR") for entry in found), None)

    def resolve(self, address, seconds=1.0):
        """The MAC that this host's kernel finds for an address, as any packet to it makes it ask; None after a time without an answer."""
        family = "AF_INET6" if ":" in address else "AF_INET"
        with self.routing() as route:
            where = {"dst": address, "ifindex": wires.index_of(route, "eth0"), "family": AF[":" in address]}
            for _entry in list(route.neigh("dump", **where)):
                with contextlib.suppress(NetlinkError):  # gone meanwhile, or kept while it is used
                    route.neigh("del", **where)
        self.python("import socket; socket.socket(socket.%s, socket.SOCK_DGRAM).sendto(b'x', ('%s', 9))" % (family, address))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            mac = self.neighbour(address)
            if mac:
                return mac
            time.sleep(0.02)
        return None

    def reaches(self, address):
        """Whether a host answers: a closed port refuses, a host that is cut off says nothing."""
        code = "import socket\ns = socket.socket(socket.AF_INET%s)\ns.settimeout(1.5)\nprint(s.connect_ex(('%s', 9)))" % (
            "6" if ":" in address else "",
            address,
        )
        return int(self.python(code)) == 111

    def asking(self, target):
        """Asks for target all the while; what came back is in the dict that it yields, when it is over."""
        return self._meanwhile("ask", "eth0", self.mac, self.address, target)

    def knocking(self, target):
        """Connects to a closed port of target all the while; how often it was refused, and how often nobody said anything."""
        return self._meanwhile("knock", target)

    @contextlib.contextmanager
    def busy(self):
        """Others change this host's links all the while: whoever wants the kernel's lock for that (rtnl_lock) has to wait."""
        script = "while :; do for n in 0 1 2 3 4 5 6 7 8 9; do echo link add $0$n type dummy; echo link del $0$n; done | ip -batch -; done"
        command = ["ip", "netns", "exec", self.namespace, "sh", "-c", script]
        processes = [subprocess.Popen([*command, "busy%d" % number], start_new_session=True) for number in range(4)]
        try:
            yield
        finally:
            for process in processes:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @contextlib.contextmanager
    def changes_of_routes(self):
        """[("new" or "gone", target, link)] of the kernel's own IPv6 routes to this host's addresses, whole when it is over."""
        out = []
        with self.routing() as route:
            names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in route.link("dump")}
        with wires.inside(self.namespace):
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)  # NETLINK_ROUTE
        with sock:
            sock.bind((0, rtnl.RTMGRP_IPV6_ROUTE))
            yield out
            while select.select([sock], [], [], 0.2)[0]:
                message = rtmsg(sock.recv(65536))
                message.decode()
                if message["type"] == rtnl.rt_type["local"]:
                    what = {rtnl.RTM_NEWROUTE: "new", rtnl.RTM_DELROUTE: "gone"}[message["header"]["type"]]
                    out.append((what, message.get_attr("RTA_DST"), names[message.get_attr("RTA_OIF")]))

    @contextlib.contextmanager
    def _meanwhile(self, *words):
        command = ["ip", "netns", "exec", self.namespace, sys.executable, str(INSIDE), *words]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        result = {}
        try:
            assert process.stdout.readline() == "begun\n"
            yield result
            out, _ = process.communicate("", timeout=30)
            result.update(json.loads(out))
        finally:
            process.kill()
            process.wait()
