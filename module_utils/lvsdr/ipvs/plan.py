# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the table that is wanted and the table that is, to the operations in between, with what each does to running streams. Pure."""

from collections import namedtuple

from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.ipvs.render import daemon_command, destination_command, service_command, timeouts_command
from ansible.module_utils.lvsdr.ipvs.types import (
    DAEMON_DEFAULTS,
    DAEMON_STATES,
    Entry,
    destination_key,
    service_key,
    service_name,
    service_order,
)

STATES = ("merged", "replaced", "overridden", "deleted")
EFFECTS = ("keeps", "drains", "cuts")

# verb: add-, set- or delete- with service or destination, set-timeouts, add-daemon, delete-daemon, zero-counters.
# service: None where the operation is about the whole table; destination: None where it is about no single one;
# effect: one of EFFECTS; connections: how many active ones it concerns; setting: a Timeouts or Daemon.
Operation = namedtuple("Operation", "verb service destination effect connections setting checked", defaults=(None, False))

# add before remove, and weights down before anything goes.
ORDER = {
    "add-service": 0,
    "set-service": 1,
    "add-destination": 2,
    "set-destination": 3,
    "delete-destination": 4,
    "delete-service": 5,
}


def plan(want, have, state="replaced"):
    """The operations, in order, that lead from have to want.

    want: service key to Wanted (model.read_services); have: service key to Entry (kernel.Ipvs.read). States:
    merged adds and changes and removes only what says ``absent``; replaced also removes destinations that were not named, and other
    services on a declared VIP; overridden removes every other service; deleted removes the named services.
    """
    operations = []
    vips = {key[2] for key in want if key[1] != "fwmark"}
    for key, wanted in want.items():
        entry = have.get(key)
        if state == "deleted" or wanted.absent:
            if entry:
                operations.append(_delete_service(entry))
        elif entry is None:
            operations.append(Operation("add-service", wanted.service, None, "keeps", 0))
            for destination_id, destination in wanted.destinations.items():
                operations.append(_add(wanted, destination_id, destination))
        else:
            operations += _change(wanted, entry, prune=state in ("replaced", "overridden"))
    if state in ("replaced", "overridden"):
        for key, entry in have.items():
            if key not in want and (state == "overridden" or key[2] in vips):
                operations.append(_delete_service(entry))
    position = {key: index for index, key in enumerate(sorted({service_key(op.service) for op in operations}, key=service_order))}
    # A new service comes together with its destinations; everything else goes by kind, over the whole table.
    new = {service_key(op.service) for op in operations if op.verb == "add-service"}

    def order(operation):
        key = service_key(operation.service)
        return (0 if key in new else ORDER[operation.verb], position[key], ORDER[operation.verb])

    return sorted(operations, key=order)


def frame(operations, declared, timeouts, daemons, zero=False):
    """The plan of a table with the settings around it: what a new destination may need first, and what needs the table last.

    declared: a model.Declaration; timeouts, daemons: the Timeouts and the list of Daemon that are. zero: set the counters of the declared
    services that stay to 0, or where none is declared those of all.
    """
    first, last = [], []
    if declared.timeouts is not None:
        wanted = type(timeouts)(*(new or old for new, old in zip(declared.timeouts, timeouts)))
        if wanted != timeouts:
            first.append(_setting("set-timeouts", wanted))
    if declared.daemons is not None:
        running = {daemon.state: daemon for daemon in daemons}
        for state in DAEMON_STATES:
            wanted, current = declared.daemons.get(state), running.get(state)
            if wanted and current and _fits(wanted, current):
                continue
            # The kernel can't change a daemon: it ends, and starts anew.
            if current:
                first.append(_setting("delete-daemon", current))
            if wanted:
                last.append(_setting("add-daemon", wanted))
    if zero:
        services = [wanted.service for wanted in declared.services.values() if not wanted.absent] if declared.services else [None]
        last += [Operation("zero-counters", service, None, "keeps", 0) for service in services]
    return first + operations + last


def _setting(verb, value):
    return Operation(verb, None, None, "keeps", 0, value)


def _fits(wanted, current):
    """Whether a running daemon is the one that is wanted; an old kernel tells of some values nothing."""
    for name, value in wanted._asdict().items():
        value = DAEMON_DEFAULTS.get(name) if value is None else value
        if value is not None and getattr(current, name) not in (None, value):
            return False
    return True


def _add(wanted, destination_id, destination):
    # A health check raises the weight once the server has proven itself; until then no stream goes there.
    if destination_id in wanted.checked:
        destination = destination._replace(weight=0)
    return Operation("add-destination", wanted.service, destination, "keeps", 0)


def live(protocol, counts):
    """How many of a destination's (active, inactive, persistent) connections are running ones.

    The kernel counts what is no TCP or SCTP connection in the state ESTABLISHED as inactive: every UDP flow, whatever passes
    (ip_vs_proto_udp.c). Behind a firewall mark may be either, so there all count, closing ones too.
    """
    return counts[0] if protocol in ("tcp", "sctp") else counts[0] + counts[1]


