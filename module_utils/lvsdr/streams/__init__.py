"""Streams as players see them: HTTP, HLS, DASH, and viewers who play them."""
