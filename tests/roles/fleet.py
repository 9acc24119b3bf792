"""Hosts for roles and playbooks: a network namespace and a mount namespace each, with real addresses, settings and packet filters.

What this machine lacks is stood in for: systemd (bin/systemctl), keepalived and nginx as judges of their files, and the kernel's IPVS
(tests/fakes/kernel.py, hook.py). Everything that a rollout writes goes to overlays that end with the host.
"""

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml
from links import PREFIX, Host, run

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
VIP, VIP6 = "192.0.2.100", "2001:db8::100"
NUMBERS = {"director1": 11, "director2": 12, "server1": 21, "server2": 22}
# In a host's own mount namespace: everything that is written there stays there.
OVERLAYS = ("/etc", "/usr", "/var/lib", "/var/cache", "/var/log", "/run")
# modules of the product that speak to the kernel's IPVS
WITH_KERNEL = ("ipvs_table", "ipvs_info", "lvs_preflight")

# What a rollout leaves on a host.
LEFT = (
    "run/lvsdr run/standin var/lib/lvsdr etc/lvsdr etc/keepalived etc/nginx/nginx.conf usr/local/lib/lvsdr etc/systemd/system/*lvsdr* "
    "etc/systemd/system/keepalived.service.d etc/systemd/system/nginx.service.d etc/sysctl.d/*lvsdr*"
)
SETTINGS = [
    *("/proc/sys/net/ipv4/conf/all/" + name for name in ("arp_ignore", "arp_announce", "rp_filter")),
    "/proc/sys/net/ipv4/conf/eth0/accept_local", "/proc/sys/net/ipv6/conf/lo/keep_addr_on_down",
]  # fmt: skip

HOLD = """
import select, socket
listeners = []
for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind((address, 80))
    listener.listen(16)
    listeners.append(listener)
open("/proc/self/comm", "w").write("nginx")  # whose ports these would be
print("ready", flush=True)
while True:
    for listener in select.select(listeners, [], [])[0]:
        listener.accept()[0].close()
"""


