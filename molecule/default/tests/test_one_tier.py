"""Four lines of the inventory put HAProxy with a WAF on the directors, as docs/proxy.md says, and back."""

import json
import time

import pytest
from conftest import DIRECTORS, PROJECT, REAL_SERVERS, VIP, playbook, ssh, why

NAME, CA = "live.example.com", "/etc/lvsdr-lab/ca.pem"
CURL = "curl -s --cacert %s --resolve %s:443:%s -A Lavf/59 -o /dev/null -w '%%{http_code} %%{http_version}' " % (CA, NAME, VIP)
PLAYLIST, ATTACK = CURL + "https://%s/live/index.m3u8" % NAME, CURL + "'https://%s/a?q=%%3Cscript%%3E'" % NAME
FOUR_LINES = {
    "    mode: dr\n": "    mode: proxy\n",
    "    scheduler: mh\n": "    proxies: directors\n",
    "    scheduler_flags: [mh-port]\n": (
        "    tls: {certificates: [{controller: /var/lib/lvsdr-lab/tls/live.pem}]}\n    waf: {mode: block}\n"
    ),
}


def good(done):
    print(why(done))
    assert done.returncode == 0, why(done)
    return done


def eventually(check, words, seconds=120):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, words
        time.sleep(1)


def holds(director):
    return VIP + "/32" in ssh(director, "ip -o address show dev eth0")


def behind():
    """{service: {real server: why it has its weight}} of what HAProxy serves, as the console shows it."""
    found = json.loads(ssh("director1", "curl -sf http://127.0.0.1:9180/api/state || true") or "null") or {"services": []}
    servers = {service["name"]: service["servers"] for service in found["services"] if service["behind"]}
    return {name: {one["name"]: one["reason"] for one in those} for name, those in servers.items()}


@pytest.mark.long
def test_four_lines_and_one_command(tmp_path):
    text = (PROJECT / "inventories/lab/group_vars/all.yml").read_text()
    head, name, https = text.partition("  - name: https\n")
    for before, after in FOUR_LINES.items():
        assert before in https
        https = https.replace(before, after)
    (tmp_path / "four.yml").write_text(head + name + https)
    with_four = ("-e", "@%s" % (tmp_path / "four.yml"), "-e", "director_max_cut_connections=1000")
    # It proves on the wire, and plays both streams through their VIPs.
    good(playbook("site.yml", *with_four))
    table = ssh("director1", "ipvsadm -Ln")
    assert "TCP  %s:443" % VIP not in table and "TCP  %s:80 " % VIP in table
    assert ssh("viewer", PLAYLIST).split() == ["200", "2"] and ssh("viewer", ATTACK).split()[0] == "403"
    done = good(playbook("playbooks/status.yml", *with_four)).stdout
    assert "judges on 2 of 2" in done and "streaming3" in done
    eventually(lambda: behind() == {"https": dict.fromkeys(REAL_SERVERS, "serving")}, "the console shows them")
    holder = next(director for director in DIRECTORS if holds(director))
    other = next(director for director in DIRECTORS if director != holder)
    ssh(holder, "systemctl stop haproxy")
    eventually(lambda: holds(other), "the VIP goes to the director with HAProxy")
    eventually(lambda: ssh("viewer", PLAYLIST, check=False).split()[:1] == ["200"], "and answers there")
    ssh(holder, "systemctl start haproxy")
    # And back to direct routing.
    good(playbook("site.yml"))
    eventually(lambda: behind() == {}, "the console asks no proxy")
    assert "TCP  %s:443" % VIP in ssh("director1", "ipvsadm -Ln") and ssh("viewer", PLAYLIST).split()[0] == "200"
    assert all(ssh(director, "systemctl is-active haproxy", check=False).strip() == "inactive" for director in DIRECTORS)
