"""What lvsdr-streamcheck says to HAProxy of each real server: verdicts, weights and drains, over agent-check on loopback."""

import signal
import socket
import threading
import time

from ansible.module_utils.lvsdr import places
from conftest import eventually

HLS = {"type": "hls", "path": "/live.m3u8", "interval": 1}


def checked(proxy, **check):
    proxy.service["health_check"] = {**HLS, **check}
    for name in proxy.members:
        proxy.origin(name)
    proxy.start()
    proxy.check()
    eventually(lambda: all(proxy.status(name) == ("UP", 10) for name in proxy.members), "each has the weight that is declared")


def newcomers(proxy, until):
    """What newcomers are answered until an event is set: 20 a second."""
    got = []
    while not until.is_set():
        got.append(proxy.get()[0])
        time.sleep(0.05)
    return got


def test_a_frozen_playlist_is_out_and_nobody_is_refused(proxy):
    checked(proxy)
    over, got = threading.Event(), []
    thread = threading.Thread(target=lambda: got.extend(newcomers(proxy, over)))
    thread.start()
    proxy.origins["origin2"].freeze()
    eventually(lambda: "DOWN" in proxy.status("origin2")[0], "it is out")
    assert proxy.who(12) == {"origin1", "origin3"}
    proxy.origins["origin2"].thaw()
    eventually(lambda: proxy.status("origin2")[0] == "UP", "it is back")
    over.set()
    thread.join()
    assert len(got) > 10 and set(got) == {200}


def test_a_drain_is_a_file_as_on_directors(proxy):
    checked(proxy)
    file = proxy.folder / "drained" / places.drain_file("origin1")
    threads = [threading.Thread(target=lambda: proxy.get("/paced?60")) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: proxy.servers()["origin1"].connections)
    file.write_text("-1\n")
    eventually(lambda: proxy.status("origin1")[0].startswith("MAINT"), "it is drained")
    assert proxy.who(12) == {"origin2", "origin3"} and proxy.servers()["origin1"].connections
    # A rollout leaves it, and what drains it.
    assert not proxy.bring()["changed"]
    file.unlink()
    eventually(lambda: proxy.status("origin1") == ("UP", 10), "it is back")
    for thread in threads:
        thread.join()


def test_weights_change_without_a_reload(proxy):
    checked(proxy)
    before = proxy.info("Pid")
    proxy.hosts["origin1"]["real_server_weight"] = 30
    done = proxy.bring()
    assert done["operations"] == [] and done["reload"] == []
    proxy.check()
    eventually(lambda: proxy.status("origin1") == ("UP", 30), "it has the new weight")
    assert proxy.info("Pid") == before


def test_a_server_is_added_and_taken_out_while_it_is_checked(proxy):
    proxy.members = ["origin1", "origin2"]
    checked(proxy)
    over, got = threading.Event(), []
    thread = threading.Thread(target=lambda: got.extend(newcomers(proxy, over)))
    thread.start()
    proxy.members = ["origin1", "origin2", "origin3"]
    proxy.origin("origin3")
    proxy.check()
    proxy.bring()
    eventually(lambda: proxy.status("origin3") == ("UP", 10), "it serves")
    proxy.members = ["origin2", "origin3"]
    proxy.bring()
    proxy.check()
    eventually(lambda: not proxy.bring()["leaving"] and set(proxy.servers()) == {"origin2", "origin3"}, "it has gone")
    proxy.members = ["origin1", "origin2", "origin3"]
    proxy.check()
    proxy.bring()
    eventually(lambda: proxy.status("origin1") == ("UP", 10), "it is back")
    over.set()
    thread.join()
    assert len(got) > 10 and set(got) == {200}


def test_all_that_freeze_at_once_stay_in(proxy):
    checked(proxy)
    for origin in proxy.origins.values():
        origin.freeze()
    time.sleep(6)
    assert {proxy.status(name)[0] for name in proxy.members} == {"UP"} and proxy.get()[0] == 200


def test_a_checker_that_ends_changes_nothing(proxy):
    checked(proxy)
    proxy.origins["origin2"].freeze()
    eventually(lambda: "DOWN" in proxy.status("origin2")[0])
    proxy.checker.send_signal(signal.SIGKILL)
    proxy.checker.wait()
    proxy.checker = None
    time.sleep(3)
    assert proxy.who(12) == {"origin1", "origin3"}
    # A closed port is HAProxy's own to notice.
    proxy.origins.pop("origin3").end()
    eventually(lambda: "DOWN" in proxy.status("origin3")[0])
    assert proxy.who(6) == {"origin1"}
    # The next one has seen nothing yet, and takes nobody out.
    proxy.check()
    eventually(lambda: proxy.status("origin2")[0].startswith("DOWN") and proxy.status("origin1")[0] == "UP")
    proxy.origins["origin2"].thaw()
    eventually(lambda: proxy.status("origin2")[0] == "UP")


