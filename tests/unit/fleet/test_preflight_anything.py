"""Whatever is declared: preflight and all that follows it give no error but ours."""

import copy
import json

import pytest
from ansible.module_utils.lvsdr.checks import health_check
from ansible.module_utils.lvsdr.directors import keepalived, nftables, streamchecks
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.fleet import preflight, proofs, rollout
from ansible.module_utils.lvsdr.inventory import hosts, modes, resolve, views
from ansible.module_utils.lvsdr.inventory.types import from_data, to_data
from ansible.module_utils.lvsdr.ipvs import declare, types
from hypothesis import given, settings
from hypothesis import strategies as st

from inventories import VIP, VIP6, anything, inventory, scalars, service

HLS = {"type": "hls", "path": "/live/index.m3u8"}


def mappings(*names):
    return st.dictionaries(st.sampled_from(names), anything)


mutations = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(resolve.SERVICE_FIELDS, anything),
        "ports": st.one_of(anything, st.lists(anything, max_size=2), st.just(["80/tcp", "5004-5005/udp"]), st.just(["http"])),
        "firewall_mark": st.one_of(scalars, st.just(5)),
        "persistence": st.one_of(scalars, st.lists(scalars), mappings("timeout", "netmask", "engine", "x")),
        "health_check": st.one_of(scalars, mappings("x", *health_check.CHECK_FIELDS["http"])),
    },
)  # fmt: skip
some_services = st.lists(st.one_of(mutations.map(lambda changes: service(**changes)), scalars), max_size=3)
some_hosts = st.dictionaries(
    st.sampled_from(["director1", "server1", "server2"]),
    st.fixed_dictionaries({}, optional=dict.fromkeys(hosts.HOST_VARIABLES, anything)),
)


@settings(max_examples=200, deadline=None)
@given(some_services, some_hosts, st.booleans())
def test_nothing_gives_another_error_than_ours(services, hosts, with_facts):
    made = inventory(hosts, with_facts=with_facts)
    found = preflight.preflight(services, made)
    try:
        got = resolve.resolve(services, made)
    except LvsError as error:
        assert error.details["problems"] and set(error.details["problems"]) <= set(found), "preflight names what resolve refuses"
        return
    assert set(declare.read_services(got.tables())) == {one.key for one in (*got.services, *got.checks)}
    assert from_data(json.loads(json.dumps(to_data(got)))) == got
    for function in (proofs.streams, views.director_vips, views.real_servers):
        function(got.services)
    views.kernel_modules(got)


@settings(deadline=None)
@given(anything)
def test_anything_for_virtual_services(value):
    with pytest.raises(LvsError):
        resolve.resolve(value, inventory())


# What breaks readers: control characters, NUL, half a surrogate pair, numbers of thousands of digits, other notations of addresses.
EVIL = st.sampled_from(
    ["\0", "\x1b[2J", "a\nb", "\ud800", "٨", "007", "1e400", "nan", "inf", 10**4000, -(10**4000), float("nan"), float("inf"), "x" * 5000,
     "::ffff:192.0.2.1", "fe80::1%eth0", "255.255.255.255", "192.0.2.0", "0.0.0.0", "[::1]:80",
     "$(reboot)", "{{ x }}", "'", '"', "}", b"x", (1,)]
)  # fmt: skip
value = st.one_of(
    anything,
    EVIL,
    st.lists(EVIL, max_size=2),
    st.dictionaries(st.one_of(EVIL.filter(lambda v: v == v), st.text(max_size=3)), EVIL, max_size=2),
)
CHECK = sorted({field for fields in health_check.CHECK_FIELDS.values() for field in fields})
a_check = st.one_of(value, st.dictionaries(st.sampled_from(CHECK), value, max_size=4))
a_service = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(resolve.SERVICE_FIELDS, value), "health_check": a_check, "ports": st.lists(value, max_size=2)}
).map(lambda changes: service(**changes))
variables_of = st.fixed_dictionaries({}, optional=dict.fromkeys(hosts.HOST_VARIABLES, value))
# Mostly good ones, so that all of it is gone through.
good_service = st.builds(
    lambda number, changes: service(**{"name": "s%d" % number, "ports": [number + 1], **changes}),
    st.integers(0, 9),
    st.fixed_dictionaries({}, optional={
        "health_check": st.sampled_from([None, {}, HLS, {"type": "http", "match": "ok"}, {"type": "script", "path": "/x"}]),
        "scheduler": st.sampled_from(types.SCHEDULERS), "mode": st.sampled_from(modes.MODES),
        "addresses": st.sampled_from([[VIP], [VIP6]]),
        "persistence": value, "stream": st.sampled_from(["/a", None]), "state": st.sampled_from(["present", "absent"]),
    }),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(value, st.lists(st.one_of(a_service, good_service), min_size=1, max_size=3)),
    st.dictionaries(st.sampled_from(["director1", "director2", "server1", "server2"]), variables_of, max_size=3),
    st.sampled_from([False, True, None]),  # None: all of them are dead
)
def test_no_value_gives_another_error_than_ours(declared, changes, read):
    """Before the hosts are read, and afterwards; what preflight accepts renders."""
    made = {**inventory(copy.deepcopy(changes), with_facts=bool(read)), "read": read is not False}
    hosts.add_addresses(made, views.vips_in(declared))
    lines = rollout.preflight(declared, made)
    assert all(line.isprintable() for line in lines)
    if lines or not made["read"]:
        return
    services = resolve.resolve(declared, made)
    for director in made["groups"]["directors"] if read else ():
        assert keepalived.render(services, director, made)
        assert nftables.render(services, director, made, "eth0")
        streamchecks.streamchecks(services, director, made)
    assert set(declare.read_services(services.tables())) == {one.key for one in (*services.services, *services.checks)}
