"""The demonstration: a run, its verdict, requests to the service."""
