"""Tests without IO, in the folders of module_utils/lvsdr. What they share is here, in inventories.py, and in tests/fakes."""
