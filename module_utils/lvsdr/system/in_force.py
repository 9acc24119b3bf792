# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of a host, and whether they are in force: the one mechanism that every role uses.

A file on disk is not a configuration in force: a run may end between the two, and a program may be restarted or its rules flushed. So what
is in force is read from where it is in force. For a systemd unit that is a copy of its files, which the unit itself makes whenever it
reads them (a drop-in with ExecStartPre and ExecReload, under places.IN_FORCE); for nftables a comment in the table with the digest of its
file; for a setting of the kernel the setting. What differs is put in force, whoever wrote the file, and nothing has to be remembered.

``plan_files`` and ``plan_units`` are pure and run on the controller as well, with what preflight saw, to find out whether there is anything
to do. ``look``, ``apply_files`` and ``apply_units`` are IO.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import places, text
from ansible.module_utils.lvsdr.errors import LvsError, Problems
from ansible.module_utils.lvsdr.system import commands, files, messages, processes, sysctl, systemd
from ansible.module_utils.lvsdr.system.files import fingerprint
from ansible.module_utils.lvsdr.text import digest_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

# Seconds in which a program that was told to reload starts processes with its new files.
NEW_WORKERS = 20
DROP_IN = "/etc/systemd/system/%s.service.d/zz-lvsdr-in-force.conf"


def copy_of(unit: str, path: str) -> str:
    """Where the copy is that the unit made of a file when it read it."""
    return "%s/%s%s" % (places.IN_FORCE, unit, path)


def drop_in(unit: str, restart_on: list[str], reload_on: list[str]) -> str:
    """The drop-in that has a unit copy what it reads, as text.

    At a start before it reads, so that the copy is never newer than what was read; at a reload right after that was requested.
    """
    folder = "%s/%s" % (places.IN_FORCE, unit)

    def copies(paths: list[str]) -> str:
        return "cp -p --parents -t %s %s 2>/dev/null || true" % (folder, " ".join(paths))

    lines = ["# Managed by lvsdr: copies of what this unit has read tell whether its files are in force.", "[Service]"]
    start = "rm -rf %s; mkdir -p %s; %s" % (folder, folder, copies([*restart_on, *reload_on]))
    lines.append("ExecStartPre=+/bin/sh -c '%s'" % start)
    if reload_on:
        lines.append("ExecReload=+/bin/sh -c 'mkdir -p %s; %s'" % (folder, copies(reload_on)))
    return "\n".join(lines) + "\n"


def plan_files(wanted: dict[str, Any], seen: dict[str, Any]) -> list[tuple[str, str]]:
    """Steps [(verb, name)] that lead to the wanted files, in order.

    wanted: the options of host_files; seen: what ``look`` returned. Verbs: folder, write, remove, rules (name: the file), sysctl.
    """
    steps: list[tuple[str, str]] = []
    for folder in wanted.get("folders") or ():
        path, held = folder["path"], seen["folders"].get(folder["path"])
        if held is None:
            steps.append(("folder", path))
        if folder.get("files") is not None:
            for name in sorted(folder["files"]):
                if (held or {}).get(name) != digest_of(_first_line(folder["files"][name])):
                    steps.append(("write", "%s/%s" % (path, name)))
        if folder.get("absent") is not None:
            gone = set(folder["absent"]) - set(folder.get("files") or ())
        else:
            gone = set() if folder.get("files") is None else set(held or {}) - set(folder["files"])
        steps += [("remove", "%s/%s" % (path, name)) for name in sorted(gone & set(held or {}))]
    for item in wanted.get("files") or ():
        if seen["files"].get(item["path"]) != digest_of(item["content"]):
            steps.append(("write", item["path"]))
    for item in wanted.get("rules") or ():
        if seen["files"].get(item["path"]) != digest_of(item["content"]):
            steps.append(("write", item["path"]))
        if seen["rules"].get(item["table"]) != rules_digest(item["content"]):
            steps.append(("rules", item["path"]))
    # In the order of the declaration: some have to be there before others.
    for name, value in (wanted.get("sysctls") or {}).items():
        if seen["sysctls"].get(name) != text.setting_text(value):
            steps.append(("sysctl", name))
    return steps


