"""A running HAProxy is brought to what its file says, without a reload where that can be."""

import threading

import pytest
from ansible.module_utils.lvsdr.errors import LvsError
from conftest import certificate, eventually


def running(proxy):
    for name in proxy.members:
        proxy.origin(name)
    proxy.start()
    eventually(lambda: proxy.who(6) == set(proxy.members))
    return proxy.info("Pid")


def test_servers_come_and_go_without_a_reload(proxy):
    proxy.members = ["origin1", "origin2"]
    before = running(proxy)
    assert proxy.bring()["operations"] == []
    proxy.members = ["origin1", "origin2", "origin3"]
    proxy.origin("origin3")
    planned = proxy.bring(check=True)
    done = proxy.bring()
    assert done["operations"] == planned["operations"] and done["reload"] == [] and done["changed"]
    assert planned["diff"] == done["diff"]
    assert [line.split(";")[0].split()[:3] for line in done["operations"]] == [["add", "server", "live/origin3"]]
    assert proxy.who() == set(proxy.members)
    assert proxy.bring()["changed"] is False
    proxy.members = ["origin1", "origin3"]
    done = proxy.bring()
    assert "del server live/origin2" in done["operations"][0] and done["operations"][0].endswith("# keeps connections")
    assert proxy.who() == {"origin1", "origin3"} and set(proxy.servers()) == {"origin1", "origin3"}
    assert proxy.info("Pid") == before


def test_a_server_with_viewers_goes_with_the_last_of_them(proxy):
    running(proxy)
    got = {}
    threads = [threading.Thread(target=lambda n=n: got.update({n: proxy.get("/paced?40")})) for n in range(6)]
    for thread in threads:
        thread.start()
    eventually(lambda: all(one.connections for one in proxy.servers().values()), "each has a download")
    proxy.members = ["origin1", "origin2"]
    done = proxy.bring()
    assert done["leaving"] == {"live/origin3": 2} and done["operations"][0].endswith("# drains 2 running connections")
    assert proxy.who() == {"origin1", "origin2"}
    assert proxy.bring()["operations"] == [], "it leaves already"
    for thread in threads:
        thread.join()
    assert {len(body) for _status, body in got.values()} == {40 * 1024}
    assert "del server live/origin3" in eventually(lambda: proxy.bring()["operations"])[0]
    assert set(proxy.servers()) == {"origin1", "origin2"}


def test_one_that_leaves_is_taken_back(proxy):
    running(proxy)
    threads = [threading.Thread(target=lambda: proxy.get("/paced?30")) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: proxy.servers()["origin3"].connections)
    proxy.members = ["origin1", "origin2"]
    assert proxy.bring()["leaving"]
    proxy.members = ["origin1", "origin2", "origin3"]
    assert [line.split("  #")[0] for line in proxy.bring()["operations"]] == ["set server live/origin3 state ready"]
    assert proxy.who() == set(proxy.members)
    for thread in threads:
        thread.join()


def test_weights_and_addresses(proxy):
    before = running(proxy)
    proxy.hosts["origin1"]["real_server_weight"] = 30
    proxy.hosts["origin2"]["real_server_state"] = "drained"
    done = proxy.bring()
    assert [line.split("  #")[0] for line in done["operations"]] == [
        "set server live/origin1 weight 30",
        "set server live/origin2 weight 0",
    ]
    assert proxy.who() == {"origin1", "origin3"} and {name: one.weight for name, one in proxy.servers().items()} == {
        "origin1": 30, "origin2": 0, "origin3": 10,
    }  # fmt: skip
    proxy.hosts["origin2"] = {"ansible_host": "127.0.1.9", "real_server_weight": 10}
    proxy.origins.pop("origin2").end()
    proxy.origin("origin2")
    done = proxy.bring()
    assert any("set server live/origin2 addr 127.0.1.9" in line for line in done["operations"])
    assert proxy.who() == set(proxy.members) and proxy.info("Pid") == before
    assert not proxy.bring()["changed"]


def test_other_lines_need_a_reload(proxy):
    running(proxy)
    proxy.service["balance"] = "leastconn"
    done = proxy.bring()
    assert done["reload"] == ["this changes: balance leastconn"] and done["operations"] == [] and not done["changed"]
    proxy.reload()
    assert proxy.bring()["reload"] == []
    proxy.service["proxy_protocol"] = True
    assert proxy.bring()["reload"] == ["live/%s is asked in another way" % name for name in proxy.members]


def test_a_certificate_is_exchanged_under_downloads(proxy):
    path, own = certificate(proxy.folder)
    proxy.service["tls"] = {"certificates": [str(path)]}
    for name in proxy.members:
        proxy.origin(name)
    proxy.start()
    eventually(lambda: proxy.get(tls=own)[0] == 200)
    first = proxy.bring()["certificates"][str(path)]
    got = {}
    threads = [threading.Thread(target=lambda n=n: got.update({n: proxy.get("/paced?60", tls=own)})) for n in range(20)]
    for thread in threads:
        thread.start()
    eventually(lambda: sum(one.connections for one in proxy.servers().values()) == 20, "all of them run")
    trusted = own.read_text()
    path, own = certificate(proxy.folder)
    assert own.read_text() != trusted
    done = proxy.bring()
    assert done["operations"] == ["set ssl cert %s; commit ssl cert %s  # keeps connections" % (path, path)]
    assert done["certificates"][str(path)]["serial"] != first["serial"]
    assert proxy.get(tls=own)[0] == 200, "the next handshake has the new one"
    for thread in threads:
        thread.join()
    assert [len(body) for _status, body in got.values()] == [60 * 1024] * 20
    assert proxy.bring()["operations"] == []
    assert "PRIVATE" not in str(done)


def test_a_certificate_that_does_not_fit_its_key_is_refused(proxy):
    path, own = certificate(proxy.folder)
    proxy.service["tls"] = {"certificates": [str(path)]}
    proxy.origin("origin1")
    proxy.start()
    other, _own = certificate(proxy.folder, file="other.pem")
    key = path.read_text().partition("-----BEGIN PRIVATE KEY-----")[2]
    path.write_text(_own.read_text() + "-----BEGIN PRIVATE KEY-----" + key)
    with pytest.raises(LvsError) as caught:
        proxy.bring()
    assert caught.value.line.id == "certificate-unusable" and key[10:50] not in str(caught.value) + str(caught.value.details)
    assert proxy.get(tls=own)[0] in (200, 503), "the former one still counts"
    path.write_text("nothing")
    with pytest.raises(LvsError):
        proxy.bring()


def test_nothing_is_done_where_none_runs(proxy):
    done = proxy.bring()
    assert done["running"] is False and done["operations"] == [] and not done["changed"]
