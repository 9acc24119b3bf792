# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host is asked for before a rollout: of what virtual_services says, whatever else is wrong with it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import spelling
from ansible.module_utils.lvsdr.inventory import proxy_option, views
from ansible.module_utils.lvsdr.places import DIRECTORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def group_members(virtual_services: Any, groups: dict[str, list[str]]) -> list[str]:
    """The hosts of all real_servers groups that exist, and the sorry servers, whatever else is wrong: those that preflight reads."""
    found: dict[str, None] = {}
    for service in virtual_services if isinstance(virtual_services, list) else []:
        if proxy_option.is_proxy(service):
            # Directors are read anyway.
            name, sorry = service.get("proxies") if not proxy_option.is_one_tier(service) else None, None
        else:
            name, sorry = (service.get("real_servers"), service.get("sorry_server")) if isinstance(service, dict) else (None, None)
        members = list(groups.get(name, [])) if isinstance(name, str) else []
        if isinstance(sorry, str) and sorry in groups.get("all", []):
            members.append(sorry)
        found.update(dict.fromkeys(members))
    return list(found)


def proxies(virtual_services: Any, groups: dict[str, list[str]]) -> dict[str, list[dict[str, Any]]]:
    """{host that runs HAProxy: the services that it is declared for}, whatever else is wrong, and absent ones, too: viewers are sent there
    until directors have changed. On directors themselves HAProxy ends after keepalived has given the VIPs up."""
    out: dict[str, list[dict[str, Any]]] = {}
    for service in virtual_services if isinstance(virtual_services, list) else []:
        group = service.get("proxies") if proxy_option.is_proxy(service) else None
        if group == DIRECTORS and service.get("state") == "absent":
            continue
        for host in groups.get(group, ()) if isinstance(group, str) else ():
            out.setdefault(host, []).append(service)
    return out


def certificates_here(virtual_services: Any) -> dict[str, list[str]]:
    """{file: the names that viewers ask it for} of the certificates that site.yml takes from the controller, whatever else is wrong."""
    services = virtual_services if isinstance(virtual_services, list) else []
    return _certificates((one for one in services if proxy_option.is_proxy(one) and one.get("state") != "absent"), here=True)


def certificates_brought(services: Iterable[dict[str, Any]]) -> dict[str, str]:
    """{path on a proxy: the file on the controller that site.yml puts there} of the services that it is declared for."""
    found = certificates_here(list(services))
    return {proxy_option.path_there({"controller": path}) or "": path for path in found}


def _certificates(services: Iterable[dict[str, Any]], here: bool = False) -> dict[str, list[str]]:
    """{file: the names that viewers ask it for} of the certificates that proxies need for these services.

    Of several HAProxy chooses by that name, so only of a single one it is known that it has to be for it.
    """
    out: dict[str, list[str]] = {}
    for service in services:
        options = service.get("tls")
        found = options.get("certificates") if isinstance(options, dict) else None
        found = found if isinstance(found, list) else []
        for item in found:
            path = proxy_option.path_there(item)
            if path is not None and (isinstance(item, dict)) == here:
                path = item["controller"] if here else path
                names = [_name_of(service.get("stream"))] if len(found) == 1 else []
                out.setdefault(path, []).extend(name for name in names if name and name not in out[path])
    return out


def _name_of(stream: Any) -> str | None:
    """The name in the URL of a stream, where it is one of HTTPS."""
    url = stream.get("url") if isinstance(stream, dict) else stream
    if not isinstance(url, str) or not url.startswith("https://"):
        return None
    name = url[len("https://") :].partition("/")[0].partition(":")[0]
    return name if spelling.is_host_name(name) else None


def _checks(virtual_services: Any) -> Iterator[dict[str, Any]]:
    """The checks of all services, as far as they can be told."""
    for service in virtual_services if isinstance(virtual_services, list) else []:
        if isinstance(service, dict) and service.get("state") != "absent":
            several = service.get("checks")
            found = [service.get("health_check"), *(several if isinstance(several, list) else [])]
            yield from (check for check in found if isinstance(check, dict))


def _script_checks(virtual_services: Any) -> Iterator[dict[str, Any]]:
    """The checks that run a program on directors."""
    return (check for check in _checks(virtual_services) if check.get("type") == "script")


def scripts(virtual_services: Any) -> list[str]:
    """The programs that checks run on directors: those that preflight looks at."""
    return list(dict.fromkeys(check["path"] for check in _script_checks(virtual_services) if isinstance(check.get("path"), str)))


def accounts(virtual_services: Any) -> list[str]:
    """The accounts that these programs run as."""
    found = [check.get("user") or "nobody" for check in _script_checks(virtual_services)]
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))


def files_needed(
    virtual_services: Any, directs: bool, variables: dict[str, Any], proxied: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The files that a host has to have, as lvs_preflight takes them: on a director those of checks, what its nginx needs, and what HAProxy
    needs. proxied: the services that it runs HAProxy for."""
    found: dict[str, str] = {}
    if variables.get("streaming_server_kind") and variables.get("streaming_server_tls_listen"):
        for field, readers in (("certificate", "any"), ("certificate_key", "root")):
            if spelling.is_file(variables.get("streaming_server_" + field)):
                found[variables["streaming_server_" + field]] = readers
    key = variables.get("director_console_key_file")
    if directs and key and spelling.is_file(key):
        found[key] = "root"
    certificates = _certificates(service for service in proxied if service.get("state") != "absent")
    found.update(dict.fromkeys(certificates, "root"))
    # Directors ask proxies, and proxies the real servers.
    services = virtual_services if isinstance(virtual_services, list) else []
    asks = [proxy_option.front_of(service) if proxy_option.is_proxy(service) else service for service in services]
    for check in _checks([*(asks if directs else []), *map(proxy_option.as_asked, proxied)]):
        for field in ("verify", "login_file"):
            path = check.get(field)
            if isinstance(path, str) and spelling.is_file(path):
                found[path] = "root" if field == "login_file" else "all"
    return [
        {"path": path, "readers": readers, **({"names": certificates[path]} if path in certificates else {})}
        for path, readers in found.items()
    ]


def modules_wanted(virtual_services: Any) -> list[str]:
    """The kernel modules that the declared services need, whatever else is wrong with them."""
    pairs = []
    for service in virtual_services if isinstance(virtual_services, list) else []:
        if isinstance(service, dict) and service.get("state") != "absent":
            persistence = service.get("persistence")
            pairs.append((service.get("scheduler") or "wlc", persistence.get("engine") if isinstance(persistence, dict) else None))
    return views.modules_of(pairs)
