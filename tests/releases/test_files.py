"""What is rendered for any inventory, keepalived and nftables of both Debian releases take: 2.2.7 and 2.3.3, 1.0.6 and 1.1.3."""

from collections import Counter

import pytest
from ansible.module_utils.lvsdr.checks.health_check import read_match
from ansible.module_utils.lvsdr.directors import keepalived, nftables
from ansible.module_utils.lvsdr.errors import Problems
from ansible.module_utils.lvsdr.fleet import preflight
from ansible.module_utils.lvsdr.inventory import resolve
from ansible.module_utils.lvsdr.reader import Reader
from ansible.module_utils.lvsdr.routes import tunnels
from ansible.module_utils.lvsdr.spelling import LONGEST_HEX, LONGEST_WORD
from ansible.module_utils.lvsdr.system import in_force
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventories import GONE, VIP, VIP6, facts, inventory, service

STREAM = {"type": "hls", "path": "/live/index.m3u8"}


def judged(release, program, text):
    """What a program of a release has against a file; None where it takes it."""
    if program == "nft":
        status, said = release.run("nft", "-c", "-f", "-", stdin=text)
        return in_force.complaints(status, said, [])
    release.run("sh", "-c", "cat >/tmp/keepalived.conf", stdin=text)
    status, said = release.run("keepalived", "-t", "-f", "/tmp/keepalived.conf")
    return in_force.complaints(status, said, keepalived.HARMLESS)


def files(services, made):
    return keepalived.render(services, "director1", made), nftables.render(services, "director1", made, "eth0")


def taken(release, services, made):
    conf, rule = files(services, made)
    assert judged(release, "keepalived", conf) is None, conf
    assert judged(release, "nft", rule) is None, rule


def test_the_programs_can_refuse(release):
    """A word that no parser knows, as `dynamic`, which a manual page names: these tests can fail."""
    services = resolve.resolve([service(health_check=STREAM)], inventory(with_facts=True))
    conf, rule = files(services, inventory(with_facts=True))
    assert (
        "Unknown keyword 'dynamic'"
        in judged(release, "keepalived", conf.replace("weight 1\n        }", "weight 1\n            dynamic\n        }"))[0]
    )
    assert judged(release, "nft", rule.replace("prerouting priority", "prerouting prio"))


def test_which_releases_these_are(release):
    version = {"bookworm": "v2.2.7", "trixie": "v2.3.3"}[release.name]
    assert version in release.run("keepalived", "--version")[1]


checks = st.sampled_from(
    [
        None, {}, STREAM, {"type": "http", "path": "/healthz", "status": "200-299", "match": "ok .*", "host": "a.example.com"},
        {"type": "https", "urls": [{"path": "/a"}, {"path": "/b", "status": 204}]}, {**STREAM, "floor": 0.5, "slow_start": 30},
        {"type": "tcp", "fall": 3, "agent": {"port": 3333}}, {"type": "dash", "path": "/live/a.mpd", "host": "b.example.com"},
        {"type": "rtsp", "path": "/live", "port": 554}, {"type": "script", "path": "/bin/true", "arguments": ["--fast"], "user": "root"},
        {"type": "script", "path": "/bin/true"},
        {"type": "http", "target": "server", "timeout": 600, "retries": 0},
    ]
)  # fmt: skip
udp_checks = st.sampled_from([None, {"type": "udp", "payload": "0d0a", "reply": "6f6b"}, {"type": "dns"}, {"type": "srt", "rise": 5}])
names = st.text(alphabet="abcXYZ019 ._-&()äß漢", min_size=1, max_size=20)


seen = Counter()


