"""lvsdr-proxy-info behind a real HAProxy: what directors' consoles hear of a proxy, and nobody else does."""

import json
import os
import shutil
import socket
import subprocess
import time

import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.console import behind
from ansible.module_utils.lvsdr.proxies import haproxy, info_server, waf
from conftest import certificate
from fakes import program
from firewall import INSIDE_OF, eventually, free_port

CONSOLES = ["127.0.0.1", "127.0.0.2"]
FOUND = {
    "client_ip": "203.0.113.7", "time_stamp": time.strftime("%c"), "request": {"uri": "/search/x?q=1"}, "response": {"http_code": 403},
    "messages": [
        {"message": "SQL Injection", "details": {"ruleId": "942100", "data": "found within ARGS:q: x", "match": ""}},
        {"message": "", "details": {"ruleId": str(waf.NAMES_SERVICE), "data": "live", "match": ""}},
    ],
}  # fmt: skip


def ask(source, port):
    """All that a proxy says to a client of this address."""
    out = b""
    try:
        with socket.create_connection(("127.0.0.1", port), 10, (source, 0)) as sock:
            while more := sock.recv(65536):
                out += more
    except ConnectionResetError:
        return b""
    return out


@pytest.fixture
def told(proxy, monkeypatch, tmp_path):
    """The proxy, which answers the consoles, and the program that does it."""
    chroot, port = tmp_path / "chroot", free_port()
    chroot.mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    for name, value in {"HAPROXY_CHROOT": str(chroot), "PROXY_INFO_SOCKET": "%s/lvsdr-info.sock" % chroot, "PROXY_INFO_PORT": port}.items():
        monkeypatch.setattr(places, name, value)
    monkeypatch.setattr(proxy, "text", lambda: haproxy.render(proxy.resolved(), "edge1", CONSOLES))
    path = program.install(tmp_path / "program", places.PROXY_INFO_PARTS)
    command = [*INSIDE_OF[proxy.version], shutil.which("python3", path="/usr/bin"), "-m", places.PROXY_INFO_MODULE]
    files = {"--socket": places.PROXY_INFO_SOCKET, "--haproxy": proxy.socket, "--log": tmp_path / "waf.json",
             "--checker": tmp_path / "track" / "status.json"}  # fmt: skip
    command += [str(word) for pair in files.items() for word in pair]
    daemon = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
    yield proxy
    daemon.terminate()
    daemon.wait(10)


def test_a_console_hears_what_a_proxy_holds(told, tmp_path):
    path, _own = certificate(tmp_path)
    told.service["tls"] = {"certificates": [str(path)]}
    told.service["health_check"] = {"type": "hls", "path": "/live.m3u8", "interval": 1, "timeout": 1}
    for name in told.members:
        told.origin(name)
    (tmp_path / "waf.json").write_text(json.dumps({"transaction": FOUND}) + "\nhalf a li\n")
    told.start()
    told.check()

    def heard(source="127.0.0.1"):
        return behind.decoded(ask(source, places.PROXY_INFO_PORT))

    def weights():
        found = heard()
        return found and {name: one["weight"] for name, one in found["servers"]["live"].items() if one["status"] == "UP"}

    eventually(lambda: weights() == dict.fromkeys(told.members, 10), "all serve with their weight", 60)
    # The status is as old as a second.
    eventually(lambda: {one["state"] for one in heard()["checks"]} == {"up"}, "their checks say so", 60)
    found = heard("127.0.0.2")
    assert found["running"] and found["checks_age"] < 30
    assert 29 < (found["certificates"][str(path)] - time.time()) / 86400 < 31
    (finding,) = found["waf"]
    assert [finding[name] for name in ("service", "rule", "requests", "refused")] == ["live", 942100, 1, 1]
    assert finding["line"] == '{rule: 942100, path: "/search/", target: "ARGS:q"}'
    # Nothing of a key, and nothing for anybody else.
    assert "PRIVATE" not in json.dumps(found)
    assert ask("127.0.0.3", places.PROXY_INFO_PORT) == b""
    told.origins["origin2"].freeze()
    eventually(lambda: set(weights()) == {"origin1", "origin3"}, "the frozen one is out", 60)
    (why,) = [one["why"] for one in heard()["checks"] if one["server"] == "origin2"]
    assert "has not changed" in why


def test_a_proxy_whose_haproxy_has_ended_says_nothing(told):
    told.start()
    assert eventually(lambda: behind.decoded(ask("127.0.0.1", places.PROXY_INFO_PORT)), "it answers")
    told.haproxy.terminate()
    told.haproxy.wait(30)
    with pytest.raises(ConnectionRefusedError):
        ask("127.0.0.1", places.PROXY_INFO_PORT)
    # The program itself goes on, and says so to who reaches it.
    time.sleep(info_server.FRESH)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(places.PROXY_INFO_SOCKET)
        assert json.loads(sock.makefile().readline())["running"] is False
    told.haproxy = None
