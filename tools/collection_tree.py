#!/usr/bin/env python3
"""Writes the tree of the collection lvsdr.streaming: tools/collection_tree.py FOLDER. What has a name of ours gets its full name there.

Names come from the tree: modules are the files in library/, roles the folders in roles/, filters what FilterModule tells. Two passes that
share nothing but these names: the first one writes, by text and place, and the second one reads what was written, as Ansible would (YAML,
Jinja and Python are parsed), and fails on every name that is still short.
"""

import ast
import importlib.util
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import jinja2
import yaml

COLLECTION = "lvsdr.streaming"
PACKAGE = "ansible_collections.%s.plugins.module_utils." % COLLECTION
# What of the checkout is in the collection, and where. A role of a collection has no modules of its own.
PLACES = (
    ("collection", "."), ("LICENSE", "LICENSE"), ("docs", "docs"), ("changelogs", "changelogs"),
    ("monitoring", "monitoring"), ("inventories", "inventories"),
    ("plugins", "plugins"), ("library", "plugins/modules"), ("module_utils", "plugins/module_utils"), ("roles", "roles"),
    ("roles/*/library", "plugins/modules"), ("roles/*/module_utils", "plugins/module_utils"),
    ("playbooks", "playbooks"), ("site.yml", "playbooks/site.yml"),
)  # fmt: skip
LISTS_OF_TASKS = ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always")
CALLS_OF_ROLES = ("ansible.builtin.import_role", "ansible.builtin.include_role")
# Filters that are given the name of a filter or of a test.
APPLY_A_FILTER = "map"
# Keys whose values are expressions without braces.
EXPRESSIONS = ("when", "that", "until", "changed_when", "failed_when")


class CollectionError(Exception):
    """The tree can't be turned into a collection; says in which file and why."""


class Names(NamedTuple):
    modules: set
    filters: set
    roles: set
    fragments: set
    utils: set


def names_of(root):
    """The names of ours, from the files of a checkout."""
    filters = set()
    for path in (root / "plugins" / "filter").glob("*.py"):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        filters |= set(module.FilterModule().filters())
    names = Names(
        modules={path.stem for folder in ("library", "roles/*/library") for path in root.glob(folder + "/*.py")},
        filters=filters,
        roles={path.name for path in root.glob("roles/*")},
        fragments={path.stem for path in root.glob("plugins/doc_fragments/*.py")},
        utils={path.stem for folder in ("module_utils", "roles/*/module_utils") for path in root.glob(folder + "/[a-z]*")},
    )
    for kind, found in zip(Names._fields, names):
        if not found:
            raise CollectionError("%s: no %s were found; the tree is another than tools/collection_tree.py knows" % (root, kind))
    return names


def full(name):
    return "%s.%s" % (COLLECTION, name)


def one_of(names):
    return "(%s)" % "|".join(sorted(names))


# The first pass: names get longer.


def with_commands(text):
    """Playbooks of a collection have a name and no path."""
    return re.sub(r"(ansible-playbook (?:[^\n`]*? )?)(?:playbooks/)?(?<=[ /])(\w+)\.yml\b", lambda m: m[1] + full(m[2]), text)


def with_filters(text, names):
    text = re.sub(r"(\|\s*)%s\b" % one_of(names.filters), lambda m: m[1] + full(m[2]), text)
    return re.sub(r"(\b%s\(')%s'" % (APPLY_A_FILTER, one_of(names.filters)), lambda m: "%s%s'" % (m[1], full(m[2])), text)


def _places(node, names):
    """Nodes of a list of plays or tasks that are the name of a module or of a role."""
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        for key, value in item.value if isinstance(item, yaml.MappingNode) else ():
            if key.value in names.modules:
                yield key
            elif key.value in LISTS_OF_TASKS:
                yield from _places(value, names)
            elif key.value in CALLS_OF_ROLES:
                yield from (inner for name, inner in value.value if name.value == "name")
            elif key.value == "roles":
                for role in value.value:
                    yield from [role] if isinstance(role, yaml.ScalarNode) else [one for name, one in role.value if name.value == "role"]


def with_tasks(text, names):
    """A text of plays or tasks, with full names of modules and roles. By their places: a variable may have the name of a module."""
    found = {node.start_mark.index: node for document in yaml.compose_all(text, yaml.SafeLoader) for node in _places(document, names)}
    for index in sorted(found, reverse=True):
        name = found[index].value
        if name not in names.modules | names.roles or not text.startswith(name, index):
            raise CollectionError("line %d: %s is not a role or module of ours" % (found[index].start_mark.line + 1, name))
        text = text[:index] + full(name) + text[index + len(name) :]
    return text


