"""Silence on ARP: which settings, in which order, the unit that makes them at boot, and the frames of the audit byte by byte."""

import contextlib
import ipaddress
import json
import os
import re
import shutil
import struct
from pathlib import Path

import pytest
from ansible.module_utils.lvsdr import addresses
from ansible.module_utils.lvsdr.arp import audit, packets, placement, real_server, recipes, seen, settings
from ansible.module_utils.lvsdr.arp import steps as arp_steps
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.system import commands, files, links, rtnetlink, sysctl, systemd
from ansible.module_utils.lvsdr.system import messages as system_messages
from ansible.module_utils.lvsdr.text import kernel_number
from hypothesis import example, given
from hypothesis import strategies as st
from said import id_of, path_and_id

from inventories import VIP, VIP6

GOLDEN = Path(__file__).parents[2] / "fixtures" / "lvsdr-vip.service"
DEFAULTS = {"arp_ignore": 0, "arp_announce": 0, "rp_filter": 0}
SILENT = {"arp_ignore": 1, "arp_announce": 2, "rp_filter": 0}
WANT, WANT6 = (4, VIP), (6, VIP6)
# lo and one card, as of a host that nobody has touched.
OWN = [("lo", "127.0.0.1", 8), ("lo", "::1", 128), ("eth0", "192.0.2.21", 24), ("eth0", "2001:db8::21", 64)]
NOTHING = {"vips": [], "former": {}}


def conf(all=(), default=(), **interfaces):
    """Settings of a host; what is not said is the kernel's default."""
    return {name: {**DEFAULTS, **dict(values)} for name, values in {"all": all, "default": default, **interfaces}.items()}


def after(have, sysctls):
    """The settings after a run."""
    made = {name: dict(values) for name, values in have.items()}
    for name, value in sysctls.items():
        interface, setting = name.split("/")[-2:]
        made[interface][setting] = value
    return made


# --- settings -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "silent", "loud"),
    [("arp_ignore", (1, 2, 8), (0, 3, 4, 5, 6, 7)), ("arp_announce", (2,), (0, 1)), ("rp_filter", (0, 2), (1,))],
)
def test_effective_values_that_do(setting, silent, loud):
    """What was measured (docs/arp-problem.md): arp_ignore 3 answers for a VIP of global scope, arp_announce 1 poisons caches."""
    assert all(settings.good(setting, value) for value in silent)
    assert not any(settings.good(setting, value) for value in loud)


ALL = "net/ipv4/conf/all/"


@pytest.mark.parametrize(
    ("have", "needed"),
    [
        (conf(eth0=()), {ALL + "arp_ignore": 1, ALL + "arp_announce": 2}),
        (conf(all=SILENT, eth0=()), {}),
        (conf(default=SILENT, eth0=SILENT), {}),
        (conf(default=SILENT, eth0=SILENT, eth1=()), {ALL + "arp_ignore": 1, ALL + "arp_announce": 2}),
        (conf(eth0=SILENT), {ALL + "arp_ignore": 1, ALL + "arp_announce": 2}),
        # lo alone, as many a tutorial says, is not among the interfaces and changes nothing.
        (conf(all={"arp_announce": 2}, eth0={"arp_ignore": 2}), {ALL + "arp_ignore": 1}),
        # The larger of the two counts: conf/all can't take back what an interface says.
        (conf(all=SILENT, eth0={"arp_ignore": 3}), {"net/ipv4/conf/eth0/arp_ignore": 1}),
        (conf(all={"arp_ignore": 3, "arp_announce": 2}, eth0=()), {ALL + "arp_ignore": 1}),
        (conf(all={"arp_ignore": 8, "arp_announce": 2}, eth0={"arp_ignore": 3}), {}),
        (conf(all={**SILENT, "rp_filter": 1}, eth0=()), {ALL + "rp_filter": 2}),
        (conf(all=SILENT, eth0={"rp_filter": 1}), {ALL + "rp_filter": 2}),
        (conf(all={**SILENT, "rp_filter": 1}, default={"rp_filter": 2}, eth0={"rp_filter": 2}), {}),
        (conf(all=SILENT, **{"eth0.5": {"arp_ignore": 3}}), {"net/ipv4/conf/eth0.5/arp_ignore": 1}),
    ],
)
def test_needed_settings(have, needed):
    assert settings.needed_sysctls(have) == needed


values = st.fixed_dictionaries({"arp_ignore": st.integers(0, 8), "arp_announce": st.integers(0, 2), "rp_filter": st.integers(0, 2)})
confs = st.fixed_dictionaries({"all": values, "default": values}, optional={"eth0": values, "eth1": values})


@given(confs)
def test_afterwards_every_interface_is_silent_and_nothing_is_left_to_do(have):
    needed = settings.needed_sysctls(have)
    then = after(have, needed)
    for name in set(have) - {"all"}:
        for setting in settings.SETTINGS:
            assert settings.good(setting, max(then["all"][setting], then[name][setting]))
    assert settings.needed_sysctls(then) == {}
    for name, value in needed.items():
        interface, setting = name.split("/")[-2:]
        assert have[interface][setting] != value, "nothing is set to what it is"
        assert value == {"arp_ignore": 1, "arp_announce": 2, "rp_filter": 2}[setting]


# --- VIPs ---------------------------------------------------------------------------------------------------------------------------


def test_good_vips():
    """With and without their prefix, in one way of writing, each once; those that are on lo already are fine."""
    there = [*OWN, ("lo", VIP, 32), ("lo", VIP6, 128)]
    assert placement.check_vips([VIP + "/32", "2001:DB8:0::100/128", VIP, " 192.0.2.101 "], there) == [WANT, WANT6, (4, "192.0.2.101")]
    assert placement.check_vips([], OWN) == []


@pytest.mark.parametrize(
    ("vip", "addresses", "id", "words"),
    [
        ("vip.example.com", [], "not-an-address", "'vip.example.com'"),
        ("", [], "not-an-address", "''"),
        ("192.0.2.256", [], "not-an-address", "192.0.2.256"),
        ("0.0.0.0", [], "not-an-address", "0.0.0.0"),
        ("233.252.0.1", [], "not-an-address", "multicast"),
        ("ff02::1", [], "not-an-address", "multicast"),
        ("fe80::1%eth0", [], "not-an-address", "fe80::1%eth0"),
        (VIP + "/24", [], "vip-prefix-length", "/32, not 192.0.2.100/24"),
        (VIP + "/0", [], "vip-prefix-length", "/32, not 192.0.2.100/0"),
        (VIP + "/x", [], "vip-prefix-length", "/32, not 192.0.2.100/x"),
        (VIP6 + "/64", [], "vip-prefix-length", "/128, not 2001:db8::100/64"),
        (VIP6 + "/32", [], "vip-prefix-length", "/128, not 2001:db8::100/32"),
        ("127.0.0.1", [], "vip-is-loopback", "127.0.0.1"),
        ("::1", [], "vip-is-loopback", "::1"),
        ("192.0.2.21", [], "vip-with-subnet-prefix", "`ip address del 192.0.2.21/24 dev eth0`"),
        (VIP, [("eth1", VIP, 32)], "vip-on-interface", "`ip address del 192.0.2.100/32 dev eth1`"),
        ("2001:DB8::0100", [("eth1", VIP6, 128)], "vip-on-interface", "`ip address del 2001:db8::100/128 dev eth1`"),
        (VIP, [("lo", VIP, 24)], "vip-as-subnet", "`ip address del 192.0.2.100/24 dev lo`"),
        (VIP6, [("lo", VIP6, 64)], "vip-as-subnet6", "`ip address del 2001:db8::100/64 dev lo`"),
    ],
)
def test_bad_vips(vip, addresses, id, words):
    with pytest.raises(LvsError) as caught:
        placement.check_vips(["192.0.2.101", vip], OWN + addresses)
    (line,) = caught.value.details["problems"]
    assert path_and_id(line) == ("vips[1]", id) and words in line


