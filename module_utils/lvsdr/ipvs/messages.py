# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is reported about IPVS tables, as declared, as ipvsadm writes them, and as the kernel holds them (docs/messages/ipvs.md)."""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

# Declared services (declare.py).
SERVICE_PORT_MISSING = Message("service-port-missing", "a port is required; 0 means every port and needs persistence")
PORT_ZERO_NEEDS_PERSISTENCE = Message(
    "port-zero-needs-persistence", "port 0 means every port and works only with persistence; add persistence, or name a port"
)
FIREWALL_MARK_EXCLUDES = Message(
    "firewall-mark-excludes", "can't be given together with firewall_mark; the packets of such a service are selected by their mark"
)
SERVICE_FAMILY_DIFFERS = Message(
    "service-family-differs", "%(value)s is not the family of the address; remove it, because only a firewall-mark service needs it"
)
SCHEDULER_FLAG_UNKNOWN = Message("scheduler-flag-unknown", "scheduler %(scheduler)s has no flag %(flag)s; choose from: %(names)s")
SCHEDULER_WITHOUT_FLAGS = Message("scheduler-without-flags", "scheduler %(scheduler)s takes no flags; remove %(flag)s")
ONE_PACKET_NEEDS_UDP = Message(
    "one-packet-needs-udp", "one-packet scheduling is for UDP; on %(protocol)s it would tear connections apart, so remove it"
)
NOT_A_NETMASK = Message("not-a-netmask", "must be a netmask such as 255.255.255.0 or a prefix length between 0 and 32, not %(value)s")
NOT_A_PREFIX_LENGTH = Message("not-a-prefix-length", "must be a prefix length between 1 and 128, not %(value)s")
SIP_NEEDS_UDP = Message(
    "sip-needs-udp", "engine sip reads the Call-ID of UDP packets, but this service uses %(protocol)s; remove it, or use protocol udp"
)

# Declared destinations (declare.py).
DESTINATION_FAMILY_DIFFERS = Message(
    "destination-family-differs",
    "%(address)s is IPv%(family)s, but the service is IPv%(of_service)s; only a tunnel joins the two families",
)
DESTINATION_PORT_DIFFERS = Message(
    "destination-port-differs",
    "%(port)s differs from the service's port %(usual)s, and forwarding by %(forward)s does not rewrite ports; "
    "let the server listen on %(usual)s, or use nat",
)
LOWER_THRESHOLD_TOO_HIGH = Message("lower-threshold-too-high", "must be at most the upper threshold %(upper)s, not %(lower)s")
TUNNEL_NEEDS_FORWARD = Message("tunnel-needs-forward", "applies only to destinations with forward: tunnel; set that, or remove this")
TUNNEL_PORT_MISSING = Message("tunnel-port-missing", "a GUE tunnel needs the UDP port on which the real server receives it")
TUNNEL_PORT_NEEDS_GUE = Message("tunnel-port-needs-gue", "applies only to GUE tunnels; set type: gue, or remove it")
TUNNEL_CHECKSUM_UNSUPPORTED = Message(
    "tunnel-checksum-unsupported", "%(checksum)s is not possible with a tunnel of type %(kind)s; choose from: %(choices)s"
)
SORRY_SERVER_CHECKED = Message(
    "sorry-server-checked",
    "can't be combined with health_checked: a sorry server serves when checks have taken all other servers out; remove one of the two",
)

# Declared sync daemons (declare.py).
SYNC_DAEMON_STATE_MISSING = Message("sync-daemon-state-missing", "a state is required; master sends connections, backup receives them")
SYNC_DAEMON_TWICE = Message(
    "sync-daemon-twice", "a %(state)s daemon is already declared, and a kernel runs only one of each state; remove one"
)
NOT_A_MULTICAST_GROUP = Message("not-a-multicast-group", "must be a multicast address, not %(value)s; the kernel's default is 224.0.0.81")
SYNC_NEEDS_ONE_FAMILY = Message(
    "sync-needs-one-family",
    "connections of %(service)s to %(address)s, which is of the other family, can't be synchronised; "
    "remove that destination, or the sync daemons",
)

# Schedulers that refuse new connections (types.py).
SCHEDULER_REFUSES_NEWCOMERS = Message(
    "scheduler-refuses-newcomers",
    "scheduler %(scheduler)s refuses new connections that hash to a destination of weight 0, such as a drained or failed one",
)
SCHEDULER_REFUSES_WHEN_FULL = Message(
    "scheduler-refuses-when-full",
    "scheduler ovf uses the weight of a destination as its highest number of connections, and refuses new ones once all are full",
)

