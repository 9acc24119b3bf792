"""Services on their way through Ansible: plain data, and the same again."""

import json

from ansible.module_utils.lvsdr.inventory import resolve
from ansible.module_utils.lvsdr.inventory.types import CheckPath, Leaving, RealServer, Resolved, VirtualService, from_data, to_data
from ansible.module_utils.lvsdr.ipvs import declare
from hypothesis import given
from hypothesis import strategies as st

from inventories import VIP, VIP6, inventory, service

words = st.text(max_size=5)
# What a table's options, a health check and a stream are made of.
plain = st.dictionaries(words, st.one_of(st.none(), st.booleans(), st.integers(), words, st.lists(words, max_size=2)), max_size=3)
families, ports = st.sampled_from([4, 6]), st.one_of(st.none(), st.integers(0, 65535))
servers = st.builds(
    RealServer, host=words, address=words, weight=st.integers(0, 9), port=ports, checked=st.booleans(), drained=st.booleans(),
    fallback=st.booleans(),
)  # fmt: skip
leaving = st.builds(Leaving, destination=plain, host=st.one_of(st.none(), words), connections=st.integers(0, 9))
services = st.builds(
    VirtualService, name=words, mode=words, family=families, vips=st.lists(words, max_size=2).map(tuple), instance=words, options=plain,
    servers=st.lists(servers, max_size=3).map(tuple), health_check=st.one_of(st.none(), plain), stream=st.one_of(st.none(), plain),
    key=st.one_of(st.none(), st.tuples(families, words, words, st.integers(0, 9))), absent=st.booleans(),
    leaving=st.lists(leaving, max_size=2).map(tuple), retiring=st.booleans(),
)  # fmt: skip
checks = st.builds(CheckPath, host=words, family=families, address=words, mark=st.integers(0, 9))
all_resolved = st.builds(
    Resolved, services=st.lists(services, max_size=3).map(tuple), checks=st.lists(checks, max_size=3).map(tuple)
)  # fmt: skip


@given(all_resolved)
def test_what_travels_as_plain_data_arrives(resolved):
    data = to_data(resolved)
    assert json.loads(json.dumps(data)) == data, "nothing in it that JSON has not"
    assert from_data(data) == resolved


def test_nothing_is_no_service():
    """What a role has that is given none."""
    assert from_data({}) == Resolved() and Resolved().tables() == []


def test_what_is_usual_does_not_travel():
    """Ansible looks at each value, and most servers have no port of their own, are not drained, and are not sorry servers."""
    data = to_data(resolve.resolve([service(health_check={})], inventory()))
    assert data["services"][0]["servers"][0] == {"host": "server1", "address": "192.0.2.21", "weight": 1, "checked": True}
    assert data["checks"][0].keys() == {"host", "family", "address", "mark"}


def test_servers_of_a_service():
    found = resolve.resolve(
        [service(addresses=[VIP, VIP6], mode="nat", health_check={}, sorry_server="director2")],
        inventory(hosts={"server1": {"real_server_state": "drained"}, "server2": {"real_server_port": 8080}}),
    )
    four, six = found.services
    assert (four.hosts, four.sorry, four.members) == (("server1", "server2"), "director2", ("server1", "server2", "director2"))
    assert four.drained == ("server1",) and [server.host for server in four.real_servers] == ["server1", "server2"]
    assert [four.port_of(server) for server in four.servers] == [80, 8080, 80]
    assert four.track_file("server1") != six.track_file("server1")
    assert found.hosts() == ["server1", "server2", "director2"]


def test_a_sorry_server_is_not_drained():
    """It serves when all others are out; who does not want it takes its name out."""
    made = inventory(hosts={"director2": {"real_server_state": "drained"}})
    (one,) = resolve.resolve([service(health_check={"target": "server"}, sorry_server="director2")], made).services
    assert one.drained == () and one.table()["destinations"][2]["weight"] == 1


def test_a_check_has_a_service_of_its_own():
    found = resolve.resolve([service(addresses=[VIP, VIP6], health_check={})], inventory())
    assert [(check.host, check.family) for check in found.checks] == [("server1", 4), ("server2", 4), ("server1", 6), ("server2", 6)]
    assert found.tables() == [service.table() for service in found.services] + [check.table() for check in found.checks]
    assert list(declare.read_services(found.tables())) == [one.key for one in (*found.services, *found.checks)]
