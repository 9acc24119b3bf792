"""The page as a file: from one read of the directors, or from what a console knows."""

from ansible.module_utils.lvsdr.fleet import report_page
from ansible.module_utils.lvsdr.inventory.resolve import resolve

from inventories import facts, interface, inventory, service

CHECK = {"type": "hls", "path": "/live/index.m3u8"}


def made():
    hosts = {
        "director1": {"facts": {**facts(11, interface("eth1", "192.0.2.100/32")), "keepalived": {"running": "x"}}},
        "director2": {"facts": {**facts(12), "keepalived": {"running": "x"}}},
    }
    return inventory(hosts)


def info(weight=1, files=(), notes=None):
    counters = {"conns": 9, "inbytes": 5, "outbytes": 0, "cps": 2, "inbps": 1000, "outbps": 0}
    there = [{"address": "192.0.2.%d" % number, "forward": "dr", "weight": weight, "active": 3, "inactive": 0, "counters": counters}
             for number in (21, 22)]  # fmt: skip
    table = {"address": "192.0.2.100", "protocol": "tcp", "port": 80, "scheduler": "wlc", "counters": counters, "destinations": there}
    checks = [
        {"service": "live", "vip": "192.0.2.100", "server": "server1", "state": "up", "why": "2 s of video", "kept": False, "agent": "",
         "warning": "", "seconds": 0.01}
    ]  # fmt: skip
    return {
        "services": [table], "sync_daemons": [{"state": "master"}, {"state": "backup"}], "weight_files": list(files),
        "weight_notes": notes or {}, "stream_checks": checks,
    }  # fmt: skip


def test_one_read_is_enough():
    found = made()
    resolved = resolve([service(health_check=CHECK)], found)
    html = report_page.html(
        resolved, found, {"director1": {"info": info(), "state": None}, "director2": {"info": info(), "state": None}}, 1.8e9
    )
    assert "Nothing is wrong" in html and "server1" in html and "2 s of video" in html and "<script" not in html
    assert "director1</b> <span>active" in html and "director2</b> <span>standby" in html


def test_a_director_that_was_not_read_is_said():
    found = made()
    resolved = resolve([service(health_check=CHECK)], found)
    html = report_page.html(
        resolved, found, {"director1": {"info": info(), "state": None}, "director2": {"info": None, "state": None}}, 1.8e9
    )
    assert "director2 does not answer" in html


def test_notes_are_shown():
    found = made()
    resolved = resolve([service(health_check=CHECK)], found)
    name = next(one.weight_files[0] for one in resolved.services[0].servers if one.host == "server2")
    notes = {name: {"who": "anna", "why": "kernel upgrade", "since": 1.7e9}}
    one = {"info": info(files=[name], notes=notes), "state": None}
    assert "by anna: kernel upgrade" in report_page.html(resolved, found, {"director1": one, "director2": one}, 1.8e9)


def test_a_console_knows_more():
    found = made()
    resolved = resolve([service(health_check=CHECK)], found)
    other = report_page._read(resolved, found, {"director1": {"info": info(), "state": None}}, 1.8e9)
    known = {**other, "events": [[1.8e9, "server1 takes viewers"]], "actions": True}
    html = report_page.html(resolved, found, {"director1": {"info": None, "state": known}}, 1.8e9)
    assert "server1 takes viewers" in html and "<button" not in html


def test_a_console_of_the_version_before_knows_less():
    found = made()
    resolved = resolve([service(health_check=CHECK)], found)
    known = report_page._read(resolved, found, {"director1": {"info": info(), "state": None}}, 1.8e9)
    known["services"] = [{name: value for name, value in one.items() if name not in report_page.LESS} for one in known["services"]]
    assert "server1" in report_page.html(resolved, found, {"director1": {"info": None, "state": known}}, 1.8e9)
