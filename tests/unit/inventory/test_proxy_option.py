"""mode: proxy becomes a direct-routing service to the proxies, and what HAProxy does on each of them."""

import json

import pytest
from ansible.module_utils.lvsdr.errors import LvsError, Problems
from ansible.module_utils.lvsdr.fleet import modes
from ansible.module_utils.lvsdr.inventory import needs, proxy_option, resolve, types
from ansible.module_utils.lvsdr.proxies import haproxy
from hypothesis import given
from hypothesis import strategies as st
from said import path_and_id

from inventories import GONE, VIP, anything, changed, inventory

HLS = {"type": "hls", "path": "/live.m3u8", "host": "live.example.com"}
PEM = "/etc/ssl/private/live.pem"
GROUPS = {"edges": ["edge1", "edge2"], "origins": ["origin1", "origin2"], "directors": ["director1"], "web": GONE}
HOSTS = {
    "edge1": {"ansible_host": "192.0.2.31"}, "edge2": {"ansible_host": "192.0.2.32"}, "origin1": {"ansible_host": "198.51.100.1"},
    "origin2": {"ansible_host": "198.51.100.2", "real_server_weight": 20}, "sorry": {"ansible_host": "198.51.100.9"},
}  # fmt: skip


def proxied(**changes):
    usual = {
        "name": "live", "mode": "proxy", "proxies": "edges", "addresses": [VIP], "ports": [443], "real_servers": "origins",
        "tls": {"certificates": [PEM]}, "health_check": HLS,
    }  # fmt: skip
    return changed(usual, changes)


def resolved(hosts=None, **changes):
    return resolve.resolve([proxied(**changes)], inventory({**HOSTS, **(hosts or {})}, GROUPS))


def test_viewers_reach_the_proxies_by_a_service_like_any_other():
    found = resolved(scheduler="mh", persistence=60)
    (service,) = found.services
    assert (service.mode, service.hosts, service.options["scheduler"]) == ("dr", ("edge1", "edge2"), "mh")
    assert service.options["persistence"]["timeout"] == 60
    # What a viewer would ask, of the proxy; the real servers are asked by the proxy itself.
    check = service.health_check
    assert (check["type"], check["tls"], check["host"], check["target"]) == ("hls", True, "live.example.com", "vip")
    assert {path.host for path in found.checks} == {"edge1", "edge2"}


def test_a_proxy_asks_the_real_servers():
    (proxy,) = resolved(hosts={"origin1": {"ansible_host": "198.51.100.1", "real_server_state": "drained"}}, sorry_server="sorry").proxies
    assert proxy.hosts == ("edge1", "edge2") and proxy.vips == (VIP,) and proxy.port == 443
    assert [(one.host, one.address, one.port, one.weight, one.drained, one.fallback) for one in proxy.servers] == [
        ("origin1", "198.51.100.1", 80, 1, True, False), ("origin2", "198.51.100.2", 80, 20, False, False),
        ("sorry", "198.51.100.9", 80, 1, False, True),
    ]  # fmt: skip
    assert proxy.checks[0]["target"] == "server" and not proxy.checks[0].get("tls")
    assert types.from_data(json.loads(json.dumps(types.to_data(resolved())))) == resolved()


@pytest.mark.parametrize(
    "check, tls, wanted",
    [
        (None, True, "tcp"), (HLS, False, "hls"), ({"type": "http", "path": "/"}, True, "https"), ({"type": "tcp"}, True, "tcp"),
        ({"type": "http", "path": "/healthz", "port": 8081}, True, "tcp"),
    ],
)  # fmt: skip
def test_what_is_asked_of_a_proxy(check, tls, wanted):
    front = resolved(health_check=check, tls={"certificates": [PEM]} if tls else GONE, ports=[443 if tls else 80]).services[0]
    assert front.health_check["type"] == wanted


@pytest.mark.parametrize(
    "check, tls, wanted",
    [
        # Real servers end TLS themselves.
        ({"type": "https", "path": "/"}, False, ("https", None)), ({**HLS, "tls": True}, False, ("hls", True)),
        ({"type": "rtsps", "path": "/a"}, False, ("rtsps", None)), ({"type": "rtmp"}, False, ("rtmp", None)),
        ({"type": "rtmp"}, True, ("rtmps", None)), ({"type": "rtsp", "path": "/a", "login_file": "/etc/a"}, False, ("tcp", None)),
    ],
)  # fmt: skip
def test_what_is_asked_of_a_proxy_of_tcp(check, tls, wanted):
    found = resolved(health_check=check, tls={"certificates": [PEM]} if tls else GONE, ports=[1935], application="tcp")
    asked = found.services[0].health_check
    assert (asked["type"], asked.get("tls")) == wanted


