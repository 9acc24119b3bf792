"""A line of a file of settings: what the kernel has after either program that applies such files, and what our reader makes of it."""

import fnmatch

import pytest
from ansible.module_utils.lvsdr.arp import settings

TOOLS = {"procps": ("sysctl", "-p"), "systemd": ("/lib/systemd/systemd-sysctl",)}
START = 7  # of arp_ignore, and nothing below says 7

# Values behind `net.ipv4.conf.all.arp_ignore = `: the kernel takes the first word, in C's notation, and leaves the rest.
VALUES = [
    "0", "0 # default", "1\t# strict", "1 ; strict", "1 2", "0 = 1", "1  ", "0x1", "0X2 c", "010", "-1", "-2147483648", "1 " + "#" * 5000,
    "00000000000000000001", "5 \\", "1#strict", "1;", "1,2", "08", "+1", "0b1", "0x", "0xg", "- 1", "true", "'0'", '"0"', "", "1\\",
    "2147483648", "99999999999", "000000000000000000001", "1\u00a0# x", "1\v# x",
]  # fmt: skip

# Lines, and whether one of the two programs takes them.
LINES = [
    "/net/ipv4/conf/all/arp_ignore = 5", "//net//ipv4/conf/all/arp_ignore = 5", "net..ipv4.conf.all.arp_ignore=5",
    "net.ipv4.conf.*.arp_ignore = 5 # all", "net.*.conf.all.arp_ignore=5", "net/ipv4/conf/all/arp_?gnore=5",
    "net.ipv4.conf.a[kl]l.arp_ignore=5", "-net.ipv4.conf.all.arp_ignore=5", "- net.ipv4.conf.all.arp_ignore=5",
    "--net.ipv4.conf.all.arp_ignore=5",
    "net.ipv4.conf.all.arp_ignore\t=\t5", "net.ipv4.conf.all.arp_ignore.=5", "net.ipv4.conf.all.arp_ignore=5\rx",
    "# c\rnet.ipv4.conf.all.arp_ignore=5", "# c\fnet.ipv4.conf.all.arp_ignore=5", "#net.ipv4.conf.all.arp_ignore=5",
    " ; net.ipv4.conf.all.arp_ignore=5", "=net.ipv4.conf.all.arp_ignore=5", "net.ipv4.conf.all.arp_ignore==5",
    "net.ipv4.conf.{all,lo}.arp_ignore=5", "net.ipv4.conf.all.arp_ignore 5", "net.ipv4.conf/all/arp_ignore=5",
    "net/ipv4.conf.all.arp_ignore=5", "\ufeffnet.ipv4.conf.all.arp_ignore=5", "/proc/sys/net/ipv4/conf/all/arp_ignore=5",
]  # fmt: skip


def applied(server, tmp_path, text):
    """{program: arp_ignore afterwards} of a file with this text, and the text as our reader gets it."""
    path = tmp_path / "99-test.conf"
    path.write_bytes(text.encode())
    found = {}
    for name, tool in TOOLS.items():
        server.conf(all_arp_ignore=START)
        server.run(*tool, str(path), check=False)
        found[name] = int(server.sysctl("net/ipv4/conf/all/arp_ignore"))
    with open(path, errors="replace") as f:
        return found, f.read()


@pytest.mark.parametrize("text", ["net.ipv4.conf.all.arp_ignore = %s\n" % value for value in VALUES] + [line + "\n" for line in LINES])
def test_our_reader_sees_what_the_kernel_gets(server, tmp_path, text):
    found, read = applied(server, tmp_path, text)
    values = {value for _place, name, value in settings.sysctl_entries("f", read) if fnmatch.fnmatch("all", name.split("/")[3])}
    # Where the two programs differ over a name, a line counts that one of them takes.
    assert values == set(found.values()) - {START}, found


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_a_line_with_a_comment_undoes_the_fix_and_is_named(router, server, tmp_path, tool):
    server.conf(all_arp_ignore=1, all_arp_announce=2)
    server.hold("192.0.2.100")
    assert router.resolve("192.0.2.100", 0.5) is None
    path, text = tmp_path / "sysctl.conf", "net.ipv4.conf.all.arp_ignore = 0 # default\nnet.ipv4.conf.all.rp_filter = 1 # strict\n"
    path.write_text(text)
    server.run(*tool, str(path))
    assert router.resolve("192.0.2.100") == server.mac, "it takes the service"
    conf = {name: {"arp_ignore": 0, "arp_announce": 0, "rp_filter": 0} for name in ("default", "eth0")}
    conf["all"] = {"arp_ignore": 1, "arp_announce": 2, "rp_filter": 0}
    entries = settings.sysctl_entries(str(path), text)
    assert len(settings.conflicts(conf, {}, entries, str(path))) == 2
    # What every boot has to set again, so that the next one is not strict.
    assert settings.lasting_sysctls(conf, (), entries)["net/ipv4/conf/all/rp_filter"] == 2
