"""The action lvs_journal, in real runs of ansible-playbook: a run does not begin beside another one for the same directors."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ANSIBLE = str(Path(sys.executable).parent / "ansible-playbook")
TASKS = {
    "holds": [{"ansible.builtin.wait_for": {"path": "go", "timeout": 300}}],
    "starts": [{"ansible.builtin.command": {"argv": [ANSIBLE, "-i", "localhost,", "plain.yml"]}}],
    "plain": [],
}


@pytest.fixture
def runs(tmp_path):
    """start(name, **options of lvs_journal): a run of a playbook that begins, does what is in TASKS, and ends."""
    environment = {**os.environ, "ANSIBLE_ACTION_PLUGINS": str(ROOT / "plugins/action"), "ANSIBLE_LIBRARY": str(ROOT / "library")}
    environment["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
    started = []

    def start(name, **changes):
        line = {"event": "begun", "verb": name, "run": "run%d" % len(started), "fleet": ["192.0.2.11 director1"], "alone": True}
        line = {**line, "path": str(tmp_path / "journal.jsonl"), **changes}
        ended = {"lvs_journal": {**line, "event": "ended", "alone": False}}
        plays = [
            {"hosts": "localhost", "gather_facts": False, "connection": "local", "tasks": [{"lvs_journal": line}, *TASKS[name], ended]}
        ]
        (tmp_path / (name + ".yml")).write_text(json.dumps(plays))
        command = [ANSIBLE, "-i", "localhost,", name + ".yml"]
        started.append(
            subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def begun(tmp_path, count=1):
    """Waits until so many lines say that a run has begun."""
    deadline = time.monotonic() + 60
    path = tmp_path / "journal.jsonl"
    while not path.exists() or path.read_text().count('"begun"') < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def said(process):
    out = process.communicate(timeout=120)[0]
    return process.returncode, " ".join(out.replace("\n", " ").split())


def test_a_second_run_waits_for_the_first(runs, tmp_path):
    first = runs("holds")
    begun(tmp_path)
    code, words = said(runs("plain"))
    assert code != 0 and "holds, which " in words and "(process %d on this machine), still goes on" % first.pid in words
    assert "-e run_beside=true [run-in-progress]" in words
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["begun", "begun", "refused"]
    assert said(runs("plain", alone=False))[0] == 0, "one that waits for nobody"
    assert said(runs("plain", fleet=["192.0.2.99 director1"]))[0] == 0, "other directors of the same name"
    (tmp_path / "go").touch()
    assert said(first)[0] == 0 and said(runs("plain"))[0] == 0, "it has ended"


def test_what_was_read_before_another_run_is_read_again(runs, tmp_path):
    before = time.time()
    time.sleep(1.1)  # the journal has seconds
    assert said(runs("plain"))[0] == 0
    code, words = said(runs("plain", since=before))
    assert code != 0 and "has changed something while this run was reading" in words and "[run-meanwhile]" in words
    time.sleep(1.1)
    assert said(runs("plain", since=time.time()))[0] == 0


def test_one_that_was_interrupted_does_not_count(runs, tmp_path):
    first = runs("holds")
    begun(tmp_path)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert said(runs("plain"))[0] == 0


def test_a_run_may_start_another(runs, tmp_path):
    """As an upgrade does whose tasks call a playbook."""
    said(runs("plain"))
    code, words = said(runs("starts"))
    assert code == 0, words


def test_lines_of_other_releases_and_machines_are_nobody(runs, tmp_path):
    mine = {
        "at": "2026-01-01T00:00:00+00:00",
        "run": "x",
        "by": "me",
        "on": os.uname().nodename,
        "verb": "site",
        "what": "",
        "event": "begun",
    }
    fleet = ["192.0.2.11 director1"]
    strange = [
        mine, {**mine, "fleet": fleet}, {**mine, "fleet": fleet, "process": "1"}, {**mine, "fleet": fleet, "process": "../x y"},
        {**mine, "fleet": 5, "process": 5}, {**mine, "fleet": fleet, "on": "elsewhere", "process": "%d 1" % os.getpid()},
        {**mine, "fleet": fleet, "process": "%d 1" % os.getpid()},
    ]  # fmt: skip
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps({**line, "run": str(n)}) + "\n" for n, line in enumerate(strange)))
    code, words = said(runs("plain"))
    assert code == 0, words