def test_of_several_checks_the_first_that_fits_is_asked():
    several = [{"type": "rtmp", "port": 1935}, HLS]
    assert resolved(health_check=GONE, checks=several).services[0].health_check["type"] == "hls"
    assert resolved(health_check=GONE, checks=several[:1]).services[0].health_check["type"] == "tcp"


def test_one_that_is_absent_stays_until_no_director_has_it():
    found = resolved(state="absent")
    assert [one.absent for one in found.proxies] == [True] and found.proxies[0].servers
    made = inventory(HOSTS, GROUPS)
    made["hosts"]["director1"]["facts"] = {"ipvs": [{
        "address": VIP, "protocol": "tcp", "port": 443, "scheduler": "wlc", "destinations": [
            {"address": "192.0.2.31", "forward": "dr", "weight": 1, "active": 0, "inactive": 0, "persistent": 0}]}]}  # fmt: skip
    (proxy,) = resolve.resolve([proxied(state="absent")], made).proxies
    assert not proxy.absent and [server.host for server in proxy.servers] == ["origin1", "origin2"]
    gone = {**GROUPS, "origins": GONE}
    assert resolve.resolve([proxied(state="absent")], inventory(HOSTS, gone)).proxies[0].servers == ()


def test_a_certificate_of_the_controller():
    item = {"controller": "certificates/live.pem"}
    found = resolved(tls={"certificates": [item]})
    (there,) = found.proxies[0].tls["certificates"]
    assert there.startswith("/etc/haproxy/lvsdr/") and there.endswith("-live.pem")
    declared = [proxied(tls={"certificates": [item]}, stream="https://live.example.com/a", health_check=GONE)]
    assert needs.certificates_here(declared) == {"certificates/live.pem": ["live.example.com"]}
    assert needs.files_needed([], False, {}, declared) == [] and needs.certificates_here([proxied()]) == {}
    assert needs.certificates_here([proxied(tls={"certificates": [item]}, state="absent"), 5]) == {}
    assert needs.certificates_brought(declared) == {there: "certificates/live.pem"}
    other = needs.certificates_brought([proxied(tls={"certificates": [{"controller": "other/live.pem"}]})])
    assert set(other) != {there}, "files of the same name in two folders"


def test_http_3_is_the_same_port_of_udp():
    found = resolved(tls={"certificates": [PEM], "http3": True}, scheduler="mh")
    (service,) = found.services
    assert [tuple(one) for one in service.ports] == [("tcp", 443, 443), ("udp", 443, 443)] and service.health_check["port"] == 443
    assert found.proxies[0].tls["http3"] and found.proxies[0].port == 443
    made = inventory(HOSTS, GROUPS)
    for host, version in (("edge1", "12"), ("edge2", "13")):
        made["hosts"][host]["facts"] = {"release": {"id": "debian", "version": version}, "interfaces": []}
    problems = Problems()
    modes.check_proxies(found.proxies, made, problems)
    assert [path_and_id(line) for line in problems.found] == [("virtual_services[live].tls.http3", "http3-needs-debian-13")]
    modes.check_proxies(resolved().proxies, made, problems)
    assert len(problems.found) == 1


