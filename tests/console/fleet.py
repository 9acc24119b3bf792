"""Directors on this machine: the console and its helper as they run on a host, over a kernel in memory that a scene file describes.

What stands in: the kernel's table (tests/fakes/kernel.py, which speaks netlink bytes), the host's addresses, and keepalived, which gives a
weight of 0 to whom a file drains. Molecule's scenario ``fleet`` has all of it for real.
"""

import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.directors import console
from ansible.module_utils.lvsdr.inventory.resolve import resolve
from fakes.program import install

HERE = Path(__file__).parent
ADDRESSES = {"director1": "127.0.0.1", "director2": "127.0.0.2"}
# Real servers have addresses of this prefix, so that their counters can be read here, too.
SERVER = "127.0.%d.%d"
KEY = "0123456789abcdef" * 4
# The distribution's, with its own aiohttp and prometheus_client, as a director has them.
PYTHON = "/usr/bin/python3"


def free_port(address="127.0.0.1"):
    with socket.socket() as sock:
        sock.bind((address, 0))
        return sock.getsockname()[1]


def server_address(number):
    return SERVER % (1 + number // 200, 1 + number % 200)


def inventory(count, services=("live",), hosts=None):
    """Two directors and so many real servers; hosts: variables of some of them."""
    names = ["edge%d" % (number + 1) for number in range(count)]
    variables = {name: {"ansible_host": address} for name, address in ADDRESSES.items()}
    variables.update({name: {"ansible_host": server_address(number), "real_server_weight": 10} for number, name in enumerate(names)})
    for name, more in (hosts or {}).items():
        variables[name] = {**variables[name], **more}
    return {"groups": {"all": list(variables), "directors": list(ADDRESSES), "edges": names}, "hosts": variables}


def resolved(made, services=("live",)):
    declared = [
        {
            "name": name, "addresses": ["192.0.2.%d" % (100 + number)], "ports": [80], "scheduler": "wrr", "real_servers": "edges",
            "health_check": {"type": "hls", "path": "/live/index.m3u8", "floor": 0.5},
        }
        for number, name in enumerate(services)
    ]  # fmt: skip
    return resolve(declared, made)


class Director:
    """One of them: ``scene`` is what its kernel and its checks say, and ``show`` puts it there."""

    def __init__(self, folder, name, found, made, ports, **settings):
        self.folder, self.name = Path(folder) / name, name
        self.folder.mkdir(parents=True)
        wanted = {"port": ports[name], "actions": True, "names": [], **settings}
        self.config = console.console(found, name, made, wanted)
        self.config.update(peer_port=ports["peer"], egress_port=ports["egress"])
        self.port, self.processes = ports[name], []
        self.scene = {"addresses": [ADDRESSES[name]], "services": {}, "sync": ["master", "backup"], "keepalived": True, "checks": []}
        for service in self.config["services"]:
            servers = {one["name"]: {"weight": one["weight"], "active": 0, "counters": {}} for one in service["servers"]}
            self.scene["services"][service["key"]] = {"counters": {}, "servers": servers, "scheduler": service["scheduler"]}
            for one in service["servers"]:
                self.scene["checks"].append(check(service, one["name"]))
        for folder_name in ("drained", "kept", "console"):
            (self.folder / folder_name).mkdir()

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.port

    def show(self):
        new = self.folder / "scene.new"
        new.write_text(json.dumps(self.scene))
        new.rename(self.folder / "scene.json")

    def of(self, server, service=0):
        return self.scene["services"][self.config["services"][service]["key"]]["servers"][server]

    def start(self, program):
        self.show()
        (self.folder / "console.json").write_text(json.dumps(self.config))
        credentials = self.folder / "credentials"
        credentials.mkdir(exist_ok=True)
        (credentials / places.CONSOLE_CREDENTIAL).write_text(KEY + "\n")
        path = str(self.folder / "console.json")
        self.log = (self.folder / "log").open("ab")  # until stop()
        self.start_helper()
        environment = {"PYTHONPATH": str(program), "CREDENTIALS_DIRECTORY": str(credentials), "PATH": "/usr/bin:/bin"}
        command = [PYTHON, "-m", places.CONSOLE_MODULE, path, "--socket", str(self.folder / "helper.sock")]
        self.console = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log, cwd="/")
        self.processes.append(self.console)

    def start_helper(self):
        self.helper = subprocess.Popen([sys.executable, str(HERE / "director.py"), str(self.folder)], stdout=self.log, stderr=self.log)
        self.processes.append(self.helper)

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes = []
        self.log.close()

    def state(self):
        with urllib.request.urlopen(self.url + "/api/state", timeout=10) as answer:
            return json.load(answer)

    def server(self, name, service=0):
        return next(one for one in self.state()["services"][service]["servers"] if one["name"] == name)

    def says(self):
        return (self.folder / "log").read_text()


def check(service, server, **more):
    usual = {
        "service": service["name"], "vip": service["vips"][0], "server": server, "state": "up", "why": "2 s of new video", "drained": False,
        "agent": "", "share": 1.0, "seconds": 0.02, "checked_at": time.time(), "kept": False, "warning": "", "certificate_ends": None,
    }  # fmt: skip
    return {**usual, **more}


def program(folder):
    """The console's files as a director has them."""
    return install(folder, places.CONSOLE_PARTS)


def eventually(what, seconds=30):
    """The first true value of what(), within a ceiling that only a broken machine meets."""
    end, found = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            found = what()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("not within %d s; the last was %r" % (seconds, found))


class Counters:
    """Real servers that count what they send: `nft -j list counters` for each, on the port of their exporter."""

    def __init__(self, port, servers):
        self.port, self.servers, self.texts = port, servers, {}

    async def serve(self):
        for name, address in self.servers.items():

            async def answer(_reader, writer, name=name):
                writer.write(self.texts.get(name, b""))
                writer.close()

            await asyncio.start_server(answer, address, self.port)
