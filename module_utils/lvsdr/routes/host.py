# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read, plan, apply, read back: what the module return_path does on a host. IO."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.routes import lasting, messages, plan
from ansible.module_utils.lvsdr.system import commands, policy, rtnetlink

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible.module_utils.lvsdr.routes.plan import ReturnPath, Route, Rule


def read(net: rtnetlink.Rtnetlink) -> tuple[set[Route], set[Rule], set[Route]]:
    """The routes and rules of this host that are lvsdr's, and routes of others in its tables."""
    rules = {plan.Rule(*rule) for rule in policy.read_rules(net, plan.OURS)}
    found = policy.read_default_routes(net, range(plan.FIRST_TABLE, plan.FIRST_TABLE + plan.TABLES))
    routes = {(plan.Route(gateway, table), owner == plan.OURS) for (_family, table), (gateway, owner) in found.items()}
    return {route for route, ours in routes if ours}, rules, {route for route, ours in routes if not ours}


def converge(paths: Iterable[ReturnPath], purge: bool = True, persist: bool = True, check: bool = False) -> dict[str, Any]:
    """The module's result as a dict; LvsError where the kernel refuses something, or a routing table is another's."""
    want = plan.wanted(list(paths))
    with rtnetlink.opened() as net:
        routes, rules, others = read(net)
        there = routes, rules
        _check_tables(want[0], others)
        steps = plan.steps(want, there, purge)
        following = want if purge else plan.kept(want, there)
        lasts = lasting.Lasting(plan.UNIT_NAME, _texts(*following)) if persist else None
        changed = bool(steps or (lasts and lasts.something()))
        if changed and not check:
            if lasts:
                lasts.apply(lambda: _change(net, steps, want))
            else:
                _change(net, steps, want)
        after = following if check else read(net)[:2]
    stale = [
        {"address": rule.address, "protocol": rule.protocol, "first": rule.first, "last": rule.last}
        for rule in sorted(there[1])
        if rule not in want[1]
    ]
    return {
        "changed": changed,
        "steps": [_words(*step) for step in steps] + (lasts.steps if lasts else []),
        "stale": [] if purge else stale,
        "diff": {"before": _text(there), "after": _text(after)},
    }


# Of the networks for benchmarks (RFC 2544, RFC 5180): no viewer has such an address, and only a default route leads there.
FAR_AWAY = {4: "198.18.0.1", 6: "2001:2::1"}


def ways(addresses: Iterable[str]) -> dict[str, str | None]:
    """{own address: the gateway by which what a program sends from there to a viewer far away leaves}; None without a gateway."""
    out: dict[str, str | None] = {}
    with rtnetlink.opened() as net:
        for address in addresses:
            try:
                out[address] = policy.way_to(net, FAR_AWAY[6 if ":" in address else 4], address)[0]
            except LvsError:
                # No route, or no such address, which preflight reports by itself.
                out[address] = None
    return out


def _check_tables(routes: Iterable[Route], others: Iterable[Route]) -> None:
    tables = {route.table for route in routes}
    for other in sorted(others):
        if other.table in tables:
            raise LvsError(messages.ROUTING_TABLE_TAKEN(table=other.table, gateway=other.gateway))


def _words(verb: str, item: Route | Rule) -> str:
    return " ".join(["ip", *item.words(verb)])


def _text(state: tuple[Iterable[Route], Iterable[Rule]]) -> str:
    items: list[Route | Rule] = [*sorted(state[0]), *sorted(state[1])]
    return "".join(_words("add", item) + "\n" for item in items)


def _texts(routes: list[Route], rules: list[Rule]) -> dict[str, str | None]:
    starts = plan.commands(routes, rules, commands.find_command("ip") or "/usr/sbin/ip")
    unit = lasting.unit_text("return_path", "Answers of NAT services go through the director", starts) if rules else None
    networkd = plan.NETWORKD_TEXT if rules and os.path.isdir("/etc/systemd/network") else None
    return {lasting.UNIT_FOLDER + plan.UNIT_NAME: unit, plan.NETWORKD_CONF: networkd}


def _change(net: rtnetlink.Rtnetlink, steps: list[tuple[str, Route | Rule]], want: tuple[list[Route], list[Rule]]) -> None:
    done: list[str] = []
    try:
        for verb, item in steps:
            if isinstance(item, plan.Rule):
                policy.change_rule(net, verb, plan.OURS, plan.PRIORITY, item)
            else:
                policy.change_default_route(net, "replace" if verb == "add" else verb, plan.OURS, item.gateway, item.table)
            done.append(_words(verb, item))
    except LvsError as error:
        error.details = {"applied": done, "not_applied": [_words(*step) for step in steps[len(done) :]]}
        raise
    routes, rules, _others = read(net)
    missing: list[Route | Rule] = [route for route in want[0] if route not in routes]
    missing += [rule for rule in want[1] if rule not in rules]
    if missing:
        raise LvsError(messages.ROUTES_NOT_IN_FORCE(what="; ".join(_words("add", item) for item in missing)))
