#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings a running HAProxy to what its file says, without a reload where that can be."""

DOCUMENTATION = r"""
---
module: haproxy_backend
short_description: Bring a running HAProxy to what its file says, without a reload
description:
  - Compares the servers of a file that lvsdr has made with those that HAProxy holds, and adds, changes, drains and removes them over its
    socket. A server that is no longer in the file takes no new connections, and goes with its last one; a later run removes it.
  - A certificate file that is not the one that HAProxy holds is exchanged. The next handshake has the new one, and no connection ends.
  - Everything else needs a reload. Then nothing is changed, RV(reload) says why, and M(host_units) reloads. Running connections stay with
    the process of before, and health checks begin again.
  - Where HAProxy does not run there is nothing to do.
options:
  content:
    description: The file, whole.
    type: str
    required: true
  path:
    description: Where HAProxy reads it.
    type: path
    default: /etc/haproxy/haproxy.cfg
  socket:
    description: HAProxy's socket with level admin.
    type: path
    default: /run/haproxy/admin.sock
  unit:
    description: The systemd unit whose copy of the file tells what HAProxy has read (M(host_units)).
    type: str
    default: haproxy
attributes:
  check_mode:
    description: The plan is the same as without check mode. Certificates are compared.
    support: full
  diff_mode:
    description: Servers before and after. Private keys are never shown.
    support: full
notes:
  - Needs root, and HAProxy 2.6 or later.
  - A certificate is known by its SHA-1, which is how HAProxy shows it.
seealso:
  - module: host_files
  - module: host_units
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Exchange servers and certificates
  haproxy_backend:
    content: "{{ lookup('ansible.builtin.file', 'haproxy.cfg') }}"
"""

RETURN = r"""
running:
  description: Whether HAProxy answers at its socket.
  returned: always
  type: bool
operations:
  description: What was done, or in check mode would be, in order. Each line has the commands, and what they do to running connections.
  returned: always
  type: list
  elements: str
  sample:
    - "add server live/edge3 192.0.2.23:80 weight 1; enable server live/edge3  # keeps connections"
    - "set server live/edge1 state drain  # drains 12 running connections"
    - "set ssl cert /etc/ssl/private/live.pem; commit ssl cert /etc/ssl/private/live.pem  # keeps connections"
reload:
  description: Why only a reload will do. Nothing was changed then.
  returned: always
  type: list
  elements: str
leaving:
  description: Servers that are no longer in the file and still have running connections, with their number.
  returned: always
  type: dict
  sample: {live/edge1: 12}
certificates:
  description: What HAProxy holds of each file of certificates, C(serial), C(expires), C(subject) and C(fingerprint).
  returned: always
  type: dict
applied:
  description: Where something failed half-way, what was done. A second run does the rest.
  returned: on failure
  type: list
  elements: str
not_applied:
  description: What was not.
  returned: on failure
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.proxies import backend


def main():
    module = AnsibleModule(
        argument_spec={
            "content": {"type": "str", "required": True},
            "path": {"type": "path", "default": "/etc/haproxy/haproxy.cfg"},
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
            "unit": {"type": "str", "default": "haproxy"},
        },
        supports_check_mode=True,
    )
    options = dict(module.params)
    try:
        result = backend.bring(options["content"], options["path"], options["socket"], options["unit"], module.check_mode)
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    if not module._diff:
        del result["diff"]
    # The file itself need not travel back.
    module.params.clear()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
