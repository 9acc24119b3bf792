#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes what ipvs_table takes and does nothing: what Ansible itself costs in a benchmark."""

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={"services": {"type": "raw"}}, supports_check_mode=True)
    # As ipvs_table does: the result without it.
    del module.params["services"]
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
