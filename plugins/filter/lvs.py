# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What playbooks, roles and templates need of module_utils/lvsdr, and nothing else."""

import functools
import json
import os

import ansible.module_utils
from ansible.errors import AnsibleFilterError

# In the checkout alone, up to the next blank line: the controller's own process does not look into module_utils by itself.
_here = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "module_utils"))
if _here not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_here)

from ansible.module_utils.lvsdr import places, text
from ansible.module_utils.lvsdr.directors import drains, forwarding, holders, keepalived, nftables, parity, streamchecks
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import proofs, report, rollout, summary
from ansible.module_utils.lvsdr.inventory import leaving, types, views
from ansible.module_utils.lvsdr.inventory.hosts import macs
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
            "drained": sorted((facts.get("seen") or {}).get("folders", {}).get(places.DRAINED_KEPT) or ()),
        }
    return report.status(services, found)


def place(name):
    """A path on hosts, by its name in module_utils/lvsdr/places.py."""
    return getattr(places, name)


class FilterModule:
    def filters(self):
        functions = {
            "lvs_tables": _resolved(lambda resolved: json.dumps(resolved.tables())),
            "lvs_vips": _services(views.director_vips),
            "lvs_drain_file": places.drain_file,
            "lvs_not_drainable": _services(drains.not_drainable),
            "lvs_empty_without": _services(drains.empty_without),
            "lvs_connections": _services(drains.connections),
            "lvs_drained": _services(drains.drained),
            "lvs_waiting": _services(drains.waiting),
            "lvs_streamchecks": _resolved(streamchecks.streamchecks),
            "lvs_vrrp_wrong": _services(report.vrrp_wrong, 1),
            "lvs_held_wrongly": _services(holders.held_wrongly),
            "lvs_kernel_modules": _resolved(views.kernel_modules),
            "lvs_streams": _services(proofs.streams),
            "lvs_udp_probes": _services(proofs.udp_probes),
            "lvs_macs": macs,
            "lvs_settings": _services(forwarding.settings),
            "lvs_ipvs_settings": _services(forwarding.ipvs_settings),
            "lvs_interface": _services(holders.interface_of),
            "lvs_holds_vip": _services(holders.holds_vip),
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
        return {name: _readable(function) for name, function in functions.items()}
