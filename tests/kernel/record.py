"""Records what ipvsadm and a real kernel say to each other, as bytes, for tests/unit/ipvs/test_recorded.py: `tests/kernel/run record`.

An nlmon interface shows every netlink message of the guest. Written to tests/fixtures/netlink.json:
``{"kernel", "ipvsadm", "family", "changes": [{"line", "request"}], "questions": [{"request", "answers"}], "text"}``, bytes in hex; the
changes are in order, and the questions are those of ``ipvsadm -Sn``, ``-Ln --daemon`` and ``-Ln --timeout`` after them.
"""

import json
import platform
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
import house as house
from ansible.module_utils.lvsdr.ipvs import codec, kernel

ETH_P_ALL, SO_RCVBUFFORCE = 3, 33
LINES = """
--set 800 100 200
-A -t 198.51.100.100:80 -s mh -p 300 -M 255.255.255.0 -b mh-port
-a -t 198.51.100.100:80 -r 198.51.100.21:80 -g -w 10
-a -t 198.51.100.100:80 -r 198.51.100.22:80 -g -w 0 -x 100 -y 50
-a -t 198.51.100.100:80 -r 198.51.100.23:80 -i -w 1 --tun-type ipip
-A -t 198.51.100.100:443 -s wlc
-a -t 198.51.100.100:443 -r 198.51.100.21:8443 -m -w 2147483647
-A -t 198.51.100.100:0 -s lblcr -p 1
-A -u 198.51.100.100:5060 -s rr -p 60 --pe sip
-A -u 198.51.100.100:53 -s sh -o -b sh-fallback,sh-port
-a -u 198.51.100.100:53 -r 198.51.100.21:53 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-a -u 198.51.100.100:53 -r 198.51.100.22:53 -i -w 1 --tun-type gre --tun-csum
-a -u 198.51.100.100:53 -r 198.51.100.23:53 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-A --sctp-service 198.51.100.100:9 -s twos
-A -f 4294967295 -s fo
-a -f 4294967295 -r 198.51.100.21:0 -g -w 1
-A -t [2001:db8:100::100]:80 -s ovf -p 300 -M 64
-a -t [2001:db8:100::100]:80 -r [2001:db8:100::21]:80 -g -w 1
-A -f 5 -6 -s mh -b mh-fallback,mh-port
-a -f 5 -6 -r [2001:db8:100::21]:0 -g -w 1
-E -t 198.51.100.100:443 -s sed
-e -t 198.51.100.100:443 -r 198.51.100.21:8443 -m -w 3
-D -t 198.51.100.100:0
-d -u 198.51.100.100:53 -r 198.51.100.23:53
--start-daemon master --mcast-interface dummy0 --syncid 7 --sync-maxlen 1400 --mcast-group 224.0.0.82 --mcast-port 8849 --mcast-ttl 3
--start-daemon backup --mcast-interface dummy0 --syncid 8 --mcast-group ff02::81
-Z -t 198.51.100.100:80
-Z
""".strip().splitlines()


def ipvsadm(*arguments):
    return subprocess.run(["ipvsadm", *arguments], capture_output=True, text=True, check=True).stdout


class Monitor:
    def __init__(self, family):
        subprocess.run("modprobe nlmon; ip link add nlmon0 type nlmon; ip link set nlmon0 up", shell=True, check=True)
        self.family = family
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        # Each datagram of a dump counts with 32 KiB, whatever is in it.
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        self.socket.bind(("nlmon0", 0))

    def seen(self, *command):
        """[(request, its answers)] of IPVS, as datagrams, while a command runs."""
        self.socket.setblocking(False)
        subprocess.run(["ipvsadm", *command], stdout=subprocess.DEVNULL, check=True)
        found = []
        while True:
            try:
                data = self.socket.recv(1 << 16)
            except BlockingIOError:
                return found
            kind, flags = next(codec.messages(data))[:2]
            if kind == self.family and flags & codec.NLM_F_REQUEST:
                found.append((data, []))
            elif kind == self.family:
                found[-1][1].append(data)


def main():
    ipvs = kernel.Ipvs()
    ipvsadm("-C")
    monitor = Monitor(ipvs.family)
    changes, questions = [], []
    for line in LINES:
        # ipvsadm asks for the version first; what changes something comes last.
        changes.append({"line": line, "request": monitor.seen(*line.split())[-1][0].hex()})
    for command in (["-Sn"], ["-Ln", "--daemon"], ["-Ln", "--timeout"]):
        for request, answers in monitor.seen(*command):
            questions.append({"request": request.hex(), "answers": [data.hex() for data in answers]})
    out = {
        "kernel": platform.release(),
        "ipvsadm": ipvsadm("--version").split()[1],
        "byteorder": sys.byteorder,
        "family": ipvs.family,
        "changes": changes,
        "questions": questions,
        "text": ipvsadm("-Sn"),
    }
    (ROOT / "tests/fixtures/netlink.json").write_text(json.dumps(out, indent=1) + "\n")
    print("recorded %d changes and %d questions" % (len(changes), len(questions)))


if __name__ == "__main__":
    main()
