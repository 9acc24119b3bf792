# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host has: its interfaces and addresses, as iproute2 tells them. IO."""

import glob
import hashlib
import ipaddress
import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import time

from . import sysctl
from .arp import SETTINGS, frame_filters, sysctl_name
from .errors import LvsError, Problems

# How long a program may take, in seconds. Those that start services or read large files get more, also than the TimeoutStartSec of lvsdr's
# units (180): systemd then says first what was wrong.
SECONDS = 60
SLOW = {"systemctl": 200, "keepalived": 200, "nginx": 200}


class Late(LvsError):
    """A program that did not end in time."""


def finish(command, stderr=subprocess.PIPE):
    """What a command did, as subprocess.run tells it. Late where it takes too long, OSError where it can't be run."""
    seconds = SLOW.get(os.path.basename(command[0]), SECONDS)
    # Of a session of its own: what it has started ends with it, and keepalived -t of 2.2.7 ends its process group where a script has a user
    # other than root.
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True, errors="replace", start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        # Not waited for: what hangs in the kernel does not end then either.
        raise Late(
            "`%s` did not end within %g s, and was killed" % (" ".join(command), seconds),
            "run it by hand on this host to see what it waits for, then run again",
        ) from None
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def run(*command):
    """Output of a command; LvsError with what it said where it fails."""
    try:
        done = finish(command)
    except OSError as error:
        raise LvsError("%s can't be run (%s)" % (command[0], error.strerror), "install it on this host")
    if done.returncode:
        raise LvsError("`%s` failed: %s" % (" ".join(command), (done.stderr or done.stdout).strip()))
    return done.stdout


def interfaces():
    """``[{"name", "mac", "type", "arp", "up", "addresses": ["a/p"], "scopes": {"a/p": scope}}]``; type is the kernel's link type, such as
    ether or loopback. Whatever its scope or state, an address is among them, but for those that every link may have (_of_every_link).

    Only where there are such: ``peers`` {"a/p": [the other end, or None, of each such address]}, ``local_routes``, what `ip route` says of
    routes that make an address local without being on an interface, and ``unasked``, true where no frame of anybody else arrives.
    """
    out, links = [], json.loads(run("ip", "-j", "address", "show") or "[]")
    routes, asked = _local_routes(), _asked(json.loads(run("ip", "-j", "-d", "link", "show") or "[]"))
    for link in links:
        if "ifname" not in link:
            continue
        scopes, peers = {}, {}
        for info in link.get("addr_info", []):
            if "local" in info and not _of_every_link(info["local"], info["prefixlen"]):
                text = "%s/%d" % (info["local"], info["prefixlen"])
                scopes[text] = info.get("scope", "global")
                peers.setdefault(text, []).append(info.get("address"))
        found = {
            "name": link["ifname"],
            "mac": link.get("address", ""),
            "type": link.get("link_type", ""),
            "arp": "NOARP" not in link.get("flags", []),
            "up": "UP" in link.get("flags", []),
            "addresses": list(scopes),
            "scopes": scopes,
        }
        if any(peer for ends in peers.values() for peer in ends):
            found["peers"] = peers
        if link["ifname"] in routes:
            found["local_routes"] = routes[link["ifname"]]
        if not asked.get(link["ifname"], True):  # it may have come meanwhile
            found["unasked"] = True
        out.append(found)
    return out


# Kinds of interfaces, as `ip -d` calls them: those that lead nowhere, those that have only what their ports have, and those on another one.
NOWHERE = ("dummy", "ifb", "nlmon")
WITH_PORTS = ("bridge", "bond", "team")
STACKED = ("vlan", "macvlan", "macvtap", "ipvlan")


