# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What playbooks, roles and templates need of module_utils/lvsdr, and nothing else."""

import functools
import json
import os
import time

import ansible.module_utils
from ansible.errors import AnsibleFilterError

# In the checkout alone, up to the next blank line: the controller's own process does not look into module_utils by itself.
_here = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "module_utils"))
if _here not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_here)

from ansible.module_utils.lvsdr import places, text
from ansible.module_utils.lvsdr.directors import console, drains, forwarding, holders, keepalived, nftables, parity, streamchecks
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import autoscale, capacity, journal, proofs, report, report_page, rollout, spares, summary, upgrade
from ansible.module_utils.lvsdr.inventory import leaving, types, views
from ansible.module_utils.lvsdr.inventory.hosts import macs, on_links
from ansible.module_utils.lvsdr.proxies import drains as proxy_drains
from ansible.module_utils.lvsdr.proxies import findings, haproxy, waf
from ansible.module_utils.lvsdr.proxies import report as proxy_report
from ansible.module_utils.lvsdr.proxies import spares as proxy_spares
from ansible.module_utils.lvsdr.proxies import streamchecks as proxy_checks
from ansible.module_utils.lvsdr.system import in_force


def _readable(function):
    """An LvsError leaves a filter as a message, not as a traceback."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except LvsError as error:
            raise AnsibleFilterError(str(error)) from None

    return wrapper


def _resolved(function, place=0):
    """A filter that is given lvs.services or lvs.ready of the action lvs_resolve, in that place, for a function that takes a Resolved."""

    @functools.wraps(function)
    def wrapper(*args):
        return function(*args[:place], types.from_data(args[place]), *args[place + 1 :])

    return wrapper


def _services(function, place=0):
    """The same for a function that takes the services alone, without their checks."""

    @functools.wraps(function)
    def wrapper(*args):
        return function(*args[:place], args[place].services, *args[place + 1 :])

    return _resolved(wrapper, place)


def held_by_proxies(hostvars, hosts):
    """{proxy: what haproxy_info returned} of those that answered."""
    found = {host: hostvars[host].get("lvs_haproxy") for host in hosts}
    return {host: one for host, one in found.items() if one and "servers" in one}


def all_streamchecks(resolved, director, inventory, metrics_port=places.STREAMCHECK_PORT):
    """The configuration of lvsdr-streamcheck on a director, with what HAProxy on it asks."""
    found = streamchecks.streamchecks(resolved, director, inventory, metrics_port)
    more = proxy_checks.streamchecks(resolved, director, metrics_port)
    if not more["services"]:
        return found
    login_files = {**found["login_files"], **more["login_files"]}
    return {**found, "agent_port": more["agent_port"], "services": found["services"] + more["services"], "login_files": login_files}


def proxy_scale(resolved, hostvars, name, wanted):
    """Which spares behind the proxies of a service to wake and to park (fleet/spares.py), and on which proxies."""
    several, hosts = proxy_spares.as_services(resolved, name)
    infos = proxy_spares.infos(resolved, name, held_by_proxies(hostvars, hosts))
    return {**spares.plan(several, infos, name, wanted), "hosts": list(hosts)}


def proxy_waiting(resolved, hostvars, name):
    """Who does not take viewers on which proxy, though nobody has taken it out."""
    hosts = [host for host in proxy_spares.as_services(resolved, name)[1] if host in hostvars]
    return proxy_spares.waiting(resolved, name, held_by_proxies(hostvars, hosts))


def waf_report(hostvars, hosts):
    """What the WAFs of these proxies found, in lines."""
    several = [hostvars[host].get("lvs_waf_found") or {} for host in hosts]
    return findings.report(findings.merged(one.get("findings", []) for one in several), sum(one.get("unread", 0) for one in several))


def the_history(journal_text, count=20, hostvars=None, directors=()):
    return journal.history(journal.with_clicks(journal.entries(journal_text), hostvars or {}, directors), int(count))


def what_changed(hostvars, hosts):
    """What a rollout has changed on each host, and which connections that touched, in lines (module_utils/lvsdr/fleet/summary.py)."""
    return summary.summary({host: {name: hostvars[host].get(name) for name in summary.REGISTERED} for host in hosts})


def audit(hostvars, hosts, services, lvs_inventory):
    """The table of a fleet's audit (module_utils/lvsdr/fleet/report.py), from what the hosts registered as lvs_audit and lvs_gathered."""
    found = {}
    for host in hosts:
        variables = hostvars[host]
        found[host] = {
            "audit": (variables.get("lvs_audit") or {}).get("results"),
            "gathered": (variables.get("lvs_gathered") or {}).get("gathered"),
        }
    owners = macs(lvs_inventory, places.DIRECTORS)
    return report.audit(views.moving(services), owners, macs(lvs_inventory), found)


