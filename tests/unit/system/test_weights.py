"""Which spares the stream checker of a host knows, by its configuration."""

import json

import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.system import weights

SPARE, DRAIN = places.spare_file("edge1"), places.drain_file("edge1")


@pytest.mark.parametrize(
    "text, found",
    [
        (None, []),
        ("", []),
        ("{", []),
        ("[]", []),
        ("{}", []),
        (json.dumps({"services": [{"servers": 3}]}), []),
        (
            json.dumps({"services": [{"servers": [{"weight_files": ["%s/%s" % (places.DRAINED, one) for one in (DRAIN, SPARE)]}] * 2}]}),
            [SPARE],
        ),
    ],
)
def test_the_spares_that_a_checker_knows(tmp_path, text, found):
    path = tmp_path / "streamcheck.json"
    if text is not None:
        path.write_text(text)
    assert weights.spares(str(path)) == found
