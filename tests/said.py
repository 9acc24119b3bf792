"""What a message says, for tests: its path and its id, and never its words."""

import re

LINE = re.compile(r"(?:  - )?(?P<path>\S.*?): .* \[(?P<id>[a-z0-9-]+)\]", re.DOTALL)


def path_and_id(line):
    """("virtual_services[live].ports[0]", "out-of-range") of one problem."""
    found = LINE.fullmatch(line)
    assert found, "%r has no path, or no id at its end" % line
    return found["path"], found["id"]


def id_of(text):
    """The id at the end of a sentence, such as the text of an LvsError."""
    found = re.search(r" \[([a-z0-9-]+)\]$", text)
    assert found, "%r has no id at its end" % text
    return found[1]
