# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When a server's certificate expires: a warning in time, and never a verdict. The package cryptography reads it."""

from __future__ import annotations

import datetime
import functools
import time

DAYS = 14


@functools.lru_cache(256)
def ends_at(der: bytes) -> float | None:
    """Seconds since 1970 at which a certificate (DER) ends; None where that can't be read."""
    try:
        from cryptography import x509

        certificate = x509.load_der_x509_certificate(der)
        # From 42 on; before, a time without a zone, which is UTC.
        end: datetime.datetime | None = getattr(certificate, "not_valid_after_utc", None)
        return (end or certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc)).timestamp()
    except Exception:  # no such package, or what a server shows in place of a certificate
        return None


class Watch:
    """The certificate of one server. days: how long before its end it is warned of."""

    def __init__(self, days: int = DAYS) -> None:
        self.days, self.warning = days, ""
        self.ends: float | None = None
        self._digest: bytes | None = None
        self._said: bytes | None = None

    def look(self, shown: list[bytes | None], now: float) -> str:
        """Takes in [digest, DER] of what the server shows; returns words to log, each once for a certificate."""
        digest, der = shown
        if digest is not None and digest != self._digest:
            self._digest, self.ends = digest, ends_at(der or b"")
        self.warning = "" if self.ends is None else self._words(self.ends, now)
        new = self.warning and self._said != digest
        self._said = digest if self.warning else None
        return self.warning if new else ""

    def _words(self, ends: float, now: float) -> str:
        left = (ends - now) / 86400
        day = time.strftime("%Y-%m-%d", time.gmtime(ends))
        if left < 0:
            return "its certificate expired on %s" % day
        return "its certificate expires in %d days, on %s" % (left, day) if left < self.days else ""
