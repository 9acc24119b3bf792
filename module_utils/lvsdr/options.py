# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a module begins where its options may hold any text."""

import json
import sys


def begin(make, **spec):
    """``make(**spec)``, an AnsibleModule. It writes its options to the log in UTF-8, and a lone surrogate would end it with a traceback."""
    try:
        return make(**spec)
    except UnicodeEncodeError as error:
        msg = "An option can't be written in UTF-8 (character %d, %a): correct the text" % (error.start + 1, error.object[error.start])
        print(json.dumps({"failed": True, "msg": msg}))
        sys.exit(1)
