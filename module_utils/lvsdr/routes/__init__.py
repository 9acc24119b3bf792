"""How packets of NAT and of tunnels come into a real server, and how its answers leave it.

Here belongs what one host is told and does. It must not know services, directors or the inventory: addresses and ports are passed in.
"""
