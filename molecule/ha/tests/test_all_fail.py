"""All servers fail their check at once: a floor keeps some in, a sorry server answers where one is declared."""

import time

import pytest
from conftest import DIRECTORS, REAL_SERVERS, ssh

RADIO, PAGE = "198.51.100.101", "198.51.100.102"
# Of three servers with a floor of 0.5.
STAY = 2
BREAK = "sed -i 's|return 200 \"ok|return 503 \"no|' /etc/nginx/nginx.conf && nginx -s reload"
REPAIR = "sed -i 's|return 503 \"no|return 200 \"ok|' /etc/nginx/nginx.conf && nginx -s reload"


def weights(director, vip):
    lines = [line.split() for line in ssh(director, "ipvsadm -Sn").splitlines() if line.startswith("-a -t %s:80 " % vip)]
    return {words[4].split(":")[0]: int(words[-1]) for words in lines}


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while True:
        found = {director: (weights(director, RADIO), weights(director, PAGE)) for director in DIRECTORS}
        if all(condition(*one) for one in found.values()):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(2)


def servers(radio, page):
    return [server for server, weight in radio.items() if weight], [server for server, weight in page.items() if weight]


def all_in(radio, page):
    return servers(radio, page) == (sorted(radio), [server for server in page if server != "198.51.100.31"]) and len(radio) == 3


def ask(vip, path):
    """(status, name of the server) as a viewer is answered."""
    first, *lines = ssh("viewer", "curl -s -m 5 -D - -o /dev/null http://%s%s" % (vip, path)).splitlines()
    (server,) = [line.split()[-1] for line in lines if line.lower().startswith("x-served-by:")]
    return first.split()[1], server


@pytest.fixture(scope="module")
def all_fail(lab):
    wait_for(all_in)
    for server in REAL_SERVERS:
        ssh(server, BREAK)
    try:
        yield wait_for(lambda radio, page: len(servers(radio, page)[0]) == STAY and servers(radio, page)[1] == ["198.51.100.31"])
    finally:
        for server in REAL_SERVERS:
            ssh(server, REPAIR)
        wait_for(all_in)


def test_the_floor_holds(all_fail):
    for _look in range(5):
        for director in DIRECTORS:
            assert len([weight for weight in weights(director, RADIO).values() if weight]) == STAY
        time.sleep(2)
    assert ask(RADIO, "/healthz")[0] == "503", "a real server answers, whatever its check says"


def test_the_sorry_server_answers(all_fail):
    for _try in range(3):
        assert ask(PAGE, "/healthz") == ("200", "origin")
    line = next(line for line in ssh("director1", "journalctl -u keepalived -o cat").splitlines()[::-1] if "sorry server" in line)
    assert "Enabling sorry server [198.51.100.31]" in line


def test_who_began_with_the_sorry_server_goes_on_there(all_fail):
    """It stays with weight 0 when the others are back."""
    for server in REAL_SERVERS:
        ssh(server, REPAIR)
    found = wait_for(all_in)
    for _radio, page in found.values():
        assert page["198.51.100.31"] == 0
    assert ask(PAGE, "/healthz")[1] in REAL_SERVERS
