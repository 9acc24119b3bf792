# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The settings of directors. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import messages as common
from ansible.module_utils.lvsdr.errors import LvsError, Problems, shown
from ansible.module_utils.lvsdr.inventory import messages, paths
from ansible.module_utils.lvsdr.ipvs.declare import read_timeouts
from ansible.module_utils.lvsdr.ipvs.types import Timeouts
from ansible.module_utils.lvsdr.places import CONSOLE_PORT, DIRECTORS, STREAMCHECK_PORT
from ansible.module_utils.lvsdr.reader import Reader
from ansible.module_utils.lvsdr.spelling import LABEL_SIGNS, LONGEST_NAME, is_file, is_host_name, is_label
from ansible.module_utils.lvsdr.system.sysctl import AUTOMATIC
from ansible.module_utils.lvsdr.text import did_you_mean, setting_text, whole_number

if TYPE_CHECKING:
    from ansible.module_utils.lvsdr.inventory.types import Inventory

VIRTUAL_ROUTER_ID, PRIORITY = 51, 100
MAX_CONNECTIONS = 1 << 31
INTERFACE = "[A-Za-z0-9._@:+-]{1,15}"


def read_director(inventory: Inventory, director: str, problems: Problems) -> dict[str, Any]:
    """A director's settings, as numbers, booleans and text; ``interface`` is None where none is declared. Errors go to problems."""
    variables = inventory["hosts"].get(director, {})
    values = Reader(problems, paths.of_host(director), variables)
    if not is_label(director) or " " in director:
        values.wrong("", messages.NOT_A_ROUTER_ID(value=shown(director), longest=LONGEST_NAME, signs=LABEL_SIGNS))
    interface = values.get("director_interface")
    if interface is not None and (not isinstance(interface, str) or not re.fullmatch(INTERFACE, interface) or interface == "lo"):
        values.wrong("director_interface", messages.NOT_A_VIP_INTERFACE(value=shown(interface)))
        interface = None
    read: dict[str, Any] = {
        "interface": interface,
        "advertisement_interval": values.seconds("director_advertisement_interval", 0.2, 0.01, 40),
        "timeouts": read_timeouts(values.get("director_timeouts"), problems, values.path + ".director_timeouts"),
        "sysctls": _read_sysctls(values, variables.get("facts") or {}),
        "max_cut_connections": values.integer("director_max_cut_connections", 0, 0, MAX_CONNECTIONS),
        "drain_seconds": values.integer("director_drain_seconds", 300, 0, 86400, " seconds"),
        "metrics_port": values.integer("director_streamcheck_metrics_port", STREAMCHECK_PORT, 0, 65535),
        "streamcheck_install": values.boolean("director_streamcheck_install", True),
    }
    read["console"] = _read_console(values, len(inventory["groups"].get(DIRECTORS) or ()))
    for name in ("preempt", "unicast"):
        read[name] = values.boolean("director_" + name, True)
    return read


def _read_console(values: Reader, directors: int) -> dict[str, Any]:
    """Whether the console runs, and what it may do. directors: how many there are."""
    read: dict[str, Any] = {
        "on": values.boolean("director_console", False),
        "port": values.integer("director_console_port", CONSOLE_PORT, 1024, 65535),
        "actions": values.boolean("director_console_actions", False),
        "install": values.boolean("director_console_install", True),
        "names": values.list("director_console_names"),
    }
    for name in read["names"]:
        if not is_host_name(name):
            values.wrong("director_console_names", messages.NOT_A_CONSOLE_NAME(value=shown(name)))
    key_file = values.get("director_console_key_file") or ""
    if key_file and not is_file(key_file):
        values.wrong("director_console_key_file", messages.NOT_A_KEY_FILE(value=shown(key_file)))
    elif read["on"] and read["actions"] and directors > 1 and not key_file:
        values.wrong("director_console_key_file", messages.CONSOLE_KEY_MISSING())
    return read


def _read_sysctls(values: Reader, facts: dict[str, Any]) -> dict[str, str]:
    """{name: text} of director_sysctls; where the director has been read, names must be in its kernel's own list."""
    declared = values.get("director_sysctls", {})
    if not isinstance(declared, dict):
        values.wrong("director_sysctls", common.NOT_A_DICTIONARY_LIKE(example="{conntrack: 0}", value=shown(declared)))
        return {}
    # It is empty before ip_vs is loaded.
    known = facts.get("settings") or ()
    out: dict[str, str] = {}
    for name, value in declared.items():
        path = "director_sysctls.%s" % (name if isinstance(name, str) else shown(name))
        if name not in SETTINGS and name not in known:
            values.wrong(path, messages.IPVS_SETTING_UNKNOWN(near=did_you_mean(name, SETTINGS)))
        elif known and name not in known:
            values.wrong(path, messages.IPVS_SETTING_NOT_IN_KERNEL())
        else:
            try:
                out[name] = setting_text(value)
            except LvsError as error:
                values.wrong(path, error.line)
                continue
            _check_setting(values, path, name, out[name])
    return out


