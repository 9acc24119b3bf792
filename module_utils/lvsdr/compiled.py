# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeps the compiled code of lvsdr's modules on a host. IO.

A controller sends the source of a module in an archive with each call, and Python compiles all that it imports from an archive, each time.
``install`` lets lvsdr's own files be taken from FOLDER, where the last call has put them: a file for each source, named by a digest of it
and of Python's version, so that another source or another Python never gets it. They are root's alone, in a folder of /run, and go with a
boot. Whatever is wrong with them, the source is compiled as always.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import marshal
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import types
    import zipimport
    from collections.abc import Sequence

FOLDER = "/run/lvsdr/compiled"
# Seconds after which a file goes, when another one is written.
OLD = 30 * 24 * 3600


def install(package: str, archive: zipimport.zipimporter) -> None:
    """Modules of a package are taken from its archive, a zipimporter, by way of FOLDER from now on. Only root's calls are."""
    if os.geteuid() == 0:
        sys.meta_path.insert(0, _Finder(package + ".", archive))


class _Finder:
    """In the place of zipimport's own, which compiles a module twice: already when it is asked where the module is (get_filename)."""

    def __init__(self, prefix: str, archive: zipimport.zipimporter) -> None:
        self.prefix, self.archive = prefix, archive

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith(self.prefix) or not path:
            return None
        tail = os.path.join(path[0], name.rpartition(".")[2])
        for file, folders in ((tail + ".py", None), (os.path.join(tail, "__init__.py"), [tail])):
            try:
                source = self.archive.get_data(file)
            except OSError:
                continue
            loader: Any = _Loader(source)  # it has what an import asks of one
            spec = importlib.machinery.ModuleSpec(name, loader, origin=file, is_package=folders is not None)
            spec.submodule_search_locations, spec.has_location = folders, True
            return spec
        return None


class _Loader:
    def __init__(self, source: bytes) -> None:
        self.source = source

    def create_module(self, _spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        exec(code_of(module.__name__, self.source), module.__dict__)


def code_of(name: str, source: bytes) -> types.CodeType:
    """The code of a source, from FOLDER or compiled and put there."""
    known = hashlib.sha256(("%s %s\n" % (name, sys.version)).encode() + source).hexdigest()
    path = os.path.join(FOLDER, known)
    try:
        return _read(path)
    except (OSError, EOFError, TypeError, ValueError):
        code = compile(source, name, "exec", dont_inherit=True)
    try:
        _write(path, code)
    except OSError:
        pass  # a full or read-only /run costs time and nothing else
    return code


def _read(path: str) -> types.CodeType:
    with open(path, "rb") as f:
        for status in (os.fstat(f.fileno()), os.stat(FOLDER)):
            if status.st_uid != 0 or status.st_mode & 0o022:
                raise OSError("not root's alone")
        code = marshal.load(f)
    if not isinstance(code, type(_read.__code__)):
        raise ValueError("not code")
    return code


def _write(path: str, code: types.CodeType) -> None:
    above = os.path.dirname(FOLDER)
    if not os.path.isdir(above):
        # Others have their folders there as well, whatever root's umask is.
        os.mkdir(above)
        os.chmod(above, 0o755)
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    for name in os.listdir(FOLDER):
        with_path = os.path.join(FOLDER, name)
        if os.stat(with_path).st_mtime < time.time() - OLD:
            os.unlink(with_path)
    new = "%s.%d" % (path, os.getpid())
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
        marshal.dump(code, f)
    os.rename(new, path)
