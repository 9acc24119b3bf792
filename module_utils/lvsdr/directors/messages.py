# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is said about directors: what they lack, what they hold, and who may be drained. docs/messages/directors.md explains each id."""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

# keepalived.conf. variable: the host variable that sets an address of this family.
VRRP_ADDRESS_MISSING = Message(
    "vrrp-address-missing",
    "VRRP between %(director)s and %(peer)s needs an IPv%(family)s address of each; set ansible_host or %(variable)s on both",
)
CHECK_SOURCE_MISSING = Message(
    "check-source-missing",
    "%(director)s has no IPv%(family)s address to send the health checks of service %(service)s from; "
    "set %(variable)s, or health_check.target: server",
)
VIP_INTERFACE_MISSING = Message(
    "vip-interface-missing", "this director has no interface in the subnet of a VIP; set director_interface if one of them carries the VIPs"
)

# Who holds the VIPs, and VRRP.
SPLIT_BRAIN = Message(
    "split-brain",
    "%(directors)s hold %(vip)s at once (split brain) because they do not receive each other's advertisements; "
    "check that VRRP (IP protocol 112) passes between them, and see `journalctl -u keepalived` on each",
)
VIP_NOT_HELD = Message("vip-not-held", "no director holds %(vip)s; see `journalctl -u keepalived` on the directors")
KEEPALIVED_NOT_RUNNING = Message(
    "keepalived-not-running",
    "%(director)s could not take over: keepalived is not running there; see `journalctl -u keepalived` there",
)
VRRP_STATE = Message(
    "vrrp-state",
    "%(director)s could not take over: its VRRP instance %(instance)s is in state %(state)s; see `journalctl -u keepalived` there",
)
VRRP_INSTANCE_MISSING = Message(
    "vrrp-instance-missing",
    "%(director)s could not take over: its keepalived has no VRRP instance %(instance)s; see `journalctl -u keepalived` there",
)
VRRP_ROUTER_ID_SHARED = Message(
    "vrrp-router-id-shared",
    "%(director)s also receives advertisements of router id %(number)d (instance %(instance)s) from %(sources)s, which is not a director "
    "of this inventory; each pair on a link needs its own: set another director_virtual_router_id",
)
TABLES_DIFFER = Message("tables-differ", "only on %(director)s: %(line)s")

# Draining.
NO_SERVER_LEFT = Message(
    "no-server-left",
    "no real server would be left to serve %(service)s (%(vip)s), and new viewers would be refused; leave one in service, declare a "
    "sorry_server, or run it with -e preflight_allow_drained=true",
)
NO_SERVER_NAMED = Message("no-server-named", "no server was named; name one or more, such as -e drain_servers=streaming1,streaming2")
NOT_A_REAL_SERVER = Message("not-a-real-server", "%(host)s is not a real server of any service; choose from: %(names)s")
DRAIN_NEEDS_CHECK = Message(
    "drain-needs-check",
    "%(host)s serves %(services)s without a health check; set real_server_state: drained for it and run site.yml",
)
NO_DIRECTOR_LEFT = Message(
    "no-director-left",
    "%(directors)s can't be drained: nobody else would hold the VIPs (%(others)s: not read, without a running keepalived, or drained "
    "itself); repair or undrain another director first",
)
DIRECTOR_NOT_DRAINABLE = Message(
    "director-not-drainable", "%(director)s can't be drained: its keepalived was rolled out before lvsdr could do that; run site.yml first"
)
SNAT_ENDS_WITH_DIRECTOR = Message(
    "snat-ends-with-director",
    "%(count)d connections of %(service)s would end: only %(director)s knows the sources that SNAT gave them; wait until there are fewer, "
    "or allow it with director_max_cut_connections",
)
STILL_NOT_DRAINED = Message(
    "still-not-drained",
    "%(director)s still sends new viewers of %(service)s to %(host)s, which has weight %(weight)d there; see `journalctl -u keepalived` on "
    "it, and whether site.yml has rolled out this real server",
)
