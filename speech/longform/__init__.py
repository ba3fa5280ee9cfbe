"""Hours of sound cut into windows."""
