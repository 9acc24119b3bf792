# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the kernel's refusals mean, and what to do about them. Pure."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from ansible.module_utils.lvsdr.addresses import endpoint
from ansible.module_utils.lvsdr.ipvs import messages
from ansible.module_utils.lvsdr.ipvs.plan import object_name
from ansible.module_utils.lvsdr.ipvs.types import destination_key

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.errors import Line
    from ansible.module_utils.lvsdr.ipvs.plan import Operation


class Failure(NamedTuple):
    """The kernel's answer to one request that failed."""

    place: int  # of the operation
    errno: int


# What an errno means whatever was requested.
MEANING = {
    errno.EPERM: messages.IPVS_NEEDS_ROOT,
    errno.ENOMEM: messages.KERNEL_OUT_OF_MEMORY,
    errno.EPROTONOSUPPORT: messages.KERNEL_WITHOUT_PROTOCOL,
    errno.EAFNOSUPPORT: messages.KERNEL_WITHOUT_IPV6,
    errno.EOPNOTSUPP: messages.KERNEL_TOO_OLD,
}
# What it means for one kind of object (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_sync.c).
MEANING_FOR = {
    "service": {
        errno.EEXIST: messages.ADDED_MEANWHILE,
        errno.ESRCH: messages.REMOVED_MEANWHILE,
        errno.ENOENT: messages.SCHEDULER_NOT_LOADED,
        errno.EINVAL: messages.SERVICE_REFUSED,
    },
    "destination": {
        errno.EEXIST: messages.ADDED_MEANWHILE,
        errno.ESRCH: messages.SERVICE_NOT_IN_TABLE,
        errno.ENOENT: messages.REMOVED_MEANWHILE,
        errno.ERANGE: messages.DESTINATION_OUT_OF_RANGE,
        errno.EINVAL: messages.DESTINATION_REFUSED,
    },
    "daemon": {
        errno.EEXIST: messages.ADDED_MEANWHILE,
        errno.ESRCH: messages.REMOVED_MEANWHILE,
        errno.ENODEV: messages.SYNC_INTERFACE_MISSING,
        errno.ENETUNREACH: messages.SYNC_INTERFACE_UNUSABLE,
        errno.EADDRNOTAVAIL: messages.SYNC_INTERFACE_SCOPE,
        errno.EINVAL: messages.SYNC_DAEMON_REFUSED,
    },
    "counters": {errno.ESRCH: messages.SERVICE_NOT_IN_TABLE},
    "timeouts": {errno.EINVAL: messages.TIMEOUT_REFUSED},
}


def refusal(what: str, number: int, operation: Operation | None = None) -> Line:
    """What an errno means in IPVS, for one operation or in general. what: begins the sentence, such as "Adding tcp 192.0.2.100:80"."""
    message = MEANING.get(number, messages.KERNEL_REFUSED)
    service = setting = None
    if operation is not None:
        message = MEANING_FOR.get(operation.verb.split("-")[1], {}).get(number, message)
        service, setting = operation.service, operation.setting
    # A message takes of these what it names.
    modules, commands = "", ""
    if service is not None:
        modules, commands = "scheduler %s" % service.scheduler, "`modprobe ip_vs_%s`" % service.scheduler
        if service.engine:
            modules += " or persistence engine %s" % service.engine
            commands += ", `modprobe ip_vs_pe_%s`" % service.engine
    return message(
        what=what, errno=errno.errorcode.get(number, number), why=os.strerror(number), modules=modules, commands=commands,
        interface=getattr(setting, "interface", ""),
    )  # fmt: skip


VERBS = {"add": "Adding", "set": "Changing", "delete": "Removing", "zero": "Zeroing"}


def failure_line(operation: Operation, failure: Failure) -> Line:
    """Operation, object, what the errno means there, and what to do."""
    name = object_name(operation)
    if operation.destination is not None:
        name = "destination %s of %s" % (endpoint(*destination_key(operation.destination)), name)
    return refusal("%s %s" % (VERBS[operation.verb.split("-")[0]], name), failure.errno, operation)
