# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the machine of the lab has, and which of its processes is which."""

import contextlib
import os
import time

try:
    from pyroute2 import IPRoute, NetlinkError, netns

    HAS_PYROUTE2 = True
except ImportError:
    HAS_PYROUTE2 = False


def cgroup2():
    """Mount point of the cgroup2 hierarchy, where all processes of a host are kept together."""
    with open("/proc/mounts") as mounts:
        for line in mounts:
            if line.split()[2] == "cgroup2":
                return line.split()[1]
    return None


def kvm_works():
    """/dev/kvm alone proves nothing: on a CPU without vmx and svm a guest dies at its first instructions."""
    with open("/proc/cpuinfo") as cpuinfo:
        flags = set(cpuinfo.read().split())
    if not flags & {"vmx", "svm"}:
        return False
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def routing(namespace):
    """pyroute2's IPRoute in a network namespace."""
    # 0.7 knows no IPRoute(netns=…): this thread goes there for the moment in which the socket is made, which stays there.
    with open("/proc/thread-self/ns/net") as home, open("/run/netns/" + namespace) as there:
        netns.setns(there.fileno())
        try:
            route = IPRoute()
        finally:
            netns.setns(home.fileno())
    with route:
        yield route


def unplug(namespace, links):
    """These links of a namespace go, those that are there."""
    if not os.path.exists("/run/netns/" + namespace):
        return
    with routing(namespace) as route:
        for link in links:
            for index in route.link_lookup(ifname=link):
                with contextlib.suppress(NetlinkError):  # somebody else was faster
                    route.link("del", index=index)


def started_at(pid):
    """Kernel start time of a process: with the pid it identifies one process permanently, also after the pid is used again."""
    try:
        with open("/proc/%d/stat" % pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] == "Z" else fields[19]


def forget_cgroup(cgroup):
    """Removes what is left of the cgroup's tree.

    A cgroup remembers that it was killed (kill_seq, kernel/cgroup/cgroup.c), and newer systemd starts programs right in theirs: in a
    cgroup that it has just made they would be killed at once, for not remembering the same as the one that systemd itself is in.
    """
    for folder, _folders, _files in os.walk(cgroup, topdown=False):
        for _attempt in range(100):
            try:
                os.rmdir(folder)
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.1)
