# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates that HAProxy holds, and those on disk. A private key is never in what these functions return but ``payload``. Pure."""

from __future__ import annotations

import hashlib
import re
import ssl

BLOCK = re.compile(r"-----BEGIN [A-Z0-9 ]+-----\n.+?-----END [A-Z0-9 ]+-----", re.DOTALL)
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.+?-----END CERTIFICATE-----", re.DOTALL)


def fingerprint(text: str) -> str | None:
    """SHA-1 of the first certificate of a PEM file, as ``show ssl cert`` writes it; None where there is none."""
    found = CERTIFICATE.search(text)
    try:
        return hashlib.sha1(ssl.PEM_cert_to_DER_cert(found[0])).hexdigest().upper() if found else None
    except ValueError:
        return None


def held(text: str) -> dict[str, str]:
    """{"fingerprint", "serial", "expires", "subject"} of what ``show ssl cert FILE`` prints; empty where HAProxy does not hold it."""
    names = {"SHA1 FingerPrint": "fingerprint", "Serial": "serial", "notAfter": "expires", "Subject": "subject"}
    pairs = (line.partition(": ") for line in text.splitlines())
    return {names[name]: value.strip() for name, _colon, value in pairs if name in names}


def count(text: str) -> int:
    """How many certificates a PEM file has."""
    return len(CERTIFICATE.findall(text))


def in_chain(shown: str) -> int:
    """How many certificates HAProxy sends beside the first one, of what ``show ssl cert FILE`` prints."""
    return sum(line.startswith("Chain Subject:") for line in shown.splitlines())


def payload(text: str) -> str:
    """The blocks of a PEM file without empty lines: one would end the payload (management.txt, "set ssl cert")."""
    return "\n".join(re.sub(r"\n\s*\n", "\n", block) for block in BLOCK.findall(text.replace("\r\n", "\n")))
