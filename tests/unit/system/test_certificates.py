"""A certificate is judged before HAProxy is given it: by OpenSSL, with real files."""

import subprocess
import time

import pytest
from ansible.module_utils.lvsdr.system import certificates

NAME = "live.example.com"


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    """{name: text of a certificate and its key}, and one of which only the password is missing."""
    folder, out = tmp_path_factory.mktemp("pems"), {}
    for name, alternative in ((NAME, "DNS:" + NAME), ("star", "DNS:*.example.com,IP:192.0.2.1"), ("nameless", None)):
        own, key = folder / (name + ".crt"), folder / (name + ".key")
        more = ["-addext", "subjectAltName=" + alternative] if alternative else []
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=" + name, "-keyout", str(key),
             "-out", str(own), *more],
            check=True, capture_output=True,
        )  # fmt: skip
        out[name] = own.read_text(), key.read_text()
    locked = folder / "locked.key"
    subprocess.run(["openssl", "rsa", "-aes256", "-passout", "pass:x", "-in", str(folder / (NAME + ".key")), "-out", str(locked)],
                   check=True, capture_output=True)  # fmt: skip
    out["locked"] = out[NAME][0], locked.read_text()
    return out


@pytest.fixture
def judged(tmp_path):
    def judge(text, *names, now=None):
        path = tmp_path / "live.pem"
        path.write_text(text)
        path.chmod(0o600)
        return [line.id for line in certificates.problems(str(path), names, now or time.time())]

    return judge


def test_one_that_fits(pems, judged):
    assert judged("".join(pems[NAME]), NAME) == []
    assert judged("".join(pems["star"]), "a.example.com", "192.0.2.1") == []
    assert judged("".join(pems["nameless"])) == []


def test_one_that_does_not(pems, judged):
    own, key = pems[NAME]
    assert judged(own + pems["star"][1]) == ["certificate-refused"]
    assert judged(own) == judged(key) == judged("rubbish") == judged("") == judged("".join(pems["locked"])) == ["certificate-refused"]
    assert judged(own + key, "other.example.com") == ["certificate-of-other-name"]
    assert judged("".join(pems["star"]), "a.b.example.com", "example.com") == ["certificate-of-other-name"] * 2
    assert judged("".join(pems["nameless"]), NAME) == ["certificate-of-other-name"]
    for moment in (time.time() - 86400, time.time() + 31 * 86400):
        assert judged(own + key, NAME, now=moment) == ["certificate-expired"]


def test_what_is_said_has_no_key(pems, tmp_path):
    own, key = pems[NAME]
    (tmp_path / "live.pem").write_text(own + pems["star"][1])
    (tmp_path / "live.pem").chmod(0o600)
    (line,) = certificates.file_problems([{"path": str(tmp_path / "live.pem"), "readers": "root", "names": []}])
    assert "its key is not that of its certificate" in line and pems["star"][1][40:80] not in line
    others = [{"path": str(tmp_path / "live.pem"), "names": None}, {"path": "/nowhere", "names": []}, {"path": "/a"}]
    assert certificates.file_problems(others) == []
