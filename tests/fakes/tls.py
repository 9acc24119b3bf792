"""TLS servers: one with a certificate that nobody vouches for, and the lab's own authority with a certificate for live.example.com."""

import ssl
import subprocess
from pathlib import Path

MAKE = Path(__file__).parents[2] / "roles/lab/files/make-certificates"
NAME = "live.example.com"


def self_signed(folder):
    key, certificate = folder / "key", folder / "certificate"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=x", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return _context(certificate, key)


def authority(folder):
    """(context of a server that is NAME, file of the authority, file of the certificate), all in a new folder ``tls``."""
    made = folder / "tls"
    subprocess.run([MAKE, made, NAME], check=True, capture_output=True)
    return _context(made / "server.pem", made / "server.key"), made / "ca.pem", made / "server.pem"


def _context(certificate, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context
