# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read, plan, apply, report: what ipvs_table and ipvs_info do, with the kernel at the other end."""

from __future__ import annotations

import errno
import functools
import gc
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.lvsdr.errors import Line, LvsError, Problems
from ansible.module_utils.lvsdr.ipvs import adopt, kernel, messages, parse
from ansible.module_utils.lvsdr.ipvs.declare import UNUSABLE, read_declaration, read_services
from ansible.module_utils.lvsdr.ipvs.describe import options_as_dict, service_as_dict
from ansible.module_utils.lvsdr.ipvs.plan import applied, applied_settings, check_limits, describe, effects, frame, identity, plan
from ansible.module_utils.lvsdr.ipvs.refusals import failure_line
from ansible.module_utils.lvsdr.ipvs.render import render, render_settings
from ansible.module_utils.lvsdr.ipvs.types import Entry, address_order, newcomers_refused, service_key, service_name, service_order
from ansible.module_utils.lvsdr.system import sysctl

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from typing import ParamSpec, TypeVar

    from ansible.module_utils.lvsdr.ipvs.plan import Operation
    from ansible.module_utils.lvsdr.ipvs.types import Daemon, Declaration, Table, Timeouts

    Parameters = ParamSpec("Parameters")
    Result = TypeVar("Result")
    # {name: (now, wanted)} of sysctls that differ.
    Settings = dict[str, tuple[str, str]]

# What a request fails with when another program changed the table between the plan and its application.
RACES = (errno.EEXIST, errno.ESRCH, errno.ENOENT)
SYSCTLS = "net/ipv4/vs/"


class Look(NamedTuple):
    """What one look at the kernel finds (timeouts and daemons None where nothing is declared of them), and the plan from there."""

    table: Table
    timeouts: Timeouts | None
    daemons: list[Daemon] | None
    operations: list[Operation]


def as_list(table: Table) -> list[dict[str, Any]]:
    """A table in the words of the options, in order."""
    return [service_as_dict(table[key]) for key in sorted(table, key=service_order)]


