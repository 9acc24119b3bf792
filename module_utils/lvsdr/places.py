# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every path that lvsdr uses on hosts, and every name that several programs have to agree on. Pure."""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Any

KEEPALIVED_CONF = "/etc/keepalived/keepalived.conf"
KEEPALIVED_DROP_IN = "/etc/systemd/system/keepalived.service.d/lvsdr.conf"
RULES = "/etc/keepalived/lvsdr.nft"
RULES_TABLE = "inet lvsdr"
# The maps of these rules, by family, that give the packets of a service of several ports its firewall mark. The marks begin with this.
MARK_MAPS = {4: "services4", 6: "services6"}
SERVICE_MARKS = 0x4D000000
NGINX_CONF = "/etc/nginx/nginx.conf"
TEST_SOURCE_UNIT = "/etc/systemd/system/lvsdr-test-source.service"

# Files that take a server's weight: of those that are drained, and of spares that are parked. keepalived follows the files of the first
# folder; from 2.3 on it ignores files on a file system that it can't watch (track_file.c), so that folder is on a tmpfs, and a boot fills
# it from the second one.
DRAINED = "/run/lvsdr/drained"
DRAINED_KEPT = "/var/lib/lvsdr/drained"
# How the names of those of spares begin.
SPARE = "spare-"

STREAMCHECK = "/run/lvsdr/streamcheck"
STREAMCHECK_CONF = "/etc/lvsdr/streamcheck.json"
STREAMCHECK_UNIT = "/etc/systemd/system/lvsdr-streamcheck.service"
STREAMCHECK_PROGRAM = "/usr/local/lib/lvsdr"
# Where Prometheus reads the checks, on the director alone.
STREAMCHECK_PORT = 9133
# The name of lvsdr as a package: another one in a collection than in a checkout.
PACKAGE = __name__.rpartition(".")[0]
# The modules that lvsdr-streamcheck is made of (tests/unit/test_house.py), under the same names as on the controller.
STREAMCHECK_MODULE = PACKAGE + ".agent.runner"
STREAMCHECK_FOLDER = PACKAGE.replace(".", "/") + "/"
_above = PACKAGE.split(".")[:-1]  # empty packages
STREAMCHECK_PARTS = (
    *("/".join([*_above[: depth + 1], "__init__"]) for depth in range(len(_above))),
    *(STREAMCHECK_FOLDER + part for part in (
        "__init__", "agent/__init__", "agent/agent_check", "agent/looks", "agent/messages", "agent/metrics", "agent/runner",
        "agent/server", "checks/__init__",
        "checks/certificates", "checks/live", "checks/matching", "checks/outcomes", "checks/protocols", "checks/sockets", "checks/verdicts",
        "errors", "notify", "streams/__init__", "streams/dash", "streams/hls", "streams/http", "streams/m3u8", "streams/messages",
        "streams/packets",
    )),
)  # fmt: skip

# lvsdr-console, its helper, and the counters that it reads on real servers. The first port is on loopback, the second one for the other
# director alone, and the third one for directors alone.
CONSOLE, CONSOLE_SOCKET = "/run/lvsdr/console", "/run/lvsdr/console-helper/socket"
CONSOLE_CONF = "/etc/lvsdr/console.json"
CONSOLE_UNIT = "/etc/systemd/system/lvsdr-console.service"
CONSOLE_HELPER_UNIT = "/etc/systemd/system/lvsdr-console-helper.service"
CONSOLE_JOURNAL = "/var/lib/lvsdr/journal.jsonl"
CONSOLE_CREDENTIAL = "console-key"
CONSOLE_PORT, CONSOLE_PEER_PORT, EGRESS_PORT = 9180, 9181, 9134
CONSOLE_MODULE, CONSOLE_HELPER_MODULE = PACKAGE + ".console.web", PACKAGE + ".console.helper"
CONSOLE_PARTS = (
    *("/".join([*_above[: depth + 1], "__init__"]) for depth in range(len(_above))),
    *(STREAMCHECK_FOLDER + part for part in (
        "__init__", "addresses", "checks/__init__", "checks/status", "checks/verdicts", "console/__init__", "console/actions",
        "console/assets", "console/behind", "console/collect", "console/config", "console/helper", "console/look", "console/memory",
        "console/messages", "console/metrics", "console/page", "console/problems", "console/state", "console/web", "errors",
        "ipvs/__init__", "ipvs/codec", "ipvs/kernel", "ipvs/messages", "ipvs/plan", "ipvs/refusals", "ipvs/render", "ipvs/types",
        "messages", "notes", "notify", "places", "system/__init__", "system/files", "system/messages", "system/rtnetlink",
        "system/weights", "text",
    )),
)  # fmt: skip

