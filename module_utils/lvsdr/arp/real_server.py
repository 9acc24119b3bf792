# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read, plan, apply, read back: what real_server_vip does on a host. IO."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.lvsdr import addresses, places
from ansible.module_utils.lvsdr.arp import audit, messages, placement, recipes, seen, settings, steps
from ansible.module_utils.lvsdr.errors import LvsError, printable
from ansible.module_utils.lvsdr.system import commands, files, in_force, links, rtnetlink, sysctl, systemd

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

UNIT_FOLDER = "/etc/systemd/system"
RECORD = "/var/lib/lvsdr/real_server_vip.json"


def read_record(path: str) -> dict[str, Any]:
    """What earlier runs put on this host: ``{"vips": [text], "former": {sysctl: value}}``."""
    try:
        with open(path) as f:
            record = json.load(f)
        return {"vips": list(record["vips"]), "former": dict(record["former"])}
    except FileNotFoundError:
        return {"vips": [], "former": {}}
    except (ValueError, KeyError, TypeError) as error:
        raise LvsError(messages.RECORD_UNREADABLE(path=path, why=error))


def _state_text(conf: dict[str, dict[str, int]], keep: int | None, places: list[str]) -> str:
    lines = ["net.ipv4.conf.%s.%s = %d" % (name, setting, conf[name][setting]) for name in sorted(conf) for setting in settings.SETTINGS]
    if keep is not None:
        lines.append("%s = %d" % (settings.KEEP.replace("/", "."), keep))
    return "\n".join(lines + places) + "\n"


def _read(found: list[dict[str, Any]] | None = None) -> tuple[dict[str, dict[str, int]], int | None, list[placement.Place]]:
    """(settings as in settings.py, value of KEEP, Places) of the host."""
    found = found or links.interfaces()
    return seen.arp_conf(found), _read_keep(), placement.places(found)


def _read_keep() -> int | None:
    value = sysctl.read(settings.KEEP)
    return None if value is None else int(value)


def _where(addresses: list[placement.Place], vips: Collection[str]) -> list[str]:
    """Where these VIPs are, as `ip` has it."""
    return sorted(placement.place_text(place) for place in addresses if place[1] in vips)


class Paths(NamedTuple):
    """Where what lasts is kept on a host."""

    record: str = RECORD
    units: str = UNIT_FOLDER
    sysctls: str = places.SYSCTL_FILE
    managers: tuple[steps.Manager, ...] = steps.MANAGER_FILES


