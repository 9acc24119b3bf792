# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is said about the routes of a real server; docs/messages/routes.md explains each id."""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

FAMILIES_DIFFER = Message("families-differ", "gateway %(gateway)s and address %(address)s are of two families; give both of one")
PORTS_REVERSED = Message("ports-reversed", "the last port, %(last)d, is below the first, %(first)d; swap them")
ROUTING_TABLE_TAKEN = Message(
    "routing-table-taken",
    "routing table %(table)d of this host has a default route through %(gateway)s that is not lvsdr's; use another table for it",
)
ROUTES_NOT_IN_FORCE = Message("routes-not-in-force", "the kernel has not taken: %(what)s; nothing else was undone, run it again")
COUNTER_NAME_UNUSABLE = Message(
    "counter-name-unusable", "%(value)s can't be the name of a counter; it begins with a letter, and has letters, digits and _"
)
