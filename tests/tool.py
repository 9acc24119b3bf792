"""The scripts in tools/ as modules: they have no suffix, so an import does not find them."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path


def tool(name):
    loader = SourceFileLoader(name.replace("-", "_"), str(Path(__file__).parents[1] / "tools" / name))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module