@pytest.mark.parametrize(
    "variables, refused",
    [
        ({"streaming_server_kind": "edge"}, []),
        ({"streaming_server_kind": "edge", "streaming_server_tls_listen": [443]}, ["tls_listen"]),
        ({"streaming_server_kind": "edge", "streaming_server_tls_listen": [VIP + ":443"]}, ["tls_listen"]),
        ({"streaming_server_kind": "edge", "streaming_server_listen": [80, "*:443"]}, ["listen"]),
        ({"streaming_server_kind": "origin", "streaming_server_rtmp_listen": 443}, ["rtmp_listen"]),
        # nginx's [::] is of IPv6 alone.
        ({"streaming_server_kind": "edge", "streaming_server_tls_listen": ["[::]:443", "192.0.2.31:443"]}, []),
        ({"streaming_server_kind": "edge", "streaming_server_listen": 443}, []),
        ({"streaming_server_tls_listen": [443]}, []),
    ],
)
def test_an_nginx_of_lvsdr_leaves_haproxy_its_port(variables, refused):
    made = inventory({**HOSTS, "edge1": {**HOSTS["edge1"], **variables}}, GROUPS)
    problems = Problems()
    modes.check_proxies(resolved().proxies, made, problems)
    assert [path_and_id(line) for line in problems.found] == [
        ("hosts[edge1].streaming_server_" + name, "proxy-port-of-nginx") for name in refused
    ]


def test_no_nginx_of_lvsdr_is_on_directors():
    made = inventory({**HOSTS, "director1": {"streaming_server_kind": "edge", "streaming_server_tls_listen": [443]}}, GROUPS)
    problems = Problems()
    modes.check_proxies(resolved(proxies="directors").proxies, made, problems)
    assert problems.found == []


def test_proxies_on_directors_are_vips_and_nothing_for_ipvs():
    found = resolved(proxies="directors", stream="https://live.example.com/live.m3u8")
    (service,) = found.services
    assert (service.mode, service.servers, service.vips, service.balanced) == ("proxy", (), (VIP,), False)
    assert found.checks == () and [table["state"] for table in found.tables()] == ["absent"]
    (proxy,) = found.proxies
    assert proxy.hosts == ("director1",) and [one.host for one in proxy.servers] == ["origin1", "origin2"]
    assert types.from_data(json.loads(json.dumps(types.to_data(found)))) == found
    groups = inventory(HOSTS, GROUPS)["groups"]
    assert needs.group_members([proxied(proxies="directors")], groups) == []
    assert list(needs.proxies([proxied(proxies="directors")], groups)) == ["director1"]
    # Both on one VIP, and a port twice.
    other = {"name": "rtmp", "addresses": [VIP], "ports": [1935], "real_servers": "edges"}
    both = resolve.resolve([proxied(proxies="directors"), other], inventory(HOSTS, GROUPS))
    assert [one.balanced for one in both.services] == [False, True]
    with pytest.raises(LvsError) as caught:
        resolve.resolve([proxied(proxies="directors"), {**other, "ports": [443]}], inventory(HOSTS, GROUPS))
    assert "declared-twice" in [path_and_id(line)[1] for line in caught.value.details["problems"]]


@pytest.mark.parametrize(
    "check, wanted",
    [
        ({**HLS, "tls": True, "verify": "/etc/ssl/ca.pem"}, ("hls", None)), ({"type": "https", "path": "/"}, ("http", None)),
        ({**HLS, "tls": True, "port": 8443}, ("hls", True)), ({"type": "https", "path": "/", "port": 8443}, ("https", None)),
    ],
)  # fmt: skip
def test_real_servers_are_asked_as_haproxy_asks_them(check, wanted):
    """A service of direct routing with TLS on its servers becomes one whose TLS ends at the proxies, with the same check."""
    asked = resolved(health_check=check).proxies[0].checks[0]
    assert (asked["type"], asked.get("tls") or None) == wanted
    assert resolved(health_check={**HLS, "tls": True}).services[0].health_check["tls"] is True


def test_what_waf_says_has_its_defaults():
    assert resolved(waf={}).proxies[0].waf == {"mode": "detect", "paranoia": 1, "allow": [], "exclude": [], "fail": "open"}
    waf = {"mode": "block", "allow": ["whep", "ingest"], "exclude": [{"rule": "942100", "target": "ARGS:q"}], "fail": "closed"}
    found = resolved(waf=waf).proxies[0].waf
    assert found["allow"] == ["ingest", "whep"] and found["exclude"] == [{"rule": 942100, "path": "/", "target": "ARGS:q"}]


