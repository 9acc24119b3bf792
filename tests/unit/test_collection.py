"""tools/collection_tree.py: the collection has nothing of the checkout left, and what would be left is found. `make collection` runs it."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
# Of jinja2, on regular expressions in templates that Ansible is fine with.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
SHIPPED = ("collection", "docs", "changelogs", "monitoring", "inventories", "plugins", "library", "module_utils", "roles", "playbooks")


def load(path):
    spec = importlib.util.spec_from_file_location("collection_tree", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tree = load(ROOT / "tools" / "collection_tree.py")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "streaming"
    tree.build(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def names():
    return tree.names_of(ROOT)


@pytest.fixture
def checkout(tmp_path):
    """A copy of what is shipped, to plant something in."""
    root = tmp_path / "checkout"
    for name in SHIPPED:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "site.yml"):
        shutil.copy(ROOT / name, root / name)
    return root


def test_everything_is_in_its_place(built, names):
    assert {path.stem for path in built.glob("plugins/modules/*.py")} == names.modules >= {"ipvs_table", "lab_host"}
    assert {path.name for path in built.glob("roles/*")} == names.roles >= {"director", "lab"}
    assert {path.stem for path in built.glob("plugins/module_utils/[a-z]*")} == names.utils >= {"lvsdr", "lab_machine"}
    assert not [*built.glob("roles/*/library"), *built.glob("roles/*/module_utils"), *built.rglob("__pycache__")]
    assert yaml.safe_load((built / "playbooks/site.yml").read_text())[0]["import_playbook"] == "deploy.yml"


def test_what_ansible_test_ignores_is_there_and_complete(built):
    """`make collection` asks ansible-test itself, much later: a file with its first assert needs a line with the reason, one without
    an assert has none, and no line is about a file that has gone."""
    lines = [line.split(" ", 3) for line in (built / "tests/sanity/ignore-2.19.txt").read_text().splitlines()]
    assert [path for path, *_rest in lines if not (built / path).is_file()] == []
    assert [path for path, *rest in lines if len(rest) != 3 or rest[1] != "#"] == []
    with_assert = {
        str(path.relative_to(built)) for path in built.glob("plugins/**/*.py") if re.search(r"(?m)^\s*assert[^a-z0-9_:]", path.read_text())
    }
    assert {path for path, test, *_rest in lines if test == "no-assert"} == with_assert


def test_playbooks_parse_and_name_files_that_are_there(built):
    paths = [*built.glob("playbooks/*.yml"), *built.glob("playbooks/parts/*.yml")]
    for path in paths:
        for item in yaml.safe_load(path.read_text()):
            if "import_playbook" in item:
                assert (path.parent / item["import_playbook"]).is_file(), path
            for name in item.get("vars_files", ()):
                assert (path.parent / name).is_file(), path
    assert len(paths) > 15


def test_no_old_name_is_left(built, names):
    """By plain text, which is a third way to look at it."""
    for path in [*built.glob("playbooks/**/*"), *built.glob("roles/**/*"), *built.glob("plugins/**/*")]:
        if path.suffix not in (".yml", ".j2", ".py"):
            continue
        text = path.read_text()
        assert not re.findall(r"^ *(?:- )?(?:%s):(?: *$)" % "|".join(names.modules), text, re.M), path
        assert not re.findall(r"\|\s*(?:%s)\b" % "|".join(names.filters), text), path
        assert "ansible.module_utils.lvsdr" not in text and "ansible/module_utils/lvsdr" not in text, path
        assert "ansible.module_utils.lab_machine" not in text and "__path__" not in text, path


def test_a_variable_with_the_name_of_a_module_keeps_it(built):
    text = (built / "playbooks/parts/read_host.yml").read_text()
    assert "lvsdr.streaming.lvs_preflight:" in text and "register: lvs_preflight" in text


@pytest.mark.parametrize(
    "path, old, new, words",
    [
        # What the first pass does not know, and the second one has to find.
        ("playbooks/status.yml", "      ipvs_info:\n", "      action: ipvs_info\n", "ipvs_info is without"),
        ("playbooks/status.yml", "| lvs_status(", "| map(\"lvs_macs\") | lvs_status(", "lvs_macs is without"),
        ("playbooks/status.yml", "| lvs_status(", "| lvsdr.streaming.lvs_nothing | lvs_status(", "lvs_nothing is without its collection"),
        ("roles/lab/templates/ssh_config.j2", "Host ", "{{ x | map(\"lvs_macs\") }}Host ", "lvs_macs is without its collection"),
        ("playbooks/deploy.yml", "ansible.builtin.include_role:\n", "include_role:\n", "streaming_server is without its collection"),
        ("library/ipvs_info.py", "import AnsibleModule\n", "import AnsibleModule\nX = 'ansible/module_utils/lvsdr'\n", "of the checkout"),
        ("library/arp_audit.py", "  - module: real_server_vip\n", "  - {module: real_server_vip}\n", "DOCUMENTATION has real_server_vip"),
        ("plugins/action/lvs_resolve.py", "REGISTERED = ", "ansible.__path__ = ()\nREGISTERED = ", "__path__ is of the checkout"),
        # What the first pass expects.
        ("plugins/filter/lvs.py", "# In the checkout alone", "# Elsewhere", "one block `# In the checkout alone, …`"),
        ("site.yml", "playbooks/deploy.yml", "elsewhere/deploy.yml", "it imports no playbook"),
        ("library/ipvs_info.py", "EXAMPLES = r", "EXAMPLES = 'a' r", "EXAMPLES must be one plain text"),
        ("playbooks/lab.yml", "- role: lab", "- role: nobody", "nobody is not a role or module of ours"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found(names, path, old, new, words):
    text = (ROOT / path).read_text()
    assert old in text, "nothing to plant at"
    place = Path(path.replace("library/", "plugins/modules/").replace("site.yml", "playbooks/site.yml"))
    try:
        found = list(tree.faults(place, tree.translated(place, text.replace(old, new, 1), names), names))
    except tree.CollectionError as error:
        found = [str(error)]
    assert [words in line for line in found] == [True], found


@pytest.mark.parametrize(
    "path, planted, words",
    [
        (
            "playbooks/status.yml",
            "- hosts: all\n  tasks:\n    - action: ipvs_info\n",
            "playbooks/status.yml: ipvs_info is without its collection",
        ),
        ("playbooks/lab.yml", "- hosts: all\n  roles: [nobody]\n", "playbooks/lab.yml: line 2: nobody is not a role or module of ours"),
        ("playbooks/lab.yml", "- hosts: [\n", "playbooks/lab.yml: while parsing"),
        ("roles/lab/library/ipvs_info.py", "", "there are two of them"),
    ],
)
def test_the_build_fails_on_it_and_names_the_file(checkout, tmp_path, path, planted, words):
    (checkout / path).write_text(planted)
    with pytest.raises(tree.CollectionError) as caught:
        tree.build(checkout, tmp_path / "built")
    assert words in str(caught.value)


def test_what_is_no_collection_is_not_removed(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(tree.CollectionError, match="is not removed"):
        tree.build(ROOT, tmp_path)
    assert (tmp_path / "mine").exists()
