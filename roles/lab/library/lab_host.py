#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start and stop one host of the lab: a QEMU guest or a systemd-nspawn container."""

DOCUMENTATION = r"""
---
module: lab_host
short_description: One host of the lvsdr lab
description:
  - Starts, stops, powers off hard or removes one host of the lab on the machine it runs on.
  - A C(container) is systemd-nspawn on the machine's own kernel, a C(guest) is QEMU with a kernel of its own, which is where IPVS can live.
  - Every host is an overlay on one root file system. Its mounts live in a mount namespace that ends with its processes, and all of its
    processes in one cgroup, so that ending it leaves nothing behind.
requirements: [pyroute2 (python3-pyroute2)]
options:
  name:
    description: Name of the host.
    type: str
    required: true
  state:
    description:
      - V(started) waits until sshd answers.
      - V(stopped) shuts down in order, V(killed) is a power failure, V(restarted) is stopped and started.
      - V(absent) is killed, and its disk is removed.
    type: str
    choices: [started, stopped, killed, restarted, absent]
    default: started
  kind:
    description: How the host runs.
    type: str
    choices: [guest, container]
    default: container
  namespace:
    description: Network namespace that holds the bridges.
    type: str
    default: lvsdr
  interfaces:
    description: The host's interfaces in order, C(eth0) first.
    type: list
    elements: dict
    default: []
    suboptions:
      network:
        description: Bridge to connect it to.
        type: str
        required: true
      addresses:
        description: Addresses with their prefix lengths.
        type: list
        elements: str
        default: []
      gateways:
        description: Default gateways.
        type: list
        elements: str
        default: []
  files:
    description: Files to place in the host before its first start, path without leading slash to content.
    type: dict
    default: {}
  rootfs:
    description: Folder of the shared root file system.
    type: path
  state_dir:
    description: Folder of the running lab.
    type: path
    required: true
  memory:
    description: MiB of a guest.
    type: int
    default: 512
  accel:
    description: Accelerator of a guest.
    type: str
    choices: [auto, kvm, tcg]
    default: auto
  timeout:
    description: Seconds until sshd must answer, or an orderly shutdown be done.
    type: int
    default: 420
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: The power of director1 fails
  lab_host:
    name: director1
    state: killed
    state_dir: /var/lib/lvsdr-lab
"""

RETURN = r"""
seconds:
  description: How long it took.
  returned: always
  type: float
console:
  description: Path of the host's console log.
  returned: always
  type: str
"""

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.lab_machine import HAS_PYROUTE2, cgroup2, forget_cgroup, kvm_works, started_at, unplug


