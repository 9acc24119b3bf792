# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The settings of streaming servers. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import messages as common
from ansible.module_utils.lvsdr.addresses import family_of
from ansible.module_utils.lvsdr.errors import shown
from ansible.module_utils.lvsdr.inventory import messages, paths
from ansible.module_utils.lvsdr.places import DIRECTORS
from ansible.module_utils.lvsdr.reader import Reader
from ansible.module_utils.lvsdr.spelling import is_host_name
from ansible.module_utils.lvsdr.text import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible.module_utils.lvsdr.errors import Problems
    from ansible.module_utils.lvsdr.inventory.types import Inventory

CACHE_SIZE = "[1-9][0-9]{0,12}|[1-9][0-9]{0,9}[kK]|[1-9][0-9]{0,6}[mM]|[1-9][0-9]{0,3}[gG]"
FOLDER = "/[A-Za-z0-9._/@+-]{1,200}"


def check_streaming_server(inventory: Inventory, host: str, problems: Problems) -> None:
    """What nginx would refuse, or read in another way, of the variables of role streaming_server."""
    values = Reader(problems, paths.of_host(host), inventory["hosts"].get(host, {}))
    if values.get("streaming_server_kind") is None:
        return
    values.choice("streaming_server_kind", "edge", ("edge", "origin"))
    _check_words(values, "streaming_server_listen", _is_listen, "a port or an address with a port, such as 80 or [::]:80")
    _check_words(values, "streaming_server_tls_listen", _is_listen, "a port or an address with a port, such as 443 or [::]:443")
    _check_words(values, "streaming_server_origin", _is_origin, "HOST:PORT, with an IPv6 address in brackets")
    _check_words(values, "streaming_server_publishers", _is_network, "all, an address or a network, such as 192.0.2.0/24")
    _check_words(values, "streaming_server_packages", lambda word: re.fullmatch("[a-z0-9][a-z0-9+.:~=_/-]*", word), "the name of a package")
    for name, pattern, form in (
        ("user", "[a-z_][a-z0-9_.-]{0,31}", "the name of an account"),
        ("cache_size", CACHE_SIZE, "a size in nginx's notation, such as 1g, up to 9999g"),
        ("vod_dir", FOLDER, "the absolute path of a folder"),
        ("cache_dir", FOLDER, "the absolute path of a folder"),
        ("hls_dir", FOLDER, "the absolute path of a folder"),
        ("certificate", FOLDER, "the absolute path of a file"),
        ("certificate_key", FOLDER, "the absolute path of a file"),
    ):
        value = values.get("streaming_server_" + name)
        if value not in (None, "") and not _fits(value, re.compile(pattern).fullmatch):
            values.wrong("streaming_server_" + name, messages.STREAMING_SERVER_VALUE_INVALID(form=form, value=shown(value)))
    listen = values.get("streaming_server_rtmp_listen", "1935")
    if not _fits(listen, _is_listen):
        form = "a port or an address with a port, such as 1935 or [::]:1935"
        values.wrong("streaming_server_rtmp_listen", messages.STREAMING_SERVER_VALUE_INVALID(form=form, value=shown(listen)))
    found = listens(inventory, host)
    ports = [*found["streaming_server_listen"], *found["streaming_server_tls_listen"]]
    for name in ("certificate", "certificate_key") if values.get("streaming_server_tls_listen") else ():
        if not values.get("streaming_server_" + name):
            values.wrong("streaming_server_" + name, messages.STREAMING_SERVER_CERTIFICATE_MISSING())
    rtmp = _port_of(listen)[1] if _fits(listen, _is_listen) and values.get("streaming_server_kind") == "origin" else None
    if rtmp in {port for _host, port in ports}:
        values.wrong("streaming_server_rtmp_listen", messages.RTMP_PORT_TAKEN(port=rtmp))
    for place in dict.fromkeys(place for place in ports if ports.count(place) > 1):
        values.wrong("streaming_server_listen", common.LISTED_TWICE(what="port %s of %s" % (place[1], place[0])))
    for name, low, high in (("connections", 16, 1 << 20), ("keepalive_requests", 1, 1 << 30), ("fragment", 1, 60), ("playlist", 1, 86400)):
        values.integer("streaming_server_" + name, low, low, high)
    fragment, playlist = (whole_number(values.get("streaming_server_" + name)) for name in ("fragment", "playlist"))
    if fragment and playlist and playlist < 3 * fragment:
        values.wrong("streaming_server_playlist", messages.STREAMING_SERVER_PLAYLIST_TOO_SHORT(fragment=fragment, value=playlist))
    values.boolean("streaming_server_test_source", False)


