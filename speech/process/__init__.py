"""Children that can be bounded and killed, threads that have an end, and one protocol to speak with children."""
