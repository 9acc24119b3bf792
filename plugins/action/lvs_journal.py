# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes a line into the journal on the controller; library/lvs_journal.py describes it."""

import datetime
import getpass
import json
import math
import os
import platform

import ansible.module_utils
from ansible.plugins.action import ActionBase

# In the checkout alone, up to the next blank line: the controller's own process does not look into module_utils by itself.
_here = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "module_utils"))
if _here not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_here)

from ansible.module_utils.lvsdr.fleet import journal, messages
from ansible.module_utils.lvsdr.system import processes

OPTIONS = {
    "event": {"type": "str", "choices": list(journal.EVENTS), "required": True},
    "verb": {"type": "str", "required": True},
    "what": {"type": "str", "default": ""},
    "run": {"type": "str", "required": True},
    "item": {"type": "str"},
    "result": {"type": "str"},
    "numbers": {"type": "dict"},
    "fleet": {"type": "list", "elements": "str"},
    "alone": {"type": "bool", "default": False},
    "since": {"type": "float"},
    "required": {"type": "bool", "default": False},
    "path": {"type": "path", "default": "/var/log/lvsdr/journal.jsonl"},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _validated, options = self.validate_argument_spec(OPTIONS)
        path, must, alone = (options.pop(name) for name in ("path", "required", "alone"))
        since = options.pop("since") or math.inf
        # The process that forks one worker after the other, this one among them.
        lineage = processes.lineage()[1:]
        if options["event"] == journal.BEGUN and lineage:
            options["process"] = lineage[0]
        out = {"changed": False, "path": path}
        if self._task.check_mode:
            return out
        try:
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            mine = self._write(path, options)
            found = _read(path) if alone else []
        except OSError as error:
            why = str(messages.JOURNAL_UNWRITABLE(path=path, why=error.strerror))
            if must:
                return {**out, "failed": True, "msg": why}
            # Said once.
            return {**out, "warnings": [why] if options["event"] == journal.BEGUN else []}
        other = journal.beside(found, mine, lineage, processes.is_alive, since)
        if other is None:
            return out
        self._write(path, {**options, "event": journal.REFUSED})
        begun, runs = other
        what = ("%s %s" % (begun["verb"], begun["what"])).strip()
        pid = str(begun.get("process")).partition(" ")[0]
        message = messages.RUN_IN_PROGRESS if runs else messages.RUN_MEANWHILE
        return {**out, "failed": True, "msg": str(message(what=what, by=begun["by"], at=begun["at"], process=pid))}

    @staticmethod
    def _write(path, options):
        """The line, after one write of it at the end: others may write at the same time."""
        at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        line = journal.line(at, _user(), platform.node(), options)
        with open(path, "ab", buffering=0) as f:
            f.write(line.encode())
        return json.loads(line)


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return journal.entries(f.read())


def _user():
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return str(os.getuid())