# Lines of ipvsadm (parse.py) and what it can't express (table.py).
NOT_IPVSADM_SAVE = Message("not-ipvsadm-save", "this is %(what)s, which can't be made into a table; save the table with `ipvsadm -Sn`")
IPVSADM_COMMAND_UNKNOWN = Message(
    "ipvsadm-command-unknown", "%(command)s does not add anything to a table; use -A, -a, --set or --start-daemon"
)
IPVSADM_COMMAND_ALONE = Message("ipvsadm-command-alone", "%(command)s takes no further words; remove them")
IPVSADM_DAEMON_STATE = Message("ipvsadm-daemon-state", "--start-daemon takes exactly one word, master or backup")
IPVSADM_SET_NUMBERS = Message("ipvsadm-set-numbers", "--set takes three numbers: tcp, tcpfin and udp")
IPVSADM_OPTION_MISPLACED = Message("ipvsadm-option-misplaced", "option %(option)s can't be used with this command")
IPVSADM_OPTION_TAKES_NO_VALUE = Message("ipvsadm-option-takes-no-value", "option %(option)s takes no value")
IPVSADM_OPTION_VALUE_MISSING = Message("ipvsadm-option-value-missing", "option %(option)s needs a value")
IPVSADM_OPTION_NEEDS_PERSISTENCE = Message("ipvsadm-option-needs-persistence", "option %(option)s needs -p")
IPVSADM_ONLY_ONE = Message("ipvsadm-only-one", "only one %(what)s can be given, not %(names)s; keep one")
IPVSADM_ONE_SERVICE = Message("ipvsadm-one-service", "the line must name exactly one service, with -t, -u, -f or --sctp-service")
IPVSADM_WORDS_UNREADABLE = Message(
    "ipvsadm-words-unreadable", "%(words)s can't be read; a line names one service, and only options follow it"
)
IPVSADM_NOT_AN_ENDPOINT = Message(
    "ipvsadm-not-an-endpoint", "%(endpoint)s is not a numeric address and port; print the table with `ipvsadm -Sn`"
)
IPVSADM_SERVICE_UNKNOWN = Message("ipvsadm-service-unknown", "service %(service)s is not added by any line before this one; add it with -A")
IPVSADM_REAL_SERVER_MISSING = Message("ipvsadm-real-server-missing", "option -r is required; it names the real server")
IPVSADM_SAME_DESTINATION = Message(
    "ipvsadm-same-destination",
    "destination %(name)s is the same as %(other)s of %(line)s: %(method)s has no port of its own, so %(moved)s counts as %(counts)s; "
    "remove one of the two lines",
)
IPVSADM_PORT_COUNTS_AS = Message(
    "ipvsadm-port-counts-as",
    "%(method)s has no port of its own, so %(name)s counts as %(counts)s, for ipvsadm as well; "
    "a server that listens on %(port)s alone needs -m",
)
LOCAL_NOT_RENDERED = Message(
    "local-not-rendered", "ipvsadm has no option for local; use dr to an address of the director itself, which does the same"
)

# What an inventory can't express of a table (adopt.py).
ADOPT_FIREWALL_MARK = Message(
    "adopt-firewall-mark", "%(service)s is left out: the table does not contain its VIPs; declare it with firewall_mark and addresses"
)
ADOPT_NO_DESTINATIONS = Message("adopt-no-destinations", "%(service)s is left out: it has no destinations")
ADOPT_SCHEDULER_DH = Message("adopt-scheduler-dh", "%(service)s is left out: %(why)s; choose mh for it")
ADOPT_SEVERAL_MODES = Message(
    "adopt-several-modes",
    "%(service)s is left out: in an inventory a service has one mode (dr, nat or tunnel), and this one has: %(modes)s",
)
ADOPT_THRESHOLDS = Message("adopt-thresholds", "%(service)s is left out: it has thresholds, which can only be declared with ipvs_table")
ADOPT_TUNNEL = Message(
    "adopt-tunnel",
    "%(service)s is left out: tunnels other than IPIP of the service's own family can only be declared with ipvs_table",
)
ADOPT_TWO_PORTS = Message("adopt-two-ports", "%(service)s is left out: it has a real server with two ports")
ADOPT_SERVER_DIFFERS = Message(
    "adopt-server-differs",
    "%(service)s is left out: real server %(address)s has another weight or port in an earlier service, "
    "and in an inventory a host has one of each",
)
ADOPT_NAT_GATEWAY = Message(
    "adopt-nat-gateway",
    "%(service)s is NAT, and a table does not say what its servers answer through; set nat_gateway to an address that can move between the "
    "directors",
)
ADOPT_FLAG_ADDED = Message("adopt-flag-added", "%(service)s gets %(flag)s: %(why)s")

# Limits of a run (plan.py, table.py).
PLAN_NOT_ALLOWED = Message(
    "plan-not-allowed",
    "The plan needs %(count)s that `allow` does not include:\n%(operations)s\nAllow them, or change what is declared",
)
MAX_CUT_CONNECTIONS_EXCEEDED = Message(
    "max-cut-connections-exceeded",
    "The plan would cut %(total)s active connections, but max_cut_connections is %(limit)s:\n%(operations)s\n"
    "Drain these first (weight 0), wait until their connections have ended, then run again",
)
MAX_CUT_CONNECTIONS_NEGATIVE = Message("max-cut-connections-negative", "must be 0 or more, not %(value)s; 0 refuses every cut")

