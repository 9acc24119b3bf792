"""A drained server gets no new viewer, also none that persistence ties to it, and keepalived's configuration stays as it is."""

import time

from conftest import DIRECTORS, ssh, why
from scenario import run
from test_all_fail import RADIO, ask, wait_for, weights

RELOADS = "journalctl -u keepalived | grep -c Reload || true"
PLACE = "sha256sum /etc/keepalived/keepalived.conf; systemctl show -p MainPID --value keepalived; " + RELOADS


def server():
    return ask(RADIO, "/healthz")[1]


def all_take_viewers(radio, page):
    return 0 not in radio.values()


def test_a_persistent_client_moves(lab):
    """The service keeps a client for 300 s (expire_quiescent_template)."""
    wait_for(all_take_viewers)
    (first,) = {server() for _try in range(5)}
    before = [ssh(director, PLACE) for director in DIRECTORS]
    address = "198.51.100.2" + first[-1]
    # The directors alone, as where a real server can't be reached.
    done = run("playbooks/drain.yml", "--limit", "directors", "-e", "drain_servers=" + first, "-e", "drain_seconds=5")
    try:
        assert done.returncode == 0, why(done)
        for director in DIRECTORS:
            assert weights(director, RADIO)[address] == 0
        (second,) = {server() for _try in range(5)}
        assert second != first
        # It stays so over whatever happens to keepalived.
        ssh("director2", "systemctl restart keepalived")
        time.sleep(10)
        assert weights("director2", RADIO)[address] == 0
    finally:
        done = run("playbooks/undrain.yml", "--limit", "directors", "-e", "drain_servers=" + first)
    assert done.returncode == 0, why(done)
    wait_for(all_take_viewers, 60)
    assert ssh("director1", PLACE) == before[0], "no other configuration, and no reload"
    # The other one was restarted by this test, which is not a reload either.
    checksum, _pid, reloads = ssh("director2", PLACE).splitlines()
    assert [checksum, reloads] == before[1].splitlines()[::2]