def test_all_bad_vips_come_in_one_message():
    with pytest.raises(LvsError, match="The VIPs can't be used on this real server: 3 errors") as caught:
        placement.check_vips(["x", VIP, "192.0.2.21", VIP + "/24"], OWN)
    assert [line[:8] for line in caught.value.details["problems"]] == ["vips[0]:", "vips[2]:", "vips[3]:"]


@given(st.lists(st.one_of(st.text(max_size=12), st.sampled_from([VIP, VIP6, "::1", "192.0.2.21", "1/2/3", "::ffff:192.0.2.1"]))))
def test_nothing_gives_another_error_than_ours(vips):
    for check in (lambda: placement.check_vips(vips, OWN), lambda: audit.check_audit(vips)):
        try:
            for family, text in check():
                assert ipaddress.ip_address(text).version == family and addresses.parse_address(text) == (family, text)
        except LvsError:
            pass


# --- order --------------------------------------------------------------------------------------------------------------------------


def steps(*arguments):
    operations, stale = arp_steps.plan(*arguments)
    return [(op["action"], op.get("vip") or op["sysctl"]) for op in operations], stale


def test_silence_comes_before_the_vip():
    operations, stale = arp_steps.plan([WANT6, WANT], conf(eth0={"rp_filter": 1}), OWN, NOTHING, True)
    assert operations == [
        {"action": "set", "sysctl": ALL + "arp_announce", "value": 2, "before": 0},
        {"action": "set", "sysctl": ALL + "arp_ignore", "value": 1, "before": 0},
        {"action": "set", "sysctl": ALL + "rp_filter", "value": 2, "before": 0},
        {"action": "add", "vip": VIP6},
        {"action": "add", "vip": VIP},
    ]
    assert stale == []
    assert [arp_steps.describe(operation) for operation in operations][1:4] == [
        "sysctl net/ipv4/conf/all/arp_ignore = 1 (was 0)",
        "sysctl net/ipv4/conf/all/rp_filter = 2 (was 0)",
        "ip address add 2001:db8::100/128 dev lo",
    ]


def test_the_value_before_is_that_of_the_interface():
    """So that it can be given back."""
    (operation,), _stale = arp_steps.plan([WANT], conf(all=SILENT, eth0={"arp_ignore": 3}), [*OWN, ("lo", VIP, 32)], NOTHING, True)
    assert operation == {"action": "set", "sysctl": "net/ipv4/conf/eth0/arp_ignore", "value": 1, "before": 3}


def test_ipv6_needs_no_settings():
    assert steps([WANT6], conf(eth0=()), OWN, NOTHING, True) == ([("add", VIP6)], [])


def test_a_second_run_has_nothing_to_do():
    there = [*OWN, ("lo", VIP, 32), ("lo", VIP6, 128)]
    record = {"vips": [VIP, VIP6], "former": {ALL + "arp_ignore": "0"}}
    assert steps([WANT, WANT6], conf(all=SILENT, eth0=()), there, record, True) == ([], [])


def test_a_vip_in_the_wrong_place_is_moved_and_there_all_the_while():
    there = [*OWN, ("eth0", VIP, 32), ("lo", VIP6, 64)]
    assert placement.check_vips([VIP, VIP6], there, move=True) == [WANT, WANT6]
    operations, _stale = arp_steps.plan([WANT, WANT6], conf(all=SILENT), there, NOTHING, True)
    assert [arp_steps.describe(operation) for operation in operations] == [
        "ip address del 2001:db8::100/64 dev lo",
        "ip address add 192.0.2.100/32 dev lo",
        "ip address add 2001:db8::100/128 dev lo",
        "ip address del 192.0.2.100/32 dev eth0",
    ]


@pytest.mark.parametrize(
    "addresses",
    [
        [*OWN, ("eth0", VIP, 24)],  # its subnet's prefix: taking it may take the host's own away
        [("lo", "127.0.0.1", 8), ("eth0", VIP, 32)],  # the only one, as in some clouds
        [("lo", "127.0.0.1", 8), ("eth0", VIP, 32), ("eth0", "2001:db8::21", 64)],
    ],
)
def test_what_may_be_the_hosts_own_address_is_not_moved(addresses):
    with pytest.raises(LvsError, match="is on eth0") as caught:
        placement.check_vips([VIP], addresses, move=True)
    (line,) = caught.value.details["problems"]
    assert path_and_id(line)[1] in ("vip-on-interface", "vip-with-subnet-prefix")


def test_ipv6_stays_when_lo_goes_down():
    """Needed with an IPv6 VIP only, where the kernel has IPv6, and given back with the last of them."""
    keep = {"action": "set", "sysctl": settings.KEEP, "value": 1, "before": 0}
    assert arp_steps.plan([WANT6], conf(), OWN, NOTHING, True, 0)[0] == [keep, {"action": "add", "vip": VIP6}]
    there = [*OWN, ("lo", VIP, 32), ("lo", VIP6, 128)]
    assert [arp_steps.plan(*want, conf(all=SILENT), there, NOTHING, True, keep)[0] for want, keep in
            (([[WANT, WANT6]], 1), ([[WANT6]], None), ([[WANT]], 0))] == [[], [], []]  # fmt: skip
    record = {"vips": [VIP, VIP6], "former": {settings.KEEP: "0", ALL + "arp_ignore": "0"}}
    assert steps([WANT], conf(all=SILENT), there, record, True)[0] == [("remove", VIP6), ("restore", settings.KEEP)]
    assert steps([WANT6], conf(all=SILENT), there, record, True)[0] == [("remove", VIP), ("restore", ALL + "arp_ignore")]


RECORD = {"vips": [VIP6, VIP], "former": {ALL + "arp_ignore": "0", ALL + "arp_announce": "0"}}


