"""The ARP problem of direct routing: settings, VIPs on lo, and who answers on the link."""
