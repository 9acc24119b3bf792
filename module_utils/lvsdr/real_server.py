# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read, plan, apply, read back: what real_server_vip does on a host. IO."""

import json
import os

from . import arp, host, sysctl
from .errors import LvsError

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


def write_atomically(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.rename(path + ".new", path)


def _read_unit(path):
    try:
        with open(path) as f:
            return f.read()
    except FileNotFoundError:
        return ""


def _state_text(conf, on_lo):
    lines = ["net.ipv4.conf.%s.%s = %d" % (name, setting, conf[name][setting]) for name in sorted(conf) for setting in arp.SETTINGS]
    return "\n".join(lines + [arp.full_prefix(vip) + " dev lo" for vip in on_lo]) + "\n"


def _read(links=None):
    links = links or host.interfaces()
    addresses = []
    for link in links:
        for text in link["addresses"]:
            address, _, length = text.partition("/")
            addresses.append((link["name"], address, int(length)))
    return host.arp_conf(links), addresses


def _vips_on_lo(addresses, vips):
    there = {address for interface, address, _length in addresses if interface == "lo"}
    return [vip for vip in vips if vip in there]


def converge(vips, purge=True, persist=True, record_path=RECORD, unit_folder=UNIT_FOLDER, check=False):
    """The module's result as a dict; LvsError where a setting is refused or a VIP can't be used."""
    conf, addresses = _read()
    want = arp.check_vips(vips, addresses)
    record = read_record(record_path)
    operations, stale = arp.plan(want, conf, addresses, record, purge)
    keep = [text for _family, text in want] + ([] if purge else stale)
    # What is there keeps its place: a list in another order is no change.
    kept = sorted(keep, key=lambda vip: record["vips"].index(vip) if vip in record["vips"] else len(record["vips"]))
    former = dict(record["former"])
    for operation in operations:
        if operation["action"] == "set":
            former.setdefault(operation["sysctl"], str(operation["before"]))
    restored = any(operation["action"] == "restore" for operation in operations)
    record_after = {"vips": kept, "former": {} if restored else former}

    unit_path = os.path.join(unit_folder, arp.UNIT_NAME)
    unit_before = _read_unit(unit_path) if persist else ""
    unit_after = _unit_after(kept, record_after["former"]) if persist else ""
    known = list(dict.fromkeys(record["vips"] + kept))
    before = _state_text(conf, _vips_on_lo(addresses, known)) + unit_before
    changed = bool(operations) or unit_before != unit_after or record != record_after

    if changed and not check:
        # The record goes first: whatever happens next, a later run knows what was there.
        if record != record_after and not restored:
            write_atomically(record_path, json.dumps({"vips": sorted(set(record["vips"]) | set(kept)), "former": former}, indent=1) + "\n")
        done = []
        try:
            if persist and unit_after and unit_before != unit_after:
                write_atomically(unit_path, unit_after)
                host.run("systemctl", "daemon-reload")
                host.run("systemctl", "enable", arp.UNIT_NAME)
            _apply(operations, done)
        except LvsError as error:
            error.details = {
                "applied": [arp.describe(op) for op in done],
                "not_applied": [arp.describe(op) for op in operations[len(done) :]],
            }
            raise
        if persist and not unit_after and unit_before:
            host.run("systemctl", "disable", arp.UNIT_NAME)
            os.unlink(unit_path)
            host.run("systemctl", "daemon-reload")
        if record_after["vips"] or record_after["former"]:
            write_atomically(record_path, json.dumps(record_after, indent=1) + "\n")
        elif os.path.exists(record_path):
            os.unlink(record_path)
        conf, addresses = _read()
    after = before if not changed else _state_text(conf, _vips_on_lo(addresses, known)) + unit_after
    if check and changed:
        after = _expected(conf, operations, _vips_on_lo(addresses, known)) + unit_after
    return {
        "changed": changed,
        "operations": [dict(operation, text=arp.describe(operation)) for operation in operations],
        "stale": [] if purge else stale,
        "vips": kept,
        "diff": {"before": before, "after": after},
        "before": before.splitlines(),
        "after": after.splitlines(),
    }


def _unit_after(kept, former):
    if not kept:
        return ""
    # Settings that were right without us are not ours to keep; those we changed once are made again at each boot.
    sysctls = {name: arp.WANTED[name.rsplit("/", 1)[1]] for name in former}
    return arp.unit(kept, sysctls, ip=host.find_command("ip") or "/usr/sbin/ip", sysctl=host.find_command("sysctl") or "/usr/sbin/sysctl")


def _expected(conf, operations, on_lo):
    conf = {name: dict(values) for name, values in conf.items()}
    on_lo = list(on_lo)
    for operation in operations:
        if "sysctl" in operation:
            interface, setting = operation["sysctl"].split("/")[-2:]
            if interface in conf:
                conf[interface][setting] = int(operation["value"])
        elif operation["action"] == "add":
            on_lo.append(operation["vip"])
        else:
            on_lo.remove(operation["vip"])
    return _state_text(conf, on_lo)


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
            host.run("ip", "address", "del", arp.full_prefix(operation["vip"]), "dev", "lo")
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
