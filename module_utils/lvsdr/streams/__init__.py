"""Streams as players see them: HTTP, HLS, DASH, and viewers who play them.

Here belong protocols and players. It must not know which server or service a stream is of.
"""
