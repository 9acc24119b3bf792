"""A running HAProxy is brought to what its file says, without a reload where that can be."""

import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.proxies import cli, haproxy
from ansible.module_utils.lvsdr.system import in_force
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
    eventually(lambda: sum(one.connections for one in proxy.servers().values()) == 6, "each has two downloads")
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
        "set server live/origin2 state maint",
    ]
    assert proxy.who() == {"origin1", "origin3"} and {name: one.weight for name, one in proxy.servers().items()} == {
        "origin1": 30, "origin2": 10, "origin3": 10,
    }  # fmt: skip
    proxy.hosts["origin3"]["real_server_weight"] = 0
    assert proxy.bring()["operations"] == ["set server live/origin3 weight 0  # drains 0 running connections"]
    assert proxy.who() == {"origin1"}
    proxy.hosts["origin3"]["real_server_weight"] = 10
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


def test_one_that_leaves_gets_nobody_who_sticks_to_it_and_one_that_comes_has_a_cookie(proxy):
    proxy.members, proxy.service["sticky"] = ["origin1", "origin2"], {"cookie": "LVSDR"}
    running(proxy)
    proxy.members = ["origin1", "origin2", "origin3"]
    proxy.origin("origin3")
    proxy.bring()

    def ask(cookie=b""):
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n" % cookie)
            answer = b""
            while more := sock.recv(65536):
                answer += more
        head, _blank, body = answer.partition(b"\r\n\r\n")
        given = [line.partition(b": ")[2].partition(b";")[0] for line in head.split(b"\r\n") if line.lower().startswith(b"set-cookie")]
        return body.decode(), given

    found = dict(ask() for _ in range(12))
    assert set(found) == set(proxy.members)
    for name, (given,) in found.items():
        assert {ask(b"Cookie: %s\r\n" % given)[0] for _ in range(4)} == {name}, "each has a cookie, also the one that was added"
    # A viewer loads from it while it leaves.
    threads = [threading.Thread(target=lambda: proxy.get("/paced?40")) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: proxy.servers()["origin3"].connections)
    proxy.members = ["origin1", "origin2"]
    assert proxy.bring()["leaving"]
    assert "origin3" not in {ask(b"Cookie: %s\r\n" % found["origin3"][0])[0] for _ in range(9)}
    for thread in threads:
        thread.join()


def test_an_addition_that_was_interrupted_is_finished(proxy):
    proxy.members, proxy.service["health_check"] = ["origin1"], {"type": "hls", "path": "/live.m3u8"}
    proxy.origin("origin1")
    proxy.origin("origin2")
    proxy.start()
    proxy.check()
    eventually(lambda: proxy.status("origin1") == ("UP", 10))
    proxy.members = ["origin1", "origin2"]
    words = haproxy.servers_in(proxy.text())["live"]["origin2"]
    cli.run(proxy.socket, "add server live/origin2 " + " ".join(words))
    proxy.bring()
    proxy.check()
    eventually(lambda: proxy.status("origin2") == ("UP", 10), "it serves")
    assert not proxy.bring()["changed"]
    proxy.origins.pop("origin2").end()
    eventually(lambda: "DOWN" in proxy.status("origin2")[0], "and HAProxy sees its port")


def test_a_file_that_haproxy_could_not_use_is_no_configuration_in_force(proxy):
    """The process of before goes on, systemd says that the reload was done, and the next run finds out."""
    running(proxy)
    before = proxy.info("Pid")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        proxy.service["ports"] = [taken.getsockname()[1]]
        assert proxy.bring()["reload"]
        proxy.took()
        proxy.haproxy.send_signal(signal.SIGUSR2)
        time.sleep(3)
        assert proxy.info("Pid") == before
        done = proxy.bring()
        assert "has not read this file" in done["reload"][0] and not done["changed"]
        # So host_units reloads again.
        assert not Path(in_force.copy_of("haproxy", str(proxy.cfg))).exists()
    proxy.took()
    proxy.haproxy.send_signal(signal.SIGUSR2)
    eventually(lambda: proxy.info("Pid") not in ("", before), "the port is free now")
    assert proxy.bring()["reload"] == []


def test_a_chain_that_changes_is_exchanged_and_a_long_one_needs_a_reload(proxy):
    path, own = certificate(proxy.folder)
    proxy.service["tls"] = {"certificates": [str(path)]}
    proxy.origin("origin1")
    proxy.start()
    assert proxy.bring()["operations"] == []
    _other, authority = certificate(proxy.folder, "authority", file="ca.pem")
    key = path.read_text()[path.read_text().index("-----BEGIN PRIVATE") :]
    path.write_text(own.read_text() + authority.read_text() + key)
    assert "set ssl cert" in proxy.bring()["operations"][0]
    assert proxy.bring()["operations"] == []
    _other, another = certificate(proxy.folder, "another", file="ca2.pem")
    path.write_text(own.read_text() + another.read_text() + key)
    assert "set ssl cert" in proxy.bring()["operations"][0], "as many, but others"
    path.write_text(own.read_text() + authority.read_text() * 15 + key)
    done = proxy.bring()
    assert done["reload"] == ["%s is too long for the socket" % path] and not done["changed"]
    proxy.reload()
    assert proxy.bring() == {**proxy.bring(), "reload": [], "operations": []}