def _delete_service(entry):
    active = sum(live(entry.service.protocol, counts) for counts in entry.connections.values())
    return Operation("delete-service", entry.service, None, "cuts" if active else "keeps", active)


def _change(wanted, entry, prune):
    operations = []
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
            if destination_id not in wanted.destinations and destination_id not in wanted.fallbacks:
                active = live(entry.service.protocol, entry.connections.get(destination_id, (0, 0, 0)))
                operations.append(Operation("delete-destination", wanted.service, current, "cuts" if active else "keeps", active))
    return operations


def command(operation):
    """The operation as the ipvsadm command that does the same."""
    verb, service, destination, setting = operation.verb, operation.service, operation.destination, operation.setting
    if destination is not None:
        return destination_command({"add": "-a", "set": "-e", "delete": "-d"}[verb.split("-")[0]], service, destination)
    if verb == "set-timeouts":
        return timeouts_command(setting)
    if setting is not None:
        return daemon_command("--start-daemon" if verb == "add-daemon" else "--stop-daemon", setting)
    if service is None:
        return "-Z"
    return service_command({"add": "-A", "set": "-E", "delete": "-D", "zero": "-Z"}[verb.split("-")[0]], service)


def describe(operation):
    """One line for an operator: the command, and what it does to running connections."""
    line = "ipvsadm %s  # %s " % (command(operation), operation.effect)
    if operation.effect == "keeps":
        return line + "connections"
    return line + "%d active connection%s" % (operation.connections, "s"[: operation.connections != 1])


def object_name(operation):
    """What an operation is about: a service, a sync daemon, or the whole table."""
    if operation.service is not None:
        return service_name(service_key(operation.service))
    if operation.verb.endswith("daemon"):
        return "sync daemon %s" % operation.setting.state
    return "timeouts" if operation.setting is not None else "all counters"


def effects(operations):
    """What a plan does to running connections, in numbers: ``{"cuts": {"operations": 1, "connections": 4}, ...}`` for each effect."""
    out = {effect: {"operations": 0, "connections": 0} for effect in EFFECTS}
    for operation in operations:
        out[operation.effect]["operations"] += 1
        out[operation.effect]["connections"] += operation.connections
    return out


def identity(operation):
    """What makes two operations of two plans the same: the numbers of connections move on in between."""
    return operation._replace(effect=None, connections=None)


def check_limits(operations, allow=("add", "change", "remove"), max_cut_connections=None, done=()):
    """Raises LvsError where the plan holds what the operator did not allow; nothing of it has been applied then.

    done: operations of a plan before, whose cuts count too.
    """
    kinds = {"add": "add", "set": "change", "delete": "remove", "zero": "change"}
    refused = [op for op in operations if kinds[op.verb.split("-")[0]] not in allow]
    if refused:
        raise LvsError(
            "The plan holds %d operation%s that `allow` does not name\n%s"
            % (len(refused), "s"[: len(refused) != 1], "\n".join("  - " + describe(op) for op in refused)),
            "allow them, or change what is declared",
        )
    if max_cut_connections is not None:
        # A destination of a service that goes as well is counted with the service.
        cut = [op for op in [*done, *operations] if op.effect == "cuts"]
        total = sum(op.connections for op in cut)
        if total > max_cut_connections:
            raise LvsError(
                "The plan would cut %d active connections, and max_cut_connections is %d\n%s"
                % (total, max_cut_connections, "\n".join("  - " + describe(op) for op in cut)),
                "drain these first (weight 0), wait until they have ended, then run again",
            )


def applied(table, operations):
    """The table as it is after the operations: what check mode shows. Connections of what stays are kept."""
    result = dict(table)
    touched = {service_key(operation.service) for operation in operations if operation.verb in ORDER}
    for key in touched & result.keys():
        result[key] = result[key]._replace(destinations=dict(result[key].destinations))
    for operation in operations:
        if operation.verb not in ORDER:
            continue  # a setting, or counters
        key = service_key(operation.service)
        if operation.verb == "add-service":
            result[key] = Entry(operation.service, {}, {})
        elif operation.verb == "set-service":
            result[key] = result[key]._replace(service=operation.service)
        elif operation.verb == "delete-service":
            del result[key]
        elif operation.verb == "delete-destination":
            del result[key].destinations[destination_key(operation.destination)]
        else:
            result[key].destinations[destination_key(operation.destination)] = operation.destination
    return result


def applied_settings(timeouts, daemons, operations):
    """The Timeouts and daemons after the operations; None stays None."""
    for operation in operations:
        if operation.verb == "set-timeouts":
            timeouts = operation.setting
        elif operation.verb == "delete-daemon":
            daemons = [daemon for daemon in daemons if daemon.state != operation.setting.state]
        elif operation.verb == "add-daemon":
            daemons = [*daemons, operation.setting]
    return timeouts, daemons
