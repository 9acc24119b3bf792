"""Asks the link all the while for a host's VIPs and for its own address, and listens to every frame that the host sends.

Runs in the lab's network namespace, on the bridge that all frames of the link pass: ``listener.py BRIDGE MAC VIP OWN VIP6 OWN6 SENDER
SENDER6``. When stdin closes it prints, as JSON, how often the host answered for its own addresses, the longest time in seconds between two
such answers, and what it said of the VIPs, which must be nothing. What it says is read here and not by lvsdr, which is what is judged.
"""

import json
import select
import socket
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "kernel"))
import house as house
from ansible.module_utils.lvsdr.arp import packets

SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1


def main(bridge, mac, vip, own, vip6, own6, sender, sender6):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind((bridge, 3))
    # A bridge shows itself what it passes between its ports only then.
    promiscuous = struct.pack("iHH8s", socket.if_nametoindex(bridge), PACKET_MR_PROMISC, 0, b"")
    sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, promiscuous)
    me = sock.getsockname()[4]
    questions = [packets.arp_request(me, sender, address) for address in (vip, own)]
    questions += [packets.neighbour_solicitation(me, sender6, address) for address in (vip6, own6)]
    host = bytes.fromhex(mac.replace(":", ""))
    asked, answers, wrong, heard_at, silence = 0, 0, [], None, 0.0
    print("begun", flush=True)
    next_time = time.monotonic()
    while True:
        ready, _, _ = select.select([sys.stdin, sock], [], [], max(0, next_time - time.monotonic()))
        if sys.stdin in ready:
            break
        if time.monotonic() >= next_time:
            next_time += 0.02
            asked += 1
            for question in questions:
                sock.send(question)
        if sock not in ready:
            continue
        frame = sock.recv(2048)
        if host not in (frame[6:12], frame[22:28]):
            continue
        kind = frame[12:14]
        if kind == b"\x08\x06":  # ARP: whoever is its sender is who the receiver notes
            address = socket.inet_ntoa(frame[28:32])
        elif kind == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136:  # neighbour advertisement
            address = socket.inet_ntop(socket.AF_INET6, frame[62:78])
        else:
            continue
        if address in (vip, vip6):
            wrong.append(frame.hex())
        elif address in (own, own6) and frame[20:22] != b"\0\1":
            now = time.monotonic()
            silence = max(silence, now - heard_at) if heard_at else 0.0
            answers, heard_at = answers + 1, now
    print(json.dumps({"asked": asked, "answers": answers, "silence": silence, "wrong": wrong[:5]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
