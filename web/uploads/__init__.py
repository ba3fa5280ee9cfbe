"""Uploads: written to the disk as they arrive, there until a page has kept them or their session has ended."""
