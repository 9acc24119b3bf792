# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The option ``services`` of ipvs_table: an IPVS table in words."""


class ModuleDocFragment:
    DOCUMENTATION = r"""
---
options:
  services:
    description:
      - The virtual services, a list of dictionaries.
      - The list may also be given as JSON text, as the filter P(ansible.builtin.to_json#filter) writes it. Ansible walks through each value
        of a list, on the controller and on the host, and passes a text on as it is; with thousands of destinations that counts.
    type: raw
    default: []
    suboptions:
      name:
        description: A name for readers; the kernel has none.
        type: str
      address:
        description: The VIP, IPv4 or IPv6. Not with C(services[].firewall_mark).
        type: str
      protocol:
        description: Transport protocol, V(tcp) by default.
        type: str
        choices: [tcp, udp, sctp]
      port:
        description: Port from 1 to 65535, or 0 for every port, which needs C(services[].persistence).
        type: int
      firewall_mark:
        description: Serve the packets that carry this mark (1 to 4294967295) instead of an address and port.
        type: int
      family:
        description: Family of a firewall-mark service.
        type: str
        choices: [ipv4, ipv6]
        default: ipv4
      scheduler:
        description: How a destination is chosen for a new connection. See ipvsadm(8).
        type: str
        choices: [rr, wrr, lc, wlc, lblc, lblcr, dh, sh, mh, sed, nq, fo, ovf, twos]
        default: wlc
      scheduler_flags:
        description: C(sh-fallback), C(sh-port), C(mh-fallback), C(mh-port), with the scheduler that they name.
        type: list
        elements: str
        default: []
      one_packet:
        description: Schedule each packet by itself. For UDP.
        type: bool
        default: false
      persistence:
        description: Send a client to the same destination again.
        type: dict
        suboptions:
          timeout:
            description: Seconds that a client is remembered, up to 2678400.
            type: int
            default: 300
          netmask:
            description: Netmask (IPv4) or prefix length (IPv6) by which clients are grouped. A single client by default.
            type: str
          engine:
            description: Persistence engine. V(sip) uses the Call-ID, for UDP.
            type: str
            choices: ["", sip]
            default: ""
      state:
        description: V(absent) removes the service. A VIP is retired this way.
        type: str
        choices: [present, absent]
        default: present
      destinations:
        description: The real servers.
        type: list
        elements: dict
        default: []
        suboptions:
          address:
            description: Address of the real server, of the service's family unless C(services[].destinations[].forward=tunnel).
            type: str
            required: true
          port:
            description: Port, the service's by default. Only V(nat) can have another.
            type: int
          forward:
            description: Forwarding method, V(dr) for direct routing.
            type: str
            choices: [dr, nat, tunnel, local]
            default: dr
          weight:
            description: Share of new connections, 0 to 2147483647. 0 takes no new ones.
            type: int
            default: 1
          upper_threshold:
            description: Connections from which on no new ones are sent. 0 for no limit.
            type: int
            default: 0
          lower_threshold:
            description: Connections below which new ones are sent again after the upper threshold was reached.
            type: int
            default: 0
          tunnel:
            description: Encapsulation of a V(tunnel) destination.
            type: dict
            suboptions:
              type:
                description: Kind of tunnel.
                type: str
                choices: [ipip, gue, gre]
                default: ipip
              port:
                description: UDP port of a GUE tunnel.
                type: int
              checksum:
                description: Checksum in the tunnel's header.
                type: str
                choices: [none, csum, remcsum]
                default: none
          health_checked:
            description:
              - A health check (keepalived) owns the weight.
              - The destination is created with weight 0, and its weight is left alone from then on.
            type: bool
            default: false
          sorry_server:
            description:
              - Another program adds and removes this destination. keepalived does so with its sorry server, while no other destination can
                serve.
              - It may be there or not, with any weight.
            type: bool
            default: false
"""