# The conversation with the kernel (kernel.py, table.py).
NO_NETLINK = Message("no-netlink", "A netlink socket can't be opened (%(why)s); IPVS is a part of Linux, so run this on a director")
NO_IPVS = Message(
    "no-ipvs",
    "This kernel has no IPVS: ip_vs is not loaded and could not be loaded (%(why)s); run `modprobe ip_vs` as root and read its error; "
    "the kernel image must ship the module",
)
NETLINK_TIMEOUT = Message(
    "netlink-timeout",
    "The kernel did not return %(what)s of IPVS within %(seconds)s s; check `dmesg` on this director for what holds the table, "
    "then run again",
)
NETLINK_FAILED = Message("netlink-failed", "Communication with the kernel failed (%(why)s); check `dmesg` on this director, then run again")
NETLINK_REPLIES_LOST = Message(
    "netlink-replies-lost", "The kernel's replies were lost twice; check the load of this director, then run again"
)
TABLE_KEEPS_CHANGING = Message(
    "table-keeps-changing", "The IPVS table kept changing while it was read; stop the program that keeps rewriting it, then run again"
)

# The kernel's refusals (refusals.py). what: "Adding destination 192.0.2.21:80 of tcp 192.0.2.100:80". errno: its name, such as EINVAL.
IPVS_NEEDS_ROOT = Message("ipvs-needs-root", "%(what)s failed (%(errno)s): root is needed; set `become: true`")
KERNEL_OUT_OF_MEMORY = Message(
    "kernel-out-of-memory", "%(what)s failed (%(errno)s): the kernel is out of memory; free memory on this director"
)
KERNEL_WITHOUT_PROTOCOL = Message(
    "kernel-without-protocol", "%(what)s failed (%(errno)s): the kernel was built without this protocol or tunnel; choose another one"
)
KERNEL_WITHOUT_IPV6 = Message(
    "kernel-without-ipv6",
    "%(what)s failed (%(errno)s): the kernel was built without IPv6 for IPVS; load the module ipv6, or leave IPv6 services out",
)
KERNEL_TOO_OLD = Message("kernel-too-old", "%(what)s failed (%(errno)s): this kernel does not support it; a newer one may")
KERNEL_REFUSED = Message("kernel-refused", "%(what)s failed (%(errno)s): %(why)s; check `dmesg` on this director")
ADDED_MEANWHILE = Message(
    "added-meanwhile", "%(what)s failed (%(errno)s): it already exists; another program is changing this table, so run again"
)
REMOVED_MEANWHILE = Message(
    "removed-meanwhile", "%(what)s failed (%(errno)s): it does not exist; another program is changing this table, so run again"
)
SERVICE_NOT_IN_TABLE = Message(
    "service-not-in-table",
    "%(what)s failed (%(errno)s): the service does not exist; check whether an earlier line reports why; "
    "otherwise another program is changing this table, so run again",
)
SCHEDULER_NOT_LOADED = Message(
    "scheduler-not-loaded",
    "%(what)s failed (%(errno)s): %(modules)s can't be loaded; check that the kernel module is installed (%(commands)s), then run again",
)
SERVICE_REFUSED = Message(
    "service-refused",
    "%(what)s failed (%(errno)s): the kernel rejected this combination of options; check that family, netmask and scheduler fit together",
)
DESTINATION_REFUSED = Message(
    "destination-refused",
    "%(what)s failed (%(errno)s): the kernel rejected this combination of options; a destination of the other family needs a tunnel, "
    "and no sync daemon may run (`ipvsadm -Ln --daemon`)",
)
DESTINATION_OUT_OF_RANGE = Message(
    "destination-out-of-range",
    "%(what)s failed (%(errno)s): a weight or threshold is out of range; a lower threshold must not exceed the upper one",
)
SYNC_INTERFACE_MISSING = Message(
    "sync-interface-missing",
    "%(what)s failed (%(errno)s): there is no interface %(interface)s; name one that `ip link` lists and that is up",
)
SYNC_INTERFACE_UNUSABLE = Message(
    "sync-interface-unusable",
    "%(what)s failed (%(errno)s): interface %(interface)s is down, or has no address of the group's family; set it up, or choose another",
)
SYNC_INTERFACE_SCOPE = Message(
    "sync-interface-scope",
    "%(what)s failed (%(errno)s): interface %(interface)s has no address of the group's scope; "
    "with only a link-local IPv6 address, choose a link-local group (ff02::/16)",
)
SYNC_DAEMON_REFUSED = Message(
    "sync-daemon-refused",
    "%(what)s failed (%(errno)s): the kernel rejected this daemon; "
    "while one runs, no destination may be of another family than its service",
)
TIMEOUT_REFUSED = Message(
    "timeout-refused", "%(what)s failed (%(errno)s): a timeout is out of range; it must be between 1 and 2147483 seconds"
)
