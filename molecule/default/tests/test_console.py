"""The console on real directors: the kernel's numbers, a drain by a click, what real servers send, and who may ask."""

import json
import re
import time

import pytest
from conftest import DIRECTORS, REAL_SERVERS, VIP, ssh

URL = "http://127.0.0.1:9180"


def state(director):
    return json.loads(ssh(director, "curl -sf %s/api/state" % URL))


def servers(found, name="http", vip=VIP):
    service = next(one for one in found["services"] if (one["name"], one["vip"]) == (name, vip))
    return {one["name"]: one for one in service["servers"]}


def eventually(what, seconds=60):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "not within %d s" % seconds
        time.sleep(0.5)
    return found


@pytest.mark.parametrize("director", DIRECTORS)
def test_it_shows_the_whole_fleet_and_nothing_is_wrong(director, active):
    eventually(lambda: ssh(director, "curl -sf %s/api/state || true" % URL) not in ("", "null"))
    found = eventually(lambda: not state(director)["problems"] and state(director))
    assert [(one["name"], bool(one["active"])) for one in found["directors"]] == [(name, name == active) for name in DIRECTORS]
    for service in found["services"]:
        assert [(one["name"], one["reason"]) for one in service["servers"]] == [(name, "serving") for name in REAL_SERVERS], service["name"]
    assert found["drift"] == []
    page = ssh(director, "curl -sf %s/" % URL)
    assert "Nothing is wrong" in page and all(name in page for name in (*DIRECTORS, *REAL_SERVERS))


@pytest.mark.parametrize("director", DIRECTORS)
def test_it_has_no_privileges(lab, director):
    host = lab(director)
    for unit, capabilities in (("lvsdr-console", 0), ("lvsdr-console-helper", 1 << 2 | 1 << 12)):  # DAC_READ_SEARCH and NET_ADMIN
        assert host.service(unit).is_running and host.service(unit).is_enabled
        pid = host.check_output("systemctl show -p MainPID --value %s" % unit)
        status = host.check_output("cat /proc/%s/status" % pid)
        assert int(re.search(r"^CapEff:\s*(\w+)", status, re.MULTILINE)[1], 16) == capabilities
        assert int(re.search(r"^CapBnd:\s*(\w+)", status, re.MULTILINE)[1], 16) == capabilities
        assert (re.search(r"^Uid:\s*(\d+)", status, re.MULTILINE)[1] == "0") == (unit == "lvsdr-console-helper")


def test_numbers_are_those_of_the_kernel(lab, active):
    lab("viewer").check_output("for n in $(seq 20); do curl -sf -o /dev/null http://%s/live/index.m3u8; done", VIP)
    time.sleep(4)  # a look follows, and nobody watches meanwhile
    said = ssh(active, "curl -sf %s/api/state; echo; ipvsadm -Ln --stats --exact" % URL)
    text, _end, table = said.partition("\n")
    found = servers(json.loads(text))
    # TCP 198.51.100.100:80 …, and below it each destination: connections, packets in and out, bytes in and out.
    own = table.partition("TCP  %s:80" % VIP)[2].partition("\nTCP")[0]
    rows = {address: list(map(int, numbers.split())) for address, numbers in re.findall(r"-> (\S+):80\s+([\d ]+)", own)}
    assert {one["address"]: [one["own"]["conns"], one["own"]["inbytes"]] for one in found.values()} == {
        address: [row[0], row[3]] for address, row in rows.items()
    }
    assert sum(one["own"]["conns"] for one in found.values()) >= 20


def test_what_servers_send_is_what_the_viewer_gets(lab, active):
    """Bytes of IP packets at the viewer, beside those that real servers have counted for all services."""
    viewer = lab("viewer")
    counters = "cat /sys/class/net/eth0/statistics/rx_bytes /sys/class/net/eth0/statistics/rx_packets"

    def sent():
        found = [one["sent"] for service in state(active)["services"] for one in service["servers"]]
        return None if None in found else sum(found)

    def settled():
        first = sent()
        time.sleep(25)  # servers are asked every ten seconds
        return first if first is not None and sent() - first < 200_000 else None

    begin = eventually(settled, 180)
    before = list(map(int, viewer.check_output(counters).split()))
    got = int(viewer.check_output("curl -sf -o /dev/null -w '%%{size_download}' http://%s/vod/long.bin" % VIP))
    after = list(map(int, viewer.check_output(counters).split()))
    carried = after[0] - before[0] - 14 * (after[1] - before[1])
    assert got < carried < got * 1.06
    own = eventually(settled, 180) - begin
    assert own == pytest.approx(carried, rel=0.02)


def click(director, verb, host):
    """Does it, and waits until this director's table has it; milliseconds by its clock."""
    body = json.dumps({"verb": verb, "host": host, "who": "test", "why": "a test of the lab"})
    wanted = "0" if verb == "drain" else "10"
    script = (
        "begin=$(date +%%s%%N); curl -s -H 'X-Lvsdr-Console: 1' -H 'Content-Type: application/json' -d '%s' %s/api/actions; echo; "
        "for i in $(seq 400); do ipvsadm -Ln | grep -q '%s:80 *Route *%s ' && break; sleep 0.02; done; "
        "echo $((($(date +%%s%%N) - begin) / 1000000))"
    ) % (body, URL, address_of(host), wanted)
    answer, took = ssh(director, script).split("\n")[:2]
    return json.loads(answer), int(took)


def address_of(host):
    return "198.51.100.2%s" % host[-1]


def weight(director, host):
    return re.search(r"%s:80 +Route +(\d+) " % re.escape(address_of(host)), ssh(director, "ipvsadm -Ln"))[1]


def test_a_drain_by_a_click_is_in_force_on_both_directors(active):
    other = next(name for name in DIRECTORS if name != active)
    answer, took = click(active, "drain", "streaming2")
    try:
        assert answer["refused"] == answer["warnings"] == [], answer
        print("drained after %d ms" % took)
        # 2 s where nothing else runs; an emulated director beside another tier may take longer.
        assert took <= 10_000
        eventually(lambda: weight(other, "streaming2") == "0", 10)
        one = eventually(lambda: servers(state(other))["streaming2"]["reason"] == "drained" and servers(state(other))["streaming2"])
        assert one["why"] == "by test: a test of the lab"
        assert [one["line"] for one in state(other)["drift"]] == ["streaming2: real_server_state: drained"]
    finally:
        answer, _took = click(other, "undrain", "streaming2")
    assert answer["refused"] == answer["warnings"] == []
    eventually(lambda: {weight(name, "streaming2") for name in DIRECTORS} == {"10"}, 60)
    lines = [json.loads(line) for line in ssh(active, "cat /var/lib/lvsdr/journal.jsonl").splitlines()]
    assert [(line["verb"], line["what"], line["by"], line["result"]) for line in lines[-2:]] == [
        ("drain", "streaming2", "test", "done"), ("undrain", "streaming2", "test", "done"),
    ]  # fmt: skip


def test_strangers_get_nothing(lab, active):
    """Neither the other director's port, nor what a real server has counted, nor the page."""
    addresses = {"director1": "198.51.100.11", "director2": "198.51.100.12"}
    for host in ("viewer", "router", "streaming2"):
        for url in ("http://%s:9181/look" % addresses[active], "http://%s:9180/" % addresses[active], "http://198.51.100.21:9134/"):
            assert lab(host).run("curl -s -m 2 -o /dev/null %s" % url).rc in (7, 28), (host, url)
    # The director itself may.
    assert '"counter"' in lab(active).check_output("timeout 10 bash -c 'exec 3<>/dev/tcp/198.51.100.21/9134; cat <&3'")
