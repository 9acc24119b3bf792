# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a host has an address, and where it must not have a VIP. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.lvsdr.addresses import address_and_length, full_length, not_an_address, parse_address
from ansible.module_utils.lvsdr.arp import messages
from ansible.module_utils.lvsdr.errors import Problems

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ansible.module_utils.lvsdr.errors import Line


class Place(NamedTuple):
    """Where a host has an address. Its first three fields alone are a place as well: with the others as they usually are."""

    interface: str
    address: str
    length: int
    scope: str = "global"
    # The other end of a point-to-point address, whose prefix length it then is.
    peer: str | None = None
    # What `ip route` calls the route that makes the address local; then it is on no interface, and may be a whole network.
    route: str | None = None
    # Whether a frame of another host can arrive on that interface: not on a dummy, nor on a bridge without ports (system/links.py, _asked).
    heard: bool = True
    up: bool = True

    def right(self) -> bool:
        """Whether a VIP belongs there: as a single address on lo."""
        return self.interface == "lo" and self.length == full_length(self.address) and not self.peer and not self.route

    def harmless(self) -> bool:
        """Whether a VIP may stay there: only the interface that is asked for an address of its own answers in spite of the settings."""
        return not self.heard and self.length == full_length(self.address) and not self.peer and not self.route

    def has(self, vip: str) -> bool:
        if self.address == vip:
            return True
        return bool(self.route) and _inside(vip, self)


def can_hear(link: dict[str, Any]) -> bool:
    """Whether another host can ask on a link, as links.interfaces gives it."""
    speaks: bool = link.get("arp", True)
    return speaks and not link.get("unasked")


def places(links: list[dict[str, Any]]) -> list[Place]:
    """All Places of a host. links: as links.interfaces gives them."""
    out = []
    for link in links:
        heard, up = can_hear(link), link.get("up", True)
        for text in link["addresses"]:
            scope = link.get("scopes", {}).get(text, "global")
            for peer in link.get("peers", {}).get(text) or [None]:
                out.append(Place(link["name"], *address_and_length(text), scope, peer, None, heard, up))
        for words in link.get("local_routes", ()):
            out.append(Place(link["name"], *address_and_length(words.split()[1]), "host", None, words, heard, up))
    return out


def _network(place: Place) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network("%s/%d" % (place.address, place.length), strict=False)


def _inside(vip: str, place: Place) -> bool:
    return full_length(vip) == full_length(place.address) and ipaddress.ip_address(vip) in _network(place)


def cuts_off(place: Place, addresses: Sequence[tuple[Any, ...]]) -> bool:
    """Whether a place makes neighbours local to this host: a subnet on lo, or a route to what a card has a subnet of."""
    if not place.route:
        return place.interface == "lo" and place.length < full_length(place.address) and ":" not in place.address
    subnets = [item for item in (Place(*item) for item in addresses) if item.interface != "lo" and not item.route]
    return place.length < full_length(place.address) and any(
        item.length < full_length(item.address)
        and full_length(item.address) == full_length(place.address)
        and _network(item).overlaps(_network(place))
        for item in subnets
    )


def misplaced(vip: str, addresses: Sequence[tuple[Any, ...]]) -> list[Place]:
    """The Places of a VIP that are not lo, or not as a single address.

    A route to a whole network holds others as well, and stays unless it cuts the host off.
    """
    out = [place for place in (Place(*item) for item in addresses) if place.has(vip) and not place.right()]
    return [place for place in out if not place.route or place.address == vip or cuts_off(place, addresses)]


def can_move(place: tuple[Any, ...], vips: Collection[str], addresses: Sequence[tuple[Any, ...]]) -> bool:
    """Whether a VIP can be taken from a wrong place without a loss: on a card only what was added beside the host's own address."""
    place = Place(*place)
    family = full_length(place.address)
    if place.route:
        return place.length == family
    if place.interface == "lo":
        return True
    own = [
        item
        for item in (Place(*item) for item in addresses)
        if item.interface != "lo" and not item.route and full_length(item.address) == family
    ]
    return place.length == family and any(item.address not in vips for item in own)


def check_vips(vips: Collection[str], addresses: Sequence[tuple[Any, ...]], move: bool = False) -> list[tuple[int, str]]:
    """The wanted VIPs as a list of (family, text); LvsError with all that is wrong.

    addresses: the host's Places as they are. With move, a VIP in a wrong place that can be moved is not an error; one that does no
    harm there never is.
    """
    problems = Problems()
    out: list[tuple[int, str]] = []
    for index, vip in enumerate(vips):
        path = "vips[%d]" % index
        text, _slash, prefix = str(vip).partition("/")
        try:
            family, text = parse_address(text)
        except ValueError as why:
            problems.add(path, not_an_address(vip, why))
            continue
        full = full_length(text)
        if ipaddress.ip_address(text).is_loopback:
            problems.add(path, messages.VIP_IS_LOOPBACK(vip=text))
            continue
        if prefix and prefix != str(full):
            problems.add(path, messages.VIP_PREFIX_LENGTH(length=full, vip=vip))
            continue
        for place in misplaced(text, addresses):
            if not place.harmless() and not (move and can_move(place, vips, addresses)):
                problems.add(path, wrong_place(place, text))
        if (family, text) not in out:
            out.append((family, text))
    problems.raise_if_any("The VIPs can't be used on this real server")
    return out


def wrong_place(place: tuple[Any, ...], vip: str | None = None) -> Line:
    """The sentence for a VIP that is where it must not be, with the way out. vip: needed where the place is a route to a network."""
    place = Place(*place)
    interface, address, length = place[:3]
    command = removal(place_text(place))
    if place.route and length != full_length(address):
        return messages.VIP_IN_ROUTED_NETWORK(vip=vip or address, network="%s/%d" % (address, length), command=command)
    if place.route:
        return messages.VIP_IN_LOCAL_ROUTE(vip=address, command=command)
    if interface == "lo" and place.peer:
        return messages.VIP_HAS_PEER(vip=address, peer=place.peer, command=command)
    if interface == "lo" and full_length(address) == 128:
        # Measured: it cuts no host off, but the subnet's route is there twice.
        return messages.VIP_AS_SUBNET6(vip=address, length=length, command=command)
    if interface == "lo":
        return messages.VIP_AS_SUBNET(vip=address, length=length, command=command)
    if length == full_length(address):
        when = "" if place.up else " as soon as that interface is up"
        return messages.VIP_ON_INTERFACE(vip=address, interface=interface, when=when, command=command)
    return messages.VIP_WITH_SUBNET_PREFIX(vip=address, interface=interface, command=command)


def place_text(place: tuple[Any, ...]) -> str:
    """A place as `ip` takes it: ``ADDRESS/LENGTH dev INTERFACE``, or the words of a route."""
    place = Place(*place)
    if place.route:
        return place.route
    peer = "%s peer %s" % (place.address, place.peer) if place.peer else place.address
    return "%s/%d dev %s" % (peer, place.length, place.interface)


def read_place(text: str) -> Place:
    """The Place of its text (place_text), so far as that tells."""
    words = text.split()
    if words[0] == "local":
        return Place(words[3], *address_and_length(words[1]), "host", None, text)
    address, length = address_and_length(words[-3])
    if words[1] == "peer":
        return Place(words[-1], words[0], length, peer=address)
    return Place(words[-1], address, length)


def removal(text: str) -> str:
    """The command that takes an address from a place (place_text)."""
    return "ip %s del %s" % ("route" if text.startswith("local ") else "address", text)
