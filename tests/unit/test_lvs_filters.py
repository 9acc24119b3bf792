"""The filters as templates see them: each on a small inventory, and every error of ours as one of Ansible's, with its words."""

import inspect
import json
import re
from pathlib import Path

import jinja2
import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils.lvsdr.inventory import resolve, types
from said import id_of

from inventories import VIP, VIP6, facts, interface, inventory, service

LIVE = service(addresses=[VIP, VIP6], scheduler="mh", stream="/live/index.m3u8")


ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def filters(plugin):
    return plugin("filter", "lvs").FilterModule().filters()


@pytest.fixture
def services():
    """As Ansible hands on what the action returned: in it a tuple would be a list."""
    return json.loads(json.dumps(types.to_data(resolve.resolve([LIVE, service(name="old", ports=[81], state="absent")], inventory()))))


def test_every_filter_that_is_used_is_there(filters):
    files = [path for folder in ("playbooks", "roles", "molecule") for path in (ROOT / folder).rglob("*") if path.suffix in (".yml", ".j2")]
    used = {name for path in files for name in re.findall(r"\|\s*(lvs_\w+)", path.read_text())}
    assert used and used <= set(filters)


def test_every_filter_has_its_documentation_and_no_other_has_one(filters):
    assert {path.stem for path in (ROOT / "plugins" / "filter").glob("*.yml")} == set(filters)


def test_the_documentation_of_a_filter_is_its_signature(filters):
    for name, function in filters.items():
        text = yaml.safe_load((ROOT / "plugins" / "filter" / (name + ".yml")).read_text())
        doc, parameters = text["DOCUMENTATION"], list(inspect.signature(function).parameters.values())
        options = doc["options"]
        assert doc["name"] == name and text["RETURN"]["_value"]["type"]
        assert list(options) == ["_input", *(one.name for one in parameters[1:])], name
        assert doc.get("positional", "") == ", ".join(one.name for one in parameters[1:]), name
        for one, option in zip(parameters, options.values()):
            assert option.get("required", False) is (one.default is inspect.Parameter.empty), (name, one.name)
            if option.get("default") is not None:
                assert option["default"] == (list(one.default) if isinstance(one.default, tuple) else one.default), (name, one.name)
        (example,) = yaml.safe_load(text["EXAMPLES"])
        (call,) = jinja2.Environment().parse(example["ansible.builtin.debug"]["msg"]).find_all(jinja2.nodes.Filter)
        inspect.signature(function).bind(call.node, *call.args)
        assert call.name == name


def test_resolve_and_what_is_taken_from_it(filters, services):
    assert [one["name"] for one in services["services"]] == ["live", "live", "old"]
    assert json.loads(filters["lvs_tables"](services)) == types.from_data(services).tables()
    assert filters["lvs_vips"](services) == [VIP, VIP6]
    assert filters["lvs_kernel_modules"](services) == ["ip_vs", "ip_vs_mh", "ip_vs_wlc"]
    assert [one["vip"] for one in filters["lvs_streams"](services)] == [VIP, VIP6]


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
        "only on director1: -A -t 192.0.2.100:80 -s mh [tables-differ]",
        "only on director2: -A -t 192.0.2.100:80 -s wlc [tables-differ]",
    ]


def test_keepalived(filters, services):
    text = filters["lvs_keepalived"](services, "director1", inventory(with_facts=True))
    assert text.startswith("# Managed by lvsdr") and "virtual_server 192.0.2.100 80 {" in text


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("lvs_interface", ({}, {"interfaces": []}), "vip-interface-missing"),
        ("lvs_keepalived", ({}, "director1", inventory(hosts={"director1": {"director_priority": 0}})), "out-of-range"),
    ],
)  # fmt: skip
def test_an_error_is_one_of_ansibles_with_our_words(filters, name, arguments, said):
    with pytest.raises(AnsibleFilterError) as caught:
        filters[name](*arguments)
    assert id_of(caught.value.message) == said
    assert caught.value.__cause__ is None, "no traceback of ours behind it"
