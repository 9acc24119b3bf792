# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The web application firewall of a proxy: an nginx that judges requests with ModSecurity and the OWASP Core Rule Set. Pure.

HAProxy sends it all requests but those for segments, and takes them back at a socket (haproxy.py). What differs from service to service is
decided by rules of our own that run first, because rules that are read once for each service cost memory each time.

Sources: Reference Manual of ModSecurity v3; crs-setup.conf of modsecurity-crs 3.3.4, whose variables have the same names in 3.3.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.proxies import haproxy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible.module_utils.lvsdr.inventory.types import Resolved

# Ids of rules that are no one's (Reference Manual, "id": 1 to 99,999 for local use).
FIRST_ID, UNREADABLE, NAMES_SERVICE, OF_SERVICES = 90000, 90010, 90099, 90100
# That of them which says that a body can't be read.
SAYS_UNREADABLE = UNREADABLE + 3
# The rules' own list, and what is allowed beside it.
METHODS = ("GET", "HEAD", "POST", "OPTIONS")
MORE_METHODS = {"whep": ("PATCH", "DELETE"), "ingest": ("PUT", "DELETE")}
TYPES = (
    "application/x-www-form-urlencoded", "multipart/form-data", "multipart/related", "text/xml", "application/xml", "application/soap+xml",
    "application/json", "application/octet-stream", "application/csp-report", "text/plain",
)  # fmt: skip
MORE_TYPES = {
    "whep": ("application/sdp", "application/trickle-ice-sdpfrag"),
    "ingest": ("application/dash+xml", "application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mp4", "video/mp2t", "video/mp4"),
}
# Bytes of a request's body: of those that are judged, and of all.
BODY, LARGEST = 128 * 1024, 16 * 1024 * 1024
# Of arguments: thousands of them would take a second of a worker.
ARGUMENTS = 1000
# What players say of themselves in a query (CTA-5004), with nothing in a text that a program could run. Servers do not read it, and the
# rules take some of it for an attack: cid="live one" for the attribute of an event.
CMCD = r"^(?:(?:[a-z]{1,5}|[a-z0-9-]+[.][a-z0-9.-]+)(?:=(?:[0-9]{1,12}|[a-z]{1,12}|\x22[A-Za-z0-9 _.:/,~+@=-]{0,200}\x22))?(?:,|$))+$"
# From which sum of scores a request is an attack: one critical rule (crs-setup.conf, 900110).
THRESHOLD = 5


def is_needed(resolved: Resolved, host: str) -> bool:
    return any(service.waf for service in haproxy.services_of(resolved, host))


