# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what each host heard and found on itself to one table of the fleet. Pure."""

from . import arp


def audit(vips, owners, names, hosts):
    """``{"clean": bool, "lines": [text]}`` of an audit from many hosts.

    hosts: ``{name: {"audit": results of arp_audit or None, "gathered": of real_server_vip or None}}``. A host does not hear itself, so the
    answers of all are put together. owners, names: {mac: host} of the directors and of all.
    """
    rows, clean = [("VIP", "ASKED FROM", "VERDICT", "WHO")], True
    for vip in vips:
        heard = [(host, result) for host, found in hosts.items() for result in found["audit"] or () if result["vip"] == vip]
        macs = list(dict.fromkeys(mac for _host, result in heard for mac in result["macs"]))
        claims = list(dict.fromkeys(mac for _host, result in heard for mac in result["claims"]))
        if not heard:
            verdict, text = "not asked", "no host that was reached has an interface in its subnet"
        else:
            verdict, text = arp.verdict(vip, macs, owners, claims, names)
        clean = clean and verdict == "one owner"
        rows.append((vip, "%d host%s" % (len(heard), "s"[: len(heard) != 1]), verdict, text))
    lines = _aligned(rows)
    rows = [("HOST", "VIP", "RECIPE", "WHY")]
    for host, found in hosts.items():
        gathered = found["gathered"]
        if found["audit"] is None and gathered is None:
            rows.append((host, "", "not reached", "see the error above"))
            clean = False
            continue
        for item in (gathered or {}).get("vips", ()):
            rows.append((host, item["vip"], item["recipe"], item["why"]))
            clean = clean and item["works"] is True
        for what in ("problems", "conflicts", "operations"):
            for sentence in (gathered or {}).get(what, ()):
                rows.append((host, "", {"operations": "site.yml would"}.get(what, what[:-1]), sentence))
                # What is applied later and overridden does no harm.
                clean = clean and what == "conflicts" and "overrides it" in sentence
    return {"clean": clean, "lines": lines + ([""] + _aligned(rows) if len(rows) > 1 else [])}


def _aligned(rows):
    """Columns of equal width; the last one is left as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return ["  ".join([cell.ljust(width) for cell, width in zip(row, widths)] + [row[-1]]).rstrip() for row in rows]
