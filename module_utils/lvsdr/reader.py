# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a declared value is read: with a path for its errors, and a harmless value in the place of a wrong one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr import messages
from ansible.module_utils.lvsdr.addresses import not_an_address, parse_address
from ansible.module_utils.lvsdr.errors import Line, Problems, shown
from ansible.module_utils.lvsdr.text import did_you_mean, plain_text, whole_number

if TYPE_CHECKING:
    import builtins  # in the class below, list is a method
    from collections.abc import Collection


class Reader:
    """Takes values out of one declared dict; what is wrong goes to the problems, with the path, and a harmless value comes back."""

    def __init__(self, problems: Problems, path: str, data: dict[Any, Any]) -> None:
        self.problems, self.path, self.data = problems, path, data

    def wrong(self, field: str, said: Line) -> None:
        self.problems.add("%s.%s" % (self.path, field) if field else self.path, said)

    def get(self, field: str, default: Any = None) -> Any:
        value = self.data.get(field)
        return default if value is None else value

    def known(self, fields: Collection[str], renamed: dict[str, str] | None = None) -> None:
        """Refuses all other fields. renamed: {name of former days: name of now}."""
        for field in self.data:
            if renamed and field in renamed:
                self.wrong(field, messages.RENAMED_OPTION(name=renamed[field]))
            elif field not in fields:
                # A key may be anything that YAML takes for one.
                name = field if isinstance(field, str) and field else shown(field)
                self.wrong(name, messages.UNKNOWN_OPTION(near=did_you_mean(field, fields), names=", ".join(sorted(fields))))

    def address(self, field: str, default: Any = None) -> tuple[int, str] | tuple[None, None]:
        value = self.get(field, default)
        if value is None:
            self.wrong(field, messages.ADDRESS_MISSING())
            return None, None
        try:
            return parse_address(value)
        except ValueError as why:
            self.wrong(field, not_an_address(value, why))
            return None, None

    def integer(self, field: str, default: int, low: int, high: int, unit: str = "") -> int:
        value = self.get(field, default)
        number = whole_number(value)
        if number is None:
            self.wrong(field, messages.NOT_A_WHOLE_NUMBER(value=shown(value)))
            return default
        if not low <= number <= high:
            self.wrong(field, messages.OUT_OF_RANGE(low=low, high=high, unit=unit, value=number))
            return default
        return number

    def seconds(self, field: str, default: float, low: float, high: float) -> float:
        """Seconds in hundredths, as a float."""
        value = self.get(field, default)
        try:
            number: float | None = round(float(plain_text(value).strip()), 2)
        except (OverflowError, ValueError):
            number = None
        if number is None or isinstance(value, bool):
            self.wrong(field, messages.NOT_A_NUMBER(value=shown(value)))
            return default
        if not low <= number <= high:
            self.wrong(field, messages.OUT_OF_RANGE(low="%g" % low, high="%g" % high, unit=" seconds", value=shown(value)))
            return default
        return number

    def fraction(self, field: str, default: float) -> float:
        """A share, from 0 to 1."""
        value = self.get(field, default)
        try:
            number: float | None = float(plain_text(value).strip())
        except ValueError:
            number = None
        if number is None or isinstance(value, bool) or not 0 <= number <= 1:
            self.wrong(field, messages.OUT_OF_RANGE(low=0, high=1, unit="", value=shown(value)))
            return default
        return number

    def choice(self, field: str, default: str, choices: Collection[str]) -> str:
        value = self.get(field, default)
        if not isinstance(value, str) or value not in choices:
            self.wrong(field, messages.UNKNOWN_VALUE(value=shown(value), choices=", ".join(choice for choice in choices if choice)))
            return default
        return value

    def boolean(self, field: str, default: bool = False) -> bool:
        value = self.get(field, default)
        if isinstance(value, str) and value.lower() in ("yes", "true", "on", "no", "false", "off"):
            return value.lower() in ("yes", "true", "on")
        if not isinstance(value, bool):
            self.wrong(field, messages.NOT_A_BOOLEAN(value=shown(value)))
            return default
        return value

    def list(self, field: str) -> builtins.list[Any]:
        value = self.get(field, [])
        if not isinstance(value, list):
            self.wrong(field, messages.NOT_A_LIST(value=shown(value)))
            return []
        return value

    def inner(self, field: str, data: dict[Any, Any]) -> Reader:
        """The reader of a dict inside this one."""
        return Reader(self.problems, "%s.%s" % (self.path, field), data)


INTERFACE = "[!-.0-9;-~]{1,15}"  # what the kernel takes (dev_valid_name), in ASCII
