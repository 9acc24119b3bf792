"""Two tiers on the lab: directors send viewers to two proxies, which end TLS, judge requests and ask two real servers."""

import json
import re
import subprocess
import threading
import time

import pytest
import yaml
from conftest import DIRECTORS, PROJECT, VIP, playbook, ssh, why

INVENTORY = ("-i", "molecule/proxy/inventory")
PROXIES, BACKENDS = ("streaming1", "streaming2"), ("streaming3", "streaming4")
NAME, CA, PEM = "live.example.com", "/etc/lvsdr-lab/ca.pem", "/etc/lvsdr-lab/live.pem"
CURL = "curl -s --cacert %s --resolve %s:443:%s " % (CA, NAME, VIP)
NEWCOMERS = 20


def run(name, *more):
    return playbook(name if "/" in name or name == "site.yml" else "playbooks/%s.yml" % name, *INVENTORY, *more)


def good(done):
    print(why(done))
    assert done.returncode == 0, why(done)
    return done


ASK = (
    "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/haproxy/admin.sock'); s.sendall(b'%s\\n'); "
    "print(s.makefile().read())"
)


def ask(host, command):
    return ssh(host, 'python3 -c "%s"' % (ASK % command))


def states(host):
    """{real server: its status} as HAProxy has them."""
    lines = ask(host, "show stat").strip().lstrip("# ").splitlines()
    heads = lines[0].split(",")
    rows = [dict(zip(heads, line.split(","))) for line in lines[1:]]
    return {row["svname"]: row["status"].split()[0] for row in rows if row["pxname"] == "https" and row["svname"] in BACKENDS}


def serial():
    """That of the certificate that a viewer is shown."""
    script = (
        "import socket, ssl; c = ssl.create_default_context(cafile='%s'); "
        "print(c.wrap_socket(socket.create_connection(('%s', 443)), server_hostname='%s').getpeercert()['serialNumber'])"
    )
    return ssh("viewer", 'python3 -c "%s"' % (script % (CA, VIP, NAME))).strip()


def eventually(check, words, seconds=120):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, words
        time.sleep(1)


class Watching(threading.Thread):
    """Viewers over TLS: newcomers, downloads and a player, one call of the module after the other."""

    def __init__(self, ansible):
        super().__init__(daemon=True)
        self.ansible, self.over, self.found, self.failed = ansible, threading.Event(), [], None

    def run(self):
        base = "https://" + NAME
        try:
            while not self.over.is_set():
                self.found.append(
                    self.ansible(
                        "viewer", "viewer_watch", url=base + "/live/index.m3u8", download=base + "/vod/long.bin", connect_to=VIP,
                        ca_path=CA, duration=15, newcomers=NEWCOMERS, downloads=4, players=1, timeout=3,
                    )
                )  # fmt: skip
        except BaseException as error:  # the test reports it
            self.failed = error

    def __enter__(self):
        self.start()
        time.sleep(8)
        return self

    def __exit__(self, kind, *_unused):
        self.over.set()
        self.join()
        assert kind or self.failed is None, self.failed

    def judge(self):
        asked = [answered for one in self.found for _came, answered in one["asked"]]
        cuts = [cut for one in self.found for download in one["downloads"] for cut in download["cuts"]]
        stalls = sum(player["stalls"] for one in self.found for player in one["players"])
        print("%d newcomers, %d cuts, %d stalls" % (len(asked), len(cuts), stalls))
        assert len(asked) > 100 and asked.count(False) == 0, (asked.count(False), len(asked))
        assert cuts == [] and stalls == 0


@pytest.fixture
def watching(ansible):
    return Watching(ansible)


def test_a_second_run_changes_nothing():
    assert good(run("site.yml")).stdout.count("changed=0") >= 6


def test_it_is_two_tiers():
    for director in DIRECTORS:
        listing = ssh(director, "ipvsadm -Ln")
        block = listing[listing.index("TCP  %s:443 " % VIP) :].split("\nTCP ")[0]
        assert set(re.findall(r"-> 198\.51\.100\.2(\d):443\s+Route\s+[1-9]", block)) == {"1", "2"}
    for proxy in PROXIES:
        assert states(proxy) == dict.fromkeys(BACKENDS, "UP")
        assert "https:443" not in ssh(proxy, "ss -Hltn sport = :443") and VIP in ssh(proxy, "ss -Hltn sport = :443")
    said = " ".join(good(run("status")).stdout.split())
    assert "streaming3 up on 2 of 2" in said and PEM in said


def test_viewers_speak_http_2_and_are_answered_by_the_proxies(lab):
    answer = ssh(
        "viewer", CURL + "--http2 -o /dev/null -w '%%{http_code} %%{http_version} %%{remote_ip}' https://%s/live/index.m3u8" % NAME
    )
    assert answer.split() == ["200", "2", VIP]
    assert ssh("viewer", CURL + "--tls-max 1.1 -o /dev/null -w '%%{http_code}' https://%s/ || true" % NAME).strip() == "000"


def attack(more=""):
    """What a viewer is answered who attacks."""
    return ssh(
        "viewer", CURL + "-A Lavf/59 -o /dev/null -w '%%{http_code}' 'https://%s/search/a?q=%%3Cscript%%3E%s'" % (NAME, more)
    ).strip()


