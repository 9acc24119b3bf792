# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which home-made fix of the ARP problem a host has, and why it does or does not work. Pure.

Every sentence here is a row of the table in docs/arp-problem.md, and tests/netns/test_truth_table.py shows it on the wire.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.arp import placement, settings

if TYPE_CHECKING:
    from collections.abc import Collection


def find_vips(addresses: list[placement.Place]) -> list[str]:
    """What looks like a VIP on a host: single addresses anywhere, and whatever else is on lo beside loopback's own. In order.

    addresses: placement.Places. Of a route only one to a single address is among them.
    """
    out: list[str] = []
    for place in addresses:
        parsed = ipaddress.ip_address(place.address)
        single = place.length == parsed.max_prefixlen
        if not parsed.is_loopback and (single or place.interface == "lo" and not place.route) and place.address not in out:
            out.append(place.address)
    return out


def recognise(vip: str, conf: dict[str, dict[str, int]], addresses: list[placement.Place], unasked: Collection[str] = ()) -> dict[str, Any]:
    """{"vip", "recipe", "works", "why", "text"} of one VIP on a host as it is.

    conf: as in settings.py, with ``lo`` besides. addresses: placement.Places. unasked: interfaces on which no host can ask, though they
    speak ARP.
    works is None where the VIP is not there.
    """
    found = [place for place in addresses if place.has(vip)]
    if not found:
        return _said(vip, "none", None, "the VIP is not on this host: packets that a director passes on to it are dropped")
    conf = {name: values for name, values in conf.items() if name not in unasked}
    scopes = [place.scope for place in found if not place.route]
    owners = [place for place in found if place.interface != "lo" and not place.route and place.heard]
    for place in owners:
        if place.up and (":" in vip or _answers(conf, place.interface, True, scopes)):
            return _said(
                vip, "VIP on the network card", False,
                "%s owns it, and answers for its own addresses whatever the settings are; it belongs on lo" % place.interface,
            )  # fmt: skip
    cut = [place for place in found if placement.cuts_off(place, addresses)]
    if cut:
        # It may be there twice, and the shorter prefix is the one that harms.
        shortest = min(cut, key=lambda place: place.length)
        recipe = "VIP in a local route to %s/%d" % shortest[1:3] if shortest.route else "VIP as /%d on lo" % shortest.length
        return _said(
            vip, recipe, False, "the whole subnet becomes local to lo: this host no longer reaches its neighbours, the router among them"
        )
    said = _elsewhere6(vip, found) if ":" in vip else _settings(vip, conf, scopes, found)
    down = [place.interface for place in owners if not place.up]
    if down and said["works"]:
        return _said(vip, said["recipe"], True, "silent now, but %s owns it, and answers as soon as it is up; it belongs on lo" % down[0])
    return said


def _elsewhere6(vip: str, found: list[placement.Place]) -> dict[str, Any]:
    """The same of an IPv6 VIP that no card owns."""
    place = min(found, key=lambda place: place.length)
    if place.route:
        recipe, what = "IPv6 VIP%s" % _where(found), "an address that a route makes local"
    else:
        recipe, what = "IPv6 VIP as /%d on %s" % (place.length, place.interface), "an address on %s" % place.interface
    return _said(vip, recipe, True, "%s is not a target of neighbour discovery on another interface" % what)


def _where(found: list[placement.Place]) -> str:
    """What a recipe says of a VIP that is not on lo, behind its name."""
    if any(place.interface == "lo" and not place.route for place in found):
        return ""
    place = found[0]
    return ", VIP in a local route" if place.route else ", VIP on %s" % place.interface


def _answers(conf: dict[str, dict[str, int]], card: str, on_card: bool, scopes: list[str]) -> bool:
    if card not in conf:
        return on_card
    return settings.answers(max(conf["all"]["arp_ignore"], conf[card]["arp_ignore"]), on_card, scopes)


