# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is said about an inventory beside its hosts, and about a fleet that runs. docs/messages/fleet.md explains each id."""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

# Groups and roles of hosts.
DIRECTORS_MISSING = Message("directors-missing", "there is no such group; create it with the hosts that run IPVS")
DIRECTORS_EMPTY = Message("directors-empty", "the group is empty; add the hosts that run IPVS")
DIRECTOR_IS_SERVER = Message(
    "director-is-server",
    "%(host)s is a director; a real server must be silent on ARP for the VIPs that a director answers for, so choose another host",
)
SERVERS_ALL_DRAINED = Message(
    "servers-all-drained",
    "all its real servers are drained or have weight 0, so new viewers are refused; leave one in service, declare a sorry_server, or set "
    "preflight_allow_drained: true if this is intended",
)
SERVERS_ALL_EXCHANGED = Message(
    "servers-all-exchanged",
    "none of the real servers to which %(director)s sends viewers now stays, and new ones get none before their first check, so new "
    "viewers would be refused until then; roll out with both first, declare a sorry_server, or set preflight_allow_drained: true if this "
    "is intended",
)
HOST_UNREAD = Message("host-unread", "the host could not be read: %(why)s")

# Addresses. variable: the host variable that sets an address of this family.
VIP_IS_HOST_ADDRESS = Message("vip-is-host-address", "VIP %(vip)s is also %(host)s's own address; a VIP must not be a host's own address")
SPARE_OF_TWO = Message(
    "spare-of-two",
    "it is a spare of %(service)s, whose proxies are the directors, and of %(other)s, and could be parked for both alone; take it out of "
    "one of them, or make it active",
)
VIP_OUTSIDE_SUBNETS = Message(
    "vip-outside-subnets",
    "VIP %(vip)s is not in a subnet of director %(director)s (%(subnets)s); give the director an interface there, or choose a VIP from its "
    "subnets",
)
VIP_RESERVED = Message("vip-reserved", "VIP %(vip)s is %(what)s of %(subnet)s; choose another address of that subnet")
DIRECTOR_ADDRESS_MISSING = Message(
    "director-address-missing",
    "%(director)s has no IPv%(family)s address, or several and not exactly one in the subnet of a VIP; set %(variable)s",
)
ADDRESS_IS_LOOPBACK = Message(
    "address-is-loopback",
    "%(address)s is every host's own loopback address, and others need one that reaches %(host)s; set %(variable)s",
)
ADDRESS_NOT_ON_HOST = Message(
    "address-not-on-host", "%(host)s does not have the address %(address)s (it has %(known)s); set %(variable)s to its own"
)
ADDRESS_SHARED = Message("address-shared", "address %(address)s also belongs to %(other)s; two hosts can't share an address")

