"""The table of messages: each id once, each used, with the values it names; and no error without one."""

import ast
import importlib
import re
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.lvsdr.errors import Line, LvsError, Message, Problems

ROOT = Path(__file__).parents[2]
HOUSE = ROOT / "module_utils" / "lvsdr"
TABLES = sorted(HOUSE.rglob("messages.py"))
CODE = sorted([*HOUSE.rglob("*.py"), *(ROOT / "library").glob("*.py"), *(ROOT / "plugins").rglob("*.py")])
PACKAGE = "ansible.module_utils.lvsdr"


def table(path):
    module = importlib.import_module(".".join([PACKAGE, *path.relative_to(HOUSE).with_suffix("").parts]))
    return {name: value for name, value in vars(module).items() if isinstance(value, Message)}


MESSAGES = [(path, name, message) for path in TABLES for name, message in table(path).items()]


def calls():
    """(file, line, table, name, names of the values) of each message that is called."""
    for path in CODE:
        tree = ast.parse(path.read_text())
        tables = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
                for one in node.names:
                    if one.name == "messages":
                        folder = node.module[len(PACKAGE) + 1 :].replace(".", "/")
                        tables[one.asname or one.name] = HOUSE / folder / "messages.py"
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in tables:
                yield path, node, tables[node.value.id], node.attr, tree


def test_each_id_is_there_once_and_is_the_name():
    ids = [message.id for _path, _name, message in MESSAGES]
    assert sorted(ids) == sorted(set(ids))
    assert [name for _path, name, message in MESSAGES if name != message.id.upper().replace("-", "_")] == []


def test_each_message_is_used():
    used = {(table, name) for _path, _node, table, name, _tree in calls()}
    assert [name for path, name, _message in MESSAGES if (path, name) not in used] == []


def test_each_message_gets_the_values_that_it_names():
    known = {(path, name): set(re.findall(r"%\((\w+)\)", message.text)) for path, name, message in MESSAGES}
    wrong = []
    for path, node, place, name, tree in calls():
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and call.func is node:
                given = {keyword.arg for keyword in call.keywords}
                if call.args or given != known[place, name]:
                    wrong.append("%s:%d %s" % (path.relative_to(ROOT), node.lineno, name))
    assert wrong == []


@pytest.mark.parametrize(("path", "name", "message"), MESSAGES, ids=[message.id for _path, _name, message in MESSAGES])
def test_a_message_is_a_sentence(path, name, message):
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", message.id)
    assert message.text == message.text.strip() and not message.text.endswith((".", ",", ";", ":"))
    assert len(message.text) <= 300


def test_no_error_is_without_an_id():
    """LvsError, Problems.add and Reader.wrong take a message that was called, or something that holds one, and no words of their own."""
    wrong = []
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = {"LvsError": 0, "wrong": 1}.get(name)
            if name == "add" and len(node.args) == 2:
                place = 1
            if place is not None and len(node.args) > place and _words(node.args[place]):
                wrong.append("%s:%d" % (path.relative_to(ROOT), node.lineno))
    assert wrong == []


def _words(node):
    """Whether an expression is a text that is written there."""
    if isinstance(node, ast.BinOp):
        return _words(node.left)
    if isinstance(node, ast.IfExp):
        return _words(node.body) or _words(node.orelse)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


# --- docs/messages ----------------------------------------------------------------------------------------------------------------------

DOCS = ROOT / "docs" / "messages"
PLAYBOOKS = sorted([*(ROOT / "playbooks").rglob("*.yml"), *(ROOT / "roles").glob("*/tasks/*.yml")])
# The end of a playbook's sentence. One word alone is an index of Jinja's.
ID = re.compile(r"\[([a-z0-9]+(?:-[a-z0-9]+)+)\]")
# Ids that several playbooks use for the same sentence.
SHARED = frozenset({"renamed-variable", "limit-not-possible", "scale-no-director"})


def explained(name):
    """{id: lines of its section} of a page, in its order."""
    text = (DOCS / name).read_text()
    head, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    assert re.fullmatch(r"# Messages: \S.*\n\n\S.*\n+", head), "%s begins with its heading and one line of introduction" % name
    parted = [section.partition("\n") for section in sections]
    assert len({title for title, _newline, _body in parted}) == len(parted), "%s explains an id twice" % name
    return {title: body.strip().splitlines() for title, _newline, body in parted}


def quote(lines):
    """The sentence that a section begins with; a long one is quoted in several lines."""
    quoted = []
    for line in lines:
        if not line.startswith("> "):
            break
        quoted.append(line[2:])
    assert lines[len(quoted) :][:1] == [""] and len(lines) > len(quoted) + 1, "nothing is said of %r" % " ".join(quoted)
    return " ".join(quoted)


def page(path):
    """The page of a table."""
    return "options.md" if path.parent == HOUSE else path.parent.name + ".md"


@pytest.mark.parametrize("path", TABLES, ids=page)
def test_each_message_is_explained(path):
    found = explained(page(path))
    assert list(found) == sorted(message.id for message in table(path).values())
    said = {message.id: " ".join(message.text.split()) for message in table(path).values()}
    assert {name: quote(lines) for name, lines in found.items()} == said


def test_each_page_is_of_a_table():
    pages = {path.name for path in DOCS.glob("*.md")}
    assert pages == {*(page(path) for path in TABLES), "playbooks.md", "README.md"}
    assert pages - {"README.md"} <= set(re.findall(r"\((\w+\.md)\)", (DOCS / "README.md").read_text()))


def failures(path):
    """(fail_msg, its variables as text) of each task of a file that ends a run with words of its own."""
    left = [yaml.safe_load(path.read_text())]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left += item.values()
            words = (item.get("ansible.builtin.assert") or {}).get("fail_msg") or (item.get("ansible.builtin.fail") or {}).get("msg")
            if words:
                yield words.strip(), str(item.get("vars", ""))
        elif isinstance(item, list):
            left += item


def test_sentences_of_playbooks_end_with_an_id():
    """Or with lines of a filter, which have ids."""
    wrong = []
    for path in PLAYBOOKS:
        for words, variables in failures(path):
            own = ID.findall(words + variables)
            from_filter = words.endswith("}}") and ("| lvs_" in words + variables or own)
            if not from_filter and not re.search(ID.pattern + "$", words):
                wrong.append("%s: %s" % (path.relative_to(ROOT), words))
    assert wrong == []


def test_sentences_of_playbooks_are_explained():
    ids = [name for path in PLAYBOOKS for words, variables in failures(path) for name in ID.findall(words + variables)]
    assert [name for name in ids if ids.count(name) > 1 and name not in SHARED] == []
    assert not {*ids} & {message.id for _path, _name, message in MESSAGES}
    found = explained("playbooks.md")
    assert list(found) == sorted(set(ids)) and all(quote(lines) for lines in found.values())


def test_a_long_value_leaves_the_id():
    problems = Problems()
    problems.add("services[0]", Line("too-long", "x" * 5000))
    assert len(problems.found[0]) < 700 and problems.found[0].endswith("… [too-long]")


def test_an_error_shows_no_control_characters_and_its_id():
    error = LvsError(Message("said", "it said %(words)s")(words="\x1b[2J\n"), applied=[])
    assert str(error) == "it said \\x1b[2J\n [said]"
    assert (error.message, error.details) == ("it said \x1b[2J\n", {"applied": []})
