"""The netns tier: real ARP and neighbour discovery on a real link. It needs root, and leaves no namespace behind."""

import os

import pytest
from links import Host, make_switch, remove_all


@pytest.fixture(scope="session", autouse=True)
def nothing_left():
    if os.geteuid() != 0:
        pytest.exit("network namespaces need root: run `make netns` as root, or `make unit modules` without it", returncode=1)
    remove_all()
    yield
    remove_all()


@pytest.fixture
def link():
    """Makes hosts on one link: ``link("server", 21)``."""
    make_switch()
    yield Host
    remove_all()


@pytest.fixture
def router(link):
    """Who asks: as the router in front of the service would."""
    router = link("router", 1)
    # The kernel changes a neighbour's entry at once when it hears another MAC, and not only a second later.
    router.sysctl("net/ipv4/neigh/eth0/locktime", 0)
    return router


@pytest.fixture
def server(link):
    return link("server", 21)
