"""Two directors with the table, the rules, the settings and the keepalived.conf of a rollout, and viewers that come all the time."""

import contextlib
import re
import selectors
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import net
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.directors import forwarding, keepalived, nftables
from ansible.module_utils.lvsdr.inventory import resolve
from ansible.module_utils.lvsdr.ipvs import kernel, table
from net import DIRECTORS, SERVERS, VIP, inside

ADDRESSES = [VIP[4], VIP[6]]
# A newcomer whose first packet was lost sends it again after a second.
IN_TIME = 0.9


class Pair:
    """director1 has the higher priority. variables: of both directors."""

    def __init__(self, **variables):
        self.service = {
            "name": "live", "addresses": ADDRESSES, "ports": [80], "scheduler": "mh", "scheduler_flags": ["mh-port"], "real_servers": "web",
        }  # fmt: skip
        self.inventory = {"groups": {"directors": list(DIRECTORS), "web": ["server1", "server2", "server3"]}, "hosts": {}}
        for name, number in {**DIRECTORS, **SERVERS}.items():
            own = {"real_server_address": net.address(number), "real_server_address6": net.address(number, 6)}
            if name in DIRECTORS:
                links = [{"name": "eth0", "type": "ether", "addresses": [net.address(number) + "/24", net.address(number, 6) + "/64"]}]
                own.update(variables, facts={"interfaces": links}, director_priority=150 - 50 * (number - DIRECTORS["director1"]))
            self.inventory["hosts"][name] = own
        self.services = resolve.resolve([self.service], self.inventory)
        self.processes = {}
        net.hold("server4", addresses=())  # nobody has a VIP
        for director in DIRECTORS:
            self._prepare(director)

    def _prepare(self, director):
        """As a rollout leaves it, without keepalived."""
        for address in ADDRESSES:
            subprocess.run(["ip", "-n", director, "address", "del", address + ("/32" if "." in address else "/128"), "dev", "eth0"],
                           capture_output=True)  # fmt: skip
        with inside(director):
            kernel.Ipvs().close()
        net.run("ip", "netns", "exec", director, "ipvsadm", "-C")
        for name, value in net.settings_of_the_role().items():
            net.sysctl(director, "ipv4/vs/" + name, value)
        for name, value in forwarding.settings(self.services.services, "eth0", {}).items():
            net.sysctl(director, name.partition("/")[2], value)
        with inside(director):
            daemons = [{"state": state, "interface": "eth0", "id": 51} for state in ("master", "backup")]
            table.converge(self.services.tables(), sync_daemons=daemons)
        rules = Path("/tmp/%s.nft" % director)
        rules.write_text(nftables.render(self.services, director, self.inventory, "eth0"))
        net.run("ip", "netns", "exec", director, "nft", "-f", str(rules))
        # The services are in the table: VRRP alone is what runs here.
        conf = keepalived.render(self.services, director, self.inventory)
        Path("/tmp/%s.conf" % director).write_text(conf[: conf.index("# live")])
        Path("/tmp/%s.log" % director).write_text("")
        Path(places.DRAINED).mkdir(parents=True, exist_ok=True)
        self.undrain(director)

    def start(self, director):
        words = "ip netns exec %s keepalived --vrrp -n -l -f /tmp/%s.conf -p /tmp/%s.pid -r /tmp/%s.vrrp.pid" % ((director,) * 4)
        with open("/tmp/%s.log" % director, "a") as log:
            self.processes[director] = subprocess.Popen(words.split(), stdout=log, stderr=log)

    def power_off(self, director):
        """It says nothing any more, from one moment to the next."""
        process = self.processes.pop(director)
        # Together, and before the link: keepalived would say that it gives up.
        subprocess.run(["kill", "-9", str(process.pid), Path("/tmp/%s.vrrp.pid" % director).read_text().strip()], check=True)
        net.run("ip", "-n", director, "link", "set", "eth0", "down")
        process.wait(60)
        for address in ADDRESSES:
            subprocess.run(["ip", "-n", director, "address", "del", address + ("/32" if "." in address else "/128"), "dev", "eth0"],
                           capture_output=True)  # fmt: skip

    def power_on(self, director):
        self.connect(director)
        self.start(director)

    def connect(self, director):
        """Its link with all that a link without power has lost."""
        net.run("ip", "-n", director, "link", "set", "eth0", "up")
        net.run("ip", "-n", director, "address", "replace", net.address(DIRECTORS[director], 6) + "/64", "dev", "eth0", "nodad")
        for gateway in (net.address(1), net.address(1, 6)):
            subprocess.run(["ip", "-n", director, "route", "replace", "default", "via", gateway], capture_output=True)

    def end(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(60)
        for director in DIRECTORS:
            self.connect(director)
            # keepalived that was killed has left its routes.
            for address in ADDRESSES:
                words = ["ip", "-n", director, "route", "del", "local", address, "dev", "lo", "table", "local", "proto", "keepalived"]
                subprocess.run(words, capture_output=True)
            net.run("ip", "netns", "exec", director, "nft", "delete", "table", "inet", "lvsdr")
            for name in ("accept_local", "arp_ignore"):
                net.sysctl(director, "ipv4/conf/eth0/" + name, 0)
            self.undrain(director)

    def drain(self, director):
        Path(places.DRAINED, places.drain_file(director)).write_text("%d\n" % keepalived.HANDED_OVER)

    def undrain(self, director):
        Path(places.DRAINED, places.drain_file(director)).unlink(missing_ok=True)

    def holds(self, director):
        text = net.run("ip", "-n", director, "-o", "address", "show", "dev", "eth0")
        return all(" %s/" % address in text for address in ADDRESSES)

    def wait_for(self, director, seconds=60):
        """Until one director holds both VIPs and the other one none."""
        end = time.monotonic() + seconds
        while [name for name in DIRECTORS if self.holds(name)] != [director]:
            assert time.monotonic() < end, "\n".join(Path("/tmp/%s.log" % name).read_text()[-3000:] for name in DIRECTORS)
            time.sleep(0.02)

    def states(self, director):
        """The states that keepalived has entered on a director, in order."""
        return re.findall(r"Entering (\w+) STATE", Path("/tmp/%s.log" % director).read_text())


@contextlib.contextmanager
def busy(count):
    """Processes that want all of the processor, on both directors."""
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    yield
    for hog in hogs:
        hog.kill()
        hog.wait()


class Coming:
    """A new viewer comes all the time, says nothing, and waits for the server's first words."""

    def __init__(self, family=4, every=0.02):
        self.family, self.every = family, every
        # [when it came, when it was answered or None]
        self.asked, self.over = [], threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_unused):
        self.over.set()
        self.thread.join()

    def _run(self):
        selector, number, following, end = selectors.DefaultSelector(), 0, time.monotonic(), None
        while end is None or (selector.get_map() and time.monotonic() < end):
            if self.over.is_set() and end is None:
                end = time.monotonic() + 10
            if end is None and time.monotonic() >= following:
                following = max(following + self.every, time.monotonic() - 1)
                with inside("viewer"):
                    sock = socket.socket(socket.AF_INET if self.family == 4 else socket.AF_INET6)
                sock.setsockopt(socket.SOL_IP, 24, 1)
                sock.bind((net.client(number, self.family), 0))
                sock.setblocking(False)
                sock.connect_ex((VIP[self.family], 80))
                number += 1
                one = [time.monotonic(), None]
                self.asked.append(one)
                selector.register(sock, selectors.EVENT_READ, one)
            for key, _events in selector.select(max(0, min(0.05, following - time.monotonic()))):
                with contextlib.suppress(OSError):
                    if key.fileobj.recv(64):
                        key.data[1] = time.monotonic()
                selector.unregister(key.fileobj)
                key.fileobj.close()

    def late(self):
        """Those that were not answered in time: [(when it came, seconds until the answer or None)]."""
        return [
            (came, None if answered is None else answered - came)
            for came, answered in self.asked
            if answered is None or answered - came > IN_TIME
        ]

    def blackout(self):
        """Seconds from the first one that was not answered in time to the first one after all of them; 0 where there is none."""
        late = [came for came, _seconds in self.late()]
        if not late:
            return 0.0
        after = [came for came, _answered in self.asked if came > late[-1]]
        return (after[0] if after else late[-1]) - late[0]
