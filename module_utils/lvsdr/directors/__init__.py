"""What a director is given (keepalived.conf, rules, the daemon's configuration), and what directors tell. Pure."""
