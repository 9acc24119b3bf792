"""Names that a system call can't take: modules answer with a sentence, whatever the text."""

import json

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible.modules import arp_audit, host_units, listener_check, stream_probe, udp_probe, viewer_watch, vip_watch, vrrp_audit

LISTENER = {"name": "http", "port": 1, "vip": "127.0.0.1", "own": "127.0.0.1"}
CASES = [
    (arp_audit, lambda text: {"vips": ["127.0.0.2"], "interface": text, "timeout": 0.1}),
    (host_units, lambda text: {"units": [{"name": "-" + text}]}),
    (listener_check, lambda text: {"services": [{**LISTENER, "name": text}]}),
    (stream_probe, lambda text: {"url": "http://127.0.0.1:1/x", "connect_to": text}),
    (udp_probe, lambda text: {"vips": ["127.0.0.1"], "port": 1, "type": "dns", "query": text, "timeout": 0.1}),
    (udp_probe, lambda text: {"vips": [text], "port": 1}),
    (viewer_watch, lambda text: {"url": "http://%s/x" % text}),
    (vip_watch, lambda text: {"vips": [text]}),
    (vrrp_audit, lambda text: {"interface": text, "duration": 0}),
]


@pytest.mark.parametrize("text", ["\ud800", "a\nb", "a\0b", "é\n"])
@pytest.mark.parametrize(("module", "options"), CASES)
def test_a_sentence_and_no_traceback(capsys, module, options, text):
    with patch_module_args(options(text)), pytest.raises(SystemExit) as ended:
        module.main()
    result = json.loads(capsys.readouterr().out)
    assert ended.value.code == 1 and result["failed"] and result["msg"]
    assert "exception" not in result and "Traceback" not in result["msg"] and text not in result["msg"]
