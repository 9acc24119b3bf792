"""Whether a server serves: options of health checks, one look at a server, and what a row of looks means."""
