# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an operator declares as a service's health_check, read and checked; docs/health-checks.md describes it. Pure.

Source: keepalived.conf(5) of keepalived 2.2.7, for what its checks can carry.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import messages as common
from ansible.module_utils.lvsdr.checks import messages
from ansible.module_utils.lvsdr.errors import LvsError, named, shown
from ansible.module_utils.lvsdr.spelling import (
    LABEL_SIGNS,
    LONGEST_HEX,
    LONGEST_WORD,
    PATH_SIGNS,
    is_file,
    is_host,
    is_host_name,
    is_label,
    is_path,
)
from ansible.module_utils.lvsdr.streams import packets
from ansible.module_utils.lvsdr.text import plain_text, whole_number

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.errors import Line
    from ansible.module_utils.lvsdr.reader import Reader

# What keepalived's own checks can't do: lvsdr-streamcheck makes a check that declares one of these.
WATCHED = ("fall", "rise", "slow_start", "floor", "agent", "when_all_fail")
CHECK_COMMON = ("type", "port", "interval", "timeout", "retries", "target", *WATCHED)
CHECK_TARGETS = ("vip", "server")
URL_FIELDS = ("path", "status", "match", "host")
# Further options of a check over TLS; "tls" itself turns a plain type into one over TLS.
TLS_FIELDS = ("verify", "certificate_days")
CHECK_FIELDS = {
    "tcp": CHECK_COMMON,
    "http": (*CHECK_COMMON, *URL_FIELDS, "urls", "tls", *TLS_FIELDS),
    "https": (*CHECK_COMMON, *URL_FIELDS, "urls", *TLS_FIELDS),
    "udp": (*CHECK_COMMON, "payload", "reply"),
    "dns": (*CHECK_COMMON, "query"),
    "srt": CHECK_COMMON,
    "script": ("type", "interval", "timeout", "retries", "path", "arguments", "user"),
    # keepalived has no such checks: lvsdr-streamcheck makes them, beside keepalived's own TCP check.
    "hls": (*CHECK_COMMON, "path", "host", "tls", *TLS_FIELDS),
    "dash": (*CHECK_COMMON, "path", "host", "tls", *TLS_FIELDS),
    "rtmp": CHECK_COMMON,
    "rtmps": (*CHECK_COMMON, "host", *TLS_FIELDS),
    "rtsp": (*CHECK_COMMON, "path", "login_file"),
    "rtsps": (*CHECK_COMMON, "path", "login_file", "host", *TLS_FIELDS),
    "icecast": (*CHECK_COMMON, "path", "host", "tls", *TLS_FIELDS),
}
CHECK_TYPES = tuple(CHECK_FIELDS)
# What carries each type of check; the others are TCP's.
UDP_CHECKS = ("udp", "dns", "srt")
STREAM_CHECKS = ("hls", "dash", "rtmp", "rtmps", "rtsp", "rtsps", "icecast")
# Those that speak HTTP, without TLS by default, and those that always speak TLS.
PLAIN_TEXT = ("http", "hls", "dash", "icecast")
SECURE = ("https", "rtmps", "rtsps")
# Days before a certificate's end from which on status and log warn of it.
CERTIFICATE_DAYS = 14


# These say how much of its weight a server gets, and several checks would each say another share.
OF_ONE_CHECK = ("floor", "slow_start", "agent")


def read_health_checks(reader: Reader) -> list[dict[str, Any]]:
    """The checks of a service, each as a dict with every default: ``health_check`` alone, or ``checks``, which a server must all pass."""
    several = reader.get("checks")
    if several is None:
        value = reader.get("health_check")
        read = None if value is None else _read_check(reader, "health_check", value)
        return [read] if read else []
    if reader.get("health_check") is not None:
        reader.wrong("checks", messages.CHECKS_BESIDE_HEALTH_CHECK())
    if not isinstance(several, list) or not several:
        reader.wrong("checks", common.NOT_A_LIST(value=shown(several)))
        return []
    out = []
    for index, value in enumerate(several):
        field = "checks[%d]" % index
        read = _read_check(reader, field, value)
        out += [read] if read else []
        for option in OF_ONE_CHECK if isinstance(value, dict) and len(several) > 1 else ():
            if value.get(option) is not None:
                reader.wrong("%s.%s" % (field, option), messages.CHECK_OPTION_NEEDS_ONE(option=option))
    return out


