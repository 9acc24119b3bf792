# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Text: digests of it, and how a value becomes it, in a file and in a message. Pure."""

import difflib
import hashlib
import re

from .errors import LvsError, shown


def digest_of(text):
    """SHA-256 of a text, as of the file that holds it."""
    return hashlib.sha256(text.encode()).hexdigest()


def did_you_mean(name, names):
    """``"; did you mean real_server_weight?"``, or nothing where no name is near."""
    near = difflib.get_close_matches(str(name) if isinstance(name, str) else "", names, 1, 0.75)
    return "; did you mean %s?" % near[0] if near else ""


def setting_text(value):
    """The text of a value as the kernel takes it: booleans are 0 and 1 however YAML or a template spells them.

    LvsError where it is neither a number nor text.
    """
    if isinstance(value, bool):
        return str(int(value))
    text = re.sub("[ \t]+", " ", value.strip()) if isinstance(value, str) else ""
    if isinstance(value, int) and abs(value) < 1 << 64:
        text = str(value)
    if not text or not text.isprintable():
        raise LvsError("%s is neither a number nor text" % shown(value))
    return {"true": "1", "yes": "1", "on": "1", "false": "0", "no": "0", "off": "0"}.get(text.lower(), text)


def with_digest(text):
    """Rules with the digest of their own text in the place of ``@DIGEST@``: what is in force then says which rules it is."""
    return text.replace("@DIGEST@", digest_of(text)[:16])