def _asked(links):
    """{interface: whether a frame of somebody else can arrive there}. links: what `ip -j -d link show` prints.

    A pair of veth whose two ends are on this host leads from the host to itself, unless its other end is a port of something that leads on.
    What is not known is asked: a false alarm is better than a leak.
    """
    known = {link["ifname"]: link for link in links if "ifname" in link}
    ports = {}
    for name, link in known.items():
        ports.setdefault(link.get("master"), []).append(name)

    def asked(name, behind):
        link = known[name]
        kind, other = (link.get("linkinfo") or {}).get("info_kind"), link.get("link")
        if kind in NOWHERE:
            return False
        if kind in WITH_PORTS:
            return any(asked(port, behind | {name}) for port in ports.get(name, ()) if port not in behind)
        # The other end, or what is below, may be in another namespace: `ip` then gives its number alone, or says which.
        if other not in known or "link_netnsid" in link:
            return True
        if kind in STACKED:
            return asked(other, behind | {name})
        if kind != "veth":
            return True
        master = known[other].get("master")
        if any(one.get("link") == other and one["ifname"] != name for one in known.values()):
            return True  # something is stacked on the other end
        return master in known and master not in behind and asked(master, behind | {name, other})

    return {name: asked(name, frozenset()) for name in known}


def _of_every_link(address, length):
    """Whether an address is what a link has of its own accord: of fe80::/10, or of 169.254.0.0/16 with its prefix. None is a VIP."""
    parsed = ipaddress.ip_address(address)
    return parsed.is_link_local and (parsed.version == 6 or length < 32)


# Those that are asked for every packet; others are where a rule says so.
LOCAL_TABLES = ("local", "main", "default")


def _tables_of_rules(family):
    """The routing tables that a rule without any condition names (ip-rule(8))."""
    rules = json.loads(run("ip", family, "-j", "rule", "show") or "[]")
    return {rule.get("table") for rule in rules if rule.get("src") == "all" and rule.keys() <= {"priority", "src", "table", "protocol"}}


def _local_routes():
    """{interface: ["local 192.0.2.100/32 dev lo table local proto boot"]} of the routes that somebody has added (ip-route(8), type local).

    The kernel adds one for each address. The host owns what such a route leads to as well, and may answer for it.
    """
    out = {}
    for route in json.loads(run("ip", "-j", "route", "show", "table", "all", "type", "local") or "[]"):
        target, table = route.get("dst", "default"), route.get("table", "main")
        if route.get("type") != "local" or route.get("protocol") == "kernel" or target == "default":
            continue
        if table not in LOCAL_TABLES and table not in _tables_of_rules("-6" if ":" in target else "-4"):
            continue  # as of a transparent proxy, whose rule asks for a mark
        if "/" not in target:
            target += "/%d" % ipaddress.ip_address(target).max_prefixlen
        words = "local %s dev %s table %s proto %s" % (target, route.get("dev", "lo"), table, route.get("protocol", "boot"))
        out.setdefault(route.get("dev", "lo"), []).append(words + (" metric %d" % route["metric"] if route.get("metric") else ""))
    return out


def add_arp_filters(links):
    """Gives each link that is a bridge ``arp_filters``, sentences on what may keep ARP from passing it; returns those of the host itself.

    As far as a host can tell: nftables' rules (also those that ebtables and arptables make, in their nft variants), and ports that
    suppress ARP.
    """
    rules = {}
    if find_command("nft"):
        try:
            rules = json.loads(run("nft", "-j", "list", "ruleset"))
        except Late:
            raise
        except (LvsError, ValueError):
            rules = {}  # a kernel without nftables has no rules
    for link in links:
        folder = "/sys/class/net/%s/brif" % link["name"]
        if os.path.isdir(folder):
            link["arp_filters"] = frame_filters(rules, "bridge")
            for port in sorted(os.listdir(folder)):
                if sysctl.read_file("%s/%s/neigh_suppress" % (folder, port)) == "1":
                    link["arp_filters"].append("its port %s suppresses ARP (neigh_suppress)" % port)
    return frame_filters(rules, "arp")


# Words in /sys/class/dmi/id by which a guest knows the cloud it runs in, as cloud-init's ds-identify has them. In all of these networks a
# packet whose addresses are not the port's own is dropped, unless somebody has arranged otherwise.
CLOUDS = (
    ("sys_vendor", "Amazon EC2", "Amazon EC2"),
    ("sys_vendor", "Google", "Google Compute Engine"),
    ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "Microsoft Azure"),
    ("chassis_asset_tag", "OracleCloud.com", "Oracle Cloud"),
    ("sys_vendor", "Alibaba Cloud", "Alibaba Cloud"),
    ("sys_vendor", "Hetzner", "Hetzner Cloud"),
    ("product_name", "OpenStack Nova", "OpenStack"),
    ("product_name", "OpenStack Compute", "OpenStack"),
)


