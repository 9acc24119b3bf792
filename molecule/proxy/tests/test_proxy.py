"""Two tiers on the lab: directors send viewers to two proxies, which end TLS, judge requests and ask two real servers."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml
from conftest import DIRECTORS, PROJECT, VIP, playbook, ssh, why

INVENTORY = ("-i", "molecule/proxy/inventory")
PROXIES, BACKENDS = ("streaming1", "streaming2"), ("streaming3", "streaming4")
NAME, CA, PEM = "live.example.com", "/etc/lvsdr-lab/ca.pem", "/etc/lvsdr-lab/live.pem"
CURL = "curl -s --cacert %s --resolve %s:443:%s " % (CA, NAME, VIP)
NEWCOMERS = 20
CACHE = Path(os.environ.get("LAB_CACHE_DIR", "/var/cache/lvsdr-lab"))


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


def seen_by(director):
    """{service: what the console of a director shows of it}"""
    text = ssh(director, "curl -sf http://127.0.0.1:9180/api/state || true")
    found = json.loads(text or "null") or {"services": [], "problems": ["nothing yet"]}
    return {one["name"]: one for one in found["services"]}, found["problems"]


BEHIND = "https behind its proxies"


@pytest.mark.parametrize("director", DIRECTORS)
def test_the_console_shows_what_is_behind_the_proxies(director):
    def fine():
        services, problems = seen_by(director)
        return not problems and BEHIND in services and services

    eventually(fine, "nothing is wrong: %r" % seen_by(director)[1])
    services = fine()
    behind = {one["name"]: (one["reason"], one["weight"]) for one in services[BEHIND]["servers"]}
    assert behind == dict.fromkeys(BACKENDS, ("serving", 10))
    assert {one["name"]: one["reason"] for one in services["https"]["servers"]} == dict.fromkeys(PROXIES, "serving")
    assert 0 < services[BEHIND]["certificate_ends"] - time.time() < 400 * 86400
    # Nobody else is told.
    assert ssh("viewer", "curl -s -m 5 http://198.51.100.21:9138/; echo $?").strip() not in ("", "0")


def test_an_attack_is_refused_until_the_report_s_line_lets_it_through(tmp_path):
    assert attack() == "403"
    found = good(run("waf_report")).stdout
    shown = {}

    def on_the_page():
        shown.update(seen_by(DIRECTORS[0])[0][BEHIND])
        return {one["rule"] for one in shown["findings"]} == set(map(int, re.findall(r"rule: (\d+), path: .{0,2}/search/", found)))

    eventually(on_the_page, "the console shows the same: %r" % shown)
    assert all("/search/" in one["line"] and one["refused"] for one in shown["findings"])
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


def reasons():
    return {one["name"]: one["reason"] for one in seen_by(DIRECTORS[0])[0][BEHIND]["servers"]}


def test_a_real_server_is_drained_and_one_freezes(watching):
    with watching:
        good(run("drain", "-e", "drain_servers=streaming3", "-e", "drain_seconds=5"))
        assert all(states(proxy) == {"streaming3": "MAINT", "streaming4": "UP"} for proxy in PROXIES)
        eventually(lambda: reasons() == {"streaming3": "drained", "streaming4": "serving"}, "the console says so")
        good(run("undrain", "-e", "drain_servers=streaming3"))
        eventually(lambda: all(states(proxy) == dict.fromkeys(BACKENDS, "UP") for proxy in PROXIES), "it is back")
        ssh("streaming4", "systemctl stop nginx")
        eventually(lambda: all(states(proxy)["streaming4"] == "DOWN" for proxy in PROXIES), "it is out")
        eventually(lambda: reasons()["streaming4"] == "down", "the console says so, too")
        ssh("streaming4", "systemctl start nginx")
        eventually(lambda: all(states(proxy) == dict.fromkeys(BACKENDS, "UP") for proxy in PROXIES), "it is back")
    asked = [answered for one in watching.found for _came, answered in one["asked"]]
    # A request that is under way on a server that ends is lost; newcomers are not.
    assert len(asked) > 100 and asked.count(False) == 0, (asked.count(False), len(asked))


def package(release, folder, newest):
    """The package of HAProxy of a Debian release, as its archive has it today; newest: with its security updates."""
    rootfs, root = CACHE / release / "etc/apt", folder / ("%s-%s" % (release, newest))
    for name in ("etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (root / name).mkdir(parents=True)
    (root / "status").touch()
    lines = (rootfs / "sources.list").read_text().splitlines()
    (root / "etc/apt/sources.list").write_text("\n".join(lines if newest else lines[:1]) + "\n")
    options = {"Dir": root, "Dir::State::status": root / "status", "Dir::Etc::trustedparts": rootfs / "trusted.gpg.d",
               "APT::Sandbox::User": "root"}  # fmt: skip
    for verb in (["update"], ["download", "haproxy"]):
        words = [word for name, value in options.items() for word in ("-o", "%s=%s" % (name, value))]
        subprocess.run(["apt-get", "-qq", *words, *verb], cwd=root, check=True)
    (found,) = root.glob("haproxy_*.deb")
    return found


INSTALL = """
- name: Bring the package
  ansible.builtin.copy: {src: "%s/{{ ansible_facts.distribution_release }}.deb", dest: /root/haproxy.deb, mode: "0600"}
