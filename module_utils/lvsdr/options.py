# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a module begins where its options may hold any text, and how numbers and a long option are read."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn, TypeVar

    Module = TypeVar("Module")

from ansible.module_utils.lvsdr import messages
from ansible.module_utils.lvsdr.errors import LvsError, Problems, printable, shown


def begin(make: Callable[..., Module], renamed: Mapping[str, str] | None = None, **spec: Any) -> Module:
    """``make(**spec)``, an AnsibleModule. It writes its options to the log in UTF-8, and a lone surrogate would end it with a traceback.

    renamed: {name of an earlier release: name}, or ``list.name`` for an option of the items of a list. AnsibleModule would only say that
    it does not know the earlier name, and require the other one.
    """
    try:
        # Ansible keeps this function for modules that have to see their options before it checks them. What stands in for AnsibleModule
        # where documentation is compared with code has none, or no options.
        load = getattr(sys.modules[make.__module__], "_load_params", dict)
        if renamed:
            refuse_renamed(load() or {}, renamed)
        return make(**spec)
    except LvsError as error:
        _fail(str(error), **error.details)
    except UnicodeEncodeError as error:
        line = messages.NOT_UTF_8(number=error.start + 1, character=ascii(error.object[error.start]))
        _fail(str(line))


def _fail(msg: str, **details: Any) -> NoReturn:
    """The result of a module that failed before there was an AnsibleModule."""
    print(json.dumps({"failed": True, "msg": msg, **details}))
    sys.exit(1)


def refuse_renamed(given: Mapping[str, Any], renamed: Mapping[str, str]) -> None:
    """LvsError with every option that is given by the name of an earlier release."""
    problems = Problems()
    for former, name in renamed.items():
        outer, _dot, old = former.rpartition(".")
        items = given.get(outer) if outer else None
        within = {"%s[%d]." % (outer, index): item for index, item in enumerate(items if isinstance(items, list) else ())}
        for path, options in within.items() if outer else [("", given)]:
            if isinstance(options, dict) and old in options:
                problems.add(path + old, messages.RENAMED_OPTION(name=name))
    problems.raise_if_any("The options can't be used")


def in_range(given: Mapping[str, Any], **limits: tuple[float, float | None, str]) -> None:
    """LvsError with every number that is out of its range: ``in_range(params, timeout=(0.1, 60, " seconds"))``.

    Without an upper limit (None) it must be as large as the lower one; an option that is None was left out.
    """
    problems = Problems()
    for name, (low, high, unit) in limits.items():
        value = given[name]
        if value is None or low <= value and (high is None or value <= high):
            continue
        if high is None:
            problems.add(name, messages.TOO_SMALL(low="%s%s" % (low, unit), value=shown(value)))
        else:
            problems.add(name, messages.OUT_OF_RANGE(low=low, high=high, unit=unit, value=shown(value)))
    problems.raise_if_any("The options can't be used")


def from_json(name: str, value: Any) -> Any:
    """An option that may be given as JSON text: Ansible walks through each value of a list, and a table has tens of thousands."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise LvsError(messages.NOT_JSON(option=name, why=printable(str(error), 100)))
