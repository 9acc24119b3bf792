# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""haproxy.cfg of a proxy. Pure.

HAProxy 2.6 and 3.0 read it. A server's line is whole in itself, without ``default-server``: ``add server`` of the command line inherits
nothing (management.txt), so that what is read from the file and what is added while it runs are the same.

Sources: configuration.txt and management.txt of 2.6 and 3.0.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.text import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ansible.module_utils.lvsdr.inventory.types import ProxyService, RealServer, Resolved

# Of every server that an agent gives its weight: it says a percentage of this (configuration.txt, "agent-check"), so that no change of a
# declared weight needs a reload. With the least one, a server of which the agent has not spoken yet is asked no more than the others.
AGENT_WEIGHT = 1
# Modern clients alone, as the package's own file has it.
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
# A reload leaves a process behind until its last connection has ended; that of a live stream may never end.
LAST_CONNECTIONS = "1h"
# Of servers, as consistent hashing takes them.
IDS = 1 << 30
# By which the WAF and HAProxy tell each other what service a request is of.
SERVICE_HEADER = "lvsdr-service"
# What players read without end, and the WAF does not judge: names that end like this, without anything in path or query that needs judging.
SEGMENT = r"^(/[A-Za-z0-9_.~@=+,-]+)+[.](ts|m2ts|m4s|mp4|m4v|m4a|cmfv|cmfa|cmft|webm|aac|ac3|ec3|mp3|ogg|opus|vtt|webvtt|jpg|jpeg|png)$"
HARMLESS_QUERY = "^[A-Za-z0-9_~=&-]*$"
# No service has such a name (proxy_option.NAME).
INSPECTED = places.HAPROXY_OWN + "inspected"
# A server that gets no connection at all.
DISABLED = "disabled"
# Shown by `show info`.
DESCRIPTION = "    description "


def services_of(resolved: Resolved, host: str) -> list[ProxyService]:
    """Those that HAProxy serves on a host."""
    return [one for one in resolved.proxies if host in one.hosts and not one.absent]


def render(resolved: Resolved, host: str, consoles: Sequence[str] = ()) -> str:
    """The file of a host, whole. consoles: the addresses that may ask what this proxy holds."""
    services = services_of(resolved, host)
    blocks = [_global(any(service.http3 for service in services)), _defaults(), _metrics()]
    blocks += [_info(consoles)] if consoles else []
    for service in services:
        if service.redirect:
            blocks.append(_redirect(service, service.redirect))
        else:
            blocks += [_frontend(service), *([_waf(service)] if service.waf else []), _backend(service)]
    guarded = [service.waf for service in services if service.waf]
    blocks += [_inspected(any(waf["fail"] == "open" for waf in guarded))] if guarded else []
    text = "\n".join("\n".join(lines) + "\n" for lines in blocks)
    return text.replace(DESCRIPTION, DESCRIPTION + digest_of("\n".join(skeleton(text)))[:16], 1)


def description(text: str) -> str:
    """What a process that has read this file says of itself: it depends on all lines but those of servers."""
    return next((line[len(DESCRIPTION) :].strip() for line in text.splitlines() if line.startswith(DESCRIPTION)), "")


def _global(http3: bool) -> list[str]:
    return [
        "# Managed by lvsdr. Lines of servers are exchanged while it runs; all others need a reload.",
        "global",
        DESCRIPTION,
        "    log /dev/log local0 info",
        "    user haproxy",
        "    group haproxy",
        "    chroot %s" % places.HAPROXY_CHROOT,
        "    stats socket %s mode 600 level admin expose-fd listeners" % places.HAPROXY_SOCKET,
        "    hard-stop-after %s" % LAST_CONNECTIONS,
        # Clients of HTTP that keep their connection are told to come again, over this time.
        "    close-spread-time 30s",
        "    ssl-default-bind-ciphers %s" % CIPHERS,
        "    ssl-default-bind-options no-tls-tickets",
        # Debian's OpenSSL has not all of QUIC: there is no 0-RTT (configuration.txt, "limited-quic").
        # With the capability each connection of QUIC has a socket of its own, also below port 1024, so that a reload ends none.
        *(["    limited-quic", "    setcap cap_net_bind_service"] if http3 else []),
    ]


