"""A small fleet as the console sees it: two directors, three real servers, one service, everything fine."""

from ansible.module_utils.lvsdr.console import state

VIP, KEY, NOW = "192.0.2.100", "tcp 192.0.2.100:80", 1_800_000_000.0
SERVERS = ("edge1", "edge2", "edge3")


def server(name, **more):
    number = SERVERS.index(name) + 21 if name in SERVERS else 29
    usual = {
        "name": name, "address": "192.0.2.%d" % number, "port": 80, "weight": 10, "drained": False, "spare": False, "fallback": False,
        "drain_file": "drained-%s" % name, "spare_file": "spare-%s" % name,
    }  # fmt: skip
    return {**usual, **more}


def config(**more):
    service = {
        "name": "live", "vips": [VIP], "ports": "tcp 80", "mode": "dr", "direct": True, "protocol": "tcp",
        "key": KEY, "scheduler": "mh", "floor": 0.5, "checked": True,
        "checks": ["live"], "counter": "s_live_0", "header": 52, "servers": [server(name) for name in SERVERS],
    }  # fmt: skip
    directors = [{"name": "director%d" % n, "address": "192.0.2.1%d" % n, "drain_file": "drained-director%d" % n} for n in (1, 2)]
    usual = {
        "director": "director1",
        "directors": directors,
        "services": [service],
        "actions": True,
        "sync": True,
        "watched": True,
        "known": [],
        "behind": [],
        "proxies": [],
    }
    return {"known": [], **usual, **more}


def check(name, **more):
    usual = {
        "service": "live", "vip": VIP, "server": name, "state": "up", "why": "2 s of new video", "drained": False, "agent": "",
        "share": 1.0, "seconds": 0.02, "checked_at": NOW, "kept": False, "warning": "", "certificate_ends": None,
    }  # fmt: skip
    return {**usual, **more}


def look(made, active=False, weights=(), files=(), checks=None, **more):
    """What a director holds. weights: {server: other than declared, None for not in the table}; files: {name: note}."""
    weights, files = dict(weights), dict(files)
    counters = {"conns": 100, "inbytes": 5000, "outbytes": 0, "cps": 3, "inbps": 700, "outbps": 0}
    services = {}
    for service in made["services"]:
        there = {}
        for one in service["servers"]:
            taken = {one["drain_file"], one["spare_file"]} & set(files)
            weight = weights.get(one["name"], 0 if taken or one["fallback"] else one["weight"])
            if weight is not None:
                held = {"address": one["address"], "port": one["port"], "weight": weight, "active": 4, "inactive": 1, "counters": counters}
                there[one["address"], one["port"]] = held
        services[service["key"]] = {
            "words": service["key"], "scheduler": service["scheduler"], "counters": counters, "destinations": there
        }  # fmt: skip
    usual = {
        "at": NOW, "config": "d1", "services": services, "sync": ["backup", "master"], "files": files, "keepalived": True,
        "checks": [check(name) for name in SERVERS] if checks is None else checks, "checks_age": 0.5,
        "addresses": ["192.0.2.11", *([VIP] if active else [])],
    }  # fmt: skip
    return {**usual, **more}


def both(made, **more):
    """The looks of an active and a standby director that hold the same."""
    return {"director1": look(made, active=True, **more), "director2": look(made, **more)}


def seen(made, looks, egress=(), now=NOW):
    return state.state(made, looks, dict(egress), now)