- name: Install the package
  ansible.builtin.command: dpkg -i --force-confold /root/haproxy.deb
"""


def release_of(proxy):
    return ssh(proxy, ". /etc/os-release; echo $VERSION_CODENAME").strip()


def version(proxy):
    """That of the process that runs, and its pid: the package's scripts have the main process begin again as another program."""
    told = dict(line.partition(": ")[::2] for line in ask(proxy, "show info").splitlines())
    return told["Version"].strip(), told["Pid"].strip()


def test_the_package_of_haproxy_is_upgraded(watching, tmp_path):
    """From what the release came with, or nearly, to its last security update."""
    releases = {proxy: release_of(proxy) for proxy in PROXIES}
    assert set(releases.values()) == {"bookworm", "trixie"}
    for newest in (False, True):
        folder = tmp_path / str(newest)
        folder.mkdir()
        for release in releases.values():
            shutil.copy(package(release, tmp_path, newest), folder / ("%s.deb" % release))
    (tmp_path / "mine.yml").write_text("- name: Which release\n  ansible.builtin.setup: {gather_subset: ['!all', 'distribution']}\n"
                                       + INSTALL % (tmp_path / "True"))  # fmt: skip
    for proxy, release in releases.items():
        text = (tmp_path / "False" / ("%s.deb" % release)).read_bytes()
        subprocess.run(["ssh", "-F", "/var/lib/lvsdr-lab/ssh_config", proxy, "cat > /root/old.deb"], input=text, check=True)
        ssh(proxy, "dpkg -i --force-confold /root/old.deb >/dev/null 2>&1")
    eventually(lambda: all(states(proxy) == dict.fromkeys(BACKENDS, "UP") for proxy in PROXIES), "both serve")
    before = {proxy: version(proxy) for proxy in PROXIES}
    hosts = ["-e", "upgrade_hosts=streaming1,streaming2", "-e", "upgrade_share=0.5"]
    with watching:
        good(run("upgrade", "-e", "upgrade_tasks=%s" % (tmp_path / "mine.yml"), "-e", "upgrade_watch_seconds=4", *hosts))
    watching.judge()
    after = {proxy: version(proxy) for proxy in PROXIES}
    print(before, after)
    for proxy, release in releases.items():
        wanted = subprocess.run(
            ["dpkg-deb", "-f", str(tmp_path / "True" / ("%s.deb" % release)), "Version"], capture_output=True, text=True
        )
        assert after[proxy][0] == wanted.stdout.strip() and after[proxy][1] != before[proxy][1], (before, after)
    assert good(run("site.yml")).stdout.count("changed=0") >= 6, "its files are as they were"


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
