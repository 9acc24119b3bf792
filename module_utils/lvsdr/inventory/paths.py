# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The paths of what an operator wrote, in the one grammar of all errors. Pure.

``virtual_services[live].ports[0]``, ``hosts[director1].director_interface``, ``groups[directors]``. A service has its name in the brackets
where that is a name and no other service has it, else its index in the list.
"""

from __future__ import annotations

import collections
import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.spelling import is_label

if TYPE_CHECKING:
    from collections.abc import Sequence

# Digits alone would be an index.
NAME = re.compile(r"(?!\d+$)[^\[\]:]+")


def of_service(name: object) -> str:
    """The path of a service by its name or its index."""
    return "virtual_services[%s]" % name


def of_host(host: str) -> str:
    return "hosts[%s]" % host


def of_group(group: str) -> str:
    return "groups[%s]" % group


def indices(virtual_services: Sequence[Any]) -> list[int | None]:
    """Of each declared service its index, or None where its name stands for it."""
    names = [item.get("name") if isinstance(item, dict) else None for item in virtual_services]
    usable = [name if isinstance(name, str) and NAME.fullmatch(name) and is_label(name) else None for name in names]
    times = collections.Counter(usable)
    return [None if name is not None and times[name] == 1 else index for index, name in enumerate(usable)]