# The director's interface and its VRRP instances.
INTERFACE_NOT_FOUND = Message("interface-not-found", "%(host)s has no interface %(name)s; it has %(names)s")
INTERFACE_NAME_UNUSABLE = Message(
    "interface-name-unusable",
    "the VIPs are in a subnet of interface %(name)s, and keepalived.conf can't hold that name; rename the interface",
)
GATEWAY_IS_VIP = Message("gateway-is-vip", "%(gateway)s is a VIP as well; choose another free address of the servers' subnet")
GATEWAY_IS_HOST_ADDRESS = Message(
    "gateway-is-host-address",
    "%(gateway)s is an address of %(host)s; a gateway moves between the directors, so choose a free address of the servers' subnet",
)
GATEWAY_OFF_LINK = Message(
    "gateway-off-link",
    "gateway %(gateway)s is in no subnet of %(host)s (%(subnets)s); directors and the servers of a NAT service need a link in common, so "
    "choose an address of that link's subnet",
)
SERVER_IS_VIEWER = Message(
    "server-is-viewer",
    "%(host)s is a real server of the NAT service %(service)s and in group viewers; it would answer itself past the director, so take it "
    "out of one of the two, or use mode snat",
)
REPLY_PAST_DIRECTOR = Message(
    "reply-past-director",
    "%(host)s answers viewers of %(service)s through %(way)s, so the director does not see the answers; make %(gateway)s its default "
    "gateway, or use return_path: rule",
)
REPLY_THROUGH_DIRECTOR = Message(
    "reply-through-director",
    "%(host)s answers viewers of %(service)s through %(way)s, which is %(director)s, and a director drops what comes from its own VIPs; "
    "make a router its default gateway",
)
MODE_CHANGES_UNDER_CONNECTIONS = Message(
    "mode-changes-under-connections",
    "%(director)s has %(count)d connections of it in mode %(was)s, which would be cut; set state: absent until they have ended, or allow "
    "it with director_max_cut_connections",
)
CUT_BY_FAILOVER = Message(
    "cut-by-failover", "A failover would cut the %(count)d active connections of %(service)s (%(vip)s), which has mode snat"
)
PARANOIA_REFUSES_PLAYERS = Message(
    "paranoia-refuses-players",
    "%(path)s.waf.paranoia: level %(level)d takes %(who)s for attackers; take 1 or 2, or mode detect, and read `playbooks/waf_report.yml`",
)
PROXY_PORT_OF_NGINX = Message(
    "proxy-port-of-nginx",
    "nginx would have port %(port)d of this host, which HAProxy needs there for service %(service)s; take it out of this list",
)
HTTP3_NEEDS_DEBIAN_13 = Message(
    "http3-needs-debian-13", "%(host)s has Debian 12, whose HAProxy can't speak HTTP/3; upgrade it to Debian 13, or remove http3"
)
TUNNEL_MTU_TOO_SMALL = Message(
    "tunnel-mtu-too-small",
    "%(interface)s has an MTU of %(mtu)d, which leaves %(left)d bytes inside a tunnel of type %(kind)s, and IPv%(family)d needs %(least)d; "
    "set its MTU to %(enough)d or more",
)
SNAT_PORTS_EXCEEDED = Message(
    "snat-ports-exceeded",
    "is %(count)d, and SNAT has %(most)d ports between a director and a server; lower it, add servers, or use another mode",
)
CONNTRACK_TABLE_TOO_SMALL = Message(
    "conntrack-table-too-small",
    "tracks %(limit)d connections at most, and the servers of mode snat may hold %(count)d; raise net.netfilter.nf_conntrack_max",
)
SNAT_NEEDS_CONNTRACK = Message(
    "snat-needs-conntrack", "service %(service)s has mode snat, which needs the kernel's connection tracking; remove conntrack: 0"
)
INTERFACE_DOWN = Message("interface-down", "%(name)s, which carries the VIPs, is down; run `ip link set %(name)s up` there")
VRRP_ADDRESS_OFF_LINK = Message(
    "vrrp-address-off-link",
    "%(director)s would send VRRP advertisements from %(address)s, which is not in a subnet of %(interface)s, the link of the VIPs, and "
    "the other directors would drop them; set %(variable)s to its address there",
)
VIP_OFF_LINK = Message(
    "vip-off-link",
    "VIP %(vip)s is not in a subnet of %(interface)s, which carries the VIPs of %(director)s; all VIPs of a pair are on one link: choose "
    "another director_interface, or give the VIPs of another link a pair of their own",
)
VRRP_INSTANCE_DIFFERS = Message(
    "vrrp-instance-differs", "it is %(here)s, but %(there)s on %(other)s; all directors need the same value for an instance"
)

# The data path.
SERVER_OFF_LINK = Message(
    "server-off-link",
    "director %(director)s has no interface in the subnet of real server %(server)s (%(address)s); direct routing needs both on one link, "
    "and the director's subnets are: %(subnets)s",
)
CHECK_PATH_OFF_LINK = Message(
    "check-path-off-link",
    "the health checks of real server %(server)s (%(address)s) from director %(director)s (%(source)s) to VIP %(vip)s do not stay in one "
    "subnet, and their replies would be dropped; set target: server, or the director's real_server_address to the one on that link",
)
LINK_WITHOUT_ARP = Message(
    "link-without-arp",
    "%(host)s is on the link of real server %(address)s with %(interface)s, which %(why)s; direct routing rewrites a MAC address and can't "
    "work there: use mode tunnel or nat, or give both an Ethernet link",
)
DIRECTOR_DROPS_ARP = Message("director-drops-arp", "%(what)s; a director must answer ARP for its VIPs, so let it through")
BRIDGE_DROPS_ARP = Message(
    "bridge-drops-arp", "%(host)s has a bridge, %(bridge)s, on the link: %(what)s; direct routing needs ARP there, so let it through"
)
CLOUD_NETWORK = Message(
    "cloud-network",
    "%(hosts)s run in %(cloud)s, whose network drops packets from any address but the port's own, and does not move VIPs by ARP; if you "
    "have arranged both with that network, set preflight_allow_cloud: true",
)

