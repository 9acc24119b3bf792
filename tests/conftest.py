"""Gives modules and module_utils the names that Ansible itself uses: ``ansible.modules.X`` and ``ansible.module_utils.lvsdr.X``."""

import os
from pathlib import Path

import ansible.module_utils
import ansible.modules

# A check of the controller's that no host makes; it would be on where a test before has imported a part of the controller.
os.environ["ANSIBLE_MODULE_STRICT_UTF8_RESPONSE"] = "0"
ROOT = Path(__file__).parent.parent
ansible.modules.__path__.append(str(ROOT / "library"))
ansible.module_utils.__path__.append(str(ROOT / "module_utils"))
