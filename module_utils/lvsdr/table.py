# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read, plan, apply, report: what ipvs_table does, with the kernel at the other end."""

import errno

from . import kernel, sysctl
from .errors import LvsError
from .model import address_order, read_services, service_as_dict, service_name, service_order
from .plan import applied, check_limits, describe, plan, result_of
from .render import render

# What a request fails with when someone else changed the table between the plan and its application.
RACES = (errno.EEXIST, errno.ESRCH, errno.ENOENT)


def as_list(table):
    """A table in the words of the options, in order."""
    return [service_as_dict(table[key]) for key in sorted(table, key=service_order)]


def converge(services, state="replaced", allow=("add", "change", "remove"), max_cut_connections=None, sysctls=None, check=False):
    """Brings the table to what is declared; the module's result as a dict. LvsError with nothing, or with what was, done."""
    want = read_services(services)
    ipvs = kernel.Ipvs()
    try:
        settings = sysctl.differing("net/ipv4/vs/", sysctls or {})
        before = ipvs.read()
        operations = plan(want, before, state)
        check_limits(operations, allow, max_cut_connections)
        done = operations
        if check:
            after = applied(before, operations)
        else:
            for name, (_now, value) in settings.items():
                sysctl.write("net/ipv4/vs/" + name, value)
            done = _apply(ipvs, want, operations, state, allow, max_cut_connections)
            after = ipvs.read() if done else before
    finally:
        ipvs.close()
    return {
        "changed": bool(done or settings),
        "before": as_list(before),
        "after": as_list(after),
        "foreign": sorted(service_name(key) for key in after if key not in want),
        "operations": [result_of(operation) for operation in done],
        "sysctls": {name: {"before": now, "after": value} for name, (now, value) in settings.items()},
        "diff": {
            "before": _settings_text(settings, 0) + render(before),
            "after": _settings_text(settings, 1) + render(after),
            "before_header": "ipvsadm -Sn",
            "after_header": "ipvsadm -Sn",
        },
    }


def _settings_text(settings, index):
    return "".join("net.ipv4.vs.%s = %s\n" % (name, pair[index]) for name, pair in sorted(settings.items()))


def _apply(ipvs, want, operations, state, allow, max_cut_connections):
    """Applies the plan; where someone else changed the table meanwhile, plans again, once. What was done comes back."""
    done = []
    for attempt in (1, 2):
        failures = ipvs.apply(operations)
        failed = {failure.index for failure in failures}
        done += [operation for index, operation in enumerate(operations) if index not in failed]
        if not failures:
            break
        if attempt == 1 and all(failure.errno in RACES for failure in failures):
            again = plan(want, ipvs.read(), state)
            # The same request again would fail the same way: then it is no race but the kernel's answer.
            if not set(again) & {operations[index] for index in failed}:
                check_limits(again, allow, max_cut_connections)
                operations = again
                continue
        raise LvsError(
            "\n".join(kernel.failure_sentence(operations[failure.index], failure) for failure in failures),
            applied=[describe(operation) for operation in done],
            not_applied=[describe(operations[index]) for index in sorted(failed)],
            changed=bool(done),
        )
    return done


def describe_kernel(counters=True):
    """All that ipvs_info returns."""
    ipvs = kernel.Ipvs()
    try:
        table, stats = ipvs.read_with_counters(counters)
        result = {"timeouts": ipvs.timeouts(), "sync_daemons": ipvs.daemons(), "version": ipvs.info()}
    finally:
        ipvs.close()
    services, totals = [], {}
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