def _read_check(reader: Reader, field: str, value: Any) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        reader.wrong(field, common.NOT_A_DICTIONARY_LIKE(example="{type: http, path: /healthz}", value=shown(value)))
        return None
    inner = reader.inner(field, value)
    kind = inner.choice("type", "tcp", CHECK_TYPES)
    inner.known(CHECK_FIELDS[kind])
    tls = kind in SECURE or inner.boolean("tls", False)
    if kind == "http" and tls:
        kind = "https"
    mode = reader.get("mode", "dr")
    if kind == "script":
        # Its sockets are its own, so no mark takes them to the VIP on one server.
        target = "server"
    else:
        _check_port(reader, inner, kind, tls)
        target = inner.choice("target", "vip" if mode == "dr" else "server", CHECK_TARGETS)
    if target == "vip" and mode != "dr":
        inner.wrong("target", messages.CHECK_TARGET_NEEDS_DR())
    check: dict[str, Any] = {
        "type": kind,
        "target": target,
        # A look at a stream is cheap, and a dead server is found the sooner.
        "interval": inner.integer("interval", 1 if kind in STREAM_CHECKS else 2, 1, 3600, " seconds"),
        "timeout": inner.integer("timeout", 2, 1, 600, " seconds"),
        "retries": inner.integer("retries", 2, 0, 100),
    }
    if inner.get("port") is not None:
        check["port"] = inner.integer("port", 80, 1, 65535)
    if kind in ("http", "https"):
        check["urls"] = _read_urls(inner)
    if kind == "udp":
        check["payload"] = _hex(inner, "payload")
        if inner.get("reply") is not None:
            check["reply"] = _hex(inner, "reply")
    if kind == "dns":
        check["query"] = _read_query(inner)
    if kind == "script":
        check.update(_read_script(inner))
    if kind in STREAM_CHECKS:
        check.update(_read_stream(inner, kind))
    secure = _read_tls(inner, kind, tls, check)
    if kind in STREAM_CHECKS or any(inner.get(field) is not None for field in WATCHED) or secure:
        check.update(_read_watched(inner, reader.get("sorry_server") is not None))
    return check


def _read_tls(inner: Reader, kind: str, tls: bool, check: dict[str, Any]) -> bool:
    """Puts what TLS needs into a check; returns whether it is more than keepalived can do."""
    fields = [field for field in TLS_FIELDS if inner.get(field) is not None]
    if not tls:
        for field in fields:
            inner.wrong(field, messages.CHECK_OPTION_NEEDS_TLS())
        return False
    check["verify"] = inner.get("verify", False)
    if not isinstance(check["verify"], bool) and not is_file(check["verify"]):
        inner.wrong("verify", messages.CHECK_VERIFY_INVALID(value=shown(check["verify"])))
    names = [url.get("host") for url in check["urls"]] if kind == "https" else [check.get("host")]
    if check["verify"] and not all(names):
        inner.wrong("host", messages.CHECK_HOST_MISSING())
    check["certificate_days"] = inner.integer("certificate_days", CERTIFICATE_DAYS, 0, 3650, " days")
    if kind not in SECURE:
        check["tls"] = True
    return bool(fields)


def is_watched(check: dict[str, Any] | None) -> bool:
    """Whether lvsdr-streamcheck makes a check, whether or not keepalived has one of its own beside it."""
    return bool(check and "fall" in check)


def _check_port(reader: Reader, inner: Reader, kind: str, tls: bool) -> None:
    """A check needs a port of its own protocol."""
    carrier = "udp" if kind in UDP_CHECKS else "tcp"
    ports = reader.get("ports")
    port = inner.get("port", ports[0] if isinstance(ports, list) and len(ports) == 1 else None)
    if kind in PLAIN_TEXT and whole_number(port) == 443 and not tls:
        inner.wrong("port", messages.CHECK_PORT_HTTPS(type=kind))
    if inner.get("port") is not None:
        return
    if whole_number(port) == 0:
        inner.wrong("port", messages.CHECK_PORT_EVERY())
    if reader.get("protocol", "tcp") != carrier:
        protocol = named(reader.get("protocol", "tcp"))
        inner.wrong("port", messages.CHECK_PORT_PROTOCOL(type=kind, carrier=carrier.upper(), protocol=protocol))
    if reader.get("firewall_mark") is not None:
        inner.wrong("port", messages.CHECK_PORT_OF_MARK())


