# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What playbooks, roles and templates need of module_utils/lvsdr, and nothing else."""

import copy
import functools
import glob
import os

import ansible.module_utils
import jinja2
import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

# Filters run in the controller's own process, which does not look into the project's module_utils by itself.
_here = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "module_utils"))
if _here not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_here)

from ansible.module_utils.lvsdr import places, spelling, text
from ansible.module_utils.lvsdr.directors import drains, holders, keepalived, nftables, parity, streamchecks
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import proofs, report, rollout
from ansible.module_utils.lvsdr.inventory import hosts, leaving, resolve, views
from ansible.module_utils.lvsdr.inventory.hosts import macs
from ansible.module_utils.lvsdr.streams import rehearsal
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


def inventory(hostvars, groups):
    """The inventory as module_utils/lvsdr/inventory take it, from Ansible's hostvars and groups.

    Facts are those that the preflight play registered as lvs_preflight, and of directors outside of --limit as lvs_others.
    """
    hosts_of, others, read, services = {}, {}, False, None
    specs = _specs()
    for host in groups.get("all", []):
        variables = hostvars[host]
        hosts_of[host] = made = _variables(host, variables, specs)
        others = others or {one.get("item"): one for one in (variables.get("lvs_others") or {}).get("results") or ()}
        facts = variables.get("lvs_preflight")
        read = read or facts is not None
        services = services or variables.get("virtual_services")
        if "interfaces" in (facts or {}):
            made["facts"] = facts
        elif (facts or {}).get("failed") and not facts.get("unreachable"):
            # It answers, so it is no dead host: nobody knows what a rollout would meet there.
            made["unread"] = facts.get("msg") or "the module failed"
    for host, facts in others.items():
        if "interfaces" in facts and "facts" not in hosts_of.get(host, {"facts": None}):
            hosts_of[host]["facts"] = facts
    made = {"groups": {name: list(members) for name, members in groups.items()}, "hosts": hosts_of, "read": read, "names": sorted(specs)}
    hosts.add_addresses(made, views.vips_in(services))
    return made


def _variables(host, variables, specs):
    """Of a host's variables those that are ours: the values that HOST_VARIABLES names, and what is wrong with names and types."""
    out, misfits = {}, {}
    for name in variables:
        if name not in specs and name not in hosts.HOST_VARIABLES:  # ansible_host is one of these
            continue
        value = variables[name]
        try:
            fault = _fault(value)
        except RecursionError:
            fault = "it holds itself, or is nested too deeply"
        if fault:
            misfits[name] = "its template can't be read: %s" % fault
            continue
        if name in hosts.HOST_VARIABLES:
            out[name] = value
        elif specs.get(name) and value is not None:
            found = ArgumentSpecValidator({name: specs[name]}).validate({name: copy.deepcopy(value)})
            if found.error_messages:
                misfits[name] = "; ".join(found.error_messages)
    unknown = sorted(name for name in variables if name.startswith(hosts.PREFIXES) and name not in specs)
    return {**out, **({"misfits": misfits} if misfits else {}), **({"unknown": unknown} if unknown else {})}


def _fault(value):
    """What is wrong with a template in a value, or None. In a filter Ansible gives what it could not read as an Undefined."""
    if isinstance(value, jinja2.Undefined):
        return str(getattr(value, "_undefined_message", None) or "it has an error").rpartition("was tripped: ")[2]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((fault for fault in map(_fault, inner) if fault), None)


@functools.lru_cache(maxsize=1)
def _specs():
    """{name: its argument spec} of every variable that a role declares or a playbook reads."""
    out = dict.fromkeys([*hosts.PLAYBOOK_VARIABLES, *(name for name in hosts.HOST_VARIABLES if name.startswith(hosts.PREFIXES))])
    for path in sorted(glob.glob(os.path.join(os.path.dirname(__file__), "..", "..", "roles", "*", "meta", "argument_specs.yml"))):
        with open(path, encoding="utf-8") as f:
            for entry in yaml.safe_load(f)["argument_specs"].values():
                for name, spec in entry["options"].items():
                    if name.startswith(hosts.PREFIXES):
                        out[name] = {key: value for key, value in spec.items() if key in ("type", "elements", "choices")}
    return out


def group_members(virtual_services, groups):
    """The hosts of all real_servers groups that exist, and the sorry servers, whatever else is wrong: those that preflight reads."""
    found = []
    for service in virtual_services if isinstance(virtual_services, list) else []:
        name, sorry = (service.get("real_servers"), service.get("sorry_server")) if isinstance(service, dict) else (None, None)
        members = list(groups.get(name, [])) if isinstance(name, str) else []
        if isinstance(sorry, str) and sorry in groups.get("all", []):
            members.append(sorry)
        found += [host for host in members if host not in found]
    return found


def _script_checks(virtual_services):
    """The checks that run a program on directors, as far as they can be told."""
    for service in virtual_services if isinstance(virtual_services, list) else []:
        check = service.get("health_check") if isinstance(service, dict) and service.get("state") != "absent" else None
        if isinstance(check, dict) and check.get("type") == "script":
            yield check


def scripts(virtual_services):
    """The programs that checks run on directors: those that preflight looks at."""
    return list(dict.fromkeys(check["path"] for check in _script_checks(virtual_services) if isinstance(check.get("path"), str)))


def accounts(virtual_services):
    """The accounts that these programs run as."""
    found = [check.get("user") or "nobody" for check in _script_checks(virtual_services)]
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))