class Host:
    """One host's folder, processes and links."""

    def __init__(self, params):
        self.p = params
        self.name = params["name"]
        self.dir = os.path.join(params["state_dir"], "hosts", self.name)
        self.console = os.path.join(self.dir, "console.log")
        self.pidfile = os.path.join(self.dir, "pid")
        root = cgroup2()
        if root is None:
            raise RuntimeError("no cgroup2 hierarchy is mounted; mount one with `mount -t cgroup2 none /sys/fs/cgroup`")
        self.cgroup = os.path.join(root, "lvsdr-lab", self.name)

    def running(self):
        try:
            with open(self.pidfile) as f:
                pid, start = f.read().split()
        except (OSError, ValueError):
            return None
        return int(pid) if started_at(int(pid)) == start else None

    def ports(self):
        """(link on the bridge, index, interface) of each interface; link names are limited to 15 characters."""
        return [(self.name[:12] + "-%d" % i, i, nic) for i, nic in enumerate(self.p["interfaces"])]

    def mac(self, index):
        """A locally administered MAC that is the same in each run."""
        digest = hashlib.sha256(("%s/%d" % (self.name, index)).encode()).digest()
        return "02:" + ":".join("%02x" % b for b in digest[:5])

    def script(self):
        """The program of this host: it plugs the cables, runs it, runs it again on a reboot, and pulls the cables."""
        quote = shlex.quote
        lines = [
            "#!/bin/sh",
            "# Written by the lab_host module; runs in the lab's network namespace and a mount namespace of its own.",
            "cd %s || exit 1" % quote(self.dir),
            "mkdir -p upper work root",
            # What nspawn, ip and virtiofsd leave in /run is this host's alone and ends with it; nspawn wants a /run with systemd in it.
            "mkdir -p run && mount -t tmpfs tmpfs run && mkdir -p run/systemd/system run/netns && mount --bind run /run || exit 1",
            "mount -t overlay overlay -o lowerdir=%s,upperdir=upper,workdir=work root || exit 1" % quote(self.p["rootfs"]),
        ]
        unplug = ["  ip link del %s 2>/dev/null" % port for port, _index, _nic in self.ports()]
        return "\n".join(lines + (self._container(unplug) if self.p["kind"] == "container" else self._guest(unplug))) + "\n"

    def _container(self, unplug):
        """The lines of a container."""
        lines = [
            # nspawn wants cgroup2 in this place.
            '[ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 none /sys/fs/cgroup || exit 1',
            "plug() {",
            # A network namespace for each boot: addresses and sysctls must not outlive a reboot.
            "  ip netns add host",
            "  ip netns exec host sysctl -q -w net.ipv6.conf.default.accept_dad=0",
        ]
        for port, index, nic in self.ports():
            lines += [
                "  ip link add %s type veth peer name eth%d address %s netns host" % (port, index, self.mac(index)),
                "  ip netns exec host ethtool -K eth%d tso off gso off gro off tx off sg off >/dev/null 2>&1" % index,
                "  ethtool -K %s tso off gso off gro off tx off sg off >/dev/null 2>&1" % port,
                "  ip link set %s master %s up" % (port, nic["network"]),
            ]
        lines += ["}", "unplug() {", *unplug, "  ip netns del host 2>/dev/null", "}"]
        lines += [
            "while :; do",
            "  unplug; plug",
            "  SYSTEMD_NSPAWN_API_VFS_WRITABLE=network SYSTEMD_SECCOMP=0 systemd-nspawn --quiet --boot \\",
            "    --register=no --keep-unit --machine=%s \\" % self.name,
            "    --directory=root --network-namespace-path=/run/netns/host --resolv-conf=off --timezone=off --link-journal=no \\",
            "    --capability=CAP_NET_ADMIN,CAP_NET_RAW --console=pipe </dev/null",
            # 133 is nspawn's word for: the container asked for a reboot.
            "  [ $? -eq 133 ] || break",
            "done",
            "unplug",
        ]
        return lines

    def _guest(self, unplug):
        """The lines of a guest."""
        virtiofsd = next((p for p in ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd") if os.path.exists(p)), "virtiofsd")
        lines = ["plug() {"]
        for port, _index, nic in self.ports():
            lines += [
                "  ip tuntap add %s mode tap" % port,
                "  ethtool -K %s tso off gso off gro off tx off sg off >/dev/null 2>&1" % port,
                "  ip link set %s master %s up" % (port, nic["network"]),
            ]
        lines += ["}", "unplug() {", *unplug, "}"]
        lines += [
            "unplug; plug; rm -f fs.sock",
            "%s --socket-path=fs.sock -o source=%s,cache=always,sandbox=chroot,xattr >virtiofsd.log 2>&1 &"
            % (virtiofsd, shlex.quote(os.path.join(self.dir, "root"))),
            "i=0; while [ ! -S fs.sock ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done",
            " ".join(shlex.quote(word) for word in self._qemu()) + " </dev/null",
            "unplug",
            "wait",
        ]
        return lines

    def _qemu(self):
        """The command of a guest, with its interfaces."""
        kvm = self.p["accel"] == "kvm" or (self.p["accel"] == "auto" and kvm_works())
        accel = ["-accel", "kvm", "-cpu", "host"] if kvm else ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max"]
        boot = os.path.join(self.p["rootfs"], "boot")
        kernel = os.path.join(boot, sorted(f for f in os.listdir(boot) if f.startswith("vmlinuz"))[-1])
        qemu = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", *accel,
            "-m", "%dM" % self.p["memory"], "-object", "memory-backend-memfd,id=ram,size=%dM,share=on" % self.p["memory"],
            "-numa", "node,memdev=ram", "-chardev", "socket,id=fs,path=fs.sock",
            "-device", "vhost-user-fs-pci,chardev=fs,tag=lab", "-serial", "stdio",
            "-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng",
            "-kernel", kernel,
            "-append", "root=lab rootfstype=virtiofs rw console=ttyS0 quiet net.ifnames=0 mitigations=off panic=-1",
        ]  # fmt: skip
        for port, index, _nic in self.ports():
            # No checksum and segmentation offload: what the guest sends and receives is what a wire would carry.
            off = ",".join("%s_%s=off" % (side, kind) for side in ("host", "guest") for kind in ("tso4", "tso6", "ecn", "ufo"))
            off += ",csum=off,guest_csum=off,gso=off,mrg_rxbuf=off"
            qemu += ["-netdev", "tap,id=n%d,ifname=%s,script=no,downscript=no" % (index, port)]
            qemu += ["-device", "virtio-net-pci,netdev=n%d,mac=%s,%s" % (index, self.mac(index), off)]
        return qemu

    def prepare(self):
        upper = os.path.join(self.dir, "upper")
        os.makedirs(upper, exist_ok=True)
        if not os.listdir(upper):
            files = {
                "etc/hostname": self.name + "\n",
                "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n" % self.name,
                "etc/machine-id": hashlib.sha256(self.name.encode()).hexdigest()[:32] + "\n",
            }
            for _port, index, nic in self.ports():
                lines = ["[Match]", "Name=eth%d" % index, "[Link]", "RequiredForOnline=no"]
                lines += ["[Network]", "LinkLocalAddressing=ipv6", "IPv6AcceptRA=no", "LLDP=no"]
                lines += ["Address=" + a for a in nic["addresses"]] + ["Gateway=" + g for g in nic["gateways"]]
                files["etc/systemd/network/10-eth%d.network" % index] = "\n".join(lines) + "\n"
            files.update(self.p["files"])
            for path, content in files.items():
                target = os.path.join(upper, path)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(target, "w") as f:
                    f.write(content)
                if "PRIVATE KEY" in content or path.endswith(".key"):
                    os.chmod(target, 0o600)
            for source, target, mode in (
                ("id_ed25519.pub", "root/.ssh/authorized_keys", 0o600),
                ("ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key", 0o600),
                ("ssh_host_ed25519_key.pub", "etc/ssh/ssh_host_ed25519_key.pub", 0o644),
            ):
                target = os.path.join(upper, target)
                os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
                shutil.copyfile(os.path.join(self.p["state_dir"], source), target)
                os.chmod(target, mode)
            os.chmod(os.path.join(upper, "root"), 0o700)
            os.chmod(os.path.join(upper, "root/.ssh"), 0o700)
        script = os.path.join(self.dir, "start")
        with open(script, "w") as f:
            f.write(self.script())
        os.chmod(script, 0o755)
        return script

    def start(self):
        script = self.prepare()
        os.makedirs(self.cgroup, exist_ok=True)
        join = 'echo $$ >"$1/cgroup.procs" && exec nsenter --net="$2" unshare --mount --propagation private "$3"'
        with open(self.console, "ab") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", join, "lab", self.cgroup, "/run/netns/" + self.p["namespace"], script],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
            )  # fmt: skip
        with open(self.pidfile, "w") as f:
            f.write("%d %s\n" % (process.pid, started_at(process.pid)))
        return process

    def answers(self):
        """Whether sshd greets on the host's first address."""
        address = self.p["interfaces"][0]["addresses"][0].split("/")[0]
        command = ["nsenter", "--net=/run/netns/" + self.p["namespace"], "nc", "-w", "2", address, "22"]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
        except subprocess.TimeoutExpired as late:
            return b"SSH-" in (late.stdout or b"")
        return done.stdout.startswith(b"SSH-")

    def wait_up(self):
        deadline = time.monotonic() + self.p["timeout"]
        while not self.answers():
            if self.running() is None:
                raise RuntimeError("%s stopped during its start; see its console in %s" % (self.name, self.console))
            if time.monotonic() > deadline:
                raise RuntimeError(
                    "%s does not answer on ssh after %d s; see its console in %s, allow more time with -e lab_boot_timeout=%d, "
                    "or start over with `make lab-down lab`" % (self.name, self.p["timeout"], self.console, 2 * self.p["timeout"])
                )
            time.sleep(0.5)

    def wait_down(self):
        deadline = time.monotonic() + self.p["timeout"]
        while self.running() is not None and time.monotonic() < deadline:
            time.sleep(0.2)
        return self.running() is None

    def stop(self):
        ssh = ["ssh", "-F", os.path.join(self.p["state_dir"], "ssh_config"), self.name, "systemctl", "poweroff"]
        subprocess.run(ssh, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        if not self.wait_down():
            self.kill()

    def kill(self):
        """A power failure: the cable goes first, so that no kernel answers for a dead host, then every process of its cgroup."""
        unplug(self.p["namespace"], [port for port, _index, _nic in self.ports()])
        if os.path.exists(os.path.join(self.cgroup, "cgroup.kill")):
            with open(os.path.join(self.cgroup, "cgroup.kill"), "w") as f:
                f.write("1")
        pid = self.running()
        if pid:
            os.killpg(pid, signal.SIGKILL)
        if not self.wait_down():
            raise RuntimeError("%s (pid %s) was killed but does not end; see `dmesg` of this machine" % (self.name, pid))
        forget_cgroup(self.cgroup)

    def remove(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


NIC = {
    "network": {"type": "str", "required": True},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "gateways": {"type": "list", "elements": "str", "default": []},
}
SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["started", "stopped", "killed", "restarted", "absent"], "default": "started"},
    "kind": {"type": "str", "choices": ["guest", "container"], "default": "container"},
    "namespace": {"type": "str", "default": "lvsdr"},
    "interfaces": {"type": "list", "elements": "dict", "options": NIC, "default": []},
    "files": {"type": "dict", "default": {}},
    "rootfs": {"type": "path"},
    "state_dir": {"type": "path", "required": True},
    "memory": {"type": "int", "default": 512},
    "accel": {"type": "str", "choices": ["auto", "kvm", "tcg"], "default": "auto"},
    "timeout": {"type": "int", "default": 420},
}


def main():
    module = AnsibleModule(
        argument_spec=SPEC,
        required_if=[("state", "started", ("rootfs",)), ("state", "restarted", ("rootfs",))],
        supports_check_mode=True,
    )
    if not HAS_PYROUTE2:
        module.fail_json(msg=missing_required_lib("pyroute2"))
    begin = time.monotonic()
    state = module.params["state"]
    try:
        host = Host(module.params)
        running = host.running() is not None
        there = os.path.isdir(host.dir)
        if state == "absent":
            changed = there or os.path.isdir(host.cgroup)
        else:
            changed = {"started": not running, "stopped": running, "killed": running, "restarted": True}[state]
        if changed and not module.check_mode:
            if state in ("stopped", "restarted") and running:
                host.stop()
            if state == "killed":
                host.kill()
            if state == "absent":
                host.remove()
            if state in ("started", "restarted"):
                host.kill()  # what an aborted run may have left of it
                host.start()
        if state in ("started", "restarted") and not module.check_mode:
            host.wait_up()
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        module.fail_json(msg="%s: %s" % (module.params["name"], error))
    module.exit_json(changed=changed, seconds=round(time.monotonic() - begin, 1), console=host.console)


if __name__ == "__main__":
    main()