def _said(vip: str, recipe: str, works: bool | None, why: str) -> dict[str, Any]:
    verdict = {True: "works", False: "does not work", None: "is not held"}[works]
    return {"vip": vip, "recipe": recipe, "works": works, "why": why, "text": "%s: %s %s: %s" % (vip, recipe, verdict, why)}


def _settings(vip: str, conf: dict[str, dict[str, int]], scopes: list[str], found: list[placement.Place]) -> dict[str, Any]:
    """The same of an IPv4 VIP that no card owns: the settings decide."""
    everywhere, cards = conf["all"], [name for name in conf if name not in ("all", "default", "lo")]

    def effective(card: str, setting: str) -> int:
        return max(everywhere[setting], conf[card][setting])

    # Of several scopes the one that 3 answers for decides; in a route alone an address has none.
    scope = next((scope for scope in scopes if scope != "host"), scopes[0] if scopes else None)
    recipe, hint = _ignore_recipe(conf, cards, scope)
    recipe += _where(found)
    answers = [card for card in cards if _answers(conf, card, False, scopes)]
    if answers:
        return _said(vip, recipe, False, "%s: %s answers for the VIP" % (hint, " and ".join(answers)))
    poisons = [card for card in cards if not settings.good("arp_announce", effective(card, "arp_announce"))]
    if poisons:
        return _said(
            vip, recipe + ", arp_announce %d" % max(effective(card, "arp_announce") for card in poisons), False,
            "%s stays silent when asked, but names the VIP as the sender of its own requests, which poisons the neighbours' caches; "
            "only arp_announce 2 is clean" % " and ".join(poisons),
        )  # fmt: skip
    strict = [card for card in cards if not settings.good("rp_filter", effective(card, "rp_filter"))]
    if strict:
        return _said(
            vip, recipe + ", strict rp_filter", False,
            "%s drops packets whose way back leads over another interface; 0 or 2 lets them in" % " and ".join(strict),
        )  # fmt: skip
    if not settings.good("arp_ignore", max(everywhere["arp_ignore"], conf["default"]["arp_ignore"])):
        return _said(vip, recipe, True, "silent on every interface there is, but not on one that comes later")
    return _said(vip, recipe, True, "silent on every interface, and its own requests never name the VIP")


def _ignore_recipe(conf: dict[str, dict[str, int]], cards: list[str], scope: str | None) -> tuple[str, str]:
    """(name of the recipe that arp_ignore shows, what is to be known of it)."""
    value = conf["all"]["arp_ignore"]
    own = [card for card in cards if conf[card]["arp_ignore"]]
    if value or own:
        place = "conf.all" if value else "conf.%s" % own[0]
        number = value or conf[own[0]]["arp_ignore"]
        larger = [card for card in own if value and conf[card]["arp_ignore"] > value]
        if larger:
            place, number = "conf.all.arp_ignore=%d and conf.%s" % (value, larger[0]), conf[larger[0]]["arp_ignore"]
        recipe = "%s.arp_ignore=%d" % (place, number)
        if scope == "host":
            recipe += ", VIP with scope host"
        if number == 3 and scope:
            return recipe, "arp_ignore 3 is silent for addresses of scope host alone, and the VIP has scope %s" % scope
        return recipe, "the kernel takes the larger of conf.all and the interface's own value, and that is not 1, 2 or 8 everywhere"
    if conf["lo"]["arp_ignore"]:
        return "only conf.lo.arp_ignore=%d" % conf["lo"]["arp_ignore"], (
            "questions arrive on a network card, and the kernel takes the larger of conf.all and that card's own value; lo's plays no role"
        )
    if conf["default"]["arp_ignore"]:
        return "only conf.default.arp_ignore=%d" % conf["default"]["arp_ignore"], "it counts for interfaces that come later alone"
    if scope == "host":
        return "VIP with scope host", "with arp_ignore 0 the scope plays no role"
    return "kernel defaults", "Linux answers for any address of the host on any interface"
