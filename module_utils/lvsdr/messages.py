# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is said about the values of options of all kinds. Each wing has a file of this name for its own.

A sentence follows the path of what it is about: ``virtual_services[live].ports[0]: must be between 0 and 65535, not 70000``. It says what
the value must be, then what it is, and then, behind a semicolon, the next step where that is not plain. docs/messages.md explains each id.
"""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

# Names of values: value is shown(value) of what was declared; choices and names are texts with commas between.
UNKNOWN_OPTION = Message("unknown-option", "there is no such option%(near)s; choose from: %(names)s")
RENAMED_OPTION = Message("renamed-option", "was renamed to %(name)s")
ADDRESS_MISSING = Message("address-missing", "an address is required")
NOT_AN_ADDRESS = Message("not-an-address", "must be an IPv4 or IPv6 address of one host, not %(value)s%(why)s")
NOT_A_NUMBER = Message("not-a-number", "must be a number, not %(value)s")
NOT_A_WHOLE_NUMBER = Message("not-a-whole-number", "must be a whole number, not %(value)s")
OUT_OF_RANGE = Message("out-of-range", "must be between %(low)s and %(high)s%(unit)s, not %(value)s")
UNKNOWN_VALUE = Message("unknown-value", "%(value)s is not valid; choose from: %(choices)s")
NOT_A_BOOLEAN = Message("not-a-boolean", "must be true or false, not %(value)s")
NOT_A_LIST = Message("not-a-list", "must be a list, not %(value)s")
NOT_A_DICTIONARY = Message("not-a-dictionary", "must be a dictionary, not %(value)s")
NOT_A_DICTIONARY_LIKE = Message("not-a-dictionary-like", "must be a dictionary such as %(example)s, not %(value)s")
NOT_TEXT = Message("not-text", "must be text, not %(value)s; write it in quotes")
NOT_AN_INTERFACE = Message("not-an-interface", "%(value)s is not a valid interface name")
DECLARED_TWICE = Message("declared-twice", "%(what)s is already declared by %(by)s; remove one")
LISTED_TWICE = Message("listed-twice", "%(what)s is listed twice; remove one")
NOT_JSON = Message("not-json", "%(option)s is not JSON (%(why)s); give a list, or a list written by to_json")
NOT_A_SETTING = Message("not-a-setting", "must be a number or text, not %(value)s")
TOO_SMALL = Message("too-small", "must be at least %(low)s, not %(value)s")
NOT_UTF_8 = Message("not-utf-8", "an option can't be written in UTF-8 (character %(number)d, %(character)s); correct the text")
