# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an operator writes about hosts: settings of directors and streaming servers, addresses, and names that nobody reads. Pure.

An inventory is as resolve.py has it. In ``hosts`` each host may also have ``unknown``, the names with a prefix of ours that no role and no
playbook reads, and ``misfits``, what is wrong with the type of a variable ({name: sentence}). ``names`` are the names that somebody reads,
and ``read`` says whether the hosts have been read: before that, facts are missing of all of them.
"""

import ipaddress
import re

from .checks import LABEL_HINT, is_host_name, is_label
from .errors import LvsError, Problems, listed, shown
from .model import DIRECTORS, SETTINGS, Reader, parse_address, read_timeouts, whole_number
from .text import did_you_mean, setting_text

# A variable whose name begins so is ours: one that nobody reads is a mistake.
PREFIXES = ("director_", "real_server_", "streaming_server_", "verify_", "preflight_", "rehearse_")
# Those that no role declares, because playbooks read them.
PLAYBOOK_VARIABLES = (
    "preflight_allow_cloud", "preflight_allow_drained", "rehearse_boot_seconds", "rehearse_confirmed", "rehearse_download", "rehearse_only",
    "rehearse_power_off", "rehearse_power_on", "rehearse_seconds",
)  # fmt: skip
VIRTUAL_ROUTER_ID, PRIORITY = 51, 100
MAX_CONNECTIONS = 1 << 31
INTERFACE = "[A-Za-z0-9._@:+-]{1,15}"


# --- what nobody reads --------------------------------------------------------------------------------------------------------------


def check_names(inventory, problems):
    """Names that nobody reads, and values of the wrong type; what several hosts have in common is said once."""
    found = {}
    for host, variables in inventory["hosts"].items():
        for name in variables.get("unknown") or ():
            words = "%s is not a variable of lvsdr%s" % (name, did_you_mean(name, inventory.get("names") or ()))
            found.setdefault((name, words), []).append(host)
        for name, words in (variables.get("misfits") or {}).items():
            found.setdefault((name, words), []).append(host)
    for (name, words), hosts in sorted(found.items()):
        more = " (and %d more)" % (len(hosts) - 1) if len(hosts) > 1 else ""
        problems.add("hosts[%s].%s" % (hosts[0], name), words + more)


# --- addresses ----------------------------------------------------------------------------------------------------------------------


def declared_address(variables, family):
    """The address of a family that the inventory gives a host, or None: real_server_address, real_server_address6, else ansible_host."""
    for name in ("real_server_address", "real_server_address6", "ansible_host"):
        value = variables.get(name)
        if value is not None and family_of(value) == family:
            return parse_address(value)[1]
    return None


def family_of(address):
    """4 or 6, or None where it is no address."""
    try:
        return parse_address(address)[0]
    except ValueError:
        return None


def is_declared(variables):
    """Whether the inventory gives a host any address; one of a host that has none comes from its facts."""
    return any(declared_address(variables, family) for family in (4, 6))


def host_address(variables, family):
    """A host's own address of a family, or None: the declared one, else the one that add_addresses found."""
    return declared_address(variables, family) or (variables.get("found") or {}).get(family)


def on_links(facts):
    """A host's addresses on all interfaces but lo, with their prefix lengths."""
    return [
        ipaddress.ip_interface(text)
        for interface in facts.get("interfaces", [])
        if interface["name"] != "lo"
        for text in interface["addresses"]
    ]


def own_addresses(facts, family=4):
    """A host's own addresses of a family: those with a subnet, on any interface but lo."""
    return [str(address.ip) for address in on_links(facts) if address.version == family and address.network.num_addresses > 1]


def add_addresses(inventory, vips):
    """Gives each host without a declared address ``found``, {family: address}, from its facts.

    It is its only one of a family, or the only one in a subnet of a VIP. Of a host that did not answer it is the one that a director's
    keepalived.conf has for it, so that a dead host stays where it is.
    """
    remembered = {}
    for director in inventory["groups"].get(DIRECTORS) or []:
        conf = facts_of(inventory, director).get("keepalived") or {}
        for host, address in NAMED.findall(conf.get("running") or conf.get("file") or ""):
            remembered.setdefault(host, {})[family_of(address)] = address
    for host, variables in inventory["hosts"].items():
        if is_declared(variables):
            continue
        facts = facts_of(inventory, host)
        if facts:
            variables["found"] = {family: address for family in (4, 6) for address in [_only(facts, family, vips)] if address}
        elif host in remembered:
            variables["found"] = remembered[host]


