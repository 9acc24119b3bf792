# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the kernel's refusals mean, and what to do about them. Pure."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from ansible.module_utils.lvsdr.addresses import endpoint
from ansible.module_utils.lvsdr.ipvs.plan import object_name
from ansible.module_utils.lvsdr.ipvs.types import destination_key

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.ipvs.plan import Operation


class Failure(NamedTuple):
    """The kernel's answer to one request that failed."""

    place: int  # of the operation
    errno: int


SOMEONE_ELSE = "someone else is changing this table; run again"
# What an errno means whatever was asked.
MEANING = {
    errno.EPERM: ("root is needed", "set `become: true`"),
    errno.ENOMEM: ("the kernel is out of memory", "free memory on this director"),
    errno.EPROTONOSUPPORT: ("the kernel was built without this protocol or tunnel", "choose another"),
    errno.EAFNOSUPPORT: ("the kernel was built without IPv6 for IPVS", "load ipv6, or leave IPv6 services out"),
    errno.EOPNOTSUPP: ("the kernel does not know this", "a newer kernel may"),
    errno.EINVAL: ("the kernel takes no such combination", "see the values above, and `dmesg` on this director"),
}
# What it means to one kind of object (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_sync.c).
MEANING_FOR = {
    "service": {
        errno.EEXIST: ("it is there already", SOMEONE_ELSE),
        errno.ESRCH: ("there is no such service", SOMEONE_ELSE),
        errno.ENOENT: (
            "scheduler {scheduler}{engine} can't be loaded",
            "see that the kernel module is installed (`modprobe ip_vs_{scheduler}`), then run again",
        ),
        errno.EINVAL: ("the kernel takes no such combination", "see whether family, netmask and scheduler fit together"),
    },
    "destination": {
        errno.EEXIST: ("it is there already", SOMEONE_ELSE),
        errno.ESRCH: ("there is no such service", "see why the service is missing; " + SOMEONE_ELSE),
        errno.ENOENT: ("it is not there", SOMEONE_ELSE),
        errno.ERANGE: ("a weight or threshold is out of range", "a lower threshold may not exceed the upper one"),
        errno.EINVAL: (
            "the kernel takes no such combination",
            "a destination of the other family needs a tunnel, and no sync daemon may run (`ipvsadm -Ln --daemon`)",
        ),
    },
    "daemon": {
        errno.EEXIST: ("one runs already", SOMEONE_ELSE),
        errno.ESRCH: ("none runs", SOMEONE_ELSE),
        errno.ENODEV: ("there is no interface {interface}", "name one of `ip link`, in state up"),
        errno.ENETUNREACH: ("interface {interface} is down, or has no address of the group's family", "set it up, or choose another"),
        errno.EADDRNOTAVAIL: (
            "interface {interface} has no address of the group's scope",
            "with only a link-local IPv6 address, choose a link-local group (ff02::/16)",
        ),
        errno.EINVAL: ("the kernel takes no such daemon", "no destination may be of another family than its service while one runs"),
    },
    "counters": {errno.ESRCH: ("there is no such service", "see why the service is missing; " + SOMEONE_ELSE)},
    "timeouts": {errno.EINVAL: ("a timeout is out of range", "1 to 2147483 seconds are possible")},
}


def explain(number: int, operation: Operation | None = None) -> tuple[str, str]:
    """(what an errno means in IPVS, what to do about it), for one operation or in general."""
    meaning, hint = MEANING.get(number, (os.strerror(number), "see `dmesg` on this director"))
    if operation is None:
        return meaning, hint
    meaning, hint = MEANING_FOR.get(operation.verb.split("-")[1], {}).get(number, (meaning, hint))
    service, setting = operation.service, operation.setting
    words = {
        "scheduler": service.scheduler if service else "",
        "engine": " or persistence engine %s" % service.engine if service and service.engine else "",
        "interface": getattr(setting, "interface", ""),
    }
    return meaning.format(**words), hint.format(**words)


VERBS = {"add": "Adding", "set": "Changing", "delete": "Removing", "zero": "Zeroing"}


def failure_sentence(operation: Operation, failure: Failure) -> str:
    """Operation, object, what the errno means there, and what to do."""
    name = object_name(operation)
    if operation.destination is not None:
        name = "destination %s of %s" % (endpoint(*destination_key(operation.destination)), name)
    meaning, hint = explain(failure.errno, operation)
    what = VERBS[operation.verb.split("-")[0]]
    return "%s %s failed (%s): %s; %s" % (what, name, errno.errorcode.get(failure.errno, failure.errno), meaning, hint)
