"""Files of lvsdr's against the programs of each supported release, from the lab's root file systems. It needs root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import wires

CACHE = Path(os.environ.get("LAB_CACHE_DIR", "/var/cache/lvsdr-lab"))


class Release:
    """A root file system that nothing is written to, with a network of its own."""

    def __init__(self, name, folder):
        self.name, root = name, (CACHE / name).resolve()
        assert root.is_dir(), "there is no root file system of %s: run `make releases`, which builds it" % name
        script = f"""set -eu
            mount -t tmpfs tmpfs '{folder}'; mkdir '{folder}/upper' '{folder}/work' '{folder}/root'
            mount -t overlay overlay -o 'lowerdir={root},upperdir={folder}/upper,workdir={folder}/work' '{folder}/root'
            mount --bind /proc '{folder}/root/proc'; mount --rbind /dev '{folder}/root/dev'
            mkdir -p '{folder}/root/run/lvsdr/drained' '{folder}/root/run/lvsdr/streamcheck' '{folder}/root/tmp'
            echo ready; exec sleep infinity"""
        self.root = folder / "root"
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.holder.stdout.readline() == "ready\n"
        with wires.routing(self.holder.pid) as route:
            route.link("add", ifname="eth0", kind="veth", peer="peer0")
        for card, addresses in {"lo": [], "eth0": ["192.0.2.11/24"], "peer0": []}.items():
            wires.up(self.holder.pid, card, *addresses)

    def run(self, *command, stdin=None):
        """(status, all that it said) of a program of the release."""
        done = subprocess.run(
            ["nsenter", "--target", str(self.holder.pid), "--mount", "--net", "--", "chroot", str(self.root), *command],
            input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, start_new_session=True,
        )  # fmt: skip
        return done.returncode, done.stdout

    def end(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


@pytest.fixture(scope="session", params=["bookworm", "trixie"])
def release(request, tmp_path_factory):
    made = Release(request.param, tmp_path_factory.mktemp(request.param))
    yield made
    made.end()
