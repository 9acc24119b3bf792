# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is said about virtual_services and the variables of hosts; docs/messages/inventory.md explains each id."""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

# Names of values: value is shown(value) of what was declared; service, by and other are paths; more is empty, or on how many more hosts.

# virtual_services
NO_VIRTUAL_SERVICES = Message(
    "no-virtual-services", "must be a list of at least one service, not %(value)s; declare it, for example, in group_vars/all.yml"
)
SERVICE_NAME_MISSING = Message("service-name-missing", "a name is required; messages and keepalived.conf use it")
SERVICE_NAME_TAKEN = Message("service-name-taken", "%(value)s is already the name of %(by)s; choose another one")
NOT_A_LABEL = Message(
    "not-a-label", "%(value)s can't be written into keepalived.conf; a name is one line of up to %(longest)d bytes without %(signs)s"
)
NOT_A_PROXY_NAME = Message(
    "not-a-proxy-name",
    "%(value)s can't be a name in HAProxy; take up to 60 letters, digits, full stops, underscores "
    "and hyphens, and do not begin with lvsdr-",
)
NEEDS_TWO_TIERS = Message(
    "needs-two-tiers", "%(option)s needs proxies of their own, which directors choose from; remove it, or name another group than directors"
)
PROXY_NEEDS_ONE_PORT = Message(
    "proxy-needs-one-port", "a service of mode proxy has one TCP port, not %(value)s; declare a service for each port"
)
PROXY_NEEDS_TCP = Message("proxy-needs-tcp", "HAProxy takes TCP alone; use mode dr, nat, snat or tunnel for UDP")
OPTION_OF_REDIRECT = Message(
    "option-of-redirect",
    "a redirect is answered by the proxies themselves, in HTTP without TLS, so it has no %(option)s; remove one of the two",
)
REDIRECT_LEADS_NOWHERE = Message(
    "redirect-leads-nowhere",
    "%(vip)s has no service with TLS on TCP port %(port)d, to which viewers would be sent; name the port of one, or declare it",
)
PROXY_IS_ITS_OWN_ORIGIN = Message(
    "proxy-is-its-own-origin", "%(host)s is also one of the real servers, and a proxy would ask itself; name two groups of different hosts"
)
CHECK_NOT_OF_PROXIES = Message("check-not-of-proxies", "a proxy can't make a check of type %(type)s; choose from: %(types)s")
CERTIFICATES_MISSING = Message(
    "certificates-missing", "TLS needs at least one; name PEM files on the proxies, each with a certificate, its chain and its key"
)
CERTIFICATES_TOO_MANY = Message(
    "certificates-too-many",
    "HAProxy reads %(most)d files for a service, not %(count)d; put several names into one certificate, or some of them on another VIP",
)
ORIGIN_WITH_TLS = Message(
    "origin-with-tls",
    "proxies ask real servers without TLS, and port %(port)d is for TLS; name the port where they speak HTTP, or choose application tcp "
    "and remove tls",
)
CHECK_OF_PLAIN_ORIGIN = Message(
    "check-of-plain-origin",
    "proxies ask real servers without TLS, and this check would ask the same port with it; ask without TLS, or name a port of its own",
)
NOT_A_CERTIFICATE_PATH = Message(
    "not-a-certificate-path",
    "must be the absolute path of a PEM file on the proxies, or {controller: FILE} for one on your machine, without spaces, not %(value)s",
)
NEEDS_HTTP = Message("needs-http", "%(what)s needs application http; with application tcp use %(instead)s")
PROXY_PROTOCOL_NEEDS_PORT = Message(
    "proxy-protocol-needs-port",
    "lvsdr-streamcheck does not speak PROXY protocol; name a port on which the real servers answer without it, or remove proxy_protocol",
)
WAF_HIDES_VIEWERS = Message(
    "waf-hides-viewers",
    "behind a WAF real servers would see proxies in PROXY protocol; remove proxy_protocol and let them read X-Forwarded-For, or remove waf",
)
NOT_A_WAF_RULE = Message(
    "not-a-waf-rule",
    "%(value)s is not a rule of the OWASP Core Rule Set 3.3 that judges a request; `playbooks/waf_report.yml` shows those that matched",
)
NOT_A_WAF_PATH = Message(
    "not-a-waf-path",
    "%(value)s can't be the beginning of a path; write it decoded, with a slash at its beginning, without query, quotation marks and %%",
)
NOT_A_WAF_TARGET = Message(
    "not-a-waf-target",
    "%(value)s is not what a rule looks at, such as ARGS:name or REQUEST_COOKIES:name; `playbooks/waf_report.yml` shows it",
)
NOT_A_COOKIE = Message("not-a-cookie", "must be a name of up to 60 letters, digits, underscores and hyphens, not %(value)s")
ORIGIN_WITHOUT_ADDRESS = Message(
    "origin-without-address", "the address of %(host)s, a real server of %(service)s, is not known; set real_server_address or ansible_host"
)
WEIGHT_OF_PROXY = Message("weight-of-proxy", "HAProxy has weights up to %(most)d, not %(value)d; give all its real servers smaller ones")
OPTION_NEEDS_MODE = Message(
    "option-needs-mode", "%(option)s is an option of mode %(needed)s, not of %(mode)s; remove it, or change the mode"
)
PORT_NEEDS_NAT = Message(
    "port-needs-nat",
    "mode %(mode)s changes no port: real servers have to listen on the service's own; remove real_server_port, or use mode nat or snat",
)
GATEWAY_MISSING = Message(
    "gateway-missing",
    "a NAT service needs an IPv%(family)d address that moves with its VIP and that servers answer through; set nat_gateway to a free "
    "address of the servers' subnet",
)
GATEWAY_TWICE = Message("gateway-twice", "there is an IPv%(family)d gateway already; give one address of each family")
MODE_NEEDS_PORTS = Message(
    "mode-needs-ports",
    "mode %(mode)s needs rules for the service's ports; name them in ports, which may be several and ranges, instead of a mark or port 0",
)
FTP_NOT_OFFERED = Message(
    "ftp-not-offered",
    "FTP agrees on further ports inside the connection, which a translated connection does not follow; use HTTP or SFTP, or mode dr with "
    "passive FTP",
)
MARK_RESERVED = Message(
    "mark-reserved", "%(value)s is one of the marks 0x4c000000 to 0x4dffffff, which lvsdr uses itself; choose another one"
)
SCHEDULER_DH = Message(
    "scheduler-dh",
    "scheduler dh refuses new connections that hash to a server of weight 0, such as a drained or failed one; use mh, which sends them to "
    "another server",
)
SERVICE_WITHOUT_VIP = Message("service-without-vip", "must be a list of at least one VIP, not %(value)s")
SERVICE_WITHOUT_PORT = Message("service-without-port", "must be a list of one port, not %(value)s")
NOT_PORTS = Message("not-ports", "%(value)s is not a port, such as 443, 554/tcp or 6970-7170/udp; the protocols are %(protocols)s")
PORTS_OUT_OF_RANGE = Message("ports-out-of-range", "%(value)s is not valid; ports are 1 to 65535, and the smaller one comes first")
PORTS_TOO_MANY = Message("ports-too-many", "%(value)s are %(count)d ports; a range has at most %(most)d")
PORTS_OVERLAP = Message("ports-overlap", "%(ports)s overlaps %(other)s of the same service; merge the two")
PORT_CLAIMED_TWICE = Message("port-claimed-twice", "%(ports)s of VIP %(vip)s belongs to %(other)s as well; take it out of one of them")
OPTION_WITH_SEVERAL_PORTS = Message(
    "option-with-several-ports",
    "a service of several ports takes packets by a mark of lvsdr's own, and they keep their ports; remove %(option)s",
)
PORTS_NOT_BOUND = Message(
    "ports-not-bound",
    "scheduler %(scheduler)s sends the ports of one viewer to different servers; use mh or sh without the -port flag, set persistence, or "
    "declare one service for each port",
)
MARK_TAKEN = Message("mark-taken", "the name gives the firewall mark %(mark)s, which %(other)s has as well; choose another name")
MARK_WITH_PORTS = Message(
    "mark-with-ports", "a firewall-mark service has no ports; the rule that sets mark %(mark)s chooses them, so leave them out"
)
NOT_AN_INSTANCE_NAME = Message(
    "not-an-instance-name", "%(value)s is not a valid name of a VRRP instance; use up to 40 letters, digits and . _ -"
)
INSTANCE_UNKNOWN = Message("instance-unknown", "instance %(instance)s is not declared; declare it in director_instances")
VIP_IN_TWO_INSTANCES = Message(
    "vip-in-two-instances",
    "VIP %(vip)s is in instance %(instance)s here and in %(other_instance)s in %(other)s; a VIP belongs to one instance, so give both "
    "services the same",
)

