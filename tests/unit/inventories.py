"""Small inventories for tests: two directors and two real servers on one link of both families, and one virtual service."""

from hypothesis import strategies as st

GONE = object()  # as a value: leave this out
VIP, VIP6 = "192.0.2.100", "2001:db8::100"

HOSTS = {"director1": 11, "director2": 12, "server1": 21, "server2": 22}


def changed(original, changes):
    return {name: value for name, value in {**original, **changes}.items() if value is not GONE}


GATEWAYS = ["192.0.2.1", "2001:db8::1"]


def service(**changes):
    """A service; one of NAT has gateways unless it says others."""
    if changes.get("mode") == "nat":
        changes = {"nat_gateway": GATEWAYS, **changes}
    return changed({"name": "live", "addresses": [VIP], "ports": [80], "real_servers": "web"}, changes)


def interface(name, *addresses, mac="", kind="ether"):
    return {"name": name, "mac": mac, "type": kind, "arp": True, "up": True, "addresses": list(addresses)}


def facts(number, *more, lo=()):
    """A host with one interface on the link; more: further interfaces."""
    lo = interface("lo", "127.0.0.1/8", "::1/128", *lo, mac="00:00:00:00:00:00", kind="loopback")
    own = interface("eth0", "192.0.2.%d/24" % number, "2001:db8::%d/64" % number, mac="02:00:00:00:00:%02d" % number)
    return {"interfaces": [lo, own, *more], "problems": []}


def inventory(hosts=None, groups=None, with_facts=False):
    """hosts and groups: what is other than usual, ``{host: {variable: value}}`` and ``{group: [host]}``."""
    made = {name: {"ansible_host": "192.0.2.%d" % n, "real_server_address6": "2001:db8::%d" % n} for name, n in HOSTS.items()}
    if with_facts:
        for name, number in HOSTS.items():
            made[name]["facts"] = facts(number)
    for name, changes in (hosts or {}).items():
        made[name] = changed(made.get(name, {}), changes)
    usual = {"all": list(made), "ungrouped": [], "directors": ["director1", "director2"], "web": ["server1", "server2"]}
    return {"groups": changed(usual, groups or {}), "hosts": made}


# --- anything that YAML can hold ----------------------------------------------------------------------------------------------------

WORDS = (
    VIP, VIP6, "192.0.2.0", "web", "dr", "nat", "tunnel", "udp", "absent", "drained", "mh", "mh-port", "http", "sip", "80", "-1", "0",
    "yes", "/x", "timeout", "netmask", "port", "type", "path",
)  # fmt: skip
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.integers(0, 400), st.floats(), st.text(max_size=6), st.sampled_from(WORDS))
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=4)), inner, max_size=3)
    ),
    max_leaves=5,
)