def test_on_the_way_back_the_vip_goes_first():
    there = [*OWN, ("lo", VIP, 32), ("lo", VIP6, 128)]
    operations, stale = arp_steps.plan([], conf(all=SILENT), there, RECORD, True)
    assert operations == [
        {"action": "remove", "vip": VIP6},
        {"action": "remove", "vip": VIP},
        {"action": "restore", "sysctl": ALL + "arp_announce", "value": "0"},
        {"action": "restore", "sysctl": ALL + "arp_ignore", "value": "0"},
    ]
    assert stale == [VIP6, VIP]
    assert [arp_steps.describe(operation) for operation in operations][::2] == [
        "ip address del 2001:db8::100/128 dev lo",
        "sysctl net/ipv4/conf/all/arp_announce = 0 (as before lvsdr)",
    ]


def test_a_vip_that_is_left_keeps_the_settings():
    there = [*OWN, ("lo", VIP, 32), ("lo", "192.0.2.101", 32)]
    record = {**RECORD, "vips": [VIP, "192.0.2.101"]}
    assert steps([WANT], conf(all=SILENT), there, record, True) == ([("remove", "192.0.2.101")], ["192.0.2.101"])
    (six, _announce, _ignore), _stale = steps([WANT6], conf(all=SILENT), [*there, ("lo", VIP6, 128)], {**RECORD, "vips": [VIP]}, True)
    assert six == ("remove", VIP), "IPv6 alone needs none of them"


def test_without_purge_nothing_goes():
    there = [*OWN, ("lo", VIP, 32), ("lo", VIP6, 128)]
    assert steps([], conf(all=SILENT), there, RECORD, False) == ([], [VIP6, VIP])


def test_what_is_gone_already_is_not_removed():
    assert steps([], conf(all=SILENT), OWN, {"vips": [VIP], "former": {}}, True) == ([], [VIP])


def test_addresses_of_others_on_lo_stay():
    assert steps([], conf(all=SILENT), [*OWN, ("lo", "192.0.2.99", 32)], NOTHING, True) == ([], [])


vips = st.lists(
    st.sampled_from([(4, "192.0.2.%d" % n) for n in range(101, 105)] + [(6, "2001:db8::%d" % n) for n in range(3)]), unique=True
)


@given(vips, vips, vips, confs, st.booleans())
def test_no_plan_has_a_vip_without_silence(want, there, recorded, have, purge):
    """Whatever was there: settings, then VIPs, then removals, then former values; afterwards a second plan is empty."""
    addresses = OWN + [("lo", text, 32 if family == 4 else 128) for family, text in there]
    record = {"vips": [text for _family, text in recorded], "former": {ALL + "arp_ignore": "0"} if recorded else {}}
    operations, stale = arp_steps.plan(want, have, addresses, record, purge)
    order = ["set", "add", "remove", "restore"]
    actions = [order.index(operation["action"]) for operation in operations]
    assert actions == sorted(actions)
    assert set(stale) == {text for _family, text in set(recorded) - set(want)}
    wanted = {text for _family, text in want}
    lo = {text for _family, text in there}
    sysctls = {}
    for operation in operations:
        if operation["action"] == "set":
            sysctls[operation["sysctl"]] = operation["value"]
        elif operation["action"] == "add":
            if ":" not in operation["vip"]:
                assert settings.needed_sysctls(after(have, sysctls)) == {}
            lo.add(operation["vip"])
        elif operation["action"] == "remove":
            lo.remove(operation["vip"])
        else:
            assert all(":" in vip for vip in wanted)
    assert wanted <= lo
    assert lo - wanted == {text for _family, text in there} - wanted - (set(stale) if purge else set())
    now = OWN + [("lo", text, 128 if ":" in text else 32) for text in sorted(lo)]
    assert (
        arp_steps.plan(want, after(have, sysctls), now, {"vips": sorted(wanted | (set() if purge else set(stale))), "former": {}}, purge)[0]
        == []
    )


# --- the unit -----------------------------------------------------------------------------------------------------------------------


def test_the_golden_unit():
    sysctls = {ALL + "arp_ignore": 1, ALL + "arp_announce": 2, "net/ipv4/conf/eth0.5/rp_filter": 2}
    assert arp_steps.unit([VIP, VIP6], sysctls) == GOLDEN.read_text()


def test_the_unit_is_silent_first():
    text = arp_steps.unit([VIP], {ALL + "arp_ignore": 1}, ip="/bin/ip", sysctl="/bin/sysctl")
    assert [line for line in text.split("\n") if line.startswith("Exec")] == [
        "ExecStart=/bin/sysctl -q -w net/ipv4/conf/all/arp_ignore=1",
        "ExecStart=/bin/ip address replace 192.0.2.100/32 dev lo",
    ]


# --- the whole run, on a host that is made up ---------------------------------------------------------------------------------------


class Host:
    """Settings and addresses in memory, and a log of everything that is done to them."""

    def __init__(self, monkeypatch, folder):
        self.conf, self.keep, self.addresses, self.log, self.broken = conf(eth0=()), "0", list(OWN), [], ()
        self.record, self.unit, self.folder = folder / "lib" / "record.json", folder / arp_steps.UNIT_NAME, folder
        self.managers = tuple(
            (str(folder / path.split("/")[2] / path.split("/")[-1]), str(folder / path.split("/")[2]), text, command)
            for path, _there, text, command in arp_steps.MANAGER_FILES
        )
        self.others = folder / "sysctl.d"
        self.others.mkdir()
        self.file = self.others / "zz-lvsdr.conf"
        # What systemd knows of the unit, and whether a network manager started after its file was written.
        self.enabled, self.stale, self.started = False, False, False
        monkeypatch.setattr(real_server.places, "IN_FORCE", str(folder / "in_force"))
        for module, name in (
            (links, "interfaces"), (rtnetlink, "opened"), (seen, "arp_conf"), (commands, "run"), (systemd, "unit_states"),
            (systemd, "started_since"),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, getattr(self, name))
        monkeypatch.setattr(files, "SYSCTL_FOLDERS", (str(self.others),))
        monkeypatch.setattr(files, "SYSCTL_CONF", str(folder / "sysctl.conf"))
        monkeypatch.setattr(files, "NETWORK_FILES", (str(folder / "interfaces"),))
        monkeypatch.setattr(commands, "find_command", {"ip": "/usr/sbin/ip", "sysctl": "/usr/sbin/sysctl"}.get)
        monkeypatch.setattr(sysctl, "write", self.write)
        monkeypatch.setattr(sysctl, "read", self.read)

    def interfaces(self):
        return [
            {"name": name, "addresses": ["%s/%d" % (address, length) for card, address, length in self.addresses if card == name]}
            for name in ("lo", "eth0")
        ]

    def unit_states(self, names):
        return {name: {"loaded": True, "active": False, "enabled": self.enabled, "stale": self.stale} for name in names}

    def started_since(self, _unit, _path, _text):
        return self.started

    def arp_conf(self, _links):
        return after(self.conf, {})

    def run(self, *command):
        text = " ".join(command)
        self.log.append(text)
        if text in self.broken:
            raise LvsError("`%s` failed" % text)
        if command[:2] in (("systemctl", "enable"), ("systemctl", "disable")):
            self.enabled = command[1] == "enable"

    @contextlib.contextmanager
    def opened(self):
        yield self

    def add_address(self, device, address, length, quiet=False):
        self.run("ip", "address", "add", "%s/%d" % (address, length), "dev", device, *(["nodad", "preferred_lft", "0"] if quiet else []))
        self.addresses.append((device, address, length))

    def wait_until_local(self, device, address):
        assert (device, address) in [one[:2] for one in self.addresses]

    def remove_address(self, device, address, length, peer=None):
        self.run("ip", "address", "del", "%s/%d" % (address, length), "dev", device)
        self.addresses.remove((device, address, length))

    def write(self, name, value):
        self.log.append("%s=%s" % (name.split("/")[-1], value))
        if name == settings.KEEP:
            self.keep = str(value)
        elif name not in self.broken:
            self.conf = after(self.conf, {name: int(value)})

    def read(self, name):
        if name == settings.KEEP:
            return self.keep
        interface, setting = name.split("/")[-2:]
        return str(self.conf[interface][setting]) if interface in self.conf else None

    def converge(self, *vips, **options):
        self.log.clear()
        paths = real_server.Paths(str(self.record), str(self.folder), str(self.file), self.managers)
        return real_server.converge(list(vips), paths=paths, **options)

    def recorded(self):
        return json.loads(self.record.read_text())


