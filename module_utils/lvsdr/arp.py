# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The ARP problem of direct routing: which settings keep a real server silent for its VIPs, and in which order they are made. Pure.

A real server owns the VIP on lo and must never say so on the link. For IPv4 that takes two settings on every interface with a link
layer, where the kernel takes the larger of conf/all and conf/INTERFACE (net/ipv4/devinet.c, IN_DEV_MAXCONF; ip-sysctl.rst):

- arp_ignore 1, so that it does not answer for an address that is not on the interface that was asked,
- arp_announce 2, so that its own requests never name the VIP as their sender.

A third one, rp_filter, must not be strict (1): packets for the VIP arrive where the way back may not lead. IPv6 needs none of them:
an address on lo is not a target of neighbour discovery on another interface. But it needs KEEP, or the VIP goes when lo is taken down.
"""

import fnmatch
import ipaddress
import re
import socket
import struct
from typing import NamedTuple, Optional

from .errors import LvsError, Problems, named, printable
from .model import parse_address
from .text import kernel_number

# 1, 2 and 8 are silent for an address on lo; 0 and, for a global address, 3 answer (measured, docs/arp-problem.md).
SILENT_IGNORE = (1, 2, 8)
SETTINGS = ("arp_ignore", "arp_announce", "rp_filter")


def good(setting, effective):
    """Whether the effective value of a setting does what direct routing needs."""
    if setting == "arp_ignore":
        return effective in SILENT_IGNORE
    if setting == "arp_announce":
        return effective == 2
    return effective != 1


def answers(ignore, on_card, scopes):
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


def sysctl_name(interface, setting):
    return "net/ipv4/conf/%s/%s" % (interface, setting)


def needed_sysctls(conf):
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


def lasting_sysctls(conf, former, entries):
    """{name: value} of what every boot, and every `sysctl --system`, has to set again while an IPv4 VIP is held.

    Silence that the host has now may be nobody's but this hour's, so conf/all always is among them. former: as in a record; entries: what
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


def conflicts(conf, lasting, entries, beyond, ufw=None):
    """A sentence for each setting of another file that would undo the fix. beyond: the file that is applied after all others.

    conf: as it is once the fix is made. lasting: what our own file sets, after all files but that one. ufw: the file that ufw applies.
    """
    out = []
    fixed = _with(conf, lasting)
    for (path, number), name, value in entries:
        if not needed_sysctls(_with(fixed, {name: value})):
            continue
        what = printable(
            "%s:%d sets %s = %d, which would let this host answer for its VIPs or drop their packets" % (path, number, name, value)
        )
        if path == beyond:
            out.append(what + "; `sysctl --system` applies that file last, so remove the line")
        elif path == ufw:
            out.append(what + "; ufw applies that file each time it starts, so remove the line")
        else:
            out.append(what + "; real_server_vip's %s is applied later and overrides it" % SYSCTL_FILE)
    return out


def _with(conf, sysctls):
    """conf after these settings; a name's interface may be a pattern (systemd's sysctl.d(5))."""
    conf = {name: dict(values) for name, values in conf.items()}
    for name, value in sysctls.items():
        pattern, setting = name.split("/")[-2:]
        for interface in fnmatch.filter(conf, pattern):
            conf[interface][setting] = value
    return conf


_BLANKS = " \t\v\f"


def sysctl_entries(path, text):
    """``[((path, line number), name with slashes, value)]`` of the settings of this problem in a file as of sysctl.d(5).

    A line counts where procps' sysctl or systemd-sysctl gives its value to the kernel and the kernel takes it: both hand over all that is
    behind the equals sign, comments among it (tests/netns/test_sysctl_files.py). Any part of a name may be a pattern.
    """
    out = []
    for number, line in enumerate(re.split("\r\n|[\r\n]", text), 1):
        name, equals, value = line.partition("=")
        name, value = name.strip(_BLANKS).lstrip("-").strip(_BLANKS), kernel_number(value)
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


# Sorts behind everything that others may have, digits first.
SYSCTL_FILE = "/etc/sysctl.d/zz-lvsdr.conf"


