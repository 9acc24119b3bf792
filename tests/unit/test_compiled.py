"""Compiled code that is kept: the same code as from the source, and never another's."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible.module_utils.lvsdr import compiled

HOUSE = Path(__file__).parents[2] / "module_utils" / "lvsdr"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("only root's calls are kept")
    monkeypatch.setattr(compiled, "FOLDER", str(tmp_path / "compiled"))
    return tmp_path / "compiled"


def value_of(source, name="house.x"):
    made = {}
    exec(compiled.code_of(name, source.encode()), made)
    return made["value"]


def test_the_second_call_takes_what_the_first_has_left(folder, monkeypatch):
    assert value_of("value = 1") == 1 and len(list(folder.iterdir())) == 1
    monkeypatch.setattr(compiled, "_write", None)
    assert value_of("value = 1") == 1


def test_another_source_and_another_python_never_get_it(folder, monkeypatch):
    assert [value_of("value = 1"), value_of("value = 2"), value_of("value = 1", "house.y")] == [1, 2, 1]
    assert len(list(folder.iterdir())) == 3
    monkeypatch.setattr(compiled.sys, "version", "4.0")
    assert value_of("value = 1") == 1 and len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("text", [b"", b"x", b"\xe3\x00\x00", b"i\x01\x00\x00\x00"])
def test_what_is_broken_is_compiled_again(folder, text):
    value_of("value = 1")
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(text)
    assert value_of("value = 1") == 1
    assert kept.read_bytes() == whole


def test_what_others_can_write_is_not_run(folder):
    value_of("value = 1")
    (kept,) = folder.iterdir()
    planted = compile("value = 666", "x", "exec")
    kept.write_bytes(compiled.marshal.dumps(planted))
    assert value_of("value = 1") == 666, "root's own file is believed"
    for path, mode in ((kept, 0o662), (folder, 0o733), (folder, 0o770)):
        modes = kept.stat().st_mode, folder.stat().st_mode
        path.chmod(mode)
        assert value_of("value = 1") == 1, oct(mode)
        kept.write_bytes(compiled.marshal.dumps(planted))
        kept.chmod(modes[0])
        folder.chmod(modes[1])


def test_a_folder_that_can_not_be_written_costs_time_alone(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(compiled, "FOLDER", str(tmp_path / "file" / "compiled"))
    assert value_of("value = 1") == 1


def test_the_folder_above_is_everybodys(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "FOLDER", str(tmp_path / "lvsdr" / "compiled"))
    former = os.umask(0o077)
    try:
        assert value_of("value = 1") == 1
    finally:
        os.umask(former)
    assert (tmp_path / "lvsdr").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "lvsdr" / "compiled").stat().st_mode & 0o777 == 0o700


def test_old_files_go(folder):
    value_of("value = 1")
    (old,) = folder.iterdir()
    os.utime(old, (0, 0))
    value_of("value = 2")
    assert not old.exists()


def test_modules_of_an_archive(folder, tmp_path):
    """As a controller sends them: two calls, of which the second compiles nothing of the house."""
    archive = tmp_path / "payload.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("ansible/__init__.py", "")
        made.writestr("ansible/module_utils/__init__.py", "")
        for path in HOUSE.rglob("*.py"):
            text = path.read_text().replace("/run/lvsdr/compiled", str(folder))
            made.writestr("ansible/module_utils/lvsdr/%s" % path.relative_to(HOUSE), text)
    code = (
        "import builtins, sys; sys.path.insert(0, %r); seen = []; whole = builtins.compile\n"
        "builtins.compile = lambda source, name, *more, **options: seen.append(name) or whole(source, name, *more, **options)\n"
        "from ansible.module_utils.lvsdr.ipvs import types\n"
        "seen = sorted(name for name in seen if 'lvsdr' in name and '__init__' not in name and 'compiled' not in name)\n"
        "print(seen, types.service_key.__module__, types.__spec__.name)\n"
    ) % str(archive)
    run = [sys.executable, "-c", code]
    first, second = (subprocess.run(run, capture_output=True, text=True, check=True).stdout for _time in range(2))
    # What zipimport itself compiles has a path.
    assert "'ansible.module_utils.lvsdr.ipvs.types'" in first
    assert second.startswith("[] ansible.module_utils.lvsdr.ipvs.types ansible.module_utils.lvsdr.ipvs.types")
