"""One grammar of paths: a service by its name where that stands for it alone, else by its index."""

import pytest
from ansible.module_utils.lvsdr.errors import Problems
from ansible.module_utils.lvsdr.inventory import paths, resolve

from inventories import inventory, service


@pytest.mark.parametrize(
    ("names", "handles"),
    [
        (["live", "Live TV", "b"], ["live", "Live TV", "b"]),
        (["live", "b", "live"], [0, "b", 2]),
        ([None, "", 5, [], {}, "x\n"], [0, 1, 2, 3, 4, 5]),
        # It could be taken for an index, or for more of the path.
        (["1", "\u0661", "a]", "[a", "a: b"], [0, 1, 2, 3, 4]),
    ],
)
def test_a_service_has_its_name_or_its_index(names, handles):
    services = [service(name=name, ports=[port]) for port, name in enumerate(names, 80)]
    found = resolve.read_services_of(services, inventory(), Problems()).services
    assert [one.path for one in found] == ["virtual_services[%s]" % handle for handle in handles]


def test_what_is_no_service_has_its_index():
    assert paths.indices([None, "live", service(), [], {}]) == [0, 1, None, 3, 4]


def test_hosts_and_groups():
    assert (paths.of_host("director1"), paths.of_group("directors")) == ("hosts[director1]", "groups[directors]")


def test_the_path_of_a_good_service_costs_nothing():
    """Ansible looks at each value of the resolved services."""
    (one,) = resolve.resolve([service()], inventory()).services
    assert one.index is None and one.path == "virtual_services[live]"
