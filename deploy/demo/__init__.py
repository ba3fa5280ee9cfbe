"""The demonstration: a run, what it must reach, requests to the service."""
