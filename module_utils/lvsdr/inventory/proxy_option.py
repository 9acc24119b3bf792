# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``mode: proxy`` says: the proxies, how they talk to viewers, and what they ask. Pure.

Such a service is two things. Viewers reach the hosts of ``proxies`` by a direct-routing service like any other (``front_of``), so TLS
scales with their number and they see viewers' addresses. On each of them HAProxy asks the real servers (``read_proxy``). With ``proxies:
directors`` the first is nothing but VIPs, and HAProxy is on the directors.
"""

from __future__ import annotations

import dataclasses
import re
import zlib
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import messages as common
from ansible.module_utils.lvsdr.checks.health_check import PLAIN_TEXT, SECURE, STREAM_CHECKS, WATCHED, read_health_checks
from ansible.module_utils.lvsdr.errors import Problems, shown
from ansible.module_utils.lvsdr.inventory import messages, modes, paths
from ansible.module_utils.lvsdr.inventory.hosts import host_address
from ansible.module_utils.lvsdr.inventory.servers import (
    check_room,
    check_spares,
    is_drained,
    is_spare,
    read_real_servers,
    read_sorry_server,
)
from ansible.module_utils.lvsdr.inventory.types import ProxyService, RealServer
from ansible.module_utils.lvsdr.inventory.waf_option import read_waf
from ansible.module_utils.lvsdr.ipvs.types import MAX_WEIGHT
from ansible.module_utils.lvsdr.places import DIRECTORS, HAPROXY_CERTIFICATES
from ansible.module_utils.lvsdr.reader import Reader
from ansible.module_utils.lvsdr.spelling import is_file
from ansible.module_utils.lvsdr.text import whole_number

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.errors import Line
    from ansible.module_utils.lvsdr.inventory.servers import Hosts
    from ansible.module_utils.lvsdr.inventory.types import Inventory, VirtualService

# Options of a service that only this mode has.
PROXY_FIELDS = ("proxies", "application", "tls", "balance", "sticky", "proxy_protocol", "waf", "redirect")
# Those that the front has as any other service has them.
FRONT_FIELDS = (
    "name", "addresses", "protocol", "ports", "scheduler", "scheduler_flags", "persistence", "instance", "stream", "state", "mode",
)  # fmt: skip
# Those of what the proxies ask.
BACK_FIELDS = ("real_servers", "real_server_port", "health_check", "checks", "sorry_server")
# Those that a redirect has no use for: HAProxy answers it itself, without TLS, in plain HTTP.
NOT_OF_REDIRECT = (*BACK_FIELDS, *PROXY_FIELDS[1:-1], "stream")
APPLICATIONS = ("http", "tcp")
BALANCE = ("roundrobin", "leastconn", "source", "uri", "random")
LEAST_TLS = ("1.2", "1.3")
# With the other words of a bind line as many as HAProxy reads in one line (defaults.h, MAX_LINE_ARGS).
MOST_CERTIFICATES = 28
# What HAProxy takes for the name of a proxy or a server (cfgparse.c, invalid_char), without the sign that parts them in agent-send.
NAME = re.compile("(?!lvsdr-)[A-Za-z0-9_.-]{1,60}")
# The largest weight of a server (configuration.txt, "weight").
LARGEST_WEIGHT = 256
# Where real servers listen behind TLS that ends at the proxies, unless real_server_port says otherwise.
PLAIN_PORT = 80
# Where nobody answers HTTP without TLS.
SECURE_PORT = 443
COOKIE = re.compile("[A-Za-z0-9_-]{1,60}")
# Checks that lvsdr-streamcheck makes over TCP; the others need a socket that HAProxy has no part in.
CHECKS = ("tcp", *PLAIN_TEXT, *SECURE, "rtmp", "rtsp")
WEB = (*PLAIN_TEXT, "https")
# Of a check those options that say how it is asked, and not of whom; proxies are asked as viewers ask them.
ASKED = ("type", "path", "host", "urls", "status", "match", "interval", "timeout", "retries", "fall", "rise")


# What is about the director's choice of a proxy.
OF_TWO_TIERS = ("scheduler", "scheduler_flags", "persistence")


# Of a check what only one over TLS has, and the types that are always such.
OF_TLS = ("tls", "verify", "certificate_days")
WITHOUT_TLS = {"https": "http", "rtmps": "rtmp", "rtsps": "rtsp"}


class FrontReader(Reader):
    """Of ``front_of``: what is wrong with its real servers is wrong with ``proxies``."""

    def wrong(self, field: str, said: Line) -> None:
        super().wrong("proxies" if field == "real_servers" else field, said)


def is_proxy(item: Any) -> bool:
    return isinstance(item, dict) and item.get("mode") == modes.PROXY


def is_one_tier(item: dict[str, Any]) -> bool:
    """Whether HAProxy is on the directors themselves."""
    return item.get("proxies") == DIRECTORS


def on_directors(service: VirtualService) -> VirtualService:
    """What front_of became, where the directors are the proxies: VIPs that move between them, and nothing for IPVS."""
    # What IPVS had of it before would take its packets.
    options = {**service.options, "state": "absent"}
    return dataclasses.replace(service, mode=modes.PROXY, options=options, servers=(), health_check=None, more_checks=())


def front_of(item: dict[str, Any]) -> dict[str, Any]:
    """The direct-routing service by which viewers reach the proxies, as if it were declared."""
    front = {name: item[name] for name in FRONT_FIELDS if name in item}
    if is_one_tier(item):
        return {**front, "mode": "dr", "real_servers": DIRECTORS}
    check = _check_of_proxies(item)
    if _has_http3(item):
        # Both as one service, which has a firewall mark, and no port that its check could take.
        port = item["ports"][0]
        front["ports"] = [port, "%s/udp" % port]
        check["port"] = port
    return {**front, "mode": "dr", "real_servers": item.get("proxies"), "health_check": check}


def _has_http3(item: dict[str, Any]) -> bool:
    """Whether viewers may come over UDP as well; what is wrong with it is said by _read_tls."""
    tls, ports = item.get("tls"), item.get("ports")
    return isinstance(tls, dict) and tls.get("http3") is True and isinstance(ports, list) and len(ports) == 1 and _is_port(ports[0])


def _is_port(value: Any) -> bool:
    return 0 < (whole_number(value) or 0) < 65536


def _check_of_proxies(item: dict[str, Any]) -> dict[str, Any]:
    """One of the checks of the real servers, asked through a proxy: what a viewer would ask. A TCP connection where none of them can be.

    One that names a port of its own asks another program, and what needs a login is not for proxies to know.
    """
    several = item.get("checks")
    found = [item.get("health_check"), *(several if isinstance(several, list) else [])]
    fit = [one for one in found if isinstance(one, dict) and one.get("port") is None and one.get("login_file") is None]
    tls, http = item.get("tls") is not None, (item.get("application") or APPLICATIONS[0]) == "http"
    for check in fit:
        asked, kind = {name: check[name] for name in ASKED if name in check}, check.get("type", "tcp")
        if kind in WEB:
            # In TCP mode without TLS the real servers end it themselves.
            secure = tls or (not http and (kind == "https" or Reader(Problems(), "", check).boolean("tls", False)))
            asked["type"] = "https" if secure and kind == "http" else kind
            more = {name: check[name] for name in OF_TLS[1:] if secure and name in check}
            return {**asked, **more, **({"tls": True} if secure and asked["type"] != "https" else {})}
        if kind in ("rtmp", "rtmps", "rtsp", "rtsps") and not http:
            asked["type"] = kind[:4] + "s"[: int(tls or kind.endswith("s"))]
            return asked
    return {"type": "tcp"}


def read_proxy(reader: Reader, inventory: Inventory, vips: tuple[str, ...]) -> ProxyService:
    """reader: of the whole declaration."""
    reader.known((*FRONT_FIELDS, *PROXY_FIELDS, *BACK_FIELDS))
    name = reader.get("name")
    if isinstance(name, str) and not NAME.fullmatch(name):
        reader.wrong("name", messages.NOT_A_PROXY_NAME(value=shown(name)))
    proxies = _read_proxies(reader, inventory)
    if reader.get("redirect") is not None:
        return _read_redirect(reader, tuple(proxies), vips)
    application = reader.choice("application", APPLICATIONS[0], APPLICATIONS)
    tls = _read_tls(reader, application)
    port = _read_port(reader)
    default = port if not tls else PLAIN_PORT
    checks = _read_checks(reader, application, default)
    absent = reader.get("state") == "absent"
    # What is absent serves its last viewers, by the real servers that are still declared.
    known = Reader(Problems(), reader.path, reader.data) if absent else reader
    hosts = read_real_servers(known, inventory)
    sorry = read_sorry_server(known, inventory, checks[0] if checks else None, hosts)
    for host, _path in hosts + sorry:
        if host in proxies:
            known.wrong("proxies", messages.PROXY_IS_ITS_OWN_ORIGIN(host=host))
    proxy_protocol = reader.boolean("proxy_protocol", False)
    if proxy_protocol and reader.get("waf") is not None:
        reader.wrong("waf", messages.WAF_HIDES_VIEWERS())
    for index, check in enumerate(checks):
        field = "checks[%d]" % index if isinstance(reader.get("checks"), list) else "health_check"
        if proxy_protocol and check.get("port") is None:
            reader.wrong(field + ".port", messages.PROXY_PROTOCOL_NEEDS_PORT())
        if check["type"] not in CHECKS:
            reader.wrong(field + ".type", messages.CHECK_NOT_OF_PROXIES(type=check["type"], types=", ".join(CHECKS)))
    check_room(known, checks[0] if checks else None, hosts, inventory)
    check_spares(known, checks[0] if checks else None, hosts, sorry, inventory)
    plain = application != "tcp"
    _check_stream(reader, application, bool(tls))
    servers = [
        *_servers(known, inventory, hosts, bool(checks), default, False, plain),
        *_servers(known, inventory, sorry, False, default, True, plain),
    ]
    return ProxyService(
        name=name if isinstance(name, str) else "", vips=vips, port=port, hosts=tuple(proxies), application=application,
        servers=tuple(servers), checks=tuple(checks), tls=tls, absent=absent,
        balance=_read_balance(reader, application), sticky=_read_sticky(reader, application),
        proxy_protocol=proxy_protocol, waf=read_waf(reader, application),
    )  # fmt: skip


def _read_checks(reader: Reader, application: str, default: int) -> list[dict[str, Any]]:
    """Those of the real servers, which are asked on their own port, and not on that of the service."""
    port = reader.get("real_server_port", default)
    if application == "http" and whole_number(port) == SECURE_PORT:
        reader.wrong(
            "real_server_port" if reader.get("real_server_port") is not None else "ports", messages.ORIGIN_WITH_TLS(port=SECURE_PORT)
        )
        port = PLAIN_PORT
    checks = read_health_checks(Reader(reader.problems, reader.path, {**as_asked(reader.data), "ports": [port]}))
    for index, check in enumerate(checks):
        if application == "http" and check.get("port") is None and (check["type"] in WITHOUT_TLS or check.get("tls")):
            field = "checks[%d]" % index if isinstance(reader.get("checks"), list) else "health_check"
            reader.wrong(field, messages.CHECK_OF_PLAIN_ORIGIN())
    return checks


def _check_stream(reader: Reader, application: str, tls: bool) -> None:
    """A stream is asked for as viewers come: with tls by a URL of HTTPS, whatever the port."""
    declared = reader.get("stream")
    url = declared.get("url") if isinstance(declared, dict) else declared
    fits = ("https://",) if tls else ("http://", "/")
    # A path on port 443 is said already, by the front.
    said = _is_443(reader) and str(url).startswith("/")
    if application == "http" and isinstance(url, str) and not url.startswith(fits) and not said:
        reader.wrong("stream", messages.STREAM_OF_OTHER_SCHEME(scheme=fits[0], url=shown(url)))


def _is_443(reader: Reader) -> bool:
    ports = reader.get("ports")
    return isinstance(ports, list) and [whole_number(port) for port in ports] == [SECURE_PORT]


def _read_redirect(reader: Reader, hosts: tuple[str, ...], vips: tuple[str, ...]) -> ProxyService:
    for option in NOT_OF_REDIRECT:
        if reader.get(option) is not None:
            reader.wrong(option, messages.OPTION_OF_REDIRECT(option=option))
    return ProxyService(
        name=str(reader.get("name")), vips=vips, port=_read_port(reader), hosts=hosts, absent=reader.get("state") == "absent",
        redirect=reader.integer("redirect", 443, 1, 65535),
    )  # fmt: skip


def as_asked(item: dict[str, Any]) -> dict[str, Any]:
    """The same, with checks that lvsdr-streamcheck makes all of: HAProxy has no verdicts of its own.

    Where TLS ends at HAProxy, real servers are asked without it, as HAProxy asks them; a check with a port of its own asks another program.
    """
    ends_tls = item.get("tls") is not None

    def watched(check: Any) -> Any:
        if ends_tls and isinstance(check, dict) and check.get("port") is None:
            check = {name: value for name, value in check.items() if name not in OF_TLS}
            kind = check.get("type")
            if isinstance(kind, str):
                check["type"] = WITHOUT_TLS.get(kind, kind)
        if not isinstance(check, dict) or any(check.get(name) is not None for name in WATCHED):
            return check
        return {**check, "fall": 2} if check.get("type", "tcp") not in STREAM_CHECKS else check

    out = {**item, "health_check": watched(item.get("health_check"))}
    if isinstance(item.get("checks"), list):
        out["checks"] = [watched(check) for check in item["checks"]]
    return out


def _read_proxies(reader: Reader, inventory: Inventory) -> list[str]:
    group = reader.get("proxies")
    for option in OF_TWO_TIERS if group == DIRECTORS else ():
        if reader.get(option):
            reader.wrong(option, messages.NEEDS_TWO_TIERS(option=option))
    # What is wrong with the group is said of the front, whose real servers they are.
    hosts = inventory["groups"].get(group) or [] if isinstance(group, str) else []
    for host in hosts:
        if not NAME.fullmatch(host):
            reader.problems.add(paths.of_host(host), messages.NOT_A_PROXY_NAME(value=shown(host)))
    return list(hosts)


def _read_port(reader: Reader) -> int:
    declared = reader.get("ports")
    port = whole_number(declared[0]) if isinstance(declared, list) and len(declared) == 1 else None
    if port is not None and _is_port(port):
        if reader.get("protocol", "tcp") != "tcp":
            reader.wrong("protocol", messages.PROXY_NEEDS_TCP())
        return port
    reader.wrong("ports", messages.PROXY_NEEDS_ONE_PORT(value=shown(declared)))
    return 80


def _read_tls(reader: Reader, application: str) -> dict[str, Any] | None:
    """{"certificates": [path on the proxies], "least": version, "http2": bool, "http3": bool}"""
    value = reader.get("tls")
    if value is None:
        return None
    if not isinstance(value, dict):
        reader.wrong("tls", common.NOT_A_DICTIONARY_LIKE(example="{certificates: [/etc/ssl/private/live.pem]}", value=shown(value)))
        return None
    inner = reader.inner("tls", value)
    inner.known(("certificates", "least", "http2", "http3"))
    found = inner.list("certificates")
    if not found:
        inner.wrong("certificates", messages.CERTIFICATES_MISSING())
    if len(found) > MOST_CERTIFICATES:
        inner.wrong("certificates", messages.CERTIFICATES_TOO_MANY(most=MOST_CERTIFICATES, count=len(found)))
    paths_there: list[str] = []
    for index, item in enumerate(found):
        path = path_there(item)
        if path is None:
            inner.wrong("certificates[%d]" % index, messages.NOT_A_CERTIFICATE_PATH(value=shown(item)))
        elif path in paths_there:
            inner.wrong("certificates[%d]" % index, common.LISTED_TWICE(what=path))
        paths_there.append(path or "")
    least = inner.get("least", LEAST_TLS[0])
    if str(least) not in LEAST_TLS:
        inner.wrong("least", common.UNKNOWN_VALUE(value=shown(least), choices=", ".join(LEAST_TLS)))
    http3 = inner.get("http3", False)
    if not isinstance(http3, bool):
        inner.wrong("http3", common.NOT_A_BOOLEAN(value=shown(http3)))
    elif http3 and application != "http":
        inner.wrong("http3", messages.NEEDS_HTTP(what="HTTP/3", instead="TLS without it"))
    elif http3 and is_one_tier(reader.data):
        inner.wrong("http3", messages.NEEDS_TWO_TIERS(option="http3"))
    return {
        "certificates": paths_there, "least": str(least), "http2": inner.boolean("http2", True), "http3": http3 is True,
    }  # fmt: skip


def _read_balance(reader: Reader, application: str) -> str:
    balance = reader.choice("balance", BALANCE[0], BALANCE)
    if balance == "uri" and application != "http":
        reader.wrong("balance", messages.NEEDS_HTTP(what="uri", instead="source"))
    return balance


def path_there(item: Any) -> str | None:
    """Where a certificate is on the proxies: as declared, or for ``{controller: FILE}`` where site.yml puts it; None of neither."""
    if isinstance(item, dict) and list(item) == ["controller"]:
        here = item["controller"]
        name = here.rpartition("/")[2] if isinstance(here, str) and here.isprintable() else ""
        # Files of the same name in different folders are different certificates.
        item = "%s/%08x-%s" % (HAPROXY_CERTIFICATES, zlib.crc32(here.encode()), name) if name else None
    return item if is_file(item) else None


def _read_sticky(reader: Reader, application: str) -> dict[str, Any] | None:
    """{"cookie": name} or {"source": minutes}"""
    value = reader.get("sticky")
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) != 1:
        reader.wrong("sticky", common.NOT_A_DICTIONARY_LIKE(example="{cookie: LVSDR} or {source: 30}", value=shown(value)))
        return None
    inner = reader.inner("sticky", value)
    inner.known(("cookie", "source"))
    if "cookie" in value:
        cookie = value["cookie"]
        if application != "http":
            inner.wrong("cookie", messages.NEEDS_HTTP(what="a cookie", instead="{source: MINUTES}"))
        if not isinstance(cookie, str) or not COOKIE.fullmatch(cookie):
            inner.wrong("cookie", messages.NOT_A_COOKIE(value=shown(cookie)))
            return None
        return {"cookie": cookie}
    return {"source": inner.integer("source", 30, 1, 1440, " minutes")}


def _servers(reader: Reader, inventory: Inventory, hosts: Hosts, checked: bool, port: int, fallback: bool, plain: bool) -> list[RealServer]:
    """plain: HAProxy asks them in HTTP without TLS."""
    out = []
    common_port = reader.integer("real_server_port", port, 1, 65535)
    for host, path in hosts:
        variables = inventory["hosts"].get(host, {})
        # Its errors are named already, by read_real_servers.
        values = Reader(Problems(), path, variables)
        if not NAME.fullmatch(host):
            reader.problems.add(path, messages.NOT_A_PROXY_NAME(value=shown(host)))
        address = host_address(variables, 4) or host_address(variables, 6)
        if address is None:
            reader.problems.add(path, messages.ORIGIN_WITHOUT_ADDRESS(host=host, service=reader.path))
            address = "0.0.0.0"
        weight = values.integer("real_server_weight", 1, 0, MAX_WEIGHT)
        if weight > LARGEST_WEIGHT:
            reader.problems.add(path + ".real_server_weight", messages.WEIGHT_OF_PROXY(most=LARGEST_WEIGHT, value=weight))
        own = whole_number(variables.get("real_server_port"))
        if plain and own == SECURE_PORT:
            reader.problems.add(path + ".real_server_port", messages.ORIGIN_WITH_TLS(port=SECURE_PORT))
        out.append(
            RealServer(
                host=host, address=address, weight=weight, port=own if own and 0 < own < 65536 else common_port, checked=checked,
                drained=not fallback and is_drained(inventory, host), spare=not fallback and is_spare(inventory, host), fallback=fallback,
            )
        )  # fmt: skip
    return out
