# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A state for Prometheus. Labels are names of services, VIPs, servers and directors, never of clients: a series for each server of each VIP
and less than ten numbers, so 300 servers are fewer than 3,000 series. docs/console.md lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.console.problems import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

SERVER, SERVICE = ("service", "vip", "server"), ("service", "vip")
# Name of a metric, what it is, and the field of a server or service.
OF_SERVERS = (
    ("lvsdr_server_weight", "Weight in the table of the director that is active", "weight"),
    ("lvsdr_server_weight_declared", "Weight in the inventory", "declared"),
    ("lvsdr_server_connections_active", "Running connections", "active"),
    ("lvsdr_server_check_duration_seconds", "How long the last check took", "check_seconds"),
)
OF_SERVICES = (
    ("lvsdr_service_servers_serving", "Real servers that take viewers", "serving"),
    ("lvsdr_service_servers", "Real servers that are meant to take viewers", "counted"),
    ("lvsdr_service_servers_declared", "Real servers that the inventory has, without the sorry server", "declared"),
    ("lvsdr_service_servers_floor", "How many of them checks leave in", "floor"),
    ("lvsdr_service_connections_active", "Running connections", "active"),
)
# What this director has counted itself: totals of another one would begin elsewhere after a failover. Their sum is the fleet's.
COUNTED = (("connections", "Connections that this director has passed on", "conns"), ("received_bytes", "Bytes from viewers", "inbytes"))


def families(state: dict[str, Any]) -> Iterator[Metric]:
    """What generate_latest asks a collector for."""
    from prometheus_client.core import GaugeMetricFamily

    yield from _directors(state)
    rows = [(service, one) for service in state["services"] for one in service["servers"]]
    for name, words, field in OF_SERVICES:
        family = GaugeMetricFamily(name, words, labels=SERVICE)
        for service in state["services"]:
            family.add_metric([service["name"], service["vip"]], service[field])
        yield family
    for name, words, field in OF_SERVERS:
        family = GaugeMetricFamily(name, words, labels=SERVER)
        for service, one in rows:
            if one[field] is not None:
                family.add_metric([service["name"], service["vip"], one["name"]], one[field])
        yield family
    yield from _counted(state)
    reason = GaugeMetricFamily("lvsdr_server_state", "Why a server has its weight: 1 of the reason that holds", labels=(*SERVER, "reason"))
    for service, one in rows:
        reason.add_metric([service["name"], service["vip"], one["name"], one["reason"]], 1)
    yield reason
    found = [one["kind"] for one in state["problems"]]
    problems = GaugeMetricFamily("lvsdr_problems", "Things to look at, by kind", labels=("kind",))
    for kind in KINDS:
        problems.add_metric([kind], found.count(kind))
    yield problems
    yield GaugeMetricFamily("lvsdr_drift", "Things that run and the inventory does not say", value=len(state["drift"]))
    yield GaugeMetricFamily("lvsdr_look_timestamp_seconds", "When the table was read last, in seconds since 1970", value=state["read"])


def _counted(state: dict[str, Any]) -> Iterator[Metric]:
    """What only grows: of this director's own table, and what servers have counted."""
    from prometheus_client.core import CounterMetricFamily

    rows = [(service, one) for service in state["services"] for one in service["servers"]]
    for name, words, field in COUNTED:
        of_services = CounterMetricFamily("lvsdr_service_" + name, words, labels=SERVICE)
        of_servers = CounterMetricFamily("lvsdr_server_" + name, words, labels=SERVER)
        for service in state["services"]:
            if service["own"]:
                of_services.add_metric([service["name"], service["vip"]], service["own"][field])
        for service, one in rows:
            if one["own"]:
                of_servers.add_metric([service["name"], service["vip"], one["name"]], one["own"][field])
        yield from (of_services, of_servers)
    sent = CounterMetricFamily("lvsdr_server_sent_bytes", "Bytes to viewers, counted where they leave", labels=SERVER)
    for service, one in rows:
        count = one["sent"] if service["direct"] else (one["own"] or {}).get("outbytes")
        if count is not None:
            sent.add_metric([service["name"], service["vip"], one["name"]], count)
    yield sent


def _directors(state: dict[str, Any]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    answers = GaugeMetricFamily("lvsdr_director_answers", "Whether this console hears a director", labels=("director",))
    active = GaugeMetricFamily("lvsdr_director_active", "Whether a director holds a VIP", labels=("director",))
    sync = GaugeMetricFamily("lvsdr_director_sync", "Whether both of its sync daemons run", labels=("director",))
    checker = GaugeMetricFamily("lvsdr_checker_age_seconds", "Since lvsdr-streamcheck wrote its status", labels=("director",))
    changes = CounterMetricFamily("lvsdr_director_transitions", "Changes between active and standby that were seen", labels=("director",))
    for one in state["directors"]:
        answers.add_metric([one["name"]], one["answers"])
        changes.add_metric([one["name"]], one["transitions"])
        if one["answers"]:
            active.add_metric([one["name"]], bool(one["active"]))
            sync.add_metric([one["name"]], one["sync"] == ["backup", "master"])
            if one["checker"] is not None:
                checker.add_metric([one["name"]], one["checker"])
    yield from (answers, active, sync, checker, changes)


def content_type() -> str:
    from prometheus_client import CONTENT_TYPE_LATEST

    found: str = CONTENT_TYPE_LATEST
    return found


def text(state: dict[str, Any] | None) -> bytes:
    """In the text format; nothing before the first look."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Now(Collector):
        def collect(self) -> Iterator[Metric]:
            assert state is not None  # it is registered with one
            return families(state)

    registry = CollectorRegistry(auto_describe=False)
    if state is not None:
        registry.register(Now())
    out: bytes = generate_latest(registry)
    return out