def _defaults() -> list[str]:
    return [
        "defaults lvsdr",
        "    log global",
        "    option dontlognull",
        "    option redispatch",
        "    retries 2",
        "    timeout connect 3s",
        "    timeout client 1m",
        "    timeout server 1m",
        "    timeout queue 5s",
        "    timeout check 2s",
        "    timeout http-request 10s",
        "    timeout http-keep-alive 15s",
        # WebSocket, and all of a connection in TCP mode once both sides have spoken.
        "    timeout tunnel 1h",
    ]


def _metrics() -> list[str]:
    """HAProxy's own exporter, for this host alone."""
    return [
        "frontend lvsdr-metrics from lvsdr",
        "    mode http",
        "    no log",
        "    bind 127.0.0.1:%d" % places.HAPROXY_METRICS_PORT,
        "    http-request use-service prometheus-exporter if { path /metrics }",
        "    http-request return status 404",
    ]


def _info(consoles: Sequence[str]) -> list[str]:
    """What lvsdr-proxy-info tells, for these addresses alone. A kernel without IPv6 would refuse the other family."""
    binds = {":" in address: "[::]" if ":" in address else "0.0.0.0" for address in consoles}
    return [
        "listen lvsdr-info from lvsdr",
        "    mode tcp",
        "    no log",
        *("    bind %s:%d%s" % (binds[six], places.PROXY_INFO_PORT, " v6only" if six else "") for six in sorted(binds)),
        "    maxconn 32",
        "    timeout client 15s",
        "    timeout server 15s",
        "    tcp-request connection reject unless { src %s }" % " ".join(consoles),
        "    server info unix@%s" % places.PROXY_INFO_SOCKET[len(places.HAPROXY_CHROOT) :],
    ]


def _frontend(service: ProxyService) -> list[str]:
    lines = ["frontend %s from lvsdr" % service.name, "    mode %s" % service.application]
    # transparent: it listens before the VIP is there, and stays when it goes (configuration.txt).
    lines += ["    bind %s:%d transparent%s" % (vip, service.port, _tls_words(service)) for vip in service.vips]
    if service.tls and service.http3:
        words = " crt ".join(["", *service.tls["certificates"]])
        family = {True: "quic6", False: "quic4"}
        lines += ["    bind %s@%s:%d transparent ssl%s alpn h3" % (family[":" in vip], vip, service.port, words) for vip in service.vips]
        lines.append("    http-after-response set-header alt-svc 'h3=\":%d\"; ma=3600'" % service.port)
    if service.application == "http":
        lines += [
            "    option httplog",
            # HAProxy would not see what is said behind such an upgrade, as to HTTP/2 without TLS.
            "    http-request del-header Upgrade unless { req.hdr(Upgrade) -i websocket }",
            # What a viewer says of itself is not to be believed.
            "    http-request del-header X-Forwarded-For",
            "    option forwardfor",
            "    http-request set-header X-Forwarded-Proto %s" % ("https" if service.tls else "http"),
        ]
    else:
        lines += ["    option tcplog", "    option clitcpka"]
    if service.waf:
        lines += _past_waf(service)
    return [*lines, "    default_backend %s" % service.name]


def _redirect(service: ProxyService, port: int) -> list[str]:
    """The same host and path by HTTPS. Old players follow 301 alone; what sends a body keeps its method with 308 alone (RFC 9110)."""
    there = "https://%[req.hdr(host),host_only]" + ("" if port == 443 else ":%d" % port)
    return [
        "frontend %s from lvsdr" % service.name,
        "    mode http",
        *("    bind %s:%d transparent" % (vip, service.port) for vip in service.vips),
        "    option httplog",
        # One of HTTP/1.0 may not say which host it means.
        "    http-request deny deny_status 400 unless { req.hdr(host) -m len gt 0 }",
        "    http-request redirect prefix %s code 301 if METH_GET" % there,
        "    http-request redirect prefix %s code 308" % there,
    ]


