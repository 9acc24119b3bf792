"""Whether a server serves: options of health checks, one look at a server, and what a series of looks means.

Here belong judgements on bytes and times. A check must not open a socket (sockets.py does), and must not know weights or other servers.
"""