# HAProxy on proxies. The ports are on loopback: of its own metrics, and of what lvsdr-streamcheck says to it.
HAPROXY_CFG, HAPROXY_SOCKET = "/etc/haproxy/haproxy.cfg", "/run/haproxy/admin.sock"
# Certificates that come from the controller.
HAPROXY_CERTIFICATES = "/etc/haproxy/lvsdr"
# On directors: what gives the VIPs up while HAProxy is stopped, and what writes it.
HAPROXY_STOPPED, HAPROXY_DROP_IN = "/run/lvsdr/haproxy-stopped", "/etc/systemd/system/haproxy.service.d/lvsdr.conf"
HAPROXY_METRICS_PORT, AGENT_PORT = 9135, 9136
# Begins the names of backends and frontends that belong to lvsdr itself.
HAPROXY_OWN = "lvsdr-"
# What tells the consoles of a proxy: HAProxy lets directors through from the port to the socket, which is in its chroot.
HAPROXY_CHROOT, PROXY_INFO_PORT = "/var/lib/haproxy", 9138
PROXY_INFO_SOCKET = HAPROXY_CHROOT + "/lvsdr-info.sock"
PROXY_INFO_UNIT = "/etc/systemd/system/lvsdr-proxy-info.service"
PROXY_INFO_MODULE = PACKAGE + ".proxies.info_server"
PROXY_INFO_PARTS = (
    *("/".join([*_above[: depth + 1], "__init__"]) for depth in range(len(_above))),
    *(STREAMCHECK_FOLDER + part for part in (
        "__init__", "addresses", "checks/__init__", "checks/listeners", "checks/listening", "checks/messages", "checks/status", "errors",
        "inventory/__init__", "inventory/messages", "inventory/modes", "inventory/paths", "inventory/types", "inventory/waf_option",
        "ipvs/__init__", "ipvs/declare", "ipvs/describe", "ipvs/messages", "ipvs/types", "messages", "notes", "notify", "places",
        "proxies/__init__", "proxies/certificates", "proxies/cli", "proxies/findings", "proxies/haproxy", "proxies/info",
        "proxies/info_server", "proxies/messages", "proxies/runtime", "proxies/waf", "proxies/waf_log", "reader", "spelling",
        "streams/__init__", "streams/messages", "streams/packets", "system/__init__", "system/files", "system/messages", "system/weights",
        "text",
    )),
)  # fmt: skip

# The WAF: an nginx of its own on each proxy. HAProxy sends it what is to be judged, and takes it back at the socket.
WAF_CONF, WAF_RULES = "/etc/lvsdr/waf/nginx.conf", "/etc/lvsdr/waf/rules.conf"
WAF_UNIT, WAF_PORT = "/etc/systemd/system/lvsdr-waf.service", 9137
WAF_RUN, WAF_INSPECTED, WAF_CACHE = "/run/lvsdr-waf", "/run/haproxy/lvsdr-inspected.sock", "/var/cache/lvsdr-waf"
# Where HAProxy reaches itself when nginx is gone: an abstract socket, which is there in its chroot, too.
WAF_ABSTRACT = "lvsdr-inspected"
# What ModSecurity writes of requests that reach its limit, a line of JSON each, and who keeps it short.
WAF_LOG, WAF_LOGROTATE = "/var/log/lvsdr/waf.json", "/etc/logrotate.d/lvsdr-waf"

