# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is reported about HAProxy; docs/messages/proxies.md explains each id."""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

HAPROXY_SILENT = Message("haproxy-silent", "HAProxy does not answer at %(path)s: %(why)s; see `journalctl -u haproxy`")
HAPROXY_REFUSED = Message("haproxy-refused", "HAProxy refused `%(command)s`: %(why)s; run this again, and see `journalctl -u haproxy`")
ORIGIN_NEEDS_CHECK = Message(
    "origin-needs-check",
    "%(hosts)s of %(service)s can't be drained by a file: no health check tells the proxies; set real_server_state: drained",
)
NO_ORIGIN_LEFT = Message(
    "no-origin-left", "%(service)s would have no real server left behind its proxies; undrain another one, or set preflight_allow_drained"
)
CERTIFICATE_UNUSABLE = Message(
    "certificate-unusable", "%(path)s can't be used: %(why)s; put a PEM file with certificate, chain and key there"
)
NO_PROXY_ANSWERS = Message("no-proxy-answers", "no HAProxy of %(service)s answers, of %(proxies)s; run this again when one does")
