#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what the web application firewall of a proxy found."""

DOCUMENTATION = r"""
---
module: waf_info
short_description: Read what the web application firewall of a proxy found
description:
  - Reads the log that ModSecurity writes, with its older parts, and changes nothing.
  - Of each file the last 64 MiB are read, and the 500 most frequent findings are returned.
options:
  log:
    description: The log; older parts have C(.1), and C(.2.gz) and further ones, behind it.
    type: path
    default: /var/log/lvsdr/waf.json
  hours:
    description: How far back.
    type: int
    default: 168
attributes:
  check_mode:
    description: Reading is the same with and without.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
notes:
  - Needs root.
seealso:
  - module: haproxy_info
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: What has the WAF found today
  waf_info:
    hours: 24
  register: found
"""

RETURN = r"""
findings:
  description:
    - Requests that reached the limit, by the rule that matched, where it matched, and the folder of their path. Each has C(service),
      C(rule), C(target) (such as C(ARGS:q)), C(path), C(message), C(requests), C(refused) (those of them that were answered with 403),
      C(viewers) (how many addresses) and C(last) (seconds since 1970). Most requests first.
  returned: always
  type: list
  elements: dict
unread:
  description: How many lines could not be read.
  returned: always
  type: int
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr.proxies import waf_log


def main():
    module = AnsibleModule(
        argument_spec={"log": {"type": "path", "default": "/var/log/lvsdr/waf.json"}, "hours": {"type": "int", "default": 168}},
        supports_check_mode=True,
    )
    since = int(time.time()) - module.params["hours"] * 3600
    try:
        found, unread = waf_log.read(since, module.params["log"])
    except (OSError, EOFError) as error:
        module.fail_json(msg="the log of the WAF can't be read: %s" % error)
    module.exit_json(changed=False, findings=found, unread=unread)


if __name__ == "__main__":
    main()
