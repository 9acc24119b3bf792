"""What verify plays, asks and probes, and from which hosts."""

from ansible.module_utils.lvsdr.fleet import proofs
from ansible.module_utils.lvsdr.inventory import resolve

from inventories import GONE, VIP, VIP6, interface, inventory, service

BOTH = [VIP, VIP6]


def declared(*services, **options):
    return resolve.resolve(list(services), inventory(**options)).services


def test_streams():
    services = declared(
        service(addresses=BOTH, stream="/live/index.m3u8"),
        service(name="silent", ports=[81]),
        service(name="gone", ports=[82], stream="/x", state="absent"),
        service(name="mark", ports=GONE, firewall_mark=1),
        service(name="text", ports=["8080"], stream="/y"),
    )
    assert proofs.streams(services) == [
        {
            "name": name, "vip": vip, "url": base + path, "base": base, "path": path, "servers": ["server1", "server2"],
            "connect_to": None, "validate_certs": True, "ca_path": None,
        }
        for name, vip, base, path in (
            ("live", VIP, "http://192.0.2.100:80", "/live/index.m3u8"),
            ("live", VIP6, "http://[2001:db8::100]:80", "/live/index.m3u8"),
            ("text", VIP, "http://192.0.2.100:8080", "/y"),
        )
    ]  # fmt: skip


def test_a_stream_with_a_name_is_played_through_the_vip():
    url = "https://live.example.com/live/index.m3u8?a=1"
    for stream, verify in (
        (url, True),
        ({"url": url, "verify": False}, False),
        ({"url": url, "verify": "/etc/ssl/lab.pem"}, "/etc/ssl/lab.pem"),
    ):
        (one,) = proofs.streams(declared(service(ports=[443], stream=stream)))
        assert (one["url"], one["base"], one["path"]) == (url, "https://live.example.com", "/live/index.m3u8?a=1")
        assert (one["connect_to"], one["validate_certs"]) == (VIP, bool(verify))
        assert one["ca_path"] == (verify if isinstance(verify, str) else None)
    (one,) = proofs.streams(declared(service(ports=GONE, firewall_mark=1, stream="http://live.example.com:8080/x.mpd")))
    assert one["url"] == "http://live.example.com:8080/x.mpd", "a mark has no ports, and the URL has one"


def test_what_a_servers_programs_answer_for():
    services = declared(
        service(addresses=BOTH),
        service(name="ingest", ports=[9000], protocol="udp", health_check={"type": "srt"}),
        service(name="a", ports=[81], mode="nat", real_server_port=8081),
        service(name="b", ports=[82], state="absent"),
        service(name="c", ports=[83], real_servers="some"),
        service(name="d", ports=GONE, firewall_mark=5, health_check={"type": "tcp", "port": 554}),
        service(name="e", ports=GONE, firewall_mark=6),
        hosts={"server2": {"real_server_state": "drained"}},
        groups={"some": ["server2"]},
    )
    own = {"name": "live", "protocol": "tcp", "port": 80, "own": "192.0.2.21", "vip": VIP}
    assert proofs.listeners(services)["server1"] == [
        own,
        {**own, "own": "2001:db8::21", "vip": VIP6},
        {**own, "name": "ingest", "protocol": "udp", "port": 9000, "type": "srt"},
        {**own, "name": "a", "port": 8081, "vip": "192.0.2.21"},
        {**own, "name": "d", "port": 554},
    ]
    assert "server2" not in proofs.listeners(services), "it is drained, and may be at rest"
    (probe,) = proofs.udp_probes(services, inventory())
    assert probe == {
        "name": "ingest", "vips": [VIP], "port": 9000, "type": "srt", "payload": None, "query": None, "count": 6,
        "host_by_address": {"192.0.2.21": "server1", "192.0.2.22": "server2"},
    }  # fmt: skip


def test_who_asks_for_the_vips():
    """Two of each VIP's link, real servers first; a fleet of one server and servers of other subnets have askers, too."""
    made = inventory(with_facts=True)
    services = resolve.resolve([service(addresses=[VIP, VIP6])], made)
    assert proofs.askers(services.services, made) == ["server1", "server2"]
    one = inventory(with_facts=True, groups={"web": ["server1"]})
    assert proofs.askers(resolve.resolve([service()], one).services, one) == ["server1", "director1"]
    apart = {name: {"ansible_host": "198.51.100.%d" % n, "facts": {"interfaces": [interface("eth0", "198.51.100.%d/24" % n)]}}
             for name, n in (("server1", 21), ("server2", 22))}  # fmt: skip
    far = inventory(hosts=apart, with_facts=True)
    assert proofs.askers(resolve.resolve([service(mode="nat")], far).services, far) == ["director1", "director2"]
    assert proofs.stranger(services, made) == {
        "host": "server1", "directors": {"director1": "192.0.2.11", "director2": "192.0.2.12"}, "interface": "eth0",
        "virtual_router_id": 255,
    }  # fmt: skip
    assert proofs.stranger(resolve.resolve([service(mode="nat")], far), far)["host"] is None, "a router would count the TTL down"
