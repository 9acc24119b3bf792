"""lvsdr-streamcheck, the daemon of the directors.

Here belong its loop, its metrics and the files that it writes. It must not know inventories, Ansible or IPVS: its configuration is
all that it is told. What is copied to directors is this folder and what it imports (places.STREAMCHECK_PARTS).
"""
