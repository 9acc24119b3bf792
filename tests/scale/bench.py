"""What a rollout costs, by the number of real servers. Run by `make bench`, as root.

The directors and one real server are hosts of tests/roles, in namespaces, with the real modules; all other real servers answer what that
one has answered (plugins/connection/recorded.py). The CPU time of the controller is that of ansible-playbook and its processes, less that
of modules. Prints, and writes to build/scale.json:

controller_cpu_per_host_500_vs_10.WHAT   of a run in which nothing changes, of preflight, of one that adds a server; verify is left out
controller_cpu_vs_ping_500.WHAT          the same beside `ansible -m ping` of all hosts
calls_of_a_real_server, calls_of_a_director   modules in a run in which nothing changes
host_cpu_in_pings_of_a_real_server       the CPU time of these, beside that of a ping of the same host in the same run
mitogen_seconds_vs_linear                a run in which nothing changes, on the real hosts alone, with Mitogen's strategy and without
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / folder) for folder in ("roles", "netns", ".")]

import fleet as roles_fleet
import wires
from links import make_switch, remove_all

SIZES, FORKS, ROUNDS = (10, 100, 500), 10, 3
NETWORKS = ("198.51.100.", "203.0.113.")
SERVICE = {
    "name": "live", "addresses": [roles_fleet.VIP], "ports": [80], "scheduler": "mh", "real_servers": "web",
    "health_check": {"type": "hls", "path": "/live/index.m3u8", "target": "server"},
}  # fmt: skip


def address(number):
    """Of a recorded server, beginning with 0."""
    return NETWORKS[number // 250] + str(number % 250 + 1)


class Fleet(roles_fleet.Fleet):
    """Two directors and server1 for real, server2 for what a new one answers, and any number of recorded ones."""

    def __init__(self, folder):
        super().__init__(folder)
        self.log, self.recorded = self.folder / "log", self.folder / "recorded"
        self.recorded.mkdir()
        for number, name in enumerate(("director1", "director2")):
            for network in NETWORKS:
                wires.up(self.machines[name].namespace, "eth0", "%s%d/24" % (network, 251 + number))
        for name, machine in self.machines.items():
            with machine.routing() as route:
                route.flush_addr(family=socket.AF_INET6, index=wires.index_of(route, "eth0"), scope=0)
            wrapper = self.folder / ("measured-" + name)
            wrapper.write_text(
                "#!/bin/sh\nexec '%s' '%s' '%s.%s' \"$LVSDR_RECORD\" %s '%s' \"$@\"\n"
                % (sys.executable, HERE / "interpreter.py", self.log, name, name, machine.enter)
            )
            wrapper.chmod(0o755)

    def declare(self, size, new=False):
        """size: real servers in all; new: one more, on which nothing was rolled out."""
        real = {
            name: {"ansible_connection": "local", "ansible_python_interpreter": str(self.folder / ("measured-" + name)),
                   "real_server_address": self.machines[name].address}
            for name in ("director1", "director2", "server1")
        }  # fmt: skip
        recorded = {"recorded%d" % n: {"ansible_connection": "recorded", "real_server_address": address(n)} for n in range(size - 1 + new)}
        if new:
            recorded["recorded%d" % (size - 1)]["recorded_state"] = "new"
        self.write({**real, **recorded}, ["server1", *recorded])

    def write(self, hosts, web):
        made = {
            "all": {
                "hosts": hosts,
                "vars": {"virtual_services": [SERVICE], "director_streamcheck_install": False, "ansible_pipelining": True,
                         "ansible_python_interpreter": "/usr/bin/python3"},
                "children": {"directors": {"hosts": dict.fromkeys(["director1", "director2"])}, "web": {"hosts": dict.fromkeys(web)}},
            }
        }  # fmt: skip
        (self.folder / "inventory.json").write_text(json.dumps(made))

    def measure(self, *command, record=None, fails=False):
        """(CPU seconds of the controller, seconds, {machine: [(module, CPU seconds, seconds)]}) of a command that ends well."""
        for name in self.machines:
            Path("%s.%s" % (self.log, name)).write_text("")
        environment = dict(
            os.environ, ANSIBLE_CONFIG=str(self.project / "ansible.cfg"), ANSIBLE_INVENTORY=str(self.folder / "inventory.json"),
            ANSIBLE_CONNECTION_PLUGINS=str(HERE / "plugins/connection"), ANSIBLE_NOCOLOR="1", ANSIBLE_FORKS=str(FORKS),
            ANSIBLE_LOCALHOST_WARNING="False", LVSDR_RECORDED=str(self.recorded), LVSDR_RECORD=str(record or ""),
        )  # fmt: skip
        begin = time.monotonic()
        with (self.folder / "out").open("w+") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, cwd=self.project)
            _pid, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - begin
            out.seek(0)
            assert fails or process.returncode == 0, out.read()[-3000:]
        calls = {name: [json.loads(line) for line in Path("%s.%s" % (self.log, name)).read_text().splitlines()] for name in self.machines}
        modules = sum(cpu for found in calls.values() for _name, cpu, _seconds in found)
        return used.ru_utime + used.ru_stime - modules, seconds, calls

    def play(self, playbook, record=None):
        return self.measure("ansible-playbook", "--skip-tags", "verify", playbook, record=record)

    def keep(self, folder, machine, state):
        """What a machine has answered becomes what recorded ones of that state answer."""
        for path in folder.glob(machine + ".*.json"):
            text = path.read_text().replace(self.machines[machine].address, "ADDRESS")
            (self.recorded / ("%s.%s.json" % (path.name.split(".")[1], state))).write_text(text)


def record(fleet):
    """Rolls out to the real machines alone, and keeps what a new server and a steady one say."""
    folder = fleet.folder / "record"
    folder.mkdir()
    real = {
        name: {"ansible_connection": "local", "ansible_python_interpreter": str(fleet.folder / ("measured-" + name)),
               "real_server_address": machine.address}
        for name, machine in fleet.machines.items()
    }  # fmt: skip
    only = {name: variables for name, variables in real.items() if name != "server2"}
    fleet.write(only, ["server1"])
    fleet.play("site.yml")
    fleet.write(real, ["server1", "server2"])
    fleet.measure("ansible-playbook", "--tags", "real_server", "--limit", "server2", "playbooks/deploy.yml", record=folder, fails=True)
    fleet.keep(folder, "server2", "new")
    fleet.play("site.yml")
    fleet.measure("ansible-playbook", "--limit", "server1", "playbooks/preflight.yml", record=folder)
    fleet.measure("ansible", "server1", "-m", "ping", record=folder)
    fleet.keep(folder, "server1", "steady")


def strategies(fleet):
    """Seconds of a run in which nothing changes on the real hosts, with Mitogen, as a share of those without."""
    import ansible_mitogen

    # Mitogen keeps an interpreter open, which is not to be measured call by call.
    names = ("director1", "director2", "server1")
    real = {
        name: {"ansible_connection": "local", "ansible_python_interpreter": str(fleet.machines[name].enter),
               "real_server_address": fleet.machines[name].address}
        for name in names
    }  # fmt: skip
    fleet.write(real, ["server1"])
    fleet.play("site.yml")
    plain, mitogen = [], []
    for _round in range(ROUNDS):
        plain.append(fleet.play("site.yml")[1])
        os.environ.update(ANSIBLE_STRATEGY="mitogen_linear", ANSIBLE_STRATEGY_PLUGINS=ansible_mitogen.__path__[0] + "/plugins/strategy")
        mitogen.append(fleet.play("site.yml")[1])
        del os.environ["ANSIBLE_STRATEGY"], os.environ["ANSIBLE_STRATEGY_PLUGINS"]
    return statistics.median(mitogen) / statistics.median(plain)


def measure(fleet, size):
    """{what: CPU seconds of the controller per host}."""
    fleet.declare(size)
    fleet.play("site.yml")
    hosts, out = size + 2, {}
    out["ping"] = fleet.measure("ansible", "all", "-m", "ping")[0] / hosts
    cpu, seconds, calls = fleet.play("site.yml")
    out["unchanged"] = cpu / hosts
    out["preflight"] = fleet.play("playbooks/preflight.yml")[0] / hosts
    fleet.declare(size, new=True)
    out["one_more"] = fleet.play("site.yml")[0] / (hosts + 1)
    print(
        "==> %d real servers: %s; unchanged took %.1f s" % (size, {name: round(value, 4) for name, value in out.items()}, seconds),
        flush=True,
    )
    return out, calls


def main():
    remove_all()
    make_switch()
    fleet = None
    try:
        with tempfile.TemporaryDirectory() as folder:
            fleet = Fleet(folder)
            record(fleet)
            found = {size: measure(fleet, size) for size in SIZES}
            costs, calls = {size: out for size, (out, _calls) in found.items()}, found[SIZES[0]][1]
            out = {}
            for name in ("unchanged", "preflight", "one_more"):
                out["controller_cpu_per_host_500_vs_10." + name] = round(costs[500][name] / costs[10][name], 3)
                out["controller_cpu_vs_ping_500." + name] = round(costs[500][name] / costs[500]["ping"], 3)
            out["calls_of_a_real_server"], out["calls_of_a_director"] = len(calls["server1"]), len(calls["director1"])
            fleet.declare(SIZES[0])
            shares = []
            for _round in range(ROUNDS):
                ping = fleet.measure("ansible", "server1", "-m", "ping")[2]["server1"]
                used = fleet.play("site.yml")[2]["server1"]
                shares.append(sum(cpu for _n, cpu, _s in used) / sum(cpu for _n, cpu, _s in ping))
            out["host_cpu_in_pings_of_a_real_server"] = round(statistics.median(shares), 3)
            out["mitogen_seconds_vs_linear"] = round(strategies(fleet), 3)
            (roles_fleet.ROOT / "build").mkdir(exist_ok=True)
            (roles_fleet.ROOT / "build/scale.json").write_text(json.dumps(out, indent=1) + "\n")
            print(json.dumps(out, indent=1))
    finally:
        if fleet:
            fleet.end()
        remove_all()


if __name__ == "__main__":
    main()