def files_needed(virtual_services, directs, variables):
    """The files that a host has to have, as lvs_preflight takes them: on a director those of checks, and what its nginx needs."""
    found = {}
    if variables.get("streaming_server_kind") and variables.get("streaming_server_tls_listen"):
        for field, readers in (("certificate", "any"), ("certificate_key", "root")):
            if spelling.is_file(variables.get("streaming_server_" + field)):
                found[variables["streaming_server_" + field]] = readers
    if not directs:
        virtual_services = []
    for service in virtual_services if isinstance(virtual_services, list) else []:
        check = service.get("health_check") if isinstance(service, dict) and service.get("state") != "absent" else None
        for field in ("verify", "login_file") if isinstance(check, dict) else ():
            if spelling.is_file(check.get(field)):
                found[check[field]] = "root" if field == "login_file" else "all"
    return [{"path": path, "readers": readers} for path, readers in found.items()]


def modules_wanted(virtual_services):
    """The kernel modules that the declared services need, whatever else is wrong with them."""
    pairs = []
    for service in virtual_services if isinstance(virtual_services, list) else []:
        if isinstance(service, dict) and service.get("state") != "absent":
            persistence = service.get("persistence")
            pairs.append((service.get("scheduler") or "wlc", persistence.get("engine") if isinstance(persistence, dict) else None))
    return views.modules_of(pairs)


def changes(hostvars, hosts):
    """What a rollout has done on each host, in lines (module_utils/lvsdr/fleet/rollout.py)."""
    return rollout.changes({host: {name: hostvars[host].get(name) for name in rollout.REGISTERED} for host in hosts})


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
    return report.audit(views.director_vips(services), owners, macs(lvs_inventory), found)


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


def rehearsal_why_not(fault, hostvars):
    """Why a fault can't be rehearsed, in words; empty where it can."""
    if not fault["host"]:
        return "no director was powered off before"
    if fault.get("left_out"):
        return "left out on %s: %s" % (fault["host"], fault["left_out"])
    missing = [name for name in ("rehearse_power_off", "rehearse_power_on") if "power" in fault and name not in hostvars[fault["host"]]]
    return "left out: set %s for %s, commands on this machine" % (" and ".join(missing), fault["host"]) if missing else ""


def place(name):
    """A path on hosts, by its name in module_utils/lvsdr/places.py."""
    return getattr(places, name)


class FilterModule:
    def filters(self):
        functions = {
            "lvs_inventory": inventory,
            "lvs_group_members": group_members,
            "lvs_scripts": scripts,
            "lvs_accounts": accounts,
            "lvs_files": files_needed,
            "lvs_resolve": resolve.resolve,
            "lvs_preflight": rollout.preflight,
            "lvs_tables": views.tables,
            "lvs_vips": views.director_vips,
            "lvs_vips_of": views.vips_of_host,
            "lvs_drain_file": places.drain_file,
            "lvs_not_drainable": drains.not_drainable,
            "lvs_empty_without": drains.empty_without,
            "lvs_connections": drains.connections,
            "lvs_drained": drains.drained,
            "lvs_waiting": drains.waiting,
            "lvs_streamchecks": streamchecks.streamchecks,
            "lvs_vrrp_wrong": report.vrrp_wrong,
            "lvs_held_wrongly": holders.held_wrongly,
            "lvs_kernel_modules": views.kernel_modules,
            "lvs_streams": proofs.streams,
            "lvs_listeners": proofs.listeners_of,
            "lvs_udp_probes": proofs.udp_probes,
            "lvs_macs": hosts.macs,
            "lvs_interface": holders.interface_of,
            "lvs_holders": holders.holders,
            "lvs_holds_vip": holders.holds_vip,
            "lvs_parity": parity.parity,
            "lvs_vips_near": proofs.vips_near,
            "lvs_audit": audit,
            "lvs_status": status,
            "lvs_rehearsal_why_not": rehearsal_why_not,
            "lvs_rehearsal_row": rehearsal.row,
            "lvs_rehearsal_unplayable": rehearsal.unplayable,
            "lvs_rehearsal_table": rehearsal.table,
            "lvs_keepalived": keepalived.render,
            "lvs_keepalived_harmless": lambda _name: list(keepalived.HARMLESS),
            "lvs_turn": rollout.turn,
            "lvs_going": rollout.going,
            "lvs_undone": rollout.undone,
            "lvs_silent": rollout.silent,
            "lvs_taken": rollout.taken,
            "lvs_askers": proofs.askers,
            "lvs_stranger": proofs.stranger,
            "lvs_ready": rollout.ready,
            "lvs_changes": changes,
            "lvs_modules_wanted": modules_wanted,
            "lvs_still_served": rollout.still_served,
            "lvs_leaving": leaving.leaving_lines,
            "lvs_leaving_connections": leaving.leaving_connections,
            "lvs_sent_to": rollout.sent_to,
            "lvs_place": place,
            "lvs_digests": in_force.digests,
            "lvs_streamcheck_program": streamchecks.program,
            "lvs_setting": text.setting_text,
            "lvs_rules": nftables.render,
            "lvs_as_declared": lambda files, units, seen: not in_force.differs(files, units, seen),
            "lvs_vrrp_addresses": keepalived.vrrp_addresses,
        }
        return {name: _readable(function) for name, function in functions.items()}
