"""The action lvs_rehearse runs modules on other hosts, with what Ansible knows of each, as a task with delegate_to would."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Does steps of a rehearsal that a test chose, and writes the answers.
TRIAL = """
import json, sys, time
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import action_loader
Rehearse = action_loader.get("lvs_rehearse", class_only=True)
plugin = sys.modules[Rehearse.__module__]

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        hosts, answers = plugin.Hosts(self, task_vars), []
        with open("steps") as f:
            steps = json.load(f)
        for given in steps:
            step = plugin.rehearse.Run(**given)
            answer = hosts.run(step)
            while step.background and "ansible_job_id" in answer and not answer.get("finished"):
                time.sleep(0.2)
                answer = hosts.run(plugin.rehearse.Run("", step.host, "ansible.builtin.async_status", {"jid": answer["ansible_job_id"]}))
            answers.append({name: answer[name] for name in ("stdout", "rc", "failed", "unreachable", "finished", "msg") if name in answer})
        with open("answers", "w") as f:
            json.dump(answers, f)
        return {}
"""


@pytest.fixture
def answers(tmp_path):
    """Answers to steps that run a script: answers(hosts, (host, script, more of the step), …)."""

    def ask(hosts, *steps):
        (tmp_path / "trial.py").write_text(TRIAL)
        (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
        made = [
            {"says": "", "host": host, "module": "ansible.builtin.command", "args": {"argv": ["sh", "-c", script]}, **more}
            for host, script, more in steps
        ]
        (tmp_path / "steps").write_text(json.dumps(made))
        (tmp_path / "trial.yml").write_text("- {hosts: localhost, gather_facts: false, tasks: [{trial: }]}")
        environment = {**os.environ, "ANSIBLE_ACTION_PLUGINS": "%s:%s/plugins/action" % (tmp_path, ROOT)}
        environment.update(ANSIBLE_LIBRARY=str(ROOT / "library"), ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.yml", "trial.yml"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads((tmp_path / "answers").read_text())

    return ask


LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


def test_each_host_has_its_own_variables(answers, tmp_path):
    """Also such as are templates, and look into those of another host."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexport WHO=server1\nexec '%s' \"$@\"\n" % sys.executable)
    python.chmod(0o755)
    hosts = {
        "server1": {**LOCAL, "ansible_python_interpreter": "{{ hostvars['server2'].other }}"},
        "server2": {**LOCAL, "other": str(python)},
    }
    found = answers(hosts, ("server1", "echo $WHO", {}), ("server2", "echo $WHO", {}), ("localhost", "echo $WHO", {"hidden": True}))
    assert [one["stdout"] for one in found] == ["server1", "", ""]


def test_what_comes_from_outside_is_no_template(answers):
    (found,) = answers({"server1": LOCAL}, ("server1", "echo '{{ 1 + 1 }}'", {}))
    assert found["stdout"] == "{{ 1 + 1 }}"


def test_what_fails(answers):
    (found,) = answers({"server1": LOCAL}, ("server1", "exit 3", {}))
    assert found["failed"] and found["rc"] == 3


def test_in_the_background(answers, tmp_path):
    host = {**LOCAL, "ansible_async_dir": str(tmp_path / "jobs")}
    (found,) = answers({"server1": host}, ("server1", "sleep 1; echo done", {"background": 30}))
    assert found["finished"] and found["stdout"] == "done"


@pytest.mark.skipif(not shutil.which("ssh"), reason="ssh was not found")
def test_a_host_that_does_not_answer(answers):
    """And that nothing says how to reach: what is meant for it never happens here."""
    (found,) = answers({"server1": {"ansible_host": "127.0.0.1", "ansible_port": 1}}, ("server1", "echo", {}))
    assert found["unreachable"] and "Connection refused" in found["msg"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("su"), reason="becoming another user takes root and su")
def test_become(answers):
    become = {"ansible_become": True, "ansible_become_method": "su", "ansible_become_user": "nobody", "ansible_become_flags": "-s /bin/sh"}
    other = {**LOCAL, **become, "ansible_python_interpreter": "/usr/bin/python3"}
    found = answers({"server1": other, "server2": LOCAL}, ("server1", "id -un", {}), ("server2", "id -un", {}))
    assert [one["stdout"] for one in found] == ["nobody", "root"]
