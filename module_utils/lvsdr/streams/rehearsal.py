# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The effect of a rehearsed fault on viewers, from what they (viewers.py) and a sampler of the VIP's owner noticed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.streams import messages
from ansible.module_utils.lvsdr.text import aligned

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COLUMNS = ("fault", "host", "blackout ms", "failing ms", "connections cut", "streams lost", "segments late", "owner of the VIP")


def outages(asked: list[list[Any]]) -> tuple[int, int]:
    """(blackout, failing) in ms of newcomers that asked one after the other: [[begin in seconds, whether it was answered], …].

    blackout: the longest period in which no new viewer was served; failing: from the first newcomer who was not served to the first one
    served after the last such. Both are 0 where every newcomer was served.
    """
    blackout = 0.0
    began: float | None = None
    first: float | None = None
    end: float | None = None
    for begin, good in sorted(asked):
        if not good:
            began = begin if began is None else began
            first = begin if first is None else first
        elif began is not None:
            blackout, began, end = max(blackout, begin - began), None, begin
    if began is not None:  # it lasted to the end
        end = max(begin for begin, _good in asked)
        blackout = max(blackout, end - began)
    return round(1000 * blackout), round(1000 * (end - first)) if first is not None and end is not None else 0


def spans(samples: Sequence[Sequence[Any]], names: dict[str, str]) -> list[dict[str, Any]]:
    """The owners of a VIP, one after the other: [{"owners": [name, …], "seconds", "samples"}, …].

    samples: [[seconds, [mac, …]], …] of one VIP; names: {mac: host}.
    """
    out: list[dict[str, Any]] = []
    for at, macs in samples:
        owners = sorted(names.get(mac, mac) for mac in macs)
        if not out or out[-1]["owners"] != owners:
            if out:
                out[-1]["seconds"] = round(at - out[-1].pop("from"), 1)
            out.append({"owners": owners, "from": at, "samples": 0})
        out[-1]["samples"] += 1
    if out:
        out[-1]["seconds"] = round(samples[-1][0] - out[-1].pop("from"), 1)
    return out


def row(
    watched: dict[str, Any], fault: str, host: str, sampled: dict[str, Any], names: dict[str, str], differences: Any, daemons: Any
) -> dict[str, Any]:
    """One fault's row of the table, as a dict.

    watched: what viewers.watch returned; sampled: {vip: samples}; names: {mac: host}; differences: between the directors' tables once all
    was well again; daemons: {director: the sync daemons then, as ipvs_info returns them}.
    """
    blackout, failing = outages(watched["asked"])
    players, downloads = watched["players"], watched["downloads"]
    owners = {vip: spans(samples, names) for vip, samples in sampled.items()}
    return {
        "fault": fault, "host": host, "blackout_ms": blackout, "failing_ms": failing,
        "newcomers": len(watched["asked"]), "not_served": sum(not good for _begin, good in watched["asked"]),
        "streams": len(players) + len(downloads),
        "streams_lost": sum(bool(one.get("lost")) for one in players + downloads),
        "connections_cut": sum(len(one["cuts"]) for one in downloads),
        "wrong_blocks": sum(one["wrong_blocks"] for one in downloads),
        "longest_pause_ms": round(1000 * max([one["longest_pause"] for one in downloads] or [0])),
        "segments": sum(one.get("segments", 0) for one in players),
        "segments_late": sum(one.get("stalls", 0) + one.get("jumps", 0) for one in players),
        "owners": owners,
        "differences": differences, "sync_daemons": daemons,
        "several_owners": sum(span["samples"] for vip in owners for span in owners[vip] if len(span["owners"]) > 1),
        "not_served_at": [round(begin - watched["asked"][0][0], 2) for begin, good in watched["asked"] if not good],
        "details": {"downloads": downloads, "players": players},
    }  # fmt: skip


def owner_words(found: Iterable[dict[str, Any]]) -> str:
    """``director1, nobody 3.1 s, director2`` of spans."""
    words = []
    for span in found:
        if not span["owners"]:
            words.append("nobody %.1f s" % span["seconds"])
        elif len(span["owners"]) > 1:
            words.append("%s at once %.1f s" % (" and ".join(span["owners"]), span["seconds"]))
        else:
            words.append(span["owners"][0])
    return ", ".join(words)


LEGEND = (
    "blackout ms: the longest period in which no new viewer was served",
    "failing ms: from the first new viewer that was not served until new viewers were served again",
    "connections cut: running downloads whose connection broke; each continued on another one, as players do",
    "streams lost: downloads and players that could not continue",
    "segments late: segments that arrived when a player had nothing left to show",
    "owner of the VIP: the hosts that answered for it, one after the other",
)


def unplayable(watched: dict[str, Any]) -> list[str]:
    """Why the viewers of a rehearsal can't watch, in sentences, from a watch in which nothing broke; empty where all played."""
    out = []
    missed = sum(not good for _begin, good in watched["asked"])
    if missed:
        out.append(messages.NEWCOMERS_NOT_SERVED(missed=missed, number=len(watched["asked"])))
    for kind, found in (("download", watched["downloads"]), ("player", watched["players"])):
        reasons = dict.fromkeys(str(one["lost"]) for one in found if one.get("lost"))
        reasons.update(dict.fromkeys(text for one in found for text in one.get("cuts", ())))
        if reasons:
            out.append(messages.VIEWER_FAILED(kind=kind, why="; ".join(list(reasons)[:2])))
        elif any(not one.get("bytes") for one in found):
            trouble = next((one["trouble"] for one in found if one.get("trouble")), None)
            out.append(messages.VIEWER_GOT_NOTHING(kind=kind, why=": %s" % trouble if trouble else ""))
    return [str(line) for line in out]


def table(rows: Iterable[dict[str, Any]]) -> list[str]:
    """The rows as lines of text, and what their columns mean."""
    lines = [COLUMNS]
    for one in rows:
        owners = list(dict.fromkeys(owner_words(found) for found in one["owners"].values()))
        lines.append(
            (
                one["fault"], one["host"], str(one["blackout_ms"]), str(one["failing_ms"]), str(one["connections_cut"]),
                "%d of %d" % (one["streams_lost"], one["streams"]), "%d of %d" % (one["segments_late"], one["segments"]), "; ".join(owners),
            )
        )  # fmt: skip
    return [*aligned(lines), "", *LEGEND]
