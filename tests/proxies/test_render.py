"""What is rendered is judged by HAProxy itself, and any change of servers leads to the declared state, where nothing is left to do."""

import random

import pytest
from ansible.module_utils.lvsdr.proxies import haproxy
from conftest import certificate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CHECKS = (
    None, {"type": "hls", "path": "/live.m3u8"}, {"type": "http", "path": "/healthz", "floor": 0.5, "slow_start": 30}, {"type": "tcp"},
    {"type": "dash", "path": "/live.mpd", "host": "a.example.com", "interval": 3}, {"type": "rtmp"}, {"type": "rtsp", "path": "/live"},
    {"type": "tcp", "agent": {"port": 3333}},
)  # fmt: skip
BALANCE = ("roundrobin", "leastconn", "source", "uri", "random")
names = st.text(alphabet="abcXYZ019_.-", min_size=1, max_size=20)
services = st.fixed_dictionaries(
    {
        "name": names, "health_check": st.sampled_from(CHECKS), "balance": st.sampled_from(BALANCE),
        "application": st.sampled_from(["http", "tcp"]), "proxy_protocol": st.booleans(),
        "sticky": st.sampled_from([None, {"cookie": "LVSDR"}, {"source": 30}]), "sorry_server": st.sampled_from([None, "sorry"]),
        "tls": st.sampled_from([None, {}, {"least": "1.3", "http2": False}]), "real_server_port": st.sampled_from([None, 8080]),
        "addresses": st.sampled_from([["127.0.0.1"], ["127.0.0.1", "::1"], ["::1"]]),
        "checks": st.sampled_from([None, None, [{"type": "rtmp", "port": 1935}, {"type": "hls", "path": "/live.m3u8"}]]),
        "redirected": st.booleans(),
    }
)  # fmt: skip
weights = st.lists(st.integers(0, 256), min_size=3, max_size=3)


@pytest.fixture
def pem(proxy):
    return [str(certificate(proxy.folder)[0]), str(certificate(proxy.folder, "b.example.com", file="b.pem")[0])]


def declare(proxy, one, pem):
    one = dict(one)
    plain = {"name": "plain", "mode": "proxy", "proxies": "edges", "addresses": one["addresses"], "ports": [81], "redirect": proxy.port}
    proxy.beside = [plain] if one.pop("redirected") and one["tls"] is not None else []
    if one["tls"] is not None:
        one["tls"] = {"certificates": pem, **one["tls"]}
    if one["checks"]:
        one["health_check"] = None
    if one["sorry_server"] and not (one["health_check"] or one["checks"]) or (one["health_check"] or {}).get("floor"):
        one["sorry_server"] = None
    if one["application"] == "tcp" and "cookie" in (one["sticky"] or {}):
        one["sticky"] = None
    if one["proxy_protocol"]:
        one.update(health_check=None, checks=None, sorry_server=None)
    if one["application"] == "tcp" and one["balance"] == "uri":
        one["balance"] = "source"
    proxy.service = {**proxy.service, **one}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(one=services, weight=weights, drained=st.booleans(), ipv6=st.booleans())
def test_any_service_is_accepted(proxy, pem, one, weight, drained, ipv6):
    if {"slow_start", "agent"} & (one["health_check"] or {}).keys():
        weight = [w and max(10, w) for w in weight]  # a share of less is nothing, or all of it
    proxy.hosts = {"origin%d" % n: {"ansible_host": "127.0.1.%d" % n, "real_server_weight": w} for n, w in zip((1, 2, 3), weight)}
    proxy.hosts["sorry"] = {"ansible_host": "127.0.1.8"}
    if drained:
        proxy.hosts["origin1"]["real_server_state"] = "drained"
    if ipv6:
        proxy.hosts["origin2"]["ansible_host"] = "2001:db8::2"
    declare(proxy, one, pem)
    accepted, said = proxy.accepts(proxy.text())
    assert accepted, said
    # Debian 12's says that a file is valid.
    assert not [line for line in said.splitlines() if "WARNING" in line or "ALERT" in line], said


def test_any_change_of_servers_leads_to_what_is_declared(proxy):
    chance = random.Random(20)
    pool = {"origin%d" % n: {"ansible_host": "127.0.1.%d" % n, "real_server_weight": 10} for n in range(1, 9)}
    proxy.hosts, proxy.members = pool, ["origin1"]
    proxy.start()
    process, done = proxy.info("Pid"), 0
    for _step in range(60):
        proxy.members = sorted(chance.sample(sorted(pool), chance.randint(1, 8)))
        for name in chance.sample(sorted(pool), 2):
            pool[name]["real_server_weight"] = chance.randint(0, 256)
            pool[name]["ansible_host"] = "127.0.1.%d" % chance.randint(1, 200)
        planned, found = proxy.bring(check=True), proxy.bring()
        assert planned["operations"] == found["operations"] and planned["diff"] == found["diff"]
        done += len(found["operations"])
        want = {name: (pool[name]["ansible_host"], proxy.origin_port, pool[name]["real_server_weight"]) for name in proxy.members}
        assert {name: (one.address, one.port, one.weight) for name, one in proxy.servers().items()} == want
        assert not proxy.bring()["changed"]
    assert done > 100 and proxy.info("Pid") == process


def test_servers_are_read_back_as_they_were_rendered(proxy):
    proxy.service["health_check"] = {"type": "hls", "path": "/live.m3u8"}
    text = proxy.text()
    assert set(haproxy.servers_in(text)["live"]) == set(proxy.members)
    assert not [line for line in haproxy.skeleton(text) if line.startswith("    server ")]
