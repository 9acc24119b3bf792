"""The documentation names only what exists, and what it says of options is what modules, roles and the model take."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import ansible.module_utils
import pytest
import yaml
from ansible.module_utils.lvsdr.checks import health_check
from ansible.module_utils.lvsdr.inventory import hosts
from ansible.module_utils.lvsdr.ipvs import declare, plan, types
from test_house import MAY_IMPORT

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
MODULES = [*sorted((ROOT / "library").glob("*.py")), *sorted((ROOT / "roles" / "lab" / "library").glob("*.py"))]
ROLES = sorted(path.parent.parent for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"))
FOLDERS = ["changelogs", "docs", "inventories", "library", "module_utils", "molecule", "playbooks", "plugins", "roles", "tests", "tools"]
WINGS = sorted(path.parent.name for path in (ROOT / "module_utils" / "lvsdr").glob("*/__init__.py"))
# Words of keepalived.conf that look like ours.
KEEPALIVEDS = {"lvs_sync_daemon"}
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def name_of(path):
    return str(path.relative_to(ROOT))


def in_pages(path):
    """A page without its blocks, and what is in its blocks and code spans."""
    text = path.read_text()
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return prose, [*blocks, *re.findall(r"`([^`\n]+)`", prose)]


# --- links and names -----------------------------------------------------------------------------------------------------------------


def anchors(path):
    """The headings of a page as links name them."""
    prose, _code = in_pages(path)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(path):
    prose, _code = in_pages(path)
    out = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        file, _, anchor = target.partition("#")
        there = path.parent / file if file else path
        if "://" not in target and (not there.exists() or anchor and anchor not in anchors(there)):
            out.append(target)
    return out


def missing_names(path):
    """What a page names that is not there: paths, tests, targets of the Makefile, variables, modules, roles and filters."""
    prose, code = in_pages(path)
    modules, filters = {module.stem for module in MODULES}, set(load(ROOT / "plugins" / "filter" / "lvs.py").FilterModule().filters())
    known = variables() | modules
    out = [word for word in re.findall(r"\b[Mm]odules? `(\w+)`", prose) if word not in modules]
    out += [word for word in re.findall(r"\brole `?([a-z_]+)`?", prose) if "_" in word and not (ROOT / "roles" / word).is_dir()]
    for span in code:
        for word in re.findall(r"(?:%s)/[\w./*-]*(?:::\w+)?" % "|".join([*FOLDERS, *WINGS]), span):
            inside, _, test = word.rstrip(".").partition("::")
            if re.search(r"[\w/.]" + re.escape(word), span) or inside.startswith("inventories/mine"):
                continue  # the end of a longer path, of a host or of the collection; or the reader's own inventory
            base = ROOT / "module_utils" / "lvsdr" if inside.split("/")[0] in WINGS else ROOT
            found = sorted(base.glob(inside.rstrip("/"))) or sorted(base.glob(inside + ".py"))
            if not found or test and not re.search(r"^ *(async )?def %s\(" % test, found[0].read_text(), re.MULTILINE):
                out.append(word)
        out += ["make " + word for word in re.findall(r"(?:^|\W)make ([a-z-]+)", span) if word not in TARGETS]
        out += [word for word in re.findall(r"\b(?:%s)\w+" % "|".join(hosts.PREFIXES), span) if word not in known]
        if path.name != "reference.md":  # made of specs, which name filters in sentences of their own
            out += [word for word in re.findall(r"(?<![/\w])lvs_\w+", span) if word not in modules | filters | KEEPALIVEDS]
    return out


def variables():
    declared = {name for role in ROLES for spec in specs(role).values() for name in spec["options"]}
    return declared | set(hosts.HOST_VARIABLES) | set(hosts.PLAYBOOK_VARIABLES)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_to_a_file_and_a_heading(path):
    assert broken_links(path) == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_what_a_page_names_exists(path):
    assert missing_names(path) == []


def test_a_planted_name_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n[x](gone.md) [y](#a-page) [z](#b)\n`playbooks/gone.yml` `make gone` `director_prioriti` `ipvs/gone.py`\n"
        "`tests/unit/test_docs.py::test_gone` `tests/unit/test_docs.py` `/usr/lib/tools/gone`\n"
        "module `gone_table` and role gone_server, filter `lvs_gone`\n"
    )
    assert broken_links(page) == ["gone.md", "#b"]
    gone = [
        "gone_table",
        "gone_server",
        "playbooks/gone.yml",
        "make gone",
        "director_prioriti",
        "ipvs/gone.py",
        "tests/unit/test_docs.py::test_gone",
        "lvs_gone",
    ]
    assert missing_names(page) == gone


def test_each_tier_is_explained():
    tiers = {word for line in re.findall(r"tools/tiers (.+)", (ROOT / "Makefile").read_text()) for word in line.split() if word != "--"}
    for page, more in (("CONTRIBUTING.md", {"lint"}), ("docs/architecture.md", {"arp", "bench", "long", "scenarios"})):
        rows = set(re.findall(r"^\| `make (\w+)` \|", (ROOT / page).read_text(), re.MULTILINE))
        assert rows | more == tiers | more, page


def test_the_table_of_wings_is_the_rule():
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| .* \| ([^|]*)\|$", text.partition("may import from")[2].partition("\n\n")[0], re.MULTILINE)
    assert {wing: set(re.findall(r"\w+", below)) for wing, below in rows} == {
        wing: set(below) for wing, below in MAY_IMPORT.items() if wing
    }


def test_readme_names_every_playbook_role_and_wing():
    text = (ROOT / "README.md").read_text().partition("## What is where")[2]
    playbooks, roles = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}, {path.name for path in (ROOT / "roles").iterdir()}
    assert {name for name in playbooks | roles | set(WINGS) if "`%s`" % name not in text} == set()


# --- decisions -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_decision_has_its_four_parts_and_a_test(path):
    text = path.read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Choice", "Price", "Test that holds it"]
    assert text.startswith("# %s: " % path.stem[:3])
    assert re.search(r"`(tests|molecule)/", text.partition("## Test that holds it")[2])


def test_decisions_are_numbered_and_indexed():
    assert [path.stem[:3] for path in RECORDS] == ["%03d" % number for number in range(1, len(RECORDS) + 1)]
    titles = ["- [%s](%s)" % (path.read_text().splitlines()[0][2:], path.name) for path in RECORDS]
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    assert [line for line in index.splitlines() if line.startswith("- ")] == titles


# --- documentation, argument spec and model ------------------------------------------------------------------------------------------


class Captured(Exception):
    pass


def load(path):
    spec = importlib.util.spec_from_file_location("documented_" + path.stem, str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def module(request, monkeypatch):
    """(documentation, argument spec) of a module: its main() is run with an AnsibleModule that only keeps what it is given."""
    monkeypatch.setattr(ansible.module_utils, "__path__", [*ansible.module_utils.__path__, str(ROOT / "roles" / "lab" / "module_utils")])
    loaded = load(request.param)
    given = {}

    def capture(**options):
        given.update(options)
        raise Captured

    monkeypatch.setattr(loaded, "AnsibleModule", capture)
    with pytest.raises(Captured):
        loaded.main()
    doc = yaml.safe_load(loaded.DOCUMENTATION)
    assert doc["module"] == request.param.stem
    options = dict(doc.get("options") or {})
    fragments = doc.get("extends_documentation_fragment", [])
    for name in [fragments] if isinstance(fragments, str) else fragments:
        fragment = load(ROOT / "plugins" / "doc_fragments" / (name + ".py")).ModuleDocFragment
        options = {**yaml.safe_load(fragment.DOCUMENTATION)["options"], **options}
    return options, given["argument_spec"]


def differences(documented, taken, path=""):
    """Where the documentation of options is not what an argument spec says. The inside of a raw option is judged by the model."""
    out = ["%s%s is in one of them alone" % (path, name) for name in sorted(documented.keys() ^ taken.keys())]
    for name in sorted(documented.keys() & taken.keys()):
        doc, spec = documented[name], taken[name]
        for field, usual in (("type", "str"), ("elements", None), ("choices", None), ("required", False), ("default", None)):
            one, other = doc.get(field, usual), spec.get(field, usual)
            if one != other and not (spec.get("type") == "raw" and field in ("type", "elements")):
                out.append("%s%s: %s is %r in the documentation and %r in the argument spec" % (path, name, field, one, other))
        if spec.get("type") != "raw":
            out += differences(doc.get("suboptions") or {}, spec.get("options") or {}, path + name + ".")
    return out


@pytest.mark.parametrize("module", MODULES, indirect=True, ids=lambda path: path.stem)
def test_documentation_is_the_argument_spec(module):
    documented, taken = module
    assert differences(documented, taken) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_options_and_results_that_are_mentioned_exist(path):
    loaded = load(path)
    doc = yaml.safe_load(loaded.DOCUMENTATION)
    options = flat(doc.get("options") or {}, "suboptions")
    if "extends_documentation_fragment" in doc:
        fragment = load(ROOT / "plugins" / "doc_fragments" / (doc["extends_documentation_fragment"] + ".py")).ModuleDocFragment
        options |= flat(yaml.safe_load(fragment.DOCUMENTATION)["options"], "suboptions")
    results = flat(yaml.safe_load(getattr(loaded, "RETURN", "")) or {}, "contains")
    text = path.read_text()
    mentioned = {name.partition("=")[0] for name in re.findall(r"\bO\(([^)]+)\)", text)}
    assert {name for name in mentioned if name not in options} == set()
    returned = {name.partition("=")[0].partition(".")[0] for name in re.findall(r"\bRV\(([^)]+)\)", text)}
    assert {name for name in returned if name not in results} == set()


def flat(options, inner, above=""):
    """Every option and those inside of it, by their paths."""
    out = set()
    for name, option in options.items():
        out |= {above + name}
        # A raw one is a list or a dictionary, or its JSON text.
        signs = [".", "[]."] if option["type"] == "raw" else ["[]."] if option.get("elements") else ["."]
        out |= {one for sign in signs for one in flat(option.get(inner) or {}, inner, above + name + sign)}
    return out


def fragment_options():
    return yaml.safe_load(load(ROOT / "plugins" / "doc_fragments" / "ipvs_services.py").ModuleDocFragment.DOCUMENTATION)["options"]


SERVICE = fragment_options()["services"]["suboptions"]
DESTINATION = SERVICE["destinations"]["suboptions"]
TABLE = yaml.safe_load(load(ROOT / "library" / "ipvs_table.py").DOCUMENTATION)["options"]
INFO = yaml.safe_load(load(ROOT / "library" / "ipvs_info.py").DOCUMENTATION)["options"]


@pytest.mark.parametrize(
    "documented, model",
    [
        (SERVICE, declare.SERVICE_OPTIONS),
        (DESTINATION, declare.DESTINATION_OPTIONS),
        (TABLE["timeouts"]["suboptions"], types.Timeouts._fields),
        (TABLE["sync_daemons"]["suboptions"], types.Daemon._fields),
        (TABLE["sync_daemons"]["suboptions"]["state"]["choices"], types.DAEMON_STATES),
        (SERVICE["scheduler"]["choices"], types.SCHEDULERS),
        (SERVICE["protocol"]["choices"], types.PROTOCOLS),
        (DESTINATION["forward"]["choices"], types.FORWARDS),
        (DESTINATION["tunnel"]["suboptions"]["type"]["choices"], types.TUNNELS),
        (TABLE["state"]["choices"], (*plan.STATES, "gathered", "rendered", "parsed")),
        (INFO["state"]["choices"], plan.STATES),
    ],
)
def test_the_documentation_of_the_table_is_the_model(documented, model):
    assert sorted(documented) == sorted(model)


def test_scheduler_flags_are_those_of_the_model():
    flags = {flag for flags in types.SCHEDULER_FLAGS.values() for flag in flags}
    assert set(re.findall(r"C\(([a-z-]+)\)", SERVICE["scheduler_flags"]["description"])) == flags


def test_limits_in_sentences_are_those_of_the_model():
    assert str(types.MAX_WEIGHT) in DESTINATION["weight"]["description"]
    assert str(types.MAX_PERSISTENCE) in SERVICE["persistence"]["suboptions"]["timeout"]["description"]
    assert str(types.MAX_TIMEOUT) in TABLE["timeouts"]["suboptions"]["tcp"]["description"]


@pytest.mark.parametrize("kind", health_check.CHECK_TYPES)
def test_health_checks_are_documented(kind):
    text = (ROOT / "docs" / "health-checks.md").read_text()
    assert "`%s`" % kind in text
    for option in health_check.CHECK_FIELDS[kind]:
        assert re.search(r"`%s`|\b%s:" % (option, option), text), option


# --- roles ---------------------------------------------------------------------------------------------------------------------------


def specs(role):
    return yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_of_a_role_are_those_of_its_spec(role):
    defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text())
    for spec in specs(role).values():
        assert spec["options"].keys() == defaults.keys()
        for name, option in spec["options"].items():
            if "default" in option:
                assert option["default"] == defaults[name], name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_options_that_a_spec_mentions_exist(role):
    text = (role / "meta" / "argument_specs.yml").read_text()
    assert set(re.findall(r"\bO\(([a-z_0-9]+)", text)) <= {name for spec in specs(role).values() for name in spec["options"]}


# --- pages that are made -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["reference", "picture"])
def test_what_is_made_is_not_stale(tool):
    done = subprocess.run([sys.executable, str(ROOT / "tools" / tool), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
