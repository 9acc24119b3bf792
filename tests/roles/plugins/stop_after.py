"""Ends ansible-playbook after so many tasks that changed something on a host, as a lost connection or a kill would: in the middle."""

import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: stop_after
type: notification
short_description: Ends a run in the middle
description: Counts results that changed a host, up to the environment variable LVSDR_STOP_AFTER, and ends the process then.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "stop_after"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.left = int(os.environ.get("LVSDR_STOP_AFTER") or 0)

    def v2_runner_on_ok(self, result):
        if self.left and result._result.get("changed"):
            self.left -= 1
            if not self.left:
                os._exit(99)
