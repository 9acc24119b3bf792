"""The page as text: whole without a script, and everything that came from outside is text in it."""

import re
from html.parser import HTMLParser

from ansible.module_utils.lvsdr.console import page
from ansible.module_utils.lvsdr.console.memory import Memory
from ansible.module_utils.lvsdr.text import bit_rate
from hypothesis import given
from hypothesis import strategies as st
from looks import NOW, both, check, config, look, seen, server

EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"


class Reader(HTMLParser):
    """Elements, attributes and text of a page."""

    VOID = {"meta", "input", "br", "link", "img", "hr"}

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.words, self.open = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == [], "not closed: %s" % self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, "</%s> out of place" % tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def shown(made, looks, live=True):
    found = seen(made, looks)
    Memory().take(found)
    return page.page(found, live)


def test_it_says_what_an_operator_needs():
    made = config()
    note = {"who": "anna", "why": "kernel upgrade", "since": NOW - 60}
    made["services"][0]["servers"][2] = server("edge3", spare=True)
    text = Reader(shown(made, both(made, files={"drained-edge1": note, "spare-edge3": {"who": "", "why": "", "since": NOW}}))).text
    for words in ("director1 active", "director2 standby", "draining, 4 left by anna: kernel upgrade", "spare, parked",
                  "1 of 1 servers, floor 1",
                  "edge1 is drained edge1: real_server_state: drained", "Drain edge2", "Undrain edge1", "Wake edge3",
                  "Nothing is wrong"):  # fmt: skip
        assert words in text, words


def test_it_says_whether_the_directors_agree():
    made = config()
    looks = both(made, sync=["master", "backup"])
    fine = "director1 and director2: the same servers, the same configuration, connections synced both ways"
    assert fine in Reader(shown(made, looks)).text
    looks["director2"].update(sync=["backup"], config="other")
    memory = Memory()
    for at in (0.0, 60.0):
        found = seen(made, looks)
        memory.take(found, at)
    assert "different configurations, connections not synced" in Reader(page.page(found)).text
    looks["director2"] = None
    assert "director1 and director2:" not in Reader(shown(made, looks)).text


def test_it_says_until_when_certificates_are_valid():
    made = config()
    ends = {"edge1": 1893456000, "edge2": 1798761600}  # 2030-01-01, 2027-01-01
    checks = [check(name, certificate_ends=at) for name, at in ends.items()] + [check("edge3")]
    assert "certificates until 2027-01-01" in Reader(shown(made, both(made, checks=checks))).text
    assert "certificates" not in Reader(shown(made, both(made))).text


def test_a_split_brain_comes_first():
    made = config()
    looks = both(made)
    looks["director2"]["addresses"].append("192.0.2.100")
    found, memory = seen(made, looks), Memory()
    memory.take(found, 0.0)
    found = seen(made, looks)
    memory.take(found, 60.0)
    html = page.page(found)
    assert html.index("director1 and director2 hold 192.0.2.100 at once") < html.index('id="path"')


def test_names_and_reasons_are_text():
    made = config(director=EVIL)
    made["directors"][0]["name"] = EVIL
    made["services"][0].update(name=EVIL, checks=[EVIL], ports=EVIL, mode=EVIL, scheduler=EVIL)
    made["services"][0]["servers"][0] = {**server("edge1"), "name": EVIL}
    note = {"who": EVIL, "why": EVIL, "since": NOW}
    checks = [check(EVIL, service=EVIL, state="down", why=EVIL, warning=EVIL), check("edge2", service=EVIL, kept=True, why=EVIL)]
    looks = {
        EVIL: look(made, active=True, weights={EVIL: 0}, checks=checks, sync=[EVIL]),
        "director2": look(made, files={"drained-edge3": note}),
    }
    looks["director2"]["services"][EVIL] = {"words": EVIL, "scheduler": EVIL, "counters": {}, "destinations": {}}
    found = seen(made, looks)
    memory = Memory()
    memory.take(found)
    memory.events.append((NOW, EVIL))
    found["events"] = list(memory.events)
    for live in (True, False):
        read = Reader(page.page(found, live))
        assert read.tags.count("script") == int(live) and "img" not in read.tags
        assert not [name for name, _value in read.attributes if name.startswith("on") or name == "style"]
        assert "alert(1)" in read.text


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_names_have_two_ids(one, other):
    assert (page.slug(one) == page.slug(other)) == (one == other)
    assert re.fullmatch("[A-Za-z0-9_]*", page.slug(one))


def test_ids_are_there_once():
    made = config()
    made["services"] = [made["services"][0], {**made["services"][0], "vips": ["192.0.2.101"], "key": "tcp 192.0.2.101:80"}]
    names = [value for name, value in Reader(shown(made, both(made))).attributes if name == "id"]
    assert len(names) == len(set(names))


def test_a_report_runs_nothing():
    made = config(actions=False)
    html = shown(made, both(made), live=False)
    read = Reader(html)
    assert not {"script", "dialog", "button"} & set(read.tags)
    assert "script-src" not in html and "default-src &#x27;none&#x27;" in html


def test_before_the_first_look():
    assert "Nothing has been read yet" in page.page(None)


def test_rates_and_numbers():
    assert [bit_rate(value) for value in (0, 12.5, 125, 125_000, 12_500_000, 1.25e9, None)] == [
        "0 bit/s", "100 bit/s", "1.0 kbit/s", "1.0 Mbit/s", "100 Mbit/s", "10.00 Gbit/s", "0 bit/s",
    ]  # fmt: skip
    assert page.number(1234567.9) == "1\u202f234\u202f567"
