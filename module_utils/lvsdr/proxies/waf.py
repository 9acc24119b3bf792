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
FIRST_ID, NAMES_SERVICE, OF_SERVICES = 90000, 90099, 90100
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
# Of bytes of a request's body; the rest is passed on unseen.
BODY = 128 * 1024
# What players say of themselves in a query (CTA-5004), with nothing in a text that a program could run. Servers do not read it, and the
# rules take some of it for an attack: cid="live one" for the attribute of an event.
CMCD = r"^(?:(?:[a-z]{1,5}|[a-z0-9-]+[.][a-z0-9.-]+)(?:=(?:[0-9]{1,12}|[a-z]{1,12}|\x22[A-Za-z0-9 _.:/,~+@=-]{0,200}\x22))?(?:,|$))+$"
# From which sum of scores a request is an attack: one critical rule (crs-setup.conf, 900110).
THRESHOLD = 5


def is_needed(resolved: Resolved, host: str) -> bool:
    return any(service.waf for service in haproxy.services_of(resolved, host))


def nginx_conf(workers: str = "auto") -> str:
    """The same on every proxy: each request says in a header which service it is of."""
    return "\n".join([
        "# Managed by lvsdr. Put in force by another nginx that takes over the socket: a reload loses memory (ModSecurity issue 2848).",
        "load_module /usr/lib/nginx/modules/ngx_http_modsecurity_module.so;",
        "user www-data;",
        "worker_processes %s;" % workers,
        "pid %s/nginx.pid;" % places.WAF_RUN,
        # What it refuses is in a log of its own.
        "error_log stderr crit;",
        "events { worker_connections 8192; }",
        "http {",
        "    access_log off;",
        "    server_tokens off;",
        "    modsecurity on;",
        "    modsecurity_rules_file %s;" % places.WAF_RULES,
        "    client_body_temp_path %s/body;" % places.WAF_RUN,
        "    proxy_temp_path %s/proxy;" % places.WAF_RUN,
        "    fastcgi_temp_path %s/fastcgi;" % places.WAF_RUN,
        "    uwsgi_temp_path %s/uwsgi;" % places.WAF_RUN,
        "    scgi_temp_path %s/scgi;" % places.WAF_RUN,
        "    map $http_upgrade $lvsdr_connection { default upgrade; '' close; }",
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
        "        client_max_body_size 0;",
        *_location(),
        "    }",
        "}",
        "",
    ])  # fmt: skip


def _location() -> list[str]:
    return [
        "        location / {",
        # HAProxy asks whether it works.
        "            if ($http_lvsdr_service = '') { return 204; }",
        "            proxy_pass http://lvsdr_inspected;",
        "            proxy_http_version 1.1;",
        "            proxy_set_header Host $http_host;",
        "            proxy_set_header Upgrade $http_upgrade;",
        "            proxy_set_header Connection $lvsdr_connection;",
        "            proxy_buffering off;",
        "            proxy_request_buffering off;",
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
        "SecArgumentSeparator &",
        "SecCookieFormat 0",
        "SecUnicodeMapFile /etc/nginx/unicode.mapping 20127",
        "SecTmpDir %s" % places.WAF_RUN,
        "SecDataDir %s" % places.WAF_RUN,
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