def test_an_attack_is_refused_until_the_report_s_line_lets_it_through(tmp_path):
    assert attack() == "403"
    found = good(run("waf_report")).stdout
    proposed = [
        {"rule": int(rule), "path": "/search/", "target": "ARGS:q"} for rule in re.findall(r"rule: (\d+), path: .{0,2}/search/", found)
    ]
    assert proposed, found
    services = yaml.safe_load((PROJECT / "molecule/proxy/inventory/group_vars/all.yml").read_text())["virtual_services"]
    services[1]["waf"]["exclude"] = proposed
    (tmp_path / "excluded.yml").write_text(yaml.safe_dump({"virtual_services": services}))
    pids = [ssh(proxy, "cat /run/lvsdr-waf/nginx.pid") for proxy in PROXIES]
    good(run("site.yml", "-e", "@%s" % (tmp_path / "excluded.yml")))
    assert attack() == "404" and attack("&p=%%3Cscript%%3E") == "403"
    # Another nginx has taken over, and systemd follows it.
    for proxy, before in zip(PROXIES, pids):
        now = ssh(proxy, "cat /run/lvsdr-waf/nginx.pid")
        assert now != before and ssh(proxy, "systemctl show -P MainPID lvsdr-waf").strip() == now.strip()
    said = " ".join(good(run("status")).stdout.split())
    assert "https block judges on 2 of 2" in said


def test_a_certificate_is_exchanged(watching):
    before = serial()
    issue = (
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -extfile server.ext 2>/dev/null "
        "&& cat server.key"
    )
    text = subprocess.run(["sh", "-c", issue], cwd="/var/lib/lvsdr-lab/tls", check=True, capture_output=True, text=True).stdout
    pids = [ask(proxy, "show info").partition("Pid: ")[2].split()[0] for proxy in PROXIES]
    with watching:
        for proxy in PROXIES:
            subprocess.run(["ssh", "-F", "/var/lib/lvsdr-lab/ssh_config", proxy, "cat > %s" % PEM], input=text, check=True, text=True)
        done = good(run("site.yml", "-v"))
    watching.judge()
    after = serial()
    assert before != after and before
    assert "PRIVATE" not in done.stdout and text.splitlines()[-3] not in done.stdout
    assert [ask(proxy, "show info").partition("Pid: ")[2].split()[0] for proxy in PROXIES] == pids, "nothing was reloaded"


def test_a_real_server_is_drained_and_one_freezes(watching):
    with watching:
        good(run("drain", "-e", "drain_servers=streaming3", "-e", "drain_seconds=5"))
        assert all(states(proxy) == {"streaming3": "MAINT", "streaming4": "UP"} for proxy in PROXIES)
        good(run("undrain", "-e", "drain_servers=streaming3"))
        eventually(lambda: all(states(proxy) == dict.fromkeys(BACKENDS, "UP") for proxy in PROXIES), "it is back")
        ssh("streaming4", "systemctl stop nginx")
        eventually(lambda: all(states(proxy)["streaming4"] == "DOWN" for proxy in PROXIES), "it is out")
        ssh("streaming4", "systemctl start nginx")
        eventually(lambda: all(states(proxy) == dict.fromkeys(BACKENDS, "UP") for proxy in PROXIES), "it is back")
    asked = [answered for one in watching.found for _came, answered in one["asked"]]
    # A request that is under way on a server that ends is lost; newcomers are not.
    assert len(asked) > 100 and asked.count(False) == 0, (asked.count(False), len(asked))


def test_a_proxy_is_drained_and_its_haproxy_restarted(watching, tmp_path):
    """As an upgrade of its package does."""
    (tmp_path / "mine.yml").write_text("- name: Restart HAProxy\n  ansible.builtin.systemd_service: {name: haproxy, state: restarted}\n")
    hosts = ["-e", "upgrade_hosts=streaming1,streaming2", "-e", "upgrade_share=0.5"]
    with watching:
        good(run("upgrade", "-e", "upgrade_tasks=%s" % (tmp_path / "mine.yml"), "-e", "upgrade_watch_seconds=4", *hosts))
    watching.judge()


def test_a_proxy_that_loses_power_is_out():
    good(playbook("playbooks/lab.yml", *INVENTORY, "--limit", "localhost,streaming2", "-e", "lab_host_state=killed"))

    def weights(director):
        listing = ssh(director, "ipvsadm -Ln")
        block = listing[listing.index("TCP  %s:443 " % VIP) :].split("\nTCP ")[0]
        return dict(re.findall(r"-> 198\.51\.100\.(2\d):443\s+Route\s+(\d+)", block))

    eventually(lambda: all(weights(name) == {"21": "10", "22": "0"} for name in DIRECTORS), "it is out", 120)
    # From ports that no viewer of the tests before had: IPVS remembers those for a quarter of an hour.
    playlist = CURL + "--local-port %d -o /dev/null -w '%%{http_code}' https://%s/live/index.m3u8"
    codes = [ssh("viewer", playlist % (20000 + number, NAME)) for number in range(20)]
    assert codes == ["200"] * 20
    good(playbook("playbooks/lab.yml", *INVENTORY, "--limit", "localhost,streaming2", "-e", "lab_host_state=started"))
    eventually(lambda: all(weights(name) == {"21": "10", "22": "10"} for name in DIRECTORS), "it is back", 300)


def test_the_journal_has_the_drain():
    lines = [json.loads(line) for line in (PROJECT / "build/journal.jsonl").read_text().splitlines()]
    assert {"drain", "undrain", "upgrade"} <= {one["verb"] for one in lines}
