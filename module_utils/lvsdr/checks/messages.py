# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is said about declared health checks and about the programs that listen for services, sorted by id. Verdicts are not here."""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

# Names of values: value is shown(value) of what was declared.
AGENT_SMOOTHING_ZERO = Message("agent-smoothing-zero", "must be more than 0 (and up to 1), because with 0 no new value would ever count")
CHECK_HOST_INVALID = Message("check-host-invalid", "%(value)s is not a valid host name, with or without a port")
CHECK_HOST_MISSING = Message(
    "check-host-missing", "a certificate belongs to a name; set host to the one that it must be for, or leave verify out"
)
CHECK_MATCH_FLAGS = Message(
    "check-match-flags", "%(value)s has the flags %(flags)s, which only Python knows; keepalived reads PCRE, so leave them out"
)
CHECK_MATCH_INVALID = Message("check-match-invalid", "%(value)s is not a valid regular expression (%(why)s)")
CHECK_MATCH_NOT_WRITABLE = Message(
    "check-match-not-writable",
    "%(value)s can't be a regular expression in keepalived.conf; it must be one line of up to %(longest)d bytes without %(signs)s",
)
CHECK_MATCH_TOO_MUCH = Message(
    "check-match-too-much",
    "%(value)s has something that PCRE2 may refuse: a class such as [:alpha:], more than %(most)d groups, or a group name that is not up "
    "to 32 letters, digits and _",
)
CHECK_OPTION_BESIDE_URLS = Message("check-option-beside-urls", "can't be set beside urls; move it into each of them")
CHECK_OPTION_NEEDS_TLS = Message("check-option-needs-tls", "needs TLS, and this check does not use it; set tls: true, or leave this out")
CHECK_PATH_INVALID = Message(
    "check-path-invalid",
    "path %(value)s is not valid; it must begin with /, contain only letters, digits and %(signs)s, and have up to %(longest)d characters",
)
CHECK_PORT_EVERY = Message("check-port-every", "the service has every port (0), and a check needs one; set it here")
CHECK_PORT_HTTPS = Message(
    "check-port-https",
    "443 is the port of HTTPS, and this %(type)s check does not use TLS, so it would take every server out; set tls: true, or give a port "
    "without TLS",
)
CHECK_PORT_OF_MARK = Message("check-port-of-mark", "a firewall-mark service has no port; set the one to check here")
CHECK_PORT_PROTOCOL = Message(
    "check-port-protocol", "a %(type)s check needs a %(carrier)s port, and the service is %(protocol)s; set the port to check here"
)
CHECK_QUERY_INVALID = Message("check-query-invalid", "%(value)s is not a DNS name; give one such as example.com")
CHECK_QUERY_SHORT_LABEL = Message(
    "check-query-short-label", "%(value)s begins with a label of one character, which keepalived does not read; query another name"
)
CHECKS_BESIDE_HEALTH_CHECK = Message(
    "checks-beside-health-check", "health_check is the only check of a service, and checks are several; move health_check into checks"
)
CHECK_OPTION_NEEDS_ONE = Message(
    "check-option-needs-one",
    "%(option)s decides a server's share of the weight, and several checks would each decide it; declare one check",
)
CHECK_TARGET_NEEDS_DR = Message(
    "check-target-needs-dr", "only direct routing (mode dr) can send a packet for the VIP to one server; set target: server"
)
CHECK_URLS_INVALID = Message("check-urls-invalid", "must be a list of dictionaries such as {path: /healthz, status: 200}, not %(value)s")
CHECK_VERIFY_INVALID = Message(
    "check-verify-invalid",
    "must be true (the authorities that a director trusts), false, or the path of a file of authorities on the directors, not %(value)s",
)
LISTENER_HALF_PUBLISHED = Message(
    "listener-half-published",
    "%(service)s: a connection fails to %(failed)s, and no program here listens on port %(port)d: a rule of the packet filter, such as a "
    "published port, passes on what arrives for the other address; publish the port for both",
)
LISTENER_MISSING = Message(
    "listener-missing",
    "%(service)s: nothing listens on %(protocol)s port %(port)d; start the program that serves it, or check its log",
)
LISTENER_NAME_INVALID = Message(
    "listener-name-invalid", "must be one line of printable text, by which messages name the service, not %(value)s"
)
LISTENER_NOT_ON_OWN_ADDRESS = Message(
    "listener-not-on-own-address",
    "%(service)s: listens on %(bound)s only, and checks of the server's own address fail; bind to %(wildcard)s or to both",
)
LISTENER_NOT_ON_VIP = Message("listener-not-on-vip", "%(service)s: listens on %(bound)s only; bind to %(wildcard)s or the VIP")
LISTENER_OTHER_FAMILY = Message("listener-other-family", "%(own)s must be of the same address family as VIP %(vip)s")
LISTENER_PORT_MISSING = Message("listener-port-missing", "a port is required")
LISTENER_REFUSES = Message(
    "listener-refuses",
    "%(service)s: a program listens on %(bound)s, but a connection fails to %(failed)s; check this host's packet filter and the "
    "program's log",
)
LISTENER_SILENT = Message(
    "listener-silent",
    "%(service)s: a program listens on %(bound)s, but does not answer (%(why)s); check that it speaks %(type)s, and check this host's "
    "packet filter",
)
LISTENER_TYPE_OF_TCP = Message("listener-type-of-tcp", "only UDP programs are asked; leave it out, because for TCP a connection is enough")
LOGIN_FILE_INVALID = Message(
    "login-file-invalid", "%(value)s is not the path of a file on the directors; give one such as /etc/lvsdr/live.login"
)
PAYLOAD_LAST_BYTE = Message(
    "payload-last-byte", "the last byte is ff, which keepalived 2.2 does not read; leave it out, or use another payload"
)
PAYLOAD_NOT_TEXT = Message("payload-not-text", '%(value)s is not text; write the hex digits in quotes, such as "0d0a"')
PAYLOAD_TOO_LONG = Message("payload-too-long", "must have up to %(longest)d bytes, which fit into a line of keepalived.conf, not %(size)d")
PORT_STAYS = Message(
    "port-stays",
    "%(what)s has to listen on %(needs)s, and can't change to it from %(bound)s while it runs; drain this server, stop %(who)s, "
    "and run again",
)
PORT_TAKEN = Message(
    "port-taken",
    "%(what)s needs %(needs)s, but %(who)s listens on %(bound)s; stop that program, or give it another address or port",
)
SCRIPT_ARGUMENTS_INVALID = Message(
    "script-arguments-invalid",
    "must be a list of words of letters, digits and . _ / @ + : = , %% -, and up to %(longest)d characters with the path, not %(value)s",
)
SCRIPT_PATH_INVALID = Message(
    "script-path-invalid", "%(value)s is not the path of a program on the directors; give one such as /usr/local/bin/check-live"
)
SCRIPT_USER_INVALID = Message("script-user-invalid", "%(value)s is not a valid user name")
