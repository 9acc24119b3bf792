# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is said about VIPs on hosts and on the link, by id. docs/messages/arp.md explains each."""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

ARP_POISONING = Message(
    "arp-poisoning",
    "%(macs)s names %(vip)s as the sender of its ARP requests (arp_announce below 2), which poisons the ARP caches of its neighbours; "
    "deploy it with real_server_vip",
)
ARP_QUERY_FAILED = Message("arp-query-failed", "asking on the link failed (%(why)s); check that the interface is up")
ARP_SETTINGS_RESET = Message(
    "arp-settings-reset",
    "this host would still answer ARP: %(settings)s; something on it resets these settings, so the VIP was not added",
)
INTERFACE_MISSING = Message("interface-missing", "this host has no interface %(interface)s; it has %(names)s")
INTERFACE_NOT_ETHERNET = Message(
    "interface-not-ethernet",
    "%(interface)s is not an Ethernet interface, so no host answers ARP there; name the one on the VIPs' link",
)
INTERFACE_OR_VIPS_REQUIRED = Message(
    "interface-or-vips-required", "an interface is required, or the VIPs by whose subnet it can be found; set interface or vips"
)
NO_INTERFACE_IN_SUBNET = Message(
    "no-interface-in-subnet", "this host has no interface in the subnet of %(vip)s; run this on a host of that link, or name the interface"
)
NO_VIPS = Message("no-vips", "there is no VIP to audit; name at least one in vips")
RECORD_UNREADABLE = Message(
    "record-unreadable", "%(path)s can't be read (%(why)s); remove the file, and the former values of the sysctls are no longer known"
)
SYSCTL_LINE_OVERRIDDEN = Message(
    "sysctl-line-overridden",
    "%(place)s sets %(name)s = %(value)d, which would let this host answer for its VIPs or drop their packets; "
    "real_server_vip's %(file)s is applied later and overrides it",
)
SYSCTL_LINE_UNDOES_FIX = Message(
    "sysctl-line-undoes-fix",
    "%(place)s sets %(name)s = %(value)d, which would let this host answer for its VIPs or drop their packets; "
    "`sysctl --system` applies that file last, so remove the line",
)
UFW_LINE_UNDOES_FIX = Message(
    "ufw-line-undoes-fix",
    "%(place)s sets %(name)s = %(value)d, which would let this host answer for its VIPs or drop their packets; "
    "ufw applies that file each time it starts, so remove the line",
)
VIP_AS_SUBNET = Message(
    "vip-as-subnet", "%(vip)s is on lo as /%(length)d, which makes its whole subnet local to this host; remove it with `%(command)s`"
)
VIP_AS_SUBNET6 = Message("vip-as-subnet6", "%(vip)s is on lo as /%(length)d, and must be a /128; remove it with `%(command)s`")
VIP_COMES_BACK = Message(
    "vip-comes-back",
    "%(place)s names %(vip)s, which was in the wrong place (%(former)s) and may come back there with the next boot; remove the line",
)
VIP_HAS_PEER = Message(
    "vip-has-peer",
    "%(vip)s is on lo with the peer %(peer)s, so this host keeps what it sends to that address; remove it with `%(command)s`",
)
VIP_HIJACKED = Message(
    "vip-hijacked",
    "%(macs)s answers for %(vip)s but is not a director, so it hijacks the service; deploy that host with real_server_vip",
)
VIP_IN_LOCAL_ROUTE = Message(
    "vip-in-local-route",
    "%(vip)s is local to this host by a route, which stays when the VIP goes and makes the host answer for it then; "
    "remove it with `%(command)s`",
)
VIP_IN_ROUTED_NETWORK = Message(
    "vip-in-routed-network",
    "%(vip)s is in %(network)s, which a route makes local to this host together with all its neighbours there; "
    "remove it with `%(command)s`",
)
VIP_IS_LOOPBACK = Message("vip-is-loopback", "%(vip)s is a loopback address, and a VIP must be an address of the link")
VIP_ON_INTERFACE = Message(
    "vip-on-interface", "%(vip)s is on %(interface)s, where this host answers ARP for it%(when)s; remove it with `%(command)s`"
)
VIP_PREFIX_LENGTH = Message(
    "vip-prefix-length",
    "must be a /%(length)d, not %(vip)s; with a shorter prefix the whole subnet becomes local to lo, and the server is cut off",
)
VIP_UNANSWERED = Message("vip-unanswered", "no host answers for %(vip)s; check that keepalived runs on a director and holds the VIP")
VIP_WITH_SUBNET_PREFIX = Message(
    "vip-with-subnet-prefix",
    "%(vip)s is on %(interface)s with the prefix of its subnet; choose another VIP if it is the host's own address, "
    "or else remove it with `%(command)s`",
)
VIPS_NOT_HELD = Message("vips-not-held", "holding the VIPs failed (%(why)s); this module needs root, so set `become: true`")
VIPS_REQUIRED = Message("vips-required", "vips is required with state=present; an empty list removes all VIPs")
VIP_OF_SEVERAL_HOSTS = Message("vip-of-several-hosts", "%(number)d hosts answer for %(vip)s: %(macs)s; only the active director may")
VRRP_LISTEN_FAILED = Message(
    "vrrp-listen-failed", "listening on %(interface)s failed (%(why)s); name the interface of the VIPs, and check that it is up"
)
VRRP_SEND_FAILED = Message("vrrp-send-failed", "sending on %(interface)s failed (%(why)s); name the interface of the directors' link")