def nginx_conf() -> str:
    """The same on every proxy: each request says in a header which service it is of."""
    return "\n".join([
        "# Managed by lvsdr. Put in force by another nginx that takes over the socket: a reload loses memory (ModSecurity issue 2848).",
        "load_module /usr/lib/nginx/modules/ngx_http_modsecurity_module.so;",
        "user www-data;",
        "worker_processes auto;",
        # As HAProxy's own (haproxy.LAST_CONNECTIONS).
        "worker_shutdown_timeout %s;" % haproxy.LAST_CONNECTIONS,
        "pid %s/nginx.pid;" % places.WAF_RUN,
        # What it refuses is in a log of its own.
        "error_log stderr crit;",
        "events { worker_connections 8192; }",
        "http {",
        "    access_log off;",
        "    server_tokens off;",
        "    modsecurity on;",
        "    modsecurity_rules_file %s;" % places.WAF_RULES,
        # The module reads a body to its end before it judges: on disk, because /run has what keepalived and the stream checker need.
        *("    %s_temp_path %s/%s;" % (what, places.WAF_CACHE, what) for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
        "    client_max_body_size %d;" % LARGEST,
        "    map $http_upgrade $lvsdr_connection { default close; ~*^websocket$ upgrade; }",
        "    upstream lvsdr_inspected { server unix:%s; }" % places.WAF_INSPECTED,
        "    server {",
        "        listen 127.0.0.1:%d proxy_protocol backlog=4096;" % places.WAF_PORT,
        "        set_real_ip_from 127.0.0.1;",
        "        real_ip_header proxy_protocol;",
        # What HAProxy let through is passed on as it came.
        "        merge_slashes off;",
        "        ignore_invalid_headers off;",
        "        underscores_in_headers on;",
        "        large_client_header_buffers 8 32k;",
        *_location(),
        "    }",
        "}",
        "",
    ])  # fmt: skip


def _location() -> list[str]:
    return [
        "        location / {",
        "            proxy_pass http://lvsdr_inspected;",
        "            proxy_http_version 1.1;",
        "            proxy_set_header Host $http_host;",
        "            proxy_set_header Upgrade $http_upgrade;",
        "            proxy_set_header Connection $lvsdr_connection;",
        "            proxy_buffering off;",
        "            proxy_request_buffering off;",
        # As much as HAProxy takes of headers, and what the real server says of itself and its clock.
        "            proxy_buffer_size 16k;",
        "            proxy_buffers 4 16k;",
        "            proxy_pass_header Date;",
        "            proxy_pass_header Server;",
        "            proxy_connect_timeout 3s;",
        # HAProxy's own limits are shorter, but for what a WebSocket is silent.
        "            proxy_read_timeout 1h;",
        "            proxy_send_timeout 1h;",
        "        }",
    ]


def rules(resolved: Resolved, host: str) -> str:
    """What ModSecurity reads: the engine, what is special for each service, and the package's rules."""
    lines = [
        "# Managed by lvsdr.",
        # A request that no service has claimed is not refused.
        "SecRuleEngine DetectionOnly",
        "SecRequestBodyAccess On",
        "SecRequestBodyLimit %d" % BODY,
        "SecRequestBodyNoFilesLimit %d" % BODY,
        "SecRequestBodyLimitAction ProcessPartial",
        # Of what servers answer nothing is read: it is the stream.
        "SecResponseBodyAccess Off",
        "SecArgumentsLimit %d" % ARGUMENTS,
        "SecArgumentSeparator &",
        "SecCookieFormat 0",
        "SecUnicodeMapFile /etc/nginx/unicode.mapping 20127",
        "SecTmpDir %s" % places.WAF_CACHE,
        "SecDataDir %s" % places.WAF_CACHE,
        # Without headers and bodies, which may have passwords.
        "SecAuditEngine RelevantOnly",
        "SecAuditLogParts AHZ",
        "SecAuditLogType Serial",
        "SecAuditLogFormat JSON",
        "SecAuditLog %s" % places.WAF_LOG,
        'SecDefaultAction "phase:1,log,auditlog,pass"',
        'SecDefaultAction "phase:2,log,auditlog,pass"',
        _action("phase:1,setvar:tx.crs_setup_version=330,setvar:tx.inbound_anomaly_score_threshold=%d" % THRESHOLD, FIRST_ID),
        _rule("REQUEST_HEADERS:Content-Type", "@rx ^application/(?:[a-z0-9.+-]+[+])?json",
              "phase:1,t:lowercase,ctl:requestBodyProcessor=JSON", FIRST_ID + 1),
        _rule("REQUEST_HEADERS:Content-Type", "@rx ^(?:application|text)/(?:[a-z0-9.+-]+[+])?xml",
              "phase:1,t:lowercase,ctl:requestBodyProcessor=XML", FIRST_ID + 2),
        *_cmcd(FIRST_ID + 4),
        *_unreadable(),
    ]  # fmt: skip
    number = OF_SERVICES
    for service in haproxy.services_of(resolved, host):
        if service.waf:
            found = _of_service(service.name, service.waf, number)
            lines += found
            number += len(found)
    return "\n".join([
        *lines,
        "Include /usr/share/modsecurity-crs/rules/REQUEST-*.conf",
        # Phase 5 runs also for what was refused. Written is what reaches the limit, with all that matched.
        'SecRule TX:ANOMALY_SCORE "@ge %d" "id:%d,phase:5,pass,t:none,log,auditlog,msg:\'lvsdr\',logdata:\'%%{REQUEST_HEADERS.%s}\'"'
        % (THRESHOLD, NAMES_SERVICE, haproxy.SERVICE_HEADER),
        _rule("TX:ANOMALY_SCORE", "@lt %d" % THRESHOLD, "phase:5,ctl:auditEngine=Off", FIRST_ID + 3),
        "",
    ])  # fmt: skip


def _cmcd(first: int) -> list[str]:
    """Every CMCD of a request has to be one, and none may come in a body."""
    return [
        _rule("ARGS_GET:CMCD", "!@rx " + CMCD, "phase:1,setvar:tx.lvsdr_no_cmcd=1", first),
        _rule("&ARGS_GET:CMCD", "@gt 0", "phase:1,chain", first + 1),
        '    SecRule &TX:lvsdr_no_cmcd "@eq 0" "t:none,chain"',
        '    SecRule REQUEST_METHOD "@within GET HEAD" "t:none,ctl:ruleRemoveTargetByTag=OWASP_CRS;ARGS:CMCD"',
    ]


def _unreadable() -> list[str]:
    """What the engine can't read, or not to its end, is as bad as an attack: a program behind may read it."""
    bad = "phase:2,pass,t:none,log,auditlog,msg:'%s',setvar:tx.anomaly_score_pl1=+%d"
    kinds = "@rx ^(?:application/(?:[a-z0-9.+-]*(?:json|xml)|x-www-form-urlencoded)|text/xml|multipart/form-data)"
    return [
        'SecRule INBOUND_DATA_ERROR "@eq 0" "id:%d,phase:2,pass,nolog,t:none,chain"' % UNREADABLE,
        '    SecRule REQBODY_ERROR|MULTIPART_STRICT_ERROR "!@eq 0" "t:none,setvar:tx.lvsdr_unreadable=1"',
        'SecRule INBOUND_DATA_ERROR "@eq 1" "id:%d,phase:2,pass,nolog,t:none,chain"' % (UNREADABLE + 1),
        '    SecRule REQUEST_HEADERS:Content-Type "%s" "t:none,t:lowercase,setvar:tx.lvsdr_unreadable=1"' % kinds,
        'SecRule &ARGS "@ge %d" "id:%d,phase:2,pass,nolog,t:none,setvar:tx.lvsdr_unreadable=1"' % (ARGUMENTS, UNREADABLE + 2),
        'SecRule TX:lvsdr_unreadable "@eq 1" "id:%d,%s"' % (SAYS_UNREADABLE, bad % ("The body can not be read to its end", THRESHOLD)),
    ]


def _of_service(name: str, waf: dict[str, Any], first: int) -> list[str]:
    engine = {"detect": "DetectionOnly", "block": "On"}[waf["mode"]]
    methods = _more(METHODS, MORE_METHODS, waf["allow"])
    types = "".join(" |%s|" % one for one in _more(TYPES, MORE_TYPES, waf["allow"])).strip()
    settings = "setvar:tx.paranoia_level=%d,setvar:'tx.allowed_methods=%s',setvar:'tx.allowed_request_content_type=%s'" % (
        waf["paranoia"], " ".join(methods), types,
    )  # fmt: skip
    ours = ("REQUEST_HEADERS:" + haproxy.SERVICE_HEADER, "@streq " + name)
    lines = [_rule(*ours, "phase:1,ctl:ruleEngine=%s,%s" % (engine, settings), first)]
    for number, one in enumerate(waf["exclude"], first + 1):
        off = "ruleRemoveTargetById=%d;%s" % (one["rule"], one["target"]) if one["target"] else "ruleRemoveById=%d" % one["rule"]
        lines.append(_rule(*ours, "phase:1,chain", number))
        lines.append('    SecRule REQUEST_FILENAME "@beginsWith %s" "t:none,ctl:%s"' % (one["path"], off))
    return lines


def _more(usual: Iterable[str], more: Mapping[str, tuple[str, ...]], allow: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*usual, *(one for word in allow for one in more[word])]))


