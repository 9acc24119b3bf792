"""The commands of the README, as written, on a lab that has just been rolled out."""

import os
import re
import subprocess

import pytest
from conftest import PROJECT, why

README = (PROJECT / "README.md").read_text()
# What a reader is told to type with the lab up: the first block with site.yml in it.
BLOCK = next(block for block in re.findall(r"```\n(.*?)```", README, re.S) if "ansible-playbook site.yml" in block)
COMMANDS = [line.partition("#")[0].strip() for line in BLOCK.splitlines()]
# Scenario `ha` runs this one, and judges every column of its table.
ELSEWHERE = ("ansible-playbook playbooks/rehearse.yml",)


def test_the_block_is_the_one_that_is_meant():
    assert len(COMMANDS) >= 7 and set(ELSEWHERE) < set(COMMANDS)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in ELSEWHERE])
def test_a_command(command):
    environment = dict(os.environ, ANSIBLE_NOCOLOR="1")
    for name in ("ANSIBLE_FORCE_COLOR", "ANSIBLE_CONFIG"):
        environment.pop(name, None)
    done = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=PROJECT, env=environment)
    assert done.returncode == 0, why(done)
    if "site.yml" in command:
        assert done.stdout.count("changed=0") >= 5, "what `make demo` left is as declared"
