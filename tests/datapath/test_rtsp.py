"""RTSP over UDP with a real server and a real player: Debian's rtsp-server-perl, to which ffmpeg publishes, and ffmpeg for viewers.

As MediaMTX has it: a program publishes a live sound to its server. It sends each viewer's RTP and RTCP from a pair of ports above
20000. Players take nothing from any other address than that which RTSP has told them (filter_src), as a firewall or NAT at the viewer does.
"""

import contextlib
import re
import socket
import subprocess
import threading
import time

import net
import pytest
import wires
from net import DIRECTORS, SERVERS, inside
from test_modes import THREE, VIP, Fleet

RTSP, PUBLISH, MEDIA = 8554, 5545, (20000, 20199)
PLAYERS = 4
# Bytes of a second of sound.
SECOND = 8000
# Emulated CPUs are slow, and a program takes seconds to begin.
LIMIT = 60


def until(what, seconds=LIMIT):
    """What a function returns, once it is true."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.2)


def begin(name, *command, **options):
    return subprocess.Popen(["ip", "netns", "exec", name, *command], stdin=subprocess.DEVNULL, **options)


def end(processes):
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # ffmpeg waits for packets that do not come
            process.kill()
            process.wait(LIMIT)


def listens(name, port):
    with contextlib.suppress(OSError), inside(name):
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    return False


@pytest.fixture(scope="module", autouse=True)
def servers(tmp_path_factory):
    """A server of RTSP on each server, and a program that publishes a sound under the server's name."""
    logs, running = tmp_path_factory.mktemp("rtsp"), []
    for name in THREE:
        # What is published stays on the server.
        words = ["--clientport", str(RTSP), "--serverport", str(PUBLISH), "--source_listen_address", "127.0.0.1"]
        with open(logs / name, "w") as log:
            running.append(begin(name, "rtsp-server-perl", *words, stdout=log, stderr=log))
    for name in THREE:
        assert until(lambda name=name: listens(name, PUBLISH)), (logs / name).read_text()
        sound = ["-re", "-f", "lavfi", "-i", "sine=r=8000", "-c:a", "pcm_mulaw", "-metadata", "title=" + name]
        target = ["-f", "rtsp", "-rtsp_transport", "udp", "rtsp://127.0.0.1:%d/live" % PUBLISH]
        with open(logs / ("sound of " + name), "w") as log:
            running.append(begin(name, "ffmpeg", "-v", "info", *sound, *target, stderr=log))
    for name in THREE:
        log = logs / ("sound of " + name)
        assert until(lambda log=log: "Output #0, rtsp" in log.read_text()), log.read_text()
    yield
    end(running)
    for director in DIRECTORS:
        net.run("ip", "netns", "exec", director, "ipvsadm", "-C")
        net.sysctl(director, "ipv4/vs/sync_threshold", "3 50")
        net.sysctl(director, "ipv4/vs/sync_refresh_period", 0)


def homes(first):
    """A host for each player, as ffmpeg can't choose the address that RTSP comes from: {name: address}. first: the end of the first one."""
    out = {"player%d" % n: "203.0.113.%d" % n for n in range(first, first + PLAYERS)}
    for name, address in out.items():
        wires.create(name)
        net.wire(name, "viewers", "eth0", address + "/24")
        wires.gateway(name, "203.0.113.1")
    return out


def play(players, seconds=3):
    """So many more seconds of sound for each, none of them missing."""
    wanted = {player: player.bytes + seconds * SECOND for player in players}
    for player, count in wanted.items():
        assert until(lambda player=player, count=count: player.bytes >= count), (player.name, player.bytes, count, player.log.read_text())
        assert "missed" not in player.log.read_text(), player.log.read_text()