def _uncollected(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Tens of thousands of tuples are made here and all stay until the end: looking for garbage among them is a fifth of the work."""

    @functools.wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            gc.enable()

    return wrapper


@_uncollected
def converge(
    services: Any = (), state: str = "replaced", allow: Collection[str] = ("add", "change", "remove"),
    max_cut_connections: int | None = None, sysctls: dict[str, Any] | None = None, timeouts: Any = None, sync_daemons: Any = None,
    zero_counters: bool = False, check: bool = False, diff: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Brings the table to what is declared; the module's result as a dict. LvsError with nothing, or with what was, done.

    before, after and diff hold what the plan concerns and no more: a table may have thousands of services.
    """
    problems = Problems()
    declared = read_declaration(services, timeouts, sync_daemons, problems, deleting=state == "deleted")
    if max_cut_connections is not None and max_cut_connections < 0:
        problems.add("max_cut_connections", messages.MAX_CUT_CONNECTIONS_NEGATIVE(value=max_cut_connections))
    if problems.found:
        # All errors come at once; but which settings there are can only be seen where ip_vs is loaded already.
        if sysctl.exists(SYSCTLS):
            sysctl.differing(SYSCTLS, sysctls, "sysctls", problems)
        problems.raise_if_any(UNUSABLE)
    ipvs = kernel.Ipvs()
    try:
        settings = sysctl.differing(SYSCTLS, sysctls, "sysctls", problems)
        problems.raise_if_any(UNUSABLE)

        def look() -> Look:
            table = ipvs.read()
            now = None if declared.timeouts is None else ipvs.timeouts()
            daemons = None if declared.daemons is None else ipvs.daemons()
            return Look(table, now, daemons, frame(plan(declared.services, table, state), declared, now, daemons, zero_counters))

        def limit(operations: list[Operation], done: Sequence[Operation] = ()) -> None:
            check_limits(operations, allow, max_cut_connections, done)

        first = last = look()
        done = first.operations
        limit(done)
        if not check:
            written = _write(settings, done)
            try:
                done, last = _apply(ipvs, first, look, limit)
            except LvsError as error:
                error.details["applied"] = written + error.details.get("applied", [])
                error.details["changed"] = bool(error.details["applied"])
                raise
    finally:
        ipvs.close()
    return _report(declared, first, last, done, settings, diff)


def _report(declared: Declaration, first: Look, last: Look, done: list[Operation], settings: Settings, diff: bool) -> dict[str, Any]:
    """The module's result, from what was there and what was done. The kernel has accepted each operation of the last plan."""
    after = applied(last.table, last.operations)
    concerned = {service_key(operation.service) for operation in done if operation.service is not None}
    was, becomes = ({key: table[key] for key in concerned if key in table} for table in (first.table, after))
    foreign = after.keys() - declared.services.keys()
    result: dict[str, Any] = {
        "changed": bool(done or settings),
        "before": as_list(was),
        "after": as_list(becomes),
        "foreign": [service_name(key) for key in sorted(foreign, key=service_order)],
        "operations": [describe(operation) for operation in done],
        "effects": effects(done),
        "sysctls": {name: {"before": now, "after": value} for name, (now, value) in settings.items()},
    }
    reasons: dict[str, list[str]] = {}
    for key, wanted in declared.services.items():
        reason = None if wanted.absent else newcomers_refused(wanted.service.scheduler, wanted.service.flags)
        if reason:
            reasons.setdefault(str(reason), []).append(service_name(key))
    result["refuses_newcomers"] = {reason: sorted(names) for reason, names in reasons.items()}
    new_timeouts, new_daemons = applied_settings(last.timeouts, last.daemons, last.operations)
    if first.timeouts is not None and new_timeouts is not None:
        result["timeouts"] = {"before": options_as_dict(first.timeouts), "after": options_as_dict(new_timeouts)}
    if first.daemons is not None and new_daemons is not None:
        result["sync_daemons"] = {
            "before": [options_as_dict(daemon) for daemon in first.daemons],
            "after": [options_as_dict(daemon) for daemon in new_daemons],
        }
    if diff:
        result["diff"] = {
            "before": _settings_text(settings, 0) + render_settings(first.timeouts, first.daemons or ()) + render(was),
            "after": _settings_text(settings, 1) + render_settings(new_timeouts, new_daemons or ()) + render(becomes),
            "before_header": "ipvsadm -Sn",
            "after_header": "ipvsadm -Sn",
        }
    return result


def _settings_text(settings: Settings, index: int) -> str:
    return "".join("net.ipv4.vs.%s = %s\n" % (name, pair[index]) for name, pair in sorted(settings.items()))


def _write(settings: Settings, operations: Iterable[Operation]) -> list[str]:
    """The sysctls, each read back, as lines; where one fails, LvsError names those in force already, and what has not begun."""
    lines = ["sysctl net.ipv4.vs.%s=%s" % (name, value) for name, (_now, value) in settings.items()]
    for index, (name, (now, value)) in enumerate(settings.items()):
        try:
            sysctl.write(SYSCTLS + name, value)
        except LvsError as error:
            changed = index > 0 or sysctl.read(SYSCTLS + name) != now
            left = lines[index:] + [describe(operation) for operation in operations]
            error.details.update(applied=lines[:index], not_applied=left, changed=changed)
            raise
    return lines


def _apply(
    ipvs: kernel.Ipvs, now: Look, look: Callable[[], Look], limit: Callable[[list[Operation], list[Operation]], None]
) -> tuple[list[Operation], Look]:
    """Applies the plan of a look; where another program changed the table meanwhile, looks and plans again, once.

    What was done comes back, and the look whose plan went through. limit(operations, done) raises LvsError where a plan goes too far.
    """
    done: list[Operation] = []
    again = False

    def look_again() -> Look:
        try:
            return look()
        except LvsError as error:
            error.details.update(_account(done, []))
            raise

    while True:
        operations = now.operations
        failures = ipvs.apply(operations)
        if failures == []:
            return done + operations, now
        if failures is None:
            # The kernel's answers are unknown, but what it did is not planned any more.
            now = look_again()
            done += _without(operations, now.operations)
            failed = now.operations
            why = messages.NETLINK_REPLIES_LOST()
            hopeless = again
        else:
            failed = [operations[failure.place] for failure in failures]
            done += _without(operations, failed)
            why = Line.several(failure_line(operation, failure) for operation, failure in zip(failed, failures))
            hopeless = again or any(failure.errno not in RACES for failure in failures)
            if not hopeless:
                now = look_again()
                # Where all that is left failed just now, it would fail the same way: that is not a race but the kernel's answer.
                left = [operation for operation in now.operations if operation.verb != "zero-counters"]
                hopeless = bool(left) and not _without(left, failed)
        if hopeless:
            raise LvsError(why, **_account(done, failed))
        try:
            limit(now.operations, done)
        except LvsError as error:
            error.details.update(_account(done, now.operations))
            raise
        again = True


def _without(operations: Iterable[Operation], others: Iterable[Operation]) -> list[Operation]:
    known = {identity(operation) for operation in others}
    return [operation for operation in operations if identity(operation) not in known]


def _account(done: Iterable[Operation], failed: Iterable[Operation]) -> dict[str, Any]:
    """What an error half-way adds about the rest."""
    return {
        "applied": [describe(operation) for operation in done],
        "not_applied": [describe(operation) for operation in failed],
        "changed": bool(done),
    }


def gather() -> dict[str, Any]:
    """The table, timeouts and sync daemons as they are, in the words of ipvs_table's options."""
    ipvs = kernel.Ipvs()
    try:
        return {
            "services": as_list(ipvs.read()),
            "timeouts": options_as_dict(ipvs.timeouts()),
            "sync_daemons": [options_as_dict(daemon) for daemon in ipvs.daemons()],
        }
    finally:
        ipvs.close()


def rendered(services: Any, timeouts: Any, sync_daemons: Any) -> str:
    """What is declared as text for ``ipvsadm -R``. A checked destination has its declared weight there: it is the whole declaration."""
    problems = Problems()
    declared = read_declaration(services, timeouts, sync_daemons, problems)
    for index, service in enumerate(services or []):
        if isinstance(service, dict) and service.get("state") != "absent" and isinstance(service.get("destinations"), list):
            for place, destination in enumerate(service["destinations"]):
                if isinstance(destination, dict) and destination.get("forward") == "local":
                    problems.add("services[%d].destinations[%d].forward" % (index, place), messages.LOCAL_NOT_RENDERED())
    problems.raise_if_any(UNUSABLE)
    table = {key: Entry(one.service, one.destinations, {}) for key, one in declared.services.items() if not one.absent}
    return render(table) + render_settings(declared.timeouts, (declared.daemons or {}).values())


def parsed(text: object) -> dict[str, Any]:
    """What ipvsadm printed, in the words of the options, and as an inventory."""
    other_ports: list[str] = []
    found = parse.parse(text, other_ports)
    inventory, notes = adopt.inventory(found["services"])
    return {"parsed": found, "inventory": inventory, "not_in_inventory": notes, "other_ports": other_ports}


def describe_kernel(counters: bool = True, declared: Any = None, state: str = "replaced") -> dict[str, Any]:
    """All that ipvs_info returns. declared: services in the words of ipvs_table's options, to compare with."""
    want = None if declared is None else read_services(declared)
    ipvs = kernel.Ipvs()
    try:
        table, stats = ipvs.read_with_counters() if counters else (ipvs.read(), {})
        result = {
            "timeouts": options_as_dict(ipvs.timeouts()),
            "sync_daemons": [options_as_dict(daemon) for daemon in ipvs.daemons()],
            "version": ipvs.info(),
        }
    finally:
        ipvs.close()
    if want is not None:
        result["drift"] = [describe(operation) for operation in plan(want, table, state)]
    services: list[dict[str, Any]] = []
    totals: dict[str, dict[str, Any]] = {}
    for key in sorted(table, key=service_order):
        entry = table[key]
        described = service_as_dict(entry)
        own, of_destinations = stats.get(key, ({}, {}))
        if counters:
            described["counters"] = own
        for destination_id, item in zip(sorted(entry.destinations, key=address_order), described["destinations"]):
            active, inactive, persistent = entry.connections[destination_id]
            item.update(active=active, inactive=inactive, persistent=persistent)
            if counters:
                item["counters"] = of_destinations.get(destination_id, {})
            total = totals.setdefault(item["address"], {"active": 0, "inactive": 0, "weights": {}})
            total["active"] += active
            total["inactive"] += inactive
            total["weights"][service_name(key)] = item["weight"]
        services.append(described)
    result.update(services=services, destinations=totals, text=render(table))
    return result