@pytest.fixture
def host(monkeypatch, tmp_path):
    return Host(monkeypatch, tmp_path)


SYSTEMCTL = ["systemctl daemon-reload", "systemctl enable lvsdr-vip.service"]
SETS, KEEPS = ["arp_announce=2", "arp_ignore=1"], "keep_addr_on_down=1"
LASTING = {ALL + "arp_ignore": 1, ALL + "arp_announce": 2}
ADDS = ["ip address add 192.0.2.100/32 dev lo", "ip address add 2001:db8::100/128 dev lo nodad preferred_lft 0"]


def test_from_nothing_and_back(host):
    before = (host.conf, sorted(host.addresses))
    expected = host.converge(VIP, VIP6, check=True)
    assert (host.log, host.record.exists(), host.unit.exists(), host.file.exists()) == ([], False, False, False)
    result = host.converge(VIP, VIP6)
    assert host.log == [*SYSTEMCTL, *SETS, KEEPS, *ADDS]
    assert result == expected and result["changed"] and result["vips"] == [VIP, VIP6]
    assert host.recorded() == {"vips": [VIP, VIP6], "former": {ALL + "arp_ignore": "0", ALL + "arp_announce": "0", settings.KEEP: "0"}}
    assert host.unit.read_text() == arp_steps.unit([VIP, VIP6], {**LASTING, settings.KEEP: 1})
    assert host.file.read_text().splitlines()[1:] == [ALL + "arp_announce = 2", ALL + "arp_ignore = 1", "-%s = 1" % settings.KEEP]
    assert result["conflicts"] == []

    again = host.converge(VIP, VIP6)
    assert (again["changed"], again["operations"], host.log) == (False, [], [])
    assert again["before"] == again["after"] == result["after"]

    expected = host.converge(check=True)
    result = host.converge()
    assert host.log[:2] == ["ip address del 192.0.2.100/32 dev lo", "ip address del 2001:db8::100/128 dev lo"]
    assert host.log[2:] == [
        "arp_announce=0",
        "arp_ignore=0",
        "keep_addr_on_down=0",
        "systemctl disable lvsdr-vip.service",
        "systemctl daemon-reload",
    ]
    assert result == expected and result["changed"]
    assert (host.conf, sorted(host.addresses)) == before
    assert not any(path.exists() for path in (host.record, host.unit, host.file))
    assert not host.converge()["changed"]


@pytest.mark.parametrize("broken", SYSTEMCTL)
def test_a_run_that_ended_before_the_unit_was_enabled(host, broken):
    """The file alone brings no VIP back at the next boot."""
    host.broken = (broken,)
    with pytest.raises(LvsError):
        host.converge(VIP)
    assert host.unit.exists() and not host.enabled
    # systemd says itself that it has read an older file.
    host.broken, host.stale = (), broken == SYSTEMCTL[0]
    assert host.converge(VIP)["changed"]
    host.stale = False
    assert host.enabled and host.log == [*SYSTEMCTL[broken != SYSTEMCTL[0] :], *SETS, ADDS[0]]
    assert not host.converge(VIP)["changed"] and host.log == []


def test_a_unit_that_somebody_disabled(host):
    host.converge(VIP)
    host.enabled = False
    assert host.converge(VIP, check=True)["changed"] and not host.enabled
    assert host.converge(VIP)["changed"] and host.log == [SYSTEMCTL[1]] and host.enabled


def test_a_run_that_ended_before_the_network_manager_was_told(host):
    (path, folder, text, command), _other = host.managers
    os.mkdir(folder)
    host.broken = (" ".join(command),)
    with pytest.raises(LvsError):
        host.converge(VIP)
    host.broken = ()
    assert host.converge(VIP)["changed"] and " ".join(command) in host.log
    assert not host.converge(VIP)["changed"] and host.log == []
    # A boot forgets who was told, but the manager has read its file when it started.
    shutil.rmtree(host.folder / "in_force")
    host.started = True
    assert not host.converge(VIP)["changed"]
    # On the way back, too.
    host.started = False
    host.converge(VIP)
    host.broken = (" ".join(command),)
    with pytest.raises(LvsError):
        host.converge()
    host.broken = ()
    assert host.converge()["changed"] and " ".join(command) in host.log
    assert not host.converge()["changed"]


def test_a_former_value_is_that_from_before_the_first_run(host):
    host.conf = conf(all={"arp_announce": 1}, eth0={"arp_ignore": 3})
    host.converge(VIP)
    # Somebody turns them back, and we turn them again.
    host.conf = conf(all={"arp_announce": 0}, eth0={"arp_ignore": 4})
    assert host.converge(VIP)["changed"]
    assert host.recorded()["former"] == {
        ALL + "arp_announce": "1", ALL + "arp_ignore": "0", "net/ipv4/conf/eth0/arp_ignore": "3"
    }  # fmt: skip
    host.converge()
    assert host.conf == conf(all={"arp_announce": 1}, eth0={"arp_ignore": 3})


def test_an_interface_that_is_gone_does_not_stop_the_way_back(host):
    host.conf = conf(eth0={"arp_ignore": 3})
    host.converge(VIP)
    host.conf.pop("eth0")
    host.converge()
    assert host.conf == conf()


