"""The kernel's table: its types, how it is declared and described, the plan of changes, and netlink."""
