"""Gives modules and module_utils the names that Ansible itself uses: ``ansible.modules.X`` and ``ansible.module_utils.lvsdr.X``."""

from pathlib import Path

import ansible.module_utils
import ansible.modules

ROOT = Path(__file__).parent.parent
ansible.modules.__path__.append(str(ROOT / "library"))
ansible.module_utils.__path__.append(str(ROOT / "module_utils"))
