"""The scenario's own inventory, with services beside the lab's."""

from conftest import playbook


def run(name, *more):
    return playbook(name, "-i", "molecule/ha/inventory", *more)
