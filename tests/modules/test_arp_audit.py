"""main() of arp_audit on links that are made up: a socket that answers itself, and no packet leaves this machine."""

import errno
import ipaddress
import json
import os
import socket
from importlib.machinery import PathFinder
from types import SimpleNamespace

import pytest
from ansible.module_utils.lvsdr.arp import audit, packets, wire
from ansible.module_utils.lvsdr.system import rtnetlink
from ansible.module_utils.testing import patch_module_args
from ansible.modules import arp_audit
from said import id_of

VIP, VIP6 = "192.0.2.100", "2001:db8::100"
OWN, A, B, STRANGER = ("02:00:00:00:00:%02d" % number for number in (31, 11, 12, 21))
OWNERS = {A: "director1", B: "director2"}
LINKS = [
    {"name": "lo", "mac": "00:00:00:00:00:00", "type": "loopback", "addresses": ["127.0.0.1/8", "192.0.2.100/24"]},
    {"name": "tun0", "mac": "", "type": "none", "addresses": ["192.0.2.7/24"]},
    {"name": "vip0", "mac": B, "type": "ether", "unasked": True, "addresses": ["192.0.2.8/24"]},
    {"name": "dummy0", "mac": B, "type": "ether", "arp": False, "addresses": ["192.0.2.9/24", "192.0.2.100/32"]},
    {"name": "eth0", "mac": OWN, "type": "ether", "addresses": ["198.51.100.31/24"]},
    {"name": "eth1", "mac": OWN, "type": "ether", "addresses": ["192.0.2.31/24", "2001:db8::31/64"]},
]


def raw(mac):
    return bytes.fromhex(mac.replace(":", ""))


def reply(mac, vip, asker=OWN):
    """What a host's kernel sends back."""
    if ":" not in vip:
        head = raw(asker) + raw(mac) + bytes.fromhex("08060001080006040002")
        return head + raw(mac) + socket.inet_aton(vip) + raw(asker) + socket.inet_aton("192.0.2.31")
    body = bytes.fromhex("8800000060000000") + ipaddress.ip_address(vip).packed + b"\x02\x01" + raw(mac)
    header = bytes.fromhex("6000000000203aff") + ipaddress.ip_address(vip).packed + ipaddress.ip_address("2001:db8::31").packed
    return raw(asker) + raw(mac) + b"\x86\xdd" + header + body


class Link:
    """A packet socket whose other end sends, after each request, what the host of the test says."""

    def __init__(self, says):
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ours.setblocking(False)
        self.says, self.sent, self.open = says, [], True
        self.fileno, self.recv = self.ours.fileno, self.ours.recv

    def send(self, frame):
        self.sent.append(frame)
        for answer in self.says(frame):
            self.theirs.send(answer)

    def close(self):
        self.open = False
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def links(monkeypatch):
    """The links by name; ``links.says[name]`` is called with each request and returns the frames that come back."""

    class Links(dict):
        says = {}

        def __call__(self, name):
            self[name] = Link(self.says.get(name, lambda frame: []))
            return self[name]

    links = Links()
    links.says = {}
    monkeypatch.setattr(wire, "_open", links)
    monkeypatch.setattr(arp_audit, "interfaces", lambda: LINKS)
    yield links
    assert not any(link.open for link in links.values()), "every socket is closed"


@pytest.fixture
def run(capsys):
    """Runs the module and returns its result."""

    def run(**options):
        with patch_module_args({"timeout": 0.2, **options}), pytest.raises(SystemExit) as ended:
            arp_audit.main()
        result = json.loads(capsys.readouterr().out)
        assert ended.value.code == (1 if result.get("failed") else 0)
        assert "exception" not in result and "Traceback" not in json.dumps(result)
        return result

    return run


