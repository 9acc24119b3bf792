"""The filters as templates see them: each on a small inventory, and every error of ours as one of Ansible's, with its words."""

import importlib.util
import re
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from inventories import GONE, VIP, VIP6, facts, interface, inventory, service

LIVE = service(addresses=[VIP, VIP6], scheduler="mh", stream="/live/index.m3u8")


ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def filters():
    """As Ansible loads them: from the file."""
    spec = importlib.util.spec_from_file_location("lvs_filters", str(ROOT / "plugins" / "filter" / "lvs.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FilterModule().filters()


@pytest.fixture
def services(filters):
    return filters["lvs_resolve"]([LIVE, service(name="old", ports=[81], state="absent")], inventory())


def hostvars(with_facts=True, **changes):
    """As Ansible has them: many variables, of which a few are ours, and facts as preflight registers them."""
    made = inventory(with_facts=with_facts)
    out = {}
    for name, variables in made["hosts"].items():
        variables = dict(variables)
        found = variables.pop("facts", None)
        out[name] = {"inventory_hostname": name, "ansible_user": "root", **variables, **({"lvs_preflight": found} if found else {})}
    for name, values in changes.items():
        out[name].update(values)
    return out


def test_every_filter_that_is_used_is_there(filters):
    files = [path for folder in ("playbooks", "roles", "molecule") for path in (ROOT / folder).rglob("*") if path.suffix in (".yml", ".j2")]
    used = {name for path in files for name in re.findall(r"\|\s*(lvs_\w+)", path.read_text())}
    assert used and used <= set(filters)


def test_inventory(filters):
    """Only what is ours is taken: the others may be templates that cannot be resolved here."""
    groups = inventory()["groups"]
    for with_facts in (True, False):
        made = filters["lvs_inventory"](hostvars(with_facts=with_facts), groups)
        assert "real_server_weight" in made.pop("names") and made.pop("read") is with_facts
        assert made == inventory(with_facts=with_facts)
    made = filters["lvs_inventory"]({}, {})
    assert (made["groups"], made["hosts"]) == ({}, {})


def test_inventory_without_usable_facts(filters):
    """A host that preflight has not reached, or that it failed on, has none."""
    groups = {"all": ["server1", "server2"]}
    got = filters["lvs_inventory"](hostvars(server1={"lvs_preflight": {"failed": True}}, server2={"lvs_preflight": None}), groups)
    assert not any("facts" in variables for variables in got["hosts"].values())


@pytest.mark.parametrize(
    ("declared", "members"),
    [
        ([service(), service(real_servers="web"), service(real_servers="more")], ["server1", "server2", "server3"]),
        ([service(real_servers="none"), service(real_servers=GONE), service(real_servers=["web"]), "x", None], []),
        (None, []),
        ("web", []),
        ({"real_servers": "web"}, []),
    ],
)
def test_group_members(filters, declared, members):
    """Whatever else is wrong with the declaration: preflight says that."""
    assert filters["lvs_group_members"](declared, {"web": ["server1", "server2"], "more": ["server2", "server3"]}) == members


@pytest.mark.parametrize(
    ("declared", "modules"),
    [
        ([service(scheduler="mh"), service(persistence={"engine": "sip"})], ["ip_vs", "ip_vs_mh", "ip_vs_pe_sip", "ip_vs_wlc"]),
        ([service(scheduler="mh", state="absent"), service(scheduler=["x"]), service(scheduler="no"), 5, None], ["ip_vs"]),
        (None, ["ip_vs"]),
    ],
)
def test_kernel_modules_that_preflight_looks_for(filters, declared, modules):
    assert filters["lvs_modules_wanted"](declared) == modules


def test_programs_and_accounts_of_checks(filters):
    def script(**more):
        return service(health_check={"type": "script", "path": "/x", **more})

    declared = [script(), script(user="media"), script(user=["x"], path=5), {**script(user="gone"), "state": "absent"}, service(), 5, None]
    assert filters["lvs_scripts"](declared) == ["/x"] and filters["lvs_accounts"](declared) == ["nobody", "media"]
    assert filters["lvs_scripts"](None) == filters["lvs_accounts"]("x") == []


def test_files_that_a_host_has_to_have(filters):
    declared = [
        {"health_check": {"type": "hls", "verify": "/etc/ca.pem"}}, {"health_check": {"type": "rtsp", "login_file": "/etc/login"}},
        {"health_check": {"verify": True}}, {"health_check": {"verify": "x"}}, {"state": "absent", "health_check": {"verify": "/old"}}, "x",
    ]  # fmt: skip
    ca, login = {"path": "/etc/ca.pem", "readers": "all"}, {"path": "/etc/login", "readers": "root"}
    assert filters["lvs_files"](declared, True, {}) == [ca, login]
    edge = {
        "streaming_server_kind": "edge", "streaming_server_tls_listen": [443], "streaming_server_certificate": "/a.pem",
        "streaming_server_certificate_key": "/a.key",
    }  # fmt: skip
    own = [{"path": "/a.pem", "readers": "any"}, {"path": "/a.key", "readers": "root"}]
    assert filters["lvs_files"](declared, False, edge) == own
    assert filters["lvs_files"]("x", True, {**edge, "streaming_server_tls_listen": []}) == []


def test_names_and_types_of_variables(filters):
    """Against what the roles declare."""
    made = filters["lvs_inventory"](
        hostvars(server1={"real_server_wieght": 1, "verify_attempts": "many"}, director1={"director_streamcheck_install": "perhaps"}),
        inventory()["groups"],
    )["hosts"]
    assert made["server1"]["unknown"] == ["real_server_wieght"] and "unknown" not in made["server2"]
    assert "many" in made["server1"]["misfits"]["verify_attempts"]
    assert made["director1"]["director_streamcheck_install"] == "perhaps", "hosts.py says what is wrong with it"


def test_resolve_and_what_is_taken_from_it(filters, services):
    assert [one["name"] for one in services] == ["live", "live", "old"]
    assert filters["lvs_tables"](services) == [one["table"] for one in services]
    assert filters["lvs_vips"](services) == [VIP, VIP6]
    assert filters["lvs_vips_of"](services, "server1") == [VIP, VIP6]
    assert filters["lvs_vips_of"](services, "director1") == []
    assert filters["lvs_kernel_modules"](services) == ["ip_vs", "ip_vs_mh", "ip_vs_wlc"]
    assert [one["vip"] for one in filters["lvs_streams"](services)] == [VIP, VIP6]


def test_preflight(filters):
    assert filters["lvs_preflight"]([LIVE], inventory(with_facts=True)) == []
    (line,) = filters["lvs_preflight"]([service(mode="snat")], inventory(with_facts=True))
    assert line.startswith("virtual_services[0].mode: ")


def test_facts(filters, services):
    assert filters["lvs_macs"](inventory(with_facts=True), "directors") == {
        "02:00:00:00:00:11": "director1",
        "02:00:00:00:00:12": "director2",
    }
    assert filters["lvs_interface"](services, facts(11)) == "eth0"
    assert filters["lvs_holds_vip"](services, facts(11)) is False
    assert filters["lvs_holds_vip"](services, facts(11, interface("eth1", VIP + "/32"))) is True


def test_parity(filters, services):
    tables = {"director1": "-A -t 192.0.2.100:80 -s mh\n", "director2": "-A -t 192.0.2.100:80 -s wlc\n"}
    assert filters["lvs_parity"](tables, services) == [
        "only on director1: -A -t 192.0.2.100:80 -s mh",
        "only on director2: -A -t 192.0.2.100:80 -s wlc",
    ]


def test_keepalived(filters, services):
    text = filters["lvs_keepalived"](services, "director1", inventory(with_facts=True))
    assert text.startswith("# Managed by lvsdr") and "virtual_server 192.0.2.100 80 {" in text


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("lvs_resolve", ([service(mode="DR"), service(ports=GONE)], inventory()),
         "The inventory can't be used: 3 errors, and nothing was changed\n  - virtual_services[0].mode: unknown value 'DR'"),
        ("lvs_resolve", (None, inventory()), "virtual_services: a list with at least one service is needed"),
        ("lvs_interface", ([], {"interfaces": []}), "No interface of this director has a subnet that holds a VIP: set director_interface"),
        ("lvs_keepalived", ([], "director1", inventory(hosts={"director1": {"director_priority": 0}})),
         "hosts[director1].director_priority: 0 is out of range (1 to 254)"),
    ],
)  # fmt: skip
def test_an_error_is_one_of_ansibles_with_our_words(filters, name, arguments, words):
    with pytest.raises(AnsibleFilterError) as caught:
        filters[name](*arguments)
    assert words in caught.value.message
    assert caught.value.__cause__ is None, "no traceback of ours behind it"
