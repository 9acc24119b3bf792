"""nginx itself is reloaded by host_units: what it could not use is an error, and not a configuration in force."""

import os
import subprocess

import pytest
from ansible.module_utils.lvsdr import places
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.system import in_force
from conftest import eventually, free_port
from said import id_of

# systemd's part: what it says of the unit, and the lines of its drop-in. nginx's own are as Debian's unit has them.
SYSTEMCTL = """#!/bin/sh
case $1 in
show) case $2 in
    *MainPID*) echo MainPID=$(cat {folder}/nginx.pid) ;;
    *) printf 'LoadState=loaded\\nActiveState=active\\nUnitFileState=enabled\\nNeedDaemonReload=no\\n' ;;
    esac ;;
reload) nginx -c {folder}/nginx.conf -s reload 2>/dev/null && sed -n 's/^ExecReload=+//p' {folder}/drop-in-$2.conf | sh ;;
esac
"""
CONF = """
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    proxy_cache_path {folder}/{cache} keys_zone=live:1m;
    server {{ listen 127.0.0.1:{port}; return 200 "{word}"; }}
}}
"""


@pytest.fixture
def nginx(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.write_text(SYSTEMCTL.format(folder=tmp_path))
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path / "bin", os.environ["PATH"]))
    monkeypatch.setattr(in_force, "DROP_IN", str(tmp_path / "drop-in-%s.conf"))
    monkeypatch.setattr(in_force, "NEW_WORKERS", 3)
    monkeypatch.setattr(places, "IN_FORCE", str(tmp_path / "in_force"))
    port, path = free_port(), tmp_path / "nginx.conf"

    def write(word, cache="first"):
        path.write_text(CONF.format(folder=tmp_path, cache=cache, port=port, word=word))

    def bring():
        return in_force.apply_units([{"name": "nginx", "reload_on": [str(path)], "workers": True}])["steps"]

    def says():
        return subprocess.run(["curl", "-s", "http://127.0.0.1:%d/" % port], capture_output=True, text=True).stdout

    write("one")
    subprocess.run(["nginx", "-c", str(path)], check=True)
    try:
        yield write, bring, says
    finally:
        subprocess.run(["nginx", "-c", str(path), "-s", "stop"], capture_output=True)


def test_what_nginx_could_not_use_is_not_in_force(nginx):
    write, bring, says = nginx
    assert eventually(lambda: says() == "one") and bring()[-1] == "reload nginx" and bring() == []
    write("two")
    assert bring() == ["reload nginx"] and eventually(lambda: says() == "two") and bring() == []
    # nginx -t accepts another folder of a zone, and the running one does not.
    write("three", cache="second")
    for _again in range(2):
        with pytest.raises(LvsError) as caught:
            bring()
        assert "nginx goes on with its former configuration" in str(caught.value) and id_of(str(caught.value)) == "unit-step-failed"
        assert says() == "two"
    write("three")
    assert bring() == ["reload nginx"] and eventually(lambda: says() == "three") and bring() == []
