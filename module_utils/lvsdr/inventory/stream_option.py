# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The stream of a service, which a viewer plays. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.checks.health_check import not_a_path
from ansible.module_utils.lvsdr.errors import LvsError, listed, shown
from ansible.module_utils.lvsdr.inventory import messages
from ansible.module_utils.lvsdr.spelling import is_file, is_path
from ansible.module_utils.lvsdr.streams import http
from ansible.module_utils.lvsdr.text import whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible.module_utils.lvsdr.reader import Reader

STREAM_FIELDS = ("url", "verify")


def read_stream(reader: Reader, mark: Any, several: Sequence[tuple[str, int, int]] = ()) -> dict[str, Any] | None:
    """What verify plays through the VIP: {"url", "verify"}, where the URL may be a path on the service's own port, over HTTP; or None.

    several: the ports of a service that has more than one, whose first one of TCP it then is.
    """
    value = reader.get("stream")
    if value is None:
        return None
    inner = reader
    if isinstance(value, dict):
        inner = reader.inner("stream", value)
        inner.known(STREAM_FIELDS)
        url, verify, field = inner.get("url"), inner.get("verify", True), "url"
    else:
        url, verify, field = value, True, "stream"
    if not isinstance(verify, bool) and not is_file(verify):
        inner.wrong("verify", messages.STREAM_VERIFY_INVALID(value=shown(verify)))
    ports: Sequence[int | None]
    if several:
        mark, ports = None, [port for protocol, first, last in several if protocol == "tcp" for port in range(first, last + 1)]
    else:
        declared = reader.get("ports")
        ports = [whole_number(port) for port in declared] if isinstance(declared, list) else []
    if reader.get("protocol", "tcp") != "tcp":
        inner.wrong(field, messages.STREAM_NOT_TCP(protocol=shown(reader.get("protocol"))))
    elif isinstance(url, str) and "://" in url:
        _check_url(inner, field, url, mark, ports)
    elif not is_path(url):
        inner.wrong(field, messages.NOT_A_STREAM(value=shown(url)))
    elif mark is not None or 0 in ports:
        inner.wrong(field, messages.STREAM_WITHOUT_PORT(what="a firewall mark" if mark is not None else "port 0"))
    elif several and not ports:
        inner.wrong(field, messages.STREAM_NOT_TCP(protocol="udp"))
    elif ports[:1] == [443]:
        inner.wrong(field, messages.STREAM_WITHOUT_NAME())
    return {"url": url, "verify": verify}


def _check_url(reader: Reader, field: str, url: str, mark: Any, ports: Sequence[int | None]) -> None:
    try:
        address = http.split(url)
    except LvsError as error:
        reader.wrong(field, error.line)
        return
    path = url.partition("://")[2].partition("/")
    if not is_path(path[1] + path[2]):
        reader.wrong(field, not_a_path(path[1] + path[2]))
    elif mark is None and 0 not in ports and address.port not in ports:
        message = messages.STREAM_ON_OTHER_PORT(url=http.shown(url), port=address.port, ports=listed(map(str, ports)))
        reader.wrong(field, message)
