"""Lines as ipvsadm 1.31 prints them with -Sn. tests/kernel holds the same lines against ipvsadm itself."""

import pytest
from ansible.module_utils.lvsdr.ipvs import render
from ansible.module_utils.lvsdr.ipvs.types import Daemon, Destination, Entry, Service, Timeouts, destination_key, service_key

WEB = Service(4, "tcp", "198.51.100.100", 80, "wlc", (), 0, "255.255.255.255", "")
WEB6 = WEB._replace(family=6, address="2001:db8:100::100", netmask="128")
MARK = Service(4, "fwmark", "", 4294967295, "wlc", (), 0, "255.255.255.255", "")
ONE = Destination(4, "192.0.2.21", 80, "dr", 1, 0, 0, ())
TUNNEL = ONE._replace(forward="tunnel", tunnel=("ipip", 0, "none"))


@pytest.mark.parametrize(
    ("service", "line"),
    [
        (WEB, "-A -t 198.51.100.100:80 -s wlc"),
        (WEB._replace(protocol="udp", scheduler="rr"), "-A -u 198.51.100.100:80 -s rr"),
        (WEB._replace(protocol="sctp"), "-A --sctp-service 198.51.100.100:80 -s wlc"),
        (WEB6, "-A -t [2001:db8:100::100]:80 -s wlc"),
        (MARK, "-A -f 4294967295 -s wlc"),
        (MARK._replace(family=6, netmask="128"), "-A -f 4294967295 -6 -s wlc"),
        (WEB._replace(port=0, persistence=300), "-A -t 198.51.100.100:0 -s wlc -p 300"),
        (WEB._replace(persistence=300, netmask="255.255.255.0"), "-A -t 198.51.100.100:80 -s wlc -p 300 -M 255.255.255.0"),
        (WEB6._replace(persistence=1, netmask="64"), "-A -t [2001:db8:100::100]:80 -s wlc -p 1 -M 64"),
        # A netmask means nothing where there is no persistence.
        (WEB._replace(netmask="255.255.255.0"), "-A -t 198.51.100.100:80 -s wlc"),
        (WEB._replace(protocol="udp", persistence=60, engine="sip"), "-A -u 198.51.100.100:80 -s wlc -p 60 --pe sip"),
        (WEB._replace(protocol="udp", flags=("ops",)), "-A -u 198.51.100.100:80 -s wlc -o"),
        (WEB._replace(scheduler="mh", flags=("mh-fallback", "mh-port")), "-A -t 198.51.100.100:80 -s mh -b mh-fallback,mh-port"),
        (
            WEB._replace(protocol="udp", scheduler="sh", flags=("ops", "sh-port"), persistence=5, netmask="255.0.0.0", engine="sip"),
            "-A -u 198.51.100.100:80 -s sh -p 5 -M 255.0.0.0 --pe sip -o -b sh-port",
        ),
    ],
)
def test_services(service, line):
    assert render.service_command("-A", service) == line
    name = " ".join(line.split()[1:4] if " -6 " in line else line.split()[1:3])
    assert render.service_command("-D", service) == "-D " + name
    assert render.service_command("-Z", service) == "-Z " + name


@pytest.mark.parametrize(
    ("service", "destination", "line"),
    [
        (WEB, ONE, "-a -t 198.51.100.100:80 -r 192.0.2.21:80 -g -w 1"),
        (WEB, ONE._replace(forward="nat", port=8080, weight=0), "-a -t 198.51.100.100:80 -r 192.0.2.21:8080 -m -w 0"),
        (WEB, ONE._replace(forward="local", weight=2147483647), "-a -t 198.51.100.100:80 -r 192.0.2.21:80 --local -w 2147483647"),
        (WEB, ONE._replace(upper=100, lower=50), "-a -t 198.51.100.100:80 -r 192.0.2.21:80 -g -w 1 -x 100 -y 50"),
        (WEB, ONE._replace(upper=100), "-a -t 198.51.100.100:80 -r 192.0.2.21:80 -g -w 1 -x 100"),
        (MARK, ONE._replace(port=0), "-a -f 4294967295 -r 192.0.2.21:0 -g -w 1"),
        (WEB6, ONE._replace(family=6, address="2001:db8::21"), "-a -t [2001:db8:100::100]:80 -r [2001:db8::21]:80 -g -w 1"),
        (WEB, TUNNEL, "-a -t 198.51.100.100:80 -r 192.0.2.21:80 -i -w 1 --tun-type ipip"),
        (
            WEB,
            TUNNEL._replace(tunnel=("gue", 6080, "none")),
            "-a -t 198.51.100.100:80 -r 192.0.2.21:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
        ),
        (
            WEB,
            TUNNEL._replace(tunnel=("gue", 6080, "remcsum")),
            "-a -t 198.51.100.100:80 -r 192.0.2.21:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
        ),
        (
            WEB,
            TUNNEL._replace(tunnel=("gre", 0, "csum")),
            "-a -t 198.51.100.100:80 -r 192.0.2.21:80 -i -w 1 --tun-type gre --tun-csum",
        ),
    ],
)
def test_destinations(service, destination, line):
    assert render.destination_command("-a", service, destination) == line
    assert render.destination_command("-d", service, destination) == line.replace("-a", "-d").split(" -w")[0].rsplit(" ", 1)[0]


def table(*services):
    destinations = [ONE._replace(address="192.0.2.%d" % n, port=port) for n, port in ((10, 80), (9, 443), (9, 80))]
    return {service_key(s): Entry(s, {destination_key(d): d for d in destinations}, {}) for s in services}


def test_the_whole_table_is_sorted_by_number():
    services = [WEB._replace(port=443), WEB6, WEB._replace(address="198.51.100.9"), WEB, WEB._replace(protocol="udp"), MARK]
    lines = render.render(table(*services)).splitlines()
    assert [line.split(" -s")[0] for line in lines if line.startswith("-A")] == [
        "-A -f 4294967295",
        "-A -t 198.51.100.9:80",
        "-A -t 198.51.100.100:80",
        "-A -t 198.51.100.100:443",
        "-A -t [2001:db8:100::100]:80",
        "-A -u 198.51.100.100:80",
    ]
    assert [line.split()[4] for line in lines[1:4]] == ["192.0.2.9:80", "192.0.2.9:443", "192.0.2.10:80"]
    assert render.render(table(*services[::-1])) == "\n".join(lines) + "\n"


def test_an_empty_table_is_no_text():
    assert render.render({}) == ""


def test_settings():
    master = Daemon("master", "eth0", 7, 1400, "ff02::81", 8849, 3)
    backup = Daemon("backup", "eth1", 0, None, None, None, None)
    assert render.render_settings(Timeouts(900, 0, 300), [backup, master]).splitlines() == [
        "--set 900 0 300",
        "--start-daemon master --mcast-interface eth0 --syncid 7 --sync-maxlen 1400 --mcast-group ff02::81 --mcast-port 8849 --mcast-ttl 3",
        "--start-daemon backup --mcast-interface eth1 --syncid 0",
    ]
    assert render.render_settings(None, []) == ""
    assert render.daemon_command("--stop-daemon", master) == "--stop-daemon master"
