"""Tests without IO, in the folders of module_utils/lvsdr. What they share is here, in inventories.py, and in tests/fakes."""

import importlib.util
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"


@pytest.fixture(scope="session")
def plugin():
    """Loads a plugin as Ansible does: from its file."""

    def load(kind, name):
        spec = importlib.util.spec_from_file_location(name, str(PLUGINS / kind / (name + ".py")))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