# As keepalived.py writes a real server.
NAMED = re.compile(r"^ *# (\S+)\n *real_server (\S+) ", re.MULTILINE)


def _only(facts, family, vips):
    found = list(dict.fromkeys(own_addresses(facts, family)))
    if len(found) > 1:
        networks = [address.network for address in on_links(facts) if address.version == family and address.network.num_addresses > 1]
        near = [network for network in networks if any(ipaddress.ip_address(vip) in network for vip in vips)]
        found = [address for address in found if any(ipaddress.ip_address(address) in network for network in near)]
    return found[0] if len(found) == 1 else None


def facts_of(inventory, host):
    return inventory["hosts"].get(host, {}).get("facts") or {}


def networks_of(inventory, host):
    """The subnets a host is connected to, without loopback and single addresses; None where its facts are not known."""
    facts = facts_of(inventory, host)
    if "interfaces" not in facts:
        return None
    networks = [address.network for address in on_links(facts)]
    return [network for network in networks if network.num_addresses > 1 and not network.is_link_local]


def inside(address, networks):
    address = ipaddress.ip_address(address)
    return any(address in network for network in networks)


def list_networks(networks, family):
    return listed(sorted(str(network) for network in networks if network.version == family)) or "it has none of IPv%d" % family


# --- directors ----------------------------------------------------------------------------------------------------------------------


def read_director(inventory, director, problems):
    """A director's settings, as numbers, booleans and text; ``interface`` is None where none is named. What is wrong goes to problems."""
    variables = inventory["hosts"].get(director, {})
    values = Reader(problems, "hosts[%s]" % director, variables)
    if not is_label(director) or " " in director:
        values.wrong("", "the host's name can't be keepalived's router_id; %s, and without blanks" % LABEL_HINT)
    interface = values.get("director_interface")
    if interface is not None and (not isinstance(interface, str) or not re.fullmatch(INTERFACE, interface) or interface == "lo"):
        values.wrong("director_interface", "%s is no name of an interface that can carry VIPs" % shown(interface))
        interface = None
    read = {
        "interface": interface,
        "advertisement_interval": values.seconds("director_advertisement_interval", 1, 0.01, 40),
        "timeouts": read_timeouts(values.get("director_timeouts"), problems, values.path + ".director_timeouts"),
        "sysctls": _read_sysctls(values, variables.get("facts") or {}),
        "max_cut_connections": values.integer("director_max_cut_connections", 0, 0, MAX_CONNECTIONS),
        "drain_seconds": values.integer("director_drain_seconds", 300, 0, 86400, " seconds"),
        "metrics_port": values.integer("director_streamcheck_metrics_port", 9133, 0, 65535),
        "streamcheck_install": values.boolean("director_streamcheck_install", True),
    }
    for name in ("preempt", "unicast"):
        read[name] = values.boolean("director_" + name, True)
    return read


def _read_sysctls(values, facts):
    """{name: text} of director_sysctls; the kernel's own list of names counts where the director has been read."""
    declared = values.get("director_sysctls", {})
    if not isinstance(declared, dict):
        values.wrong("director_sysctls", "a dictionary such as {conntrack: 0} is needed, not %s" % shown(declared))
        return {}
    # Before ip_vs is loaded a kernel names none.
    known, out = facts.get("settings") or (), {}
    for name, value in declared.items():
        path = "director_sysctls.%s" % (name if isinstance(name, str) else shown(name))
        if name not in SETTINGS and name not in known:
            values.wrong(path, "IPVS has no such setting%s" % did_you_mean(name, SETTINGS))
        elif known and name not in known:
            values.wrong(path, "the kernel of this director has no such setting; leave it out")
        else:
            try:
                out[name] = setting_text(value)
            except LvsError as error:
                values.wrong(path, str(error))
                continue
            _check_setting(values, path, name, out[name])
    return out


