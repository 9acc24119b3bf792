"""A program that a check runs has to be there, executable, and safe from others, on each director."""

import contextlib

import pytest
from conftest import ssh
from scenario import run

SCRIPT = "/usr/local/bin/check-page"


@contextlib.contextmanager
def broken(breaks, repairs):
    ssh("director2", breaks)
    try:
        yield
    finally:
        ssh("director2", repairs)


WRITABLE = ("chmod o+w " + SCRIPT, "chmod o-w " + SCRIPT)


@pytest.mark.parametrize(
    ("breaks", "repairs", "words"),
    [
        (*WRITABLE, "%s is writable by others than root; give it to root, and run `chmod go-w %s`" % (SCRIPT, SCRIPT)),
        ("chmod a-x " + SCRIPT, "chmod a+x " + SCRIPT, "is not executable; run `chmod 755 %s`" % SCRIPT),
        ("mv %s /root" % SCRIPT, "mv /root/check-page " + SCRIPT, "can't be run (No such file or directory); install it on every director"),
        ("chown nobody " + SCRIPT, "chown root " + SCRIPT, "%s belongs to uid 65534; give it to root" % SCRIPT),
        ("true", "true", None),
    ],
    ids=["writable by others", "not executable", "missing", "somebody's", "good"],
)
def test_a_script(ansible, breaks, repairs, words):
    with broken(breaks, repairs):
        problems = ansible("director2", "lvs_preflight", scripts=[SCRIPT])["problems"]
    assert len(problems) == (words is not None)
    assert all(line.startswith("check script " + SCRIPT) and words in line for line in problems)


def test_preflight_says_so():
    with broken(*WRITABLE):
        done = run("playbooks/preflight.yml")
    said = " ".join(done.stdout.split())
    assert done.returncode != 0 and "1 error, and nothing was changed" in said
    assert "hosts[director2]: check script %s: %s is writable by others than root" % (SCRIPT, SCRIPT) in said
