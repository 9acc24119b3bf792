# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of a host: read, written whole, and whether those that an inventory names can be used."""

from __future__ import annotations

import glob
import hashlib
import os
import pwd
import re
import stat
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.system import messages

if TYPE_CHECKING:
    from collections.abc import Iterable

# In the order in which one shadows a file of the same name in the next (sysctl.d(5)); the last is procps' own, applied after all.
SYSCTL_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
SYSCTL_CONF = "/etc/sysctl.conf"
# Not among them: ufw's own, which it gives to sysctl whenever it starts (ufw-framework(8)).
UFW_CONF, UFW_SYSCTL = "/etc/ufw/ufw.conf", "/etc/ufw/sysctl.conf"

# The argument spec of a file, of modules that take a list of them.
OPTIONS: dict[str, dict[str, Any]] = {
    "path": {"type": "str", "required": True},
    "readers": {"type": "str", "choices": ["any", "all", "root"], "default": "any"},
    "names": {"type": "list", "elements": "str"},
}


def sysctl_files(own: str) -> list[tuple[str, str]]:
    """[(path, text)] of the files of settings, in the order in which `sysctl --system` applies them, without our own."""
    found: dict[str, str] = {}
    for folder in SYSCTL_FOLDERS:
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if name.endswith(".conf"):
                found.setdefault(name, os.path.join(folder, name))
    # Debian links the one to the other.
    paths = [found[name] for name in sorted(found) if os.path.realpath(found[name]) not in (os.path.realpath(SYSCTL_CONF), own)]
    ufw = re.search("^ENABLED=[\"']?yes", read_text(UFW_CONF) or "", re.MULTILINE | re.IGNORECASE)
    return _texts([*paths, SYSCTL_CONF, *([UFW_SYSCTL] if ufw else [])])


def _texts(paths: Iterable[str]) -> list[tuple[str, str]]:
    """[(path, text)] of files of settings that can be read."""
    out = []
    for path in paths:
        try:
            with open(path, errors="replace") as f:
                out.append((path, f.read()))
        except OSError:
            continue  # a folder, gone meanwhile, or a link to nowhere: then it is not applied
    return out


# Where ifupdown, netplan, networkd and NetworkManager keep what they configure.
NETWORK_FILES = (
    "/etc/network/interfaces", "/etc/network/interfaces.d/*", "/etc/netplan/*.yaml", "/etc/systemd/network/*.network",
    "/etc/NetworkManager/system-connections/*", "/etc/sysconfig/network-scripts/ifcfg-*",
)  # fmt: skip


def network_files() -> list[tuple[str, str]]:
    """[(path, text)] of the files in which network managers keep addresses."""
    return _texts(sorted(path for pattern in NETWORK_FILES for path in glob.glob(pattern)))


def fingerprint(path: str) -> str | None:
    """SHA-256 of a file's content; None where it is missing or can't be read."""
    try:
        with open(path, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()
    except OSError:
        return None


def read_text(path: str) -> str | None:
    """A file's text, or None where it is missing or can't be read."""
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except OSError:
        return None


def release(path: str = "/etc/os-release") -> dict[str, str]:
    """{"id", "version"} of the distribution, such as debian and 12 (os-release(5)); empty where it says neither."""
    found = dict(line.partition("=")[::2] for line in (read_text(path) or "").splitlines())
    return {name: found.get(word, "").strip("\"'") for name, word in (("id", "ID"), ("version", "VERSION_ID"))}


def names_in(folder: str) -> list[str]:
    """The names of the files in a folder, sorted; none where there is no folder."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def account_problems(names: Iterable[str]) -> list[str]:
    """A sentence for each account that is missing; keepalived leaves a check out whose account it does not find."""
    out = []
    for name in dict.fromkeys(names):
        try:
            pwd.getpwnam(name)
        except KeyError:
            out.append(str(messages.ACCOUNT_MISSING(name=name)))
    return out


def script_problems(paths: Iterable[str]) -> list[str]:
    """A sentence for each program that keepalived can't, or had better not, run for a check."""
    out = []
    for path in dict.fromkeys(paths):
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            out.append(str(messages.SCRIPT_MISSING(path=path, why=error.strerror)))
            continue
        if not stat.S_ISREG(mode) or not mode & 0o111:
            out.append(str(messages.SCRIPT_NOT_EXECUTABLE(path=path)))
        # What keepalived's own enable_script_security checks: every folder on the path as well.
        place = os.path.realpath(path)
        while True:
            status = os.stat(place)
            sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
            if status.st_uid != 0 or (status.st_mode & 0o022 and not sticky):
                why = "belongs to uid %d" % status.st_uid if status.st_uid else "is writable by others than root"
                out.append(str(messages.SCRIPT_UNSAFE(path=path, place=place, why=why)))
            if place == "/":
                break
            place = os.path.dirname(place)
    return out


def file_problems(files: Iterable[dict[str, Any]]) -> list[str]:
    """A sentence for each file, {"path", "readers": any, all or root}, that can't be used, or that exposes a secret."""
    out = []
    for one in files:
        path = one["path"]
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            out.append(str(messages.FILE_UNREADABLE(path=path, why=error.strerror)))
            continue
        if not stat.S_ISREG(mode):
            out.append(str(messages.NOT_A_FILE(path=path)))
        elif one["readers"] == "root" and mode & 0o007:
            out.append(str(messages.FILE_WORLD_READABLE(path=path)))
        elif one["readers"] == "all" and not mode & 0o004:
            out.append(str(messages.FILE_NOT_FOR_STREAMCHECK(path=path)))
    return out


def forget(path: str) -> None:
    """Removes a file that may not be there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # what is wanted


def write_atomically(path: str, text: str, mode: int = 0o644) -> None:
    """Writes a file beside its place and moves it there: no program ever reads half of it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = path + ".new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as f:
        os.fchmod(f.fileno(), mode)
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.rename(new, path)
