# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read, plan, apply, read back: what real_server_vip does on a host. IO."""

import json
import os
import re

from . import arp, host, in_force, recipes, sysctl
from .errors import LvsError, printable

UNIT_FOLDER = "/etc/systemd/system"
RECORD = "/var/lib/lvsdr/real_server_vip.json"


def read_record(path):
    """What earlier runs put on this host: ``{"vips": [text], "former": {sysctl: value}}``."""
    try:
        with open(path) as f:
            record = json.load(f)
        return {"vips": list(record["vips"]), "former": dict(record["former"])}
    except FileNotFoundError:
        return {"vips": [], "former": {}}
    except (ValueError, KeyError, TypeError) as error:
        raise LvsError("%s can't be read (%s)" % (path, error), "remove the file; former sysctl values are then no longer known")


def _state_text(conf, keep, places):
    lines = ["net.ipv4.conf.%s.%s = %d" % (name, setting, conf[name][setting]) for name in sorted(conf) for setting in arp.SETTINGS]
    if keep is not None:
        lines.append("%s = %d" % (arp.KEEP.replace("/", "."), keep))
    return "\n".join(lines + places) + "\n"


def _read():
    """(settings as in arp.py, value of arp.KEEP, arp.Places) of the host."""
    links = host.interfaces()
    return host.arp_conf(links), _read_keep(), arp.places(links)


def _read_keep():
    value = sysctl.read(arp.KEEP)
    return None if value is None else int(value)


def _places(addresses, vips):
    """Where these VIPs are, as `ip` has it."""
    return sorted(arp.place_text(place) for place in addresses if place[1] in vips)


def converge(
    vips, purge=True, persist=True, move=False, record_path=RECORD, unit_folder=UNIT_FOLDER, sysctl_path=arp.SYSCTL_FILE,
    managers=arp.MANAGER_FILES, check=False,
):  # fmt: skip
    """The module's result as a dict; LvsError where a setting is refused or a VIP can't be used."""
    conf, keep_down, addresses = _read()
    want = arp.check_vips(vips, addresses, move)
    record = read_record(record_path)
    operations, stale = arp.plan(want, conf, addresses, record, purge, keep_down, move)
    keep = [text for _family, text in want] + ([] if purge else stale)
    # What is there keeps its place: a list in another order is no change.
    kept = sorted(keep, key=lambda vip: record["vips"].index(vip) if vip in record["vips"] else len(record["vips"]))
    former = dict(record["former"])
    for operation in operations:
        if operation["action"] == "set":
            former.setdefault(operation["sysctl"], str(operation["before"]))
    restored = {operation["sysctl"] for operation in operations if operation["action"] == "restore"}
    record_after = {"vips": kept, "former": {name: value for name, value in former.items() if name not in restored}}

    # The files that make it last: path to (text before, text after).
    files, conflicts = {}, _comes_back(operations)
    unit_path = os.path.join(unit_folder, arp.UNIT_NAME)
    if persist:
        lasting, undoing = _lasting(kept, _expected_conf(conf, operations), keep_down, record_after["former"], sysctl_path)
        conflicts = undoing + conflicts
        files[sysctl_path] = (host.read_text(sysctl_path) or "", arp.sysctl_file(lasting) if lasting else "")
        for path, folder, text, _command in managers:
            if os.path.isdir(folder):
                files[path] = (host.read_text(path) or "", text if kept else "")
        files[unit_path] = (host.read_text(unit_path) or "", _unit(kept, lasting) if kept else "")
    known = list(dict.fromkeys(record["vips"] + kept))
    before = _state_text(conf, keep_down, _places(addresses, known)) + "".join(old for old, _new in files.values())
    stale_files = {path: new for path, (old, new) in files.items() if old != new}
    # Also what a run left undone that ended between a file and the program that has to know of it.
    unit_steps = _unit_steps(stale_files.get(unit_path), bool(kept)) if persist else []
    untold = _untold(managers, {path: new for path, (_old, new) in files.items()})
    changed = bool(operations or stale_files or unit_steps or untold) or record != record_after

    if changed and not check:
        # The record goes first: whatever happens next, a later run knows what was there.
        if record != record_after and not restored:
            host.write_atomically(
                record_path, json.dumps({"vips": sorted(set(record["vips"]) | set(kept)), "former": former}, indent=1) + "\n"
            )
        done = []
        try:
            for path, text in stale_files.items():
                if text:
                    host.write_atomically(path, text)
            if kept:
                for words in unit_steps:
                    host.run("systemctl", *words)
            _tell(managers, {path: text for path, text in untold.items() if text})
            _apply(operations, done)
        except LvsError as error:
            error.details = {
                "applied": [arp.describe(op) for op in done],
                "not_applied": [arp.describe(op) for op in operations[len(done) :]],
            }
            raise
        if not kept and ("disable", arp.UNIT_NAME) in unit_steps:
            host.run("systemctl", "disable", arp.UNIT_NAME)
        for path, text in stale_files.items():
            if not text:
                os.unlink(path)
        if not kept and ("daemon-reload",) in unit_steps:
            host.run("systemctl", "daemon-reload")
        _tell(managers, {path: text for path, text in untold.items() if not text})
        if record_after["vips"] or record_after["former"]:
            host.write_atomically(record_path, json.dumps(record_after, indent=1) + "\n")
        elif os.path.exists(record_path):
            os.unlink(record_path)
        conf, keep_down, addresses = _read()
    texts = "".join(new for _old, new in files.values())
    after = before if not changed else _state_text(conf, keep_down, _places(addresses, known)) + texts
    if check and changed:
        after = _expected(conf, keep_down, operations, _places(addresses, known)) + texts
    return {
        "changed": changed,
        "operations": [dict(operation, text=arp.describe(operation)) for operation in operations],
        "stale": [] if purge else stale,
        "vips": kept,
        "conflicts": conflicts,
        "diff": {"before": before, "after": after},
        "before": before.splitlines(),
        "after": after.splitlines(),
    }


