"""What a host has: files, programs, interfaces, settings, units.

Here belongs what any program on Linux could need. It must not know a topic: whoever needs a name passes it in.
"""