@pytest.mark.parametrize(
    ("vip", "macs", "owners", "verdict", "text"),
    [
        (VIP, [A], OWNERS, "one owner", f"{A} (director1) answers for {VIP}"),
        (VIP6, [A], OWNERS, "one owner", f"{A} (director1) answers for {VIP6}"),
        (VIP, [STRANGER], {}, "one owner", f"{STRANGER} answers for {VIP}"),
        (VIP, [A, STRANGER], OWNERS, "leak", f"{STRANGER} answers for {VIP} but is not a director"),
        (VIP6, [STRANGER, A], OWNERS, "leak", f"{STRANGER} answers for {VIP6} but is not a director"),
        (VIP, [A, B], OWNERS, "leak", "2 hosts answer"),
        (VIP, [], OWNERS, "nobody", f"no host answers for {VIP}"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_verdicts(links, run, vip, macs, owners, verdict, text, strict):
    links.says["eth1"] = lambda frame: [reply(mac, vip) for mac in macs]
    result = run(vips=[vip], owners=owners, strict=strict)
    (one,) = result["results"]
    assert (one["vip"], one["interface"], one["macs"], one["verdict"]) == (vip, "eth1", macs, verdict)
    assert one["text"].startswith(text)
    if verdict == "one owner":
        assert result["clean"] and result["changed"] is False and not result.get("failed") and result["problems"] == []
        return
    assert result["problems"] == [one["text"]]
    assert id_of(one["text"]) in {"leak": ("vip-hijacked", "vip-of-several-hosts"), "nobody": ("vip-unanswered",)}[verdict]
    if strict:
        assert result["failed"] and result["msg"].startswith("1 of 1 VIPs ") and result["msg"].endswith("\n  - " + one["text"])
    else:
        assert result["clean"] is False and not result.get("failed")


def test_what_is_asked(links, run):
    """Three times for each VIP, in its own family, from the address of the link."""
    run(vips=[VIP, VIP6, "198.51.100.100"], _ansible_check_mode=True)
    assert (
        links["eth1"].sent
        == [packets.arp_request(raw(OWN), "192.0.2.31", VIP), packets.neighbour_solicitation(raw(OWN), "2001:db8::31", VIP6)] * 3
    )
    assert links["eth0"].sent == [packets.arp_request(raw(OWN), "198.51.100.31", "198.51.100.100")] * 3


def test_what_does_not_count(links, run):
    """Our own frames, answers for other addresses, noise, and answers that came in on another link."""
    links.says["eth1"] = lambda frame: [frame, reply(OWN, VIP), reply(A, "192.0.2.101"), b"", os.urandom(60), reply(A, VIP)[:41]]
    links.says["eth0"] = lambda frame: [reply(B, VIP)]
    first, _second = run(vips=[VIP, "198.51.100.100"])["results"]
    assert (first["macs"], first["verdict"]) == ([], "nobody")


def test_a_late_second_answer_is_seen(links, run):
    """The active director answers each request, the leaky server only the last one."""
    links.says["eth1"] = lambda frame: [reply(A, VIP)] + ([reply(STRANGER, VIP)] if len(links["eth1"].sent) == 3 else [])
    assert run(vips=[VIP], owners=OWNERS)["results"][0]["macs"] == [A, STRANGER]


def test_several_vips_in_their_order(links, run):
    links.says["eth1"] = lambda frame: [reply(A, VIP)]
    result = run(vips=["192.0.2.101", VIP], owners=OWNERS, strict=True)
    assert [one["vip"] for one in result["results"]] == ["192.0.2.101", VIP]
    assert result["failed"] and result["msg"].startswith("1 of 2 VIPs ") and "no host answers for 192.0.2.101" in result["msg"]
    assert [id_of(line) for line in result["problems"]] == ["vip-unanswered"]


def test_a_named_interface(links, run):
    """It is asked, whatever its subnets are, from its own address."""
    links.says["eth0"] = lambda frame: [reply(A, VIP)]
    (one,) = run(vips=[VIP], interface="eth0")["results"]
    assert (one["interface"], one["macs"]) == ("eth0", [A])
    assert links["eth0"].sent[0] == packets.arp_request(raw(OWN), "198.51.100.31", VIP)


def test_a_named_interface_without_an_address_probes(links, run):
    run(vips=[VIP6], interface="eth0")
    assert links["eth0"].sent[0] == packets.neighbour_solicitation(raw(OWN), "::", VIP6)


def test_a_vip_is_never_the_sender(links, run):
    """On a director that holds them: a request from the VIP would tell every neighbour that it is here. Nor is any other /32."""
    run(vips=[VIP, "192.0.2.31"], interface="eth1")
    assert links["eth1"].sent[:2] == [packets.arp_request(raw(OWN), "0.0.0.0", VIP), packets.arp_request(raw(OWN), "0.0.0.0", "192.0.2.31")]
    run(vips=[VIP], interface="eth1")
    assert links["eth1"].sent[0] == packets.arp_request(raw(OWN), "192.0.2.31", VIP)
    result = run(vips=["192.0.2.31"])
    assert "192.0.2.31" in result["msg"] and id_of(result["msg"]) == "no-interface-in-subnet"


@pytest.mark.parametrize(
    ("options", "words", "id"),
    [
        ({"vips": [VIP], "interface": "tun0"}, "tun0 is not an Ethernet interface", "[interface-not-ethernet]"),
        ({}, "missing required arguments: vips", ""),
        ({"vips": []}, "vips", "[no-vips]"),
        ({"vips": ["x", VIP, "192.0.2.0/24"]}, "2 errors", "[not-an-address]"),
        ({"vips": ["233.252.0.1"]}, "vips[0]: ", "'233.252.0.1' (224.0.0.0/4 is multicast) [not-an-address]"),
        ({"vips": [VIP], "interface": "eth7"}, "eth7; it has lo, tun0, vip0, dummy0, eth0, eth1", "[interface-missing]"),
        ({"vips": ["203.0.113.1"]}, "203.0.113.1", "[no-interface-in-subnet]"),
        ({"vips": [VIP], "timeout": 0}, "timeout: must be between 0.1 and 300 seconds, not 0.0", "[out-of-range]"),
        ({"vips": [VIP], "timeout": -1}, "timeout: ", "[out-of-range]"),
        ({"vips": [VIP], "timeout": 301}, "timeout: ", "[out-of-range]"),
        ({"vips": [VIP], "timeout": "nan"}, "timeout: ", "[out-of-range]"),
        ({"vips": [VIP], "timeout": 3, "duration": 2}, "duration: must be between 3", "[out-of-range]"),
        ({"vips": [VIP], "duration": 86401}, "duration: ", "[out-of-range]"),
        ({"vips": [VIP], "watch": 5}, "watch: was renamed to duration", "[renamed-option]"),
        ({"names": {}}, "names: was renamed to host_by_mac", "[renamed-option]"),
        ({"vips": [VIP], "timeout": "soon"}, "argument 'timeout' is of type str", ""),
        ({"vips": [VIP], "owners": [A]}, "argument 'owners' is of type list", ""),
        ({"vips": [VIP], "nonsense": 1}, "Unsupported parameters", ""),
    ],
)
def test_wrong_values(links, run, options, words, id):
    result = run(**options)
    assert result["failed"] and words in result["msg"] and id in result["msg"]
    assert not links, "nothing was asked"


@pytest.mark.parametrize(
    ("error", "words", "id"),
    [
        (PermissionError(errno.EPERM, "Operation not permitted"), "`become: true`", "root-required"),
        (OSError(errno.ENODEV, "No such device"), "([Errno 19] No such device)", "arp-query-failed"),
    ],
)
def test_a_link_that_can_not_be_asked(links, run, monkeypatch, error, words, id):
    def refuse(name):
        raise error

    monkeypatch.setattr(wire, "_open", refuse)
    result = run(vips=[VIP])
    assert result["failed"] and words in result["msg"] and id_of(result["msg"]) == id


def test_a_link_that_goes_down_while_we_ask(links, run):
    def says(frame):
        raise OSError(errno.ENETDOWN, "Network is down")

    links.says["eth1"] = says
    result = run(vips=[VIP])
    assert result["failed"] and "Network is down" in result["msg"]


def test_without_pyroute2(run, monkeypatch, tmp_path):
    nowhere = SimpleNamespace(find_spec=lambda name: PathFinder.find_spec(name, [str(tmp_path)]))
    monkeypatch.setattr(rtnetlink, "PathFinder", nowhere)
    result = run(vips=[VIP])
    assert result["failed"] and id_of(result["msg"]) == "pyroute2-missing"


@pytest.mark.parametrize(("others", "verdict"), [([], "one owner"), ([B], "leak"), ([STRANGER], "leak")])
def test_a_host_that_holds_the_vip_itself(run, links, monkeypatch, others, verdict):
    """It hears nobody where all is well: its own answer counts, on a card and not on lo."""
    there = [dict(link) for link in LINKS]
    there[-1] = {**there[-1], "mac": A, "addresses": [VIP + "/32", *there[-1]["addresses"]]}
    monkeypatch.setattr(arp_audit, "interfaces", lambda: there)
    links.says["eth1"] = lambda frame: [reply(mac, VIP) for mac in others]
    (one,) = run(vips=[VIP], owners=OWNERS)["results"]
    assert (one["verdict"], one["macs"]) == (verdict, others)


def test_a_flood_of_answers(run, links):
    """Of forged answers no more is kept, or shown, than a leak needs; the owner's came first."""
    forged = [reply("06:00:00:00:%02x:%02x" % divmod(number, 256), VIP) for number in range(100)]
    links.says["eth1"] = lambda frame: [reply(A, VIP), *forged] if len(links["eth1"].sent) == 1 else []
    (one,) = run(vips=[VIP], owners=OWNERS)["results"]
    assert one["verdict"] == "leak" and len(one["macs"]) == audit.MOST_MACS and one["macs"][0] == A