def test_no_vip_on_a_host_that_does_not_fall_silent(host):
    """A setting that does not last: something on the host, or the container it is in, sets it back."""
    host.broken = (ALL + "arp_ignore",)
    with pytest.raises(LvsError, match="net/ipv4/conf/all/arp_ignore must be 1") as caught:
        host.converge(VIP, VIP6)
    assert caught.value.line.id == "arp-settings-reset"
    assert caught.value.details == {
        "applied": [
            "sysctl net/ipv4/conf/all/arp_announce = 2 (was 0)",
            "sysctl net/ipv4/conf/all/arp_ignore = 1 (was 0)",
            "sysctl net/ipv6/conf/lo/keep_addr_on_down = 1 (was 0)",
        ],
        "not_applied": ["ip address add 192.0.2.100/32 dev lo", "ip address add 2001:db8::100/128 dev lo"],
    }
    assert sorted(host.addresses) == sorted(OWN)
    assert host.recorded()["former"] == {ALL + "arp_ignore": "0", ALL + "arp_announce": "0", settings.KEEP: "0"}, (
        "and the next run knows what was there"
    )
    host.broken = ()
    host.converge(VIP)
    assert host.log == ["systemctl daemon-reload", "arp_ignore=1", ADDS[0], "keep_addr_on_down=0"]
    assert host.recorded() == {"vips": [VIP], "former": {ALL + "arp_ignore": "0", ALL + "arp_announce": "0"}}


def test_settings_stay_while_a_vip_can_not_be_taken_off(host):
    host.converge(VIP)
    host.broken = ("ip address del 192.0.2.100/32 dev lo",)
    with pytest.raises(LvsError) as caught:
        host.converge()
    assert host.log[-1] == host.broken[0] and caught.value.details["applied"] == []
    assert host.conf["all"]["arp_ignore"] == 1 and host.recorded()["vips"] == [VIP]
    host.broken = ()
    host.converge()
    assert host.conf == conf(eth0=()) and not host.record.exists()


def test_what_is_not_purged_is_told_and_kept(host):
    host.converge(VIP, VIP6)
    result = host.converge(VIP, purge=False)
    assert (result["changed"], result["stale"], result["vips"]) == (False, [VIP6], [VIP, VIP6])
    assert VIP6 in host.unit.read_text() and host.recorded()["vips"] == [VIP, VIP6]
    assert host.converge(VIP)["stale"] == [] and VIP6 not in host.unit.read_text()


def test_ipv6_alone_leaves_no_setting_behind(host):
    """The unit must not set at boot what was given back, and there is nothing left to do afterwards."""
    host.converge(VIP, VIP6)
    host.converge(VIP6)
    assert host.conf == conf(eth0=()) and host.recorded() == {"vips": [VIP6], "former": {settings.KEEP: "0"}}
    assert host.unit.read_text() == arp_steps.unit([VIP6], {settings.KEEP: 1}) and "ipv4" not in host.file.read_text()
    assert not host.converge(VIP6)["changed"]


def test_what_put_a_vip_in_the_wrong_place_is_named(host):
    host.addresses.append(("eth0", VIP, 32))
    (host.folder / "interfaces").write_text("iface eth0 inet static\n  address 192.0.2.21/24\n  up ip address add %s/32 dev eth0\n" % VIP)
    with pytest.raises(LvsError, match="remove it with `ip address del 192.0.2.100/32 dev eth0`"):
        host.converge(VIP)
    assert host.log == []
    expected = host.converge(VIP, move=True, check=True)
    result = host.converge(VIP, move=True)
    assert result == expected and host.log[-2:] == [ADDS[0], "ip address del 192.0.2.100/32 dev eth0"]
    (line,) = result["conflicts"]
    assert id_of(line) == "vip-comes-back" and settings.must_be_removed(line)
    assert line.startswith("%s/interfaces:3 names 192.0.2.100" % host.folder) and "(192.0.2.100/32 dev eth0)" in line
    assert not host.converge(VIP)["changed"]


@pytest.mark.parametrize(("number", "commands"), [(0, ["systemctl try-reload-or-restart NetworkManager.service"]), (1, [])])
def test_where_there_is_a_network_manager_it_leaves_lo_alone(host, number, commands):
    file, folder, text, _command = host.managers[number]
    Path(folder).mkdir()
    host.converge(VIP)
    assert Path(file).read_text() == text
    assert [line for line in host.log[: host.log.index(ADDS[0])] if "NetworkManager" in line] == commands
    assert not host.converge(VIP)["changed"]
    host.converge()
    assert not Path(file).exists() and [line for line in host.log if "NetworkManager" in line] == commands


def test_without_a_unit(host):
    assert host.converge(VIP, persist=False)["changed"]
    assert host.log == SETS + ADDS[:1] and not host.unit.exists() and not host.file.exists()


def test_silence_of_somebody_elses_lasts_too(host):
    """Nothing had to be set on the running host; without this, the next boot would hold the VIP and answer for it."""
    host.conf = conf(all={"arp_ignore": 2, "arp_announce": 0}, eth0={"arp_announce": 2})
    result = host.converge(VIP)
    assert [op["action"] for op in result["operations"]] == ["set", "add"], "a card that comes later has no arp_announce"
    for text in (host.unit.read_text(), host.file.read_text()):
        assert re.search(r"all/arp_ignore ?= ?2\b", text) and re.search(r"all/arp_announce ?= ?2\b", text)


def other(host, name, text):
    (host.others / name).write_text(text)


def test_files_of_others_that_would_undo_it_are_named_and_overridden(host):
    other(
        host,
        "50-hardening.conf",
        "# hardening\nnet.ipv4.conf.all.rp_filter=1\n-net.ipv4.conf.default.rp_filter = 1\nnet.ipv4.ip_forward=0\n",
    )
    other(host, "99-old.conf", "net.ipv4.conf.all.arp_ignore = 0\nnet/ipv4/conf/eth0/arp_ignore=3\nnet.ipv4.conf.*.arp_announce = 1\n")
    other(host, "20-fine.conf", "net.ipv4.conf.all.arp_ignore = 1\nnet.ipv4.conf.eth0.arp_ignore = 0\nnet.ipv4.conf.lo.arp_ignore = 1\n")
    other(host, "readme.txt", "net.ipv4.conf.all.arp_ignore = 0\n")
    result = host.converge(VIP)
    folder = str(host.others)
    assert [line.split(", which")[0] for line in result["conflicts"]] == [
        folder + "/50-hardening.conf:2 sets net/ipv4/conf/all/rp_filter = 1",
        folder + "/99-old.conf:1 sets net/ipv4/conf/all/arp_ignore = 0",
        folder + "/99-old.conf:2 sets net/ipv4/conf/eth0/arp_ignore = 3",
        folder + "/99-old.conf:3 sets net/ipv4/conf/*/arp_announce = 1",
    ], "with conf/all at 2, the value for later interfaces does no harm"
    assert {id_of(line) for line in result["conflicts"]} == {"sysctl-line-overridden"}
    assert not any(settings.must_be_removed(line) for line in result["conflicts"])
    # What `sysctl --system` does, file after file.
    running = host.conf
    for path, text in [*files.sysctl_files(str(host.file)), (host.file, host.file.read_text())]:
        for _place, name, value in settings.sysctl_entries(path, text):
            running = settings._with(running, {name: value})
    assert settings.needed_sysctls(running) == {}
    assert not host.converge(VIP)["changed"]
    assert host.converge(VIP)["conflicts"] == result["conflicts"]


