"""checks/ports.py: whose a port is, where the kernel says that it is taken. With real sockets: tests/modules/test_lvs_preflight.py."""

import pytest
from ansible.module_utils.lvsdr.checks import ports

from inventories import VIP

HAPROXY, NGINX = (700, "haproxy", "/usr/sbin/haproxy -Ws -f /etc/haproxy/haproxy.cfg"), (800, "nginx", "nginx: worker process")
WAF = (900, "nginx", "nginx: master process /usr/sbin/nginx -c /etc/lvsdr/waf/nginx.conf")
APACHE = (1000, "apache2", "/usr/sbin/apache2 -f /etc/apache2/haproxy.conf")


def said(listening, **changes):
    item = {"what": "HAProxy", "address": VIP, "port": 80, "protocol": "tcp", "programs": ["haproxy"], **changes}
    return [line.id for line in ports.judge(item, [((address, 80), programs) for address, programs in listening])]


@pytest.mark.parametrize(
    "listening, wanted",
    [
        ([(VIP, [HAPROXY])], []),
        ([(VIP, [HAPROXY, (701, *HAPROXY[1:])])], []),
        ([("0.0.0.0", [NGINX])], ["port-taken"]),
        # Its name counts, and not a file that it reads.
        ([(VIP, [APACHE])], ["port-taken"]),
        ([("::", [NGINX])], ["port-taken"]),
        # HAProxy has the VIP beside it, so this wildcard is of IPv6 alone.
        ([("::", [NGINX]), (VIP, [HAPROXY])], []),
        ([("::", [NGINX]), ("0.0.0.0", [APACHE])], ["port-taken"]),
        # Whose it is can't be seen.
        ([(VIP, [])], []),
        ([(VIP, []), ("0.0.0.0", [NGINX])], ["port-taken"]),
    ],
)
def test_who_may_have_it(listening, wanted):
    assert said(listening) == wanted


def test_one_that_is_known_by_its_file():
    assert said([("127.0.0.1", [NGINX, WAF])], programs=["/etc/lvsdr/waf/nginx.conf"]) == []
    assert said([("127.0.0.1", [NGINX])], programs=["/etc/lvsdr/waf/nginx.conf"]) == ["port-taken"]


@pytest.mark.parametrize(
    "there, address, wanted",
    [
        ("0.0.0.0", "0.0.0.0", []), (VIP, VIP, []), ("0.0.0.0", VIP, ["port-stays"]), (VIP, "0.0.0.0", ["port-stays"]),
        ("::", VIP, []), ("::", "2001:db8::1", ["port-stays"]), ("::", "::", []),
    ],
)  # fmt: skip
def test_one_that_can_not_change_while_it_runs(there, address, wanted):
    assert said([(there, [NGINX])], address=address, programs=["nginx"], exact=True) == wanted
