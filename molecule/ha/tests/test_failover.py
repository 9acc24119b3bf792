"""The active director's power fails while viewers watch: who was connected stays so, and new ones are served again in seconds."""

import json
import subprocess
import sys
import time

import pytest
from conftest import DIRECTORS, PROJECT, REAL_SERVERS, SSH_CONFIG, VIP, playbook, ssh

SIZE = 60_000_000
# The same bytes on every server, and no two blocks alike.
MAKE = "import random, sys; sys.stdout.buffer.write(random.Random(7).randbytes(%d))" % SIZE
# The advertisement interval of the lab is 1 s; three are missed, and up to 1 s more is the lower priority's.
PROMISED = 3 * 1 + 1
# Asks for a short answer ten times a second on new connections, and says when each began and whether it was answered in time.
ASK = """
import json, socket, sys, time
end, out = time.monotonic() + float(sys.argv[2]), []
while time.monotonic() < end:
    begin = time.monotonic()
    try:
        with socket.create_connection((sys.argv[1], 80), 0.5) as s:
            s.settimeout(0.5)
            s.sendall(b"GET /healthz HTTP/1.0\\r\\n\\r\\n")
            good = s.recv(100).startswith(b"HTTP/1.1 200")
    except OSError:
        good = False
    out.append([begin, good])
    time.sleep(max(0, 0.1 - (time.monotonic() - begin)))
print(json.dumps(out))
"""


def background(host, command):
    return subprocess.Popen(
        ["ssh", "-F", SSH_CONFIG, "-o", "ServerAliveInterval=5", host, command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def power(host, state):
    done = subprocess.run(
        ["ansible-playbook", "playbooks/lab.yml", "--limit", "localhost," + host, "-e", "lab_host_state=" + state],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=PROJECT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


def holders():
    return [name for name in DIRECTORS if VIP in ssh(name, "ip -br -4 address show eth0", check=False)]


@pytest.fixture(scope="module")
def failed_over(lab):
    """The active director's power fails five seconds into everything; what the viewers had of it."""
    (active,) = holders()
    for server in REAL_SERVERS:
        ssh(server, "mkdir -p /var/lib/lvsdr/vod; python3 -c '%s' >/var/lib/lvsdr/vod/long.bin" % MAKE)
    wanted = {ssh(server, "sha256sum </var/lib/lvsdr/vod/long.bin").split()[0] for server in REAL_SERVERS}
    assert len(wanted) == 1
    ssh("viewer", "cat >/tmp/ask.py <<'EOF'\n%s\nEOF" % ASK)
    # Paced as a stream is, and long enough to be in the middle of it all.
    downloads = [background("viewer", "curl -sf --limit-rate 2M http://%s/vod/long.bin | sha256sum" % VIP) for _number in range(4)]
    asking = background("viewer", "python3 /tmp/ask.py %s 25" % VIP)
    time.sleep(5)
    power(active, "killed")
    asked = json.loads(asking.communicate(timeout=120)[0])
    sums = [download.communicate(timeout=180)[0].split()[0] for download in downloads]
    yield {"killed": active, "asked": asked, "sums": sums, "wanted": wanted}
    power(active, "started")
    # The one that is back takes over again, and then both hold the same table.
    done = playbook("playbooks/verify.yml")
    assert done.returncode == 0, done.stdout[-5000:]


def test_nobody_loses_a_stream(failed_over):
    assert failed_over["sums"] == [*failed_over["wanted"]] * 4


def test_new_viewers_are_served_again(failed_over):
    asked = failed_over["asked"]
    unanswered = [begin for begin, good in asked if not good]
    assert unanswered, "the power was off"
    blackout = max(unanswered) - min(unanswered) + 0.5
    print("blackout %.1f s" % blackout, file=sys.stderr)
    # An emulated director needs longer for everything; a native one keeps to what is promised.
    assert blackout < PROMISED + 10
    assert asked[-1][1], "and it stays so"


def test_the_other_one_holds_the_vip(failed_over, lab, ansible):
    (other,) = set(DIRECTORS) - {failed_over["killed"]}
    assert holders() == [other]
    (result,) = ansible("router", "arp_audit", vips=[VIP], interface="eth0")["results"]
    assert result["macs"] == [lab(other).check_output("cat /sys/class/net/eth0/address")]
