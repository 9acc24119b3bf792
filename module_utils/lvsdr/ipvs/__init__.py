"""The kernel's table: its types, how it is declared and described, the plan of changes, and netlink.

Here belongs what is true of any IPVS table. It must not know streams, health checks or inventory groups; only kernel.py and table.py do IO.
"""
