"""The action lvs_resolve: what it takes from Ansible's variables, and how it fails."""

import pytest

from inventories import inventory


@pytest.fixture(scope="module")
def action(plugin):
    return plugin("action", "lvs_resolve")


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


def test_inventory(action):
    """Only what is ours is taken: the others may be templates that cannot be resolved here."""
    groups = inventory()["groups"]
    for with_facts in (True, False):
        _services, made, _done = action.read(hostvars(with_facts=with_facts), groups)
        assert "real_server_weight" in made.pop("names") and made.pop("read") is with_facts
        assert made == inventory(with_facts=with_facts)
    _services, made, _done = action.read({}, {})
    assert (made["groups"], made["hosts"]) == ({}, {})


def test_inventory_without_usable_facts(action):
    """A host that preflight has not reached, or that it failed on, has none."""
    groups = {"all": ["server1", "server2"]}
    _services, got, _done = action.read(hostvars(server1={"lvs_preflight": {"failed": True}}, server2={"lvs_preflight": None}), groups)
    assert not any("facts" in variables for variables in got["hosts"].values())


def test_a_host_that_lacks_what_it_needs_to_be_read(action):
    groups, lacks = inventory()["groups"], {"lvs_preflight": {"changed": False, "lacks": "no pyroute2"}}
    _services, made, _done = action.read(hostvars(server1=lacks), groups)
    assert made["hosts"]["server1"]["lacks"] == "no pyroute2" and "facts" not in made["hosts"]["server1"] and made["read"]
    _services, made, _done = action.read(hostvars(server1=lacks), groups, with_facts=False)
    assert not made["read"] and not any({"facts", "lacks"} & set(variables) for variables in made["hosts"].values())


def test_names_and_types_of_variables(action):
    """Against what the roles declare."""
    _services, made, _done = action.read(
        hostvars(server1={"real_server_wieght": 1, "verify_attempts": "many"}, director1={"director_streamcheck_install": "perhaps"}),
        inventory()["groups"],
    )
    made = made["hosts"]
    assert made["server1"]["unknown"] == ["real_server_wieght"] and "unknown" not in made["server2"]
    assert "many" in made["server1"]["misfits"]["verify_attempts"] and "unreadable" not in made["server1"]
    assert made["director1"]["director_streamcheck_install"] == "perhaps", "hosts.py says what is wrong with it"
