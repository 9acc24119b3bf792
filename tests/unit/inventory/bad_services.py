"""Declarations with one error each, for test_bad_services.py: what is changed, and the path and the id of the error."""

from inventories import GONE, VIP, VIP6

UDP = {"protocol": "udp"}
HLS = {"type": "hls", "path": "/live/index.m3u8"}
MARK = {"ports": GONE, "firewall_mark": 5}
HEAVY = {"real_server_weight": 10}

# Changes to the service, changes to server1's variables, the path of the only error, its id, and what else must be in its line, if
# anything: a value, or names to choose from. A path that begins with a dot is one of the service.
ERRORS = {
    "unknown option": ({"port": 80}, {}, ".port", "unknown-option", "addresses, checks, firewall_mark, health_check"),
    "no name": ({"name": GONE}, {}, "virtual_services[0].name", "service-name-missing"),
    "empty name": ({"name": ""}, {}, "virtual_services[0].name", "service-name-missing"),
    "name that is none": ({"name": 5}, {}, "virtual_services[0].name", "not-text", "5"),
    "unknown mode": ({"mode": "DR"}, {}, ".mode", "unknown-value", "'DR' is not valid; choose from: dr, nat, snat, tunnel"),
    "NAT without a gateway": ({"mode": "nat", "nat_gateway": None}, {}, ".nat_gateway", "gateway-missing", "nat_gateway"),
    "a gateway that is none": ({"mode": "nat", "nat_gateway": "x"}, {}, ".nat_gateway", "not-an-address", "'x'"),
    "a second gateway that is none": (
        {"mode": "nat", "nat_gateway": ["192.0.2.1", "224.0.0.1"]}, {}, ".nat_gateway[1]", "not-an-address", "multicast",
    ),
    "two gateways of a family": (
        {"mode": "nat", "nat_gateway": ["192.0.2.1", "192.0.2.2"]}, {}, ".nat_gateway[1]", "gateway-twice", "IPv4",
    ),
    "a gateway in direct routing": ({"nat_gateway": "192.0.2.1"}, {}, ".nat_gateway", "option-needs-mode", "not of dr"),
    "a way back in SNAT": (
        {"mode": "snat", "return_path": "rule"}, {}, ".return_path", "option-needs-mode", "not of snat",
    ),
    "another way back": ({"mode": "nat", "return_path": "route"}, {}, ".return_path", "unknown-value", "rule, default_gateway"),
    "a tunnel in direct routing": ({"tunnel": {"type": "gue"}}, {}, ".tunnel", "option-needs-mode", "not of dr"),
    "GUE without a port": ({"mode": "tunnel", "tunnel": {"type": "gue"}}, {}, ".tunnel.port", "tunnel-port-missing"),
    "another tunnel": ({"mode": "tunnel", "tunnel": {"type": "vxlan"}}, {}, ".tunnel.type", "unknown-value", "ipip, gue, gre"),
    "another port in direct routing": ({"real_server_port": 8080}, {}, ".real_server_port", "port-needs-nat", "mode dr changes no port"),
    "another port in a tunnel": ({"mode": "tunnel", "real_server_port": 8080}, {}, ".real_server_port", "port-needs-nat", "tunnel"),
    "NAT by a mark of others": ({**MARK, "mode": "nat"}, {}, ".firewall_mark", "mode-needs-ports", "mode nat"),
    "SNAT by a mark of others": ({**MARK, "mode": "snat"}, {}, ".firewall_mark", "mode-needs-ports", "mode snat"),
    "NAT of every port": ({"mode": "nat", "ports": [0], "persistence": 60}, {}, ".ports[0]", "mode-needs-ports"),
    "FTP over NAT": ({"mode": "nat", "ports": [21]}, {}, ".ports[0]", "ftp-not-offered", "SFTP"),
    "proxies in direct routing": ({"proxies": "web"}, {}, ".proxies", "unknown-option"),
    "unknown scheduler": ({"scheduler": "maglev"}, {}, ".scheduler", "unknown-value", "rr, wrr, lc, wlc, "),
    "unknown state": ({"state": "gone"}, {}, ".state", "unknown-value", "present, absent"),
    "unknown protocol": ({"protocol": "TCP"}, {}, ".protocol", "unknown-value", "tcp, udp, sctp"),
    "name of two lines": ({"name": "live\n}"}, {}, "virtual_services[0].name", "not-a-label", "100 bytes"),
    "address twice": ({"addresses": [VIP6, "2001:DB8::0100"]}, {}, ".addresses[1]", "listed-twice", "2001:db8::100"),
    "mark's address twice": ({**MARK, "addresses": [VIP, VIP + "\n"]}, {}, ".addresses[1]", "listed-twice", "192.0.2.100"),
    "no address": ({"addresses": GONE}, {}, ".addresses", "service-without-vip"),
    "empty addresses": ({"addresses": []}, {}, ".addresses", "service-without-vip"),
    "addresses that are not a list": ({"addresses": VIP}, {}, ".addresses", "service-without-vip", "'192.0.2.100'"),
    "a name for an address": ({"addresses": [VIP, "vip.example.com"]}, {}, ".addresses[1]", "not-an-address", "'vip.example.com'"),
    "network for an address": ({"addresses": [VIP + "/24"]}, {}, ".addresses[0]", "not-an-address", "'192.0.2.100/24'"),
    "multicast VIP": ({"addresses": ["233.252.0.1"]}, {}, ".addresses[0]", "not-an-address", "multicast"),
    "unspecified VIP": ({"addresses": ["::"]}, {}, ".addresses[0]", "not-an-address", "unspecified"),
    "VIP with a zone": ({"addresses": ["fe80::1%eth0"]}, {}, ".addresses[0]", "not-an-address", "'fe80::1%eth0'"),
    "null VIP": ({"addresses": [None]}, {}, ".addresses[0]", "not-an-address", "None"),
    "no port": ({"ports": GONE}, {}, ".ports", "service-without-port"),
    "null port": ({"ports": [None]}, {}, ".ports[0]", "service-port-missing"),
    "port in another script": ({"ports": ["٨٠"]}, {}, ".ports[0]", "not-a-whole-number", "'٨٠'"),
    "port with two signs": ({"ports": ["--5"]}, {}, ".ports[0]", "not-a-whole-number", "'--5'"),
    "port without end": ({"ports": ["8" * 5000]}, {}, ".ports[0]", "not-a-whole-number"),
    "ports that are not a list": ({"ports": 80}, {}, ".ports", "service-without-port", "80"),
    "two kinds of checks": ({"health_check": {}, "checks": [{}]}, {}, ".checks", "checks-beside-health-check"),
    "checks that are not a list": ({"checks": {}}, {}, ".checks", "not-a-list", "{}"),
    "a check that is none": ({"checks": [{}, 5]}, {}, ".checks[1]", "not-a-dictionary-like", "5"),
    "an unknown option of a check": ({"checks": [{}, {"prt": 80}]}, {}, ".checks[1].prt", "unknown-option", "did you mean port?"),
    "a floor of several checks": ({"checks": [{}, {**HLS, "floor": 0.5}]}, {}, ".checks[1].floor", "check-option-needs-one", "floor"),
    "several ports, one of which is none": ({"ports": [80, "http"]}, {}, ".ports[1]", "not-ports", "'http'"),
    "a port of another protocol": ({"ports": [80, "81/icmp"]}, {}, ".ports[1]", "not-ports", "'81/icmp'"),
    "ports that overlap": ({"ports": ["80-90", "85/tcp"]}, {}, ".ports[1]", "ports-overlap", "tcp 85 overlaps tcp 80-90"),
    "a range backwards": ({"ports": ["90-80"]}, {}, ".ports[0]", "ports-out-of-range", "'90-80'"),
    "a port too high": ({"ports": [80, 65536]}, {}, ".ports[1]", "ports-out-of-range", "65536"),
    "too many ports": ({"ports": ["1-16385"]}, {}, ".ports[0]", "ports-too-many", "16385 ports"),
    "several ports on other ports": (
        {"ports": [80, 443], "mode": "nat", "real_server_port": 8080}, {}, ".real_server_port", "option-with-several-ports",
    ),
    "several ports with a mark": ({"ports": [80, 443], "firewall_mark": 5}, {}, ".firewall_mark", "option-with-several-ports"),
    "several ports at random": ({"ports": [80, 443], "scheduler": "wlc"}, {}, ".scheduler", "ports-not-bound", "'wlc'"),
    "several ports by port": (
        {"ports": [80, 443], "scheduler": "mh", "scheduler_flags": ["mh-port"]}, {}, ".scheduler", "ports-not-bound", "-port flag",
    ),
    "several ports, and a check of none": ({"ports": [80, 443], "health_check": {}}, {}, ".health_check.port", "check-port-of-mark"),
    "a mark of several ports": ({**MARK, "firewall_mark": 0x4D000001}, {}, ".firewall_mark", "mark-reserved", "1291845633"),
    "port with a firewall mark": ({"firewall_mark": 5}, {}, ".ports", "mark-with-ports", "mark 5"),
    "port that is none": ({"ports": ["http"]}, {}, ".ports[0]", "not-a-whole-number", "'http'"),
    "port that is true": ({"ports": [True]}, {}, ".ports[0]", "not-a-whole-number", "True"),
    "port that is half": ({"ports": [80.5]}, {}, ".ports[0]", "not-a-whole-number", "80.5"),
    "port too large": ({"ports": [65536]}, {}, ".ports[0]", "out-of-range", "between 0 and 65535, not 65536"),
    "negative port": ({"ports": ["-1"]}, {}, ".ports[0]", "out-of-range", "between 0 and 65535, not -1"),
    "port 0 alone": ({"ports": [0]}, {}, ".ports[0]", "port-zero-needs-persistence"),
    "mark 0": ({**MARK, "firewall_mark": 0}, {}, ".firewall_mark", "out-of-range", "between 1 and 4294967295, not 0"),
    "mark that is none": ({**MARK, "firewall_mark": "five"}, {}, ".firewall_mark", "not-a-whole-number", "'five'"),
    "protocol of a mark": ({**MARK, "protocol": "udp"}, {}, ".protocol", "firewall-mark-excludes"),
    "list for a choice": ({"mode": ["dr"]}, {}, ".mode", "unknown-value", "['dr']"),
    "list for a protocol": ({"protocol": ["tcp"]}, {}, ".protocol", "unknown-value", "['tcp']"),
    "flags that are not a list": ({"scheduler_flags": "sh-port"}, {}, ".scheduler_flags", "not-a-list", "'sh-port'"),
    "flag of another scheduler": (
        {"scheduler": "mh", "scheduler_flags": ["sh-port"]}, {}, ".scheduler_flags", "scheduler-flag-unknown", "mh-fallback, mh-port",
    ),
    "a scheduler that refuses newcomers": ({"scheduler": "dh"}, {}, ".scheduler", "scheduler-dh", "use mh"),
    "flag where none is": ({"scheduler_flags": ["mh-port"]}, {}, ".scheduler_flags", "scheduler-without-flags", "wlc"),
    "one packet on TCP": ({"one_packet": True}, {}, ".one_packet", "one-packet-needs-udp", "tcp"),
    "one packet on SCTP": ({"one_packet": True, "protocol": "sctp"}, {}, ".one_packet", "one-packet-needs-udp", "sctp"),
    "one packet perhaps": ({"one_packet": "maybe", **UDP}, {}, ".one_packet", "not-a-boolean", "'maybe'"),
    "persistence of no time": ({"persistence": 0}, {}, ".persistence.timeout", "out-of-range", "between 1 and 2678400 seconds, not 0"),
    "persistence too long": ({"persistence": {"timeout": 2678401}}, {}, ".persistence.timeout", "out-of-range", "2678401"),
    "persistence that is none": ({"persistence": "long"}, {}, ".persistence.timeout", "not-a-whole-number", "'long'"),
    "persistence with more": ({"persistence": {"time": 5}}, {}, ".persistence.time", "unknown-option", "engine, netmask, timeout"),
    "netmask with a hole": ({"persistence": {"netmask": "255.0.255.0"}}, {}, ".persistence.netmask", "not-a-netmask", "'255.0.255.0'"),
    "prefix too long": (
        {"persistence": {"netmask": 129}, "addresses": [VIP6]}, {}, ".persistence.netmask",
        "not-a-prefix-length", "between 1 and 128, not 129",
    ),
    "unknown engine": ({"persistence": {"engine": "rtsp"}}, {}, ".persistence.engine", "unknown-value", "choose from: sip"),
    "SIP over TCP": ({"persistence": {"engine": "sip"}}, {}, ".persistence.engine", "sip-needs-udp", "tcp"),
    "stream that is none": ({"stream": "live/index.m3u8"}, {}, ".stream", "not-a-stream", "'live/index.m3u8'"),
    "stream with a blank": ({"stream": "/live now"}, {}, ".stream", "not-a-stream", "'/live now'"),
    "no group": ({"real_servers": GONE}, {}, ".real_servers", "real-servers-not-a-group"),
    "list of hosts": ({"real_servers": ["server1"]}, {}, ".real_servers", "real-servers-not-a-group", "['server1']"),
    "unknown group": (
        {"real_servers": "wep"}, {}, ".real_servers",
        "real-servers-group-unknown", "'wep' is not in the inventory; choose from: directors, empty, web",
    ),
    "empty group": ({"real_servers": "empty"}, {}, ".real_servers", "real-servers-group-empty", "'empty'"),
    "check that is none": (
        {"health_check": "tcp"}, {}, ".health_check", "not-a-dictionary-like", "{type: http, path: /healthz}, not 'tcp'",
    ),
    "unknown check": (
        {"health_check": {"type": "icmp"}}, {}, ".health_check.type", "unknown-value", "choose from: tcp, http, https, udp, dns, srt,",
    ),
    "check with more": (
        {"health_check": {"path": "/"}}, {}, ".health_check.path",
        "unknown-option", "agent, fall, floor, interval, port, retries, rise, slow_start, target, timeout, type",
    ),
    "check of UDP": (
        {"health_check": {}, **UDP}, {}, ".health_check.port",
        "check-port-protocol", "a tcp check needs a TCP port, and the service is udp",
    ),
    "UDP check of TCP": (
        {"health_check": {"type": "srt"}}, {}, ".health_check.port", "check-port-protocol", "a UDP port, and the service is tcp",
    ),
    "certificate without TLS": (
        {"health_check": {**HLS, "verify": True}}, {}, ".health_check.verify", "check-option-needs-tls", "tls: true",
    ),
    "certificate without a name": ({"health_check": {**HLS, "tls": True, "verify": True}}, {}, ".health_check.host", "check-host-missing"),
    "certificate of one URL without a name": (
        {"health_check": {"type": "https", "verify": True, "urls": [{"path": "/a", "host": "a.example.com"}, {"path": "/b"}]}}, {},
        ".health_check.host",
        "check-host-missing",
    ),
    "authorities": (
        {"health_check": {"type": "rtmps", "host": "a.example.com", "verify": "ca.pem"}}, {}, ".health_check.verify",
        "check-verify-invalid", "'ca.pem'",
    ),
    "days": (
        {"health_check": {"type": "rtsps", "path": "/a", "certificate_days": -1}}, {}, ".health_check.certificate_days",
        "out-of-range", "-1",
    ),
    "TLS that has its own type": ({"health_check": {"type": "rtmp", "tls": True}}, {}, ".health_check.tls", "unknown-option"),
    "login in the inventory": (
        {"health_check": {"type": "rtsp", "path": "/a", "login_file": "user:password"}}, {}, ".health_check.login_file",
        "login-file-invalid", "'user:password'",
    ),
    "all fail": ({"health_check": {"when_all_fail": "pray"}}, {}, ".health_check.when_all_fail", "unknown-value", "keep, out"),
    "path beside urls": (
        {"health_check": {"type": "http", "path": "/", "urls": [{"path": "/"}]}}, {}, ".health_check.path", "check-option-beside-urls",
    ),
    "no urls": ({"health_check": {"type": "http", "urls": ["/"]}}, {}, ".health_check.urls", "check-urls-invalid", "['/']"),
    "wrong status of a url": (
        {"health_check": {"type": "https", "urls": [{"status": "299-200"}]}}, {}, ".health_check.urls[0].status",
        "not-a-whole-number", "'299-200'",
    ),
    "no expression": (
        {"health_check": {"type": "http", "match": 'a"b'}}, {}, ".health_check.match", "check-match-not-writable", "500 bytes",
    ),
    "no path of a stream": ({"health_check": {"type": "rtsp"}}, {}, ".health_check.path", "check-path-invalid", "None"),
    "floor above 1": ({"health_check": {**HLS, "floor": 1.5}}, {}, ".health_check.floor", "out-of-range", "between 0 and 1, not 1.5"),
    "agent that is none": ({"health_check": {"agent": 3333}}, {}, ".health_check.agent", "not-a-dictionary-like", "{port: 3333}, not 3333"),
    "agent that never counts": (
        {"health_check": {"agent": {"smoothing": 0}}}, HEAVY, ".health_check.agent.smoothing", "agent-smoothing-zero",
    ),
    "agent with more": ({"health_check": {"agent": {"host": "x"}}}, HEAVY, ".health_check.agent.host", "unknown-option"),
    "expression that is none": (
        {"health_check": {"type": "http", "match": "([a"}}, {}, ".health_check.match", "check-match-invalid", "'([a'",
    ),
    "status of other digits": (
        {"health_check": {"type": "http", "status": "\uff12\uff10-299"}}, {}, ".health_check.status", "not-a-whole-number",
    ),
    "stream on another port": (
        {"stream": "https://live.example.com/live/index.m3u8"}, {}, ".stream",
        "stream-on-other-port", "on port 443, but the service has 80",
    ),
    "stream with a login": ({"stream": "http://u:p@live.example.com/x"}, {}, ".stream", "url-with-login"),
    "stream of another kind": ({"stream": "rtmp://live.example.com/x"}, {}, ".stream", "url-not-http", "rtmp://live.example.com/x"),
    "stream's file": ({"stream": {"url": "/x", "verify": "x"}}, {}, ".stream.verify", "stream-verify-invalid", "'x'"),
    "stream's option": ({"stream": {"url": "/x", "verfy": True}}, {}, ".stream.verfy", "unknown-option", "did you mean verify?"),
    "script by a relative path": (
        {"health_check": {"type": "script", "path": "x"}}, {}, ".health_check.path", "script-path-invalid", "'x'",
    ),
    "script on the way up": (
        {"health_check": {"type": "script", "path": "/a/../x"}}, {}, ".health_check.path", "script-path-invalid", "'/a/../x'",
    ),
    "script with a port": ({"health_check": {"type": "script", "path": "/x", "port": 5}}, {}, ".health_check.port", "unknown-option"),
    "argument with blanks": (
        {"health_check": {"type": "script", "path": "/x", "arguments": ["a b"]}}, {}, ".health_check.arguments",
        "script-arguments-invalid", "['a b']",
    ),
    "script's user": (
        {"health_check": {"type": "script", "path": "/x", "user": "a b"}}, {}, ".health_check.user", "script-user-invalid", "'a b'",
    ),
    "sorry server unknown": ({"health_check": {}, "sorry_server": "x"}, {}, ".sorry_server", "sorry-server-unknown", "'x'"),
    "sorry server that is a real server": (
        {"health_check": {}, "sorry_server": "server2"}, {}, ".sorry_server", "sorry-server-is-real-server", "server2",
    ),
    "sorry server without a check": ({"sorry_server": "director2"}, {}, ".sorry_server", "sorry-server-without-check", "health_check"),
    "sorry server with a floor": (
        {"health_check": {"floor": 0.3}, "sorry_server": "director2"}, {}, ".sorry_server", "sorry-server-with-floor", "0.3",
    ),
    "instance with blanks": ({"instance": "a b"}, {}, ".instance", "not-an-instance-name", "'a b'"),
    "slow start backwards": (
        {"health_check": {**HLS, "slow_start": -1}}, {}, ".health_check.slow_start", "out-of-range", "between 0 and 86400 seconds, not -1",
    ),
    "check through NAT": (
        {"mode": "nat", "health_check": {"target": "vip"}}, {}, ".health_check.target", "check-target-needs-dr", "target: server",
    ),
    "nothing to send": ({"health_check": {"type": "udp"}, **UDP}, {}, ".health_check.payload", "payload-invalid", "''"),
    "no hex": (
        {"health_check": {"type": "udp", "payload": "0d0", "reply": "00"}, **UDP}, {}, ".health_check.payload", "payload-invalid", "'0d0'",
    ),
    "no name of DNS": (
        {"health_check": {"type": "dns", "query": "a b c"}, **UDP}, {}, ".health_check.query", "check-query-invalid", "'a b c'",
    ),
    "check of a mark": ({"health_check": {}, **MARK}, {}, ".health_check.port", "check-port-of-mark"),
    "check without pause": ({"health_check": {"interval": 0}}, {}, ".health_check.interval", "out-of-range", "between 1 and 3600 seconds"),
    "check without time": ({"health_check": {"timeout": 601}}, {}, ".health_check.timeout", "out-of-range", "between 1 and 600 seconds"),
    "check for ever": ({"health_check": {"retries": 101}}, {}, ".health_check.retries", "out-of-range", "between 0 and 100, not 101"),
    "check of port 0": ({"health_check": {"port": 0}}, {}, ".health_check.port", "out-of-range", "between 1 and 65535, not 0"),
    "check of no path": (
        {"health_check": {"type": "http", "path": "a b"}}, {}, ".health_check.path",
        "check-path-invalid", "path 'a b' is not valid; it must begin with /, contain only letters, digits and -._~%",
    ),
    "check of no status": (
        {"health_check": {"type": "http", "status": 99}}, {}, ".health_check.status", "out-of-range", "between 100 and 599, not 99",
    ),
    "check of no host": ({"health_check": {"type": "http", "host": "a b"}}, {}, ".health_check.host", "check-host-invalid", "'a b'"),
    "bad own address": (
        {}, {"real_server_address": "server1.example.com"}, "hosts[server1].real_server_address", "not-an-address", "'server1.example.com'",
    ),
    "bad own IPv6 address": (
        {}, {"real_server_address6": "2001:db8::/64"}, "hosts[server1].real_server_address6", "not-an-address", "'2001:db8::/64'",
    ),
    "no IPv4 address": (
        {}, {"ansible_host": "server1.example.com"}, "hosts[server1]",
        "real-server-without-address", "no IPv4 address for virtual_services[live]; set real_server_address",
    ),
    "no IPv6 address": (
        {"addresses": [VIP6]}, {"real_server_address6": GONE}, "hosts[server1]",
        "real-server-without-address", "no IPv6 address for virtual_services[live]; set real_server_address6",
    ),
    "weight that is none": ({}, {"real_server_weight": "heavy"}, "hosts[server1].real_server_weight", "not-a-whole-number", "'heavy'"),
    "negative weight": (
        {}, {"real_server_weight": -1}, "hosts[server1].real_server_weight", "out-of-range", "between 0 and 2147483647, not -1",
    ),
    "weight too large": ({}, {"real_server_weight": 2147483648}, "hosts[server1].real_server_weight", "out-of-range", "2147483648"),
    "list for a host state": ({}, {"real_server_state": []}, "hosts[server1].real_server_state", "unknown-value", "[] is not valid"),
    "unknown host state": (
        {}, {"real_server_state": "down"}, "hosts[server1].real_server_state",
        "unknown-value", "'down' is not valid; choose from: active, drained",
    ),
    "port translation": ({}, {"real_server_port": 8080}, "hosts[server1].real_server_port", "destination-port-differs", "8080"),
    "port translation in a tunnel": (
        {"mode": "tunnel"}, {"real_server_port": 8080}, "hosts[server1].real_server_port", "destination-port-differs", "tunnel",
    ),
    "server port that is none": (
        {"mode": "nat"}, {"real_server_port": "web"}, "hosts[server1].real_server_port", "not-a-whole-number", "'web'",
    ),
    "server port too large": (
        {"mode": "nat"}, {"real_server_port": 65536}, "hosts[server1].real_server_port", "out-of-range", "between 1 and 65535, not 65536",
    ),
    "two servers, one address": ({}, {"ansible_host": "192.0.2.22"}, ".real_servers[server2]", "listed-twice", "192.0.2.22:80"),
}  # fmt: skip