def gather(vips, move=False, sysctl_path=arp.SYSCTL_FILE):
    """What is on the host, whoever made it: for each VIP (all that look like one unless named) the recipe, whether it works, and why.

    ``operations`` is what holding these VIPs would need, in lines; ``conflicts`` as in converge.
    """
    links = host.interfaces()
    addresses = arp.places(links)
    with_lo = host.arp_conf(links, also=("lo",))
    # For the plan lo plays no role, whatever its settings are.
    conf = {name: values for name, values in with_lo.items() if name != "lo"}
    wanted = [text for _family, text in arp.check_audit(vips)] if vips else recipes.find_vips(addresses)
    found = [recipes.recognise(vip, with_lo, addresses, [link["name"] for link in links if link.get("unasked")]) for vip in wanted]
    result = {"vips": found, "operations": [], "conflicts": [], "problems": []}
    try:
        want = arp.check_vips(wanted, addresses, move)
    except LvsError as error:
        # In the wrong place: what is to be done by hand comes first.
        result["problems"] = error.details["problems"]
        return result
    keep_down = _read_keep()
    operations, _stale = arp.plan(want, conf, addresses, {"vips": [], "former": {}}, False, keep_down, move)
    result["operations"] = [arp.describe(operation) for operation in operations]
    result["conflicts"] = _lasting(wanted, _expected_conf(conf, operations), keep_down, (), sysctl_path)[1] + _comes_back(operations)
    return result


def _lasting(vips, conf, keep, former, sysctl_path):
    """(settings that have to last, conflicts) for these VIPs, with conf as it is once the fix is made."""
    kept = {arp.KEEP: 1} if keep is not None and any(":" in vip for vip in vips) else {}
    if all(":" in vip for vip in vips):
        return kept, []
    entries = [entry for path, text in host.sysctl_files(sysctl_path) for entry in arp.sysctl_entries(path, text)]
    lasting = arp.lasting_sysctls(conf, former, entries)
    return {**lasting, **kept}, arp.conflicts(conf, lasting, entries, host.SYSCTL_CONF, host.UFW_SYSCTL)


