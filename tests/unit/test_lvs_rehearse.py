"""The action lvs_rehearse: how it does each kind of step. That it reaches hosts is shown by tests/modules."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible.errors import AnsiblePromptNoninteractive
from ansible.module_utils.lvsdr.fleet import rehearse


@pytest.fixture(scope="module")
def plugin_file(plugin):
    return plugin("action", "lvs_rehearse")


@pytest.fixture
def action(plugin_file, tmp_path):
    made = object.__new__(plugin_file.ActionModule)
    made._table = str(tmp_path / "build/rehearsal.json")
    made._display = SimpleNamespace(lines=[])
    made._display.display = made._display.lines.append
    made._hosts = SimpleNamespace(run=lambda step: {"host": step.host})
    return made


def test_what_is_said_and_run(action):
    def steps():
        answer = yield rehearse.Run("break it", "server1", "ansible.builtin.command", {})
        yield rehearse.Say(("a row", "another"))
        yield rehearse.Run("", "server2", "ansible.builtin.command", {})
        yield rehearse.Wait(0)
        return answer

    assert action._all(steps()) == {"host": "server1"}
    assert action._display.lines == ["break it", "a row", "another"]


def test_whatever_goes_wrong_is_an_answer(action):
    """A rehearsal that ends with a traceback would leave its fault."""
    action._hosts.run = lambda step: {}[step.host]
    answers = []

    def steps():
        answers.append((yield rehearse.Run("", "server1", "ansible.builtin.command", {})))

    action._all(steps())
    assert answers == [{"failed": True, "msg": "'server1'"}]


def test_the_table_is_written_where_no_folder_is_yet(action):
    for rows in ((), ({"fault": "nginx stopped"},)):
        assert action._do(rehearse.Write(rows)) == {}
        assert json.loads(Path(action._table).read_text()) == {"rehearsal": list(rows)}


def test_who_can_not_be_asked_has_not_said_yes(action):
    def nobody(_prompt):
        raise AnsiblePromptNoninteractive("stdin is not interactive")

    action._display.prompt_until = nobody
    assert action._do(rehearse.Ask("Type yes")) == {"user_input": ""}
    action._display.prompt_until = lambda prompt: b"yes\n"
    assert action._do(rehearse.Ask("Type yes")) == {"user_input": "yes"}


def test_its_documentation_has_its_options(plugin_file):
    text = (Path(__file__).parents[2] / "library/lvs_rehearse.py").read_text()
    documented = yaml.safe_load(text.partition('DOCUMENTATION = r"""')[2].partition('"""')[0])["options"]
    for name, spec in plugin_file.OPTIONS.items():
        assert {key: documented[name][key] for key in spec} == spec
    assert set(documented) == set(plugin_file.OPTIONS)