def with_links(text, names):
    """Documentation of a plugin, with full names where it speaks of another one."""
    text = re.sub(r"\b(M\()%s\)" % one_of(names.modules), lambda m: "%s%s)" % (m[1], full(m[2])), text)
    text = re.sub(r"\b([OP]\()%s#" % one_of(names.modules | names.filters), lambda m: "%s%s#" % (m[1], full(m[2])), text)
    text = re.sub(r"(\n *- module: )%s\b" % one_of(names.modules), lambda m: m[1] + full(m[2]), text)
    return re.sub(r"(\nextends_documentation_fragment: )%s\b" % one_of(names.fragments), lambda m: m[1] + full(m[2]), text)


def value_of(name, text):
    """The text of a module's DOCUMENTATION or EXAMPLES, by its source; an empty one if there is none."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and [one.id for one in node.targets if isinstance(one, ast.Name)] == [name]:
            return node.value.value
    return ""


def wrapped(head, imported):
    return "%s(\n    %s,\n)" % (head, imported.replace(", ", ",\n    "))


def with_python(text, names):
    text = re.sub(r"\bansible\.module_utils\.(?=%s\b)" % one_of(names.utils), PACKAGE, text)
    # ansible-test takes 160 characters in a line, and the name of the package has become longer.
    text = re.sub(r"^(from \S+ import )([^(\n#]+)$", lambda m: m[0] if len(m[0]) <= 140 else wrapped(m[1], m[2]), text, flags=re.M)
    examples = value_of("EXAMPLES", text)
    if examples and text.count(examples) != 1:
        raise CollectionError("EXAMPLES must be one plain text, which occurs once")
    return with_links(text.replace(examples, with_tasks(examples, names)) if examples else text, names)


def without_checkout(text):
    """Source of a plugin, without the lines that let the controller find module_utils in a checkout."""
    text, blocks = re.subn(r"# In the checkout alone, (?:.+\n)+\n", "", text)
    text, imports = re.subn(r"import ansible\.module_utils\n", "", text)
    if (blocks, imports) != (1, 1):
        raise CollectionError("one block `# In the checkout alone, …` and one `import ansible.module_utils` were expected")
    # The block may have been all that needed it.
    return text if re.search(r"\bos\.", text) else re.sub(r"\nimport os\n", "\n", text)


def translated(path, text, names):
    """The text of a file of the collection. path: in the collection."""
    top, kind = path.parts[0], path.suffix
    if kind in (".yml", ".md", ".j2"):
        text = with_commands(text)
    if kind == ".py":
        text = with_python(without_checkout(text) if path.parts[:2] in (("plugins", "filter"), ("plugins", "action")) else text, names)
    elif top in ("playbooks", "roles") and kind in (".yml", ".j2"):
        text = with_filters(with_tasks(text, names) if kind == ".yml" else text, names)
    elif path.parts[:2] == ("plugins", "filter"):
        text = with_filters(with_links(text, names), names)
    if path == Path("playbooks/site.yml"):
        text, count = re.subn("import_playbook: playbooks/", "import_playbook: ", text)
        if not count:
            raise CollectionError("it imports no playbook of playbooks/")
    return text


# The second pass: what was written, as Ansible reads it.


def short_filters(source, names):
    """Filters in a template that Ansible would not find in a collection."""
    for node in jinja2.Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"]).parse(source).find_all(jinja2.nodes.Filter):
        used = [node.name] + [one.value for one in node.args[:1] if node.name == APPLY_A_FILTER and isinstance(one, jinja2.nodes.Const)]
        yield from (name for name in used if name in names.filters)
        yield from (name for name in used if name.startswith(COLLECTION) and name[len(COLLECTION) + 1 :] not in names.filters)


def short_names(value, names, key=None):
    """Names of ours in what a YAML file holds that are still short."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in names.modules or (name == "role" and inner in names.roles):
                yield name if name in names.modules else inner
            if str(name).rpartition(".")[2] in ("import_role", "include_role") and inner.get("name") in names.roles:
                yield inner["name"]
            if name in ("action", "local_action"):
                yield from (module for module in names.modules if re.match(module + r"\b", str(inner)))
            if name == "roles" and isinstance(inner, list):
                yield from (role for role in inner if role in list(names.roles))
            yield from short_names(inner, names, name)
    elif isinstance(value, list):
        for inner in value:
            yield from short_names(inner, names, key)
    elif isinstance(value, str) and ("{{" in value or "{%" in value or key in EXPRESSIONS):
        yield from short_filters(value if "{{" in value or "{%" in value else "{{ %s }}" % value, names)


