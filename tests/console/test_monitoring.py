"""Metrics, alert rules and the dashboard, judged by Debian's Prometheus, which scrapes a pair of consoles."""

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

import fleet
import pytest
import yaml
from ansible.module_utils.lvsdr.console import metrics, problems, state

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"
ALERTS = [one for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"] for one in group["rules"]]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
# Nothing is wrong, and nobody sends, so these have no row.
EMPTY = {"Things to look at", "Not serving", "To viewers", "To viewers, by server"}


def test_promtool_accepts_the_rules():
    subprocess.run([shutil.which("promtool"), "check", "rules", str(MONITORING / "alerts.yml")], check=True, capture_output=True)


def test_each_alert_fires_for_its_fault():
    done = subprocess.run(
        [shutil.which("promtool"), "test", "rules", str(MONITORING / "alerts_test.yml")], capture_output=True, text=True, cwd=MONITORING
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tested = set(re.findall(r"alertname: (\w+)", (MONITORING / "alerts_test.yml").read_text()))
    # Drift needs half a day.
    assert {one["alert"] for one in ALERTS} == tested


def test_what_a_rule_points_to_is_there():
    headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for one in ALERTS:
        link = one["annotations"].get("runbook")
        assert link is None or link.partition("#")[2] in anchors, link


def test_kinds_and_reasons_of_rules_are_those_of_the_console():
    text = (MONITORING / "alerts.yml").read_text() + (MONITORING / "dashboard.json").read_text()
    kinds = {word for found in re.findall(r'kind=~?\\?"([a-z|-]+)', text) for word in found.split("|")}
    assert kinds <= set(problems.KINDS) and set(re.findall(r'reason!?=\\?"(\w+)', text)) <= set(state.REASONS)


def exposed(director):
    with urllib.request.urlopen(director.url + "/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"] == metrics.content_type()
        return answer.read().decode()


def test_promtool_finds_no_fault_in_the_metrics(pair):
    one, _other = pair()
    done = subprocess.run([shutil.which("promtool"), "check", "metrics"], input=exposed(one), capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_each_metric_is_documented(pair):
    one, _other = pair(actions=False)
    text = (ROOT / "docs" / "console.md").read_text().partition("## Metrics")[2].partition("## ")[0]
    known = set(re.findall(r"`(lvsdr_\w+)`", text)) - {"lvsdr_certificate_expires"}
    declared = set(re.findall(r"^# TYPE (\w+) ", exposed(one), re.MULTILINE))
    assert declared == known


def test_series_are_as_many_as_the_documentation_says(pair):
    one, _other = pair(300)
    lines = [line for line in exposed(one).splitlines() if not line.startswith("#")]
    assert len({line.rpartition(" ")[0] for line in lines}) == len(lines), "no series is there twice"
    # A server has no line for what it sends while it is not asked.
    assert 300 * 6 <= len(lines) <= 300 * (len(metrics.OF_SERVERS) + len(metrics.COUNTED) + 2) + 100
    labels = {label for line in lines for label in re.findall(r'(\w+)="', line)}
    assert labels <= {"service", "vip", "server", "director", "reason", "kind"}


@pytest.fixture
def prometheus(pair, tmp_path):
    """(query(expression) -> rows, rules() -> names) of a Prometheus that has scraped two consoles."""
    directors = pair()
    directors[0].of("edge1").update(active=5, counters={"conns": 70, "inbytes": 1000})
    directors[0].show()
    targets = [{"targets": [director.url[7:]], "labels": {"instance": director.name}} for director in directors]
    scrape = {"job_name": "lvsdr-console", "static_configs": targets}
    config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(MONITORING / "alerts.yml")]}
    (tmp_path / "prometheus.yml").write_text(json.dumps({**config, "scrape_configs": [scrape]}))
    port = fleet.free_port()
    command = [
        shutil.which("prometheus"), "--config.file", str(tmp_path / "prometheus.yml"), "--storage.tsdb.path", str(tmp_path / "data"),
        "--web.listen-address", "127.0.0.1:%d" % port, "--log.level", "error",
    ]  # fmt: skip
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)

    def ask(path):
        with urllib.request.urlopen("http://127.0.0.1:%d/api/v1/%s" % (port, path), timeout=10) as answer:
            return json.load(answer)["data"]

    def query(expression):
        return ask("query?" + urllib.parse.urlencode({"query": expression}))["result"]

    try:
        fleet.eventually(lambda: len(query("count_over_time(lvsdr_drift[1m]) > 5")) == 2, 120)
        yield query, ask
    finally:
        process.kill()
        process.wait()


def test_the_dashboard_has_what_it_shows(prometheus):
    query, ask = prometheus
    assert len(query('up{job="lvsdr-console"} == 1')) == 2
    for title, expression in QUERIES:
        found = query(expression.replace("$service", ".*"))
        assert bool(found) == (title not in EMPTY), "%s: %s has %d rows" % (title, expression, len(found))
    assert query('lvsdr_server_connections_active{server="edge1"}')[0]["value"][1] == "5"
    (group,) = ask("rules")["groups"]
    assert {one["health"] for one in group["rules"]} == {"ok"}
    assert [one["name"] for one in group["rules"] if one["state"] != "inactive"] == []


def test_the_dashboard_is_one():
    """What Grafana needs of a file to import it: panels with places that do not overlap, queries of the one data source."""
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time", "refresh"} <= set(DASHBOARD)
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}" and {target["datasource"]["uid"] for target in panel["targets"]} == {
            "${datasource}"
        }
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    names = {one["name"] for one in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD["panels"]))) <= names


def test_a_console_that_reads_nothing_is_found(pair):
    one, _other = pair()
    one.helper.kill()
    begin = fleet.eventually(lambda: "lvsdr_look_timestamp_seconds" in exposed(one) and time.time())
    assert re.search(r'^lvsdr_problems\{kind="director-silent"\} [12]', fleet.eventually(lambda: broken(one)), re.MULTILINE) and begin


def broken(director):
    text = exposed(director)
    return text if 'lvsdr_problems{kind="director-silent"} 0.0' not in text else None
