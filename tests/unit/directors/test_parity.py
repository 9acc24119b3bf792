"""Whether directors have the same table."""

import pytest
from ansible.module_utils.lvsdr.directors import parity
from ansible.module_utils.lvsdr.inventory import resolve

from inventories import GONE, VIP, VIP6, inventory, service

BOTH = [VIP, VIP6]


def resolved(*services):
    return resolve.resolve(list(services), inventory())


def test_parity():
    services = resolved(service(addresses=BOTH), service(name="mark", ports=GONE, firewall_mark=5))
    ours = "-A -t 192.0.2.100:80 -s wlc\n-a -t 192.0.2.100:80 -r 192.0.2.21:80 -g -w 1\n"
    six = "-A -t [2001:db8::100]:80 -s wlc\n"
    mark = "-A -f 5 -s wlc\n"
    foreign = "-A -t 192.0.2.100:8080 -s rr\n-A -u 192.0.2.100:80 -s rr\n-A -f 6 -s rr\n"
    assert parity.parity({"director1": ours + six + mark, "director2": foreign + mark + six + ours}, services) == []
    assert parity.parity({"director1": ours}, services) == parity.parity({}, services) == []
    assert parity.parity({"director2": ours + mark, "director1": six + ours.replace("-w 1", "-w 2")}, services) == [
        "only on director1: -A -t [2001:db8::100]:80 -s wlc [tables-differ]",
        "only on director1: -a -t 192.0.2.100:80 -r 192.0.2.21:80 -g -w 2 [tables-differ]",
        "only on director2: -A -f 5 -s wlc [tables-differ]",
        "only on director2: -a -t 192.0.2.100:80 -r 192.0.2.21:80 -g -w 1 [tables-differ]",
    ]
    only_four = resolved(service(ports=GONE, firewall_mark=5))
    assert parity.parity({"director1": mark + "-A -f 5 -6 -s rr\n", "director2": mark}, only_four) == [], "that of IPv6 is not ours"
    third = parity.parity({"director1": ours, "director2": ours, "director3": ""}, services)
    assert [line.partition(":")[0] for line in third] == ["only on director1"] * 2


@pytest.mark.parametrize("address", ["192.0.2.12", "192.0.2.21"])
def test_parity_leaves_a_sorry_server_out(address):
    services = resolved(service(health_check={"target": "server"}, sorry_server="director2"))
    line = "-a -t 192.0.2.100:80 -r %s:80 -g -w 0" % address
    found = parity.parity({"director1": "-A -t 192.0.2.100:80 -s wlc\n" + line, "director2": "-A -t 192.0.2.100:80 -s wlc"}, services)
    assert found == ([] if address == "192.0.2.12" else ["only on director1: %s [tables-differ]" % line])
