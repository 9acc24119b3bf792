"""What a director is given (keepalived.conf, rules, the daemon's configuration), and what directors report. Pure.

Here belongs what is rendered from resolved services, and what is compared between directors. It must not read a host or a file.
"""
