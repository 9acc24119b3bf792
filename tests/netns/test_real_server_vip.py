"""real_server_vip on a real host: no answer ever leaves it, while a neighbour asks without pause."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import wires
from links import PREFIX, VIP, VIP6
from said import path_and_id

NAMES = ("arp_ignore", "arp_announce", "rp_filter")


@pytest.fixture
def hold(server, tmp_path):
    """Runs the module on the server."""

    def hold(*vips, host=server, **options):
        record = str(tmp_path / (host.name + ".json"))
        result = host.module("real_server_vip", vips=list(vips), persist=False, record_path=record, **options)
        assert "exception" not in result
        return result

    return hold


def conf(host):
    return {(card, name): host.sysctl("net/ipv4/conf/%s/%s" % (card, name)) for card in ("all", "default", "lo", "eth0") for name in NAMES}


def on_lo(host):
    words = host.ip("-o", "address", "show", "dev", "lo", "scope", "global").split()
    return [word for word in words if "/" in word]


def test_from_kernel_defaults_and_back_without_an_answer(router, server, hold):
    before = conf(server)
    with router.asking(VIP) as heard:
        added = hold(VIP, VIP6)
        assert on_lo(server) == [VIP + "/32", VIP6 + "/128"]
        assert router.resolve(VIP6, 0.5) is None
        removed = hold()
    assert added["changed"] and removed["changed"]
    assert [step["action"] for step in added["operations"]] == ["set", "set", "set", "add", "add"]
    assert [step["action"] for step in removed["operations"]] == ["remove", "remove", "restore", "restore", "restore"]
    assert heard["asked"] > 100 and heard["answers"] == {}
    assert conf(server) == before and on_lo(server) == []


def test_fifty_servers_take_the_vip_and_give_it_back_without_an_answer(link, router, hold):
    """Whatever the order in which the kernel serves them: fifty at once, and a sender that does not pause."""
    servers = [link("s%d" % number, number) for number in range(21, 71)]
    with router.asking(VIP) as heard, ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda server: hold(VIP, host=server), servers))
        held = [VIP + "/32" in server.ip("address", "show", "dev", "lo") for server in servers]
        removed = list(pool.map(lambda server: hold(host=server), servers))
    assert all(held) and all(result["changed"] for result in added + removed)
    assert heard["asked"] > 1000 and heard["answers"] == {}


def test_the_asker_hears_the_wrong_order(router, server):
    """The test above can fail: address first, silence a moment later, and the answer is out."""
    with router.asking(VIP) as heard:
        server.hold(VIP)
        server.conf(all_arp_ignore=1, all_arp_announce=2)
    assert heard["answers"].keys() == {server.mac}


def test_again_changes_nothing(server, hold):
    hold(VIP, VIP6)
    before = (conf(server), server.ip("address", "show"))
    again = hold(VIP6, VIP)
    assert (again["changed"], again["operations"]) == (False, [])
    assert (conf(server), server.ip("address", "show")) == before


def test_check_mode_tells_and_touches_nothing(server, hold, tmp_path):
    before = (conf(server), server.ip("address", "show"))
    foreseen = hold(VIP, VIP6, check=True)
    assert (conf(server), server.ip("address", "show"), list(tmp_path.iterdir())) == (*before, [])
    done = hold(VIP, VIP6)
    assert foreseen == done
    assert hold(check=True)["operations"] == hold()["operations"]


def test_drift_is_set_right(router, server, hold):
    hold(VIP)
    server.conf(all_arp_ignore=0)
    assert router.resolve(VIP) == server.mac
    with router.asking(VIP):
        again = hold(VIP, VIP6)
    assert [step["text"] for step in again["operations"]] == [
        "sysctl net/ipv4/conf/all/arp_ignore = 1 (was 0)",
        "sysctl net/ipv6/conf/lo/keep_addr_on_down = 1 (was 0)",
        "ip address add %s/128 dev lo" % VIP6,
    ]
    assert router.resolve(VIP) is None


def test_a_card_that_overrides_all(router, server, hold):
    """arp_ignore 3 of a card is the larger value and answers for a global address."""
    server.conf(eth0_arp_ignore=3)
    with router.asking(VIP) as heard:
        hold(VIP)
    assert heard["answers"] == {}
    assert server.sysctl("net/ipv4/conf/eth0/arp_ignore") == "1"
    hold()
    assert server.sysctl("net/ipv4/conf/eth0/arp_ignore") == "3"


def test_every_card_is_silent_also_one_that_comes_later(link, router, hold):
    server = link("two-arms", 21, 22)
    with router.asking(VIP) as heard:
        hold(VIP, host=server)
        wires.plug(server.namespace, "later", "port", "switch", PREFIX + "switch")
        wires.up(server.namespace, "later", "192.0.2.23/24")
        # The new card answers for its own address: it hears the questions.
        assert router.resolve("192.0.2.23")
    assert heard["answers"] == {}


def test_viewers_reach_the_vip_all_the_same(router, server, hold):
    """Silent, but not deaf: a frame to the server's MAC, as the director makes it, is taken and answered from the VIP."""
    hold(VIP)
    assert not router.reaches(VIP)
    router.ip("neigh", "replace", VIP, "lladdr", server.mac, "dev", "eth0")
    assert router.reaches(VIP)