def status(hostvars, directors, services):
    """The table of what directors hold of real servers (module_utils/lvsdr/fleet/report.py), from what they registered as lvs_info."""
    found = {}
    for host in directors:
        variables = hostvars[host]
        info, facts = variables.get("lvs_info") or {}, variables.get("lvs_preflight") or {}
        found[host] = {
            "info": info if "services" in info else None,
            "active": holders.holds_vip(services, facts),
            "drained": drains.kept_in(facts),
            "vips": [str(address.ip) for address in on_links(facts)],
            "sent": sent((variables.get("report_state") or {}).get("json")),
        }
    return report.status(services, found)


def sent(state):
    """{(service, first VIP, server): bytes a second} of a console's state, or nothing without one."""
    services = state["services"] if isinstance(state, dict) else ()
    servers = [(service, one) for service in services for one in service["servers"]]
    return {(service["name"], service["vip"], one["name"]): one["out"] for service, one in servers if one["out"] is not None}


def static_page(hostvars, directors, services, inventory):
    """The page of a console from what directors registered as lvs_info, or as report_state where a console runs."""
    found = {}
    for host in directors:
        info = hostvars[host].get("lvs_info") or {}
        state = (hostvars[host].get("report_state") or {}).get("json")
        found[host] = {"info": info if "services" in info else None, "state": state if isinstance(state, dict) else None}
    return report_page.html(services, inventory, found, time.time())


def infos(hostvars, directors):
    """{director: what it registered as lvs_info, or where it has not, what preflight read of its table} of those that answered."""
    out = {}
    for host in directors:
        info, facts = hostvars[host].get("lvs_info") or {}, hostvars[host].get("lvs_preflight") or {}
        if "services" in info:
            out[host] = info
        elif facts.get("ipvs") is not None:
            out[host] = {"services": facts["ipvs"], "weight_files": drains.kept_in(facts)}
    return out


def chosen(hostvars, key):
    """What the fact lvs_upgrade of any host has under a key; None before there is one."""
    for host in hostvars:
        plan = hostvars[host].get("lvs_upgrade")
        if plan:
            return plan[key]
    return None


def with_facts(lvs_inventory, facts):
    """The inventory with other facts of some hosts. facts: {host: what lvs_preflight returned}."""
    hosts = {host: {**variables, "facts": facts.get(host, variables.get("facts"))} for host, variables in lvs_inventory["hosts"].items()}
    return {**lvs_inventory, "hosts": {host: {k: v for k, v in one.items() if v is not None} for host, one in hosts.items()}}


def autoscale_look(services, inventory, infos, hostvars, state):
    """One look of lvsdr-scale (module_utils/lvsdr/fleet/autoscale.py). hostvars: of real servers that registered lvs_devices."""
    devices = {host: (hostvars[host].get("lvs_devices") or {}).get("content") for host in inventory["hosts"]}
    try:
        before = json.loads(state)
    except ValueError:
        before = None
    return autoscale.look(services, inventory, infos, {host: text for host, text in devices.items() if text}, before, time.time())


def holding(services, facts):
    """The directors that hold a VIP. facts: {director: what lvs_preflight returned}; one that did not answer holds none that is known."""
    return [name for name, found in facts.items() if holders.holds_vip(services, found if "interfaces" in found else {})]


def waiting_as(info, services, name):
    """drains.waiting of one director's ipvs_info, under another name. For map()."""
    return drains.waiting(types.from_data(services).services, {name: info})


def held_wrongly(services, facts_by_director):
    """A line for each VIP that not exactly one of the directors that answered holds (module_utils/lvsdr/directors/holders.py)."""
    return holders.held_wrongly(services, {name: found for name, found in facts_by_director.items() if "interfaces" in found})


def place(name):
    """A path on hosts, by its name in module_utils/lvsdr/places.py."""
    return getattr(places, name)


