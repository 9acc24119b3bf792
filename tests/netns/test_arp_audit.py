"""arp_audit on a real link: it receives every answer, and no neighbour learns anything wrong from it."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from links import VIP, VIP6
from said import id_of, path_and_id


@pytest.fixture
def director(link):
    director = link("director", 11)
    for vip in (VIP, VIP6):
        director.hold(vip, "eth0")
    return director


def audit(host, *vips, **options):
    result = host.module("arp_audit", vips=list(vips) or [VIP, VIP6], timeout=0.5, **options)
    assert "exception" not in result
    return result


def test_one_owner(router, director, server):
    for strict in (False, True):
        result = audit(router, strict=strict, owners={director.mac: "director1"})
        assert result["clean"] and [one["macs"] for one in result["results"]] == [[director.mac]] * 2
    assert result["results"][0]["text"] == "%s (director1) answers for %s" % (director.mac, VIP)


def test_nobody(router, server):
    result = audit(router, strict=True)
    assert result["failed"] and "no host answers for " + VIP in result["msg"]
    assert [id_of(line) for line in result["problems"]] == ["vip-unanswered", "vip-unanswered"]
    assert [one["verdict"] for one in result["results"]] == ["nobody", "nobody"]


def test_every_leak_is_named(link, router, director, server):
    """The kernel of an asker keeps one answer; here all count."""
    server.hold(VIP)
    other = link("other", 22)
    other.hold(VIP, "eth0")
    other.hold(VIP6, "eth0")
    four, six = audit(router, owners={director.mac: "director1"})["results"]
    assert set(four["macs"]) == {director.mac, server.mac, other.mac} and four["verdict"] == "leak"
    assert set(six["macs"]) == {director.mac, other.mac} and six["verdict"] == "leak"
    assert server.mac in four["text"] and other.mac in four["text"]
    result = audit(router, strict=True)
    assert result["failed"] and result["msg"].startswith("2 of 2 VIPs ")
    assert [id_of(line) for line in result["problems"]] == ["vip-of-several-hosts", "vip-of-several-hosts"]


def test_asking_from_a_host_that_holds_the_vip_poisons_nobody(router, director, server):
    """A leaky server that asks must not name the VIP as its sender: the router keeps the director's MAC."""
    server.hold(VIP, "eth0")
    server.ip("address", "del", server.address + "/24", "dev", "eth0")
    router.ip("neigh", "replace", VIP, "lladdr", director.mac, "dev", "eth0", "nud", "stale")
    result = audit(server, VIP, interface="eth0")
    assert [one["macs"] for one in result["results"]] == [[director.mac]]
    assert router.neighbour(VIP) == director.mac


def test_the_link_is_found_by_its_subnet(link, director):
    host = link("host", 31)
    host.ip("link", "add", "aside", "type", "veth", "peer", "name", "end")
    host.ip("link", "set", "aside", "up")
    host.ip("address", "add", "198.51.100.31/24", "dev", "aside")
    assert audit(host, VIP)["results"][0]["interface"] == "eth0"
    msg = audit(host, "203.0.113.1")["msg"]
    assert "203.0.113.1" in msg and id_of(msg) == "no-interface-in-subnet"


@pytest.mark.parametrize(("announce", "verdict"), [(0, "leak"), (1, "leak"), (2, "one owner")])
def test_a_server_that_names_the_vip_as_its_sender_is_heard(router, director, server, announce, verdict):
    """It answers for nobody; what it says by itself is enough to poison its neighbours."""
    server.conf(all_arp_ignore=1, all_arp_announce=announce)
    server.hold(VIP)
    with ThreadPoolExecutor() as pool:
        heard = pool.submit(audit, router, VIP, duration=4.5, owners={director.mac: "director1"}, host_by_mac={server.mac: "streaming1"})
        for _ in range(12):
            server.ip("neigh", "flush", "dev", "eth0")
            server.python(
                "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('%s', 0)); s.sendto(b'x', ('192.0.2.1', 9))"
                % VIP
            )
            time.sleep(0.3)
        (result,) = heard.result()["results"]
    assert result["verdict"] == verdict and result["macs"] == [director.mac]
    assert result["claims"] == ([] if verdict == "one owner" else [server.mac])
    assert ("(streaming1) names %s as the sender" % VIP in result["text"]) == (verdict == "leak")


def test_a_hundred_vips_at_once(link, router, director):
    vips = ["192.0.2.%d" % n for n in range(100, 200)]
    for vip in vips[1:]:
        director.hold(vip, "eth0")
    begin = time.monotonic()
    result = router.module("arp_audit", vips=vips, owners={director.mac: "director1"})
    # Two seconds are the time in which answers are awaited.
    assert result["clean"] and len(result["results"]) == 100
    assert time.monotonic() - begin < 60, "generous: the figure is the benchmark's business"


def test_the_owner_of_a_vip_is_watched_while_it_changes(link, router, director):
    """vip_watch sees each owner, the moment with none, and two at once."""
    other = link("other", 12)
    with ThreadPoolExecutor() as pool:
        watching = pool.submit(router.module, "vip_watch", vips=[VIP], duration=6, every=0.2)
        time.sleep(2)
        director.ip("address", "del", VIP + "/32", "dev", "eth0")
        time.sleep(1)
        other.hold(VIP, "eth0")
        time.sleep(1)
        director.hold(VIP, "eth0")
        samples = watching.result()["samples"][VIP]
    rows = [tuple(sorted(macs)) for _at, macs in samples]
    changes = [row for index, row in enumerate(rows) if not index or row != rows[index - 1]]
    both = tuple(sorted((director.mac, other.mac)))
    assert changes in ([(director.mac,), (), (other.mac,), both], [(), (director.mac,), (), (other.mac,), both])
    assert len(samples) >= 10 and samples[-1][0] > 4


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"every": 0}, ("every", "out-of-range")),
        ({"duration": 0.1}, ("duration", "out-of-range")),
        ({"seconds": 6}, ("seconds", "renamed-option")),
    ],
)
def test_a_watch_with_wrong_values(router, options, found):
    result = router.module("vip_watch", vips=[VIP], **options)
    assert result["failed"] and [path_and_id(line) for line in result["problems"]] == [found]


def test_a_watch_on_an_interface_that_is_missing(router):
    result = router.module("vip_watch", vips=[VIP], interface="eth9")
    assert result["failed"] and " eth9;" in result["msg"] and id_of(result["msg"]) == "interface-missing"
