# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The stream of a service, which a viewer plays. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.errors import LvsError, listed, shown
from ansible.module_utils.lvsdr.spelling import PATH_HINT, is_file, is_path
from ansible.module_utils.lvsdr.streams import http
from ansible.module_utils.lvsdr.text import whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible.module_utils.lvsdr.reader import Reader

STREAM_FIELDS = ("url", "verify")
STREAM_HINT = "give a path such as /live/index.m3u8, or a URL such as https://live.example.com/live/index.m3u8"


def read_stream(reader: Reader, mark: Any) -> dict[str, Any] | None:
    """What verify plays through the VIP: {"url", "verify"}, where the URL may be a path on the service's own port, over HTTP; or None."""
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
        inner.wrong("verify", "%s is none of true, false, and the path of a file of authorities on the viewer" % shown(verify))
    ports = reader.get("ports")
    ports = [whole_number(port) for port in ports] if isinstance(ports, list) else []
    if reader.get("protocol", "tcp") != "tcp":
        inner.wrong(field, "a stream is played over HTTP, and the service is %s" % shown(reader.get("protocol")))
    elif isinstance(url, str) and "://" in url:
        _check_url(inner, field, url, mark, ports)
    elif not is_path(url):
        inner.wrong(field, "%s is no path of a stream; %s" % (shown(url), STREAM_HINT))
    elif mark is not None or 0 in ports:
        inner.wrong(
            field, "%s names no port to play it on; give the whole URL, or move it to a service with a port"
            % ("a firewall mark" if mark is not None else "port 0"),
        )  # fmt: skip
    elif 443 in ports:
        inner.wrong(field, "443 is the port of HTTPS, which needs a name; %s" % STREAM_HINT)
    return {"url": url, "verify": verify}


def _check_url(reader: Reader, field: str, url: str, mark: Any, ports: Sequence[int | None]) -> None:
    try:
        address = http.split(url)
    except LvsError as error:
        reader.wrong(field, str(error))
        return
    path = url.partition("://")[2].partition("/")
    if not is_path(path[1] + path[2]):
        reader.wrong(field, "%s is no path of a stream; %s" % (shown(path[1] + path[2]), PATH_HINT))
    elif mark is None and 0 not in ports and address.port not in ports:
        reader.wrong(
            field, "%s is on port %d, and the service has %s; write the port into the URL, or play it with the service that has it"
            % (http.shown(url), address.port, listed(map(str, ports))),
        )  # fmt: skip
