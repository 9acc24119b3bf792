# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The ARP problem of direct routing: which settings keep a real server silent for its VIPs. Pure.

A real server owns the VIP on lo and must never announce that on the link. For IPv4 that takes two settings on every interface with a link
layer, where the kernel takes the larger of conf/all and conf/INTERFACE (net/ipv4/devinet.c, IN_DEV_MAXCONF; ip-sysctl.rst):

- arp_ignore 1, so that it does not answer for an address that is not on the interface that was asked,
- arp_announce 2, so that its own requests never name the VIP as their sender.

A third one, rp_filter, must not be strict (1): packets for the VIP arrive where the way back may not lead. IPv6 needs none of them:
an address on lo is not a target of neighbour discovery on another interface. But it needs KEEP, or the VIP goes when lo is taken down.
"""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from ansible.module_utils.lvsdr.arp import messages
from ansible.module_utils.lvsdr.errors import printable
from ansible.module_utils.lvsdr.places import SYSCTL_FILE
from ansible.module_utils.lvsdr.text import kernel_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    # ((path, line number), name with slashes, value), as sysctl_entries gives it.
    Entry = tuple[tuple[str, int], str, int]

# 1, 2 and 8 are silent for an address on lo; 0 and, for a global address, 3 answer (measured, docs/arp-problem.md).
SILENT_IGNORE = (1, 2, 8)
SETTINGS = ("arp_ignore", "arp_announce", "rp_filter")


def good(setting: str, effective: int) -> bool:
    """Whether the effective value of a setting does what direct routing needs."""
    if setting == "arp_ignore":
        return effective in SILENT_IGNORE
    if setting == "arp_announce":
        return effective == 2
    return effective != 1


def answers(ignore: int, on_card: bool, scopes: Iterable[str]) -> bool:
    """Whether a card with this effective arp_ignore answers for an address of the host (net/ipv4/arp.c, arp_ignore and inet_confirm_addr).

    on_card: whether the address is on that card; scopes: those that it has on interfaces, none where a route alone makes it local.
    """
    if ignore in (1, 2):
        # With 2 only those of the same subnet, which ask for a VIP, get an answer.
        return on_card
    if ignore == 3:
        return any(scope != "host" for scope in scopes)
    return ignore != 8


WANTED = {"arp_ignore": 1, "arp_announce": 2, "rp_filter": 2}

# The kernel takes IPv6 addresses off an interface that goes down (addrconf_ifdown), and `ifdown -a` takes lo down; IPv4's stay.
KEEP = "net/ipv6/conf/lo/keep_addr_on_down"


def sysctl_name(interface: str, setting: str) -> str:
    return "net/ipv4/conf/%s/%s" % (interface, setting)


def needed_sysctls(conf: dict[str, dict[str, int]]) -> dict[str, int]:
    """{name: value} of what must be set.

    conf: ``{"all": {setting: int}, "default": {…}, "eth0": {…}}`` with every interface that has a link layer; ``default`` stands for
    those that appear later. Where conf/all alone can do it, it does.
    """
    out = {}
    for setting in SETTINGS:
        everywhere = conf["all"][setting]
        interfaces = [name for name in conf if name != "all"]
        wrong = [name for name in interfaces if not good(setting, max(everywhere, conf[name][setting]))]
        if not wrong:
            continue
        target = WANTED[setting]
        if everywhere != target:
            out[sysctl_name("all", setting)] = target
        for name in wrong:
            if not good(setting, max(target, conf[name][setting])):
                out[sysctl_name(name, setting)] = target
    return out


def lasting_sysctls(conf: dict[str, dict[str, int]], former: Iterable[str], entries: Iterable[Entry]) -> dict[str, int]:
    """{name: value} of what every boot, and every `sysctl --system`, has to set again while an IPv4 VIP is held.

    Silence that the host has now may not last, so conf/all is always among them. former: as in a record; entries: what
    other files set (sysctl_entries).
    """
    out = {sysctl_name("all", setting): conf["all"][setting] for setting in ("arp_ignore", "arp_announce")}
    for name in former:
        if family_of_sysctl(name) == 4:
            out[name] = WANTED[name.rsplit("/", 1)[1]]
    fixed = _with(conf, out)
    for _place, name, value in entries:
        out.update(needed_sysctls(_with(fixed, {name: value})))
    for name, value in out.items():
        setting = name.rsplit("/", 1)[1]
        out[name] = value if good(setting, value) else WANTED[setting]
    return out


def conflicts(
    conf: dict[str, dict[str, int]], lasting: dict[str, int], entries: Iterable[Entry], beyond: str, ufw: str | None = None
) -> list[str]:
    """A sentence for each setting of another file that would undo the fix. beyond: the file that is applied after all others.

    conf: as it is once the fix is made. lasting: what our own file sets, after all files but that one. ufw: the file that ufw applies.
    """
    out = []
    fixed = _with(conf, lasting)
    for (path, number), name, value in entries:
        if not needed_sysctls(_with(fixed, {name: value})):
            continue
        place, name = printable("%s:%d" % (path, number)), printable(name)
        if path == beyond:
            line = messages.SYSCTL_LINE_UNDOES_FIX(place=place, name=name, value=value)
        elif path == ufw:
            line = messages.UFW_LINE_UNDOES_FIX(place=place, name=name, value=value)
        else:
            line = messages.SYSCTL_LINE_OVERRIDDEN(place=place, name=name, value=value, file=SYSCTL_FILE)
        out.append(str(line))
    return out


def must_be_removed(conflict: str) -> bool:
    """Whether a sentence of ``conflicts`` names a line that the module can't override."""
    return not conflict.endswith("[%s]" % messages.SYSCTL_LINE_OVERRIDDEN.id)