def listens(inventory: Inventory, host: str) -> dict[str, list[tuple[str, str]]]:
    """{variable: [(address, port)]} where nginx would answer; empty without ``streaming_server_kind``."""
    variables = inventory["hosts"].get(host, {})
    kind = variables.get("streaming_server_kind")
    out: dict[str, list[tuple[str, str]]] = {}
    defaults = {"listen": [80], "tls_listen": [], "rtmp_listen": "1935"}
    for name, default in defaults.items() if kind is not None else ():
        declared = variables.get("streaming_server_" + name, default)
        if name == "rtmp_listen":
            declared = [declared] if kind == "origin" else []
        out["streaming_server_" + name] = (
            [_port_of(word) for word in declared if _fits(word, _is_listen)] if isinstance(declared, list) else []
        )
    if out and variables.get("streaming_server_listen") == [] == variables.get("streaming_server_tls_listen", []):
        out["streaming_server_listen"] = [("0.0.0.0", "80")]  # nginx's own default for a server without any
    return out


def managed(inventory: Inventory, host: str) -> dict[str, list[tuple[str, str]]]:
    """As ``listens``, of a host on which lvsdr puts nginx: on directors it does not, whatever a variable of all hosts says."""
    return {} if host in (inventory["groups"].get(DIRECTORS) or ()) else listens(inventory, host)


def _check_words(values: Reader, name: str, fits: Callable[[str], object], form: str) -> None:
    declared = values.get(name)
    if declared is None:
        return
    if not isinstance(declared, list):
        values.wrong(name, common.NOT_A_LIST(value=shown(declared)))
        return
    for index, word in enumerate(declared):
        if not _fits(word, fits):
            values.wrong("%s[%d]" % (name, index), messages.STREAMING_SERVER_VALUE_INVALID(form=form, value=shown(word)))


def _fits(word: Any, fits: Callable[[str], object]) -> bool:
    """Whether a word, or a number as text, has its form."""
    text = str(word) if whole_number(word) is not None else word
    return isinstance(text, str) and bool(fits(text))


def _host_and_port(word: str) -> tuple[str | None, str | None]:
    """(host without brackets, port as text) of ``host:port``."""
    found = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\]:([0-9]{1,5})|([^:\[\]]+):([0-9]{1,5})", word)
    return (found[1] or found[3], found[2] or found[4]) if found else (None, None)


def _port_of(word: Any) -> tuple[str, str]:
    """(address, port) of what nginx listens on; every IPv4 address is 0.0.0.0."""
    host, port = _host_and_port(str(word))
    return ("0.0.0.0" if host in (None, "*") else host), port or str(word)


def _is_port(text: str | None) -> bool:
    return 0 < (whole_number(text) or 0) < 65536


def _is_listen(word: str) -> bool:
    host, port = _host_and_port(word)
    return _is_port(word) or (host is not None and _is_port(port) and (host in ("*", "::", "0.0.0.0") or family_of(host) is not None))


def _is_origin(word: str) -> bool:
    host, port = _host_and_port(word)
    return host is not None and _is_port(port) and (family_of(host) is not None or is_host_name(host))


def _is_network(word: str) -> bool:
    address, _slash, length = word.partition("/")
    try:
        # nginx takes a prefix length, and no mask.
        return word == "all" or (family_of(address) is not None and length.isdigit() == bool(_slash) and bool(ipaddress.ip_network(word)))
    except ValueError:
        return False