def test_a_closed_port_is_no_viewers_loss(proxy):
    checked(proxy)
    proxy.origins.pop("origin1").end()
    assert {proxy.get()[0] for _ in range(12)} == {200}, "another one is asked"
    eventually(lambda: "DOWN" in proxy.status("origin1")[0])


def test_the_sorry_server_answers_when_all_are_out(proxy):
    proxy.hosts["sorry"] = {"ansible_host": "127.0.1.8"}
    proxy.service["sorry_server"] = "sorry"
    proxy.origin("sorry")
    checked(proxy, when_all_fail="out")
    for origin in proxy.origins.values():
        origin.freeze()
    eventually(lambda: proxy.get()[1] == b"sorry", "the sorry server")
    for origin in proxy.origins.values():
        origin.thaw()
    eventually(lambda: proxy.who(6) == set(proxy.members), "all are back")


def test_a_drained_server_gets_nobody_who_sticks_to_it(proxy):
    proxy.service["sticky"] = {"cookie": "LVSDR"}
    checked(proxy)
    name, cookie = stuck(proxy)
    (proxy.folder / "drained" / places.drain_file(name)).write_text("-1\n")
    eventually(lambda: proxy.status(name)[0].startswith("MAINT"), "it is drained")
    assert name not in {again(proxy, cookie) for _ in range(9)}
    (proxy.folder / "drained" / places.drain_file(name)).unlink()
    eventually(lambda: proxy.status(name)[0] == "UP")


def test_without_a_check_neither(proxy):
    """HAProxy has the drain itself then: while it runs, after a reload, and of one that is added."""
    proxy.service["sticky"] = {"cookie": "LVSDR"}
    for name in proxy.members:
        proxy.origin(name)
    proxy.start()
    eventually(lambda: proxy.who(6) == set(proxy.members))
    name, cookie = stuck(proxy)
    proxy.hosts[name]["real_server_state"] = "drained"
    assert proxy.bring()["operations"] == ["set server live/%s state maint  # drains 0 running connections" % name]
    assert name not in {again(proxy, cookie) for _ in range(9)} and not proxy.bring()["changed"]
    proxy.reload()
    assert name not in {again(proxy, cookie) for _ in range(9)} and not proxy.bring()["changed"]
    members = proxy.members
    proxy.members = [one for one in members if one != name]
    proxy.bring()
    proxy.members = members
    assert "enable server" not in proxy.bring()["operations"][0]
    assert name not in {again(proxy, cookie) for _ in range(9)} and not proxy.bring()["changed"]
    del proxy.hosts[name]["real_server_state"]
    assert proxy.bring()["operations"] == ["set server live/%s state ready  # keeps connections" % name]
    assert {again(proxy, cookie) for _ in range(9)} == {name} and not proxy.bring()["changed"]


def stuck(proxy):
    """(the real server that a new viewer has got, the cookie by which it stays there)"""
    answer = answered(proxy)
    name = answer.partition(b"\r\n\r\n")[2].decode()
    cookie = next(line for line in answer.split(b"\r\n") if line.lower().startswith(b"set-cookie"))
    return name, cookie.partition(b": ")[2].partition(b";")[0]


def again(proxy, cookie):
    return answered(proxy, b"Cookie: %s\r\n" % cookie).partition(b"\r\n\r\n")[2].decode()


def answered(proxy, lines=b""):
    """The whole answer to a request with these lines more."""
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n" % lines)
        answer = b""
        while more := sock.recv(65536):
            answer += more
    return answer


def test_a_reload_sends_no_flood_to_one_that_is_drained(proxy):
    """For a moment the new process knows of no drain: such a server is asked as often as the others then, and not more."""
    checked(proxy)
    (proxy.folder / "drained" / places.drain_file("origin3")).write_text("-1\n")
    eventually(lambda: proxy.status("origin3")[0].startswith("MAINT"), "it is drained")
    proxy.service["balance"] = "leastconn"
    assert proxy.bring()["reload"]
    proxy.reload()
    found = [proxy.get()[1] for _ in range(60)]
    eventually(lambda: proxy.status("origin3")[0].startswith("MAINT"), "it is drained again")
    assert found.count(b"origin3") <= 36, found.count(b"origin3")
    assert proxy.who(12) == {"origin1", "origin2"}
