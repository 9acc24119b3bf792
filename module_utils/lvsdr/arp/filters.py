# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules of nftables that may keep ARP from a host, or from passing its bridges. Pure."""

from __future__ import annotations

from typing import Any


def frame_filters(ruleset: dict[str, Any], family: str) -> list[str]:
    """A sentence for each place where an nftables ruleset of a family (``bridge`` or ``arp``) may drop ARP.

    ruleset: what `nft -j list ruleset` prints, as a dict (libnftables-json(5)).
    """
    out = []
    for item in ruleset.get("nftables", []):
        chain, rule = item.get("chain"), item.get("rule")
        if chain and chain["family"] == family and chain.get("policy") == "drop":
            out.append("nftables' chain %s %s %s drops what no rule accepts" % (family, chain["table"], chain["name"]))
        if rule and rule["family"] == family and any("drop" in part for part in rule["expr"]) and _meets_arp(rule["expr"]):
            out.append("a rule of nftables' chain %s %s %s drops ARP" % (family, rule["table"], rule["chain"]))
    return list(dict.fromkeys(out))


def _meets_arp(expressions: list[dict[str, Any]]) -> bool:
    """Whether a rule may meet an ARP frame: it names no other protocol."""
    for expression in expressions:
        match = expression.get("match", {})
        left = match.get("left", {}) if isinstance(match.get("left"), dict) else {}
        payload, protocol = left.get("payload", {}), left.get("meta", {}).get("key") == "protocol"
        named = payload.get("protocol") == "ether" and payload.get("field") == "type" or protocol
        if named and match.get("op") == "==" and "arp" not in str(match.get("right")) or payload.get("protocol") in ("ip", "ip6"):
            return False
    return True