# Real servers and the sorry server
REAL_SERVERS_NOT_A_GROUP = Message("real-servers-not-a-group", "must be the name of an inventory group, not %(value)s")
REAL_SERVERS_GROUP_UNKNOWN = Message("real-servers-group-unknown", "group %(value)s is not in the inventory; choose from: %(names)s")
REAL_SERVERS_GROUP_EMPTY = Message("real-servers-group-empty", "group %(value)s is empty; add its hosts to the inventory")
SCALE_NOT_A_DICT = Message("scale-not-a-dict", "%(value)s is not a list of options, such as {max: 6, connections: 800}")
SCALE_WITHOUT_TARGET = Message("scale-without-target", "it has no load that one server may carry; set one of %(names)s")
SCALE_MAX_BELOW_MIN = Message("scale-max-below-min", "%(most)d is less than min, which is %(least)d; set it higher, or min lower")
SPARE_NEEDS_CHECK = Message(
    "spare-needs-check",
    "a spare is woken and parked by a file that takes the weight of its health check; set health_check in %(service)s, or another state",
)
SPARE_IS_SORRY_SERVER = Message(
    "spare-is-sorry-server", "%(service)s has it as its sorry server, which serves when checks have taken all others out; remove the state"
)
SORRY_SERVER_UNKNOWN = Message("sorry-server-unknown", "host %(value)s is not in the inventory; name a host that is")
SORRY_SERVER_IS_REAL_SERVER = Message("sorry-server-is-real-server", "%(host)s is one of the service's real servers; name another host")
SORRY_SERVER_WITHOUT_CHECK = Message(
    "sorry-server-without-check", "a sorry server serves when checks have taken all real servers out; declare a health_check"
)
SORRY_SERVER_WITH_FLOOR = Message(
    "sorry-server-with-floor", "with a floor of %(floor)g some real servers always stay in, so a sorry server would never serve; remove one"
)
REAL_SERVER_WITHOUT_ADDRESS = Message(
    "real-server-without-address", "%(host)s has no IPv%(family)d address for %(service)s%(why)s; set %(variable)s"
)
WEIGHT_TOO_SMALL = Message(
    "weight-too-small",
    "%(options)s of %(service)s can set a server to a part of its weight, and a weight below %(least)d has too few parts; give all its "
    "servers ten times the weight",
)

