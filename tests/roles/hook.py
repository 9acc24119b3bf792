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