def cloud(folder="/sys/class/dmi/id"):
    """Name of the cloud that this host is a guest of, or None. A container's network is its host's affair."""
    # Written by systemd as a container's first process (CONTAINER_INTERFACE).
    if os.path.exists("/run/systemd/container"):
        return None
    for name, text, title in CLOUDS:
        if sysctl.read_file(os.path.join(folder, name)) == text:
            return title
    return None


def arp_conf(links, also=()):
    """``{"all": {setting: int}, "default": {…}, "eth0": {…}}``, with every interface that speaks ARP."""
    names = ["all", "default", *also] + [link["name"] for link in links if link["type"] != "loopback" and link["arp"]]
    out = {}
    for name in names:
        values = {setting: sysctl.read(sysctl_name(name, setting)) for setting in SETTINGS}
        # An interface that vanished meanwhile has nothing to answer with.
        if None not in values.values():
            out[name] = {setting: int(value) for setting, value in values.items()}
    return out


# In the order in which one shadows a file of the same name in the next (sysctl.d(5)); the last is procps' own, applied after all.
SYSCTL_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
SYSCTL_CONF = "/etc/sysctl.conf"
# Not among them: ufw's own, which it gives to sysctl whenever it starts (ufw-framework(8)).
UFW_CONF, UFW_SYSCTL = "/etc/ufw/ufw.conf", "/etc/ufw/sysctl.conf"


def sysctl_files(own):
    """[(path, text)] of the files of settings, in the order in which `sysctl --system` applies them, without our own."""
    found = {}
    for folder in SYSCTL_FOLDERS:
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if name.endswith(".conf"):
                found.setdefault(name, os.path.join(folder, name))
    # Debian links the one to the other.
    paths = [found[name] for name in sorted(found) if os.path.realpath(found[name]) not in (os.path.realpath(SYSCTL_CONF), own)]
    ufw = re.search("^ENABLED=[\"']?yes", read_text(UFW_CONF) or "", re.MULTILINE | re.IGNORECASE)
    return _texts([*paths, SYSCTL_CONF, *([UFW_SYSCTL] if ufw else [])])


def _texts(paths):
    """[(path, text)] of files of settings that can be read."""
    out = []
    for path in paths:
        try:
            with open(path, errors="replace") as f:
                out.append((path, f.read()))
        except OSError:
            continue  # a folder, gone meanwhile, or a link to nowhere: then nobody applies it
    return out


# Where ifupdown, netplan, networkd and NetworkManager keep what they configure.
NETWORK_FILES = (
    "/etc/network/interfaces", "/etc/network/interfaces.d/*", "/etc/netplan/*.yaml", "/etc/systemd/network/*.network",
    "/etc/NetworkManager/system-connections/*", "/etc/sysconfig/network-scripts/ifcfg-*",
)  # fmt: skip


def network_files():
    """[(path, text)] of the files in which network managers keep addresses."""
    return _texts(sorted(path for pattern in NETWORK_FILES for path in glob.glob(pattern)))


