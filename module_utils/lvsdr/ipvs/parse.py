# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what ``ipvsadm -Sn`` prints, or a script of ipvsadm commands that builds a table, to the words of ipvs_table's options. Pure.

render.py does the reverse. Options are those of ipvsadm 1.31 (ipvsadm(8)); popt takes a value as the next word, after ``=`` or, with
a short option, without a blank.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import messages as common
from ansible.module_utils.lvsdr.addresses import parse_address
from ansible.module_utils.lvsdr.errors import Problems
from ansible.module_utils.lvsdr.ipvs import messages
from ansible.module_utils.lvsdr.ipvs.declare import read_daemons, read_services, read_timeouts
from ansible.module_utils.lvsdr.ipvs.describe import options_as_dict, wanted_as_dict
from ansible.module_utils.lvsdr.ipvs.render import CHECKSUM_OPTIONS, DAEMON_OPTIONS, FORWARD_OPTIONS, PROTOCOL_OPTIONS

if TYPE_CHECKING:
    # A service as lines name it: the option, its value, and whether -6 is there.
    Name = tuple[str, str, bool]
    # Of the lines of one service: {(address, port that counts): (line, port as written, method)}.
    Ports = dict[tuple[str, str], tuple[str, str, str]]

# What a line begins with: its kind, or None for a command that leaves nothing in the table.
COMMANDS = {
    "-A": "service", "--add-service": "service", "-a": "destination", "--add-server": "destination", "--set": "timeouts",
    "--start-daemon": "daemon", "-C": None, "--clear": None,
}  # fmt: skip
LONG = {
    "--tcp-service": "-t", "--udp-service": "-u", "--fwmark-service": "-f", "--ipv6": "-6", "--scheduler": "-s", "--sched-flags": "-b",
    "--persistent": "-p", "--netmask": "-M", "--real-server": "-r", "--gatewaying": "-g", "--ipip": "-i", "--masquerading": "-m",
    "--weight": "-w", "--u-threshold": "-x", "--l-threshold": "-y", "--ops": "-o",
}  # fmt: skip
NAMED = {**{option: protocol for protocol, option in PROTOCOL_OPTIONS.items()}, "-f": "fwmark"}
FORWARDS = {option: forward for forward, option in FORWARD_OPTIONS.items()}
CHECKSUMS = {option: checksum for checksum, option in CHECKSUM_OPTIONS.items()}
# Options without a value. That of -p may be left out.
BARE = {"-6", "-o", *FORWARDS, *CHECKSUMS}
OPTIONS: dict[str, set[str]] = {
    "service": {*NAMED, "-6", "-s", "-b", "-p", "-M", "-o", "--pe"},
    "destination": {*NAMED, "-6", "-r", "-w", "-x", "-y", *FORWARDS, "--tun-type", "--tun-port", *CHECKSUMS},
    "daemon": set(DAEMON_OPTIONS),
    "timeouts": set(),
}
# What forwards without rewriting ports, in words.
WITHOUT_PORT = {"dr": "direct routing", "tunnel": "a tunnel", "local": "local delivery"}
# A line that shows that another program printed the text, and what it is. None of it can begin a line of a script.
OTHERS = (
    (r"IP Virtual Server version |Prot +LocalAddress:Port|->( |$)", "what `ipvsadm -Ln` prints"),
    (r"IPVS connection entries|pro +expire +state |Pro +FromIP +FPrt ", "a list of connections, as `ipvsadm -Lc` prints it"),
    (r"Timeout \(tcp tcpfin udp\): ", "what `ipvsadm -L --timeout` prints"),
    (r"(master|backup) sync daemon \(", "what `ipvsadm -L --daemon` prints"),
    (r"(virtual_server(_group)?|vrrp_instance|real_server|global_defs)\b.*\{$", "a keepalived.conf"),
    (r"\*(filter|nat|mangle|raw)$|:(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) ", "what iptables-save prints"),
)  # fmt: skip
UNREADABLE = "The text is not the output of `ipvsadm -Sn`, and not a script of such commands"
DAEMON_FIELDS = dict(zip(DAEMON_OPTIONS, ("interface", "id", "maxlen", "group", "port", "ttl")))