def _past_waf(service: ProxyService) -> list[str]:
    """Segments go straight on, where nothing in them could be an attack; encoders put them the same way."""
    methods = "GET HEAD" + (" PUT POST DELETE" if "ingest" in (service.waf or {})["allow"] else "")
    return [
        "    acl segment path -m reg %s" % SEGMENT,
        "    acl climbs path_sub ..",
        "    acl moves_media method %s" % methods,
        "    acl has_query query -m found",
        "    acl harmless_query query -m reg %s" % HARMLESS_QUERY,
        "    http-request set-var(txn.straight) bool(true) if segment !climbs moves_media !has_query",
        "    http-request set-var(txn.straight) bool(true) if segment !climbs moves_media harmless_query",
        "    use_backend %s unless { var(txn.straight) -m bool }" % places.waf_backend(service.name),
    ]


def _waf(service: ProxyService) -> list[str]:
    """Asks nginx, which judges the request and sends it back to ``_inspected``. Where it can't be reached, one failed connection is enough
    to take the other way, or to refuse."""
    lines = [
        "backend %s from lvsdr" % places.waf_backend(service.name),
        "    mode http",
        # An nginx that leaves ends its connections; a new one for each request meets only the next.
        "    option http-server-close",
        "    option redispatch 1",
        # Also of one that nginx had and did not answer, where asking twice does no harm.
        "    retries 3",
        "    retry-on conn-failure empty-response",
        "    http-request disable-l7-retry unless METH_GET",
        "    http-request set-header %s %s" % (SERVICE_HEADER, service.name),
        # That it is there, and not that it is quick: whoever keeps it busy must not turn it off.
        "    server waf 127.0.0.1:%d send-proxy-v2 check check-send-proxy inter 1s fall 2 rise 1 " % places.WAF_PORT
        + "observe layer4 error-limit 1 on-error mark-down",
    ]
    return lines + (["    server past abns@%s backup" % places.WAF_ABSTRACT] if (service.waf or {})["fail"] == "open" else [])


def _inspected(opens: bool) -> list[str]:
    """Where requests come back. The viewer's address is what HAProxy itself has written."""
    return [
        "frontend %s from lvsdr" % INSPECTED,
        "    mode http",
        "    option httplog",
        "    bind unix@%s mode 600 user www-data" % places.WAF_INSPECTED,
        *(["    bind abns@%s" % places.WAF_ABSTRACT] if opens else []),
        "    http-request set-src req.hdr(x-forwarded-for)",
        "    http-request set-var(txn.service) req.hdr(%s)" % SERVICE_HEADER,
        "    http-request del-header %s" % SERVICE_HEADER,
        "    use_backend %[var(txn.service)]",
    ]


def _tls_words(service: ProxyService) -> str:
    if not service.tls:
        return ""
    names = "".join(" crt " + path for path in service.tls["certificates"])
    alpn = ""
    if service.application == "http":
        alpn = " alpn h2,http/1.1" if service.tls["http2"] else " alpn http/1.1"
    return " ssl%s ssl-min-ver TLSv%s%s" % (names, service.tls["least"], alpn)


def _backend(service: ProxyService) -> list[str]:
    lines = ["backend %s from lvsdr" % service.name, "    mode %s" % service.application, "    balance %s" % service.balance]
    if service.balance in ("source", "uri"):
        # Servers come and go while it runs, which a table of another kind does not allow (management.txt, "add server").
        lines.append("    hash-type consistent")
    sticky = service.sticky or {}
    if "cookie" in sticky:
        # Made of a server's address and the key, so that servers which are added have one as well.
        lines += ["    cookie %s insert indirect nocache httponly dynamic" % sticky["cookie"], "    dynamic-cookie-key %s" % service.name]
    if "source" in sticky:
        lines += ["    stick-table type ipv6 size 1m expire %dm" % sticky["source"], "    stick on src"]
    if service.application == "tcp":
        lines.append("    option srvtcpka")
    return lines + ["    server %s %s" % (server.host, " ".join(words)) for server, words in server_lines(service)]


