"""Hypothesis strategies for IPVS tables in the product's own form (module_utils/lvsdr/ipvs/declare.py), valid ones only."""

from ansible.module_utils.lvsdr.ipvs import types
from hypothesis import strategies as st

# Few enough that tables drawn apart have much in common.
VIPS = {4: ("198.51.100.100", "203.0.113.50"), 6: ("2001:db8:100::100",)}
SERVERS = {4: ("192.0.2.9", "192.0.2.10", "192.0.2.11"), 6: ("2001:db8::9", "2001:db8::10")}
WEIGHTS = st.sampled_from((0, 1, 10, types.MAX_WEIGHT))
COUNTS = st.tuples(*[st.sampled_from((0, 0, 1, 7))] * 3)
TUNNELS = (
    ("ipip", 0, "none"),
    ("gue", 6080, "none"),
    ("gue", 6081, "csum"),
    ("gue", 6080, "remcsum"),
    ("gre", 0, "none"),
    ("gre", 0, "csum"),
)


def keys():
    addressed = st.sampled_from((4, 6)).flatmap(
        lambda family: st.tuples(
            st.just(family), st.sampled_from(types.PROTOCOLS), st.sampled_from(VIPS[family]), st.sampled_from((80, 443))
        )
    )
    marked = st.tuples(st.sampled_from((4, 6)), st.just("fwmark"), st.just(""), st.sampled_from((1, 4294967295)))
    return st.one_of(addressed, addressed, marked)


@st.composite
def services(draw, key=None):
    key = key or draw(keys())
    family, protocol = key[:2]
    scheduler = draw(st.sampled_from(types.SCHEDULERS))
    flags = draw(st.sets(st.sampled_from(types.SCHEDULER_FLAGS[scheduler]))) if scheduler in types.SCHEDULER_FLAGS else set()
    if protocol == "udp" and draw(st.booleans()):
        flags.add("ops")
    persistence = draw(st.sampled_from((0, 0, 1, 300, types.MAX_PERSISTENCE)))
    netmask, engine = types.default_netmask(family), ""
    if persistence:
        netmask = draw(st.sampled_from(("255.255.255.255", "255.255.255.0", "0.0.0.0") if family == 4 else ("128", "64", "1")))
        engine = draw(st.sampled_from(("", "sip"))) if protocol in ("udp", "fwmark") else ""
    return types.Service(*key, scheduler, tuple(sorted(flags)), persistence, netmask, engine)


@st.composite
def destinations(draw, service):
    forward = draw(st.sampled_from(types.FORWARDS))
    family = draw(st.sampled_from((4, 6))) if forward == "tunnel" else service.family
    port = 0 if service.protocol == "fwmark" else service.port
    if forward == "nat" or service.protocol == "fwmark":
        port = draw(st.sampled_from((port, 8080)))
    upper = draw(st.sampled_from((0, 0, 5, 4294967295)))
    lower = draw(st.sampled_from((0, upper // 2, upper)))
    tunnel = draw(st.sampled_from(TUNNELS)) if forward == "tunnel" else ()
    return types.Destination(family, draw(st.sampled_from(SERVERS[family])), port, forward, draw(WEIGHTS), upper, lower, tunnel)


def destination_dicts(service):
    return st.lists(destinations(service), max_size=3).map(lambda found: {types.destination_key(d): d for d in found})


@st.composite
def entries(draw, key=None):
    service = draw(services(key))
    found = draw(destination_dicts(service))
    return types.Entry(service, found, {key: draw(COUNTS) for key in found})


@st.composite
def tables(draw, most=4):
    """What ``kernel.Ipvs.read`` returns."""
    return {key: draw(entries(key)) for key in draw(st.lists(keys(), unique=True, max_size=most))}


@st.composite
def wanted(draw, most=4):
    """What ``declare.read_services`` returns."""
    out = {}
    for key in draw(st.lists(keys(), unique=True, max_size=most)):
        service = draw(services(key))
        found = draw(destination_dicts(service))
        checked = {name for name in found if draw(st.booleans())}
        out[key] = types.Wanted(service, found, checked, draw(st.sampled_from((False, False, False, True))))
    return out
