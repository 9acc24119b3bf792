# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the console refuses, by id. docs/messages/console.md explains each."""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

CONSOLE_CONFIGURATION_UNUSABLE = Message(
    "console-configuration-unusable", "%(path)s can't be used: %(why)s; the role director writes it, so run site.yml"
)
HELPER_SILENT = Message("helper-silent", "lvsdr-console-helper does not answer: %(why)s; see `journalctl -u lvsdr-console-helper`")

REQUEST_UNUSABLE = Message("request-unusable", "this is not a request: it takes verb, host, who and why, each a line of text")
NO_SUCH_VERB = Message("no-such-verb", "the console does not do this; it knows %(verbs)s")
REASON_MISSING = Message("reason-missing", "say why, in %(least)d to %(most)d characters: the next one on duty reads it")
NAME_MISSING = Message("name-missing", "say who you are, in at most %(most)d characters")
ACTIONS_OFF = Message("actions-off", "this console only shows; set director_console_actions: true and run site.yml, or use the playbooks")
TOO_MANY_ACTIONS = Message("too-many-actions", "that was the %(count)dth action within a minute; wait, or use the playbooks")
NOT_A_SERVER = Message("not-a-server", "%(host)s is not a real server of any service here")
NOT_A_SPARE = Message("not-a-spare", "%(host)s is not a spare; drain it instead")
NO_CHECK_OWNS_WEIGHT = Message(
    "no-check-owns-weight",
    "%(host)s can't be drained by a file: no health check owns its weight in %(services)s; declare one and run site.yml",
)
INVENTORY_DRAINS = Message("inventory-drains", "the inventory drains %(host)s; remove real_server_state: drained there and run site.yml")
NOTHING_TO_DO = Message("nothing-to-do", "%(host)s is %(state)s already")
LAST_SERVER = Message("last-server", "%(host)s is the last server of %(service)s that takes viewers; bring another one back first")
UNDER_FLOOR = Message(
    "under-floor", "without %(host)s only %(left)d servers of %(service)s are left, and its floor is %(floor)d; wake a spare first"
)
PEER_DID_NOT = Message(
    "peer-did-not",
    "%(director)s did not do it (%(why)s): the directors differ until playbooks/%(verb)s or the next rollout makes them equal",
)
