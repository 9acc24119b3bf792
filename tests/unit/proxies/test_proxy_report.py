"""What proxies hold, as a table, and which of their real servers can be drained."""

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.inventory import resolve
from ansible.module_utils.lvsdr.proxies import drains, info, report
from said import id_of

from inventories import GONE, VIP, inventory

STAT = """# pxname,svname,scur,bin,bout,status,weight,rate,last_chk,last_agt
live,FRONTEND,3,1,2,OPEN,,,,
live,origin1,3,10,20,UP,10,1,,via agent : up
live,origin2,0,0,0,DOWN (agent),10,0,Connection refused,"via agent : down (the playlist, says it, has not changed)"
live,origin3,0,0,0,DOWN 1/2,10,0,Connection refused,
live,BACKEND,3,1,2,UP,20,1,,
"""
HOSTS = {name: {"ansible_host": "192.0.2.%d" % n} for n, name in enumerate(("edge1", "edge2", "origin1", "origin2", "origin3"), 31)}
GROUPS = {"edges": ["edge1", "edge2"], "origins": ["origin1", "origin2", "origin3"], "web": GONE, "directors": ["director1"]}
SERVICE = {
    "name": "live", "mode": "proxy", "proxies": "edges", "addresses": [VIP], "ports": [80], "real_servers": "origins",
    "health_check": {"type": "hls", "path": "/live.m3u8"},
}  # fmt: skip


def found(service=SERVICE, hosts=None):
    made = inventory({**HOSTS, **(hosts or {})}, GROUPS)
    return resolve.resolve([{name: value for name, value in service.items() if value is not None}], made), made


def held(expires="Dec 30 2026", **more):
    certificates = {"/a.pem": {"subject": "/CN=a", "expires": expires, "serial": "1", "fingerprint": "F"}}
    return {"running": True, "servers": info.servers(STAT), "certificates": certificates, "weight_files": [], **more}


def test_what_haproxy_prints_is_read():
    servers = info.servers(STAT)["live"]
    assert servers["origin1"] == {"status": "UP", "weight": 10, "connections": 3, "rate": 1, "in": 10, "out": 20, "why": ""}
    assert servers["origin2"]["why"] == "the playlist, says it, has not changed"
    assert (servers["origin3"]["status"], servers["origin3"]["why"]) == ("DOWN", "Connection refused")


def test_the_table():
    services, _made = found()
    head, first, second, third, blank, certificates, row = report.status(services, {"edge1": held(), "edge2": held()})
    assert "up on 2 of 2" in first and first.split()[-2:] == ["6", "2"]
    assert "down on 2 of 2" in second and "has not changed" in second and "Connection refused" in third
    assert row.split()[0] == "/a.pem" and row.endswith("all") and not blank and head and certificates
    lines = report.status(services, {"edge1": held(), "edge2": {"running": False, "servers": {}}})
    assert "up on 1 of 2, HAProxy does not answer on 1 of 2" in lines[1]
    # Two proxies with different certificates are two rows.
    lines = report.status(services, {"edge1": held(), "edge2": held("Jan 1 2027", servers={})})
    assert "missing on 1 of 2" in lines[1] and lines[-1].endswith("edge2") and lines[-2].endswith("edge1")
    assert report.status(resolve.Resolved(), {}) == []


def test_what_can_be_drained():
    services, made = found()
    assert drains.behind(services) == ["origin1", "origin2", "origin3"]
    assert drains.refused(services, made, ["origin1", "origin2"]) == []
    assert [id_of(line) for line in drains.refused(services, made, ["origin1", "origin2", "origin3"])] == ["no-origin-left"]
    # Another one is drained already, by a file on a proxy, or by the inventory.
    made["hosts"]["edge1"]["facts"] = {"seen": {"folders": {places.DRAINED_KEPT: {places.drain_file("origin3"): "x"}}}}
    assert [id_of(line) for line in drains.refused(services, made, ["origin1", "origin2"])] == ["no-origin-left"]
    services, made = found(hosts={"origin3": {"ansible_host": "192.0.2.35", "real_server_state": "drained"}})
    assert [id_of(line) for line in drains.refused(services, made, ["origin1", "origin2"])] == ["no-origin-left"]
    services, made = found({**SERVICE, "health_check": None})
    assert [id_of(line) for line in drains.refused(services, made, ["origin1"])] == ["origin-needs-check"]
    services, made = found({**SERVICE, "sorry_server": "edge9"}, {"edge9": {"ansible_host": "192.0.2.99"}})
    assert drains.refused(services, made, ["origin1", "origin2", "origin3"]) == []


def test_connections_are_those_of_all_proxies():
    assert drains.connections(["origin1", "origin3"], [held(), held()]) == 6 and drains.connections([], [held()]) == 0
