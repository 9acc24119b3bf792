"""Hosts in network namespaces on one link. All names begin with ``lvsdrt-``, so that leftovers of an aborted run are found."""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

PREFIX = "lvsdrt-"
INSIDE = Path(__file__).parent / "inside.py"
VIP, VIP6 = "192.0.2.100", "2001:db8::100"


def run(*command, stdin=None, check=True):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, "%s: %s" % (" ".join(command), done.stderr or done.stdout)
    return done.stdout


def remove_all():
    for line in run("ip", "netns", "list").splitlines():
        if line.startswith(PREFIX):
            run("ip", "netns", "del", line.split()[0])


class Host:
    """A host with eth0 (and, for each further number, eth1 …) on the link: 192.0.2.NUMBER/24 and 2001:db8::NUMBER/64."""

    def __init__(self, name, *numbers):
        self.name, self.namespace, self.numbers = name, PREFIX + name, numbers
        self.address, self.address6 = "192.0.2.%d" % numbers[0], "2001:db8::%d" % numbers[0]
        run("ip", "netns", "add", self.namespace)
        self.ip("link", "set", "lo", "up")
        for index, number in enumerate(numbers):
            card, port = "eth%d" % index, "%s%d" % (name, index)
            self.ip("link", "add", card, "type", "veth", "peer", "name", port, "netns", PREFIX + "switch")
            run("ip", "-n", PREFIX + "switch", "link", "set", port, "master", "switch", "up")
            self.sysctl("net/ipv6/conf/%s/accept_dad" % card, 0)
            self.ip("link", "set", card, "up")
            self.ip("address", "add", "192.0.2.%d/24" % number, "dev", card)
            self.ip("address", "add", "2001:db8::%d/64" % number, "dev", card, "nodad")

    @property
    def mac(self):
        return self.macs[0]

    @property
    def macs(self):
        return [json.loads(self.ip("-j", "link", "show", "eth%d" % index))[0]["address"] for index in range(len(self.numbers))]

    def run(self, *command, **options):
        return run("ip", "netns", "exec", self.namespace, *command, **options)

    def ip(self, *arguments):
        return run("ip", "-n", self.namespace, *arguments)

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
        (entry,) = json.loads(self.ip("-j", "neigh", "show", "to", address, "dev", "eth0")) or [{}]
        return entry.get("lladdr")

    def resolve(self, address, seconds=1.0):
        """The MAC that this host's kernel finds for an address, as any packet to it makes it ask; None after a time without an answer."""
        family = "AF_INET6" if ":" in address else "AF_INET"
        self.ip("neigh", "flush", "to", address, "dev", "eth0")
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