# The stream of a service
STREAM_VERIFY_INVALID = Message(
    "stream-verify-invalid", "must be true, false or the path of a file of certificate authorities on the viewer, not %(value)s"
)
STREAM_NOT_TCP = Message("stream-not-tcp", "a stream is played over HTTP, but the protocol of the service is %(protocol)s; remove it")
NOT_A_STREAM = Message(
    "not-a-stream",
    "%(value)s is not the path of a stream; give one such as /live/index.m3u8, or a URL such as https://live.example.com/live/index.m3u8",
)
STREAM_WITHOUT_PORT = Message(
    "stream-without-port", "%(what)s names no port to play it on; give the whole URL, or move the stream to a service with a port"
)
STREAM_OF_OTHER_SCHEME = Message(
    "stream-of-other-scheme", "viewers of this service come by %(scheme)s, not %(url)s; write the URL that they use, or change tls"
)
STREAM_WITHOUT_NAME = Message(
    "stream-without-name",
    "443 is the port of HTTPS, which needs a host name; give a URL such as https://live.example.com/live/index.m3u8",
)
STREAM_ON_OTHER_PORT = Message(
    "stream-on-other-port",
    "%(url)s is on port %(port)d, but the service has %(ports)s; write the port into the URL, or declare the stream with the service that "
    "has it",
)

