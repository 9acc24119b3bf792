# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes a line into the journal on the controller; library/lvs_journal.py describes it."""

import datetime
import getpass
import os
import platform

import ansible.module_utils
from ansible.plugins.action import ActionBase

# In the checkout alone, up to the next blank line: the controller's own process does not look into module_utils by itself.
_here = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "module_utils"))
if _here not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_here)

from ansible.module_utils.lvsdr.fleet import journal, messages

OPTIONS = {
    "event": {"type": "str", "choices": list(journal.EVENTS), "required": True},
    "verb": {"type": "str", "required": True},
    "what": {"type": "str", "default": ""},
    "run": {"type": "str", "required": True},
    "item": {"type": "str"},
    "result": {"type": "str"},
    "numbers": {"type": "dict"},
    "required": {"type": "bool", "default": False},
    "path": {"type": "path", "default": "/var/log/lvsdr/journal.jsonl"},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _validated, options = self.validate_argument_spec(OPTIONS)
        path, must = options.pop("path"), options.pop("required")
        at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        line = journal.line(at, _user(), platform.node(), options)
        out = {"changed": False, "path": path}
        if self._task.check_mode:
            return out
        try:
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            # One write of a line at its end: others may write at the same time.
            with open(path, "ab", buffering=0) as f:
                f.write(line.encode())
        except OSError as error:
            why = str(messages.JOURNAL_UNWRITABLE(path=path, why=error.strerror))
            if must:
                return {**out, "failed": True, "msg": why}
            # Said once.
            return {**out, "warnings": [why] if options["event"] == "begun" else []}
        return out


def _user():
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return str(os.getuid())
