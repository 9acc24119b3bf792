"""A certificate that an ACME server issues and renews: certbot with the hook of docs/proxy.md, and Pebble, which looks at DNS."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest
from ansible.module_utils.lvsdr import places
from test_proxy import ask, declare, haproxy

ROOT = Path(__file__).parents[2]
NAME = "live.example.com"


def free_ports(count):
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def answers(port):
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < deadline, "nothing answers at port %d" % port
        time.sleep(0.1)


@pytest.fixture
def authority(tmp_path):
    """(directory of the ACME server, its own certificate, port where a TXT record is set)"""
    acme, management, dns, records = free_ports(4)
    own, key = tmp_path / "acme.pem", tmp_path / "acme.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(own)],
        check=True, capture_output=True,
    )  # fmt: skip
    config = {
        "listenAddress": "127.0.0.1:%d" % acme, "managementListenAddress": "127.0.0.1:%d" % management, "certificate": str(own),
        "privateKey": str(key), "httpPort": 5002, "tlsPort": 5001, "ocspResponderURL": "", "externalAccountBindingRequired": False,
    }  # fmt: skip
    (tmp_path / "pebble.json").write_text(json.dumps({"pebble": config}))
    off = [word for name in ("http01", "https01", "tlsalpn01") for word in ("-" + name, "")]
    commands = (
        ["pebble-challtestsrv", "-dns01", "127.0.0.1:%d" % dns, "-management", "127.0.0.1:%d" % records, *off],
        ["pebble", "-config", str(tmp_path / "pebble.json"), "-dnsserver", "127.0.0.1:%d" % dns],
    )
    environment = dict(os.environ, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0")
    with open(tmp_path / "acme.log", "w") as log:
        running = [subprocess.Popen(command, stdout=log, stderr=log, env=environment) for command in commands]
    try:
        answers(acme)
        answers(records)
        yield "https://localhost:%d/dir" % acme, own, records
    finally:
        for process in running:
            process.terminate()
            process.wait()


def hook(fleet, live):
    """The script of docs/proxy.md, with the paths of this test."""
    text = (ROOT / "docs" / "proxy.md").read_text()
    script = re.search(r"```\n(#!/bin/sh\n.*?RENEWED_LINEAGE.*?)```", text, re.DOTALL)[1]
    assert "/srv/lvsdr/live.pem" in script and "cd /srv/lvsdr" in script and "ansible-playbook site.yml && exit" in script
    script = script.replace("/srv/lvsdr/live.pem", str(live)).replace("cd /srv/lvsdr\n", "cd %s\n" % fleet.project)
    path = fleet.folder / "hook"
    path.write_text(script.replace("ansible-playbook site.yml", "ansible-playbook --skip-tags verify site.yml"))
    path.chmod(0o755)
    return path


def test_a_certificate_is_issued_and_renewed_by_acme(fleet, authority, tmp_path):
    server, own, records = authority
    live = fleet.folder / "live.pem"
    declare(fleet, tls={"certificates": [{"controller": str(live)}]}, stream="https://%s/live/index.m3u8" % NAME)
    setter = tmp_path / "set-txt"
    setter.write_text(
        '#!/bin/sh\ncurl -sf -d \'{"host": "_acme-challenge.%s.", "value": "\'"$CERTBOT_VALIDATION"\'"}\' http://127.0.0.1:%d/set-txt\n'
        % (NAME, records)
    )
    setter.chmod(0o755)
    environment = dict(
        os.environ, REQUESTS_CA_BUNDLE=str(own), ANSIBLE_CONFIG=str(fleet.project / "ansible.cfg"), ANSIBLE_NOCOLOR="1",
        ANSIBLE_INVENTORY=str(fleet.folder / "inventory.yml"), ANSIBLE_LOCALHOST_WARNING="False",
    )  # fmt: skip
    folders = [word for name in ("config", "work", "logs") for word in ("--%s-dir" % name, str(tmp_path / name))]
    common = ["/usr/bin/certbot", "--non-interactive", *folders, "--server", server]

    def certbot(*words):
        done = subprocess.run([*common, *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "PRIVATE KEY" not in done.stdout + done.stderr

    def serial():
        there = fleet.machines["server2"].inside("sh", "-c", "ls %s/*-live.pem" % places.HAPROXY_CERTIFICATES).strip()
        return re.search("Serial: (.*)", ask(fleet, "server2", "show ssl cert " + there))[1]

    certbot(
        "certonly", "--agree-tos", "--register-unsafely-without-email", "--manual", "--preferred-challenges", "dns", "--manual-auth-hook",
        str(setter), "--deploy-hook", str(hook(fleet, live)), "-d", NAME,
    )  # fmt: skip
    before, reloads = serial(), haproxy(fleet, "server2").get("reloads", 0)
    certbot("renew", "--force-renewal", "--no-random-sleep-on-renew")
    assert serial() != before and haproxy(fleet, "server2").get("reloads", 0) == reloads
    assert live.stat().st_mode & 0o777 == 0o600
