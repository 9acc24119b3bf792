# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is said about programs, files, settings and units of a host, by id. docs/messages/system.md explains each."""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

ACCOUNT_MISSING = Message(
    "account-missing",
    "a check runs its program as %(name)s, and there is no such account; create it on every director, or name another user",
)
ADDRESS_WITHOUT_ROUTE = Message(
    "address-without-route",
    "%(address)s is on %(device)s, but after %(seconds)d s the kernel has no route of its own for it; run `ip link set %(device)s up`, and "
    "then again",
)
COMMAND_FAILED = Message("command-failed", "`%(command)s` failed: %(output)s")
COMMAND_NOT_RUN = Message("command-not-run", "%(command)s can't be run (%(why)s); install it on this host")
COMMAND_TIMED_OUT = Message(
    "command-timed-out",
    "`%(command)s` did not end within %(seconds)s s and was killed; run it by hand on this host to see what it waits for, then run again",
)
CERTIFICATE_REFUSED = Message(
    "certificate-refused", "%(path)s can't be used: %(why)s; put a PEM file with a certificate, its chain and its key there"
)
CERTIFICATE_EXPIRED = Message("certificate-expired", "%(path)s is valid from %(begins)s to %(ends)s; renew it, or set the clock")
CERTIFICATE_OF_OTHER_NAME = Message(
    "certificate-of-other-name", "%(path)s is not for %(name)s, which viewers ask for, but for: %(names)s; add a certificate of that name"
)
FILE_CHECKER_MISSING = Message("file-checker-missing", "%(command)s, which checks this file before it is written, is missing; install it")
FILE_NOT_FOR_STREAMCHECK = Message(
    "file-not-for-streamcheck", "%(path)s can't be read by lvsdr-streamcheck, which is not root; run `chmod a+r %(path)s`"
)
FILE_REFUSED = Message("file-refused", "%(command)s refuses it: %(why)s")
FILE_UNREADABLE = Message("file-unreadable", "%(path)s, which the inventory names, can't be read (%(why)s); put the file there")
FILE_WORLD_READABLE = Message("file-world-readable", "%(path)s holds a secret but every user may read it; run `chmod o= %(path)s`")
HOST_STEP_FAILED = Message("host-step-failed", "%(step)s failed: %(why)s; correct that and run again, which does the rest")
KERNEL_MODULE_MISSING = Message(
    "kernel-module-missing", "the kernel (%(release)s) has no module %(names)s; install a kernel image that ships IPVS"
)
NETWORK_CHANGES = Message(
    "network-changes",
    "%(attempt)s was interrupted %(times)d times, because the network of this host changes all the time; find out by what, and run again",
)
NETWORK_REFUSED = Message("network-refused", "%(attempt)s failed with %(errno)s (%(why)s); try it by hand on this host")
NOT_A_FILE = Message("not-a-file", "%(path)s, which the inventory names, is not a file; put a file there")
NOT_A_NAME = Message("not-a-name", "must be a name of printable characters that does not begin with -, not %(value)s")
PYROUTE2_MISSING = Message(
    "pyroute2-missing", "%(python)s has no pyroute2, by which lvsdr reads and changes the network; install python3-pyroute2"
)
RELOAD_NOT_TAKEN = Message(
    "reload-not-taken",
    "%(unit)s goes on with its former configuration, since it started no process with the new one within %(seconds)d s; its log says what "
    "it could not use, and a restart, which ends connections, may bring it",
)
ROOT_REQUIRED = Message("root-required", "%(what)s needs root; set `become: true` or connect as root")
SCRIPT_MISSING = Message("script-missing", "check script %(path)s can't be run (%(why)s); install it on every director")
SCRIPT_NOT_EXECUTABLE = Message("script-not-executable", "check script %(path)s is not executable; run `chmod 755 %(path)s`")
SCRIPT_UNSAFE = Message("script-unsafe", "check script %(path)s: %(place)s %(why)s; give it to root, and run `chmod go-w %(place)s`")
SYSCTL_NOT_KEPT = Message("sysctl-not-kept", "%(name)s was set to %(value)s but reads %(kept)s; the value is out of the kernel's range")
SYSCTL_NOT_SET = Message(
    "sysctl-not-set",
    "setting %(name)s to %(value)s failed (%(why)s); the value may be out of range, or a container may not be allowed to change it",
)
SYSCTL_UNKNOWN = Message("sysctl-unknown", "this kernel has no setting %(name)s; check the name, and whether its module is loaded")
SYSCTL_UNREADABLE = Message("sysctl-unreadable", "%(name)s can't be read (%(why)s)")
SYSTEMD_MISSING = Message(
    "systemd-missing", "systemd does not run here; use a host that boots with it, which lvsdr starts its services with"
)
UNIT_STEP_FAILED = Message(
    "unit-step-failed", "%(step)s failed: %(why)s; see `journalctl -u %(unit)s`, and run again, which continues from here"
)
