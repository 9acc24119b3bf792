# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is said about health checks and about the programs that listen for services, by id. docs/messages/checks.md explains each."""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

LISTENER_HALF_PUBLISHED = Message(
    "listener-half-published",
    "%(service)s: a connection fails to %(failed)s, and no program here listens on port %(port)d: a rule of the packet filter, such as a "
    "published port, passes on what arrives for the other address; publish the port for both",
)
LISTENER_MISSING = Message(
    "listener-missing",
    "%(service)s: nothing listens on %(protocol)s port %(port)d; start the program that serves it, or check its log",
)
LISTENER_NAME_INVALID = Message(
    "listener-name-invalid", "must be one line of printable text, by which messages name the service, not %(value)s"
)
LISTENER_NOT_ON_OWN_ADDRESS = Message(
    "listener-not-on-own-address",
    "%(service)s: listens on %(bound)s only, and checks of the server's own address fail; bind to %(wildcard)s or to both",
)
LISTENER_NOT_ON_VIP = Message("listener-not-on-vip", "%(service)s: listens on %(bound)s only; bind to %(wildcard)s or the VIP")
LISTENER_OTHER_FAMILY = Message("listener-other-family", "%(own)s must be of the same address family as VIP %(vip)s")
LISTENER_PORT_MISSING = Message("listener-port-missing", "a port is required")
LISTENER_REFUSES = Message(
    "listener-refuses",
    "%(service)s: a program listens on %(bound)s, but a connection fails to %(failed)s; check this host's packet filter and the "
    "program's log",
)
LISTENER_SILENT = Message(
    "listener-silent",
    "%(service)s: a program listens on %(bound)s, but does not answer (%(why)s); check that it speaks %(type)s, and check this host's "
    "packet filter",
)
LISTENER_TYPE_OF_TCP = Message("listener-type-of-tcp", "only UDP programs are asked; leave it out, because for TCP a connection is enough")
