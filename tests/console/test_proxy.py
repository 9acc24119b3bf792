"""The console behind nginx with TLS and a login, as docs/console.md has it."""

import base64
import re
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import fleet
import pytest

ROOT = Path(__file__).parents[2]
NAME, USER, PASSWORD = "lb.example.com", "anna", "correct horse"


@pytest.fixture
def proxy(pair, tmp_path):
    """(the director behind it, port, certificate) of an nginx that has the documentation's server block."""
    one, _other = pair(names=[NAME])
    (text,) = re.findall(r"^```nginx\n(.*?)^```$", (ROOT / "docs" / "console.md").read_text(), re.MULTILINE | re.DOTALL)
    port = fleet.free_port()
    text = text.replace("listen 8443", "listen 127.0.0.1:%d" % port).replace("127.0.0.1:9180", "127.0.0.1:%d" % one.port)
    text = text.replace("/etc/nginx/", "%s/" % tmp_path)
    certificate, key = tmp_path / "console.pem", tmp_path / "console.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
         "/CN=" + NAME, "-addext", "subjectAltName=DNS:" + NAME, "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    hashed = subprocess.run(["openssl", "passwd", "-apr1", PASSWORD], check=True, capture_output=True, text=True).stdout
    (tmp_path / "console.htpasswd").write_text("%s:%s" % (USER, hashed))
    temporary = "".join("%s_temp_path %s/%s;\n" % (kind, tmp_path, kind) for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (tmp_path / "nginx.conf").write_text(
        "daemon off; user root; pid %s/nginx.pid; error_log %s/nginx.log; events {}\nhttp { access_log off;\n%s%s}\n"
        % (tmp_path, tmp_path, temporary, text)
    )
    nginx = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(tmp_path / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        fleet.eventually(lambda: status(port, certificate, "/", login=True) == 200)
        yield one, port, certificate
    finally:
        nginx.terminate()
        nginx.wait()


def status(port, certificate, path, login, host=NAME):
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False  # it is asked by its address
    request = urllib.request.Request("https://127.0.0.1:%d%s" % (port, path), headers={"Host": "%s:%d" % (host, port)})
    if login:
        request.add_header("Authorization", "Basic " + base64.b64encode(b"%s:%s" % (USER.encode(), PASSWORD.encode())).decode())
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_login_is_needed(proxy):
    _one, port, certificate = proxy
    assert status(port, certificate, "/api/state", login=False) == 401
    assert status(port, certificate, "/api/state", login=True) == 200
    assert status(port, certificate, "/api/state", login=True, host="evil.example") == 403


def test_the_page_lives_and_drains_through_it(proxy, browser):
    one, port, _certificate = proxy
    context = browser.new_context(ignore_https_errors=True, http_credentials={"username": USER, "password": PASSWORD})
    try:
        page = context.new_page()
        # Chromium finds the name by itself: the browser of this tier asks nobody.
        page.goto("https://%s:%d/" % (NAME, port))
        fleet.eventually(lambda: page.inner_text("#live") == "live")
        one.of("edge1")["active"] = 99
        one.show()
        fleet.eventually(lambda: re.search(r"\b99\b", page.inner_text("main")))
        page.get_by_role("button", name="Drain edge2", exact=True).click()
        fleet.eventually(page.locator("#ask-yes").is_enabled)
        page.fill("#ask-why", "kernel upgrade")
        page.fill("#ask-who", "anna")
        page.click("#ask-yes")
        fleet.eventually(lambda: list((one.folder / "drained").glob("drained-edge2-*")))
    finally:
        context.close()
