"""Every error of a declaration comes with its path, its id and the value it is about, and all of them at once."""

import pytest
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.inventory import resolve
from bad_services import ERRORS, HEAVY, MARK
from said import path_and_id

from inventories import GONE, VIP, VIP6, inventory, service


def resolved(*services, **options):
    return resolve.resolve(list(services), inventory(**options))


def problems_of(*services, **options):
    """The lines of what resolve refuses."""
    with pytest.raises(LvsError) as caught:
        resolved(*services, **options)
    return caught.value.details["problems"]


@pytest.mark.parametrize("row", ERRORS.values(), ids=ERRORS)
def test_an_error_has_its_path_and_its_id(row):
    changes, variables, path, name, *words = row
    with pytest.raises(LvsError) as caught:
        resolved(service(**changes), hosts={"server1": variables, "server2": HEAVY if variables is HEAVY else {}}, groups={"empty": []})
    (line,) = caught.value.details["problems"]
    assert path_and_id(line) == ("virtual_services[live]" + path if path.startswith(".") else path, name)
    assert all(word in line for word in words)
    assert str(caught.value) == "The inventory can't be used: 1 error, and nothing was changed\n  - " + line


@pytest.mark.parametrize("value", [None, [], {}, "live", 5, {"live": {}}])
def test_no_services(value):
    with pytest.raises(LvsError) as caught:
        resolve.resolve(value, inventory())
    (line,) = caught.value.details["problems"]
    assert path_and_id(line) == ("virtual_services", "no-virtual-services") and "group_vars/all.yml" in line


@pytest.mark.parametrize("value", [None, "live", 5, []])
def test_a_service_that_is_none(value):
    (line,) = problems_of(service(), value)
    assert path_and_id(line) == ("virtual_services[1]", "not-a-dictionary") and "not %r" % (value,) in line


@pytest.mark.parametrize(
    ("second", "path", "name", "words"),
    [
        ({"ports": [81]}, "virtual_services[1].name", "service-name-taken", "'live' is already the name of virtual_services[0]"),
        ({"name": "b"}, "virtual_services[b]", "declared-twice", "tcp 192.0.2.100:80 is already declared by virtual_services[live]"),
        (
            {"name": "b", "state": "absent"}, "virtual_services[b]", "declared-twice",
            "tcp 192.0.2.100:80 is already declared by virtual_services[live]",
        ),
    ],
)  # fmt: skip
def test_duplicates(second, path, name, words):
    (line,) = problems_of(service(), service(**second))
    assert path_and_id(line) == (path, name) and words in line


def test_duplicate_marks_and_addresses():
    (line,) = problems_of(service(**MARK), service(name="b", **MARK))
    assert path_and_id(line) == ("virtual_services[b]", "declared-twice")
    assert "fwmark 5 is already declared by virtual_services[live]" in line
    resolved(service(), service(name="b", protocol="udp"), service(name="c", ports=[81]), service(name="d", addresses=[VIP6]))


def test_services_with_bad_ports_are_no_duplicates():
    lines = problems_of(service(ports=["http"]), service(name="b", ports=["rtmp"]))
    assert [path_and_id(line)[0] for line in lines] == ["virtual_services[live].ports[0]", "virtual_services[b].ports[0]"]


@pytest.mark.parametrize("addresses", [[], ["nowhere"], GONE])
def test_without_an_address_the_rest_is_read_all_the_same(addresses):
    hosts = {"server1": {"real_server_weight": "ten"}, "server2": {"real_server_address6": GONE}}
    wrong = service(addresses=addresses, scheduler="fair", persistence={"timeout": 0, "netmask": 64}, scheduler_flags="x", ports=["a"])
    lines = problems_of(wrong, hosts=hosts)
    assert {path_and_id(line)[0].replace("[0]", "") for line in lines} == {
        "virtual_services[live].addresses", "virtual_services[live].scheduler", "virtual_services[live].scheduler_flags",
        "virtual_services[live].persistence.timeout", "virtual_services[live].ports", "hosts[server1].real_server_weight",
    }  # fmt: skip


def test_all_errors_come_in_one_message():
    services = [
        service(mode="direct", scheduler="fair", addresses=[VIP, "nowhere"], persistence={"timeout": 0}),
        "live",
        service(ports=[81], real_servers="wep", health_check={"type": "http", "path": "x", "status": "fine"}),
        service(name="udp", ports=[0], one_packet=True),
    ]
    hosts = {"server1": {"real_server_weight": "ten", "real_server_port": 8080}, "server2": {"ansible_host": "server2.example.com"}}
    with pytest.raises(LvsError) as caught:
        resolved(*services, hosts=hosts)
    paths = {path_and_id(line)[0] for line in caught.value.details["problems"]}
    assert paths == {
        "virtual_services[0].mode", "virtual_services[0].scheduler", "virtual_services[0].addresses[1]",
        "virtual_services[0].persistence.timeout", "virtual_services[1]", "virtual_services[2].name", "virtual_services[2].real_servers",
        "virtual_services[2].health_check.path", "virtual_services[2].health_check.status", "virtual_services[udp].ports[0]",
        "virtual_services[udp].one_packet", "hosts[server1].real_server_weight", "hosts[server1].real_server_port", "hosts[server2]",
    }  # fmt: skip
    text = str(caught.value)
    assert text.startswith("The inventory can't be used: %d errors, and nothing was changed\n" % len(caught.value.details["problems"]))
    assert all("\n  - " + line in text for line in caught.value.details["problems"])
    assert len(set(caught.value.details["problems"])) == len(caught.value.details["problems"]), "each is said once"
