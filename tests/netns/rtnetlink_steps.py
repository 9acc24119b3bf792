"""Calls methods of Rtnetlink in this namespace, as JSON on stdin has them, and prints what the kernel has then and what was refused.

Its argument is the folder of packages in which ansible.module_utils.lvsdr is found. It keeps to what a host has: Python and pyroute2.
"""

import json
import sys

sys.path.insert(0, sys.argv[1])
try:
    import conftest  # noqa: F401 - in the checkout it gives modules their names
except ImportError:
    pass

from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.system import links, rtnetlink

said = []
with rtnetlink.opened() as kernel:
    for name, *values in json.load(sys.stdin):
        if name == "remove_local_route":
            values = [rtnetlink.LocalRoute.read(values[0])]
        try:
            getattr(kernel, name)(*values)
        except LvsError as error:
            said.append(str(error))
    found = kernel.links()
    out = {
        "said": said,
        "links": found,
        "addresses": kernel.addresses(),
        "routes": kernel.local_routes(found),
        "tables": [sorted(kernel.tables_without_condition(version)) for version in (4, 6)],
    }
json.dump(dict(out, interfaces=links.interfaces()), sys.stdout)
