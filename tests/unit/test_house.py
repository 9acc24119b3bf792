"""The house: imports go downwards only, files and functions stay small, and nobody reaches for another file's private names.

"A wing may import from those in its row" is the whole rule; docs/architecture.md says what each wing is about.
"""

import ast
from pathlib import Path

import pytest
from ansible.module_utils.lvsdr import places

ROOT = Path(__file__).parents[2]
HOUSE = ROOT / "module_utils" / "lvsdr"
PACKAGE = "ansible.module_utils.lvsdr"
# Wing: the wings that it may import from. The ground floor (errors, reader, places, …) has no name, and everybody may stand on it.
MAY_IMPORT = {
    "": (),
    "system": (),
    "streams": (),
    "ipvs": ("system",),
    "arp": ("system",),
    "routes": ("system",),
    "checks": ("streams",),
    "agent": ("checks",),
    "inventory": ("checks", "ipvs", "streams", "system"),
    "directors": ("arp", "checks", "inventory", "ipvs", "streams"),
    "proxies": ("checks", "inventory", "system"),
    "console": ("checks", "ipvs", "system"),
    "fleet": ("arp", "checks", "console", "directors", "inventory", "ipvs", "routes", "streams"),
}
MOST_LINES, MOST_LINES_OF_FUNCTION = 400, 50
FILES = sorted(HOUSE.rglob("*.py"))
PRODUCTION = [*FILES, *sorted((ROOT / "library").glob("*.py")), *sorted((ROOT / "plugins").rglob("*.py"))]
LAB = sorted((ROOT / "roles" / "lab").rglob("*.py"))


def module_of(path):
    return ".".join(path.relative_to(HOUSE).with_suffix("").parts)


def imports(tree):
    """(module of the house, name or None) of each import, wherever in the file it is."""
    modules = {module_of(path) for path in FILES}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                if one.name.startswith(PACKAGE + "."):
                    yield one.name[len(PACKAGE) + 1 :], None
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "line %d: a relative import is not found by Mitogen; write %s" % (node.lineno, PACKAGE)
            if node.module == PACKAGE or (node.module or "").startswith(PACKAGE + "."):
                parent = node.module[len(PACKAGE) + 1 :]
                for one in node.names:
                    inner = (parent + "." if parent else "") + one.name
                    yield (inner, None) if inner in modules else (parent, one.name)


def wing_of(module):
    return module.rpartition(".")[0]


def faults(module, source):
    """What is wrong with the imports of a module of the house, as lines."""
    tree, out = ast.parse(source), []
    wing = wing_of(module)
    assert wing in MAY_IMPORT, "wing %s is not in the list" % wing
    aliases = {}
    for other, name in imports(tree):
        above = wing_of(other)
        if above not in (wing, "", *MAY_IMPORT[wing]):
            out.append("%s imports %s: wing %s may not import from %s" % (module, other, wing or "the ground floor", above))
        if name and name.startswith("_"):
            out.append("%s imports %s of %s, which is private" % (module, name, other))
        if name is None:
            aliases[other.rpartition(".")[2]] = other
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases and node.attr.startswith("_"):
            out.append("%s uses %s of %s, which is private" % (module, node.attr, aliases[node.value.id]))
    return out


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_go_downwards(path):
    assert faults(module_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    "module, source, words",
    [
        ("errors", "from %s.ipvs import plan" % PACKAGE, "ground floor may not import from ipvs"),
        ("system.sysctl", "from %s.arp.settings import good" % PACKAGE, "system may not import from arp"),
        ("checks.live", "def look():\n    from %s.inventory import hosts" % PACKAGE, "checks may not import from inventory"),
        ("arp.wire", "import %s.fleet.report as r" % PACKAGE, "arp may not import from fleet"),
        ("arp.wire", "from %s.arp.packets import _x" % PACKAGE, "private"),
        ("arp.wire", "from %s.arp import packets\npackets._x()" % PACKAGE, "private"),
    ],
)
def test_a_planted_import_is_found(module, source, words):
    assert [words in line for line in faults(module, source)] == [True]


@pytest.mark.parametrize("path", PRODUCTION, ids=lambda path: "%s/%s" % (path.parent.name, path.stem))
def test_one_file_imports_pyroute2_and_late(path):
    """Its import takes longer than most modules do, and only modules that open a socket of rtnetlink pay for it."""
    tree = ast.parse(path.read_text())
    late = {id(node) for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in ast.walk(function)}
    for node in ast.walk(tree):
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None) or ""]
        if isinstance(node, (ast.Import, ast.ImportFrom)) and any(name.split(".")[0] == "pyroute2" for name in names):
            assert path.stem == "rtnetlink" and id(node) in late


def test_no_module_imports_itself_in_a_circle():
    below = {module_of(path): {other for other, _name in imports(ast.parse(path.read_text()))} for path in FILES}
    done = set()

    def walk(module, above):
        assert module not in above, " > ".join([*above[above.index(module) :], module])
        if module not in done:
            for other in sorted(below.get(module, ())):
                walk(other, [*above, module])
            done.add(module)

    for module in below:
        walk(module, [])


@pytest.mark.parametrize(
    "programs, parts",
    [
        (("agent.runner",), places.STREAMCHECK_PARTS),
        (("console.web", "console.helper"), places.CONSOLE_PARTS),
        (("proxies.info_server",), places.PROXY_INFO_PARTS),
    ],
    ids=["lvsdr-streamcheck", "lvsdr-console", "lvsdr-proxy-info"],
)
def test_a_host_gets_all_that_a_daemon_imports_and_no_more(programs, parts):
    below = {module_of(path): {other for other, _name in imports(ast.parse(path.read_text()))} for path in FILES}
    found, left = set(), set(programs)
    while left:
        module = left.pop()
        found.add(module)
        left |= below[module] - found
    found |= {wing_of(module) + "." * bool(wing_of(module)) + "__init__" for module in found}
    house = "ansible/module_utils/lvsdr/"
    assert {part[len(house) :].replace("/", ".") for part in parts if part.startswith(house)} == found


@pytest.mark.parametrize("path", [*PRODUCTION, *LAB], ids=lambda path: "%s/%s" % (path.parent.name, path.stem))
def test_files_and_functions_are_short(path):
    text = path.read_text()
    assert text.count("\n") <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < MOST_LINES_OF_FUNCTION, "%s is too long; take it apart" % node.name


@pytest.mark.parametrize("path", PRODUCTION, ids=lambda path: path.stem)
def test_what_is_imported_is_imported_at_the_top(path):
    """Mitogen looks for imports of a module there alone, and what it does not find is not on the host."""
    tree = ast.parse(path.read_text())
    inside = [node for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in ast.walk(function)]
    assert [other for other, _name in imports(ast.Module([node for node in inside if "Import" in type(node).__name__], []))] == []


@pytest.mark.parametrize("path", PRODUCTION, ids=lambda path: path.stem)
def test_sentences_have_one_style(path):
    """A percent format is one text with all its words, which a table of sentences can hold."""
    assert [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.JoinedStr)] == []


@pytest.mark.parametrize("path", PRODUCTION, ids=lambda path: path.stem)
def test_modules_and_plugins_use_no_private_names(path):
    for other, name in imports(ast.parse(path.read_text())):
        assert not (name or "").startswith("_"), "%s of %s is private" % (name, other)
