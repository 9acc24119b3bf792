"""VIPs change their director: by a drain nobody notices it, and a busy director keeps them."""

import time

import net
import pytest
from ansible.module_utils.lvsdr.ipvs import table
from net import Running, inside
from pair import Coming, Pair, busy


@pytest.fixture(params=[True, False], ids=["preempt", "nopreempt"])
def pair(request):
    made = Pair(director_preempt=request.param)
    made.start("director1")
    made.wait_for("director1")
    made.start("director2")
    time.sleep(2)
    yield made
    made.end()


@pytest.mark.parametrize("family", [4, 6])
def test_a_drained_director_is_not_missed(pair, family):
    streams = Running(20, family)
    assert streams.cut() == 0
    with Coming(family) as viewers:
        for drained, other in (("director1", "director2"), ("director2", "director1")):
            time.sleep(2.5)  # the sync daemons send what they have after two seconds at the latest
            pair.drain(drained)
            pair.wait_for(other)
            time.sleep(1.5)
            pair.undrain(drained)
            time.sleep(1)
    print("came", len(viewers.asked), "late", viewers.late())
    assert len(viewers.asked) > 100 and viewers.late() == []
    assert streams.cut() == 0
    streams.end()


def test_busy_directors_do_not_take_over(pair):
    with busy(4):
        time.sleep(15)
        assert pair.holds("director1") and not pair.holds("director2")
    assert pair.states("director1") == ["BACKUP", "MASTER"] and pair.states("director2") == ["BACKUP"]


def test_a_directors_power_off(pair):
    """How long it takes is what failover_bench.py measures; here it is that it comes to an end, and cuts nothing."""
    streams = Running(20)
    with Coming() as viewers:
        time.sleep(3)
        pair.power_off("director1")
        pair.wait_for("director2")
        time.sleep(3)
    assert viewers.blackout() < 10, "newcomers of that moment wait, and no others"
    assert streams.cut() == 0
    streams.end()


@pytest.mark.parametrize("family", [4, 6])
def test_a_director_without_its_services_resets_nobody(pair, family):
    """As for a moment while keepalived restarts: the VIPs are still there, and the services are gone."""
    streams = Running(20, family)
    assert streams.cut() == 0
    net.run("ip", "netns", "exec", "director1", "ipvsadm", "-C")
    for sock, _name in streams.found:
        sock.setblocking(False)
        sock.send(b"x")
    time.sleep(1)
    for sock, _name in streams.found:
        with pytest.raises(BlockingIOError):  # neither an answer nor a reset
            sock.recv(1)
    with inside("director1"):
        table.converge(pair.services.tables())
    for sock, _name in streams.found:
        sock.settimeout(60)
        assert sock.recv(1) == b"x", "it was sent again"
    assert streams.cut() == 0
    streams.end()