@st.composite
def services_of_a_fleet(draw):
    out = []
    for index in range(draw(st.integers(1, 4))):
        scheduler = draw(st.sampled_from(["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "sed", "nq", "fo", "ovf"]))
        protocol = draw(st.sampled_from(["tcp", "udp", "sctp"]))
        one = {
            "name": "%d%s" % (index, draw(names)), "addresses": draw(st.sampled_from([[VIP], [VIP6], [VIP, VIP6], ["192.0.2.101", VIP]])),
            "ports": [1000 * (index + 1) + draw(st.integers(0, 999))], "protocol": protocol, "scheduler": scheduler,
            "mode": draw(st.sampled_from(["dr", "nat", "snat", "tunnel"])),
            "state": draw(st.sampled_from(["present", "present", "absent"])),
            "health_check": draw(udp_checks if protocol == "udp" else checks if protocol == "tcp" else st.none()),
            "persistence": draw(st.sampled_from([None, 300, {"timeout": 60, "netmask": "255.255.255.0"}])),
        }  # fmt: skip
        if one["mode"] == "tunnel":
            one["tunnel"] = draw(st.sampled_from([None, {"type": "gue", "port": 6080}, {"type": "gre", "checksum": "csum"}]))
        kind = draw(st.sampled_from(["one port", "one port", "mark", "several ports"]))
        if kind == "mark" and one["mode"] not in ("nat", "snat"):
            one.update(ports=GONE, firewall_mark=index + 1, protocol=GONE, health_check=None)
        elif kind == "several ports":
            first = one["ports"][0]
            one.update(ports=[first, "%d-%d/udp" % (first + 1, first + 9)], protocol=GONE, scheduler="mh", health_check=None)
            one["checks"] = draw(st.sampled_from([None, [{"type": "rtmp", "port": first}, {**STREAM, "port": first}]]))
        elif one["mode"] in ("nat", "snat"):
            one["real_server_port"] = draw(st.sampled_from([None, 8080]))
        if one["mode"] in ("nat", "snat") and one["health_check"]:
            one["health_check"] = {**one["health_check"], "target": "server"}
        if one["health_check"] and draw(st.booleans()):
            one["sorry_server"] = "spare"
        out.append(service(**{name: value for name, value in one.items() if value is not None}))
    if draw(st.booleans()):
        address = draw(st.sampled_from([[VIP], [VIP6], [VIP, VIP6]]))
        out.append(service(name="proxies", mode="proxy", proxies="directors", addresses=address, ports=[9443]))
    return out


leavings = st.lists(
    st.builds(
        lambda address, weight, active: {
            "address": address, "forward": "dr", "weight": weight, "active": active, "inactive": 0, "persistent": 0,
        },
        st.sampled_from(["192.0.2.31", "192.0.2.32", "192.0.2.33"]), st.sampled_from([0, 10]), st.integers(0, 3),
    ),
    max_size=3, unique_by=lambda one: one["address"],
)  # fmt: skip
directors = st.fixed_dictionaries(
    {},
    optional={
        "director_priority": st.integers(1, 254), "director_virtual_router_id": st.integers(1, 255),
        "director_advertisement_interval": st.sampled_from([0.01, 0.3, 1, 2.5, 40]), "director_preempt": st.booleans(),
        "director_unicast": st.booleans(), "director_timeouts": st.just({"tcp": 3600, "udp": 60}),
    },
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    declared=services_of_a_fleet(), leaving=leavings, director=directors, drained=st.booleans(),
    weights=st.lists(st.sampled_from([0, 10, 2147483647]), min_size=2, max_size=2),
)  # fmt: skip
def test_any_inventory(release, declared, leaving, director, weights, drained):
    made = inventory(with_facts=True, hosts={
        "director1": {**director, "preflight_allow_drained": True}, "director2": director,
        "spare": {"ansible_host": "192.0.2.33", "real_server_address6": "2001:db8::33", "facts": facts(33)},
        "server1": {"real_server_weight": weights[0], **({"real_server_state": "drained"} if drained else {})},
        "server2": {"real_server_weight": weights[1]},
    })  # fmt: skip
    address = next((item["addresses"][0] for item in declared if ":" not in item["addresses"][0]), VIP)
    held = [{"address": address, "protocol": "tcp", "port": 9, "scheduler": "mh", "scheduler_flags": ["mh-port"], "destinations": leaving}]
    made["hosts"]["director1"]["facts"] = {**facts(11), "ipvs": held}
    if preflight.preflight(declared, made):
        seen["refused"] += 1
        return
    services = resolve.resolve(declared, made)
    seen["rendered"] += 1
    taken(release, services, made)


def test_many_inventories_were_rendered():
    """The test before this one is worth what gets through preflight: half of what is drawn at random, more or less."""
    assert 3 * seen["rendered"] > seen["refused"], seen


def test_what_a_tunnel_ends_in(release):
    """The guard and the clamp of a real server."""
    ends = [{"address": "192.0.2.21"}, {"type": "gue", "address": "2001:db8::21", "port": 6080}, {"type": "gre", "address": "192.0.2.21"}]
    found = tunnels.read_endpoints(ends, ["192.0.2.11", "2001:db8::11"], [VIP, VIP6])
    for sources in (found[1], []):
        text = tunnels.rules(found[0], sources, found[2], {"192.0.2.21": 1500, "2001:db8::21": 1500})
        assert judged(release, "nft", text) is None, text


@pytest.mark.parametrize("weight", [0, 10])
def test_all_servers_at_weight_0(release, weight):
    """A valid state, which keepalived has words for: all drained, or all leaving."""
    hosts = {name: {"real_server_weight": weight, "real_server_state": "drained"} for name in ("server1", "server2")}
    made = inventory(with_facts=True, hosts=hosts)
    taken(release, resolve.resolve([service(), service(name="b", ports=[81], health_check={})], made), made)


def test_a_script_with_a_user_of_its_own(release):
    """2.2.7 ends its own process group when all is said."""
    made = inventory(with_facts=True)
    taken(release, resolve.resolve([service(health_check={"type": "script", "path": "/bin/true", "user": "nobody"})], made), made)


def test_folders_that_are_not_there(release):
    """From 2.3 on keepalived refuses a file whose track files it can't watch; so folders are made before it is asked."""
    made = inventory(with_facts=True)
    conf = keepalived.render(resolve.resolve([service(health_check=STREAM)], made), "director1", made)
    wrong = judged(release, "keepalived", conf.replace("/run/lvsdr/", "/run/nowhere/"))
    assert (wrong is not None) is (release.name == "trixie")


def test_an_ipv6_pair(release):
    hosts = {name: {"ansible_host": name + ".example.com"} for name in ("director1", "director2", "server1", "server2")}
    made = inventory(with_facts=True, hosts=hosts)
    services = resolve.resolve([service(addresses=[VIP6], health_check=STREAM)], made)
    assert "fe80::7672:7270:33/128 dev lo no_track" in keepalived.render(services, "director1", made)
    taken(release, services, made)


# --- the longest values, and odd ones ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "check"),
    [
        ("dr", {"type": "http", "path": "/" + "x" * (LONGEST_WORD - 1), "host": ".".join(["y" * 63] * 3) + ":65535"}),
        ("dr", {"type": "http", "match": "z" * LONGEST_WORD}),
        ("dr", {"type": "http", "match": "漢" * (LONGEST_WORD // 3)}),
        ("dr", {"type": "udp", "port": 5000, "payload": "ff" * (LONGEST_HEX - 1) + "00", "reply": "00" * LONGEST_HEX}),
        ("nat", {"type": "script", "path": "/" + "a" * 299, "arguments": ["b" * 199]}),
        ("dr", {"type": "dns", "port": 53, "query": ".".join(["n" * 63] * 3)}),
        ("dr", {"type": "dns", "port": 53, "query": "_sip._tcp.example.com."}),
        ("dr", {"type": "dns", "port": 53, "query": "."}),
    ],
)
def test_the_longest_values(release, mode, check):
    """A line of keepalived.conf has 1023 bytes, and what is behind them is read as configuration."""
    made = inventory(with_facts=True)
    declared = service(name="漢" * 33, mode=mode, addresses=[VIP6] if mode == "dr" else [VIP], health_check=check)
    assert preflight.preflight([declared], made) == []
    conf, rule = files(resolve.resolve([declared], made), made)
    assert max(len(line.encode()) for line in conf.splitlines()) < 1024
    wrong = judged(release, "keepalived", conf)
    assert wrong is None or all("is not executable" in line or "Unable to" in line or "misc_path" in line for line in wrong), wrong
    assert judged(release, "nft", rule) is None


def test_a_longer_line_is_read_as_configuration(release):
    """The reason for these limits: this test fails when keepalived learns better."""
    made = inventory(with_facts=True)
    conf, _rule = files(resolve.resolve([service()], made), made)
    long = conf.replace("# live", "# " + "x" * 1021 + "net_namespace evil")
    assert judged(release, "keepalived", long) is None or "net_namespace" in str(judged(release, "keepalived", long))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.one_of(
        st.text(alphabet="ab01.*+?|()[]^-:=<>P,& _ä", min_size=1, max_size=30),
        st.lists(
            st.sampled_from(["(?<n>", "(?P<m>", "(?=", "(?!", "(?:", "(?i)", "(", ")", "[^b]", "a", ".", "*", "+?", "|", "(?P=m)"]),
            min_size=1, max_size=8,
        ).map("".join),
    )
)  # fmt: skip
def test_an_expression_is_one_of_pcre(release, match):
    """`keepalived -t` says nothing of a wrong one, and 2.3.3 ends at it with a segmentation fault. grep -P is PCRE2, too."""
    problems = Problems()
    reader = Reader(problems, "x", {"type": "http", "match": match})
    found = read_match(reader)
    if not problems.found:
        status, said = release.run("grep", "-P", "-e", found, stdin="x")
        assert status in (0, 1), (found, said)