def faults(path, text, names):
    """What of the checkout is left in a file of the collection, as lines."""
    top, kind = path.parts[0], path.suffix
    if kind == ".py":
        for found in re.finditer(r"\bansible[./]module_utils[./]%s\b|__path__" % one_of(names.utils), text):
            yield "%s: %s is of the checkout" % (path, found[0])
        for name in short_names(list(yaml.safe_load_all(value_of("EXAMPLES", text))), names):
            yield "%s: EXAMPLES have %s without its collection" % (path, name)
        documented = yaml.safe_load(value_of("DOCUMENTATION", text)) or {}
        for name in (documented.get("extends_documentation_fragment"), *(one.get("module") for one in documented.get("seealso", ()))):
            if name in names.fragments | names.modules:
                yield "%s: DOCUMENTATION has %s without its collection" % (path, name)
    elif top in ("playbooks", "roles") and kind == ".yml":
        for name in short_names(list(yaml.safe_load_all(text)), names):
            yield "%s: %s is without its collection" % (path, name)
    elif kind == ".j2":
        for name in short_filters(text, names):
            yield "%s: %s is without its collection" % (path, name)
    elif top == "plugins":
        for name in short_names(list(yaml.safe_load_all(yaml.safe_load(text)["EXAMPLES"])), names):
            yield "%s: EXAMPLES have %s without its collection" % (path, name)
    if top == "plugins":
        for found in re.finditer(r"\b[MOP]\(([a-z_]+)[#)]", text):
            if found[1] in names.modules | names.filters:
                yield "%s: %s is without its collection" % (path, found[0])


def changelog(root):
    """CHANGELOG.md, from the fragments of what is not released yet."""
    sections = yaml.safe_load((root / "changelogs" / "config.yaml").read_text())["sections"]
    fragments = [yaml.safe_load(path.read_text()) for path in sorted((root / "changelogs" / "fragments").glob("*.yml"))]
    version = yaml.safe_load((root / "collection" / "galaxy.yml").read_text())["version"]
    out = ["# Changes", "", "## %s" % version, *("\n" + one["release_summary"] for one in fragments if "release_summary" in one)]
    for key, title in sections:
        lines = [line for one in fragments for line in one.get(key, ())]
        out += ["", "### %s" % title, "", *("- %s" % line.strip() for line in lines)] if lines else []
    return "\n".join(out) + "\n"


def build(root, folder):
    """Writes the collection of a checkout into a folder, which is removed before."""
    names, wrong = names_of(root), []
    if folder.exists() and not (folder / "galaxy.yml").exists():
        raise CollectionError("%s: it is there and holds no collection, so it is not removed" % folder)
    shutil.rmtree(folder, ignore_errors=True)
    for pattern, place in PLACES:
        sources = sorted(root.glob(pattern))
        if not sources:
            raise CollectionError("%s is not there" % (root / pattern))
        for source in sources:
            for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
                inner = path.relative_to(source)
                moved = pattern == "roles" and inner.parts[1:2] in (("library",), ("module_utils",))
                if path.is_file() and "__pycache__" not in path.parts and not moved:
                    write(path, Path(place) / inner, folder, names)
    if not (folder / "CHANGELOG.md").exists():
        (folder / "CHANGELOG.md").write_text(changelog(root))
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".py", ".yml", ".j2"):
            wrong += faults(path.relative_to(folder), path.read_text(), names)
    if wrong:
        raise CollectionError("\n".join(wrong))


def write(source, path, folder, names):
    target = folder / path
    if target.exists():
        raise CollectionError("%s: there are two of them; the other one is not %s" % (path, source))
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    if path.suffix == ".png":
        return
    try:
        target.write_text(translated(path, source.read_text(), names))
    except (CollectionError, yaml.YAMLError, SyntaxError) as error:
        raise CollectionError("%s: %s" % (source, error)) from None


if __name__ == "__main__":
    try:
        build(Path(__file__).resolve().parents[1], Path(sys.argv[1]))
    except CollectionError as error:
        sys.exit("error: %s" % error)
