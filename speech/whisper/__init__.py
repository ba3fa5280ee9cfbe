"""Whisper: back ends, words and their trust, cache, weights."""
