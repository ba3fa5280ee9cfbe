"""What the service tells of itself: logs, traces, metrics, drift."""
