"""A server that answers 200 for ever while its live playlist does not change is taken out, and comes back when it moves."""

import json
import time

import pytest
from conftest import DIRECTORS, VIP, VIP6, ssh
from test_checks import OWN, SERVER, wait_for

# Two target durations of the lab's stream, which are 2 s each, and an interval of the check.
PROMISED = 2 * 2 + 3
FREEZE = (
    "mkdir -p /var/lib/lvsdr/frozen/live && curl -sf http://127.0.0.1/live/index.m3u8 -o /var/lib/lvsdr/frozen/live/index.m3u8 && "
    "sed -i 's|location = /healthz|location = /live/index.m3u8 { root /var/lib/lvsdr/frozen; }\\n        location = /healthz|' "
    "/etc/nginx/nginx.conf && nginx -s reload"
)
THAW = "sed -i '/frozen/d' /etc/nginx/nginx.conf && nginx -s reload"


def held(director):
    """What the checker of a director holds of the server, by VIP."""
    status = json.loads(ssh(director, "cat /run/lvsdr/streamcheck/status.json"))["checks"]
    return {check["vip"]: check for check in status if (check["service"], check["server"]) == ("http", SERVER)}


@pytest.fixture(scope="module")
def frozen(lab):
    wait_for(10)
    ssh(SERVER, FREEZE)
    begin = time.monotonic()
    wait_for(0)
    yield time.monotonic() - begin
    ssh(SERVER, THAW)
    wait_for(10)
    assert {check["state"] for director in DIRECTORS for check in held(director).values()} == {"up"}


def test_a_frozen_playlist(frozen, lab):
    # Each look at an emulated director takes a second or more, and keepalived one to read the file.
    assert frozen < PROMISED + 15
    assert lab("router").check_output("curl -s -o /dev/null -w '%%{http_code}' http://%s/live/index.m3u8" % OWN) == "200"
    for director in DIRECTORS:
        assert set(held(director)) == {VIP, VIP6}
        for check in held(director).values():
            assert check["state"] == "down" and "the playlist has not changed for" in check["why"]
        log = ssh(director, "journalctl -u lvsdr-streamcheck -o cat | grep 'is down' | grep %s" % SERVER).splitlines()
        assert len([line for line in log if "(%s)" % VIP in line and "has not changed" in line]) == 1, "once a change"


def test_without_the_checker_keepalived_goes_by_its_own(frozen):
    for director in DIRECTORS:
        ssh(director, "systemctl stop lvsdr-streamcheck")
    try:
        wait_for(10)
    finally:
        for director in DIRECTORS:
            ssh(director, "systemctl start lvsdr-streamcheck")
    wait_for(0)


def test_a_checker_that_stands_still_is_noticed(frozen):
    """systemd's watchdog ends it; its verdicts are gone until another one has looked."""
    before = {director: ssh(director, "systemctl show -p NRestarts --value lvsdr-streamcheck").strip() for director in DIRECTORS}
    for director in DIRECTORS:
        ssh(director, "systemctl kill -s STOP lvsdr-streamcheck")
    deadline = time.monotonic() + 120
    for director in DIRECTORS:
        while ssh(director, "systemctl show -p NRestarts --value lvsdr-streamcheck").strip() == before[director]:
            assert time.monotonic() < deadline
            time.sleep(2)
    wait_for(0)


def test_metrics_are_for_the_director_alone(lab):
    text = ssh(DIRECTORS[0], "curl -s http://127.0.0.1:9133/metrics")
    assert 'lvsdr_server_up{server="streaming1",service="http",vip="%s"} 1.0' % VIP in text
    assert lab("router").run("curl -s -m 3 http://198.51.100.11:9133/metrics").rc != 0
