# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the daemon knows, for Prometheus."""

from __future__ import annotations

import contextlib
import http.server
import threading
from typing import TYPE_CHECKING

from ansible.module_utils.lvsdr.agent.looks import BAD, GOOD, UNKNOWN
from ansible.module_utils.lvsdr.checks import verdicts

if TYPE_CHECKING:
    from typing import Protocol

    from ansible.module_utils.lvsdr.agent.server import Server

    class Service(Protocol):
        """What is read of a runner.Service, which stands above this file."""

        name: str
        vip: str
        together: verdicts.Together


class Metrics:
    """For Prometheus, on this host alone."""

    def __init__(self) -> None:
        import prometheus_client

        self.handler, self.port = prometheus_client.MetricsHandler, 0
        self.server: http.server.ThreadingHTTPServer | None = None
        labels = ("service", "vip", "server")
        self.good = prometheus_client.Gauge("lvsdr_check_good", "Whether the last check succeeded", labels)
        self.up = prometheus_client.Gauge("lvsdr_server_up", "Whether the server is held to be up", labels)
        self.seconds = prometheus_client.Gauge("lvsdr_check_seconds", "How long the last check took", labels)
        self.share = prometheus_client.Gauge("lvsdr_weight_share", "The part of its weight that the server has", labels)
        self.unknown = prometheus_client.Gauge("lvsdr_check_unknown", "Whether the last check was not understood", labels)
        self.expires = prometheus_client.Gauge("lvsdr_certificate_expires", "When the certificate ends, in seconds since 1970", labels)
        self.failed = prometheus_client.Gauge(
            "lvsdr_service_failed", "Whether all servers turned bad at once and for one reason", labels[:2]
        )

    def listen(self, port: int | None) -> None:
        """On this port and no other; 0 for none. What was counted stays."""
        if port == self.port:
            return
        if self.server:
            self.server.shutdown()
            self.server.server_close()
        self.port, self.server = 0, None
        if port:
            # Not prometheus_client's own server: older versions have no way to end it.
            self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), self.handler)
            self.port = port
            threading.Thread(target=self.server.serve_forever, name="metrics", daemon=True).start()

    def forget(self, server: Server) -> None:
        for gauge in (self.good, self.up, self.seconds, self.share, self.unknown, self.expires):
            with contextlib.suppress(KeyError):
                gauge.remove(server.service, server.vip, server.name)

    def result(self, server: Server, result: str) -> None:
        labels = (server.service, server.vip, server.name)
        if result in (GOOD, BAD):
            self.good.labels(*labels).set(result == GOOD)
        self.unknown.labels(*labels).set(result == UNKNOWN)
        self.up.labels(*labels).set(server.verdict.state == verdicts.UP)
        assert server.seconds is not None  # there is a result, so it took its time
        self.seconds.labels(*labels).set(server.seconds)
        self.share.labels(*labels).set(server.share)
        if server.certificate.ends is not None:
            self.expires.labels(*labels).set(server.certificate.ends)

    def together(self, service: Service) -> None:
        self.failed.labels(service.name, service.vip).set(service.together.failed)
