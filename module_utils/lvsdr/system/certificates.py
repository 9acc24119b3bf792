# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a file of a certificate, its chain and its key can be used: asked of OpenSSL, before a program is given it. IO."""

from __future__ import annotations

import os
import ssl
import time
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.system import messages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible.module_utils.lvsdr.errors import Line


def file_problems(files: Iterable[dict[str, Any]]) -> list[str]:
    """A sentence for each fault of those files, {"path", "names"}, that have names; one that is not there is files.file_problems' own."""
    wanted = [one for one in files if one.get("names") is not None and os.path.isfile(one["path"])]
    return [str(line) for one in wanted for line in problems(one["path"], one["names"], time.time())]


def problems(path: str, names: Iterable[str], now: float) -> list[Line]:
    """What is wrong with a PEM file. names: those that viewers ask for. now: seconds since 1970."""
    try:
        # It reads the chain as well, and compares the key with the certificate.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, password=lambda: "")
        read: dict[str, Any] = ssl._ssl._test_decode_cert(path)  # type: ignore[attr-defined]
    except (OSError, ValueError) as error:
        return [messages.CERTIFICATE_REFUSED(path=path, why=_why(error))]
    out = []
    ends, begins = (ssl.cert_time_to_seconds(read[name]) for name in ("notAfter", "notBefore"))
    if not begins <= now < ends:
        out.append(messages.CERTIFICATE_EXPIRED(path=path, begins=read["notBefore"], ends=read["notAfter"]))
    own = [value for kind, value in read.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    out += [
        messages.CERTIFICATE_OF_OTHER_NAME(path=path, name=name, names=", ".join(own) or "none")
        for name in names
        if not any(_fits(name, one) for one in own)
    ]
    return out


def _fits(name: str, pattern: str) -> bool:
    """Whether a name is one of a certificate's (RFC 6125): a star stands for the first label alone."""
    name, pattern = name.lower(), pattern.lower()
    return name == pattern or (pattern.startswith("*.") and name.partition(".")[2] == pattern[2:])


def _why(error: Exception) -> str:
    """In words: OpenSSL's reasons are such as KEY_VALUES_MISMATCH."""
    reason = getattr(error, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return "its key is not that of its certificate"
    if isinstance(error, ssl.SSLError):
        return str(reason).lower().replace("_", " ") if reason else "it has no certificate and key in PEM"
    return getattr(error, "strerror", None) or str(error)
