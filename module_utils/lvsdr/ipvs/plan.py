# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the table that is wanted and the table that is, to the operations in between, with what each does to running streams. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.ipvs import messages
from ansible.module_utils.lvsdr.ipvs.render import daemon_command, destination_command, service_command, timeouts_command
from ansible.module_utils.lvsdr.ipvs.types import (
    DAEMON_DEFAULTS,
    DAEMON_STATES,
    Daemon,
    Entry,
    Timeouts,
    destination_key,
    service_key,
    service_name,
    service_order,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ansible.module_utils.lvsdr.ipvs.types import (
        Declaration,
        Destination,
        DestinationKey,
        Service,
        ServiceKey,
        Table,
        Wanted,
    )

STATES = ("merged", "replaced", "overridden", "deleted")
EFFECTS = ("keeps", "drains", "cuts")


class Operation(NamedTuple):
    verb: str  # add-, set- or delete- with service or destination, set-timeouts, add-daemon, delete-daemon, zero-counters
    service: Service | None  # None where it is about the whole table
    destination: Destination | None  # None where it is about no single one
    effect: str  # one of EFFECTS
    connections: int  # how many active ones it concerns
    setting: Timeouts | Daemon | None = None
    checked: bool = False  # a health check owns the destination's weight


# add before remove, and weights down before anything goes.
ORDER = {
    "add-service": 0,
    "set-service": 1,
    "add-destination": 2,
    "set-destination": 3,
    "delete-destination": 4,
    "delete-service": 5,
}


def plan(want: dict[ServiceKey, Wanted], have: Table, state: str = "replaced") -> list[Operation]:
    """The operations, in order, that lead from have to want.

    want: service key to Wanted (declare.read_services); have: service key to Entry (kernel.Ipvs.read). States:
    merged adds and changes and removes only what is declared ``absent``; replaced also removes destinations that were not named, and other
    services on a declared VIP; overridden removes every other service; deleted removes the named services.
    """
    found: dict[ServiceKey, list[Operation]] = {}
    vips = {wanted.service.address for wanted in want.values() if wanted.service.protocol != "fwmark"}
    for key, wanted in want.items():
        entry = have.get(key)
        if state == "deleted" or wanted.absent:
            found[key] = [_delete_service(entry)] if entry else []
        elif entry is None:
            found[key] = [Operation("add-service", wanted.service, None, "keeps", 0)]
            found[key] += [_add(wanted, destination_id, destination) for destination_id, destination in wanted.destinations.items()]
        else:
            found[key] = _change(wanted, entry, prune=state in ("replaced", "overridden"))
    if state in ("replaced", "overridden"):
        for key, entry in have.items():
            if key not in want and (state == "overridden" or entry.service.address in vips):
                found[key] = [_delete_service(entry)]
    by_service = [found[key] for key in sorted((key for key in found if found[key]), key=service_order)]
    # A new service comes together with its destinations; everything else is ordered by kind, over the whole table.
    new = [operation for own in by_service if own[0].verb == "add-service" for operation in own]
    rest = [operation for own in by_service if own[0].verb != "add-service" for operation in own]
    return new + sorted(rest, key=lambda operation: ORDER[operation.verb])


def _service(operation: Operation) -> Service:
    """Of an operation that is about one, as those in ORDER are."""
    assert operation.service is not None
    return operation.service


def frame(
    operations: list[Operation], declared: Declaration, timeouts: Timeouts | None, daemons: list[Daemon] | None, zero: bool = False
) -> list[Operation]:
    """The plan of a table with the settings around it: what a new destination may need first, and what needs the table last.

    timeouts, daemons: those that are; None where nothing is declared of them. zero: set the counters of the declared services that stay to
    0, or where none is declared those of all.
    """
    first: list[Operation] = []
    last: list[Operation] = []
    if declared.timeouts is not None and timeouts is not None:
        new = Timeouts(*(wanted or now for wanted, now in zip(declared.timeouts, timeouts)))
        if new != timeouts:
            first.append(_setting("set-timeouts", new))
    if declared.daemons is not None and daemons is not None:
        running = {daemon.state: daemon for daemon in daemons}
        for state in DAEMON_STATES:
            wanted, current = declared.daemons.get(state), running.get(state)
            if wanted and current and _fits(wanted, current):
                continue
            # The kernel can't change a daemon: it is stopped and started again.
            if current:
                first.append(_setting("delete-daemon", current))
            if wanted:
                last.append(_setting("add-daemon", wanted))
    if zero:
        services: list[Service | None] = [None]
        if declared.services:
            services = [one.service for one in declared.services.values() if not one.absent]
        last += [Operation("zero-counters", service, None, "keeps", 0) for service in services]
    return first + operations + last


def _setting(verb: str, value: Timeouts | Daemon) -> Operation:
    return Operation(verb, None, None, "keeps", 0, value)


def _fits(wanted: Daemon, current: Daemon) -> bool:
    """Whether a running daemon is the one that is wanted; an old kernel does not report some of the values."""
    for name, value in wanted._asdict().items():
        value = DAEMON_DEFAULTS.get(name) if value is None else value
        if value is not None and getattr(current, name) not in (None, value):
            return False
    return True


def _add(wanted: Wanted, destination_id: DestinationKey, destination: Destination) -> Operation:
    # A health check raises the weight once the server has proven itself; until then no stream goes there.
    if destination_id in wanted.checked:
        destination = destination._replace(weight=0)
    return Operation("add-destination", wanted.service, destination, "keeps", 0)


def live(protocol: str | None, counts: Sequence[int]) -> int:
    """How many of a destination's (active, inactive, persistent) connections are running ones.

    The kernel counts whatever is not a TCP or SCTP connection in the state ESTABLISHED as inactive: every UDP flow, whatever passes
    (ip_vs_proto_udp.c). Behind a firewall mark may be either, so there all count, closing ones as well.
    """
    return counts[0] if protocol in ("tcp", "sctp") else counts[0] + counts[1]


def _delete_service(entry: Entry) -> Operation:
    active = sum(live(entry.service.protocol, counts) for counts in entry.connections.values())
    return Operation("delete-service", entry.service, None, "cuts" if active else "keeps", active)


def _change(wanted: Wanted, entry: Entry, prune: bool) -> list[Operation]:
    operations: list[Operation] = []
    if wanted.service == entry.service and wanted.destinations == entry.destinations and not wanted.checked:
        return operations  # as most are; looking at each destination takes three times as long
    if wanted.service != entry.service:
        # The kernel changes a service in place, and connections have their destination already.
        operations.append(Operation("set-service", wanted.service, None, "keeps", 0))
    for destination_id, destination in wanted.destinations.items():
        current = entry.destinations.get(destination_id)
        if current is None:
            operations.append(_add(wanted, destination_id, destination))
            continue
        if destination_id in wanted.checked:
            destination = destination._replace(weight=current.weight)
        if destination != current:
            active = live(entry.service.protocol, entry.connections.get(destination_id, (0, 0, 0)))
            drains = destination.weight == 0 and current.weight > 0
            effect, checked = "drains" if drains else "keeps", destination_id in wanted.checked
            operations.append(Operation("set-destination", wanted.service, destination, effect, active if drains else 0, checked=checked))
    if prune:
        for destination_id, current in entry.destinations.items():
            if destination_id not in wanted.destinations and destination_id not in wanted.sorry_servers:
                active = live(entry.service.protocol, entry.connections.get(destination_id, (0, 0, 0)))
                operations.append(Operation("delete-destination", wanted.service, current, "cuts" if active else "keeps", active))
    return operations


def command(operation: Operation) -> str:
    """The operation as the ipvsadm command that does the same."""
    verb, service, destination, setting = operation.verb, operation.service, operation.destination, operation.setting
    if service is not None and destination is not None:
        return destination_command({"add": "-a", "set": "-e", "delete": "-d"}[verb.split("-")[0]], service, destination)
    if isinstance(setting, Timeouts):
        return timeouts_command(setting)
    if setting is not None:
        return daemon_command("--start-daemon" if verb == "add-daemon" else "--stop-daemon", setting)
    if service is None:
        return "-Z"
    return service_command({"add": "-A", "set": "-E", "delete": "-D", "zero": "-Z"}[verb.split("-")[0]], service)


def describe(operation: Operation) -> str:
    """One line for an operator: the command, and what it does to running connections."""
    line = "ipvsadm %s  # %s " % (command(operation), operation.effect)
    if operation.effect == "keeps":
        return line + "connections"
    return line + "%d active connection%s" % (operation.connections, "s"[: operation.connections != 1])


def object_name(operation: Operation) -> str:
    """What an operation is about: a service, a sync daemon, or the whole table."""
    if operation.service is not None:
        return service_name(service_key(operation.service))
    if isinstance(operation.setting, Daemon):
        return "sync daemon %s" % operation.setting.state
    return "timeouts" if operation.setting is not None else "all counters"


def effects(operations: Iterable[Operation]) -> dict[str, dict[str, int]]:
    """What a plan does to running connections, in numbers: ``{"cuts": {"operations": 1, "connections": 4}, ...}`` for each effect."""
    out = {effect: {"operations": 0, "connections": 0} for effect in EFFECTS}
    for operation in operations:
        out[operation.effect]["operations"] += 1
        out[operation.effect]["connections"] += operation.connections
    return out


def identity(operation: Operation) -> Operation:
    """What makes two operations of two plans the same: the numbers of connections move on in between."""
    return operation._replace(effect="", connections=0)


def check_limits(
    operations: Sequence[Operation],
    allow: Collection[str] = ("add", "change", "remove"),
    max_cut_connections: int | None = None,
    done: Sequence[Operation] = (),
) -> None:
    """Raises LvsError where the plan holds what the operator did not allow; nothing of it has been applied then.

    done: operations of an earlier plan, whose cuts count as well.
    """
    kinds = {"add": "add", "set": "change", "delete": "remove", "zero": "change"}
    refused = [op for op in operations if kinds[op.verb.split("-")[0]] not in allow]
    if refused:
        count = "%d operation%s" % (len(refused), "s"[: len(refused) != 1])
        raise LvsError(messages.PLAN_NOT_ALLOWED(count=count, operations=_indented(refused)))
    if max_cut_connections is not None:
        # A destination of a service that goes as well is counted with the service.
        cut = [op for op in [*done, *operations] if op.effect == "cuts"]
        total = sum(op.connections for op in cut)
        if total > max_cut_connections:
            raise LvsError(messages.MAX_CUT_CONNECTIONS_EXCEEDED(total=total, limit=max_cut_connections, operations=_indented(cut)))


def _indented(operations: Iterable[Operation]) -> str:
    return "\n".join("  - " + describe(operation) for operation in operations)


def applied(table: Table, operations: Iterable[Operation]) -> Table:
    """The table as it is after the operations: what check mode shows. Connections of what stays are kept."""
    result = dict(table)
    of_services = [operation for operation in operations if operation.verb in ORDER]
    touched = {service_key(_service(operation)) for operation in of_services}
    for key in touched & result.keys():
        result[key] = result[key]._replace(destinations=dict(result[key].destinations))
    for operation in of_services:
        service, destination = _service(operation), operation.destination
        key = service_key(service)
        if destination is not None:
            if operation.verb == "delete-destination":
                del result[key].destinations[destination_key(destination)]
            else:
                result[key].destinations[destination_key(destination)] = destination
        elif operation.verb == "add-service":
            result[key] = Entry(service, {}, {})
        elif operation.verb == "set-service":
            result[key] = result[key]._replace(service=service)
        else:
            del result[key]
    return result


def applied_settings(
    timeouts: Timeouts | None, daemons: list[Daemon] | None, operations: Iterable[Operation]
) -> tuple[Timeouts | None, list[Daemon] | None]:
    """The Timeouts and daemons after the operations; None stays None."""
    for operation in operations:
        setting = operation.setting
        if isinstance(setting, Timeouts):
            timeouts = setting
        elif isinstance(setting, Daemon) and daemons is not None:
            added = operation.verb == "add-daemon"
            daemons = [*daemons, setting] if added else [daemon for daemon in daemons if daemon.state != setting.state]
    return timeouts, daemons