class Player:
    """ffmpeg, and what it has played so far."""

    def __init__(self, name, address, folder):
        self.name, self.address, self.bytes = name, address, 0
        self.log = folder / ("%s-%d" % (name, time.monotonic_ns()))
        words = [
            "-v",
            "info",
            "-nostats",
            "-probesize",
            "32",
            "-analyzeduration",
            "0",
            "-rtsp_transport",
            "udp",
            "-rtsp_flags",
            "filter_src",
        ]
        source = ["-i", "rtsp://%s:%d/live" % (VIP[4], RTSP)]
        with open(self.log, "w") as log:
            self.process = begin(name, "ffmpeg", *words, *source, "-c", "copy", "-f", "mulaw", "pipe:1", stdout=subprocess.PIPE, stderr=log)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while data := self.process.stdout.read1(65536):
            self.bytes += len(data)

    def server(self):
        """The name of the server, as the stream has it."""
        found = re.search(r"title +: (\w+)", self.log.read_text())
        return found and found[1]

    def sockets(self, server):
        """Those of a server with this viewer: {(protocol, own address, own port), …}."""
        text = net.run("ip", "netns", "exec", server, "ss", "-Hutn", "state", "connected", "dst", self.address)
        return {
            (found[1], found[2], int(found[3])) for found in re.finditer(r"^(tcp|udp) .*? ([0-9.]+):([0-9]+) +[0-9.]+:[0-9]+", text, re.M)
        }


def entries(player, director):
    """What a director knows of a viewer: {(protocol, port of the VIP, server), …}."""
    own = {net.address(number): name for name, number in SERVERS.items()}
    text = net.run("ip", "netns", "exec", director, "ipvsadm", "-Lnc")
    pattern = r"^(TCP|UDP) .* %s:[0-9]+ +%s:([0-9]+) +([0-9.]+):[0-9]+" % (re.escape(player.address), re.escape(VIP[4]))
    return {(found[1].lower(), int(found[2]), own[found[3]]) for found in re.finditer(pattern, text, re.M)}


def all_play(players, director, media=True):
    """media: whether the director has to know of RTP and RTCP."""
    play(players)
    for player in players:
        server = player.server()
        sockets = player.sockets(server)
        assert sorted(protocol for protocol, _address, _port in sockets) == ["tcp", "udp", "udp"], sockets
        # Sync messages take a moment.
        until(lambda player=player: entries(player, director) >= known(player, media), 20)
        found, wanted = entries(player, director), known(player, media)
        assert found >= wanted and {server for _protocol, _port, server in found} == {server}, (found, wanted)


def known(player, media):
    """What a director has to know of a viewer: RTSP, and with media RTP and RTCP, as ``entries`` has them."""
    server = player.server()
    return {(protocol, port, server) for protocol, _address, port in player.sockets(server) if media or protocol == "tcp"}


@pytest.mark.parametrize("mode", ["dr", "nat"])
def test_rtsp_over_udp(mode, tmp_path):
    """Media and RTSP are on one server, and players play on over a failover and a drain."""
    fleet = Fleet(mode, ports=["%d/tcp" % RTSP, "%d-%d/udp" % MEDIA], scheduler=None)
    players = [Player(name, address, tmp_path) for name, address in homes(120 if mode == "dr" else 130).items()]
    more = []
    try:
        all_play(players, "director1")
        assert len({player.server() for player in players}) > 1
        for player in players:
            own = VIP[4] if mode == "dr" else net.address(SERVERS[player.server()])
            assert {address for _protocol, address, _port in player.sockets(player.server())} == {own}

        # With direct routing media does not pass the director, and connections of one packet are not in the sync messages.
        for player in players:
            assert until(lambda player=player: entries(player, "director2") >= known(player, mode == "nat"), 30), player.name
        fleet.hold("director2")
        all_play(players, "director2", media=mode == "nat")

        drained = players[0].server()
        fleet.roll_out(**{drained: {"real_server_state": "drained"}})
        all_play(players, "director2", media=mode == "nat")
        more.append(Player(players[0].name, players[0].address, tmp_path))
        play(more)
        assert more[0].server() != drained
        assert {server for _protocol, _port, server in entries(more[0], "director2")} == {drained, more[0].server()}

        # RTSP still works: servers hear of the end.
        end([player.process for player in players + more])
        for player in players + more:
            assert until(lambda player=player: not player.sockets(player.server()), 20), player.sockets(player.server())
    finally:
        end([player.process for player in players + more])
