"""A server says how much of its weight it wants, and both directors give it that."""

from conftest import REAL_SERVERS, ssh
from test_all_fail import all_in, wait_for

AGENT = """
import socketserver
class Agent(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(open("/run/agent").read().encode())
socketserver.ThreadingTCPServer(("0.0.0.0", 3333), Agent).serve_forever()
"""
SERVER, OWN = REAL_SERVERS[2], "198.51.100.23"


def test_weights_follow_an_agent(lab):
    """75 % of 10, none while it drains, and all of it again when nobody answers any longer."""
    wait_for(all_in)
    ssh(SERVER, "echo 75%% >/run/agent; systemd-run --quiet --unit=agent python3 -c '%s'" % AGENT)
    try:
        found = wait_for(lambda radio, page: radio[OWN] == 8)
        assert all(page[OWN] == 10 for _radio, page in found.values()), "the other service has no agent"
        ssh(SERVER, "echo 'drain # maintenance' >/run/agent")
        wait_for(lambda radio, page: radio[OWN] == 0)
        ssh(SERVER, "echo 'ready 20%' >/run/agent")
        wait_for(lambda radio, page: radio[OWN] == 2)
    finally:
        ssh(SERVER, "systemctl stop agent; rm -f /run/agent")
    wait_for(all_in)
    wait_for(lambda radio, page: radio[OWN] == 10)
