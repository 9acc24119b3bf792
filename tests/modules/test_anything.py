"""No option, whatever its value, ends a module in another way than with a result or with a message: check mode, and an in-memory kernel."""

import contextlib
import io
import json

import pytest
from ansible.module_utils.lvsdr.arp import wire
from ansible.module_utils.lvsdr.ipvs import kernel
from ansible.module_utils.testing import patch_module_args
from ansible.modules import arp_audit, host_units, ipvs_info, ipvs_table, link_probe, lvs_preflight, real_server_vip, vrrp_audit
from fakes.kernel import Kernel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORDS = (
    "192.0.2.100", "2001:db8::100", "::ffff:192.0.2.1", "fe80::1", "255.255.255.255", "eth0", "lo", "a\0b", "\x1b[2J", "a\nb", "٨", "007",
    "x" * 5000, "../../x", "-x", "", "present", "merged", "deleted", "gathered", "parsed", "-A -t 192.0.2.1:80 -s rr", "-a -t", "tcp", "80",
)  # fmt: skip
# What JSON, by which options come, can hold. But for infinity: ansible-core's own reader of integers ends in a traceback of it
# (module_utils/common/validation.py, check_type_int: OverflowError), before a module has seen it.
numbers = st.one_of(st.booleans(), st.integers(-5, 70000), st.just(10**15), st.floats(allow_infinity=False))
scalars = st.one_of(st.none(), numbers, st.text(max_size=5), st.sampled_from(WORDS))
# How AnsibleModule's own messages about types and choices begin.
ANSIBLES = ("value of ", "argument ", "Elements value ", "Unsupported parameters")
NAMES = st.one_of(
    st.sampled_from(
        ["address", "port", "protocol", "scheduler", "destinations", "weight", "firewall_mark", "persistence", "state", "tcp", "interface",
         "path", "content", "mode", "name", "files", "check", "command", "reload_on", "id", "group"]
    ),
    st.text(max_size=3),
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)), max_leaves=12
)
MODULES = {
    arp_audit: ("vips", "interface", "timeout", "duration", "host_by_mac", "owners", "strict"),
    host_units: ("units", "digests"),
    ipvs_info: ("services", "counters"),
    ipvs_table: (
        "services",
        "timeouts",
        "sync_daemons",
        "sysctls",
        "allow",
        "max_cut_connections",
        "state",
        "running_config",
        "zero_counters",
    ),
    link_probe: ("directors", "interface", "virtual_router_id", "priority"),
    lvs_preflight: ("commands", "director", "scripts", "kernel_modules"),
    real_server_vip: ("vips", "purge", "misplaced", "state"),
    vrrp_audit: ("interface", "vips", "duration"),
}


@pytest.fixture
def alone(monkeypatch):
    """No packet leaves, and the kernel is one in memory."""
    monkeypatch.setattr(kernel, "connect", Kernel().connect)
    monkeypatch.setattr(wire, "ask", lambda vips, links, *_more: {vip: ("eth0", [], []) for _family, vip in vips})
    monkeypatch.setattr(link_probe, "send", lambda *_options: 1)
    monkeypatch.setattr(vrrp_audit, "listen", lambda *_options: [])
    monkeypatch.setattr(vrrp_audit, "states", dict)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_no_value_ends_in_a_traceback(module, alone):
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries({}, optional=dict.fromkeys(MODULES[module], values)))
    def run(options):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), patch_module_args({**options, "_ansible_check_mode": True}), pytest.raises(SystemExit):
            module.main()
        result = json.loads(out.getvalue())
        assert "exception" not in result and "Traceback" not in out.getvalue()
        if result.get("failed") and not result["msg"].startswith(ANSIBLES):
            assert result["msg"].replace("\n", "").isprintable(), "a terminal would obey it"

    run()
