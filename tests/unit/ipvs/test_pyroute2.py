"""Why IPVS is not spoken to through pyroute2 (docs/decisions/028). A test that fails here is good news: look at that record again."""

import asyncio
from types import SimpleNamespace

import pyroute2
import pytest
from pyroute2.ipvs import AsyncIPVS, IPVSDest, IPVSService
from pyroute2.netlink.generic.ipvs import ipvsmsg

SERVICE = IPVSService(addr="192.0.2.100", port=80, protocol=6)
DEST = IPVSDest(addr="192.0.2.21", port=80)
# linux/ip_vs.h
NEW_SERVICE, SET_SERVICE, DEL_SERVICE, NEW_DEST, SET_DEST, DEL_DEST = 1, 2, 3, 5, 6, 7
MENDED = "pyroute2 %s has mended this: see docs/decisions/028" % pyroute2.__version__


def sent(method, *arguments):
    """The command in the message that pyroute2 would send to the kernel."""

    async def catch(message, msg_flags):
        return message["cmd"]

    return asyncio.run(method(SimpleNamespace(_do_request=catch), *arguments))


def test_update_deletes():
    assert sent(AsyncIPVS.service, "update", SERVICE) == DEL_SERVICE, MENDED
    assert sent(AsyncIPVS.dest, "update", SERVICE, DEST) == DEL_DEST, MENDED


def test_its_other_commands_are_what_they_say():
    """So that a change of pyroute2's code is not taken for the mistake."""
    assert [sent(AsyncIPVS.service, name, SERVICE) for name in ("add", "set", "del")] == [NEW_SERVICE, SET_SERVICE, DEL_SERVICE]
    assert [sent(AsyncIPVS.dest, name, SERVICE, DEST) for name in ("add", "set", "del")] == [NEW_DEST, SET_DEST, DEL_DEST]


@pytest.mark.parametrize(
    ("message", "attribute", "type"),
    [
        (ipvsmsg.service, "IPVS_SVC_ATTR_NETMASK", "ip4addr"),  # the prefix length of an IPv6 service is a number
        (ipvsmsg.dest, "IPVS_DEST_ATTR_TUN_PORT", "uint16"),  # the kernel's is big-endian
        (ipvsmsg, "IPVS_CMD_ATTR_DAEMON", "hex"),
        (ipvsmsg, "IPVS_CMD_ATTR_TIMEOUT_TCP", "hex"),
    ],
)
def test_types_that_the_kernel_does_not_share(message, attribute, type):
    assert dict(message.nla_map)[attribute] == type, MENDED
