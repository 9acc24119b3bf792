"""lvsdr-streamcheck, the daemon of the directors. What is copied there is this folder and what it imports (places.STREAMCHECK_PARTS)."""
