# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When the certificate that a server shows ends: a warning in time, and never a verdict. The package cryptography reads it."""

import datetime
import functools
import time

DAYS = 14


@functools.lru_cache(256)
def ends_at(der):
    """Seconds since 1970 at which a certificate (DER) ends; None where that can't be read."""
    try:
        from cryptography import x509

        certificate = x509.load_der_x509_certificate(der)
        # From 42 on; before, a time without a zone, which is UTC.
        end = getattr(certificate, "not_valid_after_utc", None) or certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc)
        return end.timestamp()
    except Exception:  # no such package, or what a server shows in place of a certificate
        return None


class Watch:
    """The certificate of one server. days: how long before its end it is warned of."""

    def __init__(self, days=DAYS):
        self.days, self.ends, self.warning = days, None, ""
        self._digest, self._said = None, None

    def look(self, shown, now):
        """Takes in [digest, DER] of what the server shows; returns words to log, each once for a certificate."""
        digest, der = shown
        if digest is not None and digest != self._digest:
            self._digest, self.ends = digest, ends_at(der)
        self.warning = "" if self.ends is None else self._words(now)
        new = self.warning and self._said != digest
        self._said = digest if self.warning else None
        return self.warning if new else ""

    def _words(self, now):
        left = (self.ends - now) / 86400
        day = time.strftime("%Y-%m-%d", time.gmtime(self.ends))
        if left < 0:
            return "its certificate has ended on %s" % day
        return "its certificate ends in %d days, on %s" % (left, day) if left < self.days else ""