def plan_units(wanted: Sequence[dict[str, Any]], seen: dict[str, Any], files: dict[str, str | None] | None = None) -> list[tuple[str, str]]:
    """Steps [(verb, unit)], in order: drop-in, daemon-reload (unit ""), enable, disable, start, restart, reload, stop.

    wanted: ``[{"name", "state": started or stopped, "enabled": as the state where left out, "restart_on": [path],
    "reload_on": [path]}]``; files: digest of each file as it is, or will be, on disk (where left out, as they were seen).
    """
    files = seen["files"] if files is None else files
    first: list[tuple[str, str]] = []
    last: list[tuple[str, str]] = []
    for unit in wanted:
        name, now = unit["name"], seen["units"][unit["name"]]
        restart_on, reload_on = unit.get("restart_on") or [], unit.get("reload_on") or []
        if unit.get("state") == "stopped":
            last += [("stop", name)] if now["active"] else []
            last += [("disable", name)] if now["enabled"] and not unit.get("enabled") else []
            continue
        if now["drop_in"] != digest_of(drop_in(name, restart_on, reload_on)):
            first.append(("drop-in", name))
        if now["stale"] or not now["loaded"] or ("drop-in", name) in first:
            first.append(("daemon-reload", ""))
        if now["enabled"] != (unit.get("enabled") is not False):
            last.append(("disable" if now["enabled"] else "enable", name))
        if not now["active"]:
            last.append(("start", name))
        elif any(now["read"].get(path) != files.get(path) for path in restart_on):
            last.append(("restart", name))
        elif any(now["read"].get(path) != files.get(path) for path in reload_on):
            last.append(("reload", name))
    drop_ins = [step for step in first if step[0] == "drop-in"]
    return drop_ins + ([("daemon-reload", "")] if len(first) > len(drop_ins) else []) + last


def differs(files: dict[str, Any], units: Sequence[dict[str, Any]], seen: dict[str, Any] | None) -> bool:
    """Whether host_files or host_units would do anything, from what preflight saw; True where it saw nothing."""
    if not seen:
        return True
    return bool(plan_files(files, seen) or plan_units(units, seen, {**seen["files"], **digests(files)}))


def digests(files: dict[str, Any]) -> dict[str, str]:
    """{path: digest} of the files in the options of host_files."""
    return {item["path"]: digest_of(item["content"]) for item in files.get("files") or ()}


RULES_COMMENT = re.compile(r'comment "lvsdr ([0-9a-f]{16})"')


def rules_digest(text: str) -> str:
    """The digest that a file of rules carries in a comment of its table (rules.render puts it there)."""
    found = RULES_COMMENT.search(text)
    return found.group(1) if found else ""


def look(
    files: Iterable[str] = (),
    folders: Iterable[str] = (),
    units: Sequence[str] = (),
    rules: Iterable[str] = (),
    sysctls: Iterable[str] = (),
) -> dict[str, Any]:
    """What is there: {"files": {path: digest or None}, "folders": {path: {name: digest} or None}, "rules": {table: digest or None},
    "sysctls": {name: text or None}, "units": {name: dict of loaded, active, enabled, stale, drop_in, read}}.

    read: {path: digest of the copy that the unit made when it read the file}.
    """
    return {
        "files": {path: fingerprint(path) for path in files},
        "folders": {path: _folder(path) for path in folders},
        "rules": {table: _rules_in_force(table) for table in rules},
        "sysctls": {name: " ".join((sysctl.read(name) or "").split()) for name in sysctls},
        "units": _units(units),
    }


def _folder(path: str) -> dict[str, str | None] | None:
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return None
    return {name: digest_of(_first_line(files.read_text(os.path.join(path, name)) or "")) for name in names}


def _first_line(text: str) -> str:
    """What counts in a file of such a folder: the number of a track file, and not who wrote it and why (notes.py)."""
    return "".join(text.partition("\n")[:2])


