"""What the kernel's refusals mean: a message for each cause, with the operation, the object and the errno in it."""

import errno

import pytest
from ansible.module_utils.lvsdr.ipvs import refusals
from ansible.module_utils.lvsdr.ipvs.plan import Operation
from ansible.module_utils.lvsdr.ipvs.types import Daemon, Destination, Service, Timeouts

WEB = Service(4, "udp", "198.51.100.100", 80, "ovf", (), 0, "255.255.255.255", "")
SIP = WEB._replace(persistence=60, engine="sip")
ONE = Destination(4, "192.0.2.21", 80, "dr", 1, 0, 0, ())
MASTER = Daemon("master", "eth7", 7, None, None, None, None)

ADD = Operation("add-service", WEB, None, "keeps", 0)
SET = Operation("set-service", SIP, None, "keeps", 0)
JOIN = Operation("add-destination", WEB, ONE, "keeps", 0)
LEAVE = Operation("delete-destination", WEB, ONE, "cuts", 5)
TIMES = Operation("set-timeouts", None, None, "keeps", 0, Timeouts(1, 1, 1))
START = Operation("add-daemon", None, None, "keeps", 0, MASTER)
STOP = Operation("delete-daemon", None, None, "keeps", 0, MASTER)
ZERO = Operation("zero-counters", WEB, None, "keeps", 0)

REFUSALS = [
    (ADD, errno.EPERM, "ipvs-needs-root", "Adding udp 198.51.100.100:80 failed (EPERM): "),
    (ADD, errno.ENOMEM, "kernel-out-of-memory", "(ENOMEM): "),
    (ADD, errno.EPROTONOSUPPORT, "kernel-without-protocol", "(EPROTONOSUPPORT): "),
    (ADD, errno.EAFNOSUPPORT, "kernel-without-ipv6", "(EAFNOSUPPORT): "),
    (ADD, errno.EOPNOTSUPP, "kernel-too-old", "): "),
    (ADD, errno.EBUSY, "kernel-refused", "(EBUSY): Device or resource busy; "),
    (ADD, 4000, "kernel-refused", "(4000): Unknown error 4000; "),
    (ADD, errno.EEXIST, "added-meanwhile", "Adding udp 198.51.100.100:80 failed (EEXIST): "),
    (SET, errno.ESRCH, "removed-meanwhile", "Changing udp 198.51.100.100:80 failed (ESRCH): "),
    (ADD, errno.ENOENT, "scheduler-not-loaded", ": scheduler ovf can't be loaded; "),
    (SET, errno.ENOENT, "scheduler-not-loaded", ": scheduler ovf or persistence engine sip can't be loaded; "),
    (SET, errno.ENOENT, "scheduler-not-loaded", "(`modprobe ip_vs_ovf`, `modprobe ip_vs_pe_sip`)"),
    (ADD, errno.EINVAL, "service-refused", "(EINVAL): "),
    (JOIN, errno.EEXIST, "added-meanwhile", "Adding destination 192.0.2.21:80 of udp 198.51.100.100:80 failed (EEXIST): "),
    (LEAVE, errno.ENOENT, "removed-meanwhile", "Removing destination 192.0.2.21:80 of udp 198.51.100.100:80 failed (ENOENT): "),
    (JOIN, errno.ESRCH, "service-not-in-table", "(ESRCH): "),
    (JOIN, errno.ERANGE, "destination-out-of-range", "(ERANGE): "),
    (JOIN, errno.EINVAL, "destination-refused", "(EINVAL): "),
    (TIMES, errno.EINVAL, "timeout-refused", "Changing timeouts failed (EINVAL): "),
    (START, errno.EEXIST, "added-meanwhile", "Adding sync daemon master failed (EEXIST): "),
    (STOP, errno.ESRCH, "removed-meanwhile", "Removing sync daemon master failed (ESRCH): "),
    (START, errno.ENODEV, "sync-interface-missing", "interface eth7"),
    (START, errno.ENETUNREACH, "sync-interface-unusable", "interface eth7 "),
    (START, errno.EADDRNOTAVAIL, "sync-interface-scope", "interface eth7 "),
    (START, errno.EINVAL, "sync-daemon-refused", "(EINVAL): "),
    (ZERO, errno.ESRCH, "service-not-in-table", "Zeroing udp 198.51.100.100:80 failed (ESRCH): "),
    (ZERO._replace(service=None), errno.EINVAL, "kernel-refused", "Zeroing all counters failed (EINVAL): Invalid argument; "),
]


@pytest.mark.parametrize(("operation", "number", "expected", "named"), REFUSALS)
def test_each_cause_has_its_message(operation, number, expected, named):
    line = refusals.failure_line(operation, refusals.Failure(0, number))
    assert line.id == expected and named in line.text


def test_a_refusal_without_an_operation():
    assert refusals.refusal("Reading the IPVS table", errno.EPERM).text.startswith("Reading the IPVS table failed (EPERM): ")


def test_each_meaning_is_one_of_these():
    known = {(operation.verb.split("-")[1], number) for operation, number, _expected, _named in REFUSALS}
    assert {(kind, number) for kind, meanings in refusals.MEANING_FOR.items() for number in meanings} <= known
    assert refusals.MEANING.keys() <= {number for _operation, number, _expected, _named in REFUSALS}
