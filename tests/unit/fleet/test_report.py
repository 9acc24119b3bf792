"""One table of what many hosts heard."""

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.fleet import report
from ansible.module_utils.lvsdr.inventory import resolve
from said import id_of

from inventories import inventory, service

VIP, VIP6 = "198.51.100.100", "2001:db8:100::100"
DIRECTOR, SERVER = "02:00:00:00:00:11", "02:00:00:00:00:21"
OWNERS = {DIRECTOR: "director1"}
NAMES = {**OWNERS, SERVER: "streaming1"}
GOOD = {
    "vips": [{"vip": VIP, "recipe": "conf.all.arp_ignore=1", "works": True, "why": "silent"}],
    "problems": [],
    "conflicts": [],
    "operations": [],
}


def heard(*macs, vip=VIP, claims=()):
    return [{"vip": vip, "macs": list(macs), "claims": list(claims)}]


def audit(vips=(VIP,), **hosts):
    return report.audit(list(vips), OWNERS, NAMES, {name: dict(zip(("audit", "gathered"), found)) for name, found in hosts.items()})


def test_a_clean_fleet():
    assert audit(director1=([], None), streaming1=(heard(DIRECTOR), GOOD), streaming2=(heard(DIRECTOR), GOOD)) == {
        "clean": True,
        "lines": [
            "VIP             ASKED FROM  VERDICT    WHO",
            "198.51.100.100  2 hosts     one owner  02:00:00:00:00:11 (director1) answers for 198.51.100.100",
            "",
            "HOST        VIP             RECIPE                 WHY",
            "streaming1  198.51.100.100  conf.all.arp_ignore=1  silent",
            "streaming2  198.51.100.100  conf.all.arp_ignore=1  silent",
        ],
    }


def test_a_host_that_does_not_hear_itself_is_heard_by_the_others():
    found = audit(streaming1=(heard(DIRECTOR), None), streaming2=(heard(DIRECTOR, SERVER), None))
    assert not found["clean"] and "02:00:00:00:00:21 (streaming1) answers for 198.51.100.100 but is not a director" in found["lines"][1]


def test_a_claim_that_one_host_heard():
    found = audit(streaming2=(heard(DIRECTOR, claims=[SERVER]), None), streaming3=(heard(DIRECTOR), None))
    assert not found["clean"] and "(streaming1) names 198.51.100.100 as the sender" in found["lines"][1]


def test_a_vip_that_nobody_can_ask_for():
    found = audit((VIP, VIP6), streaming1=(heard(DIRECTOR), GOOD))
    assert not found["clean"] and "not asked" in found["lines"][2]
    assert id_of(found["lines"][2]) == "vip-not-asked" and VIP6 in found["lines"][2]


def test_a_host_that_was_not_reached():
    found = audit(streaming1=(heard(DIRECTOR), GOOD), streaming2=(None, None))
    assert not found["clean"] and found["lines"][-1].split() == ["streaming2", "not", "reached", "see", "the", "error", "above"]


def test_what_a_host_says_of_itself():
    overridden = "a.conf:1 sets x; zz-lvsdr.conf is applied later and overrides it"
    assert audit(streaming1=(heard(DIRECTOR), {**GOOD, "conflicts": [overridden]}))["clean"]
    for changed in (
        {"conflicts": ["/etc/sysctl.conf:1 sets x; remove the line"]},
        {"problems": ["vips[0]: on eth0"]},
        {"operations": ["sysctl net/ipv4/conf/all/arp_ignore = 1 (was 0)"]},
        {"vips": [{**GOOD["vips"][0], "works": False}]},
        {"vips": [{**GOOD["vips"][0], "works": None}]},
    ):
        found = audit(streaming1=(heard(DIRECTOR), {**GOOD, **changed}))
        assert not found["clean"], changed
        assert any(str(sentence) in "\n".join(found["lines"]) for sentence in changed.get("problems", ["198.51.100.100"]))


def test_the_status_of_real_servers():
    made = inventory()
    services = resolve.resolve(
        [service(health_check={"type": "hls", "path": "/a.m3u8"}), service(name="old", ports=[81], state="absent")], made
    )
    vip = "192.0.2.100"
    there = {"address": "192.0.2.21", "weight": 10, "active": 3}
    info = {
        "services": [{"address": vip, "protocol": "tcp", "port": 80, "destinations": [there]}],
        "stream_checks": [{"service": "live", "vip": vip, "server": "server1", "state": "up", "why": "segment 4"}],
    }
    drained = [places.drain_file("server2")]
    directors = {
        "director1": {"info": info, "active": True, "drained": drained},
        "director2": {"info": None, "active": False, "drained": []},
    }
    assert report.status(services.services, directors) == [
        "SERVICE  VIP          REAL SERVER  director1 (active)   director2 (standby)  CHECK",
        "live     192.0.2.100  server1      weight 10, 3 active  not reached          up: segment 4",
        "live     192.0.2.100  server2      missing              not reached          drained",
    ]
    there = info["services"][0]["destinations"][0]
    there["counters"] = {"cps": 2, "inbps": 1250, "outbps": 0}
    directors["director1"]["sent"] = {("live", "192.0.2.100", "server1"): 125000.0}
    assert report.status(services.services, directors)[:2] == [
        "SERVICE  VIP          REAL SERVER  director1 (active)   director2 (standby)  NEW/s  IN           OUT         CHECK",
        "live     192.0.2.100  server1      weight 10, 3 active  not reached          2      10.0 kbit/s  1.0 Mbit/s  up: segment 4",
    ]
    del there["counters"]
    info["stream_checks"][0].update(state="down", why="it is gone", kept=True, warning="its certificate expires in 3 days, on 2026-11-28")
    words = "down, kept in as all failed at once: it is gone; its certificate expires in 3 days, on 2026-11-28"
    assert report.status(services.services, directors)[1].endswith(words)
