# Runs inside a module that speaks to the kernel's IPVS, before its main(): the kernel in memory stands in, kept between calls in a file.
import os
import pickle
import sys

sys.path.insert(0, os.environ["LVSDR_TESTS"])
from ansible.module_utils.lvsdr.ipvs import kernel
from ansible.module_utils.lvsdr.system import sysctl
from fakes.kernel import Kernel as _Kernel

_TABLE = "/run/standin/table"


def _load():
    try:
        with open(_TABLE, "rb") as f:
            return pickle.load(f)
    except FileNotFoundError:
        return _Kernel()


def _save():
    import atexit

    def write():
        os.makedirs(os.path.dirname(_TABLE), exist_ok=True)
        with open(_TABLE + ".new", "wb") as f:
            pickle.dump(_there, f)
        os.rename(_TABLE + ".new", _TABLE)

    atexit.register(write)


_there = _load()
_there.open_sockets = 0
_save()
kernel.connect = _there.connect
_path_of = sysctl.path_of
sysctl.path_of = lambda name: "/run/standin/" + name if name.startswith("net/ipv4/vs") else _path_of(name)
_exists = os.path.exists
os.path.exists = lambda path: path == "/proc/net/ip_vs" or _exists(path)


def _follow():
    """keepalived's part, where a test asks for it: each server that it checks is alive, and has its weight unless a file takes it."""
    import re

    with open("/etc/keepalived/keepalived.conf") as f:
        blocks = re.findall(r"^    real_server (\S+) \d+ \{\n(.*?)^    \}", f.read(), re.M | re.S)
    weights = {}
    for address, inner in blocks:
        if "TCP_CHECK" in inner:
            taken = any(_exists("/run/lvsdr/drained/" + name) for name in re.findall(r"track_file (\S+)", inner))
            weights[address] = 0 if taken else int(re.search(r"weight (\d+)", inner)[1])
    for name, service in _there.services.items():
        for one in service.destinations.values() if not name.startswith("fwmark") else ():
            one.weight = weights.get(one.address, one.weight)


if _exists("/run/standin/follow") and _exists("/etc/keepalived/keepalived.conf"):
    _follow()