def _rule(variable: str, operator: str, actions: str, number: int) -> str:
    return 'SecRule %s "%s" "id:%d,pass,nolog,t:none,%s"' % (variable, operator, number, actions)


def _action(actions: str, number: int) -> str:
    return 'SecAction "id:%d,pass,nolog,t:none,%s"' % (number, actions)


def logrotate() -> str:
    """ModSecurity keeps the file open; only its process could open another one."""
    return "\n".join([
        "# Managed by lvsdr.",
        "%s {" % places.WAF_LOG,
        "    daily",
        "    maxsize 50M",
        "    rotate 7",
        "    missingok",
        "    notifempty",
        "    copytruncate",
        "    compress",
        "    delaycompress",
        "}",
        "",
    ])  # fmt: skip


def files(resolved: Resolved, host: str) -> list[dict[str, Any]]:
    """The ``files`` of host_files, without the unit; nothing where no service of the host has a WAF."""
    if not is_needed(resolved, host):
        return []
    # The library's own program; its folder is named after the machine's architecture.
    check = ["sh", "-c", 'exec /usr/lib/*/libexec/modsec-rules-check "$1"', "sh", "%s"]
    return [
        {"path": places.WAF_RULES, "content": rules(resolved, host), "check": {"command": check}},
        {"path": places.WAF_CONF, "content": nginx_conf()},
        {"path": places.WAF_LOGROTATE, "content": logrotate()},
    ]