def sysctl_file(sysctls):
    """The text of our own file, so that `sysctl --system` does not undo what the unit did at boot."""
    lines = ["# Managed by lvsdr (real_server_vip): a host that holds VIPs of direct routing must not answer ARP for them."]
    return "\n".join(lines + ["%s%s = %d" % (_dash(name), name, sysctls[name]) for name in sorted(sysctls)]) + "\n"


# What tells network managers to leave lo alone: (path, folder that is there where the manager is, text, command that has it read anew).
MANAGER_FILES = (
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


def _dash(name):
    """What says, to systemd and in sysctl.d alike, that a setting may fail: a single interface may be missing or come later. Without
    conf/all and conf/default no VIP may come at all."""
    return "" if name.split("/")[-2] in ("all", "default") else "-"


class Place(NamedTuple):
    """Where a host has an address. Its first three fields alone are a place as well: with the others as they usually are."""

    interface: str
    address: str
    length: int
    scope: str = "global"
    # The other end of a point-to-point address, whose prefix length it then is.
    peer: Optional[str] = None
    # What `ip route` calls the route that makes the address local; then it is on no interface, and may be a whole network.
    route: Optional[str] = None
    # Whether anybody can ask on that interface: not on a dummy, nor on a bridge without ports (host.py, _asked).
    heard: bool = True
    up: bool = True

    def right(self):
        """Whether a VIP belongs there: as a single address on lo."""
        return self.interface == "lo" and self.length == full_length(self.address) and not self.peer and not self.route

    def harmless(self):
        """Whether a VIP may stay there: only the interface that is asked for an address of its own answers in spite of the settings."""
        return not self.heard and self.length == full_length(self.address) and not self.peer and not self.route

    def has(self, vip):
        if self.address == vip:
            return True
        return bool(self.route) and _inside(vip, self)


def can_hear(link):
    """Whether anybody can ask on a link, as host.interfaces gives it."""
    return link.get("arp", True) and not link.get("unasked")


def places(links):
    """All Places of a host. links: as host.interfaces gives them."""
    out = []
    for link in links:
        heard, up = can_hear(link), link.get("up", True)
        for text in link["addresses"]:
            scope = link.get("scopes", {}).get(text, "global")
            for peer in link.get("peers", {}).get(text) or [None]:
                out.append(Place(link["name"], *address_and_length(text), scope, peer, None, heard, up))
        for words in link.get("local_routes", ()):
            out.append(Place(link["name"], *address_and_length(words.split()[1]), "host", None, words, heard, up))
    return out


def _network(place):
    return ipaddress.ip_network("%s/%d" % (place.address, place.length), strict=False)


def _inside(vip, place):
    return full_length(vip) == full_length(place.address) and ipaddress.ip_address(vip) in _network(place)


def cuts_off(place, addresses):
    """Whether a place makes neighbours local to this host: a subnet on lo, or a route to what a card has a subnet of."""
    if not place.route:
        return place.interface == "lo" and place.length < full_length(place.address) and ":" not in place.address
    subnets = [item for item in (Place(*item) for item in addresses) if item.interface != "lo" and not item.route]
    return place.length < full_length(place.address) and any(
        item.length < full_length(item.address)
        and full_length(item.address) == full_length(place.address)
        and _network(item).overlaps(_network(place))
        for item in subnets
    )


def misplaced(vip, addresses):
    """The Places of a VIP that are not lo, or not as a single address.

    A route to a whole network holds others as well, and stays unless it cuts the host off.
    """
    out = [place for place in (Place(*item) for item in addresses) if place.has(vip) and not place.right()]
    return [place for place in out if not place.route or place.address == vip or cuts_off(place, addresses)]


def can_move(place, vips, addresses):
    """Whether a VIP can be taken from a wrong place without a loss: on a card only what was added beside the host's own address."""
    place = Place(*place)
    family = full_length(place.address)
    if place.route:
        return place.length == family
    if place.interface == "lo":
        return True
    own = [
        item
        for item in (Place(*item) for item in addresses)
        if item.interface != "lo" and not item.route and full_length(item.address) == family
    ]
    return place.length == family and any(item.address not in vips for item in own)


def check_vips(vips, addresses, move=False):
    """The wanted VIPs as a list of (family, text); LvsError with all that is wrong.

    addresses: the host's Places as they are. With move, what is in a wrong place and can be moved is none of the errors, nor ever what does
    no harm there.
    """
    problems, out = Problems(), []
    for index, vip in enumerate(vips):
        path = "vips[%d]" % index
        text, _, prefix = str(vip).partition("/")
        try:
            family, text = parse_address(text)
        except ValueError:
            problems.add(path, "%r is not an IPv4 or IPv6 host address" % (vip,))
            continue
        full = full_length(text)
        if ipaddress.ip_address(text).is_loopback:
            problems.add(path, "%s is loopback's own address; a VIP is one of the link" % text)
            continue
        if prefix and prefix != str(full):
            problems.add(
                path,
                "%s: a VIP on lo is a /%d. With a shorter prefix its whole subnet becomes local to lo and the server is cut off"
                % (vip, full),
            )
            continue
        for place in misplaced(text, addresses):
            if not place.harmless() and not (move and can_move(place, vips, addresses)):
                problems.add(path, wrong_place(place, text))
        if (family, text) not in out:
            out.append((family, text))
    problems.raise_if_any("The VIPs can't be used on this real server")
    return out


def wrong_place(place, vip=None):
    """The sentence for a VIP that is where it must not be, with the way out. vip: needed where the place is a route to a network."""
    place = Place(*place)
    interface, address, length = place[:3]
    if place.route and length != full_length(address):
        what = "is in %s/%d, which a route makes local to this host with all neighbours there" % (address, length)
        address = vip or address
    elif place.route:
        what = "is local to this host by a route, which stays when the VIP goes and makes the host answer for it then"
    elif interface == "lo" and place.peer:
        what = "is on lo with the peer %s, so that this host takes what it sends there for its own" % place.peer
    elif interface == "lo" and full_length(address) == 128:
        # Measured: it cuts nobody off, but the subnet's route is there twice.
        what = "is on lo as /%d, and a VIP is a /128" % length
    elif interface == "lo":
        what = "is on lo as /%d, which makes its whole subnet local to this host" % length
    elif length == full_length(address):
        what = "is on %s, where this host answers ARP for it%s" % (interface, "" if place.up else " as soon as that is up")
    else:
        what = "is on %s with its subnet's prefix: either it is the host's own address, and then no VIP, or take it away" % interface
    return "%s %s; remove it with `%s`" % (address, what, removal(place_text(place)))


def place_text(place):
    """A place as `ip` takes it: ``ADDRESS/LENGTH dev INTERFACE``, or the words of a route."""
    place = Place(*place)
    if place.route:
        return place.route
    peer = "%s peer %s" % (place.address, place.peer) if place.peer else place.address
    return "%s/%d dev %s" % (peer, place.length, place.interface)


def removal(text):
    """The command that takes an address from a place (place_text)."""
    return "ip %s del %s" % ("route" if text.startswith("local ") else "address", text)


def plan(want, conf, addresses, record, purge, keep=None, move=True):
    """The operations in order, each ``{"action", …}``: first silence, then the addresses; on the way back the other way round.

    want: (family, text) of each VIP. conf, addresses: as above. record: ``{"vips": [text], "former": {name: value}}``, what an earlier
    run did. With purge, VIPs of the record that are not wanted go. keep: the value of KEEP, None where the kernel has no IPv6.
    Without move, a VIP stays where it does no harm.
    """
    operations = []
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


def describe(operation):
    if operation["action"] == "set":
        return "sysctl %s = %s (was %s)" % (operation["sysctl"], operation["value"], operation["before"])
    if operation["action"] == "restore":
        return "sysctl %s = %s (as before lvsdr)" % (operation["sysctl"], operation["value"])
    if operation["action"] == "add":
        return "ip address add %s dev lo" % full_prefix(operation["vip"])
    return removal(operation.get("place") or full_prefix(operation["vip"]) + " dev lo")


def address_and_length(text):
    """(address, prefix length) of ``ADDRESS/LENGTH``."""
    address, _, length = text.partition("/")
    return address, int(length)


def full_length(address):
    return 128 if ":" in address else 32


def full_prefix(vip):
    return "%s/%d" % (vip, full_length(vip))


def family_of_sysctl(name):
    return 6 if name.startswith("net/ipv6/") else 4


def frame_filters(ruleset, family):
    """A sentence for each place where an nftables ruleset of a family (``bridge`` or ``arp``) may drop ARP.

    ruleset: what `nft -j list ruleset` prints, as a dict (libnftables-json(5)).
    """
    out = []
    for item in ruleset.get("nftables", []):
        chain, rule = item.get("chain"), item.get("rule")
        if chain and chain["family"] == family and chain.get("policy") == "drop":
            out.append("nftables' chain %s %s %s drops what no rule accepts" % (family, chain["table"], chain["name"]))
        if rule and rule["family"] == family and any("drop" in part for part in rule["expr"]) and _meets_arp(rule["expr"]):
            out.append("a rule of nftables' chain %s %s %s drops ARP" % (family, rule["table"], rule["chain"]))
    return list(dict.fromkeys(out))


def _meets_arp(expressions):
    """Whether a rule may meet an ARP frame: it names no other protocol."""
    for expression in expressions:
        match = expression.get("match", {})
        left = match.get("left", {}) if isinstance(match.get("left"), dict) else {}
        payload, protocol = left.get("payload", {}), left.get("meta", {}).get("key") == "protocol"
        named = payload.get("protocol") == "ether" and payload.get("field") == "type" or protocol
        if named and match.get("op") == "==" and "arp" not in str(match.get("right")) or payload.get("protocol") in ("ip", "ip6"):
            return False
    return True


UNIT_NAME = "lvsdr-vip.service"


def unit(vips, sysctls, ip="/usr/sbin/ip", sysctl="/usr/sbin/sysctl"):
    """The systemd unit that makes the same at boot: settings first, then addresses, before any interface is configured."""
    lines = [
        "# Managed by lvsdr (real_server_vip).",
        "[Unit]",
        "Description=VIPs of direct routing on lo, silent on ARP",
        "DefaultDependencies=no",
        # After the files of others have been applied, and before anything can be heard on a link: not every manager waits for
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
    lines += ["ExecStart=%s%s -q -w %s=%s" % (_dash(name), sysctl, name, sysctls[name]) for name in sorted(sysctls)]
    lines += ["ExecStart=%s address replace %s dev lo%s" % (ip, full_prefix(vip), lifetime(vip)) for vip in vips]
    return "\n".join([*lines, "", "[Install]", "WantedBy=sysinit.target", ""])


def lifetime(vip):
    # Deprecated from the start: IPv6 then never chooses the VIP as the source of a connection of the server's own.
    return " nodad preferred_lft 0" if ":" in vip else ""


# --- packets of the audit -----------------------------------------------------------------------------------------------------------

ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 = 0x0800, 0x0806, 0x86DD
BROADCAST = b"\xff" * 6


def mac_text(data):
    return ":".join("%02x" % byte for byte in data)


def arp_request(mac, sender, target):
    """An Ethernet frame that asks who has target (RFC 826). mac: 6 bytes; sender: own address, or 0.0.0.0 for a probe (RFC 5227)."""
    return (
        BROADCAST + mac + struct.pack("!HHHBBH", ETH_P_ARP, 1, ETH_P_IP, 6, 4, 1)
        + mac + socket.inet_aton(sender) + b"\0" * 6 + socket.inet_aton(target)
    )  # fmt: skip


def neighbour_solicitation(mac, sender, target):
    """An Ethernet frame that asks who has the IPv6 target (RFC 4861, 4.3), sent to its solicited-node group."""
    packed = socket.inet_pton(socket.AF_INET6, target)
    group = socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:0")[:13] + packed[13:]
    source = socket.inet_pton(socket.AF_INET6, sender)
    body = struct.pack("!BBHI", 135, 0, 0, 0) + packed + b"\x01\x01" + mac
    pseudo = source + group + struct.pack("!IHBB", len(body), 0, 0, 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + source + group
    return b"\x33\x33" + group[12:] + mac + struct.pack("!H", ETH_P_IPV6) + header + body


def checksum(data):
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def answer(frame):
    """(address, mac) where a frame says who has an address: an ARP reply, or a neighbour advertisement; otherwise None."""
    if len(frame) < 14:
        return None
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == ETH_P_ARP and len(frame) >= 42 and frame[20:22] == b"\x00\x02":
        return socket.inet_ntoa(frame[28:32]), mac_text(frame[22:28])
    if kind == ETH_P_IPV6 and len(frame) >= 78 and frame[20] == 58 and frame[54] == 136:
        target = socket.inet_ntop(socket.AF_INET6, frame[62:78])
        # The target's link-layer address is in an option, which a unicast answer may leave out.
        if len(frame) >= 86 and frame[78] == 2:
            return target, mac_text(frame[80:86])
        return target, mac_text(frame[6:12])
    return None


def claim(frame):
    """(address, mac) where a frame is an ARP request that names an address as its sender, as in RFC 826's merging; otherwise None.

    Whoever hears it may note the MAC for the address: this is how a host with arp_announce below 2 poisons its neighbours' caches.
    """
    if len(frame) >= 42 and struct.unpack_from("!H", frame, 12)[0] == ETH_P_ARP and frame[20:22] == b"\x00\x01":
        sender = socket.inet_ntoa(frame[28:32])
        # A probe (RFC 5227) has no sender.
        return None if sender == "0.0.0.0" else (sender, mac_text(frame[22:28]))
    return None


# So many MACs of one address are kept: more is a flood, and a leak in any case. A sentence names the first of them.
MOST_MACS, NAMED_MACS = 64, 8


def verdict(vip, macs, owners, claims=(), names=None, own=None):
    """(verdict, sentence): ``one owner``, ``leak`` or ``nobody``.

    macs: all that answered. owners: {mac: name} of the hosts that may; empty where anybody may, as long as it is one. claims: all that
    named the VIP as the sender of a request of their own. names: {mac: name} of further hosts that are known. own: MAC of this host where
    it answers for the VIP itself, which it does not hear.
    """
    macs = [*([own] if own else []), *macs]
    known = {mac: named(name) for mac, name in {**(names or {}), **owners}.items()}

    def listed(found, joint=" and "):
        more = len(found) - NAMED_MACS
        words = joint.join("%s (%s)" % (mac, known[mac]) if mac in known else mac for mac in found[:NAMED_MACS])
        return words if more <= 0 else "%s and %s%d more" % (words, "at least " if len(found) >= MOST_MACS else "", more)

    strangers = [mac for mac in macs if owners and mac not in owners]
    if strangers:
        return "leak", "%s answers for %s and is no director: that host takes the service; deploy it with real_server_vip" % (
            listed(strangers),
            vip,
        )
    if len(macs) > 1:
        return "leak", "%d hosts answer for %s: %s; only the active director may" % (len(macs), vip, listed(macs, ", "))
    poisoners = [mac for mac in claims if mac not in (owners or macs)]
    if poisoners:
        return "leak", (
            "%s names %s as the sender of its ARP requests (arp_announce below 2), which poisons its neighbours' caches; "
            "deploy it with real_server_vip" % (listed(poisoners), vip)
        )
    if not macs:
        return "nobody", "nobody answers for %s; look whether keepalived runs on a director and holds it" % vip
    return "one owner", "%s answers for %s" % (listed(macs), vip)


def holder(vip, links, interface):
    """MAC of this host's Ethernet link that was asked on, where it has the VIP itself; None where it has not.

    What another card of the host answers comes over the link, and is heard.
    """
    for link in links:
        own = any(text.partition("/")[0] == vip for text in link["addresses"])
        if link["name"] == interface and link["type"] == "ether" and own:
            return link["mac"]
    return None


def check_audit(vips):
    """The addresses to audit as (family, text); LvsError with all that is wrong."""
    problems, out = Problems(), []
    for index, vip in enumerate(vips):
        try:
            out.append(parse_address(vip))
        except ValueError:
            problems.add("vips[%d]" % index, "%r is not an IPv4 or IPv6 host address" % (vip,))
    problems.raise_if_any("The audit can't be made")
    if not out:
        raise LvsError("There is no VIP to audit", "name at least one in `vips`")
    return out
