# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeps the compiled code of lvsdr's modules on a host. IO.

A controller sends the source of a module in an archive with each call, and Python compiles all that it imports from an archive, each time.
``install`` lets lvsdr's own files be taken from FOLDER, where the last call has put them: a file for each source, named by a digest of it
and of Python's version, so that another source or another Python never gets it. They are root's alone, in a folder of /run, and go with a
boot. Whatever is wrong with them, the source is compiled as always.
"""

import hashlib
import importlib.machinery
import marshal
import os
import sys
import time

FOLDER = "/run/lvsdr/compiled"
# Seconds after which a file goes, when another one is written.
OLD = 30 * 24 * 3600


def install(package):
    """Modules of a package that come from an archive are kept from now on. Only root's calls are."""
    if os.geteuid() == 0:
        sys.meta_path.insert(0, _Finder(package + "."))


class _Finder:
    def __init__(self, prefix):
        self.prefix = prefix

    def find_spec(self, name, path=None, target=None):
        if not name.startswith(self.prefix):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and hasattr(spec.loader, "archive"):
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader:
    def __init__(self, archive):
        self.archive = archive

    def __getattr__(self, name):
        return getattr(self.archive, name)

    def create_module(self, _spec):
        return None

    def exec_module(self, module):
        exec(code_of(module.__name__, self.archive.get_source(module.__name__)), module.__dict__)


def code_of(name, source):
    """The code of a source, from FOLDER or compiled and put there."""
    known = hashlib.sha256(("%s %s\n%s" % (name, sys.version, source)).encode()).hexdigest()
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


def _read(path):
    with open(path, "rb") as f:
        for status in (os.fstat(f.fileno()), os.stat(FOLDER)):
            if status.st_uid != 0 or status.st_mode & 0o022:
                raise OSError("not root's alone")
        return marshal.load(f)


def _write(path, code):
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    for name in os.listdir(FOLDER):
        with_path = os.path.join(FOLDER, name)
        if os.stat(with_path).st_mtime < time.time() - OLD:
            os.unlink(with_path)
    new = "%s.%d" % (path, os.getpid())
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
        marshal.dump(code, f)
    os.rename(new, path)
