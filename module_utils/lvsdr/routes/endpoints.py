# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read, plan, apply, read back: what the module tunnel_endpoint does on a host. IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.addresses import full_length
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.routes import lasting, messages, tunnels
from ansible.module_utils.lvsdr.system import commands, files, fou, in_force, policy, rtnetlink

if TYPE_CHECKING:
    from collections.abc import Collection

    from ansible.module_utils.lvsdr.routes.tunnels import Device, Endpoint, Port


def converge(
    endpoints: Collection[Endpoint], sources: Collection[str], vips: Collection[str], persist: bool = True, check: bool = False
) -> dict[str, Any]:
    """The module's result as a dict; LvsError where the kernel refuses something."""
    devices, ports = tunnels.devices(endpoints), tunnels.ports(endpoints)
    with rtnetlink.opened() as net:
        held, open_ports = _read(net)
        text = tunnels.rules(endpoints, sources, vips, _mtus(net, endpoints)) if endpoints else None
        steps = _steps(devices, ports, held, open_ports, text)
        lasts = lasting.Lasting(tunnels.UNIT_NAME, _texts(endpoints, text)) if persist else None
        changed = bool(steps or (lasts and lasts.something()))
        if changed and not check:
            if lasts:
                lasts.apply(lambda: _change(net, endpoints, steps, text))
            else:
                _change(net, endpoints, steps, text)
    return {
        "changed": changed,
        "devices": [device.kind for device in devices],
        "held": [device.kind for device in held],
        "steps": [words for _verb, _item, words in steps] + (lasts.steps if lasts else []),
        "diff": {"before": _shown(held, open_ports), "after": _shown(devices, ports)},
    }


def _read(net: rtnetlink.Rtnetlink) -> tuple[list[Device], list[Port]]:
    devices = [tunnels.Device(kind, address) for kind, address in policy.read_tunnels(net, tunnels.PREFIX)]
    return devices, [tunnels.Port(*one) for one in sorted(fou.read(net))]


def _mtus(net: rtnetlink.Rtnetlink, endpoints: Collection[Endpoint]) -> dict[str, int]:
    """{address of an endpoint: MTU of the link that has it}."""
    links = {link.ifindex: link for link in net.links()}
    out = {one.address: rtnetlink.USUAL_MTU for one in endpoints}
    for address in net.addresses():
        link = links.get(address.ifindex)
        if address.text in out and link and not link.name.startswith(tunnels.PREFIX):
            out[address.text] = link.mtu
    return out


def _steps(
    devices: list[Device], ports: list[Port], held: list[Device], open_ports: list[Port], text: str | None
) -> list[tuple[str, Any, str]]:
    """[(verb, item, words)] in order: the guard comes first and goes last, a port of GUE comes before nobody's device and goes after it."""
    there = in_force.look(rules=[tunnels.RULES_TABLE])["rules"][tunnels.RULES_TABLE]
    wanted = in_force.rules_digest(text) if text else None
    steps: list[tuple[str, Any, str]] = [("rules", None, "nft -f %s" % tunnels.RULES)] if text and there != wanted else []
    # A port may be somebody else's, so only those go that a device of ours used.
    mine = open_ports if held else []
    steps += [("add", port, " ".join(["ip", *port.commands()[0]])) for port in ports if port not in open_ports]
    steps += [("del", device, "ip link del %s" % device.name) for device in held if device not in devices]
    steps += [("add", one, " ".join(["ip", *one.commands()[0]])) for one in devices if one not in held]
    steps += [("del", port, "ip fou del port %d" % port.port) for port in mine if port not in ports]
    return steps + ([("no rules", None, "nft delete table %s" % tunnels.RULES_TABLE)] if there is not None and not text else [])


def _texts(endpoints: Collection[Endpoint], text: str | None) -> dict[str, str | None]:
    ip, nft, modprobe = (commands.find_command(name) or "/usr/sbin/" + name for name in ("ip", "nft", "modprobe"))
    starts = tunnels.commands(endpoints, ip, nft, modprobe)
    unit = lasting.unit_text("tunnel_endpoint", "Tunnels of directors end here", starts) if endpoints else None
    return {tunnels.RULES: text, lasting.UNIT_FOLDER + tunnels.UNIT_NAME: unit}


def _shown(devices: Collection[Device], ports: Collection[Port]) -> str:
    items: list[Device | Port] = [*ports, *devices]
    return "".join("ip %s\n" % " ".join(words) for item in items for words in item.commands())


def _change(net: rtnetlink.Rtnetlink, endpoints: Collection[Endpoint], steps: list[tuple[str, Any, str]], text: str | None) -> None:
    done: list[str] = []
    try:
        if endpoints:
            commands.run("modprobe", "-a", *tunnels.modules(endpoints))
        for verb, item, words in steps:
            _step(net, verb, item, text)
            done.append(words)
    except LvsError as error:
        error.details = {"applied": done, "not_applied": [words for _verb, _item, words in steps[len(done) :]]}
        raise
    held, _ports = _read(net)
    missing = [device.name for device in tunnels.devices(endpoints) if device not in held]
    if missing:
        raise LvsError(messages.ROUTES_NOT_IN_FORCE(what=", ".join(missing)))


def _step(net: rtnetlink.Rtnetlink, verb: str, item: Any, text: str | None) -> None:
    if verb == "rules":
        files.write_atomically(tunnels.RULES, text or "")
        commands.run("nft", "-f", tunnels.RULES)
    elif verb == "no rules":
        commands.run("nft", "delete", "table", *tunnels.RULES_TABLE.split())
    elif isinstance(item, tunnels.Port):
        fou.change(net, verb == "add", *item)
    elif verb == "add":
        policy.add_tunnel(net, item.name, item.kind, item.address)
        if ":" not in item.address:
            net.add_address(item.name, item.address, full_length(item.address))
        policy.set_up(net, item.name)
    else:
        policy.remove_link(net, item.name)