# What runs, and is not declared so.
SERVICE_UNDECLARED = Message(
    "service-undeclared",
    "%(what)s is served by %(directors)s but not declared; to retire it, declare it with state: absent, which drains it first, and delete "
    "the entry after that rollout",
)
VIP_CHANGES_INSTANCE = Message(
    "vip-changes-instance",
    "VIP %(vip)s is in VRRP instance %(old)s on %(director)s, and declared in %(new)s; retire it first (state: absent, a rollout), then "
    "declare it in the other instance",
)
VRRP_CHANGE_NEEDS_ALL = Message(
    "vrrp-change-needs-all",
    "%(changes)s: directors that differ in this drop each other's advertisements, and each would hold the VIPs; not in this run: "
    "%(missing)s. Run it without --limit when all directors answer, or take a director that is gone out of the group",
)
VRRP_CHANGE_NEEDS_STANDBY = Message(
    "vrrp-change-needs-standby",
    "%(changes)s: until all have changed, the directors drop each other's advertisements, and %(active)s hold VIPs now; stop keepalived on "
    "one of them (`systemctl stop keepalived`: its VIPs move to the other), then run site.yml, which starts it again",
)

# What a rollout or an audit left out, and what verify finds.
HOST_DID_NOT_ANSWER = Message("host-did-not-answer", "%(host)s did not answer")
HOST_NOT_LOOKED_AT = Message("host-not-looked-at", "%(host)s was not looked at: %(why)s, as playbooks/preflight.yml without --check does")
DIRECTOR_UNREAD = Message("director-unread", "%(director)s took no part and could not be read")
DIRECTOR_LACKS_SERVER = Message("director-lacks-server", "%(director)s took no part and does not send viewers to %(host)s (%(services)s)")
SERVER_NOT_ROLLED_OUT = Message("server-not-rolled-out", "%(host)s was not rolled out, so no director sends viewers to it (%(services)s)")
RETIRE_DESTINATION = Message(
    "retire-destination",
    "the host is still a destination of %(service)s on %(director)s (%(connections)d connections); run site.yml first, or "
    "playbooks/drain.yml if it waits for its last connections",
)
RETIRE_DIRECTOR_UNREAD = Message(
    "retire-director-unread",
    "%(director)s could not be read, and may still send viewers to the host; run this again when %(director)s answers",
)
RULES_NOT_IN_FORCE = Message(
    "rules-not-in-force",
    "%(director)s would accept VRRP and connections from any host: its nftables rules are not in force, as after `nft flush ruleset`; run "
    "site.yml, which loads them",
)
STRANGER_ACCEPTED = Message(
    "stranger-accepted",
    "%(director)s did not drop a %(what)s from %(source)s, which is not a director; see `nft list table inet lvsdr` there",
)
VIP_NOT_ASKED = Message("vip-not-asked", "no host that was reached has an interface in the subnet of %(vip)s")

# Without some of the real servers, and with more of them.
NOBODY_ELSE_SERVES = Message(
    "nobody-else-serves", "without %(hosts)s nobody would serve %(service)s; bring another real server of it into service first"
)
SORRY_SERVER_STAYS = Message(
    "sorry-server-stays", "%(host)s is the sorry server of %(service)s; name another one, or none, in the inventory and run site.yml first"
)
BELOW_FLOOR = Message(
    "below-floor",
    "without %(hosts)s %(left)d servers would be left of %(service)s, and its floor is %(least)d; take out fewer at a time, or bring "
    "others into service first",
)
TOO_MUCH_FOR_OTHERS = Message(
    "too-much-for-others",
    "without %(hosts)s each of the others would get %(times).1f times its load of %(service)s, and %(most)g times is allowed "
    "(upgrade_growth); take out fewer at a time, or wake a spare first",
)
TOO_MANY_CONNECTIONS = Message(
    "too-many-connections",
    "%(service)s has %(count)d connections; without %(hosts)s %(left)d servers would carry them, at most %(each)d each "
    "(scale.connections); wait until there are fewer, or wake a spare first",
)
SCALE_SERVICE_UNKNOWN = Message("scale-service-unknown", "%(value)s is not a service; choose from: %(names)s")
SCALE_NOT_A_NUMBER = Message("scale-not-a-number", "%(value)s is not a number of servers; give one, such as -e servers=5")
SCALE_OUT_OF_RANGE = Message(
    "scale-out-of-range",
    "%(service)s can't have %(value)d servers in service: give a number from %(least)d, which are not spares, to %(most)d, with all its "
    "%(spares)d spares; or declare further real servers with real_server_state: spare",
)
SCALE_REFUSED = Message("scale-refused", "nothing was parked: %(why)s")

