"""Builds modules with their arguments as the controller sends them to a host, into build/payloads: what bench.py runs in the guest."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# The order is Ansible's own: plugin loading before module building.
import ansible.module_utils

ansible.module_utils.__path__.append(str(ROOT / "module_utils"))

from ansible.plugins.loader import init_plugin_loader, module_utils_loader

init_plugin_loader()
module_utils_loader.add_directory(str(ROOT / "module_utils"))

from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

# What the controller adds to a task's arguments (ansible.plugins.action, _update_module_args).
INTERNAL = {
    "_ansible_check_mode": False, "_ansible_debug": False, "_ansible_diff": False, "_ansible_ignore_unknown_opts": False,
    "_ansible_keep_remote_files": False, "_ansible_no_log": False, "_ansible_remote_tmp": "/tmp", "_ansible_selinux_special_fs": [],
    "_ansible_shell_executable": "/bin/sh", "_ansible_socket": None, "_ansible_syslog_facility": "LOG_USER", "_ansible_tmpdir": None,
    "_ansible_target_log_info": None, "_ansible_tracebacks_for": [], "_ansible_verbosity": 0, "_ansible_version": "2.19",
}  # fmt: skip


def services(number, destinations):
    return [
        {
            "address": "198.51.100.%d" % (1 + n % 250),
            "port": 1000 + n,
            "scheduler": "wlc",
            "destinations": [{"address": "192.0.2.%d" % d, "weight": 10} for d in range(1, 1 + destinations)],
        }
        for n in range(number)
    ]


def build(name, path, arguments):
    built = modify_module(
        module_name=path.stem,
        module_path=str(path),
        module_args={**arguments, **INTERNAL, "_ansible_module_name": path.stem},
        templar=Templar(DataLoader()),
        task_vars={"ansible_python_interpreter": sys.executable},
        module_compression="ZIP_DEFLATED",
    )
    (ROOT / "build/payloads" / (name + ".py")).write_bytes(built.b_module_data)


def main():
    (ROOT / "build/payloads").mkdir(parents=True, exist_ok=True)
    table, bare = ROOT / "library/ipvs_table.py", ROOT / "tests/kernel/bare.py"
    for size, declared in (("small", services(10, 3)), ("large", services(1000, 10))):
        build("table_" + size, table, {"services": json.dumps(declared)})
        build("bare_" + size, bare, {"services": json.dumps(declared)})
        (ROOT / "build/payloads" / (size + ".json")).write_text(json.dumps(declared))


if __name__ == "__main__":
    main()
