"""A healthy fleet is broken as operators break it: the audit names each place, and site.yml puts right what a host can repair by itself."""

import os
import subprocess

import pytest
from conftest import PROJECT, VIP

# Host, what is done to it, and what the audit has to say of it.
BREAKAGES = {
    "settings that tutorials print": (
        "streaming1",
        "sysctl -qw net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.lo.arp_ignore=1",
        "only conf.lo.arp_ignore=1",
    ),
    "arp_announce 1": (
        "streaming2",
        "sysctl -qw net.ipv4.conf.all.arp_announce=1",
        "arp_announce 1",
    ),
    "a file of somebody else's": (
        "streaming3",
        "printf 'net.ipv4.conf.all.arp_ignore = 0\\n\\nnet.ipv4.conf.all.rp_filter = 1\\n' >/etc/sysctl.d/70-hardening.conf; "
        "rm /etc/sysctl.d/zz-lvsdr.conf; sysctl -q --system 2>/dev/null; true",
        "/etc/sysctl.d/70-hardening.conf:3 sets net/ipv4/conf/all/rp_filter = 1",
    ),
}


def playbook(name):
    environment = dict(os.environ, ANSIBLE_CONFIG=str(PROJECT / "ansible.cfg"), ANSIBLE_NOCOLOR="1")
    environment.pop("ANSIBLE_FORCE_COLOR", None)
    return subprocess.run(
        ["ansible-playbook", "-i", "inventories/lab", name],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, cwd=PROJECT,
    )  # fmt: skip


def mac(lab, host):
    return lab(host).check_output("cat /sys/class/net/eth0/address")


def answering(ansible):
    """Who the router hears for the VIP."""
    (result,) = ansible("router", "arp_audit", vips=[VIP], interface="eth0")["results"]
    return result["macs"]


@pytest.fixture(scope="module")
def broken(lab):
    """The audit's words of a fleet that is broken in three places at once."""
    for host, command, _words in BREAKAGES.values():
        assert lab(host).run(command).rc == 0
    yield playbook("playbooks/audit.yml")
    lab("streaming3").run("rm -f /etc/sysctl.d/70-hardening.conf")


@pytest.mark.parametrize(("host", "command", "words"), BREAKAGES.values(), ids=BREAKAGES)
def test_the_audit_names_it(broken, host, command, words):
    assert broken.returncode != 0
    assert any(line.split()[:1] == [host] and words in line for line in broken.stdout.splitlines()), broken.stdout[-6000:]


def test_the_wire_agrees(broken, lab, ansible, active):
    leaks = {mac(lab, "streaming1"), mac(lab, "streaming3")}
    assert set(answering(ansible)) == leaks | {mac(lab, active)}
    assert all(address in broken.stdout for address in leaks)


def test_site_yml_repairs_it_for_good(broken, lab, ansible, active):
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout[-6000:]
    assert answering(ansible) == [mac(lab, active)]
    # The other's file is still there, and is applied again.
    lab("streaming3").run("sysctl -q --system 2>/dev/null")
    assert answering(ansible) == [mac(lab, active)]
    clean = playbook("playbooks/audit.yml")
    assert clean.returncode == 0 and "70-hardening.conf:1 sets net/ipv4/conf/all/arp_ignore = 0" in clean.stdout, clean.stdout[-6000:]


def test_a_vip_on_the_card_is_refused_with_the_command_that_takes_it_away(lab, ansible, active):
    server = lab("streaming2")
    server.check_output("ip address add %s/32 dev eth0", VIP)
    try:
        assert set(answering(ansible)) == {mac(lab, active), mac(lab, "streaming2")}
        found = playbook("playbooks/audit.yml")
        assert found.returncode != 0 and "VIP on the network card" in found.stdout
        refused = playbook("playbooks/preflight.yml")
        assert refused.returncode != 0 and "ip address del %s/32 dev eth0" % VIP in refused.stdout + refused.stderr
    finally:
        server.check_output("ip address del %s/32 dev eth0", VIP)
    assert answering(ansible) == [mac(lab, active)]
