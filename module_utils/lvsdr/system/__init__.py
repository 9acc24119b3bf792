"""What a host has: files, programs, interfaces, settings, units. It knows no topic: who needs a name passes it in."""
