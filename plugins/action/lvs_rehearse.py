# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Does the steps of a rehearsal, which module_utils/lvsdr/fleet/rehearse.py decides; library/lvs_rehearse.py describes it."""

import json
import os
import time

import ansible.module_utils
from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleConnectionFailure, AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import action_loader, become_loader, connection_loader
from ansible.template import Templar

# In the checkout alone, up to the next blank line: the controller's own process does not look into module_utils by itself.
_here = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "module_utils"))
if _here not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_here)

from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import rehearse, scene
from ansible.module_utils.lvsdr.inventory import types

OPTIONS = {
    "services": {"type": "dict", "required": True},
    "inventory": {"type": "dict", "required": True},
    "service": {"type": "str"},
    "only": {"type": "list", "elements": "str"},
    "seconds": {"type": "int", "default": 25},
    "boot_seconds": {"type": "int", "default": 90},
    "confirmed": {"type": "bool", "default": False},
    "table": {"type": "path", "default": "build/rehearsal.json"},
}
# Variables that say something of a connection or of becoming another user.
CONNECTION_VARIABLES = {name for names in C.MAGIC_VARIABLE_MAPPING.values() for name in names}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _validated, options = self.validate_argument_spec(OPTIONS)
        self._hosts = Hosts(self, task_vars)
        self._table = options["table"]
        options.update(
            check_mode=self._task.check_mode,
            # Beside this run, which they are part of.
            player=["env", "ANSIBLE_INVENTORY=%s" % ",".join(task_vars["ansible_inventory_sources"])]
            + ["ansible-playbook", "-e", "run_beside=true"],
            playbooks=task_vars["playbook_dir"],
            folder=os.getcwd(),
        )
        try:
            of = scene.read(types.from_data(options["services"]), options["inventory"], task_vars["hostvars"], options)
            rows = self._all(rehearse.rehearse(of))
        except LvsError as error:
            return {"failed": True, "msg": str(error)}
        # They are long, so -v does not show them.
        return {"changed": bool(rows), "rehearsal": rows, "_ansible_verbose_override": True}

    def _all(self, steps):
        """Does all steps, and returns what they came to."""
        answer = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value
            try:
                answer = self._do(step)
            except Exception as error:  # whatever it is: what is broken is repaired, and the message tells it
                answer = {"failed": True, "msg": str(error)}

    def _do(self, step):
        if isinstance(step, rehearse.Run):
            if step.says:
                self._display.display(step.says)
            return self._hosts.run(step)
        if isinstance(step, rehearse.Clock):
            return {"now": time.monotonic()}
        if isinstance(step, rehearse.Wait):
            time.sleep(step.seconds)
        elif isinstance(step, rehearse.Say):
            for line in step.lines:
                self._display.display(line)
        elif isinstance(step, rehearse.Ask):
            return {"user_input": self._ask(step.prompt)}
        else:
            os.makedirs(os.path.dirname(os.path.abspath(self._table)), exist_ok=True)
            with open(self._table, "w", encoding="utf-8") as f:
                json.dump({"rehearsal": step.rows}, f, indent=4, sort_keys=True)
        return {}

    def _ask(self, prompt):
        try:
            return self._display.prompt_until(prompt + ": ").decode("utf-8", "replace").strip()
        except (AnsiblePromptInterrupt, AnsiblePromptNoninteractive):
            return ""


class Hosts:
    """Runs modules on any host of the inventory, with its own connection, user and interpreter, as a task of a play for that host does.

    Ansible has no call for this. What is used here are its loaders and the options of its plugins; what a play does with them is in
    ansible/executor/task_executor.py, whose own interface changes from release to release.
    """

    def __init__(self, action, task_vars):
        self.action = action
        self.task_vars = task_vars
        # With what Ansible finds out of a host, such as its interpreter.
        self.variables = {}

    def run(self, step):
        if step.host not in self.variables:
            hostvars = self.task_vars["hostvars"]
            self.variables[step.host] = {**hostvars.raw_get(step.host), "hostvars": hostvars, "groups": self.task_vars["groups"]}
        variables = self.variables[step.host]
        templar = Templar(loader=self.action._loader, variables=variables)
        task = self._task(step)
        connection, rest = self._connection(task, step.host, variables, templar)
        name = step.module if action_loader.has_plugin(step.module, collection_list=task.collections) else "ansible.legacy.normal"
        handler = action_loader.get(
            name, task=task, connection=connection, play_context=rest, loader=self.action._loader, templar=templar,
            shared_loader_obj=self.action._shared_loader_obj, collection_list=task.collections,
        )  # fmt: skip
        try:
            return handler.run(task_vars=variables)
        except AnsibleConnectionFailure as error:
            return {"unreachable": True, "msg": str(error)}
        finally:
            handler.cleanup()
            connection.close()

    def _task(self, step):
        """The rehearsal's own task, as one that runs the step's module."""
        own = self.action._task
        task = own.copy(exclude_parent=True, exclude_tasks=True)
        task._parent = own._parent
        task.action, task.args, task.async_val, task.poll = step.module, dict(step.args), step.background, 0
        task.no_log = own.no_log or step.hidden
        return task

    def _connection(self, task, host, variables, templar):
        """(connection, what of it is not yet an option of a plugin)."""

        def value(name, other=None):
            found = templar.template(variables[name]) if name in variables else None
            return other if found is None else found

        said = {name: value(name) for name in CONNECTION_VARIABLES if name in variables}
        rest = self.action._play_context.set_task_and_variable_override(task=task, variables=said, templar=templar)
        rest.remote_addr = value("ansible_host", host)
        # Not the task's: from 2.21 on that is the one to localhost by now.
        connection = connection_loader.get(value("ansible_connection", context.CLIARGS["connection"]), rest)
        become = boolean(value("ansible_become", task.become or False))
        connection.set_become_plugin(become_loader.get(value("ansible_become_method", task.become_method)) if become else None)
        keys = {**task.dump_attrs(), "timeout": rest.timeout}
        del keys["retries"]  # a task's are none of a connection
        keys.update({name: getattr(rest, name) for name in ("password", "become_pass") if getattr(rest, name)})
        for kind, plugin in (("connection", connection), ("shell", connection._shell), ("become", connection.become)):
            if plugin is not None:
                names = C.config.get_plugin_vars(kind, plugin._load_name)
                plugin.set_options(task_keys=keys, var_options={name: value(name) for name in names if name in variables})
        return connection, rest