# Variables of hosts
UNKNOWN_VARIABLE = Message("unknown-variable", "%(name)s is not a variable of lvsdr%(more)s%(near)s")
INVALID_VARIABLE = Message("invalid-variable", "the value is not valid%(more)s: %(why)s")
TEMPLATE_FAILS = Message("template-fails", "the template can't be evaluated%(more)s: %(why)s")

# Directors
NOT_A_ROUTER_ID = Message(
    "not-a-router-id",
    "%(value)s can't be keepalived's router_id; name the host in one line of up to %(longest)d bytes without blanks, %(signs)s",
)
NOT_A_VIP_INTERFACE = Message("not-a-vip-interface", "%(value)s is not the name of an interface that can carry VIPs; give one such as eth0")
NOT_A_CONSOLE_NAME = Message(
    "not-a-console-name", "%(value)s is not the name of a host; write it as the proxy sends it, such as lb.example.com"
)
NOT_A_KEY_FILE = Message("not-a-key-file", "%(value)s is not the path of a file on the directors; write it as /etc/lvsdr/console.key")
CONSOLE_KEY_MISSING = Message(
    "console-key-missing",
    "a console that acts does it on all directors, which have to share a key; put the same `openssl rand -hex 32` into a file on each, "
    "readable by root alone, and name it here",
)
IPVS_SETTING_UNKNOWN = Message("ipvs-setting-unknown", "IPVS has no such setting%(near)s")
IPVS_SETTING_NOT_IN_KERNEL = Message("ipvs-setting-not-in-kernel", "the kernel of this director has no such setting; leave it out")
NOT_A_CPU_LIST = Message("not-a-cpu-list", "must be a list of processors such as 0-3,8, not %(value)s")
NOT_WHOLE_NUMBERS = Message("not-whole-numbers", "must be %(count)d whole numbers separated by blanks, not %(value)s")
SYNC_THRESHOLD_ORDER = Message("sync-threshold-order", "the first number must be less than the second, not %(value)s")
NOT_A_POWER_OF_TWO = Message("not-a-power-of-two", "must be a power of 2, not %(value)s")
DIRECTORS_DIFFER = Message(
    "directors-differ",
    "is %(value)s, but %(other_value)s on %(other)s; directors must do the same after a failover, so move it to the group's variables",
)
DEFAULT_INSTANCE = Message(
    "default-instance",
    "is the instance of services that name none; set director_virtual_router_id and director_priority for it, and remove this",
)
VIRTUAL_ROUTER_ID_MISSING = Message("virtual-router-id-missing", "a router id between 1 and 255 is required")
VIRTUAL_ROUTER_ID_TAKEN = Message(
    "virtual-router-id-taken", "%(number)d is also the router id of instance %(other)s; on one link each needs its own"
)

# Streaming servers
STREAMING_SERVER_VALUE_INVALID = Message("streaming-server-value-invalid", "must be %(form)s, not %(value)s")
STREAMING_SERVER_CERTIFICATE_MISSING = Message(
    "streaming-server-certificate-missing", "streaming_server_tls_listen needs it; name a PEM file that is on the host"
)
RTMP_PORT_TAKEN = Message(
    "rtmp-port-taken", "port %(port)s is in streaming_server_listen or streaming_server_tls_listen as well; RTMP needs its own"
)
STREAMING_SERVER_PLAYLIST_TOO_SHORT = Message(
    "streaming-server-playlist-too-short",
    "must be at least three segments of %(fragment)d seconds, which players need, not %(value)d seconds",
)
