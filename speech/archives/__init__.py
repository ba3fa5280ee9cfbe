"""Zips that may be hostile, read safely."""