class Machine(Host):
    """A host of tests/netns, with a root of its own."""

    def __init__(self, name, number, folder):
        super().__init__(name, number)
        self.folder = folder / name
        script = ["set -eu", "mount -t tmpfs tmpfs '%s'" % self.folder]
        self.folder.mkdir(parents=True)
        for path in OVERLAYS:
            key = "%s/%s" % (self.folder, path.strip("/").replace("/", "_"))
            script.append("mkdir '%s.upper' '%s.work'" % (key, key))
            script.append("mount -t overlay overlay -o 'lowerdir=%s,upperdir=%s.upper,workdir=%s.work' %s" % (path, key, key, path))
        script += [
            "mkdir -p /run/systemd/system /run/standin/net/ipv4/vs /etc/keepalived /etc/nginx",
            "rm -rf /run/lvsdr /var/lib/lvsdr /etc/lvsdr /etc/keepalived/* /run/systemd/container; rm -f /etc/sysctl.d/*lvsdr*",
            "for name in backup_only conn_reuse_mode conntrack expire_nodest_conn expire_quiescent_template sloppy_tcp; "
            "do echo 0 >/run/standin/net/ipv4/vs/$name; done",
            # Where the product names a program by its path, too.
            "if [ -e /usr/sbin/nginx ]; then mv /usr/sbin/nginx /usr/sbin/nginx.real; fi",
            "cp '%s'/bin/* /usr/sbin/; cp '%s/bin/systemctl' /usr/bin/" % (HERE, HERE),
            "exec '%s' -c '%s'" % (sys.executable, HOLD.replace("'", "'\"'\"'")),
        ]
        command = ["ip", "netns", "exec", self.namespace, "unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(script)]
        self.holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n", name
        self.enter = self.folder.parent / ("enter-" + name)
        self.enter.write_text(
            "#!/bin/sh\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin LVSDR_TESTS='%s'\nexec nsenter --target %d --mount --net -- '%s' \"$@\"\n"
            % (ROOT / "tests", self.holder.pid, sys.executable)
        )
        self.enter.chmod(0o755)

    def processes(self):
        """The pids of all that runs in the host's namespaces, but for what holds them."""
        found = [pid for pid in run("ip", "netns", "pids", self.namespace).split() if int(pid) != self.holder.pid]
        return [pid for pid in found if not self.is_daemon(pid)]

    @staticmethod
    def is_daemon(pid):
        """HAProxy and the WAF's nginx are run for real, and stay."""
        try:
            return Path("/proc/%s/comm" % pid).read_text().strip() in ("haproxy", "nginx.real")
        except OSError:
            return False  # gone meanwhile

    def inside(self, *command, check=True, stdin=None):
        """Output of a command in the host's namespaces."""
        return run("nsenter", "--target", str(self.holder.pid), "--mount", "--net", "--", *command, check=check, stdin=stdin)

    def read(self, path):
        """Text of a file, or None."""
        text = self.inside("sh", "-c", "cat '%s' 2>/dev/null || echo NONE" % path)
        return None if text == "NONE\n" else text

    def write(self, path, text):
        self.inside("sh", "-c", "mkdir -p \"$(dirname '%s')\"; cat >'%s'" % (path, path), stdin=text)

    def units(self):
        return json.loads(self.read("/run/standin/systemd.json") or '{"units": {}}')["units"]

    def calls(self):
        """What systemctl was asked for, but for questions."""
        return json.loads(self.read("/run/standin/systemd.json") or "{}").get("calls", [])

    def forget_calls(self):
        state = json.loads(self.read("/run/standin/systemd.json") or '{"units": {}}')
        state["calls"] = []
        self.write("/run/standin/systemd.json", json.dumps(state))

    def table(self):
        """The kernel in memory."""
        sys.path.insert(0, str(ROOT / "tests"))
        data = subprocess.run(
            ["nsenter", "--target", str(self.holder.pid), "--mount", "--", "cat", "/run/standin/table"], capture_output=True
        ).stdout
        from fakes.kernel import Kernel

        return pickle.loads(data) if data else Kernel()

    def set_table(self, kernel):
        command = ["nsenter", "--target", str(self.holder.pid), "--mount", "--", "sh", "-c", "cat >/run/standin/table"]
        subprocess.run(command, input=pickle.dumps(kernel), check=True)

    def save(self):
        """All that a rollout left here, to be put back by restore()."""
        files = subprocess.run(
            ["nsenter", "--target", str(self.holder.pid), "--mount", "--", "sh", "-c", "cd / && tar c $(ls -d %s 2>/dev/null)" % LEFT],
            capture_output=True, check=True,
        ).stdout  # fmt: skip
        lo = [line.split()[3] for line in self.inside("ip", "-o", "address", "show", "dev", "lo").splitlines()]
        settings = {path: self.inside("cat", path).strip() for path in SETTINGS}
        return files, [text for text in lo if text.startswith((VIP, VIP6))], settings, self.inside("nft", "list", "ruleset")

    def restore(self, saved):
        files, addresses, settings, rules = saved
        command = ["nsenter", "--target", str(self.holder.pid), "--mount", "--", "tar", "x", "-C", "/"]
        subprocess.run(command, input=files, check=True)
        for text in addresses:
            self.inside("ip", "address", "add", text, "dev", "lo", *(["nodad", "preferred_lft", "0"] if ":" in text else []))
        self.inside("sh", "-c", "; ".join("echo %s >%s" % (value, path) for path, value in settings.items()))
        self.inside("nft", "-f", "-", stdin=rules)

    def boot(self):
        """As after a power failure: what is in /run is gone, the kernel's table and settings, too; units that are enabled start."""
        state = json.loads(self.read("/run/standin/systemd.json") or '{"units": {}}')
        enabled = [name for name, unit in state["units"].items() if unit["enabled"]]
        self.inside("sh", "-c", "rm -rf /run/lvsdr /run/standin/table /run/standin/systemd.json /run/standin/sysctls; nft flush ruleset")
        for name in enabled:
            self.inside("systemctl", "enable", name)
            self.inside("systemctl", "start", name, check=False)
        self.forget_calls()

    def end(self):
        for pid in run("ip", "netns", "pids", self.namespace).split():
            with contextlib.suppress(ProcessLookupError):  # a worker of nginx goes with its main process
                if self.is_daemon(pid):
                    os.kill(int(pid), signal.SIGKILL)
        if self.holder.poll() is None:
            os.kill(self.holder.pid, signal.SIGKILL)
        self.holder.wait()
        self.holder.stdout.close()


SERVICE = {
    "name": "live", "addresses": [VIP, VIP6], "ports": [80], "scheduler": "mh", "scheduler_flags": ["mh-port"], "real_servers": "web",
    "health_check": {"type": "hls", "path": "/live/index.m3u8"},
}  # fmt: skip


class Fleet:
    """The machines, and playbooks that are run on them."""

    def __init__(self, folder, numbers=None):
        self.folder = Path(folder)
        self.machines = {name: Machine(name, number, self.folder / "hosts") for name, number in (numbers or NUMBERS).items()}
        # A copy: a playbook's own library folder comes before all others.
        self.project = self.folder / "project"
        self.project.mkdir()
        parts = ("ansible.cfg", "site.yml", "playbooks", "roles", "plugins", "module_utils", "library")
        subprocess.run(["cp", "-r", *(str(ROOT / part) for part in parts), str(self.project)], check=True)
        library = self.project / "library"
        for name in WITH_KERNEL:
            source = (ROOT / "library" / (name + ".py")).read_text()
            hook = 'exec(compile(open(%r).read(), "hook", "exec"))\n\n\nif __name__ == "__main__":' % str(HERE / "hook.py")
            (library / (name + ".py")).write_text(source.replace('if __name__ == "__main__":', hook))
        self.inventory()

    def inventory(
        self, services=(SERVICE,), web=("server1", "server2"), hosts=None, directors=("director1", "director2"), origins=(), others=None,
        **variables
    ):  # fmt: skip
        """Writes the inventory; hosts: {name: variables}; others: {group: {name: variables}} of hosts that are only declared."""
        self.web = list(web)
        named = {
            name: {
                "ansible_connection": "local", "ansible_python_interpreter": str(machine.enter), "real_server_address": machine.address,
                "real_server_address6": machine.address6, **(hosts or {}).get(name, {}),
            }
            for name, machine in self.machines.items()
        }  # fmt: skip
        made = {
            "all": {
                "hosts": named,
                "vars": {
                    "virtual_services": list(services),
                    "director_streamcheck_install": False,
                    "journal_path": str(self.folder / "journal.jsonl"),
                    **variables,
                },
                "children": {
                    "directors": {"hosts": {name: {"director_priority": 150 - 50 * index} for index, name in enumerate(directors)}},
                    "web": {"hosts": dict.fromkeys(web)},
                    **({"origins": {"hosts": dict.fromkeys(origins)}} if origins else {}),
                    **{group: {"hosts": members} for group, members in (others or {}).items()},
                },
            }
        }
        (self.folder / "inventory.yml").write_text(yaml.safe_dump(made))

    def play(self, playbook="site.yml", *more, stop_after=None, check=False):
        """Runs a playbook, without verify (its proofs are of the wire); the finished process."""
        environment = dict(
            os.environ, ANSIBLE_CONFIG=str(self.project / "ansible.cfg"), ANSIBLE_INVENTORY=str(self.folder / "inventory.yml"),
            ANSIBLE_NOCOLOR="1", ANSIBLE_LOCALHOST_WARNING="False",
            ANSIBLE_CALLBACK_PLUGINS=str(HERE / "plugins"), ANSIBLE_CALLBACKS_ENABLED="stop_after", LVSDR_STOP_AFTER=str(stop_after or ""),
        )  # fmt: skip
        environment.pop("ANSIBLE_FORCE_COLOR", None)
        command = ["ansible-playbook", *(["--check", "--diff"] if check else []), "--skip-tags", "verify", *more, playbook]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, cwd=self.project, timeout=600
        )
        done.said = " ".join(done.stdout.split())
        if stop_after:
            self.end_orphans()
        # A module of a run that was ended goes on for a moment, as on a host whose connection broke.
        deadline = time.monotonic() + 60
        while any(machine.processes() for machine in self.machines.values()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return done

    def end_orphans(self):
        """Ends what a run that was ended left behind on the controller: they are known by the inventory in their environment."""
        mark = ("ANSIBLE_INVENTORY=%s" % (self.folder / "inventory.yml")).encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes() and b"ansible-playbook" in (folder / "cmdline").read_bytes():
                    os.kill(int(folder.name), signal.SIGKILL)
            except OSError:
                continue  # gone meanwhile

    def wipe(self):
        """Each machine as new."""
        for machine in self.machines.values():
            machine.inside(
                "sh", "-c",
                "for pid in /run/standin/haproxy.pid /run/lvsdr-waf/nginx.pid; do "
                "if [ -e $pid ]; then kill $(cat $pid); rm -f $pid; fi; done; rm -f /var/log/lvsdr/waf.json; "
                "rm -rf /run/lvsdr /var/lib/lvsdr /etc/lvsdr /etc/keepalived/* /etc/nginx/nginx.conf /usr/local/lib/lvsdr; "
                "rm -rf /run/standin/table /run/standin/sysctls /run/standin/systemd.json /run/standin/fail /run/standin/follow; "
                "rm -rf /etc/systemd/system/*lvsdr* /etc/systemd/system/keepalived.service.d "
                "/etc/systemd/system/nginx.service.d /etc/systemd/system/haproxy.service.d /etc/haproxy /etc/logrotate.d/lvsdr-waf; "
                "rm -f /etc/sysctl.d/*lvsdr* /etc/NetworkManager/conf.d/*lvsdr* /etc/systemd/networkd.conf.d/*lvsdr*; nft flush ruleset; "
                "for f in -4 -6; do ip $f rule flush protocol 76; ip $f route flush table all proto 76; done 2>/dev/null; "
                "for a in %s/32 %s/128; do ip address del $a dev eth0; done 2>/dev/null; ip address flush dev lo scope global; "
                "for s in arp_ignore arp_announce rp_filter; do echo 0 >/proc/sys/net/ipv4/conf/all/$s; done; "
                "echo 0 >/proc/sys/net/ipv4/conf/eth0/accept_local; echo 0 >/proc/sys/net/ipv6/conf/lo/keep_addr_on_down" % (VIP, VIP6),
            )  # fmt: skip

    def follow(self):
        """From now on directors have the weights that keepalived would give (hook.py)."""
        for name in ("director1", "director2"):
            self.machines[name].write("/run/standin/follow", "")

    def activate(self, director="director1"):
        """keepalived is stood in for: its VIPs are put where it would have them."""
        for name in ("director1", "director2"):
            verb = "replace" if name == director else "del"
            for vip in (VIP + "/32", VIP6 + "/128"):
                self.machines[name].inside("ip", "address", verb, vip, "dev", "eth0", check=False)

    def end(self):
        for machine in self.machines.values():
            machine.end()


def end_after_each_step(play):
    """Runs a playbook again and again, ended each time after one task that changed something; how often, until it came to its end."""
    for count in range(30):
        done = play(stop_after=1)
        if done.returncode == 0:
            return count
        assert done.returncode == 99, done.stdout[-3000:]
    raise AssertionError("it never came to its end")


def in_force(machine):
    """What is not in force, in words: files that a running unit has not read, rules and settings that the kernel does not hold."""
    problems = []
    for name, unit in machine.units().items():
        if unit["active"]:
            for path, text in unit["read"].items():
                if machine.read(path) != text:
                    problems.append("%s has not read %s" % (name, path))
            if not unit["enabled"]:
                problems.append("%s runs and would not start at boot" % name)
        for path, text in unit["files"].items():
            if machine.read(path) != text:
                problems.append("systemd has not read %s" % path)
    rules = machine.read("/etc/keepalived/lvsdr.nft")
    if rules:
        digest = rules.partition('comment "lvsdr ')[2].partition('"')[0]
        if digest not in machine.inside("nft", "list", "ruleset"):
            problems.append("the rules on disk are not the kernel's")
    return problems


def state(machine):
    """All that a rollout leaves on a host, to compare: files, addresses, settings, units, table."""
    files = {}
    for folder in (
        "/etc/keepalived",
        "/etc/nginx",
        "/etc/lvsdr",
        "/etc/systemd/system",
        "/etc/sysctl.d",
        "/var/lib/lvsdr",
        "/usr/local/lib/lvsdr",
    ):
        listing = machine.inside("sh", "-c", "find %s -type f -exec sha256sum {} + 2>/dev/null | sort -k 2 || true" % folder)
        files.update(dict(reversed(line.split()) for line in listing.splitlines()))
    addresses = sorted(line.split()[3] for line in machine.inside("ip", "-o", "address", "show", "dev", "lo").splitlines())
    settings = machine.inside(
        "sh", "-c", "cd /proc/sys/net; cat ipv4/conf/all/arp_ignore ipv4/conf/all/arp_announce ipv4/conf/eth0/accept_local"
    )
    units = {name: (unit["active"], unit["enabled"]) for name, unit in machine.units().items() if unit["active"] or unit["enabled"]}
    table = {
        name: (service.scheduler, service.flags, {key: one.weight for key, one in sorted(service.destinations.items())})
        for name, service in sorted(machine.table().services.items())
    }
    return {"files": files, "addresses": addresses, "settings": settings.split(), "units": units, "table": table}


__all__ = ["PREFIX", "SERVICE", "VIP", "VIP6", "Fleet", "end_after_each_step", "in_force", "state"]
