# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""In which order a real server gets its settings and VIPs and loses them, and the unit that does the same at boot. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import full_prefix
from ansible.module_utils.lvsdr.arp.placement import Place, misplaced, place_text, removal
from ansible.module_utils.lvsdr.arp.settings import KEEP, family_of_sysctl, may_fail, needed_sysctls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Manager = tuple[str, str, str, tuple[str, ...]]  # as in MANAGER_FILES

# What makes network managers leave lo alone: (path, folder that is there where the manager is, text, command that makes it read this).
MANAGER_FILES: tuple[Manager, ...] = (
    # It takes lo for one of its devices since 1.42, and `nmcli networking off` takes the addresses off all of them.
    (
        "/etc/NetworkManager/conf.d/zz-lvsdr.conf",
        "/etc/NetworkManager",
        "# Managed by lvsdr (real_server_vip): lo holds VIPs of direct routing.\n[keyfile]\nunmanaged-devices+=interface-name:lo\n",
        ("systemctl", "try-reload-or-restart", "NetworkManager.service"),
    ),
    # ifreload and ifup of ifupdown2 take every address off lo that is not in their configuration (address-purge, a setting of a stanza).
    (
        "/etc/network/interfaces.d/zz-lvsdr",
        "/etc/network/ifupdown2",
        "# Managed by lvsdr (real_server_vip): lo holds VIPs of direct routing.\niface lo inet loopback\n    address-purge no\n",
        (),
    ),
)


def plan(
    want: list[tuple[int, str]],
    conf: dict[str, dict[str, int]],
    addresses: Sequence[tuple[Any, ...]],
    record: dict[str, Any],
    purge: bool,
    keep: int | None = None,
    move: bool = True,
) -> tuple[list[dict[str, Any]], list[str]]:
    """The operations in order, each ``{"action", …}``: first silence, then the addresses; on the way back the other way round.

    want: (family, text) of each VIP. conf, addresses: as above. record: ``{"vips": [text], "former": {name: value}}``, what an earlier
    run did. With purge, VIPs of the record that are not wanted go. keep: the value of KEEP, None where the kernel has no IPv6.
    Without move, a VIP stays where it does no harm.
    """
    operations: list[dict[str, Any]] = []
    on_lo = {place.address for place in (Place(*item) for item in addresses) if place.right()}
    wanted = [text for _family, text in want]
    stale = [vip for vip in record["vips"] if vip not in wanted]
    if any(family == 4 for family, _text in want):
        for name, value in sorted(needed_sysctls(conf).items()):
            interface, setting = name.split("/")[-2:]
            operations.append({"action": "set", "sysctl": name, "value": value, "before": conf[interface][setting]})
    if any(family == 6 for family, _text in want) and keep == 0:
        operations.append({"action": "set", "sysctl": KEEP, "value": 1, "before": 0})
    adds = [{"action": "add", "vip": vip} for vip in wanted if vip not in on_lo]
    wrong = [(vip, place) for vip in wanted for place in misplaced(vip, addresses) if move or not place.harmless()]
    removes = [{"action": "remove", "vip": vip, "place": place_text(place)} for vip, place in wrong]
    # First where it belongs, so that at no moment this host drops what is sent to the VIP. Only IPv6 takes no address twice on one link.
    twice = [remove for (vip, place), remove in zip(wrong, removes) if ":" in vip and place.interface == "lo" and not place.route]
    operations += twice + adds + [remove for remove in removes if remove not in twice]
    if purge:
        for vip in stale:
            if vip in on_lo:
                operations.append({"action": "remove", "vip": vip})
        for name, value in sorted(record["former"].items()):
            # Only a host without any VIP of the family gets its former values back: VIPs share these settings.
            if family_of_sysctl(name) not in {family for family, _text in want}:
                operations.append({"action": "restore", "sysctl": name, "value": value})
    return operations, stale


def describe(operation: dict[str, Any]) -> str:
    if operation["action"] == "set":
        return "sysctl %s = %s (was %s)" % (operation["sysctl"], operation["value"], operation["before"])
    if operation["action"] == "restore":
        return "sysctl %s = %s (as before lvsdr)" % (operation["sysctl"], operation["value"])
    if operation["action"] == "add":
        return "ip address add %s dev lo" % full_prefix(operation["vip"])
    return removal(operation.get("place") or full_prefix(operation["vip"]) + " dev lo")


UNIT_NAME = "lvsdr-vip.service"


def unit(vips: Iterable[str], sysctls: dict[str, int], ip: str = "/usr/sbin/ip", sysctl: str = "/usr/sbin/sysctl") -> str:
    """The systemd unit that makes the same at boot: settings first, then addresses, before any interface is configured."""
    lines = [
        "# Managed by lvsdr (real_server_vip).",
        "[Unit]",
        "Description=VIPs of direct routing on lo, silent on ARP",
        "DefaultDependencies=no",
        # After the files of others have been applied, and before anything can be received on a link: not every manager waits for
        # network-pre.target (ifupdown2's unit does not).
        "After=systemd-sysctl.service",
        "Before=network-pre.target networking.service systemd-networkd.service NetworkManager.service shutdown.target",
        "Wants=network-pre.target",
        "Conflicts=shutdown.target",
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
    ]
    lines += ["ExecStart=%s%s -q -w %s=%s" % (may_fail(name), sysctl, name, sysctls[name]) for name in sorted(sysctls)]
    lines += ["ExecStart=%s address replace %s dev lo%s" % (ip, full_prefix(vip), lifetime(vip)) for vip in vips]
    return "\n".join([*lines, "", "[Install]", "WantedBy=sysinit.target", ""])


def lifetime(vip: str) -> str:
    # Deprecated from the start: IPv6 then never chooses the VIP as the source of a connection of the server's own.
    return " nodad preferred_lft 0" if ":" in vip else ""