def _read_urls(inner: Reader) -> list[dict[str, Any]]:
    """One URL from the check's own options, or those of ``urls``; a check succeeds when each of them does."""
    items = inner.get("urls")
    if items is None:
        return [_read_url(inner)]
    for field in URL_FIELDS:
        if inner.get(field) is not None:
            inner.wrong(field, messages.CHECK_OPTION_BESIDE_URLS())
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        inner.wrong("urls", messages.CHECK_URLS_INVALID(value=shown(items)))
        return []
    out = []
    for index, item in enumerate(items):
        url = inner.inner("urls[%d]" % index, item)
        url.known(URL_FIELDS)
        out.append(_read_url(url))
    return out


def _read_url(url: Reader) -> dict[str, Any]:
    out = {"path": _read_path(url, "/"), "status": _read_status(url)}
    _read_host(url, out)
    if url.get("match") is not None:
        out["match"] = read_match(url)
    return out


def read_match(url: Reader) -> str:
    """A regular expression that PCRE2 (keepalived) and Python (lvsdr-streamcheck) read in the same way."""
    match = url.get("match")
    if not isinstance(match, str) or not match or not is_label(match, LONGEST_WORD):
        url.wrong("match", messages.CHECK_MATCH_NOT_WRITABLE(value=shown(match), longest=LONGEST_WORD, signs=LABEL_SIGNS))
        return "."
    # PCRE's name of a group, in the one notation that both know.
    match = re.sub(r"\(\?<(?![=!])", "(?P<", match)
    flags = re.search(r"\(\?[a-zA-Z]*[auL]", match)
    if flags:
        url.wrong("match", messages.CHECK_MATCH_FLAGS(value=shown(match), flags=flags.group()))
    # keepalived 2.3.3 ends with a segmentation fault where PCRE2 refuses what Python takes (check_http.c, url->regex).
    odd = re.search(r"\[[:.=]", match) or match.count("(") > MOST_GROUPS or GROUP_NAME.search(match)
    if odd:
        url.wrong("match", messages.CHECK_MATCH_TOO_MUCH(value=shown(match), most=MOST_GROUPS))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(match)
    except (re.error, OverflowError, RecursionError) as error:
        url.wrong("match", messages.CHECK_MATCH_INVALID(value=shown(match), why=error))
    return match


MOST_GROUPS = 50
# The name of a group, or a reference to one, that PCRE2 would not take.
GROUP_NAME = re.compile(r"\(\?P[<=](?![A-Za-z_][A-Za-z0-9_]{0,31}[>)])")


def _read_status(url: Reader) -> str:
    """``200`` or ``200-299``."""
    value = url.get("status", 200)
    value = value.strip() if isinstance(value, str) else ""
    low, dash, high = value.partition("-")
    if dash and re.fullmatch("[0-9]{3}", low) and re.fullmatch("[0-9]{3}", high) and 100 <= int(low) <= int(high) <= 599:
        return value
    return str(url.integer("status", 200, 100, 599))


def _read_path(reader: Reader, default: str | None = None) -> Any:
    path = reader.get("path", default)
    if not is_path(path):
        reader.wrong("path", not_a_path(path))
    return path


def not_a_path(value: object) -> Line:
    """What is said of a value that is_path refuses."""
    return messages.CHECK_PATH_INVALID(value=shown(value), signs=PATH_SIGNS, longest=LONGEST_WORD)


def _read_host(reader: Reader, out: dict[str, Any]) -> None:
    if reader.get("host") is not None:
        out["host"] = reader.get("host")
        if not is_host(out["host"]):
            reader.wrong("host", messages.CHECK_HOST_INVALID(value=shown(out["host"])))