def _check_setting(values, path, name, text):
    limits = SETTINGS.get(name)
    numbers = [whole_number(word) for word in text.split()]
    if limits is None:  # text, or a setting of a newer kernel
        if name == "est_cpulist" and not re.fullmatch(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*", text):
            values.wrong(path, "%s is not a list of processors such as 0-3,8" % shown(text))
        return
    low, high, count = limits
    if len(numbers) != count or None in numbers:
        values.wrong(
            path, "%s is not %s" % (shown(text), "a whole number" if count == 1 else "%d whole numbers with blanks between" % count)
        )
    elif not all(low <= number <= high for number in numbers):
        values.wrong(path, "%s is out of range (%d to %d)" % (text, low, high))
    # ip_vs_ctl.c: proc_do_sync_threshold and proc_do_sync_ports.
    elif name == "sync_threshold" and numbers[1] and numbers[0] >= numbers[1]:
        values.wrong(path, "%s: the first number has to be below the second" % text)
    elif name == "sync_ports" and numbers[0] & (numbers[0] - 1):
        values.wrong(path, "%s is not a power of 2" % text)


# These follow from a host's memory and processors, so directors may differ in them.
OF_ONE_HOST = ("am_droprate", "amemthresh", "est_cpulist", "est_nice", "run_estimation", "sync_qlen_max", "sync_sock_size")


def check_directors(inventory, problems):
    """{director: settings} of all directors, which have to agree on what viewers and the other director notice."""
    directors = inventory["groups"].get(DIRECTORS) or []
    out = {director: read_director(inventory, director, problems) for director in directors}
    for director in directors[1:]:
        first, other = _shared(out[directors[0]]), _shared(out[director])
        for name in sorted(first.keys() | other.keys()):
            if first.get(name) != other.get(name):
                problems.add(
                    "hosts[%s].%s" % (director, name),
                    "this is %s, and on %s it is %s; after a failover directors have to do the same, so move it to the group's variables"
                    % (_words(other.get(name)), directors[0], _words(first.get(name))),
                )
    return out


def _shared(settings):
    """The settings that all directors have in common, by the names of their variables."""
    out = {"director_" + name: settings[name] for name in ("advertisement_interval", "preempt", "unicast")}
    out.update({"director_timeouts." + name: value for name, value in (settings["timeouts"] or NO_TIMEOUTS)._asdict().items() if value})
    out.update({"director_sysctls." + name: value for name, value in settings["sysctls"].items() if name not in OF_ONE_HOST})
    return out


NO_TIMEOUTS = read_timeouts({}, Problems())


def _words(value):
    return "not set" if value is None else {True: "on", False: "off"}[value] if isinstance(value, bool) else "%s" % value


# --- streaming servers --------------------------------------------------------------------------------------------------------------

CACHE_SIZE = "[1-9][0-9]{0,12}|[1-9][0-9]{0,9}[kK]|[1-9][0-9]{0,6}[mM]|[1-9][0-9]{0,3}[gG]"
FOLDER = "/[A-Za-z0-9._/@+-]{1,200}"


def check_streaming_server(inventory, host, problems):
    """What nginx would refuse, or read in another way, of the variables of role streaming_server."""
    values = Reader(problems, "hosts[%s]" % host, inventory["hosts"].get(host, {}))
    if values.get("streaming_server_kind") is None:
        return
    values.choice("streaming_server_kind", "edge", ("edge", "origin"))
    _check_words(values, "streaming_server_listen", _is_listen, "a port, or an address with a port, such as 80 or [::]:80")
    _check_words(values, "streaming_server_tls_listen", _is_listen, "a port, or an address with a port, such as 443 or [::]:443")
    _check_words(values, "streaming_server_origin", _is_origin, "HOST:PORT, an IPv6 address in brackets")
    _check_words(values, "streaming_server_publishers", _is_network, "an address or a network, such as 192.0.2.0/24")
    _check_words(values, "streaming_server_packages", lambda word: re.fullmatch("[a-z0-9][a-z0-9+.:~=_/-]*", word), "a package's name")
    for name, pattern, hint in (
        ("user", "[a-z_][a-z0-9_.-]{0,31}", "the name of an account"),
        ("cache_size", CACHE_SIZE, "a size in nginx's notation, such as 1g, up to 9999g"),
        ("vod_dir", FOLDER, "a folder by its whole path"),
        ("cache_dir", FOLDER, "a folder by its whole path"),
        ("hls_dir", FOLDER, "a folder by its whole path"),
        ("certificate", FOLDER, "a file by its whole path"),
        ("certificate_key", FOLDER, "a file by its whole path"),
    ):
        value = values.get("streaming_server_" + name)
        if value not in (None, "") and not _fits(value, re.compile(pattern).fullmatch):
            values.wrong("streaming_server_" + name, "%s is not %s" % (shown(value), hint))
    listen = values.get("streaming_server_rtmp_listen", "1935")
    if not _fits(listen, _is_listen):
        values.wrong("streaming_server_rtmp_listen", "%s is not a port, or an address with a port" % shown(listen))
    ports = []
    for name, default in (("listen", [80]), ("tls_listen", [])):
        declared = values.get("streaming_server_" + name, default)
        ports += [_port_of(word) for word in declared if _fits(word, _is_listen)] if isinstance(declared, list) else []
    for name in ("certificate", "certificate_key") if values.get("streaming_server_tls_listen") else ():
        if not values.get("streaming_server_" + name):
            values.wrong("streaming_server_" + name, "streaming_server_tls_listen needs it; name a file in PEM that is on the host")
    rtmp = _port_of(listen)[1] if _fits(listen, _is_listen) and values.get("streaming_server_kind") == "origin" else None
    if rtmp in {port for _host, port in ports}:
        values.wrong("streaming_server_rtmp_listen", "port %s is one of streaming_server_listen; RTMP needs another one" % rtmp)
    for place in dict.fromkeys(place for place in ports if ports.count(place) > 1):
        values.wrong("streaming_server_listen", "port %s of %s is in the list twice; remove one" % (place[1], place[0]))
    for name, low, high in (("connections", 16, 1 << 20), ("keepalive_requests", 1, 1 << 30), ("fragment", 1, 60), ("playlist", 1, 86400)):
        values.integer("streaming_server_" + name, low, low, high)
    fragment, playlist = (whole_number(values.get("streaming_server_" + name)) for name in ("fragment", "playlist"))
    if fragment and playlist and playlist < 3 * fragment:
        values.wrong(
            "streaming_server_playlist", "%d seconds are fewer than three segments of %d, and players need three" % (playlist, fragment)
        )
    values.boolean("streaming_server_test_source", False)


def _check_words(values, name, fits, hint):
    declared = values.get(name)
    if declared is None:
        return
    if not isinstance(declared, list):
        values.wrong(name, "a list is needed, not %s" % shown(declared))
        return
    for index, word in enumerate(declared):
        if not _fits(word, fits):
            values.wrong("%s[%d]" % (name, index), "%s is not %s" % (shown(word), hint))


def _fits(word, fits):
    """Whether a word, or a number as text, is as it has to be."""
    text = str(word) if whole_number(word) is not None else word
    return isinstance(text, str) and bool(fits(text))


def _host_and_port(word):
    """(host without brackets, port as text) of ``host:port``."""
    found = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\]:([0-9]{1,5})|([^:\[\]]+):([0-9]{1,5})", word)
    return (found[1] or found[3], found[2] or found[4]) if found else (None, None)


def _port_of(word):
    """(address, port) of what nginx listens on; every IPv4 address is 0.0.0.0."""
    host, port = _host_and_port(str(word))
    return ("0.0.0.0" if host in (None, "*") else host), port or str(word)


def _is_port(text):
    return 0 < (whole_number(text) or 0) < 65536


def _is_listen(word):
    host, port = _host_and_port(word)
    return _is_port(word) or (host is not None and _is_port(port) and (host in ("*", "::", "0.0.0.0") or family_of(host) is not None))


def _is_origin(word):
    host, port = _host_and_port(word)
    return host is not None and _is_port(port) and (family_of(host) is not None or is_host_name(host))


def _is_network(word):
    address, _slash, length = word.partition("/")
    try:
        # nginx takes a prefix length, and no mask.
        return word == "all" or (family_of(address) is not None and length.isdigit() == bool(_slash) and bool(ipaddress.ip_network(word)))
    except ValueError:
        return False
