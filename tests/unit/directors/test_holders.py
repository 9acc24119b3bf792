"""Which director holds a VIP, and on which interface."""

import pytest
from ansible.module_utils.lvsdr.directors import holders
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.inventory import resolve
from said import id_of

from inventories import VIP, VIP6, facts, interface, inventory, service

BOTH = [VIP, VIP6]
OTHER = interface("eth0", "198.51.100.12/24", "2001:db8:5::12/64", mac="02:00:00:00:00:12")


def declared(*services):
    return resolve.resolve(list(services), inventory()).services


def test_interface_of():
    two = {"interfaces": [interface("lo", "192.0.2.1/24"), interface("eth0", "192.0.2.100/32", "198.51.100.1/24"), OTHER,
                          interface("eth1", "192.0.2.11/24")]}  # fmt: skip
    assert holders.interface_of(declared(service()), two) == "eth1"
    assert holders.interface_of(declared(service(addresses=["203.0.113.1", VIP6])), facts(11)) == "eth0"
    assert holders.interface_of(declared(service(state="absent")), two) == "eth1", "the last VIP goes from where it is"
    with pytest.raises(LvsError) as caught:
        holders.interface_of(declared(service(addresses=["203.0.113.1"])), two)
    assert id_of(str(caught.value)) == "vip-interface-missing" and "director_interface" in str(caught.value)


@pytest.mark.parametrize(
    ("have", "holds"),
    [
        (facts(11), False),
        (facts(11, interface("eth1", VIP + "/32")), True),
        (facts(11, interface("eth1", VIP6 + "/128")), True),
        (facts(11, interface("eth1", "192.0.2.10/32")), False),
        (facts(11, lo=[VIP + "/32"]), False),
        ({}, False),
    ],
)
def test_holds_vip(have, holds):
    assert holders.holds_vip(declared(service(addresses=BOTH)), have) is holds


def test_each_vip_is_held_by_one_director():
    services = declared(service(addresses=BOTH), service(name="old", addresses=["192.0.2.103"], state="absent"))
    active, waiting = facts(11, interface("eth1", VIP + "/32", VIP6 + "/128")), facts(12, lo=[VIP + "/32"])
    assert holders.held_wrongly(services, {"director1": active, "director2": waiting}) == []
    both = facts(12, interface("eth1", VIP + "/32"))
    (split,) = holders.held_wrongly(services, {"director2": both, "director1": active})
    assert id_of(split) == "split-brain" and "director1 and director2 hold 192.0.2.100 " in split
    lines = holders.held_wrongly(services, {"director1": waiting})
    assert [id_of(line) for line in lines] == ["vip-not-held"] * 2 and all(vip in line for vip, line in zip(BOTH, lines))