def _unit_steps(new_text, wanted):
    """The words of systemctl that make the unit start at every boot, or at none. new_text: None where its file stays as it is."""
    state = host.unit_states([arp.UNIT_NAME])[arp.UNIT_NAME]
    steps = [("daemon-reload",)] if new_text is not None or state["stale"] else []
    if wanted:
        return steps + ([] if state["enabled"] else [("enable", arp.UNIT_NAME)])
    return ([("disable", arp.UNIT_NAME)] if state["enabled"] else []) + steps


def _untold(managers, wanted):
    """{path: text} of the files that network managers have not read: neither when they were told to, nor when they started."""
    out = {}
    for path, _folder, _text, command in managers:
        if not command or path not in wanted:
            continue
        copy = host.read_text(in_force.copy_of("real_server", path))
        if wanted[path]:
            told = copy == wanted[path] or host.started_since(command[-1], path, wanted[path])
        else:
            told = copy is None and not os.path.exists(path)
        if not told:
            out[path] = wanted[path]
    return out


def _tell(managers, texts):
    """Network managers read these files again, and a copy says that they did."""
    for path, _folder, _text, command in managers:
        if path in texts:
            host.run(*command)
            copy = in_force.copy_of("real_server", path)
            if texts[path]:
                host.write_atomically(copy, texts[path])
            elif os.path.exists(copy):
                os.unlink(copy)


def _comes_back(operations):
    """A sentence for each line of a network manager's that names a VIP which was in a wrong place: it may put it there again."""
    moved = [operation for operation in operations if operation.get("place")]
    out = []
    for path, text in host.network_files() if moved else ():
        for number, line in enumerate(text.splitlines(), 1):
            out += [
                "%s:%d names %s, which was in the wrong place (%s) and may come back there with the next boot; remove the line"
                % (printable(path), number, operation["vip"], operation["place"])
                for operation in moved
                if re.search(r"(?<![0-9a-fA-F.:])%s(?![0-9a-fA-F.:])" % re.escape(operation["vip"]), line)
            ]
    return out


def _unit(kept, sysctls):
    return arp.unit(kept, sysctls, ip=host.find_command("ip") or "/usr/sbin/ip", sysctl=host.find_command("sysctl") or "/usr/sbin/sysctl")


def _expected_conf(conf, operations):
    conf = {name: dict(values) for name, values in conf.items()}
    for operation in operations:
        if "sysctl" in operation and operation["sysctl"] != arp.KEEP:
            interface, setting = operation["sysctl"].split("/")[-2:]
            if interface in conf:
                conf[interface][setting] = int(operation["value"])
    return conf


def _expected(conf, keep, operations, places):
    places = list(places)
    for operation in operations:
        if operation.get("sysctl") == arp.KEEP:
            keep = int(operation["value"])
        elif operation["action"] == "add":
            places.append(arp.full_prefix(operation["vip"]) + " dev lo")
        elif operation["action"] == "remove":
            places.remove(operation.get("place") or arp.full_prefix(operation["vip"]) + " dev lo")
    return _state_text(_expected_conf(conf, operations), keep, sorted(places))


def _apply(operations, done):
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
        elif operation["action"] == "add":
            host.run("ip", "address", "add", arp.full_prefix(operation["vip"]), "dev", "lo", *arp.lifetime(operation["vip"]).split())
        else:
            host.run(*arp.describe(operation).split())
        done.append(operation)


def _prove_silent(operations):
    """No VIP goes on lo before the kernel itself says, for every interface, that it will be silent there."""
    if all(operation["action"] != "add" or ":" in operation["vip"] for operation in operations):
        return
    left = arp.needed_sysctls(host.arp_conf(host.interfaces()))
    if left:
        raise LvsError(
            "The host would not be silent on ARP: %s" % ", ".join("%s must be %s" % item for item in sorted(left.items())),
            "something on this host sets them back; the VIP was not added",
        )
