"""What hosts are asked for before a rollout, whatever else is wrong with the declaration."""

import pytest
from ansible.module_utils.lvsdr.inventory import needs

from inventories import GONE, service


@pytest.mark.parametrize(
    ("declared", "members"),
    [
        ([service(), service(real_servers="web"), service(real_servers="more")], ["server1", "server2", "server3"]),
        ([service(real_servers="none"), service(real_servers=GONE), service(real_servers=["web"]), "x", None], []),
        (None, []),
        ("web", []),
        ({"real_servers": "web"}, []),
    ],
)
def test_group_members(declared, members):
    """Whatever else is wrong with the declaration: preflight says that."""
    assert needs.group_members(declared, {"web": ["server1", "server2"], "more": ["server2", "server3"]}) == members


@pytest.mark.parametrize(
    ("declared", "modules"),
    [
        ([service(scheduler="mh"), service(persistence={"engine": "sip"})], ["ip_vs", "ip_vs_mh", "ip_vs_pe_sip", "ip_vs_wlc"]),
        ([service(scheduler="mh", state="absent"), service(scheduler=["x"]), service(scheduler="no"), 5, None], ["ip_vs"]),
        (None, ["ip_vs"]),
    ],
)
def test_kernel_modules_that_preflight_looks_for(declared, modules):
    assert needs.modules_wanted(declared) == modules


def test_programs_and_accounts_of_checks():
    def script(**more):
        return service(health_check={"type": "script", "path": "/x", **more})

    declared = [script(), script(user="media"), script(user=["x"], path=5), {**script(user="gone"), "state": "absent"}, service(), 5, None]
    assert needs.scripts(declared) == ["/x"] and needs.accounts(declared) == ["nobody", "media"]
    assert needs.scripts(None) == needs.accounts("x") == []


def test_files_that_a_host_has_to_have():
    declared = [
        {"health_check": {"type": "hls", "verify": "/etc/ca.pem"}}, {"health_check": {"type": "rtsp", "login_file": "/etc/login"}},
        {"health_check": {"verify": True}}, {"health_check": {"verify": "x"}}, {"state": "absent", "health_check": {"verify": "/old"}}, "x",
    ]  # fmt: skip
    ca, login = {"path": "/etc/ca.pem", "readers": "all"}, {"path": "/etc/login", "readers": "root"}
    assert needs.files_needed(declared, True, {}) == [ca, login]
    edge = {
        "streaming_server_kind": "edge", "streaming_server_tls_listen": [443], "streaming_server_certificate": "/a.pem",
        "streaming_server_certificate_key": "/a.key",
    }  # fmt: skip
    own = [{"path": "/a.pem", "readers": "any"}, {"path": "/a.key", "readers": "root"}]
    assert needs.files_needed(declared, False, edge) == own
    assert needs.files_needed("x", True, {**edge, "streaming_server_tls_listen": []}) == []
