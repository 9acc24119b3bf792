"""lvsdr-streamcheck as a director has it: with its own files alone, so that one that is missing from the list is noticed."""

import sys
from pathlib import Path

from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.directors import streamchecks

COMMAND = (sys.executable, "-m", places.STREAMCHECK_MODULE)


def install(folder, parts=places.STREAMCHECK_PARTS):
    """Writes a program, by default this one, into a folder; returns the PYTHONPATH that it needs."""
    for one in streamchecks.program(parts):
        path = Path(folder) / one["path"][len(places.STREAMCHECK_PROGRAM) + 1 :]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(one["content"])
    return str(folder)