def _with(conf: dict[str, dict[str, int]], sysctls: dict[str, int]) -> dict[str, dict[str, int]]:
    """conf after these settings; a name's interface may be a pattern (systemd's sysctl.d(5))."""
    conf = {name: dict(values) for name, values in conf.items()}
    for name, value in sysctls.items():
        pattern, setting = name.split("/")[-2:]
        for interface in fnmatch.filter(conf, pattern):
            conf[interface][setting] = value
    return conf


_BLANKS = " \t\v\f"


def sysctl_entries(path: str, text: str) -> list[Entry]:
    """``[((path, line number), name with slashes, value)]`` of the settings of this problem in a file as of sysctl.d(5).

    A line counts where procps' sysctl or systemd-sysctl gives its value to the kernel and the kernel takes it: both hand over all that is
    behind the equals sign, comments among it (tests/netns/test_sysctl_files.py). Any part of a name may be a pattern.
    """
    out: list[Entry] = []
    for number, line in enumerate(re.split("\r\n|[\r\n]", text), 1):
        name, equals, words = line.partition("=")
        name, value = name.strip(_BLANKS).lstrip("-").strip(_BLANKS), kernel_number(words)
        if not equals or name.startswith(("#", ";")) or value is None:
            continue
        if "/" not in name or "." in name and name.index(".") < name.index("/"):
            # With dots first, a slash stands for the dot in an interface's name.
            name = name.translate(str.maketrans("./", "/."))
        parts = [part for part in name.split("/") if part]
        if len(parts) != 5 or not all(map(fnmatch.fnmatchcase, ("net", "ipv4", "conf"), parts)):
            continue
        out += [((path, number), sysctl_name(parts[3], setting), value) for setting in SETTINGS if fnmatch.fnmatchcase(setting, parts[4])]
    return out


def sysctl_file(sysctls: dict[str, int]) -> str:
    """The text of our own file, so that `sysctl --system` does not undo what the unit did at boot."""
    lines = ["# Managed by lvsdr (real_server_vip): a host that holds VIPs of direct routing must not answer ARP for them."]
    return "\n".join(lines + ["%s%s = %d" % (may_fail(name), name, sysctls[name]) for name in sorted(sysctls)]) + "\n"


def may_fail(name: str) -> str:
    """What says, to systemd and in sysctl.d alike, that a setting may fail: a single interface may be missing or come later. Without
    conf/all and conf/default no VIP may come at all."""
    return "" if name.split("/")[-2] in ("all", "default") else "-"


def family_of_sysctl(name: str) -> int:
    return 6 if name.startswith("net/ipv6/") else 4