def converge(
    vips: Collection[str],
    purge: bool = True,
    persist: bool = True,
    move: bool = False,
    paths: Paths | None = None,
    check: bool = False,
    found: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The module's result as a dict; LvsError where a setting is refused or a VIP can't be used.

    found: the interfaces (links.interfaces), where they have been read just now.
    """
    paths = paths or Paths()
    conf, keep_down, there = _read(found)
    want = placement.check_vips(vips, there, move)
    record = read_record(paths.record)
    operations, stale = steps.plan(want, conf, there, record, purge, keep_down, move)
    kept = _kept([text for _family, text in want] + ([] if purge else stale), record)
    following = _following(record, kept, operations)
    texts: dict[str, tuple[str, str]] = {}
    conflicts = _comes_back(operations)
    if persist:
        texts, undoing = _texts(kept, _expected_conf(conf, operations), keep_down, following["former"], paths)
        conflicts = undoing + conflicts
    plan = _Plan(paths, texts, kept, persist)
    known = list(dict.fromkeys(record["vips"] + kept))
    before = _state_text(conf, keep_down, _where(there, known)) + "".join(old for old, _new in texts.values())
    after, ends_with = before, "".join(new for _old, new in texts.values())
    changed = bool(operations or plan.something()) or record != following
    if changed and check:
        after = _expected(conf, keep_down, operations, _where(there, known)) + ends_with
    elif changed:
        _carry_out(plan, operations, record, following)
        conf, keep_down, there = _read()
        after = _state_text(conf, keep_down, _where(there, known)) + ends_with
    return {
        "changed": changed,
        "operations": [dict(operation, text=steps.describe(operation)) for operation in operations],
        "stale": [] if purge else stale,
        "vips": kept,
        "conflicts": conflicts,
        "diff": {"before": before, "after": after},
        "before": before.splitlines(),
        "after": after.splitlines(),
    }


def _kept(vips: list[str], record: dict[str, Any]) -> list[str]:
    """The VIPs in the order of the record: a list in another order changes nothing."""
    return sorted(vips, key=lambda vip: record["vips"].index(vip) if vip in record["vips"] else len(record["vips"]))


def _following(record: dict[str, Any], kept: list[str], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """The record once the operations are made; "former" has the settings as they were before lvsdr first changed them."""
    former = dict(record["former"])
    for operation in operations:
        if operation["action"] == "set":
            former.setdefault(operation["sysctl"], str(operation["before"]))
    restored = {operation["sysctl"] for operation in operations if operation["action"] == "restore"}
    return {"vips": kept, "former": {name: value for name, value in former.items() if name not in restored}}


def _texts(
    kept: list[str], conf: dict[str, dict[str, int]], keep_down: int | None, former: dict[str, str], paths: Paths
) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """({path: (text before, text after)} of the files that make it last, conflicts)."""
    lasting, conflicts = _lasting(kept, conf, keep_down, former, paths.sysctls)
    out = {paths.sysctls: (files.read_text(paths.sysctls) or "", settings.sysctl_file(lasting) if lasting else "")}
    for path, folder, text, _command in paths.managers:
        if os.path.isdir(folder):
            out[path] = (files.read_text(path) or "", text if kept else "")
    unit = os.path.join(paths.units, steps.UNIT_NAME)
    out[unit] = (files.read_text(unit) or "", _unit(kept, lasting) if kept else "")
    return out, conflicts


class _Plan:
    """What is to be done beside the settings and VIPs of this moment, so that they last.

    Also what a run left undone that ended between a file and the program that has to know of it.
    """

    def __init__(self, paths: Paths, texts: dict[str, tuple[str, str]], kept: list[str], persist: bool) -> None:
        self.paths, self.kept = paths, kept
        self.files = {path: new for path, (old, new) in texts.items() if old != new}
        unit = os.path.join(paths.units, steps.UNIT_NAME)
        self.unit_steps = _unit_steps(self.files.get(unit), bool(kept)) if persist else []
        self.untold = _untold(paths.managers, {path: new for path, (_old, new) in texts.items()})

    def something(self) -> bool:
        return bool(self.files or self.unit_steps or self.untold)

    def come(self) -> None:
        """What has to be there before the first VIP."""
        for path, text in self.files.items():
            if text:
                files.write_atomically(path, text)
        for words in self.unit_steps if self.kept else ():
            commands.run("systemctl", *words)
        _tell(self.paths.managers, {path: text for path, text in self.untold.items() if text})

    def go(self) -> None:
        """What may go only after the last VIP."""
        if not self.kept and ("disable", steps.UNIT_NAME) in self.unit_steps:
            commands.run("systemctl", "disable", steps.UNIT_NAME)
        for path, text in self.files.items():
            if not text:
                os.unlink(path)
        if not self.kept and ("daemon-reload",) in self.unit_steps:
            commands.run("systemctl", "daemon-reload")
        _tell(self.paths.managers, {path: text for path, text in self.untold.items() if not text})


def _carry_out(plan: _Plan, operations: list[dict[str, Any]], record: dict[str, Any], following: dict[str, Any]) -> None:
    """The record goes first and last: whatever happens in between, a later run knows what was there."""
    path = plan.paths.record
    if record != following and not any(operation["action"] == "restore" for operation in operations):
        both = {"vips": sorted({*record["vips"], *following["vips"]}), "former": following["former"]}
        files.write_atomically(path, json.dumps(both, indent=1) + "\n")
    done: list[dict[str, Any]] = []
    try:
        plan.come()
        _apply(operations, done)
    except LvsError as error:
        error.details = {
            "applied": [steps.describe(op) for op in done],
            "not_applied": [steps.describe(op) for op in operations[len(done) :]],
        }
        raise
    plan.go()
    if following["vips"] or following["former"]:
        files.write_atomically(path, json.dumps(following, indent=1) + "\n")
    elif os.path.exists(path):
        os.unlink(path)


def gather(vips: Collection[str] | None, move: bool = False, sysctl_path: str = places.SYSCTL_FILE) -> dict[str, Any]:
    """What is on the host, whoever made it: for each VIP (by default all that look like one) the recipe, whether it works, and why.

    ``operations`` is what holding these VIPs would need, in lines; ``conflicts`` as in converge.
    """
    found = links.interfaces()
    there = placement.places(found)
    with_lo = seen.arp_conf(found, also=("lo",))
    # For the plan lo plays no role, whatever its settings are.
    conf = {name: values for name, values in with_lo.items() if name != "lo"}
    wanted = [text for _family, text in audit.check_audit(vips)] if vips else recipes.find_vips(there)
    unasked = [link["name"] for link in found if link.get("unasked")]
    recognised = [recipes.recognise(vip, with_lo, there, unasked) for vip in wanted]
    result: dict[str, Any] = {"vips": recognised, "operations": [], "conflicts": [], "problems": []}
    try:
        want = placement.check_vips(wanted, there, move)
    except LvsError as error:
        # In the wrong place: what is to be done by hand comes first.
        result["problems"] = error.details["problems"]
        return result
    keep_down = _read_keep()
    operations, _stale = steps.plan(want, conf, there, {"vips": [], "former": {}}, False, keep_down, move)
    result["operations"] = [steps.describe(operation) for operation in operations]
    result["conflicts"] = _lasting(wanted, _expected_conf(conf, operations), keep_down, (), sysctl_path)[1] + _comes_back(operations)
    return result


def _lasting(
    vips: Collection[str], conf: dict[str, dict[str, int]], keep: int | None, former: Iterable[str], sysctl_path: str
) -> tuple[dict[str, int], list[str]]:
    """(settings that have to last, conflicts) for these VIPs, with conf as it is once the fix is made."""
    kept = {settings.KEEP: 1} if keep is not None and any(":" in vip for vip in vips) else {}
    if all(":" in vip for vip in vips):
        return kept, []
    entries = [entry for path, text in files.sysctl_files(sysctl_path) for entry in settings.sysctl_entries(path, text)]
    lasting = settings.lasting_sysctls(conf, former, entries)
    return {**lasting, **kept}, settings.conflicts(conf, lasting, entries, files.SYSCTL_CONF, files.UFW_SYSCTL)


def _unit_steps(new_text: str | None, wanted: bool) -> list[tuple[str, ...]]:
    """The words of systemctl that make the unit start at every boot, or at none. new_text: None where its file stays as it is."""
    state = systemd.unit_states([steps.UNIT_NAME])[steps.UNIT_NAME]
    reload: list[tuple[str, ...]] = [("daemon-reload",)] if new_text is not None or state["stale"] else []
    if wanted:
        return reload + ([] if state["enabled"] else [("enable", steps.UNIT_NAME)])
    return [*([("disable", steps.UNIT_NAME)] if state["enabled"] else []), *reload]


def _untold(managers: Iterable[steps.Manager], wanted: dict[str, str]) -> dict[str, str]:
    """{path: text} of the files that network managers have not read: neither when they were told to, nor when they started."""
    out = {}
    for path, _folder, _text, command in managers:
        if not command or path not in wanted:
            continue
        copy = files.read_text(in_force.copy_of("real_server", path))
        if wanted[path]:
            told = copy == wanted[path] or systemd.started_since(command[-1], path, wanted[path])
        else:
            told = copy is None and not os.path.exists(path)
        if not told:
            out[path] = wanted[path]
    return out


def _tell(managers: Iterable[steps.Manager], texts: dict[str, str]) -> None:
    """Network managers read these files again, and a copy says that they did."""
    for path, _folder, _text, command in managers:
        if path in texts:
            commands.run(*command)
            copy = in_force.copy_of("real_server", path)
            if texts[path]:
                files.write_atomically(copy, texts[path])
            elif os.path.exists(copy):
                os.unlink(copy)


def _comes_back(operations: list[dict[str, Any]]) -> list[str]:
    """A sentence for each line of a network manager's that names a VIP which was in a wrong place: it may put it there again."""
    moved = [operation for operation in operations if operation.get("place")]
    out: list[str] = []
    for path, text in files.network_files() if moved else ():
        for number, line in enumerate(text.splitlines(), 1):
            out += [
                str(messages.VIP_COMES_BACK(place="%s:%d" % (printable(path), number), vip=operation["vip"], former=operation["place"]))
                for operation in moved
                if re.search(r"(?<![0-9a-fA-F.:])%s(?![0-9a-fA-F.:])" % re.escape(operation["vip"]), line)
            ]
    return out


def _unit(kept: list[str], sysctls: dict[str, int]) -> str:
    return steps.unit(
        kept, sysctls, ip=commands.find_command("ip") or "/usr/sbin/ip", sysctl=commands.find_command("sysctl") or "/usr/sbin/sysctl"
    )


def _expected_conf(conf: dict[str, dict[str, int]], operations: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    conf = {name: dict(values) for name, values in conf.items()}
    for operation in operations:
        if "sysctl" in operation and operation["sysctl"] != settings.KEEP:
            interface, setting = operation["sysctl"].split("/")[-2:]
            if interface in conf:
                conf[interface][setting] = int(operation["value"])
    return conf


def _expected(conf: dict[str, dict[str, int]], keep: int | None, operations: list[dict[str, Any]], places: list[str]) -> str:
    places = list(places)
    for operation in operations:
        if operation.get("sysctl") == settings.KEEP:
            keep = int(operation["value"])
        elif operation["action"] == "add":
            places.append(addresses.full_prefix(operation["vip"]) + " dev lo")
        elif operation["action"] == "remove":
            places.remove(operation.get("place") or addresses.full_prefix(operation["vip"]) + " dev lo")
    return _state_text(_expected_conf(conf, operations), keep, sorted(places))


def _apply(operations: list[dict[str, Any]], done: list[dict[str, Any]]) -> None:
    silent = False
    for operation in operations:
        if operation["action"] == "add" and not silent:
            _prove_silent(operations)
            silent = True
        if operation["action"] == "set":
            sysctl.write(operation["sysctl"], operation["value"])
        elif operation["action"] == "restore":
            # An interface may be gone by now, and its setting with it.
            if sysctl.read(operation["sysctl"]) is not None:
                sysctl.write(operation["sysctl"], operation["value"])
        else:
            _change_address(operation)
        done.append(operation)


def _change_address(operation: dict[str, Any]) -> None:
    """What steps.describe() calls by the words of `ip`."""
    vip = operation["vip"]
    place = placement.read_place(operation.get("place") or addresses.full_prefix(vip) + " dev lo")
    with rtnetlink.opened() as kernel:
        if operation["action"] == "add":
            kernel.add_address("lo", vip, place.length, quiet=":" in vip)
            return
        if operation.get("place") and (place.route or place.interface != "lo"):
            # A VIP that moves; packets arrive here by its former place until then.
            kernel.wait_until_local("lo", vip)
        if place.route:
            kernel.remove_local_route(rtnetlink.LocalRoute.read(place.route))
        else:
            kernel.remove_address(place.interface, place.address, place.length, place.peer)


def _prove_silent(operations: list[dict[str, Any]]) -> None:
    """No VIP goes on lo before the kernel's own values show, for every interface, that it will be silent there."""
    if all(operation["action"] != "add" or ":" in operation["vip"] for operation in operations):
        return
    left = settings.needed_sysctls(seen.arp_conf(links.interfaces()))
    if left:
        raise LvsError(messages.ARP_SETTINGS_RESET(settings=", ".join("%s must be %s" % item for item in sorted(left.items()))))
