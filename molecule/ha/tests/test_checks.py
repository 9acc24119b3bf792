"""Health checks see what viewers see: they take the same way, on the active director and on the one that waits."""

import time

import pytest
from conftest import DIRECTORS, VIP, ssh

SERVER, OWN = "streaming2", "198.51.100.22"


SPOOF = """
import socket, struct
own, mac = socket.inet_aton("%s"), bytes.fromhex("%s")
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 1, 0, 64, 17, 0, own, own)
total = sum(struct.unpack("!10H", head))
total = (total & 0xFFFF) + (total >> 16)
head = head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:]
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind(("eth0", 0x0800))
sock.send(mac + b"\\x02" * 6 + b"\\x08\\x00" + head + struct.pack("!HHHH", 9, 9, 8, 0))
"""


def weight(director):
    lines = ssh(director, "ipvsadm -Sn").splitlines()
    (line,) = [line for line in lines if line.startswith("-a -t %s:80 -r %s:80 " % (VIP, OWN))]
    return int(line.split()[-1])


def wait_for(wanted, seconds=90):
    """Until both directors give the server this weight."""
    deadline = time.monotonic() + seconds
    while True:
        found = {director: weight(director) for director in DIRECTORS}
        if set(found.values()) == {wanted}:
            return
        assert time.monotonic() < deadline, found
        time.sleep(1)


@pytest.mark.parametrize(
    ("breaks", "repairs"),
    [
        ("ip address del %s/32 dev lo" % VIP, "ip address add %s/32 dev lo" % VIP),
        (
            "sed -i 's/listen 80 default_server/listen %s:80 default_server/' /etc/nginx/nginx.conf && systemctl restart nginx" % OWN,
            "sed -i 's/listen %s:80 default_server/listen 80 default_server/' /etc/nginx/nginx.conf && systemctl restart nginx" % OWN,
        ),
    ],
    ids=["VIP missing", "listener on the own address alone"],
)
def test_a_server_that_answers_on_its_own_address_alone_is_taken_out(lab, breaks, repairs):
    wait_for(10)
    ssh(SERVER, breaks)
    try:
        wait_for(0)
        assert lab("router").check_output("curl -s http://%s/healthz" % OWN) == "ok", "its own address answers all the while"
    finally:
        ssh(SERVER, repairs)
    wait_for(10)


@pytest.mark.parametrize("director", DIRECTORS)
def test_nobody_on_the_link_passes_for_a_director(lab, director):
    """accept_local lets in what comes from a director's own address; the rules drop all of it but answers to checks."""
    own = lab(director).check_output("ip -br -4 address show eth0").split()[2].split("/")[0]
    count = "nft list chain inet lvsdr prerouting | grep -o 'packets [0-9]*'"
    before = int(ssh(director, count).split()[1])
    mac = lab(director).check_output("cat /sys/class/net/eth0/address")
    # Any host of the link may write any address into a frame: a UDP packet from the director to itself.
    send = SPOOF % (own, mac.replace(":", ""))
    ssh("router", "python3 - <<'EOF'\n%s\nEOF" % send)
    assert int(ssh(director, count).split()[1]) > before
