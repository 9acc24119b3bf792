"""A host without pyroute2: preflight installs it there and nowhere else, and check mode says what it did not look at."""

import ansible_mitogen
import pytest
from fleet import state
from test_changes import good

GONE = "/usr/lib/python3/dist-packages/pyroute2"
# Stands in for a package manager: it gives back what the test took away.
PACKAGE = """
import os
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"name": {"type": "list"}, "state": {}}, supports_check_mode=True)
assert not module.check_mode and module.params["name"] == ["python3-pyroute2"] and os.path.isdir(%(gone)r + ".gone")
os.rename(%(gone)r + ".gone", %(gone)r)
module.exit_json(changed=True)
"""


@pytest.fixture
def bare(running):
    """A fleet that serves, of which a director and a server have the distribution's Python and no pyroute2."""
    hosts = {}
    for name in ("director2", "server2"):
        machine = running.machines[name]
        interpreter = machine.enter.parent / ("system-" + name)
        text = machine.enter.read_text()
        interpreter.write_text(text[: text.rindex("-- '")] + '-- /usr/bin/python3 "$@"\n')
        interpreter.chmod(0o755)
        hosts[name] = {"ansible_python_interpreter": str(interpreter), "ansible_package_use": "standin_package"}
        machine.inside("mv", GONE, GONE + ".gone")
    (running.project / "library" / "standin_package.py").write_text(PACKAGE % {"gone": GONE})
    running.inventory(hosts=hosts)
    yield running
    for name in hosts:
        running.machines[name].inside("sh", "-c", "test -d %s || mv %s.gone %s" % (GONE, GONE, GONE))


def lacks(fleet):
    return {name for name, machine in fleet.machines.items() if "yes" in machine.inside("sh", "-c", "test -d %s || echo yes" % GONE)}


def test_a_rollout_installs_it_only_there(bare, reference):
    done = good(bare.play())
    assert done.stdout.count("changed: [") == 2 and lacks(bare) == set(), done.stdout
    assert {name: state(machine) for name, machine in bare.machines.items()} == reference
    done = good(bare.play())
    assert "changed: [" not in done.stdout and "Install pyroute2" not in done.stdout


def test_with_mitogen(bare, reference, monkeypatch):
    """It keeps Python running on a host: what is installed is found all the same, and nothing is fetched from the controller."""
    monkeypatch.setenv("ANSIBLE_STRATEGY", "mitogen_linear")
    monkeypatch.setenv("ANSIBLE_STRATEGY_PLUGINS", ansible_mitogen.__path__[0] + "/plugins/strategy")
    done = good(bare.play())
    assert done.stdout.count("changed: [") == 2 and lacks(bare) == set(), done.stdout
    assert {name: state(machine) for name, machine in bare.machines.items()} == reference


def test_check_mode_installs_nothing(bare, reference):
    done = good(bare.play(check=True))
    assert lacks(bare) == {"director2", "server2"} and "changed: [" not in done.stdout
    warned = " ".join(done.stderr.split())
    for name in ("director2", "server2"):
        assert "%s was not looked at: " % name in warned and "[host-not-looked-at]" in warned
    assert {name: state(machine) for name, machine in bare.machines.items()} == reference


@pytest.mark.parametrize("where", [["server2"], ["director2", "server2"]])
def test_where_it_cannot_be_installed_nothing_is_begun(bare, where):
    """Whether Ansible ends the run, as where it fails on all of them, or preflight does."""
    bare.machines["server1"].inside("ip", "address", "flush", "dev", "lo", "scope", "global")
    for name in where:
        bare.machines[name].inside("mv", GONE + ".gone", GONE + ".lost")
    before = {name: state(machine) for name, machine in bare.machines.items()}
    try:
        done = bare.play()
    finally:
        for name in where:
            bare.machines[name].inside("mv", GONE + ".lost", GONE + ".gone")
    assert done.returncode != 0 and ("[host-unread]" in done.said) == (where == ["server2"])
    assert {name: state(machine) for name, machine in bare.machines.items()} == before


def test_preflight_alone_installs_it_too(bare):
    good(bare.play("playbooks/preflight.yml"))
    assert lacks(bare) == set()


@pytest.mark.parametrize("playbook", ["playbooks/verify.yml", "playbooks/status.yml", "playbooks/audit.yml"])
def test_other_playbooks_install_nothing(bare, playbook):
    """They change no host, so it is an error of that host."""
    done = bare.play(playbook)
    assert done.returncode != 0 and lacks(bare) == {"director2", "server2"} and "[pyroute2-missing]" in done.said
