"""A fleet that runs is scaled, joined, left and upgraded while viewers watch: none of them notices."""

import json
import re
import threading
import time

import pytest
from conftest import DIRECTORS, PROJECT, VIP, playbook, ssh, why

INVENTORY = ("-i", "molecule/fleet/inventory")
URL = "http://%s/live/index.m3u8" % VIP
# Connections that newcomers make in a second.
NEWCOMERS = 20


def run(name, *more):
    return playbook("playbooks/%s.yml" % name, *INVENTORY, *more)


def good(done):
    print(why(done))
    assert done.returncode == 0, why(done)
    return done


def journal():
    return [json.loads(line) for line in (PROJECT / "build/journal.jsonl").read_text().splitlines()]


def weights(director):
    """{real server: its weight} in the service on the VIP and port 80."""
    listing = ssh(director, "ipvsadm -Ln")
    block = listing[listing.index("TCP  %s:80 " % VIP) :].split("\nTCP ")[0]
    return {"streaming" + number: int(weight) for number, weight in re.findall(r"-> 198\.51\.100\.2(\d):80\s+Route\s+(\d+)", block)}


class Watching(threading.Thread):
    """Viewers of all three kinds, without a pause but that between two calls of the module."""

    def __init__(self, ansible):
        super().__init__(daemon=True)
        self.ansible, self.over, self.found = ansible, threading.Event(), []
        self.failed = None

    def run(self):
        try:
            while not self.over.is_set():
                self.found.append(
                    self.ansible(
                        "viewer", "viewer_watch", url=URL, download="http://%s/vod/long.bin" % VIP, duration=15, newcomers=NEWCOMERS,
                        downloads=3, players=2,
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
        """0 newcomers refused, 0 connections cut, 0 segments late."""
        asked = [answered for one in self.found for _came, answered in one["asked"]]
        cuts = [cut for one in self.found for download in one["downloads"] for cut in download["cuts"]]
        lost = [one["lost"] for found in self.found for one in (*found["downloads"], *found["players"]) if one.get("lost")]
        stalls = sum(player["stalls"] for one in self.found for player in one["players"])
        print("%d newcomers, %d cuts, %d stalls" % (len(asked), len(cuts), stalls))
        assert len(asked) > 100 and asked.count(False) == 0, (asked.count(False), len(asked))
        assert cuts == [] and lost == [] and stalls == 0


@pytest.fixture
def watching(ansible):
    return Watching(ansible)


def test_spares_are_checked_and_parked():
    for director in DIRECTORS:
        assert weights(director) == {"streaming%d" % n: 10 if n < 5 else 0 for n in range(1, 7)}
    said = " ".join(good(run("status")).stdout.split())
    assert said.count("spare, parked / up:") >= 2, "their streams are checked"


def test_a_spare_serves_within_two_seconds_of_its_file(active):
    """As one who writes the files by hand sees it, from the file to the first viewer who is sent there; by the director's own clock."""
    script = (
        "rm /run/lvsdr/drained/spare-streaming5-*; begin=$(date +%s%N); for i in $(seq 400); do "
        "ipvsadm -Ln | grep -q '198.51.100.25:80 *Route *1' && break; sleep 0.02; done; echo $((($(date +%s%N) - begin) / 1000000))"
    )
    took = int(ssh(active, script))
    ssh(active, "cp -p /var/lib/lvsdr/drained/spare-streaming5-* /run/lvsdr/drained/")
    print("a weight after %d ms" % took)
    assert took <= 2000


def test_spares_are_woken_a_host_leaves_and_joins_and_they_are_parked(watching):
    before = ssh("streaming1", "stat -c %Y /etc/nginx/nginx.conf; systemctl show -p ActiveEnterTimestamp nginx")
    with watching:
        good(run("scale", "-e", "service=http", "-e", "servers=6"))
        assert all(set(weights(director).values()) == {10} for director in DIRECTORS)
        served = time.monotonic() + 60
        while not all(ssh(name, "ss -Htn state established sport = :80").strip() for name in ("streaming5", "streaming6")):
            assert time.monotonic() < served, "nobody came to one of them"
        good(run("leave", "-e", "host=streaming4"))
        for director in DIRECTORS:
            assert "streaming4" not in weights(director)
        assert VIP not in ssh("streaming4", "ip -br address show lo")
        good(run("join", "-e", "host=streaming4"))
        for director in DIRECTORS:
            assert weights(director)["streaming4"] == 10
        good(run("scale", "-e", "service=http", "-e", "servers=4"))
        assert all(weights(director)["streaming5"] == weights(director)["streaming6"] == 0 for director in DIRECTORS)
    watching.judge()
    assert ssh("streaming1", "stat -c %Y /etc/nginx/nginx.conf; systemctl show -p ActiveEnterTimestamp nginx") == before, "left alone"


RESTART = """- name: Restart nginx
  ansible.builtin.systemd_service: {name: nginx, state: restarted}
"""
BROKEN = """- name: Restart nginx, but on the second one
  ansible.builtin.command: "{{ 'false' if inventory_hostname == 'streaming2' else 'systemctl restart nginx' }}"
"""
KEEPALIVED = """- name: Restart keepalived, as an upgrade of its package does
  ansible.builtin.systemd_service: {name: keepalived, state: restarted}
"""


@pytest.fixture
def tasks(tmp_path):
    def write(text):
        (tmp_path / "mine.yml").write_text(text)
        return ["-e", "upgrade_tasks=%s" % (tmp_path / "mine.yml"), "-e", "upgrade_watch_seconds=4"]

    return write


def test_three_servers_are_upgraded_and_one_breaks_in_the_middle(watching, tasks):
    """The fleet stays whole without it, and the same command goes on."""
    hosts = ["-e", "upgrade_hosts=streaming1,streaming2,streaming3"]
    with watching:
        done = run("upgrade", *tasks(BROKEN), *hosts)
        said = " ".join(done.stdout.split())
        assert done.returncode != 0 and "[upgrade-stopped]" in said, why(done)
        assert "Done before: streaming1" in said and "not begun: streaming3" in said
        for director in DIRECTORS:
            assert {name for name, weight in weights(director).items() if not weight} == {"streaming2", "streaming5", "streaming6"}
        done = good(run("upgrade", *tasks(RESTART), *hosts))
        assert "done before by an upgrade that did not end: streaming1" in " ".join(done.stdout.split())
    watching.judge()
    for director in DIRECTORS:
        assert {name for name, weight in weights(director).items() if not weight} == {"streaming5", "streaming6"}
    assert [one["item"] for one in journal() if one["event"] == "done"][-3:] == ["streaming1", "streaming2", "streaming3"]


def test_both_directors_are_upgraded(watching, tasks):
    with watching:
        good(run("upgrade", *tasks(KEEPALIVED), "-e", "upgrade_hosts=directors"))
    watching.judge()
    done = [one["item"] for one in journal() if one["verb"] == "upgrade" and one["event"] == "done"]
    assert sorted(done[-2:]) == sorted(DIRECTORS)


def test_the_history_tells_it():
    said = run("history").stdout
    for words in ("scale http 6", "leave streaming4", "join streaming4", "did not end"):
        assert words in said, said


def test_the_timer_of_lvsdr_scale():
    """On a host that has systemd, which the controller of this test need not have."""
    host = ("-e", "scale_timer_host=origin")
    good(run("autoscale_timer", *host))
    assert "lvsdr-scale.timer" in ssh("origin", "systemctl list-timers --no-legend lvsdr-scale.timer")
    said = ssh("origin", "systemd-analyze verify /etc/systemd/system/lvsdr-scale.timer 2>&1; systemctl cat lvsdr-scale.service")
    assert "playbooks/autoscale.yml" in said and "inventories/lab" in said and "molecule/fleet/inventory" in said
    assert "nknown" not in said and "rror" not in said, said
    assert "changed=0" in good(run("autoscale_timer", *host)).stdout
    good(run("autoscale_timer", *host, "-e", "scale_timer_state=absent"))
    assert "lvsdr-scale" not in ssh("origin", "systemctl list-unit-files")