FILTERS = {
    "lvs_tables": _resolved(lambda resolved: json.dumps(resolved.tables())),
    "lvs_vips": _services(views.director_vips),
    "lvs_drain_file": places.drain_file,
    "lvs_spare_file": places.spare_file,
    "lvs_weight_folders": drains.weight_folders,
    "lvs_not_drainable": _services(drains.not_drainable),
    "lvs_not_handed_over": _services(drains.not_handed_over),
    "lvs_empty_without": _services(drains.empty_without),
    "lvs_connections": _services(drains.connections),
    "lvs_undrained": _services(drains.undrained),
    "lvs_drained": _services(drains.drained),
    "lvs_waiting_as": waiting_as,
    "lvs_waiting": _services(drains.waiting),
    "lvs_streamchecks": _resolved(all_streamchecks),
    "lvs_report_page": _resolved(static_page, 2),
    "lvs_console": _resolved(console.console),
    "lvs_console_program": lambda _name: streamchecks.program(places.CONSOLE_PARTS),
    "lvs_proxy_info_program": lambda _name: streamchecks.program(places.PROXY_INFO_PARTS),
    "lvs_vrrp_wrong": _services(report.vrrp_wrong, 1),
    "lvs_held_wrongly": _services(held_wrongly),
    "lvs_holders": _services(holding),
    "lvs_kernel_modules": _resolved(views.kernel_modules),
    "lvs_streams": _services(proofs.streams),
    "lvs_udp_probes": _services(proofs.udp_probes),
    "lvs_macs": macs,
    "lvs_settings": _services(forwarding.settings),
    "lvs_ipvs_settings": _services(forwarding.ipvs_settings),
    "lvs_interface": _services(holders.interface_of),
    "lvs_holds_vip": _services(holders.holds_vip),
    "lvs_preempt_delay": _services(holders.preempt_delay),
    "lvs_parity": _resolved(parity.parity, 1),
    "lvs_vips_near": _services(proofs.vips_near),
    "lvs_audit": _services(audit, 2),
    "lvs_status": _services(status, 2),
    "lvs_keepalived": _resolved(keepalived.render),
    "lvs_keepalived_harmless": lambda _name: list(keepalived.HARMLESS),
    "lvs_turn": _resolved(rollout.turn),
    "lvs_undone": _services(rollout.undone),
    "lvs_silent": rollout.silent,
    "lvs_taken": rollout.taken,
    "lvs_summary": what_changed,
    "lvs_still_served": _services(rollout.still_served, 1),
    "lvs_leaving_connections": _services(leaving.leaving_connections),
    "lvs_sent_to": rollout.sent_to,
    "lvs_place": place,
    "lvs_digests": in_force.digests,
    "lvs_streamcheck_program": lambda _name: streamchecks.program(),
    "lvs_setting": text.setting_text,
    "lvs_rules": _resolved(nftables.render),
    "lvs_as_declared": lambda files, units, seen: not in_force.differs(files, units, seen),
    "lvs_vrrp_addresses": _services(keepalived.vrrp_addresses),
}
# What proxies need.
PROXIES = {
    "lvs_haproxy": _resolved(haproxy.render),
    "lvs_proxy_services": _resolved(lambda resolved, host: [one.name for one in haproxy.services_of(resolved, host)]),
    "lvs_proxy_checks": _resolved(proxy_checks.streamchecks),
    "lvs_proxy_drained": _resolved(proxy_checks.drained),
    "lvs_proxy_scale": _resolved(proxy_scale),
    "lvs_scaled_proxies": _resolved(lambda resolved, name: list(proxy_spares.as_services(resolved, name)[1])),
    "lvs_proxy_waiting": _resolved(proxy_waiting),
    "lvs_waf": _resolved(waf.files),
    "lvs_waf_report": waf_report,
    "lvs_behind_proxies": _resolved(proxy_drains.behind),
    "lvs_proxy_drain_refused": _resolved(proxy_drains.refused),
    "lvs_proxy_connections": lambda names, hostvars, hosts: proxy_drains.connections(names, held_by_proxies(hostvars, hosts).values()),
    "lvs_proxy_status": _resolved(lambda resolved, hostvars, hosts: proxy_report.status(resolved, held_by_proxies(hostvars, hosts))),
}
# What playbooks of a fleet that runs need.
OPERATIONS = {
    "lvs_server_streams": _resolved(proofs.server_streams),
    "lvs_refused": _services(capacity.refused),
    "lvs_scale": _services(spares.plan),
    "lvs_autoscale": _services(autoscale_look),
    "lvs_upgrade": _services(upgrade.plan),
    "lvs_upgrade_stopped": upgrade.standing,
    "lvs_numbers": _services(journal.numbers),
    "lvs_unfinished": lambda text, verb, what, event=journal.DONE: journal.unfinished(journal.entries(text), verb, what, event),
    "lvs_history": the_history,
    "lvs_joins": _services(rollout.joins),
    "lvs_infos": infos,
    "lvs_chosen": chosen,
    "lvs_with_facts": with_facts,
}


class FilterModule:
    def filters(self):
        return {name: _readable(function) for name, function in {**FILTERS, **PROXIES, **OPERATIONS}.items()}