def test_what_is_applied_last_of_all_can_only_be_reported(host):
    (host.folder / "sysctl.conf").write_text("net.ipv4.conf.all.arp_announce=0\n")
    (host.others / "99-sysctl.conf").symlink_to(host.folder / "sysctl.conf")
    (line,) = host.converge(VIP)["conflicts"]
    assert line.startswith("%s/sysctl.conf:1 sets net/ipv4/conf/all/arp_announce = 0, " % host.folder)
    assert id_of(line) == "sysctl-line-undoes-fix" and settings.must_be_removed(line)


def test_a_file_in_front_shadows_one_of_the_same_name(host, monkeypatch):
    behind = host.folder / "usr"
    behind.mkdir()
    monkeypatch.setattr(files, "SYSCTL_FOLDERS", (str(host.others), str(behind), str(host.folder / "none")))
    (behind / "50-a.conf").write_text("net.ipv4.conf.all.arp_ignore=0\n")
    (behind / "10-b.conf").write_text("net.ipv4.conf.all.arp_ignore=0\n")
    other(host, "50-a.conf", "")
    (host.others / "60-gone.conf").symlink_to("/nowhere")
    assert [path for path, _text in files.sysctl_files("")] == [str(behind / "10-b.conf"), str(host.others / "50-a.conf")]


def test_a_name_of_a_file_is_shown_and_not_obeyed(host):
    other(host, "\x1b[2J.conf", "net.ipv4.conf.*\x1b.arp_ignore = 0\nnet.ipv4.conf.*.arp_ignore = 0\n")
    (line,) = host.converge(VIP)["conflicts"]
    assert line.isprintable() and "\\x1b[2J.conf:2 sets net/ipv4/conf/*/arp_ignore = 0" in line


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), (" 1 # strict", 1), ("1\t2", 1), ("0x1F", 31), ("010", 8), ("-1", -1), ("2147483647", 2147483647), ("2147483648", None),
     ("1#", None), ("1;", None), ("08", None), ("+1", None), ("", None), ("# 1", None), ("0" * 20, 0), ("0" * 21, None), ("\u0661", None)],
)  # fmt: skip
def test_the_number_that_the_kernel_takes(text, number):
    """Each of these was tried with the kernel (tests/netns/test_sysctl_files.py)."""
    assert kernel_number(text) == number


@given(st.text(alphabet="01789xX+-#; \t\nab\u0661", max_size=30))
def test_any_text_is_a_number_or_none(text):
    assert kernel_number(text) is None or -(1 << 31) <= kernel_number(text) < 1 << 31


def test_entries_of_a_file():
    text = """
        net.ipv4.conf.eth0/100.arp_ignore = 1
        ; comment
        -net/ipv4/conf/eth0.100/rp_filter=2
        net.ipv4.conf.all.arp_ignore
        net.ipv4.conf.all.forwarding=1
    """
    assert settings.sysctl_entries("f", text) == [
        (("f", 2), "net/ipv4/conf/eth0.100/arp_ignore", 1),
        (("f", 4), "net/ipv4/conf/eth0.100/rp_filter", 2),
    ]


@pytest.mark.parametrize("comment", [" # strict", "\t; strict", " 0"])
def test_a_comment_behind_a_value_hides_nothing(host, comment):
    """The kernel takes the first word of what it is given (tests/netns/test_sysctl_files.py)."""
    (host.folder / "sysctl.conf").write_text("net.ipv4.conf.all.arp_ignore = 0%s\n" % comment)
    other(host, "60-hardening.conf", "net.ipv4.conf.all.rp_filter = 1%s\nnet.ipv4.conf.eth0.arp_ignore = 3%s\n" % (comment, comment))
    said = host.converge(VIP)["conflicts"]
    assert [id_of(line) for line in said] == ["sysctl-line-overridden", "sysctl-line-overridden", "sysctl-line-undoes-fix"]
    assert {ALL.replace("all", "eth0") + "arp_ignore = 1", ALL + "rp_filter = 2"} <= {
        line.lstrip("-") for line in host.file.read_text().splitlines()
    }


def test_ufw_gives_settings_of_its_own_to_the_kernel(host, monkeypatch):
    monkeypatch.setattr(files, "UFW_CONF", str(host.folder / "ufw.conf"))
    monkeypatch.setattr(files, "UFW_SYSCTL", str(host.folder / "ufw-sysctl.conf"))
    (host.folder / "ufw-sysctl.conf").write_text("net/ipv4/conf/all/rp_filter=1\n")
    (host.folder / "ufw.conf").write_text("ENABLED=no\n")
    assert host.converge(VIP)["conflicts"] == []
    (host.folder / "ufw.conf").write_text("# on boot\nENABLED=yes\n")
    (line,) = host.converge(VIP)["conflicts"]
    assert id_of(line) == "ufw-line-undoes-fix" and settings.must_be_removed(line)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"vips": 1, "former": {}}', '{"vips": []}', "null"])
def test_a_record_that_is_none(host, text):
    host.record.parent.mkdir()
    host.record.write_text(text)
    with pytest.raises(LvsError, match="can't be read .*; remove the file") as caught:
        host.converge(VIP)
    assert caught.value.line.id == "record-unreadable" and str(host.record) in caught.value.message
    assert host.log == []


# --- frames -------------------------------------------------------------------------------------------------------------------------

MAC = bytes.fromhex("020000000011")
OTHER = bytes.fromhex("020000000022")


def words_sum(data):
    """RFC 1071 in another way than the product's: one's complement addition is addition modulo 65535."""
    return int.from_bytes(data, "big") % 0xFFFF


def test_an_arp_request():
    assert packets.arp_request(MAC, "192.0.2.11", VIP).hex(" ") == (
        "ff ff ff ff ff ff 02 00 00 00 00 11 08 06 "  # to everybody, from us, ARP
        "00 01 08 00 06 04 00 01 "  # Ethernet, IPv4, 6 and 4 bytes, request
        "02 00 00 00 00 11 c0 00 02 0b "  # sender
        "00 00 00 00 00 00 c0 00 02 64"  # target
    )


def test_a_probe_has_no_sender():
    """RFC 5227: so nobody's cache learns anything from it."""
    assert packets.arp_request(MAC, "0.0.0.0", VIP)[22:32] == MAC + bytes(4)