def _hex(inner: Reader, field: str) -> str:
    if not isinstance(inner.get(field, ""), str):
        # YAML has read 0x0d0a and 0012 as numbers by now.
        inner.wrong(field, messages.PAYLOAD_NOT_TEXT(value=shown(inner.get(field))))
        return ""
    try:
        data = packets.read_hex(inner.get(field, ""))
    except LvsError as error:
        inner.wrong(field, error.line)
        return ""
    if len(data) > LONGEST_HEX:
        inner.wrong(field, messages.PAYLOAD_TOO_LONG(longest=LONGEST_HEX, size=len(data)))
    elif data[-1] == 0xFF:
        # parser.c of keepalived 2.2.7, read_hex_str.
        inner.wrong(field, messages.PAYLOAD_LAST_BYTE())
    return data.hex()


def _read_query(inner: Reader) -> str:
    query = inner.get("query", ".")
    if not isinstance(query, str) or (query != "." and not is_host_name(query[:-1] if query.endswith(".") else query)):
        inner.wrong("query", messages.CHECK_QUERY_INVALID(value=shown(query)))
        return "."
    if re.match(r"[^.]\.", query):
        # check_dns.c takes a first label of one character for an empty one.
        inner.wrong("query", messages.CHECK_QUERY_SHORT_LABEL(value=shown(query)))
    return query


def _read_watched(inner: Reader, sorry: bool) -> dict[str, Any]:
    out: dict[str, Any] = {
        # A sorry server serves while all others fail.
        "when_all_fail": inner.choice("when_all_fail", "out" if sorry else "keep", ("keep", "out")),
        "fall": inner.integer("fall", 1, 1, 100),
        "rise": inner.integer("rise", 2, 1, 100),
        "slow_start": inner.integer("slow_start", 0, 0, 86400, " seconds"),
        "floor": inner.fraction("floor", 0),
    }
    value = inner.get("agent")
    if value is not None and not isinstance(value, dict):
        inner.wrong("agent", common.NOT_A_DICTIONARY_LIKE(example="{port: 3333}", value=shown(value)))
    elif value is not None:
        agent = inner.inner("agent", value)
        agent.known(("port", "smoothing", "step"))
        out["agent"] = {
            "port": agent.integer("port", 3333, 1, 65535),
            "smoothing": agent.fraction("smoothing", 0.5),
            "step": agent.fraction("step", 0.1),
        }
        if out["agent"]["smoothing"] == 0:
            agent.wrong("smoothing", messages.AGENT_SMOOTHING_ZERO())
    return out


def _read_stream(inner: Reader, kind: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if "path" in CHECK_FIELDS[kind]:
        out["path"] = _read_path(inner)
    if "host" in CHECK_FIELDS[kind]:
        _read_host(inner, out)
    if inner.get("login_file") is not None:
        out["login_file"] = inner.get("login_file")
        if not is_file(out["login_file"]):
            inner.wrong("login_file", messages.LOGIN_FILE_INVALID(value=shown(out["login_file"])))
    return out


SCRIPT = re.compile(r"/[A-Za-z0-9._/@+-]+")
ARGUMENT = re.compile(r"[A-Za-z0-9._/@+:=,%-]+")


def _read_script(inner: Reader) -> dict[str, Any]:
    """A program on the directors; preflight checks that it is there and safe to run."""
    path, arguments = inner.get("path"), inner.get("arguments", [])
    if not isinstance(path, str) or not SCRIPT.fullmatch(path) or "/../" in path or len(path) > LONGEST_WORD:
        inner.wrong("path", messages.SCRIPT_PATH_INVALID(value=shown(path)))
    good = isinstance(arguments, list) and all(type(word) in (int, str) and ARGUMENT.fullmatch(plain_text(word)) for word in arguments)
    if not good or sum(len(plain_text(word)) + 1 for word in [path, *arguments]) > LONGEST_WORD + 1:
        inner.wrong("arguments", messages.SCRIPT_ARGUMENTS_INVALID(longest=LONGEST_WORD, value=shown(arguments)))
        arguments = []
    user = inner.get("user", "nobody")
    if not isinstance(user, str) or not re.fullmatch("[a-z_][a-z0-9_-]{0,31}", user):
        inner.wrong("user", messages.SCRIPT_USER_INVALID(value=shown(user)))
    return {"path": path, "arguments": [str(word) for word in arguments], "user": user}
