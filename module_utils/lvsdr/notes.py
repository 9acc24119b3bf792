# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who took a server's weight, and why: the second line of the file that takes it. Pure.

keepalived reads the number at the beginning of a track file and nothing behind it (track_file.c, process_track_file: strtol).
"""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import printable

LONGEST_WHO, LONGEST_WHY = 40, 200


def text(number: int, who: str = "", why: str = "") -> str:
    """The content of a file that takes a weight."""
    if not who:
        return "%d\n" % number
    who, why = printable(who, LONGEST_WHO), printable(why, LONGEST_WHY)
    return "%d\n%s: %s\n" % (number, who.replace(":", ""), why) if why else "%d\n%s\n" % (number, who.replace(":", ""))


def read(content: str) -> dict[str, str]:
    """``{"who", "why"}`` of such a content; both are empty where nobody left a note."""
    _number, _end, rest = content.partition("\n")
    who, _colon, why = rest.partition("\n")[0].partition(": ")
    return {"who": printable(who.strip(), LONGEST_WHO), "why": printable(why.strip(), LONGEST_WHY)}