def test_a_neighbour_solicitation():
    frame = packets.neighbour_solicitation(MAC, "2001:db8::11", "2001:db8::1:2:100")
    assert frame.hex(" ") == (
        "33 33 ff 02 01 00 02 00 00 00 00 11 86 dd "  # the group's MAC: 33:33 and its last four bytes
        "60 00 00 00 00 20 3a ff "  # version 6, 32 bytes, ICMPv6, hop limit 255
        "20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 11 "
        "ff 02 00 00 00 00 00 00 00 00 00 01 ff 02 01 00 "  # the solicited-node group
        "87 00 1a 06 00 00 00 00 "  # type 135, code 0, checksum
        "20 01 0d b8 00 00 00 00 00 00 00 01 00 02 01 00 "  # target
        "01 01 02 00 00 00 00 11"  # option: our link-layer address
    )


addresses6 = st.integers(0, 2**32).map(lambda n: str(ipaddress.ip_address(0x20010DB8 << 96 | n * 0x10001)))


@given(st.binary(min_size=6, max_size=6), addresses6, addresses6)
@example(bytes.fromhex("020000001c28"), "2001:db8::1", "2001:db8::2")  # its checksum is 0
def test_the_checksum_of_a_solicitation(mac, sender, target):
    """Over the pseudo header and the whole message, its own field included, the sum is 0 in one's complement (RFC 4443, 2.3)."""
    frame = packets.neighbour_solicitation(mac, sender, target)
    source, group, body = frame[22:38], frame[38:54], frame[54:]
    pseudo_header = source + group + len(body).to_bytes(4, "big") + b"\0\0\0\x3a"
    assert words_sum(pseudo_header + body) == 0
    assert int.from_bytes(frame[18:20], "big") == len(body) == 32
    assert ipaddress.ip_address(group) in ipaddress.ip_network("ff02::1:ff00:0/104")
    assert group[13:] == ipaddress.ip_address(target).packed[13:]


def test_a_checksum_of_0_is_sent_as_it_is():
    """Only UDP writes ffff in its place (RFC 8200, 8.1)."""
    frame = packets.neighbour_solicitation(bytes.fromhex("020000001c28"), "2001:db8::1", "2001:db8::2")
    assert frame[54:58].hex() == "87000000"


@given(st.binary(max_size=99))
def test_the_internet_checksum(data):
    padded = data + b"\0" * (len(data) % 2)
    assert words_sum(padded + struct.pack("!H", packets.checksum(data))) == 0


def reply(mac=OTHER, address=VIP, operation=2, kind=b"\x08\x06"):
    body = bytes.fromhex("0001080006040000")[:-2] + bytes([0, operation])
    return MAC + mac + kind + body + mac + ipaddress.ip_address(address).packed + MAC + ipaddress.ip_address("192.0.2.11").packed


def advertisement(target=VIP6, option=b"\x02\x01" + OTHER, kind=136, next_header=58, source_mac=MAC[:5] + b"\x33"):
    body = bytes([kind, 0, 0, 0, 0x60, 0, 0, 0]) + ipaddress.ip_address(target).packed + option
    header = struct.pack("!IHBB", 6 << 28, len(body), next_header, 255) + ipaddress.ip_address("2001:db8::22").packed
    return MAC + source_mac + b"\x86\xdd" + header + ipaddress.ip_address("2001:db8::11").packed + body


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (reply(), (VIP, "02:00:00:00:00:22")),
        (reply() + bytes(18), (VIP, "02:00:00:00:00:22")),
        (packets.BROADCAST + reply()[6:], (VIP, "02:00:00:00:00:22")),
        (reply(operation=1), None),
        (packets.arp_request(OTHER, VIP, VIP), None),
        (reply(operation=3), None),
        (reply()[:41], None),
        (reply(kind=b"\x08\x00"), None),
        (reply(kind=b"\x81\x00\x00\x05\x08\x06"), None),
        (advertisement(), (VIP6, "02:00:00:00:00:22")),
        (advertisement(option=b""), (VIP6, "02:00:00:00:00:33")),
        (advertisement(option=b"\x01\x01" + OTHER), (VIP6, "02:00:00:00:00:33")),
        (advertisement(option=b"\x02\x01" + OTHER[:5]), (VIP6, "02:00:00:00:00:33")),
        (advertisement(kind=135), None),
        (advertisement(next_header=17), None),
        (advertisement(option=b"")[:77], None),
        (packets.neighbour_solicitation(OTHER, "2001:db8::22", VIP6), None),
        (b"", None),
    ],
    ids=[
        "reply", "padded reply", "gratuitous reply", "request", "announcement", "RARP", "truncated", "not ARP", "tagged", "advertisement",
        "without option", "another option", "truncated option", "solicitation's type", "not ICMPv6", "truncated advertisement",
        "solicitation", "nothing",
    ],
)  # fmt: skip
def test_who_answers(frame, said):
    assert packets.answer(frame) == said


real = st.sampled_from([reply(), reply(operation=1), advertisement(), advertisement(option=b""), packets.arp_request(MAC, "0.0.0.0", VIP)])
cut = st.tuples(real, st.integers(0, 90)).map(lambda pair: pair[0][: pair[1]])
headed = st.tuples(st.sampled_from([reply()[:22], advertisement()[:21], advertisement()[:55]]), st.binary(max_size=80)).map(b"".join)


@given(st.one_of(st.binary(max_size=200), cut, headed))
def test_any_bytes_are_an_answer_or_none(frame):
    said = packets.answer(frame)
    if said is not None:
        address, mac = said
        assert ipaddress.ip_address(address).version == (4 if frame[12:14] == b"\x08\x06" else 6)
        assert len(bytes.fromhex(mac.replace(":", ""))) == 6


def test_what_is_asked_is_no_answer_of_ours_but_what_comes_back_is():
    """A request turned round is a reply, as a host's kernel makes it."""
    asked = packets.arp_request(MAC, "192.0.2.11", VIP)
    answered = MAC + OTHER + asked[12:20] + b"\0\x02" + OTHER + asked[38:42] + asked[22:32]
    assert (packets.answer(asked), packets.answer(answered)) == (None, (VIP, "02:00:00:00:00:22"))


# --- verdicts -----------------------------------------------------------------------------------------------------------------------

A, B, C = ("02:00:00:00:00:%02d" % number for number in (11, 12, 21))
OWNERS = {A: "director1", B: "director2"}


@pytest.mark.parametrize(
    ("macs", "owners", "verdict", "text"),
    [
        ([A], OWNERS, "one owner", f"{A} (director1) answers for {VIP}"),
        ([C], {}, "one owner", f"{C} answers for {VIP}"),
        ([], OWNERS, "nobody", f"no host answers for {VIP};"),
        ([C], OWNERS, "leak", f"{C} answers for {VIP} but is not a director"),
        ([A, C], OWNERS, "leak", f"{C} answers for {VIP} but is not a director"),
        ([A, B], OWNERS, "leak", f"2 hosts answer for {VIP}: {A} (director1), {B} (director2);"),
        ([A, C], {}, "leak", f"2 hosts answer for {VIP}: {A}, {C};"),
    ],
)
def test_verdicts(macs, owners, verdict, text):
    got, sentence = audit.verdict(VIP, macs, owners)
    assert got == verdict and sentence.startswith(text)
    ids = {"nobody": "vip-unanswered", "leak": "vip-hijacked" if C in macs and owners else "vip-of-several-hosts"}
    assert verdict == "one owner" or id_of(sentence) == ids[verdict]


