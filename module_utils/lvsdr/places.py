# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where lvsdr keeps things on hosts: every path once. Pure."""

KEEPALIVED_CONF = "/etc/keepalived/keepalived.conf"
KEEPALIVED_DROP_IN = "/etc/systemd/system/keepalived.service.d/lvsdr.conf"
RULES = "/etc/keepalived/lvsdr.nft"
RULES_TABLE = "inet lvsdr"
NGINX_CONF = "/etc/nginx/nginx.conf"
TEST_SOURCE_UNIT = "/etc/systemd/system/lvsdr-test-source.service"

# Names of drained servers. keepalived follows the files of the first folder; from 2.3 on it ignores files on a file system that it can't
# watch (track_file.c), so that folder is on a tmpfs, and a boot fills it from the second one.
DRAINED = "/run/lvsdr/drained"
DRAINED_KEPT = "/var/lib/lvsdr/drained"

STREAMCHECK = "/run/lvsdr/streamcheck"
STREAMCHECK_CONF = "/etc/lvsdr/streamcheck.json"
STREAMCHECK_UNIT = "/etc/systemd/system/lvsdr-streamcheck.service"
STREAMCHECK_PROGRAM = "/usr/local/lib/lvsdr/lvsdr"
STREAMCHECK_PARTS = (
    "__init__",
    "certificates",
    "dash",
    "errors",
    "hls",
    "http",
    "live",
    "matching",
    "packets",
    "protocols",
    "sockets",
    "streamcheck",
    "verdicts",
)

# What preflight reads of every host, so that a rollout that changes nothing needs no further call.
FILES = (
    KEEPALIVED_CONF, KEEPALIVED_DROP_IN, RULES, NGINX_CONF, TEST_SOURCE_UNIT, STREAMCHECK_CONF, STREAMCHECK_UNIT,
    *("%s/%s.py" % (STREAMCHECK_PROGRAM, part) for part in STREAMCHECK_PARTS),
)  # fmt: skip
FOLDERS = (DRAINED, DRAINED_KEPT, STREAMCHECK)
UNITS = ("keepalived", "lvsdr-streamcheck", "nginx", "lvsdr-test-source")

# Copies of what a unit has read, by unit (in_force.py).
IN_FORCE = "/run/lvsdr/in_force"
