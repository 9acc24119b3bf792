#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Puts VIPs on a real server without letting it answer ARP for them."""

DOCUMENTATION = r"""
---
module: real_server_vip
short_description: Hold VIPs on a real server, silent on ARP
description:
  - In direct routing a real server owns the VIP as well, but must never announce that. This module makes the ARP settings first, reads them
    back from the kernel for every interface, and only then adds the VIP to C(lo). On removal it is the other way round.
  - The kernel takes the larger of C(conf/all) and the interface's own value; what counts here is that effective value.
  - A systemd unit makes the same at boot, before any interface is up, and a file in C(/etc/sysctl.d) that is applied after all others keeps
    C(sysctl --system) from undoing it. A host that holds no VIP any more gets its former settings back.
  - IPv6 needs no setting to be silent, but C(net/ipv6/conf/lo/keep_addr_on_down=1), or the VIP is gone when something takes C(lo) down,
    as ifupdown's C(ifdown -a) does.
  - Settings in files of others that would undo the fix are named in RV(conflicts).
requirements: [pyroute2 (python3-pyroute2)]
options:
  vips:
    description:
      - The VIPs, IPv4 and IPv6, with or without C(/32) and C(/128). An empty list removes all that an earlier run added.
      - Needed with O(state=present). With O(state=gathered), by default whatever looks like a VIP on this host.
    type: list
    elements: str
  state:
    description:
      - V(present) holds the VIPs, and no others that earlier runs added.
      - V(gathered) touches nothing and returns in RV(gathered) which fix of the ARP problem the host has, whoever made it, why it works or
        not, and what this module would change.
    type: str
    choices: [present, gathered]
    default: present
  purge:
    description: Remove VIPs that an earlier run added and that are not named now. Without it they are returned as RV(stale).
    type: bool
    default: true
  misplaced:
    description:
      - What becomes of a VIP that is on a network card, where the host answers ARP for it; on C(lo) with a shorter prefix than C(/32)
        and C(/128), which cuts the host off from its subnet, or with a peer; or local by a route alone (C(ip route add local)).
      - A VIP on an interface on which no other host can ask, such as a dummy, a bridge without ports or a pair of veth within the host,
        does no harm there. It is held on C(lo) as well; V(refuse) leaves it in its place, and V(move) takes it away.
      - V(refuse) fails, changes nothing and names the command that takes it away.
      - V(move) holds it on C(lo) as it should be, and then takes it from the wrong place. On a card only a C(/32) or C(/128) beside an
        address of the host's own is moved; an address with its subnet's prefix, or the only one, is the host's own and refused.
        A network manager's file that names it is among the RV(conflicts).
    type: str
    choices: [refuse, move]
    default: refuse
  persist:
    description:
      - Install the systemd unit C(lvsdr-vip.service) and C(/etc/sysctl.d/zz-lvsdr.conf), so that VIPs and silence last.
      - Where there is a NetworkManager, C(/etc/NetworkManager/conf.d/zz-lvsdr.conf) tells it to leave C(lo) alone. For ifupdown2
        C(/etc/network/interfaces.d/zz-lvsdr) does, which has to be read by a C(source) line in C(/etc/network/interfaces), as Debian's has.
    type: bool
    default: true
  record_path:
    description: File that remembers which VIPs were added and the former values of the settings.
    type: path
    default: /var/lib/lvsdr/real_server_vip.json
attributes:
  check_mode:
    description: The plan is the same as without check mode.
    support: full
  diff_mode:
    description: Settings of all interfaces, VIPs on lo, and the systemd unit.
    support: full
notes:
  - Needs root and iproute2; the unit needs systemd.
  - Sources are ip-sysctl.rst of the kernel (arp_ignore, arp_announce, rp_filter, keep_addr_on_down) and RFC 826.
seealso:
  - module: arp_audit
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Hold the VIPs
  real_server_vip:
    vips: [198.51.100.100, "2001:db8:100::100"]

- name: Judge a home-made fix
  real_server_vip:
    state: gathered
  register: found

- name: Show what it is
  ansible.builtin.debug:
    msg: "{{ found.gathered.vips | map(attribute='text') }}"

- name: Take all VIPs off this host
  real_server_vip:
    vips: []
"""

