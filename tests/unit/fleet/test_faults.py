"""The commands of a rehearsal's faults, whatever the inventory has in them."""

import os
import shlex
import shutil
import subprocess

import pytest
from ansible.module_utils.lvsdr import spelling
from ansible.module_utils.lvsdr.fleet import faults

# Every sign that the path of a stream may have (checks.is_path), and what a shell would make of it.
UGLY = ["/live/;reboot;/x.m3u8", "/live/index.m3u8?a=b&c=d", "/a&&b/(c)*.m3u8?x=%s" % spelling.PATH_SIGNS, "/../" + spelling.PATH_SIGNS]


def fault(name, path, server="streaming1"):
    stream = {"base": "http://192.0.2.100:80", "path": path, "servers": [server]}
    return next(one for one in faults.faults(stream, {"streaming_server_kind": "edge"}, 25, 90) if one.name == name)


def test_a_proxy_has_faults_of_its_own():
    stream = {"base": "https://live.example.com", "path": "/a", "servers": ["edge1"], "proxied": True}
    found = {one.name: one for one in faults.faults(stream, {}, 25, 90)}
    assert found["haproxy stopped"].breaks == "systemctl stop haproxy" and "nginx stopped" not in found
    assert found["live playlist frozen"].left_out == "it is a proxy, and others make the playlist"


@pytest.mark.parametrize("path", UGLY)
def test_the_path_of_a_stream_is_one_word_to_a_shell(path):
    assert spelling.is_path(path)
    words = shlex.split(fault("live playlist frozen", path).breaks)
    assert words.count("http://127.0.0.1" + path) == 1
    lexer = shlex.shlex(fault("live playlist frozen", path).breaks, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    assert [word for word in lexer if set(word) <= set("();<>|&")] == ["&&"] * 3


@pytest.mark.parametrize("path", UGLY)
def test_a_playlist_is_frozen_and_given_back(path, tmp_path, monkeypatch):
    """By a real shell and a real sed, of which nothing leaves the test's folder."""
    configuration, asked, programs = tmp_path / "nginx.conf", tmp_path / "asked", tmp_path / "bin"
    monkeypatch.setattr(faults, "NGINX_CONF", str(configuration))
    monkeypatch.setattr(faults, "REHEARSAL_PLAYLIST", str(tmp_path / "frozen/playlist"))
    before = "    server {\n        location = /healthz {\n        }\n"
    configuration.write_text(before)
    programs.mkdir()
    for program in ("sh", "mkdir", "sed", "rm"):
        (programs / program).symlink_to(shutil.which(program))
    for program, text in (
        ("curl", 'printf %%s "$2" > %s; echo frozen > "$4"' % asked),
        ("nginx", "exit 0"),
        ("reboot", "echo > %s" % asked),
    ):
        (programs / program).write_text("#!/bin/sh\n%s\n" % text)
        (programs / program).chmod(0o755)
    found = fault("live playlist frozen", path)

    def run(command):
        subprocess.run(["sh", "-c", command], env={**os.environ, "PATH": str(programs)}, check=True, cwd=tmp_path)

    run(found.breaks)
    assert asked.read_text() == "http://127.0.0.1" + path and os.listdir(tmp_path / "frozen") == ["playlist"]
    place = 'location = "%s" { alias %s/frozen/playlist; } # rehearsal' % (path.partition("?")[0], tmp_path)
    assert configuration.read_text() == before.replace("location = /healthz {", place + "\n        location = /healthz {")
    run(found.repairs)
    assert configuration.read_text() == before and not (tmp_path / "frozen").exists()


def test_names_of_hosts_are_words_of_a_command():
    found = fault("server drained", "/x", server="a;b c")
    assert found.plays[2] == found.plays_back[2] == "drain_servers=a;b c"


def test_a_short_watch_is_long_enough_for_a_drain():
    assert fault("server drained", "/x").seconds == faults.DRAIN_SECONDS
