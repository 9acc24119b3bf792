#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what a running HAProxy holds."""

DOCUMENTATION = r"""
---
module: haproxy_info
short_description: Read the servers and certificates of a running HAProxy
description:
  - Asks HAProxy over its socket and changes nothing.
options:
  socket:
    description: HAProxy's socket with level operator or admin.
    type: path
    default: /run/haproxy/admin.sock
attributes:
  check_mode:
    description: Reading is the same with and without.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
notes:
  - Needs root, and HAProxy 2.6 or later.
seealso:
  - module: haproxy_backend
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: What does HAProxy hold
  haproxy_info:
  register: held
"""

RETURN = r"""
running:
  description: Whether HAProxy answers at its socket.
  returned: always
  type: bool
version:
  description: Its version, or null.
  returned: always
  type: str
viewers:
  description: How many TCP connections there are to the VIPs in HAProxy's file, also of processes that a reload has left to end.
  returned: always
  type: int
servers:
  description:
    - Backend to server to C(status) (C(UP), C(DOWN), C(DRAIN), C(MAINT), C(NOLB) or C(no)), C(weight), C(connections), C(rate) (new ones a
      second), bytes C(in) and C(out), and C(why), which is what lvsdr-streamcheck or the last check said.
  returned: always
  type: dict
certificates:
  description: File to C(serial), C(expires), C(subject) and C(fingerprint) of the first certificate in it.
  returned: always
  type: dict
weight_files:
  description: As of M(ipvs_info), names of the files on this proxy that each take a real server's weight.
  returned: always
  type: list
  elements: str
stream_checks:
  description: As of M(ipvs_info), what lvsdr-streamcheck on this proxy holds of each real server; null where it does not run.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.checks import status
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.proxies import info
from ansible.module_utils.lvsdr.system import files


def main():
    module = AnsibleModule(argument_spec={"socket": {"type": "path", "default": "/run/haproxy/admin.sock"}}, supports_check_mode=True)
    try:
        result = info.look(module.params["socket"])
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    result.update(weight_files=files.names_in(places.DRAINED), stream_checks=status.stream_checks())
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