def _rules_in_force(table: str) -> str | None:
    """The digest in a table's comment; None where the table is not there."""
    try:
        return rules_digest(commands.run(commands.find_command("nft") or "nft", "list", "table", *table.split()))
    except commands.Late:
        raise
    except LvsError:
        return None


def _units(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    out = {}
    for name, state in systemd.unit_states(names).items():
        folder = "%s/%s" % (places.IN_FORCE, name)
        read = {}
        for place, _folders, members in os.walk(folder):
            for member in members:
                path = os.path.join(place, member)
                read[path[len(folder) :]] = files.fingerprint(path)
        out[name] = {**state, "drop_in": files.fingerprint(DROP_IN % name), "read": read}
    return out


def apply_files(wanted: dict[str, Any], check: bool = False) -> dict[str, Any]:
    """Brings the files to what is wanted; {"steps": [text], "diff": [dict], "changed"}.

    LvsError where one is refused: then none is written.

    In check mode a program that judges a file, or a folder that it looks for, may not be there yet.
    """
    folders, whole, rules = (wanted.get(name) or [] for name in ("folders", "files", "rules"))
    seen = look(
        [item["path"] for item in [*whole, *rules]], [folder["path"] for folder in folders], (),
        [item["table"] for item in rules], wanted.get("sysctls") or (),
    )  # fmt: skip
    steps = plan_files(wanted, seen)
    contents = {item["path"]: item for item in [*whole, *rules]}
    for folder in folders:
        for name, content in (folder.get("files") or {}).items():
            contents["%s/%s" % (folder["path"], name)] = {"content": content}
    diff = _diff(steps, contents, seen, wanted)
    if not check:
        # What judges a file may look for the folders that it names.
        modes = {folder["path"]: folder.get("mode", "0755") for folder in folders}
        for verb, name in steps:
            if verb == "folder":
                os.makedirs(name, exist_ok=True)
                os.chmod(name, int(modes[name], 8))
    problems = Problems()
    # keepalived from 2.3 on refuses a file that names a folder which is not there: check mode has made none.
    ready = not check or None not in seen["folders"].values()
    for verb, name in steps:
        if verb == "write" and contents[name].get("check") and ready:
            _judge(name, contents[name], problems, check)
    problems.raise_if_any("Files were refused")
    if not check:
        done = []
        try:
            for step in steps:
                _apply_step(step, wanted, contents)
                done.append(step)
        except (OSError, LvsError) as error:
            left = steps[len(done) :]
            why = error.message if isinstance(error, LvsError) else error
            raise LvsError(
                messages.HOST_STEP_FAILED(step=" ".join(left[0]), why=why),
                applied=[" ".join(s) for s in done],
                not_applied=[" ".join(s) for s in left],
            )
    return {"changed": bool(steps), "steps": [" ".join(step) for step in steps], "diff": diff}


def _diff(
    steps: list[tuple[str, str]], contents: dict[str, dict[str, Any]], seen: dict[str, Any], wanted: dict[str, Any]
) -> list[dict[str, str]]:
    out = []
    for verb, name in steps:
        if verb in ("write", "remove"):
            after = contents[name]["content"] if verb == "write" else ""
            out.append({"before": files.read_text(name) or "", "after": after, "before_header": name, "after_header": name})
        elif verb == "sysctl":
            before, after = seen["sysctls"][name], text.setting_text(wanted["sysctls"][name])
            out.append({"before": "%s = %s\n" % (name, before), "after": "%s = %s\n" % (name, after)})
    return out


def _apply_step(step: tuple[str, str], wanted: dict[str, Any], contents: dict[str, dict[str, Any]]) -> None:
    verb, name = step
    if verb == "write":
        files.write_atomically(name, contents[name]["content"], int(contents[name].get("mode", "0644"), 8))
    elif verb == "remove":
        os.unlink(name)
    elif verb == "rules":
        commands.run("nft", "-f", name)
    elif verb == "sysctl":
        sysctl.write(name, text.setting_text(wanted["sysctls"][name]))


def _judge(path: str, item: dict[str, Any], problems: Problems, check: bool) -> None:
    """Has a program read a file before it is written. check: {"command": [word with %s, …], "ignore": [regular expression]}."""
    words, ignore = item["check"]["command"], item["check"].get("ignore") or ()
    if not commands.find_command(words[0]):
        if not check:
            problems.add(path, messages.FILE_CHECKER_MISSING(command=words[0]))
        return
    folder = os.path.dirname(path)
    trial = os.path.join(folder if os.path.isdir(folder) else "/run", ".%s.lvsdr" % os.path.basename(path))
    try:
        files.write_atomically(trial, item["content"], 0o600)
        done = commands.finish([word.replace("%s", trial) for word in words], stderr=subprocess.STDOUT)
    finally:
        if os.path.exists(trial):
            os.unlink(trial)
    wrong = complaints(done.returncode, done.stdout, ignore)
    if wrong is not None:
        why = "; ".join(wrong).replace(trial, path) or "status %d" % done.returncode
        problems.add(path, messages.FILE_REFUSED(command=words[0], why=why))


def complaints(status: int, output: str, ignore: Collection[str]) -> list[str] | None:
    """What a program that checked a file reported against it, as lines; None where it accepted the file.

    A status that lines which are to be ignored explain is a warning's; one that nothing explains is not. But a program that ended itself
    with SIGTERM, as keepalived -t of 2.2.7 does with its process group where a script has a user, had nothing more to report.
    """
    printed = [line.strip() for line in output.splitlines() if line.strip()]
    lines = [line for line in printed if not any(re.search(one, line) for one in ignore)]
    return lines if status and (lines or not (printed or status == -signal.SIGTERM)) else None


def apply_units(wanted: Sequence[dict[str, Any]], digests: dict[str, str] | None = None, check: bool = False) -> dict[str, Any]:
    """Brings units to the wanted state with their files in force; {"steps": [text], "changed"}.

    digests: {path: digest} of the files as they are declared, which check mode has not written.
    """
    paths = [path for unit in wanted for path in [*(unit.get("restart_on") or ()), *(unit.get("reload_on") or ())]]
    seen = look(paths, units=[unit["name"] for unit in wanted])
    steps = plan_units(wanted, seen, {**seen["files"], **(digests or {})} if check else None)
    by_name = {unit["name"]: unit for unit in wanted}
    done: list[str] = []
    for verb, name in [] if check else steps:
        try:
            if verb == "drop-in":
                unit = by_name[name]
                text = drop_in(name, unit.get("restart_on") or [], unit.get("reload_on") or [])
                files.write_atomically(DROP_IN % name, text, 0o644)
            elif verb == "daemon-reload":
                commands.run("systemctl", "daemon-reload")
            elif verb == "reload":
                _reload(by_name[name])
            else:
                commands.run("systemctl", verb, name)
        except (OSError, LvsError) as error:
            why = error.message if isinstance(error, LvsError) else error
            raise LvsError(
                # systemd's own log is that of the unit init.scope.
                messages.UNIT_STEP_FAILED(step=("%s %s" % (verb, name)).strip(), why=why, unit=name or "init.scope"),
                applied=done,
                not_applied=[" ".join(step).strip() for step in steps[len(done) :]],
            )
        done.append(("%s %s" % (verb, name)).strip())
    return {"changed": bool(steps), "steps": [("%s %s" % step).strip() for step in steps]}


def _reload(unit: dict[str, Any]) -> None:
    """systemd calls it a success where a program was told. One with ``workers`` starts new ones when it has read its files; where it could
    not use them it goes on as before, and the copies would say otherwise."""
    name = unit["name"]
    main = systemd.main_pid(name) if unit.get("workers") else 0
    before = processes.children(main) if main else set()
    commands.run("systemctl", "reload", name)
    end = time.monotonic() + NEW_WORKERS
    while main and not processes.children(main) - before:
        if time.monotonic() > end:
            for path in unit.get("reload_on") or ():
                files.forget(copy_of(name, path))
            raise LvsError(messages.RELOAD_NOT_TAKEN(unit=name, seconds=NEW_WORKERS))
        time.sleep(0.1)
