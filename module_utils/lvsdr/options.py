# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a module begins where its options may hold any text, and how a long option is read."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Module = TypeVar("Module")

from ansible.module_utils.lvsdr import messages
from ansible.module_utils.lvsdr.errors import LvsError, printable


def begin(make: Callable[..., Module], **spec: Any) -> Module:
    """``make(**spec)``, an AnsibleModule. It writes its options to the log in UTF-8, and a lone surrogate would end it with a traceback."""
    try:
        return make(**spec)
    except UnicodeEncodeError as error:
        msg = "An option can't be written in UTF-8 (character %d, %a): correct the text" % (error.start + 1, error.object[error.start])
        print(json.dumps({"failed": True, "msg": msg}))
        sys.exit(1)


def from_json(name: str, value: Any) -> Any:
    """An option that may be given as JSON text: Ansible walks through each value of a list, and a table has tens of thousands."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise LvsError(messages.NOT_JSON(option=name, why=printable(str(error), 100)))
