"""The plan for a running HAProxy, and what lvsdr-streamcheck says to it; tests/proxies has both with HAProxy itself."""

from types import SimpleNamespace

import pytest
from ansible.module_utils.lvsdr.agent import agent_check
from ansible.module_utils.lvsdr.checks import verdicts
from ansible.module_utils.lvsdr.proxies import certificates, haproxy, runtime
from hypothesis import given
from hypothesis import strategies as st

HEAD = """backend live from lvsdr
    mode http
    balance roundrobin
"""
STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_check_state srv_agent_state srv_port
4 live 1 edge1 192.0.2.21 2 0 10 10 6 18 80
4 live 2 edge2 2001:db8::22 2 %d 10 10 6 %d 80
"""
STAT = "# pxname,svname,scur,status,bck\nlive,edge1,3,UP,0\nlive,edge2,%d,UP,0\nlive,BACKEND,3,UP,0\n"


def have(admin=0, agent=18, connections=0):
    return runtime.held(STATE % (admin, agent), STAT % connections)


def file(*servers):
    return HEAD + "".join("    server %s\n" % line for line in servers)


BOTH = ("edge1 192.0.2.21:80 weight 10", "edge2 [2001:db8::22]:80 weight 10")


def commands(text, before, found, description=""):
    plan = runtime.plan(text, before, description, found)
    return [one.words for one in plan.operations], plan.reload, plan.leaving


def test_what_is_held_is_read():
    assert have(connections=4)["live"]["edge2"] == runtime.Server("2001:db8::22", 80, 10, 0, 6, 18, False, 4)
    assert runtime.held("1\n", "# pxname,svname\n") == {}


def test_nothing_differs():
    assert commands(file(*BOTH), file(*BOTH), have()) == ([], [], {})


@pytest.mark.parametrize(
    "admin, agent, connections, wanted",
    [
        (0, 18, 0, ["set server live/edge2 state maint; del server live/edge2  # keeps connections"]),
        (0, 22, 0, ["disable agent live/edge2; set server live/edge2 state maint; del server live/edge2  # keeps connections"]),
        (0, 22, 4, ["disable agent live/edge2; set server live/edge2 state maint  # drains 4 running connections"]),
        # Its agent may have drained it, and could bring it back.
        (8, 22, 4, ["disable agent live/edge2; set server live/edge2 state maint  # drains 4 running connections"]),
        (1, 18, 4, []),
        (1, 18, 0, ["set server live/edge2 state drain; set server live/edge2 state maint; del server live/edge2  # keeps connections"]),
    ],
)
def test_one_that_is_gone_leaves(admin, agent, connections, wanted):
    operations, reload, leaving = commands(file(BOTH[0]), file(*BOTH), have(admin, agent, connections))
    assert (operations, reload, leaving) == (wanted, [], {"live/edge2": connections} if connections else {})


def test_one_that_left_is_taken_back():
    asked = "edge2 [2001:db8::22]:80 weight 100 agent-check agent-port 1"
    assert commands(file(*BOTH), file(*BOTH), have(admin=8))[0] == ["set server live/edge2 state ready  # keeps connections"]
    before = file(BOTH[0], asked)
    taken = ["enable agent live/edge2; set server live/edge2 state ready  # keeps connections"]
    assert commands(before, before, have(admin=8, agent=18))[0] == taken
    assert commands(before, before, have(admin=8, agent=22))[0] == [], "its agent drains it, and brings it back"


def test_an_addition_that_was_interrupted_is_finished():
    checked = file(BOTH[0], "edge2 [2001:db8::22]:80 weight 1 check inter 1s agent-check agent-port 1")
    found = {"live": {**have()["live"], "edge2": runtime.Server("2001:db8::22", 80, 1, 1, 2, 18, False, 0)}}
    wanted = ["enable health live/edge2; enable agent live/edge2; set server live/edge2 state ready  # keeps connections"]
    assert commands(checked, checked, found)[0] == wanted
    with_cookie = file(*BOTH).replace("balance", "cookie A insert dynamic\n    balance")
    added = with_cookie + "    server edge3 192.0.2.23:80 weight 10\n"
    assert commands(added, with_cookie, have())[0][0].endswith("; enable dynamic-cookie backend live  # keeps connections")


def test_a_file_that_the_running_process_has_not_read_needs_a_reload():
    text = file(*BOTH).replace("backend", "    description abc\nbackend", 1)
    assert commands(text, text, have(), "abc")[1] == []
    assert "has not read this file" in commands(text, text, have(), "former")[1][0]
    assert haproxy.description(text) == "abc" and haproxy.description("") == ""


def test_one_that_becomes_the_sorry_server_needs_a_reload():
    text = file(BOTH[0], BOTH[1] + " backup")
    assert commands(text, file(BOTH[0]), have())[1] == ["live/edge2 is the sorry server"]


def test_ids_are_made_of_names():
    found = haproxy.ids(["edge%d" % number for number in range(3000)])
    assert len(set(found.values())) == 3000 and min(found.values()) > 0 and max(found.values()) <= haproxy.IDS
    assert haproxy.ids(["edge7"])["edge7"] == found["edge7"]


def test_what_needs_a_reload():
    changed = file(*BOTH).replace("roundrobin", "leastconn")
    assert commands(changed, file(*BOTH), have()) == ([], ["this changes: balance leastconn"], {})
    assert commands(file(*BOTH), None, have())[1] == ["it is not known what HAProxy has read"]
    assert commands(file(BOTH[0], BOTH[1] + " check inter 1s"), file(*BOTH), have())[1] == ["live/edge2 is asked in another way"]
    assert commands(file(*BOTH), file(*BOTH), {})[1] == ["backend live has its first server"]
    assert commands(file(*BOTH) + "", "    mode http\n" + file(*BOTH), have())[1] == ["the order of its lines changes"]


def test_a_certificate_is_known_by_its_fingerprint():
    shown = "Filename: /a.pem\nStatus: Used\nSerial: 60\nnotAfter: Dec 30 01:51:41 2026 GMT\nSHA1 FingerPrint: 1D83\nSubject: /CN=a\n"
    assert certificates.held(shown) == {"serial": "60", "expires": "Dec 30 01:51:41 2026 GMT", "fingerprint": "1D83", "subject": "/CN=a"}
    assert certificates.held("Can't display the certificate: Not found or the certificate is a bundle!") == {}
    assert certificates.fingerprint("rubbish") is None and certificates.count("rubbish") == 0
    assert certificates.in_chain(shown) == 0 and certificates.in_chain(shown + "Chain Subject: /CN=b\nChain Issuer: /CN=c\n") == 1
    pem = "-----BEGIN CERTIFICATE-----\nQUFB\n-----END CERTIFICATE-----\n"
    assert certificates.fingerprint("words\n" + pem) == "606EC6E9BD8A8FF2AD14E5FADE3F264471E82251"
    # An empty line would end what is sent.
    assert "\n\n" not in certificates.payload(pem.replace("\nQUFB", "\r\n\r\nQUFB") + "\n\n" + pem)


def test_certificates_are_those_of_bind_lines():
    text = "    bind 192.0.2.100:443 transparent ssl crt /a.pem crt /b.pem alpn h2\n    bind [::1]:443 ssl crt /a.pem\n"
    assert haproxy.certificates_in(text + "    server crt 192.0.2.1:1\n") == ["/a.pem", "/b.pem"]


def told(state=verdicts.UP, share=1.0, weight=10, drained=False, why=""):
    return SimpleNamespace(verdict=SimpleNamespace(state=state, why=why), share=share, weight=weight, drained=drained)


@pytest.mark.parametrize(
    "servers, wanted",
    [
        ([told()], "ready up 1000%"), ([told(share=0.5)], "ready up 500%"), ([told(share=0.001)], "ready up 100%"),
        ([told(weight=256)], "ready up 25600%"), ([told(weight=0)], "ready up 0%"),
        ([told(share=0.0)], "ready up 0%"),  # its agent asks for nothing
        ([told(verdicts.DOWN, 0.0, why="404\nup\t#")], "ready down #404?up?#"),
        ([told(verdicts.DOWN, 1.0)], "ready up 1000%"),  # kept in
        ([told(), told(verdicts.DOWN, 0.0, why="closed")], "ready down #closed"),
        ([told(drained=True)], "maint"), ([told(verdicts.UNKNOWN, 0.0)], "ready"), ([told(), told(verdicts.UNKNOWN, 0.0)], "ready"),
        ([], "ready"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_server(servers, wanted):
    assert agent_check.line(servers) == wanted


@given(st.text())
def test_whatever_a_server_says_is_one_line(why):
    line = agent_check.line([told(verdicts.DOWN, 0.0, why=why)])
    assert line.isascii() and line.isprintable() and len(line) <= 120 and line.startswith("ready down #")
