"""What a viewer, the wire and the kernels say after a rollout."""

import re
import time

import pytest
from conftest import DIRECTORS, REAL_SERVERS, VIP, VIP6, reboot

VIEWER = "203.0.113.10"

# As `ipvsadm -Sn` prints it, in its own order of lines.
TABLE = """\
-A -t 198.51.100.100:443 -s mh -b mh-fallback,mh-port
-A -t 198.51.100.100:80 -s mh -b mh-fallback,mh-port
-A -t [2001:db8:100::100]:443 -s mh -b mh-fallback,mh-port
-A -t [2001:db8:100::100]:80 -s mh -b mh-fallback,mh-port
-a -t 198.51.100.100:443 -r 198.51.100.21:443 -g -w 10
-a -t 198.51.100.100:443 -r 198.51.100.22:443 -g -w 10
-a -t 198.51.100.100:443 -r 198.51.100.23:443 -g -w 10
-a -t 198.51.100.100:80 -r 198.51.100.21:80 -g -w 10
-a -t 198.51.100.100:80 -r 198.51.100.22:80 -g -w 10
-a -t 198.51.100.100:80 -r 198.51.100.23:80 -g -w 10
-a -t [2001:db8:100::100]:443 -r [2001:db8:100::21]:443 -g -w 10
-a -t [2001:db8:100::100]:443 -r [2001:db8:100::22]:443 -g -w 10
-a -t [2001:db8:100::100]:443 -r [2001:db8:100::23]:443 -g -w 10
-a -t [2001:db8:100::100]:80 -r [2001:db8:100::21]:80 -g -w 10
-a -t [2001:db8:100::100]:80 -r [2001:db8:100::22]:80 -g -w 10
-a -t [2001:db8:100::100]:80 -r [2001:db8:100::23]:80 -g -w 10
"""


@pytest.mark.parametrize("director", DIRECTORS)
def test_table_is_as_declared(lab, director):
    lines = lab(director).check_output("ipvsadm -Sn").splitlines()
    # Marks are for checks, one for each server and family.
    assert sorted(line for line in lines if " -f " not in line) == TABLE.splitlines()
    assert len(lines) == len(TABLE.splitlines()) + 2 * 6


@pytest.mark.parametrize("director", DIRECTORS)
def test_director_runs_keepalived_and_syncs_connections(lab, director, active):
    host = lab(director)
    assert host.service("keepalived").is_running
    assert host.service("keepalived").is_enabled
    role = "master" if director == active else "backup"
    assert "%s sync daemon" % role in host.check_output("ipvsadm -l --daemon")
    assert host.check_output("systemctl show -p Restart keepalived") == "Restart=always"


@pytest.mark.parametrize("server", REAL_SERVERS)
def test_real_server_holds_the_vips_in_silence(lab, server):
    host = lab(server)
    addresses = host.check_output("ip -br address show lo")
    assert VIP + "/32" in addresses
    assert VIP6 + "/128" in addresses
    settings = ("arp_ignore", "arp_announce", "rp_filter")
    everywhere = {name: int(host.check_output("cat /proc/sys/net/ipv4/conf/all/" + name)) for name in settings}
    own = {name: int(host.check_output("cat /proc/sys/net/ipv4/conf/eth0/" + name)) for name in settings}
    # The kernel takes the larger of the two.
    assert max(everywhere["arp_ignore"], own["arp_ignore"]) == 1
    assert max(everywhere["arp_announce"], own["arp_announce"]) == 2
    assert max(everywhere["rp_filter"], own["rp_filter"]) != 1


@pytest.mark.parametrize(("vip", "url"), [(VIP, "http://%s/healthz" % VIP), (VIP6, "http://[%s]/healthz" % VIP6)], ids=["IPv4", "IPv6"])
def test_router_knows_the_vip_by_the_active_directors_mac(lab, active, vip, url):
    lab("router").check_output("ip neighbour flush to %s" % vip)
    lab("viewer").check_output("curl -sf -o /dev/null %s" % url)
    mac = lab(active).check_output("cat /sys/class/net/eth0/address")
    assert "lladdr %s " % mac in lab("router").check_output("ip neighbour show to %s" % vip) + " "


def test_one_mac_alone_answers_for_each_vip(lab, ansible, active):
    mac = lab(active).check_output("cat /sys/class/net/eth0/address")
    results = ansible("router", "arp_audit", vips=[VIP, VIP6], interface="eth0")["results"]
    assert [(result["vip"], result["macs"]) for result in results] == [(VIP, [mac]), (VIP6, [mac])]


def test_live_stream_plays_from_all_servers_and_shows_them_the_viewer(lab, ansible):
    result = ansible("viewer", "stream_probe", url="http://%s/live/index.m3u8" % VIP, duration=8)
    assert result["stalls"] == 0 and set(result["servers"]) <= set(REAL_SERVERS)
    # A hash of the viewer's port chooses: with 60 of them no server is left out.
    many = "for n in $(seq 60); do curl -sf -o /dev/null -D - http://%s/live/index.m3u8; done" % VIP
    assert set(re.findall(r"X-Served-By: (\S+)", lab("viewer").check_output(many))) == set(REAL_SERVERS)
    time.sleep(1)  # nginx writes its log each second
    for server in REAL_SERVERS:
        # time client:port server:port "request" …: the viewer's own address arrived, and it was the VIP that was asked.
        log = lab(server).check_output("grep /live/ /var/log/nginx/access.log")
        assert re.search(r"%s:\d+ %s:80 " % (re.escape(VIEWER), re.escape(VIP)), log), log[-500:]


def test_a_real_player_plays_the_stream(lab):
    done = lab("viewer").run("ffmpeg -v error -nostats -progress - -i http://[%s]/live/index.m3u8 -t 6 -f null -", VIP6)
    assert done.rc == 0, done.stderr
    assert done.stderr == ""
    assert int(re.findall(r"frame=\s*(\d+)", done.stdout)[-1]) >= 140


def test_replies_do_not_pass_the_director(lab, active):
    size = 100_000_000
    counter = "cat /sys/class/net/eth0/statistics/tx_bytes"
    before = int(lab(active).check_output(counter))
    got = lab("viewer").check_output("curl -sf -o /dev/null -w '%%{size_download}' http://%s/vod/long.bin" % VIP)
    sent = int(lab(active).check_output(counter)) - before
    assert int(got) == size
    # What it sends are the viewer's acknowledgements, passed on, and its own heartbeats.
    assert sent < size / 40


def test_vips_come_back_after_a_reboot_before_the_network(lab, ansible):
    server = lab("streaming3")
    reboot("streaming3")
    assert VIP + "/32" in server.check_output("ip -br address show lo")
    assert server.check_output("cat /proc/sys/net/ipv4/conf/all/arp_ignore /proc/sys/net/ipv4/conf/all/arp_announce").split() == ["1", "2"]

    def microseconds(unit, field):
        return int(server.check_output("systemctl show -p %s --value %s" % (field, unit)))

    ready = microseconds("lvsdr-vip", "ActiveEnterTimestampMonotonic")
    assert 0 < ready <= microseconds("systemd-networkd", "ExecMainStartTimestampMonotonic")
    assert ansible("streaming1", "arp_audit", vips=[VIP], strict=True)["clean"]
