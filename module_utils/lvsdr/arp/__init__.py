"""The ARP problem of direct routing: settings, VIPs on lo, and who answers on the link.

Here belongs what one host does and hears. It must not know services, directors or the inventory: VIPs and names are passed in.
"""