def find_command(name):
    """Path of a program, also in the folders that a user's PATH leaves out; None where it is missing."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin")


def check_names(**names):
    """LvsError with every name that no program could take: ``check_names(services=[…])``."""
    problems = Problems()
    for option, values in names.items():
        for index, value in enumerate(values):
            if not value or value.startswith("-") or not value.isprintable():
                problems.add("%s[%d]" % (option, index), "%r is no name" % value)
    problems.raise_if_any("The host can't be read")


# Written once a second; what is older is of a checker that is gone or stands still.
STREAM_STATUS, STREAM_STATUS_SECONDS = "/run/lvsdr/streamcheck/status.json", 30


def stream_checks(path=STREAM_STATUS):
    """What lvsdr-streamcheck holds of each server, as it writes it; None where it does not run."""
    try:
        with open(path) as f:
            status = json.load(f)
    except (OSError, ValueError):
        return None
    return status["checks"] if time.time() - status["at"] < STREAM_STATUS_SECONDS else None


def has_module(name):
    """Whether the running kernel has a module, loaded, built in or on disk."""
    if os.path.isdir("/sys/module/" + name):
        return True
    modprobe = find_command("modprobe")
    return bool(modprobe) and finish([modprobe, "-n", "-q", name]).returncode == 0


def fingerprint(path):
    """SHA-256 of a file's content; None where it is missing or can't be read."""
    try:
        with open(path, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()
    except OSError:
        return None


def read_text(path):
    """A file's text, or None where it is missing or can't be read."""
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except OSError:
        return None


def account_problems(names):
    """A sentence for each account that is not there; keepalived leaves a check out whose account it does not find."""
    out = []
    for name in dict.fromkeys(names):
        try:
            pwd.getpwnam(name)
        except KeyError:
            out.append("there is no account %s, which a check runs its program as; make it on every director, or name another user" % name)
    return out


def script_problems(paths):
    """A sentence for each program that keepalived can't, or had better not, run for a check."""
    out = []
    for path in dict.fromkeys(paths):
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            out.append("check script %s can't be run (%s); install it on every director" % (path, error.strerror))
            continue
        if not stat.S_ISREG(mode) or not mode & 0o111:
            out.append("check script %s is not executable; run `chmod 755 %s`" % (path, path))
        # What keepalived's own enable_script_security looks at: every folder on the way, too.
        place = os.path.realpath(path)
        while True:
            status = os.stat(place)
            sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
            if status.st_uid != 0 or (status.st_mode & 0o022 and not sticky):
                who = "belongs to uid %d" % status.st_uid if status.st_uid else "is writable by others than root"
                out.append("check script %s: %s %s; give it to root, and run `chmod go-w %s`" % (path, place, who, place))
            if place == "/":
                break
            place = os.path.dirname(place)
    return out


def file_problems(files):
    """A sentence for each file, {"path", "readers": any, all or root}, that can't be used, or that tells a secret."""
    out = []
    for one in files:
        path = one["path"]
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            out.append("%s, which the inventory names, can't be read (%s); put it there" % (path, error.strerror))
            continue
        if not stat.S_ISREG(mode):
            out.append("%s, which the inventory names, is no file" % path)
        elif one["readers"] == "root" and mode & 0o007:
            out.append("%s holds a secret and everybody may read it; run `chmod o= %s`" % (path, path))
        elif one["readers"] == "all" and not mode & 0o004:
            out.append("%s can't be read by lvsdr-streamcheck, which is not root; run `chmod a+r %s`" % (path, path))
    return out


def unit_states(names):
    """{name: {"loaded", "active", "enabled", "stale"}} of systemd units, from one call of systemctl.

    loaded: there is such a unit; stale: systemd has read an older version of its files.
    """
    nothing = {"loaded": False, "active": False, "enabled": False, "stale": False}
    if not names:
        return {}
    command = ["systemctl", "show", "--property=LoadState,ActiveState,UnitFileState,NeedDaemonReload", *names]
    try:
        done = finish(command)
    except OSError:
        return {name: dict(nothing) for name in names}
    blocks = done.stdout.strip().split("\n\n")
    if len(blocks) != len(names):  # systemd does not run here
        return {name: dict(nothing) for name in names}
    out = {}
    for name, block in zip(names, blocks):
        found = dict(line.partition("=")[::2] for line in block.splitlines())
        out[name] = {
            "loaded": found.get("LoadState") == "loaded",
            "active": found.get("ActiveState") in ("active", "reloading"),
            "enabled": found.get("UnitFileState") == "enabled",
            "stale": found.get("NeedDaemonReload") == "yes",
        }
    return out


def started_since(unit, path, text):
    """Whether a running unit started after a file got this text: then it has read it."""
    if read_text(path) != text:
        return False
    command = ["systemctl", "show", "--timestamp=unix", "--property=ActiveState,ActiveEnterTimestamp", unit]
    try:
        done = finish(command)
    except OSError:
        return False
    found = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    started = found.get("ActiveEnterTimestamp", "").lstrip("@")
    # One that does not run reads it when it starts.
    return found.get("ActiveState") != "active" or (started.isdigit() and int(started) > os.stat(path).st_mtime)


def write_atomically(path, text, mode=0o644):
    """Writes a file beside its place and moves it there: nobody reads a half of it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = path + ".new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as f:
        os.fchmod(f.fileno(), mode)
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.rename(new, path)
