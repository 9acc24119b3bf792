"""What runs inside a namespace: a module, whose arguments come as JSON on stdin, or an asker that does not pause."""

import errno
import json
import select
import socket
import struct
import sys
import time
from pathlib import Path

ETH_P_ARP = 0x0806


def module(name):
    """A module, as Ansible would run it, with this tree's module_utils."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import conftest  # noqa: F401 - gives modules their names
    from ansible.module_utils.testing import patch_module_args

    with patch_module_args(json.load(sys.stdin)):
        __import__("ansible.modules." + name, fromlist=["main"]).main()


def ask(interface, mac, sender, target):
    """Asks who has target about a thousand times a second until stdin closes; prints how many questions went out and who answered.

    Written by itself, with nothing of lvsdr: it is what the product is judged by.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
    sock.bind((interface, ETH_P_ARP))
    sock.settimeout(0.001)
    own = bytes.fromhex(mac.replace(":", ""))
    question = b"\xff" * 6 + own + struct.pack("!HHHBBH", ETH_P_ARP, 1, 0x0800, 6, 4, 1)
    question += own + socket.inet_aton(sender) + b"\0" * 6 + socket.inet_aton(target)
    asked, answers = 0, {}
    print("begun", flush=True)
    over = False
    while True:
        if not over and select.select([sys.stdin], [], [], 0)[0]:
            over, end = True, time.monotonic() + 0.2
        if over and time.monotonic() > end:
            break
        if not over:
            sock.send(question)
            asked += 1
        try:
            frame = sock.recv(2048)
        except TimeoutError:
            continue
        if frame[20:22] == b"\0\2" and frame[28:32] == socket.inet_aton(target):
            mac = frame[22:28].hex(":")
            answers[mac] = answers.get(mac, 0) + 1
    print(json.dumps({"asked": asked, "answers": answers}))


def knock(target):
    """Connects to a port where nobody listens until stdin closes; prints how often that was refused, which is an answer, and how often
    nobody said anything."""
    refused, silent = 0, 0
    print("begun", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        sock = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET)
        # Less than the second after which TCP would ask again, and so hide a gap.
        sock.settimeout(0.5)
        try:
            answered = sock.connect_ex((target, 9)) == errno.ECONNREFUSED
        except OSError:
            answered = False
        sock.close()
        refused, silent = refused + answered, silent + (not answered)
        time.sleep(0.0005)
    print(json.dumps({"refused": refused, "silent": silent}))


if __name__ == "__main__":
    {"module": module, "ask": ask, "knock": knock}[sys.argv[1]](*sys.argv[2:])
