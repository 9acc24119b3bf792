# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What lvsdr-streamcheck is given on a director: its configuration, and its program."""

import os

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.checks.health_check import is_watched
from ansible.module_utils.lvsdr.inventory.check_paths import check_marks
from ansible.module_utils.lvsdr.inventory.hosts import host_address
from ansible.module_utils.lvsdr.places import credential, drain_file, track_file


def streamchecks(services, director, inventory, metrics_port=9133):
    """The configuration of lvsdr-streamcheck on a director: {"folder", "metrics_port", "services"}."""
    out = []
    marks = check_marks(services)
    for service in services:
        check = service["health_check"]
        if service["absent"] or not is_watched(check):
            continue
        members = []
        for destination, host in zip(service["table"]["destinations"], service["hosts"]):
            if destination.get("health_checked"):
                through = check["target"] == "vip"
                members.append(
                    {
                        "name": host, "weight": destination["weight"], "file": track_file(service, host),
                        "agent": destination["address"], "drain_file": "%s/%s" % (places.DRAINED, drain_file(host)),
                        "names": [*service["vips"], destination["address"]],
                        "address": service["vips"][0] if through else destination["address"],
                        "port": check.get("port") or destination.get("port", service["table"].get("port")),
                        "mark": marks[service["family"], destination["address"]] if through else None,
                        "own": host_address(inventory["hosts"].get(director, {}), service["family"]) if through else None,
                    }
                )  # fmt: skip
        login = {"login_credential": credential(check["login_file"])} if check.get("login_file") else {}
        out.append(
            {
                "name": service["name"], "vip": service["vips"][0], "check": {**check, **login}, "servers": members,
                "slow_start": check["slow_start"], "floor": check["floor"],
            }
        )  # fmt: skip
    files = sorted({check["login_file"] for check in (one["check"] for one in out) if check.get("login_file")})
    return {
        "folder": places.STREAMCHECK, "metrics_port": metrics_port, "services": out,
        "login_files": {credential(path): path for path in files},
    }  # fmt: skip


def program(module_utils):
    """The program's files, as host_files takes them. module_utils: the folder on the controller that holds lvsdr."""
    out = []
    for part in places.STREAMCHECK_PARTS:
        source, content = os.path.join(module_utils, part[len("ansible/module_utils/") :] + ".py"), ""
        if part.startswith("ansible/module_utils/lvsdr/"):
            with open(source, encoding="utf-8") as f:
                content = f.read()
        out.append({"path": "%s/%s.py" % (places.STREAMCHECK_PROGRAM, part), "content": content})
    return out
