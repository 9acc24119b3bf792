#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ends the tunnels of directors on a real server."""

DOCUMENTATION = r"""
---
module: tunnel_endpoint
short_description: End the tunnels of directors on a real server
description:
  - In mode tunnel a director puts a viewer's packet into another one, which any router can bring to the real server. This module makes the
    device that takes it out again. The VIP is held by M(real_server_vip), and the answer goes to the viewer directly.
  - Anybody who can reach a host could send packets in tunnels, with any source address inside. A table of nftables lets them in from the
    directors alone.
  - What a viewer sends has to fit through the tunnel. The answer to the first packet of a TCP connection says how long segments may be, and
    a rule makes that what is left of the link's MTU.
  - A systemd unit makes the same at boot, and again after networking, systemd-networkd or NetworkManager was restarted.
options:
  endpoints:
    description: The tunnels that end here. An empty list removes all that an earlier run made.
    type: list
    elements: dict
    required: true
    suboptions:
      type:
        description: Kind of tunnel. V(ipip) is IP in IP, of the address's family.
        type: str
        choices: [ipip, gue, gre]
        default: ipip
      address:
        description: Where they end, an address of this host.
        type: str
        required: true
      port:
        description: UDP port of V(gue). 6080 by default.
        type: int
  sources:
    description: The addresses that directors send from.
    type: list
    elements: str
    default: []
  vips:
    description: The VIPs of these tunnels, whose answers say how long segments may be.
    type: list
    elements: str
    default: []
  persist:
    description: Install the systemd unit C(lvsdr-tunnel.service), so that it lasts.
    type: bool
    default: true
attributes:
  check_mode:
    description: The plan is the same as without check mode.
    support: full
  diff_mode:
    description: Devices and ports, as the commands that make them.
    support: full
notes:
  - Needs root, systemd, nftables and pyroute2, and the kernel's modules for the kind of tunnel.
  - Sources are ip-link(8), ip-fou(8) and nft(8).
seealso:
  - module: real_server_vip
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Take packets of the directors out of IP in IP
  tunnel_endpoint:
    endpoints: [{address: 198.51.100.21}]
    sources: [198.51.100.11, 198.51.100.12]
    vips: [198.51.100.100]
"""

RETURN = r"""
devices:
  description: The kinds of the devices that are wanted.
  returned: always
  type: list
  elements: str
  sample: [ipip]
held:
  description: The kinds of the devices of earlier runs that were there.
  returned: always
  type: list
  elements: str
  sample: [gre]
steps:
  description: What was done, or in check mode would be, in order, as the commands that do the same.
  returned: always
  type: list
  elements: str
  sample: [nft -f /etc/lvsdr/tunnel.nft, ip link add lvsdr-ipip type ipip local 198.51.100.21]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.routes import endpoints, tunnels


def main():
    module = AnsibleModule(
        argument_spec={
            "endpoints": {"type": "list", "elements": "dict", "required": True, "options": tunnels.OPTIONS},
            "sources": {"type": "list", "elements": "str", "default": []},
            "vips": {"type": "list", "elements": "str", "default": []},
            "persist": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    p = module.params
    try:
        wanted, sources, vips = tunnels.read_endpoints(p["endpoints"], p["sources"], p["vips"])
        result = endpoints.converge(wanted, sources, vips, p["persist"], module.check_mode)
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