@pytest.mark.parametrize("vip", [VIP, VIP6])
def test_a_vip_that_is_moved_off_the_card_is_there_all_the_while(router, server, hold, vip):
    """Viewers on this server, whose packets are sent to its MAC, get an answer to every packet."""
    server.hold(vip, "eth0")
    router.ip("neigh", "replace", vip, "lladdr", server.mac, "dev", "eth0", "nud", "permanent")
    with router.knocking(vip) as heard:
        result = hold(vip, misplaced="move")
    assert result["changed"] and on_lo(server) == ["%s/%d" % (vip, 128 if ":" in vip else 32)]
    assert heard["refused"] > 20 and heard["silent"] == 0
    router.ip("neigh", "del", vip, "dev", "eth0")
    assert router.resolve(vip, 0.5) is None
    assert not hold(vip, misplaced="move")["changed"]


def test_an_ipv6_vip_has_its_new_route_before_it_loses_the_former_one(server, router, hold):
    """The kernel makes it a moment after the address, and later where it is busy; packets would be dropped in between."""
    server.hold(VIP6, "eth0")
    for _again in range(10):
        with router.busy(), server.changes_of_routes() as changes:
            hold(VIP6, misplaced="move")
        assert [change for change in changes if change[1] == VIP6] == [("new", VIP6, "lo"), ("gone", VIP6, "eth0")]
        server.hold(VIP6, "eth0")
        server.ip("address", "del", VIP6 + "/128", "dev", "lo")


def test_a_server_that_was_cut_off_is_back(router, server, hold):
    server.hold(VIP, length=24)
    server.hold(VIP6, length=64)
    assert not router.reaches(server.address)
    assert router.reaches(server.address6), "IPv6 has no such effect"
    hold(VIP, VIP6, misplaced="move")
    assert on_lo(server) == [VIP + "/32", VIP6 + "/128"]
    assert router.reaches(server.address) and router.reaches(server.address6)
    assert router.resolve(VIP, 0.5) is None and router.resolve(VIP6, 0.5) is None


def test_vips_survive_a_loopback_that_goes_down(server, hold):
    """As `ifdown -a` makes it; the kernel would take IPv6 addresses with it."""
    hold(VIP, VIP6)
    server.ip("link", "set", "lo", "down")
    server.ip("link", "set", "lo", "up")
    assert on_lo(server) == [VIP + "/32", VIP6 + "/128"]
    hold()
    assert server.sysctl("net/ipv6/conf/lo/keep_addr_on_down") == "0"


@pytest.mark.parametrize(
    ("make", "words", "id"),
    [
        (lambda server: server.hold(VIP, "eth0"), "192.0.2.100 is on eth0", "vip-on-interface"),
        (lambda server: server.hold(VIP, length=24), "is on lo as /24", "vip-as-subnet"),
    ],
)
def test_a_vip_in_the_wrong_place_is_named_and_nothing_done(server, hold, make, words, id):
    make(server)
    before = (conf(server), server.ip("address", "show"))
    result = hold(VIP)
    assert result["failed"] and words in result["msg"] and "`ip address del " in result["msg"]
    assert [path_and_id(line) for line in result["problems"]] == [("vips[0]", id)]
    assert (conf(server), server.ip("address", "show")) == before


@pytest.fixture
def own_interface(server):
    """An interface on which no other host can ask: a bridge without ports."""
    server.ip("link", "add", "vip0", "type", "bridge")
    server.ip("link", "set", "vip0", "up")
    return server


def test_a_vip_on_an_interface_of_its_own_stays_or_is_moved(router, own_interface, hold):
    for vip in (VIP, VIP6):
        own_interface.hold(vip, "vip0")
    with router.asking(VIP) as heard:
        own_interface.conf(all_arp_ignore=1)
        foreseen = hold(VIP, VIP6, check=True)
        assert hold(VIP, VIP6) == foreseen and not foreseen.get("failed")
        assert VIP in own_interface.ip("address", "show", "dev", "vip0") and on_lo(own_interface) == [VIP + "/32", VIP6 + "/128"]
        assert not hold(VIP, VIP6)["changed"]
        moved = hold(VIP, VIP6, misplaced="move")
    assert [step["text"] for step in moved["operations"]] == [
        "ip address del %s/32 dev vip0" % VIP,
        "ip address del %s/128 dev vip0" % VIP6,
    ]
    assert router.resolve(VIP, 0.5) is None and router.resolve(VIP6, 0.5) is None
    # Until arp_ignore was set the host did answer.
    assert heard["asked"] > 100