# What preflight reads of every host, so that a rollout that changes nothing needs no further call.
FILES = (
    KEEPALIVED_CONF, KEEPALIVED_DROP_IN, RULES, NGINX_CONF, TEST_SOURCE_UNIT, STREAMCHECK_CONF, STREAMCHECK_UNIT,
    CONSOLE_CONF, CONSOLE_UNIT, CONSOLE_HELPER_UNIT, HAPROXY_CFG, HAPROXY_DROP_IN, WAF_CONF,
    WAF_RULES, WAF_UNIT, WAF_LOGROTATE, PROXY_INFO_UNIT,
    *("%s/%s.py" % (STREAMCHECK_PROGRAM, part) for part in dict.fromkeys((*STREAMCHECK_PARTS, *CONSOLE_PARTS, *PROXY_INFO_PARTS))),
)  # fmt: skip
# Settings of the kernel, of the whole host and of each interface.
SYSCTLS = (
    "net/netfilter/nf_conntrack_max", "net/ipv4/ip_forward", "net/ipv4/conf/all/send_redirects", "net/ipv4/conf/all/rp_filter",
    "net/ipv6/conf/all/forwarding",
)  # fmt: skip
SYSCTLS_OF_LINKS = (
    "net/ipv4/conf/%s/accept_local", "net/ipv4/conf/%s/arp_ignore", "net/ipv4/conf/%s/send_redirects", "net/ipv4/conf/%s/rp_filter",
    "net/ipv6/conf/%s/accept_ra",
)  # fmt: skip
FOLDERS = (DRAINED, DRAINED_KEPT, STREAMCHECK)
UNITS = (
    "keepalived", "lvsdr-streamcheck", "lvsdr-console-helper", "lvsdr-console", "nginx", "lvsdr-test-source", "haproxy", "lvsdr-waf",
    "lvsdr-proxy-info",
)  # fmt: skip

# Copies of what a unit has read, by unit (system/in_force.py).
IN_FORCE = "/run/lvsdr/in_force"

# Where a rehearsal keeps a copy of the playlist, as it is then, to serve it in the place of the moving one.
REHEARSAL_PLAYLIST = "/var/lib/lvsdr/rehearsal/playlist"

# Sorts behind everything that others may have, digits first.
SYSCTL_FILE = "/etc/sysctl.d/zz-lvsdr.conf"


# The inventory group of the directors has a fixed name.
DIRECTORS = "directors"


def waf_backend(service: str) -> str:
    """The backend of HAProxy that judges a service's requests."""
    return "%swaf-%s" % (HAPROXY_OWN, service)


def _file_name(words: str) -> str:
    return "%s-%08x" % (re.sub("[^A-Za-z0-9-]", "_", words)[:80], zlib.crc32(words.encode()))


def track_file(service: dict[str, Any], host: str) -> str:
    """Name of the track file of a real server's check, as keepalived.conf and the checker use it."""
    return _file_name("%s-%s-%s" % (service["name"], service["vips"][0], host))


def drain_file(host: str) -> str:
    """Name of the track file that takes a real server's weight in all services, as keepalived.conf and the director role use it."""
    return _file_name("drained-%s" % host)


def spare_file(host: str) -> str:
    """Name of the track file that takes a spare's weight while it is parked, in the folder of drain_file."""
    return _file_name(SPARE + host)


def credential(path: str) -> str:
    """The name under which systemd hands a login file to lvsdr-streamcheck (systemd.exec(5), LoadCredential)."""
    return "login-%s" % hashlib.sha256(path.encode()).hexdigest()[:16]


# Written once a second; what is older is of a checker that is gone or hangs.
STREAM_STATUS, STREAM_STATUS_SECONDS = "/run/lvsdr/streamcheck/status.json", 30
