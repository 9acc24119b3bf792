# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Resolves the inventory, once for all hosts; library/lvs_resolve.py describes it."""

import copy
import functools
import glob
import os
import time
import uuid

import ansible.module_utils
import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

# In the checkout alone, up to the next blank line: the controller's own process does not look into module_utils by itself.
_here = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "module_utils"))
if _here not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_here)

from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import model, rollout
from ansible.module_utils.lvsdr.inventory import hosts, needs, types, views
from ansible.module_utils.lvsdr.system import certificates, files

# What the tasks of a rollout register on real servers.
REGISTERED = ("__real_server_vip", "__real_server_paths", "__real_server_endpoints")


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        boolean, names = {"type": "bool", "default": False}, {"type": "list", "elements": "str"}
        _validated, options = self.validate_argument_spec({"preflight": boolean, "postpone": boolean, "only": names, "without": names})
        # What a run began with holds to its end.
        before = task_vars["hostvars"].get("localhost", {}).get("lvs") or {}
        only, without = (before.get(name) if options[name] is None else options[name] for name in ("only", "without"))
        gone = set(without or ())
        groups = {name: [one for one in members if name == "all" or one not in gone] for name, members in task_vars["groups"].items()}
        try:
            declared, made, done = read(task_vars["hostvars"], groups)
            lacking = [host for host, variables in made["hosts"].items() if "lacks" in variables]
            if lacking and options["postpone"]:
                # As before anything was read: what is known of the others is half of what preflight needs.
                declared, made, done = read(task_vars["hostvars"], groups, with_facts=False)
            elif not task_vars["ansible_check_mode"]:
                # It could not be installed, or nobody tried.
                for host in lacking:
                    made["hosts"][host]["unread"] = made["hosts"][host].pop("lacks")
            if options["preflight"]:
                made["here"] = _files_here(declared)
            preflight = options["preflight"] and not (lacking and options["postpone"])
            out = model.model(declared, made, done, preflight, task_vars["ansible_play_hosts_all"], only)
            out.update(only=only, without=without, run=before.get("run") or uuid.uuid4().hex[:12], since=before.get("since") or time.time())
        except LvsError as error:
            return {"failed": True, "msg": str(error)}
        if options["postpone"]:
            out["lacking"] = lacking
        warnings = [] if options["postpone"] else rollout.not_looked_at(made)
        if preflight:
            warnings += rollout.doubtful(types.from_data(out["services"]))
        # It is long, so -v does not show it.
        return {"changed": False, "lvs": out, "warnings": warnings, "_ansible_verbose_override": True}


def _files_here(declared):
    """What is wrong with the certificates that come from this machine, as sentences."""
    wanted = [
        {"path": os.path.realpath(path), "readers": "root", "names": names} for path, names in needs.certificates_here(declared).items()
    ]
    return files.file_problems(wanted) + certificates.file_problems(wanted)


def read(hostvars, groups, with_facts=True):
    """(virtual_services, the inventory as module_utils/lvsdr/inventory takes it, {host: what a rollout has registered of it}).

    Facts are those that the preflight play registered as lvs_preflight, and of directors outside of --limit as lvs_others. A host that
    could not be read for want of something has ``lacks``, what that is.
    """
    hosts_of, others, done, services = {}, {}, {}, None
    was_read, specs = False, _specs()
    for host in groups.get("all", []):
        variables = hostvars[host]
        hosts_of[host] = made = _variables(host, variables, specs)
        others = others or {one.get("item"): one for one in (variables.get("lvs_others") or {}).get("results") or ()}
        facts = variables.get("lvs_preflight") if with_facts else None
        was_read = was_read or facts is not None
        services = services or variables.get("virtual_services")
        done[host] = {name: variables[name] for name in REGISTERED if name in variables}
        if "interfaces" in (facts or {}):
            made["facts"] = facts
        elif (facts or {}).get("failed") and not facts.get("unreachable"):
            # It answers, so it is not a dead host, and nothing is known of what a rollout would meet there.
            made["unread"] = facts.get("msg") or "the module failed"
        elif (facts or {}).get("lacks"):
            made["lacks"] = facts["lacks"]
    for host, facts in others.items() if with_facts else ():
        if "interfaces" in facts and "facts" not in hosts_of.get(host, {"facts": None}):
            hosts_of[host]["facts"] = facts
    made = {
        "groups": {name: list(members) for name, members in groups.items()}, "hosts": hosts_of, "read": was_read, "names": sorted(specs),
    }  # fmt: skip
    hosts.add_addresses(made, views.vips_in(services))
    return services or [], made, done


def _variables(host, variables, specs):
    """Of a host's variables those that are ours: the values that HOST_VARIABLES names, and what is wrong with the others (hosts.py)."""
    out, misfits, unreadable = {}, {}, {}
    for name in variables:
        if name not in specs and name not in hosts.HOST_VARIABLES:  # ansible_host is one of these
            continue
        value, why = _template(variables, name)
        if why:
            unreadable[name] = why
            continue
        if name in hosts.HOST_VARIABLES:
            out[name] = value
        elif specs.get(name) and value is not None:
            found = ArgumentSpecValidator({name: specs[name]}).validate({name: copy.deepcopy(value)})
            if found.error_messages:
                misfits[name] = "; ".join(found.error_messages)
    unknown = sorted(name for name in variables if name.startswith(hosts.PREFIXES) and name not in specs)
    faults = {"misfits": misfits, "unreadable": unreadable, "unknown": unknown}
    return {**out, **{kind: names for kind, names in faults.items() if names}}


def _template(variables, name):
    """(value, None) of a host's variable, or (None, what is wrong with its template)."""
    try:
        return variables[name], None
    except RecursionError:
        return None, "it contains itself, or is nested too deeply"
    except AnsibleError as error:
        return None, str(error)


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
