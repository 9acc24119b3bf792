# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads the logs that ModSecurity writes, and those that logrotate has kept. IO."""

from __future__ import annotations

import glob
import gzip
import os
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.proxies import findings

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of one file, its end.
MOST_BYTES = 64 << 20
PIECE = 1 << 20


def read(since: int, log: str = places.WAF_LOG, most: int = MOST_BYTES) -> tuple[list[dict[str, Any]], int]:
    """What findings.read makes of all logs since then. since: seconds since 1970. OSError or EOFError where one can't be read."""
    paths = [path for path in sorted(glob.glob(glob.escape(log) + "*")) if os.path.getmtime(path) >= since]
    return findings.read((line for path in paths for line in _lines(path, most)), since)


def _lines(path: str, most: int) -> Iterator[str]:
    packed, end = path.endswith(".gz"), b""
    with gzip.open(path, "rb") if packed else open(path, "rb") as f:
        if not packed and os.path.getsize(path) > most:
            f.seek(-most, os.SEEK_END)
            f.readline()
        while block := f.read(PIECE):
            end = (end + block)[-most:]
    # The first one may be cut, and the last one half written.
    for line in end.split(b"\n")[1 if len(end) == most else 0 : -1]:
        if line.strip():
            yield line.decode("utf-8", "replace")
