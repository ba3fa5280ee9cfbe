"""Bytes to checked samples, whole or as a stream; quality, tempo and voice activity."""