def parse(text: object, notes: list[str] | None = None) -> dict[str, Any]:
    """``{"services": [...]}``, with ``timeouts`` and ``sync_daemons`` where the text sets them; LvsError with every line that is wrong.

    notes: a list that gets a sentence for each line that is read in another way than it is written.
    """
    problems, notes = Problems(), [] if notes is None else notes
    _check_form(str(text), problems)
    # Key of a service, as written, to its options, and the line of each part of them, to name it in errors.
    services: dict[Name, dict[str, Any]] = {}
    where: dict[str, str] = {}
    ports: dict[Name, Ports] = {}
    timeouts: dict[str, str] | None = None
    daemons: list[dict[str, Any]] = []
    for number, line in enumerate(str(text).splitlines(), 1):
        words = line.split("#")[0].split()
        if words and re.fullmatch(r"(\S*/)?ipvsadm", words[0]):
            words = words[1:]
        if not words:
            continue
        path = "line %d" % number
        kind = COMMANDS.get(words[0], "")
        if kind == "":
            problems.add(path, messages.IPVSADM_COMMAND_UNKNOWN(command=words[0]))
        elif kind is None:
            # What was before it is gone.
            services.clear()
            ports.clear()
            if words[1:]:
                problems.add(path, messages.IPVSADM_COMMAND_ALONE(command=words[0]))
        else:
            options, plain = _options(words[1:], kind, path, problems)
            if kind == "timeouts":
                timeouts, where["timeouts"] = {**(timeouts or {}), **_timeouts(plain, path, problems)}, path
            elif kind == "daemon":
                if len(plain) != 1:
                    problems.add(path, messages.IPVSADM_DAEMON_STATE())
                daemons.append({"state": plain[0] if plain else None, **{DAEMON_FIELDS[name]: value for name, value in options.items()}})
                where["sync_daemons[%d]" % (len(daemons) - 1)] = path
            else:
                _entry(kind, options, plain, path, services, where, problems, ports, notes)
    return _as_options(list(services.values()), timeouts, daemons, where, problems)


def _as_options(
    services: list[dict[str, Any]],
    timeouts: dict[str, str] | None,
    daemons: list[dict[str, Any]],
    where: dict[str, str],
    problems: Problems,
) -> dict[str, Any]:
    """What has been read, in the words of ipvs_table's options. where: {path in them: line}."""
    inner = Problems()
    wanted = read_services(services, inner)
    read, running = read_timeouts(timeouts, inner), read_daemons(daemons, inner)
    unread = {found.partition(": ")[0] for found in problems.found}
    for found in inner.found:
        place, _colon, sentence = found.partition(": ")
        begin = re.match(r"(services\[\d+\]\.destinations\[\d+\]|services\[\d+\]|sync_daemons\[\d+\]|timeouts)", place)
        assert begin is not None  # all that is read here
        item = begin.group()
        # Of a line that could not be read, that is enough.
        if where[item] not in unread:
            path = where[item] if place == item else "%s: %s" % (where[item], place[len(item) :].lstrip("."))
            problems.found.append("%s: %s" % (path, sentence))
    problems.found.sort(key=lambda found: int((re.match(r"line (\d+)", found) or [0, 0])[1]))
    problems.raise_if_any(UNREADABLE)
    out: dict[str, Any] = {"services": [wanted_as_dict(one) for one in wanted.values()]}
    if read is not None:
        out["timeouts"] = {name: value for name, value in options_as_dict(read).items() if value}
    if running:
        out["sync_daemons"] = [options_as_dict(daemon) for daemon in running.values()]
    return out


def _check_form(text: str, problems: Problems) -> None:
    """LvsError, in one sentence, where a text is of another kind: it would be wrong in every line."""
    for number, line in enumerate(text.splitlines(), 1):
        found = [what for pattern, what in OTHERS if re.match(pattern, line.strip())]
        if found:
            problems.add("line %d" % number, messages.NOT_IPVSADM_SAVE(what=found[0]))
            problems.raise_if_any(UNREADABLE)


