# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a running HAProxy holds, for people: the result of haproxy_info. IO."""

from __future__ import annotations

import re
from typing import Any

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.checks import listening
from ansible.module_utils.lvsdr.proxies import certificates, cli, haproxy, runtime
from ansible.module_utils.lvsdr.system import files

# What HAProxy says of a word of lvsdr-streamcheck's, around its reason.
VIA_AGENT = re.compile(r"via agent : \w+(?: \((.*)\))?")


def look(socket: str, config: str = places.HAPROXY_CFG) -> dict[str, Any]:
    """``{"running", "version", "viewers", "servers": {backend: {server: …}}, "certificates": {file: …}}``; config: HAProxy's file."""
    # Those of former processes, too, which HAProxy itself does not count.
    return {**held(socket), "viewers": listening.connections(haproxy.binds_in(files.read_text(config) or ""))}


def held(socket: str) -> dict[str, Any]:
    """The same without the viewers."""
    if not cli.runs(socket):
        return {"running": False, "version": None, "servers": {}, "certificates": {}}
    names = [line for line in cli.ask(socket, "show ssl cert").splitlines() if line.startswith("/")]
    return {
        "running": True, "version": cli.told(socket).get("Version"), "servers": servers(cli.ask(socket, "show stat")),
        "certificates": {name: certificates.held(cli.ask(socket, "show ssl cert " + name)) for name in names},
    }  # fmt: skip


def servers(stat: str) -> dict[str, dict[str, dict[str, Any]]]:
    """{backend: {server: {"status", "weight", "connections", "rate", "in", "out", "why"}}} of what ``show stat`` prints."""
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for row in runtime.rows(stat):
        if row["svname"] in ("FRONTEND", "BACKEND"):
            continue
        by_agent = VIA_AGENT.fullmatch(row.get("last_agt") or "")
        out.setdefault(row["pxname"], {})[row["svname"]] = {
            "status": row["status"].split()[0], "weight": int(row["weight"] or 0), "connections": int(row["scur"] or 0),
            "rate": int(row["rate"] or 0), "in": int(row["bin"] or 0), "out": int(row["bout"] or 0),
            "why": (by_agent and by_agent[1]) or row.get("last_chk") or "",
        }  # fmt: skip
    return out