def test_what_hosts_need():
    groups = inventory(HOSTS, GROUPS)["groups"]
    assert needs.group_members([proxied()], groups) == ["edge1", "edge2"]
    assert list(needs.proxies([proxied(), {"name": "x"}, 5], groups)) == ["edge1", "edge2"]
    with_ca = [proxied(health_check={**HLS, "tls": True, "verify": "/etc/ssl/ca.pem", "port": 8443})]
    assert needs.files_needed(with_ca, False, {}, with_ca) == [
        {"path": PEM, "readers": "root", "names": []}, {"path": "/etc/ssl/ca.pem", "readers": "all"}
    ]  # fmt: skip
    # HAProxy ends TLS, and nobody asks a real server for it.
    ends = [proxied(health_check={**HLS, "tls": True, "verify": "/etc/ssl/ca.pem"})]
    assert needs.files_needed(ends, False, {}, ends) == [{"path": PEM, "readers": "root", "names": []}]
    named = [proxied(stream={"url": "https://live.example.com:443/a.m3u8"}, health_check=GONE), proxied(stream="https://[2001:db8::1]/a")]
    assert needs.files_needed([], False, {}, named) == [{"path": PEM, "readers": "root", "names": ["live.example.com"]}]
    several = [proxied(stream="https://live.example.com/a", tls={"certificates": [PEM, "/b.pem"]}, health_check=GONE)]
    assert [one["names"] for one in needs.files_needed([], False, {}, several)] == [[], []]
    assert needs.files_needed(with_ca, True, {}) == [], "a director does not ask the real servers"
    assert needs.files_needed(ends, True, {}) == [{"path": "/etc/ssl/ca.pem", "readers": "all"}], "but the proxies, as viewers do"
    assert needs.files_needed([], False, {}, [proxied(state="absent", health_check=GONE)]) == []


def test_directors_look_at_the_certificate_of_proxies_as_they_would_at_real_servers():
    found = resolved(health_check={**HLS, "tls": True, "verify": "/etc/ssl/ca.pem", "certificate_days": 40})
    (check,) = found.services[0].checks
    assert check["tls"] and (check["verify"], check["certificate_days"]) == ("/etc/ssl/ca.pem", 40)
    (asked,) = found.proxies[0].checks
    assert not asked.get("tls") and not asked.get("verify")


def test_one_that_is_absent_says_nothing_about_its_real_servers():
    """It serves its last viewers with those that can be asked."""
    wrong = {"origin1": {"ansible_host": "origin1.example.com"}, "origin2": {"ansible_host": "198.51.100.2", "real_server_state": "spare"}}
    assert resolved(hosts=wrong, state="absent", health_check=None).proxies[0].absent
    assert resolved(real_servers="edges", state="absent").proxies[0].absent


def test_an_absent_one_goes_though_a_service_of_udp_has_its_port():
    udp = {"address": VIP, "port": 443, "protocol": "udp", "destinations": []}
    for held, leaves in (([udp], True), ([{**udp, "protocol": "tcp"}], False)):
        directors = {"director1": {"facts": {"ipvs": held}}}
        assert resolved(hosts=directors, state="absent").proxies[0].absent is leaves


PLAIN = {"name": "plain", "mode": "proxy", "proxies": "edges", "addresses": [VIP], "ports": [80], "redirect": 443}


def redirected(*others, hosts=None, **changes):
    return resolve.resolve([changed(PLAIN, changes), *others], inventory({**HOSTS, **(hosts or {})}, GROUPS))


@pytest.mark.parametrize("group, mode", [("edges", "dr"), ("directors", "proxy")])
def test_a_redirect_is_a_service_without_real_servers(group, mode):
    found = redirected(proxied(proxies=group), proxies=group)
    service, proxy = found.services[0], found.proxies[0]
    assert (service.mode, service.name, service.viewer_ports()) == (mode, "plain", (("tcp", 80, 80),))
    assert (proxy.redirect, proxy.port, proxy.servers, proxy.tls, proxy.checks) == (443, 80, (), None, ())
    assert types.from_data(json.loads(json.dumps(types.to_data(found)))) == found
    text = haproxy.render(found, GROUPS[group][0])
    assert "backend plain" not in text and "frontend plain from lvsdr" in text