RETURN = r"""
operations:
  description: What was done, in order. C(action) is C(set), C(add), C(remove) or C(restore).
  returned: always
  type: list
  elements: dict
  contains:
    action: {description: Kind of operation., type: str}
    sysctl: {description: The setting., type: str, sample: net/ipv4/conf/all/arp_ignore}
    value: {description: Its new value., type: str}
    vip: {description: The VIP., type: str}
    place: {description: "The wrong place that it is taken from, as C(ip) has it.", type: str, sample: 198.51.100.100/32 dev eth0}
    text: {description: The same in one line., type: str}
vips:
  description: The VIPs that this module keeps on the host now.
  returned: always
  type: list
  elements: str
stale:
  description: VIPs of earlier runs that are not named now and were left because of O(purge=false).
  returned: always
  type: list
  elements: str
gathered:
  description: The host as it is.
  returned: with O(state=gathered)
  type: dict
  contains:
    vips:
      description: For each VIP its recipe, whether it C(works) (null where it is not there), C(why), and C(text), all of it in a sentence.
      type: list
      elements: dict
      sample:
        - vip: 198.51.100.100
          recipe: only conf.lo.arp_ignore=1
          works: false
          why: "questions arrive on a network card, and the kernel takes the larger of conf.all and that card's own value; lo's plays
            no role: eth0 answers for the VIP"
    operations: {description: "What O(state=present) would do for the same VIPs, in lines.", type: list, elements: str}
    problems: {description: What has to be put right by hand before that., type: list, elements: str}
    conflicts: {description: As in RV(conflicts)., type: list, elements: str}
conflicts:
  description:
    - A sentence for each line of another file of settings that would undo the fix, with path and line.
    - Those that the module can't override (in C(/etc/sysctl.conf), which C(sysctl --system) applies last, and in C(/etc/ufw/sysctl.conf)
      where ufw is enabled) are warnings as well.
    - A line counts where the kernel takes its value, with or without a comment behind it.
  returned: always
  type: list
  elements: str
  sample:
    - "/etc/sysctl.d/50-hardening.conf:3 sets net/ipv4/conf/all/rp_filter = 1, which would let this host answer for its VIPs or drop
      their packets; real_server_vip's /etc/sysctl.d/zz-lvsdr.conf is applied later and overrides it [sysctl-line-overridden]"
before:
  description: Settings, VIPs, unit and file before, in lines.
  returned: always
  type: list
  elements: str
after:
  description: The same after. In check mode what they would be.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr.arp import messages, real_server, settings
from ansible.module_utils.lvsdr.errors import LvsError


def main():
    module = AnsibleModule(
        argument_spec={
            "vips": {"type": "list", "elements": "str"},
            "state": {"type": "str", "choices": ["present", "gathered"], "default": "present"},
            "purge": {"type": "bool", "default": True},
            "misplaced": {"type": "str", "choices": ["refuse", "move"], "default": "refuse"},
            "persist": {"type": "bool", "default": True},
            "record_path": {"type": "path", "default": real_server.RECORD},
        },
        required_if=[("state", "present", ("vips",))],
        supports_check_mode=True,
    )
    move = module.params["misplaced"] == "move"
    try:
        if module.params["state"] == "gathered":
            module.exit_json(changed=False, gathered=real_server.gather(module.params["vips"], move))
        if module.params["vips"] is None:
            raise LvsError(messages.VIPS_REQUIRED())
        result = real_server.converge(
            module.params["vips"],
            purge=module.params["purge"],
            persist=module.params["persist"],
            move=move,
            paths=real_server.Paths(record=module.params["record_path"]),
            check=module.check_mode,
        )
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    except OSError as error:
        module.fail_json(msg=str(messages.VIPS_NOT_HELD(why=error)))
    for sentence in result["conflicts"]:
        if settings.must_be_removed(sentence):
            module.warn(sentence)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
