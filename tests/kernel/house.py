"""``import house`` makes this tree's ansible.module_utils.lvsdr importable where there is no Ansible, as in a guest."""

import sys
import types
from pathlib import Path

for name, path in (("ansible", []), ("ansible.module_utils", [str(Path(__file__).parents[2] / "module_utils")])):
    package = sys.modules.setdefault(name, types.ModuleType(name))
    package.__path__ = path
