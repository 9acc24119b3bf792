# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a rehearsal breaks, and how each fault is made and repaired. Pure.

Commands on a host go through a shell as root: whatever comes from the inventory is quoted.
"""

from __future__ import annotations

import posixpath
import shlex
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.lvsdr.places import NGINX_CONF, REHEARSAL_PLAYLIST

# Which host a fault is made on: a real server of the stream, the director that holds its VIP then, or the director that is powered off.
SERVER, ACTIVE, DOWN = "server", "active", "down"
# A drain takes a moment on every director, and a real server that is asked for it has to be seen for a while afterwards.
DRAIN_SECONDS = 60


@dataclass(frozen=True)
class Fault:
    """One of the things that a rehearsal does to a host and repairs again, as far as it has to be repaired."""

    name: str
    on: str
    # How long viewers watch it.
    seconds: int
    # Commands for a shell on the host.
    breaks: str = ""
    repairs: str = ""
    # Playbooks of ours, with their options, that are run from here.
    plays: tuple[str, ...] = ()
    plays_back: tuple[str, ...] = ()
    # What happens to the host's power: "off" or "on". Off is followed by on, unless the host stays off until another fault.
    power: str = ""
    stays: bool = False
    # Why it can't be made on this fleet.
    left_out: str = ""


def faults(stream: dict[str, Any], server: dict[str, Any], seconds: int, boot_seconds: int) -> tuple[Fault, ...]:
    """All of them, in the order in which they are rehearsed.

    stream: one of proofs.streams; server: the variables of its first real server.
    """
    servers = "drain_servers=%s" % stream["servers"][0]
    program = "haproxy" if stream.get("proxied") else "nginx"
    foreign = (
        "it is a proxy, and others make the playlist"
        if stream.get("proxied")
        else ""
        if server.get("streaming_server_kind") == "edge"
        else "its nginx is not of the role streaming_server"
    )
    return (
        Fault("%s stopped" % program, SERVER, seconds, breaks="systemctl stop " + program, repairs="systemctl start " + program),
        Fault("live playlist frozen", SERVER, seconds, breaks=_freeze(stream), repairs=_thaw(), left_out=foreign),
        Fault(
            "server drained", SERVER, max(seconds, DRAIN_SECONDS),
            plays=("drain.yml", "-e", servers, "-e", "drain_seconds=5"), plays_back=("undrain.yml", "-e", servers),
        ),
        Fault("server powered off", SERVER, seconds, power="off"),
        Fault("keepalived killed", ACTIVE, seconds, breaks="systemctl kill --signal=KILL keepalived"),
        Fault("keepalived restarted", ACTIVE, seconds, breaks="systemctl restart keepalived"),
        Fault("director powered off", ACTIVE, seconds, power="off", stays=True),
        Fault("director back", DOWN, boot_seconds, power="on"),
    )  # fmt: skip


def _freeze(stream: dict[str, Any]) -> str:
    """A copy of the playlist, as it is now, in the place of the moving one."""
    here = "%s://127.0.0.1%s" % (stream["base"].partition(":")[0], stream["path"])
    # nginx looks for a location without the query, and sed takes the & of a replacement for what it has found.
    location = stream["path"].partition("?")[0].replace("&", "\\&")
    frozen = 'location = "%s" { alias %s; } # rehearsal' % (location, REHEARSAL_PLAYLIST)
    script = "s|location = /healthz|%s\\n        location = /healthz|" % frozen
    return " && ".join(
        (
            _command("mkdir", "-p", posixpath.dirname(REHEARSAL_PLAYLIST)),
            _command("curl", "-sfgk", here, "-o", REHEARSAL_PLAYLIST),
            _command("sed", "-i", script, NGINX_CONF),
            "nginx -s reload",
        )
    )


def _thaw() -> str:
    back = "%s && nginx -s reload" % _command("sed", "-i", "/# rehearsal$/d", NGINX_CONF)
    return "%s; %s" % (back, _command("rm", "-rf", posixpath.dirname(REHEARSAL_PLAYLIST)))


def _command(*words: str) -> str:
    return " ".join(map(shlex.quote, words))
