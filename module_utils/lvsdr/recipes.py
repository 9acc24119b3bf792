# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which home-made fix of the ARP problem a host has, and why it does or does not work. Pure.

Every sentence here is a row of the table in docs/arp-problem.md, and tests/netns/test_truth_table.py shows it on the wire.
"""

import ipaddress

from . import arp


def find_vips(addresses):
    """What looks like a VIP on a host: single addresses anywhere, and whatever else is on lo beside loopback's own. In order."""
    out = []
    for interface, address, length, _scope in addresses:
        parsed = ipaddress.ip_address(address)
        if not parsed.is_loopback and (interface == "lo" or length == parsed.max_prefixlen) and address not in out:
            out.append(address)
    return out


def recognise(vip, conf, addresses):
    """{"vip", "recipe", "works", "why", "text"} of one VIP on a host as it is.

    conf: as in arp.py, with ``lo`` besides. addresses: ``[(interface, address, prefix length, scope)]``. works is None where the VIP is
    not there.
    """
    found = [item for item in addresses if item[1] == vip]
    if not found:
        return _said(vip, "none", None, "the VIP is not on this host: packets that a director passes on to it are dropped")
    cards = [interface for interface, *_rest in found if interface != "lo"]
    family = ipaddress.ip_address(vip)
    if cards:
        return _said(
            vip, "VIP on the network card", False,
            "%s owns it, and answers for its own addresses whatever the settings are; it belongs on lo" % cards[0],
        )  # fmt: skip
    # It may be there twice, and the shorter prefix is the one that harms.
    _interface, _address, length, scope = min(found, key=lambda item: item[2])
    if length != family.max_prefixlen and family.version == 4:
        return _said(
            vip, "VIP as /%d on lo" % length, False,
            "the whole subnet becomes local to lo: this host no longer reaches its neighbours, the router among them",
        )  # fmt: skip
    if family.version == 6:
        return _said(
            vip, "IPv6 VIP as /%d on lo" % length, True, "an address on lo is not a target of neighbour discovery on another interface"
        )
    return _settings(vip, conf, scope)


def _said(vip, recipe, works, why):
    verdict = {True: "works", False: "does not work", None: "is not held"}[works]
    return {"vip": vip, "recipe": recipe, "works": works, "why": why, "text": "%s: %s %s: %s" % (vip, recipe, verdict, why)}


def _settings(vip, conf, scope):
    """The same of an IPv4 VIP as /32 on lo: the settings decide."""
    everywhere, cards = conf["all"], [name for name in conf if name not in ("all", "default", "lo")]

    def effective(card, setting):
        return max(everywhere[setting], conf[card][setting])

    recipe, hint = _ignore_recipe(conf, cards, scope)
    # With 3 the kernel is silent for addresses of scope host alone (net/ipv4/devinet.c).
    answers = [card for card in cards if not (effective(card, "arp_ignore") == 3 and scope == "host") and not arp.good(
        "arp_ignore", effective(card, "arp_ignore"))]  # fmt: skip
    if answers:
        return _said(vip, recipe, False, "%s: %s answers for the VIP" % (hint, " and ".join(answers)))
    poisons = [card for card in cards if not arp.good("arp_announce", effective(card, "arp_announce"))]
    if poisons:
        return _said(
            vip, recipe + ", arp_announce %d" % max(effective(card, "arp_announce") for card in poisons), False,
            "%s stays silent when asked, but names the VIP as the sender of its own requests, which poisons the neighbours' caches; "
            "only arp_announce 2 is clean" % " and ".join(poisons),
        )  # fmt: skip
    strict = [card for card in cards if not arp.good("rp_filter", effective(card, "rp_filter"))]
    if strict:
        return _said(
            vip, recipe + ", strict rp_filter", False,
            "%s drops packets whose way back leads over another interface; 0 or 2 lets them in" % " and ".join(strict),
        )  # fmt: skip
    if not arp.good("arp_ignore", max(everywhere["arp_ignore"], conf["default"]["arp_ignore"])):
        return _said(vip, recipe, True, "silent on every interface there is, but not on one that comes later")
    return _said(vip, recipe, True, "silent on every interface, and its own requests never name the VIP")


def _ignore_recipe(conf, cards, scope):
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
        if number == 3:
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
