"""What the playbooks' text alone decides."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.lvsdr import spelling
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).parents[2]


def tasks(path):
    """Every task of a file, blocks taken apart."""
    out = []

    def take(items):
        for item in items:
            inner = [item[part] for part in ("block", "rescue", "always") if part in item]
            for part in inner:
                take(part)
            if not inner:
                out.append(item)

    take(yaml.safe_load((ROOT / path).read_text()))
    return out


def test_commands_that_change_the_power_are_not_shown():
    """They may hold passwords (ipmitool -P); what they ended with is told by the task that follows."""
    found = tasks("playbooks/parts/rehearse_fault.yml")
    power = [index for index, task in enumerate(found) if "rehearse_power_" in str(task.get("ansible.builtin.command"))]
    assert len(power) == 2
    for index in power:
        task, following = found[index : index + 2]
        assert task["no_log"] is True and task["failed_when"] is False
        check = following["ansible.builtin.assert"]
        assert following["when"] == task["when"] and ".rc" in check["that"] and ".rc" in check["fail_msg"]
        assert "hostvars" not in str(check)


# Every sign that the path of a stream may have (checks.is_path), and what a shell would make of it.
UGLY = ["/live/;reboot;/x.m3u8", "/live/index.m3u8?a=b&c=d", "/a&&b/(c)*.m3u8?x=%s" % spelling.PATH_SIGNS, "/../" + spelling.PATH_SIGNS]


def fault(name, path, server="streaming1", **variables):
    """A fault of the rehearsal as Ansible would have it."""
    loader = DataLoader()
    declared = loader.load_from_file(str(ROOT / "playbooks/vars/rehearsal.yml"), trusted_as_template=True)
    variables = {
        "rehearsal_stream": {"base": "http://192.0.2.100:80", "path": path, "servers": [server]},
        "rehearsal_active": "director1",
        "rehearsal_down": "",
        **variables,
    }
    variables["hostvars"] = {server: {"streaming_server_kind": "edge"}}
    templar = Templar(loader=loader, variables={**declared, **variables})
    (found,) = templar.template(trust_as_template("{{ rehearsal_faults | selectattr('name', 'equalto', '%s') }}" % name))
    return found


@pytest.mark.parametrize("path", UGLY)
def test_the_path_of_a_stream_is_one_word_to_a_shell(path):
    assert spelling.is_path(path)
    words = shlex.split(fault("live playlist frozen", path)["breaks"])
    assert words.count("http://127.0.0.1" + path) == 1
    lexer = shlex.shlex(fault("live playlist frozen", path)["breaks"], posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    assert [word for word in lexer if set(word) <= set("();<>|&")] == ["&&"] * 3


@pytest.mark.parametrize("path", UGLY)
def test_a_playlist_is_frozen_and_given_back(path, tmp_path):
    """By a real shell and a real sed, of which nothing leaves the test's folder."""
    configuration, asked, programs = tmp_path / "nginx.conf", tmp_path / "asked", tmp_path / "bin"
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
    found = fault("live playlist frozen", path, rehearsal_frozen=str(tmp_path / "frozen"))

    def run(command):
        command = command.replace("/etc/nginx/nginx.conf", str(configuration))
        subprocess.run(["sh", "-c", command], env={**os.environ, "PATH": str(programs)}, check=True, cwd=tmp_path)

    run(found["breaks"])
    assert asked.read_text() == "http://127.0.0.1" + path and os.listdir(tmp_path / "frozen") == ["playlist"]
    place = 'location = "%s" { alias %s/frozen/playlist; } # rehearsal' % (path.partition("?")[0], tmp_path)
    assert configuration.read_text() == before.replace("location = /healthz {", place + "\n        location = /healthz {")
    run(found["repairs"])
    assert configuration.read_text() == before and not (tmp_path / "frozen").exists()


def test_names_of_hosts_are_words_of_a_command():
    found = fault("server drained", "/x", server="a;b c")
    for command in (found["runs"], found["runs_back"]):
        assert shlex.split(command)[3] == "servers=a;b c"


@pytest.mark.parametrize("check_mode", [False, True])
def test_verify_fails_where_the_audit_finds_something_wrong(check_mode):
    """In check mode nothing was rolled out that could be right."""
    (audit,) = [task["arp_audit"] for task in tasks("roles/verify/tasks/audit.yml") if "arp_audit" in task]
    templar = Templar(loader=DataLoader(), variables={"ansible_check_mode": check_mode})
    strict = audit["strict"]
    assert (templar.template(trust_as_template(strict)) if isinstance(strict, str) else strict) is not check_mode


@pytest.mark.parametrize("path", ["playbooks/parts/directors.yml", "playbooks/parts/leave.yml"])
def test_a_drained_server_that_is_not_ready_has_its_file(path):
    """The services that a director gets have no such server, and the next rollout that finds it has to find it drained."""
    text = (ROOT / path).read_text()
    given = 'director_services: "{{ lvs.ready }}"'
    assert text.count(given) == 1 and 'director_drained: "{{ lvs_services | lvs_drained }}"' in text.partition(given)[2][:300]


def templated(text, **variables):
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text))


def test_the_servers_to_drain_are_a_list():
    text = yaml.safe_load((ROOT / "playbooks/vars/model.yml").read_text())["__drain_servers"]
    assert templated(text) == []
    for given in ("a, b,", ["a", "b"]):
        assert templated(text, drain_servers=given) == ["a", "b"]


def test_former_names_of_extra_variables_are_refused():
    """Without its servers drain.yml would finish what leaves, and an audit would be over before it has heard anything."""
    (play,) = yaml.safe_load((ROOT / "playbooks/parts/drain.yml").read_text())
    guard = play["tasks"][0]["vars"]
    renamed = templated(guard["__renamed"], servers="a")
    assert len(renamed) == 1 and "servers" in renamed[0] and "drain_servers" in renamed[0]
    assert templated(guard["__renamed"]) == []
    assert templated(guard["__wrong"], __renamed=renamed, __finish=True) == renamed
    (check,) = [task for task in tasks("playbooks/audit.yml") if "tasks" in task and "audit_watch_seconds" in str(task)]
    guard = check["tasks"][0]["ansible.builtin.assert"]
    assert guard["that"] == "audit_watch_seconds is not defined" and "audit_duration" in guard["fail_msg"]