def _port_text(address: str, port: str) -> str:
    return ("[%s]:%s" if ":" in address else "%s:%s") % (address, port)


class Options(dict[str, Any]):
    """Options of a line by their short names. written: {short name: as the line has it}."""

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[str, str] = {}


def _options(words: list[str], kind: str, path: str, problems: Problems) -> tuple[Options, list[str]]:
    """({option: value, True for one without}, the words that do not belong to an option)."""
    options, words = Options(), list(words)
    plain: list[str] = []
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            plain.append(word)
            continue
        value: str | bool
        option, glued, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
        option = LONG.get(option, option)
        if option not in OPTIONS[kind]:
            problems.add(path, messages.IPVSADM_OPTION_MISPLACED(option=word))
            continue
        if option in BARE:
            value = True
            if glued and not word.startswith("--"):
                words.insert(0, "-" + glued)
            elif glued:
                problems.add(path, messages.IPVSADM_OPTION_TAKES_NO_VALUE(option=word.partition("=")[0]))
        elif not glued:
            # popt's rules: whatever follows is the value, but the one that may be left out begins with no dash.
            if option == "-p" and (not words or words[0].startswith("-")):
                value = "360"  # libipvs.h: IPVS_SVC_PERSISTENT_TIMEOUT
            elif words:
                value = words.pop(0)
            else:
                problems.add(path, messages.IPVSADM_OPTION_VALUE_MISSING(option=word))
                continue
        if option in options:
            problems.add(path, common.LISTED_TWICE(what="option %s" % word))
        options[option] = value
        options.written[option] = word.partition("=")[0] if word.startswith("--") else option
    return options, plain


def _timeouts(words: list[str], path: str, problems: Problems) -> dict[str, str]:
    if len(words) != 3:
        problems.add(path, messages.IPVSADM_SET_NUMBERS())
        return {}
    # Zero keeps what is.
    return {name: value for name, value in zip(("tcp", "tcp_fin", "udp"), words) if value != "0"}


def _entry(
    kind: str,
    options: Options,
    plain: list[str],
    path: str,
    services: dict[Name, dict[str, Any]],
    where: dict[str, str],
    problems: Problems,
    ports: dict[Name, Ports],
    notes: list[str],
) -> None:
    """Adds a service or destination to services."""
    named = [option for option in options if option in NAMED]
    if len(named) != 1 or plain:
        problems.add(path, messages.IPVSADM_WORDS_UNREADABLE(words=" ".join(plain)) if plain else messages.IPVSADM_ONE_SERVICE())
        return
    option = named[0]
    key = (option, options[option], "-6" in options)
    if kind == "service":
        index = len(services)
        if key in services:
            problems.add(path, common.LISTED_TWICE(what="service %s %s" % (options.written[option], options[option])))
            return
        services[key] = _service(option, options, path, problems)
        where["services[%d]" % index] = path
    elif key not in services:
        problems.add(path, messages.IPVSADM_SERVICE_UNKNOWN(service="%s %s" % (options.written[option], options[option])))
    else:
        service, index = services[key], list(services).index(key)
        where["services[%d].destinations[%d]" % (index, len(service["destinations"]))] = path
        service["destinations"].append(_destination(service, options, path, problems, ports.setdefault(key, {}), notes))


def _split(endpoint: str, path: str, problems: Problems) -> tuple[str, str | None]:
    """(address, port or None) of ``198.51.100.100:80`` or ``[2001:db8::1]:80``."""
    found = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::(\d+))?", endpoint) or re.fullmatch(r"([0-9.]+)(?::(\d+))?", endpoint)
    if not found:
        problems.add(path, messages.IPVSADM_NOT_AN_ENDPOINT(endpoint=endpoint))
        return endpoint, None
    address, port = found.groups()
    return address, port