# Upgrades, and hosts that join and leave.
UPGRADE_HOST_UNKNOWN = Message(
    "upgrade-host-unknown", "%(name)s is neither a real server nor a director, nor a group of them; choose from: %(names)s"
)
UPGRADE_NOT_DRAINABLE = Message("upgrade-not-drainable", "an upgrade has to drain: %(why)s; leave these out with upgrade_hosts")
UPGRADE_SHARE_INVALID = Message(
    "upgrade-share-invalid", "upgrade_share is %(value)s; give a part of the real servers, such as 0.2, or a number of them, such as 2"
)
UPGRADE_STOPPED = Message(
    "upgrade-stopped",
    "stopped at %(task)s on %(hosts)s: %(why)s. %(hosts)s stay drained, and the others serve. Done before: %(done)s; not begun: %(left)s. "
    "Mend it and run the same command again, which goes on; or put them back with playbooks/undrain.yml -e drain_servers=%(names)s",
)
JOURNAL_UNWRITABLE = Message(
    "journal-unwritable", "the journal %(path)s can't be written (%(why)s); set journal_path to a file that you may write"
)
RUN_IN_PROGRESS = Message(
    "run-in-progress",
    "%(what)s, which %(by)s began at %(at)s (process %(process)s on this machine), still goes on; wait until it has ended, or go on beside "
    "it with -e run_beside=true",
)
RUN_MEANWHILE = Message(
    "run-meanwhile",
    "%(what)s, which %(by)s began at %(at)s, has changed something while this run was reading; run it again, which reads again",
)

# The rehearsal.
REHEARSAL_NEEDS_WATCHERS = Message(
    "rehearsal-needs-watchers",
    "a rehearsal needs a service with `stream`, a host in group viewers to watch it, and a host in group routers on the link of the VIPs "
    "to see who owns them; nothing was touched",
)
REHEARSAL_IN_CHECK_MODE = Message("rehearsal-in-check-mode", "a rehearsal has no check mode; nothing was touched")
REHEARSAL_FAULT_UNKNOWN = Message("rehearsal-fault-unknown", "%(names)s is not a fault; choose from: %(known)s; nothing was touched")
REHEARSAL_SERVICE_UNKNOWN = Message(
    "rehearsal-service-unknown",
    "rehearse_service is %(name)s, which is not a service with stream and real servers; choose from: %(known)s; nothing was touched",
)
REHEARSAL_COMMAND_INVALID = Message("rehearsal-command-invalid", "%(name)s of %(host)s has a quotation mark that is never closed")
REHEARSAL_NOT_CONFIRMED = Message(
    "rehearsal-not-confirmed", "nothing was touched; type yes, or set rehearse_confirmed=true for a run without a terminal"
)
REHEARSAL_NOT_PLAYABLE = Message(
    "rehearsal-not-playable",
    "viewers can't watch %(url)s%(download)s: %(why)s; nothing was broken, so repair that first (`playbooks/verify.yml`)",
)
REHEARSAL_STEP_FAILED = Message("rehearsal-step-failed", "%(what)s failed on %(host)s: %(why)s")
REHEARSAL_POWER_FAILED = Message(
    "rehearsal-power-failed",
    "%(name)s of %(host)s ended with status %(status)s; run it by hand to see why, because its output may hold a password and is not shown",
)
REHEARSAL_NOT_SETTLED = Message("rehearsal-not-settled", "after %(seconds)d s servers still have no weight: %(waiting)s")
REHEARSAL_WATCH_TOO_SHORT = Message(
    "rehearsal-watch-too-short",
    "%(fault)s took %(took)d s, and viewers watched for %(watched)d s; set rehearse_seconds to %(better)d or more",
)
REHEARSAL_TABLE_UNWRITABLE = Message("rehearsal-table-unwritable", "the table could not be written: %(why)s")
