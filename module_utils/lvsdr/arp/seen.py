# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host has of the ARP problem: settings of its interfaces, and rules that keep ARP from passing."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.arp.filters import frame_filters
from ansible.module_utils.lvsdr.arp.settings import SETTINGS, sysctl_name
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.system import sysctl
from ansible.module_utils.lvsdr.system.commands import Late, find_command, run

if TYPE_CHECKING:
    from collections.abc import Iterable


def add_arp_filters(links: list[dict[str, Any]]) -> list[str]:
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


def arp_conf(links: list[dict[str, Any]], also: Iterable[str] = ()) -> dict[str, dict[str, int]]:
    """``{"all": {setting: int}, "default": {…}, "eth0": {…}}``, with every interface that speaks ARP."""
    names = ["all", "default", *also] + [link["name"] for link in links if link["type"] != "loopback" and link["arp"]]
    out = {}
    for name in names:
        values: dict[str, Any] = {setting: sysctl.read(sysctl_name(name, setting)) for setting in SETTINGS}
        # An interface that vanished meanwhile has nothing to answer with.
        if None not in values.values():
            out[name] = {setting: int(value) for setting, value in values.items()}
    return out
