"""A healthy fleet is broken as operators break it: the wire shows it, the audit names each place, and site.yml puts each right."""

import pytest
from conftest import VIP, playbook, ssh, why

# Reachable over IPv6 where IPv4 is what was broken.
INVENTORY = ("-i", "molecule/arp/inventory")
RESET = "sysctl -qw net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.lo.arp_ignore=0 net.ipv4.conf.all.arp_announce=0"
FOREIGN = (
    "printf 'net.ipv4.conf.all.arp_ignore = 0\\n\\nnet.ipv4.conf.all.rp_filter = 1\\n' >/etc/sysctl.d/70-hardening.conf; "
    "rm /etc/sysctl.d/zz-lvsdr.conf; sysctl -q --system 2>/dev/null; true"
)
ANSWERS, POISONS, CUT_OFF = "answers", "poisons", "cut off"
# In two rounds: name to (host, what is done to it, what the wire shows, what the audit has to say of the host).
ROUNDS = [
    {
        "sysctl reset": ("streaming1", RESET, ANSWERS, "kernel defaults"),
        "/24 on lo": ("streaming2", "ip address add %s/24 dev lo" % VIP, CUT_OFF, "VIP as /24 on lo"),
        "foreign sysctl file": ("streaming3", FOREIGN, ANSWERS, "/etc/sysctl.d/70-hardening.conf:3 sets net/ipv4/conf/all/rp_filter = 1"),
    },
    {
        "lo only": ("streaming1", RESET + " net.ipv4.conf.lo.arp_ignore=1", ANSWERS, "only conf.lo.arp_ignore=1"),
        "arp_announce 1": ("streaming2", "sysctl -qw net.ipv4.conf.all.arp_announce=1", POISONS, "arp_announce 1"),
        "VIP on the card": ("streaming3", "ip address add %s/32 dev eth0" % VIP, ANSWERS, "VIP on the network card"),
    },
]
NUMBERS = {"streaming1": "21", "streaming2": "22", "streaming3": "23", "director1": "11", "director2": "12"}
# What is left of it, for the tests that come after.
CLEAN = "rm -f /etc/sysctl.d/70-hardening.conf"


def shell(host, command):
    """Over IPv6, which reaches a server that is cut off from IPv4, too."""
    return ssh(host, command, address="2001:db8:100::" + NUMBERS[host])


def mac(host):
    return shell(host, "cat /sys/class/net/eth0/address").strip()


def answering(ansible):
    """Who the router hears for the VIP."""
    (result,) = ansible("router", "arp_audit", vips=[VIP], interface="eth0")["results"]
    return result["macs"]


def cut_off(lab, host):
    """Whether the router gets no answer from the host's own IPv4 address."""
    return lab("router").run("ping -c 2 -W 1 198.51.100.%s" % NUMBERS[host]).rc != 0


def poisons(lab, host):
    """Whether the host names the VIP when it asks for a neighbour on behalf of a socket bound to it, as an answer to a viewer may."""
    router = lab("router")
    asks_as_vip = "arp[6:2] = 1 and arp[14:4] = 0x" + "".join("%02x" % int(part) for part in VIP.split("."))
    router.check_output("timeout 20 tcpdump -l -n -e -c 1 -i eth0 '%s' >/tmp/arp.txt 2>&1 &" % asks_as_vip)
    for _attempt in range(3):
        shell(host, "ip neigh flush dev eth0; ping -c 1 -W 1 -I %s 198.51.100.1 || true" % VIP)
    return mac(host) in router.check_output("sleep 1; cat /tmp/arp.txt")


@pytest.fixture(scope="module", params=ROUNDS, ids=["first", "second"])
def broken(request, lab, ansible, active):
    """A fleet that is broken in three places at once, what the wire showed, and the audit's words."""
    wire = {}
    for host, command, _shows, _words in request.param.values():
        shell(host, command)
    leaks = set(answering(ansible)) - {mac(active)}
    for host, _command, shows, _words in request.param.values():
        wire[host] = [ANSWERS] * (mac(host) in leaks) + [CUT_OFF] * cut_off(lab, host)
        # The only one that is asked to speak: it may have spoken already.
        wire[host] += [POISONS] * (shows == POISONS and poisons(lab, host))
    yield request.param, wire, playbook("playbooks/audit.yml", *INVENTORY)
    shell("streaming3", CLEAN)


def test_the_wire_shows_it(broken):
    breakages, wire, _audit = broken
    assert wire == {host: [shows] for host, _command, shows, _words in breakages.values()}


def test_the_audit_names_it(broken):
    breakages, _wire, audit = broken
    assert audit.returncode != 0
    for host, _command, _shows, words in breakages.values():
        assert any(line.split()[:1] == [host] and words in line for line in audit.stdout.splitlines()), (words, audit.stdout[-6000:])


def test_verify_fails_of_it(broken):
    """A rollout ends with this audit: a fleet that leaks is never called a success."""
    breakages, wire, _audit = broken
    done = playbook("playbooks/verify.yml", *INVENTORY, "-e", "verify_attempts=1")
    assert any(ANSWERS in shown for shown in wire.values())
    assert done.returncode != 0 and "Require that one director alone answers ARP for each VIP" in done.stdout, why(done)


def test_site_yml_repairs_it_for_good(broken, lab, ansible, active):
    breakages, _wire, _audit = broken
    done = playbook("site.yml", *INVENTORY)
    assert done.returncode == 0, why(done)
    # The other's file is still there, and is applied again.
    shell("streaming3", "sysctl -q --system 2>/dev/null || true")
    assert answering(ansible) == [mac(active)]
    for host, _command, _shows, _words in breakages.values():
        assert not cut_off(lab, host) and not poisons(lab, host), host
    clean = playbook("playbooks/audit.yml", *INVENTORY)
    assert clean.returncode == 0, clean.stdout[-6000:]
    assert ("70-hardening.conf:1 sets net/ipv4/conf/all/arp_ignore = 0" in clean.stdout) == ("foreign sysctl file" in breakages)