def test_a_redirect_leads_to_any_service_of_the_vip():
    direct = {"name": "direct", "mode": "dr", "addresses": [VIP], "ports": ["443/tcp", "443/udp"], "real_servers": "origins"}
    assert redirected(direct).proxies[0].redirect == 443
    plain = {"mode": "proxy", "proxies": "edges", "addresses": [VIP], "ports": [443]}
    for wrong in (
        [{**plain, "name": "without", "real_servers": "origins"}], [{**plain, "name": "again", "redirect": 80}], [],
        [proxied(state="absent")], [proxied(ports=[444])], [proxied(addresses=["198.51.100.7"])],
    ):  # fmt: skip
        with pytest.raises(LvsError) as caught:
            redirected(*wrong)
        assert ("virtual_services[plain].redirect", "redirect-leads-nowhere") in map(path_and_id, caught.value.details["problems"])
    marked = {"name": "marked", "mode": "dr", "addresses": [VIP], "firewall_mark": 7, "real_servers": "origins"}
    assert redirected(marked).proxies[0].redirect == 443
    assert redirected(state="absent").proxies[0].absent


@pytest.mark.parametrize(
    "changes, path, wanted",
    [
        ({"real_servers": "origins"}, ".real_servers", "option-of-redirect"),
        ({"tls": {"certificates": [PEM]}}, ".tls", "option-of-redirect"),
        ({"waf": {}}, ".waf", "option-of-redirect"),
        ({"stream": "/live.m3u8"}, ".stream", "option-of-redirect"),
        ({"health_check": HLS}, ".health_check", "option-of-redirect"),
        ({"application": "tcp"}, ".application", "option-of-redirect"),
        ({"redirect": "https"}, ".redirect", "not-a-whole-number"),
        ({"redirect": 0}, ".redirect", "out-of-range"),
        ({"redirect": 80}, ".redirect", "redirect-leads-nowhere"),
        ({"ports": [80, 81], "scheduler": "mh"}, ".ports", "proxy-needs-one-port"),
        ({"proxies": "directors", "scheduler": "mh"}, ".scheduler", "needs-two-tiers"),
        ({"proxies": GONE}, ".proxies", "real-servers-not-a-group"),
        ({"ports": [443]}, "", "declared-twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_redirect_is_said(changes, path, wanted):
    with pytest.raises(LvsError) as caught:
        redirected(proxied(), **changes)
    found = [path_and_id(line) for line in caught.value.details["problems"]]
    assert ("virtual_services[plain]" + path, wanted) in found or ("virtual_services[live]" + path, wanted) in found, found


BAD = {
    "no proxies": ({"proxies": GONE}, ".proxies", "real-servers-not-a-group"),
    "proxies of no group": ({"proxies": "nobody"}, ".proxies", "real-servers-group-unknown"),
    "its own origin": ({"real_servers": "edges"}, ".proxies", "proxy-is-its-own-origin"),
    "a scheduler for nothing": ({"proxies": "directors", "scheduler": "mh"}, ".scheduler", "needs-two-tiers"),
    "HTTP/3 on directors": (
        {"proxies": "directors", "tls": {"certificates": [PEM], "http3": True}},
        ".tls.http3",
        "needs-two-tiers",
    ),
    "a director that asks itself": ({"proxies": "directors", "real_servers": "directors"}, ".proxies", "proxy-is-its-own-origin"),
    "a WAF of TCP": ({"waf": {}, "application": "tcp"}, ".waf", "needs-http"),
    "a WAF and PROXY protocol": ({"waf": {}, "proxy_protocol": True, "health_check": GONE}, ".waf", "waf-hides-viewers"),
    "a WAF that is a word": ({"waf": True}, ".waf", "not-a-dictionary-like"),
    "another mode of the WAF": ({"waf": {"mode": "on"}}, ".waf.mode", "unknown-value"),
    "too much paranoia": ({"waf": {"paranoia": 5}}, ".waf.paranoia", "out-of-range"),
    "another word of the WAF": ({"waf": {"allow": ["rtmp"]}}, ".waf.allow[0]", "unknown-value"),
    "another way to fail": ({"waf": {"fail": "safe"}}, ".waf.fail", "unknown-value"),
    "an unknown option of the WAF": ({"waf": {"rules": []}}, ".waf.rules", "unknown-option"),
    "an exclusion that is a number": ({"waf": {"exclude": [942100]}}, ".waf.exclude[0]", "not-a-dictionary-like"),
    "a rule that there is not": ({"waf": {"exclude": [{"rule": 942999}]}}, ".waf.exclude[0].rule", "not-a-waf-rule"),
    "the rule that blocks": ({"waf": {"exclude": [{"rule": 949110}]}}, ".waf.exclude[0].rule", "not-a-waf-rule"),
    "no rule": ({"waf": {"exclude": [{"path": "/a"}]}}, ".waf.exclude[0].rule", "not-a-waf-rule"),
    "a path without a slash": ({"waf": {"exclude": [{"rule": 942100, "path": "live"}]}}, ".waf.exclude[0].path", "not-a-waf-path"),
    "a path with a query": ({"waf": {"exclude": [{"rule": 942100, "path": "/a?b"}]}}, ".waf.exclude[0].path", "not-a-waf-path"),
    "a path that ends a rule": ({"waf": {"exclude": [{"rule": 942100, "path": '/a" "id:1'}]}}, ".waf.exclude[0].path", "not-a-waf-path"),
    "a path with a macro": ({"waf": {"exclude": [{"rule": 942100, "path": "/%{TX.1}"}]}}, ".waf.exclude[0].path", "not-a-waf-path"),
    "a target that there is not": (
        {"waf": {"exclude": [{"rule": 942100, "target": "QUERY:a"}]}},
        ".waf.exclude[0].target",
        "not-a-waf-target",
    ),
    "a target that ModSecurity does not take": (
        {"waf": {"exclude": [{"rule": 942100, "target": "ARGS:a~b"}]}},
        ".waf.exclude[0].target",
        "not-a-waf-target",
    ),
    "a target that ends an action": (
        {"waf": {"exclude": [{"rule": 942100, "target": "ARGS:a,allow"}]}},
        ".waf.exclude[0].target",
        "not-a-waf-target",
    ),
    "two ports": ({"ports": [80, 443], "health_check": GONE}, ".ports", "proxy-needs-one-port"),
    "UDP": ({"protocol": "udp", "health_check": GONE}, ".protocol", "proxy-needs-tcp"),
    "a gateway": ({"nat_gateway": "192.0.2.1"}, ".nat_gateway", "unknown-option"),
    "no certificate": ({"tls": {}}, ".tls.certificates", "certificates-missing"),
    "tls true": ({"tls": True}, ".tls", "not-a-dictionary-like"),
    "a relative certificate": ({"tls": {"certificates": ["live.pem"]}}, ".tls.certificates[0]", "not-a-certificate-path"),
    "a certificate of the controller twice": (
        {"tls": {"certificates": [{"controller": "a/live.pem"}, {"controller": "a/live.pem"}]}},
        ".tls.certificates[1]",
        "listed-twice",
    ),
    "PROXY protocol and checks": ({"proxy_protocol": True}, ".health_check.port", "proxy-protocol-needs-port"),
    "a certificate of nowhere": ({"tls": {"certificates": [{"here": "a"}]}}, ".tls.certificates[0]", "not-a-certificate-path"),
    "a folder": ({"tls": {"certificates": [{"controller": "a/"}]}}, ".tls.certificates[0]", "not-a-certificate-path"),
    "a certificate twice": ({"tls": {"certificates": [PEM, PEM]}}, ".tls.certificates[1]", "listed-twice"),
    "TLS 1.0": ({"tls": {"certificates": [PEM], "least": "1.0"}}, ".tls.least", "unknown-value"),
    "another option of TLS": ({"tls": {"certificates": [PEM], "ciphers": "x"}}, ".tls.ciphers", "unknown-option"),
    "HTTP/3 of TCP": ({"tls": {"certificates": [PEM], "http3": True}, "application": "tcp"}, ".tls.http3", "needs-http"),
    "HTTP/3 that is a word": ({"tls": {"certificates": [PEM], "http3": "yes"}}, ".tls.http3", "not-a-boolean"),
    "too many certificates": (
        {"tls": {"certificates": ["/etc/%d.pem" % n for n in range(29)]}},
        ".tls.certificates",
        "certificates-too-many",
    ),
    "TLS to real servers": ({"real_server_port": 443}, ".real_server_port", "origin-with-tls"),
    "port 443 without TLS": ({"tls": GONE, "health_check": GONE}, ".ports", "origin-with-tls"),
    "a check over TLS of real servers without it": (
        {"tls": GONE, "ports": [8443], "health_check": {"type": "https", "path": "/"}},
        ".health_check",
        "check-of-plain-origin",
    ),
    "one of several": (
        {"tls": GONE, "ports": [8443], "health_check": GONE, "checks": [{**HLS, "tls": True}, {**HLS, "tls": True, "port": 8444}]},
        ".checks[0]",
        "check-of-plain-origin",
    ),
    "a path of a stream over TLS": ({"ports": [8443], "stream": "/a.m3u8"}, ".stream", "stream-of-other-scheme"),
    "a stream without TLS": ({"ports": [8443], "stream": "http://a.example.com:8443/a"}, ".stream", "stream-of-other-scheme"),
    "a stream with it": (
        {"tls": GONE, "ports": [8080], "stream": {"url": "https://a.example.com:8080/a"}},
        ".stream",
        "stream-of-other-scheme",
    ),
    "another balance": ({"balance": "wlc"}, ".balance", "unknown-value"),
    "uri of TCP": ({"balance": "uri", "application": "tcp"}, ".balance", "needs-http"),
    "a cookie of TCP": ({"sticky": {"cookie": "A"}, "application": "tcp"}, ".sticky.cookie", "needs-http"),
    "a cookie with a space": ({"sticky": {"cookie": "A B"}}, ".sticky.cookie", "not-a-cookie"),
    "two ways to stick": ({"sticky": {"cookie": "A", "source": 1}}, ".sticky", "not-a-dictionary-like"),
    "a script": ({"health_check": {"type": "script", "path": "/bin/true"}}, ".health_check.type", "check-not-of-proxies"),
    "a name with a space": ({"name": "live tv"}, ".name", "not-a-proxy-name"),
    "a name of ours": ({"name": "lvsdr-metrics"}, ".name", "not-a-proxy-name"),
    "another application": ({"application": "rtmp"}, ".application", "unknown-value"),
}


@pytest.mark.parametrize("changes, path, wanted", BAD.values(), ids=BAD)
def test_what_is_wrong_is_said(changes, path, wanted):
    with pytest.raises(LvsError) as caught:
        resolved(**changes)
    found = [path_and_id(line) for line in caught.value.details["problems"]]
    name = proxied(**changes)["name"]
    assert ("virtual_services[%s]%s" % (name, path), wanted) in found, found


HOSTS_THAT_ARE_WRONG = {
    "TLS to one of them": (
        {"ansible_host": "198.51.100.1", "real_server_port": 443},
        "hosts[origin1].real_server_port",
        "origin-with-tls",
    ),
    "a weight that HAProxy has not": ({"real_server_weight": 300}, "hosts[origin1].real_server_weight", "weight-of-proxy"),
    "no address": ({"ansible_host": "origin1.example.com"}, "hosts[origin1]", "origin-without-address"),
}


@pytest.mark.parametrize("changes, path, wanted", HOSTS_THAT_ARE_WRONG.values(), ids=HOSTS_THAT_ARE_WRONG)
def test_what_is_wrong_with_a_host_is_said(changes, path, wanted):
    with pytest.raises(LvsError) as caught:
        resolved(hosts={"origin1": {"ansible_host": "198.51.100.1", **changes}})
    assert [path_and_id(line) for line in caught.value.details["problems"]] == [(path, wanted)]


def test_a_spare_needs_a_check_that_has_its_weight():
    hosts = {"origin1": {"ansible_host": "198.51.100.1", "real_server_state": "spare"}}
    (service,) = resolved(hosts=hosts).proxies
    assert [server.spare for server in service.servers][0] is True
    with pytest.raises(LvsError) as caught:
        resolved(hosts=hosts, health_check=None)
    found = [path_and_id(line) for line in caught.value.details["problems"]]
    assert found == [("hosts[origin1].real_server_state", "spare-needs-check")]


@given(st.dictionaries(st.sampled_from((*proxy_option.PROXY_FIELDS, *proxy_option.BACK_FIELDS, *proxy_option.FRONT_FIELDS)), anything))
def test_anything_is_read_or_refused(item):
    made = inventory(HOSTS, GROUPS)
    try:
        resolve.resolve([{**item, "mode": "proxy"}], made)
    except LvsError as error:
        assert error.details["problems"]
    needs.group_members([{**item, "mode": "proxy"}], made["groups"])
    for host, services in needs.proxies([{**item, "mode": "proxy"}], made["groups"]).items():
        needs.files_needed([item], host == "director1", {}, services)