def test_a_port_makes_that_interface_a_card(router, own_interface, hold):
    """A bridge of containers, say: who is behind its ports can ask."""
    own_interface.hold(VIP, "vip0")
    own_interface.ip("link", "add", "port", "type", "veth", "peer", "name", "inside", "netns", router.namespace)
    own_interface.ip("link", "set", "port", "master", "vip0", "up")
    (said,) = own_interface.module("real_server_vip", state="gathered")["gathered"]["vips"]
    assert (said["recipe"], said["works"]) == ("VIP on the network card", False)
    (line,) = hold(VIP)["problems"]
    assert path_and_id(line) == ("vips[0]", "vip-on-interface") and "192.0.2.100 is on vip0" in line and "`ip address del " in line


def test_a_local_route_to_a_network(router, server, hold):
    """To one of VIPs alone it does no harm; to what a card has a subnet of it cuts the host off."""
    server.ip("route", "add", "local", "198.51.100.0/24", "dev", "lo")
    far = "198.51.100.100"
    gather = {"state": "gathered", "vips": [far]}
    assert server.module("real_server_vip", **gather)["gathered"]["vips"][0]["text"].startswith(
        far + ": kernel defaults, VIP in a local route does not work: "
    )
    result = hold(far)
    assert not result.get("failed") and on_lo(server) == [far + "/32"] and "198.51.100.0" in server.ip("route", "show", "table", "local")
    assert server.module("real_server_vip", **gather)["gathered"]["vips"][0]["works"]
    server.ip("route", "add", "local", "192.0.2.0/25", "dev", "lo")
    assert not router.reaches(server.address), "its answers stay on the host"
    for move in ("refuse", "move"):
        (line,) = hold(VIP, misplaced=move)["problems"]
        assert path_and_id(line) == ("vips[0]", "vip-in-routed-network") and "192.0.2.100 is in 192.0.2.0/25" in line
        assert "`ip route del local 192.0.2.0/25 dev lo table local proto boot`" in line


@pytest.mark.parametrize("option", ["route", "address"])
def test_the_command_that_is_named_takes_it_away(server, hold, option):
    if option == "route":
        server.ip("route", "add", "local", VIP, "dev", "lo")
    else:
        server.ip("address", "add", VIP, "peer", "192.0.2.99/32", "dev", "eth0")
    result = hold(VIP)
    assert result["failed"]
    server.run(*result["msg"].split("`")[1].split())
    assert not hold(VIP).get("failed") and on_lo(server) == [VIP + "/32"]


def test_a_second_address_of_the_subnet_may_be_the_hosts_own(server, hold):
    server.hold(VIP, "eth0", length=24)
    assert "secondary" in server.ip("address", "show", "to", VIP)
    (line,) = hold(VIP, misplaced="move")["problems"]
    assert path_and_id(line) == ("vips[0]", "vip-with-subnet-prefix") and "on eth0 " in line


def test_the_audit_counts_its_own_host_only_where_it_asks(own_interface):
    own_interface.hold(VIP, "vip0")
    own_interface.conf(all_arp_ignore=1)
    (one,) = own_interface.module("arp_audit", vips=[VIP], timeout=0.4)["results"]
    assert (one["interface"], one["verdict"]) == ("eth0", "nobody")


def test_preflight_reads_what_a_scope_would_hide(server):
    server.hold(VIP, "eth0", "scope", "link")
    server.ip("route", "add", "local", "192.0.2.101", "dev", "lo")
    links = {link["name"]: link for link in server.module("lvs_preflight")["interfaces"]}
    assert VIP + "/32" in links["eth0"]["addresses"] and not any(text.startswith("fe80") for text in links["eth0"]["addresses"])
    assert links["lo"]["local_routes"] == ["local 192.0.2.101/32 dev lo table local proto boot"]


@pytest.mark.parametrize(("rule", "answers"), [((), False), (("lookup", "77"), True), (("fwmark", "1", "lookup", "77"), False)])
def test_a_local_route_in_another_table_counts_where_a_rule_leads_to_it(router, server, hold, rule, answers):
    server.ip("route", "add", "local", VIP, "dev", "lo", "table", "77")
    if rule:
        server.ip("rule", "add", "pref", "50", *rule)
    assert router.resolve(VIP, 0.5) == (server.mac if answers else None)
    (said,) = server.module("real_server_vip", state="gathered", vips=[VIP])["gathered"]["vips"]
    assert said["works"] is (False if answers else None)
    assert not hold(VIP, misplaced="move").get("failed") and router.resolve(VIP, 0.5) is None
    assert (VIP in server.ip("route", "show", "table", "77")) is not answers
