"""Network namespaces and the links between them, by pyroute2 of any version: what the tiers make their networks of."""

import contextlib
import os

from pyroute2 import IPRoute, netns

NODAD = 0x02


def create(name):
    """A namespace in which lo is up."""
    netns.create(name)
    with routing(name) as route:
        route.link("set", index=1, state="up")


def remove(name):
    netns.remove(name)


def names(prefix):
    return [name for name in netns.listnetns() if name.startswith(prefix)]


@contextlib.contextmanager
def inside(name):
    """This thread is in a namespace; what it opens there stays there."""
    with open("/proc/thread-self/ns/net") as home, open(path_of(name)) as there:
        netns.setns(there.fileno())
        try:
            yield
        finally:
            netns.setns(home.fileno())


def path_of(name):
    """A namespace's file. name: what it is called, or the number of a process in it."""
    return "/proc/%d/ns/net" % name if isinstance(name, int) else os.path.join("/run/netns", name)


@contextlib.contextmanager
def routing(name=None):
    """pyroute2's IPRoute in a namespace, or in that of this thread."""
    with inside(name) if name is not None else contextlib.nullcontext():
        route = IPRoute()
    with route:
        yield route


def index_of(route, link):
    (index,) = route.link_lookup(ifname=link)
    return index


def bridge(name, namespace=None, **more):
    """A bridge that is up, and floods what is sent to groups."""
    with routing(namespace) as route:
        route.link("add", ifname=name, kind="bridge", br_mcast_snooping=0, **more)
        route.link("set", index=index_of(route, name), state="up")


def unplug(link):
    """A link of this namespace goes, if it is there."""
    with routing() as route:
        for index in route.link_lookup(ifname=link):
            route.link("del", index=index)


def plug(host, card, port, switch, switch_namespace=None):
    """A cable from a card of a host to a port of a bridge. The card is not up yet."""
    with open(path_of(host)) as there, routing(switch_namespace) as route:
        route.link("add", ifname=port, kind="veth", peer={"ifname": card, "net_ns_fd": there.fileno()})
        route.link("set", index=index_of(route, port), master=index_of(route, switch), state="up")


def up(host, card, *addresses):
    """A card is up, and has these addresses, each with its prefix length."""
    with routing(host) as route:
        index = index_of(route, card)
        route.link("set", index=index, state="up")
        for text in addresses:
            address(route, "add", card, text)


def address(route, verb, card, text):
    """verb: add, replace or del. An address of IPv6 is there at once, without a look for duplicates."""
    plain, _slash, length = text.partition("/")
    more = {"flags": NODAD} if ":" in plain and verb != "del" else {}
    route.addr(verb, index=index_of(route, card), address=plain, prefixlen=int(length), **more)


def gateway(host, via):
    with routing(host) as route:
        route.route("add", dst="default", gateway=via)