@pytest.mark.parametrize(
    ("macs", "owners", "claims", "verdict", "text"),
    [
        ([A], OWNERS, [A], "one owner", "%s (director1) answers for" % A),
        ([A], OWNERS, [B], "one owner", "%s (director1) answers for" % A),
        ([A], OWNERS, [A, C], "leak", "%s (streaming1) names %s as the sender of its ARP requests" % (C, VIP)),
        ([], OWNERS, [C], "leak", "%s (streaming1) names" % C),
        ([A], {}, [A], "one owner", A),
        ([A], {}, [C], "leak", "%s (streaming1) names" % C),
        ([C], OWNERS, [C], "leak", "%s (streaming1) answers for" % C),
    ],
)
def test_verdicts_on_who_claims_to_be_the_vip(macs, owners, claims, verdict, text):
    got, sentence = audit.verdict(VIP, macs, owners, claims, {C: "streaming1"})
    assert got == verdict and sentence.startswith(text)


@pytest.mark.parametrize("name", ["\x1b[2J\nall is well", "x" * 5000, 5, None])
def test_a_host_is_named_in_one_line(name):
    """Names come from whoever calls the module."""
    for owners in ({}, {"m": name}):
        _verdict, text = audit.verdict(VIP, ["m", "n"], owners, host_by_mac={"n": name})
        assert text.isprintable() and len(text) < 500


def test_what_a_program_printed_is_shown_and_not_obeyed():
    error = LvsError(system_messages.COMMAND_FAILED(command="ip", output="\x1b[2J\nno such\tdevice\r"))
    assert str(error) == "`ip` failed: \\x1b[2J\nno such\tdevice\\r [command-failed]"


def test_a_sentence_names_the_first_of_many():
    macs = ["06:00:00:00:00:%02x" % number for number in range(audit.MOST_MACS + 1)]
    for count, words in ((8, "06:00:00:00:00:07 answers for"), (9, "06:00:00:00:00:07 and 1 more answers for"),
                         (audit.MOST_MACS, "06:00:00:00:00:07 and at least 56 more answers for")):  # fmt: skip
        got, sentence = audit.verdict(VIP, macs[:count], OWNERS)
        assert got == "leak" and words in sentence and "06:00:00:00:00:08" not in sentence
        got, sentence = audit.verdict(VIP, [A], OWNERS, macs[:count])
        assert got == "leak" and words.replace("answers for", "names") in sentence


def test_who_claims_an_address():
    assert packets.claim(packets.arp_request(OTHER, VIP, "192.0.2.1")) == (VIP, "02:00:00:00:00:22")
    assert packets.claim(packets.arp_request(OTHER, VIP, VIP)) == (VIP, "02:00:00:00:00:22"), "gratuitous"
    for frame in (packets.arp_request(OTHER, "0.0.0.0", VIP), reply(), advertisement(), packets.arp_request(OTHER, VIP, VIP)[:41], b""):
        assert packets.claim(frame) is None


@given(st.one_of(st.binary(max_size=200), cut, headed))
def test_any_bytes_are_a_claim_or_none(frame):
    said = packets.claim(frame)
    assert said is None or ipaddress.ip_address(said[0]).version == 4


def test_what_can_be_audited():
    assert audit.check_audit([VIP, "2001:DB8::0100"]) == [WANT, WANT6]
    with pytest.raises(LvsError) as caught:
        audit.check_audit([])
    assert caught.value.line.id == "no-vips"
    with pytest.raises(LvsError, match="The audit can't be made: 2 errors") as caught:
        audit.check_audit([VIP, "x", "192.0.2.0/24"])
    found = caught.value.details["problems"]
    assert [path_and_id(line) for line in found] == [("vips[1]", "not-an-address"), ("vips[2]", "not-an-address")]
    assert "'x'" in found[0] and "'192.0.2.0/24'" in found[1]


# --- what a host shows --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ignore", "on_card", "scopes", "answers"),
    [
        (0, False, [], True), (0, False, ["host"], True), (1, False, ["global"], False), (1, True, ["host"], True),
        (2, True, ["link"], True), (8, True, ["global"], False),
        (3, False, ["global"], True), (3, True, ["host"], False), (3, False, [], False), (5, False, ["host"], True),
        (-1, False, ["global"], True), (9, False, ["global"], True),
    ],
)  # fmt: skip
def test_who_answers_by_arp_ignore(ignore, on_card, scopes, answers):
    """net/ipv4/arp.c; the rows of tests/netns/test_truth_table.py."""
    assert settings.answers(ignore, on_card, scopes) is answers


def link(name, *addresses, **more):
    return {"name": name, "addresses": list(addresses), "scopes": {}, **more}


CARD = link("eth0", "192.0.2.21/24", "2001:db8::21/64")


@pytest.mark.parametrize(
    ("links", "ignore", "works", "recipe"),
    [
        ([CARD], 1, None, "none"),
        ([link("eth0", "192.0.2.21/24", VIP + "/32", scopes={VIP + "/32": "link"})], 1, False, "VIP on the network card"),
        ([CARD, link("vip0", VIP + "/32", unasked=True)], 1, True, "conf.all.arp_ignore=1, VIP on vip0"),
        ([CARD, link("dummy0", VIP + "/32", arp=False)], 1, True, "conf.all.arp_ignore=1, VIP on dummy0"),
        ([CARD, link("dummy0", VIP + "/32", arp=False)], 0, False, "kernel defaults, VIP on dummy0"),
        ([CARD, link("eth1", VIP + "/32", up=False)], 1, True, "conf.all.arp_ignore=1, VIP on eth1"),
        ([CARD, link("lo", local_routes=["local %s/32 dev lo table local proto boot" % VIP])], 1, True, "VIP in a local route"),
        ([CARD, link("lo", local_routes=["local 192.0.2.96/27 dev lo table main proto 4"])], 1, False,
         "VIP in a local route to 192.0.2.96/27"),
        ([link("eth0", "198.51.100.21/24"), link("lo", local_routes=["local 192.0.2.96/27 dev lo table main proto 4"])], 1, True,
         "VIP in a local route"),
    ],
)  # fmt: skip
def test_where_a_vip_is_and_who_is_asked(links, ignore, works, recipe):
    have = conf(all={**SILENT, "arp_ignore": ignore}, eth0=(), lo=())
    said = recipes.recognise(VIP, have, placement.places(links), [one["name"] for one in links if one.get("unasked")])
    assert said["works"] is works and recipe in said["recipe"], said