def _service(option: str, options: Options, path: str, problems: Problems) -> dict[str, Any]:
    out: dict[str, Any] = {"destinations": []}
    if option == "-f":
        # ipvsadm prints it as a signed number.
        negative = re.fullmatch(r"-(\d{1,10})", options["-f"])
        out["firewall_mark"] = str((1 << 32) - int(negative[1])) if negative else options["-f"]
        if "-6" in options:
            out["family"] = "ipv6"
    else:
        address, port = _split(options[option], path, problems)
        out.update(address=address, port=port or "0", protocol=NAMED[option])
    if "-s" in options:
        out["scheduler"] = options["-s"]
    if "-b" in options:
        out["scheduler_flags"] = options["-b"].split(",")
    if "-o" in options:
        out["one_packet"] = True
    if "-p" in options:
        out["persistence"] = {"timeout": options["-p"]}
    for name, word in (("netmask", "-M"), ("engine", "--pe")):
        if word in options and "-p" in options:
            out["persistence"][name] = options[word]
        elif word in options:
            problems.add(path, messages.IPVSADM_OPTION_NEEDS_PERSISTENCE(option=options.written[word]))
    return out


def _check_port(
    service: dict[str, Any], address: str, port: str | None, forward: str, path: str, problems: Problems, ports: Ports, notes: list[str]
) -> None:
    """What becomes of the port in a destination's line: without NAT the kernel has the service's, whatever is written."""
    usual = service["port"].lstrip("0") or "0"
    written = usual if port is None else port.lstrip("0") or "0"
    counts = usual if forward in WITHOUT_PORT else written
    try:
        address = parse_address(address)[1]
    except ValueError:
        return  # reported with the address
    before, other, other_forward = ports.setdefault((address, counts), (path, written, forward))
    if before == path and written != counts:
        note = messages.IPVSADM_PORT_COUNTS_AS(method=WITHOUT_PORT[forward], name=_port_text(address, written), counts=counts, port=written)
        notes.append("%s: %s" % (path, str(note)))
    elif before != path and written == other == counts:
        problems.add(path, common.DECLARED_TWICE(what="destination %s" % _port_text(address, written), by=before))
    elif before != path:
        moved, method = (written, forward) if written != counts else (other, other_forward)
        problems.add(
            path,
            messages.IPVSADM_SAME_DESTINATION(
                name=_port_text(address, written), other=_port_text(address, other), line=before,
                method=WITHOUT_PORT[method], moved=moved, counts=counts,
            ),
        )  # fmt: skip


def _destination(
    service: dict[str, Any], options: Options, path: str, problems: Problems, ports: Ports, notes: list[str]
) -> dict[str, Any]:
    if "-r" not in options:
        problems.add(path, messages.IPVSADM_REAL_SERVER_MISSING())
        return {"address": None}
    address, port = _split(options["-r"], path, problems)
    forwards = [FORWARDS[option] for option in FORWARDS if option in options]
    if len(forwards) > 1:
        problems.add(path, messages.IPVSADM_ONLY_ONE(what="forwarding method", names=", ".join(forwards)))
    out: dict[str, Any] = {"address": address, "forward": forwards[0] if forwards else "dr"}
    if "firewall_mark" not in service:
        _check_port(service, address, port, out["forward"], path, problems, ports, notes)
    # For the other methods ipvsadm uses the service's port, whatever is written; but a firewall-mark service has none.
    if port is not None and (out["forward"] == "nat" or "firewall_mark" in service):
        out["port"] = port
    for name, word in (("weight", "-w"), ("upper_threshold", "-x"), ("lower_threshold", "-y")):
        if word in options:
            out[name] = options[word]
    tunnel = {name: options[word] for name, word in (("type", "--tun-type"), ("port", "--tun-port")) if word in options}
    checksums = [CHECKSUMS[word] for word in CHECKSUMS if word in options]
    if len(checksums) > 1:
        problems.add(path, messages.IPVSADM_ONLY_ONE(what="checksum", names=", ".join(checksums)))
    if checksums:
        tunnel["checksum"] = checksums[0]
    if tunnel:
        out["tunnel"] = tunnel
    return out
