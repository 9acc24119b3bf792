"""What is taken from the resolved services: VIPs, hosts and kernel modules."""

from ansible.module_utils.lvsdr.inventory import hosts, resolve, views

from inventories import GONE, VIP, VIP6, inventory, service

BOTH = [VIP, VIP6]


def declared(*services, **options):
    return resolve.resolve(list(services), inventory(**options)).services


def test_macs_are_those_of_a_groups_links():
    made = inventory(with_facts=True, hosts={"director2": {"facts": GONE}})
    assert hosts.macs(made, "directors") == {"02:00:00:00:00:11": "director1"}
    assert hosts.macs(made, "web") == {"02:00:00:00:00:21": "server1", "02:00:00:00:00:22": "server2"}
    assert hosts.macs(made, "none") == {}


def test_vips_of_a_host():
    services = declared(
        service(addresses=BOTH),
        service(name="a", ports=[81]),
        service(name="b", addresses=["192.0.2.101"], mode="tunnel", real_servers="some"),
        service(name="c", addresses=["192.0.2.102"], mode="nat"),
        service(name="d", addresses=["192.0.2.103"], state="absent"),
        groups={"some": ["server2"]},
    )
    assert views.vips_of_hosts(services) == {"server1": [VIP, VIP6], "server2": [VIP, VIP6, "192.0.2.101"]}
    assert views.gateways(services) == ["192.0.2.1"] and views.moving(services)[-2:] == ["192.0.2.102", "192.0.2.1"]
    assert views.forwarded(services) == [4]
    assert views.director_vips(services) == [VIP, VIP6, "192.0.2.101", "192.0.2.102"]
    assert views.real_servers(services) == ["server1", "server2"]


def test_kernel_modules():
    services = resolve.resolve([service(scheduler="mh"), service(name="sip", protocol="udp", persistence={"engine": "sip"})], inventory())
    assert views.kernel_modules(services) == ["ip_vs", "ip_vs_mh", "ip_vs_pe_sip", "ip_vs_wlc"]