def _check_setting(values: Reader, path: str, name: str, text: str) -> None:
    limits = SETTINGS.get(name)
    if limits is None:  # text, or a setting of a newer kernel
        if name == "est_cpulist" and not re.fullmatch(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*", text):
            values.wrong(path, messages.NOT_A_CPU_LIST(value=shown(text)))
        return
    low, high, count = limits
    words = text.split()
    numbers = [number for number in map(whole_number, words) if number is not None]
    if len(words) != count or len(numbers) != count:
        one, several = common.NOT_A_WHOLE_NUMBER(value=shown(text)), messages.NOT_WHOLE_NUMBERS(count=count, value=shown(text))
        values.wrong(path, one if count == 1 else several)
    elif not all(low <= number <= high for number in numbers):
        values.wrong(path, common.OUT_OF_RANGE(low=low, high=high, unit="", value=text))
    # ip_vs_ctl.c: proc_do_sync_threshold and proc_do_sync_ports.
    elif name == "sync_threshold" and numbers[1] and numbers[0] >= numbers[1]:
        values.wrong(path, messages.SYNC_THRESHOLD_ORDER(value=text))
    elif name == "sync_ports" and numbers[0] & (numbers[0] - 1):
        values.wrong(path, messages.NOT_A_POWER_OF_TWO(value=text))


# These follow from a host's memory and processors, so directors may differ in them.
OF_ONE_HOST = ("am_droprate", "amemthresh", "est_cpulist", "est_nice", "run_estimation", "sync_qlen_max", "sync_sock_size")


def check_directors(inventory: Inventory, problems: Problems) -> dict[str, dict[str, Any]]:
    """{director: settings} of all directors, which must agree on what viewers and the other director notice."""
    directors = inventory["groups"].get(DIRECTORS) or []
    out = {director: read_director(inventory, director, problems) for director in directors}
    for director in directors[1:]:
        first, other = _shared(out[directors[0]]), _shared(out[director])
        for name in sorted(first.keys() | other.keys()):
            if first.get(name) != other.get(name):
                here, there = _words(other.get(name)), _words(first.get(name))
                message = messages.DIRECTORS_DIFFER(value=here, other_value=there, other=directors[0])
                problems.add("%s.%s" % (paths.of_host(director), name), message)
    return out


def _shared(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that all directors have in common, by the names of their variables."""
    out = {"director_" + name: settings[name] for name in ("advertisement_interval", "preempt", "unicast")}
    out.update(director_console=settings["console"]["on"], director_console_actions=settings["console"]["actions"])
    out.update({"director_timeouts." + name: value for name, value in (settings["timeouts"] or NO_TIMEOUTS)._asdict().items() if value})
    out.update({"director_sysctls." + name: value for name, value in settings["sysctls"].items() if name not in OF_ONE_HOST})
    return out


NO_TIMEOUTS = Timeouts(0, 0, 0)


def _words(value: Any) -> str:
    return "not set" if value is None else {True: "on", False: "off"}[value] if isinstance(value, bool) else "%s" % value


ANY_INTEGER = (-(1 << 31), (1 << 31) - 1, 1)
SETTINGS: dict[str, tuple[int, int, int] | None] = {
    **dict.fromkeys(
        (
            "amemthresh", "am_droprate", "backup_only", "cache_bypass", "conn_reuse_mode", "conntrack", "debug_level", "expire_nodest_conn",
            "expire_quiescent_template", "ignore_tunneled", "nat_icmp_send", "pmtu_disc", "run_estimation", "schedule_icmp", "sloppy_sctp",
            "sloppy_tcp", "snat_reroute", "sync_persist_mode", "sync_refresh_period", "sync_sock_size",
        ),
        ANY_INTEGER,
    ),
    "sync_qlen_max": (0, (1 << 63) - 1, 1), "sync_threshold": (0, (1 << 31) - 1, 2), "sync_retries": (0, 3, 1), "sync_version": (0, 1, 1),
    "sync_ports": (1, 64, 1), "est_nice": (-20, 19, 1), "est_cpulist": None, **dict.fromkeys(AUTOMATIC, (0, 3, 1)),
}  # fmt: skip


def has_console(inventory: Inventory) -> bool:
    """Whether the console runs on any director: then real servers count what they send."""
    return any(runs_console(inventory, name) for name in inventory["groups"].get(DIRECTORS) or ())


def runs_console(inventory: Inventory, director: str) -> bool:
    """Whether the console runs on this director."""
    return Reader(Problems(), "", inventory["hosts"].get(director, {})).boolean("director_console", False)


def max_cut(inventory: Inventory, director: str) -> int:
    """How many running connections of what leaves may be cut (director_max_cut_connections)."""
    variables = inventory["hosts"].get(director, {})
    return Reader(Problems(), "", variables).integer("director_max_cut_connections", 0, 0, MAX_CONNECTIONS)