def server_lines(service: ProxyService) -> Iterable[tuple[RealServer, list[str]]]:
    """Each server, with the words that stand behind its name: for the file, and for ``add server``."""
    taken = ids([server.host for server in service.servers])
    for server in service.servers:
        bare = "[%s]" % server.address if ":" in server.address else server.address
        words = ["%s:%d" % (bare, server.port or service.port), "id", str(taken[server.host])]
        if server.fallback:
            words.append("backup")
        elif service.checks:
            words += ["weight", str(AGENT_WEIGHT), *_check_words(service, server)]
        else:
            # With a weight of 0 viewers who stick to it would still get there.
            words += ["weight", str(server.weight), *([DISABLED] if server.drained else [])]
        if service.proxy_protocol:
            words += ["send-proxy-v2"]
        yield server, words


def ids(names: Iterable[str]) -> dict[str, int]:
    """A number for each server, made of its name: a path stays on its server whatever came and went, and on every proxy (lb_chash.c)."""
    out: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(names):
        number = zlib.crc32(name.encode()) % IDS + 1
        while number in taken:
            number = number % IDS + 1
        taken.add(number)
        out[name] = number
    return out


def _check_words(service: ProxyService, server: RealServer) -> list[str]:
    """HAProxy looks for a closed port itself; lvsdr-streamcheck asks the real question, and says which part of its weight a server gets."""
    check = service.checks[0]
    words = ["check", "inter", "%ds" % check["interval"], "fall", "2", "rise", "1"]
    words += ["check-send-proxy"] if service.proxy_protocol else []
    return [
        *words,
        *("agent-check", "agent-addr", "127.0.0.1", "agent-port", str(places.AGENT_PORT), "agent-inter", "1s"),
        *("agent-send", "%s/%s/" % (service.name, server.host)),
    ]


def cookies_in(text: str) -> set[str]:
    """The backends whose servers have cookies that are made while it runs."""
    out, backend = set(), ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["backend"]:
            backend = words[1]
        elif words[:1] == ["cookie"] and words[-1] == "dynamic":
            out.add(backend)
    return out


def certificates_in(text: str) -> list[str]:
    """The files of certificates that a file names."""
    words = [line.split() for line in text.splitlines() if line.startswith("    bind ")]
    return list(dict.fromkeys(after for line in words for word, after in zip(line, line[1:]) if word == "crt"))


BIND = re.compile(r"    bind ([0-9a-f.:]+):(\d+) transparent.*")


def binds_in(text: str) -> set[tuple[str, int]]:
    """(VIP, port) where viewers come over TCP."""
    found = (BIND.fullmatch(line) for line in text.splitlines())
    return {(one[1], int(one[2])) for one in found if one}


SERVER = re.compile(r"    server (\S+) (.*)")


def _with_backends(text: str) -> Iterator[tuple[str, str]]:
    """(backend, line) of each line; the backend is empty where real servers are none of its servers."""
    backend = ""
    for line in text.splitlines():
        if line and not line.startswith(" "):
            words = line.split()
            backend = words[1] if words[0] == "backend" and not words[1].startswith(places.HAPROXY_OWN) else ""
        yield backend, line


def skeleton(text: str) -> list[str]:
    """All lines but those of real servers: what differs here needs a reload."""
    return [line for backend, line in _with_backends(text) if not (backend and SERVER.fullmatch(line))]


def servers_in(text: str) -> dict[str, dict[str, list[str]]]:
    """{backend: {server: words behind its name}} of a file that ``render`` made."""
    out: dict[str, dict[str, list[str]]] = {}
    for backend, line in _with_backends(text):
        found = SERVER.fullmatch(line)
        if backend:
            out.setdefault(backend, {})
        if backend and found:
            out[backend][found[1]] = found[2].split()
    return out
